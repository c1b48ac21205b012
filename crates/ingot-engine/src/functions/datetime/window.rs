//! `window(time, length[, slide[, start]])` and `window_time(window)`: which window of time a moment is in.
//!
//! Windows begin at 1970-01-01T00:00:00Z, or `start` after it, and follow each other without gaps. Those that overlap
//! are refused: a row would be in several. Source: Spark, `TimeWindow`, `WindowTime`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, StructArray};
use arrow::datatypes::{DataType, Field, Fields, TimeUnit, TimestampMicrosecondType};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ScalarUDF, Volatility};

use super::moments::{DAY_TIME, LOCAL, clocks, durations, instants, like, moment, overflow, zone};
use crate::Error;
use crate::error::{condition, external};
use crate::functions::arguments::{count, is_text, over_arrays, timestamp, unexpected};
use crate::functions::function::{Function, Returns};
use crate::spark::temporal::parse_calendar;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    [window(), window_time()].map(Function::udf).into()
}

fn fields(time: &DataType) -> Fields {
    let field = |name| Field::new(name, time.clone(), true);
    vec![field("start"), field("end")].into()
}

fn window() -> Function {
    Function {
        name: "window",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| {
            count("window", types, 2, 4)?;
            let one = |(nth, found): (usize, &DataType)| match nth {
                0 => match moment("window", 1, found, timestamp())? {
                    DataType::Timestamp(_, None) => Ok(LOCAL),
                    other => Ok(other),
                },
                _ if is_text(found) => Ok(DataType::Utf8),
                _ if *found == DAY_TIME => Ok(DAY_TIME),
                nth => Err(unexpected("window", nth + 1, "an interval as STRING", found)),
            };
            types.iter().enumerate().map(one).collect()
        },
        returns: Returns::Of(|types| Ok(DataType::Struct(fields(&time_type(&types[0]))))),
        invoke: |arguments| {
            let zone = zone(arguments);
            over_arrays(arguments, |arrays| {
                let time = time_type(arrays[0].data_type());
                let times = match time == LOCAL {
                    true => clocks(&arrays[0], &zone)?,
                    false => instants(&arrays[0], &zone)?,
                };
                let length = duration(&arrays[1])?;
                let slide = arrays.get(2).map(duration).transpose()?.unwrap_or(length);
                let first = arrays.get(3).map(duration).transpose()?.unwrap_or(0);
                if length <= 0 || slide <= 0 || slide > length || first.abs() >= slide {
                    return Err(condition(
                        "DATATYPE_MISMATCH.PARAMETER_CONSTRAINT_VIOLATION",
                        "42K09",
                        "a window is longer than nothing, and slides and starts by no more than its length"
                            .to_owned(),
                    ));
                }
                if slide < length {
                    return Err(external(Error::unsupported(
                        "windows that slide by less than their length are not supported".to_owned(),
                    )));
                }
                let starts = times
                    .unary::<_, TimestampMicrosecondType>(|time| time - (time - first).rem_euclid(slide));
                let ends = starts.try_unary::<_, TimestampMicrosecondType, _>(|start| {
                    start.checked_add(length).ok_or_else(overflow)
                })?;
                let nulls = times.nulls().cloned();
                let columns = vec![like(starts, &time), like(ends, &time)];
                Ok(Arc::new(StructArray::try_new(fields(&time), columns, nulls)?))
            })
        },
    }
}

fn time_type(of: &DataType) -> DataType {
    match of {
        DataType::Timestamp(_, None) => LOCAL,
        _ => timestamp(),
    }
}

/// Reads a length, the same for all rows.
fn duration(lengths: &ArrayRef) -> Result<i64> {
    if *lengths.data_type() == DAY_TIME {
        return Ok(durations(lengths).iter().flatten().next().unwrap_or(0));
    }
    let Some(text) = lengths.as_string::<i32>().iter().flatten().next() else {
        return Ok(0);
    };
    let parts = parse_calendar(text).filter(|parts| parts.months == 0);
    parts.and_then(|parts| parts.day_time()).ok_or_else(|| {
        condition(
            "CANNOT_PARSE_INTERVAL",
            "22006",
            format!("`{text}` is no interval of days, hours, minutes and seconds"),
        )
    })
}

/// Says if a struct is a window of time: its start and its end.
fn is_window(fields: &Fields) -> bool {
    let moment = |data_type: &DataType| matches!(data_type, DataType::Timestamp(TimeUnit::Microsecond, _));
    fields.len() == 2 && fields.iter().all(|field| moment(field.data_type()))
}

/// `window_time(window)`: the last microsecond of a window.
fn window_time() -> Function {
    Function {
        name: "window_time",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: |types| {
            count("window_time", types, 1, 1)?;
            match &types[0] {
                DataType::Struct(fields) if is_window(fields) => Ok(types.to_vec()),
                found => Err(unexpected("window_time", 1, "a window", found)),
            }
        },
        returns: Returns::Of(|types| match &types[0] {
            DataType::Struct(fields) => Ok(fields
                .last()
                .map_or_else(timestamp, |field| field.data_type().clone())),
            _ => Ok(timestamp()),
        }),
        invoke: |arguments| {
            over_arrays(arguments, |arrays| {
                let windows = arrays[0].as_struct();
                let Some(ends) = windows.columns().last() else {
                    return Err(DataFusionError::Internal("a window has an end".to_owned()));
                };
                let time = ends.data_type().clone();
                let ends = ends.as_primitive::<TimestampMicrosecondType>();
                let last: PrimitiveArray<TimestampMicrosecondType> = ends.unary(|end| end - 1);
                Ok(like(last.with_timezone_opt(None::<Arc<str>>), &time))
            })
        },
    }
}
