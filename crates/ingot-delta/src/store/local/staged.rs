//! Files that are written and synced before it is decided what they are called.
//!
//! ```text
//! stage:    bytes ─► file without a name of its own ─► fsync         any number at once
//! publish:  is the file before still the same? ─► link, if the name is free       one after the other
//! settle:   ─► fsync folder                                          shared by all who published before
//! ```
//! A commit is put so: what takes long (the two syncs) happens beside other commits, and only the link between them
//! in turn. Always true: a file's content is on disk before its name is visible, and its name is once `settle` has
//! returned. A crash may leave a staged file behind, which no listing shows.

use std::fs::{self, File};
use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ingot_common::clock;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, PutPayload};

use super::folders::SyncedFolders;
use super::{blocking, io_error, object_meta, staged_name, write_synced};

/// What files are called that have no name of their own.
const STAGED: &str = ".staged";

/// Writes files first and names them later. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct LocalStaging {
    inner: Arc<LocalFileSystem>,
    folders: Arc<SyncedFolders>,
}

/// A file whose bytes are on disk and that nobody lists. Its temporary name goes when it is dropped.
#[derive(Debug)]
pub(crate) struct StagedFile {
    path: PathBuf,
    file: File,
}

/// What became of a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Published {
    /// It is the staged file's: what a look at it finds.
    Done(ObjectMeta),
    /// Another file has it.
    Exists,
    /// It was not given: the file before is not what it was.
    Replaced,
}

impl LocalStaging {
    pub(super) fn new(inner: Arc<LocalFileSystem>, folders: Arc<SyncedFolders>) -> Self {
        Self { inner, folders }
    }

    /// Writes and syncs a file that is to stand in `folder`, and takes an `outdated` one out of the way.
    pub async fn stage(
        &self,
        folder: &Path,
        payload: PutPayload,
        outdated: Option<Arc<StagedFile>>,
    ) -> object_store::Result<StagedFile> {
        let folder = self.inner.path_to_filesystem(folder)?;
        let folders = Arc::clone(&self.folders);
        blocking(move || {
            drop(outdated);
            let staged = folders.ensure(&folder).and_then(|()| stage(&folder, &payload));
            staged.map_err(|error| io_error(&folder, error))
        })
        .await
    }

    /// Names a staged file `location` if nothing is called so, provided that `unchanged` is true of what a look at
    /// `before` finds then, `None` if it finds nothing. It is not settled yet.
    pub async fn publish(
        &self,
        staged: &Arc<StagedFile>,
        location: &Path,
        before: &Path,
        unchanged: impl FnOnce(Option<&ObjectMeta>) -> bool + Send + 'static,
    ) -> object_store::Result<Published> {
        let target = self.inner.path_to_filesystem(location)?;
        let before = (before.clone(), self.inner.path_to_filesystem(before)?);
        let (staged, location) = (Arc::clone(staged), location.clone());
        let now_ms = clock::now_ms();
        blocking(move || {
            let (before, before_path) = before;
            let found = match fs::metadata(&before_path) {
                Ok(metadata) => Some(object_meta(&before, &metadata)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(io_error(&before_path, error)),
            };
            if !unchanged(found.as_ref()) {
                return Ok(Published::Replaced);
            }
            match staged.link(&target, now_ms) {
                Ok(metadata) => Ok(Published::Done(object_meta(&location, &metadata))),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Published::Exists),
                Err(error) => Err(io_error(&target, error)),
            }
        })
        .await
    }

    /// Makes the names in `folder` durable that were given before, and takes `done` out of the way.
    pub async fn settle(&self, folder: &Path, done: Option<Arc<StagedFile>>) -> object_store::Result<()> {
        let folder = self.inner.path_to_filesystem(folder)?;
        let folders = Arc::clone(&self.folders);
        blocking(move || {
            drop(done);
            folders.sync(&folder).map_err(|error| io_error(&folder, error))
        })
        .await
    }
}

fn stage(folder: &FilePath, payload: &PutPayload) -> io::Result<StagedFile> {
    let path = staged_name(&folder.join(STAGED));
    match write_synced(&path, payload) {
        Ok(file) => Ok(StagedFile { path, file }),
        Err(error) => {
            // Half a file, if any; no listing shows it.
            let _ = fs::remove_file(&path);
            Err(error)
        }
    }
}

