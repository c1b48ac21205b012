//! Record batches in, Parquet files and `add` actions out.
//!
//! ```text
//! batch ─► conform (types, nulls) ─► split by partition ─► open file of the partition ─► Parquet ─► store
//!                                                             └─ at its target size: close, `add`, next file
//! ```
//! Files are on disk before their actions are returned. The files hold the columns that do not partition, in the
//! table's order, with no trace of the Arrow types they came from; where the table maps columns, under their physical
//! names and with their ids. Source: Delta protocol, "Data Files".

mod compression;
mod conform;
mod data_file;
mod encoder;
mod statistics;
mod target;
mod upload;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute;
use arrow::datatypes::Schema;
use arrow::row::{OwnedRow, RowConverter, SortField};
use ingot_common::clock;

pub use self::compression::CompressionCodec;
pub(crate) use self::compression::PROPERTY as COMPRESSION_PROPERTY;
use self::data_file::{DataFile, FileFormat, FileOptions};
use self::statistics::{ChosenColumns, FileStatistics, IndexedColumns};
pub use self::target::WriteTarget;
use crate::{Add, DeltaTable, Error, Result, Snapshot, column_mapping, partition, properties};

/// Columns with statistics unless the table says otherwise. Source: Delta, `delta.dataSkippingNumIndexedCols`.
const INDEXED_COLUMNS_DEFAULT: usize = 32;

/// Partitions with an open file at most; beyond that the largest is closed.
const OPEN_FILES_MAX: usize = 128;

/// Bytes in memory of all open files together; beyond that the largest row groups are written out, and files
/// closed whose bytes wait for a part to fill.
const OPEN_BYTES_MAX: usize = 256 << 20;

/// Compressed bytes of a file, about, where neither writer nor table say otherwise: large enough that opening a file
/// costs little of reading it, small enough that a handful of cores share a table of a few files.
pub const FILE_BYTES_TARGET: u64 = 128 << 20;

/// Sizes of the files to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterOptions {
    /// Compressed bytes after which a file is closed and the next begun. `None` leaves it to the table: its
    /// `delta.targetFileSize`, or [`FILE_BYTES_TARGET`].
    pub file_bytes_target: Option<u64>,
    /// Rows per row group at most.
    pub row_group_rows_max: usize,
    /// `dataChange` of the actions.
    pub data_change: bool,
    /// How pages are compressed. `None` leaves it to the table: its `delta.parquet.compression.codec`, or zstd.
    pub compression: Option<CompressionCodec>,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            file_bytes_target: None,
            row_group_rows_max: 1 << 20,
            data_change: true,
            compression: None,
        }
    }
}

/// Writes files for one table; rows of different partitions go to different files. Rows in memory are bounded,
/// however many partitions there are.
pub struct FileWriter {
    target: WriteTarget,
    /// Places in the schema of the partition columns, outermost folder first, and of the others.
    partition_indices: Vec<usize>,
    data_indices: Vec<usize>,
    converter: Option<RowConverter>,
    format: FileFormat,
    file_bytes_target: u64,
    data_change: bool,
    open: HashMap<Option<OwnedRow>, DataFile>,
    written: Vec<Add>,
}

impl FileWriter {
    /// Starts writing for `table` with the schema of `snapshot`.
    ///
    /// # Errors
    /// `Unsupported` when the table has a writer feature that this writer cannot honour.
    pub fn new(table: Arc<DeltaTable>, snapshot: &Snapshot, options: WriterOptions) -> Result<Self> {
        Self::for_target(WriteTarget::of_table(&table, snapshot)?, options)
    }

