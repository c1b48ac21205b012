//! The Delta sink: a batch and the mark that it was added are one commit.
//!
//! ```text
//! query over the batch's relations ─► files ─► commit: txn(query id, batch id) + add (+ remove in complete mode)
//! ```
//! Source: Delta, `DeltaSink`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use datafusion::dataframe::DataFrame;
use ingot_common::clock;
use ingot_common::retry::RetryPolicy;
use ingot_delta::column::with_high_water_marks;
use ingot_delta::{CommitOutcome, DeltaTable, Operation, ReadSet, Snapshot};
use ingot_engine::Session;
use ingot_engine::write::{StagedFiles, align_by_name, conflict_error, discard, stage_files};
use uuid::Uuid;

use super::{BatchInfo, BatchOutput, BatchSink};
use crate::Result;

/// How often a batch is written anew because the table changed under it.
const CONFLICT_RETRIES: RetryPolicy = RetryPolicy {
    retries_max: 10,
    pause_first: Duration::from_millis(10),
    pause_max: Duration::from_secs(1),
};

/// What a batch does to what was there. Source: Spark, `OutputMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputMode {
    /// Rows are added.
    Append,
    /// Rows take the place of all others.
    Complete,
}

impl OutputMode {
    fn as_str(self) -> &'static str {
        match self {
            Self::Append => "Append",
            Self::Complete => "Complete",
        }
    }
}

/// Writes the rows of a query over the batch into a table.
#[derive(Debug)]
pub struct DeltaSink {
    table: Arc<DeltaTable>,
    query: String,
    mode: OutputMode,
}

impl DeltaSink {
    /// Makes a sink. `query` is a SELECT over the sources' relations; its columns are matched to the table's
    /// by name.
    pub fn new(table: Arc<DeltaTable>, query: impl Into<String>, mode: OutputMode) -> Self {
        Self {
            table,
            query: query.into(),
            mode,
        }
    }
}

#[async_trait]
impl BatchSink for DeltaSink {
    fn description(&self) -> String {
        format!("DeltaSink[{}]", self.table.location())
    }

    async fn committed_batch(&self, query_id: Uuid) -> Result<Option<i64>> {
        let snapshot = self.table.snapshot().await?;
        Ok(snapshot.app_transaction(&query_id.to_string()).await?)
    }

    async fn add_batch(&self, session: &Session, batch: &BatchInfo) -> Result<BatchOutput> {
        let begun = Instant::now();
        let rows = session.query(&self.query).await?;
        let planning = begun.elapsed();
        let write = BatchWrite {
            rows,
            mode: self.mode,
            operation: None,
            remark: None,
        };
        let rows_out = match write_batch(session, &self.table, batch, write).await? {
            BatchOutcome::Added { rows } => rows,
            BatchOutcome::AlreadyThere => 0,
        };
        Ok(BatchOutput { rows_out, planning })
    }
}

/// What to write of a batch.
pub struct BatchWrite<'a> {
    /// Columns are matched to the table's by name.
    pub rows: DataFrame,
    pub mode: OutputMode,
    /// How the history tells the commit; `STREAMING UPDATE` when `None`.
    pub operation: Option<Operation>,
    /// Makes the commit's `userMetadata` from the count of rows written, once they are.
    pub remark: Option<&'a (dyn Fn(u64) -> String + Send + Sync)>,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchOutcome {
    /// This call added it.
    Added { rows: u64 },
    /// The table had it; nothing was written.
    AlreadyThere,
}

/// Writes batch `batch` of its query, once: a table that has it is left as it is.
///
/// # Errors
/// `Conflict` when other commits made the batch wrong again and again; nothing was committed then.
pub async fn write_batch(
    session: &Session,
    table: &Arc<DeltaTable>,
    batch: &BatchInfo,
    write: BatchWrite<'_>,
) -> Result<BatchOutcome> {
    let app_id = batch.query_id.to_string();
    let mut retries = CONFLICT_RETRIES.attempts();
    loop {
        let snapshot = table.snapshot().await?;
        let applied = snapshot.app_transaction(&app_id).await?;
        if applied.is_some_and(|newest| newest >= batch.batch_id) {
            tracing::info!(query = %app_id, batch = batch.batch_id, "batch is in the table already");
            return Ok(BatchOutcome::AlreadyThere);
        }
        let aligned = align_by_name(write.rows.clone(), &snapshot)?;
        let staged = stage_files(session, table, &snapshot, aligned).await?;
        let rows = u64::try_from(staged.metrics.get("numOutputRows")).unwrap_or_default();
        let remark = write.remark.map(|remark| remark(rows));
        match commit(session, table, &snapshot, batch, &staged, &write, remark).await? {
            CommitOutcome::Committed { .. } => return Ok(BatchOutcome::Added { rows }),
            CommitOutcome::AlreadyApplied { .. } => {
                discard(table, &staged.files).await;
                return Ok(BatchOutcome::AlreadyThere);
            }
            CommitOutcome::Conflicted(reason) => {
                discard(table, &staged.files).await;
                if !retries.pause().await {
                    return Err(conflict_error(&reason).into());
                }
                tracing::info!(query = %app_id, batch = batch.batch_id, %reason, "batch is written anew");
            }
        }
    }
}

async fn commit(
    session: &Session,
    table: &Arc<DeltaTable>,
    snapshot: &Arc<Snapshot>,
    batch: &BatchInfo,
    staged: &StagedFiles,
    write: &BatchWrite<'_>,
    remark: Option<String>,
) -> Result<CommitOutcome> {
    let mode = write.mode;
    let operation = write.operation.clone().unwrap_or_else(|| {
        Operation::new("STREAMING UPDATE")
            .with("outputMode", mode.as_str())
            .with("queryId", batch.query_id.to_string())
            .with("epochId", batch.batch_id.to_string())
    });
    let mut transaction = table.transaction(Arc::clone(snapshot), operation);
    transaction.set_app_transaction(batch.query_id.to_string(), batch.batch_id);
    transaction.set_user_name(session.context().principal.as_str());
    let mut metrics = staged.metrics.clone();
    metrics.increase("numAddedFiles", metrics.get("numFiles"));
    if mode == OutputMode::Complete {
        let files = snapshot.files().await?;
        let now = clock::now_ms();
        transaction.remove_files((0..files.len()).map(|file| files.add(file).to_remove(now, true)));
        metrics.increase("numRemovedFiles", i64::try_from(files.len()).unwrap_or(i64::MAX));
    }
    if mode == OutputMode::Complete || staged.reads_target {
        transaction.set_read_set(ReadSet::WholeTable);
    }
    transaction.set_metrics(metrics);
    if let Some(remark) = remark {
        transaction.set_user_metadata(remark);
    }
    transaction.add_files(staged.files.iter().cloned());
    if !staged.high_water_marks.is_empty() {
        transaction.set_metadata(with_high_water_marks(
            snapshot.metadata(),
            &staged.high_water_marks,
        )?);
    }
    Ok(transaction.commit().await?)
}
