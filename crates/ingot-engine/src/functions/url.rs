//! Functions of URLs: those of `datafusion-spark`, with Spark's conditions for what is none.

use std::sync::Arc;

use arrow::datatypes::DataType::{self, Utf8};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};
use datafusion_spark::function::url;

use super::arguments::{exact, up_to};
use super::function::{Function, Returns};
use crate::error::condition;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let functions = [
        Function::pure(
            "parse_url",
            |types| parts("parse_url", types),
            Returns::Always(Utf8),
            |arguments| {
                or_condition(&url::parse_url(), arguments, |message| {
                    condition("INVALID_URL", "22P02", message)
                })
            },
        ),
        Function::pure(
            "try_parse_url",
            |types| parts("try_parse_url", types),
            Returns::Always(Utf8),
            |arguments| url::try_parse_url().invoke_with_args(arguments.clone()),
        ),
        Function::pure(
            "url_decode",
            |types| exact("url_decode", types, &[Utf8]),
            Returns::Always(Utf8),
            |arguments| {
                or_condition(&url::url_decode(), arguments, |message| {
                    condition("CANNOT_DECODE_URL", "22546", message)
                })
            },
        ),
    ];
    functions.map(Function::udf).to_vec()
}

fn parts(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    up_to(function, types, 2, &[Utf8, Utf8, Utf8])
}

fn or_condition(
    function: &ScalarUDF,
    arguments: &ScalarFunctionArgs,
    condition: fn(String) -> DataFusionError,
) -> Result<ColumnarValue> {
    function.invoke_with_args(arguments.clone()).map_err(|error| {
        condition(format!(
            "{}; the `try_` function gives NULL instead",
            error.strip_backtrace()
        ))
    })
}
