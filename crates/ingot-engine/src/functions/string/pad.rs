//! `lpad(x, length[, pad])`, `rpad`: text or bytes filled up, or cut, to a length.
//!
//! Without `pad`, text is filled with spaces and bytes with zeros; an empty one fills nothing. Source: Spark,
//! `UTF8String.lpad`, `ByteArray.lpad`.

use std::fmt::Write as _;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::DataType::{self, Binary, Int32, Utf8};
use arrow::datatypes::Int32Type;
use datafusion::error::Result;

use crate::functions::arguments::{count, over_arrays};
use crate::functions::function::{Function, Returns};
use crate::functions::room::Room;
use crate::functions::rows::{bytes, bytes_at, text_at, texts, value_at};

pub(super) fn functions() -> [Function; 2] {
    [
        Function::pure(
            "lpad",
            |types| arguments("lpad", types),
            Returns::Of(|types| Ok(types.first().cloned().unwrap_or(Utf8))),
            |arguments| over_arrays(arguments, |arrays| padded(arrays, Side::Left)),
        ),
        Function::pure(
            "rpad",
            |types| arguments("rpad", types),
            Returns::Of(|types| Ok(types.first().cloned().unwrap_or(Utf8))),
            |arguments| over_arrays(arguments, |arrays| padded(arrays, Side::Right)),
        ),
    ]
}

#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

fn arguments(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, 2, 3)?;
    let binary =
        types.first().is_some_and(DataType::is_binary) && types.get(2).is_none_or(DataType::is_binary);
    let kind = if binary { Binary } else { Utf8 };
    Ok([kind.clone(), Int32, kind]
        .into_iter()
        .take(types.len())
        .collect())
}

fn padded(arrays: &[ArrayRef], side: Side) -> Result<ArrayRef> {
    let lengths = value_at::<Int32Type>(arrays, 1)?;
    let length = |row: usize| usize::try_from(lengths.value(row)).unwrap_or(0);
    if arrays
        .first()
        .is_some_and(|array| array.as_binary_opt::<i32>().is_some())
    {
        let (values, pads) = (
            bytes_at(arrays, 0)?,
            arrays.get(2).map(|_| bytes_at(arrays, 2)).transpose()?,
        );
        let mut room = Room::new();
        return bytes(arrays, |row, out| {
            let pad = pads.map_or(&[0_u8][..], |pads| pads.value(row));
            let (value, length) = (values.value(row), length(row));
            let missing = length.saturating_sub(value.len());
            room.take(if pad.is_empty() { 0 } else { missing }, 1)?;
            let filling = pad
                .iter()
                .copied()
                .cycle()
                .take(if pad.is_empty() { 0 } else { missing });
            let kept = value.iter().copied().take(length);
            match side {
                Side::Left => out.extend(filling.chain(kept)),
                Side::Right => out.extend(kept.chain(filling)),
            }
            Ok(true)
        });
    }
    let (values, pads) = (
        text_at(arrays, 0)?,
        arrays.get(2).map(|_| text_at(arrays, 2)).transpose()?,
    );
    texts(arrays, |row, out| {
        let pad = pads.map_or(" ", |pads| pads.value(row));
        let (value, length) = (values.value(row), length(row));
        let missing = length.saturating_sub(value.chars().count());
        let pads = missing / pad.chars().count().max(1);
        out.reserve(pads, pad.len())?;
        let filling = pad.chars().cycle().take(if pad.is_empty() { 0 } else { missing });
        let kept = value.chars().take(length);
        let mut write = |character| out.write_char(character).is_ok();
        Ok(match side {
            Side::Left => filling.chain(kept).all(&mut write),
            Side::Right => kept.chain(filling).all(&mut write),
        })
    })
}
