//! Arguments that are days, instants or local times, whatever they were given as.
//!
//! A date is an instant only in a zone, and so is a text without one: what converts them has to know the session's
//! zone, which a cast of DataFusion's does not. Functions take any moment as it is, and convert it here.
//! Source: Spark, `Cast`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, PrimitiveArray, TimestampMicrosecondArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, DurationMicrosecondType, Int32Type, Int64Type, IntervalUnit,
    IntervalYearMonthType, TimeUnit, TimestampMicrosecondType,
};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ScalarFunctionArgs;

use crate::error::condition;
use crate::functions::arguments::{is_text, session_zone, timestamp, unexpected};
use crate::spark::AnsiMode;
use crate::spark::temporal::{self, Zone, split_local};
use crate::write::type_text;

/// A local time: TIMESTAMP_NTZ.
pub(crate) const LOCAL: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// A day-time interval.
pub(crate) const DAY_TIME: DataType = DataType::Duration(TimeUnit::Microsecond);

/// A year-month interval.
pub(crate) const YEAR_MONTH: DataType = DataType::Interval(IntervalUnit::YearMonth);

/// An interval of months, days and microseconds.
pub(crate) const CALENDAR: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// Returns the session's zone.
pub(crate) fn zone(arguments: &ScalarFunctionArgs) -> Zone {
    Zone::parse(session_zone(arguments)).unwrap_or(Zone::UTC)
}

/// Says if what makes no moment is null: for the `try_` of a function, and without ANSI mode.
pub(super) fn nullifies(arguments: &ScalarFunctionArgs, tries: bool) -> bool {
    tries || AnsiMode::of(&arguments.config_options) == AnsiMode::Off
}

/// Reads the name of a zone.
///
/// # Errors
/// `INVALID_TIMEZONE`.
pub(crate) fn named_zone(name: &str) -> Result<Zone> {
    Zone::parse(name).ok_or_else(|| {
        condition(
            "INVALID_TIMEZONE",
            "22009",
            format!(
                "`{name}` is no time zone; it is a region, as `Europe/Berlin`, or an offset, as `+01:00`"
            ),
        )
    })
}

/// Says as which moment an argument is taken, a null as `null`.
///
/// # Errors
/// `DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE` for what is none.
pub(crate) fn moment(function: &str, place: usize, found: &DataType, null: DataType) -> Result<DataType> {
    Ok(match found {
        DataType::Null => null,
        DataType::Date32 | DataType::Date64 => DataType::Date32,
        DataType::Timestamp(_, Some(_)) => timestamp(),
        DataType::Timestamp(_, None) => LOCAL,
        found if is_text(found) => DataType::Utf8,
        found => return Err(unexpected(function, place, "DATE or TIMESTAMP", found)),
    })
}

/// Says as which type a small whole number is taken: INT, a text too.
///
/// # Errors
/// `DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE`.
pub(crate) fn small(function: &str, place: usize, found: &DataType) -> Result<DataType> {
    match found {
        DataType::Null | DataType::Int8 | DataType::Int16 | DataType::Int32 => Ok(DataType::Int32),
        found if is_text(found) => Ok(DataType::Int32),
        found => Err(unexpected(function, place, "INT", found)),
    }
}

/// Says as which type a whole number is taken: BIGINT, a text too.
///
/// # Errors
/// `DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE`.
pub(crate) fn large(function: &str, place: usize, found: &DataType) -> Result<DataType> {
    match found {
        DataType::Int64 => Ok(DataType::Int64),
        found => small(function, place, found).map(|_| DataType::Int64),
    }
}

/// Returns the days of moments.
///
/// # Errors
/// `CAST_INVALID_INPUT` for a text that is none.
pub(crate) fn days(moments: &ArrayRef, zone: &Zone) -> Result<Date32Array> {
    Ok(match moments.data_type() {
        DataType::Date32 => moments.as_primitive::<Date32Type>().clone(),
        DataType::Timestamp(_, Some(_)) => moments
            .as_primitive::<TimestampMicrosecondType>()
            .unary(|instant| zone.day(instant)),
        DataType::Timestamp(_, None) => moments
            .as_primitive::<TimestampMicrosecondType>()
            .unary(|local| split_local(local).0),
        _ => read(moments, &DataType::Date32, |text| {
            temporal::parse_date(text).or_else(|| temporal::special_date(text, zone))
        })?,
    })
}

/// Returns the instants of moments, without the type's zone: see [`zoned`].
///
/// # Errors
/// `CAST_INVALID_INPUT` for a text that is none, `DATETIME_OVERFLOW`.
pub(crate) fn instants(moments: &ArrayRef, zone: &Zone) -> Result<TimestampMicrosecondArray> {
    match moments.data_type() {
        DataType::Timestamp(_, Some(_)) => Ok(plain(moments)),
        DataType::Timestamp(_, None) => moments
            .as_primitive::<TimestampMicrosecondType>()
            .try_unary(|local| zone.instant(local).ok_or_else(overflow)),
        DataType::Date32 => moments
            .as_primitive::<Date32Type>()
            .try_unary(|days| zone.start_of_day(days).ok_or_else(overflow)),
        _ => read(moments, &timestamp(), |text| {
            temporal::parse_timestamp(text, zone).or_else(|| temporal::special_timestamp(text, zone))
        }),
    }
}

