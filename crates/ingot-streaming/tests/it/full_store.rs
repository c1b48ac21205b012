//! A store whose disk is full on command.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use tokio::sync::Notify;

/// Room on the disk, and who was told that there is none.
#[derive(Debug, Default)]
struct Disk {
    /// `None` is room without end.
    bytes_left: Mutex<Option<usize>>,
    refused: Notify,
}

impl Disk {
    /// A write that needs more than there is gets none and takes what is left.
    fn take(&self, bytes: usize) -> Result<()> {
        let mut left = self.bytes_left.lock().unwrap_or_else(PoisonError::into_inner);
        match left.as_mut() {
            Some(left) if *left < bytes => {
                *left = 0;
                self.refused.notify_one();
                const ENOSPC: i32 = 28;
                Err(Error::Generic {
                    store: "full",
                    source: Box::new(io::Error::from_raw_os_error(ENOSPC)),
                })
            }
            Some(left) => {
                *left -= bytes;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// The local file system, as full as told.
#[derive(Debug)]
pub struct FullStore {
    inner: LocalFileSystem,
    disk: Arc<Disk>,
}

impl FullStore {
    pub fn new() -> Self {
        Self {
            inner: LocalFileSystem::new(),
            disk: Arc::default(),
        }
    }

    /// Leaves room for so many bytes; for any number when `None`.
    pub fn leave_room(&self, bytes: Option<usize>) {
        *self
            .disk
            .bytes_left
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = bytes;
    }

    /// Waits until a write was refused.
    pub async fn refused(&self) {
        self.disk.refused.notified().await;
    }
}

impl fmt::Display for FullStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Full{}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for FullStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.disk.take(payload.content_length())?;
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(location, opts).await?;
        let disk = Arc::clone(&self.disk);
        Ok(Box::new(FullUpload { inner, disk }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct FullUpload {
    inner: Box<dyn MultipartUpload>,
    disk: Arc<Disk>,
}

#[async_trait]
impl MultipartUpload for FullUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        match self.disk.take(data.content_length()) {
            Ok(()) => self.inner.put_part(data),
            Err(full) => Box::pin(async { Err(full) }),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}
