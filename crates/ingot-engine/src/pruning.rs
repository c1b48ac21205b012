//! Which files a scan can leave out, from partition values and bounds in the log.
//!
//! Partition-only filters are decided for good: each file has one value per partition column. Other filters
//! only rule files out; what is left is filtered by row. A statistic that is missing rules nothing out.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt64Array, new_null_array};
use arrow::compute::kernels::cmp::eq;
use arrow::compute::take;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::catalog::Session;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use ingot_delta::{FileIndex, ReadPredicate, Snapshot};

/// Says if `filter` reads partition columns only and gives the same answer each time, so that a file's
/// partition values decide it.
pub(crate) fn decided_by_partition(filter: &Expr, partition_columns: &[String]) -> bool {
    let columns = filter.column_refs();
    !columns.is_empty()
        && !filter.is_volatile()
        && !filter.contains_outer()
        && !contains_subquery(filter)
        && columns
            .iter()
            .all(|column| partition_columns.contains(&column.name))
}

/// A subquery's answer is known only when the query runs.
fn contains_subquery(filter: &Expr) -> bool {
    let found = filter.exists(|part| {
        Ok(matches!(
            part,
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_)
        ))
    });
    found.unwrap_or(true)
}

/// The partition values of a snapshot's files, one row per file.
pub(crate) struct PartitionColumns {
    values: Vec<ArrayRef>,
    schema: SchemaRef,
}

impl PartitionColumns {
    /// Collects the values of all files of `index`.
    pub(crate) fn new(snapshot: &Snapshot, index: &FileIndex) -> Self {
        Self::named(snapshot.partition_columns(), index)
    }

    /// Collects the values that all files of `index` have for `columns`.
    pub(crate) fn named(columns: &[String], index: &FileIndex) -> Self {
        let mut values = Vec::new();
        let mut fields = Vec::new();
        for name in columns {
            if let Some(array) = index.partition_values(name) {
                fields.push(Field::new(name, array.data_type().clone(), true));
                values.push(array);
            }
        }
        Self {
            values,
            schema: Arc::new(Schema::new(fields)),
        }
    }

    /// Keeps those of `files` whose partition values make every filter true.
    ///
    /// Filters run one after the other on the files that the earlier ones left, so that a later filter never
    /// fails on a value that an earlier one excludes.
    pub(crate) fn retain_matching(
        &self,
        state: &dyn Session,
        files: Vec<usize>,
        filters: &[Expr],
    ) -> Result<Vec<usize>> {
        let mut remaining = files;
        for predicate in filters {
            let schema = DFSchema::try_from(Arc::clone(&self.schema))?;
            let predicate = state.create_physical_expr(predicate.clone(), &schema)?;
            let rows = self.rows(&remaining)?;
            let matches = predicate.evaluate(&rows)?.into_array(rows.num_rows())?;
            let matches = matches.as_boolean();
            remaining = remaining
                .into_iter()
                .enumerate()
                .filter(|(row, _)| matches.is_valid(*row) && matches.value(*row))
                .map(|(_, file)| file)
                .collect();
        }
        Ok(remaining)
    }

    fn rows(&self, files: &[usize]) -> Result<RecordBatch> {
        let numbers: UInt64Array = files.iter().map(|file| Some(*file as u64)).collect();
        let columns = self
            .values
            .iter()
            .map(|values| take(values, &numbers, None))
            .collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(files.len()));
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(&self.schema),
            columns,
            &options,
        )?)
    }
}

