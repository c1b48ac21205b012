//! Declarative pipelines: a folder with `pipeline.toml` and SQL files becomes a graph of datasets that are
//! kept up to date.
//!
//! ```text
//! *.sql ─► dialect ─► definitions ─► graph (order, cycles, unknown names) ─► update
//!                                                                            ├─ streaming tables: StreamingQuery each
//!                                                                            ├─ AUTO CDC flows: MERGE per batch
//!                                                                            └─ materialized views: recomputed
//!                                                     event log (Delta table) ◄─┘
//! ```
//! Always true: a dataset's rows and the mark of how far its sources were taken are one commit, so an update that
//! was killed goes on where it was; a dropped table starts over, because its checkpoint is named by the table's
//! id. Source: Databricks, Lakeflow Spark Declarative Pipelines, SQL reference.

pub mod definition;
mod dialect;
pub mod error;
mod event;
mod expectation;
mod flow;
mod graph;
pub mod project;
mod text;
pub mod update;

pub use error::{Error, Result};
pub use event::{PipelineEvent, UpdateHandle};
pub use project::Project;
pub use update::{Mode, check_names, run_update};
