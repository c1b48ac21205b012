//! One Parquet file that is being written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use futures::FutureExt;
use ingot_common::clock;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{Encoding, Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};
use uuid::Uuid;

use super::compression::CompressionCodec;
use super::encoder::{FileEncoder, Layout};
use super::statistics::{BOUND_BYTES_MIN, FileStatistics, IndexedColumns};
use super::upload::{PART_BYTES, Parts, Upload};
use crate::table::Place;
use crate::{Add, Error, Result, column_mapping, partition};

/// Encoded bytes of a row group after which it is written out, whatever its rows.
const ROW_GROUP_BYTES_MAX: usize = 128 << 20;

/// Bytes of a dictionary of whole numbers, after which the rest of the row group is written without one: packed
/// differences take about the bits of the dictionary's numbers, and making them costs a third.
const INTEGER_DICTIONARY_BYTES_MAX: usize = 256 << 10;

/// Parts of one file on their way to the store at once: of the only open file, and of one among many.
const PARTS_IN_FLIGHT_ALONE: usize = 4;
const PARTS_IN_FLIGHT_AMONG_MANY: usize = 1;

/// What all files of one writer have in common.
#[derive(Debug)]
pub(super) struct FileFormat {
    /// Those of no rows.
    statistics: FileStatistics,
    layout: Arc<Layout>,
    prefix: &'static str,
    ending: &'static str,
    parts_in_flight: usize,
    begun: AtomicU64,
}

/// What differs between writers of files.
#[derive(Debug)]
pub(super) struct FileOptions<'a> {
    pub row_group_rows_max: usize,
    pub created_by: &'a str,
    /// What names of files begin with.
    pub prefix: &'static str,
    pub compression: CompressionCodec,
    /// Columns at the end without statistics: readers do not see them.
    pub hidden: usize,
    /// Files of several partitions are open at once.
    pub among_many: bool,
}

impl FileFormat {
    /// `mapped` is the table's schema with what the log says of columns in files, without partition columns.
    pub fn new(mapped: &Schema, indexed: IndexedColumns, options: &FileOptions<'_>) -> Result<Self> {
        let schema = Arc::new(column_mapping::physical(mapped));
        let seen = mapped.fields().len().saturating_sub(options.hidden);
        let seen: Vec<_> = mapped.fields().iter().take(seen).cloned().collect();
        let statistics = FileStatistics::new(&Schema::new(seen), &indexed);
        let parquet = parquet_schema(&schema)?;
        let layout = Layout::new(&schema, &parquet, writer_properties(&parquet, options)?);
        let layout = layout.map_err(|error| Error::Internal {
            message: format!("files of the table's schema cannot be written: {error}"),
        })?;
        let parts_in_flight = match options.among_many {
            true => PARTS_IN_FLIGHT_AMONG_MANY,
            false => PARTS_IN_FLIGHT_ALONE,
        };
        Ok(Self {
            statistics,
            layout: Arc::new(layout),
            prefix: options.prefix,
            ending: options.compression.file_ending(),
            parts_in_flight,
            begun: AtomicU64::new(0),
        })
    }

    /// Returns how Parquet is written.
    #[cfg(test)]
    pub fn properties(&self) -> &WriterProperties {
        self.layout.properties()
    }
}

fn parquet_schema(schema: &SchemaRef) -> Result<SchemaDescriptor> {
    let parquet = ArrowSchemaConverter::new().convert(schema);
    parquet.map_err(|error| Error::Internal {
        message: format!("the table's schema has no form in Parquet: {error}"),
    })
}

fn writer_properties(schema: &SchemaDescriptor, options: &FileOptions<'_>) -> Result<WriterProperties> {
    let properties = WriterProperties::builder()
        .set_compression(options.compression.parquet()?)
        .set_max_row_group_row_count(Some(options.row_group_rows_max))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES_MAX))
        .set_statistics_truncate_length(Some(BOUND_BYTES_MIN))
        .set_created_by(options.created_by.to_owned());
    let columns = schema.columns().iter();
    let properties = columns.fold(properties, |properties, column| encode(properties, column));
    Ok(properties.build())
}

/// Chooses how the values of a column are encoded that do not fit into a dictionary. Source: ADR 0014.
fn encode(properties: WriterPropertiesBuilder, column: &ColumnDescriptor) -> WriterPropertiesBuilder {
    let path = column.path().clone();
    match column.physical_type() {
        Type::INT32 | Type::INT64 => properties
            .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED)
            .set_column_dictionary_page_size_limit(path, INTEGER_DICTIONARY_BYTES_MAX),
        Type::BYTE_ARRAY => properties.set_column_encoding(path, Encoding::DELTA_LENGTH_BYTE_ARRAY),
        // Parquet's bounds pass over NaN, which Spark holds to be the largest of all values: a reader that prunes by
        // them would lose it.
        Type::FLOAT | Type::DOUBLE => properties.set_column_statistics_enabled(path, EnabledStatistics::None),
        _ => properties,
    }
}

/// A file with rows in it that is not complete yet.
pub(super) struct DataFile {
    sequence: u64,
    store: Arc<dyn ObjectStore>,
    path: Path,
    action_path: String,
    partition_values: BTreeMap<String, Option<String>>,
    encoder: FileEncoder<Parts>,
    upload: Upload,
    parts_in_flight: usize,
    statistics: FileStatistics,
}

