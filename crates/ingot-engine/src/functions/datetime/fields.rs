//! Parts of moments and intervals: `year(x)` to `second(x)`, `date_part('unit', x)`, `extract(unit FROM x)`.
//!
//! What clocks show in the session's zone counts. Source: Spark, `DatePart`, `Extract`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Int32Array, StringArray};
use arrow::datatypes::{DataType, Decimal128Type, Int8Type, Int32Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, Volatility};

use super::moments::{DAY_TIME, YEAR_MONTH, clocks, days, durations, moment, months, zone};
use crate::error::condition;
use crate::functions::arguments::{count, is_text, over_arrays, timestamp, unexpected};
use crate::functions::function::{Function, Returns};
use crate::spark::temporal::{
    DAY_MICROS, HOUR_MICROS, MINUTE_MICROS, SECOND_MICROS, Zone, civil, day_of_year, iso_week, split_local,
    weekday,
};

const SECONDS: DataType = DataType::Decimal128(8, 6);

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    macro_rules! of_day {
        ($name:literal, $aliases:expr, $part:expr) => {
            Function {
                name: $name,
                aliases: $aliases,
                volatility: Volatility::Immutable,
                arguments: |types| {
                    count($name, types, 1, 1)?;
                    Ok(vec![moment($name, 1, &types[0], DataType::Date32)?])
                },
                returns: Returns::Always(DataType::Int32),
                invoke: |arguments| {
                    let zone = zone(arguments);
                    over_arrays(arguments, |arrays| of_days(&arrays[0], $part, &zone))
                },
            }
        };
    }
    macro_rules! of_time {
        ($name:literal, $part:expr) => {
            Function {
                name: $name,
                aliases: &[],
                volatility: Volatility::Immutable,
                arguments: |types| {
                    count($name, types, 1, 1)?;
                    Ok(vec![moment($name, 1, &types[0], timestamp())?])
                },
                returns: Returns::Always(DataType::Int32),
                invoke: |arguments| {
                    let zone = zone(arguments);
                    over_arrays(arguments, |arrays| of_times(&arrays[0], $part, &zone))
                },
            }
        };
    }
    macro_rules! name_of {
        ($name:literal, $of:expr) => {
            Function {
                name: $name,
                aliases: &[],
                volatility: Volatility::Immutable,
                arguments: |types| {
                    count($name, types, 1, 1)?;
                    Ok(vec![moment($name, 1, &types[0], DataType::Date32)?])
                },
                returns: Returns::Always(DataType::Utf8),
                invoke: |arguments| names(arguments, $of),
            }
        };
    }
    [
        of_day!("year", &[], Part::Year),
        of_day!("quarter", &[], Part::Quarter),
        of_day!("month", &[], Part::Month),
        of_day!("weekofyear", &[], Part::Week),
        of_day!("day", &["dayofmonth"], Part::Day),
        of_day!("dayofweek", &[], Part::DayOfWeek),
        of_day!("dayofyear", &[], Part::DayOfYear),
        of_day!("weekday", &[], Part::Weekday),
        of_time!("hour", Part::Hour),
        of_time!("minute", Part::Minute),
        of_time!("second", Part::WholeSecond),
        name_of!("dayname", |days| DAY_NAMES[weekday(days) as usize % 7]),
        name_of!("monthname", |days| MONTH_NAMES
            [(civil(days).1 as usize + 11) % 12]),
        date_part(),
    ]
    .map(Function::udf)
    .into()
}

const DAY_NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTH_NAMES: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Year,
    IsoYear,
    Quarter,
    Month,
    Week,
    Day,
    /// From 1 for Sunday.
    DayOfWeek,
    /// From 1 for Monday.
    IsoDayOfWeek,
    /// From 0 for Monday.
    Weekday,
    DayOfYear,
    Hour,
    Minute,
    WholeSecond,
    /// With its fraction, a decimal.
    Second,
}

