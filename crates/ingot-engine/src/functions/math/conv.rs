//! `conv(text, from, to)`: a whole number in another base.
//!
//! It is one of 64 bits without a sign, unless `to` is negative; digits are read up to the first that is none. One of more
//! bits is an error, and the largest of 64 without ANSI mode. Source: Spark, `NumberConverter`.

use std::fmt::Write as _;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType::{Int32, Utf8};
use arrow::datatypes::Int32Type;
use datafusion::error::Result;

use crate::error::condition;
use crate::functions::arguments::{exact, over_arrays};
use crate::functions::function::{Function, Returns};
use crate::functions::rows::{text_at, texts, value_at};
use crate::spark::AnsiMode;

pub(super) fn function() -> Function {
    Function::pure(
        "conv",
        |types| exact("conv", types, &[Utf8, Int32, Int32]),
        Returns::Always(Utf8),
        |arguments| {
            let mode = AnsiMode::of(&arguments.config_options);
            over_arrays(arguments, |arrays| converted(arrays, mode))
        },
    )
}

fn converted(arrays: &[ArrayRef], mode: AnsiMode) -> Result<ArrayRef> {
    let (numbers, from, to) = (
        text_at(arrays, 0)?,
        value_at::<Int32Type>(arrays, 1)?,
        value_at::<Int32Type>(arrays, 2)?,
    );
    texts(arrays, |row, out| {
        match convert(numbers.value(row), from.value(row), to.value(row)) {
            Conversion::Number(text) => Ok(out.write_str(&text).is_ok()),
            Conversion::None => Ok(false),
            Conversion::Overflow if mode == AnsiMode::Off => {
                Ok(out.write_str(&largest(to.value(row))).is_ok())
            }
            Conversion::Overflow => Err(condition(
                "ARITHMETIC_OVERFLOW",
                "22003",
                format!(
                    "the number '{}' of `conv` has more than 64 bits",
                    numbers.value(row)
                ),
            )),
        }
    })
}

#[derive(Debug, PartialEq)]
enum Conversion {
    Number(String),
    None,
    Overflow,
}

fn convert(number: &str, from: i32, to: i32) -> Conversion {
    let bases = 2..=36;
    let text = number.trim_matches(' ');
    let (Ok(from), to_base) = (u32::try_from(from), to.unsigned_abs()) else {
        return Conversion::None;
    };
    if text.is_empty() || !bases.contains(&from) || !bases.contains(&to_base) {
        return Conversion::None;
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let mut value: u64 = 0;
    for digit in digits.chars().map_while(|digit| digit.to_digit(from)) {
        let next = value
            .checked_mul(u64::from(from))
            .and_then(|value| value.checked_add(u64::from(digit)));
        match next {
            Some(next) => value = next,
            None => return Conversion::Overflow,
        }
    }
    let signed = value.cast_signed();
    let (sign, value) = match (negative, to > 0) {
        // A number that has no negative counterpart becomes the largest.
        (true, true) if signed < 0 => ("", u64::MAX),
        (true, true) => ("", value.wrapping_neg()),
        (true, false) => ("-", signed.unsigned_abs()),
        (false, false) if signed < 0 => ("-", signed.unsigned_abs()),
        (false, _) => ("", value),
    };
    Conversion::Number(format!("{sign}{}", in_base(value, to_base)))
}

/// Writes the largest number: all bits, which are -1 with a sign.
fn largest(to: i32) -> String {
    match to < 0 {
        true => "-1".to_owned(),
        false => in_base(u64::MAX, to.unsigned_abs()),
    }
}

fn in_base(value: u64, base: u32) -> String {
    let mut rest = value;
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(rest % u64::from(base)).unwrap_or(0);
        digits.extend(char::from_digit(digit, base));
        rest /= u64::from(base);
        if rest == 0 {
            break;
        }
    }
    digits.iter().rev().map(char::to_ascii_uppercase).collect()
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("100", 2, 10, "4")]
    #[test_case("ff", 16, 10, "255")]
    #[test_case("-10", 16, -10, "-16")]
    #[test_case("-1", 10, 16, "FFFFFFFFFFFFFFFF")]
    #[test_case("FFFFFFFFFFFFFFFF", 16, -10, "-1")]
    #[test_case("12z", 10, 10, "12")]
    #[test_case("z", 10, 10, "0")]
    fn numbers_are_written_in_other_bases(number: &str, from: i32, to: i32, expected: &str) {
        assert_eq!(convert(number, from, to), Conversion::Number(expected.to_owned()));
    }

    #[test]
    fn what_cannot_be_converted_is_null_or_an_error() {
        assert_eq!(convert("", 10, 2), Conversion::None);
        assert_eq!(convert("1", 1, 2), Conversion::None);
        assert_eq!(convert("1", 10, 37), Conversion::None);
        assert_eq!(convert("18446744073709551616", 10, 2), Conversion::Overflow);
    }
}
