//! Row ids for a table that did not give any, before it promises them.
//!
//! ```text
//! feature listed: every writer gives ids from here on ─► files without ids added again, with ids ─► none is left
//! ```
//! Each step is a commit that others' appends do not disturb, so that a table which is written to all the time can begin
//! to track its rows, too. Source: Delta protocol, "Row Tracking"; Delta Spark, `RowTrackingBackfillCommand`.

use std::sync::Arc;
use std::time::Duration;

use ingot_common::retry::RetryPolicy;

use super::{FEATURE, SUSPENDED, assigns_ids, check_properties};
use crate::{Add, Author, CommitOutcome, DeltaTable, Error, Metadata, Operation, Result, Snapshot};

/// Files that one commit gives ids to.
const FILES_MAX: usize = 100_000;

/// How often the backfill starts over because others committed.
const RETRIES: RetryPolicy = RetryPolicy {
    retries_max: 100,
    pause_first: Duration::from_millis(10),
    pause_max: Duration::from_secs(1),
};

impl DeltaTable {
    /// Gives ids to all rows that are there, so that `wanted`, the table's metadata with row tracking, can be committed.
    ///
    /// # Errors
    /// `InvalidArgument` when `wanted` also suspends row ids; `Unsupported` for a file whose number of rows the log does
    /// not say; `Conflict` when others changed the files again and again. What was committed until then stays, and a
    /// repetition goes on.
    pub async fn backfill_row_ids(self: &Arc<Self>, wanted: &Metadata, author: &Author) -> Result<()> {
        check_properties(&wanted.configuration)?;
        let mut retries = RETRIES.attempts();
        let mut batch = 0;
        loop {
            let snapshot = self.snapshot().await?;
            let committed = if !assigns_ids(snapshot.protocol(), snapshot.metadata()) {
                self.begin_ids(&snapshot, wanted, author).await?
            } else {
                let files = files_without_ids(&snapshot);
                if files.is_empty() {
                    return Ok(());
                }
                let committed = self.give_ids(&snapshot, files, batch, author).await?;
                batch += usize::from(committed);
                committed
            };
            if !committed && !retries.pause().await {
                return Err(Error::CommitRetriesExhausted {
                    location: self.location().to_string(),
                    retries: RETRIES.retries_max,
                });
            }
        }
    }

    /// Lists the feature. Returns `false` when another commit stands against it.
    async fn begin_ids(
        self: &Arc<Self>,
        snapshot: &Arc<Snapshot>,
        wanted: &Metadata,
        author: &Author,
    ) -> Result<bool> {
        let mut metadata = snapshot.metadata().clone();
        let feature = format!("delta.feature.{FEATURE}");
        metadata.configuration.insert(feature, "supported".to_owned());
        match wanted.configuration.get(SUSPENDED) {
            Some(value) => drop(metadata.configuration.insert(SUSPENDED.to_owned(), value.clone())),
            None => drop(metadata.configuration.remove(SUSPENDED)),
        }
        let mut transaction = self.transaction(Arc::clone(snapshot), Operation::new("UPGRADE PROTOCOL"));
        transaction.set_author(author.clone());
        transaction.set_metadata(metadata);
        Ok(committed(&transaction.commit().await?))
    }

    /// Adds files again, with ids. Returns `false` when another commit stands against it.
    async fn give_ids(
        self: &Arc<Self>,
        snapshot: &Arc<Snapshot>,
        files: Vec<Add>,
        batch: usize,
        author: &Author,
    ) -> Result<bool> {
        let operation = Operation::new("ROW TRACKING BACKFILL").with("batchId", batch.to_string());
        let mut transaction = self.transaction(Arc::clone(snapshot), operation);
        transaction.set_author(author.clone());
        transaction.add_files(files);
        Ok(committed(&transaction.commit().await?))
    }
}

fn committed(outcome: &CommitOutcome) -> bool {
    !matches!(outcome, CommitOutcome::Conflicted(_))
}

/// Returns the files to add again: as they are, for the commit gives them their ids.
fn files_without_ids(snapshot: &Snapshot) -> Vec<Add> {
    let files = snapshot
        .file_index()
        .adds()
        .filter(|add| add.base_row_id.is_none());
    let again = files.take(FILES_MAX).map(|add| Add {
        data_change: false,
        ..Add::clone(&add)
    });
    again.collect()
}
