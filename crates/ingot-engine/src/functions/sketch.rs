//! Functions over sketches: small binaries that stand for a group's values, and that are joined without the values.
//!
//! ```text
//! values ──*_agg──▶ sketch ──union, merge, …──▶ sketch ──estimate, quantile, …──▶ numbers
//! ```
//! The binaries are those of Apache DataSketches, which Spark writes: each side reads the other's. What is read is
//! checked before it is used, so that a binary that is no sketch gives a condition of Spark's. Tuple sketches are not
//! here. Source: Spark, `datasketchesAggregates`, `thetasketchesAggregates`, `kllAggregates`, `ApproxTopKAggregates`.

mod aggregate;
mod hll;
mod item;
mod items;
mod kll;
mod kll_text;
mod theta;
mod top_k;
mod top_k_state;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, Int64Array};
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

use super::arguments::{count, is_text, unexpected};
use crate::error::condition;
use crate::write::type_text;

/// Returns the functions of sketches.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let mut functions = hll::functions();
    functions.extend(top_k::functions());
    functions.extend(theta::functions());
    functions.extend(kll::functions());
    functions
}

/// Returns the functions that make a sketch of a group.
pub(super) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    let mut aggregates = hll::aggregates();
    aggregates.extend(top_k::aggregates());
    aggregates.extend(theta::aggregates());
    aggregates.extend(kll::aggregates());
    aggregates
}

/// Takes arguments that have one of the types at their place, of which the first `least` are needed; only a NULL is
/// converted.
///
/// # Errors
/// `WRONG_NUM_ARGS`, `DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE`.
///
/// Source: Spark, `ExpectsInputTypes`.
fn expected(
    function: &str,
    types: &[DataType],
    least: usize,
    wanted: &[&[DataType]],
) -> Result<Vec<DataType>> {
    count(function, types, least, wanted.len())?;
    let places = types.iter().zip(wanted).enumerate();
    places
        .map(|(place, (found, wanted))| match plain(found) {
            DataType::Null => Ok(wanted.first().cloned().unwrap_or(DataType::Null)),
            kind if wanted.contains(&kind) => Ok(kind),
            _ => {
                let names: Vec<String> = wanted.iter().map(|kind| type_text(kind).to_uppercase()).collect();
                Err(unexpected(function, place + 1, &names.join(" or "), found))
            }
        })
        .collect()
}

/// Returns the one form that the functions read texts and binaries in.
fn plain(data_type: &DataType) -> DataType {
    match data_type {
        text if is_text(text) => DataType::Utf8,
        binary if binary.is_binary() => DataType::Binary,
        other => other.clone(),
    }
}

/// Refuses a call for a reason of its own.
fn mismatch(function: &str, reason: &str) -> DataFusionError {
    condition(
        "DATATYPE_MISMATCH.TYPE_CHECK_FAILURE_WITH_HINT",
        "42K09",
        format!("`{function}`: {reason}"),
    )
}

/// Computes a number of each sketch.
fn numbers(sketches: &ArrayRef, number: impl Fn(&[u8]) -> Result<i64>) -> Result<ArrayRef> {
    let sketches = sketches.as_binary::<i32>().iter();
    let numbers = sketches.map(|sketch| sketch.map(&number).transpose());
    Ok(Arc::new(numbers.collect::<Result<Int64Array>>()?))
}

/// Computes a sketch of each two.
fn joined(
    left: &ArrayRef,
    right: &ArrayRef,
    mut join: impl FnMut(usize, &[u8], &[u8]) -> Result<Option<Vec<u8>>>,
) -> Result<ArrayRef> {
    let pairs = left.as_binary::<i32>().iter().zip(right.as_binary::<i32>());
    let sketches = pairs.enumerate().map(|(row, pair)| match pair {
        (Some(left), Some(right)) => join(row, left, right),
        _ => Ok(None),
    });
    let sketches: Vec<Option<Vec<u8>>> = sketches.collect::<Result<_>>()?;
    Ok(Arc::new(BinaryArray::from_iter(sketches)))
}

/// Rounds an estimate, halves up. Source: Java, `Math.round`.
fn rounded(estimate: f64) -> i64 {
    // What is out of range becomes the nearest number of the range, and no number becomes 0, as in Java.
    (estimate + 0.5).floor() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls `read` with every binary that is cut short, or has a bit flipped.
    pub(super) fn garbled(bytes: &[u8], mut read: impl FnMut(&[u8])) {
        for length in 0..bytes.len() {
            read(&bytes[..length]);
        }
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut bytes = bytes.to_vec();
                bytes[place] ^= 1 << bit;
                read(&bytes);
            }
            for value in [0, 0x7f, 0xff] {
                let mut bytes = bytes.to_vec();
                bytes[place] = value;
                read(&bytes);
            }
        }
    }

    #[test]
    fn estimates_are_rounded_as_in_java() {
        let rounds = [0.4, 0.5, 2.5, -0.5, -0.6, f64::NAN, f64::INFINITY].map(rounded);
        assert_eq!(rounds, [0, 1, 3, 0, -1, 0, i64::MAX]);
    }
}
