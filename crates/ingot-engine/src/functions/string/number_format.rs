//! Formats of numbers, as `to_number` and `to_char` have them: `S$99G999D00`. Source: Spark, `ToNumberParser`.

use datafusion::error::{DataFusionError, Result};

use crate::error::condition;

/// A format that has been read.
#[derive(Debug, PartialEq)]
pub(super) struct Format {
    signed: Option<Signed>,
    currency: bool,
    /// Digits before the point, and `,` between them, from the left.
    whole: Vec<char>,
    fraction: usize,
    /// Says if there is a point.
    point: bool,
}

/// Where the sign is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Signed {
    /// `S`: of both signs.
    First,
    Last,
    /// `MI`: of minus alone.
    MinusFirst,
    MinusLast,
    /// `PR`: `<1>` for -1.
    Brackets,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Sign {
    Plus,
    Minus,
}

fn unexpected(format: &str) -> DataFusionError {
    condition(
        "INVALID_FORMAT.UNEXPECTED_TOKEN",
        "42601",
        format!(
            "the format of numbers '{format}' cannot be read: [S|MI][$]digits[.digits][$][S|MI|PR] is one"
        ),
    )
}

impl Format {
    /// Reads a format.
    ///
    /// # Errors
    /// `INVALID_FORMAT`, with what is wrong.
    pub fn read(text: &str) -> Result<Self> {
        let upper = text.to_ascii_uppercase();
        let rest = upper.as_str();
        let invalid = || unexpected(text);
        let (first, rest) = match (rest.strip_prefix("MI"), rest.strip_prefix('S')) {
            (Some(rest), _) => (Some(Signed::MinusFirst), rest),
            (_, Some(rest)) => (Some(Signed::First), rest),
            _ => (None, rest),
        };
        let (last, rest) = match rest {
            rest if rest.ends_with("MI") => (Some(Signed::MinusLast), rest.strip_suffix("MI")),
            rest if rest.ends_with("PR") => (Some(Signed::Brackets), rest.strip_suffix("PR")),
            rest if rest.ends_with('S') => (Some(Signed::Last), rest.strip_suffix('S')),
            rest => (None, Some(rest)),
        };
        let rest = rest.unwrap_or_default();
        if first.is_some() && last.is_some() {
            return Err(invalid());
        }
        let (currency, rest) = match (rest.strip_prefix('$'), rest.strip_suffix('$')) {
            (Some(rest), _) | (None, Some(rest)) => (true, rest),
            (None, None) => (false, rest),
        };
        let (whole, fraction) = match rest.split_once(['.', 'D']) {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (rest, None),
        };
        let whole: Vec<char> = whole.chars().map(|c| if c == 'G' { ',' } else { c }).collect();
        let digit = |character: &char| matches!(character, '0' | '9');
        let fraction_digits = fraction.unwrap_or_default();
        let parted = whole.split(|c| *c == ',').collect::<Vec<_>>();
        let well_formed = whole.iter().all(|c| digit(c) || *c == ',')
            && fraction_digits.chars().all(|c| digit(&c))
            && (parted.len() == 1 || parted.iter().all(|part| !part.is_empty()))
            && whole.iter().filter(|c| digit(c)).count() + fraction_digits.len() > 0;
        if !well_formed {
            return Err(invalid());
        }
        Ok(Self {
            signed: first.or(last),
            currency,
            whole,
            fraction: fraction_digits.len(),
            point: fraction.is_some(),
        })
    }

    fn whole_digits(&self) -> usize {
        self.whole.iter().filter(|character| **character != ',').count()
    }

    /// Returns precision and scale of the decimals that the format has.
    pub fn decimal(&self) -> (u8, i8) {
        let digits = self.whole_digits() + self.fraction;
        (
            u8::try_from(digits.clamp(1, 38)).unwrap_or(38),
            i8::try_from(self.fraction.min(38)).unwrap_or(0),
        )
    }

    /// Reads a number, of the scale of [`Format::decimal`]; `None` when it is not written so.
    pub fn parse(&self, text: &str) -> Option<i128> {
        let text: String = text
            .chars()
            .filter(|character| !character.is_whitespace())
            .collect();
        let (sign, rest) = self.parse_sign(&text)?;
        let rest = match (self.currency, rest.strip_prefix('$'), rest.strip_suffix('$')) {
            (true, Some(rest), _) | (true, None, Some(rest)) => rest,
            (true, None, None) => return None,
            (false, _, _) => rest,
        };
        let (whole, fraction) = match rest.split_once('.') {
            Some((whole, fraction)) if self.point => (whole, fraction),
            Some(_) => return None,
            None => (rest, ""),
        };
        let digits = self.parse_whole(whole)?;
        if fraction.len() > self.fraction || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        if digits.is_empty() && fraction.is_empty() {
            return None;
        }
        let number: i128 = format!("0{digits}{fraction:0<width$}", width = self.fraction)
            .parse()
            .ok()?;
        Some(if sign == Sign::Minus { -number } else { number })
    }

