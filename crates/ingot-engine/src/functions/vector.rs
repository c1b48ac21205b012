//! Functions of vectors, which are arrays of FLOAT. Source: Spark SQL, "Vector functions".
//!
//! Nothing is converted to a vector unasked. A vector with a null in it has neither length nor product: the result is
//! null. Sums are of doubles, so that they hold what a FLOAT cannot, and are made FLOAT at the end.

mod norms;
mod pairs;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, ListArray};
use arrow::datatypes::{DataType, Float32Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ScalarUDF;

use super::arguments::unexpected;
use super::collection::{item_type, items_at, list_of};
use crate::error::condition;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    [pairs::functions(), norms::functions()].concat()
}

/// Returns the type of an argument that has to be a vector.
///
/// # Errors
/// `DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE`, for NULL without a type too. Source: Spark, `vectorExpressions.scala`.
pub(super) fn vector_argument(function: &str, place: usize, found: &DataType) -> Result<DataType> {
    match item_type(found) {
        Some(DataType::Float32) => Ok(list_of(DataType::Float32)),
        _ => Err(unexpected(function, place, "ARRAY<FLOAT>", found)),
    }
}

/// Says that two vectors have not as many items.
pub(super) fn mismatch(function: &str, left: usize, right: usize) -> DataFusionError {
    condition(
        "VECTOR_DIMENSION_MISMATCH",
        "22000",
        format!("the vectors of `{function}` have to be of one dimension, and have {left} and {right}"),
    )
}

/// A column of vectors.
pub(super) struct Vectors<'a> {
    lists: &'a ListArray,
    items: &'a Float32Array,
}

impl<'a> Vectors<'a> {
    /// Reads a column that was converted to vectors.
    ///
    /// # Errors
    /// `Internal` when it was not.
    pub fn of(column: &'a ArrayRef) -> Result<Self> {
        let lists = column.as_list_opt::<i32>();
        let items = lists.and_then(|lists| lists.values().as_primitive_opt::<Float32Type>());
        match (lists, items) {
            (Some(lists), Some(items)) => Ok(Self { lists, items }),
            _ => Err(DataFusionError::Internal(format!(
                "a vector is {}",
                column.data_type()
            ))),
        }
    }

    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// Returns the vector of a row; `None` for a null.
    pub fn at(&self, row: usize) -> Option<Vector<'a>> {
        let range = items_at(self.lists, row)?;
        let complete = match self.items.nulls() {
            Some(nulls) => range.clone().all(|item| nulls.is_valid(item)),
            None => true,
        };
        Some(Vector {
            items: self.items.values().get(range)?,
            complete,
        })
    }
}

/// A vector, in which items may be null.
pub(super) struct Vector<'a> {
    items: &'a [f32],
    complete: bool,
}

impl<'a> Vector<'a> {
    /// Returns the dimension, nulls among the items too.
    pub fn dimension(&self) -> usize {
        self.items.len()
    }

    /// Returns the items; `None` where one is null.
    pub fn items(&self) -> Option<&'a [f32]> {
        self.complete.then_some(self.items)
    }
}
