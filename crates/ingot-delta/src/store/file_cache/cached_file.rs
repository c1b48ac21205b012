//! A store as the reader of one file sees it: ranges of the file come through the cache, all else from the store.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::blocks::FileId;
use super::{CacheHits, FileCache};

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct CachedFile {
    pub cache: Arc<FileCache>,
    pub store: Arc<dyn ObjectStore>,
    pub path: Path,
    pub id: FileId,
    pub hits: CacheHits,
}

impl CachedFile {
    /// Returns the range that is asked for, if the cache can answer.
    fn range(&self, location: &Path, options: &GetOptions) -> Option<Range<u64>> {
        let asked = options.if_match.is_none()
            && options.if_none_match.is_none()
            && options.if_modified_since.is_none()
            && options.if_unmodified_since.is_none()
            && options.version.is_none()
            && !options.head;
        match &options.range {
            Some(GetRange::Bounded(range)) if asked && *location == self.path => Some(range.clone()),
            _ => None,
        }
    }
}

impl fmt::Display for CachedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cached {} of {}", self.path, self.store)
    }
}

#[async_trait]
impl ObjectStore for CachedFile {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.store.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let Some(range) = self.range(location, &options) else {
            return self.store.get_opts(location, options).await;
        };
        let read = self.get_ranges(location, std::slice::from_ref(&range)).await?;
        let meta = ObjectMeta {
            location: location.clone(),
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size: self.id.size,
            e_tag: None,
            version: None,
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(futures::stream::iter(read.into_iter().map(Ok)).boxed()),
            meta,
            range,
            attributes: object_store::Attributes::default(),
        })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        match *location == self.path {
            true => {
                let hits = Some(&self.hits);
                self.cache
                    .read(&self.store, location, self.id, ranges, hits)
                    .await
            }
            false => self.store.get_ranges(location, ranges).await,
        }
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}
