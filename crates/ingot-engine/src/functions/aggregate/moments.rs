//! `skewness` and `kurtosis`: moments about the mean, in one pass and merged. Source: Spark, `CentralMomentAgg`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    let made =
        [Shape::Skewness, Shape::Kurtosis].map(|shape| Arc::new(AggregateUDF::from(Moment::new(shape))));
    made.into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Shape {
    Skewness,
    Kurtosis,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Moment {
    shape: Shape,
    signature: Signature,
}

impl Moment {
    fn new(shape: Shape) -> Self {
        Self {
            shape,
            signature: Signature::exact(vec![DataType::Float64], Volatility::Immutable),
        }
    }
}

impl AggregateUDFImpl for Moment {
    fn name(&self) -> &str {
        match self.shape {
            Shape::Skewness => "skewness",
            Shape::Kurtosis => "kurtosis",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Moments {
            shape: self.shape,
            sums: Sums::default(),
        }))
    }

    fn state_fields(&self, _: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let names = ["count", "mean", "m2", "m3", "m4"];
        let fields = names.map(|name| {
            Arc::new(Field::new(
                format!("{}[{name}]", self.name()),
                DataType::Float64,
                false,
            ))
        });
        Ok(fields.into())
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    count: f64,
    mean: f64,
    m2: f64,
    m3: f64,
    m4: f64,
}

impl Sums {
    /// Joins the moments of two sets of values.
    fn joined(self, other: Self) -> Self {
        if other.count == 0.0 {
            return self;
        }
        if self.count == 0.0 {
            return other;
        }
        let count = self.count + other.count;
        let delta = other.mean - self.mean;
        let part = delta / count;
        let (n1, n2) = (self.count, other.count);
        Self {
            count,
            mean: self.mean + part * n2,
            m2: self.m2 + other.m2 + delta * part * n1 * n2,
            m3: self.m3
                + other.m3
                + part * part * delta * n1 * n2 * (n1 - n2)
                + 3.0 * part * (n1 * other.m2 - n2 * self.m2),
            m4: self.m4
                + other.m4
                + part * part * part * delta * n1 * n2 * (n1 * n1 - n1 * n2 + n2 * n2)
                + 6.0 * part * part * (n1 * n1 * other.m2 + n2 * n2 * self.m2)
                + 4.0 * part * (n1 * other.m3 - n2 * self.m3),
        }
    }
}

#[derive(Debug)]
struct Moments {
    shape: Shape,
    sums: Sums,
}

impl Accumulator for Moments {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(values) = values.first() else {
            return Ok(());
        };
        for value in values.as_primitive::<Float64Type>().iter().flatten() {
            let one = Sums {
                count: 1.0,
                mean: value,
                ..Sums::default()
            };
            self.sums = self.sums.joined(one);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let Sums {
            count, m2, m3, m4, ..
        } = self.sums;
        let moment = match self.shape {
            _ if count == 0.0 => None,
            _ if m2 == 0.0 => None,
            Shape::Skewness => Some(count.sqrt() * m3 / (m2 * m2 * m2).sqrt()),
            Shape::Kurtosis => Some(count * m4 / (m2 * m2) - 3.0),
        };
        Ok(ScalarValue::Float64(moment))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let Sums {
            count,
            mean,
            m2,
            m3,
            m4,
        } = self.sums;
        Ok([count, mean, m2, m3, m4]
            .map(|sum| ScalarValue::Float64(Some(sum)))
            .into())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let columns: Vec<_> = states
            .iter()
            .map(|state| state.as_primitive::<Float64Type>())
            .collect();
        let [count, mean, m2, m3, m4] = columns.as_slice() else {
            return Err(DataFusionError::Internal("moments have five sums".to_owned()));
        };
        for row in 0..count.len() {
            self.sums = self.sums.joined(Sums {
                count: count.value(row),
                mean: mean.value(row),
                m2: m2.value(row),
                m3: m3.value(row),
                m4: m4.value(row),
            });
        }
        Ok(())
    }
}
