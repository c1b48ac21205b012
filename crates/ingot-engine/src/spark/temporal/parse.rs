//! Dates and times as texts hold them.

use super::calendar::{HOUR_MICROS, MINUTE_MICROS, SECOND_MICROS, days_of, local_of};
use super::zone::Zone;
use super::{now, today};

/// Reads a DATE: `yyyy`, `yyyy-[m]m`, `yyyy-[m]m-[d]d`, and anything after a space or `T` then. Days are returned.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    let (sign, unsigned) = signed(trimmed(text));
    let end = unsigned.find([' ', 'T']).unwrap_or(unsigned.len());
    let (date, rest) = unsigned.split_at(end);
    let mut parts = date.splitn(3, '-');
    let year = number(parts.next()?, 4, 7)?;
    let month = parts.next().map(|part| number(part, 1, 2));
    let day = parts.next().map(|part| number(part, 1, 2));
    if day.is_none() && !rest.is_empty() {
        return None;
    }
    days_of(
        sign.unwrap_or(1) * year,
        month.unwrap_or(Some(1))?,
        day.unwrap_or(Some(1))?,
    )
}

/// Reads a TIMESTAMP, in `zone` where the text names none: see [`parse_date`] for its date; `[h]h:[m]m[:[s]s[.f]]`, and
/// a zone after seconds. A time alone is of today. Microseconds are returned; further digits are cut off.
pub(crate) fn parse_timestamp(text: &str, zone: &Zone) -> Option<i64> {
    let parsed = Parsed::read(text)?;
    let zone = parsed.zone.unwrap_or(*zone);
    let days = match parsed.date {
        Some(days) => days,
        None => today(&zone),
    };
    zone.instant(local_of(days, parsed.micros)?)
}

/// Reads a TIMESTAMP_NTZ: as [`parse_timestamp`], but a zone is not looked at, and there has to be a date.
pub(crate) fn parse_timestamp_ntz(text: &str) -> Option<i64> {
    let parsed = Parsed::read(text)?;
    local_of(parsed.date?, parsed.micros)
}

/// Reads the words that stand for days where a literal is written: `epoch`, `now`, `today`, `yesterday`, `tomorrow`.
pub(crate) fn special_date(text: &str, zone: &Zone) -> Option<i32> {
    match trimmed(text).to_ascii_lowercase().as_str() {
        "epoch" => Some(0),
        "now" | "today" => Some(today(zone)),
        "yesterday" => today(zone).checked_sub(1),
        "tomorrow" => today(zone).checked_add(1),
        _ => None,
    }
}

/// Reads the words that stand for instants: as [`special_date`], each the start of its day, but for `now`.
pub(crate) fn special_timestamp(text: &str, zone: &Zone) -> Option<i64> {
    match trimmed(text).to_ascii_lowercase().as_str() {
        "epoch" => Some(0),
        "now" => Some(now()),
        _ => zone.start_of_day(special_date(text, zone)?),
    }
}

/// What a text says of a time.
struct Parsed {
    /// `None` where the text has a time only.
    date: Option<i32>,
    micros: i64,
    zone: Option<Zone>,
}

impl Parsed {
    fn read(text: &str) -> Option<Self> {
        let text = trimmed(text);
        if let Some(time) = text.strip_prefix('T') {
            return Self::with_time(None, time);
        }
        let (sign, unsigned) = signed(text);
        if sign.is_none() && unsigned.bytes().find(|byte| !byte.is_ascii_digit()) == Some(b':') {
            return Self::with_time(None, unsigned);
        }
        let end = unsigned.find([' ', 'T']).unwrap_or(unsigned.len());
        let (date, rest) = unsigned.split_at(end);
        let mut parts = date.splitn(3, '-');
        let year = number(parts.next()?, 4, 6)?;
        let month = parts.next().map(|part| number(part, 1, 2));
        let day = parts.next().map(|part| number(part, 1, 2));
        let whole = day.is_some();
        let days = days_of(
            sign.unwrap_or(1) * year,
            month.unwrap_or(Some(1))?,
            day.unwrap_or(Some(1))?,
        )?;
        match rest.get(1..) {
            Some(time) if whole => Self::with_time(Some(days), time),
            Some(_) => None,
            None => Some(Self {
                date: Some(days),
                micros: 0,
                zone: None,
            }),
        }
    }

    fn with_time(date: Option<i32>, time: &str) -> Option<Self> {
        let (hour, rest) = digits(time);
        let hour = number(hour, 1, 2)?;
        let (minute, rest) = match rest.strip_prefix(':') {
            Some(rest) => {
                let (minute, rest) = digits(rest);
                (number(minute, 1, 2)?, rest)
            }
            None => (0, rest),
        };
        let (second, fraction, zone) = match rest.strip_prefix(':') {
            Some(rest) => seconds(rest)?,
            None if rest.is_empty() => (0, 0, None),
            None => return None,
        };
        let exists = hour < 24 && minute < 60 && second < 60;
        exists.then_some(Self {
            date,
            micros: hour * HOUR_MICROS + minute * MINUTE_MICROS + second * SECOND_MICROS + fraction,
            zone,
        })
    }
}

