//! A transaction: actions staged on a snapshot, committed by put-if-absent, rebased after lost races.

use std::fmt;
use std::sync::Arc;

use crate::{Add, ConflictReason, FileIndex, Metadata, OperationMetrics, Protocol, Remove, Result, Snapshot};

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
    /// The commit is on disk as `snapshot`'s version.
    Committed { snapshot: Arc<Snapshot> },
    /// The table has this application transaction, or a newer one, already; nothing was written.
    AlreadyApplied { app_id: String, version: i64 },
    /// Another writer's commit makes this one wrong; start over from a new snapshot. Nothing was committed.
    Conflicted(ConflictReason),
}

/// Staged work on one table. Dropped without a commit, it leaves unreferenced files behind and nothing else.
#[derive(Debug)]
pub struct Transaction {}

impl Transaction {
    pub(crate) fn new(_: Arc<crate::DeltaTable>, _: Arc<Snapshot>, _: crate::Operation) -> Self {
        todo!()
    }
    /// Returns the snapshot that the transaction reads.
    pub fn read_snapshot(&self) -> &Arc<Snapshot> {
        todo!()
    }

    /// Declares what was read. [`ReadSet::Nothing`] until said otherwise.
    pub fn set_read_set(&mut self, read_set: ReadSet) {
        let _ = read_set;
        todo!()
    }

    /// Stages new files.
    pub fn add_files(&mut self, files: impl IntoIterator<Item = Add>) {
        let _ = files.into_iter();
        todo!()
    }

    /// Stages removals.
    pub fn remove_files(&mut self, files: impl IntoIterator<Item = Remove>) {
        let _ = files.into_iter();
        todo!()
    }

    /// Stages new metadata (schema, properties, description).
    pub fn set_metadata(&mut self, metadata: Metadata) {
        let _ = metadata;
        todo!()
    }

    /// Stages a new protocol.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        let _ = protocol;
        todo!()
    }

    /// Makes the commit count for application `app_id` at `version`. May be called for several applications.
    /// At commit, when the table has any of them at this version or a newer one, nothing is written.
    pub fn set_app_transaction(&mut self, app_id: impl Into<String>, version: i64) {
        let _ = (app_id.into(), version);
        todo!()
    }

    /// Records operation metrics for the history.
    pub fn set_metrics(&mut self, metrics: OperationMetrics) {
        let _ = metrics;
        todo!()
    }

    /// Records who commits (`userName`).
    pub fn set_user_name(&mut self, user_name: impl Into<String>) {
        let _ = user_name.into();
        todo!()
    }

    /// Records the user's remark (`userMetadata`).
    pub fn set_user_metadata(&mut self, text: impl Into<String>) {
        let _ = text.into();
        todo!()
    }

    /// Commits.
    ///
    /// # Errors
    /// `Unavailable` when the store fails: then nothing was committed, or it was and the error says so.
    /// `Unsupported` when the table has a writer feature that we cannot honour.
    pub async fn commit(self) -> Result<CommitOutcome> {
        todo!()
    }
}
