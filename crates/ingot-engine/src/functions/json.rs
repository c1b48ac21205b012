//! Functions of JSON. Source: Spark SQL, "JSON functions".

mod from_json;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![Arc::new(ScalarUDF::from(from_json::FromJson::new()))]
}
