//! Time zones: what the clock on the wall shows at an instant, and the other way, as java.time has it.
//!
//! A local time that clocks skip is moved on by the gap, one that they show twice is the first. Years beyond the table
//! of the IANA database go on with its last rules: they are looked up in a year that begins on the same weekday.

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;

use super::calendar::{DAY_MICROS, SECOND_MICROS, civil, days_of, is_leap, local_of, split_local, weekday};

/// The table's last year is 2099; the twenty-eight years from here have all kinds of years.
const LAST_CYCLE: i64 = 2068;

const OFFSET_SECONDS_MAX: i32 = 18 * 3600;

/// Names that Java knows besides those of the IANA database. Source: java.time, `ZoneId.SHORT_IDS`.
const SHORT: [(&str, &str); 28] = [
    ("ACT", "Australia/Darwin"),
    ("AET", "Australia/Sydney"),
    ("AGT", "America/Argentina/Buenos_Aires"),
    ("ART", "Africa/Cairo"),
    ("AST", "America/Anchorage"),
    ("BET", "America/Sao_Paulo"),
    ("BST", "Asia/Dhaka"),
    ("CAT", "Africa/Harare"),
    ("CNT", "America/St_Johns"),
    ("CST", "America/Chicago"),
    ("CTT", "Asia/Shanghai"),
    ("EAT", "Africa/Addis_Ababa"),
    ("ECT", "Europe/Paris"),
    ("EST", "-05:00"),
    ("HST", "-10:00"),
    ("IET", "America/Indiana/Indianapolis"),
    ("IST", "Asia/Kolkata"),
    ("JST", "Asia/Tokyo"),
    ("MIT", "Pacific/Apia"),
    ("MST", "-07:00"),
    ("NET", "Asia/Yerevan"),
    ("NST", "Pacific/Auckland"),
    ("PLT", "Asia/Karachi"),
    ("PNT", "America/Phoenix"),
    ("PRT", "America/Puerto_Rico"),
    ("PST", "America/Los_Angeles"),
    ("SST", "Pacific/Guadalcanal"),
    ("VST", "Asia/Ho_Chi_Minh"),
];

/// A time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    Region(Tz),
    /// Seconds east of Greenwich.
    Offset(i32),
}

impl Zone {
    pub const UTC: Self = Self::Offset(0);

    /// Reads a zone: `Europe/Berlin`, `UTC`, `Z`, `+01:00`, `-8:30`, `GMT+1`, `PST`.
    pub fn parse(name: &str) -> Option<Self> {
        if matches!(name, "Z" | "UTC" | "GMT" | "UT" | "Etc/UTC") {
            return Some(Self::UTC);
        }
        if name.starts_with(['+', '-']) {
            return offset(name).map(Self::Offset);
        }
        for prefix in ["UTC", "GMT", "UT"] {
            if let Some(rest) = name.strip_prefix(prefix)
                && rest.starts_with(['+', '-'])
            {
                return offset(rest).map(Self::Offset);
            }
        }
        match SHORT.iter().find(|(short, _)| *short == name) {
            Some((_, long)) => Self::parse(long),
            None => name.parse().ok().map(Self::Region),
        }
    }

    /// Returns what clocks show at an instant, saturated.
    pub fn local(&self, instant: i64) -> i64 {
        instant.saturating_add(i64::from(self.offset_seconds(instant)) * SECOND_MICROS)
    }

    /// Returns the instant at which clocks show `local`; `None` where it does not fit.
    pub fn instant(&self, local: i64) -> Option<i64> {
        let at = |offset: i32| local.checked_sub(i64::from(offset) * SECOND_MICROS);
        let Self::Region(_) = self else {
            return at(self.offset_seconds(local));
        };
        let before = self.offset_seconds(local.saturating_sub(DAY_MICROS));
        let first = at(before)?;
        let now = self.offset_seconds(first);
        if now == before {
            return Some(first);
        }
        let second = at(now)?;
        match self.offset_seconds(second) == now {
            true => Some(second),
            false => Some(first),
        }
    }

    /// Returns the instant at which clocks show `local`, of two the one that is as far ahead of Greenwich as `from` is.
    pub fn relocated(&self, from: i64, local: i64) -> Option<i64> {
        let offset = self.offset_seconds(from);
        let kept = local.checked_sub(i64::from(offset) * SECOND_MICROS)?;
        match self.offset_seconds(kept) == offset {
            true => Some(kept),
            false => self.instant(local),
        }
    }

    /// Returns the instant at which a day begins.
    pub fn start_of_day(&self, days: i32) -> Option<i64> {
        self.instant(local_of(days, 0)?)
    }

    /// Returns the day that clocks are in at an instant.
    pub fn day(&self, instant: i64) -> i32 {
        split_local(self.local(instant)).0
    }

