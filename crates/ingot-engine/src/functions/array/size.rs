//! `array_size(a)`, and `size(c)`, also called `cardinality`, of arrays and maps. Null gives null, and the size -1 without
//! ANSI mode. Source: Spark, `Size`, `spark.sql.legacy.sizeOfNull`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array};
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::functions::arguments::{count, over_arrays, unexpected};
use crate::functions::collection::{
    aliased, entries_at, entry_types, immutable, item_type, items, items_at, list_of, sized,
};
use crate::functions::function::Returns;
use crate::spark::AnsiMode;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        immutable(
            "array_size",
            |types| {
                count("array_size", types, 1, 1)?;
                Ok(vec![list_of(items("array_size", 1, &types[0])?)])
            },
            Returns::Always(DataType::Int32),
            |arguments| size(arguments, None),
        ),
        aliased(
            "size",
            &["cardinality"],
            collection,
            Returns::Always(DataType::Int32),
            |arguments| {
                let of_null = match AnsiMode::of(&arguments.config_options) {
                    AnsiMode::On => None,
                    AnsiMode::Off => Some(-1),
                };
                size(arguments, of_null)
            },
        ),
    ]
}

fn collection(types: &[DataType]) -> Result<Vec<DataType>> {
    count("size", types, 1, 1)?;
    match &types[0] {
        map if entry_types(map).is_some() => Ok(vec![map.clone()]),
        list => match item_type(list) {
            Some(item) => Ok(vec![list_of(item)]),
            None => Err(unexpected("size", 1, "an ARRAY or a MAP", list)),
        },
    }
}

fn size(arguments: &ScalarFunctionArgs, of_null: Option<i32>) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [collection] = sized(arrays)?;
        let sizes: Int32Array = match collection.data_type() {
            DataType::List(_) => {
                let list = collection.as_list::<i32>();
                let sizes = (0..list.len()).map(|row| items_at(list, row).map(|items| items.len()));
                sizes.map(|size| as_int(size).or(of_null)).collect()
            }
            DataType::Map(..) => {
                let map = collection.as_map();
                let sizes = (0..map.len()).map(|row| entries_at(map, row).map(|entries| entries.len()));
                sizes.map(|size| as_int(size).or(of_null)).collect()
            }
            other => return Err(DataFusionError::Internal(format!("{other} has no size"))),
        };
        Ok(Arc::new(sizes) as ArrayRef)
    })
}

fn as_int(size: Option<usize>) -> Option<i32> {
    // The offsets of arrays are of this type.
    i32::try_from(size?).ok()
}
