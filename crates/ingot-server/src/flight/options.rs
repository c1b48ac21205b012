//! Options of a session: `catalog`, `schema`, and what SET sets.
//!
//! They are read and set by statements, so the same rules hold as for those.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use futures::TryStreamExt;
use ingot_common::{Kind, ServiceError};

use super::call::Call;
use super::session_options::{
    GetSessionOptionsResult, OptionValue, SessionOptionValue, SetError, SetErrorValue,
    SetSessionOptionsRequest, SetSessionOptionsResult,
};
use crate::warehouse::Session;

const CATALOG: &str = "catalog";
const SCHEMA: &str = "schema";

/// Options of one request, at most.
const OPTIONS_MAX: usize = 1_000;

/// Sets options of the call's session, which is opened if it has none. Those that cannot be set are told by name.
///
/// # Errors
/// Those of the session, and of statements that have nothing to do with the option.
pub(super) async fn set(
    call: &Call,
    request: SetSessionOptionsRequest,
) -> Result<SetSessionOptionsResult, ServiceError> {
    if request.session_options.len() > OPTIONS_MAX {
        return Err(super::invalid(format!(
            "a session takes {OPTIONS_MAX} options at a time"
        )));
    }
    let session = call.lasting_session().await?;
    let mut errors = HashMap::new();
    // The catalog first: with it goes the schema.
    let mut options: Vec<_> = request.session_options.into_iter().collect();
    options.sort_by_key(|(name, _)| (name != CATALOG, name.clone()));
    for (name, option) in options {
        let set = match statement(&name, option.value.as_ref()) {
            Ok(statement) => rows(call, &session, statement).await.map(drop),
            Err(error) => {
                errors.insert(name, told(error));
                continue;
            }
        };
        match set {
            Ok(()) => {}
            Err(error) if matches!(error.kind, Kind::NotFound) => {
                errors.insert(name, told(SetError::InvalidValue));
            }
            Err(error) if matches!(error.kind, Kind::InvalidArgument | Kind::Unsupported) => {
                errors.insert(name, told(refused(&error)));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(SetSessionOptionsResult { errors })
}

/// Returns the options of the call's session.
///
/// # Errors
/// Those of the session.
pub(super) async fn get(call: &Call) -> Result<GetSessionOptionsResult, ServiceError> {
    let session = call.lasting_session().await?;
    let names = "SELECT 'catalog', current_catalog() UNION ALL SELECT 'schema', current_schema()";
    let mut options = rows(call, &session, names.to_owned()).await?;
    options.extend(rows(call, &session, "SET".to_owned()).await?);
    let options = options.into_iter();
    Ok(GetSessionOptionsResult {
        session_options: options
            .map(|(name, value)| (name, SessionOptionValue::text(value)))
            .collect(),
    })
}

/// Returns the statement that sets an option, or takes it back.
fn statement(name: &str, value: Option<&OptionValue>) -> Result<String, SetError> {
    let is_word = |text: &str| {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        !text.is_empty() && text.bytes().all(word)
    };
    if !is_word(name) {
        return Err(SetError::InvalidName);
    }
    let Some(value) = value else {
        return match name {
            CATALOG | SCHEMA => Err(SetError::InvalidValue),
            setting => Ok(format!("RESET {setting}")),
        };
    };
    let value = value.written().ok_or(SetError::InvalidValue)?;
    match name {
        CATALOG => Ok(format!("USE CATALOG {}", quoted(&value))),
        SCHEMA => Ok(format!("USE SCHEMA {}", quoted(&value))),
        _ if value.contains(['\'', '\\', '\n']) => Err(SetError::InvalidValue),
        setting => Ok(format!("SET {setting} = '{value}'")),
    }
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Says whether the name or the value of a setting was refused.
fn refused(error: &ServiceError) -> SetError {
    match error.condition.as_deref() {
        Some(condition) if condition.starts_with("CONFIG_NOT_AVAILABLE") => SetError::InvalidName,
        _ => SetError::InvalidValue,
    }
}

fn told(error: SetError) -> SetErrorValue {
    SetErrorValue { value: error.into() }
}

/// Runs a statement of few rows, and returns its first two columns as texts.
async fn rows(
    call: &Call,
    session: &Arc<Session>,
    statement: String,
) -> Result<Vec<(String, String)>, ServiceError> {
    let result = session
        .own()
        .execute(&call.context, statement, Vec::new())
        .await?;
    let batches: Vec<_> = result.batches.try_collect().await?;
    let mut rows = Vec::new();
    for batch in batches {
        let texts = |place: usize| cast(batch.columns().get(place)?, &DataType::Utf8).ok();
        let Some((names, values)) = texts(0).zip(texts(1)) else {
            continue;
        };
        let (names, values) = (names.as_string::<i32>(), values.as_string::<i32>());
        let pairs = names.iter().zip(values.iter());
        rows.extend(pairs.filter_map(|(name, value)| Some((name?.to_owned(), value?.to_owned()))));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    #[test_case("catalog", Some("a`b"), Ok("USE CATALOG `a``b`"); "a catalog")]
    #[test_case("schema", Some("s"), Ok("USE SCHEMA `s`"); "a schema")]
    #[test_case("ansi_mode", Some("false"), Ok("SET ansi_mode = 'false'"); "a setting")]
    #[test_case("ansi_mode", None, Ok("RESET ansi_mode"); "a setting that is taken back")]
    #[test_case("schema", None, Err(SetError::InvalidValue); "no schema")]
    #[test_case("a b", Some("x"), Err(SetError::InvalidName); "no name")]
    #[test_case("timezone", Some("x'; DROP TABLE t"), Err(SetError::InvalidValue); "more than a value")]
    fn options_become_statements(name: &str, value: Option<&str>, expected: Result<&str, SetError>) {
        let value = value.map(|value| OptionValue::Text(value.to_owned()));
        let statement = statement(name, value.as_ref());
        assert_eq!(statement.as_deref().map_err(|error| *error), expected);
    }
}
