//! `json_array_length(text)` and `json_object_keys(text)`: null for what is no array or object.

use std::sync::Arc;

use arrow::array::{AsArray, Int32Array, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::text::{Leniency, read};
use crate::functions::arguments::{exact, over_arrays};
use crate::functions::collection::{immutable, list_of};
use crate::functions::function::Returns;
use crate::functions::record::Value;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        immutable(
            "json_array_length",
            |types| exact("json_array_length", types, &[DataType::Utf8]),
            Returns::Always(DataType::Int32),
            array_length,
        ),
        immutable(
            "json_object_keys",
            |types| exact("json_object_keys", types, &[DataType::Utf8]),
            Returns::Of(|_| Ok(list_of(DataType::Utf8))),
            object_keys,
        ),
    ]
}

fn array_length(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let lengths =
            arrays[0]
                .as_string::<i32>()
                .iter()
                .map(|text| match read(text?, Leniency::default()) {
                    Ok(Some(Value::Array(items, _))) => i32::try_from(items.len()).ok(),
                    _ => None,
                });
        Ok(Arc::new(lengths.collect::<Int32Array>()))
    })
}

fn object_keys(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let field = Field::new("element", DataType::Utf8, true);
        let mut keys = ListBuilder::new(StringBuilder::new()).with_field(field);
        for text in arrays[0].as_string::<i32>() {
            match text.map(|text| read(text, Leniency::default())) {
                Some(Ok(Some(Value::Object(fields, _)))) => {
                    fields
                        .iter()
                        .for_each(|(name, _)| keys.values().append_value(name));
                    keys.append(true);
                }
                _ => keys.append(false),
            }
        }
        Ok(Arc::new(keys.finish()))
    })
}
