//! What the operators between moments and intervals compute; `spark::temporal_arithmetic` says which is which.
//!
//! Days and months are moved on the clock of the session's zone, hours and less on the line of time.
//! Source: Spark, `TimestampAddInterval`, `DateAddYMInterval`, `SubtractTimestamps`, `MultiplyDTInterval`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, TimestampMicrosecondArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, DurationMicrosecondType, Float64Type, Int64Type,
    IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalYearMonthType, TimestampMicrosecondType,
};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Volatility;

use super::moments::{
    CALENDAR, DAY_TIME, YEAR_MONTH, durations, interval_overflow, like, months, overflow, pairs, zone,
};
use crate::error::condition;
use crate::functions::arguments::over_arrays;
use crate::functions::function::{Function, Returns};
use crate::spark::temporal::{self, CalendarParts, DAY_MICROS, Zone, local_of, split_local};

/// A moment and an interval: the moment moved.
pub(crate) fn add_interval() -> Function {
    Function {
        name: "__ingot_add_interval",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| Ok(types.to_vec()),
        returns: Returns::Of(|types| Ok(types[0].clone())),
        invoke: |arguments| {
            let zone = zone(arguments);
            over_arrays(arguments, |arrays| moved(&arrays[0], &arrays[1], &zone))
        },
    }
}

/// Two moments of one type: the microseconds from the second to the first.
pub(crate) fn subtract_moments() -> Function {
    Function {
        name: "__ingot_subtract_moments",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| Ok(types.to_vec()),
        returns: Returns::Always(DAY_TIME),
        invoke: |arguments| over_arrays(arguments, |arrays| between(&arrays[0], &arrays[1])),
    }
}

/// Two intervals of one type: their sum.
pub(crate) fn add_intervals() -> Function {
    Function {
        name: "__ingot_add_intervals",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| Ok(types.to_vec()),
        returns: Returns::Of(|types| Ok(types[0].clone())),
        invoke: |arguments| over_arrays(arguments, |arrays| sum(&arrays[0], &arrays[1])),
    }
}

/// An interval and a number: the interval that many times.
pub(crate) fn multiply_interval() -> Function {
    Function {
        name: "__ingot_multiply_interval",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: with_factor,
        returns: Returns::Of(|types| Ok(types[0].clone())),
        invoke: |arguments| over_arrays(arguments, |arrays| times(&arrays[0], &Factors::of(&arrays[1])?)),
    }
}

/// An interval and a number: the interval's part.
pub(crate) fn divide_interval() -> Function {
    Function {
        name: "__ingot_divide_interval",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: with_factor,
        returns: Returns::Of(|types| Ok(types[0].clone())),
        invoke: |arguments| over_arrays(arguments, |arrays| divided(&arrays[0], &Factors::of(&arrays[1])?)),
    }
}

/// A calendar interval: its parts with the other sign.
pub(crate) fn negate_calendar() -> Function {
    Function {
        name: "__ingot_negate_calendar",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| Ok(types.to_vec()),
        returns: Returns::Always(CALENDAR),
        invoke: |arguments| {
            over_arrays(arguments, |arrays| {
                let negated = calendar(&arrays[0]).unary::<_, IntervalMonthDayNanoType>(|interval| {
                    IntervalMonthDayNano::new(
                        interval.months.wrapping_neg(),
                        interval.days.wrapping_neg(),
                        interval.nanoseconds.wrapping_neg(),
                    )
                });
                Ok(Arc::new(negated))
            })
        },
    }
}

/// Takes the second argument as a whole number, a decimal or a double.
fn with_factor(types: &[DataType]) -> Result<Vec<DataType>> {
    let number = |found: &DataType| match found {
        DataType::Decimal128(..) => found.clone(),
        DataType::Float32 | DataType::Float64 => DataType::Float64,
        _ => DataType::Int64,
    };
    Ok(match types {
        [interval, found] => vec![interval.clone(), number(found)],
        other => other.to_vec(),
    })
}

