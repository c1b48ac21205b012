//! A column of values that are read from texts, of any type.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder,
    Float64Builder, Int8Builder, Int16Builder, Int32Builder, Int64Builder, ListArray, MapArray, NullArray,
    NullBufferBuilder, StringBuilder, StructArray, TimestampMicrosecondBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, FieldRef, Fields, TimeUnit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion::error::{DataFusionError, Result};

use super::super::xml::VALUE;
use super::Value;
use super::formats::Formats;
use super::number::{decimal, special_double, unscaled};

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Whole,
    /// A part of it is null, as it is not of its type.
    Partial,
    /// All of it is null.
    Failed,
}

/// Values of a type as they come.
pub(crate) enum Column {
    Void(usize),
    Boolean(BooleanBuilder),
    Int8(Int8Builder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder, u8, i8),
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    TimestampNtz(TimestampMicrosecondBuilder),
    List(Box<ListColumn>),
    Map(Box<MapColumn>),
    Struct(StructColumn),
}

pub(crate) struct ListColumn {
    field: FieldRef,
    items: Column,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

pub(crate) struct MapColumn {
    field: FieldRef,
    fields: Fields,
    keys: Column,
    values: Column,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

/// Values of a struct.
pub(crate) struct StructColumn {
    fields: Fields,
    columns: Vec<Column>,
    nulls: NullBufferBuilder,
    /// Where the field of each column is in the object that is being read.
    found: Vec<Option<usize>>,
}

impl Column {
    /// Makes an empty column.
    ///
    /// # Errors
    /// For a type that records do not have.
    pub fn new(data_type: &DataType) -> Result<Self> {
        Ok(match data_type {
            DataType::Null => Self::Void(0),
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            DataType::Int8 => Self::Int8(Int8Builder::new()),
            DataType::Int16 => Self::Int16(Int16Builder::new()),
            DataType::Int32 => Self::Int32(Int32Builder::new()),
            DataType::Int64 => Self::Int64(Int64Builder::new()),
            DataType::Float32 => Self::Float32(Float32Builder::new()),
            DataType::Float64 => Self::Float64(Float64Builder::new()),
            DataType::Decimal128(precision, scale) => Self::Decimal(
                Decimal128Builder::new().with_data_type(data_type.clone()),
                *precision,
                *scale,
            ),
            DataType::Utf8 => Self::Text(StringBuilder::new()),
            DataType::Binary => Self::Binary(BinaryBuilder::new()),
            DataType::Date32 => Self::Date(Date32Builder::new()),
            DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone(Arc::clone(zone)))
            }
            DataType::Timestamp(TimeUnit::Microsecond, None) => {
                Self::TimestampNtz(TimestampMicrosecondBuilder::new())
            }
            DataType::List(field) => Self::List(Box::new(ListColumn {
                field: Arc::clone(field),
                items: Self::new(field.data_type())?,
                offsets: vec![0],
                nulls: NullBufferBuilder::new(0),
            })),
            DataType::Map(field, _) => match field.data_type() {
                DataType::Struct(fields) if fields.len() == 2 => Self::Map(Box::new(MapColumn {
                    field: Arc::clone(field),
                    fields: fields.clone(),
                    keys: Self::new(fields[0].data_type())?,
                    values: Self::new(fields[1].data_type())?,
                    offsets: vec![0],
                    nulls: NullBufferBuilder::new(0),
                })),
                other => return Err(no_column(other)),
            },
            DataType::Struct(fields) => Self::Struct(StructColumn::new(fields)?),
            other => return Err(no_column(other)),
        })
    }

