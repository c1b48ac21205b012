//! `timestampadd(unit, number, timestamp)` and `timestampdiff(unit, start, end)`.
//!
//! Days and more are counted on the clock, hours and less on the line of time when added. Source: Spark,
//! `TimestampAdd`, `TimestampDiff`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, TimestampMicrosecondArray};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ScalarUDF, Volatility};

use super::interval_arithmetic::move_by;
use super::moments::{LOCAL, clocks, instants, large, like, longs, moment, overflow, pairs, zone};
use crate::error::condition;
use crate::functions::arguments::{count, is_text, over_arrays, timestamp, unexpected};
use crate::functions::function::{Function, Returns};
use crate::spark::temporal::{
    DAY_MICROS, HOUR_MICROS, MINUTE_MICROS, SECOND_MICROS, Zone, civil, split_local,
};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    [timestamp_add(), timestamp_diff()].map(Function::udf).into()
}

fn timestamp_add() -> Function {
    Function {
        name: "timestampadd",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| of_addition("timestampadd", types),
        returns: Returns::Of(|types| Ok(added(&types[2]))),
        invoke: |arguments| {
            let zone = zone(arguments);
            over_arrays(arguments, |arrays| {
                add_units(&arrays[0], &arrays[1], &arrays[2], &zone)
            })
        },
    }
}

fn timestamp_diff() -> Function {
    Function {
        name: "timestampdiff",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| of_difference("timestampdiff", types),
        returns: Returns::Always(DataType::Int64),
        invoke: |arguments| {
            let zone = zone(arguments);
            over_arrays(arguments, |arrays| {
                difference(&arrays[0], &arrays[1], &arrays[2], &zone)
            })
        },
    }
}

/// Says as what the arguments of an addition are taken.
pub(super) fn of_addition(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, 3, 3)?;
    Ok(vec![
        unit_type(function, &types[0])?,
        large(function, 2, &types[1])?,
        moment(function, 3, &types[2], timestamp())?,
    ])
}

/// Says as what the arguments of a difference are taken.
pub(super) fn of_difference(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, 3, 3)?;
    Ok(vec![
        unit_type(function, &types[0])?,
        moment(function, 2, &types[1], timestamp())?,
        moment(function, 3, &types[2], timestamp())?,
    ])
}

fn unit_type(function: &str, found: &DataType) -> Result<DataType> {
    match is_text(found) {
        true => Ok(DataType::Utf8),
        false => Err(unexpected(function, 1, "a unit", found)),
    }
}

/// Returns the type of a moment to which units are added: a local time stays one.
pub(super) fn added(moment: &DataType) -> DataType {
    match moment {
        DataType::Timestamp(_, None) => LOCAL,
        _ => timestamp(),
    }
}

#[derive(Debug, Clone, Copy)]
enum Unit {
    /// Of so many microseconds, on the line of time.
    Micros(i64),
    Days(i64),
    Months(i64),
}

impl Unit {
    fn read(function: &str, name: &str) -> Result<Self> {
        Ok(match name.to_uppercase().as_str() {
            "MICROSECOND" => Self::Micros(1),
            "MILLISECOND" => Self::Micros(1000),
            "SECOND" => Self::Micros(SECOND_MICROS),
            "MINUTE" => Self::Micros(MINUTE_MICROS),
            "HOUR" => Self::Micros(HOUR_MICROS),
            "DAY" | "DAYOFYEAR" => Self::Days(1),
            "WEEK" => Self::Days(7),
            "MONTH" => Self::Months(1),
            "QUARTER" => Self::Months(3),
            "YEAR" => Self::Months(12),
            _ => {
                return Err(condition(
                    "INVALID_PARAMETER_VALUE.DATETIME_UNIT",
                    "22023",
                    format!("`{name}` is no unit that `{function}` counts in"),
                ));
            }
        })
    }
}

/// Returns the unit of all rows; `None` where there are none.
fn unit(function: &str, units: &ArrayRef) -> Result<Option<Unit>> {
    let name = units.as_string::<i32>().iter().flatten().next();
    name.map(|name| Unit::read(function, name)).transpose()
}

/// Adds numbers of a unit to moments.
///
/// # Errors
/// `INVALID_PARAMETER_VALUE.DATETIME_UNIT`, `DATETIME_OVERFLOW`.
pub(super) fn add_units(
    units: &ArrayRef,
    numbers: &ArrayRef,
    moments: &ArrayRef,
    zone: &Zone,
) -> Result<ArrayRef> {
    let target = added(moments.data_type());
    let (instants, zone) = match target == LOCAL {
        true => (clocks(moments, zone)?, &Zone::UTC),
        false => (instants(moments, zone)?, zone),
    };
    let Some(unit) = unit("timestampadd", units)? else {
        return Ok(like(TimestampMicrosecondArray::new_null(instants.len()), &target));
    };
    let moved = pairs(longs(numbers), &instants, |number, instant| {
        let times = |by: i64| number.checked_mul(by).ok_or_else(overflow);
        match unit {
            Unit::Micros(micros) => move_by(instant, 0, 0, times(micros)?, zone),
            Unit::Days(days) => move_by(instant, 0, times(days)?, 0, zone),
            Unit::Months(months) => move_by(instant, times(months)?, 0, 0, zone),
        }
    })?;
    Ok(like(moved, &target))
}

/// Counts the whole units from one moment to another.
///
/// # Errors
/// `INVALID_PARAMETER_VALUE.DATETIME_UNIT`.
pub(super) fn difference(
    units: &ArrayRef,
    start: &ArrayRef,
    end: &ArrayRef,
    zone: &Zone,
) -> Result<ArrayRef> {
    let (start, end) = (clocks(start, zone)?, clocks(end, zone)?);
    let Some(unit) = unit("timestampdiff", units)? else {
        return Ok(Arc::new(Int64Array::new_null(start.len())));
    };
    let apart: Int64Array = pairs(&start, &end, |start, end| {
        let micros = || end.checked_sub(start).ok_or_else(overflow);
        Ok(match unit {
            Unit::Micros(unit) => micros()? / unit,
            Unit::Days(days) => micros()? / (days * DAY_MICROS),
            Unit::Months(months) => whole_months(start, end) / months,
        })
    })?;
    Ok(Arc::new(apart))
}

/// Counts the whole months from one local time to another: not the last, where the day or the time is before.
fn whole_months(start: i64, end: i64) -> i64 {
    let (start_day, start_time) = split_local(start);
    let (mut end_day, end_time) = split_local(end);
    if end_day > start_day && end_time < start_time {
        end_day -= 1;
    } else if end_day < start_day && end_time > start_time {
        end_day += 1;
    }
    let packed = |days: i32| {
        let (year, month, day) = civil(days);
        (i64::from(year) * 12 + i64::from(month)) * 32 + i64::from(day)
    };
    (packed(end_day) - packed(start_day)) / 32
}
