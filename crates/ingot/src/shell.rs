//! The interactive shell of `ingot sql`.
//!
//! ```text
//! line ─► command of the shell? ─yes─► done here, or a statement
//!            └no─► statements, one by one ─► progress line ─► rows ─► how long it took
//! ```
//! A statement may span lines and runs when a `;` ends it. Ctrl-C clears the line, or stops the statement that
//! runs; Ctrl-D leaves. What was typed is kept in `~/.ingot_history`, or in the file that INGOT_HISTORY names.

mod commands;
mod complete;
mod helper;
mod highlight;
mod names;
mod profile;
mod progress;
mod words;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures::future::BoxFuture;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Config, Editor};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::commands::Command;
use self::helper::{DEFAULTS, StatementHelper};
use self::names::SharedNames;
use self::progress::{AfterProgress, ProgressLine};
use crate::client::Target;
use crate::error::{Error, Result, render};
use crate::output::{self, Format, Printed, TABLE_ROWS_MAX};
use crate::sql_text::{ClientSession, split};
use crate::terminal;

type Line = Result<String, ReadlineError>;
type ShellEditor = Editor<StatementHelper, DefaultHistory>;

/// Files that run files, at most.
const FILES_MAX: usize = 16;

/// First words of statements after which there may be other names.
const MAKES_NAMES: [&str; 5] = ["ALTER", "BEGIN", "CREATE", "DROP", "MERGE"];