    /// Adds a value, or null in its place where it is not of the type.
    pub fn append(&mut self, value: &Value<'_>, formats: &Formats) -> Outcome {
        if value == &Value::Null {
            self.append_null();
            return Outcome::Whole;
        }
        if formats.elements && text(value) == Some("") && !matches!(self, Self::Text(_)) {
            self.append_null();
            return Outcome::Whole;
        }
        /// Adds what was read of a value.
        macro_rules! add {
            ($builder:expr, $read:expr) => {{
                let read = $read;
                let outcome = if read.is_some() {
                    Outcome::Whole
                } else {
                    Outcome::Failed
                };
                $builder.append_option(read);
                outcome
            }};
        }
        match self {
            Self::Void(rows) => {
                *rows += 1;
                Outcome::Whole
            }
            Self::Boolean(builder) => add!(builder, boolean(value, formats)),
            Self::Int8(builder) => add!(
                builder,
                integer(value, formats).and_then(|value| value.try_into().ok())
            ),
            Self::Int16(builder) => add!(
                builder,
                integer(value, formats).and_then(|value| value.try_into().ok())
            ),
            Self::Int32(builder) => add!(
                builder,
                integer(value, formats).and_then(|value| value.try_into().ok())
            ),
            Self::Int64(builder) => add!(builder, integer(value, formats)),
            Self::Float32(builder) => add!(builder, float(value, formats)),
            Self::Float64(builder) => add!(builder, double(value, formats)),
            Self::Decimal(builder, precision, scale) => {
                let text = match value {
                    Value::Number(text) => Some(text.as_ref()),
                    Value::Text(text) => Some(text.trim()),
                    _ => None,
                };
                add!(builder, text.and_then(|text| decimal(text, *precision, *scale)))
            }
            Self::Text(builder) => {
                match value {
                    Value::Text(text) => builder.append_value(text),
                    Value::Boolean(value) => builder.append_value(if *value { "true" } else { "false" }),
                    Value::Number(written) | Value::Array(_, written) | Value::Object(_, written) => {
                        builder.append_value(written);
                    }
                    Value::Null => builder.append_null(),
                }
                Outcome::Whole
            }
            Self::Binary(builder) => {
                let bytes = match value {
                    Value::Text(text) if formats.texts_are_values => Some(text.as_bytes().to_vec()),
                    Value::Text(text) => STANDARD.decode(text.as_bytes()).ok(),
                    _ => None,
                };
                add!(builder, bytes)
            }
            Self::Date(builder) => add!(builder, text(value).and_then(|text| formats.read_date(text))),
            Self::Timestamp(builder) => {
                let read = match value {
                    Value::Number(seconds) => seconds
                        .parse::<i64>()
                        .ok()
                        .and_then(|seconds| seconds.checked_mul(1_000_000)),
                    value => text(value).and_then(|text| formats.read_timestamp(text)),
                };
                add!(builder, read)
            }
            Self::TimestampNtz(builder) => {
                add!(
                    builder,
                    text(value).and_then(|text| formats.read_timestamp_ntz(text))
                )
            }
            Self::List(list) => list.append(value, formats),
            Self::Map(map) => map.append(value, formats),
            Self::Struct(columns) => match value {
                Value::Object(fields, _) => columns.append(fields, formats),
                Value::Text(_) if formats.elements => {
                    columns.append(&[(Cow::Borrowed(VALUE), value.clone())], formats)
                }
                _ => {
                    columns.append_null();
                    Outcome::Failed
                }
            },
        }
    }

    pub fn append_null(&mut self) {
        match self {
            Self::Void(rows) => *rows += 1,
            Self::Boolean(builder) => builder.append_null(),
            Self::Int8(builder) => builder.append_null(),
            Self::Int16(builder) => builder.append_null(),
            Self::Int32(builder) => builder.append_null(),
            Self::Int64(builder) => builder.append_null(),
            Self::Float32(builder) => builder.append_null(),
            Self::Float64(builder) => builder.append_null(),
            Self::Decimal(builder, ..) => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
            Self::Binary(builder) => builder.append_null(),
            Self::Date(builder) => builder.append_null(),
            Self::Timestamp(builder) | Self::TimestampNtz(builder) => builder.append_null(),
            Self::List(list) => {
                let end = list.end();
                list.offsets.push(end);
                list.nulls.append_null();
            }
            Self::Map(map) => {
                let end = map.end();
                map.offsets.push(end);
                map.nulls.append_null();
            }
            Self::Struct(columns) => columns.append_null(),
        }
    }

    fn len(&self) -> usize {
        use arrow::array::ArrayBuilder;
        match self {
            Self::Void(rows) => *rows,
            Self::Boolean(builder) => builder.len(),
            Self::Int8(builder) => builder.len(),
            Self::Int16(builder) => builder.len(),
            Self::Int32(builder) => builder.len(),
            Self::Int64(builder) => builder.len(),
            Self::Float32(builder) => builder.len(),
            Self::Float64(builder) => builder.len(),
            Self::Decimal(builder, ..) => builder.len(),
            Self::Text(builder) => builder.len(),
            Self::Binary(builder) => builder.len(),
            Self::Date(builder) => builder.len(),
            Self::Timestamp(builder) | Self::TimestampNtz(builder) => builder.len(),
            Self::List(list) => list.offsets.len() - 1,
            Self::Map(map) => map.offsets.len() - 1,
            Self::Struct(columns) => columns.nulls.len(),
        }
    }

