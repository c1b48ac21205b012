//! Where rows come from.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use ingot_engine::Session;

use crate::Result;

/// A position in a source, as the JSON that stands in `offsets/N`.
#[derive(Debug, Clone, PartialEq, Eq)]
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
/// an offset that was handed out stays readable until it was committed.
#[async_trait]
pub trait Source: Send + Sync + fmt::Debug {
    /// Describes the source as `StreamingQueryProgress` does: `KafkaV2[Subscribe[flights]]`, `DeltaSource[…]`.
    fn description(&self) -> String;

    /// Returns the columns of its rows.
    fn schema(&self) -> SchemaRef;

    /// Returns where a new query begins, by the source's options.
    async fn initial_offset(&self) -> Result<Offset>;

    /// Returns where a batch that begins at `start` should end: `start` itself when there is nothing new.
    async fn next_offset(&self, start: &Offset, limit: ReadLimit) -> Result<Offset>;

    /// Returns the rows after `start`, up to and including `end`.
    async fn batch(&self, session: &Session, start: &Offset, end: &Offset) -> Result<Arc<dyn TableProvider>>;

    /// Learns that everything up to `end` is processed for good.
    async fn commit(&self, end: &Offset) -> Result<()>;

    /// Returns how far `end` is behind the newest data, for `progress.sources[].metrics`.
    async fn metrics(&self, end: &Offset) -> Vec<(String, String)>;
}

/// A source and the name under which its batch is visible to the query.
#[derive(Debug, Clone)]
pub struct SourceRelation {
    pub relation: String,
    pub source: Arc<dyn Source>,
}
