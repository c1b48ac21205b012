//! Numbers as they are written. Source: Spark SQL, "Literals", "Numeric literal".

use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use ingot_common::Kind;

use super::carried_text;
use crate::Error;
use crate::error::external;

/// Digits of a decimal, at most.
const DIGITS_MAX: usize = 38;

/// What a number ends with, longest first, for its type to be another than its digits make it.
const SUFFIXES: [&str; 6] = ["BD", "L", "S", "Y", "D", "F"];

/// Plans a number.
///
/// # Errors
/// `InvalidArgument` for one that its type does not hold.
pub(super) fn plan(text: &Expr) -> Result<Expr> {
    let value = number(carried_text(text)?).map_err(external)?;
    Ok(Expr::Literal(value, None))
}

/// Splits a number into its digits and the suffix that says its type, in capitals, if it has one.
pub(crate) fn split(text: &str) -> (&str, Option<&'static str>) {
    for suffix in SUFFIXES {
        let Some(at) = text.len().checked_sub(suffix.len()) else {
            continue;
        };
        if text.is_char_boundary(at)
            && text[at..].eq_ignore_ascii_case(suffix)
            && is_number(unsigned(&text[..at]))
        {
            return (&text[..at], Some(suffix));
        }
    }
    (text, None)
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix('-').unwrap_or(text)
}

/// Says if `text` is a number without a suffix: `1`, `1.`, `.5`, `1e-3`.
pub(crate) fn is_number(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |text: &str| text.chars().all(|digit| digit.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_is_one = exponent.is_none_or(|exponent| {
        let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !unsigned.is_empty() && digits(unsigned)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_is_one
}

/// Reads a number, which may have a sign.
fn number(text: &str) -> Result<ScalarValue, Error> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let (digits, suffix) = split(unsigned);
    let signed = format!("{sign}{digits}");
    let outside = |what: &str| {
        Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "INVALID_NUMERIC_LITERAL_RANGE",
            sqlstate: "22003",
            message: format!("the number {text} is outside the range of {what}"),
        })
    };
    let double = || signed.parse::<f64>();
    Ok(match suffix {
        Some("L") => match signed.parse() {
            Ok(value) => ScalarValue::Int64(Some(value)),
            Err(_) => return outside("BIGINT"),
        },
        Some("S") => match signed.parse() {
            Ok(value) => ScalarValue::Int16(Some(value)),
            Err(_) => return outside("SMALLINT"),
        },
        Some("Y") => match signed.parse() {
            Ok(value) => ScalarValue::Int8(Some(value)),
            Err(_) => return outside("TINYINT"),
        },
        Some("F") => match signed.parse::<f32>() {
            Ok(value) if value.is_finite() => ScalarValue::Float32(Some(value)),
            _ => return outside("FLOAT"),
        },
        Some("D") => match double() {
            Ok(value) if value.is_finite() => ScalarValue::Float64(Some(value)),
            _ => return outside("DOUBLE"),
        },
        None if digits.contains(['e', 'E']) => match double() {
            Ok(value) if value.is_finite() => ScalarValue::Float64(Some(value)),
            _ => return outside("DOUBLE"),
        },
        None if !digits.contains('.') => match (signed.parse::<i32>(), signed.parse::<i64>()) {
            (Ok(value), _) => ScalarValue::Int32(Some(value)),
            (_, Ok(value)) => ScalarValue::Int64(Some(value)),
            _ => decimal(&signed)?,
        },
        _ => decimal(&signed)?,
    })
}

/// Reads a decimal of just the digits that are written. An exponent moves its point.
fn decimal(text: &str) -> Result<ScalarValue, Error> {
    let too_long = || Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "DECIMAL_PRECISION_EXCEEDS_MAX_PRECISION",
        sqlstate: "22003",
        message: format!("the number {text} has more than {DIGITS_MAX} digits"),
    };
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().map_err(|_| too_long())?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let unscaled = format!("{whole}{fraction}");
    let mut scale = fraction.len() as i64 - exponent;
    let mut value: i128 = unscaled.parse().map_err(|_| too_long())?;
    if scale < 0 {
        let zeros = u32::try_from(-scale).map_err(|_| too_long())?;
        let power = 10_i128.checked_pow(zeros).ok_or_else(too_long)?;
        value = value.checked_mul(power).ok_or_else(too_long)?;
        scale = 0;
    }
    let scale = usize::try_from(scale).map_err(|_| too_long())?;
    let digits = match value {
        0 => 1,
        value => value.unsigned_abs().ilog10() as usize + 1,
    };
    let precision = digits.max(scale);
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(precision), Ok(scale)) if usize::from(precision) <= DIGITS_MAX => {
            Ok(ScalarValue::Decimal128(Some(value), precision, scale))
        }
        _ => Err(too_long()),
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("1", ScalarValue::Int32(Some(1)))]
    #[test_case("-2147483648", ScalarValue::Int32(Some(i32::MIN)))]
    #[test_case("2147483648", ScalarValue::Int64(Some(2_147_483_648)))]
    #[test_case(
        "9223372036854775808",
        ScalarValue::Decimal128(Some(9_223_372_036_854_775_808), 19, 0)
    )]
    #[test_case("1.10", ScalarValue::Decimal128(Some(110), 3, 2))]
    #[test_case("0.5", ScalarValue::Decimal128(Some(5), 1, 1))]
    #[test_case(".50", ScalarValue::Decimal128(Some(50), 2, 2))]
    #[test_case("1e3", ScalarValue::Float64(Some(1000.0)))]
    #[test_case("-128Y", ScalarValue::Int8(Some(-128)))]
    #[test_case("1BD", ScalarValue::Decimal128(Some(1), 1, 0))]
    #[test_case("15E2bd", ScalarValue::Decimal128(Some(1500), 4, 0))]
    #[test_case("2.5f", ScalarValue::Float32(Some(2.5)))]
    #[test_case("1.5d", ScalarValue::Float64(Some(1.5)))]
    fn numbers_have_the_type_that_they_are_written_with(text: &str, expected: ScalarValue) {
        assert_eq!(number(text).expect("a number"), expected);
    }

    #[test_case("128Y")]
    #[test_case("9223372036854775808L")]
    #[test_case("1e400")]
    #[test_case("123456789012345678901234567890123456789")]
    fn numbers_that_their_type_does_not_hold_are_refused(text: &str) {
        assert!(number(text).is_err());
    }
}