    /// Returns the array.
    ///
    /// # Errors
    /// When the parts do not fit: a null where the schema wants none.
    pub fn finish(self) -> Result<ArrayRef> {
        Ok(match self {
            Self::Void(rows) => Arc::new(NullArray::new(rows)),
            Self::Boolean(mut builder) => Arc::new(builder.finish()),
            Self::Int8(mut builder) => Arc::new(builder.finish()),
            Self::Int16(mut builder) => Arc::new(builder.finish()),
            Self::Int32(mut builder) => Arc::new(builder.finish()),
            Self::Int64(mut builder) => Arc::new(builder.finish()),
            Self::Float32(mut builder) => Arc::new(builder.finish()),
            Self::Float64(mut builder) => Arc::new(builder.finish()),
            Self::Decimal(mut builder, ..) => Arc::new(builder.finish()),
            Self::Text(mut builder) => Arc::new(builder.finish()),
            Self::Binary(mut builder) => Arc::new(builder.finish()),
            Self::Date(mut builder) => Arc::new(builder.finish()),
            Self::Timestamp(mut builder) | Self::TimestampNtz(mut builder) => Arc::new(builder.finish()),
            Self::List(list) => {
                let mut list = *list;
                let offsets = OffsetBuffer::new(list.offsets.into());
                let items = list.items.finish()?;
                Arc::new(ListArray::try_new(
                    list.field,
                    offsets,
                    items,
                    list.nulls.finish(),
                )?)
            }
            Self::Map(map) => {
                let mut map = *map;
                let offsets = OffsetBuffer::new(map.offsets.into());
                let entries = vec![map.keys.finish()?, map.values.finish()?];
                let entries = StructArray::try_new(map.fields, entries, None)?;
                Arc::new(MapArray::try_new(
                    map.field,
                    offsets,
                    entries,
                    map.nulls.finish(),
                    false,
                )?)
            }
            Self::Struct(columns) => columns.finish()?,
        })
    }
}

impl ListColumn {
    /// An item that is not of its type makes the whole array null. A value alone is an array of one in XML.
    fn append(&mut self, value: &Value<'_>, formats: &Formats) -> Outcome {
        let mut outcome = Outcome::Whole;
        match value {
            Value::Array(items, _) => {
                for item in items {
                    match self.items.append(item, formats) {
                        Outcome::Whole => {}
                        Outcome::Partial => outcome = Outcome::Partial,
                        Outcome::Failed => {
                            outcome = Outcome::Failed;
                            break;
                        }
                    }
                }
            }
            value if formats.elements => outcome = self.items.append(value, formats),
            _ => outcome = Outcome::Failed,
        }
        let end = self.end();
        self.offsets.push(end);
        self.nulls.append(outcome != Outcome::Failed);
        outcome
    }

    fn end(&self) -> i32 {
        i32::try_from(self.items.len()).unwrap_or(i32::MAX)
    }
}

impl MapColumn {
    /// Of fields of one name the last counts.
    fn append(&mut self, value: &Value<'_>, formats: &Formats) -> Outcome {
        let mut outcome = Outcome::Whole;
        match value {
            Value::Object(fields, _) => {
                for (place, (key, value)) in fields.iter().enumerate() {
                    if fields.iter().skip(place + 1).any(|(later, _)| later == key) {
                        continue;
                    }
                    let key = Value::Text(Cow::Borrowed(key));
                    if self.keys.append(&key, formats) == Outcome::Failed {
                        // A key cannot be null: the entry goes.
                        outcome = Outcome::Failed;
                    }
                    match self.values.append(value, formats) {
                        Outcome::Whole => {}
                        Outcome::Partial if outcome == Outcome::Whole => outcome = Outcome::Partial,
                        Outcome::Partial => {}
                        Outcome::Failed => outcome = Outcome::Failed,
                    }
                }
            }
            _ => outcome = Outcome::Failed,
        }
        let end = self.end();
        self.offsets.push(end);
        self.nulls.append(outcome != Outcome::Failed);
        outcome
    }

    fn end(&self) -> i32 {
        i32::try_from(self.keys.len()).unwrap_or(i32::MAX)
    }
}

impl StructColumn {
    pub fn new(fields: &Fields) -> Result<Self> {
        Ok(Self {
            fields: fields.clone(),
            columns: fields
                .iter()
                .map(|field| Column::new(field.data_type()))
                .collect::<Result<_>>()?,
            nulls: NullBufferBuilder::new(0),
            found: vec![None; fields.len()],
        })
    }

