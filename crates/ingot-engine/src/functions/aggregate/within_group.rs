//! What functions with WITHIN GROUP have in common.
//!
//! `spark::aggregates` makes the order arguments before planning: `mode() WITHIN GROUP (ORDER BY x DESC)` becomes
//! `__ingot_mode(x, true)`. DataFusion's own WITHIN GROUP is not used: it sorts all rows first, and has no OVER.
//! Source: Spark, `SupportsOrderingWithinGroup`; Databricks, "INVALID_WITHIN_GROUP_EXPRESSION error condition".

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::function::AggregateFunctionSimplification;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;

use crate::error::condition;

/// `mode` with an order: a value, and if the largest comes first.
pub(crate) const ORDERED_MODE: &str = "__ingot_mode";

/// `percentile_disc` with an order: a value, a percentage or an array of them, and if the largest value comes first.
pub(crate) const ORDERED_PERCENTILE_DISC: &str = "__ingot_percentile_disc";

const SQLSTATE: &str = "42K0K";

/// Says that a function was called without an order.
pub(super) fn missing(function: &str) -> DataFusionError {
    condition(
        "INVALID_WITHIN_GROUP_EXPRESSION.WITHIN_GROUP_MISSING",
        SQLSTATE,
        format!("`{function}` has to be followed by WITHIN GROUP (ORDER BY …)"),
    )
}

/// Says that a function was called with another number of orders than it takes.
pub(super) fn wrong_orderings(function: &str) -> DataFusionError {
    condition(
        "INVALID_WITHIN_GROUP_EXPRESSION.WRONG_NUM_ORDERINGS",
        SQLSTATE,
        format!(
            "`{function}` takes one order in WITHIN GROUP, and `mode` none where the value is between its parentheses"
        ),
    )
}

/// Refuses DISTINCT before the optimizer makes a grouping of it.
pub(super) fn without_distinct(function: &'static str) -> AggregateFunctionSimplification {
    Box::new(move |call, _| match call.params.distinct {
        true => Err(condition(
            "INVALID_WITHIN_GROUP_EXPRESSION.DISTINCT_UNSUPPORTED",
            SQLSTATE,
            format!("`{function}` does not take DISTINCT"),
        )),
        false => Ok(Expr::AggregateFunction(call)),
    })
}

/// Returns the value of an argument that is the same in all rows.
pub(super) fn constant(argument: &Arc<dyn PhysicalExpr>) -> Option<&ScalarValue> {
    argument.downcast_ref::<Literal>().map(Literal::value)
}

/// Says if the last of the arguments, which is the order's direction, is that from the largest to the smallest.
pub(super) fn descending(arguments: &[Arc<dyn PhysicalExpr>]) -> bool {
    matches!(
        arguments.last().and_then(constant),
        Some(ScalarValue::Boolean(Some(true)))
    )
}
