//! Dropping a feature: its traces first, then its name in the protocol.
//!
//! ```text
//! newest version ─► next_step (pure) ─► a trace: commit without it, rewrite files (the engine) ─► look again
//!                                    └► none ─► finish ─┬─ binds writers only ────────────────┐
//!                                                       ├─ history stays: barrier checkpoints,├─► commit: protocol
//!                                                       │  kept by `checkpointProtection` ────┤   without the feature
//!                                                       └─ history goes: cleanup, no trace ───┘
//! ```
//! A version that used a feature which binds readers can be misread by a reader that does not know it, and sees only
//! that the newest version does not need it. So either such versions are gone, or three checkpoints stand before the
//! commit that drops the feature: no reader looks behind them for the versions after, and they stay until all that is
//! older goes with them.
//!
//! Always true: the commit that drops a feature is right behind the version that was found to have no trace of it. What
//! fails halfway is done again from where it is. Source: Delta Spark, `AlterTableDropFeatureDeltaCommand`; Delta,
//! `protocol_rfcs/checkpoint-protection.md`.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use ingot_common::clock;
use serde_json::json;

use crate::features::{
    self, IN_COMMIT_TIMESTAMPS, PROTECTED_BEFORE, ROW_TRACKING_PROPERTIES, Removable, enabled,
};
use crate::properties::CONSTRAINT_PREFIX;
use crate::retention::Retention;
use crate::{
    Action, Add, Author, CommitOutcome, ConflictReason, DeltaTable, Error, Metadata, Operation, Protocol,
    ReadSet, Remove, Result, Snapshot, TimeTravel, column_mapping, commit_time, partition, row_tracking,
    type_widening,
};

/// Checkpoints before a dropped feature. Source: Delta, `DropTableFeatureUtils.NUMBER_OF_BARRIER_CHECKPOINTS`: readers
/// that cannot read a checkpoint look for an older one so many times.
const BARRIER_CHECKPOINTS: usize = 3;

const DELETION_VECTORS: &str = "delta.enableDeletionVectors";
const CHECKPOINT_POLICY: &str = "delta.checkpointPolicy";

/// A feature to drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureDrop {
    name: &'static str,
    feature: Removable,
    truncate_history: bool,
}

/// What takes a trace of a feature out of the newest version.
#[derive(Debug)]
pub enum DropStep {
    /// A commit of these alone.
    Commit(Box<DropCommit>),
    /// Deleted rows are taken out of their files, as REORG does.
    Purge,
    /// All files are written anew for the table of this metadata, in one commit with it.
    Rewrite {
        metadata: Box<Metadata>,
        operation: Operation,
    },
}

/// A commit that takes traces of a feature out of the log.
#[derive(Debug)]
pub struct DropCommit {
    operation: Operation,
    metadata: Option<Metadata>,
    /// Files that are there, as they are to be.
    adds: Vec<Add>,
    removed_domains: Vec<String>,
}

/// What became of the last step.
#[derive(Debug)]
pub enum Dropped {
    Done(Arc<Snapshot>),
    /// Another commit came between; the traces must be looked for again.
    Conflicted(ConflictReason),
}

impl FeatureDrop {
    /// Checks that the table has the feature and may lose it.
    ///
    /// # Errors
    /// `InvalidArgument` with a condition of Delta's, `DELTA_FEATURE_DROP_…`.
    pub fn new(snapshot: &Snapshot, name: &str, truncate_history: bool) -> Result<Self> {
        let (name, feature) = features::removable(snapshot.protocol(), name)?;
        let protection = feature == Removable::CheckpointProtection;
        if truncate_history && !feature.concerns_history() && !protection {
            return Err(Error::refused(
                "DELTA_FEATURE_DROP_HISTORY_TRUNCATION_NOT_ALLOWED",
                "42000",
                format!("dropping `{name}` does not require history truncation"),
            ));
        }
        if protection && !truncate_history {
            return Err(Error::refused(
                "DELTA_FEATURE_CAN_ONLY_DROP_CHECKPOINT_PROTECTION_WITH_HISTORY_TRUNCATION",
                "55000",
                format!("could not drop `{name}`; say ALTER TABLE … DROP FEATURE {name} TRUNCATE HISTORY"),
            ));
        }
        Ok(Self {
            name,
            feature,
            truncate_history,
        })
    }

