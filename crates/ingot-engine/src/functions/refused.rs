//! What ANSI mode refuses is null without it: rows that a function refuses are found in halves, and those beside them are
//! computed whole.
//!
//! Functions of which much may be refused, as of texts that are no dates, look at the mode themselves.

use std::ops::Range;

use arrow::array::{ArrayRef, new_null_array};
use arrow::compute::concat;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use crate::Error;
use crate::spark::AnsiMode;

/// Conditions of ANSI mode. Source: Databricks, "ANSI_MODE", "Functions"; Spark, what depends on `failOnError`.
const REFUSALS: [&str; 9] = [
    "CAST_INVALID_INPUT",
    "CANNOT_PARSE_TIMESTAMP",
    "DATETIME_FIELD_OUT_OF_BOUNDS.WITH_SUGGESTION",
    "ILLEGAL_DAY_OF_WEEK",
    "INVALID_ARRAY_INDEX",
    "INVALID_ARRAY_INDEX_IN_ELEMENT_AT",
    "INVALID_FRACTION_OF_SECOND",
    "INVALID_URL",
    "NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION",
];

type Compute = fn(&ScalarFunctionArgs) -> Result<ColumnarValue>;

/// Computes a function; what it refuses is null if the session is not in ANSI mode.
///
/// # Errors
/// Those of the function.
pub(super) fn computed(compute: Compute, arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    match compute(arguments) {
        Err(error) if refusal(&error) && AnsiMode::of(&arguments.config_options) == AnsiMode::Off => {
            nullified(compute, arguments)
        }
        computed => computed,
    }
}

fn refusal(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(Error::Condition { condition, .. }) => REFUSALS.contains(condition),
            _ => false,
        },
        _ => false,
    }
}

fn nullified(compute: Compute, arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let scalar = |value: &ColumnarValue| matches!(value, ColumnarValue::Scalar(_));
    if arguments.args.iter().all(scalar) {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from(
            arguments.return_type(),
        )?));
    }
    let mut parts = Vec::new();
    halved(compute, arguments, 0..arguments.number_rows, &mut parts)?;
    let parts: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
    Ok(ColumnarValue::Array(concat(&parts)?))
}

/// Adds the values of rows; of those that are refused each alone.
fn append(
    compute: Compute,
    arguments: &ScalarFunctionArgs,
    rows: Range<usize>,
    parts: &mut Vec<ArrayRef>,
) -> Result<()> {
    let sliced = |value: &ColumnarValue| match value {
        ColumnarValue::Array(values) => ColumnarValue::Array(values.slice(rows.start, rows.len())),
        scalar => scalar.clone(),
    };
    let part = ScalarFunctionArgs {
        args: arguments.args.iter().map(sliced).collect(),
        number_rows: rows.len(),
        ..arguments.clone()
    };
    match compute(&part) {
        Ok(values) => parts.push(values.into_array(rows.len())?),
        Err(error) if !refusal(&error) => return Err(error),
        Err(_) => halved(compute, arguments, rows, parts)?,
    }
    Ok(())
}

/// Adds the values of rows of which one is refused.
fn halved(
    compute: Compute,
    arguments: &ScalarFunctionArgs,
    rows: Range<usize>,
    parts: &mut Vec<ArrayRef>,
) -> Result<()> {
    if rows.len() <= 1 {
        parts.push(new_null_array(arguments.return_type(), rows.len()));
        return Ok(());
    }
    let middle = rows.start + rows.len() / 2;
    append(compute, arguments, rows.start..middle, parts)?;
    append(compute, arguments, middle..rows.end, parts)
}
