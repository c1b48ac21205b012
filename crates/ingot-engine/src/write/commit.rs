//! Commits of staged files: append, and overwrite of everything there is.

use std::sync::Arc;
use std::time::Duration;

use ingot_common::retry::RetryPolicy;
use ingot_common::{Kind, clock};
use ingot_delta::column::with_high_water_marks;
use ingot_delta::{CommitOutcome, ConflictReason, DeltaTable, Operation, ReadSet, Snapshot, Transaction};

use super::{StagedFiles, discard};
use crate::{Error, Result, Session};

/// How often an overwrite starts over after losing a race.
const OVERWRITE_RETRIES: RetryPolicy = RetryPolicy {
    retries_max: 20,
    pause_first: Duration::from_millis(10),
    pause_max: Duration::from_secs(1),
};

/// Adds staged files to the table. Goes through beside any commit of others that changes neither metadata
/// nor protocol, unless the rows were computed from the table itself.
///
/// # Errors
/// `Conflict` when another commit made the files wrong; they are deleted.
pub async fn commit_append(
    session: &Session,
    table: &Arc<DeltaTable>,
    snapshot: &Arc<Snapshot>,
    staged: StagedFiles,
    operation: Operation,
) -> Result<Arc<Snapshot>> {
    let mut transaction = begin(session, table, snapshot, &staged, operation)?;
    if staged.reads_target {
        transaction.set_read_set(ReadSet::WholeTable);
    }
    match transaction.commit().await? {
        CommitOutcome::Committed { snapshot, .. } => Ok(snapshot),
        CommitOutcome::AlreadyApplied { .. } => Ok(Arc::clone(snapshot)),
        CommitOutcome::Conflicted(reason) => {
            discard(table, &staged.files).await;
            Err(conflict_error(&reason))
        }
    }
}

/// Makes staged files the whole content of the table. Starts over on the newest version when another commit
/// came first, unless the rows were computed from the table itself.
///
/// # Errors
/// `Conflict` when retries are used up or cannot help; the files are deleted.
pub async fn commit_overwrite(
    session: &Session,
    table: &Arc<DeltaTable>,
    snapshot: &Arc<Snapshot>,
    staged: StagedFiles,
    operation: Operation,
) -> Result<Arc<Snapshot>> {
    let mut read = Arc::clone(snapshot);
    let mut retries = OVERWRITE_RETRIES.attempts();
    loop {
        let mut transaction = begin(session, table, &read, &staged, operation.clone())?;
        transaction.set_read_set(ReadSet::WholeTable);
        // The rows that are there end; the new ones are others.
        transaction.set_row_ids_kept();
        let replaced = read.files().await?;
        let now = clock::now_ms();
        transaction.remove_files((0..replaced.len()).map(|file| replaced.add(file).to_remove(now, true)));
        let reason = match transaction.commit().await? {
            CommitOutcome::Committed { snapshot, .. } => return Ok(snapshot),
            CommitOutcome::AlreadyApplied { .. } => return Ok(read),
            CommitOutcome::Conflicted(reason) => reason,
        };
        let newest = table.snapshot().await?;
        let same_table = newest.metadata().schema_string == snapshot.metadata().schema_string
            && newest.partition_columns() == snapshot.partition_columns();
        if staged.reads_target || !same_table || !retries.pause().await {
            discard(table, &staged.files).await;
            return Err(conflict_error(&reason));
        }
        read = newest;
    }
}

fn begin(
    session: &Session,
    table: &Arc<DeltaTable>,
    read: &Arc<Snapshot>,
    staged: &StagedFiles,
    operation: Operation,
) -> Result<Transaction> {
    let mut transaction = table.transaction(Arc::clone(read), operation);
    transaction.add_files(staged.files.iter().cloned());
    transaction.set_metrics(staged.metrics.clone());
    transaction.set_author(session.author());
    if !staged.high_water_marks.is_empty() {
        transaction.set_metadata(with_high_water_marks(read.metadata(), &staged.high_water_marks)?);
    }
    Ok(transaction)
}

/// Makes Delta's error of a lost race.
pub fn conflict_error(reason: &ConflictReason) -> Error {
    Error::Condition {
        kind: Kind::Conflict,
        condition: match reason {
            ConflictReason::MetadataChanged { .. } | ConflictReason::LogReplaced { .. } => {
                "DELTA_METADATA_CHANGED"
            }
            ConflictReason::ProtocolChanged { .. } => "DELTA_PROTOCOL_CHANGED",
            ConflictReason::FeatureDrop { .. } => "DELTA_FEATURE_DROP_CONFLICT_REVALIDATION_FAIL",
            ConflictReason::ConcurrentAppend { .. } => "DELTA_CONCURRENT_APPEND",
            ConflictReason::ConcurrentDeleteRead { .. } => "DELTA_CONCURRENT_DELETE_READ",
            ConflictReason::ConcurrentDeleteDelete { .. } => "DELTA_CONCURRENT_DELETE_DELETE",
            ConflictReason::ConcurrentTransaction { .. }
            | ConflictReason::ConcurrentDomainMetadata { .. } => "DELTA_CONCURRENT_TRANSACTION",
        },
        sqlstate: "2D521",
        message: reason.to_string(),
    }
}
