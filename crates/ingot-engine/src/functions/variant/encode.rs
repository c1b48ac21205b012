//! Values as variants: whole numbers in as few bytes as they need, other numbers as decimals where they have no exponent
//! and fit. Source: Spark, `VariantBuilder`.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType,
};
use arrow::temporal_conversions::{date32_to_datetime, timestamp_us_to_datetime};
use datafusion::error::{DataFusionError, Result};
use parquet_variant::{
    ObjectFieldBuilder, Variant, VariantBuilder, VariantBuilderExt, VariantDecimal4, VariantDecimal8,
    VariantDecimal16,
};

use super::variant_at;
use crate::error::condition;
use crate::functions::collection::{entries_at, items_at};
use crate::functions::record::Value;
use crate::functions::record::number::unscaled;
use crate::write::type_text;

/// The metadata of a variant without names.
pub(super) const NO_NAMES: &[u8] = &[1, 0, 0];

/// The value of a variant that is null.
pub(super) const NULL: &[u8] = &[0];

/// Says in the metadata that the names are sorted, which Spark never does.
const SORTED: u8 = 0x10;

/// Makes metadata and value of what is read from JSON.
///
/// # Errors
/// `VARIANT_DUPLICATE_KEY`.
pub(super) fn of_value(value: &Value<'_>) -> Result<(Vec<u8>, Vec<u8>)> {
    let mut builder = VariantBuilder::new();
    append(value, &mut builder)?;
    Ok(finish(builder))
}

/// Makes metadata and value of the row of an array.
///
/// # Errors
/// For maps whose keys are no texts, and types that variants do not have.
pub(super) fn of_row(array: &ArrayRef, row: usize) -> Result<(Vec<u8>, Vec<u8>)> {
    let mut builder = VariantBuilder::new();
    append_row(array, row, &mut builder)?;
    Ok(finish(builder))
}

/// Makes metadata and value of a part of a variant, which has the names that it needs.
pub(super) fn of_part(part: Variant<'_, '_>) -> (Vec<u8>, Vec<u8>) {
    let mut builder = VariantBuilder::new();
    builder.append_value(part);
    finish(builder)
}

/// Ends a variant, with metadata as Spark's.
pub(super) fn finish(builder: VariantBuilder) -> (Vec<u8>, Vec<u8>) {
    let (mut metadata, value) = builder.finish();
    if let Some(header) = metadata.first_mut() {
        *header &= !SORTED;
    }
    (metadata, value)
}

fn append(value: &Value<'_>, into: &mut impl VariantBuilderExt) -> Result<()> {
    match value {
        Value::Null => into.append_value(Variant::Null),
        Value::Boolean(value) => into.append_value(*value),
        Value::Number(text) => into.append_value(number(text)),
        Value::Text(text) => into.append_value(text.as_ref()),
        Value::Array(items, _) => {
            let mut list = into.try_new_list()?;
            for item in items {
                append(item, &mut list)?;
            }
            list.finish();
        }
        Value::Object(fields, _) => {
            let mut names = HashSet::with_capacity(fields.len());
            let mut object = into.try_new_object()?;
            for (name, value) in fields {
                if !names.insert(name.as_ref()) {
                    return Err(condition(
                        "VARIANT_DUPLICATE_KEY",
                        "22023",
                        format!("the object has the key `{name}` twice"),
                    ));
                }
                append(value, &mut ObjectFieldBuilder::new(name, &mut object))?;
            }
            object.finish();
        }
    }
    Ok(())
}

fn number(text: &str) -> Variant<'static, 'static> {
    if let Ok(value) = text.parse::<i64>() {
        return integer(value);
    }
    let decimal = match text.contains(['e', 'E']) {
        true => None,
        false => unscaled(text).and_then(|(digits, scale)| decimal(digits, u8::try_from(scale).ok()?)),
    };
    decimal.unwrap_or_else(|| Variant::Double(text.parse().unwrap_or(f64::NAN)))
}

fn integer(value: i64) -> Variant<'static, 'static> {
    if let Ok(value) = i8::try_from(value) {
        Variant::Int8(value)
    } else if let Ok(value) = i16::try_from(value) {
        Variant::Int16(value)
    } else if let Ok(value) = i32::try_from(value) {
        Variant::Int32(value)
    } else {
        Variant::Int64(value)
    }
}

