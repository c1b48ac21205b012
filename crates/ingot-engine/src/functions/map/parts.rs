//! `map_keys(m)`, `map_values(m)`, `map_entries(m)` and `map_contains_key(m, key)`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, MapArray, StructArray};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::error::condition;
use crate::functions::arguments::{count, over_arrays};
use crate::functions::collection::{
    entries, entries_at, entry_types, immutable, keys_of, list_of, map_of, sized,
};
use crate::functions::common_type::common_type;
use crate::functions::function::Returns;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        immutable(
            "map_keys",
            |types| map("map_keys", types),
            Returns::Of(|types| Ok(list_of(parts(types).0))),
            |arguments| of_entries(arguments, |map| Ok(Arc::clone(map.keys()))),
        ),
        immutable(
            "map_values",
            |types| map("map_values", types),
            Returns::Of(|types| Ok(list_of(parts(types).1))),
            |arguments| of_entries(arguments, |map| Ok(Arc::clone(map.values()))),
        ),
        immutable(
            "map_entries",
            |types| map("map_entries", types),
            Returns::Of(|types| {
                let (key, value) = parts(types);
                Ok(list_of(DataType::Struct(fields(key, value))))
            }),
            |arguments| of_entries(arguments, structs),
        ),
        immutable(
            "map_contains_key",
            with_key,
            Returns::Always(DataType::Boolean),
            contains_key,
        ),
    ]
}

fn map(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, 1, 1)?;
    let (key, value) = entries(function, 1, &types[0])?;
    Ok(vec![map_of(key, value)])
}

fn with_key(types: &[DataType]) -> Result<Vec<DataType>> {
    const NAME: &str = "map_contains_key";
    count(NAME, types, 2, 2)?;
    if types[1].is_null() {
        return Err(condition(
            "DATATYPE_MISMATCH.NULL_TYPE",
            "42K09",
            format!("the key of `{NAME}` is no NULL without a type"),
        ));
    }
    let (key, value) = entries(NAME, 1, &types[0])?;
    let key = common_type(NAME, [&key, &types[1]])?;
    Ok(vec![map_of(key.clone(), value), key])
}

fn parts(types: &[DataType]) -> (DataType, DataType) {
    types
        .first()
        .and_then(entry_types)
        .unwrap_or((DataType::Null, DataType::Null))
}

fn fields(key: DataType, value: DataType) -> Fields {
    Fields::from(vec![
        Field::new("key", key, false),
        Field::new("value", value, true),
    ])
}

fn structs(map: &MapArray) -> Result<ArrayRef> {
    let (keys, values) = (map.keys(), map.values());
    let fields = fields(keys.data_type().clone(), values.data_type().clone());
    let columns = vec![Arc::clone(keys), Arc::clone(values)];
    Ok(Arc::new(StructArray::try_new(fields, columns, None)?))
}

/// Makes arrays of what is made of all entries.
fn of_entries(
    arguments: &ScalarFunctionArgs,
    make: impl Fn(&MapArray) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [map] = sized(arrays)?;
        let map = map.as_map();
        let items = make(map)?;
        let field = Arc::new(Field::new("element", items.data_type().clone(), true));
        let list = ListArray::try_new(field, map.offsets().clone(), items, map.nulls().cloned())?;
        Ok(Arc::new(list))
    })
}

fn contains_key(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [map, key] = sized(arrays)?;
        let map = map.as_map();
        let [keys, wanted] = keys_of([map.keys(), key])?;
        let found: BooleanArray = (0..map.len())
            .map(|row| {
                let mut entries = entries_at(map, row).filter(|_| key.is_valid(row))?;
                Some(entries.any(|entry| keys.row(entry) == wanted.row(row)))
            })
            .collect();
        Ok(Arc::new(found))
    })
}
