//! How large the values may be that one call makes for a batch of rows.
//!
//! Arguments say how long a text or an array is to be, and a statement cannot be stopped within a call. So what a call is
//! going to make is counted before memory is taken for it, and what cannot be counted beforehand is counted as it is
//! written. Spark bounds arrays by what Java's hold, two thousand million items, and leaves memory to the user.
//! Source: Spark, `COLLECTION_SIZE_LIMIT_EXCEEDED`.

use std::fmt;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder, UInt32Array};
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::scalar::ScalarValue;

use crate::error::condition;

/// Bytes that one call makes for a batch, at most: half of what offsets of 32 bits count, so that a value may double.
pub(crate) const BYTES_MAX: usize = 512 << 20;

/// Returns the condition of a call that would make more.
pub(crate) fn too_large() -> DataFusionError {
    condition(
        "COLLECTION_SIZE_LIMIT_EXCEEDED.FUNCTION",
        "54000",
        format!("a function makes no more than {BYTES_MAX} bytes of the values of a batch of rows"),
    )
}

/// The bytes that a call may still make.
#[derive(Debug)]
pub(crate) struct Room {
    left: usize,
}

impl Room {
    pub fn new() -> Self {
        Self { left: BYTES_MAX }
    }

    /// Takes room for `count` items of `bytes` each.
    ///
    /// # Errors
    /// `COLLECTION_SIZE_LIMIT_EXCEEDED.FUNCTION`.
    pub fn take(&mut self, count: usize, bytes: usize) -> Result<()> {
        let left = count
            .checked_mul(bytes)
            .and_then(|bytes| self.left.checked_sub(bytes));
        self.left = left.ok_or_else(too_large)?;
        Ok(())
    }
}

/// Bytes of a column of one value, at most: what offsets of 32 bits count.
const REPEATED_BYTES_MAX: usize = i32::MAX as usize;

/// Checks that a value can be repeated for so many rows.
///
/// # Errors
/// `COLLECTION_SIZE_LIMIT_EXCEEDED.FUNCTION`.
pub(crate) fn check_repeated(value: &ScalarValue, rows: usize) -> Result<()> {
    match rows > 1 && value.size().saturating_mul(rows) > REPEATED_BYTES_MAX {
        true => Err(too_large()),
        false => Ok(()),
    }
}

/// Returns a value as a column of so many rows, for which Arrow panics where it is too large.
///
/// # Errors
/// As [`check_repeated`].
pub(crate) fn column(value: &ColumnarValue, rows: usize) -> Result<ArrayRef> {
    if let ColumnarValue::Scalar(value) = value {
        check_repeated(value, rows)?;
    }
    value.to_array(rows)
}

/// Checks that there is room for the values of these rows of an array, each as often as it is named.
///
/// # Errors
/// `COLLECTION_SIZE_LIMIT_EXCEEDED.FUNCTION`.
pub(crate) fn check_taken(array: &ArrayRef, rows: &UInt32Array) -> Result<()> {
    let mut room = Room::new();
    if let Some(width) = array.data_type().primitive_width() {
        return room.take(rows.len(), width);
    }
    let sizes: Vec<usize> = (0..array.len()).map(|row| bytes_of(array, row)).collect();
    let largest = sizes.iter().copied().max().unwrap_or(0);
    if largest.saturating_mul(rows.len()) <= BYTES_MAX {
        return Ok(());
    }
    rows.values().iter().try_for_each(|row| {
        let bytes = sizes.get(*row as usize).copied().unwrap_or(0);
        room.take(1, bytes)
    })
}

/// Returns about how many bytes the value of a row takes.
pub(crate) fn bytes_of(array: &ArrayRef, row: usize) -> usize {
    let offsets = |offsets: &[i32]| match offsets.get(row..row + 2) {
        Some([start, end]) => usize::try_from(end - start).unwrap_or(0),
        _ => 0,
    };
    match array.data_type() {
        DataType::Utf8 => offsets(array.as_string::<i32>().value_offsets()),
        DataType::Binary => offsets(array.as_binary::<i32>().value_offsets()),
        other => match other.primitive_width() {
            Some(width) => width,
            None => {
                let value = array.slice(row, 1).to_data();
                value.get_slice_memory_size().unwrap_or(BYTES_MAX)
            }
        },
    }
}

/// The texts of a batch as they are written. What is more than there is room for is not.
#[derive(Debug)]
pub(crate) struct Texts {
    texts: StringBuilder,
    full: bool,
}

impl Texts {
    pub fn new(rows: usize) -> Self {
        Self {
            texts: StringBuilder::with_capacity(rows, rows * 16),
            full: false,
        }
    }

    /// Checks that there is room for `count` pieces of `bytes` each, before they are written.
    ///
    /// # Errors
    /// `COLLECTION_SIZE_LIMIT_EXCEEDED.FUNCTION`.
    pub fn reserve(&mut self, count: usize, bytes: usize) -> Result<()> {
        let left = BYTES_MAX.saturating_sub(self.texts.values_slice().len());
        match count.checked_mul(bytes) {
            Some(bytes) if bytes <= left => Ok(()),
            _ => Err(too_large()),
        }
    }

    /// Ends the text of a row; what is written of it is dropped when it is null.
    ///
    /// # Errors
    /// `COLLECTION_SIZE_LIMIT_EXCEEDED.FUNCTION`.
    pub fn end(&mut self, valid: bool) -> Result<()> {
        if self.full {
            return Err(too_large());
        }
        match valid {
            true => self.texts.append_value(""),
            false => self.texts.append_null(),
        }
        Ok(())
    }

    pub fn finish(mut self) -> StringArray {
        self.texts.finish()
    }
}

impl fmt::Write for Texts {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let written = self.texts.values_slice().len();
        if self.full || written + text.len() > BYTES_MAX {
            self.full = true;
            return Err(fmt::Error);
        }
        self.texts.write_str(text)
    }
}