fn decimal(digits: i128, scale: u8) -> Option<Variant<'static, 'static>> {
    let small = i32::try_from(digits)
        .ok()
        .and_then(|digits| VariantDecimal4::try_new(digits, scale).ok());
    let medium = || {
        i64::try_from(digits)
            .ok()
            .and_then(|digits| VariantDecimal8::try_new(digits, scale).ok())
    };
    let large = || VariantDecimal16::try_new(digits, scale).ok();
    small
        .map(Variant::Decimal4)
        .or_else(|| medium().map(Variant::Decimal8))
        .or_else(|| large().map(Variant::Decimal16))
}

fn append_row(array: &ArrayRef, row: usize, into: &mut impl VariantBuilderExt) -> Result<()> {
    if array.data_type().is_null() || array.is_null(row) {
        into.append_value(Variant::Null);
        return Ok(());
    }
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let mut items = into.try_new_list()?;
            for item in items_at(list, row).unwrap_or_default() {
                append_row(list.values(), item, &mut items)?;
            }
            items.finish();
            Ok(())
        }
        data_type if super::is_variant(data_type) => {
            if let Some(variant) = variant_at(array.as_struct(), row)? {
                into.append_value(variant);
            }
            Ok(())
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let mut object = into.try_new_object()?;
            for (field, column) in fields.iter().zip(columns) {
                append_row(
                    column,
                    row,
                    &mut ObjectFieldBuilder::new(field.name(), &mut object),
                )?;
            }
            object.finish();
            Ok(())
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let Some(keys) = map.keys().as_string_opt::<i32>() else {
                return Err(no_variant(array.data_type()));
            };
            let mut object = into.try_new_object()?;
            for entry in entries_at(map, row).unwrap_or_default() {
                let mut field = ObjectFieldBuilder::new(keys.value(entry), &mut object);
                append_row(map.values(), entry, &mut field)?;
            }
            object.finish();
            Ok(())
        }
        _ => append_scalar(array, row, into),
    }
}

fn append_scalar(array: &ArrayRef, row: usize, into: &mut impl VariantBuilderExt) -> Result<()> {
    let no_moment = || DataFusionError::Execution("a moment is outside of what variants hold".to_owned());
    match array.data_type() {
        DataType::Boolean => into.append_value(array.as_boolean().value(row)),
        DataType::Int8 => into.append_value(integer(array.as_primitive::<Int8Type>().value(row).into())),
        DataType::Int16 => into.append_value(integer(array.as_primitive::<Int16Type>().value(row).into())),
        DataType::Int32 => into.append_value(integer(array.as_primitive::<Int32Type>().value(row).into())),
        DataType::Int64 => into.append_value(integer(array.as_primitive::<Int64Type>().value(row))),
        DataType::Float32 => into.append_value(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => into.append_value(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(_, scale) => {
            let digits = array.as_primitive::<Decimal128Type>().value(row);
            let scale = u8::try_from(*scale).ok();
            match scale.and_then(|scale| decimal(digits, scale)) {
                Some(decimal) => into.append_value(decimal),
                None => return Err(no_variant(array.data_type())),
            }
        }
        DataType::Utf8 => into.append_value(array.as_string::<i32>().value(row)),
        DataType::Binary => into.append_value(array.as_binary::<i32>().value(row)),
        DataType::Date32 => {
            let day = date32_to_datetime(array.as_primitive::<Date32Type>().value(row));
            into.append_value(Variant::Date(day.ok_or_else(no_moment)?.date()));
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            let moment = timestamp_us_to_datetime(micros).ok_or_else(no_moment)?;
            into.append_value(match zone {
                Some(_) => Variant::TimestampMicros(moment.and_utc()),
                None => Variant::TimestampNtzMicros(moment),
            });
        }
        other => return Err(no_variant(other)),
    }
    Ok(())
}

fn no_variant(data_type: &DataType) -> DataFusionError {
    condition(
        "DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION",
        "42K09",
        format!("{} is no VARIANT", type_text(data_type).to_uppercase()),
    )
}
