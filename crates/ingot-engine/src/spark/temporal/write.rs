//! Dates and times as `CAST AS STRING` writes them.

use std::fmt::Write as _;

use super::calendar::{HOUR_MICROS, MINUTE_MICROS, SECOND_MICROS, civil, split_local};
use super::zone::Zone;

/// Writes `2024-01-31`: years of more than four digits have a sign.
pub(crate) fn write_date(days: i32, into: &mut String) {
    let (year, month, day) = civil(days);
    let sign = match year {
        ..0 => "-",
        0..=9999 => "",
        _ => "+",
    };
    // Writing to a String cannot fail.
    let _ = write!(into, "{sign}{:04}-{month:02}-{day:02}", year.unsigned_abs());
}

/// Writes what clocks show: `2024-01-31 12:30:00.25`, without zeros at the end of the fraction.
pub(crate) fn write_local(micros: i64, into: &mut String) {
    let (days, micros) = split_local(micros);
    write_date(days, into);
    let (hours, minutes) = (micros / HOUR_MICROS, micros % HOUR_MICROS / MINUTE_MICROS);
    let _ = write!(into, " {hours:02}:{minutes:02}:");
    write_seconds(micros % MINUTE_MICROS, into);
}

/// Writes what clocks show in `zone` at an instant.
pub(crate) fn write_timestamp(instant: i64, zone: &Zone, into: &mut String) {
    write_local(zone.local(instant), into);
}

/// Writes seconds of two digits, and their fraction if there is one.
pub(super) fn write_seconds(micros: i64, into: &mut String) {
    let _ = write!(into, "{:02}", micros / SECOND_MICROS);
    write_fraction(micros % SECOND_MICROS, into);
}

/// Writes `.25` for 250,000 microseconds, and nothing for none.
pub(super) fn write_fraction(micros: i64, into: &mut String) {
    if micros > 0 {
        let _ = write!(into, ".{micros:06}");
        let end = into.trim_end_matches('0').len();
        into.truncate(end);
    }
}
