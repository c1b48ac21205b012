//! From the chosen files of a snapshot to the node that reads them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use chrono::DateTime;
use datafusion::catalog::Session;
use datafusion::common::ScalarValue;
use datafusion::config::TableParquetOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{ParquetFileReaderFactory, ParquetRowSelection};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::Expr;
use ingot_delta::{Add, CachedFiles, ColumnMapping, DeletionVector, DeltaTable, FileIndex, Snapshot};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

use super::mapped::MappedReaderFactory;
use super::small_files::SmallFileReaderFactory;
use crate::provider::{BASE_ROW_ID, FILE_COLUMN, FILE_COMMIT_VERSION, FileOrder, ROW_COLUMN, Rows, external};
use crate::pruning;
use crate::scan::{DeltaScanExec, ScanTarget};
use crate::statistics::ScanStatistics;

/// Columns after the table's with one value for each file.
const FILE_CONSTANTS: [&str; 3] = [FILE_COLUMN, BASE_ROW_ID, FILE_COMMIT_VERSION];

/// A scan to plan.
pub(crate) struct ScanRequest<'a> {
    pub table: &'a Arc<DeltaTable>,
    pub snapshot: &'a Snapshot,
    pub index: &'a FileIndex,
    /// The provider's schema: the snapshot's, with columns of files and rows at the end when `tagged`.
    pub schema: &'a SchemaRef,
    /// Columns of `schema` with one value for each file, which the index has.
    pub partition_columns: &'a [String],
    pub tagged: bool,
    pub rows: &'a Rows,
    /// In which order `files` are, if they are to be read in one.
    pub order: Option<&'a FileOrder>,
    /// Numbers of `schema`'s columns; all when `None`.
    pub projection: Option<&'a [usize]>,
    /// Filters that the rows pass later; they say which columns' statistics matter.
    pub filters: &'a [Expr],
    pub limit: Option<usize>,
    /// At least one.
    pub files: Vec<usize>,
}

/// Plans the scan.
///
/// # Errors
/// `DataLoss` for a deletion vector that cannot be read.
pub(crate) async fn plan_scan(state: &dyn Session, request: &ScanRequest<'_>) -> Result<DeltaScanExec> {
    let layout = Layout::new(request);
    let schema = Arc::clone(layout.table_schema.table_schema());
    let used = layout.used_columns(request);
    let statistics = ScanStatistics::collect(request.index, &request.files, &schema, &used)?;
    let statistics = match request.rows {
        Rows::Live => statistics,
        Rows::Except(_) | Rows::Listed(_) | Rows::From { .. } => statistics.of_some_rows(),
    };
    let files = partitioned_files(request, &layout, &statistics).await?;
    let (store, _) = request.table.store();

    let mut source = ParquetSource::new(layout.table_schema.clone())
        .with_table_parquet_options(parquet_options(state))
        .with_parquet_file_reader_factory(reader_factory(
            state.runtime_env(),
            &store,
            request.snapshot.column_mapping(),
            cached_files(state, request.table),
        ));
    // The source does not look for it in its options.
    if let Some(first_read) = state.config_options().execution.parquet.metadata_size_hint {
        source = source.with_metadata_size_hint(first_read);
    }
    let location = request.table.location();
    let config = FileScanConfigBuilder::new(ScanTarget::store_url(location)?, Arc::new(source))
        .with_file_groups(group_files(files, state.config().target_partitions()))
        .with_statistics(statistics.total()?)
        .with_projection_indices(Some(layout.projection(request.projection)))?
        .with_limit(request.limit)
        .with_preserve_order(request.order.is_some())
        .build();
    let target = ScanTarget {
        location: location.clone(),
        version: request.snapshot.version(),
        store,
        mapping: request.snapshot.column_mapping().cloned(),
        files: request.files.len(),
        files_pruned: request.index.len() - request.files.len(),
    };
    Ok(DeltaScanExec::new(
        Arc::new(target),
        DataSourceExec::from_data_source(config),
    ))
}

/// Says if the queries of a session read files of far stores from where they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileCacheUse(pub bool);

fn cached_files(state: &dyn Session, table: &DeltaTable) -> Option<CachedFiles> {
    let used = state.config().get_extension::<FileCacheUse>();
    let used = used.is_none_or(|used| used.0);
    table.cached_files().filter(|_| used).cloned()
}

