//! Which of the target's files a merge's condition can reach, from the range of the source's keys.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::functions_aggregate::expr_fn::{max, min};
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, lit};
use datafusion::scalar::ScalarValue;
use ingot_delta::ReadSet;

use super::expressions::{SOURCE, TARGET};
use super::{Attempt, MergeMatching};
use crate::Result;
use crate::pruning::{FilterPredicate, retain_possible};

/// The part of the target that a merge looks at.
pub(crate) struct Candidates {
    /// Files that may hold a match.
    pub files: Vec<usize>,
    pub read_set: ReadSet,
}

/// Finds the files whose bounds let a row meet one of the source's.
pub(crate) async fn candidates(attempt: &Attempt<'_>) -> Result<Candidates> {
    let all: Vec<usize> = (0..attempt.index.len()).collect();
    let whole = |files| Candidates {
        files,
        read_set: ReadSet::WholeTable,
    };
    if attempt.source.rows() == 0 {
        return Ok(whole(Vec::new()));
    }
    let Some(filters) = target_filters(attempt).await? else {
        return Ok(whole(Vec::new()));
    };
    let state = attempt.session.datafusion().state();
    let files = retain_possible(&state, attempt.snapshot, attempt.index, all, &filters)?;
    let predicate = FilterPredicate::compile(&state, attempt.snapshot, &filters)?;
    let reads_all = attempt.clauses.any(MergeMatching::NotMatchedBySource);
    Ok(match predicate {
        Some(predicate) if !reads_all => Candidates {
            read_set: ReadSet::Matching {
                predicate: Arc::new(predicate),
                paths: files
                    .iter()
                    .map(|file| attempt.index.add(*file).path.clone())
                    .collect(),
            },
            files,
        },
        _ => whole(files),
    })
}

/// What a target row must fulfil to meet a source row, in terms of the target's columns alone; `None` when
/// no row can.
async fn target_filters(attempt: &Attempt<'_>) -> Result<Option<Vec<Expr>>> {
    let mut filters = Vec::new();
    let mut keys = Vec::new();
    for conjunct in split_conjunction(&attempt.clauses.on) {
        if conjunct.is_volatile() {
            continue;
        }
        if reads_only(conjunct, TARGET) {
            filters.push(unnormalize_col(conjunct.clone()));
        } else if let Some((target, source)) = key(conjunct) {
            keys.push((target, source));
        }
    }
    let frame = attempt
        .session
        .datafusion()
        .read_table(attempt.source.table()?)?
        .alias(SOURCE)?;
    let mut columns = Vec::new();
    let mut bounds = Vec::new();
    for (target, source) in keys {
        if bounded(&source.get_type(frame.schema())?) {
            let place = columns.len();
            columns.push(target);
            bounds.push(min(source.clone()).alias(format!("min{place}")));
            bounds.push(max(source).alias(format!("max{place}")));
        }
    }
    if columns.is_empty() {
        return Ok(Some(filters));
    }
    let rows = frame.aggregate(Vec::new(), bounds)?.collect().await?;
    let Some(row) = rows.iter().find(|batch| batch.num_rows() > 0) else {
        return Ok(None);
    };
    for (place, column) in columns.into_iter().enumerate() {
        let (low, high) = (value(row, 2 * place)?, value(row, 2 * place + 1)?);
        if low.is_null() || high.is_null() {
            // Every key is null, and a null key meets nothing.
            return Ok(None);
        }
        let column = Expr::Column(Column::new_unqualified(column.name));
        filters.push(column.clone().gt_eq(lit(low)).and(column.lt_eq(lit(high))));
    }
    Ok(Some(filters))
}

fn value(row: &RecordBatch, column: usize) -> Result<ScalarValue> {
    Ok(ScalarValue::try_from_array(row.column(column), 0)?)
}

/// Returns the sides of `target column = source expression`, whichever way round it is written.
fn key(conjunct: &Expr) -> Option<(Column, Expr)> {
    let Expr::BinaryExpr(BinaryExpr {
        left,
        op: Operator::Eq,
        right,
    }) = conjunct
    else {
        return None;
    };
    for (target, source) in [(left, right), (right, left)] {
        if let Expr::Column(column) = target.as_ref()
            && reads_only(target, TARGET)
            && reads_only(source, SOURCE)
        {
            return Some((column.clone(), source.as_ref().clone()));
        }
    }
    None
}

fn reads_only(expression: &Expr, relation: &str) -> bool {
    let columns = expression.column_refs();
    !columns.is_empty()
        && columns.iter().all(|column| {
            column
                .relation
                .as_ref()
                .is_some_and(|table| table.table() == relation)
        })
}

/// Says if the range of such values is worth knowing. Floating-point numbers have NaN outside every range.
fn bounded(data_type: &DataType) -> bool {
    !data_type.is_nested() && !data_type.is_floating() && *data_type != DataType::Null
}
