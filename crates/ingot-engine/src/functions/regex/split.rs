//! `split(text, pattern[, limit])`: the parts of a text between the matches of a pattern.
//!
//! There are no more than `limit` parts when it is over 0, and the last has the rest; empty parts at the end stay. An empty
//! pattern parts the text into its characters. Source: Spark, `UTF8String.split`; Java, `String.split`.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListBuilder, StringBuilder};
use arrow::datatypes::DataType::{Int32, Utf8};
use arrow::datatypes::{Field, Int32Type};
use datafusion::error::Result;

use super::pattern::{Pattern, Patterns};
use crate::functions::arguments::{over_arrays, up_to};
use crate::functions::function::{Function, Returns};
use crate::functions::rows::{text_at, value_at, values};

pub(super) fn function() -> Function {
    Function::pure(
        "split",
        |types| up_to("split", types, 2, &[Utf8, Utf8, Int32]),
        Returns::Always(super::texts_type()),
        |arguments| over_arrays(arguments, parts_of_all),
    )
}

fn parts_of_all(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (given, patterns) = (text_at(arrays, 0)?, text_at(arrays, 1)?);
    let limits = arrays
        .get(2)
        .map(|_| value_at::<Int32Type>(arrays, 2))
        .transpose()?;
    let mut read = Patterns::new("split");
    let field = Field::new("element", Utf8, true);
    let mut lists = ListBuilder::new(StringBuilder::new()).with_field(field);
    let valid = values::<Int32Type>(arrays, |_| Ok(Some(0)))?;
    for (row, valid) in valid.iter().enumerate() {
        if valid.is_none() {
            lists.append_null();
            continue;
        }
        let value = given.value(row);
        let limit = limits.map_or(-1, |limits| limits.value(row));
        let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0);
        match patterns.value(row) {
            "" if !value.is_empty() => {
                let mut buffer = [0; 4];
                for character in value.chars().take(limit.unwrap_or(usize::MAX)) {
                    lists.values().append_value(character.encode_utf8(&mut buffer));
                }
            }
            pattern => parts(value, read.get(pattern)?, limit, |part| {
                lists.values().append_value(part);
            }),
        }
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}

fn parts<'a>(value: &'a str, pattern: &Pattern, limit: Option<usize>, mut each: impl FnMut(&'a str)) {
    let (mut from, mut count) = (0, 1);
    pattern.each(value, 0, |found| {
        if limit.is_some_and(|limit| count >= limit) {
            return false;
        }
        // An empty match at the start parts nothing.
        if found.end == 0 {
            return true;
        }
        each(value.get(from..found.start).unwrap_or_default());
        from = found.end;
        count += 1;
        true
    });
    each(value.get(from..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("a,b,c", ",", Some(2), &["a", "b,c"])]
    #[test_case("a,b,,", ",", None, &["a", "b", "", ""])]
    #[test_case(",a", ",", None, &["", "a"])]
    #[test_case("oneAtwoB", "[AB]", None, &["one", "two", ""])]
    #[test_case("abc", "x", None, &["abc"])]
    #[test_case("", ",", None, &[""])]
    #[test_case("ab", "(?=b)", None, &["a", "b"])]
    #[test_case("abc", "x*", None, &["a", "b", "c", ""])]
    fn parts_are_between_matches(value: &str, pattern: &str, limit: Option<usize>, expected: &[&str]) {
        let pattern = Pattern::new("split", pattern).expect("a pattern");
        let mut found = Vec::new();
        parts(value, &pattern, limit, |part| found.push(part));
        assert_eq!(found, expected);
    }
}
