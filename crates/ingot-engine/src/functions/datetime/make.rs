//! Moments and intervals of numbers: `make_date`, `make_timestamp`, `make_interval` and their like.
//!
//! Numbers that make none are an error, and NULL for `try_` and without ANSI mode. Source: Spark, `MakeDate`, `MakeTimestamp`,
//! `MakeInterval`, `MakeDTInterval`, `MakeYMInterval`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, TimestampMicrosecondArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, DurationMicrosecondType, IntervalMonthDayNano,
    IntervalMonthDayNanoType, IntervalYearMonthType,
};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ScalarUDF, Volatility};

use super::moments::{
    CALENDAR, DAY_TIME, LOCAL, YEAR_MONTH, interval_overflow, ints, named_zone, nullifies, overflow, small,
    zone, zoned,
};
use crate::error::condition;
use crate::functions::arguments::{count, is_text, over_arrays, timestamp, unexpected};
use crate::functions::function::{Function, Returns};
use crate::spark::temporal::{
    DAY_MICROS, HOUR_MICROS, MINUTE_MICROS, SECOND_MICROS, Zone, days_of, local_of,
};

/// Seconds with their fraction.
const SECONDS: DataType = DataType::Decimal128(16, 6);

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    macro_rules! date {
        ($name:literal, $tries:literal) => {
            Function {
                name: $name,
                aliases: &[],
                volatility: Volatility::Immutable,
                arguments: |types| numbers($name, types, 3, 3),
                returns: Returns::Always(DataType::Date32),
                invoke: |arguments| {
                    over_arrays(arguments, |arrays| {
                        dates(arrays, nullifies(arguments, $tries))
                    })
                },
            }
        };
    }
    macro_rules! instant {
        ($name:literal, $aliases:expr, $tries:literal) => {
            Function {
                name: $name,
                aliases: $aliases,
                volatility: Volatility::Immutable,
                arguments: |types| clock_arguments($name, types, 7),
                returns: Returns::Always(timestamp()),
                invoke: |arguments| {
                    let zone = zone(arguments);
                    over_arrays(arguments, |arrays| {
                        instants(arrays, &zone, nullifies(arguments, $tries))
                    })
                },
            }
        };
    }
    macro_rules! local {
        ($name:literal, $tries:literal) => {
            Function {
                name: $name,
                aliases: &[],
                volatility: Volatility::Immutable,
                arguments: |types| clock_arguments($name, types, 6),
                returns: Returns::Always(LOCAL),
                invoke: |arguments| {
                    over_arrays(arguments, |arrays| {
                        locals(arrays, nullifies(arguments, $tries))
                    })
                },
            }
        };
    }
    macro_rules! calendar {
        ($name:literal, $tries:literal) => {
            Function {
                name: $name,
                aliases: &[],
                volatility: Volatility::Immutable,
                arguments: |types| with_seconds($name, types, 0, 7),
                returns: Returns::Always(CALENDAR),
                invoke: |arguments| {
                    let rows = arguments.number_rows;
                    over_arrays(arguments, |arrays| {
                        calendar_intervals(arrays, rows, nullifies(arguments, $tries))
                    })
                },
            }
        };
    }
    [
        date!("make_date", false),
        instant!("make_timestamp", &["make_timestamp_ltz"], false),
        instant!("try_make_timestamp", &["try_make_timestamp_ltz"], true),
        local!("make_timestamp_ntz", false),
        local!("try_make_timestamp_ntz", true),
        calendar!("make_interval", false),
        calendar!("try_make_interval", true),
        make_dt_interval(),
        make_ym_interval(),
    ]
    .map(Function::udf)
    .into()
}

fn numbers(function: &str, types: &[DataType], least: usize, most: usize) -> Result<Vec<DataType>> {
    count(function, types, least, most)?;
    let one = |(nth, found)| small(function, nth + 1, found);
    types.iter().enumerate().map(one).collect()
}

