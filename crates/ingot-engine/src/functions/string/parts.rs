//! Parts of a text: `left`, `right`, `substring`, `substring_index`, `split_part`, `overlay`.
//!
//! Places count characters of a text and bytes of bytes, from 1; a negative one counts from the end. Source: Spark,
//! `UTF8String.substringSQL`, `subStringIndex`, `SplitPart`, `Overlay`.

use std::fmt::Write as _;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::DataType::{self, Binary, Int32, Utf8};
use arrow::datatypes::Int32Type;
use datafusion::error::Result;

use crate::error::condition;
use crate::functions::arguments::{count, exact, over_arrays};
use crate::functions::function::{Function, Returns};
use crate::functions::rows::{bytes, bytes_at, text_at, texts, value_at};

pub(super) fn functions() -> Vec<Function> {
    let first = || Returns::Of(|types| Ok(types.first().cloned().unwrap_or(Utf8)));
    vec![
        Function::pure(
            "left",
            |types| sliced_types("left", types, 2, 2),
            first(),
            |arguments| over_arrays(arguments, |arrays| sliced(arrays, Slice::Left)),
        ),
        Function::pure(
            "right",
            |types| exact("right", types, &[Utf8, Int32]),
            first(),
            |arguments| over_arrays(arguments, |arrays| sliced(arrays, Slice::Right)),
        ),
        Function::pure(
            "substring",
            |types| sliced_types("substring", types, 2, 3),
            first(),
            |arguments| over_arrays(arguments, |arrays| sliced(arrays, Slice::Middle)),
        )
        .also(&["substr"]),
        Function::pure(
            "substring_index",
            |types| exact("substring_index", types, &[Utf8, Utf8, Int32]),
            Returns::Always(Utf8),
            |arguments| over_arrays(arguments, before_delimiters),
        ),
        Function::pure(
            "split_part",
            |types| exact("split_part", types, &[Utf8, Utf8, Int32]),
            Returns::Always(Utf8),
            |arguments| over_arrays(arguments, split_parts),
        ),
        Function::pure("overlay", overlay_types, first(), |arguments| {
            over_arrays(arguments, overlaid)
        }),
    ]
}

fn sliced_types(function: &str, types: &[DataType], least: usize, most: usize) -> Result<Vec<DataType>> {
    count(function, types, least, most)?;
    let kind = match types.first() {
        Some(kind) if kind.is_binary() => Binary,
        _ => Utf8,
    };
    Ok([kind, Int32, Int32].into_iter().take(types.len()).collect())
}

fn overlay_types(types: &[DataType]) -> Result<Vec<DataType>> {
    count("overlay", types, 3, 4)?;
    let kind = match types.iter().take(2).all(DataType::is_binary) {
        true => Binary,
        false => Utf8,
    };
    let wanted = [kind.clone(), kind, Int32, Int32];
    Ok(wanted.into_iter().take(types.len()).collect())
}

#[derive(Clone, Copy)]
enum Slice {
    Left,
    Right,
    Middle,
}

impl Slice {
    /// Returns what is skipped and how many are taken, of `length` characters.
    fn range(self, length: i64, first: i32, second: Option<i32>) -> (i64, i64) {
        let first = i64::from(first);
        let (from, until) = match self {
            Self::Left => (0, first),
            Self::Right => (length - first.max(0), length),
            Self::Middle => {
                let from = match first {
                    1.. => first - 1,
                    0 => 0,
                    _ => length + first,
                };
                (from, second.map_or(length, |taken| from + i64::from(taken)))
            }
        };
        let from = from.max(0);
        (from, (until - from).max(0))
    }
}

fn sliced(arrays: &[ArrayRef], slice: Slice) -> Result<ArrayRef> {
    let firsts = value_at::<Int32Type>(arrays, 1)?;
    let seconds = arrays
        .get(2)
        .map(|_| value_at::<Int32Type>(arrays, 2))
        .transpose()?;
    let second = |row: usize| seconds.map(|seconds| seconds.value(row));
    let long = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
    let size = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    if is_bytes(arrays) {
        let values = bytes_at(arrays, 0)?;
        return bytes(arrays, |row, out| {
            let value = values.value(row);
            let (from, taken) = slice.range(long(value.len()), firsts.value(row), second(row));
            out.extend(value.iter().skip(size(from)).take(size(taken)));
            Ok(true)
        });
    }
    let values = text_at(arrays, 0)?;
    texts(arrays, |row, out| {
        let value = values.value(row);
        let length = match value.is_ascii() {
            true => value.len(),
            false => value.chars().count(),
        };
        let (from, taken) = slice.range(long(length), firsts.value(row), second(row));
        Ok(out.write_str(characters(value, size(from), size(taken))).is_ok())
    })
}

fn is_bytes(arrays: &[ArrayRef]) -> bool {
    arrays
        .first()
        .is_some_and(|array| array.as_binary_opt::<i32>().is_some())
}

/// Returns `taken` characters after the first `skipped`.
fn characters(text: &str, skipped: usize, taken: usize) -> &str {
    let place = |text: &str, nth: usize| match text.is_ascii() {
        true => nth.min(text.len()),
        false => text.char_indices().nth(nth).map_or(text.len(), |(at, _)| at),
    };
    let rest = text.get(place(text, skipped)..).unwrap_or_default();
    rest.get(..place(rest, taken)).unwrap_or_default()
}

