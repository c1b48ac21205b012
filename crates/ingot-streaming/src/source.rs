//! Where rows come from.

mod counted;
pub mod delta;
pub mod files;
pub mod kafka;
mod options;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use serde::{Deserialize, Serialize};

use crate::Result;

/// A position in a source, as the JSON that stands in `offsets/N`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub serde_json::Value);

/// How much a batch may read of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadLimit {
    /// What the source's own options allow (`maxOffsetsPerTrigger`, `maxFilesPerTrigger`).
    Options,
    /// Everything: the `once` trigger.
    All,
}

/// A source of rows with replayable positions.
///
/// Implementers are deterministic: the rows between two offsets are the same each time they are read, and
/// an offset that was handed out stays readable until it was committed. A failure that may pass (a broker that
/// is away) has kind `Unavailable`; the query waits and asks again.
#[async_trait]
pub trait Source: Send + Sync + fmt::Debug {
    /// Describes the source as `StreamingQueryProgress` does: `KafkaV2[Subscribe[flights]]`, `DeltaSource[…]`.
    fn description(&self) -> String;

    /// Returns the columns of its rows.
    fn schema(&self) -> SchemaRef;

    /// Returns where a new query begins, by the source's options.
    async fn initial_offset(&self) -> Result<Offset>;

    /// Returns where a batch that begins at `start` should end: `start` itself when there is nothing new.
    /// Never goes beyond `until`, an offset that this method returned earlier, if one is given.
    async fn next_offset(&self, start: &Offset, limit: ReadLimit, until: Option<&Offset>) -> Result<Offset>;

    /// Returns the rows after `start`, up to and including `end`.
    async fn batch(&self, start: &Offset, end: &Offset) -> Result<SourceBatch>;

    /// Learns that everything up to `end` is processed for good.
    async fn commit(&self, end: &Offset) -> Result<()>;

    /// Returns the newest position that the source knows of without asking anew, for
    /// `progress.sources[].latestOffset`.
    async fn latest_offset(&self) -> Option<Offset>;

    /// Returns how far `end` is behind the newest data, for `progress.sources[].metrics`.
    async fn metrics(&self, end: &Offset) -> Vec<(String, String)>;
}

/// A source and the name under which its batch is visible to the query.
#[derive(Debug, Clone)]
pub struct SourceRelation {
    pub relation: String,
    pub source: Arc<dyn Source>,
}

/// A source's part of a batch.
#[derive(Debug, Clone)]
pub struct SourceBatch {
    pub relation: Arc<dyn TableProvider>,
    pub rows: RowCount,
}

/// Rows of a source's part of a batch: known from the start, or counted while they are read.
///
/// Counted by part (partition), so that a plan which reads the relation twice counts each row once.
#[derive(Debug, Clone)]
pub struct RowCount(Arc<Mutex<BTreeMap<usize, u64>>>);

impl RowCount {
    /// Makes a count of rows that are yet to be read.
    pub fn unread() -> Self {
        Self(Arc::default())
    }

    /// Makes a count that is known.
    pub fn known(rows: u64) -> Self {
        let count = Self::unread();
        count.note(0, rows);
        count
    }

    /// Notes that one reading of `part` has come to `rows` rows.
    pub fn note(&self, part: usize, rows: u64) {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = parts.entry(part).or_default();
        *count = rows.max(*count);
    }

    /// Returns the rows so far.
    pub fn total(&self) -> u64 {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.values().sum()
    }
}
