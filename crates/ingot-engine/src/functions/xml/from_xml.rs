//! `from_xml(text, schema [, options])`: an element as a struct. What is malformed is as in `from_json`.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::element::read;
use super::{Naming, VALUE};
use crate::functions::arguments::over_arrays;
use crate::functions::collection::immutable;
use crate::functions::function::Returns;
use crate::functions::record::Value;
use crate::functions::record::formats::Formats;
use crate::functions::record::parser::{Parser, Record, options_of};
use crate::functions::record::{options, schema};
use crate::spark::temporal::Use;

const NAME: &str = "from_xml";

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![immutable(
        NAME,
        |types| options::after(NAME, types, &[DataType::Utf8, DataType::Utf8]),
        Returns::Field(|arguments| schema::struct_of_call(NAME, arguments)),
        from_xml,
    )]
}

fn from_xml(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let options = options_of(arrays)?;
        let formats = Formats::new(arguments, &options, Use::Read)?.of_elements();
        let naming = Naming::of(&options);
        let mut parser = Parser::new(NAME, arguments.return_type(), &options, formats)?;
        for text in arrays[0].as_string::<i32>() {
            let Some(text) = text else {
                parser.append_null();
                continue;
            };
            match read(text, &naming) {
                Some(Value::Text(content)) => {
                    let content = vec![(Cow::Borrowed(VALUE), Value::Text(content))];
                    parser.append(Record::Value(&Value::Object(content, Cow::Borrowed(text))), text)?;
                }
                Some(value) => parser.append(Record::Value(&value), text)?,
                None => parser.append(Record::Malformed, text)?,
            }
        }
        parser.finish()
    })
}
