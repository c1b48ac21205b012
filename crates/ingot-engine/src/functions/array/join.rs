//! `array_join(a, separator [, null])`: the texts of an array as one; nulls are left out or written as the third
//! argument says.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::functions::arguments::{count, over_arrays};
use crate::functions::collection::{immutable, items, items_at, list_of};
use crate::functions::function::Returns;
use crate::functions::rows;

const NAME: &str = "array_join";

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![immutable(NAME, arguments, Returns::Always(DataType::Utf8), join)]
}

fn arguments(types: &[DataType]) -> Result<Vec<DataType>> {
    count(NAME, types, 2, 3)?;
    items(NAME, 1, &types[0])?;
    let mut wanted = vec![DataType::Utf8; types.len()];
    wanted[0] = list_of(DataType::Utf8);
    Ok(wanted)
}

fn join(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let list = arrays[0].as_list::<i32>();
        let values = list.values().as_string::<i32>();
        let separators = arrays[1].as_string::<i32>();
        let nulls = arrays.get(2).map(|nulls| nulls.as_string::<i32>());
        rows::texts(arrays, |row, out| {
            let mut first = true;
            let items = items_at(list, row).unwrap_or_default();
            let written = match nulls {
                Some(_) => items.len(),
                None => items.clone().filter(|item| values.is_valid(*item)).count(),
            };
            out.reserve(written.saturating_sub(1), separators.value(row).len())?;
            for item in items {
                let item = match (values.is_valid(item), nulls) {
                    (true, _) => values.value(item),
                    (false, Some(nulls)) => nulls.value(row),
                    (false, None) => continue,
                };
                let separator = if first { "" } else { separators.value(row) };
                first = false;
                if out
                    .write_str(separator)
                    .and_then(|()| out.write_str(item))
                    .is_err()
                {
                    break;
                }
            }
            Ok(true)
        })
    })
}