fn moved(moments: &ArrayRef, intervals: &ArrayRef, zone: &Zone) -> Result<ArrayRef> {
    if let DataType::Date32 = moments.data_type() {
        return moved_days(moments, intervals);
    }
    // Clocks without a zone go as those of UTC do.
    let zone = match moments.data_type() {
        DataType::Timestamp(_, None) => &Zone::UTC,
        _ => zone,
    };
    let micros: TimestampMicrosecondArray = moments.as_primitive::<TimestampMicrosecondType>().clone();
    let moved: TimestampMicrosecondArray = match intervals.data_type() {
        DataType::Duration(_) => pairs(&micros, durations(intervals), |instant, micros| {
            move_by(instant, 0, micros / DAY_MICROS, micros % DAY_MICROS, zone)
        }),
        interval if *interval == YEAR_MONTH => pairs(&micros, months(intervals), |instant, months| {
            move_by(instant, i64::from(months), 0, 0, zone)
        }),
        _ => pairs(&micros, calendar(intervals), |instant, interval| {
            let parts = CalendarParts::from(interval);
            move_by(
                instant,
                i64::from(parts.months),
                i64::from(parts.days),
                parts.micros,
                zone,
            )
        }),
    }?;
    let moved = moved.with_timezone_opt(None::<Arc<str>>);
    Ok(like(moved, moments.data_type()))
}

fn moved_days(dates: &ArrayRef, intervals: &ArrayRef) -> Result<ArrayRef> {
    let dates = dates.as_primitive::<Date32Type>();
    let moved: PrimitiveArray<Date32Type> = match intervals.data_type() {
        DataType::Duration(_) => pairs(dates, durations(intervals), |days, micros| {
            let moved = i64::from(days) + micros / DAY_MICROS;
            i32::try_from(moved).map_err(|_| overflow())
        }),
        interval if *interval == YEAR_MONTH => pairs(dates, months(intervals), |days, months| {
            temporal::add_months(days, i64::from(months)).ok_or_else(overflow)
        }),
        _ => pairs(dates, calendar(intervals), |days, interval| {
            let parts = CalendarParts::from(interval);
            if parts.micros != 0 {
                return Err(condition(
                    "INVALID_INTERVAL_WITH_MICROSECONDS_ADDITION",
                    "22006",
                    "an interval that is added to a date has no hours, minutes or seconds".to_owned(),
                ));
            }
            temporal::add_months(days, i64::from(parts.months))
                .and_then(|days| days.checked_add(parts.days))
                .ok_or_else(overflow)
        }),
    }?;
    Ok(Arc::new(moved))
}

/// Moves an instant by months, then days, then microseconds.
pub(super) fn move_by(instant: i64, months: i64, days: i64, micros: i64, zone: &Zone) -> Result<i64> {
    let moved = if months == 0 && days == 0 {
        Some(instant)
    } else {
        let (day, time) = split_local(zone.local(instant));
        temporal::add_months(day, months)
            .and_then(|day| i32::try_from(i64::from(day).checked_add(days)?).ok())
            .and_then(|day| zone.relocated(instant, local_of(day, time)?))
    };
    moved
        .and_then(|moved| moved.checked_add(micros))
        .ok_or_else(overflow)
}

