//! `vector_norm(v [, degree])` and `vector_normalize(v [, degree])`: the length of a vector, and the vector with the
//! length 1. Degrees are 1, 2 and infinity.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float32Array, ListArray, NullBufferBuilder};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Float32Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::{Vector, Vectors, vector_argument};
use crate::error::condition;
use crate::functions::arguments::{count, over_arrays, unexpected};
use crate::functions::collection::{immutable, list_of};
use crate::functions::function::Returns;
use crate::functions::rows::value_at;

const NORM: &str = "vector_norm";
const NORMALIZE: &str = "vector_normalize";

/// The degree that is left out: Euclid's.
const DEGREE: f32 = 2.0;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        immutable(
            NORM,
            |types| arguments(NORM, types),
            Returns::Always(DataType::Float32),
            norms,
        ),
        immutable(
            NORMALIZE,
            |types| arguments(NORMALIZE, types),
            Returns::Always(list_of(DataType::Float32)),
            normalized,
        ),
    ]
}

fn arguments(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, 1, 2)?;
    let mut wanted = Vec::with_capacity(types.len());
    for (place, found) in types.iter().enumerate() {
        wanted.push(match (place, found) {
            (0, vector) => vector_argument(function, 1, vector)?,
            (_, DataType::Float32) => DataType::Float32,
            (_, other) => return Err(unexpected(function, 2, "FLOAT", other)),
        });
    }
    Ok(wanted)
}

/// The vectors of a call, and the degree of each.
struct Call<'a> {
    vectors: Vectors<'a>,
    degrees: Option<&'a Float32Array>,
}

impl<'a> Call<'a> {
    fn of(arrays: &'a [ArrayRef]) -> Result<Self> {
        let vectors = arrays.first().map(Vectors::of).transpose()?;
        let degrees = match arrays.len() {
            0 | 1 => None,
            _ => Some(value_at::<Float32Type>(arrays, 1)?),
        };
        let missing = || DataFusionError::Internal("a vector is needed".to_owned());
        Ok(Self {
            vectors: vectors.ok_or_else(missing)?,
            degrees,
        })
    }

    /// Returns the vector and the degree of a row; `None` where one is null.
    fn at(&self, row: usize) -> Option<(Vector<'a>, f32)> {
        let degree = match self.degrees {
            None => DEGREE,
            Some(degrees) if degrees.is_null(row) => return None,
            Some(degrees) => degrees.value(row),
        };
        Some((self.vectors.at(row)?, degree))
    }
}

fn norms(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let call = Call::of(arrays)?;
        let norms: Float32Array = (0..call.vectors.len())
            .map(|row| {
                let Some((vector, degree)) = call.at(row) else {
                    return Ok(None);
                };
                let measure = measure(NORM, degree)?;
                // The nearest FLOAT.
                Ok(vector.items().map(|items| measure(items) as f32))
            })
            .collect::<Result<_>>()?;
        Ok(Arc::new(norms))
    })
}

fn normalized(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let call = Call::of(arrays)?;
        let rows = call.vectors.len();
        let (mut all, mut lengths) = (Vec::<f32>::new(), Vec::with_capacity(rows));
        let mut nulls = NullBufferBuilder::new(rows);
        for row in 0..rows {
            let before = all.len();
            let valid = match call.at(row) {
                Some((vector, degree)) => append_normalized(&vector, degree, &mut all)?,
                None => false,
            };
            nulls.append(valid);
            lengths.push(all.len() - before);
        }
        let field = Arc::new(Field::new("element", DataType::Float32, true));
        let items: ArrayRef = Arc::new(Float32Array::from(all));
        let lists = ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), items, nulls.finish())?;
        Ok(Arc::new(lists))
    })
}

/// Adds the items of a vector of length 1; says if there is one. An empty vector stays as it is.
fn append_normalized(vector: &Vector<'_>, degree: f32, into: &mut Vec<f32>) -> Result<bool> {
    let measure = measure(NORMALIZE, degree)?;
    let Some(items) = vector.items() else {
        return Ok(false);
    };
    // A length that a FLOAT does not hold divides too.
    let norm = measure(items);
    if norm == 0.0 && !items.is_empty() {
        return Ok(false);
    }
    into.extend(items.iter().map(|item| (f64::from(*item) / norm) as f32));
    Ok(true)
}

/// Returns how vectors are measured. Source: Spark, `VectorFunctionImplUtils`.
///
/// # Errors
/// `INVALID_VECTOR_NORM_DEGREE`.
fn measure(function: &str, degree: f32) -> Result<fn(&[f32]) -> f64> {
    match degree {
        1.0 => Ok(|items| absolute(items).fold(0.0, |sum, item| sum + item)),
        2.0 => Ok(|items| absolute(items).fold(0.0, |sum, item| sum + item * item).sqrt()),
        f32::INFINITY => Ok(|items| absolute(items).fold(0.0, larger)),
        _ => Err(condition(
            "INVALID_VECTOR_NORM_DEGREE",
            "22023",
            format!("the degree of `{function}` is 1.0, 2.0 or float('inf'), and not {degree}"),
        )),
    }
}

fn absolute(items: &[f32]) -> impl Iterator<Item = f64> {
    items.iter().map(|item| f64::from(*item).abs())
}

/// What is no number is larger than all numbers.
fn larger(most: f64, item: f64) -> f64 {
    match item.is_nan() || item > most {
        true => item,
        false => most,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_is_what_is_no_number() {
        let norm = measure(NORM, f32::INFINITY).expect("a degree");
        assert!(norm(&[1.0, f32::NAN, 2.0]).is_nan());
        assert_eq!(norm(&[1.0, -3.0, 2.0]), 3.0);
    }

    #[test]
    fn other_degrees_are_refused() {
        for degree in [0.0, 3.0, -1.0, f32::NAN, f32::NEG_INFINITY] {
            assert!(measure(NORM, degree).is_err(), "{degree}");
        }
    }
}
