//! `MERGE INTO`.
//!
//! ```text
//! source ─► evaluated once, kept (`source`)
//!             │
//! target ─► files that its keys can reach (`keys`) ─► join (`join`) ─► by clause (`decide`)
//!                                                           ├─ rows after the clauses ─► written as they come ─┐
//!                                                           └─ positions of changed rows ─► deletion vectors, ─┤
//!                                                                                  or files anew (`crate::dml`)│
//!                                                                                             one commit ◄─────┘
//! ```
//!
//! Always true: a target row is changed by one source row at most; keys that are null meet nothing; schema evolution
//! is in the commit of its rows. The commit conflicts with files that others added where the condition might have
//! found a match, so two merges of one new key never both insert it.
//!
//! A source that does not fit into a share of the engine's memory is kept on disk and joined slice by slice. Positions
//! are bitmaps.

mod clauses;
mod decide;
mod expressions;
mod join;
mod keys;
mod record;
mod source;
mod subqueries;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use datafusion::dataframe::DataFrame;
use datafusion::sql::sqlparser::ast::With;
use futures::future::BoxFuture;
use ingot_common::Kind;
use ingot_common::retry::{Backoff, RetryPolicy};
use ingot_delta::column::with_high_water_marks;
use ingot_delta::{
    Add, AddCdcFile, CommitOutcome, DeltaTable, FileIndex, Operation, OperationMetrics, ReadSet,
    RowIdColumns, Snapshot, WriteTarget,
};
use serde_json::json;

use crate::dml::{FilteredTarget, Recorded, RowChanges, StagedChanges, check_rows_can_change};
use crate::resolve::Reads;
use crate::resolve::routines::Routines;
use crate::write::rules::identity;
use crate::write::{CommitSettings, StagedFiles, conflict_error, discard, older, snapshot_read, stage_for};
use crate::{Error, Result, Session};
use clauses::Clauses;
use decide::{Counts, Decisions, Progress, Recording, decided_rows};
use expressions::Scope;
use join::Pass;
use keys::Looked;
use record::ChangeRecord;
use source::{Slice, SourceRows};
pub(crate) use subqueries::add_with;
use subqueries::{Answers, Asker};

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
    /// Adds to the table what clauses assign to and the source has: `WITH SCHEMA EVOLUTION`.
    pub schema_evolution: bool,
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

impl MergeClause {
    /// Says if the clause takes rows out of the target.
    fn changes_rows(&self) -> bool {
        self.matching != MergeMatching::NotMatchedByTarget
    }
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
    /// Column, or field of one (`a.b`), and expression or `DEFAULT`; the rest keeps its value.
    Update(Vec<(String, String)>),
    /// Every column gets that of its name, but for those whose names stand here.
    UpdateAll {
        except: Vec<String>,
    },
    Delete,
    /// Column and expression or `DEFAULT`; the rest is null.
    Insert(Vec<(String, String)>),
    /// As in [`Self::UpdateAll`]; the rest is null, or what the column has by default.
    InsertAll {
        except: Vec<String>,
    },
}

/// What a merge did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MergeMetrics {
    pub rows_updated: i64,
    pub rows_deleted: i64,
    pub rows_inserted: i64,
}

/// A merge, and what its statement has read and named so far.
pub(crate) struct PlannedMerge {
    pub merge: Merge,
    pub reads: Reads,
    /// The statement's common table expressions, for subqueries.
    pub with: Option<With>,
}

impl From<Merge> for PlannedMerge {
    fn from(merge: Merge) -> Self {
        Self {
            merge,
            reads: Reads::default(),
            with: None,
        }
    }
}

