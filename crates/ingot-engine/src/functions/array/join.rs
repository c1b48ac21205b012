//! `array_join(a, separator [, null])`: the texts of an array as one; nulls are left out or written as the third
//! argument says.

use std::sync::Arc;

use arrow::array::{Array, AsArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::functions::arguments::{count, over_arrays};
use crate::functions::collection::{immutable, items, items_at, list_of};
use crate::functions::function::Returns;

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
        let texts = list.values().as_string::<i32>();
        let separators = arrays[1].as_string::<i32>();
        let nulls = arrays.get(2).map(|nulls| nulls.as_string::<i32>());
        let mut joined = StringBuilder::new();
        let mut text = String::new();
        for row in 0..list.len() {
            let known = separators.is_valid(row) && nulls.is_none_or(|nulls| nulls.is_valid(row));
            let Some(items) = items_at(list, row).filter(|_| known) else {
                joined.append_null();
                continue;
            };
            text.clear();
            let mut first = true;
            for item in items {
                let item = match (texts.is_valid(item), nulls) {
                    (true, _) => texts.value(item),
                    (false, Some(nulls)) => nulls.value(row),
                    (false, None) => continue,
                };
                if !first {
                    text.push_str(separators.value(row));
                }
                first = false;
                text.push_str(item);
            }
            joined.append_value(&text);
        }
        Ok(Arc::new(joined.finish()))
    })
}
