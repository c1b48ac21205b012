//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use toml::Value;

use crate::command::broker::BrokerArgs;
use crate::command::demo::DemoArgs;
use crate::command::pipeline::PipelineCommand;
use crate::command::serve::ServeArgs;
use crate::command::sql::SqlArgs;
use crate::command::token::TokenCommand;
use crate::config::{Config, ConfigError, Flags};

/// A data lakehouse in one binary.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub struct GlobalArgs {
    /// Configuration file (TOML).
    #[arg(long, global = true, value_name = "FILE", env = "INGOT_CONFIG")]
    pub config: Option<PathBuf>,
    /// Data directory; overrides `data.directory`.
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Log level or directives; overrides `log.level`.
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

impl GlobalArgs {
    /// Loads the configuration under these flags and `flags` of the command.
    pub fn load(&self, mut flags: Flags) -> Result<Config, ConfigError> {
        if let Some(directory) = &self.data_dir {
            flags.push(("data.directory", path_value(directory)));
        }
        if let Some(level) = &self.log_level {
            flags.push(("log.level", Value::String(level.clone())));
        }
        Config::load(self.config.as_deref(), flags)
    }
}

/// Converts a path of a flag for the configuration.
pub fn path_value(path: &std::path::Path) -> Value {
    Value::String(path.to_string_lossy().into_owned())
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve SQL, the data API and pipelines over HTTP.
    Serve(ServeArgs),
    /// Run SQL: a statement, a file, or a shell; against a server or embedded.
    Sql(SqlArgs),
    /// Run or check a declarative pipeline.
    #[command(subcommand)]
    Pipeline(PipelineCommand),
    /// Make, list and revoke the access tokens of users.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Run a Kafka-protocol broker in memory, for development.
    Broker(BrokerArgs),
    /// Show the whole path on real data: broker, pipeline, checked answers.
    Demo(DemoArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
    }
}