/// Runs a merge once: on the table's newest snapshot, or on the one that the source reads if it reads the target.
/// The caller runs it again when it is conflicted, with a source planned anew if that reads the target.
///
/// A merge that changes nothing commits nothing, unless it carries application transactions.
///
/// # Errors
/// `InvalidArgument` for clauses that do not fit the tables, and when several source rows would change one
/// target row; `ResourceExhausted` when a join that cannot spill does not fit the engine's memory.
pub async fn run_merge(
    session: &Session,
    table: &Arc<DeltaTable>,
    merge: &Merge,
) -> Result<(CommitOutcome, MergeMetrics)> {
    let input = Input::collect(session, table, merge.clone().into()).await?;
    merge_once(session, table, None, &input).await
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
    let _turn = identity::turn(table).await?;
    let input = Input::collect(session, table, merge.clone().into()).await?;
    let mut retries = MERGE_RETRIES.attempts();
    loop {
        let (outcome, metrics) = merge_once(session, table, None, &input).await?;
        let CommitOutcome::Conflicted(reason) = outcome else {
            return Ok((outcome, metrics));
        };
        if input.read.is_some() || !another_attempt(session, &mut retries).await? {
            return Err(conflict_error(&reason));
        }
    }
}

/// Runs the merge that `plan` makes until it is committed, on the rows of the table that are shown. A source that reads
/// the target is planned and evaluated anew for each attempt, others once.
///
/// # Errors
/// As [`run_merge`], and `Conflict` when retries are used up.
pub(crate) async fn merge_planned<'p>(
    session: &Session,
    table: &Arc<DeltaTable>,
    filtered: Option<&FilteredTarget>,
    plan: &(dyn Fn() -> BoxFuture<'p, Result<PlannedMerge>> + Send + Sync),
) -> Result<MergeMetrics> {
    let _turn = identity::turn(table).await?;
    let mut input = Input::collect(session, table, plan().await?).await?;
    let mut retries = MERGE_RETRIES.attempts();
    loop {
        let merged = merge_once(session, table, filtered, &input).await;
        let (outcome, metrics) = merged.map_err(|error| FilteredTarget::conceal(filtered, error))?;
        let reason = match outcome {
            CommitOutcome::Conflicted(reason) => reason,
            CommitOutcome::AlreadyApplied { .. } => return Ok(metrics),
            CommitOutcome::Committed { .. } => {
                CommitSettings::after_write(session)?;
                return Ok(metrics);
            }
        };
        if !another_attempt(session, &mut retries).await? {
            return Err(conflict_error(&reason));
        }
        if input.read.is_some() {
            input = Input::collect(session, table, plan().await?).await?;
        }
    }
}

/// Waits before another attempt; `false` when there have been enough.
async fn another_attempt(session: &Session, retries: &mut Backoff) -> Result<bool> {
    unless_cancelled(session, async { Ok(retries.pause().await) }).await
}

/// What a merge takes in.
struct Input {
    merge: Merge,
    rows: SourceRows,
    answers: Answers,
    /// The functions that the merge's texts call.
    routines: Arc<Routines>,
    /// The snapshot of the target that the rows or answers were computed from, if they were.
    read: Option<Arc<Snapshot>>,
    collection: Duration,
}

impl Input {
    async fn collect(session: &Session, table: &DeltaTable, planned: PlannedMerge) -> Result<Self> {
        let begun = Instant::now();
        let PlannedMerge { merge, reads, with } = planned;
        let routines = Routines::of_texts(session, texts(&merge), &reads).await?;
        let asker = Asker {
            session,
            table,
            reads: &reads,
            with: with.as_ref(),
            routines: &routines,
        };
        let answers = unless_cancelled(session, Answers::collect(&asker, texts(&merge))).await?;
        let read = snapshot_read(merge.source.logical_plan(), table.location())?;
        Ok(Self {
            read: older(read, answers.read.clone()),
            rows: SourceRows::collect(session, &merge.source).await?,
            answers,
            routines,
            merge,
            collection: begun.elapsed(),
        })
    }
}

/// Returns the texts of all expressions.
fn texts(merge: &Merge) -> impl Iterator<Item = &str> {
    let clauses = merge.clauses.iter().flat_map(|clause| {
        let values: &[(String, String)] = match &clause.action {
            MergeAction::Update(values) | MergeAction::Insert(values) => values,
            MergeAction::UpdateAll { .. } | MergeAction::InsertAll { .. } | MergeAction::Delete => &[],
        };
        let values = values.iter().map(|(_, value)| value.as_str());
        clause.condition.as_deref().into_iter().chain(values)
    });
    std::iter::once(merge.on.as_str()).chain(clauses)
}

