//! Small files, read in one piece.
//!
//! The footer of a file stands at its end, and what comes before it is asked for in a second read, from the same file
//! opened a second time. A small file lies within the first read whole: it is kept, and no second one is made. A store
//! far away answers each of them with a round trip, and a table of many small files consists of little else.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{
    CachedParquetFileReaderFactory, CachedParquetMetaData, ParquetFileMetrics, ParquetFileReaderFactory,
};
use datafusion::error::Result;
use datafusion::execution::cache::cache_manager::{CachedFileMetadataEntry, FileMetadataCache};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder};
use futures::FutureExt;
use futures::future::BoxFuture;
use ingot_delta::{CacheHits, CachedFiles};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

/// Makes readers of files. Those that the session's first read of a file covers whole are read once.
#[derive(Debug)]
pub(super) struct SmallFileReaderFactory {
    store: Arc<dyn ObjectStore>,
    cache: Arc<FileMetadataCache>,
    others: CachedParquetFileReaderFactory,
    /// The files as they are kept on a local disk.
    cached: Option<CachedFiles>,
}

impl SmallFileReaderFactory {
    pub fn new(
        store: Arc<dyn ObjectStore>,
        cache: Arc<FileMetadataCache>,
        cached: Option<CachedFiles>,
    ) -> Self {
        Self {
            others: CachedParquetFileReaderFactory::new(Arc::clone(&store), Arc::clone(&cache)),
            store,
            cache,
            cached,
        }
    }
}

impl ParquetFileReaderFactory for SmallFileReaderFactory {
    fn create_reader(
        &self,
        partition_index: usize,
        partitioned_file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let file = &partitioned_file.object_meta;
        let kept = self
            .cached
            .as_ref()
            .map(|cached| cached.file(&file.location, file.size, cache_hits(metrics, partition_index)));
        if metadata_size_hint.is_none_or(|first_read| file.size > first_read as u64) {
            let through = kept.map(|kept| CachedParquetFileReaderFactory::new(kept, Arc::clone(&self.cache)));
            return through.as_ref().unwrap_or(&self.others).create_reader(
                partition_index,
                partitioned_file,
                metadata_size_hint,
                metrics,
            );
        }
        Ok(Box::new(SmallFileReader {
            metrics: ParquetFileMetrics::new(partition_index, file.location.as_ref(), metrics),
            store: kept.unwrap_or_else(|| Arc::clone(&self.store)),
            cache: Arc::clone(&self.cache),
            file: file.clone(),
            content: None,
        }))
    }
}

/// Counts what scans read from the local disk instead of the store.
fn cache_hits(metrics: &ExecutionPlanMetricsSet, partition: usize) -> CacheHits {
    let counter = MetricBuilder::new(metrics).counter("bytes_from_cache", partition);
    CacheHits::new(move |bytes| counter.add(usize::try_from(bytes).unwrap_or(usize::MAX)))
}

struct SmallFileReader {
    metrics: ParquetFileMetrics,
    store: Arc<dyn ObjectStore>,
    cache: Arc<FileMetadataCache>,
    file: ObjectMeta,
    /// All of the file, once its footer had to be read.
    content: Option<Bytes>,
}

impl SmallFileReader {
    /// Returns the footer if it is known with what `index` asks for.
    fn known_metadata(&self, index: PageIndexPolicy) -> Option<Arc<ParquetMetaData>> {
        let known = self.cache.get(&self.file.location)?;
        let known_metadata = known
            .file_metadata
            .as_any()
            .downcast_ref::<CachedParquetMetaData>()?;
        let metadata = known_metadata.parquet_metadata();
        let has_index = metadata.column_index().is_some() && metadata.offset_index().is_some();
        let serves = known.is_valid_for(&self.file) && (has_index || index == PageIndexPolicy::Skip);
        serves.then(|| Arc::clone(metadata))
    }

    async fn read_metadata(&mut self, index: PageIndexPolicy) -> ParquetResult<Arc<ParquetMetaData>> {
        let whole = self.store.get_range(&self.file.location, 0..self.file.size).await;
        let whole = whole.map_err(external)?;
        let reader = ParquetMetaDataReader::new().with_page_index_policy(index);
        let metadata = Arc::new(
            reader
                .parse_and_finish(&whole)
                .map_err(|error| self.no_footer(&error))?,
        );
        self.content = Some(whole);
        let entry = Arc::new(CachedParquetMetaData::new(Arc::clone(&metadata)));
        let entry = CachedFileMetadataEntry::new(self.file.clone(), entry);
        self.cache.put(&self.file.location, entry);
        Ok(metadata)
    }

    fn no_footer(&self, error: &ParquetError) -> ParquetError {
        ParquetError::General(format!(
            "the footer of `{}` cannot be read: {error}",
            self.file.location
        ))
    }

    async fn read(&mut self, ranges: Vec<Range<u64>>) -> ParquetResult<Vec<Bytes>> {
        let bytes: u64 = ranges
            .iter()
            .map(|range| range.end.saturating_sub(range.start))
            .sum();
        self.metrics
            .bytes_scanned
            .add(usize::try_from(bytes).unwrap_or(usize::MAX));
        match &self.content {
            Some(content) => ranges.iter().map(|range| slice(content, range)).collect(),
            None => {
                let read = self.store.get_ranges(&self.file.location, &ranges).await;
                read.map_err(external)
            }
        }
    }
}

impl AsyncFileReader for SmallFileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move {
            let read = self.read(vec![range]).await?;
            read.into_iter()
                .next()
                .ok_or(ParquetError::EOF("nothing was read".to_owned()))
        }
        .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.read(ranges).boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        let index = options.map_or(PageIndexPolicy::Optional, ArrowReaderOptions::column_index_policy);
        match self.known_metadata(index) {
            Some(metadata) => futures::future::ready(Ok(metadata)).boxed(),
            None => self.read_metadata(index).boxed(),
        }
    }
}

impl Drop for SmallFileReader {
    fn drop(&mut self) {
        let efficiency = &self.metrics.scan_efficiency_ratio;
        efficiency.add_part(self.metrics.bytes_scanned.value());
        efficiency.set_total(usize::try_from(self.file.size).unwrap_or(usize::MAX));
    }
}

/// Returns a range of a file; a footer may name one beyond its end.
fn slice(content: &Bytes, range: &Range<u64>) -> ParquetResult<Bytes> {
    let (start, end) = (usize::try_from(range.start), usize::try_from(range.end));
    match (start, end) {
        (Ok(start), Ok(end)) if start <= end && end <= content.len() => Ok(content.slice(start..end)),
        _ => Err(ParquetError::EOF(format!(
            "bytes {} to {} of a file of {}",
            range.start,
            range.end,
            content.len()
        ))),
    }
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}