/// Makes what opens the files of a scan; with `cached` what was read is kept.
pub(crate) fn reader_factory(
    runtime: &RuntimeEnv,
    store: &Arc<dyn ObjectStore>,
    mapping: Option<&ColumnMapping>,
    cached: Option<CachedFiles>,
) -> Arc<dyn ParquetFileReaderFactory> {
    let cache = runtime.cache_manager.get_file_metadata_cache();
    let files = SmallFileReaderFactory::new(Arc::clone(store), cache, cached);
    match mapping {
        Some(mapping) => Arc::new(MappedReaderFactory::new(files, mapping.clone())),
        None => Arc::new(files),
    }
}

/// The session's options, and what Delta fixes: legacy 96-bit timestamps are microseconds in UTC.
fn parquet_options(state: &dyn Session) -> TableParquetOptions {
    let mut options = state.table_options().parquet.clone();
    options.global = state.config_options().execution.parquet.clone();
    options.global.coerce_int96 = Some("us".to_owned());
    options.global.coerce_int96_tz = Some("UTC".to_owned());
    options
}

/// Where the columns of the provider's schema are among those of the file scan, which puts the columns of
/// the files first, then those with one value per file, then those that the reader counts.
struct Layout {
    table_schema: TableSchema,
    /// For each column of the provider's schema, its number in `table_schema`.
    positions: Vec<usize>,
    /// Columns with one value per file, in order.
    constants: Vec<FieldRef>,
}

impl Layout {
    fn new(request: &ScanRequest<'_>) -> Self {
        let partition_columns = request.partition_columns;
        let constant = |name: &str| {
            partition_columns.iter().any(|column| column == name)
                || (request.tagged && FILE_CONSTANTS.contains(&name))
        };
        let counted = |name: &str| request.tagged && name == ROW_COLUMN;
        let mut stored = Vec::new();
        let mut constants = Vec::new();
        let mut virtuals = Vec::new();
        for field in request.schema.fields() {
            if constant(field.name()) {
                constants.push(Arc::clone(field));
            } else if counted(field.name()) {
                virtuals.push(Arc::clone(field));
            } else {
                stored.push(Arc::clone(field));
            }
        }
        let (mut next_stored, mut next_constant) = (0, stored.len());
        let mut next_virtual = stored.len() + constants.len();
        let positions = request
            .schema
            .fields()
            .iter()
            .map(|field| {
                let next = if constant(field.name()) {
                    &mut next_constant
                } else if counted(field.name()) {
                    &mut next_virtual
                } else {
                    &mut next_stored
                };
                *next += 1;
                *next - 1
            })
            .collect();
        let table_schema = TableSchema::builder(Arc::new(Schema::new(stored)))
            .with_table_partition_cols(constants.clone())
            .with_virtual_columns(virtuals)
            .build();
        Self {
            table_schema,
            positions,
            constants,
        }
    }

    fn projection(&self, projection: Option<&[usize]>) -> Vec<usize> {
        match projection {
            Some(columns) => columns.iter().map(|column| self.positions[*column]).collect(),
            None => self.positions.clone(),
        }
    }

    /// Marks the columns, in `table_schema`'s order, that the query reads.
    fn used_columns(&self, request: &ScanRequest<'_>) -> Vec<bool> {
        let mut used = vec![false; self.positions.len()];
        for position in self.projection(request.projection) {
            used[position] = true;
        }
        let fields = self.table_schema.table_schema().fields();
        for column in request.filters.iter().flat_map(Expr::column_refs) {
            if let Some((position, _)) = fields.find(&column.name) {
                used[position] = true;
            }
        }
        used
    }
}

async fn partitioned_files(
    request: &ScanRequest<'_>,
    layout: &Layout,
    statistics: &ScanStatistics,
) -> Result<Vec<PartitionedFile>> {
    let values: Vec<Option<ArrayRef>> = layout
        .constants
        .iter()
        .map(|field| request.index.partition_values(field.name()))
        .collect();
    let by_file = statistics.by_file()?;
    let selections = selections(request).await?;
    let mut files = Vec::with_capacity(request.files.len());
    for (place, number) in request.files.iter().enumerate() {
        let add = request.index.add(*number);
        let mut file = PartitionedFile::new_from_meta(object_meta(request.table, &add)?);
        file.partition_values = constant_values(request, layout, &values, *number, &add)?;
        file.statistics = by_file.get(place).cloned();
        if let Some(selection) = selections.get(number) {
            file = file.with_extension(ParquetRowSelection::new(selection.clone()));
        }
        files.push(file);
    }
    Ok(files)
}

fn object_meta(table: &DeltaTable, add: &Add) -> Result<ObjectMeta> {
    let location: Path = table.file_path(&add.path).map_err(external)?;
    Ok(ObjectMeta {
        location,
        last_modified: DateTime::from_timestamp_millis(add.modification_time).unwrap_or_default(),
        size: u64::try_from(add.size).unwrap_or_default(),
        e_tag: None,
        version: None,
    })
}

