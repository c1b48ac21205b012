//! The local folder as a durable object store.
//!
//! `LocalFileSystem` writes atomically but syncs nothing, so a commit that was reported could vanish with the
//! power. [`DurableLocal`] adds the order that makes it stay:
//! ```text
//! put:        bytes ─► temporary file ─► fsync ─► link or rename to its name ─► fsync folder
//! multipart:  parts ─► inner store ─► complete ─► fsync file ─► fsync folder
//! ```
//! A file's content is on disk before its name is visible when it is put in one piece, which is how commits are
//! put. A put that is told "exists" is told so once what exists is on disk. Files put in parts
//! are synced before `complete` returns: nothing refers to them earlier. A put in one piece fills in its receipt.
//! Those who sync a folder at the same time share that (`shared_sync`). What must be fast in turn is written first and
//! named later (`staged`).

mod folders;
mod shared_sync;
mod staged;

use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

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

use self::folders::{SyncedFolders, inode, sync_folder};
pub(crate) use self::staged::{LocalStaging, Published, StagedFile};
use super::receipt::PutReceipt;
use crate::{Error, Result};

/// The local file system as a store.
#[derive(Debug, Clone)]
pub(crate) struct LocalStore {
    pub objects: Arc<dyn ObjectStore>,
    /// Where puts are durable: the other way to put files.
    pub staging: Option<LocalStaging>,
}

/// Opens the local file system below `root` (a `file://` URL). With `sync`, what was put is on disk when the
/// put returns.
///
/// # Errors
/// `InvalidArgument` when `root` is not a folder's URL, `Unavailable` when the folder cannot be made.
pub(crate) fn local_store(root: &Url, sync: bool) -> Result<LocalStore> {
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
        return Ok(LocalStore {
            objects: Arc::new(inner),
            staging: None,
        });
    }
    Ok(LocalStore::durable(
        inner,
        SyncedFolders::new(Box::new(sync_folder)),
    ))
}

impl LocalStore {
    /// Opens the root of the file system with folders that are synced by `sync`.
    #[cfg(test)]
    pub fn syncing(sync: impl Fn(&FilePath) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self::durable(LocalFileSystem::new(), SyncedFolders::new(Box::new(sync)))
    }

    fn durable(inner: LocalFileSystem, folders: SyncedFolders) -> Self {
        let (inner, folders) = (Arc::new(inner), Arc::new(folders));
        Self {
            staging: Some(LocalStaging::new(Arc::clone(&inner), Arc::clone(&folders))),
            objects: Arc::new(DurableLocal { inner, folders }),
        }
    }
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

impl DurableLocal {
    async fn put_durably(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        let target = self.inner.path_to_filesystem(location)?;
        let mode = options.mode.clone();
        let folders = Arc::clone(&self.folders);
        let written = blocking(move || {
            let outcome = put_file(&folders, &target, &payload, &mode);
            outcome.map_err(|error| io_error(&target, error))
        });
        let meta = object_meta(location, &written.await?);
        let e_tag = meta.e_tag.clone();
        PutReceipt::fill_in(&options, meta);
        Ok(PutResult { e_tag, version: None })
    }
}

/// Writes `payload` beside `target`, syncs it, gives it its name and syncs the folder. Returns what the file is.
fn put_file(
    folders: &SyncedFolders,
    target: &FilePath,
    payload: &PutPayload,
    mode: &PutMode,
) -> io::Result<fs::Metadata> {
    let folder = target
        .parent()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "path has no folder"))?;
    folders.ensure(folder)?;
    let staged = staged_name(target);
    let outcome = write_synced(&staged, payload).and_then(|file| {
        let metadata = file.metadata()?;
        match mode {
            PutMode::Create => fs::hard_link(&staged, target)?,
            _ => fs::rename(&staged, target)?,
        }
        Ok(metadata)
    });
    if outcome.is_err() || matches!(mode, PutMode::Create) {
        // A staged file that stays behind is invisible to listings; failing for it would hide the outcome.
        let _ = fs::remove_file(&staged);
    }
    match outcome {
        // What is there is on disk too once this is answered: its writer may have failed to sync the folder, or
        // not have come to it yet.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            folders.sync(folder)?;
            Err(error)
        }
        Err(error) => Err(error),
        Ok(metadata) => folders.sync(folder).map(|()| metadata),
    }
}

/// Names a file that `LocalFileSystem` leaves out of listings: its own convention for staged uploads.
fn staged_name(target: &FilePath) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(format!("#{}", clock::random_below(u64::MAX)));
    PathBuf::from(name)
}

