//! `filter(a, x -> …)` and `filter(a, (x, i) -> …)`: the items for which the condition is true.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::error::Result;

use super::higher_order::{Call, HigherOrder, Items, condition_lambda};
use super::transform::{item_and_place, places};
use crate::functions::arguments::count;
use crate::functions::collection::{Gathered, items, list_of};

const NAME: &str = "filter";

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
        returns: |values, lambdas| {
            condition_lambda(NAME, 2, lambdas)?;
            Ok(values.first().cloned().unwrap_or(DataType::Null))
        },
        invoke: filter,
    }]
}

fn filter(call: &Call<'_>) -> Result<ArrayRef> {
    let items = Items::of_list(&call.values[0])?;
    let parameters = [Arc::clone(&items.columns[0]), places(&items)];
    let kept = cast(&call.evaluate(0, &parameters, &items.rows)?, &DataType::Boolean)?;
    let kept = kept.as_boolean();
    let mut result = Gathered::new(items.len());
    for row in 0..items.len() {
        match items.at(row) {
            Some(places) => {
                result.extend(0, places.filter(|item| kept.is_valid(*item) && kept.value(*item)));
                result.end()?;
            }
            None => result.null()?,
        }
    }
    result.finish(items.columns[0].data_type(), &items.columns[..1])
}
