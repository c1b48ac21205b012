//! The proleptic Gregorian calendar. Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".

pub(crate) const SECOND_MICROS: i64 = 1_000_000;
pub(crate) const MINUTE_MICROS: i64 = 60 * SECOND_MICROS;
pub(crate) const HOUR_MICROS: i64 = 60 * MINUTE_MICROS;
pub(crate) const DAY_MICROS: i64 = 24 * HOUR_MICROS;

const ERA_DAYS: i64 = 146_097;

/// Days from 0000-03-01, with which the algorithm counts, to 1970-01-01.
const EPOCH_SHIFT: i64 = 719_468;

/// Returns year, month and day of days from 1970-01-01.
pub(crate) fn civil(days: i32) -> (i32, u32, u32) {
    let shifted = i64::from(days) + EPOCH_SHIFT;
    let era = shifted.div_euclid(ERA_DAYS);
    let day_of_era = shifted.rem_euclid(ERA_DAYS);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = match month_from_march < 10 {
        true => month_from_march + 3,
        false => month_from_march - 9,
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    // Days of 32 bits are within six million years, months and days are small.
    (year as i32, month as u32, day as u32)
}

/// Returns the days from 1970-01-01 of a date; `None` when there is no such date, or its days do not fit.
pub(crate) fn days_of(year: i64, month: i64, day: i64) -> Option<i32> {
    let known_month = u32::try_from(month)
        .ok()
        .filter(|month| (1..=12).contains(month))?;
    let exists = (-10_000_000..=10_000_000).contains(&year)
        && day >= 1
        && day <= i64::from(days_in_month(year, known_month));
    exists.then(|| civil_days(year, month, day))?.try_into().ok()
}

/// Counts the days to a date that exists.
fn civil_days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * ERA_DAYS + day_of_era - EPOCH_SHIFT
}

/// Returns the number of days of a month, from 1 to 12.
pub(crate) fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

pub(crate) fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Moves a date by months; a day that the month lacks becomes its last. `None` where the days do not fit.
pub(crate) fn add_months(days: i32, months: i64) -> Option<i32> {
    let (year, month, day) = civil(days);
    let total = (i64::from(year) * 12 + i64::from(month) - 1).checked_add(months)?;
    let (year, month) = (total.div_euclid(12), total.rem_euclid(12) + 1);
    let last = days_in_month(year, u32::try_from(month).ok()?);
    days_of(year, month, i64::from(day.min(last)))
}

/// Returns the day of the week: 0 for Monday.
pub(crate) fn weekday(days: i32) -> u32 {
    (i64::from(days) + 3).rem_euclid(7) as u32
}

/// Returns the day of the year, from 1.
pub(crate) fn day_of_year(days: i32) -> u32 {
    let (year, _, _) = civil(days);
    (i64::from(days) - civil_days(i64::from(year), 1, 1) + 1) as u32
}

/// Returns year and week by ISO 8601: a week begins on Monday and is of the year of its Thursday.
pub(crate) fn iso_week(days: i32) -> (i32, u32) {
    let thursday = days.saturating_add(3 - weekday(days) as i32);
    let (year, _, _) = civil(thursday);
    (year, (day_of_year(thursday) - 1) / 7 + 1)
}

/// Splits a local time into days and microseconds of the day.
pub(crate) fn split_local(micros: i64) -> (i32, i64) {
    // Microseconds of 64 bits are within 300,000 years.
    (
        micros.div_euclid(DAY_MICROS) as i32,
        micros.rem_euclid(DAY_MICROS),
    )
}

/// Joins days and microseconds of the day; `None` where they do not fit.
pub(crate) fn local_of(days: i32, micros_of_day: i64) -> Option<i64> {
    let micros = i128::from(days) * i128::from(DAY_MICROS) + i128::from(micros_of_day);
    i64::try_from(micros).ok()
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(0, (1970, 1, 1))]
    #[test_case(-1, (1969, 12, 31))]
    #[test_case(19_782, (2024, 2, 29))]
    #[test_case(-719_528, (0, 1, 1))]
    #[test_case(i32::MAX, (5_881_580, 7, 11))]
    #[test_case(i32::MIN, (-5_877_641, 6, 23))]
    fn days_are_dates_and_back(days: i32, date: (i32, u32, u32)) {
        assert_eq!(civil(days), date);
        let (year, month, day) = date;
        assert_eq!(
            days_of(i64::from(year), i64::from(month), i64::from(day)),
            Some(days)
        );
    }

    #[test_case(2023, 2, 29)]
    #[test_case(2024, 13, 1)]
    #[test_case(2024, 0, 1)]
    #[test_case(2024, 4, 31)]
    #[test_case(9_999_999, 1, 1; "days that do not fit")]
    fn a_date_that_is_none_has_no_days(year: i64, month: i64, day: i64) {
        assert_eq!(days_of(year, month, day), None);
    }

    #[test]
    fn weeks_are_those_of_iso_8601() {
        let week = |year, month, day| iso_week(days_of(year, month, day).expect("a date"));
        assert_eq!(week(2024, 12, 30), (2025, 1));
        assert_eq!(week(2021, 1, 3), (2020, 53));
        assert_eq!(week(2008, 2, 20), (2008, 8));
    }
}
