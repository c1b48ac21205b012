//! Numbers as Java writes and reads them.

use std::fmt::Write as _;

/// Writes a double: `1.0`, `1.0E10`, `NaN`. Source: Java, `Double.toString`.
pub(crate) fn write_double(value: f64, into: &mut String) {
    let written = match special(value) {
        Some(special) => into.write_str(special),
        None if value == 0.0 || (1e-3..1e7).contains(&value.abs()) => write!(into, "{value:?}"),
        None => scientific(&format!("{value:e}"), into),
    };
    debug_assert!(written.is_ok(), "a text takes what is written to it");
}

/// Writes a float. Source: Java, `Float.toString`.
pub(crate) fn write_float(value: f32, into: &mut String) {
    let written = match special(f64::from(value)) {
        Some(special) => into.write_str(special),
        None if value == 0.0 || (1e-3..1e7).contains(&value.abs()) => write!(into, "{value:?}"),
        None => scientific(&format!("{value:e}"), into),
    };
    debug_assert!(written.is_ok(), "a text takes what is written to it");
}

fn special(value: f64) -> Option<&'static str> {
    match value {
        value if value.is_nan() => Some("NaN"),
        f64::INFINITY => Some("Infinity"),
        f64::NEG_INFINITY => Some("-Infinity"),
        _ => None,
    }
}

fn scientific(text: &str, into: &mut String) -> std::fmt::Result {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let point = if mantissa.contains('.') { "" } else { ".0" };
    write!(into, "{mantissa}{point}E{exponent}")
}

/// Reads the words that stand for what is no number in JSON.
pub(crate) fn special_double(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" | "+Infinity" | "INF" | "+INF" => Some(f64::INFINITY),
        "-Infinity" | "-INF" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// Reads a decimal of a type, rounding half up; `None` for one that does not fit, and for what is none.
pub(crate) fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (digits, own_scale) = unscaled(text)?;
    let scale = i64::from(scale);
    let value = match scale - own_scale {
        0 => digits,
        more @ 1.. => digits.checked_mul(10_i128.checked_pow(u32::try_from(more).ok()?)?)?,
        fewer => match 10_i128.checked_pow(u32::try_from(-fewer).ok()?) {
            Some(power) => {
                let rest = digits % power;
                let up = i128::from(rest.unsigned_abs() >= power.unsigned_abs() / 2);
                digits / power + up * digits.signum()
            }
            None => 0,
        },
    };
    let limit = 10_i128.checked_pow(u32::from(precision))?;
    (value.abs() < limit).then_some(value)
}

/// Reads a number as digits and how many of them are behind the point.
pub(crate) fn unscaled(text: &str) -> Option<(i128, i64)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    Some((digits, i64::try_from(fraction.len()).ok()? - exponent))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(1.0, "1.0")]
    #[test_case(0.001, "0.001")]
    #[test_case(1e7, "1.0E7")]
    #[test_case(-1.25e-5, "-1.25E-5")]
    #[test_case(f64::NAN, "NaN")]
    fn doubles_are_written_as_in_java(value: f64, expected: &str) {
        let mut text = String::new();
        write_double(value, &mut text);
        assert_eq!(text, expected);
    }

    #[test_case("1.005", Some(101))]
    #[test_case("-1.005", Some(-101))]
    #[test_case("1e1", Some(1000))]
    #[test_case("999.994", Some(99999))]
    #[test_case("999.995", None)]
    #[test_case("1e-50", Some(0))]
    #[test_case("x", None)]
    fn decimals_are_rounded_half_up(text: &str, expected: Option<i128>) {
        assert_eq!(decimal(text, 5, 2), expected);
    }
}
