//! Reading by a pattern: each part in turn, strictly, without regard to case.

use super::super::calendar::{HOUR_MICROS, MINUTE_MICROS, SECOND_MICROS, civil, days_of, is_leap, local_of};
use super::super::zone::Zone;
use super::{DAYS, Field, MONTHS, Part, Pattern, name};

/// What a text said of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// Days and microseconds of a clock, as one number.
    pub local: i64,
    pub zone: Option<Zone>,
}

impl Parsed {
    /// Returns the instant, in `zone` where the text named none.
    pub fn instant(&self, zone: &Zone) -> Option<i64> {
        self.zone.as_ref().unwrap_or(zone).instant(self.local)
    }
}

impl Pattern {
    /// Reads a text, all of it; `None` where it is not as the pattern says, or no moment.
    pub fn read(&self, text: &str) -> Option<Parsed> {
        let mut found = Found::default();
        let rest = read_parts(&self.parts, text, &mut found)?;
        match rest {
            "" => found.parsed(),
            _ => None,
        }
    }
}

/// Values by field.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    before_christ: Option<bool>,
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    afternoon: Option<bool>,
    hour: Option<i64>,
    half_day_hour: Option<i64>,
    minute: Option<i64>,
    second: Option<i64>,
    micros: Option<i64>,
    zone: Option<Zone>,
}

impl Found {
    fn parsed(&self) -> Option<Parsed> {
        let time = self.hour()? * HOUR_MICROS
            + within(self.minute, 0, 59)? * MINUTE_MICROS
            + within(self.second, 0, 59)? * SECOND_MICROS
            + self.micros.unwrap_or(0);
        Some(Parsed {
            local: local_of(self.days()?, time)?,
            zone: self.zone,
        })
    }

    fn days(&self) -> Option<i32> {
        let year = match (self.year.unwrap_or(1970), self.before_christ) {
            (year, Some(_)) if year < 1 => return None,
            (year, Some(true)) => 1 - year,
            (year, _) => year,
        };
        let Some(nth) = self.day_of_year else {
            return days_of(year, self.month.unwrap_or(1), self.day.unwrap_or(1));
        };
        let most = if is_leap(year) { 366 } else { 365 };
        let first = days_of(year, 1, 1)?;
        let days = (1..=most)
            .contains(&nth)
            .then(|| first.checked_add(i32::try_from(nth - 1).ok()?))??;
        let (_, month, day) = civil(days);
        let agrees = self.month.is_none_or(|found| found == i64::from(month))
            && self.day.is_none_or(|found| found == i64::from(day));
        agrees.then_some(days)
    }

    fn hour(&self) -> Option<i64> {
        match (self.hour, self.half_day_hour) {
            (Some(hour), half) => {
                let agrees = half.is_none_or(|half| half == hour % 12)
                    && self.afternoon.is_none_or(|afternoon| afternoon == (hour >= 12));
                agrees.then_some(hour)
            }
            (None, Some(half)) => Some(half + if self.afternoon == Some(true) { 12 } else { 0 }),
            (None, None) if self.afternoon == Some(true) => Some(12),
            (None, None) => Some(0),
        }
    }
}

fn within(value: Option<i64>, least: i64, most: i64) -> Option<i64> {
    let value = value.unwrap_or(least);
    (least..=most).contains(&value).then_some(value)
}

/// Reads parts, and returns what is left of the text.
fn read_parts<'a>(parts: &[Part], text: &'a str, found: &mut Found) -> Option<&'a str> {
    let mut rest = text;
    for (nth, part) in parts.iter().enumerate() {
        rest = match part {
            Part::Text(expected) => after(rest, expected)?,
            Part::Optional(optional) => {
                let mut tried = *found;
                match read_parts(optional, rest, &mut tried) {
                    Some(after) => {
                        *found = tried;
                        after
                    }
                    None => rest,
                }
            }
            Part::Field(field, count) => {
                // Digits that follow at once belong to the fields there.
                let reserved = parts[nth + 1..].iter().map_while(fixed_digits).sum();
                let follows_text = nth > 0 && matches!(parts[nth - 1], Part::Text(_));
                read_field(*field, *count, rest, reserved, follows_text, found)?
            }
        };
    }
    Some(rest)
}

