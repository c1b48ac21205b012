//! Table handles: where a table is, its newest snapshot, and the registry that shares both.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use object_store::ObjectStore;
use object_store::path::Path;
use url::Url;

use crate::{HistoryEntry, Operation, Result, Snapshot, TableDetail, Transaction};

/// Limits and defaults of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablesOptions {
    /// Commits between checkpoints for tables without `delta.checkpointInterval`. Spark's default is 10.
    pub checkpoint_interval: u64,
    /// How often a commit that lost a race starts again.
    pub commit_retries_max: u32,
    /// Written as `engineInfo` into commits.
    pub engine_info: String,
    /// Sync files and folders to disk before a commit is reported. Off only for tests of speed.
    pub sync: bool,
}

impl Default for TablesOptions {
    fn default() -> Self {
        Self {
            checkpoint_interval: 10,
            commit_retries_max: 100,
            engine_info: concat!("Ingot/", env!("CARGO_PKG_VERSION")).to_owned(),
            sync: true,
        }
    }
}

/// A state of a table in the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeTravel {
    /// The state after this commit.
    Version(i64),
    /// The newest commit at or before this instant, milliseconds since the epoch.
    Timestamp(i64),
}

/// What a new table is to be.
#[derive(Debug, Clone)]
pub struct CreateTable {
    /// Columns in order, partition columns included. Field metadata `comment` becomes the column's comment.
    pub schema: SchemaRef,
    pub partition_columns: Vec<String>,
    pub name: Option<String>,
    pub description: Option<String>,
    pub properties: BTreeMap<String, String>,
    /// `CREATE TABLE`, `CREATE TABLE AS SELECT`, …
    pub operation: Operation,
}

/// All tables that this process has open. Cheap to clone; clones share the handles.
#[derive(Debug, Clone)]
pub struct DeltaTables {}

impl DeltaTables {
    /// Makes an empty registry over local folders (`file://`).
    pub fn new(options: TablesOptions) -> Self {
        let _ = options;
        todo!()
    }

    /// Makes tables under `url` live in `store` instead: tests inject faults with it. `store` is rooted at `url`.
    pub fn with_store(self, url: Url, store: Arc<dyn ObjectStore>) -> Self {
        let _ = (url, store);
        todo!()
    }

    /// Returns the handle of the table at `location` (a folder's URL, with or without a trailing slash).
    ///
    /// # Errors
    /// `NotFound` when there is no Delta table; `Unsupported` when it needs a reader feature we lack.
    pub async fn open(&self, location: &Url) -> Result<Arc<DeltaTable>> {
        let _ = location;
        todo!()
    }

    /// Creates a table: commit 0 with protocol (3,7), the features it uses and in-commit timestamps.
    ///
    /// # Errors
    /// `AlreadyExists` when a table stands there, also when another process created it meanwhile.
    pub async fn create(&self, location: &Url, table: CreateTable) -> Result<Arc<DeltaTable>> {
        let _ = (location, table);
        todo!()
    }

    /// Returns the limits and defaults.
    pub(crate) fn options(&self) -> &TablesOptions {
        todo!()
    }

    /// Returns the store that holds `location`, and the path of `location` in it.
    pub(crate) fn store_for(&self, location: &Url) -> Result<(Arc<dyn ObjectStore>, Path)> {
        let _ = location;
        todo!()
    }

    /// Forgets the handle; the next `open` reads the log anew.
    pub fn forget(&self, location: &Url) {
        let _ = location;
        todo!()
    }

    /// Deletes the table's folder, log and data. For managed tables whose metastore entry is gone.
    pub async fn delete(&self, location: &Url) -> Result<()> {
        let _ = location;
        todo!()
    }
}

/// One table: a location and the newest snapshot seen there.
#[derive(Debug)]
pub struct DeltaTable {}

impl DeltaTable {
    /// Returns the table's root, with a trailing slash.
    pub fn location(&self) -> &Url {
        todo!()
    }

    /// Returns the store that holds the table, and the path of the table's root in it.
    pub fn store(&self) -> (Arc<dyn ObjectStore>, Path) {
        todo!()
    }

    /// Returns the path, in [`DeltaTable::store`], of a file by the `path` of its action (percent-decoded).
    pub fn file_path(&self, action_path: &str) -> Result<Path> {
        let _ = action_path;
        todo!()
    }

    /// Returns the newest snapshot. Asks the store for newer commits each time, and reads those only.
    pub async fn snapshot(&self) -> Result<Arc<Snapshot>> {
        todo!()
    }

    /// Returns a snapshot of the past.
    ///
    /// # Errors
    /// `NotFound`, with the range that exists, when the log does not reach back (or forward) that far.
    pub async fn snapshot_at(&self, point: TimeTravel) -> Result<Arc<Snapshot>> {
        let _ = point;
        todo!()
    }

    /// Starts a transaction on `read`, the snapshot that the operation's decisions were made on.
    pub fn transaction(self: &Arc<Self>, read: Arc<Snapshot>, operation: Operation) -> Transaction {
        let _ = (read, operation);
        todo!()
    }

    /// Returns the limits and defaults of the registry.
    pub(crate) fn options(&self) -> &TablesOptions {
        todo!()
    }

    /// Takes note of this process's own commit `version`: returns a snapshot at least that new, and writes a
    /// checkpoint when one is due. A checkpoint that fails is logged; the commit stands all the same.
    pub(crate) async fn after_commit(&self, version: i64) -> Result<Arc<Snapshot>> {
        let _ = version;
        todo!()
    }

    /// Returns the newest `limit` commits, newest first.
    pub async fn history(&self, limit: Option<usize>) -> Result<Vec<HistoryEntry>> {
        let _ = limit;
        todo!()
    }

    /// Returns what `DESCRIBE DETAIL` shows.
    pub async fn detail(&self) -> Result<TableDetail> {
        todo!()
    }
}
