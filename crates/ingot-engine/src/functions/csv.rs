//! Functions of CSV. Source: Spark SQL, "CSV functions".

mod from_csv;
mod line;
pub(crate) mod schema_of;
mod to_csv;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    [from_csv::functions(), schema_of::functions(), to_csv::functions()].concat()
}
