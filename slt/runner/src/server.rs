//! The server under test: started on a port that the system chooses, killed at the end.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::Error;
use crate::session::Session;

/// A running `ingot serve` with a data directory of its own.
pub struct Server {
    process: Child,
    url: String,
    _data_dir: TempDir,
}

impl Server {
    /// Starts the server and waits until it accepts connections.
    pub fn start(binary: &Path) -> Result<Self, Error> {
        let data_dir = tempfile::tempdir()?;
        let mut process = Command::new(binary)
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--development",
                "--log-level",
                "error",
            ])
            .arg("--data-dir")
            .arg(data_dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("start {}: {error}", binary.display()))?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let announced: serde_json::Value = serde_json::from_str(&line)
            .map_err(|error| format!("the server announced `{}`: {error}", line.trim()))?;
        let url = announced["http"]
            .as_str()
            .ok_or("the server announced no address")?;
        Ok(Self {
            url: url.to_owned(),
            process,
            _data_dir: data_dir,
        })
    }

    /// Returns the address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs one statement in a session of its own.
    pub fn query(&self, schema: &str, statement: &str) -> Result<(), Error> {
        Session::new(&self.url, schema).execute(statement)?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
