//! The subqueries that DataFusion's rules make joins of.
//!
//! They move predicates over the outer query's columns up to the join, past projections, filters and, if the predicates
//! are equalities, aggregations. They tell columns apart by their names, and lose them where a relation is renamed.

use datafusion::common::Column;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};

use super::{has_subquery, is_correlated, outer_columns};

/// Says if DataFusion joins a value.
pub(super) fn is_value(plan: &LogicalPlan) -> bool {
    has_aggregate(plan) && is_filtered(plan)
}

/// Says if a plan gives one row, whatever its tables hold.
pub(super) fn has_aggregate(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => has_aggregate(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_aggregate(&alias.input),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        _ => false,
    }
}

/// Says if a plan gives one row at most, for each of the values of the outer query's columns.
pub(super) fn is_single(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => is_single(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => is_single(&alias.input),
        LogicalPlan::Filter(filter) => is_single(&filter.input),
        LogicalPlan::Sort(sort) => is_single(&sort.input),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        plan => plan.max_rows().is_some_and(|rows| rows <= 1),
    }
}

/// Says if the outer query's columns stand only where DataFusion moves them from.
pub(super) fn is_filtered(plan: &LogicalPlan) -> bool {
    let outer = outer_columns(plan);
    !names_clash(plan, &outer) && Walk { outer: &outer }.pulls_up(plan, false)
}

/// Says if a relation of the plan has a column that is called as one of the outer query is.
fn names_clash(plan: &LogicalPlan, outer: &[Column]) -> bool {
    let here = outer
        .iter()
        .any(|column| plan.schema().columns().contains(column));
    here || plan.inputs().into_iter().any(|input| names_clash(input, outer))
}

struct Walk<'a> {
    outer: &'a [Column],
}

impl Walk<'_> {
    fn pulls_up(&self, plan: &LogicalPlan, aggregated: bool) -> bool {
        if !is_correlated(plan, self.outer) {
            return true;
        }
        match plan {
            LogicalPlan::Projection(projection) => {
                self.are_free(&projection.expr) && self.pulls_up(&projection.input, aggregated)
            }
            LogicalPlan::Aggregate(aggregate) => {
                self.are_free(&aggregate.group_expr)
                    && self.are_free(&aggregate.aggr_expr)
                    && self.pulls_up(&aggregate.input, true)
            }
            LogicalPlan::Filter(filter) => {
                let moves = split_conjunction(&filter.predicate)
                    .into_iter()
                    .all(|conjunct| self.moves(conjunct, aggregated));
                moves && self.pulls_up(&filter.input, aggregated)
            }
            _ => false,
        }
    }

    fn are_free(&self, expressions: &[Expr]) -> bool {
        !expressions
            .iter()
            .any(|expression| has_subquery(expression) || expression.contains_outer())
    }

    fn moves(&self, conjunct: &Expr, aggregated: bool) -> bool {
        if has_subquery(conjunct) {
            return false;
        }
        if !conjunct.contains_outer() || !aggregated {
            return true;
        }
        let Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) = conjunct
        else {
            return false;
        };
        let parted = |inner: &Expr, outer: &Expr| !inner.contains_outer() && outer.column_refs().is_empty();
        parted(left, right) || parted(right, left)
    }
}
