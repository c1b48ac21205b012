//! What functions of all values of a group have in common: they keep the values, and compute at the end.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, new_empty_array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{concat, filter, is_not_null};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};

/// The values of a group that are not null, in the pieces that they came in.
#[derive(Debug)]
pub(super) struct Collected {
    data_type: DataType,
    pieces: Vec<ArrayRef>,
}

impl Collected {
    pub fn new(data_type: DataType) -> Self {
        Self {
            data_type,
            pieces: Vec::new(),
        }
    }

    /// Adds those of `values` that are not null.
    pub fn add(&mut self, values: &ArrayRef) -> Result<()> {
        let kept = match values.null_count() {
            0 => Arc::clone(values),
            _ => filter(values, &is_not_null(values)?)?,
        };
        if !kept.is_empty() {
            self.pieces.push(kept);
        }
        Ok(())
    }

    /// Adds what [`Collected::state`] of another returned.
    pub fn merge(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(lists) = states.first().and_then(|lists| lists.as_list_opt::<i32>()) else {
            return Err(DataFusionError::Internal("a state is a list".to_owned()));
        };
        for values in lists.iter().flatten() {
            self.add(&values)?;
        }
        Ok(())
    }

    /// Returns all values in one array.
    pub fn values(&self) -> Result<ArrayRef> {
        let pieces: Vec<&dyn Array> = self.pieces.iter().map(AsRef::as_ref).collect();
        match pieces.is_empty() {
            true => Ok(new_empty_array(&self.data_type)),
            false => Ok(concat(&pieces)?),
        }
    }

    /// Returns the values as one list.
    pub fn state(&self) -> Result<Vec<ScalarValue>> {
        let values = self.values()?;
        let offsets = OffsetBuffer::from_lengths([values.len()]);
        let item = Arc::new(Field::new_list_field(self.data_type.clone(), true));
        let list = ListArray::try_new(item, offsets, values, None)?;
        Ok(vec![ScalarValue::List(Arc::new(list))])
    }

    pub fn size(&self) -> usize {
        size_of_val(self)
            + self
                .pieces
                .iter()
                .map(|piece| piece.get_array_memory_size())
                .sum::<usize>()
    }
}

/// Returns the field of the state of a function of values of a type.
pub(super) fn state_field(function: &str, data_type: &DataType) -> FieldRef {
    let list = DataType::List(Arc::new(Field::new_list_field(data_type.clone(), true)));
    Arc::new(Field::new(format!("{function}[values]"), list, true))
}
