//! `sequence(start, stop[, step])`: the values from one to the other, both if the step meets them.
//!
//! Whole numbers step by a number, one towards the stop without it; dates and timestamps by an interval, a day without
//! it. Each value is the start moved by so many steps, so that months keep their day. Source: Spark, `Sequence`.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, ListArray, PrimitiveArray, TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Field, IntervalMonthDayNanoType};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Volatility;

use super::interval_arithmetic::move_by;
use super::moments::{
    CALENDAR, DAY_TIME, LOCAL, YEAR_MONTH, clocks, durations, instants, longs, months, overflow, zone,
};
use crate::error::condition;
use crate::functions::arguments::{count, is_integral, is_text, over_arrays, timestamp, unexpected};
use crate::functions::function::{Function, Returns};
use crate::functions::room::Room;
use crate::spark::temporal::{CalendarParts, DAY_MICROS, Zone};

/// Values of a list, at most: the rest of what Java's arrays hold.
const LENGTH_MAX: i64 = i32::MAX as i64 - 15;

/// Values of all lists of a batch: those that offsets of 32 bits count.
const BATCH_MAX: usize = i32::MAX as usize;

pub(super) fn sequence() -> Function {
    Function {
        name: "sequence",
        aliases: &[],
        volatility: Volatility::Immutable,
        arguments: sequence_arguments,
        returns: Returns::Of(|types| Ok(list_of(types[0].clone()))),
        invoke: |arguments| {
            let zone = zone(arguments);
            over_arrays(arguments, |arrays| match arrays[0].data_type() {
                DataType::Date32 | DataType::Timestamp(..) => moments(arrays, &zone),
                _ => numbers(arrays),
            })
        },
    }
}

fn list_of(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("element", element, false)))
}

fn sequence_arguments(types: &[DataType]) -> Result<Vec<DataType>> {
    count("sequence", types, 2, 3)?;
    let element = element_type(&types[0], &types[1])?;
    let mut wanted = vec![element.clone(), element.clone()];
    if let Some(step) = types.get(2) {
        wanted.push(match element {
            DataType::Date32 | DataType::Timestamp(..) => match step {
                step if [DAY_TIME, YEAR_MONTH, CALENDAR].contains(step) => step.clone(),
                DataType::Null => DAY_TIME,
                step => return Err(unexpected("sequence", 3, "INTERVAL", step)),
            },
            element => match step {
                step if is_integral(step) || *step == DataType::Null => element,
                step => return Err(unexpected("sequence", 3, "a whole number", step)),
            },
        });
    }
    Ok(wanted)
}

/// Returns the type of both ends.
fn element_type(start: &DataType, stop: &DataType) -> Result<DataType> {
    let instant = timestamp();
    Ok(match (start, stop) {
        (DataType::Null, DataType::Null) => DataType::Int32,
        (DataType::Null, other) | (other, DataType::Null) => return element_type(other, other),
        (left, right) if is_integral(left) && is_integral(right) => {
            let wider = left.primitive_width() >= right.primitive_width();
            if wider { left.clone() } else { right.clone() }
        }
        (DataType::Date32, DataType::Date32) => DataType::Date32,
        (text, other) | (other, text) if is_text(text) && !is_text(other) => {
            return element_type(other, other);
        }
        (DataType::Timestamp(_, None), DataType::Timestamp(_, None) | DataType::Date32)
        | (DataType::Date32, DataType::Timestamp(_, None)) => LOCAL,
        (DataType::Timestamp(..) | DataType::Date32, DataType::Timestamp(..) | DataType::Date32) => instant,
        _ => {
            return Err(condition(
                "DATATYPE_MISMATCH.SEQUENCE_WRONG_INPUT_TYPES",
                "42K09",
                "`sequence` goes from one whole number, date or timestamp to another".to_owned(),
            ));
        }
    })
}

/// Lists as they are made.
#[derive(Default)]
struct Lists {
    values: Vec<i64>,
    ends: Vec<i32>,
    valid: Vec<bool>,
}

impl Lists {
    /// Ends a list.
    fn end(&mut self, valid: bool) -> Result<()> {
        if self.values.len() > BATCH_MAX {
            return Err(too_long(self.values.len() as i64));
        }
        self.ends
            .push(i32::try_from(self.values.len()).map_err(|_| overflow())?);
        self.valid.push(valid);
        Ok(())
    }

    fn finish(self, element: &DataType) -> Result<ArrayRef> {
        let values: ArrayRef = match element {
            DataType::Timestamp(_, zone) => {
                Arc::new(TimestampMicrosecondArray::from(self.values).with_timezone_opt(zone.clone()))
            }
            DataType::Date32 => {
                let days = self
                    .values
                    .into_iter()
                    .map(|days| i32::try_from(days).unwrap_or_default());
                Arc::new(PrimitiveArray::<Date32Type>::from_iter_values(days))
            }
            element => cast(&Int64Array::from(self.values), element)?,
        };
        let mut offsets = vec![0_i32];
        offsets.extend(self.ends);
        let DataType::List(field) = list_of(element.clone()) else {
            return Err(DataFusionError::Internal("a list is one".to_owned()));
        };
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let nulls = NullBuffer::from(self.valid);
        Ok(Arc::new(ListArray::try_new(field, offsets, values, Some(nulls))?))
    }
}

