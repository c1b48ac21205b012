//! Functions of days: `date_add`, `date_sub`, `datediff`, `add_months`, `months_between`, `last_day`, `next_day`.
//!
//! Three arguments make of `date_add` and `datediff` what `timestampadd` and `timestampdiff` are.
//! Source: Spark, `datetimeExpressions`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, Float64Array, Int32Array};
use arrow::datatypes::{DataType, Date32Type};
use datafusion::error::Result;
use datafusion::logical_expr::{ScalarUDF, Volatility};

use super::moments::{clocks, days, ints, moment, overflow, pairs, small, zone};
use super::units::{self, add_units, difference};
use crate::error::condition;
use crate::functions::arguments::{count, is_text, over_arrays, timestamp, unexpected};
use crate::functions::function::{Function, Returns};
use crate::spark::temporal::{self, DAY_MICROS, SECOND_MICROS, civil, days_in_month, split_local, weekday};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    [
        date_add(),
        date_sub(),
        date_diff(),
        add_months(),
        months_between(),
        last_day(),
        next_day(),
    ]
    .map(Function::udf)
    .into()
}

/// `date_add(date, days)`, and `date_add(unit, number, timestamp)`.
pub(crate) fn date_add() -> Function {
    Function {
        name: "date_add",
        aliases: &["dateadd"],
        volatility: Volatility::Immutable,
        arguments: |types| match types.len() {
            3 => units::of_addition("date_add", types),
            _ => date_and_small("date_add", types),
        },
        returns: Returns::Of(|types| match types {
            [_, _, moment] => Ok(units::added(moment)),
            _ => Ok(DataType::Date32),
        }),
        invoke: |arguments| {
            let zone = zone(arguments);
            over_arrays(arguments, |arrays| match arrays {
                [unit, number, moments] => add_units(unit, number, moments, &zone),
                arrays => moved(arrays, &zone, i32::checked_add),
            })
        },
    }
}

pub(crate) fn date_sub() -> Function {
    Function {
        name: "date_sub",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| date_and_small("date_sub", types),
        returns: Returns::Always(DataType::Date32),
        invoke: |arguments| {
            let zone = zone(arguments);
            over_arrays(arguments, |arrays| moved(arrays, &zone, i32::checked_sub))
        },
    }
}

fn date_and_small(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, 2, 2)?;
    Ok(vec![
        moment(function, 1, &types[0], DataType::Date32)?,
        small(function, 2, &types[1])?,
    ])
}

fn moved(
    arrays: &[ArrayRef],
    zone: &temporal::Zone,
    by: impl Fn(i32, i32) -> Option<i32>,
) -> Result<ArrayRef> {
    let dates: Date32Array = pairs(&days(&arrays[0], zone)?, ints(&arrays[1]), |days, number| {
        by(days, number).ok_or_else(overflow)
    })?;
    Ok(Arc::new(dates))
}

/// `datediff(end, start)`, and `datediff(unit, start, end)`.
fn date_diff() -> Function {
    Function {
        name: "datediff",
        aliases: &["date_diff"],
        volatility: Volatility::Immutable,
        arguments: |types| match types.len() {
            3 => units::of_difference("datediff", types),
            _ => {
                count("datediff", types, 2, 2)?;
                let one = |(nth, found)| moment("datediff", nth + 1, found, DataType::Date32);
                types.iter().enumerate().map(one).collect()
            }
        },
        returns: Returns::Of(|types| match types.len() {
            3 => Ok(DataType::Int64),
            _ => Ok(DataType::Int32),
        }),
        invoke: |arguments| {
            let zone = zone(arguments);
            over_arrays(arguments, |arrays| match arrays {
                [unit, start, end] => difference(unit, start, end, &zone),
                arrays => {
                    let (end, start) = (days(&arrays[0], &zone)?, days(&arrays[1], &zone)?);
                    let apart: Int32Array = pairs(&end, &start, |end: i32, start: i32| {
                        end.checked_sub(start).ok_or_else(overflow)
                    })?;
                    Ok(Arc::new(apart))
                }
            })
        },
    }
}

fn add_months() -> Function {
    Function {
        name: "add_months",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| date_and_small("add_months", types),
        returns: Returns::Always(DataType::Date32),
        invoke: |arguments| {
            let zone = zone(arguments);
            over_arrays(arguments, |arrays| {
                moved(arrays, &zone, |days, months| {
                    temporal::add_months(days, i64::from(months))
                })
            })
        },
    }
}