async fn merge_once(
    session: &Session,
    table: &Arc<DeltaTable>,
    filtered: Option<&FilteredTarget>,
    input: &Input,
) -> Result<(CommitOutcome, MergeMetrics)> {
    let begun = Instant::now();
    let merge = &input.merge;
    let snapshot = match &input.read {
        Some(read) => Arc::clone(read),
        None => table.snapshot().await?,
    };
    for (app_id, version) in &merge.app_transactions {
        if let Some(applied) = snapshot.app_transaction(app_id).await?
            && applied >= *version
        {
            table.settle_log().await?;
            let app_id = app_id.clone();
            let version = applied;
            return Ok((
                CommitOutcome::AlreadyApplied { app_id, version },
                MergeMetrics::default(),
            ));
        }
    }
    if merge.clauses.iter().any(MergeClause::changes_rows) {
        check_rows_can_change(table, &snapshot)?;
    }
    let source = &input.rows;
    let scope = Scope::new(
        session,
        merge,
        snapshot.schema(),
        source.schema(),
        filtered,
        &input.answers,
        &input.routines,
    )?;
    let row_ids = snapshot.row_id_columns();
    let mut clauses = Clauses::compile(merge, table, &snapshot, &scope)?;
    if let Some(ids) = &row_ids {
        clauses.keep_row_ids(ids);
    }
    let attempt = Attempt {
        session,
        table,
        snapshot: &snapshot,
        filtered,
        index: snapshot.files().await?,
        merge,
        record: ChangeRecord::of(session, table, &snapshot, &clauses, row_ids.as_ref())?,
        clauses,
        source,
        row_ids,
    };
    attempt.run(input, begun).await
}

/// One try of a merge on one snapshot.
pub(crate) struct Attempt<'a> {
    pub session: &'a Session,
    pub table: &'a Arc<DeltaTable>,
    pub snapshot: &'a Arc<Snapshot>,
    /// Through what the table is shown.
    pub filtered: Option<&'a FilteredTarget>,
    pub index: &'a FileIndex,
    pub merge: &'a Merge,
    pub clauses: Clauses,
    /// What the merge records for the change data feed, if it does.
    record: Option<ChangeRecord<'a>>,
    pub source: &'a SourceRows,
    /// The columns of row ids, where rows keep them.
    pub row_ids: Option<RowIdColumns>,
}

/// What an attempt has done before it commits.
struct Done {
    counts: Counts,
    /// Updated and inserted rows.
    written: Written,
    /// Files for the change data feed.
    recorded: Vec<Add>,
    /// What takes the rows that clauses change out of their files.
    changes: StagedChanges,
    scan: Duration,
    rewrite: Duration,
}

/// Files of updated and inserted rows.
#[derive(Default)]
struct Written {
    files: Vec<Add>,
    rows: i64,
}

impl Written {
    fn take(&mut self, staged: StagedFiles) {
        self.rows += staged.metrics.get("numOutputRows");
        self.files.extend(staged.files);
    }

    fn bytes(&self) -> i64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

/// The work on one pass after the other.
#[derive(Default)]
struct Passes {
    looked: Looked,
    progress: Arc<Progress>,
    written: Written,
    recorded: Vec<Add>,
    scan: Duration,
}

impl Attempt<'_> {
    async fn run(&self, input: &Input, begun: Instant) -> Result<(CommitOutcome, MergeMetrics)> {
        let mut passes = Passes::default();
        if let Err(error) = self.work(&mut passes).await {
            discard(self.table, &passes.written.files).await;
            discard(self.table, &passes.recorded).await;
            return Err(error);
        }
        let Passes {
            looked,
            progress,
            written,
            mut recorded,
            scan,
        } = passes;
        let decisions = progress.take();
        match self.record_rows_that_go(&decisions).await {
            Ok(more) => recorded.extend(more),
            Err(error) => {
                discard(self.table, &written.files).await;
                discard(self.table, &recorded).await;
                return Err(error);
            }
        }
        let Decisions { changed, counts, .. } = decisions;
        let changes = RowChanges {
            session: self.session,
            table: self.table,
            snapshot: self.snapshot,
            index: self.index,
            recorded: Recorded::Elsewhere,
        };
        let changes = match changes.stage(changed.into_iter().collect(), None).await {
            Ok(changes) => changes,
            Err(error) => {
                discard(self.table, &written.files).await;
                discard(self.table, &recorded).await;
                return Err(error);
            }
        };
        let nothing = written.files.is_empty() && changes.is_empty() && self.clauses.evolution.is_none();
        if nothing && self.merge.app_transactions.is_empty() {
            let outcome = CommitOutcome::Committed {
                version: self.snapshot.version(),
                snapshot: Arc::clone(self.snapshot),
            };
            return Ok((outcome, MergeMetrics::default()));
        }
        let read_set = match input.read {
            Some(_) => ReadSet::WholeTable,
            None => looked.read_set(self),
        };
        let done = Done {
            counts,
            written,
            recorded,
            changes,
            scan,
            rewrite: begun.elapsed().saturating_sub(scan),
        };
        let mut metrics = self.metrics(&done);
        for (name, time) in [
            ("materializeSourceTimeMs", input.collection),
            ("executionTimeMs", input.collection + begun.elapsed()),
        ] {
            metrics.increase(name, milliseconds(time));
        }
        self.commit(read_set, done, metrics).await
    }

