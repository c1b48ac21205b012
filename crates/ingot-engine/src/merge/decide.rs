//! From the rows of the join to what happens: positions of changed rows, and rows to write.
//!
//! ```text
//! rows of the join ─► by clause ─┬─ deletes, updates ─► positions in their files ─► Decisions
//!                                └─ updates, inserts ─► the row after the clause ─► writer
//! ```
//! This is the one place where an old row, the clause that takes it and the row after it are together.
//!
//! Always true: a target row is changed by one source row at most, or it is an error; the decisions are whole once all
//! partitions of all joins have been read to their ends.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, RecordBatch, RecordBatchOptions, StringArray, UInt32Array,
};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use futures::StreamExt;
use ingot_delta::change_feed::{CHANGE_TYPE, INSERT, UPDATE_POSTIMAGE};

use super::clauses::Clauses;
use super::join::{Join, Pass};
use super::{MergeMatching, clause_error};
use crate::provider::Positions;

/// What a merge changes.
#[derive(Debug, Default)]
pub(crate) struct Decisions {
    /// The rows that are updated or deleted, by the number of their file.
    pub changed: Positions,
    /// Those of them that are deleted; told where rows are marked.
    pub deleted: Positions,
    pub counts: Counts,
    /// The rows that met one of the source, whether or not a clause takes them; nothing unless asked for.
    pub met: Positions,
}

/// How many rows the clauses took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub matched_updated: i64,
    pub matched_deleted: i64,
    pub not_matched_by_source_updated: i64,
    pub not_matched_by_source_deleted: i64,
    pub inserted: i64,
}

impl Counts {
    pub fn updated(&self) -> i64 {
        self.matched_updated + self.not_matched_by_source_updated
    }

    pub fn deleted(&self) -> i64 {
        self.matched_deleted + self.not_matched_by_source_deleted
    }

    fn count(&mut self, action: &Taken, rows: usize) {
        let count = match (action.matching, action.row.is_some()) {
            (MergeMatching::Matched, true) => &mut self.matched_updated,
            (MergeMatching::Matched, false) => &mut self.matched_deleted,
            (MergeMatching::NotMatchedBySource, true) => &mut self.not_matched_by_source_updated,
            (MergeMatching::NotMatchedBySource, false) => &mut self.not_matched_by_source_deleted,
            (MergeMatching::NotMatchedByTarget, _) => &mut self.inserted,
        };
        *count += i64::try_from(rows).unwrap_or(i64::MAX);
    }

    fn add(&mut self, other: &Self) {
        self.matched_updated += other.matched_updated;
        self.matched_deleted += other.matched_deleted;
        self.not_matched_by_source_updated += other.not_matched_by_source_updated;
        self.not_matched_by_source_deleted += other.not_matched_by_source_deleted;
        self.inserted += other.inserted;
    }
}

/// The decisions of all joins of a merge, as far as they were made.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    decisions: Mutex<Decisions>,
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, Decisions> {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the rows that met one of the source.
    pub(crate) fn take_met(&self) -> Positions {
        std::mem::take(&mut self.lock().met)
    }

    /// Takes all decisions.
    pub(crate) fn take(&self) -> Decisions {
        std::mem::take(&mut *self.lock())
    }
}

struct Shared {
    clauses: Vec<Taken>,
    /// The rows' columns, all nullable.
    schema: SchemaRef,
    recording: Recording,
    deletes_all_matched: bool,
    notes_met: bool,
    progress: Arc<Progress>,
}

/// What a clause does with the rows that it takes.
struct Taken {
    matching: MergeMatching,
    row: Option<Vec<Arc<dyn PhysicalExpr>>>,
}

/// What is noted for the change data feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recording {
    Nothing,
    /// Positions of deleted rows. The rows that come tell by their ids if they are new.
    Deleted,
    /// Those too; and rows say, in a column after the table's, how they came about.
    Marked,
}

