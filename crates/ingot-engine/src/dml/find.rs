//! Which rows a predicate matches: their files and positions, found on all cores.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use datafusion::common::tree_node::TreeNode;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::execute_stream_partitioned;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Ident, SelectItem, Value};
use futures::StreamExt;
use ingot_common::Kind;
use ingot_delta::{DeltaTable, FileIndex, ReadSet, Snapshot};
use tokio::task::JoinSet;

use super::certain::certain_files;
use super::target::{self, TargetName};
use super::{ChangedRows, FilteredTarget};
use crate::provider::{DeltaTableProvider, FILE_COLUMN, ROW_COLUMN, delta_provider, tagged_provider};
use crate::pruning::FilterPredicate;
use crate::resolve::Reads;
use crate::write::snapshot_read;
use crate::{Error, Result, Session};

/// Rows found after which their memory is counted anew.
const ROWS_BETWEEN_COUNTS: usize = 1 << 16;

/// The rows that a predicate matches, and what that answer depends on.
pub(crate) struct Found {
    pub changed: ChangedRows,
    pub read_set: ReadSet,
}

/// The table that is looked through.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub session: &'a Session,
    pub table: &'a Arc<DeltaTable>,
    pub snapshot: &'a Arc<Snapshot>,
    pub index: &'a FileIndex,
    /// Through what the table is shown.
    pub filtered: Option<&'a FilteredTarget>,
}

/// Finds the rows for which `predicate` is true; all of them without one. Files of which the log says
/// that all rows match, or none, are not read.
pub(crate) async fn find(
    place: Place<'_>,
    name: &TargetName,
    predicate: Option<&SqlExpr>,
    reads: &Reads,
) -> Result<Found> {
    if let Some(filtered) = place.filtered
        && (filtered.hides_rows() || predicate.is_some())
    {
        return find_shown(place, name, predicate, reads).await;
    }
    let Some(predicate) = predicate else {
        return Ok(Found {
            changed: ChangedRows::whole(0..place.index.len()),
            read_set: ReadSet::WholeTable,
        });
    };
    let planned = place.matches(name, predicate, reads, None).await?;
    refuse_chance(planned.logical_plan(), predicate)?;
    let reads_itself = snapshot_read(planned.logical_plan(), place.table.location())?.is_some();
    let task = Arc::new(planned.task_ctx());
    let (state, plan) = planned.into_parts();
    let plan = state.optimize(&plan)?;
    let Some(known) = target::filters(&plan)? else {
        // The predicate is never true.
        return Ok(Found {
            changed: ChangedRows::default(),
            read_set: ReadSet::Nothing,
        });
    };
    let files = place.files_for(&state, &known.filters).await?;
    let read_set = match FilterPredicate::compile(&state, place.snapshot, &known.filters)? {
        Some(predicate) if !reads_itself => ReadSet::Matching {
            predicate: Arc::new(predicate),
            paths: files
                .iter()
                .map(|file| place.index.add(*file).path.clone())
                .collect(),
        },
        _ => ReadSet::WholeTable,
    };
    let partition_columns = place.snapshot.partition_columns();
    let certain = match known.complete {
        true => certain_files(place.index, &files, &known.filters, partition_columns),
        false => BTreeSet::new(),
    };
    let rest: Vec<usize> = files.into_iter().filter(|file| !certain.contains(file)).collect();
    let found = if rest.is_empty() {
        ChangedRows::default()
    } else if certain.is_empty() {
        collect(place.session, &state, &plan, task).await?
    } else {
        positions(
            place.session,
            place.matches(name, predicate, reads, Some(rest)).await?,
        )
        .await?
    };
    let mut changed = ChangedRows::whole(certain);
    changed.merge(found);
    Ok(Found { changed, read_set })
}

/// Finds the rows of a table that is shown through a filter or masks. What the functions read may be anything.
async fn find_shown(
    place: Place<'_>,
    name: &TargetName,
    predicate: Option<&SqlExpr>,
    reads: &Reads,
) -> Result<Found> {
    let all = SqlExpr::value(Value::Boolean(true));
    let predicate = predicate.unwrap_or(&all);
    let planned = place.matches(name, predicate, reads, None).await?;
    refuse_chance(planned.logical_plan(), predicate)?;
    Ok(Found {
        changed: positions(place.session, planned).await?,
        read_set: ReadSet::WholeTable,
    })
}

