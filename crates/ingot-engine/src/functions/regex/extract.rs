//! `regexp_extract(text, pattern[, group])`, the group of the first match, and `regexp_extract_all`, those of all.
//!
//! Without a match the first gives an empty text, and a group that took no part in one is empty. Source: Spark,
//! `RegExpExtract`, `RegExpExtractAll`.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, ListBuilder, StringBuilder};
use arrow::datatypes::DataType::{Int32, Utf8};
use arrow::datatypes::{Field, Int32Type};
use datafusion::error::Result;

use super::pattern::{Groups, Pattern, Patterns, after};
use crate::error::condition;
use crate::functions::arguments::{over_arrays, up_to};
use crate::functions::function::{Function, Returns};
use crate::functions::rows::{text_at, texts, value_at, values};

pub(super) fn functions() -> [Function; 2] {
    [
        Function::pure(
            "regexp_extract",
            |types| up_to("regexp_extract", types, 2, &[Utf8, Utf8, Int32]),
            Returns::Always(Utf8),
            |arguments| over_arrays(arguments, extracted),
        ),
        Function::pure(
            "regexp_extract_all",
            |types| up_to("regexp_extract_all", types, 2, &[Utf8, Utf8, Int32]),
            Returns::Always(super::texts_type()),
            |arguments| over_arrays(arguments, all_extracted),
        ),
    ]
}

/// Returns the group that is asked for, which the pattern must have.
fn group(function: &'static str, pattern: &Pattern, group: i32, groups: Option<&Groups>) -> Result<usize> {
    let count = match (pattern.group_count(), groups) {
        (Some(count), _) => Some(count),
        (None, groups) => groups.map(|groups| groups.len() - 1),
    };
    match usize::try_from(group) {
        Ok(group) if count.is_none_or(|count| group <= count) => Ok(group),
        _ => Err(condition(
            "INVALID_PARAMETER_VALUE.REGEX_GROUP_INDEX",
            "22023",
            format!(
                "`{function}` is asked for the group {group} of a pattern with {} groups",
                count.unwrap_or_default()
            ),
        )),
    }
}

fn extracted(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (texts_given, patterns) = (text_at(arrays, 0)?, text_at(arrays, 1)?);
    let places = arrays
        .get(2)
        .map(|_| value_at::<Int32Type>(arrays, 2))
        .transpose()?;
    let mut read = Patterns::new("regexp_extract");
    texts(arrays, |row, out| {
        let value = texts_given.value(row);
        let pattern = read.get(patterns.value(row))?;
        let groups = pattern.groups_at(value, 0);
        let wanted = places.map_or(1, |places| places.value(row));
        let wanted = group("regexp_extract", pattern, wanted, groups.as_ref())?;
        let found = groups.and_then(|groups| groups.get(wanted).cloned().flatten());
        Ok(out.write_str(part(value, found)).is_ok())
    })
}

fn part(value: &str, range: Option<Range<usize>>) -> &str {
    range.and_then(|range| value.get(range)).unwrap_or_default()
}

fn all_extracted(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (texts_given, patterns) = (text_at(arrays, 0)?, text_at(arrays, 1)?);
    let places = arrays
        .get(2)
        .map(|_| value_at::<Int32Type>(arrays, 2))
        .transpose()?;
    let mut read = Patterns::new("regexp_extract_all");
    let field = Field::new("element", Utf8, true);
    let mut lists = ListBuilder::new(StringBuilder::new()).with_field(field);
    let none = values::<Int32Type>(arrays, |_| Ok(Some(0)))?;
    for (row, valid) in none.iter().enumerate() {
        if valid.is_none() {
            lists.append_null();
            continue;
        }
        let value = texts_given.value(row);
        let pattern = read.get(patterns.value(row))?;
        let wanted = places.map_or(1, |places| places.value(row));
        let mut from = Some(0);
        group("regexp_extract_all", pattern, wanted, None)?;
        while let Some(groups) = from.and_then(|from| pattern.groups_at(value, from)) {
            let place = group("regexp_extract_all", pattern, wanted, Some(&groups))?;
            lists
                .values()
                .append_value(part(value, groups.get(place).cloned().flatten()));
            from = groups
                .first()
                .cloned()
                .flatten()
                .and_then(|found| after(value, &found));
        }
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}
