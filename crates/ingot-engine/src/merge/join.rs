//! The join of a merge: which target row meets which source row, and which clause takes the pair.
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
//! meet. Of a target with fewer rows than the source it is the other way round. Columns that no clause reads are not
//! read.
//!
//! A source of several slices is joined one slice after the other: what a source row does depends on it and the target
//! alone. Only which target rows meet no source row is known after the last: these are read once more.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::Array;
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, JoinType, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;

use super::clauses::Clauses;
use super::expressions::{SOURCE, TARGET, column};
use super::source::{SOURCE_MARK, Slice};
use super::{Attempt, MergeMatching};
use crate::Result;
use crate::provider::{FILE_COLUMN, Positions, ROW_COLUMN, Rows, tagged_rows_provider};
use crate::resolve::Reads;

/// The column with the number of the clause that takes a row.
pub(crate) const CLAUSE_COLUMN: &str = "__ingot_clause";

/// The planned join.
pub(crate) struct Join {
    /// [`CLAUSE_COLUMN`]; [`FILE_COLUMN`] and [`ROW_COLUMN`] unless only new rows come; then what clauses read.
    pub plan: Arc<dyn ExecutionPlan>,
    pub schema: DFSchema,
    pub context: SessionContext,
}

/// Which part of a merge a join is.
#[derive(Debug, Clone)]
pub(crate) enum Pass {
    /// All of it: the source is one slice.
    Whole,
    /// One slice of several. Rows that meet one of it are needed `for_others`, too, if no clause takes them.
    Slice { for_others: bool },
    /// The target rows that met no slice: all but these.
    Alone(Arc<Positions>),
}

impl Pass {
    /// Says which rows the pass gives to clauses.
    pub(crate) fn gives(&self, matching: MergeMatching) -> bool {
        match self {
            Self::Whole => true,
            Self::Slice { .. } => matching != MergeMatching::NotMatchedBySource,
            Self::Alone(_) => matching == MergeMatching::NotMatchedBySource,
        }
    }
}

/// Plans the join of a slice with the target's rows in `files`, by number.
pub(crate) async fn plan(attempt: &Attempt<'_>, slice: &Slice, files: &[usize], pass: &Pass) -> Result<Join> {
    let context = context(attempt);
    let rows = match pass {
        Pass::Alone(met) => Rows::Except(Arc::clone(met)),
        Pass::Whole | Pass::Slice { .. } => Rows::Live,
    };
    let target = tagged_rows_provider(
        Arc::clone(attempt.table),
        Arc::clone(attempt.snapshot),
        Some(files.to_vec()),
        rows,
        attempt.row_ids.as_ref(),
    );
    let target = match attempt.filtered {
        Some(filtered) => {
            filtered
                .stored(attempt.session, target, &Reads::default())
                .await?
        }
        None => target,
    };
    let target = context.read_table(target)?.alias(TARGET)?;
    let source = context.read_table(slice.table()?)?.alias(SOURCE)?;
    let join_type = join_type(&attempt.clauses, pass);
    let on = [attempt.clauses.on.clone()];
    // The side on the left is kept in memory.
    let joined = match (pass, larger_than_files(attempt, slice, files)) {
        (Pass::Alone(_), _) => target,
        (_, true) => target.join_on(source, join_type.swap(), on)?,
        (_, false) => source.join_on(target, join_type, on)?,
    };
    let mut columns = vec![choice(&attempt.clauses, join_type).alias(CLAUSE_COLUMN)];
    if join_type != JoinType::LeftAnti {
        columns.extend([FILE_COLUMN, ROW_COLUMN].map(|name| column(TARGET, name)));
    }
    columns.extend(read_by_rows(attempt, pass).into_iter().map(Expr::Column));
    let joined = joined.select(columns)?;
    let schema = joined.schema().clone();
    let plan = joined.create_physical_plan().await?;
    Ok(Join {
        plan,
        schema,
        context,
    })
}

/// Says if a slice has more rows than the files, as far as the log knows.
fn larger_than_files(attempt: &Attempt<'_>, slice: &Slice, files: &[usize]) -> bool {
    let records = attempt.index.num_records();
    let known = files.iter().all(|file| records.is_valid(*file));
    let rows: u64 = files.iter().map(|file| records.value(*file)).sum();
    known && u64::try_from(slice.rows()).unwrap_or(u64::MAX) > rows
}

/// A context that reads columns late, and leaves the sides of a join where they are.
fn context(attempt: &Attempt<'_>) -> SessionContext {
    let mut state = attempt.session.datafusion().state();
    let options = state.config_mut().options_mut();
    options.execution.parquet.pushdown_filters = true;
    // What the log says of the size of files is no size in memory.
    options.optimizer.join_reordering = false;
    SessionContext::new_with_state(state)
}

/// Returns the join with the source on the left that gives the rows that clauses are for, and as few others as it can.
fn join_type(clauses: &Clauses, pass: &Pass) -> JoinType {
    let any = |matching| pass.gives(matching) && clauses.any(matching);
    let for_others = matches!(pass, Pass::Slice { for_others: true });
    match (
        for_others || any(MergeMatching::Matched),
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
fn read_by_rows(attempt: &Attempt<'_>, pass: &Pass) -> Vec<Column> {
    let clauses = attempt.clauses.clauses.iter();
    let clauses = clauses.filter(|clause| pass.gives(clause.matching));
    let rows = clauses.filter_map(|clause| clause.row.as_ref());
    let columns: BTreeSet<Column> = rows
        .flatten()
        .flat_map(|value| value.column_refs().into_iter().cloned())
        .filter(|column| column.name != ROW_COLUMN)
        .collect();
    columns.into_iter().collect()
}
