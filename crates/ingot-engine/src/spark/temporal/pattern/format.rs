//! Writing by a pattern.

use std::fmt::Write as _;

use chrono::{DateTime, TimeZone};

use super::super::calendar::{
    HOUR_MICROS, MINUTE_MICROS, SECOND_MICROS, civil, day_of_year, split_local, weekday,
};
use super::super::zone::Zone;
use super::{DAYS, Field, MONTHS, Part, Pattern, name};

impl Pattern {
    /// Writes what clocks show in `zone` at an instant.
    pub fn write(&self, instant: i64, zone: &Zone, zone_name: &str, into: &mut String) {
        let (days, micros) = split_local(zone.local(instant));
        let moment = Moment {
            instant,
            days,
            micros,
            zone,
            zone_name,
            of_era: self.has_era,
        };
        moment.write(&self.parts, into);
    }
}

struct Moment<'a> {
    instant: i64,
    days: i32,
    micros: i64,
    zone: &'a Zone,
    zone_name: &'a str,
    of_era: bool,
}

impl Moment<'_> {
    fn write(&self, parts: &[Part], into: &mut String) {
        for part in parts {
            match part {
                Part::Text(text) => into.push_str(text),
                Part::Field(field, count) => self.write_field(*field, *count, into),
                Part::Optional(parts) => self.write(parts, into),
            }
        }
    }

    fn write_field(&self, field: Field, count: usize, into: &mut String) {
        let (year, month, day) = civil(self.days);
        let hour = self.micros / HOUR_MICROS;
        let number = match field {
            Field::Era => return into.push_str(era(year, count)),
            Field::Year => return self.write_year(year, count, into),
            Field::Month if count > 2 => {
                return into.push_str(name(&MONTHS, month as usize - 1, count == 3));
            }
            Field::Month => i64::from(month),
            Field::Day => i64::from(day),
            Field::DayOfYear => i64::from(day_of_year(self.days)),
            Field::Quarter => return write_quarter((month - 1) / 3 + 1, count, into),
            Field::DayName => return into.push_str(name(&DAYS, weekday(self.days) as usize, count < 4)),
            Field::AlignedDay => i64::from((day - 1) % 7 + 1),
            Field::HalfDay => return into.push_str(if hour < 12 { "AM" } else { "PM" }),
            Field::Hour => hour,
            Field::HourFromOne => (hour + 23) % 24 + 1,
            Field::HalfDayHour => hour % 12,
            Field::HalfDayHourFromOne => (hour + 11) % 12 + 1,
            Field::Minute => self.micros % HOUR_MICROS / MINUTE_MICROS,
            Field::Second => self.micros % MINUTE_MICROS / SECOND_MICROS,
            Field::Fraction => {
                let nanos = format!("{:09}", self.micros % SECOND_MICROS * 1000);
                return into.push_str(nanos.get(..count).unwrap_or(&nanos));
            }
            Field::ZoneId => return into.push_str(self.zone_name),
            Field::ZoneName => return self.write_zone_name(into),
            Field::LocalizedOffset => return self.write_localized(count == 4, into),
            Field::OffsetOrZ | Field::OffsetNumber | Field::Offset => {
                return self.write_offset(field, count, into);
            }
        };
        // Writing to a String cannot fail.
        let _ = write!(into, "{number:0count$}");
    }

    fn write_year(&self, year: i32, count: usize, into: &mut String) {
        let year = match self.of_era && year <= 0 {
            true => 1 - year,
            false => year,
        };
        let digits = year.unsigned_abs();
        let sign = match count {
            _ if year < 0 => "-",
            count if count > 3 && digits.checked_ilog10().unwrap_or(0) as usize >= count => "+",
            _ => "",
        };
        let _ = match count {
            2 => write!(into, "{:02}", year.rem_euclid(100)),
            count => write!(into, "{sign}{digits:0count$}"),
        };
    }

    fn write_zone_name(&self, into: &mut String) {
        match self.zone {
            Zone::Region(region) => {
                let at = DateTime::from_timestamp_micros(self.instant).unwrap_or_default();
                let abbreviation = region.from_utc_datetime(&at.naive_utc()).format("%Z").to_string();
                into.push_str(&abbreviation);
            }
            Zone::Offset(_) => into.push_str(self.zone_name),
        }
    }

    fn write_localized(&self, long: bool, into: &mut String) {
        into.push_str("GMT");
        let (sign, hours, minutes, _) = self.offset_parts();
        if hours == 0 && minutes == 0 {
            return;
        }
        let _ = match (long, minutes) {
            (true, _) => write!(into, "{sign}{hours:02}:{minutes:02}"),
            (false, 0) => write!(into, "{sign}{hours}"),
            (false, _) => write!(into, "{sign}{hours}:{minutes:02}"),
        };
    }

    fn write_offset(&self, field: Field, count: usize, into: &mut String) {
        let (sign, hours, minutes, seconds) = self.offset_parts();
        let none = hours == 0 && minutes == 0 && seconds == 0;
        let (z, colon, with_seconds) = match (field, count) {
            (Field::Offset, 1..=3) => (false, false, false),
            (Field::Offset, 4) => return self.write_localized(true, into),
            (Field::Offset, _) => (true, true, true),
            (field, count) => (field == Field::OffsetOrZ, count % 2 == 1 && count > 1, count > 3),
        };
        if none && z {
            into.push('Z');
            return;
        }
        let colon = if colon { ":" } else { "" };
        let _ = write!(into, "{sign}{hours:02}");
        if field == Field::Offset || count > 1 || minutes > 0 {
            let _ = write!(into, "{colon}{minutes:02}");
        }
        if with_seconds && seconds > 0 {
            let _ = write!(into, "{colon}{seconds:02}");
        }
    }

    fn offset_parts(&self) -> (char, i32, i32, i32) {
        let offset = self.zone.offset_seconds(self.instant);
        let seconds = offset.abs();
        let sign = if offset < 0 { '-' } else { '+' };
        (sign, seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

fn era(year: i32, count: usize) -> &'static str {
    match (year > 0, count) {
        (true, 4) => "Anno Domini",
        (false, 4) => "Before Christ",
        (true, _) => "AD",
        (false, _) => "BC",
    }
}

fn write_quarter(quarter: u32, count: usize, into: &mut String) {
    let ordinal = ["1st", "2nd", "3rd", "4th"];
    let _ = match count {
        1 | 2 => write!(into, "{quarter:0count$}"),
        3 => write!(into, "Q{quarter}"),
        _ => write!(
            into,
            "{} quarter",
            ordinal.get(quarter as usize - 1).copied().unwrap_or_default()
        ),
    };
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::super::super::parse_timestamp;
    use super::super::Use;
    use super::*;

    #[test_case("yyyy-MM-dd HH:mm:ss.SSS EEE MMM a", "2024-01-02 15:04:05.678 Tue Jan PM")]
    #[test_case("yy y yyyyy", "24 2024 02024")]
    #[test_case("d/M/yyyy h:mm", "2/1/2024 3:04")]
    #[test_case("EEEE, MMMM L D DDD", "Tuesday, January 1 2 002")]
    #[test_case("'at' hh 'o''clock'", "at 03 o'clock")]
    #[test_case("k K H kk", "15 3 15 15")]
    #[test_case("Q QQ QQQ QQQQ", "1 01 Q1 1st quarter")]
    #[test_case("SSSSSSSSS S", "678000000 6")]
    #[test_case(
        "X XX XXX x Z ZZZZ ZZZZZ O OOOO",
        "-08 -0800 -08:00 -08 -0800 GMT-08:00 -08:00 GMT-8 GMT-08:00"
    )]
    #[test_case("VV z", "America/Los_Angeles PST")]
    #[test_case("G yyyy F", "AD 2024 2")]
    #[test_case("yyyy[-MM]", "2024-01")]
    fn moments_are_written(pattern: &str, expected: &str) {
        let zone = Zone::parse("America/Los_Angeles").expect("a zone");
        let instant = parse_timestamp("2024-01-02 15:04:05.678", &zone).expect("an instant");
        let mut written = String::new();
        let pattern = Pattern::new(pattern, Use::Write).expect("a pattern");
        pattern.write(instant, &zone, "America/Los_Angeles", &mut written);
        assert_eq!(written, expected);
    }

    #[test_case("YYYY"; "years of weeks")]
    #[test_case("u"; "numbers of days")]
    #[test_case("MMMMM"; "narrow months")]
    #[test_case("HHH"; "too many letters")]
    #[test_case("'open"; "an open quote")]
    #[test_case("yyyy]"; "a bracket that closes none")]
    fn patterns_are_refused(pattern: &str) {
        assert!(Pattern::new(pattern, Use::Write).is_err());
    }
}
