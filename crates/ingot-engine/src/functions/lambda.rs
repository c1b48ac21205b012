//! Functions that take functions: `transform(a, x -> x + 1)`. Source: Spark SQL, "Lambda functions".
//!
//! A lambda is computed for the items of all rows of a batch at once; what it takes of the row around it is repeated for
//! each item.

mod aggregate;
mod array_sort;
mod filter;
mod higher_order;
mod maps;
mod test;
mod transform;
mod zip_with;

use std::sync::Arc;

use datafusion::logical_expr::HigherOrderUDF;

pub(super) fn functions() -> Vec<Arc<HigherOrderUDF>> {
    [
        aggregate::functions(),
        array_sort::functions(),
        filter::functions(),
        maps::functions(),
        test::functions(),
        transform::functions(),
        zip_with::functions(),
    ]
    .into_iter()
    .flatten()
    .map(higher_order::HigherOrder::udf)
    .collect()
}
