//! Functions of text and bytes. Those that are not here, as `ascii`, `soundex` and `elt`, are those of
//! `datafusion-spark` and DataFusion.

mod binary;
mod case;
mod charset;
mod concat_ws;
mod find;
mod format_number;
mod format_string;
mod lengths;
mod number;
mod number_format;
mod pad;
mod parts;
mod replace;
mod similarity;
mod trim;
mod validity;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use super::function::Function;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let functions = trim::functions()
        .into_iter()
        .chain(pad::functions())
        .chain(case::functions())
        .chain(find::functions())
        .chain(parts::functions())
        .chain(replace::functions())
        .chain(lengths::functions())
        .chain(charset::functions())
        .chain(binary::functions())
        .chain(validity::functions())
        .chain(number::functions())
        .chain(similarity::functions())
        .chain([format_number::function(), concat_ws::function()]);
    functions
        .map(Function::udf)
        .chain([format_string::udf()])
        .collect()
}
