//! `schema_of_csv(text [, options])`: the schema of a line, whose columns are `_c0`, `_c1`, ….
//!
//! Source: Spark, `CSVInferSchema`.

use std::sync::Arc;

use arrow::array::{AsArray, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::line::Layout;
use crate::error::condition;
use crate::functions::arguments::{count, over_arrays};
use crate::functions::collection::immutable;
use crate::functions::function::Returns;
use crate::functions::record::Value;
use crate::functions::record::inference::type_sql;
use crate::functions::record::number::unscaled;
use crate::functions::record::options::{Options, argument};
use crate::spark::temporal::{Zone, parse_date, parse_timestamp};

const NAME: &str = "schema_of_csv";

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
        return Err(condition(
            "DATATYPE_MISMATCH.UNEXPECTED_NULL",
            "42K09",
            format!("the text of `{NAME}` cannot be NULL"),
        ));
    }
    let options = types
        .get(1)
        .map(|options| argument(NAME, 2, options))
        .transpose()?;
    Ok([DataType::Utf8].into_iter().chain(options).collect())
}

/// Returns the schema of a line.
pub(crate) fn of_text(text: &str, options: &Options) -> String {
    let layout = Layout::new(options, "");
    let cells = layout.cells(text).unwrap_or_default();
    let fields: Vec<Field> = cells
        .iter()
        .enumerate()
        .map(|(place, cell)| {
            let data_type = match cell {
                Value::Text(text) => type_of(text),
                _ => DataType::Utf8,
            };
            Field::new(format!("_c{place}"), data_type, true)
        })
        .collect();
    type_sql(&DataType::Struct(fields.into()), "STRUCT")
}

/// Returns the type of a text: the first of these that can read it.
pub(crate) fn type_of(text: &str) -> DataType {
    if text.parse::<i32>().is_ok() {
        return DataType::Int32;
    }
    if text.parse::<i64>().is_ok() {
        return DataType::Int64;
    }
    if let Some((digits, scale)) = unscaled(text)
        && scale <= 0
        && let Ok(precision @ 1..=38) = u8::try_from(digits.unsigned_abs().checked_ilog10().unwrap_or(0) + 1)
    {
        return DataType::Decimal128(precision, 0);
    }
    if text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))
        && text.parse::<f64>().is_ok()
        || matches!(text, "NaN" | "Inf" | "-Inf")
    {
        return DataType::Float64;
    }
    let looks_like_a_moment =
        text.starts_with(|c: char| c.is_ascii_digit()) && text.len() >= 8 && text.contains('-');
    if looks_like_a_moment && text.len() == 10 && parse_date(text).is_some() {
        return DataType::Date32;
    }
    if looks_like_a_moment && parse_timestamp(text, &Zone::UTC).is_some() {
        return crate::functions::arguments::timestamp();
    }
    if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
        return DataType::Boolean;
    }
    DataType::Utf8
}

fn schema_of(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let options = Options::of(arrays.get(1))?;
        let mut schemas = StringBuilder::new();
        for text in arrays[0].as_string::<i32>() {
            schemas.append_option(text.map(|text| of_text(text, &options)));
        }
        Ok(Arc::new(schemas.finish()))
    })
}
