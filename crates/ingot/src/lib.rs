//! The `ingot` binary as a library: configuration, wiring of the crates below, and the commands.
//!
//! ```text
//! flags, environment, file ─► Config ─► Instance (metastore, tables, engine on a data directory)
//!                                          ├─ serve     HTTP server, continuous pipelines, upkeep
//!                                          ├─ sql       one statement, a file, or a shell
//!                                          ├─ pipeline  one update of a project
//!                                          └─ demo      broker + records + pipeline + checks
//! ```
//! Standard output carries results and nothing else; the log and messages go to standard error.

pub mod admin_token;
pub mod broker;
pub mod certificates;
pub mod cli;
pub mod client;
pub mod command;
pub mod config;
pub mod cursor_key;
pub mod data_directory;
pub mod demo;
pub mod error;
pub mod flights;
pub mod instance;
pub mod kafka;
pub mod logging;
pub mod output;
pub mod pipeline_task;
pub mod shell;
pub mod shutdown;
pub mod sql_text;
pub mod terminal;

pub use config::Config;
pub use error::{Error, Result};
pub use instance::Instance;
