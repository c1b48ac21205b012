//! The local folder as a durable object store.
//!
//! `LocalFileSystem` writes atomically but syncs nothing, so a commit that was reported could vanish with the
//! power. [`DurableLocal`] adds the order that makes it stay:
//! ```text
//! put:        bytes ─► temporary file ─► fsync ─► link or rename to its name ─► fsync folder
//! multipart:  parts ─► inner store ─► complete ─► fsync file ─► fsync folder
//! ```
//! A file's content is on disk before its name is visible when it is put in one piece, which is how commits are
//! put. Files put in parts are synced before `complete` returns: nothing refers to them earlier.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use ingot_common::clock;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, UploadPart,
};
use url::Url;

use crate::{Error, Result};

/// Folders remembered as synced, at most; forgetting one costs a few more syncs.
const SYNCED_FOLDERS_MAX: usize = 65_536;

/// Opens the local file system below `root` (a `file://` URL). With `sync`, what was put is on disk when the
/// put returns.
///
/// # Errors
/// `InvalidArgument` when `root` is not a folder's URL, `Unavailable` when the folder cannot be made.
pub(crate) fn local_store(root: &Url, sync: bool) -> Result<Arc<dyn ObjectStore>> {
    let folder = root.to_file_path().map_err(|()| Error::InvalidArgument {
        message: format!("location=`{root}` is not a local folder"),
    })?;
    let opened = fs::create_dir_all(&folder)
        .map_err(|error| io_error(&folder, error))
        .and_then(|()| LocalFileSystem::new_with_prefix(&folder));
    let inner = opened.map_err(|source| Error::Store {
        action: "open",
        path: root.to_string(),
        source,
    })?;
    if !sync {
        return Ok(Arc::new(inner));
    }
    Ok(Arc::new(DurableLocal {
        inner: Arc::new(inner),
        folders: Arc::default(),
    }))
}

/// A [`LocalFileSystem`] whose writes are on disk when they return.
#[derive(Debug)]
struct DurableLocal {
    inner: Arc<LocalFileSystem>,
    folders: Arc<SyncedFolders>,
}

impl std::fmt::Display for DurableLocal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Durable{}", self.inner)
    }
}

/// Folders whose own entries, and those of all folders above them, are on disk.
#[derive(Debug, Default)]
struct SyncedFolders(Mutex<HashSet<PathBuf>>);

impl SyncedFolders {
    /// Makes `folder` exist and its entry, and those above it, durable.
    fn ensure(&self, folder: &FilePath) -> io::Result<()> {
        if folder.is_dir() {
            if self.lock().contains(folder) {
                return Ok(());
            }
        } else {
            fs::create_dir_all(folder)?;
        }
        for ancestor in folder.ancestors().skip(1) {
            let known = self.lock().contains(ancestor) && ancestor != folder;
            match sync_folder(ancestor) {
                // A folder above ours that we may not read was there before us.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => break,
                outcome => outcome?,
            }
            if known {
                break;
            }
        }
        let mut synced = self.lock();
        if synced.len() >= SYNCED_FOLDERS_MAX {
            synced.clear();
        }
        synced.insert(folder.to_path_buf());
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DurableLocal {
    async fn put_durably(
        &self,
        location: &Path,
        payload: PutPayload,
        mode: PutMode,
    ) -> object_store::Result<PutResult> {
        let target = self.inner.path_to_filesystem(location)?;
        let folders = Arc::clone(&self.folders);
        let written = blocking(move || {
            let outcome = put_file(&folders, &target, &payload, &mode);
            outcome.map_err(|error| io_error(&target, error))
        });
        written.await?;
        Ok(PutResult {
            e_tag: None,
            version: None,
        })
    }
}

/// Writes `payload` beside `target`, syncs it, gives it its name and syncs the folder.
fn put_file(
    folders: &SyncedFolders,
    target: &FilePath,
    payload: &PutPayload,
    mode: &PutMode,
) -> io::Result<()> {
    let folder = target
        .parent()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "path has no folder"))?;
    folders.ensure(folder)?;
    let staged = staged_name(target);
    let outcome = write_synced(&staged, payload).and_then(|()| match mode {
        PutMode::Create => fs::hard_link(&staged, target),
        _ => fs::rename(&staged, target),
    });
    if outcome.is_err() || matches!(mode, PutMode::Create) {
        // A staged file that stays behind is invisible to listings; failing for it would hide the outcome.
        let _ = fs::remove_file(&staged);
    }
    outcome?;
    sync_folder(folder)
}

