//! Doubles rounded as they are written: 2.345 to two digits is 2.35, though it is less in binary.
//!
//! Source: Spark, `RoundBase` over Java's `BigDecimal(double)`.

use super::round::Mode;

/// Rounds to the nearest number of so many digits after the point.
pub(super) fn double(value: f64, digits: i32, mode: Mode) -> f64 {
    // A double of 2^52 and more is whole.
    if !value.is_finite() || value == 0.0 || (digits >= 0 && value.abs() >= 4_503_599_627_370_496.0) {
        return value;
    }
    rounded(&value.to_string(), digits, mode).parse().unwrap_or(value)
}

/// As [`double`].
pub(super) fn float(value: f32, digits: i32, mode: Mode) -> f32 {
    match value.is_finite() {
        true => rounded(&value.to_string(), digits, mode).parse().unwrap_or(value),
        false => value,
    }
}

/// Rounds a number that is written without an exponent; the result may have one.
fn rounded(text: &str, digits: i32, mode: Mode) -> String {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", text),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let kept = i64::try_from(whole.len()).unwrap_or(i64::MAX) + i64::from(digits);
    let Ok(kept) = usize::try_from(kept) else {
        return "0".to_owned();
    };
    let mut all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    if kept >= all.len() {
        return text.to_owned();
    }
    let dropped = all.split_off(kept);
    let rest = dropped.iter().skip(1).any(|digit| *digit != b'0');
    let odd = all.last().is_some_and(|digit| digit % 2 == 1);
    let up = match (dropped.first(), mode) {
        (Some(b'6'..=b'9'), _) | (Some(b'5'), Mode::HalfUp) => true,
        (Some(b'5'), _) => rest || odd,
        _ => false,
    };
    if up {
        increment(&mut all);
    }
    let head = String::from_utf8(all).unwrap_or_default();
    format!("{sign}0{head}e{}", -i64::from(digits))
}

/// Adds one to a number of digits.
fn increment(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        match *digit {
            b'9' => *digit = b'0',
            _ => {
                *digit += 1;
                return;
            }
        }
    }
    digits.insert(0, b'1');
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(2.5, 0, Mode::HalfUp, 3.0)]
    #[test_case(2.5, 0, Mode::HalfEven, 2.0)]
    #[test_case(3.5, 0, Mode::HalfEven, 4.0)]
    #[test_case(-2.5, 0, Mode::HalfUp, -3.0)]
    #[test_case(2.345, 2, Mode::HalfUp, 2.35)]
    #[test_case(1.005, 2, Mode::HalfUp, 1.01)]
    #[test_case(9.99, 1, Mode::HalfUp, 10.0)]
    #[test_case(0.5, 0, Mode::HalfUp, 1.0)]
    #[test_case(0.05, 0, Mode::HalfUp, 0.0)]
    #[test_case(125.0, -1, Mode::HalfUp, 130.0)]
    #[test_case(125.0, -1, Mode::HalfEven, 120.0)]
    #[test_case(55.0, -2, Mode::HalfUp, 100.0)]
    #[test_case(5.0, -2, Mode::HalfUp, 0.0)]
    #[test_case(1e-300, 2, Mode::HalfUp, 0.0)]
    #[test_case(1e300, 2, Mode::HalfUp, 1e300)]
    fn doubles_are_rounded_as_they_are_written(value: f64, digits: i32, mode: Mode, expected: f64) {
        assert_eq!(double(value, digits, mode), expected);
    }
}
