//! `vector_cosine_similarity(a, b)`, `vector_inner_product(a, b)` and `vector_l2_distance(a, b)`.

use std::sync::Arc;

use arrow::array::Float32Array;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::{Vectors, mismatch, vector_argument};
use crate::functions::arguments::{count, over_arrays};
use crate::functions::collection::{immutable, sized};
use crate::functions::function::Returns;

const COSINE: Measure = Measure {
    name: "vector_cosine_similarity",
    of: cosine,
};
const INNER: Measure = Measure {
    name: "vector_inner_product",
    of: |left, right| Some(product(left, right)),
};
const DISTANCE: Measure = Measure {
    name: "vector_l2_distance",
    of: |left, right| Some(distance(left, right)),
};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        immutable(
            COSINE.name,
            |types| COSINE.arguments(types),
            Returns::Always(DataType::Float32),
            |arguments| COSINE.compute(arguments),
        ),
        immutable(
            INNER.name,
            |types| INNER.arguments(types),
            Returns::Always(DataType::Float32),
            |arguments| INNER.compute(arguments),
        ),
        immutable(
            DISTANCE.name,
            |types| DISTANCE.arguments(types),
            Returns::Always(DataType::Float32),
            |arguments| DISTANCE.compute(arguments),
        ),
    ]
}

/// What two vectors of one dimension are to each other.
struct Measure {
    name: &'static str,
    /// Gives none where it has no meaning.
    of: fn(&[f32], &[f32]) -> Option<f64>,
}

impl Measure {
    fn arguments(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        count(self.name, types, 2, 2)?;
        let places = types.iter().enumerate();
        places
            .map(|(place, found)| vector_argument(self.name, place + 1, found))
            .collect()
    }

    fn compute(&self, arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_arrays(arguments, |arrays| {
            let [left, right] = sized(arrays)?;
            let (left, right) = (Vectors::of(left)?, Vectors::of(right)?);
            let measures: Float32Array = (0..left.len())
                .map(|row| self.row(&left, &right, row))
                .collect::<Result<_>>()?;
            Ok(Arc::new(measures))
        })
    }

    /// Compares dimensions before it looks for nulls in the vectors, as Spark does.
    fn row(&self, left: &Vectors<'_>, right: &Vectors<'_>, row: usize) -> Result<Option<f32>> {
        let (Some(left), Some(right)) = (left.at(row), right.at(row)) else {
            return Ok(None);
        };
        if left.dimension() != right.dimension() {
            return Err(mismatch(self.name, left.dimension(), right.dimension()));
        }
        let (Some(left), Some(right)) = (left.items(), right.items()) else {
            return Ok(None);
        };
        // The nearest FLOAT.
        Ok((self.of)(left, right).map(|measure| measure as f32))
    }
}

/// There is no angle to a vector without length, as an empty one is.
fn cosine(left: &[f32], right: &[f32]) -> Option<f64> {
    let lengths = (product(left, left) * product(right, right)).sqrt();
    (lengths != 0.0).then(|| product(left, right) / lengths)
}

fn distance(left: &[f32], right: &[f32]) -> f64 {
    let differences = left
        .iter()
        .zip(right)
        .map(|(left, right)| f64::from(*left) - f64::from(*right));
    let squares = differences.map(|difference| difference * difference);
    squares.fold(0.0, |sum, square| sum + square).sqrt()
}

fn product(left: &[f32], right: &[f32]) -> f64 {
    let products = left
        .iter()
        .zip(right)
        .map(|(left, right)| f64::from(*left) * f64::from(*right));
    // What `sum` makes of nothing is a negative zero.
    products.fold(0.0, |sum, product| sum + product)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_hold_what_a_float_does_not() {
        let (long, short) = ([3e30_f32, 4e30], [3e-30_f32, 4e-30]);
        assert_eq!(cosine(&long, &long), Some(1.0));
        assert_eq!(cosine(&short, &short), Some(1.0));
        assert_eq!(distance(&long, &[0.0, 0.0]) as f32, 5e30);
    }

    #[test]
    fn nothing_is_a_positive_zero() {
        assert!(product(&[], &[]).is_sign_positive());
        assert!(distance(&[], &[]).is_sign_positive());
        assert_eq!(cosine(&[], &[]), None);
        assert_eq!(cosine(&[0.0], &[1.0]), None);
    }

    #[test]
    fn what_is_no_number_stays_none() {
        assert!(cosine(&[f32::NAN], &[1.0]).expect("a value").is_nan());
        assert!(cosine(&[f32::INFINITY], &[1.0]).expect("a value").is_nan());
    }
}