fn between(left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef> {
    let micros: PrimitiveArray<DurationMicrosecondType> = match left.data_type() {
        DataType::Date32 => pairs(
            left.as_primitive::<Date32Type>(),
            right.as_primitive::<Date32Type>(),
            |left, right| {
                (i64::from(left) - i64::from(right))
                    .checked_mul(DAY_MICROS)
                    .ok_or_else(interval_overflow)
            },
        ),
        _ => pairs(
            left.as_primitive::<TimestampMicrosecondType>(),
            right.as_primitive::<TimestampMicrosecondType>(),
            |left, right| left.checked_sub(right).ok_or_else(interval_overflow),
        ),
    }?;
    Ok(Arc::new(micros))
}

fn sum(left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef> {
    Ok(match left.data_type() {
        DataType::Duration(_) => Arc::new(pairs::<_, _, DurationMicrosecondType>(
            durations(left),
            durations(right),
            |left, right| left.checked_add(right).ok_or_else(interval_overflow),
        )?),
        interval if *interval == YEAR_MONTH => Arc::new(pairs::<_, _, IntervalYearMonthType>(
            months(left),
            months(right),
            |left, right| left.checked_add(right).ok_or_else(interval_overflow),
        )?),
        _ => Arc::new(pairs::<_, _, IntervalMonthDayNanoType>(
            calendar(left),
            calendar(right),
            |left, right| {
                let months = left.months.checked_add(right.months);
                let days = left.days.checked_add(right.days);
                let nanos = left.nanoseconds.checked_add(right.nanoseconds);
                match (months, days, nanos) {
                    (Some(months), Some(days), Some(nanos)) => {
                        Ok(IntervalMonthDayNano::new(months, days, nanos))
                    }
                    _ => Err(interval_overflow()),
                }
            },
        )?),
    })
}

/// Numbers that intervals are multiplied with.
enum Factors {
    Whole(PrimitiveArray<Int64Type>),
    Decimal(PrimitiveArray<Decimal128Type>, u32),
    Double(PrimitiveArray<Float64Type>),
}

impl Factors {
    fn of(numbers: &ArrayRef) -> Result<Self> {
        Ok(match numbers.data_type() {
            DataType::Int64 => Self::Whole(numbers.as_primitive::<Int64Type>().clone()),
            DataType::Decimal128(_, scale) => Self::Decimal(
                numbers.as_primitive::<Decimal128Type>().clone(),
                u32::try_from(*scale).unwrap_or(0),
            ),
            DataType::Float64 => Self::Double(numbers.as_primitive::<Float64Type>().clone()),
            other => return Err(DataFusionError::Internal(format!("{other} is no factor"))),
        })
    }

    /// Computes each with the number's value: `exact` of its digits and their power of ten, `double` otherwise.
    fn with(
        &self,
        values: &PrimitiveArray<Int64Type>,
        exact: impl Fn(i64, i128, i128) -> Result<i64>,
        double: impl Fn(i64, f64) -> Result<i64>,
    ) -> Result<PrimitiveArray<Int64Type>> {
        match self {
            Self::Whole(numbers) => pairs(values, numbers, |value, number| {
                exact(value, i128::from(number), 1)
            }),
            Self::Decimal(numbers, scale) => {
                let power = 10_i128.checked_pow(*scale).ok_or_else(interval_overflow)?;
                pairs(values, numbers, |value, number| exact(value, number, power))
            }
            Self::Double(numbers) => pairs(values, numbers, double),
        }
    }
}

fn times(intervals: &ArrayRef, factors: &Factors) -> Result<ArrayRef> {
    let product = factors.with(
        &numbers(intervals)?,
        |value, number, power| {
            let product = i128::from(value)
                .checked_mul(number)
                .ok_or_else(interval_overflow)?;
            fitted(half_up(product, power))
        },
        |value, number| rounded(value as f64 * number),
    )?;
    intervals_of(product, intervals.data_type())
}

fn divided(intervals: &ArrayRef, factors: &Factors) -> Result<ArrayRef> {
    let by_zero = || {
        condition(
            "INTERVAL_DIVIDED_BY_ZERO",
            "22012",
            "an interval is divided by zero; use `try_divide` to get NULL instead".to_owned(),
        )
    };
    let quotient = factors.with(
        &numbers(intervals)?,
        |value, number, power| {
            if number == 0 {
                return Err(by_zero());
            }
            let scaled = i128::from(value)
                .checked_mul(power)
                .ok_or_else(interval_overflow)?;
            fitted(half_up(scaled, number))
        },
        |value, number| match number == 0.0 {
            true => Err(by_zero()),
            false => rounded(value as f64 / number),
        },
    )?;
    intervals_of(quotient, intervals.data_type())
}

fn half_up(dividend: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (dividend / divisor, dividend % divisor);
    let away = rest.unsigned_abs() >= divisor.unsigned_abs().div_ceil(2) && rest != 0;
    let sign = if (dividend < 0) == (divisor < 0) { 1 } else { -1 };
    quotient + if away { sign } else { 0 }
}

fn fitted(value: i128) -> Result<i64> {
    i64::try_from(value).map_err(|_| interval_overflow())
}

fn rounded(value: f64) -> Result<i64> {
    let rounded = value.round();
    let fits = rounded >= i64::MIN as f64 && rounded < i64::MAX as f64;
    match fits {
        true => Ok(rounded as i64),
        false => Err(interval_overflow()),
    }
}

/// Returns the months or microseconds of intervals.
fn numbers(intervals: &ArrayRef) -> Result<PrimitiveArray<Int64Type>> {
    match intervals.data_type() {
        DataType::Duration(_) => Ok(durations(intervals).unary(|micros| micros)),
        interval if *interval == YEAR_MONTH => Ok(months(intervals).unary(i64::from)),
        other => Err(DataFusionError::Internal(format!("{other} is not multiplied"))),
    }
}

fn intervals_of(numbers: PrimitiveArray<Int64Type>, data_type: &DataType) -> Result<ArrayRef> {
    match data_type {
        DataType::Duration(_) => Ok(Arc::new(
            numbers.unary::<_, DurationMicrosecondType>(|micros| micros),
        )),
        _ => {
            let months = numbers.try_unary::<_, IntervalYearMonthType, _>(|months| {
                i32::try_from(months).map_err(|_| interval_overflow())
            })?;
            Ok(Arc::new(months))
        }
    }
}

fn calendar(intervals: &ArrayRef) -> &PrimitiveArray<IntervalMonthDayNanoType> {
    debug_assert_eq!(intervals.data_type(), &CALENDAR);
    intervals.as_primitive()
}
