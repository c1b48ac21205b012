//! `to_number(text, format)`, `try_to_number`, and `to_char(number, format)`: decimals as a format says. Dates and
//! times are written as `date_format` writes them.
//!
//! A format has a sign (`S`, `MI`) or angle brackets for numbers below zero (`PR`), a currency (`$`), digits (`0`, `9`) parted by
//! `,` or `G`, and a point (`.`, `D`). Source: Spark, `ToNumberParser`.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::DataType::{self, Binary, Date32, Decimal128, Float64, Timestamp, Utf8};
use arrow::datatypes::Decimal128Type;
use base64::Engine as _;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs};

use super::number_format::{Format, Sign};
use crate::error::condition;
use crate::functions::arguments::{count, exact, is_integral, is_text, over_arrays, unexpected};
use crate::functions::datetime;
use crate::functions::function::{Function, Returns};
use crate::functions::rows::{bytes_at, text_at, texts, values};

pub(super) fn functions() -> [Function; 3] {
    [
        Function::pure(
            "to_number",
            |types| exact("to_number", types, &[Utf8, Utf8]),
            Returns::Field(|arguments| decimal_type("to_number", arguments)),
            |arguments| read_all(arguments, Failure::Error),
        ),
        Function::pure(
            "try_to_number",
            |types| exact("try_to_number", types, &[Utf8, Utf8]),
            Returns::Field(|arguments| decimal_type("try_to_number", arguments)),
            |arguments| read_all(arguments, Failure::Null),
        ),
        Function::pure(
            "to_char",
            written_types,
            Returns::Always(Utf8),
            |arguments| match arguments.args.first().map(ColumnarValue::data_type) {
                Some(Date32 | Timestamp(..)) => datetime::formatted(arguments),
                _ => over_arrays(arguments, written),
            },
        )
        .also(&["to_varchar"]),
    ]
}

#[derive(Clone, Copy, PartialEq)]
enum Failure {
    Error,
    Null,
}

fn constant_format(function: &str, format: Option<&ScalarValue>) -> Result<Option<Format>> {
    match format.map(ScalarValue::try_as_str) {
        Some(Some(Some(text))) => Format::read(text).map(Some),
        Some(_) => Ok(None),
        None => Err(condition(
            "DATATYPE_MISMATCH.NON_FOLDABLE_INPUT",
            "42K09",
            format!("the format of `{function}` has to be a constant"),
        )),
    }
}

fn decimal_type(function: &str, arguments: &ReturnFieldArgs<'_>) -> Result<DataType> {
    let format = arguments.scalar_arguments.get(1).copied().flatten();
    Ok(match constant_format(function, format)? {
        Some(format) => {
            let (precision, scale) = format.decimal();
            Decimal128(precision, scale)
        }
        None => Decimal128(38, 0),
    })
}

fn read_all(arguments: &ScalarFunctionArgs, failure: Failure) -> Result<ColumnarValue> {
    let Decimal128(precision, scale) = *arguments.return_field.data_type() else {
        return Err(DataFusionError::Internal("to_number gives a decimal".to_owned()));
    };
    let format = match arguments.args.get(1) {
        Some(ColumnarValue::Scalar(format)) => constant_format("to_number", Some(format))?,
        _ => None,
    };
    over_arrays(arguments, |arrays| {
        let given = text_at(arrays, 0)?;
        let numbers = values::<Decimal128Type>(arrays, |row| {
            let Some(format) = &format else { return Ok(None) };
            match (format.parse(given.value(row)), failure) {
                (Some(number), _) => Ok(Some(number)),
                (None, Failure::Null) => Ok(None),
                (None, Failure::Error) => Err(condition(
                    "INVALID_FORMAT.MISMATCH_INPUT",
                    "42601",
                    format!(
                        "'{}' is not written as the format of `to_number` says",
                        given.value(row)
                    ),
                )),
            }
        })?;
        Ok(Arc::new(numbers.with_precision_and_scale(precision, scale)?))
    })
}

fn written_types(types: &[DataType]) -> Result<Vec<DataType>> {
    count("to_char", types, 2, 2)?;
    let value = match types.first() {
        Some(Decimal128(precision, scale)) => Decimal128(*precision, *scale),
        Some(value) if is_integral(value) => Decimal128(20, 0),
        Some(value) if *value == Float64 || *value == DataType::Float32 || is_text(value) => {
            Decimal128(38, 15)
        }
        Some(value) if value.is_binary() => Binary,
        Some(DataType::Null) | None => Decimal128(38, 15),
        Some(moment @ (Date32 | Timestamp(..))) => moment.clone(),
        Some(other) => {
            return Err(unexpected(
                "to_char",
                1,
                "NUMERIC, BINARY, DATE or TIMESTAMP",
                other,
            ));
        }
    };
    Ok(vec![value, Utf8])
}

fn written(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let formats = text_at(arrays, 1)?;
    let Some(first) = arrays.first() else {
        return texts(arrays, |_, _| Ok(false));
    };
    let Decimal128(_, scale) = first.data_type() else {
        return bytes_written(arrays);
    };
    let numbers = first.as_primitive::<Decimal128Type>();
    let scale = usize::try_from(*scale).unwrap_or(0);
    texts(arrays, |row, out| {
        let format = Format::read(formats.value(row))?;
        let number = numbers.value(row);
        let digits = format!("{:0>width$}", number.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let sign = if number < 0 { Sign::Minus } else { Sign::Plus };
        Ok(out
            .write_str(&format.write(
                sign,
                whole.trim_start_matches('0'),
                fraction.trim_end_matches('0'),
            ))
            .is_ok())
    })
}

fn bytes_written(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (given, formats) = (bytes_at(arrays, 0)?, text_at(arrays, 1)?);
    texts(arrays, |row, out| {
        let value = given.value(row);
        let text = match formats.value(row).to_ascii_lowercase().as_str() {
            "hex" => value.iter().map(|byte| format!("{byte:02X}")).collect(),
            "base64" => base64::engine::general_purpose::STANDARD.encode(value),
            "utf-8" => String::from_utf8_lossy(value).into_owned(),
            other => {
                return Err(condition(
                    "INVALID_PARAMETER_VALUE.BINARY_FORMAT",
                    "22023",
                    format!("`to_char` does not know the format '{other}'; there are base64, hex and utf-8"),
                ));
            }
        };
        Ok(out.write_str(&text).is_ok())
    })
}
