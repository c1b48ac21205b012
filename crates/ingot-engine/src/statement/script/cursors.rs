//! Cursors of a script: `DECLARE … CURSOR`, `OPEN`, `FETCH`, `CLOSE`.
//!
//! ```text
//! DECLARE: the query's text ─► OPEN: planned with the values of now ─► FETCH: the next row of a stream ─► variables
//!                ▲                                                                   │
//!                └──────────────────── CLOSE, or the end of the block ◄──────────────┘
//! ```
//! Cursors stand in scopes, one for each compound statement. The innermost hides the others; a label names one scope.
//! Their names are apart from those of variables. An open cursor reads the tables as they were when it was opened, and
//! is closed when the block that declares it is left, however that is. FETCH after the last row raises a condition that
//! stops nothing ([`is_completion`]). Source: Databricks, "OPEN statement", "FETCH statement", "CLOSE statement",
//! "BEGIN END compound statement"; Spark, `CursorState`.

mod assign;
mod parameters;
mod parse;
mod rows;

use std::collections::BTreeMap;

use ingot_common::{Classify, Kind};

pub(super) use self::parameters::Argument;
pub(super) use self::parse::{accept_cursor, close, fetch, misplaced, open, outside, query};
use self::rows::CursorRows;
use super::run;
use crate::session::VariableName;
use crate::statement::parse_query;
use crate::{Error, Result, Session};

/// The name of a cursor, in lower case.
#[derive(Debug)]
pub(super) struct CursorName {
    /// Of the compound statement that declares it.
    label: Option<String>,
    name: String,
}

impl CursorName {
    /// Reads the parts of a name.
    ///
    /// # Errors
    /// `CURSOR_REFERENCE_INVALID_QUALIFIER` for more than two.
    fn of(parts: &[String]) -> Result<Self> {
        let (label, name) = match parts {
            [name] => (None, name),
            [label, name] => (Some(label.to_lowercase()), name),
            _ => {
                return Err(condition(
                    Kind::InvalidArgument,
                    "CURSOR_REFERENCE_INVALID_QUALIFIER",
                    "42601",
                    format!(
                        "`{}` is no cursor; at most a label stands before its name",
                        parts.join(".")
                    ),
                ));
            }
        };
        Ok(Self {
            label,
            name: name.to_lowercase(),
        })
    }
}

