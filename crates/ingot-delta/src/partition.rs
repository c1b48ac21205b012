//! Partition values: as the texts of an `add` action, and as names of folders.
//!
//! The texts are what counts; folders are named after them for people's eyes, so a name may be shortened.
//! Source: Delta protocol, "Partition Value Serialization"; folder names as Hive escapes them.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fmt::Write;
use std::hash::{Hash, Hasher};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, TimeUnit, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::{Error, Result};

/// The folder of rows whose value is null. Source: Hive.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// Longest folder name, bytes; file systems stop at 255.
const FOLDER_BYTES_MAX: usize = 200;

/// What Hive escapes in folder names, and what is no ASCII.
const HIVE_ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'\'')
    .add(b'*')
    .add(b'/')
    .add(b':')
    .add(b'=')
    .add(b'?')
    .add(b'\\')
    .add(b'{')
    .add(b'}')
    .add(b'[')
    .add(b']')
    .add(b'^')
    .add(b'<')
    .add(b'>')
    .add(b'|')
    .add(b'~');

/// What must be encoded in the `path` of an action, which is a URI.
const URI_ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Says if a column of this type can partition a table.
pub(crate) fn can_partition(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Boolean
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Float32
            | DataType::Float64
            | DataType::Date32
            | DataType::Utf8
            | DataType::Decimal128(_, _)
            | DataType::Timestamp(TimeUnit::Microsecond, _)
    )
}

/// Serializes the value in row `row`; `None` is null. The empty string is null too, by the protocol.
///
/// # Errors
/// `Internal` for a type that cannot partition, which table creation refuses.
pub(crate) fn serialize(array: &ArrayRef, row: usize) -> Result<Option<String>> {
    if array.is_null(row) {
        return Ok(None);
    }
    let text = match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::Date32 => match array.as_primitive::<Date32Type>().value_as_date(row) {
            Some(date) => date.format("%Y-%m-%d").to_string(),
            None => return Err(out_of_range(array)),
        },
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let instant = array
                .as_primitive::<TimestampMicrosecondType>()
                .value_as_datetime(row);
            let format = match zone {
                Some(_) => "%Y-%m-%dT%H:%M:%S%.6fZ",
                None => "%Y-%m-%d %H:%M:%S%.6f",
            };
            match instant {
                Some(instant) => instant.format(format).to_string(),
                None => return Err(out_of_range(array)),
            }
        }
        DataType::Decimal128(_, _) => array.as_primitive::<Decimal128Type>().value_as_string(row),
        data_type if can_partition(data_type) => match display(array, row)?.as_str() {
            // As Java reads them.
            "inf" => "Infinity".to_owned(),
            "-inf" => "-Infinity".to_owned(),
            text => text.to_owned(),
        },
        data_type => {
            return Err(Error::Internal {
                message: format!("type {data_type} cannot partition a table"),
            });
        }
    };
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// Returns the folder of a partition below the table's root, with a slash at the end; empty for no columns.
pub(crate) fn folder(columns: &[String], values: &BTreeMap<String, Option<String>>) -> String {
    let mut path = String::new();
    for column in columns {
        let value = values.get(column).and_then(Option::as_deref);
        let name = hive_escaped(column);
        let value = value.map_or_else(|| NULL_FOLDER.to_owned(), hive_escaped);
        path.push_str(&shortened(format!("{name}={value}")));
        path.push('/');
    }
    path
}

/// Encodes a path below the table's root for the `path` of an action.
pub(crate) fn action_path(path: &str) -> String {
    utf8_percent_encode(path, URI_ENCODED).to_string()
}

/// Escapes a text for the name of a folder.
pub(crate) fn hive_escaped(text: &str) -> String {
    utf8_percent_encode(text, HIVE_ESCAPED).to_string()
}

