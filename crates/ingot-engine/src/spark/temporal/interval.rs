//! Intervals: read from what literals and casts write, and written.
//!
//! A year-month interval is months, a day-time interval is microseconds, a calendar interval is months, days and
//! microseconds that stay apart. Source: Spark, `IntervalUtils`; Spark SQL, "Literals", "Interval literal".

use std::fmt::Write as _;

use arrow::datatypes::IntervalMonthDayNano;

use super::calendar::{DAY_MICROS, HOUR_MICROS, MINUTE_MICROS, SECOND_MICROS};
use super::parse::{digits, micros_of, trimmed};
use super::write::{write_fraction, write_seconds};

/// The parts of a calendar interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CalendarParts {
    pub months: i32,
    pub days: i32,
    pub micros: i64,
}

impl From<IntervalMonthDayNano> for CalendarParts {
    fn from(interval: IntervalMonthDayNano) -> Self {
        Self {
            months: interval.months,
            days: interval.days,
            micros: interval.nanoseconds / 1000,
        }
    }
}

/// A field of an interval, larger ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum IntervalField {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

impl IntervalField {
    /// Reads a name: `day`, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "year" => Self::Year,
            "month" => Self::Month,
            "day" => Self::Day,
            "hour" => Self::Hour,
            "minute" => Self::Minute,
            "second" => Self::Second,
            _ => return None,
        })
    }

    fn micros(self) -> i64 {
        match self {
            Self::Year | Self::Month => 0,
            Self::Day => DAY_MICROS,
            Self::Hour => HOUR_MICROS,
            Self::Minute => MINUTE_MICROS,
            Self::Second => SECOND_MICROS,
        }
    }
}

/// Reads months: `1-2`, `-1-2`, or the literal that casts write, `INTERVAL '1-2' YEAR TO MONTH`.
pub(crate) fn parse_year_month(text: &str) -> Option<i32> {
    use IntervalField::{Month, Year};
    let (text, from, to) = unshelled(trimmed(text), (Year, Month))?;
    months_between_fields(text, from, to)
}

/// Reads microseconds: `1 02:03:04.5`, `-1 02:03:04`, or the literal that casts write,
/// `INTERVAL '1 02:03:04' DAY TO SECOND`.
pub(crate) fn parse_day_time(text: &str) -> Option<i64> {
    use IntervalField::{Day, Second};
    let (text, from, to) = unshelled(trimmed(text), (Day, Second))?;
    micros_between_fields(text, from, to)
}

/// Reads the months of a text that has the fields `from` to `to`: `1-2`, or `5` for one.
pub(crate) fn months_between_fields(text: &str, from: IntervalField, to: IntervalField) -> Option<i32> {
    use IntervalField::{Month, Year};
    let (sign, unsigned) = signed(trimmed(text));
    let whole = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse::<i64>().ok())?
    };
    let months = match (from, to) {
        (Year, Year) => whole(unsigned)?.checked_mul(12)?,
        (Month, Month) => whole(unsigned)?,
        (Year, Month) => {
            let (years, months) = unsigned.split_once('-')?;
            let months = whole(months).filter(|months| *months < 12)?;
            whole(years)?.checked_mul(12)?.checked_add(months)?
        }
        _ => return None,
    };
    i32::try_from(sign * months).ok()
}

/// Reads the microseconds of a text that has the fields `from` to `to`: `1 02:03:04.5`, `02:03`, or `5` for one.
pub(crate) fn micros_between_fields(text: &str, from: IntervalField, to: IntervalField) -> Option<i64> {
    use IntervalField::{Day, Hour, Minute, Second};
    const FIELDS: [IntervalField; 4] = [Day, Hour, Minute, Second];
    let (sign, mut rest) = signed(trimmed(text));
    let mut total = 0_i64;
    for field in FIELDS.into_iter().filter(|field| (from..=to).contains(field)) {
        if field != from {
            rest = rest.strip_prefix(if field == Hour { ' ' } else { ':' })?;
        }
        let (number, after) = digits(rest);
        let value: i64 = number.parse().ok()?;
        let most = match field {
            Hour => 23,
            _ => 59,
        };
        if field != from && (value > most || number.len() > 2) {
            return None;
        }
        total = total.checked_add(sign * value.checked_mul(field.micros())?)?;
        rest = after;
        if field == Second
            && let Some(fraction) = rest.strip_prefix('.')
        {
            let (fraction, after) = digits(fraction);
            if !(1..=9).contains(&fraction.len()) {
                return None;
            }
            total = total.checked_add(sign * micros_of(fraction))?;
            rest = after;
        }
    }
    rest.is_empty().then_some(total)
}

