//! Which values theta sketches take, and how they are hashed. Source: Spark, `ThetaSketchAgg.update`; DataSketches,
//! `UpdateSketch`.

use arrow::array::{ArrayRef, AsArray, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float32Type, Float64Type, Int32Type, Int64Type};
use datafusion::error::Result;
use datasketches::hash::value::{canonical_float, raw_bytes};
use datasketches::theta::ThetaSketch;

use super::super::expected;
use crate::functions::arguments::count;
use crate::functions::collection::{item_type, list_of};

const VALUES: [DataType; 6] = [
    DataType::Int32,
    DataType::Int64,
    DataType::Float32,
    DataType::Float64,
    DataType::Utf8,
    DataType::Binary,
];

/// Takes a value or an array of whole numbers, and a size.
///
/// # Errors
/// `WRONG_NUM_ARGS`, `DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE`.
pub(super) fn arguments(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, 1, 2)?;
    let wanted: [&[DataType]; 2] = [&VALUES, &[DataType::Int32]];
    let list = types.first().filter(|list| list.is_list());
    let Some(item @ (DataType::Int32 | DataType::Int64)) = list.and_then(item_type) else {
        return expected(function, types, 1, &wanted);
    };
    // What is after the array is taken as it is after another value.
    let others = types.iter().skip(1).cloned();
    let like: Vec<DataType> = std::iter::once(item.clone()).chain(others).collect();
    let mut converted = expected(function, &like, 1, &wanted)?;
    if let Some(first) = converted.first_mut() {
        *first = list_of(item);
    }
    Ok(converted)
}

/// Adds the values of a column; empty texts, binaries and arrays are none.
///
/// # Errors
/// None: the column is of a type that [`arguments`] said.
pub(super) fn update(sketch: &mut ThetaSketch, column: &ArrayRef) -> Result<()> {
    match column.data_type() {
        DataType::Int32 => {
            let values = column.as_primitive::<Int32Type>().iter().flatten();
            values.for_each(|value| sketch.update(i64::from(value)));
        }
        DataType::Int64 => {
            let values = column.as_primitive::<Int64Type>().iter().flatten();
            values.for_each(|value| sketch.update(value));
        }
        DataType::Float32 => {
            let values = column.as_primitive::<Float32Type>().iter().flatten();
            values.for_each(|value| sketch.update(canonical_float::from_f64(f64::from(value))));
        }
        DataType::Float64 => {
            let values = column.as_primitive::<Float64Type>().iter().flatten();
            values.for_each(|value| sketch.update(canonical_float::from_f64(value)));
        }
        DataType::Utf8 => {
            let values = column.as_string::<i32>().iter().flatten();
            let values = values.filter(|value| !value.is_empty());
            values.for_each(|value| sketch.update(raw_bytes::from_str(value)));
        }
        DataType::Binary => {
            let values = column.as_binary::<i32>().iter().flatten();
            let values = values.filter(|value| !value.is_empty());
            values.for_each(|value| sketch.update(raw_bytes::from_slice(value)));
        }
        _ => {
            for list in column.as_list::<i32>().iter().flatten() {
                // A null among numbers is what Spark keeps in its place, which is zero.
                let bytes = match list.data_type() {
                    DataType::Int32 => bytes_of::<Int32Type>(&list, |value| value.to_le_bytes().to_vec()),
                    _ => {
                        let list = cast(&list, &DataType::Int64)?;
                        bytes_of::<Int64Type>(&list, |value| value.to_le_bytes().to_vec())
                    }
                };
                if !bytes.is_empty() {
                    sketch.update(raw_bytes::from_slice(&bytes));
                }
            }
        }
    }
    Ok(())
}

fn bytes_of<T: ArrowPrimitiveType>(list: &ArrayRef, bytes: impl Fn(T::Native) -> Vec<u8>) -> Vec<u8> {
    let values: &PrimitiveArray<T> = list.as_primitive();
    let values = values.iter().map(Option::unwrap_or_default);
    values.flat_map(bytes).collect()
}