/// Returns the number of digits of a field that has a fixed one.
fn fixed_digits(part: &Part) -> Option<usize> {
    match part {
        Part::Field(Field::Year, 2) => Some(2),
        Part::Field(
            Field::Month
            | Field::Day
            | Field::Hour
            | Field::HourFromOne
            | Field::HalfDayHour
            | Field::HalfDayHourFromOne
            | Field::Minute
            | Field::Second,
            2,
        ) => Some(2),
        Part::Field(Field::DayOfYear, 3) => Some(3),
        _ => None,
    }
}

fn after<'a>(text: &'a str, expected: &str) -> Option<&'a str> {
    let start = text.get(..expected.len())?;
    start
        .eq_ignore_ascii_case(expected)
        .then(|| &text[expected.len()..])
}

fn read_field<'a>(
    field: Field,
    count: usize,
    text: &'a str,
    reserved: usize,
    follows_text: bool,
    found: &mut Found,
) -> Option<&'a str> {
    let two = |text: &'a str| match count {
        1 => number(text, 1, 19, reserved),
        count => number(text, count, count, 0),
    };
    let (value, rest) = match field {
        Field::Era => {
            let eras = [
                ("Anno Domini", false),
                ("Before Christ", true),
                ("AD", false),
                ("BC", true),
            ];
            let (rest, before) = eras
                .iter()
                .find_map(|(era, before)| Some((after(text, era)?, *before)))?;
            found.before_christ = Some(before);
            return Some(rest);
        }
        Field::Month if count > 2 => {
            let (place, rest) = named(&MONTHS, text, count == 3)?;
            return set(&mut found.month, place + 1).then_some(rest);
        }
        Field::DayName => return named(&DAYS, text, count < 4).map(|(_, rest)| rest),
        Field::HalfDay => {
            let (rest, afternoon) = match (after(text, "AM"), after(text, "PM")) {
                (Some(rest), _) => (rest, false),
                (_, Some(rest)) => (rest, true),
                _ => return None,
            };
            found.afternoon = Some(afternoon);
            return Some(rest);
        }
        Field::Year => year(text, count, reserved)?,
        Field::DayOfYear => match count {
            1 => number(text, 1, 19, reserved)?,
            2 => number(text, 2, 3, reserved)?,
            _ => number(text, 3, 3, 0)?,
        },
        Field::Fraction => {
            // A fraction after its point may be shorter than the pattern says.
            let least = if follows_text { 1 } else { count };
            let digits = text.bytes().take(count).take_while(u8::is_ascii_digit).count();
            if digits < least {
                return None;
            }
            let (fraction, rest) = text.split_at(digits);
            return set(&mut found.micros, super::super::parse::micros_of(fraction)).then_some(rest);
        }
        Field::ZoneId | Field::ZoneName | Field::LocalizedOffset => return read_zone(text, found),
        Field::OffsetOrZ | Field::OffsetNumber | Field::Offset => return read_offset(field, text, found),
        _ => two(text)?,
    };
    let set = match field {
        Field::Year => set(&mut found.year, value),
        Field::Month => (1..=12).contains(&value) && set(&mut found.month, value),
        Field::Day => (1..=31).contains(&value) && set(&mut found.day, value),
        Field::DayOfYear => set(&mut found.day_of_year, value),
        Field::Hour => (0..24).contains(&value) && set(&mut found.hour, value),
        Field::HourFromOne => (1..=24).contains(&value) && set(&mut found.hour, value % 24),
        Field::HalfDayHour => (0..12).contains(&value) && set(&mut found.half_day_hour, value),
        Field::HalfDayHourFromOne => (1..=12).contains(&value) && set(&mut found.half_day_hour, value % 12),
        Field::Minute => set(&mut found.minute, value),
        Field::Second => set(&mut found.second, value),
        _ => false,
    };
    set.then_some(rest)
}

/// Keeps a value; a field that is read twice has to say the same.
fn set(field: &mut Option<i64>, value: i64) -> bool {
    *field.get_or_insert(value) == value
}

/// Reads a number of `least` to `most` digits, and leaves `reserved` ones.
fn number(text: &str, least: usize, most: usize, reserved: usize) -> Option<(i64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let take = digits.saturating_sub(reserved).min(most).max(least);
    if digits < take || take > 18 {
        return None;
    }
    let (number, rest) = text.split_at(take);
    Some((number.parse().ok()?, rest))
}

