//! `transform(a, x -> …)` and `transform(a, (x, i) -> …)`, where `i` counts from 0.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, ListArray};
use arrow::datatypes::{DataType, Field};
use datafusion::error::Result;

use super::higher_order::{Call, HigherOrder, Items};
use crate::functions::arguments::count;
use crate::functions::collection::{item_type, items, list_of};

const NAME: &str = "transform";

pub(super) fn functions() -> Vec<HigherOrder> {
    vec![HigherOrder {
        name: NAME,
        aliases: &[],
        lambdas: 1..=1,
        values: |types| {
            count(NAME, types, 1, 1)?;
            Ok(vec![list_of(items(NAME, 1, &types[0])?)])
        },
        parameters: |values| vec![item_and_place(values)],
        returns: |_, lambdas| Ok(list_of(lambdas.first().cloned().unwrap_or(DataType::Null))),
        invoke: transform,
    }]
}

/// The parameters of a lambda of one array.
pub(super) fn item_and_place(values: &[DataType]) -> Vec<DataType> {
    let item = values.first().and_then(item_type).unwrap_or(DataType::Null);
    vec![item, DataType::Int32]
}

/// Returns the place of each item in its array, from 0.
pub(super) fn places(items: &Items) -> ArrayRef {
    let places = items
        .offsets
        .lengths()
        .flat_map(|length| 0..i32::try_from(length).unwrap_or(i32::MAX));
    Arc::new(places.collect::<Int32Array>())
}

fn transform(call: &Call<'_>) -> Result<ArrayRef> {
    let items = Items::of_list(&call.values[0])?;
    let parameters = [Arc::clone(&items.columns[0]), places(&items)];
    let transformed = call.evaluate(0, &parameters, &items.rows)?;
    let field = Arc::new(Field::new("element", transformed.data_type().clone(), true));
    Ok(Arc::new(ListArray::try_new(
        field,
        items.offsets,
        transformed,
        items.nulls,
    )?))
}