    /// Starts writing for a table that may not exist yet.
    ///
    /// # Errors
    /// `Internal` when a partition column is not of the schema, which the target's makers refuse.
    pub fn for_target(target: WriteTarget, options: WriterOptions) -> Result<Self> {
        let schema = target.schema();
        let partition_indices = target
            .partition_columns()
            .iter()
            .map(|name| schema.index_of(name))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| Error::Arrow {
                action: "find a partition column in the schema",
                source,
            })?;
        let data_indices: Vec<usize> = (0..schema.fields().len())
            .filter(|index| !partition_indices.contains(index))
            .collect();
        let converter = match partition_indices.as_slice() {
            [] => None,
            indices => {
                let fields = indices
                    .iter()
                    .map(|index| SortField::new(schema.field(*index).data_type().clone()))
                    .collect();
                Some(RowConverter::new(fields).map_err(|source| Error::Arrow {
                    action: "compare partition values",
                    source,
                })?)
            }
        };
        let mapped = target.mapped_schema();
        let data_fields: Vec<_> = data_indices
            .iter()
            .map(|index| mapped.fields()[*index].clone())
            .collect();
        let file_bytes_target = options
            .file_bytes_target
            .unwrap_or_else(|| file_bytes_target(target.properties()));
        let format = FileFormat::new(
            &Schema::new(data_fields),
            IndexedColumns {
                chosen: chosen_columns(target.properties()),
                clustering: target.clustering_columns().to_vec(),
            },
            &FileOptions {
                row_group_rows_max: options.row_group_rows_max,
                created_by: target.engine_info(),
                prefix: target.kind().prefix(),
                hidden: target.hidden(),
                compression: options
                    .compression
                    .unwrap_or_else(|| CompressionCodec::of(target.properties())),
                among_many: converter.is_some(),
            },
        )?;
        Ok(Self {
            target,
            partition_indices,
            data_indices,
            converter,
            format,
            file_bytes_target,
            data_change: options.data_change,
            open: HashMap::new(),
            written: Vec::new(),
        })
    }

    /// Writes the rows of `batch`, whose columns are those of the table's schema, in order. View and
    /// dictionary types are converted; other types must be the table's.
    ///
    /// # Errors
    /// `InvalidArgument` for other columns, other types, or a null in a NOT NULL column.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = conform::conform(batch, self.target.schema(), &self.partition_indices)?;
        let data = batch.project(&self.data_indices).map_err(|source| Error::Arrow {
            action: "separate the partition columns",
            source,
        })?;
        match self.split(&batch)? {
            None => self.write_partition(None, BTreeMap::new(), data).await,
            Some(partitions) => {
                for (key, rows) in partitions {
                    let values = self.partition_values(&batch, &rows)?;
                    let part = compute::take_record_batch(&data, &rows).map_err(|source| Error::Arrow {
                        action: "split rows by partition",
                        source,
                    })?;
                    self.write_partition(Some(key), values, part).await?;
                }
                self.bound_memory().await
            }
        }
    }

    /// Ends all files, syncs them, and returns their actions in the order in which files were ended.
    ///
    /// # Errors
    /// `Unavailable` when the store fails; all files of this writer are deleted then.
    pub async fn close(mut self) -> Result<Vec<Add>> {
        while let Some(key) = self.first_open() {
            if let Err(error) = self.close_file(&key).await {
                self.abort().await;
                return Err(error);
            }
        }
        Ok(self.written)
    }

    /// Deletes what was written. For operations that fail; a crash leaves files for VACUUM instead.
    pub async fn abort(mut self) {
        for (_, file) in std::mem::take(&mut self.open) {
            file.abort().await;
        }
        self.target.discard(&self.written).await;
    }

    /// Groups the rows of a conformed batch by partition; `None` for a table without partitions.
    fn split(&self, batch: &RecordBatch) -> Result<Option<Vec<(OwnedRow, UInt32Array)>>> {
        let Some(converter) = &self.converter else {
            return Ok(None);
        };
        let columns: Vec<_> = self
            .partition_indices
            .iter()
            .map(|index| batch.column(*index).clone())
            .collect();
        let rows = converter
            .convert_columns(&columns)
            .map_err(|source| Error::Arrow {
                action: "compare partition values",
                source,
            })?;
        let mut groups: HashMap<_, Vec<u32>> = HashMap::new();
        let mut order = Vec::new();
        for (index, row) in (0_u32..).zip(rows.iter()) {
            let group = groups.entry(row).or_insert_with(|| {
                order.push(row);
                Vec::new()
            });
            group.push(index);
        }
        let split = order
            .into_iter()
            .map(|row| {
                (
                    row.owned(),
                    UInt32Array::from(groups.remove(&row).unwrap_or_default()),
                )
            })
            .collect();
        Ok(Some(split))
    }

    fn partition_values(
        &self,
        batch: &RecordBatch,
        rows: &UInt32Array,
    ) -> Result<BTreeMap<String, Option<String>>> {
        let first = rows.values().first().copied().unwrap_or_default() as usize;
        self.target
            .partition_columns()
            .iter()
            .zip(&self.partition_indices)
            .map(|(name, index)| {
                let value = partition::serialize(batch.column(*index), first)?;
                // The empty string is null as a partition value.
                if value.is_none() && !self.target.schema().field(*index).is_nullable() {
                    let column = name.clone();
                    return Err(Error::NullInNotNull { column });
                }
                let field = self.target.mapped_schema().field(*index);
                Ok((column_mapping::physical_name(field).to_owned(), value))
            })
            .collect()
    }

    async fn write_partition(
        &mut self,
        key: Option<OwnedRow>,
        values: BTreeMap<String, Option<String>>,
        rows: RecordBatch,
    ) -> Result<()> {
        if self.open.len() >= OPEN_FILES_MAX && !self.open.contains_key(&key) {
            self.close_largest().await?;
        }
        let file = match self.open.entry(key.clone()) {
            std::collections::hash_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::hash_map::Entry::Vacant(free) => {
                let folder = match self.target.maps_columns() {
                    true => random_folder(),
                    false => partition::folder(self.target.partition_columns(), &values),
                };
                let folder = format!("{}{folder}", self.target.kind().folder());
                free.insert(DataFile::begin(
                    self.target.place(),
                    &self.format,
                    &folder,
                    values,
                )?)
            }
        };
        file.write(&rows).await?;
        if file.bytes() >= self.file_bytes_target {
            self.close_file(&key).await?;
        }
        Ok(())
    }

    async fn close_largest(&mut self) -> Result<()> {
        let largest = self.open.iter().max_by_key(|(_, file)| file.bytes());
        match largest.map(|(key, _)| key.clone()) {
            Some(key) => self.close_file(&key).await,
            None => Ok(()),
        }
    }

    async fn close_file(&mut self, key: &Option<OwnedRow>) -> Result<()> {
        if let Some(file) = self.open.remove(key) {
            self.written.push(file.close(self.data_change).await?);
        }
        Ok(())
    }

    fn first_open(&self) -> Option<Option<OwnedRow>> {
        let first = self.open.iter().min_by_key(|(_, file)| file.sequence());
        first.map(|(key, _)| key.clone())
    }

    /// Writes row groups out, and closes files, until what stays in memory is bounded. What takes most goes first.
    async fn bound_memory(&mut self) -> Result<()> {
        while self.memory_bytes() > OPEN_BYTES_MAX {
            let by_row_group = self.open.iter().max_by_key(|(_, file)| file.row_group_bytes());
            let by_unsent = self.open.iter().max_by_key(|(_, file)| file.unsent_bytes());
            let (Some((growing, row_group)), Some((waiting, unsent))) = (by_row_group, by_unsent) else {
                return Ok(());
            };
            if unsent.unsent_bytes() >= row_group.row_group_bytes() {
                let waiting = waiting.clone();
                self.close_file(&waiting).await?;
            } else {
                let (growing, before) = (growing.clone(), row_group.row_group_bytes());
                let Some(file) = self.open.get_mut(&growing) else {
                    return Ok(());
                };
                file.flush().await?;
                if file.row_group_bytes() >= before {
                    self.close_file(&growing).await?;
                }
            }
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        let files = self.open.values();
        files
            .map(|file| file.row_group_bytes() + file.unsent_bytes())
            .sum()
    }
}

