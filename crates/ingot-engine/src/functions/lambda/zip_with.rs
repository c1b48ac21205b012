//! `zip_with(a, b, (x, y) -> …)`: the shorter array is filled up with nulls.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, UInt32Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field};
use datafusion::error::Result;

use super::higher_order::{Call, HigherOrder};
use crate::functions::arguments::count;
use crate::functions::collection::{item_type, items, items_at, list_of};

const NAME: &str = "zip_with";

pub(super) fn functions() -> Vec<HigherOrder> {
    vec![HigherOrder {
        name: NAME,
        aliases: &[],
        lambdas: 1..=1,
        values: |types| {
            count(NAME, types, 2, 2)?;
            Ok(vec![
                list_of(items(NAME, 1, &types[0])?),
                list_of(items(NAME, 2, &types[1])?),
            ])
        },
        parameters: |values| {
            let item = |list| item_type(list).unwrap_or(DataType::Null);
            vec![values.iter().map(item).collect()]
        },
        returns: |_, lambdas| Ok(list_of(lambdas.first().cloned().unwrap_or(DataType::Null))),
        invoke: zip_with,
    }]
}

fn zip_with(call: &Call<'_>) -> Result<ArrayRef> {
    let (left, right): (&ListArray, &ListArray) = (call.values[0].as_list(), call.values[1].as_list());
    let index = |place: usize| u32::try_from(place).ok();
    let (mut lefts, mut rights, mut rows, mut lengths) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in 0..left.len() {
        let (Some(x), Some(y)) = (items_at(left, row), items_at(right, row)) else {
            lengths.push(0);
            continue;
        };
        let length = x.len().max(y.len());
        for place in 0..length {
            lefts.push(index(x.start + place).filter(|_| place < x.len()));
            rights.push(index(y.start + place).filter(|_| place < y.len()));
            rows.push(index(row).unwrap_or(u32::MAX));
        }
        lengths.push(length);
    }
    let parameters = [
        take(left.values(), &UInt32Array::from(lefts), None)?,
        take(right.values(), &UInt32Array::from(rights), None)?,
    ];
    let zipped = call.evaluate(0, &parameters, &rows.into())?;
    let field = Arc::new(Field::new("element", zipped.data_type().clone(), true));
    let nulls = NullBuffer::union(left.nulls(), right.nulls());
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(field, offsets, zipped, nulls)?))
}
