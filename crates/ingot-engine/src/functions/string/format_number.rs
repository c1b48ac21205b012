//! `format_number(x, digits | pattern)`: a number for people to read, its thousands apart.
//!
//! A pattern is one of Java's `DecimalFormat`: `0` is a digit, `#` one that may be left out, `,` parts thousands, what is
//! around them is copied, `%` multiplies by 100. Halves are rounded to the even digit. Source: Spark, `FormatNumber`.

use std::fmt::Write as _;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType::{self, Decimal128, Float32, Float64, Int32, Int64, Utf8};
use arrow::datatypes::{Decimal128Type, Float64Type, Int32Type, Int64Type};
use datafusion::error::Result;

use crate::functions::arguments::{count, is_text, over_arrays, unexpected};
use crate::functions::function::{Function, Returns};
use crate::functions::rows::{text_at, texts, value_at};

/// Digits after the point, at most. Source: Java, `DecimalFormat`.
const FRACTION_DIGITS_MAX: usize = 340;

pub(super) fn function() -> Function {
    Function::pure("format_number", types, Returns::Always(Utf8), |arguments| {
        over_arrays(arguments, formatted)
    })
}

fn types(types: &[DataType]) -> Result<Vec<DataType>> {
    count("format_number", types, 2, 2)?;
    let (Some(number), Some(format)) = (types.first(), types.get(1)) else {
        return Ok(Vec::new());
    };
    let number = match number {
        DataType::Null => Float64,
        Decimal128(..) => number.clone(),
        Float32 | Float64 => Float64,
        number if number.is_integer() => Int64,
        number if is_text(number) => Float64,
        other => return Err(unexpected("format_number", 1, "NUMERIC", other)),
    };
    let format = match format {
        format if is_text(format) => Utf8,
        DataType::Null => Int32,
        format if format.is_integer() => Int32,
        other => return Err(unexpected("format_number", 2, "an INT or a STRING", other)),
    };
    Ok(vec![number, format])
}

fn formatted(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let digits = value_at::<Int32Type>(arrays, 1).ok();
    let patterns = digits.is_none().then(|| text_at(arrays, 1)).transpose()?;
    let Some(numbers) = arrays.first() else {
        return texts(arrays, |_, _| Ok(false));
    };
    texts(arrays, |row, out| {
        let format = match (digits, patterns) {
            (Some(digits), _) => match usize::try_from(digits.value(row)) {
                Ok(digits) => Format::of_digits(digits),
                Err(_) => return Ok(false),
            },
            (None, Some(patterns)) => Format::read(patterns.value(row)),
            (None, None) => return Ok(false),
        };
        Ok(out
            .write_str(&format.write(&number(numbers, row, format.fraction_max, format.percent)))
            .is_ok())
    })
}

/// Writes a number with so many digits after the point.
fn number(numbers: &ArrayRef, row: usize, digits: usize, percent: bool) -> String {
    let scaled = if percent { 100 } else { 1 };
    match numbers.data_type() {
        Int64 => {
            let value = i128::from(numbers.as_primitive::<Int64Type>().value(row)) * scaled;
            decimal(value, 0, digits)
        }
        Decimal128(_, scale) => {
            let value = numbers.as_primitive::<Decimal128Type>().value(row);
            decimal(
                value.saturating_mul(scaled),
                usize::try_from(*scale).unwrap_or(0),
                digits,
            )
        }
        _ => {
            let value = numbers.as_primitive::<Float64Type>().value(row);
            format!("{:.digits$}", if percent { value * 100.0 } else { value })
        }
    }
}

/// Writes a decimal with another number of digits after the point.
fn decimal(value: i128, scale: usize, digits: usize) -> String {
    let unsigned = value.unsigned_abs().to_string();
    let unsigned = format!("{unsigned:0>width$}", width = scale + 1);
    let (whole, fraction) = unsigned.split_at(unsigned.len() - scale);
    let sign = if value < 0 { "-" } else { "" };
    if digits >= scale {
        return format!("{sign}{whole}.{fraction:0<digits$}")
            .trim_end_matches('.')
            .to_owned();
    }
    let (kept, dropped) = fraction.split_at(digits);
    let mut all: Vec<u8> = whole.bytes().chain(kept.bytes()).collect();
    let more = dropped.bytes().skip(1).any(|digit| digit != b'0');
    let odd = all.last().is_some_and(|digit| digit % 2 == 1);
    let up = match dropped.bytes().next() {
        Some(b'6'..=b'9') => true,
        Some(b'5') => more || odd,
        _ => false,
    };
    if up && let Some(nine) = all.iter().rposition(|digit| *digit != b'9') {
        all[nine] += 1;
        all.iter_mut().skip(nine + 1).for_each(|digit| *digit = b'0');
    } else if up {
        all.iter_mut().for_each(|digit| *digit = b'0');
        all.insert(0, b'1');
    }
    let all = String::from_utf8(all).unwrap_or_default();
    let (whole, fraction) = all.split_at(all.len() - digits);
    format!("{sign}{whole}.{fraction}")
        .trim_end_matches('.')
        .to_owned()
}

