//! Values as texts, as `CAST(x AS STRING)` writes them. Source: Spark, `ToStringBase`; Java, `Double.toString`.

use std::fmt::{Display, Write as _};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, DurationMicrosecondType, Float32Type,
    Float64Type, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType, TimeUnit,
    TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::functions::record::formats::Formats;
use crate::functions::variant::{is_variant, write_json};
use crate::spark::temporal::{self, Zone};

/// Writes each value; a null stays one.
pub(crate) fn texts(values: &ArrayRef, zone: &Zone) -> Result<ArrayRef, ArrowError> {
    use DataType::*;
    match values.data_type() {
        // Arrow writes them as Spark does.
        Null | Boolean | Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 | Utf8
        | LargeUtf8 | Utf8View => cast(values, &Utf8),
        Dictionary(_, plain) => texts(&cast(values, plain)?, zone),
        _ => {
            let mut texts = StringBuilder::with_capacity(values.len(), values.len() * 8);
            let mut text = String::new();
            for row in 0..values.len() {
                if values.is_null(row) {
                    texts.append_null();
                    continue;
                }
                text.clear();
                write_value(values, row, zone, &mut text)?;
                texts.append_value(&text);
            }
            Ok(Arc::new(texts.finish()))
        }
    }
}

/// Writes year-month or day-time intervals as Hive does, without the words of SQL; a null stays one.
pub(crate) fn bare_intervals(values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match values.data_type() {
        DataType::Interval(IntervalUnit::YearMonth) => Ok(written::<IntervalYearMonthType>(
            values,
            temporal::write_year_month_bare,
        )),
        DataType::Duration(TimeUnit::Microsecond) => Ok(written::<DurationMicrosecondType>(
            values,
            temporal::write_day_time_bare,
        )),
        other => Err(ArrowError::CastError(format!("{other} is no interval"))),
    }
}

fn written<T: ArrowPrimitiveType>(values: &ArrayRef, write: fn(T::Native, &mut String)) -> ArrayRef {
    let mut texts = StringBuilder::with_capacity(values.len(), values.len() * 16);
    let mut text = String::new();
    for value in values.as_primitive::<T>() {
        text.clear();
        texts.append_option(value.map(|value| {
            write(value, &mut text);
            &text
        }));
    }
    Arc::new(texts.finish())
}

/// Writes a value that is not null.
fn write_value(values: &ArrayRef, row: usize, zone: &Zone, into: &mut String) -> Result<(), ArrowError> {
    use DataType::*;
    match values.data_type() {
        Float32 => {
            let value = values.as_primitive::<Float32Type>().value(row);
            write_float(value, f64::from(value), into);
        }
        Float64 => {
            let value = values.as_primitive::<Float64Type>().value(row);
            write_float(value, value, into);
        }
        Decimal128(..) => into.push_str(&values.as_primitive::<Decimal128Type>().value_as_string(row)),
        Binary => into.push_str(&String::from_utf8_lossy(values.as_binary::<i32>().value(row))),
        BinaryView => into.push_str(&String::from_utf8_lossy(values.as_binary_view().value(row))),
        LargeBinary => into.push_str(&String::from_utf8_lossy(values.as_binary::<i64>().value(row))),
        Date32 => temporal::write_date(values.as_primitive::<Date32Type>().value(row), into),
        Timestamp(TimeUnit::Microsecond, Some(_)) => {
            let micros = values.as_primitive::<TimestampMicrosecondType>().value(row);
            temporal::write_timestamp(micros, zone, into);
        }
        Timestamp(TimeUnit::Microsecond, None) => {
            temporal::write_local(values.as_primitive::<TimestampMicrosecondType>().value(row), into);
        }
        Timestamp(_, marked) => {
            let micros = cast(
                &values.slice(row, 1),
                &Timestamp(TimeUnit::Microsecond, marked.clone()),
            )?;
            write_value(&micros, 0, zone, into)?;
        }
        Duration(TimeUnit::Microsecond) => {
            temporal::write_day_time(values.as_primitive::<DurationMicrosecondType>().value(row), into);
        }
        Interval(IntervalUnit::YearMonth) => {
            temporal::write_year_month(values.as_primitive::<IntervalYearMonthType>().value(row), into);
        }
        Interval(IntervalUnit::MonthDayNano) => {
            let interval = values.as_primitive::<IntervalMonthDayNanoType>().value(row);
            temporal::write_calendar(interval.into(), into);
        }
        List(_) => {
            let items = values.as_list::<i32>().value(row);
            into.push('[');
            for item in 0..items.len() {
                separate(item, into);
                write_part(&items, item, zone, into)?;
            }
            into.push(']');
        }
        Map(..) => {
            let entries = values.as_map().value(row);
            let (keys, items) = (entries.column(0), entries.column(1));
            into.push('{');
            for entry in 0..entries.len() {
                separate(entry, into);
                write_part(keys, entry, zone, into)?;
                into.push_str(" -> ");
                write_part(items, entry, zone, into)?;
            }
            into.push('}');
        }
        variant if is_variant(variant) => {
            write_json(values, row, &Formats::of_zone(*zone), into)
                .map_err(|error| ArrowError::from_external_error(Box::new(error)))?;
        }
        Struct(_) => {
            into.push('{');
            for (place, field) in values.as_struct().columns().iter().enumerate() {
                separate(place, into);
                write_part(field, row, zone, into)?;
            }
            into.push('}');
        }
        _ => {
            let options = FormatOptions::new();
            let _ = write!(
                into,
                "{}",
                ArrayFormatter::try_new(values.as_ref(), &options)?.value(row)
            );
        }
    }
    Ok(())
}

fn write_part(values: &ArrayRef, row: usize, zone: &Zone, into: &mut String) -> Result<(), ArrowError> {
    match values.is_null(row) || values.data_type() == &DataType::Null {
        true => into.push_str("null"),
        false => write_value(values, row, zone, into)?,
    }
    Ok(())
}

fn separate(place: usize, into: &mut String) {
    if place > 0 {
        into.push_str(", ");
    }
}

/// Writes the fewest digits that say the value, with a point; from ten million on, and below a thousandth, with an
/// exponent. `size` is the value too.
fn write_float<T: Display + std::fmt::LowerExp>(value: T, size: f64, into: &mut String) {
    if size.is_nan() {
        into.push_str("NaN");
        return;
    }
    if size.is_infinite() {
        into.push_str(if size > 0.0 { "Infinity" } else { "-Infinity" });
        return;
    }
    let start = into.len();
    if size == 0.0 || (1e-3..1e7).contains(&size.abs()) {
        let _ = write!(into, "{value}");
        if !into[start..].contains('.') {
            into.push_str(".0");
        }
        return;
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    into.push_str(mantissa);
    if !mantissa.contains('.') {
        into.push_str(".0");
    }
    let _ = write!(into, "E{exponent}");
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(1.0, "1.0")]
    #[test_case(-0.0, "-0.0")]
    #[test_case(0.001, "0.001")]
    #[test_case(0.000_12, "1.2E-4")]
    #[test_case(9_999_999.5, "9999999.5")]
    #[test_case(1e7, "1.0E7")]
    #[test_case(1.5e300, "1.5E300")]
    #[test_case(f64::NEG_INFINITY, "-Infinity")]
    fn doubles_are_written_as_java_writes_them(value: f64, expected: &str) {
        let mut text = String::new();
        write_float(value, value, &mut text);
        assert_eq!(text, expected);
    }
}
