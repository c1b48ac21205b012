//! `window(time, length[, slide[, start]])` and `window_time(window)`: which window of time a moment is in.
//!
//! Windows begin at 1970-01-01T00:00:00Z, or `start` after it, and follow each other without gaps. Where they overlap,
//! `window` is refused, for a row is in several; queries take the function of all of them instead. Source: Spark, `TimeWindow`, `WindowTime`.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, ListArray, PrimitiveArray, PrimitiveBuilder, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit, TimestampMicrosecondType};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ScalarUDF, Volatility};

use super::moments::{DAY_TIME, LOCAL, clocks, durations, instants, like, moment, overflow, zone};
use crate::Error;
use crate::error::{condition, external};
use crate::functions::arguments::{count, is_text, over_arrays, timestamp, unexpected};
use crate::functions::function::{Function, Returns};
use crate::functions::room::Room;
use crate::spark::temporal::{Zone, parse_calendar};

/// The function of all windows that a moment is in.
pub(crate) const SLIDING_WINDOWS: &str = "__ingot_windows";

/// Bytes of a window.
const WINDOW_BYTES: usize = 2 * size_of::<i64>();

/// Windows that one row is in, at most.
const WINDOWS_MAX: i64 = 10_000;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    [window(), sliding_windows(), window_time()]
        .map(Function::udf)
        .into()
}

fn fields(time: &DataType) -> Fields {
    let field = |name| Field::new(name, time.clone(), true);
    vec![field("start"), field("end")].into()
}

/// Checks the arguments of windows.
fn window_arguments(types: &[DataType]) -> Result<Vec<DataType>> {
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
}

/// What a call asks for: moments, and windows in microseconds.
struct Asked {
    time: DataType,
    times: PrimitiveArray<TimestampMicrosecondType>,
    length: i64,
    slide: i64,
    first: i64,
}

impl Asked {
    fn of(arrays: &[ArrayRef], zone: &Zone) -> Result<Self> {
        let time = time_type(arrays[0].data_type());
        let times = match time == LOCAL {
            true => clocks(&arrays[0], zone)?,
            false => instants(&arrays[0], zone)?,
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
        if length / slide > WINDOWS_MAX {
            return Err(external(Error::unsupported(format!(
                "a row would be in more than {WINDOWS_MAX} windows"
            ))));
        }
        Ok(Self {
            time,
            times,
            length,
            slide,
            first,
        })
    }

    /// Returns when the last window begins that a moment is in.
    ///
    /// # Errors
    /// `DATETIME_OVERFLOW`.
    fn last_start(&self, time: i64) -> Result<i64> {
        let since = time
            .checked_sub(self.first)
            .map(|since| since.rem_euclid(self.slide));
        since
            .and_then(|since| time.checked_sub(since))
            .ok_or_else(overflow)
    }

    /// Makes windows of their starts.
    fn windows(
        &self,
        starts: PrimitiveArray<TimestampMicrosecondType>,
        nulls: Option<NullBuffer>,
    ) -> Result<StructArray> {
        let ends = starts.try_unary::<_, TimestampMicrosecondType, _>(|start| {
            start.checked_add(self.length).ok_or_else(overflow)
        })?;
        let columns = vec![like(starts, &self.time), like(ends, &self.time)];
        Ok(StructArray::try_new(fields(&self.time), columns, nulls)?)
    }
}

fn window() -> Function {
    Function {
        name: "window",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: window_arguments,
        returns: Returns::Of(|types| Ok(DataType::Struct(fields(&time_type(&types[0]))))),
        invoke: |arguments| {
            let zone = zone(arguments);
            over_arrays(arguments, |arrays| {
                let asked = Asked::of(arrays, &zone)?;
                if asked.slide < asked.length {
                    return Err(external(Error::unsupported(
                        "windows that slide by less than their length stand in GROUP BY or SELECT".to_owned(),
                    )));
                }
                let starts = asked
                    .times
                    .try_unary::<_, TimestampMicrosecondType, _>(|time| asked.last_start(time))?;
                let nulls = asked.times.nulls().cloned();
                Ok(Arc::new(asked.windows(starts, nulls)?))
            })
        },
    }
}

/// All windows that a moment is in, which `window` stands for where they overlap.
fn sliding_windows() -> Function {
    Function {
        name: SLIDING_WINDOWS,
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: window_arguments,
        returns: Returns::Of(|types| Ok(DataType::List(windows_field(&time_type(&types[0]))))),
        invoke: |arguments| {
            let zone = zone(arguments);
            over_arrays(arguments, |arrays| {
                let asked = Asked::of(arrays, &zone)?;
                let mut starts = PrimitiveBuilder::<TimestampMicrosecondType>::new();
                let mut lengths = Vec::with_capacity(asked.times.len());
                let mut room = Room::new();
                for time in &asked.times {
                    let before = starts.len();
                    if let Some(time) = time {
                        let last = asked.last_start(time)?;
                        let more = (asked.length - (time - last) - 1) / asked.slide;
                        room.take(usize::try_from(more + 1).unwrap_or(0), WINDOW_BYTES)?;
                        for nth in (0..=more.max(-1)).rev() {
                            let before = nth.checked_mul(asked.slide);
                            let start = before.and_then(|before| last.checked_sub(before));
                            starts.append_value(start.ok_or_else(overflow)?);
                        }
                    }
                    lengths.push(starts.len() - before);
                }
                let windows = asked.windows(starts.finish(), None)?;
                let offsets = OffsetBuffer::from_lengths(lengths);
                let field = windows_field(&asked.time);
                Ok(Arc::new(ListArray::try_new(
                    field,
                    offsets,
                    Arc::new(windows),
                    None,
                )?))
            })
        },
    }
}

fn windows_field(time: &DataType) -> FieldRef {
    Arc::new(Field::new("element", DataType::Struct(fields(time)), true))
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
