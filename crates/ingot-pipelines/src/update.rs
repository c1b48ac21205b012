//! An update: brings every dataset of a project up to date.

use ingot_engine::Engine;
use tokio_util::sync::CancellationToken;

use crate::{Project, Result};

/// How an update ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// When all that was there at its start is processed.
    Triggered,
    /// When it is stopped.
    Continuous,
}

/// What happened, for progress bars and the event log.
#[derive(Debug, Clone, PartialEq)]
pub enum PipelineEvent {
    /// A dataset took rows.
    FlowProgress {
        dataset: String,
        rows_in: u64,
        rows_out: u64,
        /// Name, passed, failed.
        expectations: Vec<(String, u64, u64)>,
    },
    /// A dataset is up to date.
    FlowCompleted { dataset: String },
    /// A dataset failed.
    FlowFailed { dataset: String, message: String },
}

/// Follows an update. Cheap to clone.
#[derive(Debug, Clone)]
pub struct UpdateHandle {}

impl UpdateHandle {
    /// Makes a handle and the receiver of its events.
    pub fn new() -> (Self, tokio::sync::mpsc::UnboundedReceiver<PipelineEvent>) {
        todo!()
    }
}

/// Runs an update. State (checkpoints) is kept below `state`, so that the next update goes on from there.
pub async fn run_update(
    engine: &Engine,
    project: &Project,
    state: &std::path::Path,
    mode: Mode,
    handle: &UpdateHandle,
    token: CancellationToken,
) -> Result<()> {
    let _ = (engine, project, state, mode, handle, token);
    todo!()
}
