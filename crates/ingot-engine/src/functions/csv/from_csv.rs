//! `from_csv(text, schema [, options])`: a line of CSV as a struct.
//!
//! Cells are taken by their places. A missing or a surplus cell, and one that is not of its type, makes the line
//! malformed: see [`crate::functions::record::parser`].

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};

use super::line::Layout;
use crate::functions::arguments::{count, over_arrays};
use crate::functions::collection::immutable;
use crate::functions::function::Returns;
use crate::functions::record::formats::Formats;
use crate::functions::record::options::argument;
use crate::functions::record::parser::{Parser, Record, options_of};
use crate::functions::record::schema;
use crate::spark::temporal::Use;

const NAME: &str = "from_csv";

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![immutable(NAME, arguments, Returns::Field(returns), from_csv)]
}

fn arguments(types: &[DataType]) -> Result<Vec<DataType>> {
    count(NAME, types, 2, 3)?;
    let options = types
        .get(2)
        .map(|options| argument(NAME, 3, options))
        .transpose()?;
    Ok([DataType::Utf8, DataType::Utf8]
        .into_iter()
        .chain(options)
        .collect())
}

fn returns(arguments: &ReturnFieldArgs<'_>) -> Result<DataType> {
    match schema::of_call(NAME, arguments)? {
        schema @ DataType::Struct(_) => Ok(schema),
        other => Err(schema::refused(NAME, "a STRUCT", &other)),
    }
}

fn from_csv(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let options = options_of(arrays)?;
        let formats = Formats::new(arguments, &options, Use::Read)?.of_texts();
        let layout = Layout::new(&options, "");
        let mut parser = Parser::new(NAME, arguments.return_type(), &options, formats)?;
        let columns = parser.columns();
        for text in arrays[0].as_string::<i32>() {
            match text {
                None => parser.append_null(),
                Some(text) => match layout.cells(text) {
                    Some(cells) => {
                        let complete = cells.len() == columns;
                        parser.append(Record::Cells(&cells, complete), text)?;
                    }
                    None => parser.append(Record::Malformed, text)?,
                },
            }
        }
        parser.finish()
    })
}