/// How a number is written.
#[derive(Debug, PartialEq)]
struct Format {
    prefix: String,
    suffix: String,
    whole_min: usize,
    /// Digits between commas; 0 for none.
    grouping: usize,
    fraction_min: usize,
    fraction_max: usize,
    percent: bool,
}

impl Format {
    fn of_digits(digits: usize) -> Self {
        Self {
            prefix: String::new(),
            suffix: String::new(),
            whole_min: 1,
            grouping: 3,
            fraction_min: digits.min(FRACTION_DIGITS_MAX),
            fraction_max: digits.min(FRACTION_DIGITS_MAX),
            percent: false,
        }
    }

    fn read(pattern: &str) -> Self {
        if pattern.is_empty() {
            return Self::of_digits(0);
        }
        // The form of negative numbers comes after a semicolon, and its numbers do not count.
        let pattern = pattern.split(';').next().unwrap_or_default();
        let is_digit = |character: char| "0#,.".contains(character);
        let start = pattern.find(is_digit).unwrap_or(pattern.len());
        let end = pattern.rfind(is_digit).map_or(pattern.len(), |last| last + 1);
        let digits = pattern.get(start..end).unwrap_or_default();
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let count = |text: &str, wanted: char| text.chars().filter(|character| *character == wanted).count();
        // A pattern without a zero has one next to its point.
        let zeroless = digits.contains('.') && !digits.contains('0');
        let whole_zero = usize::from(zeroless && !whole.is_empty());
        let fraction_zero = usize::from(zeroless && whole.is_empty());
        let around = |text: Option<&str>| text.unwrap_or_default().replace('\'', "");
        Self {
            prefix: around(pattern.get(..start)),
            suffix: around(pattern.get(end..)),
            whole_min: count(whole, '0') + whole_zero,
            grouping: whole.rsplit_once(',').map_or(0, |(_, last)| last.len()),
            fraction_min: (count(fraction, '0') + fraction_zero).min(FRACTION_DIGITS_MAX),
            fraction_max: (count(fraction, '0') + count(fraction, '#')).min(FRACTION_DIGITS_MAX),
            percent: pattern.contains('%'),
        }
    }

    /// Writes a number whose digits after the point are rounded already.
    fn write(&self, number: &str) -> String {
        let (sign, unsigned) = match number.strip_prefix('-') {
            Some(unsigned) => ("-", unsigned),
            None => ("", number),
        };
        match unsigned {
            "NaN" => return "NaN".to_owned(),
            "inf" => return format!("{sign}{}∞{}", self.prefix, self.suffix),
            _ => {}
        }
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let whole = whole.trim_start_matches('0');
        let whole = format!("{whole:0>width$}", width = self.whole_min);
        let kept = fraction
            .trim_end_matches('0')
            .len()
            .max(self.fraction_min.min(fraction.len()));
        let fraction = fraction.get(..kept).unwrap_or_default();
        let whole = match whole.is_empty() && fraction.is_empty() {
            true => "0".to_owned(),
            false => self.grouped(&whole),
        };
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{sign}{}{whole}{point}{fraction}{}", self.prefix, self.suffix)
    }

    fn grouped(&self, digits: &str) -> String {
        let mut grouped = String::with_capacity(digits.len() * 4 / 3);
        for (place, digit) in digits.char_indices() {
            if place > 0 && self.grouping > 0 && (digits.len() - place).is_multiple_of(self.grouping) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        grouped
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(1_233_212_346, 5, 4, "12332.1235")]
    #[test_case(25, 1, 0, "2"; "half to the even digit below")]
    #[test_case(35, 1, 0, "4"; "half to the even digit above")]
    #[test_case(-9_999, 3, 1, "-10.0")]
    #[test_case(5, 3, 2, "0.00"; "half to zero")]
    #[test_case(5, 0, 2, "5.00")]
    fn decimals_are_rounded(value: i128, scale: usize, digits: usize, expected: &str) {
        assert_eq!(decimal(value, scale, digits), expected);
    }

    #[test_case("#.##", "0.50", "0.5"; "a digit before the point though there is no zero")]
    #[test_case("##################.###", "12332.123", "12332.123")]
    #[test_case("#,##0.00", "1234567.80", "1,234,567.80")]
    #[test_case("$#,##0", "-1234", "-$1,234")]
    #[test_case("000", "7", "007")]
    #[test_case("", "1234", "1,234")]
    fn patterns_say_how_a_number_is_written(pattern: &str, number: &str, expected: &str) {
        assert_eq!(Format::read(pattern).write(number), expected);
    }
}