fn constant_values(
    request: &ScanRequest<'_>,
    layout: &Layout,
    values: &[Option<ArrayRef>],
    number: usize,
    add: &Add,
) -> Result<Vec<ScalarValue>> {
    let place = request.order.map_or(number, |order| order.rank(number));
    layout
        .constants
        .iter()
        .zip(values)
        .map(|(field, values)| match values {
            Some(values) => ScalarValue::try_from_array(values, number),
            None if field.name() == FILE_COLUMN => Ok(ScalarValue::Int64(Some(place as i64))),
            None if field.name() == BASE_ROW_ID => Ok(ScalarValue::Int64(add.base_row_id)),
            None if field.name() == FILE_COMMIT_VERSION => {
                Ok(ScalarValue::Int64(add.default_row_commit_version))
            }
            None => Err(DataFusionError::Internal(format!(
                "partition column `{}` has no values",
                field.name()
            ))),
        })
        .collect()
}

/// Returns the rows to read of those files that are not read whole. Their deletion vectors are read at once.
async fn selections(request: &ScanRequest<'_>) -> Result<HashMap<usize, RowSelection>> {
    let deleted = deleted_rows(request).await?;
    let mut selections = HashMap::with_capacity(deleted.len());
    for number in &request.files {
        let deleted = deleted.get(number).map(Arc::as_ref);
        let listed = match request.rows {
            Rows::Live | Rows::From { .. } => None,
            Rows::Except(rows) | Rows::Listed(rows) => rows.get(number),
        };
        let first = match request.rows {
            Rows::From { file, row } if file == number => *row,
            _ => 0,
        };
        if deleted.is_none() && listed.is_none() && first == 0 {
            continue;
        }
        let add = request.index.add(*number);
        let stored = stored_rows(request.table, request.index, *number)
            .await
            .map_err(external)?;
        let last = deleted
            .into_iter()
            .chain(listed)
            .filter_map(DeletionVector::last)
            .max();
        if last.is_some_and(|last| last >= stored) {
            return Err(external(ingot_delta::Error::CorruptLog {
                location: request.table.location().to_string(),
                message: format!(
                    "a deletion vector deletes rows beyond the end of its file `{}`",
                    add.path
                ),
            }));
        }
        let selection = match (request.rows, deleted, listed) {
            (Rows::Listed(_), _, Some(listed)) => rows_of(0, stored, listed, Kept::Listed),
            (_, Some(deleted), Some(listed)) => {
                let mut gone = deleted.clone();
                gone.merge(listed);
                rows_of(0, stored, &gone, Kept::Others)
            }
            (_, Some(gone), None) | (_, None, Some(gone)) => rows_of(first, stored, gone, Kept::Others),
            (_, None, None) => rows_of(first, stored, &DeletionVector::new(), Kept::Others),
        };
        selections.insert(*number, selection);
    }
    Ok(selections)
}

/// Returns how many rows a file of the index holds, deleted ones included: from the log, else from the file.
pub(crate) async fn stored_rows(
    table: &DeltaTable,
    index: &FileIndex,
    number: usize,
) -> ingot_delta::Result<u64> {
    let live = index.num_records();
    if live.is_valid(number) {
        return Ok(live
            .value(number)
            .saturating_add(pruning::deleted_rows(index, number)));
    }
    table.stored_rows(&index.add(number)).await
}

/// Reads the deletion vectors of the files that have one, where the rows to read depend on it.
async fn deleted_rows(request: &ScanRequest<'_>) -> Result<HashMap<usize, Arc<DeletionVector>>> {
    let listed = |number: &usize| match request.rows {
        Rows::Listed(rows) => rows.contains_key(number),
        Rows::Live | Rows::Except(_) | Rows::From { .. } => false,
    };
    let with_vectors: Vec<(usize, Arc<Add>)> = request
        .files
        .iter()
        .filter(|number| !listed(number))
        .map(|number| (*number, request.index.add(*number)))
        .filter(|(_, add)| add.deletion_vector.is_some())
        .collect();
    let descriptors: Vec<_> = with_vectors
        .iter()
        .filter_map(|(_, add)| add.deletion_vector.as_ref())
        .collect();
    let vectors = request
        .table
        .deletion_vectors(&descriptors)
        .await
        .map_err(external)?;
    let numbers = with_vectors.iter().map(|(number, _)| *number);
    Ok(numbers.zip(vectors).collect())
}

/// Which rows stay: those of a list, or all but them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Listed,
    Others,
}