    /// Returns what must be done before the feature can go; `None` when `snapshot` has no trace of it.
    ///
    /// # Errors
    /// `InvalidArgument` where only the user can take a trace out: CHECK constraints, and names of columns that cannot
    /// stand in files.
    pub fn next_step(&self, snapshot: &Snapshot) -> Result<Option<DropStep>> {
        let metadata = snapshot.metadata();
        match self.feature {
            Removable::CheckConstraints => check_constraints(metadata).map(|()| None),
            Removable::CheckpointProtection | Removable::VacuumProtocolCheck => Ok(None),
            Removable::ColumnMapping if column_mapping::used(metadata) => Ok(Some(DropStep::Rewrite {
                metadata: Box::new(column_mapping::unmapped_metadata(metadata)?),
                operation: Operation::new("REMOVE COLUMN MAPPING"),
            })),
            Removable::TypeWidening if type_widening::enabled(metadata) => {
                Ok(Some(unset(metadata, &[type_widening::ENABLE])))
            }
            Removable::TypeWidening if type_widening::changed(metadata) => Ok(Some(DropStep::Rewrite {
                metadata: Box::new(type_widening::without_changes(metadata)?),
                operation: Operation::new("REORG").with("rewriteTypeWidening", "true"),
            })),
            Removable::ColumnMapping | Removable::TypeWidening => Ok(None),
            Removable::DeletionVectors => Ok(deletion_vectors(snapshot)),
            Removable::V2Checkpoint => {
                Ok(v2_policy(metadata).then(|| set(metadata, &[(CHECKPOINT_POLICY, "classic")])))
            }
            Removable::InCommitTimestamp => Ok(in_commit_timestamps(metadata)),
            Removable::RowTracking => Ok(row_ids(snapshot)),
            Removable::DomainMetadata => Ok(domains(snapshot)),
        }
    }

    /// Says if an action of the past could not be read without the feature.
    fn used_by(&self, action: &Action) -> bool {
        match (self.feature, action) {
            (Removable::ColumnMapping, Action::Metadata(metadata)) => {
                !matches!(column_mapping::mode(&metadata.configuration), Ok(None))
            }
            (Removable::TypeWidening, Action::Metadata(metadata)) => type_widening::changed(metadata),
            (Removable::V2Checkpoint, Action::Metadata(metadata)) => v2_policy(metadata),
            (Removable::DeletionVectors, Action::Metadata(metadata)) => enabled(metadata, DELETION_VECTORS),
            (Removable::DeletionVectors, Action::Add(add)) => add.deletion_vector.is_some(),
            (Removable::DeletionVectors, Action::Remove(remove)) => remove.deletion_vector.is_some(),
            _ => false,
        }
    }

    /// The protocol, and the metadata if it changes, right after `snapshot`.
    fn downgraded(&self, snapshot: &Snapshot) -> (Protocol, Option<Metadata>) {
        let mut protocol = features::without(snapshot.protocol(), self.name);
        let mut metadata = snapshot.metadata().clone();
        let gone: &[&str] = match self.feature {
            Removable::RowTracking => &ROW_TRACKING_PROPERTIES,
            Removable::CheckpointProtection => &[PROTECTED_BEFORE],
            _ => &[],
        };
        metadata
            .configuration
            .retain(|key, _| !gone.contains(&key.as_str()));
        if self.keeps_history() {
            protocol = features::with_checkpoint_protection(&protocol);
            let version = snapshot.version() + 1;
            metadata
                .configuration
                .insert(PROTECTED_BEFORE.to_owned(), version.to_string());
        }
        let changed = metadata != *snapshot.metadata();
        (protocol, changed.then_some(metadata))
    }

    /// Says if versions that used the feature stay.
    fn keeps_history(&self) -> bool {
        self.feature.concerns_history() && !self.truncate_history
    }

    fn operation(&self) -> Operation {
        Operation::new("DROP FEATURE")
            .with("featureName", self.name)
            .with("truncateHistory", self.truncate_history.to_string())
    }
}

impl DeltaTable {
    /// Commits a step on top of `snapshot`. When another commit stands against it, returns why: look again.
    pub async fn commit_drop_step(
        self: &Arc<Self>,
        snapshot: &Arc<Snapshot>,
        step: DropCommit,
        author: &Author,
    ) -> Result<Option<ConflictReason>> {
        let mut transaction = self.transaction(Arc::clone(snapshot), step.operation);
        transaction.set_author(author.clone());
        transaction.set_read_set(ReadSet::WholeTable);
        transaction.add_files(step.adds);
        if let Some(metadata) = step.metadata {
            transaction.set_metadata(metadata);
        }
        for domain in &step.removed_domains {
            transaction.remove_domain_metadata(domain);
        }
        Ok(match transaction.commit().await? {
            CommitOutcome::Conflicted(reason) => Some(reason),
            CommitOutcome::Committed { .. } | CommitOutcome::AlreadyApplied { .. } => None,
        })
    }