/// Of a count of delimiters, what is before them, from the end when it is negative.
fn before_delimiters(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (values, delimiters) = (text_at(arrays, 0)?, text_at(arrays, 1)?);
    let counts = value_at::<Int32Type>(arrays, 2)?;
    texts(arrays, |row, out| {
        let found = before_delimiter(values.value(row), delimiters.value(row), counts.value(row));
        Ok(out.write_str(found).is_ok())
    })
}

fn before_delimiter<'a>(text: &'a str, delimiter: &str, count: i32) -> &'a str {
    if delimiter.is_empty() || count == 0 {
        return "";
    }
    let nth = usize::try_from(count.unsigned_abs() - 1).unwrap_or(usize::MAX);
    // Delimiters may overlap, as Spark looks for the next one a byte after the last.
    let mut places = (0..text.len()).filter(|at| text.as_bytes()[*at..].starts_with(delimiter.as_bytes()));
    match count > 0 {
        true => places.nth(nth).map_or(text, |at| &text[..at]),
        false => places
            .rev()
            .nth(nth)
            .map_or(text, |at| &text[at + delimiter.len()..]),
    }
}

fn split_parts(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (values, delimiters) = (text_at(arrays, 0)?, text_at(arrays, 1)?);
    let places = value_at::<Int32Type>(arrays, 2)?;
    texts(arrays, |row, out| {
        let (value, delimiter) = (values.value(row), delimiters.value(row));
        let place = places.value(row);
        let nth = match place {
            0 => {
                let message =
                    "the index 0 of `split_part` is invalid: parts count from 1, or from -1 at the end";
                return Err(condition("INVALID_INDEX_OF_ZERO", "22003", message.to_owned()));
            }
            place => usize::try_from(place.unsigned_abs() - 1).unwrap_or(usize::MAX),
        };
        let part = match (delimiter, place > 0) {
            ("", _) => (nth == 0).then_some(value),
            (delimiter, true) => value.split(delimiter).nth(nth),
            // The parts are those that splitting from the start finds.
            (delimiter, false) => {
                let parts: Vec<&str> = value.split(delimiter).collect();
                parts.iter().rev().nth(nth).copied()
            }
        };
        Ok(out.write_str(part.unwrap_or_default()).is_ok())
    })
}

/// Puts a text in place of a part of another; a negative length stands for that of the text put in.
fn overlaid(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let places = value_at::<Int32Type>(arrays, 2)?;
    let lengths = arrays
        .get(3)
        .map(|_| value_at::<Int32Type>(arrays, 3))
        .transpose()?;
    // Before, and after: what is skipped of the value.
    let around = |row: usize, length: usize| {
        let place = i64::from(places.value(row));
        let taken = match lengths.map(|lengths| lengths.value(row)) {
            Some(taken @ 0..) => i64::from(taken),
            _ => i64::try_from(length).unwrap_or(i64::MAX),
        };
        let after = place.saturating_add(taken).saturating_sub(1);
        (
            usize::try_from(place - 1).unwrap_or(0),
            usize::try_from(after).unwrap_or(0),
        )
    };
    if is_bytes(arrays) {
        let (values, puts) = (bytes_at(arrays, 0)?, bytes_at(arrays, 1)?);
        return bytes(arrays, |row, out| {
            let (value, put) = (values.value(row), puts.value(row));
            let (before, after) = around(row, put.len());
            out.extend(
                value
                    .iter()
                    .take(before)
                    .chain(put)
                    .chain(value.iter().skip(after)),
            );
            Ok(true)
        });
    }
    let (values, puts) = (text_at(arrays, 0)?, text_at(arrays, 1)?);
    texts(arrays, |row, out| {
        let (value, put) = (values.value(row), puts.value(row));
        let (before, after) = around(row, put.chars().count());
        let written = out
            .write_str(characters(value, 0, before))
            .and_then(|()| out.write_str(put))
            .and_then(|()| out.write_str(characters(value, after, usize::MAX)));
        Ok(written.is_ok())
    })
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("www.apache.org", ".", 2, "www.apache")]
    #[test_case("www.apache.org", ".", -2, "apache.org")]
    #[test_case("www.apache.org", ".", 5, "www.apache.org")]
    #[test_case("www.apache.org", ".", 0, "")]
    #[test_case("www.apache.org", "", 1, "")]
    #[test_case("a||b", "||", -1, "b")]
    #[test_case("äöä", "ä", -1, "")]
    fn delimiters_are_counted_from_either_end(text: &str, delimiter: &str, count: i32, expected: &str) {
        assert_eq!(before_delimiter(text, delimiter, count), expected);
    }

    #[test_case(5, 2, Some(3), (1, 3))]
    #[test_case(5, -3, None, (2, 3))]
    #[test_case(5, 0, Some(2), (0, 2))]
    #[test_case(5, -7, Some(3), (0, 1); "a part may start before the text")]
    #[test_case(5, 1, Some(-1), (0, 0))]
    fn parts_are_within_the_text(length: i64, from: i32, taken: Option<i32>, expected: (i64, i64)) {
        assert_eq!(Slice::Middle.range(length, from, taken), expected);
    }
}
