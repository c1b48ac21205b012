//! Dates, instants, local times and intervals as plain numbers: read from text, written as text, and the calendar.
//!
//! ```text
//! DATE           days from 1970-01-01
//! TIMESTAMP      microseconds from 1970-01-01T00:00:00Z
//! TIMESTAMP_NTZ  microseconds from 1970-01-01T00:00:00 of a clock on the wall
//! ```
//! All of it is pure but `today`, which asks the clock. What Spark counts as a value, and how it writes one, is decided
//! here; errors are made by those who know what the value was to be. The calendar is the proleptic Gregorian one, for
//! all years that the numbers hold. Source: Spark, `SparkDateTimeUtils`, `IntervalUtils`; java.time.

mod calendar;
mod interval;
mod parse;
mod pattern;
mod write;
mod zone;

use std::sync::atomic::{AtomicU64, Ordering};

use ingot_common::clock;

pub(crate) use self::calendar::{
    DAY_MICROS, HOUR_MICROS, MINUTE_MICROS, SECOND_MICROS, add_months, civil, day_of_year, days_in_month,
    days_of, iso_week, local_of, split_local, weekday,
};
pub(crate) use self::interval::{
    CalendarParts, IntervalField, micros_between_fields, months_between_fields, parse_calendar,
    parse_day_time, parse_year_month, write_calendar, write_day_time, write_day_time_bare, write_year_month,
    write_year_month_bare,
};
pub(crate) use self::parse::{
    parse_date, parse_timestamp, parse_timestamp_ntz, special_date, special_timestamp,
};
pub(crate) use self::pattern::{Parsed, Pattern, Use};
pub(crate) use self::write::{write_date, write_local, write_timestamp};
pub(crate) use self::zone::Zone;

/// How often functions asked for the instant that it is.
static TIMES_ASKED: AtomicU64 = AtomicU64::new(0);

/// Returns how often functions of this process have asked [`now`].
pub(crate) fn times_asked() -> u64 {
    TIMES_ASKED.load(Ordering::SeqCst)
}

/// Returns the instant that it is.
pub(crate) fn now() -> i64 {
    TIMES_ASKED.fetch_add(1, Ordering::SeqCst);
    clock::now_ms().saturating_mul(1000)
}

/// Returns the day that clocks are in now.
pub(crate) fn today(zone: &Zone) -> i32 {
    zone.day(now())
}
