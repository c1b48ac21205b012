//! A pattern that runs: in linear time where it can, with backtracking where it looks around or back.

use std::ops::Range;

use datafusion::error::Result;

use super::java::{self, Engine};
use crate::error::condition;

/// A pattern that is ready to be matched.
#[derive(Debug)]
pub(super) enum Pattern {
    Linear(regex::Regex),
    Backtracking(Box<regress::Regex>),
}

/// Where the groups of a match are; the first is all of it.
pub(super) type Groups = Vec<Option<Range<usize>>>;

impl Pattern {
    /// Reads a pattern in Java's spelling.
    ///
    /// # Errors
    /// `INVALID_PARAMETER_VALUE.PATTERN`.
    pub fn new(function: &str, pattern: &str) -> Result<Self> {
        let linear = java::write(pattern, Engine::Linear).and_then(|written| {
            regex::RegexBuilder::new(&written.pattern)
                .build()
                .map_err(|error| tracing::trace!(%error, "no linear pattern"))
                .ok()
        });
        if let Some(regex) = linear {
            return Ok(Self::Linear(regex));
        }
        let backtracking = java::write(pattern, Engine::Backtracking).and_then(|written| {
            let flags = format!("u{}", written.flags);
            regress::Regex::with_flags(&written.pattern, flags.as_str()).ok()
        });
        match backtracking {
            Some(regex) => Ok(Self::Backtracking(Box::new(regex))),
            None => Err(condition(
                "INVALID_PARAMETER_VALUE.PATTERN",
                "22023",
                format!("`{function}` cannot read the pattern '{pattern}'"),
            )),
        }
    }

    pub fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Linear(regex) => regex.is_match(text),
            Self::Backtracking(regex) => regex.find(text).is_some(),
        }
    }

    /// Returns where the first match from a place on is.
    pub fn find_at(&self, text: &str, from: usize) -> Option<Range<usize>> {
        match self {
            Self::Linear(regex) => regex.find_at(text, from).map(|found| found.range()),
            Self::Backtracking(regex) => regex.find_from(text, from).next().map(|found| found.range()),
        }
    }

    /// Returns the groups of the first match from a place on.
    pub fn groups_at(&self, text: &str, from: usize) -> Option<Groups> {
        match self {
            Self::Linear(regex) => {
                let captures = regex.captures_at(text, from)?;
                Some(
                    captures
                        .iter()
                        .map(|group| group.map(|group| group.range()))
                        .collect(),
                )
            }
            Self::Backtracking(regex) => {
                let found = regex.find_from(text, from).next()?;
                Some(found.groups().collect())
            }
        }
    }

    /// Returns the place of a group with a name.
    pub fn group_of(&self, name: &str) -> Option<usize> {
        match self {
            Self::Linear(regex) => regex.capture_names().position(|other| other == Some(name)),
            Self::Backtracking(_) => None,
        }
    }

    /// Returns how many groups there are, if that is known without a match.
    pub fn group_count(&self) -> Option<usize> {
        match self {
            Self::Linear(regex) => Some(regex.captures_len() - 1),
            Self::Backtracking(_) => None,
        }
    }

    /// Calls `each` with where each match from a place on is, until it says that it has enough.
    pub fn each(&self, text: &str, from: usize, mut each: impl FnMut(Range<usize>) -> bool) {
        let mut from = from;
        while let Some(found) = self.find_at(text, from) {
            let next = after(text, &found);
            if !each(found) {
                return;
            }
            match next {
                Some(next) => from = next,
                None => return,
            }
        }
    }
}

/// Returns where the match after one may begin: an empty one is passed by a character.
pub(super) fn after(text: &str, found: &Range<usize>) -> Option<usize> {
    if !found.is_empty() {
        return Some(found.end);
    }
    let character = text.get(found.end..)?.chars().next()?;
    Some(found.end + character.len_utf8())
}

/// The last pattern that was read: most calls have one for all rows.
#[derive(Debug)]
pub(super) struct Patterns {
    function: &'static str,
    last: Option<(String, Pattern)>,
}

impl Patterns {
    pub fn new(function: &'static str) -> Self {
        Self { function, last: None }
    }

    /// Reads a pattern, unless it is the last one again.
    ///
    /// # Errors
    /// As [`Pattern::new`].
    pub fn get(&mut self, pattern: &str) -> Result<&Pattern> {
        let last = match self.last.take() {
            Some(last) if last.0 == pattern => last,
            _ => (pattern.to_owned(), Pattern::new(self.function, pattern)?),
        };
        Ok(&self.last.insert(last).1)
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn found(pattern: &str, text: &str) -> Vec<String> {
        let pattern = Pattern::new("f", pattern).expect("a pattern");
        let mut found = Vec::new();
        pattern.each(text, 0, |range| {
            found.push(text[range].to_owned());
            true
        });
        found
    }

    #[test_case(r"(?<=\$)\d+", "a $12 b 3 $4", &["12", "4"]; "looks behind")]
    #[test_case(r"\w+(?=!)", "one two! three!", &["two", "three"]; "looks ahead")]
    #[test_case(r"(\w)\1", "aab cc", &["aa", "cc"]; "looks back")]
    #[test_case(r"(?i)(?!b)[a-c]", "ABc", &["A", "c"]; "flags with looking around")]
    #[test_case(r"\d", "٣4", &["4"]; "digits are of ASCII")]
    #[test_case(r"x*", "axb", &["", "x", "", ""]; "empty matches")]
    #[test_case(r"a++b", "aab", &["aab"]; "possessive")]
    #[test_case(r"[a-z&&[^b]]", "abc", &["a", "c"]; "classes meet")]
    #[test_case(r"\bfoo\b", "foo foobar", &["foo"]; "words")]
    fn patterns_match_as_in_java(pattern: &str, text: &str, expected: &[&str]) {
        assert_eq!(found(pattern, text), expected);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        assert!(Pattern::new("f", "(").is_err());
        assert!(Pattern::new("f", "*").is_err());
    }
}
