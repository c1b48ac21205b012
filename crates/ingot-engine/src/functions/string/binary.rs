//! Bytes of text: `to_binary(text[, format])`, `unbase64`, `base64`, and their `try_` siblings.
//!
//! Formats are `hex`, which is the default, `utf-8` and `base64`. Source: Spark, `ToBinary`, `UnBase64`.

use std::fmt::Write as _;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType::{Binary, Utf8};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion::error::{DataFusionError, Result};

use crate::error::condition;
use crate::functions::arguments::{exact, over_arrays, up_to};
use crate::functions::function::{Function, Returns};
use crate::functions::rows::{bytes, bytes_at, text_at, texts};

pub(super) fn functions() -> [Function; 4] {
    [
        Function::pure(
            "to_binary",
            |types| up_to("to_binary", types, 1, &[Utf8, Utf8]),
            Returns::Always(Binary),
            |arguments| over_arrays(arguments, |arrays| read(arrays, Failure::Error)),
        ),
        Function::pure(
            "try_to_binary",
            |types| up_to("try_to_binary", types, 1, &[Utf8, Utf8]),
            Returns::Always(Binary),
            |arguments| over_arrays(arguments, |arrays| read(arrays, Failure::Null)),
        ),
        Function::pure(
            "unbase64",
            |types| exact("unbase64", types, &[Utf8]),
            Returns::Always(Binary),
            |arguments| {
                over_arrays(arguments, |arrays| {
                    let values = text_at(arrays, 0)?;
                    bytes(arrays, |row, out| {
                        let value = values.value(row);
                        match from_base64(value) {
                            Some(found) => out.extend(found),
                            None => return Err(invalid("base64", value)),
                        }
                        Ok(true)
                    })
                })
            },
        ),
        Function::pure(
            "base64",
            |types| exact("base64", types, &[Binary]),
            Returns::Always(Utf8),
            |arguments| {
                over_arrays(arguments, |arrays| {
                    let values = bytes_at(arrays, 0)?;
                    texts(arrays, |row, out| {
                        Ok(out.write_str(&STANDARD.encode(values.value(row))).is_ok())
                    })
                })
            },
        ),
    ]
}

#[derive(Clone, Copy, PartialEq)]
enum Failure {
    Error,
    Null,
}

fn invalid(format: &str, value: &str) -> DataFusionError {
    condition(
        "CONVERSION_INVALID_INPUT",
        "22018",
        format!("the value '{value}' is no {format}; use `try_to_binary` to get NULL instead"),
    )
}

fn read(arrays: &[ArrayRef], failure: Failure) -> Result<ArrayRef> {
    let values = text_at(arrays, 0)?;
    let formats = arrays.get(1).map(|_| text_at(arrays, 1)).transpose()?;
    bytes(arrays, |row, out| {
        let value = values.value(row);
        let format = formats.map_or("hex", |formats| formats.value(row));
        let found = match format.to_ascii_lowercase().as_str() {
            "hex" => from_hex(value),
            "utf-8" | "utf8" => Some(value.as_bytes().to_vec()),
            "base64" => from_base64(value),
            _ => {
                return Err(condition(
                    "INVALID_PARAMETER_VALUE.BINARY_FORMAT",
                    "22023",
                    format!(
                        "`to_binary` does not know the format '{format}'; there are base64, hex and utf-8"
                    ),
                ));
            }
        };
        match (found, failure) {
            (Some(found), _) => {
                out.extend(found);
                Ok(true)
            }
            (None, Failure::Null) => Ok(false),
            (None, Failure::Error) => Err(invalid(format, value)),
        }
    })
}

/// Reads hexadecimal digits; of an odd number of them, the first is a byte of its own.
pub(in crate::functions) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.bytes().map(|digit| {
        char::from(digit)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    });
    let digits: Vec<u8> = digits.collect::<Option<_>>()?;
    let (first, rest) = digits.split_at(digits.len() % 2);
    let (pairs, _) = rest.as_chunks::<2>();
    let pairs = pairs.iter().map(|[high, low]| high << 4 | low);
    Some(first.iter().copied().chain(pairs).collect())
}

/// Reads base64 as it comes in mail: blanks and ends of lines do not count, and filling may be missing.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let text: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let digits = text
        .iter()
        .rposition(|byte| *byte != b'=')
        .map_or(0, |last| last + 1);
    if text.len() - digits > 2 || (text.len() > digits && !text.len().is_multiple_of(4)) {
        return None;
    }
    base64::engine::general_purpose::STANDARD_NO_PAD
        .decode(text.get(..digits)?)
        .ok()
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("U3BhcmsgU1FM", Some("Spark SQL"))]
    #[test_case("YWI=", Some("ab"))]
    #[test_case("YWI", Some("ab"); "filling may be missing")]
    #[test_case("YW\r\nI=", Some("ab"))]
    #[test_case("", Some(""))]
    #[test_case("a!", None)]
    #[test_case("YWI==", None)]
    fn base64_is_read_as_in_mail(text: &str, expected: Option<&str>) {
        assert_eq!(from_base64(text).as_deref(), expected.map(str::as_bytes));
    }

    #[test_case("537061", Some(&[0x53, 0x70, 0x61]))]
    #[test_case("F1a", Some(&[0xf, 0x1a]))]
    #[test_case("", Some(&[]))]
    #[test_case("GG", None)]
    fn hexadecimal_digits_are_read(text: &str, expected: Option<&[u8]>) {
        assert_eq!(from_hex(text).as_deref(), expected);
    }
}