impl Part {
    /// Reads the name of a field of moments.
    fn of_moment(name: &str) -> Option<Self> {
        Some(match name.to_uppercase().as_str() {
            "YEAR" | "Y" | "YEARS" | "YR" | "YRS" => Self::Year,
            "YEAROFWEEK" => Self::IsoYear,
            "QUARTER" | "QTR" => Self::Quarter,
            "MONTH" | "MON" | "MONS" | "MONTHS" => Self::Month,
            "WEEK" | "W" | "WEEKS" => Self::Week,
            "DAY" | "D" | "DAYS" => Self::Day,
            "DAYOFWEEK" | "DOW" => Self::DayOfWeek,
            "DAYOFWEEK_ISO" | "DOW_ISO" => Self::IsoDayOfWeek,
            "DOY" => Self::DayOfYear,
            "HOUR" | "H" | "HOURS" | "HR" | "HRS" => Self::Hour,
            "MINUTE" | "M" | "MIN" | "MINS" | "MINUTES" => Self::Minute,
            "SECOND" | "S" | "SEC" | "SECONDS" | "SECS" => Self::Second,
            _ => return None,
        })
    }

    fn is_of_interval(self, interval: &DataType) -> bool {
        match self {
            Self::Year | Self::Month => *interval == YEAR_MONTH,
            Self::Day | Self::Hour | Self::Minute | Self::Second => *interval == DAY_TIME,
            _ => false,
        }
    }

    fn of_day(self, days: i32) -> i32 {
        let (year, month, day) = civil(days);
        let small = match self {
            Self::Year => return year,
            Self::IsoYear => return iso_week(days).0,
            Self::Quarter => (month - 1) / 3 + 1,
            Self::Month => month,
            Self::Week => iso_week(days).1,
            Self::Day => day,
            Self::DayOfWeek => (weekday(days) + 1) % 7 + 1,
            Self::IsoDayOfWeek => weekday(days) + 1,
            Self::Weekday => weekday(days),
            _ => day_of_year(days),
        };
        small as i32
    }

    fn of_time(self, micros: i64) -> i32 {
        let value = match self {
            Self::Hour => micros / HOUR_MICROS,
            Self::Minute => micros % HOUR_MICROS / MINUTE_MICROS,
            _ => micros % MINUTE_MICROS / SECOND_MICROS,
        };
        value as i32
    }
}

fn of_days(moments: &ArrayRef, part: Part, zone: &Zone) -> Result<ArrayRef> {
    let values = days(moments, zone)?.unary::<_, Int32Type>(|days| part.of_day(days));
    Ok(Arc::new(values))
}

fn of_times(moments: &ArrayRef, part: Part, zone: &Zone) -> Result<ArrayRef> {
    let clocks = clocks(moments, zone)?;
    Ok(match part {
        Part::Second => {
            let micros = |local: i64| i128::from(split_local(local).1 % MINUTE_MICROS);
            let seconds: Decimal128Array = clocks.unary::<_, Decimal128Type>(micros);
            Arc::new(seconds.with_data_type(SECONDS))
        }
        part => Arc::new(clocks.unary::<_, Int32Type>(|local| part.of_time(split_local(local).1))),
    })
}

fn of_intervals(intervals: &ArrayRef, part: Part) -> ArrayRef {
    match part {
        Part::Year => Arc::new(months(intervals).unary::<_, Int32Type>(|months| months / 12)),
        Part::Month => Arc::new(months(intervals).unary::<_, Int8Type>(|months| (months % 12) as i8)),
        Part::Day => {
            Arc::new(durations(intervals).unary::<_, Int32Type>(|micros| (micros / DAY_MICROS) as i32))
        }
        Part::Hour => Arc::new(
            durations(intervals).unary::<_, Int8Type>(|micros| (micros % DAY_MICROS / HOUR_MICROS) as i8),
        ),
        Part::Minute => Arc::new(
            durations(intervals).unary::<_, Int8Type>(|micros| (micros % HOUR_MICROS / MINUTE_MICROS) as i8),
        ),
        _ => Arc::new(
            durations(intervals)
                .unary::<_, Decimal128Type>(|micros| i128::from(micros % MINUTE_MICROS))
                .with_data_type(SECONDS),
        ),
    }
}

