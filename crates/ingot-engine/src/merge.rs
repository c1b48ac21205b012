//! `MERGE INTO`, copy-on-write.
//!
//! ```text
//! source ─► evaluated once, rows numbered
//!             │
//! target ─► pruned by the bounds of the source's keys ─► joined on the condition: which row meets which, and
//!             │                                          which clause takes it (`matches`)
//!             ├─ touched files ─► every row again: updated, dropped or copied ─┐
//!             └─ source rows that met nothing ─► inserted ─────────────────────┴─► one commit
//! ```
//!
//! Always true: the merge condition and the clauses' conditions are evaluated once for a pair of rows, so a
//! decision cannot change between finding files and writing them; a target row is changed by one source row
//! at most; keys that are null meet nothing. The commit conflicts with files that others added where the
//! condition might have found a match, so two merges of one new key never both insert it.
//!
//! Source rows and the positions of changed rows are kept in memory, within the engine's limit.

mod expressions;
mod keys;
mod matches;
mod rewrite;
mod source;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use datafusion::dataframe::DataFrame;
use futures::future::BoxFuture;
use ingot_common::retry::{Backoff, RetryPolicy};
use ingot_common::{Kind, clock};
use ingot_delta::{CommitOutcome, DeltaTable, FileIndex, Operation, OperationMetrics, ReadSet, Snapshot};
use serde_json::json;

use crate::write::{StagedFiles, conflict_error, discard, snapshot_read, stage_files};
use crate::{Error, Result, Session};
use expressions::Clauses;
use matches::Decisions;
use source::SourceRows;

/// How often [`merge_with_retry`] starts over after losing a race.
const MERGE_RETRIES: RetryPolicy = RetryPolicy {
    retries_max: 100,
    pause_first: Duration::from_millis(20),
    pause_max: Duration::from_secs(2),
};

/// A merge of `source` rows into a table. Texts are SQL expressions over the aliases `target_alias` and
/// `source_alias`: names in SQL, of several parts for a table's full name; columns may be qualified by the end of
/// it. An empty alias names nothing.
#[derive(Debug, Clone)]
pub struct Merge {
    pub target_alias: String,
    pub source_alias: String,
    pub source: DataFrame,
    pub on: String,
    /// In the order in which they are tried.
    pub clauses: Vec<MergeClause>,
    /// Makes the merge idempotent: committed as `txn(app_id, version)`.
    pub app_transactions: Vec<(String, i64)>,
    /// The commit's `userMetadata`.
    pub user_metadata: Option<String>,
}

/// A WHEN clause.
#[derive(Debug, Clone)]
pub struct MergeClause {
    pub matching: MergeMatching,
    /// AND condition.
    pub condition: Option<String>,
    pub action: MergeAction,
}

/// Which rows a clause is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeMatching {
    Matched,
    NotMatchedByTarget,
    NotMatchedBySource,
}

/// What a clause does.
#[derive(Debug, Clone)]
pub enum MergeAction {
    /// Column and expression; the rest keeps its value.
    Update(Vec<(String, String)>),
    UpdateAll,
    Delete,
    /// Column and expression; the rest is null.
    Insert(Vec<(String, String)>),
    InsertAll,
}

/// What a merge did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MergeMetrics {
    pub rows_updated: i64,
    pub rows_deleted: i64,
    pub rows_inserted: i64,
}

/// Runs a merge once: on the table's newest snapshot, or on the one that the source reads if it reads the target.
/// The caller runs it again when it is conflicted, with a source planned anew if that reads the target.
///
/// A merge that changes nothing commits nothing, unless it carries application transactions.
///
/// # Errors
/// `InvalidArgument` for clauses that do not fit the tables, and when several source rows would change one
/// target row; `ResourceExhausted` when the source does not fit the engine's memory.
pub async fn run_merge(
    session: &Session,
    table: &Arc<DeltaTable>,
    merge: &Merge,
) -> Result<(CommitOutcome, MergeMetrics)> {
    let input = Input::collect(session, table, merge).await?;
    merge_once(session, table, merge, &input).await
}

