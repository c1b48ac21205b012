//! `schema_of_xml(text [, options])`: the schema that `from_xml` would read the text with.

use std::sync::Arc;

use arrow::array::{AsArray, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::Naming;
use super::element::read;
use crate::functions::arguments::{count, over_arrays};
use crate::functions::collection::{immutable, list_of};
use crate::functions::csv::schema_of::type_of as type_of_text;
use crate::functions::function::Returns;
use crate::functions::record::Value;
use crate::functions::record::inference::{compatible, known, type_sql};
use crate::functions::record::options::{Options, argument, malformed};

const NAME: &str = "schema_of_xml";

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
    let options = types
        .get(1)
        .map(|options| argument(NAME, 2, options))
        .transpose()?;
    Ok([DataType::Utf8].into_iter().chain(options).collect())
}

/// Returns the schema of an element.
///
/// # Errors
/// `MALFORMED_RECORD_IN_PARSING`.
pub(crate) fn of_text(text: &str, options: &Options) -> Result<String> {
    match read(text, &Naming::of(options)) {
        Some(value) => Ok(type_sql(&known(&type_of(&value)), "STRUCT")),
        None => Err(malformed(text)),
    }
}

fn type_of(value: &Value<'_>) -> DataType {
    match value {
        Value::Text(text) if text.is_empty() => DataType::Null,
        Value::Text(text) => match type_of_text(text) {
            DataType::Int32 => DataType::Int64,
            other => other,
        },
        Value::Array(items, _) => {
            let items = items.iter().map(type_of);
            list_of(items.fold(DataType::Null, |common, item| compatible(&common, &item)))
        }
        Value::Object(fields, _) => {
            let mut fields: Vec<Field> = fields
                .iter()
                .map(|(name, value)| Field::new(name.as_ref(), type_of(value), true))
                .collect();
            fields.sort_by(|a, b| a.name().cmp(b.name()));
            DataType::Struct(fields.into())
        }
        Value::Null | Value::Boolean(_) | Value::Number(_) => DataType::Null,
    }
}

fn schema_of(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let options = Options::of(arrays.get(1))?;
        let mut schemas = StringBuilder::new();
        for text in arrays[0].as_string::<i32>() {
            schemas.append_option(text.map(|text| of_text(text, &options)).transpose()?);
        }
        Ok(Arc::new(schemas.finish()))
    })
}
