//! The rows that a merge writes: those of touched files, changed or copied, and the inserted ones.

use arrow::array::Array;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Expr, JoinType, lit};
use datafusion::scalar::ScalarValue;

use super::expressions::{SOURCE, TARGET, column};
use super::matches::{CHANGES, CLAUSE_COLUMN, Decisions, same_row, source, target};
use super::source::SOURCE_ROW;
use super::{Attempt, MergeMatching};
use crate::Result;

/// Plans the rows to write, in the table's columns; `None` when there is nothing to write.
pub(crate) async fn rows(attempt: &Attempt<'_>, decisions: &Decisions) -> Result<Option<DataFrame>> {
    let touched = decisions.touched_files();
    let rewritten = if touched.is_empty() {
        None
    } else {
        Some(rewritten(attempt, decisions, &touched)?)
    };
    let inserted = inserted(attempt, decisions)?;
    // A plan over no rows still costs a pass and an empty file set; most merges lack one half.
    Ok(match (rewritten, inserted) {
        (Some(rewritten), Some(inserted)) => Some(rewritten.union(inserted)?),
        (rewritten, inserted) => rewritten.or(inserted),
    })
}

fn rewritten(attempt: &Attempt<'_>, decisions: &Decisions, touched: &[usize]) -> Result<DataFrame> {
    let same_source = column(CHANGES, SOURCE_ROW).eq(column(SOURCE, SOURCE_ROW));
    let changes = decisions
        .changes(attempt)?
        .join_on(source(attempt)?, JoinType::Left, [same_source])?;
    let joined = target(attempt, Some(touched))?.join_on(changes, JoinType::Left, same_row())?;
    let chosen = column(CHANGES, CLAUSE_COLUMN);
    let deletions = attempt.clauses.deletions();
    let kept = if deletions.is_empty() {
        joined
    } else {
        let deleted = chosen.clone().in_list(deletions, true);
        joined.filter(chosen.clone().is_null().or(deleted))?
    };
    let matching = [MergeMatching::Matched, MergeMatching::NotMatchedBySource];
    let columns: Vec<Expr> = attempt
        .snapshot
        .schema()
        .fields()
        .iter()
        .enumerate()
        .map(|(place, field)| {
            let old = column(TARGET, field.name());
            attempt
                .clauses
                .value(&matching, &chosen, place, old)
                .alias(field.name())
        })
        .collect();
    Ok(kept.select(columns)?)
}

fn inserted(attempt: &Attempt<'_>, decisions: &Decisions) -> Result<Option<DataFrame>> {
    let matching = MergeMatching::NotMatchedByTarget;
    let matched = &decisions.matched_source_rows;
    if !attempt.clauses.any(matching) || matched.iter().all(|matched| *matched) {
        return Ok(None);
    }
    let rows = attempt
        .session
        .datafusion()
        .read_table(attempt.source.unmatched(matched)?)?
        .alias(SOURCE)?;
    let mut columns: Vec<Expr> = rows.schema().columns().into_iter().map(Expr::Column).collect();
    columns.push(attempt.clauses.choice(matching).alias(CLAUSE_COLUMN));
    let chosen = Expr::Column(datafusion::common::Column::new_unqualified(CLAUSE_COLUMN));
    let rows = rows.select(columns)?.filter(chosen.clone().is_not_null())?;
    let columns = attempt
        .snapshot
        .schema()
        .fields()
        .iter()
        .enumerate()
        .map(|(place, field)| {
            let null = lit(ScalarValue::try_from(field.data_type())?);
            let value = attempt.clauses.value(&[matching], &chosen, place, null);
            Ok(value.alias(field.name()))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Some(rows.select(columns)?))
}

/// Returns how many rows the files hold: from the log, or counted where the log does not say.
pub(crate) async fn rows_in(attempt: &Attempt<'_>, files: &[usize]) -> Result<i64> {
    let records = attempt.index.num_records();
    if files.iter().all(|file| records.is_valid(*file)) {
        let rows: u64 = files.iter().map(|file| records.value(*file)).sum();
        return Ok(i64::try_from(rows).unwrap_or(i64::MAX));
    }
    let rows = target(attempt, Some(files))?.count().await?;
    Ok(i64::try_from(rows).unwrap_or(i64::MAX))
}
