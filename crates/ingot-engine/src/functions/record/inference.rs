//! The type that values in texts seem to be of, and how Spark writes it: `STRUCT<a: ARRAY<BIGINT>>`.
//!
//! Source: Spark, `JsonInferSchema`, `DataType.sql`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields};

use super::Value;
use super::number::unscaled;
use crate::functions::collection::{entry_types, item_type, list_of};
use crate::write::type_text;

/// Returns the type of a value; VOID where nothing is known.
pub(crate) fn type_of(value: &Value<'_>) -> DataType {
    match value {
        Value::Null => DataType::Null,
        Value::Boolean(_) => DataType::Boolean,
        Value::Number(text) => number(text),
        Value::Text(_) => DataType::Utf8,
        Value::Array(items, _) => {
            let items = items.iter().map(type_of);
            list_of(items.fold(DataType::Null, |common, item| compatible(&common, &item)))
        }
        Value::Object(fields, _) => {
            let mut types: Vec<Field> = Vec::new();
            for (name, value) in fields {
                let field = Field::new(name.as_ref(), type_of(value), true);
                match types.iter_mut().find(|known| known.name() == name.as_ref()) {
                    Some(known) => *known = field,
                    None => types.push(field),
                }
            }
            types.sort_by(|a, b| a.name().cmp(b.name()));
            DataType::Struct(types.into())
        }
    }
}

fn number(text: &str) -> DataType {
    let is_whole = !text.contains(['.', 'e', 'E']) && text.parse::<f64>().is_ok();
    if !is_whole {
        return DataType::Float64;
    }
    match (text.parse::<i64>(), unscaled(text)) {
        (Ok(_), _) => DataType::Int64,
        (Err(_), Some((digits, _))) => {
            let precision = digits.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
            match u8::try_from(precision) {
                Ok(precision) if precision <= 38 => DataType::Decimal128(precision, 0),
                _ => DataType::Float64,
            }
        }
        (Err(_), None) => DataType::Float64,
    }
}

/// Returns the type of values of two types: what has nothing in common is a text.
pub(crate) fn compatible(left: &DataType, right: &DataType) -> DataType {
    match (left, right) {
        (left, right) if left == right => left.clone(),
        (DataType::Null, other) | (other, DataType::Null) => other.clone(),
        (DataType::Struct(left), DataType::Struct(right)) => DataType::Struct(merged(left, right)),
        (left, right) if left.is_numeric() && right.is_numeric() => match (left, right) {
            (DataType::Decimal128(p, 0), DataType::Int64) | (DataType::Int64, DataType::Decimal128(p, 0)) => {
                DataType::Decimal128((*p).max(20), 0)
            }
            (DataType::Decimal128(p, 0), DataType::Decimal128(q, 0)) => DataType::Decimal128(*p.max(q), 0),
            _ => DataType::Float64,
        },
        (left, right) => match (left.is_nested(), item_type(left), item_type(right)) {
            (true, Some(left), Some(right)) => list_of(compatible(&left, &right)),
            _ => DataType::Utf8,
        },
    }
}

fn merged(left: &Fields, right: &Fields) -> Fields {
    let mut fields: Vec<Field> = left.iter().map(|field| field.as_ref().clone()).collect();
    for field in right {
        match fields.iter_mut().find(|known| known.name() == field.name()) {
            Some(known) => known.set_data_type(compatible(known.data_type(), field.data_type())),
            None => fields.push(field.as_ref().clone()),
        }
    }
    fields.sort_by(|a, b| a.name().cmp(b.name()));
    fields.into_iter().map(Arc::new).collect()
}

/// Returns the type with STRING in the place of what is not known.
pub(crate) fn known(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Null => DataType::Utf8,
        DataType::Struct(fields) => DataType::Struct(
            fields
                .iter()
                .map(|field| Field::new(field.name(), known(field.data_type()), true))
                .collect(),
        ),
        DataType::List(item) => list_of(known(item.data_type())),
        other => other.clone(),
    }
}

/// Writes a type as Spark's `sql` has it. A struct is called `object` for variants.
pub(crate) fn type_sql(data_type: &DataType, object: &str) -> String {
    match data_type {
        DataType::Struct(fields) if !crate::functions::variant::is_variant(data_type) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|field| {
                    format!(
                        "{}: {}",
                        quoted(field.name()),
                        type_sql(field.data_type(), object)
                    )
                })
                .collect();
            format!("{object}<{}>", fields.join(", "))
        }
        DataType::List(item) => format!("ARRAY<{}>", type_sql(item.data_type(), object)),
        DataType::Map(..) => match entry_types(data_type) {
            Some((key, value)) => format!("MAP<{}, {}>", type_sql(&key, object), type_sql(&value, object)),
            None => "MAP".to_owned(),
        },
        other => type_text(other).to_uppercase(),
    }
}

/// Quotes a name where it has to be.
pub(crate) fn quoted(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.chars().any(|c| !c.is_ascii_digit());
    match plain {
        true => name.to_owned(),
        false => format!("`{}`", name.replace('`', "``")),
    }
}