/// Runs a merge until it is committed; the source is evaluated once. A source that reads the target is not tried
/// again, for it is planned on a version that is past then.
///
/// # Errors
/// As [`run_merge`], and `Conflict` when retries are used up or cannot help.
pub async fn merge_with_retry(
    session: &Session,
    table: &Arc<DeltaTable>,
    merge: &Merge,
) -> Result<(CommitOutcome, MergeMetrics)> {
    let input = Input::collect(session, table, merge).await?;
    let mut retries = MERGE_RETRIES.attempts();
    loop {
        let (outcome, metrics) = merge_once(session, table, merge, &input).await?;
        let CommitOutcome::Conflicted(reason) = outcome else {
            return Ok((outcome, metrics));
        };
        if input.read.is_some() || !another_attempt(session, &mut retries).await? {
            return Err(conflict_error(&reason));
        }
    }
}

/// Runs the merge that `plan` makes until it is committed. A source that reads the target is planned and evaluated
/// anew for each attempt, others once.
///
/// # Errors
/// As [`run_merge`], and `Conflict` when retries are used up.
pub(crate) async fn merge_planned<'p>(
    session: &Session,
    table: &Arc<DeltaTable>,
    plan: &(dyn Fn() -> BoxFuture<'p, Result<Merge>> + Send + Sync),
) -> Result<MergeMetrics> {
    let mut merge = plan().await?;
    let mut input = Input::collect(session, table, &merge).await?;
    let mut retries = MERGE_RETRIES.attempts();
    loop {
        let (outcome, metrics) = merge_once(session, table, &merge, &input).await?;
        let CommitOutcome::Conflicted(reason) = outcome else {
            return Ok(metrics);
        };
        if !another_attempt(session, &mut retries).await? {
            return Err(conflict_error(&reason));
        }
        if input.read.is_some() {
            merge = plan().await?;
            input = Input::collect(session, table, &merge).await?;
        }
    }
}

/// Waits before another attempt; `false` when there have been enough.
async fn another_attempt(session: &Session, retries: &mut Backoff) -> Result<bool> {
    unless_cancelled(&session.context().cancellation, async {
        Ok(retries.pause().await)
    })
    .await
}

/// What a merge takes in.
struct Input {
    rows: SourceRows,
    /// The snapshot of the target that the rows were computed from, if they were.
    read: Option<Arc<Snapshot>>,
}

impl Input {
    async fn collect(session: &Session, table: &DeltaTable, merge: &Merge) -> Result<Self> {
        Ok(Self {
            read: snapshot_read(merge.source.logical_plan(), table.location())?,
            rows: SourceRows::collect(session, &merge.source).await?,
        })
    }
}

async fn merge_once(
    session: &Session,
    table: &Arc<DeltaTable>,
    merge: &Merge,
    input: &Input,
) -> Result<(CommitOutcome, MergeMetrics)> {
    let snapshot = match &input.read {
        Some(read) => Arc::clone(read),
        None => table.snapshot().await?,
    };
    for (app_id, version) in &merge.app_transactions {
        if let Some(applied) = snapshot.app_transaction(app_id).await?
            && applied >= *version
        {
            let app_id = app_id.clone();
            let version = applied;
            return Ok((
                CommitOutcome::AlreadyApplied { app_id, version },
                MergeMetrics::default(),
            ));
        }
    }
    let source = &input.rows;
    let attempt = Attempt {
        session,
        table,
        snapshot: &snapshot,
        index: snapshot.files().await?,
        merge,
        clauses: Clauses::compile(session, merge, snapshot.schema(), &source.schema())?,
        source,
    };
    let stop = &session.context().cancellation;
    let work = unless_cancelled(stop, async {
        let candidates = keys::candidates(&attempt).await?;
        let decisions = matches::decide(&attempt, &candidates.files).await?;
        let rows = rewrite::rows(&attempt, &decisions).await?;
        Ok((candidates, decisions, rows))
    });
    let (candidates, decisions, rows) = work.await?;
    let staged = match rows {
        Some(rows) => Some(stage_files(session, table, &snapshot, rows).await?),
        None => None,
    };
    let touched = decisions.touched_files();
    if staged.is_none() && touched.is_empty() && merge.app_transactions.is_empty() {
        return Ok((
            CommitOutcome::Committed {
                version: snapshot.version(),
                snapshot: Arc::clone(&snapshot),
            },
            MergeMetrics::default(),
        ));
    }
    let read_set = match input.read {
        Some(_) => ReadSet::WholeTable,
        None => candidates.read_set,
    };
    attempt.commit(read_set, &decisions, &touched, staged).await
}

