//! `raise_error(message)` and `assert_true(condition[, message])`: errors that the query makes. Their value is NULL.
//!
//! Source: Spark, `RaiseError`, `AssertTrue`.

use arrow::array::Array;
use arrow::datatypes::DataType::{self, Boolean, Utf8};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, Volatility};

use crate::error::condition;
use crate::functions::arguments::{exact, up_to};
use crate::functions::function::{Function, Returns};
use crate::functions::rows::{text_at, truth_at};

pub(super) fn functions() -> [Function; 2] {
    [
        Function::pure(
            "raise_error",
            |types| exact("raise_error", types, &[Utf8]),
            Returns::Always(DataType::Null),
            raise,
        )
        .changing(Volatility::Volatile),
        Function::pure(
            "assert_true",
            |types| up_to("assert_true", types, 1, &[Boolean, Utf8]),
            Returns::Always(DataType::Null),
            assert,
        )
        .changing(Volatility::Volatile),
    ]
}

fn raised(message: &str) -> DataFusionError {
    condition("USER_RAISED_EXCEPTION", "P0001", message.to_owned())
}

/// A branch that no row takes is computed over no rows, and raises nothing.
fn raise(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    if arguments.number_rows > 0 {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let messages = text_at(&arrays, 0)?;
        let message = match messages.is_valid(0) {
            true => messages.value(0),
            false => "null",
        };
        return Err(raised(message));
    }
    Ok(ColumnarValue::Scalar(ScalarValue::Null))
}

fn assert(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    if arguments.number_rows > 0 {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let truths = truth_at(&arrays, 0)?;
        let holds = |row: usize| truths.is_valid(row) && truths.value(row);
        if let Some(row) = (0..truths.len()).find(|row| !holds(*row)) {
            return Err(match arrays.len() {
                1 => raised("the condition of `assert_true` is not true!"),
                _ => raised(text_at(&arrays, 1)?.value(row)),
            });
        }
    }
    Ok(ColumnarValue::Scalar(ScalarValue::Null))
}
