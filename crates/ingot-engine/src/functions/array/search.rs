//! `array_contains(a, x)`, `array_position(a, x)` and `arrays_overlap(a, b)`.
//!
//! What is not found among items of which some are null may be one of them: `array_contains` and `arrays_overlap` then
//! give null. `array_position` counts from 1 and gives 0 for what is not there.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::error::condition;
use crate::functions::arguments::{count, over_arrays};
use crate::functions::collection::{immutable, items, items_at, keys_of, list_of, sized};
use crate::functions::common_type::common_type;
use crate::functions::function::Returns;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        immutable(
            "array_contains",
            |types| with_item("array_contains", types),
            Returns::Always(DataType::Boolean),
            contains,
        ),
        immutable(
            "array_position",
            |types| with_item("array_position", types),
            Returns::Always(DataType::Int64),
            position,
        ),
        immutable(
            "arrays_overlap",
            two_arrays,
            Returns::Always(DataType::Boolean),
            overlap,
        ),
    ]
}

fn with_item(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, 2, 2)?;
    if types.iter().any(DataType::is_null) {
        return Err(condition(
            "DATATYPE_MISMATCH.NULL_TYPE",
            "42K09",
            format!("the arguments of `{function}` are no NULL without a type"),
        ));
    }
    let item = common_type(function, [&items(function, 1, &types[0])?, &types[1]])?;
    Ok(vec![list_of(item.clone()), item])
}

fn two_arrays(types: &[DataType]) -> Result<Vec<DataType>> {
    const NAME: &str = "arrays_overlap";
    count(NAME, types, 2, 2)?;
    let item = common_type(NAME, [&items(NAME, 1, &types[0])?, &items(NAME, 2, &types[1])?])?;
    Ok(vec![list_of(item); 2])
}

fn contains(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [list, wanted] = sized(arrays)?;
        let list = list.as_list::<i32>();
        let [values, keys] = keys_of([list.values(), wanted])?;
        let found: BooleanArray = (0..list.len())
            .map(|row| {
                let items = items_at(list, row).filter(|_| wanted.is_valid(row))?;
                match items.clone().any(|item| values.row(item) == keys.row(row)) {
                    true => Some(true),
                    false if has_null(list.values(), items) => None,
                    false => Some(false),
                }
            })
            .collect();
        Ok(Arc::new(found))
    })
}

fn position(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [list, wanted] = sized(arrays)?;
        let list = list.as_list::<i32>();
        let [values, keys] = keys_of([list.values(), wanted])?;
        let found: Int64Array = (0..list.len())
            .map(|row| {
                let mut items = items_at(list, row).filter(|_| wanted.is_valid(row))?;
                let place = items.position(|item| values.row(item) == keys.row(row));
                Some(place.map_or(0, |place| i64::try_from(place + 1).unwrap_or(i64::MAX)))
            })
            .collect();
        Ok(Arc::new(found))
    })
}

fn overlap(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [left, right] = sized(arrays)?;
        let (left, right): (&ListArray, &ListArray) = (left.as_list(), right.as_list());
        let [left_keys, right_keys] = keys_of([left.values(), right.values()])?;
        let overlaps: BooleanArray = (0..left.len())
            .map(|row| {
                let (x, y) = (items_at(left, row)?, items_at(right, row)?);
                let known: HashSet<_> = x
                    .clone()
                    .filter(|item| left.values().is_valid(*item))
                    .map(|item| left_keys.row(item))
                    .collect();
                if y.clone().any(|item| known.contains(&right_keys.row(item))) {
                    return Some(true);
                }
                let unknown = has_null(left.values(), x.clone()) || has_null(right.values(), y.clone());
                match unknown && !x.is_empty() && !y.is_empty() {
                    true => None,
                    false => Some(false),
                }
            })
            .collect();
        Ok(Arc::new(overlaps))
    })
}

fn has_null(values: &ArrayRef, mut items: std::ops::Range<usize>) -> bool {
    match values.data_type() {
        DataType::Null => !items.is_empty(),
        _ => items.any(|item| values.is_null(item)),
    }
}