impl std::fmt::Debug for FileWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileWriter")
            .field("location", &self.target.location().as_str())
            .field("open", &self.open.len())
            .field("written", &self.written.len())
            .finish_non_exhaustive()
    }
}

/// Returns the size that a table with these properties wants its files to have, in compressed bytes.
pub fn file_bytes_target(properties: &BTreeMap<String, String>) -> u64 {
    let set = properties.get("delta.targetFileSize");
    set.and_then(|text| properties::parse_bytes(text))
        .unwrap_or(FILE_BYTES_TARGET)
}

/// Returns a folder of two characters: where columns are mapped, names of partition columns do not stand in paths, and
/// many prefixes spread the load on an object store. Source: Delta Spark, `randomPrefixLength`.
fn random_folder() -> String {
    const CHARACTERS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let one = || {
        let place = clock::random_below(CHARACTERS.len() as u64);
        char::from(CHARACTERS[usize::try_from(place).unwrap_or_default()])
    };
    format!("{}{}/", one(), one())
}

/// Says if files that are written for a table have statistics of a column. `path` is named as the schema does, in any
/// case.
///
/// # Errors
/// `DataLoss` when the log's clustering columns cannot be read.
pub fn has_statistics(snapshot: &Snapshot, path: &[String]) -> Result<bool> {
    let fields = snapshot.schema().fields().iter();
    let partition_columns = snapshot.partition_columns();
    let stored: Vec<_> = fields
        .filter(|field| !partition_columns.contains(field.name()))
        .cloned()
        .collect();
    let indexed = IndexedColumns {
        chosen: chosen_columns(snapshot.properties()),
        clustering: snapshot.clustering_columns()?.unwrap_or_default(),
    };
    Ok(FileStatistics::new(&Schema::new(stored.clone()), &indexed).covers(&stored.into(), path))
}

fn chosen_columns(properties: &BTreeMap<String, String>) -> ChosenColumns {
    if let Some(names) = properties.get("delta.dataSkippingStatsColumns") {
        return ChosenColumns::Named(column_mapping::split_list(names));
    }
    let count = properties
        .get("delta.dataSkippingNumIndexedCols")
        .and_then(|text| text.parse::<i64>().ok())
        .map(|count| usize::try_from(count).unwrap_or(usize::MAX));
    ChosenColumns::First(count.unwrap_or(INDEXED_COLUMNS_DEFAULT))
}
