//! Functions of maps. Source: Spark SQL, "Map functions".

mod concat;
mod make;
mod parts;
mod text;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

pub(crate) use self::make::MAP;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    [
        concat::functions(),
        make::functions(),
        parts::functions(),
        text::functions(),
    ]
    .concat()
}
