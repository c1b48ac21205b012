//! Runs the `.slt` files of a folder against `ingot serve`: the behaviour of SQL, by area.
//!
//! ```text
//! delta/insert.slt ─► schema main.delta_insert ─► statements ─► POST /api/v1/sql ─► rows as text ─► compared
//! ```
//! All files share one server on a new data directory; each file has a schema of its own and may run beside the
//! others. Source of the format: sqllogictest. Here `SET` and `RESET` hold until the end of the file, `NULL` is null, an
//! empty text is `(empty)`, nested values are JSON, and an error reads `[CONDITION] message SQLSTATE: 42000`.
//! `$__TEST_DIR__` is a folder of the file's own, where `control substitution on` stands.

mod server;
mod session;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use libtest_mimic::{Arguments, Failed, Trial};
use sqllogictest::Runner;

use crate::server::Server;
use crate::session::Session;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Runs the .slt files of a folder against a server that it starts.
#[derive(Debug, Parser)]
struct Args {
    /// The binary under test.
    #[arg(long, env = "INGOT")]
    ingot: PathBuf,
    /// Folder of .slt files; the folders in it are areas.
    #[arg(long, default_value = "slt")]
    folder: PathBuf,
    /// Write the results found into the files, to be reviewed, instead of comparing.
    #[arg(long)]
    complete: bool,
    /// Runs the files whose name contains one of these.
    filters: Vec<String>,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<ExitCode, Error> {
    let mut files = Vec::new();
    find(&args.folder, &mut files)?;
    files.sort();
    let server = Arc::new(Server::start(&args.ingot)?);
    let mut trials = Vec::new();
    for file in files {
        let name = file
            .strip_prefix(&args.folder)?
            .with_extension("")
            .display()
            .to_string();
        if !args.filters.is_empty() && !args.filters.iter().any(|filter| name.contains(filter)) {
            continue;
        }
        let server = Arc::clone(&server);
        let (label, complete) = (name.clone(), args.complete);
        trials.push(Trial::test(label, move || {
            run_file(&server, &file, &name, complete).map_err(Failed::from)
        }));
    }
    if trials.is_empty() {
        return Err("no .slt file is named so".into());
    }
    Ok(libtest_mimic::run(&Arguments::default(), trials).exit_code())
}

/// Adds the `.slt` files below `folder` to `files`.
fn find(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("list {}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("runner") {
            find(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "slt") {
            files.push(path);
        }
    }
    Ok(())
}

fn run_file(server: &Server, file: &Path, name: &str, complete: bool) -> Result<(), Error> {
    let schema = name.replace(['/', '-'], "_");
    server.query("default", &format!("CREATE SCHEMA main.{schema}"))?;
    let folder = tempfile::tempdir()?;
    let mut runner = Runner::new(|| async { Ok(Session::new(server.url(), &schema)) });
    runner.set_var("__TEST_DIR__".to_owned(), folder.path().display().to_string());
    if complete {
        let update = runner.update_test_file(
            file,
            " ",
            sqllogictest::default_validator,
            sqllogictest::default_normalizer,
            sqllogictest::default_column_validator,
        );
        return block_on(update);
    }
    Ok(runner.run_file(file)?)
}

/// Runs a future that never waits for anything but blocking calls.
fn block_on<T>(future: impl Future<Output = Result<T, Box<dyn std::error::Error>>>) -> Result<T, Error> {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done.map_err(|error| error.to_string().into());
        }
    }
}
