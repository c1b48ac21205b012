//! `exists(a, x -> …)` and `forall(a, x -> …)`. A condition that is null leaves the answer open.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::error::Result;

use super::higher_order::{Call, HigherOrder, Items, condition_lambda};
use crate::functions::arguments::count;
use crate::functions::collection::{item_type, items, list_of};

pub(super) fn functions() -> Vec<HigherOrder> {
    vec![
        HigherOrder {
            name: "exists",
            aliases: &[],
            lambdas: 1..=1,
            values: |types| list("exists", types),
            parameters,
            returns: |_, lambdas| boolean("exists", lambdas),
            invoke: |call| test(call, true),
        },
        HigherOrder {
            name: "forall",
            aliases: &[],
            lambdas: 1..=1,
            values: |types| list("forall", types),
            parameters,
            returns: |_, lambdas| boolean("forall", lambdas),
            invoke: |call| test(call, false),
        },
    ]
}

fn list(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, 1, 1)?;
    Ok(vec![list_of(items(function, 1, &types[0])?)])
}

fn parameters(values: &[DataType]) -> Vec<Vec<DataType>> {
    vec![vec![values.first().and_then(item_type).unwrap_or(DataType::Null)]]
}

fn boolean(function: &str, lambdas: &[DataType]) -> Result<DataType> {
    condition_lambda(function, 2, lambdas)?;
    Ok(DataType::Boolean)
}

/// Looks for an item whose condition is `decisive`, which answers for all.
fn test(call: &Call<'_>, decisive: bool) -> Result<ArrayRef> {
    let items = Items::of_list(&call.values[0])?;
    let answers = cast(
        &call.evaluate(0, &items.columns, &items.rows)?,
        &DataType::Boolean,
    )?;
    let answers = answers.as_boolean();
    let results: BooleanArray = (0..items.len())
        .map(|row| {
            let places = items.at(row)?;
            let is_decisive = |item: usize| answers.is_valid(item) && answers.value(item) == decisive;
            if places.clone().any(is_decisive) {
                return Some(decisive);
            }
            match places.clone().any(|item| answers.is_null(item)) {
                true => None,
                false => Some(!decisive),
            }
        })
        .collect();
    Ok(Arc::new(results))
}