    /// Drops a feature of which the newest version has no trace. `traces_removed` says if it had some when the
    /// statement began.
    ///
    /// # Errors
    /// `InvalidArgument` with `DELTA_FEATURE_DROP_WAIT_FOR_RETENTION_PERIOD` or
    /// `DELTA_FEATURE_DROP_HISTORICAL_VERSIONS_EXIST` where the history must go and cannot yet.
    pub async fn finish_feature_drop(
        self: &Arc<Self>,
        drop: &FeatureDrop,
        traces_removed: bool,
        author: &Author,
    ) -> Result<Dropped> {
        if drop.feature == Removable::DeletionVectors {
            self.keep_vector_files(author).await?;
        }
        if drop.keeps_history() {
            for _ in 0..BARRIER_CHECKPOINTS {
                self.commit_nothing_and_checkpoint(author).await?;
            }
        } else if drop.truncate_history {
            self.truncate_history(drop, traces_removed, author).await?;
        }
        let snapshot = self.snapshot().await?;
        if drop.next_step(&snapshot)?.is_some() {
            let version = snapshot.version();
            return Ok(Dropped::Conflicted(ConflictReason::FeatureDrop { version }));
        }
        let (protocol, metadata) = drop.downgraded(&snapshot);
        let mut transaction = self.transaction(Arc::clone(&snapshot), drop.operation());
        transaction.set_author(author.clone());
        transaction.set_protocol(protocol);
        if let Some(metadata) = metadata {
            transaction.set_metadata(metadata);
        }
        if drop.feature == Removable::RowTracking {
            transaction.remove_domain_metadata(row_tracking::DOMAIN);
        }
        let snapshot = match transaction.commit().await? {
            CommitOutcome::Committed { snapshot, .. } => snapshot,
            CommitOutcome::AlreadyApplied { .. } => snapshot,
            CommitOutcome::Conflicted(reason) => return Ok(Dropped::Conflicted(reason)),
        };
        if drop.keeps_history()
            && let Err(error) = self.checkpoint().await
        {
            // The feature is gone all the same, and the checkpoints before it keep readers from its history.
            tracing::warn!(
                location = %self.location(),
                version = snapshot.version(),
                error = %ingot_common::error::chain(&error),
                "checkpoint after a dropped feature failed; the next one follows later commits",
            );
        }
        Ok(Dropped::Done(snapshot))
    }

    /// Names the files of deletion vectors that versions within retention still need, as removed files: a VACUUM that
    /// knows no vectors keeps them then. Source: Delta Spark, `generateDVTombstones`.
    async fn keep_vector_files(self: &Arc<Self>, author: &Author) -> Result<()> {
        let snapshot = self.snapshot().await?;
        let now = clock::now_ms();
        let cutoff_ms = now.saturating_sub(Retention::of(snapshot.properties()).deleted_files_ms);
        let tombstones = self.tombstones(&snapshot, now).await?;
        let fresh = tombstones
            .iter()
            .filter(|remove| remove.deletion_timestamp.unwrap_or_default() >= cutoff_ms);
        let mut named = HashSet::new();
        for remove in tombstones
            .iter()
            .filter(|remove| remove.deletion_vector.is_none())
        {
            named.insert(self.file_path(&remove.path)?);
        }
        let (_, root) = self.store();
        let mut removes = Vec::new();
        for remove in fresh {
            let Some(vector) = &remove.deletion_vector else {
                continue;
            };
            let Some(path) = self.vector_path(vector)? else {
                continue;
            };
            let Some(relative) = path.prefix_match(&root) else {
                continue;
            };
            let relative: Vec<String> = relative.map(|part| part.as_ref().to_owned()).collect();
            if named.insert(path) {
                removes.push(tombstone(partition::action_path(&relative.join("/")), now));
            }
        }
        if removes.is_empty() {
            return Ok(());
        }
        let mut transaction = self.transaction(snapshot, Operation::new("Deletion Vector Tombstones"));
        transaction.set_author(author.clone());
        transaction.remove_files(removes);
        match transaction.commit().await? {
            CommitOutcome::Committed { .. } | CommitOutcome::AlreadyApplied { .. } => Ok(()),
            CommitOutcome::Conflicted(reason) => Err(conflicted(&reason)),
        }
    }

    /// Checkpoints a version that has no trace of what is dropped.
    async fn commit_nothing_and_checkpoint(self: &Arc<Self>, author: &Author) -> Result<()> {
        let snapshot = self.snapshot().await?;
        let mut transaction = self.transaction(snapshot, Operation::new("Empty Commit"));
        transaction.set_author(author.clone());
        if let CommitOutcome::Conflicted(reason) = transaction.commit().await? {
            return Err(conflicted(&reason));
        }
        self.checkpoint().await.map(drop)
    }

