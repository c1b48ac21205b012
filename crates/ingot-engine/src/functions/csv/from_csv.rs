//! `from_csv(text, schema [, options])`: a line of CSV as a struct.
//!
//! Cells are taken by their places. A missing or a surplus cell, and one that is not of its type, makes the line
//! malformed: see [`crate::functions::record::parser`].

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::line::Layout;
use crate::functions::arguments::over_arrays;
use crate::functions::collection::immutable;
use crate::functions::function::Returns;
use crate::functions::record::formats::Formats;
use crate::functions::record::parser::{Parser, Record, options_of};
use crate::functions::record::{options, schema};
use crate::spark::temporal::Use;

const NAME: &str = "from_csv";

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![immutable(
        NAME,
        |types| options::after(NAME, types, &[DataType::Utf8, DataType::Utf8]),
        Returns::Field(|arguments| schema::struct_of_call(NAME, arguments)),
        from_csv,
    )]
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
