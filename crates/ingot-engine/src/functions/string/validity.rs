//! `validate_utf8`, `try_validate_utf8`, `is_valid_utf8`, `make_valid_utf8`: text that may be bytes which are none.
//!
//! Source: Spark, `ValidateUTF8`, `MakeValidUTF8`.

use std::fmt::Write as _;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType::{self, Binary, Boolean, Utf8};
use datafusion::error::Result;

use crate::error::condition;
use crate::functions::arguments::{count, over_arrays};
use crate::functions::function::{Function, Returns};
use crate::functions::rows::{raw_at, texts, truths};

pub(super) fn functions() -> [Function; 4] {
    [
        Function::pure(
            "is_valid_utf8",
            |types| raw("is_valid_utf8", types),
            Returns::Always(Boolean),
            |arguments| {
                over_arrays(arguments, |arrays| {
                    let values = raw_at(arrays, 0)?;
                    truths(arrays, |row| {
                        Ok(Some(std::str::from_utf8(values.value(row)).is_ok()))
                    })
                })
            },
        ),
        Function::pure(
            "make_valid_utf8",
            |types| raw("make_valid_utf8", types),
            Returns::Always(Utf8),
            |arguments| {
                over_arrays(arguments, |arrays| {
                    let values = raw_at(arrays, 0)?;
                    texts(arrays, |row, out| {
                        Ok(out.write_str(&String::from_utf8_lossy(values.value(row))).is_ok())
                    })
                })
            },
        ),
        Function::pure(
            "validate_utf8",
            |types| raw("validate_utf8", types),
            Returns::Always(Utf8),
            |arguments| over_arrays(arguments, |arrays| validated(arrays, Failure::Error)),
        ),
        Function::pure(
            "try_validate_utf8",
            |types| raw("try_validate_utf8", types),
            Returns::Always(Utf8),
            |arguments| over_arrays(arguments, |arrays| validated(arrays, Failure::Null)),
        ),
    ]
}

#[derive(Clone, Copy, PartialEq)]
enum Failure {
    Error,
    Null,
}

fn raw(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, 1, 1)?;
    let binary = types.iter().all(DataType::is_binary);
    Ok(vec![if binary { Binary } else { Utf8 }])
}

fn validated(arrays: &[ArrayRef], failure: Failure) -> Result<ArrayRef> {
    let values = raw_at(arrays, 0)?;
    texts(arrays, |row, out| {
        match (std::str::from_utf8(values.value(row)), failure) {
            (Ok(text), _) => Ok(out.write_str(text).is_ok()),
            (Err(_), Failure::Null) => Ok(false),
            (Err(_), Failure::Error) => {
                let digits: String = values
                    .value(row)
                    .iter()
                    .map(|byte| format!("\\x{byte:02X}"))
                    .collect();
                let message = format!("{digits} is no text in UTF-8");
                Err(condition("INVALID_UTF8_STRING", "22029", message))
            }
        }
    })
}
