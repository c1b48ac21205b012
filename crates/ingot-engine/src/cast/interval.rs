//! Intervals of texts. Source: Spark, `IntervalUtils.castStringToDTInterval`, `castStringToYMInterval`,
//! `safeStringToInterval`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, DurationMicrosecondArray, IntervalMonthDayNanoArray, IntervalYearMonthArray,
};
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit};
use arrow::error::ArrowError;

use crate::spark::temporal;

/// Reads intervals; a text that is none becomes null.
pub(super) fn of_texts(texts: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let texts = texts.as_string::<i32>().iter();
    Ok(match to {
        DataType::Duration(_) => {
            let micros = texts.map(|text| text.and_then(temporal::parse_day_time));
            Arc::new(micros.collect::<DurationMicrosecondArray>())
        }
        DataType::Interval(IntervalUnit::YearMonth) => {
            let months = texts.map(|text| text.and_then(temporal::parse_year_month));
            Arc::new(months.collect::<IntervalYearMonthArray>())
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let read = |text| {
                let parts = temporal::parse_calendar(text)?;
                let nanos = parts.micros.checked_mul(1000)?;
                Some(IntervalMonthDayNano::new(parts.months, parts.days, nanos))
            };
            let intervals = texts.map(|text| text.and_then(read));
            Arc::new(intervals.collect::<IntervalMonthDayNanoArray>())
        }
        other => return Err(ArrowError::CastError(format!("{other} is no interval"))),
    })
}
