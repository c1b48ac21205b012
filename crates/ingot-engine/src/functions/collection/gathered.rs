//! Arrays put together of items of other arrays.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, NullBufferBuilder, new_empty_array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{cast, interleave};
use arrow::datatypes::{DataType, Field};
use datafusion::error::Result;

use crate::error::condition;
use crate::functions::room::{Room, bytes_of, too_large};

/// Bytes of a place.
const PLACE_BYTES: usize = size_of::<(usize, usize)>();

/// Places of items, row by row. An item is named by the array that it is in and its place there.
pub(crate) struct Gathered {
    places: Vec<(usize, usize)>,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

/// What was gathered: how many items each row has, the nulls among the rows, and the items.
struct Rows {
    offsets: OffsetBuffer<i32>,
    nulls: Option<NullBuffer>,
    places: Vec<(usize, usize)>,
}

impl Gathered {
    pub fn new(rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self {
            places: Vec::new(),
            offsets,
            nulls: NullBufferBuilder::new(rows),
        }
    }

    /// Adds an item to the row that is being put together.
    pub fn push(&mut self, source: usize, place: usize) {
        self.places.push((source, place));
    }

    /// Adds an item many times.
    ///
    /// # Errors
    /// `COLLECTION_SIZE_LIMIT_EXCEEDED` when the places of all items take more than a call makes.
    pub fn repeat(&mut self, source: usize, place: usize, times: usize) -> Result<()> {
        let mut room = Room::new();
        room.take(self.places.len(), PLACE_BYTES)?;
        room.take(times, PLACE_BYTES)?;
        self.places.extend(std::iter::repeat_n((source, place), times));
        Ok(())
    }

    /// Adds items that lie next to each other.
    pub fn extend(&mut self, source: usize, places: impl IntoIterator<Item = usize>) {
        self.places
            .extend(places.into_iter().map(|place| (source, place)));
    }

    /// Ends a row.
    ///
    /// # Errors
    /// `COLLECTION_SIZE_LIMIT_EXCEEDED` when a batch has more items than an array may have.
    pub fn end(&mut self) -> Result<()> {
        self.end_as(true)
    }

    /// Ends a row that is null.
    ///
    /// # Errors
    /// As [`Self::end`].
    pub fn null(&mut self) -> Result<()> {
        self.end_as(false)
    }

    fn end_as(&mut self, valid: bool) -> Result<()> {
        let end = i32::try_from(self.places.len()).map_err(|_| {
            condition(
                "COLLECTION_SIZE_LIMIT_EXCEEDED.FUNCTION",
                "54000",
                format!("a batch of arrays has no more than {} items", i32::MAX),
            )
        })?;
        self.offsets.push(end);
        self.nulls.append(valid);
        Ok(())
    }

    /// Makes the arrays, of items of type `item`, each of which is in one of `sources`.
    ///
    /// # Errors
    /// When an item cannot be converted.
    pub fn finish(self, item: &DataType, sources: &[ArrayRef]) -> Result<ArrayRef> {
        let rows = self.rows();
        let values = picked(&rows.places, item, sources)?;
        let field = Arc::new(Field::new("element", item.clone(), true));
        Ok(Arc::new(ListArray::try_new(
            field,
            rows.offsets,
            values,
            rows.nulls,
        )?))
    }

    /// Makes maps of entries, each of which is named by its place in the keys and the values.
    ///
    /// # Errors
    /// `NULL_MAP_KEY`, `DUPLICATED_MAP_KEY`.
    pub fn finish_map(
        self,
        (key, value): (DataType, DataType),
        keys: &[ArrayRef],
        values: &[ArrayRef],
    ) -> Result<ArrayRef> {
        let rows = self.rows();
        let keys = picked(&rows.places, &key, keys)?;
        let values = picked(&rows.places, &value, values)?;
        super::maps::checked(keys, values, rows.offsets, rows.nulls)
    }

    /// Returns the places, for results of another shape.
    fn rows(mut self) -> Rows {
        Rows {
            offsets: OffsetBuffer::new(self.offsets.into()),
            nulls: self.nulls.finish(),
            places: self.places,
        }
    }
}

/// Takes items out of the arrays that they are in.
///
/// # Errors
/// When an item cannot be converted to `item`.
fn picked(places: &[(usize, usize)], item: &DataType, sources: &[ArrayRef]) -> Result<ArrayRef> {
    if places.is_empty() {
        return Ok(new_empty_array(item));
    }
    let sources: Vec<ArrayRef> = sources
        .iter()
        .map(|source| match source.data_type() == item {
            true => Ok(Arc::clone(source)),
            false => cast(source, item),
        })
        .collect::<Result<_, _>>()?;
    // Offsets of 32 bits have to count the bytes of all texts.
    if matches!(item, DataType::Utf8 | DataType::Binary) {
        let bytes = places.iter().map(|(source, place)| {
            let source = sources.get(*source);
            source.map_or(0, |source| bytes_of(source, *place))
        });
        if bytes.sum::<usize>() > i32::MAX as usize {
            return Err(too_large());
        }
    }
    let sources: Vec<&dyn Array> = sources.iter().map(AsRef::as_ref).collect();
    Ok(interleave(&sources, places)?)
}
