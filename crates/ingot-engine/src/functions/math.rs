//! Functions of numbers. Those that are not here, as `hex`, `factorial` and `width_bucket`, are those of `datafusion-spark`.

mod abs;
mod conv;
mod double;
mod extremes;
mod round;
mod written;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use super::function::Function;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let functions = double::functions()
        .into_iter()
        .chain(round::functions())
        .chain(extremes::functions())
        .chain([abs::function(), conv::function()]);
    functions.map(Function::udf).collect()
}