/// `months_between(end, start[, round_off])`.
fn months_between() -> Function {
    Function {
        name: "months_between",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| {
            count("months_between", types, 2, 3)?;
            let one = |(nth, found): (usize, &DataType)| match (nth, found) {
                (2, DataType::Boolean | DataType::Null) => Ok(DataType::Boolean),
                (2, found) => Err(unexpected("months_between", 3, "BOOLEAN", found)),
                (nth, found) => moment("months_between", nth + 1, found, timestamp()),
            };
            types.iter().enumerate().map(one).collect()
        },
        returns: Returns::Always(DataType::Float64),
        invoke: |arguments| {
            let zone = zone(arguments);
            over_arrays(arguments, |arrays| {
                let (end, start) = (clocks(&arrays[0], &zone)?, clocks(&arrays[1], &zone)?);
                let round = arrays.get(2).map(|round| round.as_boolean());
                let months = (0..end.len()).map(|row| {
                    let known = end.is_valid(row)
                        && start.is_valid(row)
                        && round.is_none_or(|round| round.is_valid(row));
                    let rounded = round.is_none_or(|round| round.value(row));
                    known.then(|| months_apart(end.value(row), start.value(row), rounded))
                });
                Ok(Arc::new(months.collect::<Float64Array>()))
            })
        },
    }
}

/// Counts months: the same day, or the last of both months, make it a whole number; a month has 31 days otherwise.
fn months_apart(end: i64, start: i64, round: bool) -> f64 {
    const MONTH_SECONDS: f64 = 31.0 * 86_400.0;
    let split = |local: i64| {
        let (days, micros) = split_local(local);
        let (year, month, day) = civil(days);
        let last = day == days_in_month(i64::from(year), month);
        let months = i64::from(year) * 12 + i64::from(month);
        (months, i64::from(day), last, micros / SECOND_MICROS)
    };
    let (end_months, end_day, end_last, end_seconds) = split(end);
    let (start_months, start_day, start_last, start_seconds) = split(start);
    let months = (end_months - start_months) as f64;
    if end_day == start_day || (end_last && start_last) {
        return months;
    }
    let day_seconds = DAY_MICROS / SECOND_MICROS;
    let seconds = (end_day - start_day) * day_seconds + end_seconds - start_seconds;
    let apart = months + seconds as f64 / MONTH_SECONDS;
    match round {
        // Java's `Math.round`: halves go up.
        true => (apart * 1e8 + 0.5).floor() / 1e8,
        false => apart,
    }
}

fn last_day() -> Function {
    Function {
        name: "last_day",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| {
            count("last_day", types, 1, 1)?;
            Ok(vec![moment("last_day", 1, &types[0], DataType::Date32)?])
        },
        returns: Returns::Always(DataType::Date32),
        invoke: |arguments| {
            let zone = zone(arguments);
            over_arrays(arguments, |arrays| {
                let last = days(&arrays[0], &zone)?.unary::<_, Date32Type>(|days| {
                    let (year, month, day) = civil(days);
                    let after = days_in_month(i64::from(year), month) - day;
                    days.saturating_add_unsigned(after)
                });
                Ok(Arc::new(last))
            })
        },
    }
}

/// `next_day(date, day_of_week)`: the first such day after the date.
fn next_day() -> Function {
    Function {
        name: "next_day",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| {
            count("next_day", types, 2, 2)?;
            let date = moment("next_day", 1, &types[0], DataType::Date32)?;
            match &types[1] {
                found if is_text(found) || *found == DataType::Null => Ok(vec![date, DataType::Utf8]),
                found => Err(unexpected("next_day", 2, "STRING", found)),
            }
        },
        returns: Returns::Always(DataType::Date32),
        invoke: |arguments| {
            let zone = zone(arguments);
            over_arrays(arguments, |arrays| {
                let dates = days(&arrays[0], &zone)?;
                let rows = dates
                    .iter()
                    .zip(arrays[1].as_string::<i32>())
                    .map(|row| match row {
                        (Some(days), Some(name)) => {
                            let wanted = day_of_week(name)?;
                            let ahead = (wanted + 7 - weekday(days)) % 7;
                            let ahead = if ahead == 0 { 7 } else { ahead };
                            days.checked_add_unsigned(ahead).map(Some).ok_or_else(overflow)
                        }
                        _ => Ok(None),
                    });
                Ok(Arc::new(rows.collect::<Result<Date32Array>>()?))
            })
        },
    }
}

fn day_of_week(name: &str) -> Result<u32> {
    let place = match name.trim().to_uppercase().as_str() {
        "MO" | "MON" | "MONDAY" => 0,
        "TU" | "TUE" | "TUESDAY" => 1,
        "WE" | "WED" | "WEDNESDAY" => 2,
        "TH" | "THU" | "THURSDAY" => 3,
        "FR" | "FRI" | "FRIDAY" => 4,
        "SA" | "SAT" | "SATURDAY" => 5,
        "SU" | "SUN" | "SUNDAY" => 6,
        _ => {
            return Err(condition(
                "ILLEGAL_DAY_OF_WEEK",
                "22009",
                format!("`{name}` is no day of the week"),
            ));
        }
    };
    Ok(place)
}
