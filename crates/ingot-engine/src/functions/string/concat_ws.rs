//! `concat_ws(separator[, x, …])`: texts, and those of arrays, joined; nulls are left out.
//!
//! Source: Spark, `ConcatWs`.

use std::fmt::Write as _;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType::{self, Utf8};
use datafusion::error::Result;

use crate::functions::arguments::{count, over_arrays};
use crate::functions::collection::{item_type, items_at, list_of};
use crate::functions::function::{Function, Returns};
use crate::functions::room::Texts;
use crate::functions::rows::{text_at, texts};

pub(super) fn function() -> Function {
    Function::pure("concat_ws", types, Returns::Always(Utf8), |arguments| {
        over_arrays(arguments, joined)
    })
}

fn types(types: &[DataType]) -> Result<Vec<DataType>> {
    count("concat_ws", types, 1, usize::MAX)?;
    let wanted = types.iter().enumerate().map(|(place, given)| match given {
        list if place > 0 && list.is_nested() && item_type(list).is_some() => list_of(Utf8),
        _ => Utf8,
    });
    Ok(wanted.collect())
}

fn joined(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let separators = text_at(arrays, 0)?;
    let parts = arrays.get(1..).unwrap_or_default();
    // Only a null separator makes the result null.
    texts(arrays.get(..1).unwrap_or_default(), |row, out| {
        let mut joining = Joining {
            separator: separators.value(row),
            begun: false,
        };
        for part in parts.iter().filter(|part| part.is_valid(row)) {
            match (part.as_string_opt::<i32>(), part.as_list_opt::<i32>()) {
                (Some(values), _) => joining.add(values.value(row), out),
                (None, Some(lists)) => {
                    let values = lists.values().as_string::<i32>();
                    let places = items_at(lists, row).unwrap_or_default();
                    let mut places = places.filter(|place| values.is_valid(*place));
                    let separators = places.clone().count().saturating_sub(1);
                    out.reserve(separators, joining.separator.len())?;
                    places.all(|place| joining.add(values.value(place), out))
                }
                (None, None) => false,
            };
        }
        Ok(true)
    })
}

struct Joining<'a> {
    separator: &'a str,
    begun: bool,
}

impl Joining<'_> {
    /// Writes a text, and says if there is room for more.
    fn add(&mut self, text: &str, out: &mut Texts) -> bool {
        let separator = if self.begun { self.separator } else { "" };
        self.begun = true;
        out.write_str(separator)
            .and_then(|()| out.write_str(text))
            .is_ok()
    }
}
