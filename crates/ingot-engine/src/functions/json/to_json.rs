//! `to_json(value [, options])`: a struct, an array, a map or a variant as text.
//!
//! A field that is null is left out, unless the option `ignoreNullFields` is false. Timestamps are written in the
//! session's zone.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType,
};
use arrow::util::display::array_value_to_string;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::text::write_text;
use crate::error::condition;
use crate::functions::arguments::{count, over_arrays};
use crate::functions::collection::{entries_at, immutable, items_at};
use crate::functions::function::Returns;
use crate::functions::record::formats::Formats;
use crate::functions::record::number::{write_double, write_float};
use crate::functions::record::options::{self, Options};
use crate::functions::variant;
use crate::spark::temporal::Use;
use crate::write::type_text;

const NAME: &str = "to_json";

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![immutable(
        NAME,
        arguments,
        Returns::Always(DataType::Utf8),
        to_json,
    )]
}

fn arguments(types: &[DataType]) -> Result<Vec<DataType>> {
    count(NAME, types, 1, 2)?;
    let value = match &types[0] {
        value @ (DataType::Struct(_) | DataType::List(_) | DataType::Map(..)) => value.clone(),
        DataType::Null => DataType::Struct(arrow::datatypes::Fields::empty()),
        other => {
            return Err(condition(
                "DATATYPE_MISMATCH.INVALID_JSON_SCHEMA",
                "42K09",
                format!(
                    "`{NAME}` writes a STRUCT, an ARRAY, a MAP or a VARIANT, not {}",
                    type_text(other).to_uppercase()
                ),
            ));
        }
    };
    options::after(NAME, types, &[value])
}

fn to_json(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let options = Options::of(arrays.get(1))?;
        let writer = Writer {
            formats: Formats::new(arguments, &options, Use::Write)?,
            null_fields: !options.flag("ignorenullfields", true),
        };
        let values = &arrays[0];
        let mut texts = StringBuilder::new();
        let mut text = String::new();
        for row in 0..values.len() {
            if values.is_null(row) {
                texts.append_null();
                continue;
            }
            text.clear();
            writer.write(values, row, &mut text)?;
            texts.append_value(&text);
        }
        Ok(Arc::new(texts.finish()))
    })
}

/// Writes values with the formats of a call.
struct Writer {
    formats: Formats,
    null_fields: bool,
}

/// Writes a value that is not null, texts and moments without quotes: as a cell of CSV, the content of an element.
///
/// # Errors
/// When a variant is malformed.
pub(crate) fn write_plain(array: &ArrayRef, row: usize, formats: &Formats, into: &mut String) -> Result<()> {
    match array.data_type() {
        DataType::Utf8 => into.push_str(array.as_string::<i32>().value(row)),
        DataType::Date32 => formats.write_date(array.as_primitive::<Date32Type>().value(row), into),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            match zone {
                Some(_) => formats.write_timestamp(micros, into),
                None => formats.write_timestamp_ntz(micros, into),
            }
        }
        DataType::Float32 => write_float(array.as_primitive::<Float32Type>().value(row), into),
        DataType::Float64 => write_double(array.as_primitive::<Float64Type>().value(row), into),
        DataType::Binary => into.push_str(&String::from_utf8_lossy(array.as_binary::<i32>().value(row))),
        _ => into.push_str(&array_value_to_string(array, row)?),
    }
    Ok(())
}

impl Writer {
    fn write(&self, array: &ArrayRef, row: usize, into: &mut String) -> Result<()> {
        if array.data_type().is_null() || array.is_null(row) {
            into.push_str("null");
            return Ok(());
        }
        match array.data_type() {
            data_type if variant::is_variant(data_type) => {
                variant::write_json(array, row, &self.formats, into)?
            }
            DataType::Struct(fields) => {
                let columns = array.as_struct().columns();
                into.push('{');
                let mut first = true;
                for (field, column) in fields.iter().zip(columns) {
                    let is_null = column.data_type().is_null() || column.is_null(row);
                    if is_null && !self.null_fields {
                        continue;
                    }
                    comma(&mut first, into);
                    write_text(field.name(), into);
                    into.push(':');
                    self.write(column, row, into)?;
                }
                into.push('}');
            }
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                into.push('[');
                let mut first = true;
                for item in items_at(list, row).unwrap_or_default() {
                    comma(&mut first, into);
                    self.write(list.values(), item, into)?;
                }
                into.push(']');
            }
            DataType::Map(..) => {
                let map = array.as_map();
                into.push('{');
                let mut first = true;
                for entry in entries_at(map, row).unwrap_or_default() {
                    comma(&mut first, into);
                    match map.keys().as_string_opt::<i32>() {
                        Some(keys) => write_text(keys.value(entry), into),
                        None => write_text(&array_value_to_string(map.keys(), entry)?, into),
                    }
                    into.push(':');
                    self.write(map.values(), entry, into)?;
                }
                into.push('}');
            }
            _ => self.write_scalar(array, row, into)?,
        }
        Ok(())
    }

    fn write_scalar(&self, array: &ArrayRef, row: usize, into: &mut String) -> Result<()> {
        let quoted = |into: &mut String, write: &dyn Fn(&mut String)| {
            into.push('"');
            write(into);
            into.push('"');
        };
        let written = match array.data_type() {
            DataType::Boolean => write!(into, "{}", array.as_boolean().value(row)),
            DataType::Int8 => write!(into, "{}", array.as_primitive::<Int8Type>().value(row)),
            DataType::Int16 => write!(into, "{}", array.as_primitive::<Int16Type>().value(row)),
            DataType::Int32 => write!(into, "{}", array.as_primitive::<Int32Type>().value(row)),
            DataType::Int64 => write!(into, "{}", array.as_primitive::<Int64Type>().value(row)),
            DataType::Decimal128(..) => {
                into.push_str(&array.as_primitive::<Decimal128Type>().value_as_string(row));
                Ok(())
            }
            DataType::Float32 => {
                let value = array.as_primitive::<Float32Type>().value(row);
                match value.is_finite() {
                    true => write_float(value, into),
                    false => quoted(into, &|into| write_float(value, into)),
                }
                Ok(())
            }
            DataType::Float64 => {
                let value = array.as_primitive::<Float64Type>().value(row);
                match value.is_finite() {
                    true => write_double(value, into),
                    false => quoted(into, &|into| write_double(value, into)),
                }
                Ok(())
            }
            DataType::Date32 => {
                let days = array.as_primitive::<Date32Type>().value(row);
                quoted(into, &|into| self.formats.write_date(days, into));
                Ok(())
            }
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
                quoted(into, &|into| match zone {
                    Some(_) => self.formats.write_timestamp(micros, into),
                    None => self.formats.write_timestamp_ntz(micros, into),
                });
                Ok(())
            }
            DataType::Binary => {
                let bytes = array.as_binary::<i32>().value(row);
                quoted(into, &|into| STANDARD.encode_string(bytes, into));
                Ok(())
            }
            DataType::Utf8 => {
                write_text(array.as_string::<i32>().value(row), into);
                Ok(())
            }
            _ => {
                write_text(&array_value_to_string(array, row)?, into);
                Ok(())
            }
        };
        debug_assert!(written.is_ok(), "a text takes what is written to it");
        Ok(())
    }
}

fn comma(first: &mut bool, into: &mut String) {
    if !*first {
        into.push(',');
    }
    *first = false;
}