    /// Adds an object: a field that is missing or not of its type is null.
    pub fn append(&mut self, object: &[(Cow<'_, str>, Value<'_>)], formats: &Formats) -> Outcome {
        self.found.fill(None);
        for (place, (name, _)) in object.iter().enumerate() {
            // Records mostly have their fields in the order of the schema.
            let expected = self.fields.get(place).filter(|field| field.name() == name);
            let column = match expected {
                Some(_) => Some(place),
                None => self.fields.iter().position(|field| field.name() == name),
            };
            if let Some(column) = column {
                self.found[column] = Some(place);
            }
        }
        let mut outcome = Outcome::Whole;
        for (column, found) in self.columns.iter_mut().zip(&self.found) {
            match found.and_then(|place| object.get(place)) {
                Some((_, value)) => {
                    if column.append(value, formats) != Outcome::Whole {
                        outcome = Outcome::Partial;
                    }
                }
                None => column.append_null(),
            }
        }
        self.nulls.append_non_null();
        outcome
    }

    /// Adds values by their places; missing ones are null.
    pub fn append_cells(&mut self, cells: &[Value<'_>], formats: &Formats) -> Outcome {
        let mut outcome = Outcome::Whole;
        for (place, column) in self.columns.iter_mut().enumerate() {
            match cells.get(place) {
                Some(value) => {
                    if column.append(value, formats) != Outcome::Whole {
                        outcome = Outcome::Partial;
                    }
                }
                None => column.append_null(),
            }
        }
        self.nulls.append_non_null();
        outcome
    }

    /// Adds a struct of nulls.
    pub fn append_nulls(&mut self) {
        self.columns.iter_mut().for_each(Column::append_null);
        self.nulls.append_non_null();
    }

    pub fn append_null(&mut self) {
        self.columns.iter_mut().for_each(Column::append_null);
        self.nulls.append_null();
    }

    fn finish(mut self) -> Result<ArrayRef> {
        let rows = self.nulls.len();
        let nulls = self.nulls.finish();
        if self.fields.is_empty() {
            return Ok(Arc::new(StructArray::new_empty_fields(rows, nulls)));
        }
        let columns = self
            .columns
            .into_iter()
            .map(Column::finish)
            .collect::<Result<_>>()?;
        Ok(Arc::new(StructArray::try_new(self.fields, columns, nulls)?))
    }
}

fn no_column(data_type: &DataType) -> DataFusionError {
    DataFusionError::NotImplemented(format!("a record has no values of the type {data_type}"))
}

fn text<'v>(value: &'v Value<'_>) -> Option<&'v str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn boolean(value: &Value<'_>, formats: &Formats) -> Option<bool> {
    match value {
        Value::Boolean(value) => Some(*value),
        Value::Text(text) if formats.texts_are_values => {
            let text = text.trim();
            if text.eq_ignore_ascii_case("true") {
                Some(true)
            } else if text.eq_ignore_ascii_case("false") {
                Some(false)
            } else {
                None
            }
        }
        _ => None,
    }
}

fn integer(value: &Value<'_>, formats: &Formats) -> Option<i64> {
    match value {
        Value::Number(text) => text.parse().ok().or_else(|| match formats.texts_are_values {
            true => whole(text),
            false => None,
        }),
        Value::Text(text) if formats.texts_are_values => text.trim().parse().ok(),
        Value::Boolean(value) if formats.texts_are_values => Some(i64::from(*value)),
        _ => None,
    }
}

/// Cuts a number to its digits before the point.
fn whole(text: &str) -> Option<i64> {
    let (digits, scale) = unscaled(text)?;
    let value = match u32::try_from(scale) {
        Ok(scale) => digits / 10_i128.checked_pow(scale)?,
        Err(_) => digits.checked_mul(10_i128.checked_pow(u32::try_from(-scale).ok()?)?)?,
    };
    i64::try_from(value).ok()
}

fn double(value: &Value<'_>, formats: &Formats) -> Option<f64> {
    match value {
        Value::Number(text) => special_double(text).or_else(|| text.parse().ok()),
        Value::Text(text) => {
            let special = special_double(text.trim()).filter(|_| formats.non_numeric_numbers);
            special.or_else(|| match formats.texts_are_values {
                true => text.trim().parse().ok(),
                false => None,
            })
        }
        _ => None,
    }
}

fn float(value: &Value<'_>, formats: &Formats) -> Option<f32> {
    match value {
        Value::Number(text) => match special_double(text) {
            // Narrowing an infinity or NaN keeps it.
            Some(special) => Some(special as f32),
            None => text.parse().ok(),
        },
        value => double(value, formats).map(|value| value as f32),
    }
}
