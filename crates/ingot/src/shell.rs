//! The interactive shell of `ingot sql`.
//!
//! A statement may span lines and runs when a `;` ends it. Ctrl-C clears the line, or stops the statement that
//! runs; Ctrl-D leaves. The history is kept in `~/.ingot_history`.

use std::path::PathBuf;
use std::time::Instant;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Editor, Helper};
use tokio_util::sync::CancellationToken;

use crate::client::Target;
use crate::command::sql::execute;
use crate::error::{Error, Result, render};
use crate::output::{Format, Printed, TABLE_ROWS_MAX};
use crate::sql_text::{ClientSession, split};
use crate::terminal;

const HELP: &str = "\
Statements end with `;`. Names of fewer than three parts follow USE CATALOG and USE SCHEMA.
  help    this text
  quit    leave (also exit, Ctrl-D)
Ctrl-C clears the line or stops the running statement.";

type Line = Result<String, ReadlineError>;
type ShellEditor = Editor<StatementHelper, DefaultHistory>;

/// Reads and runs statements until the person leaves.
pub async fn run(target: Target, format: Format) -> Result<()> {
    let mut editor = ShellEditor::new()?;
    editor.set_helper(Some(StatementHelper {}));
    let history = history_path();
    if let Some(path) = &history {
        // There is no history before the first shell.
        let _ = editor.load_history(path);
    }
    terminal::note(format_args!(
        "ingot {}; `help` explains, `quit` leaves",
        env!("CARGO_PKG_VERSION")
    ));
    let mut session = ClientSession::default();
    loop {
        let (returned, line) = read_line(editor, prompt(&session)).await?;
        editor = returned;
        match line {
            Ok(text) => {
                let text = text.trim();
                if matches!(text, "quit" | "exit") {
                    break;
                }
                if !text.is_empty() {
                    editor.add_history_entry(text)?;
                }
                session = run_text(&target, session, text, format).await?;
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(path) = &history
        && let Err(error) = editor.save_history(path)
    {
        tracing::warn!(path = %path.display(), %error, "history is not saved");
    }
    Ok(())
}

async fn read_line(mut editor: ShellEditor, prompt: String) -> Result<(ShellEditor, Line)> {
    // Reading blocks until the person has typed.
    tokio::task::spawn_blocking(move || {
        let line = editor.readline(&prompt);
        (editor, line)
    })
    .await
    .map_err(|_| Error::Stopped)
}

/// Runs what was typed; an error of a statement is shown and ends the rest of the text.
async fn run_text(
    target: &Target,
    mut session: ClientSession,
    text: &str,
    format: Format,
) -> Result<ClientSession> {
    if text == "help" {
        terminal::note(HELP);
        return Ok(session);
    }
    for statement in split(text).complete {
        let stop = CancellationToken::new();
        let started = Instant::now();
        let work = execute(target, &session, statement, format, &stop);
        let outcome = tokio::select! {
            outcome = work => outcome,
            pressed = tokio::signal::ctrl_c() => {
                stop.cancel();
                pressed.map_err(|source| Error::Signals { source })?;
                Err(Error::Stopped)
            }
        };
        match outcome {
            Ok(printed) => terminal::note(summary(printed, started.elapsed().as_secs_f64())),
            Err(error) => {
                terminal::note(render(&error));
                break;
            }
        }
        session = session.after(statement);
    }
    Ok(session)
}

fn summary(printed: Printed, seconds: f64) -> String {
    let Printed { rows, truncated } = printed;
    let noun = if rows == 1 { "row" } else { "rows" };
    let note = if truncated {
        format!(" shown, the first {TABLE_ROWS_MAX}")
    } else {
        String::new()
    };
    format!("{rows} {noun}{note} in {seconds:.3} s")
}

fn prompt(session: &ClientSession) -> String {
    let catalog = session.catalog.as_deref().unwrap_or("main");
    let schema = session.schema.as_deref().unwrap_or("default");
    format!("{catalog}.{schema}> ")
}

fn history_path() -> Option<PathBuf> {
    std::env::home_dir().map(|home| home.join(".ingot_history"))
}

/// Tells the editor when what was typed is complete.
struct StatementHelper {}

impl Helper for StatementHelper {}

impl Highlighter for StatementHelper {}

impl Completer for StatementHelper {
    type Candidate = String;
}

impl Hinter for StatementHelper {
    type Hint = String;
}

impl Validator for StatementHelper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if complete(context.input()) {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

fn complete(text: &str) -> bool {
    matches!(text.trim(), "" | "help" | "quit" | "exit") || split(text).rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    #[test_case("select 1", false)]
    #[test_case("select 1;", true)]
    #[test_case("select ';", false)]
    #[test_case("quit", true)]
    #[test_case("", true)]
    fn a_semicolon_completes(text: &str, expected: bool) {
        assert_eq!(complete(text), expected);
    }
}