/// Refuses a predicate of which each evaluation may say something else. Source: Delta,
/// `DELTA_NON_DETERMINISTIC_FUNCTION_NOT_SUPPORTED`.
fn refuse_chance(plan: &LogicalPlan, predicate: &SqlExpr) -> Result<()> {
    let chance = plan
        .exists(|node| Ok(matches!(node, LogicalPlan::Filter(filter) if filter.predicate.is_volatile())))?;
    match chance {
        true => Err(Error::Condition {
            kind: Kind::Unsupported,
            condition: "DELTA_NON_DETERMINISTIC_FUNCTION_NOT_SUPPORTED",
            sqlstate: "0AKDC",
            message: format!(
                "non-deterministic functions are not supported in the condition of DELETE and UPDATE: `{predicate}`"
            ),
        }),
        false => Ok(()),
    }
}

impl Place<'_> {
    /// Plans where the rows are for which `predicate` is true, in these files or in all.
    async fn matches(
        &self,
        name: &TargetName,
        predicate: &SqlExpr,
        reads: &Reads,
        files: Option<Vec<usize>>,
    ) -> Result<DataFrame> {
        let (table, snapshot) = (Arc::clone(self.table), Arc::clone(self.snapshot));
        let mut rows = tagged_provider(table, snapshot, files);
        if let Some(filtered) = self.filtered {
            rows = filtered.shown(self.session, rows, reads).await?;
        }
        let column = |name: &str| SelectItem::UnnamedExpr(SqlExpr::Identifier(Ident::with_quote('`', name)));
        let columns = vec![column(FILE_COLUMN), column(ROW_COLUMN)];
        target::plan(self.session, name, rows, columns, Some(predicate.clone()), reads).await
    }

    /// Returns the files that may hold a row which `filters` let through.
    async fn files_for(&self, state: &SessionState, filters: &[Expr]) -> Result<Vec<usize>> {
        let (table, snapshot) = (Arc::clone(self.table), Arc::clone(self.snapshot));
        let provider = delta_provider(table, snapshot, None);
        let provider = provider
            .downcast_ref::<DeltaTableProvider>()
            .ok_or_else(|| Error::internal("a Delta table is read by another provider".to_owned()))?;
        Ok(provider.files_for(state, filters).await?)
    }
}

/// Runs a query that gives columns [`FILE_COLUMN`] and [`ROW_COLUMN`], and gathers the positions.
pub(crate) async fn positions(session: &Session, rows: DataFrame) -> Result<ChangedRows> {
    let task = Arc::new(rows.task_ctx());
    let (state, plan) = rows.into_parts();
    let plan = state.optimize(&plan)?;
    collect(session, &state, &plan, task).await
}

/// Runs the plan and gathers the positions that it returns.
async fn collect(
    session: &Session,
    state: &SessionState,
    plan: &LogicalPlan,
    task: Arc<TaskContext>,
) -> Result<ChangedRows> {
    let physical = state.query_planner().create_physical_plan(plan, state).await?;
    let memory = MemoryConsumer::new("changed rows").register(task.memory_pool());
    let mut tasks = JoinSet::new();
    for stream in execute_stream_partitioned(physical, task)? {
        let memory = memory.new_empty();
        tasks.spawn(read(stream, memory));
    }
    let mut changed = ChangedRows::default();
    let stop = session.stop();
    loop {
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Error::Cancelled),
            ended = tasks.join_next() => ended,
        };
        let Some(ended) = ended else {
            return Ok(changed);
        };
        let (part, _memory) =
            ended.map_err(|error| Error::DataFusion(DataFusionError::External(Box::new(error))))??;
        changed.merge(part);
        memory.try_resize(changed.memory_bytes())?;
    }
}

async fn read(
    mut rows: SendableRecordBatchStream,
    memory: MemoryReservation,
) -> Result<(ChangedRows, MemoryReservation), DataFusionError> {
    let mut changed = ChangedRows::default();
    let mut uncounted = 0;
    while let Some(batch) = rows.next().await.transpose()? {
        take_positions(&batch, &mut changed)?;
        uncounted += batch.num_rows();
        if uncounted >= ROWS_BETWEEN_COUNTS {
            memory.try_resize(changed.memory_bytes())?;
            uncounted = 0;
        }
    }
    memory.try_resize(changed.memory_bytes())?;
    Ok((changed, memory))
}

/// Takes files and positions out of a batch, runs of one file at once.
fn take_positions(batch: &RecordBatch, changed: &mut ChangedRows) -> Result<(), DataFusionError> {
    let files = batch.column(0).as_primitive::<Int64Type>().values();
    let rows = batch.column(1).as_primitive::<Int64Type>().values();
    let mut start = 0;
    for run in files.chunk_by(|a, b| a == b) {
        let end = start + run.len();
        let file = usize::try_from(run[0]).map_err(|_| negative())?;
        changed.extend(file, rows[start..end].iter().map(|row| row.unsigned_abs()));
        start = end;
    }
    Ok(())
}

fn negative() -> DataFusionError {
    DataFusionError::Internal("a file has a negative number".to_owned())
}
