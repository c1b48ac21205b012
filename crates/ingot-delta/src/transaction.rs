//! A transaction: actions staged on a snapshot, committed by put-if-absent, rebased after lost races.
//!
//! ```text
//! queue of this process ─► read winners newer than ours ─► decide each ─► same log? ─► put N.json if absent
//!                              ▲                              │               ├─ created ─► Committed
//!                              │                              │               ├─ exists: ours after all, or a winner
//!                              └──────── rebased ◄────────────┘               └─ failed: read N.json back
//! ```
//! Always true: a commit is reported only when it is on disk under a version that is ours (its `txnId` says so); a
//! put whose outcome is unknown is resolved by reading the version back, never by guessing, and one that is there
//! although its put failed is put again until the store says that it holds it. A version that is absent is free only
//! above a log that is still the one that was read: a cleanup, or a table made anew in its place, leaves absent
//! versions too. That is asked after the version was found absent, before each put; between the answer and the put
//! stands nothing but the store. What depends on the place in the history (in-commit timestamp) is made anew for
//! each attempt.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ingot_common::clock;
use ingot_common::retry::{Backoff, RetryPolicy};
use uuid::Uuid;

use crate::action::{self, DomainMetadata};
use crate::conflict::{self, Decision, IsolationLevel, Staged};
use crate::features::{self, WriteOperation};
use crate::log::PutOutcome;
use crate::{
    Action, Add, CommitInfo, ConflictReason, DeltaTable, Error, FileIndex, Metadata, Operation,
    OperationMetrics, Protocol, Remove, Result, Snapshot, Txn, deletion_vector, properties, schema,
};

/// Pauses between attempts, growing with each.
const PAUSE_FIRST: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// How often a put that failed is tried again, once the log shows that it left nothing behind.
const STORE_RETRIES_MAX: u32 = 3;

/// Answers which added files an operation's predicate could have matched.
///
/// Implementers are pure and conservative: `true` where they cannot tell.
pub trait ReadPredicate: Send + Sync + fmt::Debug {
    /// Returns one value per file of `files`.
    fn may_match(&self, files: &FileIndex) -> Vec<bool>;
}

/// What an operation's decisions depend on.
#[derive(Debug, Clone)]
pub enum ReadSet {
    /// Nothing: a blind append.
    Nothing,
    /// The rows that match a predicate, found in the listed files (by the `path` of their actions).
    Matching {
        predicate: Arc<dyn ReadPredicate>,
        paths: Vec<String>,
    },
    /// Every row.
    WholeTable,
}

/// What became of a transaction.
#[derive(Debug, Clone)]
pub enum CommitOutcome {
    /// The commit is on disk. `snapshot` is the table with it, and with what others committed since.
    Committed { version: i64, snapshot: Arc<Snapshot> },
    /// The table has this application transaction, or a newer one, already; nothing was written.
    AlreadyApplied { app_id: String, version: i64 },
    /// Another writer's commit makes this one wrong; start over from a new snapshot. Nothing was committed.
    Conflicted(ConflictReason),
}

/// Staged work on one table. Dropped without a commit, it leaves unreferenced files behind and nothing else.
#[derive(Debug)]
pub struct Transaction {
    table: Arc<DeltaTable>,
    read: Arc<Snapshot>,
    operation: Operation,
    read_set: ReadSet,
    adds: Vec<Add>,
    removes: Vec<Remove>,
    metadata: Option<Metadata>,
    protocol: Option<Protocol>,
    app_transactions: Vec<Txn>,
    domains: BTreeMap<String, DomainMetadata>,
    metrics: OperationMetrics,
    user_name: Option<String>,
    user_metadata: Option<String>,
}

impl Transaction {
    pub(crate) fn new(table: Arc<DeltaTable>, read: Arc<Snapshot>, operation: Operation) -> Self {
        Self {
            table,
            read,
            operation,
            read_set: ReadSet::Nothing,
            adds: Vec::new(),
            removes: Vec::new(),
            metadata: None,
            protocol: None,
            app_transactions: Vec::new(),
            domains: BTreeMap::new(),
            metrics: OperationMetrics::default(),
            user_name: None,
            user_metadata: None,
        }
    }