/// Keeps those of `files` that may hold a row for which all `filters` are true.
pub(crate) fn retain_possible(
    state: &dyn Session,
    snapshot: &Snapshot,
    index: &FileIndex,
    files: Vec<usize>,
    filters: &[Expr],
) -> Result<Vec<usize>> {
    let schema = DFSchema::try_from(Arc::clone(snapshot.schema()))?;
    // A filter that is no expression on the table's columns alone (an internal column, a subquery) rules
    // nothing out.
    let usable = filters
        .iter()
        .filter(|filter| !contains_subquery(filter))
        .filter(|filter| state.create_physical_expr((*filter).clone(), &schema).is_ok())
        .cloned();
    let Some(predicate) = conjunction(usable) else {
        return Ok(files);
    };
    let predicate = state.create_physical_expr(predicate, &schema)?;
    let Some(possible) = possible_files(&predicate, snapshot.schema(), snapshot.partition_columns(), index)
    else {
        return Ok(files);
    };
    Ok(files.into_iter().filter(|file| possible[*file]).collect())
}

/// Says per file of `index` if `predicate` may be true for one of its rows; `None` when bounds cannot tell.
fn possible_files(
    predicate: &Arc<dyn PhysicalExpr>,
    schema: &SchemaRef,
    partition_columns: &[String],
    index: &FileIndex,
) -> Option<Vec<bool>> {
    let pruning = PruningPredicateBuilder::new()
        .with_file_schema(Arc::clone(schema))
        .try_build(Arc::clone(predicate))
        .ok()?;
    if pruning.always_true() {
        return None;
    }
    let statistics = FileBounds {
        index,
        partition_columns,
    };
    pruning.prune(&statistics).ok()
}

/// Cuts `files` after the first whose known rows, with those before it, make `rows`.
pub(crate) fn stop_at_rows(index: &FileIndex, files: &mut Vec<usize>, rows: usize) {
    let records = index.num_records();
    let mut total = 0_u64;
    let enough = files.iter().position(|file| {
        if records.is_valid(*file) {
            total = total.saturating_add(records.value(*file));
        }
        total >= rows as u64
    });
    if let Some(last) = enough {
        files.truncate(last + 1);
    }
}

/// The log's statistics in the form that DataFusion prunes with: a file is a container.
struct FileBounds<'a> {
    index: &'a FileIndex,
    partition_columns: &'a [String],
}

impl FileBounds<'_> {
    fn partition(&self, column: &Column) -> Option<ArrayRef> {
        if !self.partition_columns.contains(&column.name) {
            return None;
        }
        self.index.partition_values(&column.name)
    }

    /// Rows per file, deleted ones counted: what a file's count of nulls is compared with.
    fn stored_rows(&self) -> UInt64Array {
        let live = self.index.num_records();
        let Some(deleted) = self.index.deleted_rows() else {
            return live;
        };
        let both = live.iter().zip(deleted.values());
        both.map(|(live, deleted)| live.map(|live| live.saturating_add(*deleted)))
            .collect()
    }
}

/// Returns how many rows of a file its deletion vector deletes.
pub(crate) fn deleted_rows(index: &FileIndex, file: usize) -> u64 {
    index.deleted_rows().map_or(0, |deleted| deleted.value(file))
}

impl PruningStatistics for FileBounds<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.partition(column)
            .or_else(|| self.index.min_values(&column.name))
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.partition(column)
            .or_else(|| self.index.max_values(&column.name))
    }

    fn num_containers(&self) -> usize {
        self.index.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        if let Some(values) = self.partition(column) {
            let rows = self.stored_rows();
            let counts: UInt64Array = (0..values.len())
                .map(|file| {
                    if values.is_null(file) {
                        rows.is_valid(file).then(|| rows.value(file))
                    } else {
                        Some(0)
                    }
                })
                .collect();
            return Some(Arc::new(counts));
        }
        let counts = self.index.null_counts(&column.name)?;
        let Some(deleted) = self.index.deleted_rows() else {
            return Some(Arc::new(counts));
        };
        // Writers differ in whether a count of nulls includes deleted rows; none is none.
        let both = counts.iter().zip(deleted.values());
        let counts: UInt64Array = both
            .map(|(count, deleted)| count.filter(|count| *count == 0 || *deleted == 0))
            .collect();
        Some(Arc::new(counts))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.stored_rows()))
    }

    fn contained(&self, column: &Column, values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        let partition = self.partition(column)?;
        let mut contained = vec![Some(false); partition.len()];
        for value in values {
            let same = eq(&partition, &value.to_scalar().ok()?).ok()?;
            for (file, found) in contained.iter_mut().enumerate() {
                if same.is_null(file) {
                    *found = None;
                } else if same.value(file) {
                    *found = found.map(|_| true);
                }
            }
        }
        Some(BooleanArray::from(contained))
    }
}

