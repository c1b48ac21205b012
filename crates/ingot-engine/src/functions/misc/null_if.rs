//! `nullif(a, b)`: NULL where both are equal, else `a` as it is. Source: Spark, `NullIf`.
//!
//! The values are compared as their common type, and `a` keeps its own.

use arrow::array::{Array, ArrayRef, BooleanArray, make_comparator};
use arrow::compute::kernels::cmp;
use arrow::compute::{SortOptions, nullif};
use arrow::datatypes::DataType;
use datafusion::error::Result;

use crate::functions::arguments::{count, over_arrays};
use crate::functions::common_type::common_type;
use crate::functions::function::{Function, Returns};
use crate::spark::cast_to;

const NAME: &str = "nullif";

pub(super) fn function() -> Function {
    Function::pure(
        NAME,
        |types| {
            count(NAME, types, 2, 2)?;
            common_type(NAME, types)?;
            Ok(types.to_vec())
        },
        Returns::Of(|types| Ok(types.first().cloned().unwrap_or(DataType::Null))),
        |arguments| {
            over_arrays(arguments, |arrays| {
                let common = common_type(NAME, arrays.iter().map(|array| array.data_type()))?;
                let left = cast_to(&arrays[0], &common, &arguments.config_options)?;
                let right = cast_to(&arrays[1], &common, &arguments.config_options)?;
                Ok(nullif(&arrays[0], &equal(&left, &right)?)?)
            })
        },
    )
}

/// Says where two arrays of one type have equal values; a null equals nothing.
fn equal(left: &ArrayRef, right: &ArrayRef) -> Result<BooleanArray> {
    if left.data_type().is_null() {
        return Ok(BooleanArray::from(vec![false; left.len()]));
    }
    if !left.data_type().is_nested() {
        return Ok(cmp::eq(left, right)?);
    }
    let compare = make_comparator(left, right, SortOptions::default())?;
    let equal = |row: usize| left.is_valid(row) && right.is_valid(row) && compare(row, row).is_eq();
    Ok((0..left.len()).map(|row| Some(equal(row))).collect())
}
