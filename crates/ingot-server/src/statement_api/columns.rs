//! Columns of a result, by the API's types.
//!
//! Source: Databricks, Statement Execution API, `ColumnInfo`.

use arrow::datatypes::{DataType, Field, Fields, Schema};
use ingot_common::port::{DAY_TIME_INTERVAL, SQL_NAME, YEAR_MONTH_INTERVAL};
use serde::Serialize;

/// A column of a result.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct ColumnInfo {
    name: String,
    /// From 0.
    position: usize,
    /// As SQL writes it.
    type_text: String,
    /// One of the API's names.
    type_name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    type_precision: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    type_scale: Option<i8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    type_interval_type: Option<&'static str>,
}

/// Returns the columns of a result.
pub fn columns(schema: &Schema) -> Vec<ColumnInfo> {
    let fields = schema.fields().iter().enumerate();
    fields.map(|(position, field)| column(field, position)).collect()
}

fn column(field: &Field, position: usize) -> ColumnInfo {
    let (type_precision, type_scale) = match field.data_type() {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            (Some(*precision), Some(*scale))
        }
        _ => (None, None),
    };
    ColumnInfo {
        name: field.name().clone(),
        position,
        type_text: text(field),
        type_name: match sql_name(field) {
            Some("VARIANT") => "VARIANT",
            Some(name) if name.starts_with("INTERVAL") => "INTERVAL",
            _ => name(field.data_type()),
        },
        type_precision,
        type_scale,
        type_interval_type: match sql_name(field) {
            Some(YEAR_MONTH_INTERVAL) => Some("YEAR TO MONTH"),
            Some(DAY_TIME_INTERVAL) => Some("DAY TO SECOND"),
            _ => None,
        },
    }
}

fn name(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Null => "NULL",
        DataType::Boolean => "BOOLEAN",
        DataType::Int8 => "BYTE",
        DataType::Int16 => "SHORT",
        DataType::Int32 => "INT",
        DataType::Int64 => "LONG",
        DataType::Float32 => "FLOAT",
        DataType::Float64 => "DOUBLE",
        DataType::Decimal128(..) | DataType::Decimal256(..) => "DECIMAL",
        DataType::Date32 => "DATE",
        DataType::Timestamp(..) => "TIMESTAMP",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "BINARY"
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => "ARRAY",
        DataType::Map(..) => "MAP",
        DataType::Struct(_) => "STRUCT",
        _ => "STRING",
    }
}

/// Returns the type of a field that its Arrow type does not tell.
fn sql_name(field: &Field) -> Option<&str> {
    field.metadata().get(SQL_NAME).map(String::as_str)
}

/// Writes the type of a field as SQL does.
pub fn text(field: &Field) -> String {
    if let Some(name) = sql_name(field) {
        return name.to_owned();
    }
    match field.data_type() {
        DataType::Null => "VOID".to_owned(),
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            format!("DECIMAL({precision},{scale})")
        }
        DataType::Timestamp(_, None) => "TIMESTAMP_NTZ".to_owned(),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            format!("ARRAY<{}>", text(item))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                let types = fields.iter().map(|field| text(field));
                format!("MAP<{}>", types.collect::<Vec<_>>().join(", "))
            }
            _ => "MAP".to_owned(),
        },
        DataType::Struct(fields) => format!("STRUCT<{}>", members(fields)),
        other => name(other).to_owned(),
    }
}

fn members(fields: &Fields) -> String {
    let members = fields.iter().map(|field| {
        let not_null = if field.is_nullable() { "" } else { " NOT NULL" };
        format!("{}: {}{not_null}", field.name(), text(field))
    });
    members.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::TimeUnit;
    use test_case::test_case;

    use super::*;

    fn list(item: DataType) -> DataType {
        DataType::List(Arc::new(Field::new("element", item, true)))
    }

    fn structure() -> DataType {
        let fields = [
            Field::new("a", DataType::Int64, false),
            Field::new("b", list(DataType::Utf8), true),
        ];
        DataType::Struct(fields.into_iter().collect())
    }

    #[test_case(DataType::Int64, "LONG", "BIGINT"; "bigint")]
    #[test_case(DataType::Decimal128(10, 2), "DECIMAL", "DECIMAL(10,2)"; "decimal")]
    #[test_case(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), "TIMESTAMP", "TIMESTAMP"; "timestamp")]
    #[test_case(DataType::Timestamp(TimeUnit::Microsecond, None), "TIMESTAMP", "TIMESTAMP_NTZ"; "timestamp without zone")]
    #[test_case(structure(), "STRUCT", "STRUCT<a: BIGINT NOT NULL, b: ARRAY<STRING>>"; "nested")]
    #[test_case(DataType::Utf8View, "STRING", "STRING"; "string")]
    #[test_case(DataType::Null, "NULL", "VOID"; "void")]
    fn types_have_two_names(data_type: DataType, type_name: &str, type_text: &str) {
        let column = column(&Field::new("c", data_type, true), 0);
        assert_eq!(
            (column.type_name, column.type_text.as_str()),
            (type_name, type_text)
        );
    }
}
