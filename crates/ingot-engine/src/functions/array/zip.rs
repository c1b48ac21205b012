//! `arrays_zip(a, b, …)`: structs of the items at each place; the shorter arrays are filled up with nulls.
//!
//! The names of the fields are literals before each array, which are put there when the call is read: the name of the
//! column, or its number.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray, UInt32Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};

use crate::functions::arguments::over_arrays;
use crate::functions::collection::{immutable, item_type, items, items_at, list_of};
use crate::functions::function::Returns;

const NAME: &str = "arrays_zip";

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![immutable(NAME, arguments, Returns::Field(returns), zip)]
}

fn arguments(types: &[DataType]) -> Result<Vec<DataType>> {
    let types = types.iter().enumerate();
    types
        .map(|(place, data_type)| match place % 2 {
            0 => Ok(DataType::Utf8),
            _ => Ok(list_of(items(NAME, place / 2 + 1, data_type)?)),
        })
        .collect()
}

fn returns(arguments: &ReturnFieldArgs<'_>) -> Result<DataType> {
    let names = arguments.scalar_arguments.iter().step_by(2);
    let lists = arguments.arg_fields.iter().skip(1).step_by(2);
    let fields: Vec<Field> = names
        .zip(lists)
        .map(|(name, list)| {
            let name = name
                .and_then(|name| name.try_as_str().flatten())
                .unwrap_or_default();
            let item = item_type(list.data_type()).unwrap_or(DataType::Null);
            Field::new(name, item, true)
        })
        .collect();
    Ok(list_of(DataType::Struct(fields.into())))
}

fn zip(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let item = match arguments.return_field.data_type() {
        DataType::List(item) => Arc::clone(item),
        other => return Err(DataFusionError::Internal(format!("{NAME} gives {other}"))),
    };
    let DataType::Struct(fields) = item.data_type() else {
        return Err(DataFusionError::Internal(format!("{NAME} gives no structs")));
    };
    let rows = arguments.number_rows;
    over_arrays(arguments, |arrays| {
        let lists: Vec<&ListArray> = arrays
            .iter()
            .skip(1)
            .step_by(2)
            .map(|array| array.as_list())
            .collect();
        let rows = lists.first().map_or(rows, |list| list.len());
        let (lengths, nulls) = lengths(&lists, rows);
        let columns: Vec<ArrayRef> = lists
            .iter()
            .map(|list| padded(list, &lengths))
            .collect::<Result<_>>()?;
        let structs = structs(fields, columns, lengths.iter().sum())?;
        let offsets = OffsetBuffer::from_lengths(lengths);
        Ok(Arc::new(ListArray::try_new(
            Arc::clone(&item),
            offsets,
            structs,
            Some(nulls),
        )?))
    })
}

fn structs(fields: &Fields, columns: Vec<ArrayRef>, length: usize) -> Result<ArrayRef> {
    match columns.is_empty() {
        true => Ok(Arc::new(StructArray::new_empty_fields(length, None))),
        false => Ok(Arc::new(StructArray::try_new(fields.clone(), columns, None)?)),
    }
}

/// Returns how many structs each row has, and which rows are null: those where one of the arrays is.
fn lengths(lists: &[&ListArray], rows: usize) -> (Vec<usize>, NullBuffer) {
    let found: Vec<Option<usize>> = (0..rows)
        .map(|row| {
            lists.iter().try_fold(0, |longest: usize, list| {
                items_at(list, row).map(|items| longest.max(items.len()))
            })
        })
        .collect();
    let nulls = found.iter().map(Option::is_some).collect::<Vec<bool>>().into();
    let lengths = found.into_iter().map(|length| length.unwrap_or(0)).collect();
    (lengths, nulls)
}

fn padded(list: &ListArray, lengths: &[usize]) -> Result<ArrayRef> {
    let indices = lengths.iter().enumerate().flat_map(|(row, length)| {
        let items = items_at(list, row).unwrap_or_default();
        (0..*length).map(move |place| match place < items.len() {
            true => u32::try_from(items.start + place).ok(),
            false => None,
        })
    });
    Ok(take(list.values(), &indices.collect::<UInt32Array>(), None)?)
}
