//! Functions of JSON. Source: Spark SQL, "JSON functions".

mod from_json;
mod path;
mod questions;
pub(crate) mod schema_of;
pub(crate) mod text;
mod to_json;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

pub(crate) use self::path::get as get_json_object;
pub(crate) use self::to_json::write_plain;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    [
        from_json::functions(),
        path::functions(),
        questions::functions(),
        schema_of::functions(),
        to_json::functions(),
    ]
    .concat()
}
