//! Aggregate functions that DataFusion has not, or has for fewer types.
//!
//! Those that are another's in other words (`every`, `count_if`) are rewritten before planning: `spark::aggregates`.

mod average;
mod bitmaps;
mod by;
mod coerced;
mod collected;
mod histogram;
mod mode;
mod moments;
mod percentile;
mod percentile_disc;
mod positions;
mod sum;
mod vector;
mod within_group;

use std::sync::Arc;

use datafusion::logical_expr::AggregateUDF;

pub(crate) use self::within_group::{ORDERED_MODE, ORDERED_PERCENTILE_DISC};
use super::variant::merged_schema;
use crate::spark::AnsiMode;

/// Returns the functions of the family that are the same in all modes.
pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    let mut functions = moments::functions();
    functions.extend(by::functions());
    functions.extend(bitmaps::functions());
    functions.extend(mode::functions());
    functions.extend(percentile::functions());
    functions.extend(vector::functions());
    functions.extend(percentile_disc::functions());
    functions.push(histogram::function());
    functions.push(positions::function());
    functions.push(merged_schema::function());
    functions
}

/// Returns the functions whose results may not fit, as they are in a mode.
pub(super) fn functions_of(mode: AnsiMode) -> Vec<Arc<AggregateUDF>> {
    coerced::functions(mode)
}