/// Reads numbers with units: `1 year 2 months -3 days 4.5 seconds`, `interval` before them or not.
pub(crate) fn parse_calendar(text: &str) -> Option<CalendarParts> {
    let lower = trimmed(text).to_ascii_lowercase();
    let mut rest = lower.as_str();
    if let Some(after) = rest.strip_prefix("interval")
        && after.starts_with(|c: char| c.is_ascii_whitespace())
    {
        rest = after.trim_ascii_start();
    }
    if rest.is_empty() {
        return None;
    }
    let mut parts = CalendarParts::default();
    while !rest.is_empty() {
        let (sign, after) = signed(rest);
        let after = after.trim_ascii_start();
        let end = after
            .bytes()
            .position(|byte| !(byte.is_ascii_digit() || byte == b'.'));
        let (number, after) = after.split_at(end?);
        let after = after.trim_ascii_start();
        let end = after.bytes().position(|byte| !byte.is_ascii_alphabetic());
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        parts = parts.plus(sign, number, unit)?;
        rest = after.trim_ascii_start();
    }
    Some(parts)
}

impl CalendarParts {
    /// Adds a number of a unit, as `days`.
    pub fn plus(mut self, sign: i64, number: &str, unit: &str) -> Option<Self> {
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let whole = match whole {
            "" if !fraction.is_empty() => 0,
            whole => sign * whole.parse::<i64>().ok()?,
        };
        let plain = fraction.bytes().all(|byte| byte.is_ascii_digit()) && fraction.len() <= 9;
        let unit = unit.strip_suffix('s').unwrap_or(unit);
        if !plain || (number.contains('.') && unit != "second") {
            return None;
        }
        let whole_32 = |times: i64| i32::try_from(whole.checked_mul(times)?).ok();
        let micros = |times: i64| whole.checked_mul(times);
        match unit {
            "year" => self.months = self.months.checked_add(whole_32(12)?)?,
            "month" => self.months = self.months.checked_add(whole_32(1)?)?,
            "week" => self.days = self.days.checked_add(whole_32(7)?)?,
            "day" => self.days = self.days.checked_add(whole_32(1)?)?,
            "hour" => self.micros = self.micros.checked_add(micros(HOUR_MICROS)?)?,
            "minute" => self.micros = self.micros.checked_add(micros(MINUTE_MICROS)?)?,
            "second" => {
                let micros = micros(SECOND_MICROS)?.checked_add(sign * micros_of(fraction))?;
                self.micros = self.micros.checked_add(micros)?;
            }
            "millisecond" => self.micros = self.micros.checked_add(micros(1000)?)?,
            "microsecond" => self.micros = self.micros.checked_add(whole)?,
            _ => return None,
        }
        Some(self)
    }

    /// Returns days and microseconds as one number.
    pub fn day_time(self) -> Option<i64> {
        i64::from(self.days)
            .checked_mul(DAY_MICROS)?
            .checked_add(self.micros)
    }
}

/// Writes `INTERVAL '1-2' YEAR TO MONTH`.
pub(crate) fn write_year_month(months: i32, into: &mut String) {
    into.push_str("INTERVAL '");
    write_year_month_bare(months, into);
    into.push_str("' YEAR TO MONTH");
}

/// Writes `1-2`, as Hive does.
pub(crate) fn write_year_month_bare(months: i32, into: &mut String) {
    let sign = if months < 0 { "-" } else { "" };
    let months = months.unsigned_abs();
    let _ = write!(into, "{sign}{}-{}", months / 12, months % 12);
}

/// Writes `INTERVAL '1 02:03:04.5' DAY TO SECOND`.
pub(crate) fn write_day_time(micros: i64, into: &mut String) {
    into.push_str("INTERVAL '");
    let of_minute = write_to_minutes(micros, into);
    write_seconds(of_minute, into);
    into.push_str("' DAY TO SECOND");
}

/// Writes `1 02:03:04.500000000`, as Hive does.
pub(crate) fn write_day_time_bare(micros: i64, into: &mut String) {
    let of_minute = write_to_minutes(micros, into);
    let (seconds, micros) = (of_minute / SECOND_MICROS, of_minute % SECOND_MICROS);
    let _ = write!(into, "{seconds:02}.{micros:06}000");
}

/// Writes `1 02:03:` and returns the microseconds that are left, without their sign.
fn write_to_minutes(micros: i64, into: &mut String) -> i64 {
    let sign = if micros < 0 { "-" } else { "" };
    let day = DAY_MICROS.unsigned_abs();
    let (days, rest) = (micros.unsigned_abs() / day, micros.unsigned_abs() % day);
    // The microseconds of a day fit.
    let rest = rest as i64;
    let (hours, minutes) = (rest / HOUR_MICROS, rest % HOUR_MICROS / MINUTE_MICROS);
    let _ = write!(into, "{sign}{days} {hours:02}:{minutes:02}:");
    rest % MINUTE_MICROS
}

