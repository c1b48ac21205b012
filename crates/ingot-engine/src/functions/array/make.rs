//! `array(x, …)` and `array_repeat(x, n)`.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::functions::arguments::{count, over_arrays};
use crate::functions::collection::{Gathered, immutable, list_of, sized};
use crate::functions::common_type::common_type;
use crate::functions::function::Returns;
use crate::functions::room::{Room, bytes_of};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        immutable(
            "array",
            |types| Ok(vec![common_type("array", types)?; types.len()]),
            Returns::Of(|types| Ok(list_of(types.first().cloned().unwrap_or(DataType::Null)))),
            array,
        ),
        immutable(
            "array_repeat",
            |types| {
                count("array_repeat", types, 2, 2)?;
                Ok(vec![types[0].clone(), DataType::Int32])
            },
            Returns::Of(|types| Ok(list_of(types.first().cloned().unwrap_or(DataType::Null)))),
            array_repeat,
        ),
    ]
}

fn array(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let rows = arguments.number_rows;
    over_arrays(arguments, |items| {
        let rows = items.first().map_or(rows, |first| first.len());
        let mut arrays = Gathered::new(rows);
        for row in 0..rows {
            (0..items.len()).for_each(|source| arrays.push(source, row));
            arrays.end()?;
        }
        let item = items
            .first()
            .map_or(DataType::Null, |first| first.data_type().clone());
        arrays.finish(&item, items)
    })
}

/// A number below one gives an empty array, null gives null.
fn array_repeat(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [items, times] = sized(arrays)?;
        let times = times.as_primitive::<Int32Type>();
        let mut repeated = Gathered::new(items.len());
        let mut room = Room::new();
        for row in 0..items.len() {
            if times.is_null(row) {
                repeated.null()?;
                continue;
            }
            let times = usize::try_from(times.value(row)).unwrap_or(0);
            room.take(times, bytes_of(items, row).max(1))?;
            repeated.repeat(0, row, times)?;
            repeated.end()?;
        }
        repeated.finish(items.data_type(), &arrays[..1])
    })
}
