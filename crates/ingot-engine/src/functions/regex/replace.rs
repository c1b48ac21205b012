//! `regexp_replace(text, pattern, replacement[, position])`: every match from a place on, replaced.
//!
//! In the replacement, `$1` and `${name}` stand for groups and `\` quotes. Source: Spark, `RegExpReplace`; Java,
//! `Matcher.appendReplacement`.

use std::fmt::Write as _;
use std::ops::Range;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType::{Int32, Utf8};
use arrow::datatypes::Int32Type;
use datafusion::error::{DataFusionError, Result};

use super::pattern::{Groups, Pattern, Patterns, after};
use crate::error::condition;
use crate::functions::arguments::{over_arrays, up_to};
use crate::functions::function::{Function, Returns};
use crate::functions::room::Texts;
use crate::functions::rows::{text_at, texts, value_at};

pub(super) fn function() -> Function {
    Function::pure(
        "regexp_replace",
        |types| up_to("regexp_replace", types, 3, &[Utf8, Utf8, Utf8, Int32]),
        Returns::Always(Utf8),
        |arguments| over_arrays(arguments, replaced),
    )
}

fn replaced(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (values, patterns, puts) = (text_at(arrays, 0)?, text_at(arrays, 1)?, text_at(arrays, 2)?);
    let positions = arrays
        .get(3)
        .map(|_| value_at::<Int32Type>(arrays, 3))
        .transpose()?;
    let mut read = Patterns::new("regexp_replace");
    texts(arrays, |row, out| {
        let value = values.value(row);
        let pattern = read.get(patterns.value(row))?;
        let pieces = pieces(puts.value(row), pattern)?;
        let position = positions.map_or(1, |positions| positions.value(row));
        let skipped = usize::try_from(i64::from(position) - 1).unwrap_or(usize::MAX);
        match value.char_indices().nth(skipped) {
            Some((from, _)) => replace(value, from, pattern, &pieces, out),
            None if skipped == 0 => replace(value, 0, pattern, &pieces, out),
            None => Ok(out.write_str(value).is_ok()),
        }
    })
}

/// A piece of a replacement.
#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    Group(usize),
}

/// Reads a replacement.
fn pieces(replacement: &str, pattern: &Pattern) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = replacement.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\\' => text.push(rest.next().ok_or_else(|| illegal(replacement))?),
            '$' => {
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                let group = match rest.next_if_eq(&'{') {
                    Some(_) => {
                        let name: String = rest.by_ref().take_while(|character| *character != '}').collect();
                        pattern.group_of(&name).ok_or_else(|| illegal(replacement))?
                    }
                    None => numbered(&mut rest, pattern).ok_or_else(|| illegal(replacement))?,
                };
                pieces.push(Piece::Group(group));
            }
            character => text.push(character),
        }
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// Reads the number of a group: of as many digits as there are groups for.
fn numbered(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, pattern: &Pattern) -> Option<usize> {
    let digit = |character: char| {
        character
            .to_digit(10)
            .and_then(|digit| usize::try_from(digit).ok())
    };
    let most = pattern.group_count().unwrap_or(9);
    let mut group = digit(rest.next()?).filter(|group| *group <= most)?;
    while let Some(longer) = rest.peek().copied().and_then(digit).map(|next| group * 10 + next) {
        if longer > most {
            break;
        }
        group = longer;
        rest.next();
    }
    Some(group)
}

fn illegal(replacement: &str) -> DataFusionError {
    condition(
        "INVALID_PARAMETER_VALUE.PATTERN",
        "22023",
        format!("'{replacement}' refers to a group that the pattern of `regexp_replace` does not have"),
    )
}

/// Writes a value with its matches from a place on replaced.
fn replace(value: &str, from: usize, pattern: &Pattern, pieces: &[Piece], out: &mut Texts) -> Result<bool> {
    let mut written = 0;
    let (mut from, mut fits) = (from, true);
    let text = |range: Range<usize>| value.get(range).unwrap_or_default();
    let grouped = pieces.iter().any(|piece| matches!(piece, Piece::Group(_)));
    while fits {
        let groups: Option<Groups> = match grouped {
            true => pattern.groups_at(value, from),
            false => pattern.find_at(value, from).map(|found| vec![Some(found)]),
        };
        let Some((groups, found)) = groups.and_then(|groups| {
            let found = groups.first().cloned().flatten()?;
            Some((groups, found))
        }) else {
            break;
        };
        let mut write = |part: &str| fits = fits && out.write_str(part).is_ok();
        write(text(written..found.start));
        for piece in pieces {
            match piece {
                Piece::Text(put) => write(put),
                Piece::Group(group) => {
                    let group = groups.get(*group).ok_or_else(|| illegal(&format!("${group}")))?;
                    group.iter().for_each(|group| write(text(group.clone())));
                }
            }
        }
        written = found.end;
        match after(value, &found) {
            Some(next) => from = next,
            None => break,
        }
    }
    Ok(out.write_str(text(written..value.len())).is_ok())
}