    /// Returns the snapshot that the transaction reads.
    pub fn read_snapshot(&self) -> &Arc<Snapshot> {
        &self.read
    }

    /// Declares what was read. [`ReadSet::Nothing`] until said otherwise.
    pub fn set_read_set(&mut self, read_set: ReadSet) {
        self.read_set = read_set;
    }

    /// Stages new files.
    pub fn add_files(&mut self, files: impl IntoIterator<Item = Add>) {
        self.adds.extend(files);
    }

    /// Stages removals.
    pub fn remove_files(&mut self, files: impl IntoIterator<Item = Remove>) {
        self.removes.extend(files);
    }

    /// Stages new metadata (schema, properties, description). The features that it uses join the protocol.
    pub fn set_metadata(&mut self, metadata: Metadata) {
        self.metadata = Some(metadata);
    }

    /// Stages a new protocol.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = Some(protocol);
    }

    /// Makes the commit count for application `app_id` at `version`. May be called for several applications.
    /// At commit, when the table has any of them at this version or a newer one, nothing is written.
    pub fn set_app_transaction(&mut self, app_id: impl Into<String>, version: i64) {
        let app_id = app_id.into();
        self.app_transactions.retain(|txn| txn.app_id != app_id);
        self.app_transactions.push(Txn {
            app_id,
            version,
            last_updated: Some(clock::now_ms()),
        });
    }

    /// Stages the configuration of a domain, in place of the one in force. Domains that begin with `delta.` are those
    /// of table features; whoever keeps the feature calls this for them. The last word on a domain counts.
    pub fn set_domain_metadata(&mut self, domain: impl Into<String>, configuration: impl Into<String>) {
        let domain = DomainMetadata {
            domain: domain.into(),
            configuration: configuration.into(),
            removed: false,
        };
        self.domains.insert(domain.domain.clone(), domain);
    }

    /// Stages the removal of a domain; one that the table does not have stays out of the commit.
    pub fn remove_domain_metadata(&mut self, domain: &str) {
        match self.read.domain_metadata(domain) {
            Some(configuration) => {
                let removed = DomainMetadata {
                    domain: domain.to_owned(),
                    configuration: configuration.to_owned(),
                    removed: true,
                };
                self.domains.insert(domain.to_owned(), removed);
            }
            None => {
                self.domains.remove(domain);
            }
        }
    }

    /// Records operation metrics for the history.
    pub fn set_metrics(&mut self, metrics: OperationMetrics) {
        self.metrics = metrics;
    }

    /// Records who commits (`userName`).
    pub fn set_user_name(&mut self, user_name: impl Into<String>) {
        self.user_name = Some(user_name.into());
    }

    /// Records the user's remark (`userMetadata`).
    pub fn set_user_metadata(&mut self, text: impl Into<String>) {
        self.user_metadata = Some(text.into());
    }

    /// Commits.
    ///
    /// # Errors
    /// `Unavailable` when the store fails and nothing was committed; [`Error::CommitOutcomeUnknown`] and
    /// [`Error::CommittedUnread`] where that cannot be said. Staged files may be deleted after none of these.
    /// `Unsupported` when the table has a writer feature that we cannot honour; `InvalidArgument` for metadata that
    /// changes a `delta.*` property to one that we do not know or to a value that it does not take, or that names a
    /// column as Delta forbids, and for domain metadata in a table without the feature.
    pub async fn commit(mut self) -> Result<CommitOutcome> {
        self.upgrade_protocol()?;
        self.check_writable()?;
        if let Some(applied) = self.applied_before().await? {
            return Ok(applied);
        }
        let ours = self.staged();
        // Commits of one process to one table queue here instead of racing.
        let queued = self.table.commit_queue().lock().await;
        let mut attempt = Attempt::new(&self);
        let version = loop {
            match attempt.run(&ours).await? {
                Step::Again => {}
                Step::Committed(version) => break version,
                Step::Ended(outcome) => return Ok(outcome),
            }
        };
        drop(queued);
        let snapshot = self.snapshot_after(version).await?;
        Ok(CommitOutcome::Committed { version, snapshot })
    }

    /// Reads the table after our commit `version`. A failure does not undo the commit, and is told apart from
    /// those that mean that there is none.
    async fn snapshot_after(&self, version: i64) -> Result<Arc<Snapshot>> {
        let mut retries = pauses(STORE_RETRIES_MAX);
        loop {
            match self.table.after_commit(version).await {
                Ok(snapshot) => return Ok(snapshot),
                Err(_) if retries.pause().await => {}
                Err(source) => {
                    return Err(Error::CommittedUnread {
                        location: self.table.location().to_string(),
                        version,
                        source: Box::new(source),
                    });
                }
            }
        }
    }

    /// Lists the features that staged metadata uses.
    fn upgrade_protocol(&mut self) -> Result<()> {
        let Some(metadata) = self.metadata.take() else {
            return Ok(());
        };
        let present = self.read.metadata();
        properties::check(&metadata.configuration, &present.configuration)?;
        if metadata.schema_string != present.schema_string {
            schema::check_schema_string(&metadata.schema_string)?;
        }
        let protocol = self.protocol.as_ref().unwrap_or_else(|| self.read.protocol());
        let location = self.table.location().as_str();
        let (upgraded, metadata) = features::upgraded(location, protocol, Some(present), metadata, [])?;
        if upgraded != *protocol {
            self.protocol = Some(upgraded);
        }
        self.metadata = Some(metadata);
        Ok(())
    }

    fn check_writable(&self) -> Result<()> {
        let changes_rows = self.removes.iter().any(|remove| remove.data_change);
        let operation = if changes_rows {
            WriteOperation::ChangeRows
        } else {
            WriteOperation::Append
        };
        let metadata = self.metadata.as_ref().unwrap_or_else(|| self.read.metadata());
        let protocol = self.protocol.as_ref().unwrap_or_else(|| self.read.protocol());
        if let Some(domain) = self.domains.keys().next() {
            features::check_domain_metadata(protocol, domain)?;
        }
        deletion_vector::check_allowed(protocol, &self.adds)?;
        features::check_writable(self.table.location().as_str(), protocol, metadata, operation)
    }

    /// Looks our application transactions up in the snapshot.
    async fn applied_before(&self) -> Result<Option<CommitOutcome>> {
        for ours in &self.app_transactions {
            let theirs = self.read.app_transaction(&ours.app_id).await?;
            if let Some(version) = theirs.filter(|version| *version >= ours.version) {
                let app_id = ours.app_id.clone();
                return Ok(Some(CommitOutcome::AlreadyApplied { app_id, version }));
            }
        }
        Ok(None)
    }

    fn staged(&self) -> Staged<'_> {
        let data_change = self.adds.iter().any(|add| add.data_change)
            || self.removes.iter().any(|remove| remove.data_change);
        Staged {
            read_set: &self.read_set,
            removed: self.removes.iter().map(|remove| remove.path.as_str()).collect(),
            app_transactions: &self.app_transactions,
            domains: self.domains.keys().map(String::as_str).collect(),
            data_change,
            metadata_change: self.metadata.is_some(),
            isolation: self.isolation(),
            schema: self.read.schema(),
            partition_columns: self.read.partition_columns(),
        }
    }

    fn isolation(&self) -> IsolationLevel {
        match self.read.properties().get("delta.isolationLevel") {
            Some(level) if level.eq_ignore_ascii_case("serializable") => IsolationLevel::Serializable,
            _ => IsolationLevel::WriteSerializable,
        }
    }

    /// Returns the actions as they will stand in the file: commit info first, as in-commit timestamps demand.
    ///
    /// # Errors
    /// `DataLoss` when no time is left after `previous_timestamp`.
    fn actions(&self, transaction_id: &str, previous_timestamp: i64) -> Result<Vec<Action>> {
        let now = clock::now_ms();
        let earliest = previous_timestamp
            .checked_add(1)
            .ok_or_else(|| Error::CorruptLog {
                location: self.table.location().to_string(),
                message: format!("no time is left after inCommitTimestamp {previous_timestamp}"),
            })?;
        let in_commit_timestamp = now.max(earliest);
        let metadata = self.metadata.as_ref().unwrap_or_else(|| self.read.metadata());
        let blind = matches!(self.read_set, ReadSet::Nothing)
            && self.removes.is_empty()
            && self.metadata.is_none()
            && self.protocol.is_none();
        let metrics = self.metrics.0.iter();
        let parameters = self.operation.parameters.iter();
        let info = CommitInfo {
            in_commit_timestamp: features::in_commit_timestamps(metadata).then_some(in_commit_timestamp),
            timestamp: Some(in_commit_timestamp),
            user_name: self.user_name.clone(),
            operation: Some(self.operation.name.to_owned()),
            operation_parameters: Some(parameters.map(|(k, v)| (k.clone(), v.as_str().into())).collect()),
            read_version: Some(self.read.version()),
            isolation_level: Some(self.isolation().as_str().to_owned()),
            is_blind_append: Some(blind),
            operation_metrics: Some(metrics.map(|(k, v)| (k.clone(), v.to_string().into())).collect()),
            user_metadata: self.user_metadata.clone(),
            engine_info: Some(self.table.options().engine_info.clone()),
            txn_id: Some(transaction_id.to_owned()),
            ..CommitInfo::default()
        };
        let mut actions = vec![Action::CommitInfo(info)];
        actions.extend(self.protocol.clone().map(Action::Protocol));
        actions.extend(self.metadata.clone().map(Action::Metadata));
        actions.extend(self.app_transactions.iter().cloned().map(Action::Txn));
        actions.extend(self.domains.values().cloned().map(Action::DomainMetadata));
        actions.extend(self.removes.iter().cloned().map(Action::Remove));
        actions.extend(self.adds.iter().cloned().map(Action::Add));
        Ok(actions)
    }
}

