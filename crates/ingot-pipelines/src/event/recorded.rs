//! What the commits of a dataset's table tell of its batches.

use std::collections::BTreeMap;
use std::sync::Arc;

use ingot_delta::{Action, CommitInfo, DeltaTable};
use serde_json::Value;
use uuid::Uuid;

use super::BatchCounts;
use crate::Result;

/// Commits that are looked through at most. Batches beyond were committed long ago and are left out of the log.
const COMMITS_MAX: i64 = 10_000;

/// A batch as its commit tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordedBatch {
    pub batch_id: i64,
    /// When it was committed, milliseconds since the epoch.
    pub at_ms: i64,
    pub counts: BatchCounts,
}

/// Returns the batches of query `query_id` after `after` (all when `None`) that `table` has, in their order.
pub(crate) async fn recorded_batches(
    table: &Arc<DeltaTable>,
    query_id: Uuid,
    after: Option<i64>,
) -> Result<Vec<RecordedBatch>> {
    let app_id = query_id.to_string();
    let snapshot = table.snapshot().await?;
    let newest = snapshot.app_transaction(&app_id).await?;
    if newest <= after {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let oldest = (snapshot.version() - COMMITS_MAX).max(0);
    for version in (oldest..=snapshot.version()).rev() {
        let Some(actions) = table.commit_actions(version).await? else {
            tracing::warn!(query = %query_id, version, "commit was cleaned up; counts of its batches are lost");
            break;
        };
        let Some(batch_id) = batch_of(&actions, &app_id) else {
            continue;
        };
        if after.is_some_and(|after| batch_id <= after) {
            break;
        }
        let info = actions.iter().find_map(|action| match action {
            Action::CommitInfo(info) => Some(info),
            _ => None,
        });
        found.push(RecordedBatch {
            batch_id,
            at_ms: info
                .and_then(|info| info.in_commit_timestamp.or(info.timestamp))
                .unwrap_or_default(),
            counts: info.map(counts).unwrap_or_default(),
        });
        if batch_id == 0 {
            break;
        }
    }
    found.reverse();
    Ok(found)
}

fn batch_of(actions: &[Action], app_id: &str) -> Option<i64> {
    actions.iter().find_map(|action| match action {
        Action::Txn(txn) if txn.app_id == app_id => Some(txn.version),
        _ => None,
    })
}

/// Reads the counts of a batch. A merge's rows are known only once it is committed, so they stand in the metrics.
fn counts(info: &CommitInfo) -> BatchCounts {
    let remark = info.user_metadata.as_deref();
    let mut counts: BatchCounts = remark
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    if info.operation.as_deref() == Some("MERGE") {
        let metrics = info.operation_metrics.iter();
        let metrics: BTreeMap<&str, &Value> = metrics
            .flatten()
            .map(|(name, value)| (name.as_str(), value))
            .collect();
        let changed = [
            "numTargetRowsInserted",
            "numTargetRowsUpdated",
            "numTargetRowsDeleted",
        ];
        counts.rows_out = changed.iter().filter_map(|name| number(metrics.get(name)?)).sum();
    }
    counts
}

/// Metrics stand in the log as text.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
