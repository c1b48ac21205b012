//! `aggregate(a, start, (result, x) -> … [, result -> …])`, also called `reduce`.
//!
//! The items of all rows that have one at a place are merged at once, place by place. The result keeps the type of its
//! start.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Scalar, UInt32Array, new_null_array};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{interleave, take};
use arrow::datatypes::DataType;
use datafusion::error::Result;

use super::higher_order::{Call, HigherOrder};
use crate::functions::arguments::{count, unexpected};
use crate::functions::collection::{item_type, items, items_at, list_of};
use crate::spark::coercion;
use crate::write::type_text;

const NAME: &str = "aggregate";

pub(super) fn functions() -> Vec<HigherOrder> {
    vec![HigherOrder {
        name: NAME,
        aliases: &["reduce"],
        lambdas: 1..=2,
        values: |types| {
            count(NAME, types, 2, 2)?;
            Ok(vec![list_of(items(NAME, 1, &types[0])?), types[1].clone()])
        },
        parameters: |values| {
            let item = values.first().and_then(item_type).unwrap_or(DataType::Null);
            let result = values.get(1).cloned().unwrap_or(DataType::Null);
            vec![vec![result.clone(), item], vec![result]]
        },
        returns,
        invoke: aggregate,
    }]
}

fn returns(values: &[DataType], lambdas: &[DataType]) -> Result<DataType> {
    let start = values.get(1).cloned().unwrap_or(DataType::Null);
    match lambdas.first() {
        Some(merged) if coercion::common_type(merged, &start).as_ref() != Some(&start) => {
            let wanted = format!("of the type of the start, {}", type_text(&start).to_uppercase());
            Err(unexpected(NAME, 3, &wanted, merged))
        }
        _ => Ok(lambdas.get(1).cloned().unwrap_or(start)),
    }
}

fn aggregate(call: &Call<'_>) -> Result<ArrayRef> {
    let (list, start) = (call.values[0].as_list::<i32>(), &call.values[1]);
    let mut result = Arc::clone(start);
    let index = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
    let longest = (0..list.len())
        .filter_map(|row| items_at(list, row))
        .map(|items| items.len());
    for place in 0..longest.max().unwrap_or(0) {
        let (mut rows, mut items) = (Vec::new(), Vec::new());
        for row in 0..list.len() {
            if let Some(item) = items_at(list, row).and_then(|items| items.into_iter().nth(place)) {
                rows.push(index(row));
                items.push(index(item));
            }
        }
        let (rows, items) = (UInt32Array::from(rows), UInt32Array::from(items));
        let parameters = [take(&result, &rows, None)?, take(list.values(), &items, None)?];
        let merged = call.evaluate(0, &parameters, &rows)?;
        let merged = match merged.data_type() == result.data_type() {
            true => merged,
            false => arrow::compute::cast(&merged, result.data_type())?,
        };
        result = replaced(&result, &rows, &merged)?;
    }
    if call.has_lambda(1) {
        let rows: UInt32Array = (0..list.len()).map(index).collect::<Vec<u32>>().into();
        result = call.evaluate(1, &[result], &rows)?;
    }
    // A null array gives null.
    match list.null_count() {
        0 => Ok(result),
        _ => {
            let null = Scalar::new(new_null_array(result.data_type(), 1));
            Ok(zip(&arrow::compute::is_not_null(list)?, &result, &null)?)
        }
    }
}

/// Puts new values in the place of those of some rows.
fn replaced(values: &ArrayRef, rows: &UInt32Array, by: &ArrayRef) -> Result<ArrayRef> {
    if rows.len() == values.len() {
        return Ok(Arc::clone(by));
    }
    let mut places: Vec<(usize, usize)> = (0..values.len()).map(|row| (0, row)).collect();
    for (place, row) in rows.values().iter().enumerate() {
        if let Some(slot) = usize::try_from(*row).ok().and_then(|row| places.get_mut(row)) {
            *slot = (1, place);
        }
    }
    Ok(interleave(&[values.as_ref(), by.as_ref()], &places)?)
}
