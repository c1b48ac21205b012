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

pub mod error;
pub mod project;
pub mod update;

pub use error::{Error, Result};
pub use project::Project;
pub use update::{Mode, PipelineEvent, UpdateHandle, run_update};