/// Returns the rows that `clauses` make of a join, in the columns of a table of schema `table`, as a table; with
/// [`CHANGE_TYPE`] after those if they are to be marked. Reading them makes the decisions: they must be read once, and
/// whole.
pub(crate) fn decided_rows(
    join: &Join,
    clauses: &Clauses,
    table: &Schema,
    recording: Recording,
    pass: &Pass,
    progress: &Arc<Progress>,
) -> Result<Arc<dyn TableProvider>> {
    let state = join.context.state();
    let compile = |value: &Expr| state.create_physical_expr(value.clone(), &join.schema);
    let mut taken = Vec::with_capacity(clauses.clauses.len());
    for clause in &clauses.clauses {
        let row = clause.row.as_ref().filter(|_| pass.gives(clause.matching));
        taken.push(Taken {
            matching: clause.matching,
            row: row
                .map(|row| row.iter().map(compile).collect::<Result<_>>())
                .transpose()?,
        });
    }
    let fields = table.fields().iter();
    let fields = fields.map(|field| field.as_ref().clone().with_nullable(true));
    let mark = (recording == Recording::Marked).then(|| Field::new(CHANGE_TYPE, DataType::Utf8, true));
    let schema: SchemaRef = Arc::new(Schema::new(fields.chain(mark).collect::<Vec<_>>()));
    let properties = PlanProperties::new(
        EquivalenceProperties::new(Arc::clone(&schema)),
        Partitioning::UnknownPartitioning(join.plan.output_partitioning().partition_count()),
        EmissionType::Incremental,
        Boundedness::Bounded,
    );
    let shared = Shared {
        clauses: taken,
        schema,
        recording,
        deletes_all_matched: clauses.deletes_all_matched(),
        notes_met: matches!(pass, Pass::Slice { for_others: true }),
        progress: Arc::clone(progress),
    };
    Ok(Arc::new(DecidedTable {
        rows: Arc::new(DecidedRowsExec {
            shared: Arc::new(shared),
            plan: Arc::clone(&join.plan),
            properties: Arc::new(properties),
        }),
    }))
}

/// The decisions of one partition, and the rows that are ready.
struct Tally {
    shared: Arc<Shared>,
    decisions: Decisions,
    ready: VecDeque<RecordBatch>,
}

impl Tally {
    /// Takes a batch of the join.
    fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        if shared.notes_met {
            self.note_met(batch);
        }
        let chosen = batch.column(0).as_primitive::<Int32Type>();
        for (number, clause) in shared.clauses.iter().enumerate() {
            let Some(rows) = rows_of(batch, chosen, number)? else {
                continue;
            };
            let rows = match clause.matching {
                MergeMatching::NotMatchedByTarget => rows,
                _ => self.change(rows)?,
            };
            self.decisions.counts.count(clause, rows.num_rows());
            match &clause.row {
                Some(row) => {
                    let mark = match clause.matching {
                        MergeMatching::NotMatchedByTarget => INSERT,
                        _ => UPDATE_POSTIMAGE,
                    };
                    self.ready.push_back(shared.evaluate(row, &rows, mark)?);
                }
                None if shared.recording != Recording::Nothing => self.delete(&rows),
                None => {}
            }
        }
        Ok(())
    }

    /// Notes the positions of rows that are deleted.
    fn delete(&mut self, rows: &RecordBatch) {
        let files = rows.column(1).as_primitive::<Int64Type>().values();
        let positions = rows.column(2).as_primitive::<Int64Type>().values();
        for (file, position) in files.iter().zip(positions) {
            let deleted = self.decisions.deleted.entry(to_usize(*file)).or_default();
            deleted.insert(u64::try_from(*position).unwrap_or_default());
        }
    }

    fn note_met(&mut self, rows: &RecordBatch) {
        let files = rows.column(1).as_primitive::<Int64Type>();
        let positions = rows.column(2).as_primitive::<Int64Type>();
        for row in (0..files.len()).filter(|row| files.is_valid(*row)) {
            let met = self.decisions.met.entry(to_usize(files.value(row))).or_default();
            met.insert(u64::try_from(positions.value(row)).unwrap_or_default());
        }
    }

    /// Notes the positions of rows that are changed. Rows that are deleted anyway, and by another source row already,
    /// are left out of what is returned.
    fn change(&mut self, rows: RecordBatch) -> Result<RecordBatch> {
        let files = rows.column(1).as_primitive::<Int64Type>().values();
        let positions = rows.column(2).as_primitive::<Int64Type>().values();
        let mut fresh = Vec::with_capacity(files.len());
        let mut start = 0;
        while start < files.len() {
            let file = files[start];
            let run = files[start..].iter().take_while(|other| **other == file).count();
            let changed = self.decisions.changed.entry(to_usize(file)).or_default();
            for (place, position) in positions.iter().enumerate().skip(start).take(run) {
                if changed.insert(u64::try_from(*position).unwrap_or_default()) {
                    fresh.push(u32::try_from(place).unwrap_or(u32::MAX));
                }
            }
            start += run;
        }
        if fresh.len() == rows.num_rows() {
            return Ok(rows);
        }
        if !self.shared.deletes_all_matched {
            return Err(ambiguous());
        }
        Ok(take_record_batch(&rows, &UInt32Array::from(fresh))?)
    }

    /// Adds what this partition decided to what others did.
    fn finish(&mut self) -> Result<()> {
        let mut shared = self.shared.progress.lock();
        let own = std::mem::take(&mut self.decisions);
        for (file, rows) in own.deleted {
            shared.deleted.entry(file).or_default().merge(&rows);
        }
        for (file, rows) in own.met {
            shared.met.entry(file).or_default().merge(&rows);
        }
        shared.counts.add(&own.counts);
        for (file, rows) in own.changed {
            let changed = shared.changed.entry(file).or_default();
            let apart = changed.len() + rows.len();
            changed.merge(&rows);
            let twice = apart - changed.len();
            if twice > 0 && !self.shared.deletes_all_matched {
                return Err(ambiguous());
            }
            shared.counts.matched_deleted -= i64::try_from(twice).unwrap_or(i64::MAX);
        }
        Ok(())
    }
}

