//! The Kafka source: records of topics, by offsets that the query records itself.
//!
//! ```text
//! next_offset ─► client: partitions, watermarks ─► offsets (pure: new partitions, losses, limits)
//! batch ─► table: partitions dealt to as many streams as the plan has cores
//!            └► reader (a blocking thread each) ─► cached consumer of one partition ─► batches (bounded channel)
//! ```
//! Always true: consumers are assigned by hand, to one partition each; no group is joined and nothing is
//! committed to Kafka. A batch ends at its offsets, whatever arrives meanwhile. Transactions that were aborted
//! or are open are not read (`read_committed`, unless set otherwise).
//!
//! Source: Spark, "Structured Streaming + Kafka Integration Guide"; consumers are cached as Spark's are.

mod client;
mod headers;
mod offsets;
mod options;
mod reader;
mod rows;
mod table;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;

use super::{Offset, ReadLimit, RowCount, Source, SourceBatch};
use crate::{Error, Result};
use client::Client;
use offsets::{Partition, PartitionOffsets, Range, Watermarks};
use options::{KafkaSourceOptions, StartingPoint};
use reader::Consumers;
use table::KafkaTable;

/// Reads topics.
#[derive(Debug)]
pub struct KafkaSource {
    options: Arc<KafkaSourceOptions>,
    client: Arc<Client>,
    consumers: Arc<Consumers>,
    schema: SchemaRef,
}

impl KafkaSource {
    /// Makes a source and its client, which connects in the background. `options` are Spark's: `subscribe` or
    /// `assign`, `kafka.bootstrap.servers` (or `bootstrapServers`), `startingOffsets`, `startingTimestamp`,
    /// `startingOffsetsByTimestampStrategy`, `maxOffsetsPerTrigger`, `failOnDataLoss`, `includeHeaders`,
    /// `groupIdPrefix`, `kafkaConsumer.pollTimeoutMs`, and `kafka.*` for the consumers.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown option or a wrong value, also of a `kafka.*` setting: the
    /// client is built without TLS, so `kafka.security.protocol` cannot be `SSL` or `SASL_SSL`.
    pub fn new(options: &BTreeMap<String, String>) -> Result<Self> {
        let options = Arc::new(KafkaSourceOptions::parse(options)?);
        Ok(Self {
            client: Arc::new(Client::new(Arc::clone(&options))?),
            consumers: Arc::new(Consumers::new(Arc::clone(&options))),
            schema: rows::schema(options.include_headers),
            options,
        })
    }

    async fn watermarks(&self) -> Result<Watermarks> {
        let client = Arc::clone(&self.client);
        blocking(move || client.watermarks()).await
    }

    /// Passes over losses, or makes them an error, as `failOnDataLoss` says.
    fn report(&self, losses: &[String]) -> Result<()> {
        if losses.is_empty() {
            return Ok(());
        }
        let message = losses.join("; ");
        if self.options.fail_on_data_loss {
            return Err(Error::DataLoss {
                origin: self.description(),
                message,
            });
        }
        tracing::warn!(source = %self.description(), losses = message, "data was lost; the stream goes on without it");
        Ok(())
    }

    /// Returns what to read of each partition. A partition that `start` does not know is read from its
    /// beginning, which is offset 0 unless records were lost.
    async fn ranges(&self, start: &PartitionOffsets, end: &PartitionOffsets) -> Result<Vec<Range>> {
        let unknown = end.0.keys().any(|partition| !start.0.contains_key(partition));
        let lows = match unknown {
            true => self.watermarks().await?,
            false => Watermarks::default(),
        };
        let (ranges, losses) = offsets::ranges(start, end, &lows);
        self.report(&losses)?;
        Ok(ranges)
    }
}

#[async_trait]
impl Source for KafkaSource {
    fn description(&self) -> String {
        format!("KafkaV2[{}]", self.options.topics)
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    async fn initial_offset(&self) -> Result<Offset> {
        let watermarks = self.watermarks().await?;
        let offsets = match &self.options.starting {
            StartingPoint::Earliest => watermarks.lows(),
            StartingPoint::Latest => watermarks.highs(),
            StartingPoint::Offsets(given) => watermarks
                .at(given)
                .map_err(|message| self.options.invalid("startingOffsets", message))?,
            StartingPoint::Timestamp { ms, or_latest } => {
                let (client, ms) = (Arc::clone(&self.client), *ms);
                let partitions: Vec<Partition> = watermarks.0.keys().cloned().collect();
                let found = blocking(move || client.offsets_at(&partitions, ms)).await?;
                watermarks
                    .at_instant(&found, *or_latest)
                    .map_err(|message| self.options.invalid("startingTimestamp", message))?
            }
        };
        offsets.to_offset()
    }

    async fn next_offset(&self, start: &Offset, limit: ReadLimit, until: Option<&Offset>) -> Result<Offset> {
        let start_offsets = PartitionOffsets::from_offset(start)?;
        let mut available = self.watermarks().await?;
        if let Some(until) = until {
            available.cut_at(&PartitionOffsets::from_offset(until)?);
        }
        let rows_max = match limit {
            ReadLimit::Options => self.options.max_offsets,
            ReadLimit::All => None,
        };
        let next = offsets::next(&start_offsets, &available, rows_max);
        self.report(&next.losses)?;
        if next.end == start_offsets {
            self.consumers.pause_idle();
            return Ok(start.clone());
        }
        next.end.to_offset()
    }

    async fn batch(&self, start: &Offset, end: &Offset) -> Result<SourceBatch> {
        let (start, end) = (
            PartitionOffsets::from_offset(start)?,
            PartitionOffsets::from_offset(end)?,
        );
        let ranges = self.ranges(&start, &end).await?;
        let rows = RowCount::unread();
        let table = KafkaTable::new(
            Arc::clone(&self.schema),
            Arc::clone(&self.consumers),
            ranges,
            rows.clone(),
        );
        Ok(SourceBatch {
            relation: Arc::new(table),
            rows,
        })
    }

    async fn commit(&self, _end: &Offset) -> Result<()> {
        Ok(())
    }

    async fn latest_offset(&self) -> Option<Offset> {
        self.client.last_watermarks().highs().to_offset().ok()
    }

    async fn metrics(&self, end: &Offset) -> Vec<(String, String)> {
        match PartitionOffsets::from_offset(end) {
            Ok(end) => self.client.last_watermarks().behind(&end),
            Err(_) => Vec::new(),
        }
    }
}

/// Runs a call of the Kafka client, which blocks, off the runtime.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::Internal {
            message: format!("kafka task failed: {error}"),
        })?
}