/// One try of a merge on one snapshot.
pub(crate) struct Attempt<'a> {
    pub session: &'a Session,
    pub table: &'a Arc<DeltaTable>,
    pub snapshot: &'a Arc<Snapshot>,
    pub index: &'a FileIndex,
    pub merge: &'a Merge,
    pub clauses: Clauses,
    pub source: &'a SourceRows,
}

impl Attempt<'_> {
    async fn commit(
        &self,
        read_set: ReadSet,
        decisions: &Decisions,
        touched: &[usize],
        staged: Option<StagedFiles>,
    ) -> Result<(CommitOutcome, MergeMetrics)> {
        let (files, output) = match staged {
            Some(staged) => (staged.files, staged.metrics),
            None => (Vec::new(), OperationMetrics::default()),
        };
        let written = output.get("numOutputRows");
        let before = rewrite::rows_in(self, touched).await?;
        let copied = before - decisions.rows_updated - decisions.rows_deleted;
        let metrics = MergeMetrics {
            rows_updated: decisions.rows_updated,
            rows_deleted: decisions.rows_deleted,
            rows_inserted: written - (before - decisions.rows_deleted),
        };
        let mut operation_metrics = OperationMetrics::default();
        for (name, value) in [
            ("numSourceRows", self.source.rows()),
            ("numTargetRowsInserted", metrics.rows_inserted),
            ("numTargetRowsUpdated", metrics.rows_updated),
            ("numTargetRowsDeleted", metrics.rows_deleted),
            ("numTargetRowsCopied", copied),
            ("numOutputRows", written),
            ("numTargetFilesAdded", output.get("numFiles")),
            (
                "numTargetFilesRemoved",
                i64::try_from(touched.len()).unwrap_or(i64::MAX),
            ),
            ("numTargetBytesAdded", output.get("numOutputBytes")),
        ] {
            operation_metrics.increase(name, value);
        }
        let mut transaction = self
            .table
            .transaction(Arc::clone(self.snapshot), operation(self.merge));
        transaction.set_read_set(read_set);
        let now = clock::now_ms();
        transaction.remove_files(
            touched
                .iter()
                .map(|file| self.index.add(*file).to_remove(now, true)),
        );
        transaction.add_files(files.iter().cloned());
        transaction.set_metrics(operation_metrics);
        transaction.set_user_name(self.session.context().principal.as_str());
        if let Some(text) = &self.merge.user_metadata {
            transaction.set_user_metadata(text.clone());
        }
        for (app_id, version) in &self.merge.app_transactions {
            transaction.set_app_transaction(app_id.clone(), *version);
        }
        let outcome = transaction.commit().await?;
        if !matches!(outcome, CommitOutcome::Committed { .. }) {
            discard(self.table, &files).await;
            return Ok((outcome, MergeMetrics::default()));
        }
        Ok((outcome, metrics))
    }
}

/// Describes the merge for the history, as Spark does.
fn operation(merge: &Merge) -> Operation {
    let predicates = |matching: MergeMatching| {
        let clauses: Vec<serde_json::Value> = merge
            .clauses
            .iter()
            .filter(|clause| clause.matching == matching)
            .map(|clause| {
                let action = match clause.action {
                    MergeAction::Update(_) | MergeAction::UpdateAll => "update",
                    MergeAction::Delete => "delete",
                    MergeAction::Insert(_) | MergeAction::InsertAll => "insert",
                };
                match &clause.condition {
                    Some(condition) => json!({"predicate": condition, "actionType": action}),
                    None => json!({"actionType": action}),
                }
            })
            .collect();
        serde_json::Value::from(clauses).to_string()
    };
    Operation::new("MERGE")
        .with("predicate", json!([merge.on]).to_string())
        .with("matchedPredicates", predicates(MergeMatching::Matched))
        .with(
            "notMatchedPredicates",
            predicates(MergeMatching::NotMatchedByTarget),
        )
        .with(
            "notMatchedBySourcePredicates",
            predicates(MergeMatching::NotMatchedBySource),
        )
}

/// Runs `work`, which leaves nothing behind when dropped, until the request is cancelled.
async fn unless_cancelled<T>(
    stop: &tokio_util::sync::CancellationToken,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(Error::Cancelled),
        done = work => done,
    }
}

/// Makes an error about a clause.
pub(crate) fn clause_error(condition: &'static str, sqlstate: &'static str, message: String) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition,
        sqlstate,
        message,
    }
}
