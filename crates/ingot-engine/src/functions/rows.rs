//! Computations row by row: a row with a null argument gives null, and nothing is computed for it.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, BinaryBuilder, BooleanArray, PrimitiveArray,
    StringArray,
};
use arrow::buffer::NullBuffer;
use datafusion::error::{DataFusionError, Result};

use super::room::{Room, Texts};

/// Says of each row if no argument is null; `None` when none is.
fn valid(arrays: &[ArrayRef]) -> Option<NullBuffer> {
    let nulls: Vec<Option<NullBuffer>> = arrays.iter().map(|array| array.logical_nulls()).collect();
    nulls.iter().fold(None, |union, nulls| {
        NullBuffer::union(union.as_ref(), nulls.as_ref())
    })
}

fn rows(arrays: &[ArrayRef]) -> usize {
    arrays.first().map_or(1, |array| array.len())
}

fn is_valid(nulls: &Option<NullBuffer>, row: usize) -> bool {
    nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row))
}

/// Makes texts: `write` writes that of a row, and says if there is one.
///
/// # Errors
/// Those of `write`, and `COLLECTION_SIZE_LIMIT_EXCEEDED` for more than a call makes.
pub(crate) fn texts(
    arrays: &[ArrayRef],
    mut write: impl FnMut(usize, &mut Texts) -> Result<bool>,
) -> Result<ArrayRef> {
    let (nulls, rows) = (valid(arrays), rows(arrays));
    let mut texts = Texts::new(rows);
    for row in 0..rows {
        let valid = is_valid(&nulls, row) && write(row, &mut texts)?;
        texts.end(valid)?;
    }
    Ok(Arc::new(texts.finish()))
}

/// Makes bytes, as [`texts`] makes texts.
///
/// # Errors
/// Those of `write`.
pub(crate) fn bytes(
    arrays: &[ArrayRef],
    mut write: impl FnMut(usize, &mut Vec<u8>) -> Result<bool>,
) -> Result<ArrayRef> {
    let (nulls, rows) = (valid(arrays), rows(arrays));
    let mut all = BinaryBuilder::with_capacity(rows, rows * 16);
    let mut room = Room::new();
    let mut one = Vec::new();
    for row in 0..rows {
        one.clear();
        match is_valid(&nulls, row) && write(row, &mut one)? {
            true => {
                room.take(1, one.len())?;
                all.append_value(&one);
            }
            false => all.append_null(),
        }
    }
    Ok(Arc::new(all.finish()))
}

/// Makes numbers, dates or instants.
///
/// # Errors
/// Those of `compute`.
pub(crate) fn values<T: ArrowPrimitiveType>(
    arrays: &[ArrayRef],
    mut compute: impl FnMut(usize) -> Result<Option<T::Native>>,
) -> Result<PrimitiveArray<T>> {
    let nulls = valid(arrays);
    (0..rows(arrays))
        .map(|row| match is_valid(&nulls, row) {
            true => compute(row),
            false => Ok(None),
        })
        .collect()
}

/// Makes truth values.
///
/// # Errors
/// Those of `compute`.
pub(crate) fn truths(
    arrays: &[ArrayRef],
    mut compute: impl FnMut(usize) -> Result<Option<bool>>,
) -> Result<ArrayRef> {
    let nulls = valid(arrays);
    let truths: BooleanArray = (0..rows(arrays))
        .map(|row| match is_valid(&nulls, row) {
            true => compute(row),
            false => Ok(None),
        })
        .collect::<Result<_>>()?;
    Ok(Arc::new(truths))
}

fn at(arrays: &[ArrayRef], place: usize) -> Result<&ArrayRef> {
    arrays
        .get(place)
        .ok_or_else(|| DataFusionError::Internal(format!("no argument {place}")))
}

fn other(array: &ArrayRef) -> DataFusionError {
    DataFusionError::Internal(format!("an argument is {}", array.data_type()))
}

/// Returns the argument at `place`, from 0, which was converted to STRING.
///
/// # Errors
/// `Internal` when it was not.
pub(crate) fn text_at(arrays: &[ArrayRef], place: usize) -> Result<&StringArray> {
    let array = at(arrays, place)?;
    array.as_string_opt::<i32>().ok_or_else(|| other(array))
}

/// Returns the argument at `place`, which was converted to BINARY.
///
/// # Errors
/// `Internal` when it was not.
pub(crate) fn bytes_at(arrays: &[ArrayRef], place: usize) -> Result<&BinaryArray> {
    let array = at(arrays, place)?;
    array.as_binary_opt::<i32>().ok_or_else(|| other(array))
}

/// Returns the argument at `place`, which was converted to BOOLEAN.
///
/// # Errors
/// `Internal` when it was not.
pub(crate) fn truth_at(arrays: &[ArrayRef], place: usize) -> Result<&BooleanArray> {
    let array = at(arrays, place)?;
    array.as_boolean_opt().ok_or_else(|| other(array))
}

/// Returns the argument at `place`, which was converted to the type `T`.
///
/// # Errors
/// `Internal` when it was not.
pub(crate) fn value_at<T: ArrowPrimitiveType>(
    arrays: &[ArrayRef],
    place: usize,
) -> Result<&PrimitiveArray<T>> {
    let array = at(arrays, place)?;
    array.as_primitive_opt::<T>().ok_or_else(|| other(array))
}

/// Returns the argument at `place` as the bytes of its values, which are STRING or BINARY.
///
/// # Errors
/// `Internal` when it is neither.
pub(crate) fn raw_at(arrays: &[ArrayRef], place: usize) -> Result<Raw<'_>> {
    let array = at(arrays, place)?;
    match (array.as_string_opt::<i32>(), array.as_binary_opt::<i32>()) {
        (Some(texts), _) => Ok(Raw::Text(texts)),
        (_, Some(bytes)) => Ok(Raw::Bytes(bytes)),
        _ => Err(other(array)),
    }
}

/// STRING or BINARY.
pub(crate) enum Raw<'a> {
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
}

impl<'a> Raw<'a> {
    pub fn value(&self, row: usize) -> &'a [u8] {
        match self {
            Self::Text(texts) => texts.value(row).as_bytes(),
            Self::Bytes(bytes) => bytes.value(row),
        }
    }
}