/// Reads seconds, microseconds and a zone.
fn seconds(text: &str) -> Option<(i64, i64, Option<Zone>)> {
    let (second, rest) = digits(text);
    let second = number(second, 1, 2)?;
    let (micros, rest) = match rest.strip_prefix('.') {
        Some(rest) => {
            let (fraction, rest) = digits(rest);
            (micros_of(fraction), rest)
        }
        None => (0, rest),
    };
    let zone = match rest {
        "" => None,
        name => Some(Zone::parse(name.trim())?),
    };
    Some((second, micros, zone))
}

/// Returns the microseconds of digits after the point; those from the seventh on are left out.
pub(super) fn micros_of(fraction: &str) -> i64 {
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(6);
    digits.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'))
}

/// Splits a text after its first digits.
pub(super) fn digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

/// Reads a number of so many digits.
fn number(text: &str, least: usize, most: usize) -> Option<i64> {
    let plain = (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

fn signed(text: &str) -> (Option<i64>, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (Some(-1), &text[1..]),
        Some(b'+') => (Some(1), &text[1..]),
        _ => (None, text),
    }
}

/// Takes spaces and control characters off both ends.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii_whitespace() || c.is_ascii_control())
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::super::{write_date, write_local, write_timestamp};
    use super::*;

    #[test_case("2024", Some("2024-01-01"))]
    #[test_case("2024-2", Some("2024-02-01"))]
    #[test_case(" 2024-2-9 ", Some("2024-02-09"))]
    #[test_case("2024-02-29T12:00", Some("2024-02-29"))]
    #[test_case("2024-02-29 anything", Some("2024-02-29"))]
    #[test_case("+12345-01-01", Some("+12345-01-01"))]
    #[test_case("-0001-01-01", Some("-0001-01-01"))]
    #[test_case("", None)]
    #[test_case("24-01-01", None)]
    #[test_case("2024-13-01", None)]
    #[test_case("2023-02-29", None)]
    #[test_case("2024-02 ", Some("2024-02-01"))]
    #[test_case("2024-02T", None)]
    #[test_case("2024-01-01x", None)]
    #[test_case("2024/01/01", None)]
    #[test_case("2024-001-01", None)]
    fn dates_are_read(text: &str, expected: Option<&str>) {
        let written = parse_date(text).map(|days| {
            let mut written = String::new();
            write_date(days, &mut written);
            written
        });
        assert_eq!(written.as_deref(), expected);
    }

    #[test_case("2024-01-02", Some("2024-01-02 08:00:00"))]
    #[test_case("2024-01-02 03:04", Some("2024-01-02 11:04:00"))]
    #[test_case("2024-01-02 3", Some("2024-01-02 11:00:00"))]
    #[test_case("2024-01-02T03:04:05.1", Some("2024-01-02 11:04:05.1"))]
    #[test_case("2024-01-02T03:04:05.123456789", Some("2024-01-02 11:04:05.123456"))]
    #[test_case("2024-01-02T03:04:05Z", Some("2024-01-02 03:04:05"))]
    #[test_case("2024-01-02T03:04:05.5+01:00", Some("2024-01-02 02:04:05.5"))]
    #[test_case("2024-01-02 03:04:05 UTC+1", Some("2024-01-02 02:04:05"))]
    #[test_case("2024-01-02 03:04:05 Europe/Berlin", Some("2024-01-02 02:04:05"))]
    #[test_case("2024-01-02 03:04:05.Europe/Berlin", Some("2024-01-02 02:04:05"))]
    #[test_case("2024-01-01 25:00:00", None)]
    #[test_case("2024-01-01 12:60:00", None)]
    #[test_case("2024-01-01 12:00+01:00", None)]
    #[test_case("2024-01-01 ", Some("2024-01-01 08:00:00"))]
    #[test_case("2024-01-01T", None)]
    #[test_case("2024-01-01 12:00:00 Mars", None)]
    #[test_case("", None)]
    fn timestamps_are_read(text: &str, expected: Option<&str>) {
        let zone = Zone::parse("America/Los_Angeles").expect("a zone");
        let written = parse_timestamp(text, &zone).map(|micros| {
            let mut written = String::new();
            write_timestamp(micros, &Zone::UTC, &mut written);
            written
        });
        assert_eq!(written.as_deref(), expected);
    }

    #[test_case("2024-01-02 03:04:05+01:00", Some("2024-01-02 03:04:05"))]
    #[test_case("12:30:00", None; "a time alone")]
    #[test_case("T12", None; "a time alone after its letter")]
    fn local_timestamps_are_read(text: &str, expected: Option<&str>) {
        let written = parse_timestamp_ntz(text).map(|micros| {
            let mut written = String::new();
            write_local(micros, &mut written);
            written
        });
        assert_eq!(written.as_deref(), expected);
    }

    #[test]
    fn a_time_alone_is_of_today() {
        let at = parse_timestamp("12:30:00.25", &Zone::UTC).expect("an instant");
        assert_eq!(Zone::UTC.day(at), today(&Zone::UTC));
    }
}