impl DataFile {
    /// Begins a file in `folder`, which is relative to the table's root and ends with a slash, or is empty.
    pub fn begin(
        place: &Place,
        format: &FileFormat,
        folder: &str,
        partition_values: BTreeMap<String, Option<String>>,
    ) -> Result<Self> {
        let sequence = format.begun.fetch_add(1, Ordering::Relaxed);
        let relative = format!(
            "{folder}{}-{sequence:05}-{}-c000{}",
            format.prefix,
            Uuid::new_v4(),
            format.ending
        );
        let action_path = partition::action_path(&relative);
        let path = place.file_path(&action_path)?;
        let store = Arc::clone(&place.store);
        let upload = Upload::new(Arc::clone(&store), path.clone(), format.parts_in_flight);
        let encoder = FileEncoder::begin(&format.layout, Parts::default());
        let encoder = encoder.map_err(|source| not_encoded("begin", &path, source))?;
        Ok(Self {
            sequence,
            store,
            path,
            action_path,
            partition_values,
            encoder,
            upload,
            parts_in_flight: format.parts_in_flight,
            statistics: format.statistics.clone(),
        })
    }

    /// Returns the place of this file among those of its writer.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Returns the compressed size so far, with an estimate for the open row group.
    pub fn bytes(&self) -> u64 {
        (self.encoder.bytes_written() + self.encoder.bytes_in_progress()) as u64
    }

    /// Returns the memory that the open row group takes.
    pub fn row_group_bytes(&self) -> usize {
        self.encoder.memory_bytes()
    }

    /// Returns the memory, at most, of what was written out and has not arrived in the store: the part that fills, and
    /// those on their way.
    pub fn unsent_bytes(&self) -> usize {
        unsent_bytes(self.encoder.bytes_written(), self.parts_in_flight)
    }

    /// Ends the open row group and hands it to the store.
    pub async fn flush(&mut self) -> Result<()> {
        let flushed = self.encoder.flush();
        flushed.map_err(|source| not_encoded("write", &self.path, source))?;
        self.send().await
    }

    /// Adds rows.
    pub async fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.statistics.update(rows);
        let written = self.encoder.write(rows);
        written.map_err(|source| not_encoded("write", &self.path, source))?;
        self.send().await
    }

    /// Sends the parts that are full.
    async fn send(&mut self) -> Result<()> {
        for part in self.encoder.inner_mut().take_full() {
            // On the heap, as below: what waits for a writer would grow by all that a store's future holds.
            let sent = self.upload.send(part).boxed().await;
            sent.map_err(|source| not_stored("write", &self.path, source))?;
        }
        Ok(())
    }

    /// Completes the file; it is on disk when this returns.
    ///
    /// # Errors
    /// `Unavailable` when the store fails; what it holds of the file is deleted then, if it lets us.
    pub async fn close(mut self, data_change: bool) -> Result<Add> {
        let footer = match self.complete().await {
            Ok(footer) => footer,
            Err(error) => {
                self.abort().await;
                return Err(error);
            }
        };
        Ok(Add {
            path: self.action_path,
            partition_values: self.partition_values,
            size: i64::try_from(self.encoder.bytes_written()).unwrap_or(i64::MAX),
            modification_time: clock::now_ms(),
            data_change,
            stats: Some(self.statistics.to_json(&footer)),
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        })
    }

    async fn complete(&mut self) -> Result<ParquetMetaData> {
        let footer = self.encoder.finish();
        let footer = footer.map_err(|source| not_encoded("complete", &self.path, source))?;
        self.send().await?;
        let rest = self.encoder.inner_mut().take_rest();
        let completed = self.upload.complete(rest).boxed().await;
        completed.map_err(|source| not_stored("complete", &self.path, source))?;
        Ok(footer)
    }

    /// Gives the file up. What the store holds of it is deleted if the store lets us.
    pub async fn abort(self) {
        self.upload.abort().await;
        delete_one(&self.store, &self.path).await;
    }
}

fn unsent_bytes(written: usize, parts_in_flight: usize) -> usize {
    let sent = written / PART_BYTES;
    written % PART_BYTES + sent.min(parts_in_flight) * PART_BYTES
}

/// Deletes files that nothing refers to. One that cannot be deleted stays for VACUUM.
pub(super) async fn delete(place: &Place, files: &[Add]) {
    for file in files {
        if let Ok(path) = place.file_path(&file.path) {
            delete_one(&place.store, &path).await;
        }
    }
}

async fn delete_one(store: &Arc<dyn ObjectStore>, path: &Path) {
    match store.delete(path).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
        Err(error) => tracing::warn!(%path, %error, "unreferenced file stays until VACUUM"),
    }
}

fn not_encoded(action: &'static str, path: &Path, source: ParquetError) -> Error {
    let path = path.to_string();
    Error::Parquet { action, path, source }
}

/// Keeps a store's failure apart, so that a full disk is not taken for a bad file.
fn not_stored(action: &'static str, path: &Path, source: object_store::Error) -> Error {
    let path = path.to_string();
    Error::Store { action, path, source }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(0, 1, 0)]
    #[test_case(PART_BYTES - 1, 1, PART_BYTES - 1; "all of a file that fills its first part")]
    #[test_case(PART_BYTES, 1, PART_BYTES; "one part on its way")]
    #[test_case(9 * PART_BYTES + 7, 1, PART_BYTES + 7; "the others have arrived")]
    #[test_case(9 * PART_BYTES + 7, 4, 4 * PART_BYTES + 7; "as many as may be on their way")]
    fn unsent_bytes_are_those_that_may_be_in_memory(written: usize, in_flight: usize, unsent: usize) {
        assert_eq!(unsent_bytes(written, in_flight), unsent);
    }
}
