//! `bitmap_construct_agg`: a bitmap of the positions in a group. Source: Databricks, "bitmap_construct_agg function".

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use crate::error::condition;

/// Bytes of a bitmap: 32,768 positions.
pub(super) const BITMAP_BYTES: usize = 4096;

pub(super) fn function() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::from(Construct {
        signature: Signature::exact(vec![DataType::Int64], Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Construct {
    signature: Signature,
}

impl AggregateUDFImpl for Construct {
    fn name(&self) -> &str {
        "bitmap_construct_agg"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Bitmap(vec![0; BITMAP_BYTES])))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = format!("{}[bitmap]", arguments.name);
        Ok(vec![Arc::new(Field::new(name, DataType::Binary, true))])
    }
}

#[derive(Debug)]
struct Bitmap(Vec<u8>);

impl Accumulator for Bitmap {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(values) = values.first() else {
            return Ok(());
        };
        for position in values.as_primitive::<Int64Type>().iter().flatten() {
            let byte = usize::try_from(position / 8).ok().filter(|_| position >= 0);
            let Some(byte) = byte.and_then(|byte| self.0.get_mut(byte)) else {
                return Err(condition(
                    "INVALID_BITMAP_POSITION",
                    "22003",
                    format!(
                        "{position} is no position in a bitmap of {} bits",
                        8 * BITMAP_BYTES
                    ),
                ));
            };
            *byte |= 1 << (position % 8);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Binary(Some(self.0.clone())))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.0.capacity()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(bitmaps) = states.first() else {
            return Ok(());
        };
        for bitmap in bitmaps.as_binary::<i32>().iter().flatten() {
            for (byte, other) in self.0.iter_mut().zip(bitmap) {
                *byte |= other;
            }
        }
        Ok(())
    }
}