/// Names a file that `LocalFileSystem` leaves out of listings: its own convention for staged uploads.
fn staged_name(target: &FilePath) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(format!("#{}", clock::random_below(u64::MAX)));
    PathBuf::from(name)
}

fn write_synced(path: &FilePath, payload: &PutPayload) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    for bytes in payload {
        file.write_all(bytes)?;
    }
    file.sync_all()
}

fn sync_folder(folder: &FilePath) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn io_error(path: &FilePath, error: io::Error) -> object_store::Error {
    let path = path.display().to_string();
    let source = Box::new(error);
    match source.kind() {
        io::ErrorKind::AlreadyExists => object_store::Error::AlreadyExists { path, source },
        io::ErrorKind::NotFound => object_store::Error::NotFound { path, source },
        io::ErrorKind::PermissionDenied => object_store::Error::PermissionDenied { path, source },
        _ => object_store::Error::Generic {
            store: "LocalFileSystem",
            source,
        },
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> object_store::Result<T> + Send + 'static,
) -> object_store::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|source| object_store::Error::JoinError { source })?
}

#[async_trait]
impl ObjectStore for DurableLocal {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> object_store::Result<PutResult> {
        if matches!(opts.mode, PutMode::Update(_)) || !opts.attributes.is_empty() {
            return self.inner.put_opts(location, payload, opts).await;
        }
        self.put_durably(location, payload, opts.mode).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        let target = self.inner.path_to_filesystem(location)?;
        let folders = Arc::clone(&self.folders);
        let folder = target.parent().map(FilePath::to_path_buf).unwrap_or_default();
        blocking(move || folders.ensure(&folder).map_err(|error| io_error(&folder, error))).await?;
        let inner = self.inner.put_multipart_opts(location, opts).await?;
        Ok(Box::new(DurableUpload { inner, target }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> object_store::Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}

/// An upload in parts that syncs what it completed.
#[derive(Debug)]
struct DurableUpload {
    inner: Box<dyn MultipartUpload>,
    target: PathBuf,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        let result = self.inner.complete().await?;
        let target = self.target.clone();
        blocking(move || {
            let synced = File::open(&target)
                .and_then(|file| file.sync_all())
                .and_then(|()| target.parent().map_or(Ok(()), sync_folder));
            synced.map_err(|error| io_error(&target, error))
        })
        .await?;
        Ok(result)
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        self.inner.abort().await
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use object_store::ObjectStoreExt;

    use super::*;

    fn store(folder: &tempfile::TempDir) -> Arc<dyn ObjectStore> {
        let root = Url::from_directory_path(folder.path()).expect("absolute path");
        local_store(&root, true).expect("store opens")
    }

    #[tokio::test]
    async fn create_of_an_existing_file_is_already_exists_and_leaves_it() {
        let folder = tempfile::tempdir().expect("folder");
        let store = store(&folder);
        let path = Path::from("a/b/0.json");
        let create = PutOptions::from(PutMode::Create);
        store
            .put_opts(&path, "first".into(), create.clone())
            .await
            .expect("first put");
        let error = store
            .put_opts(&path, "second".into(), create)
            .await
            .expect_err("second put");
        assert!(
            matches!(error, object_store::Error::AlreadyExists { .. }),
            "{error}"
        );
        let bytes = store.get(&path).await.expect("get").bytes().await.expect("bytes");
        assert_eq!(bytes, "first");
        let listed: Vec<_> = store.list(None).try_collect().await.expect("list");
        assert_eq!(listed.len(), 1, "no staged file stays");
    }

    #[tokio::test]
    async fn parts_are_visible_once_completed() {
        let folder = tempfile::tempdir().expect("folder");
        let store = store(&folder);
        let path = Path::from("p=1/file.parquet");
        let mut upload = store.put_multipart(&path).await.expect("upload");
        upload.put_part("abc".into()).await.expect("part");
        assert!(store.head(&path).await.is_err(), "not visible before complete");
        upload.complete().await.expect("complete");
        assert_eq!(store.head(&path).await.expect("head").size, 3);
    }
}
