//! One version of a table, immutable, and the pure step from one version to a later one.
//!
//! ```text
//! kernel ─► VersionState ─► Snapshot::try_new          (opening, time travel, a log that was replaced)
//! Snapshot + commits read since ─► Snapshot::apply     (refresh: cost of what changed)
//! ```
//!
//! Always true: a snapshot was built from one table's log without gaps. It refuses tables that need a reader
//! feature which readers of this crate do not have; that is checked whenever the protocol changes.
//! Source: Delta protocol, "Action Reconciliation", "Table Features".

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use object_store::ObjectMeta;
use url::Url;

use crate::action::DomainMetadata;
use crate::clustering_domain::{CLUSTERING_DOMAIN, ClusteringDomain};
use crate::file_index::FileKey;
use crate::kernel::VersionState;
use crate::schema::parse_schema_string;
use crate::table::{Commit, parse_actions};
use crate::{
    Action, Add, ColumnMapping, Error, Evolution, FileIndex, Metadata, Protocol, Result, RowIdColumns, Txn,
    column_mapping, features, row_tracking,
};

/// Actions of a commit that was read which is worth a copy for those who are to follow it.
const KEPT_ACTIONS_MAX: usize = 256;

/// The state of a table after one commit. Cheap to share; never changes.
#[derive(Debug)]
pub struct Snapshot {
    location: Url,
    version: i64,
    timestamp_ms: i64,
    protocol: Arc<Protocol>,
    metadata: Arc<Metadata>,
    schema: SchemaRef,
    /// `schema` with what the log says of columns in files.
    mapped_schema: SchemaRef,
    column_mapping: Option<ColumnMapping>,
    app_transactions: Arc<BTreeMap<String, Txn>>,
    domains: Arc<BTreeMap<String, DomainMetadata>>,
    files: FileIndex,
    commit: Option<CommitIdentity>,
    log: LogIdentity,
}

/// Tells snapshots that follow each other commit by commit from others: it is made when a log is read whole.
#[derive(Debug, Clone)]
pub(crate) struct LogIdentity(Arc<()>);

impl PartialEq for LogIdentity {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What tells a commit file from another of the same name: a table may be dropped and made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommitIdentity {
    e_tag: Option<String>,
    last_modified_ms: i64,
    size: u64,
}

/// A commit file that was read.
#[derive(Debug)]
pub(crate) struct CommitFile {
    pub version: i64,
    pub meta: ObjectMeta,
    pub bytes: Bytes,
}

impl Snapshot {
    /// Makes the snapshot of a version that was read whole. `commit` is its commit file, if that exists.
    pub(crate) fn try_new(
        location: Url,
        mut state: VersionState,
        commit: Option<&ObjectMeta>,
    ) -> Result<Self> {
        features::check_readable(location.as_str(), &state.protocol)?;
        let columns = TableColumns::new(&location, &state.metadata)?;
        let adds = state.replay.take_adds();
        Ok(Self {
            version: state.version,
            timestamp_ms: state.timestamp_ms,
            files: FileIndex::try_new(adds, &columns.mapped, &state.metadata.partition_columns)?,
            app_transactions: Arc::new(state.replay.take_transactions()),
            domains: Arc::new(state.replay.take_domains()),
            protocol: Arc::new(state.protocol),
            metadata: Arc::new(state.metadata),
            schema: columns.logical,
            mapped_schema: columns.mapped,
            column_mapping: columns.mapping,
            commit: commit.map(CommitIdentity::new),
            log: LogIdentity(Arc::new(())),
            location,
        })
    }

    /// Returns the state after `commits`, which follow this version without a gap, and those of them that are worth
    /// keeping: the last ones, none of which is large.
    pub(crate) fn apply(&self, commits: Vec<CommitFile>) -> Result<(Self, Vec<Commit>)> {
        let mut next = self.copied();
        let mut kept = Vec::new();
        for commit in commits {
            let actions = parse_actions(&self.location, commit.version, &commit.bytes)?;
            if actions.len() > KEPT_ACTIONS_MAX {
                kept.clear();
                next.apply_commit(&commit.meta, actions)?;
            } else {
                let actions = Arc::new(actions);
                next.apply_commit(&commit.meta, Vec::clone(&actions))?;
                kept.push(actions);
            }
        }
        Ok((next, kept))
    }

    /// Returns the state after the next commit, whose file is `meta`.
    pub(crate) fn follow(&self, meta: &ObjectMeta, actions: Vec<Action>) -> Result<Self> {
        let mut next = self.copied();
        next.apply_commit(meta, actions)?;
        Ok(next)
    }

    /// Returns this version's files as they are read once `evolution` is committed: in its columns, those that are new
    /// null. Files keep their numbers. It is no version of the table, and no commit is made on it.
    ///
    /// # Errors
    /// `DataLoss` for columns that the files' statistics cannot be read with.
    pub fn evolved(&self, evolution: &Evolution) -> Result<Self> {
        let mut evolved = self.copied();
        evolved.set_metadata(evolution.metadata.clone())?;
        Ok(evolved)
    }

