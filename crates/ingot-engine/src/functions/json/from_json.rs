//! `from_json(text, schema)`: a JSON object as a struct, in mode PERMISSIVE.
//!
//! A text that is no object, or whose values are not of the schema's types, gives a struct of nulls; the field
//! `_corrupt_record` then holds the text, if the schema has one. A null text gives null. A number is whole for a
//! column of whole numbers, and never text; a column of text takes numbers and truth values as they are written.
//! Source: Spark, `from_json`. Spark keeps the values that are of their types; here a text is read whole or not at
//! all.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBufferBuilder, RecordBatch, StringBuilder, StructArray, new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use arrow::json::ReaderBuilder;
use arrow::json::reader::Decoder;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;
use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::types::parse_columns;

/// Texts decoded at a time: the decoder's working memory stays in the cache (twice as fast as 65,536).
const ROWS_DECODED: usize = 4096;

/// Where a text that could not be read is kept. Source: Spark, `columnNameOfCorruptRecord`.
const CORRUPT_RECORD: &str = "_corrupt_record";

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct FromJson {
    signature: Signature,
}

impl FromJson {
    pub fn new() -> Self {
        Self {
            signature: Signature::any(2, Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for FromJson {
    fn name(&self) -> &str {
        "from_json"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Err(DataFusionError::Internal(
            "the type of from_json depends on its schema".to_owned(),
        ))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let schema = args.scalar_arguments.get(1).copied().flatten().and_then(text_of);
        let Some(schema) = schema else {
            return Err(DataFusionError::Plan(
                "the schema of from_json is a literal text, as `'a INT, b STRING'`".to_owned(),
            ));
        };
        let fields = nullable(&columns(&schema)?);
        Ok(Arc::new(Field::new(self.name(), DataType::Struct(fields), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::Struct(fields) = args.return_field.data_type() else {
            return Err(DataFusionError::Internal("from_json returns a struct".to_owned()));
        };
        let Some(texts) = args.args.first() else {
            return Err(DataFusionError::Plan(
                "from_json takes a text and a schema".to_owned(),
            ));
        };
        let texts = texts.to_array(args.number_rows)?;
        Ok(ColumnarValue::Array(Arc::new(decode(&texts, fields)?)))
    }
}

fn text_of(value: &ScalarValue) -> Option<String> {
    value.try_as_str().flatten().map(str::to_owned)
}

/// Reads the schema argument: columns, or one struct of them.
fn columns(schema: &str) -> Result<Fields> {
    let external = |error| DataFusionError::External(Box::new(error));
    match crate::types::parse_type(schema) {
        Ok(DataType::Struct(fields)) => Ok(fields),
        _ => parse_columns(schema).map_err(external),
    }
}

/// Any field may be missing from a text.
fn nullable(fields: &Fields) -> Fields {
    fields
        .iter()
        .map(|field| field.as_ref().clone().with_nullable(true))
        .collect()
}

fn decode(texts: &ArrayRef, fields: &Fields) -> Result<StructArray> {
    // What Kafka delivers is binary; bytes that are not UTF-8 are no JSON.
    let texts = match texts.data_type() {
        DataType::Binary => Arc::clone(texts),
        DataType::Null => return Ok(StructArray::new_null(fields.clone(), texts.len())),
        _ => cast(texts, &DataType::Binary)?,
    };
    let texts = texts.as_binary::<i32>();
    let wanted: Fields = fields
        .iter()
        .filter(|field| field.name() != CORRUPT_RECORD)
        .cloned()
        .collect();
    let schema = Arc::new(Schema::new(wanted));
    let expected = Expected::new(schema.fields());
    let objects: Vec<Option<&[u8]>> = texts
        .iter()
        .map(|text| text.filter(|text| expected.fits(text)))
        .collect();
    let mut corrupt = BooleanBufferBuilder::new(texts.len());
    let mut batches = Vec::new();
    for rows in objects.chunks(ROWS_DECODED) {
        decode_rows(&schema, rows, &mut batches, &mut corrupt)?;
    }
    let rows = arrow::compute::concat_batches(&schema, &batches)?;
    let mut columns = rows.columns().to_vec();
    if let Some(place) = fields.iter().position(|field| field.name() == CORRUPT_RECORD) {
        columns.insert(
            place,
            corrupt_records(texts.iter(), &corrupt.finish(), fields[place].data_type())?,
        );
    }
    let nulls = texts
        .nulls()
        .cloned()
        .map(|nulls| NullBuffer::new(nulls.inner().clone()));
    Ok(StructArray::try_new(fields.clone(), columns, nulls)?)
}

fn corrupt_records<'a>(
    texts: impl Iterator<Item = Option<&'a [u8]>>,
    corrupt: &arrow::buffer::BooleanBuffer,
    data_type: &DataType,
) -> Result<ArrayRef> {
    let mut records = StringBuilder::new();
    for (text, corrupt) in texts.zip(corrupt.iter()) {
        let text = text.filter(|_| corrupt).map(String::from_utf8_lossy);
        records.append_option(text.as_ref().map(Cow::as_ref));
    }
    Ok(cast(&records.finish(), data_type)?)
}

/// Decodes rows in one go; where a value is not of its type, halves them until the wrong ones stand alone.
fn decode_rows(
    schema: &Arc<Schema>,
    rows: &[Option<&[u8]>],
    batches: &mut Vec<RecordBatch>,
    corrupt: &mut BooleanBufferBuilder,
) -> Result<()> {
    if let Some(batch) = try_decode(schema, rows)? {
        batches.push(batch);
        rows.iter().for_each(|row| corrupt.append(row.is_none()));
        return Ok(());
    }
    if let [_] = rows {
        let columns = schema
            .fields()
            .iter()
            .map(|field| new_null_array(field.data_type(), 1))
            .collect();
        batches.push(RecordBatch::try_new(Arc::clone(schema), columns)?);
        corrupt.append(true);
        return Ok(());
    }
    let (first, second) = rows.split_at(rows.len() / 2);
    decode_rows(schema, first, batches, corrupt)?;
    decode_rows(schema, second, batches, corrupt)
}

/// Decodes rows, `None` as an object without fields; `None` when a value is not of its type.
fn try_decode(schema: &Arc<Schema>, rows: &[Option<&[u8]>]) -> Result<Option<RecordBatch>> {
    let mut decoder: Decoder = ReaderBuilder::new(Arc::clone(schema))
        .with_batch_size(rows.len())
        .with_coerce_primitive(true)
        .build_decoder()?;
    for row in rows {
        let text = row.unwrap_or(b"{}");
        if !matches!(decoder.decode(text), Ok(read) if read == text.len()) {
            return Ok(None);
        }
    }
    match decoder.flush() {
        Ok(Some(batch)) if batch.num_rows() == rows.len() => Ok(Some(batch)),
        _ => Ok(None),
    }
}

/// What the values of an object must be, where the decoder would take more: it cuts `1.5` to a whole number, and
/// reads numbers in quotes.
struct Expected<'a> {
    fields: HashMap<&'a str, Class>,
}

/// The class of a column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Whole,
    Number,
    Boolean,
}

impl<'a> Expected<'a> {
    fn new(fields: &'a Fields) -> Self {
        let class = |data_type: &DataType| match data_type {
            DataType::Boolean => Some(Class::Boolean),
            data_type if data_type.is_integer() => Some(Class::Whole),
            data_type if data_type.is_numeric() => Some(Class::Number),
            _ => None,
        };
        let fields = fields
            .iter()
            .filter_map(|field| Some((field.name().as_str(), class(field.data_type())?)));
        Self {
            fields: fields.collect(),
        }
    }

    /// Says if the text is one JSON object and nothing else, with values that fit.
    fn fits(&self, text: &[u8]) -> bool {
        if text.trim_ascii_start().first() != Some(&b'{') {
            return false;
        }
        let mut values = serde_json::Deserializer::from_slice(text);
        matches!(values.deserialize_map(self), Ok(true)) && values.end().is_ok()
    }
}

impl<'de> Visitor<'de> for &Expected<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fits = true;
        while let Some(class) = object.next_key_seed(Key(self))? {
            match class {
                Some(class) => fits &= object.next_value_seed(class)?,
                None => drop(object.next_value::<IgnoredAny>()?),
            }
        }
        Ok(fits)
    }
}

/// Looks a key up where it stands in the text.
struct Key<'a>(&'a Expected<'a>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<Class>;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<Option<Class>, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<Class>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Option<Class>, E> {
        Ok(self.0.fields.get(key).copied())
    }
}

