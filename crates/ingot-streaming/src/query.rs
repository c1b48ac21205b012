//! A running query: the loop of micro-batches.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ingot_engine::Engine;
use tokio_util::sync::CancellationToken;

use crate::{BatchSink, Result, SourceRelation, StreamingQueryProgress};

/// When batches run. Source: Spark, `Trigger`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// A batch each interval, as soon as possible when zero; until stopped.
    ProcessingTime(Duration),
    /// All that was there at the start, in as many batches as limits need; then ends.
    AvailableNow,
    /// One batch of all there is, whatever the limits; then ends.
    Once,
}

/// Settings of a query.
#[derive(Debug, Clone)]
pub struct QueryOptions {
    pub name: Option<String>,
    /// Folder of the checkpoint; created if missing.
    pub checkpoint: PathBuf,
    pub trigger: Trigger,
}

/// A query before it runs.
pub struct StreamingQuery {
    pub options: QueryOptions,
    pub sources: Vec<SourceRelation>,
    pub sink: Arc<dyn BatchSink>,
}

/// Follows a query while it runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct QueryHandle {}

impl QueryHandle {
    /// Makes a handle for a query that is about to run.
    pub fn new() -> Self {
        Self {}
    }

    /// Returns the progress of recent batches, oldest first (100 at most).
    pub fn recent_progress(&self) -> Vec<StreamingQueryProgress> {
        todo!()
    }
}

impl Default for QueryHandle {
    fn default() -> Self {
        Self::new()
    }
}

impl StreamingQuery {
    /// Runs until the trigger is done, `token` is cancelled (at a safe point; `Ok`) or an error. Recovers from
    /// the checkpoint first. A source that is away for a while (broker down) is waited for, not an error.
    pub async fn run(self, engine: &Engine, handle: &QueryHandle, token: CancellationToken) -> Result<()> {
        let _ = (engine, handle, token);
        todo!()
    }
}
