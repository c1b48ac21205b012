//! `sort_array(a [, ascending])`: nulls come first, or last where the order is descending.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::functions::arguments::{count, over_arrays};
use crate::functions::collection::{Gathered, immutable, items, items_at, keys, list_of};
use crate::functions::function::Returns;

const NAME: &str = "sort_array";

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![immutable(
        NAME,
        |types| {
            count(NAME, types, 1, 2)?;
            let mut wanted = vec![DataType::Boolean; types.len()];
            wanted[0] = list_of(items(NAME, 1, &types[0])?);
            Ok(wanted)
        },
        Returns::Of(|types| Ok(types.first().cloned().unwrap_or(DataType::Null))),
        sort,
    )]
}

fn sort(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let list = arrays[0].as_list::<i32>();
        let ascending = arrays.get(1).map(|ascending| ascending.as_boolean());
        let keys = keys(list.values())?;
        let mut result = Gathered::new(list.len());
        let mut order = Vec::new();
        for row in 0..list.len() {
            let known = ascending.is_none_or(|ascending| ascending.is_valid(row));
            let Some(items) = items_at(list, row).filter(|_| known) else {
                result.null()?;
                continue;
            };
            order.clear();
            order.extend(items);
            match ascending.is_none_or(|ascending| ascending.value(row)) {
                true => order.sort_by(|a, b| keys.row(*a).cmp(&keys.row(*b))),
                false => order.sort_by(|a, b| keys.row(*b).cmp(&keys.row(*a))),
            }
            result.extend(0, order.iter().copied());
            result.end()?;
        }
        result.finish(list.values().data_type(), &[Arc::clone(list.values())])
    })
}
