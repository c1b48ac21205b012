//! `from_json(text, schema [, options])`: a struct, an array or a map.
//!
//! A text that is no JSON, or not of the schema's shape, gives a struct of nulls, or null for other types; the field
//! `_corrupt_record` then holds the text, if the schema has one. A value that is not of its type is null, and the others
//! are kept. An empty text gives null. A number is whole for a column of whole numbers, and never text; a column of text
//! takes any value as it is written. In mode FAILFAST malformed texts are errors.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};

use super::text::{Leniency, read};
use crate::functions::arguments::{count, over_arrays, unexpected};
use crate::functions::collection::immutable;
use crate::functions::function::Returns;
use crate::functions::record::formats::Formats;
use crate::functions::record::options;
use crate::functions::record::parser::{Parser, Record, options_of};
use crate::functions::record::schema;
use crate::spark::temporal::Use;

const NAME: &str = "from_json";

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![immutable(NAME, arguments, Returns::Field(returns), from_json)]
}

fn arguments(types: &[DataType]) -> Result<Vec<DataType>> {
    count(NAME, types, 2, 3)?;
    let text = match &types[0] {
        // What Kafka delivers is binary.
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        text if text.is_nested() => return Err(unexpected(NAME, 1, "a STRING", text)),
        _ => DataType::Utf8,
    };
    options::after(NAME, types, &[text, DataType::Utf8])
}

fn returns(arguments: &ReturnFieldArgs<'_>) -> Result<DataType> {
    match schema::of_call(NAME, arguments)? {
        schema @ (DataType::Struct(_) | DataType::List(_) | DataType::Map(..)) => Ok(schema),
        other => Err(schema::refused(NAME, "a STRUCT, an ARRAY or a MAP", &other)),
    }
}

fn from_json(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let options = options_of(arrays)?;
        let formats = Formats::new(arguments, &options, Use::Read)?;
        let leniency = Leniency::of(&options);
        let mut parser = Parser::new(NAME, arguments.return_type(), &options, formats)?;
        let texts = cast(&arrays[0], &DataType::Binary)?;
        for text in texts.as_binary::<i32>() {
            let Some(bytes) = text else {
                parser.append_null();
                continue;
            };
            match std::str::from_utf8(bytes) {
                Ok(text) => match read(text, leniency) {
                    Ok(Some(value)) => parser.append(Record::Value(&value), text)?,
                    Ok(None) => parser.append(Record::Absent, text)?,
                    Err(_) => parser.append(Record::Malformed, text)?,
                },
                Err(_) => parser.append(Record::Malformed, &String::from_utf8_lossy(bytes))?,
            }
        }
        parser.finish()
    })
}
