//! An item of an array by its place, or a value of a map by its key: `a[0]`, `get(a, 0)`, `element_at(a, 1)`,
//! `try_element_at(a, 1)`.
//!
//! `[ ]` and `get` count from 0, the others from 1 and from the end for a negative place. Where there is no item, `[ ]`
//! and `element_at` refuse in ANSI mode; all else gives null, also a map without the key.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Int32Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::error::condition;
use crate::functions::arguments::{count, is_integral, is_text, over_arrays, unexpected};
use crate::functions::collection::{
    entries_at, entry_types, immutable, item_type, items, items_at, keys_of, map_of, sized,
};
use crate::functions::common_type::common_type;
use crate::functions::function::Returns;
use crate::spark::AnsiMode;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        item(),
        immutable(
            "get",
            |types| converted("get", types),
            returns(),
            |arguments| of_collection(arguments, Access::Get),
        ),
        immutable(
            "element_at",
            |types| converted("element_at", types),
            returns(),
            |arguments| of_collection(arguments, Access::ElementAt),
        ),
        immutable(
            "try_element_at",
            |types| converted("try_element_at", types),
            returns(),
            |arguments| of_collection(arguments, Access::TryElementAt),
        ),
    ]
}

/// What `[ ]` is.
pub(crate) fn item() -> Arc<ScalarUDF> {
    immutable(
        "__ingot_item",
        |types| converted("[]", types),
        returns(),
        |arguments| of_collection(arguments, Access::Subscript),
    )
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Subscript,
    Get,
    ElementAt,
    TryElementAt,
}

fn converted(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, 2, 2)?;
    let (collection, place) = (&types[0], &types[1]);
    if let Some((key, value)) = entry_types(collection)
        && function != "get"
    {
        let key = common_type(function, [&key, place])?;
        return Ok(vec![map_of(key.clone(), value), key]);
    }
    items(function, 1, collection)?;
    match place {
        place if is_integral(place) || is_text(place) || place.is_null() => {
            Ok(vec![collection.clone(), DataType::Int32])
        }
        place => Err(unexpected(function, 2, "INT", place)),
    }
}

fn returns() -> Returns {
    Returns::Of(|types| match types {
        [collection, _] => Ok(entry_types(collection)
            .map(|(_, value)| value)
            .or_else(|| item_type(collection))
            .unwrap_or(DataType::Null)),
        _ => Ok(DataType::Null),
    })
}

fn of_collection(arguments: &ScalarFunctionArgs, access: Access) -> Result<ColumnarValue> {
    let access = match (AnsiMode::of(&arguments.config_options), access) {
        (AnsiMode::Off, Access::Subscript) => Access::Get,
        (AnsiMode::Off, Access::ElementAt) => Access::TryElementAt,
        (_, access) => access,
    };
    over_arrays(arguments, |arrays| {
        let [collection, place] = sized(arrays)?;
        match collection.data_type() {
            DataType::Map(..) => by_key(collection, place),
            DataType::List(_) => by_place(collection, place, access),
            DataType::Null => Ok(Arc::clone(collection)),
            other => Err(DataFusionError::Internal(format!("{other} has no items"))),
        }
    })
}

fn by_place(list: &ArrayRef, places: &ArrayRef, access: Access) -> Result<ArrayRef> {
    let (list, places) = (list.as_list::<i32>(), places.as_primitive::<Int32Type>());
    let mut indices = Vec::with_capacity(list.len());
    for row in 0..list.len() {
        let items = items_at(list, row).filter(|_| !places.is_null(row));
        let Some(items) = items else {
            indices.push(None);
            continue;
        };
        let place = places.value(row);
        indices.push(match from_start(place, items.len(), access)? {
            Some(place) => u32::try_from(items.start + place).ok(),
            None => match access {
                Access::Get | Access::TryElementAt => None,
                Access::Subscript => return Err(beyond("INVALID_ARRAY_INDEX", "get", place, items.len())),
                Access::ElementAt => {
                    let name = "INVALID_ARRAY_INDEX_IN_ELEMENT_AT";
                    return Err(beyond(name, "try_element_at", place, items.len()));
                }
            },
        });
    }
    Ok(take(list.values(), &UInt32Array::from(indices), None)?)
}

/// Returns the place of an item from 0; `None` where there is none.
fn from_start(place: i32, length: usize, access: Access) -> Result<Option<usize>> {
    let distance = place.unsigned_abs() as usize;
    let found = match access {
        Access::Subscript | Access::Get if place < 0 => None,
        Access::Subscript | Access::Get => Some(distance),
        Access::ElementAt | Access::TryElementAt if place == 0 => return Err(zero_index()),
        Access::ElementAt | Access::TryElementAt if place > 0 => Some(distance - 1),
        Access::ElementAt | Access::TryElementAt => length.checked_sub(distance),
    };
    Ok(found.filter(|place| *place < length))
}

fn by_key(map: &ArrayRef, key: &ArrayRef) -> Result<ArrayRef> {
    let map = map.as_map();
    let [keys, wanted] = keys_of([map.keys(), key])?;
    let indices: UInt32Array = (0..map.len())
        .map(|row| {
            let entries = entries_at(map, row).filter(|_| !key.is_null(row))?;
            let mut entries = entries.filter(|entry| keys.row(*entry) == wanted.row(row));
            u32::try_from(entries.next()?).ok()
        })
        .collect();
    Ok(take(map.values(), &indices, None)?)
}

fn beyond(name: &'static str, instead: &str, place: i32, length: usize) -> DataFusionError {
    let message = format!(
        "the index {place} is outside of the array, which has {length} elements; use `{instead}` to get NULL instead"
    );
    condition(name, "22003", message)
}

pub(super) fn zero_index() -> DataFusionError {
    condition(
        "INVALID_INDEX_OF_ZERO",
        "22003",
        "the index 0 is invalid: the first element has the index 1, the last one -1".to_owned(),
    )
}
