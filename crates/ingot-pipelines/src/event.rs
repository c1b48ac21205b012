//! What happens in an update: for whoever follows it, and for the event log, a Delta table.
//!
//! ```text
//! batch ─► commit of its rows: txn(query, N), userMetadata = counts ─► event ─► log: txn(query, N)
//!                                        └─────── at the next start: batches that the log lacks ──┘
//! ```
//! Always true: the counts of a batch are in the commit of its rows, and in the log once, whatever was killed between.

mod log;
mod recorded;

use ingot_common::{SchemaName, TableName};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use uuid::Uuid;

use crate::Result;

pub(crate) use log::{EventLog, FollowedDataset, Which, open_event_log};

/// What happened, for progress bars and the event log.
#[derive(Debug, Clone, PartialEq)]
pub enum PipelineEvent {
    /// A dataset took rows.
    FlowProgress {
        dataset: String,
        /// Rows that the dataset's query gave.
        rows_in: u64,
        /// Rows that were written.
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
pub struct UpdateHandle {
    events: UnboundedSender<PipelineEvent>,
}

impl UpdateHandle {
    /// Makes a handle and the receiver of its events. There are a few events a second at most; a receiver that
    /// is closed gets none.
    pub fn new() -> (Self, UnboundedReceiver<PipelineEvent>) {
        let (events, receiver) = unbounded_channel();
        (Self { events }, receiver)
    }
}

/// A batch of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchKey {
    /// The `appId` of the batch's commit: the dataset's table id.
    pub query_id: Uuid,
    pub batch_id: i64,
}

/// Counts of a batch, as the commit of its rows and the log hold them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct BatchCounts {
    pub rows_in: u64,
    pub rows_out: u64,
    pub expectations: Vec<ExpectationCounts>,
}

/// Counts of an expectation. Source: Databricks, event log, `flow_progress.data_quality.expectations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExpectationCounts {
    pub name: String,
    pub passed_records: u64,
    pub failed_records: u64,
}

impl BatchCounts {
    /// Returns the text for the commit's `userMetadata`.
    pub fn remark(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// Makes the event of a batch of `dataset`.
    pub fn event(self, dataset: &str) -> PipelineEvent {
        let expectations = self.expectations.into_iter();
        PipelineEvent::FlowProgress {
            dataset: dataset.to_owned(),
            rows_in: self.rows_in,
            rows_out: self.rows_out,
            expectations: expectations
                .map(|counts| (counts.name, counts.passed_records, counts.failed_records))
                .collect(),
        }
    }
}

impl PipelineEvent {
    fn dataset(&self) -> &str {
        match self {
            Self::FlowProgress { dataset, .. }
            | Self::FlowCompleted { dataset }
            | Self::FlowFailed { dataset, .. } => dataset,
        }
    }

    fn event_type(&self) -> &'static str {
        match self {
            Self::FlowProgress { .. } => "flow_progress",
            Self::FlowCompleted { .. } => "flow_completed",
            Self::FlowFailed { .. } => "flow_failed",
        }
    }

    fn level(&self) -> &'static str {
        match self {
            Self::FlowProgress { .. } => "METRICS",
            Self::FlowCompleted { .. } => "INFO",
            Self::FlowFailed { .. } => "ERROR",
        }
    }

    /// `progress` is the batch's `StreamingQueryProgress`; null where there is none.
    fn details(&self, batch: Option<BatchKey>, progress: &serde_json::Value) -> serde_json::Value {
        match self {
            Self::FlowProgress {
                rows_in,
                rows_out,
                expectations,
                ..
            } => {
                let expectations: Vec<_> = expectations
                    .iter()
                    .map(|(name, passed, failed)| ExpectationCounts {
                        name: name.clone(),
                        passed_records: *passed,
                        failed_records: *failed,
                    })
                    .collect();
                serde_json::json!({
                    "rows_in": rows_in,
                    "rows_out": rows_out,
                    "expectations": expectations,
                    "batch_id": batch.map(|batch| batch.batch_id),
                    "progress": progress,
                })
            }
            Self::FlowCompleted { .. } => serde_json::json!({}),
            Self::FlowFailed { message, .. } => serde_json::json!({ "error": message }),
        }
    }
}

/// Returns the name of a pipeline's event log.
pub(crate) fn event_log_name(namespace: &SchemaName, pipeline: &str) -> Result<TableName> {
    let table =
        ingot_common::Identifier::new(format!("event_log_{pipeline}")).map_err(ingot_engine::Error::from)?;
    Ok(TableName::new(
        namespace.catalog.clone(),
        namespace.schema.clone(),
        table,
    ))
}