impl std::fmt::Display for CursorName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.label {
            Some(label) => write!(f, "{label}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// The cursors of a script that runs: scopes, the innermost last.
#[derive(Default)]
pub(super) struct Cursors(Vec<CursorScope>);

/// The cursors of a compound statement.
pub(super) struct CursorScope {
    label: Option<String>,
    /// By names in lower case.
    cursors: BTreeMap<String, Declared>,
}

/// A cursor that is declared.
struct Declared {
    query: String,
    /// `None` while it is not open.
    rows: Option<CursorRows>,
}

impl Cursors {
    /// Opens a scope within the others; `label` is in lower case.
    pub fn enter(&mut self, label: Option<&str>) {
        self.0.push(CursorScope {
            label: label.map(str::to_owned),
            cursors: BTreeMap::new(),
        });
    }

    /// Returns how many scopes there are.
    pub fn depth(&self) -> usize {
        self.0.len()
    }

    /// Closes scopes with the cursors in them, until there are no more than so many.
    pub fn leave(&mut self, depth: usize) {
        self.0.truncate(depth);
    }

    /// Takes the scopes within the outermost so many away, until [`Cursors::show`] puts them back.
    pub fn hide(&mut self, depth: usize) -> Vec<CursorScope> {
        self.0.split_off(depth.min(self.0.len()))
    }

    /// Puts back what was hidden.
    pub fn show(&mut self, hidden: Vec<CursorScope>) {
        self.0.extend(hidden);
    }

    /// Adds a cursor to the innermost scope; `name` is in lower case.
    ///
    /// # Errors
    /// `CURSOR_ALREADY_EXISTS`.
    pub fn declare(&mut self, name: &str, query: &str) -> Result<()> {
        let Some(scope) = self.0.last_mut() else {
            return Err(Error::internal("a cursor outside of a script".to_owned()));
        };
        let declared = Declared {
            query: query.to_owned(),
            rows: None,
        };
        match scope.cursors.insert(name.to_owned(), declared) {
            None => Ok(()),
            Some(_) => Err(condition(
                Kind::AlreadyExists,
                "CURSOR_ALREADY_EXISTS",
                "42723",
                format!("the compound statement declares the cursor `{name}` twice"),
            )),
        }
    }

    /// Plans the query of a cursor, with the values that its markers are for, and begins to run it. A cursor whose
    /// query fails here stays closed.
    ///
    /// # Errors
    /// `CURSOR_NOT_FOUND`, `CURSOR_ALREADY_OPEN`; what is wrong with the values or the query.
    ///
    /// Source: Spark, `OpenCursorExec`.
    pub async fn open(&mut self, session: &Session, name: &CursorName, using: &[Argument]) -> Result<()> {
        let cursor = self.find(name)?;
        if cursor.rows.is_some() {
            return Err(condition(
                Kind::FailedPrecondition,
                "CURSOR_ALREADY_OPEN",
                "24502",
                format!("the cursor `{name}` is open already; CLOSE it first"),
            ));
        }
        let mut query = parse_query(&cursor.query)?;
        if !using.is_empty() {
            parameters::bind(session, &mut query, using).await?;
        }
        let batches = run::rows(session, query).await?;
        cursor.rows = Some(CursorRows::new(batches));
        Ok(())
    }

    /// Sets variables to the values of the next row of an open cursor. A row that the variables cannot take is gone.
    ///
    /// # Errors
    /// `CURSOR_NOT_FOUND`, `CURSOR_NOT_OPEN`, `CURSOR_NO_MORE_ROWS`; `UNRESOLVED_VARIABLE`, `DUPLICATE_ASSIGNMENTS`,
    /// `ASSIGNMENT_ARITY_MISMATCH`; what the query fails with, and what is wrong with a value.
    ///
    /// Source: Spark, `ResolveFetchCursor`, `FetchCursorExec`.
    pub async fn fetch(&mut self, session: &Session, name: &CursorName, into: &[VariableName]) -> Result<()> {
        let cursor = self.find(name)?;
        assign::check(session, into)?;
        let Some(rows) = &mut cursor.rows else {
            return Err(not_open(name));
        };
        match rows.next().await? {
            Some(row) => assign::assign(session, into, row).await,
            None => Err(condition(
                Kind::FailedPrecondition,
                "CURSOR_NO_MORE_ROWS",
                "02000",
                format!("the cursor `{name}` has no more rows"),
            )),
        }
    }

    /// Closes an open cursor; it may be opened again.
    ///
    /// # Errors
    /// `CURSOR_NOT_FOUND`, `CURSOR_NOT_OPEN`.
    pub fn close(&mut self, name: &CursorName) -> Result<()> {
        match self.find(name)?.rows.take() {
            Some(_) => Ok(()),
            None => Err(not_open(name)),
        }
    }

    fn find(&mut self, name: &CursorName) -> Result<&mut Declared> {
        let mut scopes = self.0.iter_mut().rev();
        let found = match name.label.as_deref() {
            Some(label) => scopes
                .find(|scope| scope.label.as_deref() == Some(label))
                .and_then(|scope| scope.cursors.get_mut(&name.name)),
            None => scopes.find_map(|scope| scope.cursors.get_mut(&name.name)),
        };
        found.ok_or_else(|| {
            condition(
                Kind::NotFound,
                "CURSOR_NOT_FOUND",
                "42883",
                format!("there is no cursor `{name}` here; DECLARE one in a compound statement around this"),
            )
        })
    }
}

/// Says if an error is only that there is no data: where no handler is for it, the script goes on with the next
/// statement. Source: Spark, `SqlScriptingExecution`, class 02 of SQLSTATE.
pub(super) fn is_completion(error: &Error) -> bool {
    error.sqlstate().is_some_and(|state| state.starts_with("02"))
}

fn not_open(name: &CursorName) -> Error {
    condition(
        Kind::FailedPrecondition,
        "CURSOR_NOT_OPEN",
        "24501",
        format!("the cursor `{name}` is not open; OPEN it first"),
    )
}

fn condition(kind: Kind, condition: &'static str, sqlstate: &'static str, message: String) -> Error {
    Error::Condition {
        kind,
        condition,
        sqlstate,
        message,
    }
}
