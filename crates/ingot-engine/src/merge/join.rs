//! The one join of a merge: which target row meets which source row, and which clause takes the pair.
//!
//! ```text
//! clauses for …                  join
//! matched rows                   source ⋈ target
//!  + not matched by target       source ⟕ target
//!  + not matched by source       source ⟖ target, or ⟗ with both
//! not matched by target only     source ▷ target         not matched by source only     target ▷ source
//! ```
//! The source is in memory, so the join is by its hash table, and the scan of the target reads by it: bounds and keys
//! of the source reach the reader (DataFusion's dynamic filters), which decodes the other columns only where the keys
//! meet. Of a target with fewer rows than the source it is the other way round. A source that is on disk is sorted and
//! merged instead, which spills. Columns that no clause reads are not read.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::Array;
use datafusion::common::{Column, DFSchema};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, JoinType, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;

use super::clauses::Clauses;
use super::expressions::{SOURCE, TARGET, column};
use super::source::SOURCE_MARK;
use super::{Attempt, MergeMatching};
use crate::Result;
use crate::provider::{FILE_COLUMN, ROW_COLUMN, tagged_provider};

/// The column with the number of the clause that takes a row.
pub(crate) const CLAUSE_COLUMN: &str = "__ingot_clause";

/// The part of the engine's memory that sorts of one partition keep for merging what they spilled.
const SORTS_SHARE: usize = 16;

/// The planned join.
pub(crate) struct Join {
    /// [`CLAUSE_COLUMN`]; [`FILE_COLUMN`] and [`ROW_COLUMN`] unless only new rows come; then what clauses read.
    pub plan: Arc<dyn ExecutionPlan>,
    pub schema: DFSchema,
    pub context: SessionContext,
}

/// Plans the join of the source with the target's rows in `files`, by number.
pub(crate) async fn plan(attempt: &Attempt<'_>, files: &[usize]) -> Result<Join> {
    let context = context(attempt);
    let clauses = &attempt.clauses;
    let target = tagged_provider(
        Arc::clone(attempt.table),
        Arc::clone(attempt.snapshot),
        Some(files.to_vec()),
    );
    let target = context.read_table(target)?.alias(TARGET)?;
    let source = context.read_table(attempt.source.table()?)?.alias(SOURCE)?;
    let join_type = join_type(clauses);
    let on = [clauses.on.clone()];
    // The side on the left is kept in memory.
    let joined = match larger_than_files(attempt, files) {
        true => target.join_on(source, join_type.swap(), on)?,
        false => source.join_on(target, join_type, on)?,
    };
    let mut columns = vec![choice(clauses, join_type).alias(CLAUSE_COLUMN)];
    if join_type != JoinType::LeftAnti {
        columns.extend([FILE_COLUMN, ROW_COLUMN].map(|name| column(TARGET, name)));
    }
    columns.extend(read_by_rows(attempt).into_iter().map(Expr::Column));
    let joined = joined.select(columns)?;
    let schema = joined.schema().clone();
    let plan = joined.create_physical_plan().await?;
    Ok(Join {
        plan,
        schema,
        context,
    })
}

/// Says if the source has more rows than the files, as far as the log knows.
fn larger_than_files(attempt: &Attempt<'_>, files: &[usize]) -> bool {
    let records = attempt.index.num_records();
    let known = files.iter().all(|file| records.is_valid(*file));
    let rows: u64 = files.iter().map(|file| records.value(*file)).sum();
    known && u64::try_from(attempt.source.rows()).unwrap_or(u64::MAX) > rows
}

/// A context that reads columns late, and sorts a source that is on disk.
fn context(attempt: &Attempt<'_>) -> SessionContext {
    let state = attempt.session.datafusion().state();
    let mut config = state.config().clone();
    let partitions = config.target_partitions();
    let options = config.options_mut();
    options.execution.parquet.pushdown_filters = true;
    // What the log says of the size of files is no size in memory.
    options.optimizer.join_reordering = false;
    if attempt.source.in_memory().is_none() {
        options.optimizer.prefer_hash_join = false;
        options.optimizer.repartition_joins = true;
        if let MemoryLimit::Finite(bytes) = state.runtime_env().memory_pool.memory_limit() {
            // Each partition of both sides is sorted, and all at once.
            let reserved = bytes / (SORTS_SHARE * partitions.max(1));
            let execution = &mut options.execution;
            execution.sort_spill_reservation_bytes = execution.sort_spill_reservation_bytes.min(reserved);
        }
    }
    let state = SessionStateBuilder::new_from_existing(state)
        .with_config(config)
        .build();
    SessionContext::new_with_state(state)
}

/// Returns the join with the source on the left that gives the rows that clauses are for, and as few others as it can.
fn join_type(clauses: &Clauses) -> JoinType {
    let any = |matching| clauses.any(matching);
    match (
        any(MergeMatching::Matched),
        any(MergeMatching::NotMatchedByTarget),
        any(MergeMatching::NotMatchedBySource),
    ) {
        (true, false, false) | (false, false, false) => JoinType::Inner,
        (true, true, false) => JoinType::Left,
        (true, false, true) => JoinType::Right,
        (_, true, true) => JoinType::Full,
        (false, true, false) => JoinType::LeftAnti,
        (false, false, true) => JoinType::RightAnti,
    }
}

/// The number of the clause that takes a row of the join.
fn choice(clauses: &Clauses, join_type: JoinType) -> Expr {
    let no_target = column(TARGET, FILE_COLUMN).is_null();
    let no_source = column(SOURCE, SOURCE_MARK).is_null();
    let matched = clauses.choice(MergeMatching::Matched);
    let new = clauses.choice(MergeMatching::NotMatchedByTarget);
    let alone = clauses.choice(MergeMatching::NotMatchedBySource);
    let cases = |cases: Vec<(Expr, Expr)>| {
        let cases = cases
            .into_iter()
            .map(|(when, then)| (Box::new(when), Box::new(then)));
        Expr::Case(Case::new(None, cases.collect(), Some(Box::new(matched.clone()))))
    };
    match join_type {
        JoinType::Left => cases(vec![(no_target, new)]),
        JoinType::Right => cases(vec![(no_source, alone)]),
        JoinType::Full => cases(vec![(no_target, new), (no_source, alone)]),
        JoinType::LeftAnti => new,
        JoinType::RightAnti => alone,
        _ if clauses.clauses.is_empty() => lit(ScalarValue::Int32(None)),
        _ => matched,
    }
}

/// The columns of both relations that the rows after the clauses are made of.
fn read_by_rows(attempt: &Attempt<'_>) -> Vec<Column> {
    let rows = attempt
        .clauses
        .clauses
        .iter()
        .filter_map(|clause| clause.row.as_ref());
    let columns: BTreeSet<Column> = rows
        .flatten()
        .flat_map(|value| value.column_refs().into_iter().cloned())
        .collect();
    columns.into_iter().collect()
}