fn write_synced(path: &FilePath, payload: &PutPayload) -> io::Result<File> {
    let mut file = File::create_new(path)?;
    for bytes in payload {
        file.write_all(bytes)?;
    }
    file.sync_all()?;
    Ok(file)
}

/// Returns what a look at the file finds: just what `LocalFileSystem` makes of a file's metadata.
fn object_meta(location: &Path, metadata: &fs::Metadata) -> ObjectMeta {
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let since_epoch = modified.duration_since(SystemTime::UNIX_EPOCH);
    let modified_us = since_epoch.unwrap_or_default().as_micros();
    ObjectMeta {
        location: location.clone(),
        last_modified: modified.into(),
        size: metadata.len(),
        e_tag: Some(format!(
            "{:x}-{modified_us:x}-{:x}",
            inode(metadata),
            metadata.len()
        )),
        version: None,
    }
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
        self.put_durably(location, payload, opts).await
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
        let folders = Arc::clone(&self.folders);
        Ok(Box::new(DurableUpload {
            inner,
            folders,
            target,
        }))
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
    folders: Arc<SyncedFolders>,
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
        let folders = Arc::clone(&self.folders);
        blocking(move || {
            let synced = File::open(&target)
                .and_then(|file| file.sync_all())
                .and_then(|()| target.parent().map_or(Ok(()), |folder| folders.sync(folder)));
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
    use test_case::test_case;

    use super::folders::FolderIdentity;
    use super::*;

    fn store(folder: &tempfile::TempDir) -> Arc<dyn ObjectStore> {
        let root = Url::from_directory_path(folder.path()).expect("absolute path");
        local_store(&root, true).expect("store opens").objects
    }

    #[test_case(PutMode::Create; "if absent")]
    #[test_case(PutMode::Overwrite; "over another")]
    #[tokio::test]
    async fn a_put_tells_what_a_look_at_the_file_finds(mode: PutMode) {
        let folder = tempfile::tempdir().expect("folder");
        let store = store(&folder);
        let path = Path::from("a/b/0.json");
        let mut options = PutOptions::from(mode);
        let receipt = PutReceipt::attach(&mut options);
        let put = store.put_opts(&path, "x".into(), options).await.expect("put");
        let found = store.head(&path).await.expect("head");
        assert_eq!(put.e_tag, found.e_tag);
        assert_eq!(receipt.meta(), Some(found));
        let create = PutOptions::from(PutMode::Create);
        let mut again = create.clone();
        let receipt = PutReceipt::attach(&mut again);
        store
            .put_opts(&path, "y".into(), again)
            .await
            .expect_err("exists");
        assert_eq!(receipt.meta(), None, "nothing was put");
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

    /// A store under whose folders no entry gets to the disk.
    fn store_that_cannot_sync(folder: &tempfile::TempDir) -> Arc<dyn ObjectStore> {
        let inner = LocalFileSystem::new_with_prefix(folder.path()).expect("store opens");
        let folders = SyncedFolders::new(Box::new(|_| Err(io::Error::other("Input/output error"))));
        let identity = FolderIdentity::of(folder.path())
            .expect("readable")
            .expect("there");
        folders.remember(folder.path(), identity);
        LocalStore::durable(inner, folders).objects
    }

    #[tokio::test]
    async fn a_file_whose_folder_was_not_synced_is_neither_put_nor_there_for_sure() {
        let folder = tempfile::tempdir().expect("folder");
        let failing = store_that_cannot_sync(&folder);
        let path = Path::from("0.json");
        for _ in 0..2 {
            let create = PutOptions::from(PutMode::Create);
            let error = failing
                .put_opts(&path, "first".into(), create)
                .await
                .expect_err("not durable");
            assert!(
                matches!(error, object_store::Error::Generic { .. }),
                "neither put nor `AlreadyExists`: {error}"
            );
        }
        let sound = store(&folder);
        let create = PutOptions::from(PutMode::Create);
        let error = sound.put_opts(&path, "second".into(), create).await;
        assert!(
            matches!(error, Err(object_store::Error::AlreadyExists { .. })),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn a_file_in_the_place_of_a_folder_is_no_file_that_exists() {
        let folder = tempfile::tempdir().expect("folder");
        fs::write(folder.path().join("t"), "no folder").expect("file");
        let store = store(&folder);
        for path in ["t/0.json", "t/_delta_log/0.json"] {
            let create = PutOptions::from(PutMode::Create);
            let error = store.put_opts(&Path::from(path), "x".into(), create).await;
            assert!(
                matches!(error, Err(object_store::Error::Generic { .. })),
                "{error:?}"
            );
        }
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
