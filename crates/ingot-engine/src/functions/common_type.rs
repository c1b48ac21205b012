//! The type that values of several types have in common.
//!
//! Numbers become the widest of them, a whole number and a FLOAT a DOUBLE, a text what it stands beside. Source: Spark,
//! "ANSI compliance", "Least common type"; `AnsiTypeCoercion.findWiderTypeForTwo`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use datafusion::error::Result;

use super::arguments::{is_integral, is_text, timestamp};
use super::collection::{entry_types, item_type, list_of, map_of};
use crate::error::condition;
use crate::spark::fitted_decimal;
use crate::write::type_text;

/// Returns the type that all have in common.
///
/// # Errors
/// `DATATYPE_MISMATCH.DATA_DIFF_TYPES`.
pub(crate) fn common_type<'a>(
    function: &str,
    types: impl IntoIterator<Item = &'a DataType>,
) -> Result<DataType> {
    let mut common = DataType::Null;
    for data_type in types {
        common = common_type_of(&common, data_type).ok_or_else(|| {
            condition(
                "DATATYPE_MISMATCH.DATA_DIFF_TYPES",
                "42K09",
                format!(
                    "the arguments of `{function}` have to be of one type, and are {} and {}",
                    type_text(&common).to_uppercase(),
                    type_text(data_type).to_uppercase()
                ),
            )
        })?;
    }
    Ok(common)
}

/// Returns the type that two have in common, if there is one.
pub(crate) fn common_type_of(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType::{Boolean, Date32, Null, Timestamp, Utf8};
    if left == right {
        return Some(left.clone());
    }
    match (left, right) {
        (Null, other) | (other, Null) => Some(other.clone()),
        (left, right) if is_text(left) && is_text(right) => Some(Utf8),
        (text, other) | (other, text) if is_text(text) => beside_text(other),
        (Date32, Timestamp(TimeUnit::Microsecond, zone))
        | (Timestamp(TimeUnit::Microsecond, zone), Date32) => {
            Some(Timestamp(TimeUnit::Microsecond, zone.clone()))
        }
        (Timestamp(..), Timestamp(..)) => Some(timestamp()),
        (Boolean, _) | (_, Boolean) => None,
        (left, right) if left.is_numeric() && right.is_numeric() => numbers(left, right),
        (DataType::Struct(left), DataType::Struct(right)) => structs(left, right),
        (DataType::Map(..), DataType::Map(..)) => {
            let ((key, value), (other_key, other_value)) = (entry_types(left)?, entry_types(right)?);
            Some(map_of(
                common_type_of(&key, &other_key)?,
                common_type_of(&value, &other_value)?,
            ))
        }
        (left, right) => Some(list_of(common_type_of(&item_type(left)?, &item_type(right)?)?)),
    }
}

/// Returns what a text becomes beside another type.
fn beside_text(other: &DataType) -> Option<DataType> {
    match other {
        other if is_integral(other) => Some(DataType::Int64),
        other if other.is_numeric() => Some(DataType::Float64),
        DataType::Interval(_) | DataType::Duration(_) => None,
        other if other.is_nested() => None,
        other => Some(other.clone()),
    }
}

fn numbers(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType::{Decimal128, Float32, Float64};
    let digits = |side: &DataType| match side {
        Decimal128(precision, scale) => Some((i16::from(*precision), i16::from(*scale))),
        DataType::Int8 => Some((3, 0)),
        DataType::Int16 => Some((5, 0)),
        DataType::Int32 => Some((10, 0)),
        DataType::Int64 => Some((20, 0)),
        _ => None,
    };
    match (left, right) {
        (Float32, Float32) => Some(Float32),
        (left, right) if left.is_floating() || right.is_floating() => Some(Float64),
        (left, right) if is_integral(left) && is_integral(right) => {
            match left.primitive_width() >= right.primitive_width() {
                true => Some(left.clone()),
                false => Some(right.clone()),
            }
        }
        (left, right) => {
            let ((p1, s1), (p2, s2)) = (digits(left)?, digits(right)?);
            let scale = s1.max(s2);
            let (precision, scale) = fitted_decimal((p1 - s1).max(p2 - s2) + scale, scale);
            Some(Decimal128(precision, scale))
        }
    }
}

/// Structs have a type in common when their fields have the same names.
fn structs(left: &Fields, right: &Fields) -> Option<DataType> {
    if left.len() != right.len() {
        return None;
    }
    let fields: Option<Vec<Field>> = left
        .iter()
        .zip(right)
        .map(|(left, right)| {
            if !left.name().eq_ignore_ascii_case(right.name()) {
                return None;
            }
            let data_type = common_type_of(left.data_type(), right.data_type())?;
            let nullable = left.is_nullable() || right.is_nullable();
            let metadata = left.metadata().clone();
            Some(Field::new(left.name(), data_type, nullable).with_metadata(metadata))
        })
        .collect();
    Some(DataType::Struct(fields?.into_iter().map(Arc::new).collect()))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;
    use crate::types::parse_type;

    #[test_case("int", "bigint", Some("bigint"))]
    #[test_case("int", "float", Some("double"))]
    #[test_case("int", "decimal(2,1)", Some("decimal(11,1)"))]
    #[test_case("decimal(38,10)", "decimal(38,0)", Some("decimal(38,6)"); "digits that do not fit")]
    #[test_case("string", "int", Some("bigint"))]
    #[test_case("string", "date", Some("date"))]
    #[test_case("string", "float", Some("double"))]
    #[test_case("date", "timestamp", Some("timestamp"))]
    #[test_case("timestamp_ntz", "timestamp", Some("timestamp"))]
    #[test_case("array<int>", "array<bigint>", Some("array<bigint>"))]
    #[test_case("struct<a:int>", "struct<A:double>", Some("struct<a:double>"))]
    #[test_case("map<string,int>", "map<string,bigint>", Some("map<string,bigint>"))]
    #[test_case("struct<a:int>", "struct<b:int>", None)]
    #[test_case("boolean", "int", None)]
    #[test_case("date", "int", None)]
    #[test_case("array<int>", "int", None)]
    fn the_common_type_is_sparks(left: &str, right: &str, expected: Option<&str>) {
        let common = common_type_of(
            &parse_type(left).expect("a type"),
            &parse_type(right).expect("a type"),
        );
        assert_eq!(common.as_ref().map(type_text).as_deref(), expected);
    }
}