/// Returns what clocks show in `zone` at moments; a text is an instant of `zone` first.
///
/// # Errors
/// As [`instants`].
pub(crate) fn clocks(moments: &ArrayRef, zone: &Zone) -> Result<TimestampMicrosecondArray> {
    match moments.data_type() {
        DataType::Timestamp(_, None) => Ok(plain(moments)),
        DataType::Date32 => moments
            .as_primitive::<Date32Type>()
            .try_unary(|days| temporal::local_of(days, 0).ok_or_else(overflow)),
        _ => Ok(instants(moments, zone)?.unary(|instant| zone.local(instant))),
    }
}

/// Returns the local times of moments; of a text, what it says, whatever zone it names.
///
/// # Errors
/// As [`instants`].
pub(crate) fn locals(moments: &ArrayRef, zone: &Zone) -> Result<TimestampMicrosecondArray> {
    match is_text(moments.data_type()) {
        true => read(moments, &LOCAL, temporal::parse_timestamp_ntz),
        false => clocks(moments, zone),
    }
}

/// Makes instants of an array that says so in its type.
pub(crate) fn zoned(instants: TimestampMicrosecondArray) -> ArrayRef {
    Arc::new(instants.with_timezone("UTC"))
}

/// Makes moments of the type of `like`, of their microseconds.
pub(crate) fn like(micros: TimestampMicrosecondArray, like: &DataType) -> ArrayRef {
    match like {
        DataType::Timestamp(_, None) => Arc::new(micros),
        _ => zoned(micros),
    }
}

fn plain(moments: &ArrayRef) -> TimestampMicrosecondArray {
    let moments = moments.as_primitive::<TimestampMicrosecondType>();
    moments.clone().with_timezone_opt(None::<Arc<str>>)
}

/// Reads texts, which all have to be values of `target`.
fn read<T: ArrowPrimitiveType>(
    texts: &ArrayRef,
    target: &DataType,
    read: impl Fn(&str) -> Option<T::Native>,
) -> Result<PrimitiveArray<T>> {
    let values = texts.as_string::<i32>().iter().map(|text| match text {
        None => Ok(None),
        Some(text) => read(text).map(Some).ok_or_else(|| invalid_input(text, target)),
    });
    values.collect()
}

pub(crate) fn invalid_input(text: &str, target: &DataType) -> DataFusionError {
    condition(
        "CAST_INVALID_INPUT",
        "22018",
        format!(
            "the value '{text}' of the type STRING cannot be cast to {}; use `try_cast` to get NULL instead",
            type_text(target).to_uppercase()
        ),
    )
}

/// Says that a moment is outside of what its type holds.
pub(crate) fn overflow() -> DataFusionError {
    condition(
        "DATETIME_OVERFLOW",
        "22008",
        "the result of the operation on dates and times does not fit into its type".to_owned(),
    )
}

/// Says that an interval is outside of what its type holds.
pub(crate) fn interval_overflow() -> DataFusionError {
    condition(
        "INTERVAL_ARITHMETIC_OVERFLOW.WITHOUT_SUGGESTION",
        "22015",
        "the interval does not fit into its type".to_owned(),
    )
}

pub(crate) fn ints(array: &ArrayRef) -> &PrimitiveArray<Int32Type> {
    array.as_primitive()
}

pub(crate) fn longs(array: &ArrayRef) -> &PrimitiveArray<Int64Type> {
    array.as_primitive()
}

pub(crate) fn months(array: &ArrayRef) -> &PrimitiveArray<IntervalYearMonthType> {
    array.as_primitive()
}

pub(crate) fn durations(array: &ArrayRef) -> &PrimitiveArray<DurationMicrosecondType> {
    array.as_primitive()
}

/// Computes a value for each row of two columns in which both have one.
///
/// # Errors
/// Those of `compute`.
pub(crate) fn pairs<A, B, C>(
    left: &PrimitiveArray<A>,
    right: &PrimitiveArray<B>,
    compute: impl Fn(A::Native, B::Native) -> Result<C::Native>,
) -> Result<PrimitiveArray<C>>
where
    A: ArrowPrimitiveType,
    B: ArrowPrimitiveType,
    C: ArrowPrimitiveType,
{
    let rows = left.iter().zip(right.iter()).map(|row| match row {
        (Some(left), Some(right)) => compute(left, right).map(Some),
        _ => Ok(None),
    });
    rows.collect()
}
