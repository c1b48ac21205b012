//! `upper`, `lower`, `initcap`: text in other letters. `initcap` makes the first letter of each word, as spaces part
//! them, a capital and the others small. Source: Spark, `Upper`, `UTF8String.toTitleCase`.

use std::fmt::Write as _;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType::Utf8;
use datafusion::error::Result;

use crate::functions::arguments::{exact, over_arrays};
use crate::functions::function::{Function, Returns};
use crate::functions::room::Texts;
use crate::functions::rows::{text_at, texts};

pub(super) fn functions() -> [Function; 3] {
    [
        Function::pure(
            "upper",
            |types| exact("upper", types, &[Utf8]),
            Returns::Always(Utf8),
            |arguments| datafusion::functions::string::upper().invoke_with_args(arguments.clone()),
        )
        .also(&["ucase"]),
        Function::pure(
            "lower",
            |types| exact("lower", types, &[Utf8]),
            Returns::Always(Utf8),
            |arguments| datafusion::functions::string::lower().invoke_with_args(arguments.clone()),
        )
        .also(&["lcase"]),
        Function::pure(
            "initcap",
            |types| exact("initcap", types, &[Utf8]),
            Returns::Always(Utf8),
            |arguments| over_arrays(arguments, |arrays| written(arrays, initial_capitals)),
        ),
    ]
}

fn written(
    arrays: &[ArrayRef],
    mut write: impl FnMut(&str, &mut Texts) -> std::fmt::Result,
) -> Result<ArrayRef> {
    let text = text_at(arrays, 0)?;
    texts(arrays, |row, out| Ok(write(text.value(row), out).is_ok()))
}

fn initial_capitals(text: &str, out: &mut Texts) -> std::fmt::Result {
    let mut before = ' ';
    for letter in text.to_lowercase().chars() {
        match before {
            ' ' => letter
                .to_uppercase()
                .try_for_each(|letter| out.write_char(letter))?,
            _ => out.write_char(letter)?,
        }
        before = letter;
    }
    Ok(())
}
