//! The schema of a record: an argument that is a literal, `a INT, b STRING` or a type.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ReturnFieldArgs;

use crate::error::condition;
use crate::types::{parse_columns, parse_type};

/// Reads the schema of a call, all of whose parts may be null.
///
/// # Errors
/// `INVALID_SCHEMA.NON_STRING_LITERAL` for what is no literal, and those of types.
pub(crate) fn of_call(function: &str, arguments: &ReturnFieldArgs<'_>) -> Result<DataType> {
    let schema = arguments.scalar_arguments.get(1).copied().flatten();
    let Some(text) = schema.and_then(text_of) else {
        return Err(condition(
            "INVALID_SCHEMA.NON_STRING_LITERAL",
            "42K07",
            format!("the schema of `{function}` is a literal text, as `'a INT, b STRING'`"),
        ));
    };
    read(text)
}

/// Reads the schema of a call that gives structs.
///
/// # Errors
/// Those of [`of_call`], and of a schema that is no struct's.
pub(crate) fn struct_of_call(function: &str, arguments: &ReturnFieldArgs<'_>) -> Result<DataType> {
    match of_call(function, arguments)? {
        schema @ DataType::Struct(_) => Ok(schema),
        other => Err(refused(function, "a STRUCT", &other)),
    }
}

fn text_of(value: &ScalarValue) -> Option<&str> {
    value.try_as_str().flatten()
}

fn read(text: &str) -> Result<DataType> {
    let external = |error| DataFusionError::External(Box::new(error));
    let data_type = match parse_type(text) {
        Ok(data_type) => data_type,
        Err(_) => DataType::Struct(parse_columns(text).map_err(external)?),
    };
    Ok(nullable(&data_type))
}

/// Anything may be missing from a record.
fn nullable(data_type: &DataType) -> DataType {
    let field = |field: &Field| {
        let data_type = nullable(field.data_type());
        field.clone().with_data_type(data_type).with_nullable(true)
    };
    match data_type {
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|inner| field(inner)).collect::<Fields>())
        }
        DataType::List(item) => DataType::List(Arc::new(field(item))),
        other => other.clone(),
    }
}

/// Says that a schema is of no type that a format's records have.
pub(crate) fn refused(function: &str, wanted: &str, found: &DataType) -> DataFusionError {
    condition(
        "DATATYPE_MISMATCH.INVALID_JSON_SCHEMA",
        "42K09",
        format!(
            "the schema of `{function}` has to be {wanted}, and is {}",
            crate::write::type_text(found).to_uppercase()
        ),
    )
}