    /// Says if `other` was made from this one, or this one from it, commit by commit.
    pub(crate) fn same_log(&self, other: &Self) -> bool {
        self.log == other.log
    }

    pub(crate) fn log(&self) -> &LogIdentity {
        &self.log
    }

    fn copied(&self) -> Self {
        Self {
            location: self.location.clone(),
            version: self.version,
            timestamp_ms: self.timestamp_ms,
            protocol: Arc::clone(&self.protocol),
            metadata: Arc::clone(&self.metadata),
            schema: Arc::clone(&self.schema),
            mapped_schema: Arc::clone(&self.mapped_schema),
            column_mapping: self.column_mapping.clone(),
            app_transactions: Arc::clone(&self.app_transactions),
            domains: Arc::clone(&self.domains),
            files: self.files.clone(),
            commit: self.commit.clone(),
            log: self.log.clone(),
        }
    }

    fn apply_commit(&mut self, meta: &ObjectMeta, actions: Vec<Action>) -> Result<()> {
        let mut added: Vec<Arc<Add>> = Vec::new();
        let mut removed: Vec<FileKey> = Vec::new();
        let mut in_commit_timestamp = None;
        for action in actions {
            match action {
                Action::Add(add) => added.push(Arc::new(add)),
                Action::Remove(remove) => {
                    removed.push(FileKey::new(&remove.path, remove.deletion_vector.as_ref()));
                }
                Action::Txn(txn) => {
                    Arc::make_mut(&mut self.app_transactions).insert(txn.app_id.clone(), txn);
                }
                Action::DomainMetadata(domain) => {
                    let domains = Arc::make_mut(&mut self.domains);
                    if domain.removed {
                        domains.remove(&domain.domain);
                    } else {
                        domains.insert(domain.domain.clone(), domain);
                    }
                }
                Action::Protocol(protocol) => {
                    features::check_readable(self.location.as_str(), &protocol)?;
                    self.protocol = Arc::new(protocol);
                }
                Action::Metadata(metadata) => self.set_metadata(metadata)?,
                Action::CommitInfo(info) => in_commit_timestamp = info.in_commit_timestamp,
                Action::Cdc(_) | Action::Other(_) => {}
            }
        }
        if !added.is_empty() || !removed.is_empty() {
            self.files = self.files.apply(&removed, added)?;
        }
        self.version += 1;
        self.timestamp_ms = match in_commit_timestamp {
            Some(timestamp) if self.in_commit_timestamps() => timestamp,
            _ => meta
                .last_modified
                .timestamp_millis()
                .max(self.timestamp_ms.saturating_add(1)),
        };
        self.commit = Some(CommitIdentity::new(meta));
        Ok(())
    }

    fn set_metadata(&mut self, metadata: Metadata) -> Result<()> {
        let same_columns = metadata.schema_string == self.metadata.schema_string
            && metadata.partition_columns == self.metadata.partition_columns
            && metadata.configuration.get(column_mapping::MODE)
                == self.metadata.configuration.get(column_mapping::MODE);
        if !same_columns {
            let columns = TableColumns::new(&self.location, &metadata)?;
            self.files = self
                .files
                .with_schema(&columns.mapped, &metadata.partition_columns)?;
            self.schema = columns.logical;
            self.mapped_schema = columns.mapped;
            self.column_mapping = columns.mapping;
        }
        self.metadata = Arc::new(metadata);
        Ok(())
    }

    /// Returns the version, from 0.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// Returns when the version was committed, milliseconds since the epoch: the in-commit timestamp where
    /// the feature is on, else the log file's modification time. A clock that stepped back shows in the latter;
    /// time travel and the history look at all commits and see through that.
    pub fn timestamp_ms(&self) -> i64 {
        self.timestamp_ms
    }

    /// Returns the logical schema, partition columns at their declared places. No view types; timestamps are
    /// microseconds, in `UTC` (TIMESTAMP) or without a zone (TIMESTAMP_NTZ).
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Returns how columns stand in files; `None` where they have their own names there.
    pub fn column_mapping(&self) -> Option<&ColumnMapping> {
        self.column_mapping.as_ref()
    }

    /// Returns the names that lead to a column in files and statistics, from the top level down, for the logical
    /// `path`; `None` when there is no such column. Names are matched in any case.
    pub fn physical_path(&self, path: &[&str]) -> Option<Vec<String>> {
        column_mapping::physical_path(self.mapped_schema.fields(), path)
    }

    /// Returns the logical names that lead to a column, for the physical `path` that statistics and domain metadata
    /// have; `None` when there is no such column.
    pub fn logical_path(&self, path: &[String]) -> Option<Vec<String>> {
        column_mapping::logical_path(self.mapped_schema.fields(), path)
    }

    /// Returns the logical schema with what the log says of columns in files, for the file index.
    pub(crate) fn mapped_schema(&self) -> &SchemaRef {
        &self.mapped_schema
    }

    /// Returns the names of the partition columns, outermost folder first.
    pub fn partition_columns(&self) -> &[String] {
        &self.metadata.partition_columns
    }

    /// Returns the table's properties (`delta.*` and users').
    pub fn properties(&self) -> &BTreeMap<String, String> {
        &self.metadata.configuration
    }

