//! `ingot sql`: statements of an argument, a file or a shell; against a server or embedded.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::cli::GlobalArgs;
use crate::client::{ServerClient, Target};
use crate::error::{Error, Result};
use crate::instance::Instance;
use crate::output::{self, Format, Printed, TABLE_ROWS_MAX};
use crate::sql_text::{ClientSession, split};
use crate::{logging, shell, shutdown, terminal};

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
    /// Server to run on (`http://HOST:PORT`); by default INGOT_URL, unless --data-dir is given. Without a server,
    /// statements run embedded on the data directory.
    #[arg(long, value_name = "URL", conflicts_with = "data_dir")]
    pub url: Option<String>,
    /// Bearer token for the server; by default INGOT_TOKEN.
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
}

/// Where statements run, and as whom on a server.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Embedded,
    Server { url: String, token: Option<String> },
}

impl Place {
    /// Chooses the place. What the command line says wins over `environment`, which is asked for `INGOT_URL` and
    /// `INGOT_TOKEN`; there, an empty value is none.
    ///
    /// # Errors
    /// `InvalidArgument` for a token on the command line that no server would get.
    fn choose(
        args: &SqlArgs,
        data_dir_given: bool,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let variable = |name| environment(name).filter(|value| !value.is_empty());
        let exported = || variable("INGOT_URL").filter(|_| !data_dir_given);
        match args.url.clone().or_else(exported) {
            Some(url) => {
                let token = args.token.clone().or_else(|| variable("INGOT_TOKEN"));
                Ok(Self::Server { url, token })
            }
            None if args.token.is_some() => Err(Error::Usage {
                message: "--token is for a server; name it with --url".to_owned(),
            }),
            None => Ok(Self::Embedded),
        }
    }
}

/// Runs the statements in order and stops at the first that fails.
pub async fn run(global: &GlobalArgs, args: SqlArgs) -> Result<()> {
    let mut config = global.load(vec![])?;
    if global.log_level.is_none() && config.log.level == "info" {
        // Beside results, a person wants to hear of troubles only.
        "warn".clone_into(&mut config.log.level);
    }
    logging::install(&config.log);
    let place = Place::choose(&args, global.data_dir.is_some(), |name| std::env::var(name).ok())?;
    match place {
        Place::Server { url, token } => run_on(Target::Server(ServerClient::new(&url, token)), &args).await,
        Place::Embedded => {
            let instance = Instance::open(&config).await?;
            let target = Target::Embedded {
                statements: instance.statements(),
                principal: Instance::principal(),
            };
            let outcome = run_on(target, &args).await;
            instance.settle().await;
            outcome
        }
    }
}

async fn run_on(target: Target, args: &SqlArgs) -> Result<()> {
    if args.output.binary() && std::io::stdout().is_terminal() {
        return Err(Error::Usage {
            message: "this output is not for terminals; send it to a file".to_owned(),
        });
    }
    let Some(text) = statements(args)? else {
        return shell::run(target, args.output).await;
    };
    let stop = CancellationToken::new();
    let mut session = ClientSession::default();
    let work = async {
        for statement in split(&text).all() {
            let printed = execute(&target, &session, statement, args.output, &stop).await?;
            session = session.after(statement);
            if printed.truncated {
                terminal::note(format_args!(
                    "only the first {TABLE_ROWS_MAX} rows are shown; other formats show all"
                ));
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
    session: &ClientSession,
    statement: &str,
    format: Format,
    stop: &CancellationToken,
) -> Result<Printed> {
    let request = session.request(statement);
    let mut out = std::io::BufWriter::new(std::io::stdout());
    let work = async {
        let result = target.execute(request, stop).await?;
        output::print(result, format, &mut out).await
    };
    tokio::select! {
        printed = work => printed,
        () = stop.cancelled() => Err(Error::Stopped),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    const EXPORTED: &[(&str, &str)] = &[("INGOT_URL", "http://exported"), ("INGOT_TOKEN", "exported")];

    fn server(url: &str, token: Option<&str>) -> Place {
        Place::Server {
            url: url.to_owned(),
            token: token.map(str::to_owned),
        }
    }

    #[test_case(None, None, false, &[], Place::Embedded; "nothing is said")]
    #[test_case(None, None, false, &[("INGOT_TOKEN", "t")], Place::Embedded; "a token alone is exported")]
    #[test_case(None, None, false, &[("INGOT_URL", "")], Place::Embedded; "an empty address is exported")]
    #[test_case(None, None, false, EXPORTED, server("http://exported", Some("exported")); "a server is exported")]
    #[test_case(None, None, true, EXPORTED, Place::Embedded; "a directory is given and a server exported")]
    #[test_case(Some("http://u"), None, false, EXPORTED, server("http://u", Some("exported")); "a server is given")]
    #[test_case(Some("http://u"), Some("t"), false, &[], server("http://u", Some("t")); "server and token are given")]
    #[test_case(None, Some("t"), false, EXPORTED, server("http://exported", Some("t")); "a token is given")]
    fn the_command_line_wins(
        url: Option<&str>,
        token: Option<&str>,
        data_dir_given: bool,
        environment: &[(&str, &str)],
        expected: Place,
    ) {
        let args = SqlArgs {
            execute: None,
            file: None,
            output: Format::Table,
            url: url.map(str::to_owned),
            token: token.map(str::to_owned),
        };
        let variable = |name: &str| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(
            Place::choose(&args, data_dir_given, variable).expect("a place"),
            expected
        );
    }

    #[test]
    fn a_token_without_a_server_is_refused() {
        let args = SqlArgs {
            execute: None,
            file: None,
            output: Format::Table,
            url: None,
            token: Some("t".to_owned()),
        };
        Place::choose(&args, true, |_| None).expect_err("no server");
    }
}
