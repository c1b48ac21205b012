//! What a person reads: results on standard output, notes on standard error.
//!
//! Rust's own macros panic when the reader has gone (`ingot demo | head`), so nothing here uses them. A reader of
//! results who has seen enough ends the command: [`print`] fails with an error that [`Error::reader_left`] knows,
//! and the process ends well. Notes that nobody reads are dropped.

use std::fmt::Display;
use std::io::{self, Write};

use crate::error::{Error, Result};

/// Prints a line of results.
///
/// # Errors
/// The system's, when it cannot be written.
pub fn print(line: impl Display) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(Error::Print)
}

/// Shows a line to the person, if anybody is there.
pub fn note(line: impl Display) {
    // A note that cannot be shown concerns nobody.
    let _ = writeln!(io::stderr(), "{line}");
}