impl Shared {
    fn evaluate(&self, row: &[Arc<dyn PhysicalExpr>], rows: &RecordBatch, mark: &str) -> Result<RecordBatch> {
        let mut columns = row
            .iter()
            .map(|value| value.evaluate(rows)?.into_array(rows.num_rows()))
            .collect::<Result<Vec<ArrayRef>>>()?;
        if self.recording == Recording::Marked {
            columns.push(Arc::new(StringArray::from(vec![mark; rows.num_rows()])));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(&self.schema),
            columns,
            &options,
        )?)
    }
}

/// Returns the rows of a batch that clause `number` takes, if there are any.
fn rows_of(batch: &RecordBatch, chosen: &Int32Array, number: usize) -> Result<Option<RecordBatch>> {
    let number = i32::try_from(number).unwrap_or(i32::MAX);
    let taken = (0..chosen.len()).filter(|row| chosen.is_valid(*row) && chosen.value(*row) == number);
    let rows: Vec<u32> = taken.map(|row| u32::try_from(row).unwrap_or(u32::MAX)).collect();
    if rows.len() == batch.num_rows() && !rows.is_empty() {
        return Ok(Some(batch.clone()));
    }
    if rows.is_empty() {
        return Ok(None);
    }
    Ok(Some(take_record_batch(batch, &UInt32Array::from(rows))?))
}

fn to_usize(number: i64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn ambiguous() -> DataFusionError {
    DataFusionError::External(Box::new(clause_error(
        "DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE",
        "21506",
        "cannot perform MERGE: several source rows matched one target row and would change it, and it is not defined \
         which of them should\nhint: remove duplicates of the merge key from the source"
            .to_owned(),
    )))
}

/// [`decided_rows`] as a table.
#[derive(Debug)]
struct DecidedTable {
    rows: Arc<DecidedRowsExec>,
}

#[async_trait]
impl TableProvider for DecidedTable {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows: Arc<dyn ExecutionPlan> = Arc::<DecidedRowsExec>::clone(&self.rows);
        let Some(projection) = projection else {
            return Ok(rows);
        };
        let schema = self.schema();
        let columns = projection.iter().map(|place| {
            let name = schema.field(*place).name();
            let column = datafusion::physical_expr::expressions::Column::new(name, *place);
            (Arc::new(column) as Arc<dyn PhysicalExpr>, name.clone())
        });
        Ok(Arc::new(ProjectionExec::try_new(
            columns.collect::<Vec<_>>(),
            rows,
        )?))
    }
}

/// Reads the join and decides. A leaf: the join is planned already.
struct DecidedRowsExec {
    shared: Arc<Shared>,
    plan: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl fmt::Debug for DecidedRowsExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecidedRowsExec")
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

impl DisplayAs for DecidedRowsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecidedRowsExec: clauses={}", self.shared.clauses.len())
    }
}

impl ExecutionPlan for DecidedRowsExec {
    fn name(&self) -> &'static str {
        "DecidedRowsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let join = self.plan.execute(partition, context)?;
        let tally = Tally {
            shared: Arc::clone(&self.shared),
            decisions: Decisions::default(),
            ready: VecDeque::new(),
        };
        let rows = futures::stream::try_unfold(Some((join, tally)), |state| async {
            let Some((mut join, mut tally)) = state else {
                return Ok(None);
            };
            loop {
                if let Some(ready) = tally.ready.pop_front() {
                    return Ok(Some((ready, Some((join, tally)))));
                }
                match join.next().await.transpose()? {
                    Some(batch) => tally.take(&batch)?,
                    None => {
                        tally.finish()?;
                        return Ok(None);
                    }
                }
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.shared.schema),
            rows,
        )))
    }
}
