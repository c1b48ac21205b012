//! `array_remove(a, x)`, which leaves nulls, and `array_compact(a)`, which removes them.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::functions::arguments::{count, over_arrays};
use crate::functions::collection::{Gathered, immutable, items, items_at, keys_of, list_of, sized};
use crate::functions::common_type::common_type;
use crate::functions::function::Returns;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let first = || Returns::Of(|types| Ok(types.first().cloned().unwrap_or(DataType::Null)));
    vec![
        immutable(
            "array_remove",
            |types| {
                count("array_remove", types, 2, 2)?;
                let item = items("array_remove", 1, &types[0])?;
                let item = common_type("array_remove", [&item, &types[1]])?;
                Ok(vec![list_of(item.clone()), item])
            },
            first(),
            remove,
        ),
        immutable(
            "array_compact",
            |types| {
                count("array_compact", types, 1, 1)?;
                Ok(vec![list_of(items("array_compact", 1, &types[0])?)])
            },
            first(),
            compact,
        ),
    ]
}

fn remove(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [list, unwanted] = sized(arrays)?;
        let list = list.as_list::<i32>();
        let [values, removed] = keys_of([list.values(), unwanted])?;
        let mut result = Gathered::new(list.len());
        for row in 0..list.len() {
            match items_at(list, row).filter(|_| unwanted.is_valid(row)) {
                Some(items) => {
                    result.extend(0, items.filter(|item| values.row(*item) != removed.row(row)));
                    result.end()?;
                }
                None => result.null()?,
            }
        }
        result.finish(unwanted.data_type(), &[Arc::clone(list.values())])
    })
}

fn compact(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [list] = sized(arrays)?;
        let list = list.as_list::<i32>();
        let values = list.values();
        // A column of type VOID has no mask of nulls.
        let nulls = values.logical_nulls();
        let is_valid = |item: &usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*item));
        let mut result = Gathered::new(list.len());
        for row in 0..list.len() {
            match items_at(list, row) {
                Some(items) => {
                    result.extend(0, items.filter(is_valid));
                    result.end()?;
                }
                None => result.null()?,
            }
        }
        result.finish(values.data_type(), &[Arc::clone(values)])
    })
}
