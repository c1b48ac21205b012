//! The text of a project's files with its `${key}` filled in, and where each part of it stands in the file.
//!
//! A value may have several lines; what follows it keeps the line and column that its author sees.

use std::collections::BTreeMap;

use crate::definition::Place;
use crate::{Error, Result};

/// A text made of parts of another one and of replacements.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Pieces {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    /// Byte at which it begins.
    start: usize,
    /// Byte of the other text at which it, or what it replaces, begins.
    origin: usize,
    copied: bool,
}

impl Pieces {
    /// Notes that a part of the other text, from `origin` on, begins at `start`.
    pub fn copied(&mut self, start: usize, origin: usize) {
        self.pieces.push(Piece {
            start,
            origin,
            copied: true,
        });
    }

    /// Notes that a replacement of what stands at `origin` begins at `start`.
    pub fn replaced(&mut self, start: usize, origin: usize) {
        self.pieces.push(Piece {
            start,
            origin,
            copied: false,
        });
    }

    /// Returns the byte of the other text that byte `offset` comes from.
    pub fn origin(&self, offset: usize) -> usize {
        let after = self.pieces.partition_point(|piece| piece.start <= offset);
        match after.checked_sub(1).and_then(|last| self.pieces.get(last)) {
            Some(piece) if piece.copied => piece.origin + (offset - piece.start),
            Some(piece) => piece.origin,
            None => offset,
        }
    }
}

/// A file's text, filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilledText {
    file: String,
    original: String,
    filled: String,
    pieces: Pieces,
}

impl FilledText {
    /// Replaces each `${key}` in the text of `file` by its value.
    ///
    /// # Errors
    /// `InvalidArgument`, with the place, for a key without a value.
    pub fn new(file: &str, text: &str, values: &BTreeMap<String, String>) -> Result<Self> {
        let mut filled = String::with_capacity(text.len());
        let mut pieces = Pieces::default();
        let mut done = 0;
        while let Some(start) = text[done..].find("${").map(|found| done + found) {
            let wrong = |message| Error::Definition {
                place: place_of(file, text, start),
                message,
            };
            let Some(length) = text[start..].find('}') else {
                return Err(wrong("`${` without `}`".to_owned()));
            };
            let key = &text[start + 2..start + length];
            let Some(value) = values.get(key) else {
                let known: Vec<_> = values.keys().map(String::as_str).collect();
                return Err(wrong(format!(
                    "`${{{key}}}` is not configured; known are {}",
                    known.join(", ")
                )));
            };
            pieces.copied(filled.len(), done);
            filled.push_str(&text[done..start]);
            pieces.replaced(filled.len(), start);
            filled.push_str(value);
            done = start + length + 1;
        }
        pieces.copied(filled.len(), done);
        filled.push_str(&text[done..]);
        Ok(Self {
            file: file.to_owned(),
            original: text.to_owned(),
            filled,
            pieces,
        })
    }

    /// Returns the text with its values.
    pub fn as_str(&self) -> &str {
        &self.filled
    }

    /// Returns where byte `offset` of the text with its values stands in the file.
    pub fn place(&self, offset: usize) -> Place {
        place_of(&self.file, &self.original, self.pieces.origin(offset))
    }
}

/// Returns the place of byte `offset` of a file's text.
pub(crate) fn place_of(file: &str, text: &str, offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |place| place + 1);
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    Place {
        file: file.to_owned(),
        line: count(before.matches('\n').count() + 1),
        column: count(before[line_start..].chars().count() + 1),
    }
}

/// Returns the byte at a line and column, both from 1, columns in characters.
pub(crate) fn offset_of(text: &str, line: u64, column: u64) -> usize {
    let from_zero = |number: u64| usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
    let breaks = text.match_indices('\n').map(|(place, _)| place + 1);
    let Some(start) = std::iter::once(0).chain(breaks).nth(from_zero(line)) else {
        return text.len();
    };
    text[start..]
        .char_indices()
        .nth(from_zero(column))
        .map_or(text.len(), |(offset, _)| start + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_value_of_several_lines_keeps_its_place() {
        let values = BTreeMap::from([("columns".to_owned(), "a,\nb,\nc".to_owned())]);
        let text = FilledText::new("a.sql", "SELECT\n ${columns}, d\nFROM e", &values).expect("filled");
        assert_eq!(text.as_str(), "SELECT\n a,\nb,\nc, d\nFROM e");
        let place = |part: &str| text.place(text.as_str().find(part).expect("part")).to_string();
        assert_eq!(place("SELECT"), "a.sql:1:1");
        assert_eq!(
            place("b,"),
            "a.sql:2:2",
            "the value stands where it is called for"
        );
        assert_eq!(place(", d"), "a.sql:2:12");
        assert_eq!(place("e"), "a.sql:3:6");
    }

    #[test]
    fn lines_and_columns_are_found_in_bytes() {
        assert_eq!(offset_of("äb\ncd", 1, 2), 2);
        assert_eq!(offset_of("äb\ncd", 2, 1), 4);
        assert_eq!(offset_of("äb\ncd", 9, 1), 6);
    }
}
