//! What FETCH does with a row: its values go into variables, as SET VAR puts them there.
//!
//! Source: Spark, `FetchCursorExec`, `ResolveFetchCursor`.

use arrow::datatypes::{DataType, Fields};
use datafusion::scalar::ScalarValue;
use ingot_common::Kind;

use super::condition;
use crate::functions::variant::is_variant;
use crate::session::{Variable, VariableName, unresolved};
use crate::statement::variable;
use crate::{Result, Session, ast, resolve};

/// Checks that the targets are variables, each another one.
///
/// # Errors
/// `UNRESOLVED_VARIABLE`, `DUPLICATE_ASSIGNMENTS`.
pub(super) fn check(session: &Session, into: &[VariableName]) -> Result<()> {
    let values = session.values();
    for (place, name) in into.iter().enumerate() {
        let variable = values.find(name).ok_or_else(|| unresolved(name))?;
        // One variable can have two names: its own, and one with a label or schema.
        let is_same = |other: &VariableName| {
            values
                .find(other)
                .is_some_and(|other| std::ptr::eq(other, variable))
        };
        if into.iter().take(place).any(is_same) {
            return Err(condition(
                Kind::InvalidArgument,
                "DUPLICATE_ASSIGNMENTS",
                "42701",
                format!("FETCH sets the variable `{name}` twice"),
            ));
        }
    }
    Ok(())
}

/// Sets variables to the values of a row, one after the other. A single variable of a STRUCT takes a row of several
/// columns, field by field.
///
/// # Errors
/// `ASSIGNMENT_ARITY_MISMATCH`; what is wrong with a value.
pub(super) async fn assign(session: &Session, into: &[VariableName], row: Vec<ScalarValue>) -> Result<()> {
    let row: Vec<ScalarValue> = row.into_iter().map(plain).collect();
    if let [name] = into
        && row.len() > 1
        && let Some(fields) = fields_of(session, name)
    {
        check_arity(fields.len(), row.len())?;
        let mut arguments = Vec::with_capacity(2 * row.len());
        for (field, value) in fields.iter().zip(&row) {
            arguments.push(ast::text(field.name()));
            arguments.push(resolve::literal(value)?);
        }
        return variable::assign_value(session, name, ast::call("named_struct", arguments)).await;
    }
    check_arity(into.len(), row.len())?;
    for (name, value) in into.iter().zip(row) {
        assign_value(session, name, value).await?;
    }
    Ok(())
}

async fn assign_value(session: &Session, name: &VariableName, value: ScalarValue) -> Result<()> {
    let variable = session.values().find(name).cloned();
    let variable = variable.ok_or_else(|| unresolved(name))?;
    match fits(&value.data_type(), &variable) {
        // Planning a CAST for each row would take longer than reading it.
        true => {
            let value = value.cast_to(&variable.data_type)?;
            session.values().set(name, value)
        }
        false => variable::assign_value(session, name, resolve::literal(&value)?).await,
    }
}

/// Says if a CAST to the type of a variable would not change a value.
fn fits(data_type: &DataType, variable: &Variable) -> bool {
    let is_text = |side: &DataType| matches!(side, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    // CHAR and VARCHAR are texts too, of a length that is checked.
    let sql_type = variable
        .sql_type
        .as_ref()
        .map(|sql_type| sql_type.to_string().to_uppercase());
    let of_length = sql_type.is_some_and(|sql_type| sql_type.contains("CHAR"));
    let same = *data_type == variable.data_type || is_text(data_type) && is_text(&variable.data_type);
    same && !of_length
}

/// Returns the fields of a variable that is a STRUCT.
fn fields_of(session: &Session, name: &VariableName) -> Option<Fields> {
    match &session.values().find(name)?.data_type {
        variant if is_variant(variant) => None,
        DataType::Struct(fields) => Some(fields.clone()),
        _ => None,
    }
}

/// Takes a value out of the dictionary that its column had.
fn plain(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Dictionary(_, value) => *value,
        value => value,
    }
}

fn check_arity(targets: usize, values: usize) -> Result<()> {
    match targets == values {
        true => Ok(()),
        false => Err(condition(
            Kind::InvalidArgument,
            "ASSIGNMENT_ARITY_MISMATCH",
            "42802",
            format!("{targets} variables or fields are set to the values of {values} columns"),
        )),
    }
}
