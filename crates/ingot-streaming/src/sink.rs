//! Where a batch goes.

pub mod delta;

use std::time::Duration;

use async_trait::async_trait;
use ingot_engine::Session;
use uuid::Uuid;

use crate::{Offset, Result, RowCount};

/// The batch at hand.
#[derive(Debug, Clone)]
pub struct BatchInfo {
    /// Stable over restarts; the `appId` of the sink's transactions.
    pub query_id: Uuid,
    pub run_id: Uuid,
    pub batch_id: i64,
    /// End offset of each source, by relation.
    pub end_offsets: Vec<(String, Offset)>,
    /// Rows of each source, counted while they are read.
    pub rows: Vec<RowCount>,
}

impl BatchInfo {
    /// Returns the rows read so far of all sources; all of the batch's once its rows were written.
    pub fn rows_in(&self) -> u64 {
        self.rows.iter().map(RowCount::total).sum()
    }
}

/// What a sink did with a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchOutput {
    pub rows_out: u64,
    /// How long the query was planned.
    pub planning: Duration,
}

/// Takes the rows of a batch.
///
/// Implementers are idempotent by (query id, batch id): a batch that was added is never added again,
/// whatever happened between. They write nothing that is visible before the commit that carries the batch id,
/// and they record a batch also when nothing comes of its rows.
#[async_trait]
pub trait BatchSink: Send + Sync {
    /// Describes the sink as `StreamingQueryProgress` does: `DeltaSink[…]`.
    fn description(&self) -> String;

    /// Returns the newest batch of the query that the sink holds; `None` when it holds none.
    async fn committed_batch(&self, query_id: Uuid) -> Result<Option<i64>>;

    /// Adds a batch. Each source's rows are a relation of `session`, under the source's relation name.
    async fn add_batch(&self, session: &Session, batch: &BatchInfo) -> Result<BatchOutput>;
}