/// Reads a year: two digits are of this century; more than the pattern has need a sign.
fn year(text: &str, count: usize, reserved: usize) -> Option<(i64, &str)> {
    if count == 2 {
        return number(text, 2, 2, 0).map(|(year, rest)| (2000 + year, rest));
    }
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' if count > 3 => (1, &text[1..]),
        _ => (1, text),
    };
    let most = match (count, unsigned.len() == text.len()) {
        (4.., true) => count,
        _ => 18,
    };
    number(unsigned, count, most, reserved).map(|(year, rest)| (sign * year, rest))
}

fn named<'a>(names: &'static [&'static str], text: &'a str, short: bool) -> Option<(i64, &'a str)> {
    (0..names.len()).find_map(|place| {
        let rest = after(text, name(names, place, short))?;
        Some((i64::try_from(place).ok()?, rest))
    })
}

/// Reads the longest zone that the text begins with.
fn read_zone<'a>(text: &'a str, found: &mut Found) -> Option<&'a str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+' | ':');
    let most = text.find(|c| !fits(c)).unwrap_or(text.len());
    let end = (1..=most)
        .rev()
        .find(|end| Zone::parse(&text[..*end]).is_some())?;
    found.zone = Zone::parse(&text[..end]);
    Some(&text[end..])
}

fn read_offset<'a>(field: Field, text: &'a str, found: &mut Found) -> Option<&'a str> {
    let z = field != Field::OffsetNumber;
    if z && let Some(rest) = after(text, "Z") {
        found.zone = Some(Zone::UTC);
        return Some(rest);
    }
    let rest = match field {
        Field::Offset => after(text, "GMT").unwrap_or(text),
        _ => text,
    };
    if !rest.starts_with(['+', '-']) {
        return None;
    }
    let fits = |c: char| c.is_ascii_digit() || c == ':';
    let most = rest[1..].find(|c| !fits(c)).map_or(rest.len(), |end| end + 1);
    let end = (3..=most)
        .rev()
        .find(|end| Zone::parse(&rest[..*end]).is_some())?;
    found.zone = Zone::parse(&rest[..end]);
    Some(&rest[end..])
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::super::super::write_timestamp;
    use super::super::Use;
    use super::*;

    #[test_case("02Jan2024", "ddMMMyyyy", Some("2024-01-02 00:00:00"))]
    #[test_case("20240102", "yyyyMMdd", Some("2024-01-02 00:00:00"))]
    #[test_case("2024-1-2", "yyyy-M-d", Some("2024-01-02 00:00:00"))]
    #[test_case("2024-1-2", "yyyy-MM-dd", None; "too few digits")]
    #[test_case("01/02/24", "MM/dd/yy", Some("2024-01-02 00:00:00"))]
    #[test_case(
        "2024-01-02 03:04:05.6",
        "yyyy-MM-dd HH:mm:ss.SSS",
        Some("2024-01-02 03:04:05.6")
    )]
    #[test_case("12:30 pm", "hh:mm a", Some("1970-01-01 12:30:00"))]
    #[test_case("12:30 AM", "hh:mm a", Some("1970-01-01 00:30:00"))]
    #[test_case("2024-02-30", "yyyy-MM-dd", None; "no date")]
    #[test_case("2024-01-02x", "yyyy-MM-dd", None; "more than the pattern")]
    #[test_case("2024", "yyyy[-MM]", Some("2024-01-01 00:00:00"))]
    #[test_case("2024-05", "yyyy[-MM]", Some("2024-05-01 00:00:00"))]
    #[test_case("2024 060", "yyyy DDD", Some("2024-02-29 00:00:00"))]
    #[test_case(
        "2024-01-02T03:04:05+01:00",
        "yyyy-MM-dd'T'HH:mm:ssXXX",
        Some("2024-01-02 02:04:05")
    )]
    #[test_case("2024-01-02 Europe/Berlin", "yyyy-MM-dd VV", Some("2024-01-01 23:00:00"))]
    #[test_case("January 2024", "MMMM yyyy", Some("2024-01-01 00:00:00"))]
    fn moments_are_read(text: &str, pattern: &str, expected: Option<&str>) {
        let pattern = Pattern::new(pattern, Use::Read).expect("a pattern");
        let written = pattern.read(text).and_then(|parsed| {
            let mut written = String::new();
            write_timestamp(parsed.instant(&Zone::UTC)?, &Zone::UTC, &mut written);
            Some(written)
        });
        assert_eq!(written.as_deref(), expected);
    }
}