    /// Deletes what is older than the table's `delta.dropFeatureTruncateHistory.retentionDuration`, and makes sure that
    /// what is left has no trace of the feature.
    async fn truncate_history(
        self: &Arc<Self>,
        drop: &FeatureDrop,
        traces_removed: bool,
        author: &Author,
    ) -> Result<()> {
        let protected = drop.feature == Removable::CheckpointProtection;
        let snapshot = self.snapshot().await?;
        if protected && self.protected_history_is_gone(&snapshot).await? {
            return Ok(());
        }
        self.commit_nothing_and_checkpoint(author).await?;
        let snapshot = self.snapshot().await?;
        let retention = Retention::of(snapshot.properties());
        if !traces_removed {
            self.cleanup_logs_older_than(&snapshot, retention.truncated_history_ms)
                .await?;
            let clean = match protected {
                true => self.protected_history_is_gone(&snapshot).await?,
                false => !self.history_uses(drop, &snapshot).await?,
            };
            if clean {
                return Ok(());
            }
        }
        let (condition, what) = match (protected, traces_removed) {
            (true, _) => (
                "DELTA_FEATURE_DROP_CHECKPOINT_PROTECTION_WAIT_FOR_RETENTION_PERIOD",
                "the table's history still holds versions that used dropped features",
            ),
            (false, true) => (
                "DELTA_FEATURE_DROP_WAIT_FOR_RETENTION_PERIOD",
                "the newest version no longer uses it, but versions in the table's history do",
            ),
            (false, false) => (
                "DELTA_FEATURE_DROP_HISTORICAL_VERSIONS_EXIST",
                "versions in the table's history use it",
            ),
        };
        Err(Error::refused(
            condition,
            "22KD0",
            format!(
                "cannot drop `{}` yet: {what}; send the statement again when they are older than {} ms \
                 (table property `delta.dropFeatureTruncateHistory.retentionDuration`)",
                drop.name, retention.truncated_history_ms
            ),
        ))
    }

    /// Says if nothing is left of what checkpoint protection protects.
    async fn protected_history_is_gone(&self, snapshot: &Snapshot) -> Result<bool> {
        let before = protected_before(snapshot);
        if before <= 0 {
            return Ok(true);
        }
        let files = self.log_files().await?;
        let earliest_checkpoint = files.complete_checkpoints().next().map(|(version, _)| version);
        let commits_gone = files.commits.range(..before).next().is_none();
        Ok(commits_gone && earliest_checkpoint.is_some_and(|version| version >= before))
    }