    /// Joins all slices of the source with the target, and writes what comes of it.
    async fn work(&self, passes: &mut Passes) -> Result<()> {
        let slices = self.source.slices();
        let for_others = self.clauses.any(MergeMatching::NotMatchedBySource);
        let pass = match slices {
            1 => Pass::Whole,
            _ => Pass::Slice { for_others },
        };
        for number in 0..slices {
            let slice = unless_cancelled(self.session, self.source.slice(number)).await?;
            self.pass(passes, &slice, &pass).await?;
            if number + 1 == slices && slices > 1 && for_others {
                let met = Arc::new(passes.progress.take_met());
                self.pass(passes, &slice, &Pass::Alone(met)).await?;
            }
        }
        Ok(())
    }

    async fn pass(&self, passes: &mut Passes, slice: &Slice, pass: &Pass) -> Result<()> {
        let begun = Instant::now();
        let prepared = unless_cancelled(self.session, async {
            let files = passes.looked.candidates(self, slice, pass)?;
            let join = join::plan(self, slice, &files, pass).await?;
            let schema = match &self.row_ids {
                Some(ids) => ids.extended(self.schema()),
                None => Arc::clone(self.schema()),
            };
            let recording = match &self.record {
                Some(record) => record.needs(),
                None => Recording::Nothing,
            };
            let rows = decided_rows(&join, &self.clauses, &schema, recording, pass, &passes.progress)?;
            Ok(join.context.read_table(rows)?)
        });
        let rows = prepared.await?;
        passes.scan += begun.elapsed();
        let (written, recorded) = self.write(rows).await?;
        passes.written.take(written);
        passes.recorded.extend(recorded);
        Ok(())
    }

    /// The table's schema after the merge.
    fn schema(&self) -> &SchemaRef {
        let evolution = self.clauses.evolution.as_ref();
        evolution.map_or(self.snapshot.schema(), |evolution| evolution.schema())
    }

    /// Writes the rows that the clauses make. Returns the data files, and those of the change data feed.
    async fn write(&self, rows: DataFrame) -> Result<(StagedFiles, Vec<Add>)> {
        match &self.record {
            Some(record) => record.write(rows).await,
            None => {
                let target = self.target()?.with_row_ids();
                Ok((stage_for(self.session, target, rows).await?, Vec::new()))
            }
        }
    }

    /// Records the rows that clauses delete, and those that they update as they were.
    async fn record_rows_that_go(&self, decisions: &Decisions) -> Result<Vec<Add>> {
        match &self.record {
            Some(record) => record.rows_that_go(decisions).await,
            None => Ok(Vec::new()),
        }
    }

    fn target(&self) -> Result<WriteTarget> {
        Ok(match &self.clauses.evolution {
            Some(evolution) => evolution.target.clone(),
            None => WriteTarget::of_table(self.table, self.snapshot)?,
        })
    }

