//! `bitmap_or_agg` and `bitmap_and_agg`: the bitmaps of a group in one.
//!
//! A bitmap of fewer bytes has no positions in those that it lacks, and what a longer one has after them is left out.
//! Without a bitmap all positions are unset, or set for `bitmap_and_agg`. Source: Spark, `BitmapOrAgg`, `BitmapAndAgg`,
//! `BitmapExpressionUtils`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use super::positions::BITMAP_BYTES;
use crate::functions::arguments::{count, unexpected};

pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    let made = [Operation::Or, Operation::And]
        .map(|operation| Arc::new(AggregateUDF::from(BitmapMerge::new(operation))));
    made.into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    Or,
    And,
}

impl Operation {
    /// Returns the bitmap that changes no other.
    fn neutral(self) -> Vec<u8> {
        match self {
            Self::Or => vec![0; BITMAP_BYTES],
            Self::And => vec![u8::MAX; BITMAP_BYTES],
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct BitmapMerge {
    operation: Operation,
    signature: Signature,
}

impl BitmapMerge {
    fn new(operation: Operation) -> Self {
        Self {
            operation,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }

    /// Takes BINARY and nothing else, not even NULL without a type.
    fn converted(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        count(self.name(), types, 1, 1)?;
        match types {
            [other, ..] if !other.is_binary() => Err(unexpected(self.name(), 1, "BINARY", other)),
            _ => Ok(vec![DataType::Binary]),
        }
    }
}

impl AggregateUDFImpl for BitmapMerge {
    fn name(&self) -> &str {
        match self.operation {
            Operation::Or => "bitmap_or_agg",
            Operation::And => "bitmap_and_agg",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Leaves an argument that is refused as it is: DataFusion would make its own error of ours, so that `return_type`
    /// says it.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(self.converted(types).unwrap_or_else(|_| types.to_vec()))
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.converted(types)?;
        Ok(DataType::Binary)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn default_value(&self, _: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::Binary(Some(self.operation.neutral())))
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Merged {
            operation: self.operation,
            bitmap: self.operation.neutral(),
        }))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = format!("{}[bitmap]", arguments.name);
        Ok(vec![Arc::new(Field::new(name, DataType::Binary, true))])
    }
}

#[derive(Debug)]
struct Merged {
    operation: Operation,
    bitmap: Vec<u8>,
}

impl Merged {
    fn merge(&mut self, other: &[u8]) {
        for (place, byte) in self.bitmap.iter_mut().enumerate() {
            let other = other.get(place).copied().unwrap_or(0);
            match self.operation {
                Operation::Or => *byte |= other,
                Operation::And => *byte &= other,
            }
        }
    }
}

impl Accumulator for Merged {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(bitmaps) = values.first() else {
            return Ok(());
        };
        for bitmap in bitmaps.as_binary::<i32>().iter().flatten() {
            self.merge(bitmap);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Binary(Some(self.bitmap.clone())))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.bitmap.capacity()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}
