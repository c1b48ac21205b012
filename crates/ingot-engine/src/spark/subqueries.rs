//! Subqueries that are no more than a value: `(SELECT a + 1)` is `a + 1`.
//!
//! Source: Spark, `OptimizeOneRowRelationSubquery`.

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// Puts the value of a query of a row without a table in the place of the query.
pub(crate) fn without_single_rows(value: Expr) -> Result<Expr> {
    let replaced = value.transform_up(|part| {
        let Expr::ScalarSubquery(subquery) = &part else {
            return Ok(Transformed::no(part));
        };
        match only_value(&subquery.subquery) {
            Some(value) => Ok(Transformed::yes(of_outer(value)?)),
            None => Ok(Transformed::no(part)),
        }
    });
    Ok(replaced?.data)
}

/// Returns the value of a plan of one row, over the columns of the outer query, which `outer` has.
pub(super) fn value_of(plan: &LogicalPlan, outer: &DFSchema) -> Result<Option<Expr>> {
    let Some(value) = only_value(plan) else {
        return Ok(None);
    };
    let value = of_outer(value)?;
    let known = value
        .column_refs()
        .into_iter()
        .all(|column| outer.has_column(column));
    Ok(known.then_some(value))
}

fn only_value(plan: &LogicalPlan) -> Option<Expr> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => only_value(&alias.input),
        LogicalPlan::Projection(projection) => {
            match (projection.expr.as_slice(), projection.input.as_ref()) {
                ([value], LogicalPlan::EmptyRelation(empty)) if empty.produce_one_row => {
                    let plain = !super::decorrelate::has_subquery(value);
                    plain.then(|| value.clone().unalias())
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn of_outer(value: Expr) -> Result<Expr> {
    let replaced = value.transform_up(|part| match part {
        Expr::OuterReferenceColumn(_, column) => Ok(Transformed::yes(Expr::Column(column))),
        part => Ok(Transformed::no(part)),
    });
    Ok(replaced?.data)
}
