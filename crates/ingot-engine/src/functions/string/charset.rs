//! `encode(text, charset)` and `decode(bytes, charset)`: text to bytes and back.
//!
//! What the charset has no bytes for, and bytes that are no text of it, are errors. Source: Spark, `Encode`, `StringDecode`;
//! the charsets are those of Spark 4.

use std::fmt::Write;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType::{Binary, Utf8};
use datafusion::error::{DataFusionError, Result};

use crate::error::condition;
use crate::functions::arguments::{exact, over_arrays};
use crate::functions::function::{Function, Returns};
use crate::functions::rows::{bytes, bytes_at, text_at, texts};

pub(super) fn functions() -> [Function; 2] {
    [
        Function::pure(
            "encode",
            |types| exact("encode", types, &[Utf8, Utf8]),
            Returns::Always(Binary),
            |arguments| over_arrays(arguments, encoded),
        ),
        Function::pure(
            "decode",
            |types| exact("decode", types, &[Binary, Utf8]),
            Returns::Always(Utf8),
            |arguments| over_arrays(arguments, decoded),
        ),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Charset {
    Ascii,
    Latin1,
    Utf8,
    /// Starts with a mark of its order, which is the big one when there is no mark.
    Utf16,
    Utf16Big,
    Utf16Little,
    Utf32,
}

impl Charset {
    fn of(function: &str, name: &str) -> Result<Self> {
        Ok(match name.to_ascii_uppercase().as_str() {
            "US-ASCII" => Self::Ascii,
            "ISO-8859-1" => Self::Latin1,
            "UTF-8" => Self::Utf8,
            "UTF-16" => Self::Utf16,
            "UTF-16BE" => Self::Utf16Big,
            "UTF-16LE" => Self::Utf16Little,
            "UTF-32" => Self::Utf32,
            _ => {
                return Err(condition(
                    "INVALID_PARAMETER_VALUE.CHARSET",
                    "22023",
                    format!(
                        "`{function}` does not know the charset `{name}`; there are US-ASCII, ISO-8859-1, UTF-8, \
                         UTF-16, UTF-16BE, UTF-16LE and UTF-32"
                    ),
                ));
            }
        })
    }

    /// Writes a text; `None` when it has a character that the charset has not.
    fn encode(self, text: &str, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Utf8 => out.extend_from_slice(text.as_bytes()),
            Self::Ascii if text.is_ascii() => out.extend_from_slice(text.as_bytes()),
            Self::Ascii => return None,
            Self::Latin1 => {
                for character in text.chars() {
                    out.push(u8::try_from(u32::from(character)).ok()?);
                }
            }
            Self::Utf16 if text.is_empty() => {}
            Self::Utf16 => {
                out.extend_from_slice(&[0xfe, 0xff]);
                out.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
            }
            Self::Utf16Big => out.extend(text.encode_utf16().flat_map(u16::to_be_bytes)),
            Self::Utf16Little => out.extend(text.encode_utf16().flat_map(u16::to_le_bytes)),
            Self::Utf32 => out.extend(
                text.chars()
                    .flat_map(|character| u32::from(character).to_be_bytes()),
            ),
        }
        Some(())
    }

    /// Writes the text of bytes; `None` when they are none.
    fn decode(self, bytes: &[u8], out: &mut impl Write) -> Option<()> {
        match self {
            Self::Utf8 => out.write_str(std::str::from_utf8(bytes).ok()?).ok(),
            Self::Ascii if bytes.is_ascii() => out.write_str(std::str::from_utf8(bytes).ok()?).ok(),
            Self::Ascii => None,
            Self::Latin1 => bytes
                .iter()
                .try_for_each(|byte| out.write_char(char::from(*byte)))
                .ok(),
            Self::Utf16 => match bytes {
                [0xff, 0xfe, rest @ ..] => units(rest, u16::from_le_bytes, out),
                [0xfe, 0xff, rest @ ..] | rest => units(rest, u16::from_be_bytes, out),
            },
            Self::Utf16Big => units(bytes, u16::from_be_bytes, out),
            Self::Utf16Little => units(bytes, u16::from_le_bytes, out),
            Self::Utf32 => {
                let (points, rest) = bytes.as_chunks::<4>();
                for point in points {
                    out.write_char(char::from_u32(u32::from_be_bytes(*point))?).ok()?;
                }
                rest.is_empty().then_some(())
            }
        }
    }
}

fn units(bytes: &[u8], unit: fn([u8; 2]) -> u16, out: &mut impl Write) -> Option<()> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    for character in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        out.write_char(character.ok()?).ok()?;
    }
    rest.is_empty().then_some(())
}

fn malformed(function: &str, charset: &str) -> DataFusionError {
    condition(
        "MALFORMED_CHARACTER_CODING",
        "22000",
        format!("`{function}` met a value that the charset {charset} does not have"),
    )
}

fn encoded(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (values, charsets) = (text_at(arrays, 0)?, text_at(arrays, 1)?);
    bytes(arrays, |row, out| {
        let charset = charsets.value(row);
        match Charset::of("encode", charset)?.encode(values.value(row), out) {
            Some(()) => Ok(true),
            None => Err(malformed("encode", charset)),
        }
    })
}

fn decoded(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (values, charsets) = (bytes_at(arrays, 0)?, text_at(arrays, 1)?);
    texts(arrays, |row, out| {
        let charset = charsets.value(row);
        match Charset::of("decode", charset)?.decode(values.value(row), out) {
            Some(()) => Ok(true),
            None => Err(malformed("decode", charset)),
        }
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::StringBuilder;
    use test_case::test_case;

    use super::*;

    #[test_case("US-ASCII", "a", &[0x61])]
    #[test_case("iso-8859-1", "é", &[0xe9])]
    #[test_case("UTF-16", "a", &[0xfe, 0xff, 0, 0x61])]
    #[test_case("UTF-16LE", "é", &[0xe9, 0])]
    #[test_case("UTF-32", "𝄞", &[0, 1, 0xd1, 0x1e])]
    fn text_becomes_bytes_and_back(charset: &str, text: &str, expected: &[u8]) {
        let charset = Charset::of("encode", charset).expect("a charset");
        let mut bytes = Vec::new();
        charset.encode(text, &mut bytes).expect("encoded");
        assert_eq!(bytes, expected);
        let mut back = StringBuilder::new();
        charset.decode(&bytes, &mut back).expect("decoded");
        back.append_value("");
        assert_eq!(back.finish().value(0), text);
    }

    #[test]
    fn what_a_charset_has_not_is_refused() {
        assert!(Charset::Ascii.encode("é", &mut Vec::new()).is_none());
        assert!(Charset::Utf8.decode(&[0xff], &mut StringBuilder::new()).is_none());
        assert!(Charset::of("encode", "windows-1252").is_err());
    }
}
