//! SQL scripts: `BEGIN … END`, with variables, control flow and handlers of conditions.
//!
//! ```text
//! text ─► [`parse`]: steps, with the texts of statements and expressions ─► [`run`]: one after the other
//!                                    └─ each statement through the session, as one that is alone ─┘
//! ```
//! A script is read whole, with the statements in it ([`check`]), before anything of it runs. Its result is that of the
//! last query in it. Statements are not undone when a later one fails. Source: Databricks, "SQL scripting"; Spark,
//! `SqlScriptingInterpreter`.

mod check;
mod cursors;
mod diagnostics;
mod parse;
mod run;
mod set;

use datafusion::sql::sqlparser::ast::DataType as SqlType;

use self::cursors::{Argument, CursorName};
use super::Work;
use super::cursor::Cursor;
use crate::session::VariableName;
use crate::{Error, Result, Session};

/// Parses what follows the BEGIN of a script.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let script = parse::script(cursor)?;
    check::block(session, &script)?;
    Ok(Work::defines(run::run(session, script)))
}

/// Makes the error of a statement that stands in scripts alone, where `cursor` is at the beginning of its text.
pub(super) fn outside(cursor: &Cursor<'_>, text: &str) -> Option<Error> {
    cursors::outside(cursor, text)
}

/// A compound statement.
#[derive(Debug)]
struct Block {
    label: Option<String>,
    declarations: Vec<Declaration>,
    handlers: Vec<Handler>,
    body: Vec<Step>,
}

/// What stands at the beginning of a compound statement.
#[derive(Debug)]
enum Declaration {
    Variable {
        names: Vec<String>,
        sql_type: Option<SqlType>,
        /// The text of an expression.
        default: Option<String>,
    },
    Condition {
        /// In upper case.
        name: String,
        sqlstate: String,
    },
    Cursor {
        /// In lower case.
        name: String,
        /// The text of the query.
        query: String,
    },
}

/// What is done about conditions.
#[derive(Debug)]
struct Handler {
    conditions: Vec<Caught>,
    /// Goes on after the statement that failed, not after the block.
    goes_on: bool,
    action: Vec<Step>,
}

/// A condition that a handler is for.
#[derive(Debug, PartialEq, Eq)]
enum Caught {
    /// In upper case; also of a class of conditions.
    Named(String),
    SqlState(String),
    NotFound,
    Exception,
}

/// A statement of a script.
#[derive(Debug)]
enum Step {
    Block(Block),
    Statement(String),
    /// `SET` of variables, or of a setting where there is no such variable.
    Set(String),
    If {
        branches: Vec<(String, Vec<Step>)>,
        otherwise: Vec<Step>,
    },
    While {
        label: Option<String>,
        condition: String,
        body: Vec<Step>,
    },
    Repeat {
        label: Option<String>,
        body: Vec<Step>,
        until: String,
    },
    Loop {
        label: Option<String>,
        body: Vec<Step>,
    },
    For {
        label: Option<String>,
        variable: Option<String>,
        query: String,
        body: Vec<Step>,
    },
    Open {
        cursor: CursorName,
        using: Vec<Argument>,
    },
    Fetch {
        cursor: CursorName,
        into: Vec<VariableName>,
    },
    Close(CursorName),
    Leave(String),
    Iterate(String),
    Signal(Signal),
    /// Raises the condition that is handled.
    Resignal,
    /// Variables, and what each is set to.
    Diagnostics(Vec<(String, diagnostics::Item)>),
}

/// A condition that a script raises.
#[derive(Debug)]
struct Signal {
    raised: Raised,
    /// The expression of the message.
    message: Option<String>,
    /// The expression of a map of the message's arguments.
    arguments: Option<String>,
}

#[derive(Debug)]
enum Raised {
    /// In upper case.
    Named(String),
    SqlState(String),
}
