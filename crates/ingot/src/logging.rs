//! The log: text or JSON lines on standard error, so that standard output carries results only.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// Installs the process's log. A second call changes nothing.
pub fn install(config: &LogConfig) {
    // The kernel tells of every snapshot that it makes, and calls a place without a table an error; whoever asked it
    // logs what matters. Directives that name it still win.
    let filter = EnvFilter::new(format!("delta_kernel=off,{}", config.level));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Nobody reads that a line could not be written, and the attempt to say so would end the process.
        .log_internal_errors(false)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    let installed = match config.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    if installed.is_err() {
        tracing::debug!("a log is installed already");
    }
}
