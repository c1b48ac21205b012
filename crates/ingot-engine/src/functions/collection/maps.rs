//! Maps put together of keys and values: a key is never null and occurs once.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, MapArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field};
use arrow::util::display::array_value_to_string;
use datafusion::error::Result;

use super::{entry_fields, keys};
use crate::error::condition;

/// Makes maps, having looked at their keys.
///
/// # Errors
/// `NULL_MAP_KEY`, `DUPLICATED_MAP_KEY`.
pub(crate) fn checked(
    keys: ArrayRef,
    values: ArrayRef,
    offsets: OffsetBuffer<i32>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    if keys.logical_null_count() > 0 {
        return Err(condition(
            "NULL_MAP_KEY",
            "2200E",
            "a key of a map cannot be null".to_owned(),
        ));
    }
    refuse_duplicates(&keys, &offsets)?;
    unchecked(keys, values, offsets, nulls)
}

/// Makes maps of keys that were looked at before.
///
/// # Errors
/// When the parts do not fit.
pub(crate) fn unchecked(
    keys: ArrayRef,
    values: ArrayRef,
    offsets: OffsetBuffer<i32>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let fields = entry_fields(keys.data_type().clone(), values.data_type().clone());
    let entries = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
    let entry = Arc::new(Field::new("key_value", DataType::Struct(fields), false));
    Ok(Arc::new(MapArray::try_new(
        entry, offsets, entries, nulls, false,
    )?))
}

fn refuse_duplicates(keys_of_maps: &ArrayRef, offsets: &OffsetBuffer<i32>) -> Result<()> {
    if offsets.lengths().all(|entries| entries < 2) {
        return Ok(());
    }
    let keys = keys(keys_of_maps)?;
    let mut seen = HashSet::new();
    for map in offsets.windows(2) {
        seen.clear();
        for entry in map[0].unsigned_abs() as usize..map[1].unsigned_abs() as usize {
            if !seen.insert(keys.row(entry)) {
                let key = array_value_to_string(keys_of_maps, entry)?;
                return Err(condition(
                    "DUPLICATED_MAP_KEY",
                    "23505",
                    format!("the map has the key `{key}` twice"),
                ));
            }
        }
    }
    Ok(())
}
