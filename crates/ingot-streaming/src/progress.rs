//! Progress of a batch as Spark's `StreamingQueryProgress` JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One batch. Source: Spark, `StreamingQueryProgress`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamingQueryProgress {
    pub id: uuid::Uuid,
    pub run_id: uuid::Uuid,
    pub name: Option<String>,
    /// When the trigger began, ISO 8601 in UTC.
    pub timestamp: String,
    pub batch_id: i64,
    /// Milliseconds.
    pub batch_duration: i64,
    pub num_input_rows: i64,
    /// Since the trigger before this one began; 0 for the first.
    pub input_rows_per_second: f64,
    pub processed_rows_per_second: f64,
    /// Milliseconds by phase: `latestOffset`, `walCommit`, `getBatch`, `queryPlanning`, `addBatch`, `commitOffsets`,
    /// `triggerExecution`.
    pub duration_ms: BTreeMap<String, i64>,
    /// Event times and the watermark; empty for a query without a watermark.
    pub event_time: BTreeMap<String, String>,
    /// Empty: no operator keeps state.
    pub state_operators: Vec<serde_json::Value>,
    pub sources: Vec<SourceProgress>,
    pub sink: SinkProgress,
}

/// A source's part of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceProgress {
    pub description: String,
    pub start_offset: serde_json::Value,
    pub end_offset: serde_json::Value,
    /// The newest position that the source knows of; null when it knows none.
    pub latest_offset: serde_json::Value,
    pub num_input_rows: i64,
    pub input_rows_per_second: f64,
    pub processed_rows_per_second: f64,
    pub metrics: BTreeMap<String, String>,
}

/// The sink's part of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SinkProgress {
    pub description: String,
    pub num_output_rows: i64,
}
