//! Values as texts, as the formats `JSON_ARRAY` and `CSV` have them.
//!
//! Source: Databricks, Statement Execution API, `format`. Timestamps are ISO 8601, with a zone where they have one;
//! floating-point numbers are written as Java does (`Double.toString`), binary values in hexadecimal digits, nested
//! values as JSON.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::csv::WriterBuilder;
use arrow::datatypes::{
    DataType, Field, Float32Type, Float64Type, Schema, TimeUnit, TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use chrono::DateTime;

use crate::nested;

/// Writes rows as JSON arrays of texts and nulls, with commas between.
///
/// # Errors
/// For values that have no text.
pub fn json_rows(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let columns = columns(batch)?;
    let mut json = Vec::with_capacity(batch.get_array_memory_size());
    for row in 0..batch.num_rows() {
        json.extend_from_slice(if row == 0 { b"[" } else { b",[" });
        for (place, column) in columns.iter().enumerate() {
            if place > 0 {
                json.push(b',');
            }
            match column.is_valid(row) {
                true => serde_json::to_writer(&mut json, column.value(row))
                    .map_err(|error| ArrowError::JsonError(error.to_string()))?,
                false => json.extend_from_slice(b"null"),
            }
        }
        json.push(b']');
    }
    Ok(json)
}

/// Writes rows as CSV (RFC 4180), with a line of names before them if they are the first.
///
/// # Errors
/// For values that have no text.
pub fn csv_rows(batch: &RecordBatch, header: bool) -> Result<Vec<u8>, ArrowError> {
    let columns = columns(batch)?;
    let fields = batch
        .schema()
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), DataType::Utf8, true))
        .collect::<Vec<_>>();
    let columns = columns.into_iter().map(|column| Arc::new(column) as ArrayRef);
    let texts = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.collect())?;
    let mut csv = Vec::with_capacity(texts.get_array_memory_size());
    let mut writer = WriterBuilder::new()
        .with_header(header)
        .with_null("null".to_owned())
        .build(&mut csv);
    writer.write(&texts)?;
    drop(writer);
    Ok(csv)
}

fn columns(batch: &RecordBatch) -> Result<Vec<StringArray>, ArrowError> {
    batch.columns().iter().map(texts).collect()
}

/// Writes each value of a column.
fn texts(column: &ArrayRef) -> Result<StringArray, ArrowError> {
    Ok(match column.data_type() {
        DataType::Float32 => {
            let values = column.as_primitive::<Float32Type>();
            values
                .iter()
                .map(|value| value.map(|value| java(f64::from(value), &format!("{value:E}"))))
                .collect()
        }
        DataType::Float64 => {
            let values = column.as_primitive::<Float64Type>();
            values
                .iter()
                .map(|value| value.map(|value| java(value, &format!("{value:E}"))))
                .collect()
        }
        DataType::Timestamp(_, zone) => {
            let suffix = if zone.is_some() { "Z" } else { "" };
            let micros = cast(column, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?;
            let micros = micros.as_primitive::<TimestampMicrosecondType>();
            micros
                .iter()
                .map(|micros| micros.and_then(|micros| timestamp(micros, suffix)))
                .collect()
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            let values = cast(column, &DataType::Binary)?;
            values
                .as_binary::<i32>()
                .iter()
                .map(|value| value.map(hexadecimal))
                .collect()
        }
        nested if nested.is_nested() => nested::texts(column)?,
        _ => cast(column, &DataType::Utf8)?.as_string::<i32>().clone(),
    })
}

/// Writes a number whose shortest digits stand in `scientific` (`1.5E10`) as Java does.
fn java(value: f64, scientific: &str) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let with_point = |digits: &str| match digits.contains('.') {
        true => digits.to_owned(),
        false => format!("{digits}.0"),
    };
    let (digits, exponent) = scientific.split_once('E').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-3..7).contains(&exponent) {
        return format!("{}E{exponent}", with_point(digits));
    }
    let negative = digits.starts_with('-');
    let plain: String = digits.chars().filter(char::is_ascii_digit).collect();
    let point = exponent + 1;
    let whole = usize::try_from(point).unwrap_or(0);
    let text = match whole {
        0 => {
            let zeros = usize::try_from(-point).unwrap_or(0);
            format!("0.{}{plain}", "0".repeat(zeros))
        }
        whole if whole >= plain.len() => format!("{plain}{}.0", "0".repeat(whole - plain.len())),
        whole => format!("{}.{}", &plain[..whole], &plain[whole..]),
    };
    if negative { format!("-{text}") } else { text }
}

