//! `ingot sql`: statements of an argument, a file or a shell; against a server or embedded.

use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;

use clap::Args;
use ingot_common::port::StatementRequest;
use tokio_util::sync::CancellationToken;

use crate::cli::GlobalArgs;
use crate::client::{ServerClient, Target};
use crate::error::{Error, Result};
use crate::instance::Instance;
use crate::output::{self, Format, Printed, TABLE_ROWS_MAX};
use crate::sql_text::{Namespace, split};
use crate::{logging, shell, shutdown};

#[derive(Debug, Clone, Args)]
pub struct SqlArgs {
    /// Statements to run, separated by `;`.
    #[arg(
        short = 'e',
        long = "execute",
        value_name = "STATEMENT",
        conflicts_with = "file"
    )]
    pub execute: Option<String>,
    /// File of statements to run; `-` is standard input.
    #[arg(short = 'f', long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// How results are printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
    /// Server to run on (`http://HOST:PORT`); without one, statements run embedded on the data directory.
    #[arg(long, value_name = "URL", env = "INGOT_URL")]
    pub url: Option<String>,
    /// Bearer token for the server.
    #[arg(
        long,
        value_name = "TOKEN",
        env = "INGOT_TOKEN",
        hide_env_values = true,
        requires = "url"
    )]
    pub token: Option<String>,
}

/// Runs the statements in order and stops at the first that fails.
pub async fn run(global: &GlobalArgs, args: SqlArgs) -> Result<()> {
    let mut config = global.load(vec![])?;
    if global.log_level.is_none() && config.log.level == "info" {
        // Beside results, a person wants to hear of troubles only.
        "warn".clone_into(&mut config.log.level);
    }
    logging::install(&config.log);
    let target = match &args.url {
        Some(url) => Target::Server(ServerClient::new(url, args.token.clone())),
        None => Target::Embedded {
            statements: Instance::open(&config).await?.statements(),
            principal: Instance::principal(),
        },
    };
    let Some(text) = statements(&args)? else {
        return shell::run(target, args.output).await;
    };
    let stop = CancellationToken::new();
    let mut namespace = Namespace::default();
    let work = async {
        for statement in split(&text).all() {
            let printed = execute(&target, &namespace, statement, args.output, &stop).await?;
            namespace = namespace.after(statement);
            if printed.truncated {
                eprintln!("only the first {TABLE_ROWS_MAX} rows are shown; other formats show all");
            }
        }
        Ok(())
    };
    shutdown::until_signal(work, &stop).await
}

/// Returns the text to run; `None` for a shell.
fn statements(args: &SqlArgs) -> Result<Option<String>> {
    if let Some(text) = &args.execute {
        return Ok(Some(text.clone()));
    }
    let stdin = || {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(Error::file("read statements", "-"))?;
        Ok(Some(text))
    };
    match &args.file {
        Some(path) if path.as_os_str() == "-" => stdin(),
        Some(path) => std::fs::read_to_string(path)
            .map(Some)
            .map_err(Error::file("read statements", path)),
        None if std::io::stdin().is_terminal() => Ok(None),
        None => stdin(),
    }
}

/// Runs one statement and prints its result on standard output.
pub async fn execute(
    target: &Target,
    namespace: &Namespace,
    statement: &str,
    format: Format,
    stop: &CancellationToken,
) -> Result<Printed> {
    let request = StatementRequest {
        statement: statement.to_owned(),
        catalog: namespace.catalog.clone(),
        schema: namespace.schema.clone(),
    };
    let mut out = std::io::BufWriter::new(std::io::stdout());
    let work = async {
        let result = target.execute(request, stop).await?;
        output::print(result, format, &mut out).await
    };
    let printed = tokio::select! {
        printed = work => printed,
        () = stop.cancelled() => Err(Error::Stopped),
    };
    // A reader that has seen enough (`| head`) is no failure of ours.
    match out.flush() {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        _ => printed,
    }
}
