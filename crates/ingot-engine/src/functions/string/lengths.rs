//! `length`, `bit_length`, `octet_length`, `chr(n)`, and `elt(n, …)`.
//!
//! `length` counts the characters of text and the bytes of bytes. Source: Spark, `Length`, `Elt`.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType::{self, Binary, Int32, Int64, Utf8};
use arrow::datatypes::{Int32Type, Int64Type};
use datafusion::error::Result;

use crate::error::condition;
use crate::functions::arguments::{count, exact, over_arrays};
use crate::functions::function::{Function, Returns};
use crate::functions::rows::{Raw, raw_at, texts, value_at, values};

pub(super) fn functions() -> [Function; 5] {
    [
        Function::pure(
            "length",
            |types| raw("length", types),
            Returns::Always(Int32),
            |arguments| {
                over_arrays(arguments, |arrays| {
                    let text = matches!(raw_at(arrays, 0)?, Raw::Text(_));
                    measured(arrays, |value| match text {
                        // A byte that goes on a character is none of its own.
                        true => value.iter().filter(|byte| (**byte & 0xc0) != 0x80).count(),
                        false => value.len(),
                    })
                })
            },
        )
        .also(&["len", "char_length", "character_length"]),
        Function::pure(
            "octet_length",
            |types| raw("octet_length", types),
            Returns::Always(Int32),
            |arguments| over_arrays(arguments, |arrays| measured(arrays, <[u8]>::len)),
        ),
        Function::pure(
            "bit_length",
            |types| raw("bit_length", types),
            Returns::Always(Int32),
            |arguments| over_arrays(arguments, |arrays| measured(arrays, |value| value.len() * 8)),
        ),
        Function::pure(
            "chr",
            |types| exact("chr", types, &[Int64]),
            Returns::Always(Utf8),
            |arguments| over_arrays(arguments, characters),
        )
        .also(&["char"]),
        Function::pure(
            "elt",
            |types| {
                count("elt", types, 2, usize::MAX)?;
                Ok([Int32].into_iter().chain(vec![Utf8; types.len() - 1]).collect())
            },
            Returns::Always(Utf8),
            |arguments| over_arrays(arguments, chosen),
        ),
    ]
}

fn raw(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, 1, 1)?;
    let binary = types.iter().all(DataType::is_binary);
    Ok(vec![if binary { Binary } else { Utf8 }])
}

fn measured(arrays: &[ArrayRef], measure: impl Fn(&[u8]) -> usize) -> Result<ArrayRef> {
    let given = raw_at(arrays, 0)?;
    let measures = values::<Int32Type>(arrays, |row| {
        Ok(Some(i32::try_from(measure(given.value(row))).unwrap_or(i32::MAX)))
    })?;
    Ok(Arc::new(measures))
}

/// The character of the lowest eight bits; none for a number below zero. Source: Spark, `Chr`.
fn characters(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let codes = value_at::<Int64Type>(arrays, 0)?;
    texts(arrays, |row, out| {
        let [low, ..] = codes.value(row).to_le_bytes();
        Ok(codes.value(row) < 0 || out.write_char(char::from(low)).is_ok())
    })
}

/// Only what is chosen may make the result null.
fn chosen(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let places = value_at::<Int32Type>(arrays, 0)?;
    texts(arrays.get(..1).unwrap_or_default(), |row, out| {
        let place = usize::try_from(places.value(row)).unwrap_or(0);
        let array = match place {
            0 => None,
            place => arrays.get(place),
        };
        let Some(array) = array else {
            return Err(condition(
                "INVALID_ARRAY_INDEX",
                "22003",
                format!(
                    "the index {} is out of bounds: `elt` has {} values",
                    places.value(row),
                    arrays.len() - 1
                ),
            ));
        };
        let chosen = array.as_string_opt::<i32>().filter(|texts| texts.is_valid(row));
        Ok(chosen.is_some_and(|texts| out.write_str(texts.value(row)).is_ok()))
    })
}