/// Takes whole numbers, and seconds with a fraction as the last of `most`.
fn with_seconds(function: &str, types: &[DataType], least: usize, most: usize) -> Result<Vec<DataType>> {
    count(function, types, least, most)?;
    let one = |(nth, found): (usize, &DataType)| match nth + 1 == most {
        true => seconds_type(function, most, found),
        false => small(function, nth + 1, found),
    };
    types.iter().enumerate().map(one).collect()
}

fn seconds_type(function: &str, place: usize, found: &DataType) -> Result<DataType> {
    let number = matches!(
        found,
        DataType::Decimal128(..)
            | DataType::Float32
            | DataType::Float64
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Null
    );
    match number || is_text(found) {
        true => Ok(SECONDS),
        false => Err(unexpected(function, place, "DECIMAL(16,6)", found)),
    }
}

/// Takes year to seconds, and a zone where there are `most` of 7.
fn clock_arguments(function: &str, types: &[DataType], most: usize) -> Result<Vec<DataType>> {
    count(function, types, 6, most)?;
    let one = |(nth, found): (usize, &DataType)| match nth {
        5 => seconds_type(function, 6, found),
        6 if is_text(found) || *found == DataType::Null => Ok(DataType::Utf8),
        6 => Err(unexpected(function, 7, "STRING", found)),
        nth => small(function, nth + 1, found),
    };
    types.iter().enumerate().map(one).collect()
}

/// Returns the row of all arguments; `None` where one is null.
fn row_of<const N: usize>(arrays: &[ArrayRef], row: usize) -> Option<[i64; N]> {
    let mut values = [0; N];
    for (value, array) in values.iter_mut().zip(arrays) {
        if array.is_null(row) {
            return None;
        }
        *value = match array.data_type() {
            DataType::Int32 => i64::from(ints(array).value(row)),
            _ => i64::try_from(array.as_primitive::<Decimal128Type>().value(row)).unwrap_or(i64::MAX),
        };
    }
    Some(values)
}

/// Keeps an error, or makes it a null.
fn tried<T>(made: Result<T>, tries: bool) -> Result<Option<T>> {
    match made {
        Err(_) if tries => Ok(None),
        made => made.map(Some),
    }
}

fn dates(arrays: &[ArrayRef], tries: bool) -> Result<ArrayRef> {
    let rows = (0..arrays[0].len()).map(|row| match row_of::<3>(arrays, row) {
        Some([year, month, day]) => tried(
            days_of(year, month, day).ok_or_else(|| no_date(&[year, month, day])),
            tries,
        ),
        None => Ok(None),
    });
    Ok(Arc::new(rows.collect::<Result<PrimitiveArray<Date32Type>>>()?))
}

/// Makes a local time; sixty seconds are the next minute.
fn local_time([year, month, day, hour, minute, seconds]: [i64; 6]) -> Result<i64> {
    let parts = [year, month, day, hour, minute];
    let fits = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=MINUTE_MICROS).contains(&seconds);
    if !fits {
        return Err(
            match seconds > MINUTE_MICROS && seconds < MINUTE_MICROS + SECOND_MICROS {
                true => condition(
                    "INVALID_FRACTION_OF_SECOND",
                    "22023",
                    "the fraction of sixty seconds has to be zero".to_owned(),
                ),
                false => no_date(&parts),
            },
        );
    }
    let days = days_of(year, month, day).ok_or_else(|| no_date(&parts))?;
    local_of(days, hour * HOUR_MICROS + minute * MINUTE_MICROS + seconds).ok_or_else(|| no_date(&parts))
}

fn instants(arrays: &[ArrayRef], session: &Zone, tries: bool) -> Result<ArrayRef> {
    let zones = arrays.get(6).map(|zones| zones.as_string::<i32>());
    let rows = (0..arrays[0].len()).map(|row| {
        let zone = match zones {
            Some(zones) if zones.is_null(row) => return Ok(None),
            Some(zones) => named_zone(zones.value(row))?,
            None => *session,
        };
        let Some(parts) = row_of::<6>(arrays, row) else {
            return Ok(None);
        };
        let instant = local_time(parts).and_then(|local| zone.instant(local).ok_or_else(overflow));
        tried(instant, tries)
    });
    Ok(zoned(rows.collect::<Result<TimestampMicrosecondArray>>()?))
}

