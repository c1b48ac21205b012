//! `map(key, value, …)`, `map_from_arrays(keys, values)` and `map_from_entries(structs)`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::error::condition;
use crate::functions::arguments::{count, over_arrays, unexpected};
use crate::functions::collection::{
    Gathered, aliased, entry_types, immutable, item_type, items, items_at, list_of, map_of, sized,
};
use crate::functions::common_type::common_type;
use crate::functions::function::Returns;

/// What a call of `map` is made a call of, as DataFusion's planner has ideas of its own about `map`.
pub(crate) const MAP: &str = "__ingot_map";

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        aliased(MAP, &["map"], pairs, Returns::Of(map_of_pairs), map),
        immutable(
            "map_from_arrays",
            |types| {
                count("map_from_arrays", types, 2, 2)?;
                let lists = types.iter().enumerate();
                lists
                    .map(|(place, list)| Ok(list_of(items("map_from_arrays", place + 1, list)?)))
                    .collect()
            },
            Returns::Of(|types| {
                let item = |place: usize| types.get(place).and_then(item_type).unwrap_or(DataType::Null);
                Ok(map_of(item(0), item(1)))
            }),
            from_arrays,
        ),
        immutable(
            "map_from_entries",
            entries,
            Returns::Of(|types| Ok(map_of_entries(types.first()).unwrap_or(DataType::Null))),
            from_entries,
        ),
    ]
}

fn pairs(types: &[DataType]) -> Result<Vec<DataType>> {
    if types.len() % 2 == 1 {
        return Err(condition(
            "WRONG_NUM_ARGS.WITHOUT_SUGGESTION",
            "42605",
            format!(
                "`map` takes keys and values in pairs, not {} arguments",
                types.len()
            ),
        ));
    }
    let key = common_type("map", types.iter().step_by(2))?;
    let value = common_type("map", types.iter().skip(1).step_by(2))?;
    let places = 0..types.len();
    Ok(places
        .map(|place| {
            if place % 2 == 0 {
                key.clone()
            } else {
                value.clone()
            }
        })
        .collect())
}

fn map_of_pairs(types: &[DataType]) -> Result<DataType> {
    let nth = |place: usize| types.get(place).cloned().unwrap_or(DataType::Null);
    Ok(map_of(nth(0), nth(1)))
}

fn map(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let (rows, types) = (arguments.number_rows, entry_types(arguments.return_type()));
    over_arrays(arguments, |arrays| {
        let rows = arrays.first().map_or(rows, |first| first.len());
        let (keys, values): (Vec<_>, Vec<_>) = arrays
            .chunks_exact(2)
            .map(|pair| (Arc::clone(&pair[0]), Arc::clone(&pair[1])))
            .unzip();
        let mut maps = Gathered::new(rows);
        for row in 0..rows {
            (0..keys.len()).for_each(|pair| maps.push(pair, row));
            maps.end()?;
        }
        maps.finish_map(types.unwrap_or((DataType::Null, DataType::Null)), &keys, &values)
    })
}

fn from_arrays(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [keys, values] = sized(arrays)?;
        let (keys, values): (&ListArray, &ListArray) = (keys.as_list(), values.as_list());
        let (mut key_lists, mut value_lists) = (Gathered::new(keys.len()), Gathered::new(keys.len()));
        for row in 0..keys.len() {
            let (Some(of_keys), Some(of_values)) = (items_at(keys, row), items_at(values, row)) else {
                key_lists.null()?;
                value_lists.null()?;
                continue;
            };
            if of_keys.len() != of_values.len() {
                return Err(condition(
                    "_LEGACY_ERROR_TEMP_2128",
                    "22023",
                    "the array of keys and the array of values have to be of the same length".to_owned(),
                ));
            }
            key_lists.extend(0, of_keys);
            key_lists.end()?;
            value_lists.extend(0, of_values);
            value_lists.end()?;
        }
        let (key, value) = (keys.values().data_type(), values.values().data_type());
        let keys = key_lists.finish(key, &[Arc::clone(keys.values())])?;
        let values = value_lists.finish(value, &[Arc::clone(values.values())])?;
        let (keys, values): (&ListArray, &ListArray) = (keys.as_list(), values.as_list());
        crate::functions::collection::maps::checked(
            Arc::clone(keys.values()),
            Arc::clone(values.values()),
            keys.offsets().clone(),
            keys.nulls().cloned(),
        )
    })
}

fn entries(types: &[DataType]) -> Result<Vec<DataType>> {
    const NAME: &str = "map_from_entries";
    count(NAME, types, 1, 1)?;
    match map_of_entries(types.first()) {
        Some(_) => Ok(vec![list_of(items(NAME, 1, &types[0])?)]),
        None => Err(unexpected(
            NAME,
            1,
            "an ARRAY of STRUCTs of two fields",
            &types[0],
        )),
    }
}

fn map_of_entries(list: Option<&DataType>) -> Option<DataType> {
    match item_type(list?)? {
        DataType::Struct(fields) => match fields.as_ref() {
            [key, value] => Some(map_of(key.data_type().clone(), value.data_type().clone())),
            _ => None,
        },
        _ => None,
    }
}

/// A null among the entries gives null.
fn from_entries(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let types = entry_types(arguments.return_type()).unwrap_or((DataType::Null, DataType::Null));
    over_arrays(arguments, |arrays| {
        let [list] = sized(arrays)?;
        let list = list.as_list::<i32>();
        let entries = list.values().as_struct();
        let mut maps = Gathered::new(list.len());
        for row in 0..list.len() {
            let items = items_at(list, row).filter(|items| items.clone().all(|item| entries.is_valid(item)));
            match items {
                Some(items) => {
                    maps.extend(0, items);
                    maps.end()?;
                }
                None => maps.null()?,
            }
        }
        let column = |place: usize| -> [ArrayRef; 1] { [Arc::clone(entries.column(place))] };
        maps.finish_map(types, &column(0), &column(1))
    })
}