    /// Returns the hidden columns in which files keep the ids of rows that moved there; `None` where rows need not keep
    /// their ids.
    pub fn row_id_columns(&self) -> Option<RowIdColumns> {
        RowIdColumns::of(&self.metadata.configuration)
    }

    /// Says if rows would have to keep their ids under `metadata`, and need not yet.
    pub fn begins_row_tracking(&self, metadata: &Metadata) -> bool {
        row_tracking::keeps_ids(metadata) && !row_tracking::keeps_ids(&self.metadata)
    }

    /// Returns the metadata action in force.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Returns the protocol action in force.
    pub fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    pub(crate) fn shared_metadata(&self) -> &Arc<Metadata> {
        &self.metadata
    }

    pub(crate) fn shared_protocol(&self) -> &Arc<Protocol> {
        &self.protocol
    }

    /// Returns the table's data files, their statistics parsed.
    pub async fn files(&self) -> Result<&FileIndex> {
        if self.files.statistics_are_cold() {
            let files = self.files.clone();
            let parsed = tokio::task::spawn_blocking(move || files.warm_statistics()).await;
            parsed.map_err(|error| Error::Internal {
                message: format!("parsing file statistics failed: {error}"),
            })?;
        }
        Ok(&self.files)
    }

    /// Returns the table's data files if their statistics are parsed.
    pub fn parsed_files(&self) -> Option<&FileIndex> {
        (!self.files.statistics_are_cold()).then_some(&self.files)
    }

    /// Makes an index of files that the table has or had, read with this version's schema. A partition column with a
    /// value that is not of its type is left out, so that no caller prunes by it.
    pub fn index_of(&self, adds: Vec<Arc<Add>>) -> FileIndex {
        FileIndex::from_adds(adds, &self.mapped_schema, self.partition_columns())
    }

    /// Returns the table's data files; their statistics may still have to be parsed.
    pub(crate) fn file_index(&self) -> &FileIndex {
        &self.files
    }

    /// Returns the newest version that application `app_id` has committed.
    pub async fn app_transaction(&self, app_id: &str) -> Result<Option<i64>> {
        Ok(self.app_transactions.get(app_id).map(|txn| txn.version))
    }

    pub(crate) fn app_transactions(&self) -> &BTreeMap<String, Txn> {
        &self.app_transactions
    }

    /// Returns the configuration of a domain (`delta.*` for those of features), if it is set.
    /// Source: Delta protocol, "Domain Metadata".
    pub fn domain_metadata(&self, domain: &str) -> Option<&str> {
        let found = self.domains.get(domain);
        found.map(|domain| domain.configuration.as_str())
    }

    /// Returns the paths of the columns that the table is clustered by, named as the schema does; `None` where the log
    /// does not say.
    ///
    /// # Errors
    /// `DataLoss` when what the log says cannot be read.
    pub fn clustering_columns(&self) -> Result<Option<Vec<Vec<String>>>> {
        let domain = self.domain_metadata(CLUSTERING_DOMAIN);
        let parsed =
            domain.map(|domain| ClusteringDomain::parse(domain, self.location.as_str(), &self.metadata));
        Ok(parsed.transpose()?.map(|domain| domain.columns))
    }

    /// Returns the domain metadata in force, by domain.
    pub(crate) fn domains(&self) -> &BTreeMap<String, DomainMetadata> {
        &self.domains
    }

    /// Says if this is still the commit file of this version.
    pub(crate) fn committed_as(&self, commit: Option<&ObjectMeta>) -> bool {
        self.commit == commit.map(CommitIdentity::new)
    }

    /// Says if commits carry their own time.
    pub(crate) fn in_commit_timestamps(&self) -> bool {
        features::in_commit_timestamps(&self.metadata)
    }
}

impl CommitIdentity {
    fn new(meta: &ObjectMeta) -> Self {
        Self {
            e_tag: meta.e_tag.clone(),
            last_modified_ms: meta.last_modified.timestamp_millis(),
            size: meta.size,
        }
    }
}

/// The columns of one version.
struct TableColumns {
    logical: SchemaRef,
    mapped: SchemaRef,
    mapping: Option<ColumnMapping>,
}

impl TableColumns {
    fn new(location: &Url, metadata: &Metadata) -> Result<Self> {
        let corrupt = |message: String| Error::CorruptLog {
            location: location.to_string(),
            message,
        };
        let parsed = Arc::new(parse_schema_string(&metadata.schema_string).map_err(corrupt)?);
        if let Some(missing) = metadata
            .partition_columns
            .iter()
            .find(|column| parsed.field_with_name(column).is_err())
        {
            return Err(corrupt(format!(
                "partition column `{missing}` is not in the schema"
            )));
        }
        let mapping = ColumnMapping::new(metadata, &parsed).map_err(corrupt)?;
        let logical = Arc::new(column_mapping::logical(&parsed));
        Ok(Self {
            // What the fields say of physical names counts only where the mode says so.
            mapped: match mapping {
                Some(_) => parsed,
                None => Arc::new(column_mapping::unmapped(&parsed)),
            },
            logical,
            mapping,
        })
    }
}
