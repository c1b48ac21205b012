//! `str_to_map(text [, between pairs [, between key and value]])`. What is between is a regular expression.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MapBuilder, MapFieldNames, StringArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};
use regex::Regex;

use crate::error::condition;
use crate::functions::arguments::{over_arrays, up_to};
use crate::functions::collection::{immutable, map_of, maps};
use crate::functions::function::Returns;

const NAME: &str = "str_to_map";

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![immutable(
        NAME,
        |types| up_to(NAME, types, 1, &[DataType::Utf8, DataType::Utf8, DataType::Utf8]),
        Returns::Of(|_| Ok(map_of(DataType::Utf8, DataType::Utf8))),
        parse,
    )]
}

fn parse(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let texts = arrays[0].as_string::<i32>();
        let mut pairs = Separator::new(arrays.get(1), ",");
        let mut sides = Separator::new(arrays.get(2), ":");
        let names = MapFieldNames {
            entry: "key_value".to_owned(),
            key: "key".to_owned(),
            value: "value".to_owned(),
        };
        let mut made = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
        for row in 0..texts.len() {
            let (Some(pairs), Some(sides), true) = (pairs.at(row)?, sides.at(row)?, texts.is_valid(row))
            else {
                made.append(false)?;
                continue;
            };
            for pair in pairs.split(texts.value(row)) {
                let mut sides = sides.splitn(pair, 2);
                made.keys().append_value(sides.next().unwrap_or_default());
                made.values().append_option(sides.next());
            }
            made.append(true)?;
        }
        let made = made.finish();
        maps::checked(
            Arc::clone(made.keys()),
            Arc::clone(made.values()),
            made.offsets().clone(),
            made.nulls().cloned(),
        )
    })
}

/// A separator of each row, read when it is another than the row before has.
struct Separator<'a> {
    texts: Option<&'a StringArray>,
    current: (&'a str, Option<Regex>),
}

impl<'a> Separator<'a> {
    fn new(texts: Option<&'a ArrayRef>, default: &'a str) -> Self {
        Self {
            texts: texts.map(|texts| texts.as_string()),
            current: (default, None),
        }
    }

    fn at(&mut self, row: usize) -> Result<Option<&Regex>> {
        let text = match self.texts {
            Some(texts) if texts.is_null(row) => return Ok(None),
            Some(texts) => texts.value(row),
            None => self.current.0,
        };
        if self.current.1.is_none() || self.current.0 != text {
            let regex = Regex::new(text).map_err(|error| {
                condition(
                    "INVALID_PARAMETER_VALUE.PATTERN",
                    "22023",
                    format!("`{text}` is no pattern for `{NAME}`: {error}"),
                )
            })?;
            self.current = (text, Some(regex));
        }
        Ok(self.current.1.as_ref())
    }
}