fn shortened(folder: String) -> String {
    if folder.len() <= FOLDER_BYTES_MAX {
        return folder;
    }
    let mut hasher = DefaultHasher::new();
    folder.hash(&mut hasher);
    // Escaped names are ASCII, so any byte is a boundary.
    let mut short = folder.chars().take(FOLDER_BYTES_MAX - 17).collect::<String>();
    let _ = write!(short, "-{:016x}", hasher.finish());
    short
}

fn display(array: &ArrayRef, row: usize) -> Result<String> {
    let failed = |source| Error::Arrow {
        action: "write a partition value",
        source,
    };
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options).map_err(failed)?;
    formatter.value(row).try_to_string().map_err(failed)
}

fn out_of_range(array: &ArrayRef) -> Error {
    Error::InvalidArgument {
        message: format!("a partition value of type {} is out of range", array.data_type()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BooleanArray, Date32Array, Decimal128Array, Float64Array, Int8Array, StringArray,
        TimestampMicrosecondArray,
    };
    use test_case::test_case;

    use super::*;

    fn folder_of(value: Option<&str>) -> String {
        let values = BTreeMap::from([("p".to_owned(), value.map(str::to_owned))]);
        folder(&["p".to_owned()], &values)
    }

    #[test_case(Some("plain"), "p=plain/")]
    #[test_case(Some("a/b"), "p=a%2Fb/")]
    #[test_case(Some("50%"), "p=50%25/")]
    #[test_case(Some("ü x"), "p=%C3%BC%20x/")]
    #[test_case(Some("line\nbreak"), "p=line%0Abreak/")]
    #[test_case(None, "p=__HIVE_DEFAULT_PARTITION__/")]
    fn folder_escapes(value: Option<&str>, expected: &str) {
        assert_eq!(folder_of(value), expected);
    }

    #[test]
    fn long_values_get_distinct_folders_that_a_file_system_takes() {
        let (one, other) = ("x".repeat(300), format!("{}y", "x".repeat(299)));
        let (one, other) = (folder_of(Some(&one)), folder_of(Some(&other)));
        assert!(one.len() <= FOLDER_BYTES_MAX + 1);
        assert_ne!(one, other);
    }

    #[test]
    fn action_path_encodes_the_folder_once_more() {
        assert_eq!(action_path("p=a%2Fb/f.parquet"), "p=a%252Fb/f.parquet");
    }

    #[test]
    fn values_are_serialized_as_the_protocol_says() {
        let micros = TimestampMicrosecondArray::from(vec![1_709_210_096_789_012]);
        let cases: Vec<(ArrayRef, Option<&str>)> = vec![
            (Arc::new(StringArray::from(vec!["a b"])), Some("a b")),
            (Arc::new(StringArray::from(vec![""])), None),
            (Arc::new(StringArray::from(vec![None::<&str>])), None),
            (Arc::new(BooleanArray::from(vec![true])), Some("true")),
            (Arc::new(Int8Array::from(vec![-128])), Some("-128")),
            (Arc::new(Float64Array::from(vec![-1.5])), Some("-1.5")),
            (Arc::new(Float64Array::from(vec![f64::NAN])), Some("NaN")),
            (
                Arc::new(Float64Array::from(vec![f64::NEG_INFINITY])),
                Some("-Infinity"),
            ),
            (Arc::new(Date32Array::from(vec![19_782])), Some("2024-02-29")),
            (Arc::new(micros.clone()), Some("2024-02-29 12:34:56.789012")),
            (
                Arc::new(micros.with_timezone("UTC")),
                Some("2024-02-29T12:34:56.789012Z"),
            ),
            (
                Arc::new(
                    Decimal128Array::from(vec![-5])
                        .with_precision_and_scale(10, 2)
                        .expect("decimal"),
                ),
                Some("-0.05"),
            ),
        ];
        for (array, expected) in cases {
            assert_eq!(serialize(&array, 0).expect("serializes").as_deref(), expected);
        }
    }
}
