//! Statistics that a checkpoint holds as columns, as the JSON that `add` actions have.
//!
//! Source: Delta protocol, "Checkpoint Schema" (`stats_parsed`), "Per-file Statistics".

use std::sync::Arc;

use arrow::array::{Array, AsArray, Decimal128Array, RecordBatch, StructArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Decimal128Type, FieldRef, Schema};
use arrow::error::ArrowError;
use arrow::json::writer::{
    Encoder, EncoderFactory, EncoderOptions, LineDelimited, NullableEncoder, WriterBuilder,
};

/// Writes the given rows of `stats_parsed`, none of which is null, as JSON; in the order of `rows`.
pub(super) fn to_json(parsed: &StructArray, rows: Vec<u32>) -> Result<Vec<String>, ArrowError> {
    let count = rows.len();
    let taken = take(parsed, &UInt32Array::from(rows), None)?;
    let taken = taken.as_struct();
    let schema = Arc::new(Schema::new(taken.fields().clone()));
    let batch = RecordBatch::try_new(schema, taken.columns().to_vec())?;
    let mut json = Vec::new();
    let mut writer = WriterBuilder::new()
        .with_encoder_factory(Arc::new(DecimalsAsNumbers))
        .build::<_, LineDelimited>(&mut json);
    writer.write(&batch)?;
    writer.finish()?;
    drop(writer);
    let text = String::from_utf8(json).map_err(|error| ArrowError::ExternalError(Box::new(error)))?;
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    match lines.len() == count {
        true => Ok(lines),
        false => Err(ArrowError::JsonError(format!(
            "{count} rows became {} lines",
            lines.len()
        ))),
    }
}

/// Decimals stand in statistics as numbers with all their digits; Arrow would write texts.
#[derive(Debug)]
struct DecimalsAsNumbers;

struct DecimalEncoder<'a>(&'a Decimal128Array);

impl Encoder for DecimalEncoder<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.value_as_string(row).as_bytes());
    }
}

impl EncoderFactory for DecimalsAsNumbers {
    fn make_default_encoder<'a>(
        &self,
        _field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let DataType::Decimal128(_, _) = array.data_type() else {
            return Ok(None);
        };
        let decimals = array.as_primitive::<Decimal128Type>();
        let encoder = Box::new(DecimalEncoder(decimals));
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, TimestampMicrosecondArray};
    use arrow::buffer::NullBuffer;
    use arrow::datatypes::Field;
    use serde_json::{Value, json};

    use super::*;

    fn record(members: Vec<(&str, ArrayRef)>, nulls: Option<Vec<bool>>) -> ArrayRef {
        let fields: Vec<Field> = members
            .iter()
            .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
            .collect();
        let arrays = members.into_iter().map(|(_, array)| array).collect();
        Arc::new(StructArray::new(
            fields.into(),
            arrays,
            nulls.map(NullBuffer::from),
        ))
    }

    #[test]
    fn rows_become_the_json_of_their_actions() {
        let records: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(3), Some(4)]));
        let price = Decimal128Array::from(vec![1, 12_345_678_901_234_567_890, 2]);
        let price = price.with_precision_and_scale(20, 2).expect("decimal");
        let at = TimestampMicrosecondArray::from(vec![Some(0), Some(1_500_000), None]).with_timezone("UTC");
        let minima = record(
            vec![("price", Arc::new(price)), ("at", Arc::new(at))],
            Some(vec![true, true, false]),
        );
        let parsed = record(
            vec![("numRecords", records), ("minValues", minima)],
            Some(vec![false, true, true]),
        );
        let lines = to_json(parsed.as_struct(), vec![1, 2]).expect("json");
        assert!(
            lines[0].contains("\"price\":123456789012345678.90"),
            "{}",
            lines[0]
        );
        let first: Value = serde_json::from_str(&lines[0]).expect("json");
        assert_eq!(first["numRecords"], 3);
        assert_eq!(first["minValues"]["at"], "1970-01-01T00:00:01.500Z");
        let second: Value = serde_json::from_str(&lines[1]).expect("json");
        assert_eq!(second, json!({"numRecords": 4}));
    }
}