fn locals(arrays: &[ArrayRef], tries: bool) -> Result<ArrayRef> {
    let rows = (0..arrays[0].len()).map(|row| match row_of::<6>(arrays, row) {
        Some(parts) => tried(local_time(parts), tries),
        None => Ok(None),
    });
    Ok(Arc::new(rows.collect::<Result<TimestampMicrosecondArray>>()?))
}

fn no_date(parts: &[i64]) -> DataFusionError {
    let parts: Vec<String> = parts.iter().map(i64::to_string).collect();
    condition(
        "DATETIME_FIELD_OUT_OF_BOUNDS.WITH_SUGGESTION",
        "22023",
        format!(
            "{} is no date or time; use the `try_` function to get NULL instead",
            parts.join(", ")
        ),
    )
}

fn calendar_intervals(arrays: &[ArrayRef], rows: usize, tries: bool) -> Result<ArrayRef> {
    let rows = arrays.first().map_or(rows, |array| array.len());
    let intervals = (0..rows).map(|row| match row_of::<7>(arrays, row) {
        Some(parts) => tried(calendar_interval(parts).ok_or_else(interval_overflow), tries),
        None => Ok(None),
    });
    Ok(Arc::new(
        intervals.collect::<Result<PrimitiveArray<IntervalMonthDayNanoType>>>()?,
    ))
}

fn calendar_interval(
    [years, months, weeks, days, hours, minutes, seconds]: [i64; 7],
) -> Option<IntervalMonthDayNano> {
    let months = i32::try_from(years * 12 + months).ok()?;
    let days = i32::try_from(weeks * 7 + days).ok()?;
    let micros = (hours * HOUR_MICROS)
        .checked_add(minutes * MINUTE_MICROS)?
        .checked_add(seconds)?;
    Some(IntervalMonthDayNano::new(months, days, micros.checked_mul(1000)?))
}

fn make_dt_interval() -> Function {
    Function {
        name: "make_dt_interval",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| with_seconds("make_dt_interval", types, 0, 4),
        returns: Returns::Always(DAY_TIME),
        invoke: |arguments| {
            let rows = arguments.number_rows;
            over_arrays(arguments, |arrays| {
                let rows = arrays.first().map_or(rows, |array| array.len());
                let made = (0..rows).map(|row| match row_of::<4>(arrays, row) {
                    Some([days, hours, minutes, seconds]) => days
                        .checked_mul(DAY_MICROS)
                        .and_then(|micros| micros.checked_add(hours * HOUR_MICROS))
                        .and_then(|micros| micros.checked_add(minutes * MINUTE_MICROS))
                        .and_then(|micros| micros.checked_add(seconds))
                        .map(Some)
                        .ok_or_else(interval_overflow),
                    None => Ok(None),
                });
                Ok(Arc::new(
                    made.collect::<Result<PrimitiveArray<DurationMicrosecondType>>>()?,
                ))
            })
        },
    }
}

fn make_ym_interval() -> Function {
    Function {
        name: "make_ym_interval",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| numbers("make_ym_interval", types, 0, 2),
        returns: Returns::Always(YEAR_MONTH),
        invoke: |arguments| {
            let rows = arguments.number_rows;
            over_arrays(arguments, |arrays| {
                let rows = arrays.first().map_or(rows, |array| array.len());
                let made = (0..rows).map(|row| match row_of::<2>(arrays, row) {
                    Some([years, months]) => i32::try_from(years * 12 + months)
                        .map(Some)
                        .map_err(|_| interval_overflow()),
                    None => Ok(None),
                });
                Ok(Arc::new(
                    made.collect::<Result<PrimitiveArray<IntervalYearMonthType>>>()?,
                ))
            })
        },
    }
}
