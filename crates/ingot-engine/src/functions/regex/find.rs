//! `rlike`, `regexp_count`, `regexp_instr`, `regexp_substr`: if, how often and where a pattern matches.
//!
//! Places count characters from 1; 0 is nowhere. Source: Spark, `RLike`, `RegExpCount`, `RegExpInStr`, `RegExpSubStr`.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType::{Boolean, Int32, Utf8};
use arrow::datatypes::Int32Type;
use datafusion::error::Result;

use super::pattern::Patterns;
use crate::functions::arguments::{exact, over_arrays, up_to};
use crate::functions::function::{Function, Returns};
use crate::functions::rows::{text_at, texts, truths, values};

pub(super) fn functions() -> [Function; 4] {
    [
        Function::pure(
            "rlike",
            |types| exact("rlike", types, &[Utf8, Utf8]),
            Returns::Always(Boolean),
            |arguments| {
                over_arrays(arguments, |arrays| {
                    let (given, patterns) = (text_at(arrays, 0)?, text_at(arrays, 1)?);
                    let mut read = Patterns::new("rlike");
                    truths(arrays, |row| {
                        Ok(Some(read.get(patterns.value(row))?.is_match(given.value(row))))
                    })
                })
            },
        )
        .also(&["regexp", "regexp_like"]),
        Function::pure(
            "regexp_count",
            |types| exact("regexp_count", types, &[Utf8, Utf8]),
            Returns::Always(Int32),
            |arguments| over_arrays(arguments, counts),
        ),
        Function::pure(
            "regexp_instr",
            |types| up_to("regexp_instr", types, 2, &[Utf8, Utf8, Int32]),
            Returns::Always(Int32),
            |arguments| over_arrays(arguments, places),
        ),
        Function::pure(
            "regexp_substr",
            |types| exact("regexp_substr", types, &[Utf8, Utf8]),
            Returns::Always(Utf8),
            |arguments| over_arrays(arguments, first_matches),
        ),
    ]
}

fn counts(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (given, patterns) = (text_at(arrays, 0)?, text_at(arrays, 1)?);
    let mut read = Patterns::new("regexp_count");
    let counts = values::<Int32Type>(arrays, |row| {
        let mut count = 0;
        read.get(patterns.value(row))?.each(given.value(row), 0, |_| {
            count += 1;
            true
        });
        Ok(Some(count))
    })?;
    Ok(Arc::new(counts))
}

fn places(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (given, patterns) = (text_at(arrays, 0)?, text_at(arrays, 1)?);
    let mut read = Patterns::new("regexp_instr");
    let places = values::<Int32Type>(arrays, |row| {
        let value = given.value(row);
        let found = read.get(patterns.value(row))?.find_at(value, 0);
        let before = found.and_then(|found| value.get(..found.start));
        Ok(Some(before.map_or(0, |before| {
            i32::try_from(before.chars().count() + 1).unwrap_or(0)
        })))
    })?;
    Ok(Arc::new(places))
}

fn first_matches(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let (given, patterns) = (text_at(arrays, 0)?, text_at(arrays, 1)?);
    let mut read = Patterns::new("regexp_substr");
    texts(arrays, |row, out| {
        let value = given.value(row);
        let found = read.get(patterns.value(row))?.find_at(value, 0);
        Ok(found
            .and_then(|found| value.get(found))
            .is_some_and(|found| out.write_str(found).is_ok()))
    })
}
