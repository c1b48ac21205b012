//! Values that a request gives for the parameter markers of its statement.
//!
//! Source: Databricks, Statement Execution API, `parameters`; "Parameter markers".

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{Expr, Value};
use ingot_common::Kind;
use ingot_common::port::StatementParameter;

use crate::session::Parameters;
use crate::types::parse_type;
use crate::{Error, Result, Session, arrow_types, ast, dialect};

/// The type of a value that comes without one.
const DEFAULT_TYPE: &str = "STRING";

/// Reads the values.
///
/// # Errors
/// `INVALID_QUERY_MIXED_QUERY_PARAMETERS`; `INVALID_PARAMETER_VALUE` for a name that is given twice; what says that a
/// value is none of its type.
pub(crate) async fn parameters(session: &Session, given: Vec<StatementParameter>) -> Result<Parameters> {
    let mut parameters = Parameters::default();
    for parameter in given {
        let value = value(session, &parameter).await?;
        match parameter.name {
            None => parameters.positional.push(value),
            Some(name) => {
                let before = parameters.named.insert(name.to_lowercase(), value);
                if before.is_some() {
                    return Err(crate::files::invalid(format!(
                        "the parameter `{name}` is given twice"
                    )));
                }
            }
        }
    }
    match parameters.named.is_empty() || parameters.positional.is_empty() {
        true => Ok(parameters),
        false => Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "INVALID_QUERY_MIXED_QUERY_PARAMETERS",
            sqlstate: "42613",
            message: "parameters have names, or none has one".to_owned(),
        }),
    }
}

/// Takes the values of one row for the markers of a statement: by their places where it has markers without names, else
/// by the names of the columns.
///
/// # Errors
/// What says that a value is of a type that there is not; `PARSE_SYNTAX_ERROR` for what is no token.
pub(crate) fn bound(statement: &str, row: &RecordBatch) -> Result<Parameters> {
    let by_place = dialect::count_markers(statement)? > 0;
    let schema = arrow_types::schema(&row.schema())?;
    let row = arrow_types::batch(row, &schema)?;
    let mut parameters = Parameters::default();
    for (field, column) in schema.fields().iter().zip(row.columns()) {
        let value = ScalarValue::try_from_array(column, 0)?;
        match by_place {
            true => parameters.positional.push(value),
            false => drop(parameters.named.insert(field.name().to_lowercase(), value)),
        }
    }
    Ok(parameters)
}

async fn value(session: &Session, parameter: &StatementParameter) -> Result<ScalarValue> {
    let type_text = parameter.type_text.as_deref().unwrap_or(DEFAULT_TYPE);
    // What has no type but null meets values of any.
    if type_text.eq_ignore_ascii_case("VOID") && parameter.value.is_none() {
        return Ok(ScalarValue::Null);
    }
    let sql_type = dialect::data_type(type_text)?;
    let data_type = parse_type(type_text)?;
    if data_type == DataType::Utf8 {
        return Ok(ScalarValue::Utf8(parameter.value.clone()));
    }
    if data_type.is_nested() {
        return Err(Error::unsupported(format!(
            "a parameter cannot be of the type {type_text}; write the value in the statement, of parameters that are its \
             parts"
        )));
    }
    let text = match &parameter.value {
        Some(text) => ast::text(text),
        None => Expr::value(Value::Null),
    };
    super::value_of(session, text, Some(sql_type)).await
}
