//! A transaction: actions staged on a snapshot, committed by put-if-absent, rebased after lost races.
//!
//! ```text
//! queue of this process ─► winners newer than ours ─► decide each ─► same log? ─► put N.json if absent
//!                              ▲ (memory, then log)      │               ├─ created ─► Committed, kept in memory
//!                              │                         │               ├─ exists: ours after all, or a winner
//!                              └─────── rebased ◄────────┘               └─ failed: read N.json back
//! ```
//! In one process commits to a table queue. Each finds what those before it committed in memory, reads nothing of the
//! log unless another process was faster, and leaves checkpoints to run beside the next. In a local folder only the
//! decisions and the names are given in turn; files and folders are synced beside those of other commits (`queue`).
//!
//! Always true: a commit is reported only when it is on disk under a version that is ours (its `txnId` says so); a
//! put whose outcome is unknown is resolved by reading the version back, never by guessing, and one that is there
//! although its put failed is put again until the store says that it holds it. A version that is absent is free only
//! above a log that is still the one that was read: a cleanup, or a table made anew in its place, leaves absent
//! versions too. That is asked right before each put, of the newest version that is known: a cleanup deletes the
//! oldest commits first, so that one which is there has lost none after it. Between the answer and the put stands
//! nothing but the store. What depends on the place in the history (in-commit timestamp, row ids) is made
//! anew for each attempt (`actions`).

mod actions;
mod attempt;
mod basis;
mod queue;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use ingot_common::clock;