    /// Counts in Spark's words. Source: Delta, `MergeIntoCommandBase`, `DeltaOperationMetrics.MERGE`.
    fn metrics(&self, done: &Done) -> OperationMetrics {
        let Done { counts, changes, .. } = done;
        let written = &done.written;
        let files = &changes.counts;
        let mut metrics = OperationMetrics::default();
        for (name, value) in [
            ("numSourceRows", count(self.source.rows())),
            ("numTargetRowsInserted", counts.inserted),
            ("numTargetRowsUpdated", counts.updated()),
            ("numTargetRowsMatchedUpdated", counts.matched_updated),
            (
                "numTargetRowsNotMatchedBySourceUpdated",
                counts.not_matched_by_source_updated,
            ),
            ("numTargetRowsDeleted", counts.deleted()),
            ("numTargetRowsMatchedDeleted", counts.matched_deleted),
            (
                "numTargetRowsNotMatchedBySourceDeleted",
                counts.not_matched_by_source_deleted,
            ),
            ("numTargetRowsCopied", files.rows_copied),
            ("numOutputRows", written.rows + files.rows_copied),
            (
                "numTargetFilesAdded",
                count(written.files.len()) + files.files_added,
            ),
            ("numTargetFilesRemoved", files.files_removed),
            ("numTargetBytesAdded", written.bytes() + files.bytes_added),
            ("numTargetBytesRemoved", files.bytes_removed),
            ("numTargetChangeFilesAdded", count(done.recorded.len())),
            ("numTargetDeletionVectorsAdded", files.vectors_added),
            ("numTargetDeletionVectorsUpdated", files.vectors_updated),
            ("numTargetDeletionVectorsRemoved", files.vectors_removed),
            ("scanTimeMs", milliseconds(done.scan)),
            ("rewriteTimeMs", milliseconds(done.rewrite)),
        ] {
            metrics.increase(name, value);
        }
        metrics
    }

    async fn commit(
        &self,
        read_set: ReadSet,
        done: Done,
        metrics: OperationMetrics,
    ) -> Result<(CommitOutcome, MergeMetrics)> {
        let mut transaction = self
            .table
            .transaction(Arc::clone(self.snapshot), operation(self.merge));
        transaction.set_read_set(read_set);
        let marks = self.clauses.missing.high_water_marks();
        if !marks.is_empty() {
            let evolution = self.clauses.evolution.as_ref();
            let metadata = evolution.map_or(self.snapshot.metadata(), |evolution| &evolution.metadata);
            transaction.set_metadata(with_high_water_marks(metadata, &marks)?);
        }
        if let Some(evolution) = &self.clauses.evolution {
            if marks.is_empty() {
                transaction.set_metadata(evolution.metadata.clone());
            }
            if let Some(protocol) = &evolution.protocol {
                transaction.set_protocol(protocol.clone());
            }
        }
        done.changes.put_into(&mut transaction);
        transaction.set_row_ids_kept();
        transaction.add_files(done.written.files.iter().cloned());
        transaction.add_change_files(done.recorded.iter().cloned().map(AddCdcFile::from));
        transaction.set_metrics(metrics);
        transaction.set_user_name(self.session.context().principal.as_str());
        if let Some(text) = &self.merge.user_metadata {
            transaction.set_user_metadata(text.clone());
        }
        for (app_id, version) in &self.merge.app_transactions {
            transaction.set_app_transaction(app_id.clone(), *version);
        }
        let outcome = transaction.commit().await?;
        if !matches!(outcome, CommitOutcome::Committed { .. }) {
            discard(self.table, &done.written.files).await;
            discard(self.table, &done.recorded).await;
            done.changes.discard(self.table).await;
            return Ok((outcome, MergeMetrics::default()));
        }
        let counts = done.counts;
        let metrics = MergeMetrics {
            rows_updated: counts.updated(),
            rows_deleted: counts.deleted(),
            rows_inserted: counts.inserted,
        };
        Ok((outcome, metrics))
    }
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
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
                    MergeAction::Update(_) | MergeAction::UpdateAll { .. } => "update",
                    MergeAction::Delete => "delete",
                    MergeAction::Insert(_) | MergeAction::InsertAll { .. } => "insert",
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
async fn unless_cancelled<T>(session: &Session, work: impl Future<Output = Result<T>>) -> Result<T> {
    let stop = session.stop();
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
