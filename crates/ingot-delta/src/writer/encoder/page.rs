//! What is known of the values of one page, however they are stored.

use bytes::Bytes;
use parquet::basic::Encoding;

/// The values of one column, page by page.
pub(super) trait Values {
    /// Returns the bytes of the open page, about.
    fn page_bytes(&self) -> usize;

    /// Returns the bytes of the dictionary so far; 0 without one.
    fn dictionary_bytes(&self) -> usize;

    /// Says if there is a dictionary that should end before the next values.
    fn dictionary_is_full(&self) -> bool;

    /// Returns the memory held.
    fn memory_bytes(&self) -> usize;

    /// Appends the values of the open page as they are stored, and begins the next.
    fn end_page(&mut self, out: &mut Vec<u8>) -> PageValues;

    /// Ends the dictionary, if there is one: later values are stored without. The open page must be empty.
    fn end_dictionary(&mut self) -> Option<Dictionary>;
}

/// What the values of a page came to.
#[derive(Debug)]
pub(super) struct PageValues {
    pub encoding: Encoding,
    /// `None` for a page of nulls.
    pub bounds: Option<Bounds>,
    /// Bytes of all texts without their lengths; `None` for other types.
    pub text_bytes: Option<usize>,
}

/// A dictionary as the file has it.
#[derive(Debug)]
pub(super) struct Dictionary {
    pub page: Bytes,
    pub count: usize,
}

/// The least and the greatest of some values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bounds {
    Integers(i64, i64),
    /// In order by their bytes, as text and bytes without a sign are.
    Text(Vec<u8>, Vec<u8>),
}

impl Bounds {
    /// Extends these by those of other values of the column.
    pub fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Integers(low, high), Self::Integers(least, most)) => {
                (*low, *high) = ((*low).min(*least), (*high).max(*most));
            }
            (Self::Text(low, high), Self::Text(least, most)) => {
                if least < low {
                    low.clone_from(least);
                }
                if most > high {
                    high.clone_from(most);
                }
            }
            // A column has one kind.
            _ => {}
        }
    }

    /// Says if both bounds are those of `next` or less.
    pub fn not_above(&self, next: &Self) -> bool {
        match (self, next) {
            (Self::Integers(a, b), Self::Integers(c, d)) => a <= c && b <= d,
            (Self::Text(a, b), Self::Text(c, d)) => a <= c && b <= d,
            _ => false,
        }
    }
}

/// Returns the first bytes of a text, as a lower bound of it; of valid UTF-8 whole characters, where it says so.
pub(super) fn cut_below(text: &[u8], bytes_max: usize, utf8: bool) -> &[u8] {
    if text.len() <= bytes_max {
        return text;
    }
    let utf8 = utf8.then(|| std::str::from_utf8(text).ok()).flatten();
    // A character longer than the whole room is kept, as no bound may be empty.
    let end = utf8.and_then(|text| (1..=bytes_max).rfind(|end| text.is_char_boundary(*end)));
    match (utf8, end) {
        (None, _) => &text[..bytes_max],
        (Some(_), Some(end)) => &text[..end],
        (Some(_), None) => text,
    }
}

/// Returns an upper bound of a text in few bytes: its beginning, increased by the least that can be; the text itself
/// where nothing can.
pub(super) fn cut_above(text: &[u8], bytes_max: usize, utf8: bool) -> Vec<u8> {
    let cut = cut_below(text, bytes_max, utf8);
    if cut.len() == text.len() {
        return text.to_vec();
    }
    let increased = match utf8.then(|| std::str::from_utf8(cut).ok()).flatten() {
        Some(cut) => next_text(cut),
        None => next_bytes(cut),
    };
    increased.unwrap_or_else(|| text.to_vec())
}

/// Returns the least text of the same characters but the last that is greater; the last is one that has a next of as
/// many bytes.
fn next_text(text: &str) -> Option<Vec<u8>> {
    text.char_indices().rev().find_map(|(place, last)| {
        let next = char::from_u32(u32::from(last) + 1)?;
        (next.len_utf8() == last.len_utf8()).then(|| format!("{}{next}", &text[..place]).into_bytes())
    })
}

fn next_bytes(bytes: &[u8]) -> Option<Vec<u8>> {
    let last = bytes.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut next = bytes[..=last].to_vec();
    next[last] += 1;
    Some(next)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("abc", 3, "abc", "abc"; "what fits stays")]
    #[test_case("abcd", 3, "abc", "abd")]
    #[test_case("aé", 2, "a", "b"; "no half characters")]
    #[test_case("a\u{7f}\u{7f}c", 3, "a\u{7f}\u{7f}", "b"; "a character that has no next of its size")]
    #[test_case("\u{7f}\u{7f}c", 2, "\u{7f}\u{7f}", "\u{7f}\u{7f}c"; "nothing can be increased")]
    #[test_case("éa", 1, "éa", "éa"; "a character longer than the room")]
    fn text_is_cut_to_bounds(text: &str, bytes_max: usize, below: &str, above: &str) {
        assert_eq!(cut_below(text.as_bytes(), bytes_max, true), below.as_bytes());
        assert_eq!(cut_above(text.as_bytes(), bytes_max, true), above.as_bytes());
    }

    #[test_case(&[1, 2, 3], 2, &[1, 2], &[1, 3])]
    #[test_case(&[1, 255, 3], 2, &[1, 255], &[2])]
    #[test_case(&[255, 255, 3], 2, &[255, 255], &[255, 255, 3]; "nothing can be increased")]
    fn bytes_are_cut_to_bounds(bytes: &[u8], bytes_max: usize, below: &[u8], above: &[u8]) {
        assert_eq!(cut_below(bytes, bytes_max, false), below);
        assert_eq!(cut_above(bytes, bytes_max, false), above);
    }
}
