//! `trunc(date, 'unit')` and `date_trunc('unit', timestamp)`: the start of what a moment is in.
//!
//! A unit that is unknown gives NULL. Source: Spark, `TruncDate`, `TruncTimestamp`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Date32Array, TimestampMicrosecondArray};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ScalarUDF, Volatility};

use super::moments::{days, instants, moment, overflow, zone, zoned};
use crate::functions::arguments::{count, is_text, over_arrays, timestamp, unexpected};
use crate::functions::function::{Function, Returns};
use crate::spark::temporal::{
    DAY_MICROS, HOUR_MICROS, MINUTE_MICROS, SECOND_MICROS, Zone, civil, days_of, local_of, split_local,
    weekday,
};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    [trunc(), date_trunc()].map(Function::udf).into()
}

fn trunc() -> Function {
    Function {
        name: "trunc",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| {
            count("trunc", types, 2, 2)?;
            Ok(vec![
                moment("trunc", 1, &types[0], DataType::Date32)?,
                unit_type("trunc", 2, &types[1])?,
            ])
        },
        returns: Returns::Always(DataType::Date32),
        invoke: |arguments| {
            let zone = zone(arguments);
            over_arrays(arguments, |arrays| {
                let dates = days(&arrays[0], &zone)?;
                let rows = dates.iter().zip(arrays[1].as_string::<i32>());
                let starts = rows.map(|row| match row {
                    (Some(days), Some(unit)) => {
                        let unit = Unit::read(unit).filter(|unit| unit.is_of_dates());
                        unit.map(|unit| unit.start_day(days).ok_or_else(overflow))
                            .transpose()
                    }
                    _ => Ok(None),
                });
                Ok(Arc::new(starts.collect::<Result<Date32Array>>()?))
            })
        },
    }
}

fn date_trunc() -> Function {
    Function {
        name: "date_trunc",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| {
            count("date_trunc", types, 2, 2)?;
            Ok(vec![
                unit_type("date_trunc", 1, &types[0])?,
                moment("date_trunc", 2, &types[1], timestamp())?,
            ])
        },
        returns: Returns::Always(timestamp()),
        invoke: |arguments| {
            let zone = zone(arguments);
            over_arrays(arguments, |arrays| truncated(&arrays[0], &arrays[1], &zone))
        },
    }
}

fn unit_type(function: &str, place: usize, found: &DataType) -> Result<DataType> {
    match is_text(found) || *found == DataType::Null {
        true => Ok(DataType::Utf8),
        false => Err(unexpected(function, place, "STRING", found)),
    }
}

fn truncated(units: &ArrayRef, moments: &ArrayRef, zone: &Zone) -> Result<ArrayRef> {
    let instants = instants(moments, zone)?;
    let rows = units.as_string::<i32>().iter().zip(instants.iter());
    // One unit serves a whole column.
    let mut last: Option<(&str, Option<Unit>)> = None;
    let starts = rows.map(|row| match row {
        (Some(name), Some(instant)) => {
            let unit = match last {
                Some((known, unit)) if known == name => unit,
                _ => Unit::read(name),
            };
            last = Some((name, unit));
            unit.map(|unit| unit.start(instant, zone).ok_or_else(overflow))
                .transpose()
        }
        _ => Ok(None),
    });
    Ok(zoned(starts.collect::<Result<TimestampMicrosecondArray>>()?))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Year,
    Quarter,
    Month,
    Week,
    /// Of so many microseconds of the day.
    Micros(i64),
}

impl Unit {
    fn read(name: &str) -> Option<Self> {
        Some(match name.to_uppercase().as_str() {
            "YEAR" | "YYYY" | "YY" => Self::Year,
            "QUARTER" => Self::Quarter,
            "MONTH" | "MM" | "MON" => Self::Month,
            "WEEK" => Self::Week,
            "DAY" | "DD" => Self::Micros(DAY_MICROS),
            "HOUR" => Self::Micros(HOUR_MICROS),
            "MINUTE" => Self::Micros(MINUTE_MICROS),
            "SECOND" => Self::Micros(SECOND_MICROS),
            "MILLISECOND" => Self::Micros(1000),
            "MICROSECOND" => Self::Micros(1),
            _ => return None,
        })
    }

    fn is_of_dates(self) -> bool {
        !matches!(self, Self::Micros(_))
    }

    fn start_day(self, days: i32) -> Option<i32> {
        let (year, month, _) = civil(days);
        let year = i64::from(year);
        match self {
            Self::Year => days_of(year, 1, 1),
            Self::Quarter => days_of(year, i64::from((month - 1) / 3 * 3 + 1), 1),
            Self::Month => days_of(year, i64::from(month), 1),
            Self::Week => days.checked_sub_unsigned(weekday(days)),
            Self::Micros(_) => Some(days),
        }
    }

    fn start(self, instant: i64, zone: &Zone) -> Option<i64> {
        let local = zone.local(instant);
        match self {
            // Of two hours that clocks show, the one that it is.
            Self::Micros(unit) if unit < DAY_MICROS => {
                zone.relocated(instant, local - local.rem_euclid(unit))
            }
            unit => zone.instant(local_of(unit.start_day(split_local(local).0)?, 0)?),
        }
    }
}
