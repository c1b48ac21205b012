//! `histogram_numeric`: bins where the values are, the closest two joined when there are too many.
//!
//! Source: Spark, `HistogramNumeric`, `NumericHistogram` (Ben-Haim and Tom-Tov, "A Streaming Parallel Decision Tree
//! Algorithm").

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use super::collected::{Collected, state_field};
use crate::functions::arguments::{count, unexpected};

/// What Spark's generator of numbers begins with, which decides between bins that are equally close.
const SEED: u64 = 31183;

pub(super) fn function() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::from(HistogramNumeric {
        signature: Signature::user_defined(Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct HistogramNumeric {
    signature: Signature,
}

fn bin_fields(values: &DataType) -> Fields {
    Fields::from(vec![
        Field::new("x", values.clone(), true),
        Field::new("y", DataType::Float64, true),
    ])
}

impl AggregateUDFImpl for HistogramNumeric {
    fn name(&self) -> &str {
        "histogram_numeric"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        count(self.name(), types, 2, 2)?;
        match types {
            [values, _] if values.is_numeric() => Ok(vec![values.clone(), DataType::Int64]),
            [other, ..] => Err(unexpected(self.name(), 1, "a number", other)),
            [] => Ok(Vec::new()),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let values = types.first().cloned().unwrap_or(DataType::Float64);
        Ok(DataType::new_list(DataType::Struct(bin_fields(&values)), true))
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let values = arguments
            .expr_fields
            .first()
            .map(|field| field.data_type().clone());
        let values = values.unwrap_or(DataType::Float64);
        Ok(Box::new(Histogram {
            values: Collected::new(values.clone()),
            data_type: values,
            bins: None,
        }))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let values = arguments
            .input_fields
            .first()
            .map(|field| field.data_type().clone());
        Ok(vec![
            state_field(arguments.name, &values.unwrap_or(DataType::Float64)),
            Arc::new(Field::new(
                format!("{}[bins]", arguments.name),
                DataType::Int64,
                true,
            )),
        ])
    }
}

#[derive(Debug)]
struct Histogram {
    values: Collected,
    data_type: DataType,
    /// At most so many.
    bins: Option<usize>,
}

impl Histogram {
    fn learn(&mut self, bins: &ArrayRef) {
        let bins = bins.as_primitive::<Int64Type>().iter().flatten().next();
        self.bins = self.bins.or(bins.and_then(|bins| usize::try_from(bins).ok()));
    }
}

impl Accumulator for Histogram {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [values, bins] = values else {
            return Err(DataFusionError::Internal(
                "values and a count of bins are needed".to_owned(),
            ));
        };
        self.learn(bins);
        self.values.add(values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let fields = bin_fields(&self.data_type);
        let values = cast(&self.values.values()?, &DataType::Float64)?;
        let Some(most) = self.bins.filter(|_| !values.is_empty()) else {
            return ScalarValue::try_from(DataType::new_list(DataType::Struct(fields), true));
        };
        let mut bins = Bins::new(most.max(2));
        for value in values.as_primitive::<Float64Type>().values() {
            bins.add(*value);
        }
        let centers: ArrayRef = Arc::new(bins.bins.iter().map(|bin| bin.center).collect::<Float64Array>());
        let heights: ArrayRef = Arc::new(bins.bins.iter().map(|bin| bin.height).collect::<Float64Array>());
        let rows = StructArray::try_new(fields, vec![cast(&centers, &self.data_type)?, heights], None)?;
        Ok(SingleRowListArrayBuilder::new(Arc::new(rows)).build_list_scalar())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut state = self.values.state()?;
        let bins = self.bins.and_then(|bins| i64::try_from(bins).ok());
        state.push(ScalarValue::Int64(bins));
        Ok(state)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        if let Some(bins) = states.get(1) {
            self.learn(bins);
        }
        self.values.merge(states)
    }
}

#[derive(Debug, Clone, Copy)]
struct Bin {
    center: f64,
    height: f64,
}

struct Bins {
    most: usize,
    /// In order of their centers.
    bins: Vec<Bin>,
    random: JavaRandom,
}

impl Bins {
    fn new(most: usize) -> Self {
        Self {
            most,
            bins: Vec::new(),
            random: JavaRandom::new(SEED),
        }
    }

    fn add(&mut self, value: f64) {
        let place = self.bins.partition_point(|bin| bin.center < value);
        match self.bins.get_mut(place) {
            Some(bin) if bin.center == value => bin.height += 1.0,
            _ => {
                let bin = Bin {
                    center: value,
                    height: 1.0,
                };
                self.bins.insert(place, bin);
                while self.bins.len() > self.most {
                    self.join_closest();
                }
            }
        }
    }

    fn join_closest(&mut self) {
        let gaps: Vec<f64> = self
            .bins
            .windows(2)
            .map(|pair| pair[1].center - pair[0].center)
            .collect();
        let Some((first, rest)) = gaps.split_first() else {
            return;
        };
        let (mut smallest, mut place, mut equal) = (*first, 0, 1.0);
        for (at, gap) in rest.iter().enumerate() {
            if *gap < smallest {
                (smallest, place, equal) = (*gap, at + 1, 1.0);
            } else if *gap == smallest {
                equal += 1.0;
                if self.random.next_double() <= 1.0 / equal {
                    place = at + 1;
                }
            }
        }
        let right = self.bins.remove(place + 1);
        if let Some(left) = self.bins.get_mut(place) {
            let height = left.height + right.height;
            left.center = left.center * (left.height / height) + right.center / height * right.height;
            left.height = height;
        }
    }
}

/// Java's linear congruential generator. Source: Java, `java.util.Random`.
struct JavaRandom(u64);

impl JavaRandom {
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;

    fn new(seed: u64) -> Self {
        Self((seed ^ Self::MULTIPLIER) & Self::MASK)
    }

    fn next(&mut self, bits: u32) -> u64 {
        self.0 = self.0.wrapping_mul(Self::MULTIPLIER).wrapping_add(0xB) & Self::MASK;
        self.0 >> (48 - bits)
    }

    /// Returns the next number from 0 to 1, without 1.
    fn next_double(&mut self) -> f64 {
        let bits = (self.next(26) << 27) + self.next(27);
        bits as f64 / (1_u64 << 53) as f64
    }
}
