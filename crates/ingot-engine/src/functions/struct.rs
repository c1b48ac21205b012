//! Fields of structs. `struct(…)` itself is read as `named_struct`, which is DataFusion's.

mod field;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

pub(crate) use self::field::field_of_items;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![field_of_items()]
}
