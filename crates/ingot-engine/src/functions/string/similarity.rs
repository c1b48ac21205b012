//! How alike texts are, and what is in them: `levenshtein`, `jaro_winkler_similarity`, `sentences`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, ListBuilder, StringBuilder};
use arrow::datatypes::DataType::{self, Float64, Int32, List, Utf8};
use arrow::datatypes::{Field, Float64Type, Int32Type};
use datafusion::error::Result;

use crate::functions::arguments::{exact, over_arrays, up_to};
use crate::functions::function::{Function, Returns};
use crate::functions::rows::{text_at, value_at, values};

pub(super) fn functions() -> [Function; 3] {
    [
        Function::pure(
            "levenshtein",
            |types| up_to("levenshtein", types, 2, &[Utf8, Utf8, Int32]),
            Returns::Always(Int32),
            |arguments| over_arrays(arguments, distances),
        ),
        Function::pure(
            "jaro_winkler_similarity",
            |types| exact("jaro_winkler_similarity", types, &[Utf8, Utf8]),
            Returns::Always(Float64),
            |arguments| {
                over_arrays(arguments, |arrays| {
                    let (left, right) = (text_at(arrays, 0)?, text_at(arrays, 1)?);
                    let found: Float64Array = values::<Float64Type>(arrays, |row| {
                        Ok(Some(strsim::jaro_winkler(left.value(row), right.value(row))))
                    })?;
                    Ok(Arc::new(found))
                })
            },
        ),
        Function::pure(
            "sentences",
            |types| up_to("sentences", types, 1, &[Utf8, Utf8, Utf8]),
            Returns::Always(list(list(Utf8))),
            |arguments| over_arrays(arguments, sentences),
        ),
    ]
}

fn list(item: DataType) -> DataType {
    List(Arc::new(Field::new("element", item, true)))
}

/// A distance over the limit is -1.
fn distances(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (left, right) = (text_at(arrays, 0)?, text_at(arrays, 1)?);
    let limits = arrays
        .get(2)
        .map(|_| value_at::<Int32Type>(arrays, 2))
        .transpose()?;
    let distances = values::<Int32Type>(arrays, |row| {
        let distance = strsim::levenshtein(left.value(row), right.value(row));
        let distance = i32::try_from(distance).unwrap_or(i32::MAX);
        let over = limits.is_some_and(|limits| distance > limits.value(row));
        Ok(Some(if over { -1 } else { distance }))
    })?;
    Ok(Arc::new(distances))
}

/// The words of each sentence, whatever the language.
fn sentences(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let given = text_at(arrays, 0)?;
    let words = ListBuilder::new(StringBuilder::new()).with_field(Field::new("element", Utf8, true));
    let mut all = ListBuilder::new(words).with_field(Field::new("element", list(Utf8), true));
    for text in given {
        let Some(text) = text else {
            all.append_null();
            continue;
        };
        for sentence in split_sentences(text) {
            let mut found = false;
            for word in sentence.split(|c: char| !(c.is_alphanumeric() || "'’_".contains(c))) {
                let word = word.trim_matches(['\'', '’']);
                if !word.is_empty() {
                    all.values().values().append_value(word);
                    found = true;
                }
            }
            if found {
                all.values().append(true);
            }
        }
        all.append(true);
    }
    Ok(Arc::new(all.finish()))
}

/// A sentence ends with `.`, `!` or `?` before a blank.
fn split_sentences(text: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let (mut start, mut ended) = (0, false);
    for (at, character) in text.char_indices() {
        if ended && character.is_whitespace() {
            sentences.extend(text.get(start..at));
            start = at;
        }
        ended = ".!?。！？".contains(character) || (ended && "\"')]".contains(character));
    }
    sentences.extend(text.get(start..));
    sentences
}
