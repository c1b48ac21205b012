//! Functions of regular expressions, as Java reads them.
//!
//! ```text
//! pattern ─► `java`: the spelling of an engine ─► `pattern`: linear, or backtracking ─► functions
//! ```

mod extract;
mod find;
mod java;
mod pattern;
mod replace;
mod split;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::ScalarUDF;

use super::function::Function;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let functions = extract::functions()
        .into_iter()
        .chain(find::functions())
        .chain([replace::function(), split::function()]);
    functions.map(Function::udf).collect()
}

/// ARRAY<STRING>.
fn texts_type() -> DataType {
    DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)))
}
