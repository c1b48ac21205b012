//! `schema_of_json(text [, options])`: the schema that `from_json` would read the text with.

use std::sync::Arc;

use arrow::array::{AsArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::text::{Leniency, read};
use crate::error::condition;
use crate::functions::arguments::{count, over_arrays};
use crate::functions::collection::immutable;
use crate::functions::function::Returns;
use crate::functions::record::inference::{known, type_of, type_sql};
use crate::functions::record::options::{Options, argument, malformed};

const NAME: &str = "schema_of_json";

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![immutable(
        NAME,
        arguments,
        Returns::Always(DataType::Utf8),
        schema_of,
    )]
}

fn arguments(types: &[DataType]) -> Result<Vec<DataType>> {
    count(NAME, types, 1, 2)?;
    if types[0].is_null() {
        return Err(unexpected_null());
    }
    let options = types
        .get(1)
        .map(|options| argument(NAME, 2, options))
        .transpose()?;
    Ok([DataType::Utf8].into_iter().chain(options).collect())
}

fn unexpected_null() -> DataFusionError {
    condition(
        "DATATYPE_MISMATCH.UNEXPECTED_NULL",
        "42K09",
        format!("the text of `{NAME}` cannot be NULL"),
    )
}

/// Returns the schema of a text.
///
/// # Errors
/// `MALFORMED_RECORD_IN_PARSING`.
pub(crate) fn of_text(text: &str, options: &Options) -> Result<String> {
    match read(text, Leniency::of(options)) {
        Ok(Some(value)) => Ok(type_sql(&known(&type_of(&value)), "STRUCT")),
        Ok(None) => Ok("STRING".to_owned()),
        Err(_) => Err(malformed(text)),
    }
}

fn schema_of(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let options = Options::of(arrays.get(1))?;
        let texts = arrays[0].as_string::<i32>();
        let mut schemas = StringBuilder::new();
        for text in texts {
            match text {
                Some(text) => schemas.append_value(of_text(text, &options)?),
                None => return Err(unexpected_null()),
            }
        }
        Ok(Arc::new(schemas.finish()))
    })
}