/// What one round of an attempt led to.
enum Step {
    /// The version is taken by a commit that ours can follow, or nothing was written: go on.
    Again,
    Committed(i64),
    Ended(CommitOutcome),
}

/// The rounds of one commit.
struct Attempt<'a> {
    transaction: &'a Transaction,
    /// Unique for this commit: tells ours from another's.
    transaction_id: String,
    /// The version to try next; all before it are decided.
    version: i64,
    /// Time of the version before, milliseconds.
    previous_timestamp: i64,
    /// A put of ours at this version may have worked, and nobody has looked since.
    in_doubt: bool,
    races: Backoff,
    store_failures: Backoff,
}

/// Pauses between at most so many retries.
fn pauses(retries_max: u32) -> Backoff {
    RetryPolicy {
        retries_max,
        pause_first: PAUSE_FIRST,
        pause_max: PAUSE_MAX,
    }
    .attempts()
}

impl<'a> Attempt<'a> {
    fn new(transaction: &'a Transaction) -> Self {
        Self {
            transaction,
            transaction_id: Uuid::new_v4().to_string(),
            version: transaction.read.version() + 1,
            previous_timestamp: transaction.read.timestamp_ms(),
            in_doubt: false,
            races: pauses(transaction.table.options().commit_retries_max),
            store_failures: pauses(STORE_RETRIES_MAX),
        }
    }