pub(crate) use self::attempt::Landed;
use self::attempt::{Attempt, Ended, STORE_RETRIES_MAX, pauses};
pub(crate) use self::basis::Basis;
pub(crate) use self::queue::CommitQueue;
use crate::action::{AddCdcFile, DomainMetadata};
use crate::conflict::{IsolationLevel, Staged};
use crate::features::{self, WriteOperation};
use crate::file_index::FileKey;
use crate::{
    Add, Author, ConflictReason, DeltaTable, Error, FileIndex, Metadata, Operation, OperationMetrics,
    Protocol, Remove, Result, Snapshot, Txn, change_feed, deletion_vector, properties, row_tracking, schema,
};

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
    change_files: Vec<AddCdcFile>,
    row_ids_kept: bool,
    metrics: OperationMetrics,
    author: Author,
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
            change_files: Vec::new(),
            row_ids_kept: false,
            metrics: OperationMetrics::default(),
            author: Author::default(),
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

    /// Stages removals. A file that gets another deletion vector is removed with the one it had, and added with the
    /// new one and its `base_row_id`.
    pub fn remove_files(&mut self, files: impl IntoIterator<Item = Remove>) {
        self.removes.extend(files);
    }

    /// Stages files of changed rows, for readers of the change data feed.
    pub fn add_change_files(&mut self, files: impl IntoIterator<Item = AddCdcFile>) {
        self.change_files.extend(files);
    }

    /// Declares that no row of the removed files goes on in a new file without its row id: none does at all, or the
    /// new files hold the ids in the materialised columns. Without that word, a commit that takes files away and
    /// adds new ones is refused where rows must keep their ids.
    pub fn set_row_ids_kept(&mut self) {
        self.row_ids_kept = true;
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

    /// Does what [`Transaction::set_app_transaction`] does, for a transaction that is never forgotten, whatever
    /// `delta.setTransactionRetentionDuration` says.
    pub fn set_lasting_app_transaction(&mut self, app_id: impl Into<String>, version: i64) {
        let app_id = app_id.into();
        self.app_transactions.retain(|txn| txn.app_id != app_id);
        self.app_transactions.push(Txn {
            app_id,
            version,
            last_updated: None,
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

    /// Records who commits, and the user's remark.
    pub fn set_author(&mut self, author: Author) {
        self.author = author;
    }

    /// Records who commits (`userName`).
    pub fn set_user_name(&mut self, user_name: impl Into<String>) {
        self.author.user_name = Some(user_name.into());
    }

    /// Records the user's remark (`userMetadata`).
    pub fn set_user_metadata(&mut self, text: impl Into<String>) {
        self.author.user_metadata = Some(text.into());
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
        self.check_staged()?;
        self.upgrade_protocol()?;
        self.check_writable()?;
        self.begin_row_tracking();
        if let Some(applied) = self.applied_before().await? {
            self.table.settle_log().await?;
            return Ok(applied);
        }
        let ours = self.staged();
        let attempt = Attempt::new(&self);
        let ended = match self.table.log().staged() {
            Some(log) => attempt.staged(log, &ours).await?,
            None => attempt.queued(&ours).await?,
        };
        let (version, taken_in) = match ended {
            Ended::Committed { version, taken_in } => (version, taken_in),
            Ended::Not(outcome) => return Ok(outcome),
        };
        let snapshot = match taken_in {
            Some(snapshot) => snapshot,
            None => self.snapshot_after(version).await?,
        };
        self.table.checkpoint_if_due(version, &snapshot);
        Ok(CommitOutcome::Committed { version, snapshot })
    }

    /// Reads the table after our commit `version`. A failure does not undo the commit, and is told apart from
    /// those that mean that there is none.
    async fn snapshot_after(&self, version: i64) -> Result<Arc<Snapshot>> {
        let mut retries = pauses(STORE_RETRIES_MAX);
        loop {
            match self.table.snapshot_with(version).await {
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
        change_feed::check_columns(&metadata)?;
        if metadata.schema_string != present.schema_string {
            schema::check_schema(&metadata)?;
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

    /// Refuses what would make the table's files ambiguous, or break a promise that the table makes.
    fn check_staged(&self) -> Result<()> {
        let mut added = HashSet::new();
        if let Some(add) = self.adds.iter().find(|add| !added.insert(add.path.as_str())) {
            return Err(Error::Internal {
                message: format!("file `{}` is added twice by one commit", add.path),
            });
        }
        let added: HashSet<FileKey> = self.adds.iter().map(FileKey::of_add).collect();
        let mut removed = HashSet::new();
        for remove in &self.removes {
            let key = FileKey::new(&remove.path, remove.deletion_vector.as_ref());
            if added.contains(&key) || !removed.insert(key) {
                return Err(Error::Internal {
                    message: format!(
                        "file `{}` is removed twice, or added too, by one commit",
                        remove.path
                    ),
                });
            }
        }
        self.check_row_ids()
    }

    fn check_row_ids(&self) -> Result<()> {
        let new_file = |add: &Add| add.base_row_id.is_none();
        let may_copy_rows = !self.removes.is_empty() && self.adds.iter().any(new_file);
        if !may_copy_rows || self.row_ids_kept || !row_tracking::keeps_ids(self.read.metadata()) {
            return Ok(());
        }
        Err(Error::UnsupportedFeature {
            location: self.table.location().to_string(),
            feature: row_tracking::FEATURE.to_owned(),
            operation: self.operation.name,
        })
    }

    /// Gives ids to the rows that are there, when the staged metadata begins to promise them.
    fn begin_row_tracking(&mut self) {
        let Some(metadata) = &mut self.metadata else {
            return;
        };
        if !row_tracking::keeps_ids(metadata) {
            return;
        }
        row_tracking::name_materialized_columns(&mut metadata.configuration);
        if row_tracking::keeps_ids(self.read.metadata()) {
            return;
        }
        let removed: HashSet<FileKey> = self
            .removes
            .iter()
            .map(|remove| FileKey::new(&remove.path, remove.deletion_vector.as_ref()))
            .collect();
        let gave_ids = row_tracking::assigns_ids(self.read.protocol(), self.read.metadata());
        let without_ids = self.read.file_index().adds().filter(|add| {
            let staged = removed.contains(&FileKey::of_add(add));
            add.base_row_id.is_none() && !staged
        });
        let again = without_ids.map(|add| Add {
            data_change: false,
            ..Add::clone(&add)
        });
        let again: Vec<Add> = again.collect();
        // One row that another commit adds without an id meanwhile would break the promise. None does where commits gave
        // ids before.
        if !gave_ids || !again.is_empty() {
            self.read_set = ReadSet::WholeTable;
        }
        self.adds.extend(again);
    }

    fn check_writable(&self) -> Result<()> {
        let metadata = self.metadata.as_ref().unwrap_or_else(|| self.read.metadata());
        let protocol = self.protocol.as_ref().unwrap_or_else(|| self.read.protocol());
        if let Some(domain) = self.domains.keys().next() {
            features::check_domain_metadata(protocol, domain)?;
        }
        deletion_vector::check_allowed(protocol, &self.adds)?;
        if self
            .domains
            .get(row_tracking::DOMAIN)
            .is_some_and(|domain| !domain.removed)
        {
            return Err(Error::InvalidArgument {
                message: format!(
                    "domain `{}` is written by each commit itself",
                    row_tracking::DOMAIN
                ),
            });
        }
        let operation = self.write_operation();
        features::check_writable(self.table.location().as_str(), protocol, metadata, operation)
    }

    fn write_operation(&self) -> WriteOperation {
        match self.removes.iter().any(|remove| remove.data_change) {
            true => WriteOperation::ChangeRows,
            false => WriteOperation::Append,
        }
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
        let removed = self.removes.iter().map(|remove| remove.path.as_str());
        // A file that is added without a change of data was there before.
        let again = self.adds.iter().filter(|add| !add.data_change);
        Staged {
            read_set: &self.read_set,
            touched: removed.chain(again.map(|add| add.path.as_str())).collect(),
            app_transactions: &self.app_transactions,
            domains: self.domains.keys().map(String::as_str).collect(),
            data_change,
            metadata_change: self.metadata.is_some(),
            protocol_change: self.protocol.is_some(),
            feature_drop: self
                .protocol
                .as_ref()
                .is_some_and(|protocol| features::drops(self.read.protocol(), protocol)),
            isolation: self.isolation(),
            schema: self.read.mapped_schema(),
            partition_columns: self.read.partition_columns(),
        }
    }

    fn isolation(&self) -> IsolationLevel {
        match self.read.properties().get("delta.isolationLevel") {
            Some(level) if level.eq_ignore_ascii_case("serializable") => IsolationLevel::Serializable,
            _ => IsolationLevel::WriteSerializable,
        }
    }
}
