//! Functions of hashes: Spark's own over all types. The rest are those of `datafusion-spark`.

mod murmur;
mod rows;
mod xx;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use super::function::Function;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    rows::functions().into_iter().map(Function::udf).collect()
}

/// Murmur3 of the eight bytes of a number, the lowest first.
pub(super) fn murmur_of_long(value: i64, seed: u32) -> u32 {
    murmur::long(value, seed)
}