    /// Decides all winners, then puts the commit under the first free version.
    async fn run(&mut self, ours: &Staged<'_>) -> Result<Step> {
        let decided = loop {
            match self.look().await? {
                None => break None,
                Some(winner) => match self.decide(ours, &winner) {
                    Step::Again => {}
                    Step::Committed(version) => return Ok(Step::Committed(version)),
                    Step::Ended(outcome) => break Some(outcome),
                },
            }
        };
        // Whatever was found, or not found, says something only if it is this table's log.
        if !self.log_is_the_same().await? {
            let version = self.transaction.read.version();
            let reason = ConflictReason::LogReplaced { version };
            return Ok(Step::Ended(CommitOutcome::Conflicted(reason)));
        }
        if let Some(outcome) = decided {
            return Ok(Step::Ended(outcome));
        }
        let actions = self
            .transaction
            .actions(&self.transaction_id, self.previous_timestamp)?;
        self.in_doubt = true;
        match self
            .transaction
            .table
            .log()
            .put_commit(self.version, &actions)
            .await
        {
            Ok(PutOutcome::Created) => Ok(Step::Committed(self.version)),
            Ok(PutOutcome::Exists) => self.lost_race().await,
            Err(failure) => self.resolve(&actions, failure).await,
        }
    }

    async fn log_is_the_same(&mut self) -> Result<bool> {
        loop {
            match self.transaction.table.holds(&self.transaction.read).await {
                Err(_) if self.store_failures.pause().await => {}
                answer => return answer,
            }
        }
    }

