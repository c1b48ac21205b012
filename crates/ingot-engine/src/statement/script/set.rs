//! `SET` in a script: of variables, with or without VAR, or of a setting.
//!
//! Source: Databricks, "SQL scripting": `SET variable`.

use super::super::cursor::Cursor;
use super::super::{Work, is_setting, variable};
use crate::session::VariableName;
use crate::{Result, Session, resolve};

/// What a SET is of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Variables,
    Setting,
    /// A name of several parts, or a plain one of a setting: of a variable where there is such a one, otherwise of a
    /// setting.
    Qualified(Option<VariableName>),
}

/// Reads what a SET is of.
///
/// # Errors
/// `PARSE_SYNTAX_ERROR` for what is no SET.
pub(super) fn target(text: &str) -> Result<Target> {
    let mut cursor = Cursor::new(text)?;
    cursor.expect("SET")?;
    if cursor.accept("VAR") || cursor.accept("VARIABLE") {
        return Ok(Target::Variables);
    }
    if cursor.accept_all(&["TIME", "ZONE"]) || cursor.at_end() {
        return Ok(Target::Setting);
    }
    let Ok(name) = cursor.object_name() else {
        return Ok(Target::Variables);
    };
    let parts = resolve::parts(&name)?;
    Ok(match parts.as_slice() {
        [name] if !is_setting(name) => Target::Variables,
        parts => Target::Qualified(VariableName::of(parts)),
    })
}

/// Parses a SET of variables.
pub(super) fn variables<'a>(session: &'a Session, text: &str) -> Result<Work<'a>> {
    let mut cursor = Cursor::new(text)?;
    cursor.expect("SET")?;
    let _ = cursor.accept("VAR") || cursor.accept("VARIABLE");
    variable::set(session, &mut cursor)
}
