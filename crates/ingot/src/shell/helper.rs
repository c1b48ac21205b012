//! What the line editor asks while a person types.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use rustyline::completion::Completer;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

use super::commands;
use super::complete::{Namespace, complete};
use super::highlight::coloured;
use super::names::SharedNames;
use crate::sql_text::{ClientSession, split};

/// Catalog and schema of a session that has named none.
pub(super) const DEFAULTS: (&str, &str) = ("main", "default");

/// See the module's documentation.
pub(super) struct StatementHelper {
    pub names: SharedNames,
    pub session: Arc<Mutex<ClientSession>>,
    pub colours: bool,
}

impl Helper for StatementHelper {}

impl Highlighter for StatementHelper {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        let coloured = self.colours.then(|| coloured(line)).flatten();
        coloured.map_or(Cow::Borrowed(line), Cow::Owned)
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        self.colours && kind != CmdKind::MoveCursor
    }
}

impl Completer for StatementHelper {
    type Candidate = String;

    fn complete(&self, line: &str, place: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let session = self
            .session
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let namespace = Namespace {
            catalog: session.catalog.as_deref().unwrap_or(DEFAULTS.0),
            schema: session.schema.as_deref().unwrap_or(DEFAULTS.1),
        };
        Ok(complete(line, place, &self.names.get(), namespace))
    }
}

impl Hinter for StatementHelper {
    type Hint = String;
}

impl Validator for StatementHelper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_complete(context.input()) {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

/// Says if what was typed is to be run.
fn is_complete(text: &str) -> bool {
    text.trim().is_empty() || commands::parse(text).is_some() || split(text).rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    #[test_case("select 1", false)]
    #[test_case("select 1;", true)]
    #[test_case("select ';", false)]
    #[test_case("quit", true)]
    #[test_case(".tables", true)]
    #[test_case("begin select 1;", false; "a script")]
    #[test_case("", true)]
    fn a_semicolon_completes(text: &str, expected: bool) {
        assert_eq!(is_complete(text), expected);
    }
}