    /// Reads what stands at our version.
    async fn look(&mut self) -> Result<Option<Vec<Action>>> {
        loop {
            match self.transaction.table.log().read_commit(self.version).await {
                Ok(found) => {
                    self.in_doubt = false;
                    return Ok(found);
                }
                Err(_) if self.store_failures.pause().await => {}
                Err(unreadable) if self.in_doubt => return Err(self.unknown(unreadable)),
                Err(unreadable) => return Err(unreadable),
            }
        }
    }

    /// Takes one commit that stands at our version.
    fn decide(&mut self, ours: &Staged<'_>, winner: &[Action]) -> Step {
        if self.is_ours(winner) {
            return Step::Committed(self.version);
        }
        match conflict::decide(ours, self.version, winner) {
            Decision::Rebased => {
                let info = action::commit_info(winner);
                let timestamp = info.and_then(|info| info.in_commit_timestamp.or(info.timestamp));
                self.previous_timestamp = self.previous_timestamp.max(timestamp.unwrap_or_default());
                self.version += 1;
                Step::Again
            }
            Decision::AlreadyApplied { app_id, version } => {
                Step::Ended(CommitOutcome::AlreadyApplied { app_id, version })
            }
            Decision::Conflict(reason) => Step::Ended(CommitOutcome::Conflicted(reason)),
        }
    }

    /// Something stands at our version: another process was faster between our look and our put, or a put of
    /// ours arrived before its answer was lost and the store sent it again.
    async fn lost_race(&mut self) -> Result<Step> {
        if self.races.pause().await {
            return Ok(Step::Again);
        }
        if self.look().await?.is_some_and(|commit| self.is_ours(&commit)) {
            return Ok(Step::Committed(self.version));
        }
        Err(Error::CommitRetriesExhausted {
            location: self.transaction.table.location().to_string(),
            retries: self.races.retries(),
        })
    }

    /// A put failed: it may have left the commit behind all the same. Only the log knows.
    async fn resolve(&mut self, actions: &[Action], failure: Error) -> Result<Step> {
        match self.look().await? {
            Some(commit) if self.is_ours(&commit) => self.settle(actions, failure).await,
            Some(_) => Ok(Step::Again),
            None if self.store_failures.pause().await => Ok(Step::Again),
            None => Err(failure),
        }
    }

    /// Our commit is there, but its put failed: it may be visible and yet not survive a crash. A store that answers
    /// "exists" holds what exists.
    async fn settle(&mut self, actions: &[Action], mut failure: Error) -> Result<Step> {
        while self.store_failures.pause().await {
            let log = self.transaction.table.log();
            match log.put_commit(self.version, actions).await {
                Ok(PutOutcome::Created | PutOutcome::Exists) => return Ok(Step::Committed(self.version)),
                Err(error) => failure = error,
            }
        }
        Err(self.unknown(failure))
    }

    fn unknown(&self, source: Error) -> Error {
        Error::CommitOutcomeUnknown {
            location: self.transaction.table.location().to_string(),
            version: self.version,
            transaction_id: self.transaction_id.clone(),
            source: Box::new(source),
        }
    }

    fn is_ours(&self, commit: &[Action]) -> bool {
        let info = action::commit_info(commit);
        info.is_some_and(|info| info.txn_id.as_deref() == Some(&self.transaction_id))
    }
}
