//! What the functions of arrays and maps share: their types, and results put together of the items of others.

mod gathered;
mod keys;
pub(crate) mod maps;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, MapArray};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, Volatility};

pub(crate) use self::gathered::Gathered;
pub(crate) use self::keys::{keys, keys_of};
use super::arguments::unexpected;
use super::function::{Function, Returns};

/// Makes a function whose result depends on nothing but its arguments.
pub(crate) fn immutable(
    name: &'static str,
    arguments: fn(&[DataType]) -> Result<Vec<DataType>>,
    returns: Returns,
    invoke: fn(&ScalarFunctionArgs) -> Result<ColumnarValue>,
) -> Arc<ScalarUDF> {
    aliased(name, &[], arguments, returns, invoke)
}

/// As [`immutable`], with other names.
pub(crate) fn aliased(
    name: &'static str,
    aliases: &'static [&'static str],
    arguments: fn(&[DataType]) -> Result<Vec<DataType>>,
    returns: Returns,
    invoke: fn(&ScalarFunctionArgs) -> Result<ColumnarValue>,
) -> Arc<ScalarUDF> {
    let function = Function {
        name,
        aliases,
        volatility: Volatility::Immutable,
        arguments,
        returns,
        invoke,
    };
    function.udf()
}

/// ARRAY of a type of items.
pub(crate) fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("element", item, true)))
}

/// MAP of types of keys and values.
pub(crate) fn map_of(key: DataType, value: DataType) -> DataType {
    let entries = DataType::Struct(entry_fields(key, value));
    DataType::Map(Arc::new(Field::new("key_value", entries, false)), false)
}

/// The columns of a map's entries.
pub(crate) fn entry_fields(key: DataType, value: DataType) -> Fields {
    Fields::from(vec![
        Field::new("key", key, false),
        Field::new("value", value, true),
    ])
}

/// Returns the type of an array's items.
pub(crate) fn item_type(list: &DataType) -> Option<DataType> {
    match list {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => Some(item.data_type().clone()),
        DataType::Null => Some(DataType::Null),
        _ => None,
    }
}

/// Returns the types of a map's keys and values.
pub(crate) fn entry_types(map: &DataType) -> Option<(DataType, DataType)> {
    match map {
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => match fields.as_ref() {
                [key, value] => Some((key.data_type().clone(), value.data_type().clone())),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// Returns the type of the items of an argument that has to be an array.
///
/// # Errors
/// `DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE`.
pub(crate) fn items(function: &str, place: usize, list: &DataType) -> Result<DataType> {
    item_type(list).ok_or_else(|| unexpected(function, place, "an ARRAY", list))
}

/// Returns the types of the keys and values of an argument that has to be a map.
///
/// # Errors
/// `DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE`.
pub(crate) fn entries(function: &str, place: usize, map: &DataType) -> Result<(DataType, DataType)> {
    match map {
        DataType::Null => Ok((DataType::Null, DataType::Null)),
        map => entry_types(map).ok_or_else(|| unexpected(function, place, "a MAP", map)),
    }
}

/// Takes as many arguments as the function has, after their number was checked.
///
/// # Errors
/// `Internal` when it was not.
pub(crate) fn sized<const N: usize>(arrays: &[ArrayRef]) -> Result<&[ArrayRef; N]> {
    arrays
        .try_into()
        .map_err(|_| DataFusionError::Internal(format!("{N} arguments are wanted, not {}", arrays.len())))
}

/// Returns where the items of an array's row are; `None` for a null.
pub(crate) fn items_at(list: &ListArray, row: usize) -> Option<Range<usize>> {
    let offsets = list.value_offsets();
    match list.is_null(row) {
        true => None,
        // Offsets are never negative.
        false => Some(offsets[row].unsigned_abs() as usize..offsets[row + 1].unsigned_abs() as usize),
    }
}

/// Returns where the entries of a map's row are; `None` for a null.
pub(crate) fn entries_at(map: &MapArray, row: usize) -> Option<Range<usize>> {
    let offsets = map.value_offsets();
    match map.is_null(row) {
        true => None,
        false => Some(offsets[row].unsigned_abs() as usize..offsets[row + 1].unsigned_abs() as usize),
    }
}