/// Writes `1 years 2 months 3 days 4 hours 5 minutes 6.5 seconds`, without parts that are zero.
pub(crate) fn write_calendar(parts: CalendarParts, into: &mut String) {
    let start = into.len();
    let (hours, minutes) = (
        parts.micros / HOUR_MICROS,
        parts.micros % HOUR_MICROS / MINUTE_MICROS,
    );
    let units = [
        (i64::from(parts.months / 12), "years"),
        (i64::from(parts.months % 12), "months"),
        (i64::from(parts.days), "days"),
        (hours, "hours"),
        (minutes, "minutes"),
    ];
    for (value, unit) in units.into_iter().filter(|(value, _)| *value != 0) {
        let _ = write!(into, "{value} {unit} ");
    }
    let micros = parts.micros % MINUTE_MICROS;
    if micros != 0 || into.len() == start {
        let sign = if micros < 0 { "-" } else { "" };
        let _ = write!(into, "{sign}{}", micros.abs() / SECOND_MICROS);
        write_fraction(micros.abs() % SECOND_MICROS, into);
        into.push_str(" seconds");
    }
    into.truncate(into.trim_ascii_end().len());
}

/// Takes `INTERVAL '…' DAY TO SECOND` off a text, and says which fields it has; those given where it has no such shell.
fn unshelled(
    text: &str,
    fields: (IntervalField, IntervalField),
) -> Option<(&str, IntervalField, IntervalField)> {
    if !text
        .get(..8)
        .is_some_and(|start| start.eq_ignore_ascii_case("interval"))
    {
        return Some((text, fields.0, fields.1));
    }
    let rest = text.get(8..)?.trim_ascii_start();
    let (minus, rest) = signed(rest);
    let (value, named) = rest.strip_prefix('\'')?.split_once('\'')?;
    if minus < 0 {
        return None;
    }
    let words: Vec<&str> = named.split_ascii_whitespace().collect();
    let (from, to) = match words.as_slice() {
        [one] => (IntervalField::parse(one)?, IntervalField::parse(one)?),
        [from, to, until] if to.eq_ignore_ascii_case("to") => {
            (IntervalField::parse(from)?, IntervalField::parse(until)?)
        }
        _ => return None,
    };
    Some((value, from, to))
}

fn signed(text: &str) -> (i64, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        _ => (1, text),
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn written<T>(value: T, write: fn(T, &mut String)) -> String {
        let mut text = String::new();
        write(value, &mut text);
        text
    }

    #[test_case("1-2", Some("INTERVAL '1-2' YEAR TO MONTH"))]
    #[test_case("-1-2", Some("INTERVAL '-1-2' YEAR TO MONTH"))]
    #[test_case("INTERVAL '0-5' YEAR TO MONTH", Some("INTERVAL '0-5' YEAR TO MONTH"))]
    #[test_case("interval '5' year", Some("INTERVAL '5-0' YEAR TO MONTH"))]
    #[test_case("1-12", None)]
    #[test_case("1", None)]
    #[test_case("200000000-0", None)]
    fn year_month_intervals_are_read(text: &str, expected: Option<&str>) {
        let text = parse_year_month(text).map(|months| written(months, write_year_month));
        assert_eq!(text.as_deref(), expected);
    }

    #[test_case("1 02:03:04", Some("INTERVAL '1 02:03:04' DAY TO SECOND"))]
    #[test_case("-1 02:03:04.500", Some("INTERVAL '-1 02:03:04.5' DAY TO SECOND"))]
    #[test_case(
        "INTERVAL '25:30' HOUR TO MINUTE",
        Some("INTERVAL '1 01:30:00' DAY TO SECOND")
    )]
    #[test_case("INTERVAL '1.25' SECOND", Some("INTERVAL '0 00:00:01.25' DAY TO SECOND"))]
    #[test_case("1 24:00:00", None)]
    #[test_case("1 02:03", None)]
    #[test_case("", None)]
    fn day_time_intervals_are_read(text: &str, expected: Option<&str>) {
        let text = parse_day_time(text).map(|micros| written(micros, write_day_time));
        assert_eq!(text.as_deref(), expected);
    }

    #[test_case(14, "1-2")]
    #[test_case(-5, "-0-5")]
    #[test_case(i32::MIN, "-178956970-8")]
    fn year_month_intervals_are_written_bare(months: i32, expected: &str) {
        assert_eq!(written(months, write_year_month_bare), expected);
    }

    #[test_case(0, "0 00:00:00.000000000")]
    #[test_case(93_784_500_000, "1 02:03:04.500000000")]
    #[test_case(-1, "-0 00:00:00.000001000")]
    #[test_case(i64::MIN, "-106751991 04:00:54.775808000")]
    fn day_time_intervals_are_written_bare(micros: i64, expected: &str) {
        assert_eq!(written(micros, write_day_time_bare), expected);
    }

    #[test_case("1 year 2 months 3 days 4 hours", Some("1 years 2 months 3 days 4 hours"))]
    #[test_case("interval -1 week 1.5 seconds", Some("-7 days 1.5 seconds"))]
    #[test_case("- 90 minutes", Some("-1 hours -30 minutes"))]
    #[test_case("0 days", Some("0 seconds"))]
    #[test_case("1.5 days", None)]
    #[test_case("1 fortnight", None)]
    #[test_case("day", None)]
    #[test_case("", None)]
    fn calendar_intervals_are_read(text: &str, expected: Option<&str>) {
        let text = parse_calendar(text).map(|parts| written(parts, write_calendar));
        assert_eq!(text.as_deref(), expected);
    }
}
