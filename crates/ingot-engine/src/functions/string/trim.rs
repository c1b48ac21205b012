//! `trim`, `ltrim`, `rtrim`, `btrim`: text without the blanks, or the characters given, at its ends.
//!
//! The characters stand first in `ltrim(chars, text)` and `rtrim`, and last in `btrim(text, chars)`; a blank is the space
//! and nothing else. Source: Spark, `StringTrimLeft`, `StringTrimBoth`.

use std::fmt::Write as _;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType::Utf8;
use datafusion::error::Result;

use crate::functions::arguments::{over_arrays, up_to};
use crate::functions::function::{Function, Returns};
use crate::functions::rows::{text_at, texts};

pub(super) fn functions() -> [Function; 4] {
    let text = || Returns::Always(Utf8);
    [
        Function::pure(
            "trim",
            |types| up_to("trim", types, 1, &[Utf8, Utf8]),
            text(),
            |arguments| over_arrays(arguments, |arrays| trimmed(arrays, Place::First, Side::Both)),
        ),
        Function::pure(
            "btrim",
            |types| up_to("btrim", types, 1, &[Utf8, Utf8]),
            text(),
            |arguments| over_arrays(arguments, |arrays| trimmed(arrays, Place::Last, Side::Both)),
        ),
        Function::pure(
            "ltrim",
            |types| up_to("ltrim", types, 1, &[Utf8, Utf8]),
            text(),
            |arguments| over_arrays(arguments, |arrays| trimmed(arrays, Place::First, Side::Left)),
        ),
        Function::pure(
            "rtrim",
            |types| up_to("rtrim", types, 1, &[Utf8, Utf8]),
            text(),
            |arguments| over_arrays(arguments, |arrays| trimmed(arrays, Place::First, Side::Right)),
        ),
    ]
}

/// Where the characters stand among the arguments.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    First,
    Last,
}

#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
    Both,
}

fn trimmed(arrays: &[ArrayRef], place: Place, side: Side) -> Result<ArrayRef> {
    let (text, characters) = match (arrays.len(), place) {
        (1, _) => (text_at(arrays, 0)?, None),
        (_, Place::First) => (text_at(arrays, 1)?, Some(text_at(arrays, 0)?)),
        (_, Place::Last) => (text_at(arrays, 0)?, Some(text_at(arrays, 1)?)),
    };
    texts(arrays, |row, out| {
        let characters = characters.map_or(" ", |characters| characters.value(row));
        let unwanted = |character: char| characters.contains(character);
        let text = text.value(row);
        let kept = match side {
            Side::Left => text.trim_start_matches(unwanted),
            Side::Right => text.trim_end_matches(unwanted),
            Side::Both => text.trim_matches(unwanted),
        };
        Ok(out.write_str(kept).is_ok())
    })
}