    /// Says if a version that can still be reached, or a commit that is still there, uses the feature.
    async fn history_uses(&self, drop: &FeatureDrop, newest: &Snapshot) -> Result<bool> {
        let files = self.log_files().await?;
        if drop.feature == Removable::V2Checkpoint && files.any_v2_checkpoint() {
            return Ok(true);
        }
        let earliest = self.kernel().earliest_version().await?;
        let first = self.snapshot_at(TimeTravel::Version(earliest)).await?;
        let state = std::iter::once(Action::Metadata(first.metadata().clone()));
        let adds = first.file_index().adds().map(|add| Action::Add(Add::clone(&add)));
        if state.chain(adds).any(|action| drop.used_by(&action)) {
            return Ok(true);
        }
        for version in files
            .commits
            .keys()
            .filter(|version| **version <= newest.version())
        {
            let commit = self.log().read_commit(*version).await?.unwrap_or_default();
            if commit.iter().any(|action| drop.used_by(action)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Returns the version before which checkpoints are kept, unless they go with all that is older; 0 for none.
pub(crate) fn protected_before(snapshot: &Snapshot) -> i64 {
    let listed = features::supported(snapshot.protocol());
    if !listed.contains(features::CHECKPOINT_PROTECTION) {
        return 0;
    }
    let version = snapshot.properties().get(PROTECTED_BEFORE);
    version.and_then(|version| version.parse().ok()).unwrap_or(0)
}

fn conflicted(reason: &ConflictReason) -> Error {
    Error::refused(
        "DELTA_FEATURE_DROP_CONFLICT_REVALIDATION_FAIL",
        "40000",
        format!(
            "cannot drop the feature because a concurrent transaction modified the table: {reason}; try again"
        ),
    )
}

fn tombstone(path: String, now_ms: i64) -> Remove {
    Remove {
        path,
        deletion_timestamp: Some(now_ms),
        data_change: false,
        extended_file_metadata: None,
        partition_values: None,
        size: None,
        stats: None,
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
    }
}

fn commit(operation: Operation, metadata: Option<Metadata>) -> DropStep {
    DropStep::Commit(Box::new(DropCommit {
        operation,
        metadata,
        adds: Vec::new(),
        removed_domains: Vec::new(),
    }))
}

/// The table without properties.
fn unset(metadata: &Metadata, keys: &[&str]) -> DropStep {
    let mut without = metadata.clone();
    without
        .configuration
        .retain(|key, _| !keys.contains(&key.as_str()));
    let operation = Operation::new("UNSET TBLPROPERTIES")
        .with("properties", json!(keys).to_string())
        .with("ifExists", "true");
    commit(operation, Some(without))
}

/// The table with other values of properties.
fn set(metadata: &Metadata, properties: &[(&str, &str)]) -> DropStep {
    let properties = properties
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let properties: BTreeMap<String, String> = properties.collect();
    let operation = Operation::new("SET TBLPROPERTIES").with("properties", json!(properties).to_string());
    let mut with = metadata.clone();
    with.configuration.extend(properties);
    commit(operation, Some(with))
}

fn v2_policy(metadata: &Metadata) -> bool {
    let policy = metadata.configuration.get(CHECKPOINT_POLICY);
    policy.is_some_and(|policy| policy.eq_ignore_ascii_case("v2"))
}

/// Rules of the user's stay until the user drops them.
fn check_constraints(metadata: &Metadata) -> Result<()> {
    let names = metadata.configuration.keys();
    let names: Vec<&str> = names
        .filter_map(|key| key.strip_prefix(CONSTRAINT_PREFIX))
        .collect();
    match names.is_empty() {
        true => Ok(()),
        false => Err(Error::refused(
            "DELTA_CANNOT_DROP_CHECK_CONSTRAINT_FEATURE",
            "0AKDE",
            format!(
                "cannot drop the CHECK constraints table feature; the following constraints must be dropped first: `{}`",
                names.join("`, `")
            ),
        )),
    }
}

fn deletion_vectors(snapshot: &Snapshot) -> Option<DropStep> {
    if enabled(snapshot.metadata(), DELETION_VECTORS) {
        return Some(unset(snapshot.metadata(), &[DELETION_VECTORS]));
    }
    let mut adds = snapshot.file_index().adds();
    adds.any(|add| add.deletion_vector.is_some())
        .then_some(DropStep::Purge)
}

fn in_commit_timestamps(metadata: &Metadata) -> Option<DropStep> {
    let since = [commit_time::ENABLEMENT_VERSION, commit_time::ENABLEMENT_TIMESTAMP];
    let carried = enabled(metadata, IN_COMMIT_TIMESTAMPS);
    let traced = carried || since.iter().any(|key| metadata.configuration.contains_key(*key));
    let mut keys = since.to_vec();
    if carried {
        keys.push(IN_COMMIT_TIMESTAMPS);
    }
    traced.then(|| unset(metadata, &keys))
}

/// Ids are given no more, and those that were given are taken back.
fn row_ids(snapshot: &Snapshot) -> Option<DropStep> {
    let metadata = snapshot.metadata();
    if row_tracking::keeps_ids(metadata) || !enabled(metadata, row_tracking::SUSPENDED) {
        let off = [
            (row_tracking::ENABLED, "false"),
            (row_tracking::SUSPENDED, "true"),
        ];
        return Some(set(metadata, &off));
    }
    let with_ids = |add: &Arc<Add>| add.base_row_id.is_some() || add.default_row_commit_version.is_some();
    let adds = snapshot.file_index().adds().filter(with_ids);
    let adds: Vec<Add> = adds
        .map(|add| Add {
            base_row_id: None,
            default_row_commit_version: None,
            data_change: false,
            ..Add::clone(&add)
        })
        .collect();
    (!adds.is_empty()).then(|| {
        DropStep::Commit(Box::new(DropCommit {
            operation: Operation::new("ROW TRACKING UNBACKFILL").with("batchId", "0"),
            metadata: None,
            adds,
            removed_domains: Vec::new(),
        }))
    })
}

/// What features left behind that went before.
fn domains(snapshot: &Snapshot) -> Option<DropStep> {
    let removed: Vec<String> = snapshot.domains().keys().cloned().collect();
    (!removed.is_empty()).then(|| {
        DropStep::Commit(Box::new(DropCommit {
            operation: Operation::new("DOMAIN METADATA CLEANUP")
                .with("domainMetadataRemovedCount", removed.len().to_string()),
            metadata: None,
            adds: Vec::new(),
            removed_domains: removed,
        }))
    })
}
