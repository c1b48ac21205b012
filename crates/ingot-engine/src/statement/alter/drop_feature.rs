//! `DROP FEATURE name [TRUNCATE HISTORY]`: what the table keeps of the feature is taken out first, step by step, each
//! committed on its own; then the feature leaves the protocol. What must be done is decided by
//! [`ingot_delta::FeatureDrop`].

use std::sync::Arc;
use std::time::Duration;

use ingot_catalog::{KeyChange, Need};
use ingot_common::port::StatementResult;
use ingot_common::retry::RetryPolicy;
use ingot_common::{TableName, clock};
use ingot_delta::clustering_domain::{CLUSTERING_DOMAIN, ClusteringDomain};
use ingot_delta::{
    CommitOutcome, ConflictReason, DropStep, Dropped, Error as DeltaError, FeatureDrop, Metadata, Operation,
    ReadSet, Snapshot, WriteTarget,
};

use super::super::Work;
use super::super::cursor::Cursor;
use super::{Altered, open};
use crate::optimize::{Request, Task, optimize, rewrite_all};
use crate::write::conflict_error;
use crate::{Error, Result, Session};

/// How often a drop starts over because others committed.
const RETRIES: RetryPolicy = RetryPolicy {
    retries_max: 20,
    pause_first: Duration::from_millis(10),
    pause_max: Duration::from_secs(1),
};

/// Parses the statement.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>, name: TableName) -> Result<Work<'a>> {
    let feature = cursor.property_key()?;
    let truncate_history = cursor.accept_all(&["TRUNCATE", "HISTORY"]);
    cursor.end()?;
    Ok(Work::writes(run(session, name, feature, truncate_history)))
}

async fn run(
    session: &Session,
    name: TableName,
    feature: String,
    truncate_history: bool,
) -> Result<StatementResult> {
    let altered = open(session, &name, Need::Manage).await?;
    let drop = FeatureDrop::new(&altered.snapshot, &feature, truncate_history)?;
    let author = session.author();
    let mut retries = RETRIES.attempts();
    let mut traces_removed = false;
    loop {
        if session.stop().is_cancelled() {
            return Err(Error::Cancelled);
        }
        let snapshot = altered.table.snapshot().await?;
        let conflict = match drop.next_step(&snapshot)? {
            Some(step) => {
                traces_removed = true;
                take(session, &altered, &snapshot, step).await?
            }
            None => match altered
                .table
                .finish_feature_drop(&drop, traces_removed, &author)
                .await?
            {
                Dropped::Done(snapshot) => return altered.publish(session, &snapshot, KeyChange::Keep).await,
                Dropped::Conflicted(reason) => Some(reason),
            },
        };
        if let Some(reason) = conflict
            && !retries.pause().await
        {
            return Err(conflict_error(&reason));
        }
    }
}

/// Takes a step. When another commit stands against it, returns why.
async fn take(
    session: &Session,
    altered: &Altered,
    snapshot: &Arc<Snapshot>,
    step: DropStep,
) -> Result<Option<ConflictReason>> {
    match step {
        DropStep::Commit(commit) => {
            let committed = altered
                .table
                .commit_drop_step(snapshot, *commit, &session.author())
                .await;
            Ok(committed?)
        }
        DropStep::Purge => {
            let request = Request {
                task: Task::Purge,
                ..Request::default()
            };
            optimize(session, &altered.table, &request).await?;
            Ok(None)
        }
        DropStep::Rewrite { metadata, operation } => {
            rewrite(session, altered, snapshot, *metadata, operation).await
        }
    }
}

/// Writes all files anew for the table of `metadata`, and commits both.
async fn rewrite(
    session: &Session,
    altered: &Altered,
    snapshot: &Arc<Snapshot>,
    metadata: Metadata,
    operation: Operation,
) -> Result<Option<ConflictReason>> {
    let table = &altered.table;
    let target = WriteTarget::of_metadata(table, snapshot, &metadata)?;
    let rewritten = rewrite_all(session, table, snapshot, target.clone()).await?;
    let mut transaction = table.transaction(Arc::clone(snapshot), operation);
    transaction.set_author(session.author());
    transaction.set_read_set(ReadSet::WholeTable);
    transaction.set_row_ids_kept();
    let now = clock::now_ms();
    for bin in &rewritten {
        transaction.remove_files(bin.removed.iter().map(|add| add.to_remove(now, false)));
        transaction.add_files(bin.added.iter().cloned());
    }
    // The domain names columns as files do.
    if let Some(columns) = snapshot.clustering_columns()? {
        let domain = ClusteringDomain::new(&metadata, &columns)?.configuration(&metadata)?;
        transaction.set_domain_metadata(CLUSTERING_DOMAIN, domain);
    }
    transaction.set_metadata(metadata);
    let outcome = transaction.commit().await;
    let files_needed = match &outcome {
        Ok(CommitOutcome::Conflicted(_)) => false,
        Ok(_) => true,
        Err(error) => matches!(
            error,
            DeltaError::CommitOutcomeUnknown { .. } | DeltaError::CommittedUnread { .. }
        ),
    };
    if !files_needed {
        for bin in &rewritten {
            target.discard(&bin.added).await;
        }
    }
    Ok(match outcome? {
        CommitOutcome::Conflicted(reason) => Some(reason),
        CommitOutcome::Committed { .. } | CommitOutcome::AlreadyApplied { .. } => None,
    })
}