/// Writes an instant: milliseconds, or microseconds where it has any.
fn timestamp(micros: i64, suffix: &str) -> Option<String> {
    let instant = DateTime::from_timestamp_micros(micros)?;
    let format = match micros % 1000 {
        0 => "%Y-%m-%dT%H:%M:%S%.3f",
        _ => "%Y-%m-%dT%H:%M:%S%.6f",
    };
    Some(format!("{}{suffix}", instant.format(format)))
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02X}");
    }
    text
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int64Array,
        ListArray, NullArray, TimestampMicrosecondArray,
    };
    use arrow::datatypes::Int32Type;
    use test_case::test_case;

    use super::*;

    fn column(array: impl Array + 'static) -> ArrayRef {
        Arc::new(array)
    }

    #[test_case(column(Int64Array::from(vec![Some(-1), None])), &[Some("-1"), None]; "integers")]
    #[test_case(column(BooleanArray::from(vec![true, false])), &[Some("true"), Some("false")]; "booleans")]
    #[test_case(column(Decimal128Array::from(vec![1050]).with_precision_and_scale(10, 2).expect("fits")), &[Some("10.50")]; "decimals")]
    #[test_case(column(Date32Array::from(vec![19_000])), &[Some("2022-01-08")]; "dates")]
    #[test_case(column(TimestampMicrosecondArray::from(vec![1_500_000, 1_500_001]).with_timezone("Asia/Tokyo")),
        &[Some("1970-01-01T00:00:01.500Z"), Some("1970-01-01T00:00:01.500001Z")]; "timestamps")]
    #[test_case(column(TimestampMicrosecondArray::from(vec![0])), &[Some("1970-01-01T00:00:00.000")]; "timestamps without zone")]
    #[test_case(column(BinaryArray::from(vec![b"\x00\xff".as_slice()])), &[Some("00FF")]; "binary")]
    #[test_case(column(ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None])])), &[Some("[1,null]")]; "lists")]
    #[test_case(column(NullArray::new(1)), &[None]; "void")]
    #[test_case(column(Float64Array::from(vec![
        0.0, -0.0, 1.0, 0.1, 123.456, 9_999_999.0, 1e7, 1.5e10, 0.001, 0.000_99, -2.5e-5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY,
    ])), &[
        Some("0.0"), Some("-0.0"), Some("1.0"), Some("0.1"), Some("123.456"), Some("9999999.0"), Some("1.0E7"), Some("1.5E10"),
        Some("0.001"), Some("9.9E-4"), Some("-2.5E-5"), Some("NaN"), Some("Infinity"), Some("-Infinity"),
    ]; "doubles")]
    #[test_case(column(Float32Array::from(vec![0.1, 1.0e10])), &[Some("0.1"), Some("1.0E10")]; "floats")]
    fn values_have_texts(column: ArrayRef, expected: &[Option<&str>]) {
        let texts = texts(&column).expect("texts");
        assert_eq!(texts.iter().collect::<Vec<_>>(), expected);
    }

    fn batch() -> RecordBatch {
        RecordBatch::try_from_iter([
            ("n", column(Int64Array::from(vec![Some(1), None]))),
            ("text", column(StringArray::from(vec!["a\"b", "c,d"]))),
        ])
        .expect("batch")
    }

    #[test]
    fn rows_are_arrays_of_json() {
        let json = String::from_utf8(json_rows(&batch()).expect("rows")).expect("UTF-8");
        assert_eq!(json, r#"["1","a\"b"],[null,"c,d"]"#);
    }

    #[test]
    fn rows_are_lines_of_csv() {
        let csv = |header| String::from_utf8(csv_rows(&batch(), header).expect("rows")).expect("UTF-8");
        assert_eq!(csv(true), "n,text\n1,\"a\"\"b\"\nnull,\"c,d\"\n");
        assert!(!csv(false).contains("text"));
    }
}