/// Reads and runs statements until the person leaves.
pub async fn run(target: Target, format: Format) -> Result<()> {
    let mut shell = Shell {
        target,
        format,
        session: Arc::default(),
        names: SharedNames::default(),
        timing: true,
        progress: true,
        last: None,
    };
    shell.names.refresh(&shell.target);
    let history = history_path();
    let mut editor = shell.editor(history.as_deref())?;
    terminal::note(format_args!(
        "ingot {}; `.help` explains, `.quit` leaves",
        env!("CARGO_PKG_VERSION")
    ));
    loop {
        let (returned, line) = read_line(editor, shell.prompt()).await?;
        editor = returned;
        match line {
            Ok(text) => {
                let text = text.trim();
                if !text.is_empty() {
                    keep(&mut editor, text, history.as_deref());
                }
                if shell.run_line(text).await?.is_break() {
                    break;
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error.into()),
        }
    }
    shell.names.stop();
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

/// Keeps what was typed, on disk at once: a shell may be killed.
fn keep(editor: &mut ShellEditor, text: &str, history: Option<&Path>) {
    let added = editor.add_history_entry(text);
    if let (Ok(true), Some(path)) = (added, history)
        && let Err(error) = editor.append_history(path)
    {
        tracing::warn!(path = %path.display(), %error, "what was typed is not saved");
    }
}

fn history_path() -> Option<PathBuf> {
    let named = std::env::var_os("INGOT_HISTORY").filter(|path| !path.is_empty());
    let home = || std::env::home_dir().map(|home| home.join(".ingot_history"));
    named.map(PathBuf::from).or_else(home)
}

type Flow = std::ops::ControlFlow<()>;

/// A shell, and what the person has set.
struct Shell {
    target: Target,
    format: Format,
    session: Arc<Mutex<ClientSession>>,
    names: SharedNames,
    timing: bool,
    progress: bool,
    /// The statement that ran last.
    last: Option<Uuid>,
}

impl Shell {
    fn editor(&self, history: Option<&Path>) -> Result<ShellEditor> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .max_history_size(10_000)?
            .build();
        let mut editor = ShellEditor::with_config(config)?;
        editor.set_helper(Some(StatementHelper {
            names: self.names.clone(),
            session: Arc::clone(&self.session),
            colours: std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()),
        }));
        if let Some(path) = history {
            // There is none before the first shell.
            let _ = editor.load_history(path);
        }
        Ok(editor)
    }

    fn session(&self) -> ClientSession {
        self.session
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn prompt(&self) -> String {
        let session = self.session();
        let catalog = session.catalog.as_deref().unwrap_or(DEFAULTS.0);
        let schema = session.schema.as_deref().unwrap_or(DEFAULTS.1);
        format!("{catalog}.{schema}> ")
    }

    /// Runs what was typed: a command, or statements.
    async fn run_line(&mut self, text: &str) -> Result<Flow> {
        match commands::parse(text) {
            Some(Ok(command)) => self.command(command, 0).await,
            Some(Err(message)) => {
                terminal::note(message);
                Ok(Flow::Continue(()))
            }
            None => {
                self.statements(text).await?;
                Ok(Flow::Continue(()))
            }
        }
    }

    async fn command(&mut self, command: Command, depth: usize) -> Result<Flow> {
        match command {
            Command::Quit => return Ok(Flow::Break(())),
            Command::Help => terminal::note(commands::help()),
            Command::Clear => terminal::note("\x1b[2J\x1b[H"),
            Command::Statement(text) => {
                self.statement(&text).await?;
            }
            Command::Read(path) => {
                self.file(&path, depth).await?;
            }
            Command::Output(Some(format)) if format.binary() && std::io::stdout().is_terminal() => {
                terminal::note("this format is not for terminals; send the shell's output to a file");
            }
            Command::Output(chosen) => {
                self.format = chosen.unwrap_or(self.format);
                let name = format!("{:?}", self.format).to_lowercase();
                terminal::note(format_args!("output is {name}"));
            }
            Command::Timing(set) => toggle(&mut self.timing, set, "timing"),
            Command::Progress(set) => toggle(&mut self.progress, set, "progress"),
            Command::Profile(id) => self.profile(id).await,
        }
        Ok(Flow::Continue(()))
    }

    /// Runs the statements and commands of a file, until one fails. Returns whether none did.
    fn file<'a>(&'a mut self, path: &'a Path, depth: usize) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            if depth >= FILES_MAX {
                terminal::note(format_args!("{FILES_MAX} files run each other: that is too many"));
                return Ok(false);
            }
            let text = match std::fs::read_to_string(path) {
                Ok(text) => text,
                Err(error) => {
                    terminal::note(render(&Error::file("read statements", path)(error)));
                    return Ok(false);
                }
            };
            for piece in pieces_of_file(&text) {
                let went_well = match commands::parse(piece) {
                    Some(Ok(Command::Read(path))) => self.file(&path, depth + 1).await?,
                    Some(Ok(Command::Quit)) => return Ok(true),
                    Some(Ok(command)) => self.command(command, depth).await?.is_continue(),
                    Some(Err(message)) => {
                        terminal::note(message);
                        false
                    }
                    None => self.statements(piece).await?,
                };
                if !went_well {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// Runs statements one by one; an error of one ends the rest. Returns whether there was none.
    async fn statements(&mut self, text: &str) -> Result<bool> {
        for statement in split(text).all() {
            if !self.statement(statement).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Runs a statement, shows its result, and returns whether it went well.
    async fn statement(&mut self, statement: &str) -> Result<bool> {
        let (stop, started, id) = (CancellationToken::new(), Instant::now(), Uuid::new_v4());
        self.last = Some(id);
        let line = ProgressLine::default();
        let session = self.session();
        let work = async {
            let result = self
                .target
                .execute_as(id, session.request(statement), &stop)
                .await?;
            let mut out = AfterProgress {
                out: std::io::BufWriter::new(std::io::stdout()),
                line: line.clone(),
            };
            output::print(result, self.format, &mut out).await
        };
        let follow = async {
            match self.progress {
                true => line.follow(&self.target, id, started).await,
                false => std::future::pending().await,
            }
        };
        let outcome = tokio::select! {
            outcome = work => outcome,
            () = follow => Err(Error::Stopped),
            pressed = tokio::signal::ctrl_c() => {
                stop.cancel();
                pressed.map_err(|source| Error::Signals { source })?;
                Err(Error::Stopped)
            }
        };
        line.end();
        match outcome {
            Ok(printed) => {
                if self.timing {
                    terminal::note(summary(printed, started.elapsed().as_secs_f64()));
                }
                self.after(session, statement);
                Ok(true)
            }
            Err(error) => {
                terminal::note(render(&error));
                Ok(false)
            }
        }
    }

    /// Remembers what a statement has changed of the session and of names.
    fn after(&self, session: ClientSession, statement: &str) {
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = session.after(statement);
        let words = words::pieces(statement);
        let first = words.iter().find(|piece| piece.kind == words::Kind::Word);
        if first.is_some_and(|first| MAKES_NAMES.iter().any(|word| first.is_word(word))) {
            self.names.refresh(&self.target);
        }
    }

    /// Shows what a statement did.
    async fn profile(&self, id: Option<String>) {
        let wanted = match &id {
            Some(text) => Uuid::parse_str(text).ok(),
            None => self.last,
        };
        let Some(wanted) = wanted else {
            terminal::note(
                "there is no such statement; `.profile` takes an id of `.history`, or nothing after a statement",
            );
            return;
        };
        match self.target.profile(wanted).await {
            Ok(profile) => terminal::note(profile::text(&profile)),
            Err(error) => terminal::note(render(&error)),
        }
    }
}

/// Cuts a file into commands, a line each, and what is between them.
fn pieces_of_file(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let end = at + line.len();
        // Within a statement a line is no command.
        if split(&text[start..at]).rest.is_empty() && commands::parse(line).is_some() {
            pieces.push(&text[start..at]);
            pieces.push(line);
            start = end;
        }
        at = end;
    }
    pieces.push(&text[start..]);
    pieces.retain(|piece| !piece.trim().is_empty());
    pieces
}

fn toggle(setting: &mut bool, set: Option<bool>, name: &str) {
    *setting = set.unwrap_or(!*setting);
    terminal::note(format_args!("{name} is {}", if *setting { "on" } else { "off" }));
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

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    #[test_case("SELECT 1;\n.tables\nSELECT 2", &["SELECT 1;\n", ".tables\n", "SELECT 2"])]
    #[test_case("SELECT\n.5;\nsource x\n", &["SELECT\n.5;\n", "source x\n"]; "a line within a statement")]
    #[test_case("-- .tables\n", &["-- .tables\n"]; "a comment")]
    #[test_case("", &[]; "nothing")]
    fn a_file_is_cut(text: &str, expected: &[&str]) {
        assert_eq!(pieces_of_file(text), expected);
    }
}
