//! Values as bytes, by which they are compared whatever their type is.
//!
//! The order is Spark's: nulls come first, NaN is the greatest number and equal to itself, and `-0.0` is `0.0`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, PrimitiveArray, StructArray};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float32Type, Float64Type};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::error::Result;

/// Makes comparable keys of arrays of one type; keys of one are comparable with those of another.
///
/// # Errors
/// When the type has no order.
pub(crate) fn keys_of<const N: usize>(arrays: [&ArrayRef; N]) -> Result<[Rows; N]> {
    let data_type = arrays
        .first()
        .map_or(DataType::Null, |array| array.data_type().clone());
    let converter = RowConverter::new(vec![SortField::new(data_type)])?;
    let rows: Vec<Rows> = arrays
        .iter()
        .map(|array| Ok(converter.convert_columns(&[normalized(array)])?))
        .collect::<Result<_>>()?;
    rows.try_into()
        .map_err(|_| datafusion::error::DataFusionError::Internal("keys were lost".to_owned()))
}

/// Makes comparable keys of one array.
///
/// # Errors
/// As [`keys_of`].
pub(crate) fn keys(array: &ArrayRef) -> Result<Rows> {
    let converter = RowConverter::new(vec![SortField::new(array.data_type().clone())])?;
    Ok(converter.convert_columns(&[normalized(array)])?)
}

/// Makes numbers that are equal the same bytes.
fn normalized(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Float32 => numbers::<Float32Type>(array, |value| match value.is_nan() {
            true => f32::NAN,
            false => value + 0.0,
        }),
        DataType::Float64 => numbers::<Float64Type>(array, |value| match value.is_nan() {
            true => f64::NAN,
            false => value + 0.0,
        }),
        DataType::List(item) => {
            let list = array.as_list::<i32>();
            let values = normalized(list.values());
            match ListArray::try_new(
                Arc::clone(item),
                list.offsets().clone(),
                values,
                list.nulls().cloned(),
            ) {
                Ok(list) => Arc::new(list),
                Err(_) => Arc::clone(array),
            }
        }
        DataType::Struct(fields) if !fields.is_empty() => {
            let columns = array.as_struct();
            let values = columns.columns().iter().map(normalized).collect();
            match StructArray::try_new(fields.clone(), values, columns.nulls().cloned()) {
                Ok(columns) => Arc::new(columns),
                Err(_) => Arc::clone(array),
            }
        }
        _ => Arc::clone(array),
    }
}

fn numbers<T: ArrowPrimitiveType>(array: &ArrayRef, change: impl Fn(T::Native) -> T::Native) -> ArrayRef {
    let changed: PrimitiveArray<T> = array.as_primitive::<T>().unary(change);
    Arc::new(changed)
}
