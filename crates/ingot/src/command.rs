//! The commands, one file each.

pub mod broker;
pub mod demo;
pub mod pipeline;
pub mod serve;
pub mod sql;
pub mod token;

use crate::cli::{Cli, Command};
use crate::error::Result;

/// Runs the command of a parsed command line.
pub async fn run(cli: Cli) -> Result<()> {
    let global = cli.global;
    match cli.command {
        Command::Serve(args) => serve::run(&global, args).await,
        Command::Sql(args) => sql::run(&global, args).await,
        Command::Pipeline(command) => pipeline::run(&global, command).await,
        Command::Token(command) => token::run(&global, command).await,
        Command::Broker(args) => broker::run(&global, args).await,
        Command::Demo(args) => demo::run(&global, args).await,
    }
}
