//! `array_max(a)` and `array_min(a)`: nulls are passed over, NaN is the greatest.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, AsArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::functions::arguments::{count, over_arrays};
use crate::functions::collection::{immutable, item_type, items, items_at, keys, list_of, sized};
use crate::functions::function::Returns;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        immutable(
            "array_max",
            |types| list("array_max", types),
            item(),
            |arguments| extreme(arguments, Ordering::Greater),
        ),
        immutable(
            "array_min",
            |types| list("array_min", types),
            item(),
            |arguments| extreme(arguments, Ordering::Less),
        ),
    ]
}

fn list(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, 1, 1)?;
    Ok(vec![list_of(items(function, 1, &types[0])?)])
}

fn item() -> Returns {
    Returns::Of(|types| Ok(types.first().and_then(item_type).unwrap_or(DataType::Null)))
}

fn extreme(arguments: &ScalarFunctionArgs, wanted: Ordering) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [list] = sized(arrays)?;
        let list = list.as_list::<i32>();
        let (values, keys) = (list.values(), keys(list.values())?);
        let indices: UInt32Array = (0..list.len())
            .map(|row| {
                let items = items_at(list, row)?.filter(|item| values.is_valid(*item));
                let found = items.reduce(|best, item| match keys.row(item).cmp(&keys.row(best)) == wanted {
                    true => item,
                    false => best,
                });
                u32::try_from(found?).ok()
            })
            .collect();
        Ok(take(values, &indices, None)?)
    })
}
