//! Progress of a batch as Spark's `StreamingQueryProgress` JSON.

use serde::{Deserialize, Serialize};

/// One batch. Source: Spark, `StreamingQueryProgress`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamingQueryProgress {
    pub id: uuid::Uuid,
    pub run_id: uuid::Uuid,
    pub name: Option<String>,
    pub timestamp: String,
    pub batch_id: i64,
    pub batch_duration: i64,
    pub num_input_rows: i64,
}