impl StagedFile {
    /// Gives the file its name, and the time of that. Returns what a look at it finds.
    fn link(&self, target: &FilePath, now_ms: i64) -> io::Result<fs::Metadata> {
        // Before the name: whoever sees the file sees its last time.
        let since_epoch = Duration::from_millis(u64::try_from(now_ms).unwrap_or_default());
        self.file.set_modified(SystemTime::UNIX_EPOCH + since_epoch)?;
        let metadata = self.file.metadata()?;
        fs::hard_link(&self.path, target)?;
        Ok(metadata)
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        // One that stays is invisible to listings.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use object_store::{ObjectStore, ObjectStoreExt};
    use url::Url;

    use super::super::{LocalStore, local_store};
    use super::*;

    fn open(folder: &tempfile::TempDir) -> (Arc<dyn ObjectStore>, LocalStaging) {
        let root = Url::from_directory_path(folder.path()).expect("absolute path");
        let LocalStore { objects, staging } = local_store(&root, true).expect("store opens");
        (objects, staging.expect("a durable store stages"))
    }

    async fn stage(staging: &LocalStaging, text: &'static str) -> Arc<StagedFile> {
        let staged = staging.stage(&Path::from("log"), text.into(), None).await;
        Arc::new(staged.expect("staged"))
    }

    /// Names that a folder really has.
    fn names(folder: &tempfile::TempDir) -> Vec<String> {
        let entries = fs::read_dir(folder.path().join("log")).expect("folder");
        let name = |entry: io::Result<fs::DirEntry>| entry.expect("entry").file_name().into_string();
        entries.map(|entry| name(entry).expect("UTF-8")).collect()
    }

    #[tokio::test]
    async fn a_staged_file_gets_the_first_free_name_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().expect("folder");
        let (objects, staging) = open(&folder);
        let (zero, one) = (Path::from("log/0.json"), Path::from("log/1.json"));
        let first = stage(&staging, "first").await;
        let second = stage(&staging, "second").await;
        let listed: Vec<_> = objects.list(None).try_collect().await.expect("listed");
        assert!(listed.is_empty(), "no listing shows what has no name: {listed:?}");
        let free = staging
            .publish(&first, &zero, &zero, |found| found.is_none())
            .await;
        let Published::Done(meta) = free.expect("published") else {
            panic!("the name is free");
        };
        assert_eq!(meta, objects.head(&zero).await.expect("head"));
        let known = meta.clone();
        let taken = staging.publish(&second, &zero, &zero, move |found| found == Some(&known));
        assert_eq!(taken.await.expect("asked"), Published::Exists);
        let next = staging.publish(&second, &one, &zero, move |found| found == Some(&meta));
        assert!(matches!(next.await.expect("published"), Published::Done(_)));
        staging
            .settle(&Path::from("log"), Some(first))
            .await
            .expect("settled");
        staging
            .settle(&Path::from("log"), Some(second))
            .await
            .expect("settled");
        for (path, text) in [(zero, "first"), (one, "second")] {
            let bytes = objects
                .get(&path)
                .await
                .expect("get")
                .bytes()
                .await
                .expect("bytes");
            assert_eq!(bytes, text);
        }
        assert_eq!(names(&folder).len(), 2, "{:?}", names(&folder));
    }

    #[tokio::test]
    async fn nothing_is_named_where_the_file_before_is_another() {
        let folder = tempfile::tempdir().expect("folder");
        let (objects, staging) = open(&folder);
        let (zero, one) = (Path::from("log/0.json"), Path::from("log/1.json"));
        objects.put(&zero, "the log".into()).await.expect("put");
        let known = objects.head(&zero).await.expect("head");
        objects.delete(&zero).await.expect("deleted");
        for replacement in [None, Some("another log")] {
            if let Some(text) = replacement {
                objects.put(&zero, text.into()).await.expect("put");
            }
            let staged = stage(&staging, "next").await;
            let known = known.clone();
            let outcome = staging.publish(&staged, &one, &zero, move |found| found == Some(&known));
            assert_eq!(outcome.await.expect("asked"), Published::Replaced);
        }
        objects.head(&one).await.expect_err("nothing was named");
        objects.delete(&zero).await.expect("deleted");
        assert_eq!(names(&folder), [""; 0], "what was dropped is gone");
    }
}
