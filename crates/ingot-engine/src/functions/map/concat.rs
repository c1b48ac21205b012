//! `map_concat(m, …)`: the entries of all maps; a null among them gives null.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MapArray};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::functions::arguments::over_arrays;
use crate::functions::collection::{Gathered, entries, entries_at, entry_types, immutable, map_of};
use crate::functions::common_type::common_type;
use crate::functions::function::Returns;

const NAME: &str = "map_concat";

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![immutable(
        NAME,
        arguments,
        Returns::Of(|types| {
            let empty = || map_of(DataType::Utf8, DataType::Utf8);
            Ok(types.first().cloned().unwrap_or_else(empty))
        }),
        concat,
    )]
}

fn arguments(types: &[DataType]) -> Result<Vec<DataType>> {
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    for (place, map) in types.iter().enumerate() {
        let (key, value) = entries(NAME, place + 1, map)?;
        keys.push(key);
        values.push(value);
    }
    let common = map_of(common_type(NAME, &keys)?, common_type(NAME, &values)?);
    Ok(vec![common; types.len()])
}

fn concat(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let rows = arguments.number_rows;
    let types = entry_types(arguments.return_type()).unwrap_or((DataType::Null, DataType::Null));
    over_arrays(arguments, |arrays| {
        let maps: Vec<&MapArray> = arrays.iter().map(|array| array.as_map()).collect();
        let rows = maps.first().map_or(rows, |map| map.len());
        let mut result = Gathered::new(rows);
        for row in 0..rows {
            if maps.iter().any(|map| map.is_null(row)) {
                result.null()?;
                continue;
            }
            for (source, map) in maps.iter().enumerate() {
                result.extend(source, entries_at(map, row).unwrap_or_default());
            }
            result.end()?;
        }
        let keys: Vec<ArrayRef> = maps.iter().map(|map| Arc::clone(map.keys())).collect();
        let values: Vec<ArrayRef> = maps.iter().map(|map| Arc::clone(map.values())).collect();
        result.finish_map(types, &keys, &values)
    })
}