    fn parse_sign<'a>(&self, text: &'a str) -> Option<(Sign, &'a str)> {
        let minus = |rest| Some((Sign::Minus, rest));
        match self.signed {
            None => Some((Sign::Plus, text)),
            Some(Signed::First | Signed::MinusFirst) => match text.strip_prefix('-') {
                Some(rest) => minus(rest),
                None => Some((Sign::Plus, text.strip_prefix('+').unwrap_or(text))),
            },
            Some(Signed::Last | Signed::MinusLast) => match text.strip_suffix('-') {
                Some(rest) => minus(rest),
                None => Some((Sign::Plus, text.strip_suffix('+').unwrap_or(text))),
            },
            Some(Signed::Brackets) => match text.strip_prefix('<') {
                Some(rest) => minus(rest.strip_suffix('>')?),
                None => Some((Sign::Plus, text)),
            },
        }
    }

    /// Reads what is before the point: commas where the format has them.
    fn parse_whole(&self, text: &str) -> Option<String> {
        let mut digits = String::with_capacity(text.len());
        let mut format = self.whole.iter().rev().peekable();
        for character in text.chars().rev() {
            let expected = format.next()?;
            match (character, expected) {
                (',', ',') => {}
                (digit, '0' | '9') if digit.is_ascii_digit() => digits.push(digit),
                _ => return None,
            }
        }
        // After a leading zero, all digits must be there.
        let missing = format.peek().is_some();
        if (missing && self.whole.first() == Some(&'0')) || text.starts_with(',') {
            return None;
        }
        Some(digits.chars().rev().collect())
    }

    /// Writes a number of these digits, without zeros at their ends; `#` where it has more than the format.
    pub fn write(&self, sign: Sign, whole: &str, fraction: &str) -> String {
        let fits = whole.len() <= self.whole_digits();
        let mut digits = whole.chars().rev().peekable();
        let mut written = Vec::with_capacity(self.whole.len());
        // Zeros stand for what is missing from the first `0` on, blanks before it.
        let first_zero = self
            .whole
            .iter()
            .position(|c| *c == '0')
            .unwrap_or(self.whole.len());
        for (place, expected) in self.whole.iter().enumerate().rev() {
            let more = digits.peek().is_some();
            written.push(match (expected, fits) {
                (',', _) if more || place >= first_zero || !fits => ',',
                (',', _) => ' ',
                (_, false) => '#',
                (_, true) => match digits.next() {
                    Some(digit) => digit,
                    None if place >= first_zero => '0',
                    None => ' ',
                },
            });
        }
        let whole: String = written.iter().rev().collect();
        let point = if self.point { "." } else { "" };
        let kept: String = fraction.chars().take(self.fraction).collect();
        let fraction = match fits {
            true => format!("{kept:0<width$}", width = self.fraction),
            false => "#".repeat(self.fraction),
        };
        let blanks = whole.len() - whole.trim_start().len();
        let (blank, whole) = whole.split_at(blanks);
        let currency = if self.currency { "$" } else { "" };
        let number = format!("{currency}{whole}{point}{fraction}");
        let minus = sign == Sign::Minus;
        match self.signed {
            None if minus => format!("{blank}-{number}"),
            None => format!("{blank}{number}"),
            Some(Signed::First) => format!("{blank}{}{number}", if minus { '-' } else { '+' }),
            Some(Signed::Last) => format!("{blank}{number}{}", if minus { '-' } else { '+' }),
            Some(Signed::MinusFirst) => format!("{blank}{}{number}", if minus { '-' } else { ' ' }),
            Some(Signed::MinusLast) => format!("{blank}{number}{}", if minus { '-' } else { ' ' }),
            Some(Signed::Brackets) if minus => format!("{blank}<{number}>"),
            Some(Signed::Brackets) => format!("{blank} {number} "),
        }
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("454", "999", Some(454), (3, 0))]
    #[test_case("454.00", "000.00", Some(45_400), (5, 2))]
    #[test_case("12,454", "99,999", Some(12_454), (5, 0))]
    #[test_case("$78.12", "$99.99", Some(7_812), (4, 2))]
    #[test_case("12,454.8-", "99,999.9S", Some(-124_548), (6, 1))]
    #[test_case("<5>", "9PR", Some(-5), (1, 0))]
    #[test_case("45", "999", Some(45), (3, 0))]
    #[test_case("45", "099", None, (3, 0); "a leading zero wants all digits")]
    #[test_case("4545", "999", None, (3, 0))]
    #[test_case("1,2", "99", None, (2, 0))]
    #[test_case("12", "9,9", None, (2, 0))]
    #[test_case("1", "9D99", Some(100), (3, 2))]
    #[test_case("", "9", None, (1, 0))]
    fn numbers_are_read(text: &str, format: &str, expected: Option<i128>, decimal: (u8, i8)) {
        let format = Format::read(format).expect("a format");
        assert_eq!((format.parse(text), format.decimal()), (expected, decimal));
    }

    #[test_case("999", Sign::Plus, "454", "", "454")]
    #[test_case("000D00", Sign::Plus, "454", "", "454.00")]
    #[test_case("99G999", Sign::Plus, "12454", "", "12,454")]
    #[test_case("$99.99", Sign::Plus, "78", "12", "$78.12")]
    #[test_case("99G999D9S", Sign::Minus, "12454", "8", "12,454.8-")]
    #[test_case("99,999", Sign::Plus, "12", "", "    12")]
    #[test_case("00,999", Sign::Plus, "12", "", "00,012")]
    #[test_case("99", Sign::Plus, "454", "", "##")]
    fn numbers_are_written(format: &str, sign: Sign, whole: &str, fraction: &str, expected: &str) {
        let format = Format::read(format).expect("a format");
        assert_eq!(format.write(sign, whole, fraction), expected);
    }

    #[test_case("")]
    #[test_case("9,")]
    #[test_case("S9MI")]
    #[test_case("abc")]
    fn what_is_no_format_is_refused(format: &str) {
        assert!(Format::read(format).is_err());
    }
}