    /// Returns the seconds that clocks are ahead of Greenwich at an instant.
    pub fn offset_seconds(&self, instant: i64) -> i32 {
        match self {
            Self::Offset(seconds) => *seconds,
            Self::Region(region) => {
                let utc = DateTime::from_timestamp_micros(within_table(instant)).unwrap_or_default();
                region
                    .offset_from_utc_datetime(&utc.naive_utc())
                    .fix()
                    .local_minus_utc()
            }
        }
    }
}

/// Moves an instant beyond the table into it, to the same place of a year with the same weekdays.
fn within_table(instant: i64) -> i64 {
    // 2096-01-01: one cycle after the first year of the last.
    const BEYOND: i64 = 3_976_214_400 * SECOND_MICROS;
    // 1000-01-01, long before there were zones.
    const BEFORE: i64 = -30_610_224_000 * SECOND_MICROS;
    if instant < BEYOND {
        return instant.max(BEFORE);
    }
    let (days, micros) = split_local(instant);
    let (year, month, day) = civil(days);
    let year = i64::from(year);
    let begins = |year| days_of(year, 1, 1).map(weekday);
    let same = (LAST_CYCLE..LAST_CYCLE + 28)
        .find(|other| is_leap(*other) == is_leap(year) && begins(*other) == begins(year));
    same.and_then(|other| days_of(other, i64::from(month), i64::from(day)))
        .and_then(|days| local_of(days, micros))
        .unwrap_or(BEYOND)
}

/// Reads `+h`, `+hh`, `+h:mm`, `+hh:m`, `+hh:mm`, `+hhmm`, `+hh:mm:ss`, `+hhmmss`, as seconds.
fn offset(text: &str) -> Option<i32> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits = text.get(1..)?;
    let number = |digits: &str| -> Option<i32> {
        let plain = (1..=2).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
        plain.then(|| digits.parse().ok())?
    };
    let (hours, minutes, seconds) = match digits.split(':').collect::<Vec<_>>().as_slice() {
        [all] if !all.is_ascii() => return None,
        [all] if all.len() <= 2 => (number(all)?, 0, 0),
        [all] if all.len() == 4 => (number(&all[..2])?, number(&all[2..])?, 0),
        [all] if all.len() == 6 => (number(&all[..2])?, number(&all[2..4])?, number(&all[4..])?),
        [hours, minutes] => (number(hours)?, number(minutes)?, 0),
        [hours, minutes, seconds] if minutes.len() == 2 && seconds.len() == 2 => {
            (number(hours)?, number(minutes)?, number(seconds)?)
        }
        _ => return None,
    };
    let total = hours * 3600 + minutes * 60 + seconds;
    (minutes < 60 && seconds < 60 && total <= OFFSET_SECONDS_MAX).then_some(sign * total)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::super::{parse_timestamp, write_timestamp};
    use super::*;

    #[test_case("Z", Some(0))]
    #[test_case("UTC", Some(0))]
    #[test_case("+01:00", Some(3600))]
    #[test_case("-8:30", Some(-30_600))]
    #[test_case("+1", Some(3600))]
    #[test_case("+0530", Some(19_800))]
    #[test_case("UTC+1", Some(3600))]
    #[test_case("GMT-01:30", Some(-5400))]
    #[test_case("+18:00", Some(64_800))]
    #[test_case("+18:01", None)]
    #[test_case("+1:60", None)]
    #[test_case("+", None)]
    #[test_case("Mars/Base", None)]
    #[test_case("", None)]
    fn an_offset_is_read(name: &str, seconds: Option<i32>) {
        assert_eq!(Zone::parse(name), seconds.map(Zone::Offset));
    }

    /// A local time of Los Angeles, and what clocks show at the instant that it is taken for.
    #[test_case("2024-03-10 02:30:00", "2024-03-10 03:30:00"; "a gap")]
    #[test_case("2024-03-10 01:59:59", "2024-03-10 01:59:59"; "before a gap")]
    #[test_case("2024-03-10 03:00:00", "2024-03-10 03:00:00"; "after a gap")]
    #[test_case("2024-11-03 01:30:00", "2024-11-03 01:30:00"; "an overlap")]
    #[test_case("0001-01-01 00:00:00", "0001-01-01 00:00:00"; "before there were zones")]
    #[test_case("2500-07-01 12:00:00", "2500-07-01 12:00:00"; "beyond the table")]
    fn local_times_are_instants(text: &str, shown: &str) {
        let zone = Zone::parse("PST").expect("a zone");
        let instant = parse_timestamp(text, &zone).expect("an instant");
        let mut written = String::new();
        write_timestamp(instant, &zone, &mut written);
        assert_eq!(written, shown);
    }

    #[test_case("2024-11-03 01:30:00", -7; "the first of two")]
    #[test_case("2500-07-01 12:00:00", -7; "summer beyond the table")]
    #[test_case("2500-01-01 12:00:00", -8; "winter beyond the table")]
    fn clocks_are_ahead_by(text: &str, hours: i32) {
        let zone = Zone::parse("America/Los_Angeles").expect("a zone");
        let instant = parse_timestamp(text, &zone).expect("an instant");
        assert_eq!(zone.offset_seconds(instant), hours * 3600);
    }
}
