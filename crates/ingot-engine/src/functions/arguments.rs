//! What functions ask of their arguments, and Spark's conditions where they do not get it.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use crate::error::condition;
use crate::functions::room::column;
use crate::write::type_text;

/// Refuses a call with another number of arguments than from `least` to `most`.
///
/// # Errors
/// `WRONG_NUM_ARGS.WITHOUT_SUGGESTION`.
pub(crate) fn count(function: &str, types: &[DataType], least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&types.len()) {
        return Ok(());
    }
    let expected = match (least, most) {
        (least, most) if least == most => format!("{least}"),
        (least, usize::MAX) => format!("{least} or more"),
        (least, most) => format!("{least} to {most}"),
    };
    Err(condition(
        "WRONG_NUM_ARGS.WITHOUT_SUGGESTION",
        "42605",
        format!("`{function}` takes {expected} arguments, not {}", types.len()),
    ))
}

/// Says that the argument at `place`, from 1, is of a type that the function does not take.
pub(crate) fn unexpected(function: &str, place: usize, wanted: &str, found: &DataType) -> DataFusionError {
    condition(
        "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
        "42K09",
        format!(
            "argument {place} of `{function}` has to be {wanted}, and is {}",
            type_text(found).to_uppercase()
        ),
    )
}

/// Converts each argument to STRING, of which there are as many as given.
///
/// # Errors
/// None: all that is written has a text.
pub(crate) fn texts(types: &[DataType]) -> Result<Vec<DataType>> {
    Ok(vec![DataType::Utf8; types.len()])
}

/// Converts the arguments of a function that has one list of them: `exact("f", types, &[Utf8, Int32])`.
///
/// # Errors
/// `WRONG_NUM_ARGS`; `DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE` for what Spark does not convert unasked.
pub(crate) fn exact(function: &str, types: &[DataType], wanted: &[DataType]) -> Result<Vec<DataType>> {
    up_to(function, types, wanted.len(), wanted)
}

/// Converts the arguments of a function whose last ones may be left out: the first `least` are needed.
///
/// # Errors
/// As [`exact`].
pub(crate) fn up_to(
    function: &str,
    types: &[DataType],
    least: usize,
    wanted: &[DataType],
) -> Result<Vec<DataType>> {
    count(function, types, least, wanted.len())?;
    for (place, (found, wanted)) in types.iter().zip(wanted).enumerate() {
        if !converts(found, wanted) {
            return Err(unexpected(
                function,
                place + 1,
                &type_text(wanted).to_uppercase(),
                found,
            ));
        }
    }
    Ok(wanted.iter().take(types.len()).cloned().collect())
}

/// Says if a function that takes one type may be given another. Source: Spark, `AnsiTypeCoercion.implicitCast`;
/// Databricks, "SQL data type rules", implicit downcasting and crosscasting.
fn converts(found: &DataType, wanted: &DataType) -> bool {
    let instant = |data_type: &DataType| matches!(data_type, DataType::Date32 | DataType::Timestamp(..));
    match (found, wanted) {
        (found, wanted) if found == wanted => true,
        (DataType::Null, _) => true,
        (found, wanted) if is_text(wanted) => !found.is_nested(),
        (found, wanted) if is_text(found) => !wanted.is_nested(),
        (found, wanted) if wanted.is_binary() => found.is_binary(),
        (found, wanted) if wanted.is_numeric() => found.is_numeric(),
        (found, wanted) if instant(wanted) => instant(found),
        (_, wanted) => *wanted != DataType::Boolean,
    }
}

/// An instant: TIMESTAMP.
pub(crate) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

pub(crate) fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

pub(crate) fn is_integral(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64
    )
}

/// Returns the session's time zone, as a name of the IANA database or an offset.
pub(crate) fn session_zone(arguments: &ScalarFunctionArgs) -> &str {
    arguments
        .config_options
        .execution
        .time_zone
        .as_deref()
        .unwrap_or("UTC")
}

/// Computes over arrays, all of one length; the result is a scalar where all arguments are.
///
/// # Errors
/// Those of `compute`.
pub(crate) fn over_arrays(
    arguments: &ScalarFunctionArgs,
    compute: impl FnOnce(&[ArrayRef]) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    let scalars = arguments
        .args
        .iter()
        .all(|value| matches!(value, ColumnarValue::Scalar(_)));
    let rows = if scalars { 1 } else { arguments.number_rows };
    let arrays: Vec<ArrayRef> = arguments
        .args
        .iter()
        .map(|value| column(value, rows))
        .collect::<Result<_>>()?;
    let result = compute(&arrays)?;
    if !scalars {
        return Ok(ColumnarValue::Array(result));
    }
    match result.len() {
        1 => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)),
        // A function without arguments gives one value for each row.
        _ => Ok(ColumnarValue::Array(result)),
    }
}
