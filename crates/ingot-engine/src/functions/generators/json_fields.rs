//! Fields of a JSON object as texts, in a list of one struct: what `json_tuple` makes a row of.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringArray, StringBuilder, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::error::Result;
use datafusion::logical_expr::{ScalarUDF, Volatility};
use serde_json::{Map, Value};

use crate::functions::arguments::{over_arrays, texts};
use crate::functions::function::{Function, Returns};

/// Returns the function: a text and names of fields to `ARRAY<STRUCT<c0: STRING, …>>`. What is no object has no fields.
pub(crate) fn json_fields() -> &'static ScalarUDF {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        Function {
            name: "__ingot_json_fields",
            aliases: &[],
            volatility: Volatility::Immutable,
            arguments: texts,
            returns: Returns::Of(|types| Ok(DataType::List(item(types.len().saturating_sub(1))))),
            invoke: |arguments| over_arrays(arguments, extract),
        }
        .udf()
    });
    &FUNCTION
}

fn fields(count: usize) -> Fields {
    (0..count)
        .map(|place| Field::new(format!("c{place}"), DataType::Utf8, true))
        .collect()
}

fn item(count: usize) -> Arc<Field> {
    Arc::new(Field::new_list_field(DataType::Struct(fields(count)), true))
}

fn extract(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let Some((text, names)) = arrays.split_first() else {
        return Ok(arrow::array::new_null_array(&DataType::Null, 0));
    };
    let text = text.as_string::<i32>();
    let names: Vec<&StringArray> = names.iter().map(|names| names.as_string::<i32>()).collect();
    let mut columns: Vec<StringBuilder> = names.iter().map(|_| StringBuilder::new()).collect();
    for row in 0..text.len() {
        let object: Option<Map<String, Value>> = match text.is_valid(row) {
            true => serde_json::from_str(text.value(row)).ok(),
            false => None,
        };
        for (column, names) in columns.iter_mut().zip(&names) {
            let value = object
                .as_ref()
                .filter(|_| names.is_valid(row))
                .and_then(|object| object.get(names.value(row)));
            match value {
                None | Some(Value::Null) => column.append_null(),
                Some(Value::String(text)) => column.append_value(text),
                Some(other) => column.append_value(other.to_string()),
            }
        }
    }
    let columns: Vec<ArrayRef> = columns
        .into_iter()
        .map(|mut column| -> ArrayRef { Arc::new(column.finish()) })
        .collect();
    let structs = StructArray::try_new(fields(columns.len()), columns, None)?;
    let lengths = std::iter::repeat_n(1, text.len());
    Ok(Arc::new(ListArray::try_new(
        item(structs.num_columns()),
        OffsetBuffer::from_lengths(lengths),
        Arc::new(structs),
        None,
    )?))
}
