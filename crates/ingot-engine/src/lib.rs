//! SQL over Delta tables: sessions, statements, the Delta table provider and its plan nodes, DML.
//!
//! ```text
//! SQL text ─► parser (Databricks dialect) ─► Statement ─┬─ query ──► DataFusion plan ─► DeltaScanExec ─► batches
//!                                                       ├─ DML ────► plan ─► FileWriter ─► Transaction
//!                                                       └─ DDL, SHOW, DESCRIBE ──► metastore, Delta log
//! ```

mod access;
mod arrow_types;
mod ast;
mod cast;
pub mod change_feed;
mod client_session;
pub mod codec;
pub mod dialect;
mod dml;
pub mod engine;
pub mod error;
pub mod files;
mod filtered;
mod functions;
mod history;
mod information_schema;
mod join_order;
mod maintenance;
pub mod merge;
mod metric_view;
mod optimize;
pub mod provider;
mod pruning;
mod resolve;
mod resources;
mod row_ids;
pub mod scan;
pub mod session;
mod spark;
mod stack;
mod statement;
mod statistics;
mod system_tables;
mod table_query;
pub mod types;
pub mod write;

pub use engine::{Engine, EngineOptions};
pub use error::{Error, Result};
pub use history::HistoryOptions;
pub use resources::{CacheCounts, StatementLimits};
pub use session::Session;
pub use stack::STACK_BYTES;
pub use statement::{SettingChange, setting_change};