/// A filter over a table's columns as the transaction's question about files that others added.
#[derive(Debug)]
pub(crate) struct FilterPredicate {
    /// Compared with bounds; `None` where partition values decide alone.
    predicate: Option<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
    partition_columns: Vec<String>,
    /// Evaluated on partition values.
    by_partition: Vec<Arc<dyn PhysicalExpr>>,
}

impl FilterPredicate {
    /// Compiles the conjunction of `filters`. `None` when there are none: every row is read.
    pub(crate) fn compile(
        state: &dyn Session,
        snapshot: &Snapshot,
        filters: &[Expr],
    ) -> Result<Option<Self>> {
        let Some(predicate) = conjunction(filters.iter().cloned()) else {
            return Ok(None);
        };
        let schema = DFSchema::try_from(Arc::clone(snapshot.schema()))?;
        Ok(Some(Self {
            predicate: Some(state.create_physical_expr(predicate, &schema)?),
            schema: Arc::clone(snapshot.schema()),
            partition_columns: snapshot.partition_columns().to_vec(),
            by_partition: Vec::new(),
        }))
    }

    /// Compiles filters of which partition values decide those of `by_partition`, whatever functions they call.
    pub(crate) fn exact(
        state: &dyn Session,
        snapshot: &Snapshot,
        by_partition: &[Expr],
        by_row: &[Expr],
    ) -> Result<Self> {
        let schema = DFSchema::try_from(Arc::clone(snapshot.schema()))?;
        let compile = |filter: Expr| state.create_physical_expr(filter, &schema);
        Ok(Self {
            predicate: conjunction(by_row.iter().cloned()).map(compile).transpose()?,
            schema: Arc::clone(snapshot.schema()),
            partition_columns: snapshot.partition_columns().to_vec(),
            by_partition: by_partition.iter().cloned().map(compile).collect::<Result<_>>()?,
        })
    }

    /// Evaluates the filters on partition columns; `None` where that fails.
    fn within_partitions(&self, files: &FileIndex) -> Option<Vec<bool>> {
        let columns = self.schema.fields().iter().map(|field| {
            let values = files.partition_values(field.name());
            values.unwrap_or_else(|| new_null_array(field.data_type(), files.len()))
        });
        let fields = self.schema.fields().iter();
        let nullable: Vec<Field> = fields
            .map(|field| Field::new(field.name(), field.data_type().clone(), true))
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(files.len()));
        let schema = Arc::new(Schema::new(nullable));
        let values = RecordBatch::try_new_with_options(schema, columns.collect(), &options).ok()?;
        let mut within = vec![true; files.len()];
        for filter in &self.by_partition {
            let matches = filter.evaluate(&values).ok()?.into_array(files.len()).ok()?;
            let matches = matches.as_boolean_opt()?;
            for (file, within) in within.iter_mut().enumerate() {
                *within &= matches.is_valid(file) && matches.value(file);
            }
        }
        Some(within)
    }
}

impl ReadPredicate for FilterPredicate {
    fn may_match(&self, files: &FileIndex) -> Vec<bool> {
        let all = || vec![true; files.len()];
        let within = self.within_partitions(files).unwrap_or_else(all);
        let possible = self
            .predicate
            .as_ref()
            .and_then(|predicate| possible_files(predicate, &self.schema, &self.partition_columns, files));
        let possible = possible.unwrap_or_else(all);
        within.into_iter().zip(possible).map(|(a, b)| a && b).collect()
    }
}
