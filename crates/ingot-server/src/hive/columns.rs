//! Columns of a result, by Hive's types.

use arrow::datatypes::{DataType, Field, Schema};
use ingot_common::port::{DAY_TIME_INTERVAL, SQL_NAME, YEAR_MONTH_INTERVAL};
use thrift::protocol::TType;

use crate::thrift::{Struct, Value};

/// `TTypeId`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TypeId {
    Boolean = 0,
    TinyInt = 1,
    SmallInt = 2,
    Int = 3,
    BigInt = 4,
    Float = 5,
    Double = 6,
    String = 7,
    Timestamp = 8,
    Binary = 9,
    Array = 10,
    Map = 11,
    Struct = 12,
    Decimal = 15,
    Null = 16,
    Date = 17,
    IntervalYearMonth = 20,
    IntervalDayTime = 21,
}

impl TypeId {
    fn of(field: &Field) -> Self {
        match field.metadata().get(SQL_NAME).map(String::as_str) {
            Some(YEAR_MONTH_INTERVAL) => return Self::IntervalYearMonth,
            Some(DAY_TIME_INTERVAL) => return Self::IntervalDayTime,
            _ => {}
        }
        match field.data_type() {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Boolean,
            DataType::Int8 => Self::TinyInt,
            DataType::Int16 => Self::SmallInt,
            DataType::Int32 => Self::Int,
            DataType::Int64 => Self::BigInt,
            DataType::Float32 => Self::Float,
            DataType::Float64 => Self::Double,
            DataType::Decimal128(..) | DataType::Decimal256(..) => Self::Decimal,
            DataType::Date32 => Self::Date,
            DataType::Timestamp(..) => Self::Timestamp,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Self::Binary,
            DataType::List(_) | DataType::LargeList(_) => Self::Array,
            DataType::Map(..) => Self::Map,
            DataType::Struct(_) => Self::Struct,
            _ => Self::String,
        }
    }
}

/// Makes the `TTableSchema` of a result.
pub(super) fn schema(schema: &Schema) -> Struct {
    let columns = schema.fields().iter().zip(1_i32..);
    let columns: Vec<Struct> = columns.map(|(field, place)| column(field, place)).collect();
    Struct::default().with(1, columns)
}

fn column(field: &Field, place: i32) -> Struct {
    let entry = Struct::default()
        .with(1, TypeId::of(field) as i32)
        .with_some(2, qualifiers(field.data_type()));
    let description = Struct::default().with(1, vec![Struct::default().with(1, entry)]);
    Struct::default()
        .with(1, field.name().as_str())
        .with(2, description)
        .with(3, place)
        .with(4, "")
}

/// The digits of a DECIMAL.
fn qualifiers(data_type: &DataType) -> Option<Struct> {
    let (DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale)) = data_type else {
        return None;
    };
    let number = |value: i32| Value::from(Struct::default().with(1, value));
    let entries = vec![
        ("precision".to_owned(), number(i32::from(*precision))),
        ("scale".to_owned(), number(i32::from(*scale))),
    ];
    Some(Struct::default().with(1, Value::Map(TType::Struct, entries)))
}
