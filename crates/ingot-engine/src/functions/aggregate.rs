//! Aggregate functions that DataFusion has not, or has for fewer types.
//!
//! Those that are another's in other words (`every`, `count_if`) are rewritten before planning: `spark::aggregates`.

mod by;
mod coerced;
mod collected;
mod histogram;
mod moments;
mod percentile;
mod positions;
mod sum;

use std::sync::Arc;

use datafusion::logical_expr::AggregateUDF;

/// Returns the functions of the family.
pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    let mut functions = coerced::functions();
    functions.extend(moments::functions());
    functions.extend(by::functions());
    functions.extend(percentile::functions());
    functions.push(histogram::function());
    functions.push(positions::function());
    functions
}
