//! Texts made of one by the letter: `replace`, `translate`, `repeat`, `space`, `mask`, `quote`.
//!
//! Source: Spark, `StringReplace`, `StringTranslate`, `StringRepeat`, `StringSpace`, `Mask`, `Quote`.

use std::fmt::Write as _;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::DataType::{self, Int32, Utf8};
use arrow::datatypes::Int32Type;
use datafusion::error::Result;

use crate::functions::arguments::{count, exact, over_arrays, up_to};
use crate::functions::function::{Function, Returns};
use crate::functions::rows::{text_at, texts, value_at};

pub(super) fn functions() -> Vec<Function> {
    let text = || Returns::Always(Utf8);
    vec![
        Function::pure(
            "replace",
            |types| up_to("replace", types, 2, &[Utf8, Utf8, Utf8]),
            text(),
            |arguments| over_arrays(arguments, replaced),
        ),
        Function::pure(
            "translate",
            |types| exact("translate", types, &[Utf8, Utf8, Utf8]),
            text(),
            |arguments| over_arrays(arguments, translated),
        ),
        Function::pure(
            "repeat",
            |types| exact("repeat", types, &[Utf8, Int32]),
            text(),
            |arguments| over_arrays(arguments, repeated),
        ),
        Function::pure(
            "space",
            |types| exact("space", types, &[Int32]),
            text(),
            |arguments| over_arrays(arguments, spaces),
        ),
        Function::pure("mask", mask_types, text(), |arguments| {
            over_arrays(arguments, masked)
        }),
        Function::pure(
            "quote",
            |types| exact("quote", types, &[Utf8]),
            text(),
            |arguments| over_arrays(arguments, quoted),
        ),
    ]
}

fn mask_types(types: &[DataType]) -> Result<Vec<DataType>> {
    count("mask", types, 1, 5)?;
    Ok(vec![Utf8; types.len()])
}

/// An empty text to look for is found nowhere.
fn replaced(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (values, searched) = (text_at(arrays, 0)?, text_at(arrays, 1)?);
    let puts = arrays.get(2).map(|_| text_at(arrays, 2)).transpose()?;
    texts(arrays, |row, out| {
        let (value, part) = (values.value(row), searched.value(row));
        if part.is_empty() {
            return Ok(out.write_str(value).is_ok());
        }
        let put = puts.map_or("", |puts| puts.value(row));
        if put.len() > part.len() {
            out.reserve(value.matches(part).count(), put.len())?;
        }
        let mut written = Ok(());
        for (nth, rest) in value.split(part).enumerate() {
            if nth > 0 {
                written = written.and_then(|()| out.write_str(put));
            }
            written = written.and_then(|()| out.write_str(rest));
        }
        Ok(written.is_ok())
    })
}

/// Characters without a counterpart are left out; the first place of a character counts.
fn translated(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (values, from, to) = (text_at(arrays, 0)?, text_at(arrays, 1)?, text_at(arrays, 2)?);
    texts(arrays, |row, out| {
        let (from, to) = (from.value(row), to.value(row));
        for character in values.value(row).chars() {
            let put = match from.chars().position(|other| other == character) {
                Some(place) => to.chars().nth(place),
                None => Some(character),
            };
            put.map_or(Ok(()), |put| out.write_char(put)).unwrap_or_default();
        }
        Ok(true)
    })
}

fn repeated(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (values, counts) = (text_at(arrays, 0)?, value_at::<Int32Type>(arrays, 1)?);
    texts(arrays, |row, out| {
        let times = usize::try_from(counts.value(row)).unwrap_or(0);
        out.reserve(times, values.value(row).len())?;
        let text = if values.value(row).is_empty() {
            0..0
        } else {
            0..times
        };
        Ok(text.into_iter().all(|_| out.write_str(values.value(row)).is_ok()))
    })
}

fn spaces(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let counts = value_at::<Int32Type>(arrays, 0)?;
    texts(arrays, |row, out| {
        let times = usize::try_from(counts.value(row)).unwrap_or(0);
        out.reserve(times, 1)?;
        Ok((0..times).all(|_| out.write_char(' ').is_ok()))
    })
}

/// What stands for a capital, a small letter, a digit and another character; null leaves them as they are.
fn masked(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let values = text_at(arrays, 0)?;
    let puts: Vec<Option<&StringArray>> = (1..5)
        .map(|place| arrays.get(place).and_then(|array| array.as_string_opt::<i32>()))
        .collect();
    let defaults = [Some('X'), Some('x'), Some('n'), None];
    let put = |class: usize, row: usize| match puts.get(class).copied().flatten() {
        Some(puts) if puts.is_null(row) => None,
        Some(puts) => puts.value(row).chars().next(),
        None => defaults.get(class).copied().flatten(),
    };
    // Only a null value makes the result null.
    texts(arrays.get(..1).unwrap_or_default(), |row, out| {
        Ok(values.value(row).chars().all(|character| {
            let class = match character {
                character if character.is_uppercase() => 0,
                character if character.is_lowercase() => 1,
                character if character.is_numeric() => 2,
                _ => 3,
            };
            out.write_char(put(class, row).unwrap_or(character)).is_ok()
        }))
    })
}

fn quoted(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let values = text_at(arrays, 0)?;
    texts(arrays, |row, out| {
        Ok(write!(out, "'{}'", values.value(row).replace('\'', "\\'")).is_ok())
    })
}