fn numbers(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let element = arrays[0].data_type().clone();
    let wide: Vec<ArrayRef> = arrays
        .iter()
        .map(|array| cast(array, &DataType::Int64))
        .collect::<Result<_, _>>()?;
    let mut lists = Lists::default();
    let mut room = Room::new();
    for row in 0..wide[0].len() {
        if wide.iter().any(|array| array.is_null(row)) {
            lists.end(false)?;
            continue;
        }
        let (start, stop) = (longs(&wide[0]).value(row), longs(&wide[1]).value(row));
        let step = match wide.get(2) {
            Some(steps) => longs(steps).value(row),
            None => {
                if start <= stop {
                    1
                } else {
                    -1
                }
            }
        };
        let length = length(start, stop, step, "step")?;
        room.take(usize::try_from(length).unwrap_or(usize::MAX), size_of::<i64>())?;
        lists.values.reserve(usize::try_from(length).unwrap_or(0));
        lists.values.extend((0..length).map(|nth| start + nth * step));
        lists.end(true)?;
    }
    lists.finish(&element)
}

/// Counts the values from `start` to `stop`.
fn length(start: i64, stop: i64, step: i64, what: &str) -> Result<i64> {
    let towards = (step > 0 && start <= stop) || (step < 0 && start >= stop) || (step == 0 && start == stop);
    if !towards {
        return Err(boundaries(what));
    }
    if start == stop {
        return Ok(1);
    }
    let length = (i128::from(stop) - i128::from(start)) / i128::from(step) + 1;
    match i64::try_from(length) {
        Ok(length) if length <= LENGTH_MAX => Ok(length),
        _ => Err(too_long(i64::try_from(length).unwrap_or(i64::MAX))),
    }
}

fn boundaries(what: &str) -> DataFusionError {
    condition(
        "ILLEGAL_SEQUENCE_BOUNDARIES",
        "22023",
        format!("the {what} of a sequence has to lead from its start to its stop"),
    )
}

fn too_long(length: i64) -> DataFusionError {
    condition(
        "COLLECTION_SIZE_LIMIT_EXCEEDED.PARAMETER",
        "54000",
        format!("a sequence of {length} values is more than the {LENGTH_MAX} that a list holds"),
    )
}

/// Months, days and microseconds of a step.
type Step = (i64, i64, i64);

/// Returns the step of a row; a day-time interval has days of its whole ones.
fn step(steps: Option<&ArrayRef>, row: usize) -> Step {
    let Some(steps) = steps else { return (0, 1, 0) };
    match steps.data_type() {
        interval if *interval == YEAR_MONTH => (i64::from(months(steps).value(row)), 0, 0),
        DataType::Duration(_) => {
            let micros = durations(steps).value(row);
            (0, micros / DAY_MICROS, micros % DAY_MICROS)
        }
        _ => {
            let parts = CalendarParts::from(steps.as_primitive::<IntervalMonthDayNanoType>().value(row));
            (i64::from(parts.months), i64::from(parts.days), parts.micros)
        }
    }
}

fn moments(arrays: &[ArrayRef], session: &Zone) -> Result<ArrayRef> {
    let element = arrays[0].data_type().clone();
    let zone = match element {
        DataType::Timestamp(_, Some(_)) => session,
        _ => &Zone::UTC,
    };
    let micros = |array: &ArrayRef| match element {
        DataType::Timestamp(_, Some(_)) => instants(array, zone),
        _ => clocks(array, zone),
    };
    let (starts, stops) = (micros(&arrays[0])?, micros(&arrays[1])?);
    let mut lists = Lists::default();
    let mut room = Room::new();
    for row in 0..starts.len() {
        if arrays.iter().any(|array| array.is_null(row)) {
            lists.end(false)?;
            continue;
        }
        let (start, stop) = (starts.value(row), stops.value(row));
        let step = match (arrays.get(2), start <= stop) {
            (None, false) => (0, -1, 0),
            (steps, _) => step(steps, row),
        };
        if element == DataType::Date32 && step.2 != 0 && step.0 == 0 && step.1 == 0 {
            return Err(boundaries("step, in whole days,"));
        }
        steps_between(start, stop, step, zone, |instant| {
            room.take(1, size_of::<i64>())?;
            lists.values.push(match element {
                DataType::Date32 => instant.div_euclid(DAY_MICROS),
                _ => instant,
            });
            Ok(())
        })?;
        lists.end(true)?;
    }
    lists.finish(&element)
}

/// Gives each moment from `start` to `stop`.
fn steps_between(
    start: i64,
    stop: i64,
    (months, days, micros): Step,
    zone: &Zone,
    mut give: impl FnMut(i64) -> Result<()>,
) -> Result<()> {
    // A month has 28 days at the least, which is enough to know the direction.
    let rough = i128::from(months) * 28 * i128::from(DAY_MICROS)
        + i128::from(days) * i128::from(DAY_MICROS)
        + i128::from(micros);
    let towards =
        (rough > 0 && start <= stop) || (rough < 0 && start >= stop) || (rough == 0 && start == stop);
    if !towards {
        return Err(boundaries("step"));
    }
    if rough == 0 {
        return give(start);
    }
    let estimated = (i128::from(stop) - i128::from(start)) / rough;
    if estimated > i128::from(LENGTH_MAX) {
        return Err(too_long(i64::try_from(estimated).unwrap_or(i64::MAX)));
    }
    for nth in 0.. {
        let at = move_by(start, nth * months, nth * days, nth * micros, zone)?;
        if (rough > 0 && at > stop) || (rough < 0 && at < stop) {
            break;
        }
        give(at)?;
    }
    Ok(())
}
