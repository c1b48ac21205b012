//! `format_string(format, x, …)`, `printf`: `datafusion-spark`'s, with a bound on how wide a format may say that a value is.
//!
//! It fills up as far as it is told, and takes no more than 65,535 digits after a point.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion::scalar::ScalarValue;
use datafusion_spark::function::string::format_string::FormatStringFunc;

use crate::functions::room::{Room, bytes_of, too_large};

/// Digits after the point, at most.
const PRECISION_MAX: usize = 0xFFFF;

pub(super) fn udf() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(FormatString {
        function: FormatStringFunc::new(),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct FormatString {
    function: FormatStringFunc,
}

impl ScalarUDFImpl for FormatString {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.function.return_type(types)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.function.return_field_from_args(arguments)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut room = Room::new();
        let texts = arguments.args.get(1..).unwrap_or_default();
        let mut take = |row: usize, (width, parts): (usize, usize)| {
            let longest = texts.iter().map(|text| text_bytes(text, row)).max();
            let texts = parts.saturating_mul(longest.unwrap_or(0));
            room.take(1, width.saturating_add(texts))
        };
        match arguments.args.first() {
            Some(ColumnarValue::Scalar(ScalarValue::Utf8(Some(format)))) => {
                let measured = measured(format)?;
                (0..arguments.number_rows).try_for_each(|row| take(row, measured))?;
            }
            Some(ColumnarValue::Array(formats)) => {
                if let Some(formats) = formats.as_string_opt::<i32>() {
                    for row in (0..formats.len()).filter(|row| formats.is_valid(*row)) {
                        take(row, measured(formats.value(row))?)?;
                    }
                }
            }
            _ => {}
        }
        self.function.invoke_with_args(arguments)
    }
}

/// Returns how many bytes an argument has in a row, if it is a text.
fn text_bytes(argument: &ColumnarValue, row: usize) -> usize {
    match argument {
        ColumnarValue::Scalar(value) => value.try_as_str().flatten().map_or(0, str::len),
        ColumnarValue::Array(array) if array.data_type() == &DataType::Utf8 => bytes_of(array, row),
        ColumnarValue::Array(_) => 0,
    }
}

/// Returns how many bytes a format makes at the least, and how many arguments it may write.
fn measured(format: &str) -> Result<(usize, usize)> {
    let width = width(format)?.saturating_add(format.len());
    Ok((width, format.matches('%').count()))
}

/// Returns how wide the values of a format are at the least.
fn width(format: &str) -> Result<usize> {
    let mut all = 0_usize;
    for part in format.split('%').skip(1) {
        let numbers = part.trim_start_matches(|c: char| "-#+ 0,(<".contains(c));
        let end = numbers.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '$'));
        let numbers = numbers.get(..end.unwrap_or(numbers.len())).unwrap_or_default();
        let numbers = numbers.rsplit('$').next().unwrap_or_default();
        let (width, precision) = numbers.split_once('.').unwrap_or((numbers, ""));
        let number = |digits: &str| match digits {
            "" => Ok(0),
            digits => digits.parse::<usize>().map_err(|_| too_large()),
        };
        let (width, precision) = (number(width)?, number(precision)?);
        if precision > PRECISION_MAX {
            return Err(too_large());
        }
        all = all.saturating_add(width).saturating_add(precision);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("a%5db%-10.3f%%", 18)]
    #[test_case("%2$08d|%n", 8)]
    #[test_case("no format", 0)]
    fn widths_add_up(format: &str, expected: usize) {
        assert_eq!(width(format).expect("a width"), expected);
    }

    #[test_case("%99999999999999999999d")]
    #[test_case("%.65536f")]
    fn widths_without_bound_are_refused(format: &str) {
        assert!(width(format).is_err());
    }
}