impl<'de> DeserializeSeed<'de> for Class {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<bool, D::Error> {
        value.deserialize_any(self)
    }
}

/// Says if a value is of the class, or null.
impl<'de> Visitor<'de> for Class {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_bool<E>(self, _: bool) -> Result<bool, E> {
        Ok(self == Self::Boolean)
    }

    fn visit_i64<E>(self, _: i64) -> Result<bool, E> {
        Ok(self != Self::Boolean)
    }

    fn visit_u64<E>(self, _: u64) -> Result<bool, E> {
        Ok(self != Self::Boolean)
    }

    fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
        Ok(self == Self::Number)
    }

    fn visit_str<E>(self, _: &str) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{BinaryArray, Int32Array, StringArray};

    use super::*;

    fn decoded(texts: Vec<Option<&[u8]>>, schema: &str) -> StructArray {
        let texts: ArrayRef = Arc::new(BinaryArray::from(texts));
        decode(&texts, &nullable(&columns(schema).expect("schema"))).expect("decodes")
    }

    #[test]
    fn malformed_texts_are_kept_and_the_rest_is_read() {
        let texts: Vec<Option<&[u8]>> = vec![
            Some(br#"{"a": 1, "b": "x"}"#),
            Some(br#"{"a": 2"#),
            Some(br#"{"a": "two"}"#),
            Some(br"[1]"),
            Some(b""),
            Some(b"\xff{}"),
            Some(br#"{"a": 7} {"a": 8}"#),
            None,
            Some(br#"{"b": null, "c": 9}"#),
        ];
        let rows = decoded(texts, "a INT, b STRING, _corrupt_record STRING");
        let a = rows
            .column(0)
            .as_any()
            .downcast_ref::<Int32Array>()
            .expect("ints");
        assert_eq!(
            a,
            &Int32Array::from(vec![Some(1), None, None, None, None, None, None, None, None])
        );
        let corrupt = rows
            .column(2)
            .as_any()
            .downcast_ref::<StringArray>()
            .expect("texts");
        let kept: Vec<bool> = corrupt.iter().map(|text| text.is_some()).collect();
        assert_eq!(kept, [false, true, true, true, true, true, true, false, false]);
        assert!(rows.is_null(7) && rows.null_count() == 1);
    }

    #[test]
    fn a_wrong_type_among_many_costs_one_row() {
        let mut texts = vec![br#"{"a": 1}"#.to_vec(); 10_000];
        texts[5_000] = br#"{"a": "x"}"#.to_vec();
        let rows = decoded(texts.iter().map(|text| Some(text.as_slice())).collect(), "a INT");
        assert_eq!(rows.len(), 10_000);
        assert_eq!(rows.column(0).null_count(), 1);
        assert!(rows.column(0).is_null(5_000));
    }

    #[test]
    fn instants_and_nested_values_are_read() {
        let rows = decoded(
            vec![Some(br#"{"t": "2013-01-01T10:00:00Z", "s": {"x": [1, 2]}}"#)],
            "t TIMESTAMP, s STRUCT<x: ARRAY<INT>>",
        );
        assert_eq!(rows.column(0).null_count() + rows.column(1).null_count(), 0);
    }

    #[test]
    fn numbers_are_taken_as_they_are_written_or_not_at_all() {
        let texts: Vec<Option<&[u8]>> = vec![
            Some(br#"{"i": 1.5}"#),
            Some(br#"{"i": "5"}"#),
            Some(br#"{"i": 1e3}"#),
            Some(br#"{"i": true}"#),
            Some(br#"{"i": [1]}"#),
            Some(br#"{"i": 5000000000}"#),
            Some(br#"{"b": 1}"#),
            Some(br#"{"d": "1.5"}"#),
            Some(br#"{"i": 7, "d": 2, "b": null, "s": 1.50}"#),
            Some(br#"{"i": -7, "d": 2.5, "b": true, "s": false}"#),
        ];
        let rows = decoded(
            texts,
            "i INT, d DOUBLE, b BOOLEAN, s STRING, _corrupt_record STRING",
        );
        let corrupt = rows.column(4).as_string::<i32>();
        let kept: Vec<bool> = corrupt.iter().map(|text| text.is_some()).collect();
        assert_eq!(kept, [[true; 8].as_slice(), &[false; 2]].concat());
        let texts = rows.column(3).as_string::<i32>();
        assert_eq!((texts.value(8), texts.value(9)), ("1.50", "false"));
    }
}
