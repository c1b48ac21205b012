//! Where a text stands in another: `instr(text, part)`, `locate(part, text[, from])`, `position`, `find_in_set`,
//! `contains`, `startswith`, `endswith`. Places count characters, from 1; 0 is nowhere.
//!
//! Source: Spark, `StringLocate`, `StringInstr`, `FindInSet`, `Contains`.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType::{self, Binary, Boolean, Int32, Utf8};
use arrow::datatypes::Int32Type;
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;

use crate::functions::arguments::{count, exact, over_arrays, up_to};
use crate::functions::function::{Function, Returns};
use crate::functions::rows::{raw_at, text_at, truths, value_at, values};

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::pure(
            "instr",
            |types| exact("instr", types, &[Utf8, Utf8]),
            Returns::Always(Int32),
            |arguments| over_arrays(arguments, |arrays| places(arrays, Order::TextFirst)),
        ),
        Function::pure(
            "locate",
            |types| up_to("locate", types, 2, &[Utf8, Utf8, Int32]),
            Returns::Always(Int32),
            |arguments| over_arrays(arguments, |arrays| places(arrays, Order::PartFirst)),
        )
        .also(&["position"]),
        Function::pure(
            "find_in_set",
            |types| exact("find_in_set", types, &[Utf8, Utf8]),
            Returns::Always(Int32),
            |arguments| over_arrays(arguments, places_in_sets),
        ),
        Function::pure(
            "contains",
            |types| pair("contains", types),
            Returns::Always(Boolean),
            |arguments| compared(arguments, contains),
        ),
        Function::pure(
            "startswith",
            |types| pair("startswith", types),
            Returns::Always(Boolean),
            |arguments| compared(arguments, |text, part| text.starts_with(part)),
        ),
        Function::pure(
            "endswith",
            |types| pair("endswith", types),
            Returns::Always(Boolean),
            |arguments| compared(arguments, |text, part| text.ends_with(part)),
        ),
    ]
}

#[derive(Clone, Copy, PartialEq)]
enum Order {
    TextFirst,
    PartFirst,
}

/// Two texts, or bytes where both are.
fn pair(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, 2, 2)?;
    let kind = if types.iter().all(DataType::is_binary) {
        Binary
    } else {
        Utf8
    };
    Ok(vec![kind.clone(), kind])
}

fn compared(
    arguments: &datafusion::logical_expr::ScalarFunctionArgs,
    holds: impl Fn(&[u8], &[u8]) -> bool,
) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let (text, part) = (raw_at(arrays, 0)?, raw_at(arrays, 1)?);
        truths(arrays, |row| Ok(Some(holds(text.value(row), part.value(row)))))
    })
}

/// Bytes are found in UTF-8 where characters are.
fn contains(text: &[u8], part: &[u8]) -> bool {
    match (std::str::from_utf8(text), std::str::from_utf8(part)) {
        (Ok(text), Ok(part)) => text.contains(part),
        _ => part.is_empty() || text.windows(part.len()).any(|window| window == part),
    }
}

fn places(arrays: &[ArrayRef], order: Order) -> Result<ArrayRef> {
    let (first, second) = (text_at(arrays, 0)?, text_at(arrays, 1)?);
    let starts = arrays
        .get(2)
        .map(|_| value_at::<Int32Type>(arrays, 2))
        .transpose()?;
    let found = values::<Int32Type>(arrays, |row| {
        let (text, part) = match order {
            Order::TextFirst => (first.value(row), second.value(row)),
            Order::PartFirst => (second.value(row), first.value(row)),
        };
        let start = starts.map_or(1, |starts| starts.value(row));
        Ok(Some(place(text, part, start)))
    })?;
    Ok(Arc::new(found))
}

fn place(text: &str, part: &str, start: i32) -> i32 {
    let Ok(skipped) = usize::try_from(i64::from(start) - 1) else {
        return 0;
    };
    if part.is_empty() {
        return 1;
    }
    let Some((from, _)) = text.char_indices().nth(skipped) else {
        return 0;
    };
    let Some(rest) = text.get(from..) else { return 0 };
    let Some(before) = rest.find(part).and_then(|at| rest.get(..at)) else {
        return 0;
    };
    i32::try_from(skipped + before.chars().count() + 1).unwrap_or(0)
}

fn places_in_sets(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (words, sets) = (text_at(arrays, 0)?, text_at(arrays, 1)?);
    let found = values::<Int32Type>(arrays, |row| {
        let word = words.value(row);
        let place = match word.contains(',') {
            true => None,
            false => sets.value(row).split(',').position(|item| item == word),
        };
        Ok(Some(
            place.map_or(0, |place| i32::try_from(place + 1).unwrap_or(0)),
        ))
    })?;
    Ok(Arc::new(found))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("abcb", "b", 3, 4)]
    #[test_case("abcb", "b", 0, 0)]
    #[test_case("abcb", "b", -1, 0)]
    #[test_case("héb", "b", 1, 3)]
    #[test_case("", "", 1, 1)]
    #[test_case("ab", "", 3, 1)]
    #[test_case("ab", "ab", i32::MAX, 0)]
    fn places_count_characters(text: &str, part: &str, start: i32, expected: i32) {
        assert_eq!(place(text, part, start), expected);
    }

    #[test]
    fn bytes_that_are_no_text_are_found() {
        assert!(contains(&[1, 0xff, 2], &[0xff]) && !contains(&[1], &[0xff]) && contains(&[0xff], &[]));
    }
}
