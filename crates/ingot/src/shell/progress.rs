//! How far a statement is, in one line of the terminal that is gone before the result comes.
//!
//! The engine, or the server, is asked for the statement's profile a few times a second, from when it has taken long enough
//! for a person to wonder.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ingot_common::history::{StatementRecord, StatementStatus};
use uuid::Uuid;

use crate::client::Target;

/// How long a statement runs before there is a line.
const AFTER: Duration = Duration::from_millis(500);
const EVERY: Duration = Duration::from_millis(200);

/// Goes to the beginning of the line, and clears it.
const CLEAR: &str = "\r\x1b[2K";

/// The line. Clones are of the same.
#[derive(Clone, Default)]
pub(super) struct ProgressLine {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    shown: bool,
    /// The result has come.
    over: bool,
}

impl ProgressLine {
    /// Shows how far the statement is, until it is dropped.
    pub async fn follow(&self, target: &Target, statement_id: Uuid, started: Instant) {
        if !io::stderr().is_terminal() {
            return std::future::pending().await;
        }
        tokio::time::sleep(AFTER).await;
        loop {
            if let Some(record) = target.progress(statement_id).await {
                self.show(&line(&record, started.elapsed()));
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    fn show(&self, text: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.over {
            state.shown = true;
            let places = console::Term::stderr()
                .size_checked()
                .map_or(80, |(_, columns)| columns);
            let text = console::truncate_str(text, usize::from(places).saturating_sub(1), "…");
            // A line that cannot be shown concerns nobody.
            let _ = write!(io::stderr(), "{CLEAR}{text}");
        }
    }

    /// Clears the line; there is none any more.
    pub fn end(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.over = true;
        if std::mem::take(&mut state.shown) {
            let _ = write!(io::stderr(), "{CLEAR}");
        }
    }
}

/// Writes results to `out`; the line is gone before the first of them.
pub(super) struct AfterProgress<W> {
    pub out: W,
    pub line: ProgressLine,
}

impl<W: Write> Write for AfterProgress<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.end();
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn line(record: &StatementRecord, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    if record.status == StatementStatus::Queued {
        return format!("{seconds:.1} s: waits for its turn");
    }
    let counts = record.counts;
    let mut text = format!(
        "{seconds:.1} s: {} rows, {} read",
        grouped(counts.read_rows),
        size(counts.read_bytes)
    );
    if counts.spilled_bytes > 0 {
        text += &format!(", {} spilled", size(counts.spilled_bytes));
    }
    if counts.produced_rows > 0 {
        text += &format!(", {} rows here", grouped(counts.produced_rows));
    }
    text
}

/// Writes a number with a comma before each three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes a number of bytes.
pub(super) fn size(bytes: u64) -> String {
    let mut rest = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if rest < 1024.0 {
            return if unit == "B" {
                format!("{bytes} B")
            } else {
                format!("{rest:.1} {unit}")
            };
        }
        rest /= 1024.0;
    }
    format!("{rest:.1} TiB")
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(0, "0", "0 B")]
    #[test_case(999, "999", "999 B")]
    #[test_case(1000, "1,000", "1000 B")]
    #[test_case(1_234_567, "1,234,567", "1.2 MiB")]
    fn numbers_are_readable(number: u64, count: &str, bytes: &str) {
        assert_eq!((grouped(number).as_str(), size(number).as_str()), (count, bytes));
    }
}
