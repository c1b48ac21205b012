//! `vector_sum` and `vector_avg`: vectors of a group, item by item. Source: Spark, `VectorAggregateBase`.
//!
//! A null, and a vector with a null in it, is left out. Sums and averages are FLOAT all the way, as Spark's are.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float32Array};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use crate::functions::arguments::count;
use crate::functions::vector::{Vectors, mismatch, vector_argument};

pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    let made = [Way::Sum, Way::Average].map(|way| {
        Arc::new(AggregateUDF::from(OfVectors {
            way,
            signature: Signature::user_defined(Volatility::Immutable),
        }))
    });
    made.into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    Sum,
    Average,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Sum => "vector_sum",
            Self::Average => "vector_avg",
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OfVectors {
    way: Way,
    signature: Signature,
}

/// The type of what is gathered, and of the result.
fn gathered_type() -> DataType {
    DataType::new_list(DataType::Float32, true)
}

impl OfVectors {
    fn arguments(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        count(self.way.name(), types, 1, 1)?;
        let types = types.iter();
        types
            .map(|found| vector_argument(self.way.name(), 1, found))
            .collect()
    }
}

impl AggregateUDFImpl for OfVectors {
    fn name(&self) -> &str {
        self.way.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Leaves arguments that are refused as they are: DataFusion would make its own error of ours, so that `return_type`
    /// says it.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(self.arguments(types).unwrap_or_else(|_| types.to_vec()))
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.arguments(types)?;
        Ok(gathered_type())
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Gathered {
            way: self.way,
            items: Vec::new(),
            count: 0,
        }))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = |part: &str| format!("{}[{part}]", arguments.name);
        Ok(vec![
            Arc::new(Field::new(name("vector"), gathered_type(), true)),
            Arc::new(Field::new(name("count"), DataType::Int64, true)),
        ])
    }
}

/// The sum or the average of the vectors so far.
#[derive(Debug)]
struct Gathered {
    way: Way,
    /// None before the first vector.
    items: Vec<f32>,
    count: i64,
}

impl Gathered {
    /// Takes `count` more vectors, of which `items` are the sum or the average.
    ///
    /// # Errors
    /// `VECTOR_DIMENSION_MISMATCH`.
    fn take(&mut self, items: &[f32], count: i64, joined: impl Fn(f32, f32) -> f32) -> Result<()> {
        if self.count == 0 {
            self.items = items.to_vec();
        } else if self.items.len() != items.len() {
            return Err(mismatch(self.way.name(), self.items.len(), items.len()));
        } else {
            for (item, other) in self.items.iter_mut().zip(items) {
                *item = joined(*item, *other);
            }
        }
        self.count += count;
        Ok(())
    }

    /// Takes one vector.
    fn add(&mut self, items: &[f32]) -> Result<()> {
        match self.way {
            Way::Sum => self.take(items, 1, |sum, item| sum + item),
            Way::Average => {
                // Counts are FLOAT in averages, to the nearest.
                let share = 1.0 / (self.count + 1) as f32;
                self.take(items, 1, |average, item| average + (item - average) * share)
            }
        }
    }

    /// Takes what another has gathered.
    fn merge(&mut self, items: &[f32], count: i64) -> Result<()> {
        match self.way {
            Way::Sum => self.take(items, count, |sum, other| sum + other),
            Way::Average => {
                let all = (self.count + count) as f32;
                let (ours, theirs) = (self.count as f32 / all, count as f32 / all);
                self.take(items, count, |average, other| average * ours + other * theirs)
            }
        }
    }
}

impl Accumulator for Gathered {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(values) = values.first() else {
            return Ok(());
        };
        let vectors = Vectors::of(values)?;
        for row in 0..vectors.len() {
            if let Some(items) = vectors.at(row).and_then(|vector| vector.items()) {
                self.add(items)?;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.count == 0 {
            return ScalarValue::try_from(gathered_type());
        }
        let items: ArrayRef = Arc::new(Float32Array::from(self.items.clone()));
        Ok(SingleRowListArrayBuilder::new(items).build_list_scalar())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.items.capacity() * size_of::<f32>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?, ScalarValue::Int64(Some(self.count))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [vectors, counts] = states else {
            return Err(DataFusionError::Internal(
                "a vector and a count are needed".to_owned(),
            ));
        };
        let (vectors, counts) = (Vectors::of(vectors)?, counts.as_primitive::<Int64Type>());
        for row in 0..vectors.len() {
            if let Some(items) = vectors.at(row).and_then(|vector| vector.items()) {
                self.merge(items, counts.value(row))?;
            }
        }
        Ok(())
    }
}