/// Selects rows of a file of `stored` rows, from `first` on, by a list of some, which lies within it.
fn rows_of(first: u64, stored: u64, list: &DeletionVector, kept: Kept) -> RowSelection {
    let rows = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let run = |listed: bool, count: u64| match listed == (kept == Kept::Listed) {
        true => RowSelector::select(rows(count)),
        false => RowSelector::skip(rows(count)),
    };
    let mut next = first.min(stored);
    let mut selectors = vec![RowSelector::skip(rows(next))];
    for row in list.iter().skip_while(|row| *row < first) {
        if row > next {
            selectors.push(run(false, row - next));
        }
        selectors.push(run(true, 1));
        next = row + 1;
    }
    if stored > next {
        selectors.push(run(false, stored - next));
    }
    // Neighbours of one kind are joined on conversion.
    RowSelection::from(selectors)
}

/// Spreads files over at most `partitions` groups of about the same bytes, each a run of neighbours: files
/// written together hold similar keys.
fn group_files(files: Vec<PartitionedFile>, partitions: usize) -> Vec<FileGroup> {
    let partitions = partitions.clamp(1, files.len().max(1));
    let total: u64 = files.iter().map(|file| file.object_meta.size).sum();
    let mut groups: Vec<Vec<PartitionedFile>> = vec![Vec::new()];
    let mut before = 0_u64;
    let mut left = files.len();
    for file in files {
        let groups_left = partitions - groups.len();
        let full = before * partitions as u64 >= total.saturating_mul(groups.len() as u64);
        let begun = groups.last().is_some_and(|group| !group.is_empty());
        if begun && groups_left > 0 && (full || left <= groups_left) {
            groups.push(Vec::new());
        }
        before += file.object_meta.size;
        left -= 1;
        if let Some(group) = groups.last_mut() {
            group.push(file);
        }
    }
    groups.into_iter().map(FileGroup::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(groups: &[FileGroup]) -> Vec<Vec<u64>> {
        groups
            .iter()
            .map(|group| group.iter().map(|file| file.object_meta.size).collect())
            .collect()
    }

    fn files(sizes: &[u64]) -> Vec<PartitionedFile> {
        sizes
            .iter()
            .map(|size| PartitionedFile::new("f", *size))
            .collect()
    }

    #[test]
    fn groups_are_runs_of_similar_size() {
        assert_eq!(sizes(&group_files(files(&[1, 1, 1, 1]), 2)), [[1, 1], [1, 1]]);
        assert_eq!(
            sizes(&group_files(files(&[4, 1, 1, 1, 1]), 2)),
            [vec![4], vec![1, 1, 1, 1]]
        );
    }

    #[test]
    fn rows_are_selected_by_a_list_of_some() {
        let list: DeletionVector = [0, 3, 4].into_iter().collect();
        let others = vec![
            RowSelector::skip(1),
            RowSelector::select(2),
            RowSelector::skip(2),
            RowSelector::select(1),
        ];
        assert_eq!(Vec::from(rows_of(0, 6, &list, Kept::Others)), others);
        let listed: Vec<RowSelector> = others
            .into_iter()
            .map(|run| RowSelector {
                skip: !run.skip,
                ..run
            })
            .collect();
        assert_eq!(Vec::from(rows_of(0, 6, &list, Kept::Listed)), listed);
        let all: DeletionVector = [0, 1].into_iter().collect();
        assert_eq!(rows_of(0, 2, &all, Kept::Others).row_count(), 0);
        assert_eq!(rows_of(0, 2, &DeletionVector::new(), Kept::Others).row_count(), 2);
    }

    #[test]
    fn rows_are_selected_from_one_on() {
        let list: DeletionVector = [0, 3, 4].into_iter().collect();
        let from = |first| Vec::from(rows_of(first, 6, &list, Kept::Others));
        assert_eq!(
            from(2),
            [
                RowSelector::skip(2),
                RowSelector::select(1),
                RowSelector::skip(2),
                RowSelector::select(1),
            ]
        );
        assert_eq!(from(4), [RowSelector::skip(5), RowSelector::select(1)]);
        assert_eq!(from(6), [RowSelector::skip(6)]);
        assert_eq!(rows_of(9, 6, &list, Kept::Others).row_count(), 0);
    }

    #[test]
    fn every_partition_gets_a_file_when_there_are_enough() {
        assert_eq!(sizes(&group_files(files(&[1, 1, 100]), 3)), [[1], [1], [100]]);
        assert_eq!(sizes(&group_files(files(&[0, 0]), 2)), [[0], [0]]);
        assert_eq!(sizes(&group_files(files(&[5]), 8)), [[5]]);
    }
}
