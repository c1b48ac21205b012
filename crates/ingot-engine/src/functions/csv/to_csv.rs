//! `to_csv(struct [, options])`: a line of CSV.

use std::sync::Arc;

use arrow::array::{Array, AsArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::line::Layout;
use crate::functions::arguments::over_arrays;
use crate::functions::collection::immutable;
use crate::functions::function::Returns;
use crate::functions::json::write_plain;
use crate::functions::record::formats::Formats;
use crate::functions::record::options::{self, Options};
use crate::spark::temporal::Use;

const NAME: &str = "to_csv";

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![immutable(
        NAME,
        |types| options::after_struct(NAME, types),
        Returns::Always(DataType::Utf8),
        to_csv,
    )]
}

fn to_csv(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let options = Options::of(arrays.get(1))?;
        let formats = Formats::new(arguments, &options, Use::Write)?;
        let layout = Layout::new(&options, "\"\"");
        let structs = arrays[0].as_struct();
        let mut lines = StringBuilder::new();
        let (mut line, mut cell) = (String::new(), String::new());
        for row in 0..structs.len() {
            if structs.is_null(row) {
                lines.append_null();
                continue;
            }
            line.clear();
            for (place, column) in structs.columns().iter().enumerate() {
                if place > 0 {
                    line.push_str(&layout.separator);
                }
                if column.data_type().is_null() || column.is_null(row) {
                    line.push_str(&layout.null_value);
                    continue;
                }
                cell.clear();
                write_plain(column, row, &formats, &mut cell)?;
                layout.write(&cell, &mut line);
            }
            lines.append_value(&line);
        }
        Ok(Arc::new(lines.finish()))
    })
}