fn names(arguments: &ScalarFunctionArgs, name: fn(i32) -> &'static str) -> Result<ColumnarValue> {
    let zone = zone(arguments);
    over_arrays(arguments, |arrays| {
        let names = days(&arrays[0], &zone)?;
        let names = names.iter().map(|days| days.map(name));
        Ok(Arc::new(names.collect::<StringArray>()))
    })
}

fn date_part() -> Function {
    Function {
        name: "date_part",
        aliases: &["datepart"],
        volatility: Volatility::Immutable,
        arguments: |types| {
            count("date_part", types, 2, 2)?;
            if !is_text(&types[0]) {
                return Err(unexpected("date_part", 1, "a constant STRING", &types[0]));
            }
            let source = match &types[1] {
                interval if *interval == DAY_TIME || *interval == YEAR_MONTH => interval.clone(),
                found => moment("date_part", 2, found, timestamp())?,
            };
            Ok(vec![DataType::Utf8, source])
        },
        returns: Returns::Field(type_of_part),
        invoke: |arguments| {
            let zone = zone(arguments);
            over_arrays(arguments, |arrays| {
                let Some(name) = arrays[0].as_string::<i32>().iter().flatten().next() else {
                    return Ok(Arc::new(Int32Array::new_null(arrays[1].len())));
                };
                let source = arrays[1].data_type();
                let part = part(name, source)?;
                match part {
                    part if part.is_of_interval(source) => Ok(of_intervals(&arrays[1], part)),
                    Part::Hour | Part::Minute | Part::Second => of_times(&arrays[1], part, &zone),
                    part => of_days(&arrays[1], part, &zone),
                }
            })
        },
    }
}

fn type_of_part(arguments: &ReturnFieldArgs<'_>) -> Result<DataType> {
    let name = arguments.scalar_arguments.first().copied().flatten();
    let name = name.map(|name| name.cast_to(&DataType::Utf8)).transpose()?;
    let source = arguments.arg_fields[1].data_type();
    match name {
        Some(ScalarValue::Utf8(Some(name))) => Ok(match (part(&name, source)?, source) {
            (Part::Second, _) => SECONDS,
            (Part::Month, interval) if *interval == YEAR_MONTH => DataType::Int8,
            (Part::Hour | Part::Minute, interval) if *interval == DAY_TIME => DataType::Int8,
            _ => DataType::Int32,
        }),
        Some(_) => Ok(DataType::Int32),
        None => Err(condition(
            "NON_FOLDABLE_ARGUMENT",
            "42K08",
            "the first argument of `date_part` has to be a constant".to_owned(),
        )),
    }
}

fn part(name: &str, source: &DataType) -> Result<Part> {
    let interval = *source == DAY_TIME || *source == YEAR_MONTH;
    let part = Part::of_moment(name).filter(|part| !interval || part.is_of_interval(source));
    part.ok_or_else(|| no_field(name, source))
}

fn no_field(name: &str, source: &DataType) -> DataFusionError {
    condition(
        "INVALID_EXTRACT_FIELD",
        "42601",
        format!(
            "`{name}` is no field of {}",
            crate::write::type_text(source).to_uppercase()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients read values of this type by its width.
    #[test]
    fn months_of_intervals_are_small() {
        let months: ArrayRef = Arc::new(arrow::array::IntervalYearMonthArray::from(vec![-14]));
        let found = of_intervals(&months, Part::Month);
        assert_eq!(
            found.as_primitive::<Int8Type>(),
            &arrow::array::Int8Array::from(vec![-2])
        );
    }
}
