//! Table handles: where a table is, and the newest snapshot seen there.
//!
//! ```text
//! snapshot() ─► one refresh at a time ─► GET N+1.json, N+2.json, … until one is absent ─► Snapshot::apply
//!                                          │ the file of version N is gone or another
//!                                          └► read the log anew with the kernel
//! ```
//!
//! A refresh that finds nothing new costs two requests, whatever the table's size; nothing is listed. Callers
//! that arrive while a refresh runs share the next one, so that each sees every commit that had ended when it
//! asked.
//!
//! Always true: the newest snapshot only moves forward, except when the log itself was replaced (the table was
//! dropped and created again, or restored from a copy), which is noticed by the identity of the commit file.

mod background;
mod handles;
mod log_files;
mod place;
mod recent;
mod registry;
mod time_travel;
mod tombstones;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use arrow::datatypes::SchemaRef;
use delta_kernel_default_engine::executor::tokio::TokioBackgroundExecutor;
use futures::{StreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use url::Url;
use uuid::Uuid;

pub(crate) use self::background::Background;
pub(crate) use self::log_files::{LogFiles, parse_actions, read_commit_file};
pub(crate) use self::place::Place;
pub(crate) use self::recent::Commit;
use self::recent::RecentCommits;
pub use self::registry::DeltaTables;
use self::tombstones::Tombstones;
use crate::deletion_vector::cache::VectorCache;
use crate::features::{self, WriteOperation};
use crate::kernel::Kernel;
use crate::log::Log;
use crate::snapshot::CommitFile;
use crate::store::{CachedFiles, FileCache, FileCacheOptions};
use crate::transaction::{CommitQueue, Landed};
use crate::{
    Action, Add, Author, Error, Operation, OperationMetrics, Result, Snapshot, StoreSettings, Transaction,
};

/// Commits that a refresh reads one by one; when more have been made since, the log is read anew, which
/// starts from its checkpoint.
const REFRESH_COMMITS_MAX: i64 = 512;

/// Commit files asked for at once: one, and twice as many each time that all were found.
const REFRESH_READ_AHEAD: i64 = 8;

/// How often a load starts over because files of the log went away under it.
const LOAD_ATTEMPTS: u32 = 3;

/// The property that says how many commits are between two checkpoints.
const CHECKPOINT_INTERVAL: &str = "delta.checkpointInterval";

/// Files that a checkpoint may hold for each commit since the last one: what writing them costs then stays a part of
/// what the commits cost.
const CHECKPOINT_FILES_PER_COMMIT: i64 = 256;

/// Intervals after which a checkpoint is written whatever it costs: readers replay what comes after it.
const CHECKPOINT_INTERVALS_MAX: i64 = 10;

/// Actions of a commit that are applied on the spot; more are applied on the blocking pool.
const COMMIT_ACTIONS_INLINE_MAX: usize = 64;

/// Tables kept open unless configured: a schema's worth.
const OPEN_TABLES_MAX: usize = 1024;

/// Limits and defaults of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablesOptions {
    /// Commits between checkpoints for tables without `delta.checkpointInterval`. Spark's default is 10.
    pub checkpoint_interval: u64,
    /// How often a commit that lost a race starts again.
    pub commit_retries_max: u32,
    /// Written as `engineInfo` into commits.
    pub engine_info: String,
    /// Tables kept open at most, with their newest snapshots; those in use elsewhere do not count.
    pub open_tables_max: usize,
    /// How the buckets of object stores are reached.
    pub stores: StoreSettings,
    /// Where data files of buckets are kept once they were read; nowhere when `None`.
    pub file_cache: Option<FileCacheOptions>,
    /// Sync files and folders to disk before a commit is reported. Off only for tests of speed.
    pub sync: bool,
}

impl Default for TablesOptions {
    fn default() -> Self {
        Self {
            checkpoint_interval: 10,
            commit_retries_max: 100,
            open_tables_max: OPEN_TABLES_MAX,
            stores: StoreSettings::default(),
            file_cache: None,
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
    /// The table's id.
    pub id: Uuid,
    /// Columns in order, partition columns included. Field metadata `comment` becomes the column's comment.
    pub schema: SchemaRef,
    pub partition_columns: Vec<String>,
    pub name: Option<String>,
    pub description: Option<String>,
    pub properties: BTreeMap<String, String>,
    /// `CREATE TABLE`, `CREATE TABLE AS SELECT`, …
    pub operation: Operation,
    /// The rows that the table begins with, written through [`DeltaTables::write_target`]: they and the table
    /// become visible in one commit.
    pub files: Vec<Add>,
    pub metrics: OperationMetrics,
    /// Domain metadata that the table begins with, by domain: needs the feature `domainMetadata`.
    pub domains: BTreeMap<String, String>,
    /// The paths of the columns that the table is clustered by, in any case; `None` when it is not.
    pub clustering_columns: Option<Vec<Vec<String>>>,
    /// Who creates it.
    pub author: Author,
}

impl CreateTable {
    /// Describes an empty table without properties.
    pub fn new(schema: SchemaRef, operation: Operation) -> Self {
        Self {
            id: Uuid::new_v4(),
            schema,
            partition_columns: Vec::new(),
            name: None,
            description: None,
            properties: BTreeMap::new(),
            operation,
            files: Vec::new(),
            metrics: OperationMetrics::default(),
            domains: BTreeMap::new(),
            clustering_columns: None,
            author: Author::default(),
        }
    }
}

/// What tables of a registry share, that was read before.
#[derive(Debug, Clone)]
pub(crate) struct Caches {
    pub vectors: Arc<VectorCache>,
    pub files: Option<Arc<FileCache>>,
}

/// One table: a location and the newest snapshot seen there.
#[derive(Debug)]
pub struct DeltaTable {
    place: Place,
    options: Arc<TablesOptions>,
    kernel: Kernel,
    log: Log,
    vectors: Arc<VectorCache>,
    /// The data files of the table's store, if they are kept.
    cached_files: Option<CachedFiles>,
    newest: RwLock<Arc<Snapshot>>,
    /// Past versions that someone still holds.
    past: Mutex<BTreeMap<i64, Weak<Snapshot>>>,
    refreshes_begun: AtomicU64,
    /// The number of the newest refresh that ended well. Held while one runs: there is one at a time.
    refreshed: tokio::sync::Mutex<u64>,
    /// Held while a checkpoint is written: a second one at the same time is not worth writing.
    pub(crate) checkpointing: tokio::sync::Mutex<()>,
    /// Where commits of this process wait for their version.
    commit_queue: CommitQueue,
    /// The commits that led to `newest`.
    recent: Mutex<RecentCommits>,
    /// Those of the last checkpoint that was written here.
    kept_tombstones: tokio::sync::Mutex<Option<Tombstones>>,
    background: Background,
    /// Held while a writer of this process gives values to identity columns.
    identity_turn: Arc<tokio::sync::Mutex<()>>,
}

impl DeltaTable {
    /// Opens the table at `place`.
    ///
    /// # Errors
    /// `NotFound` when there is no Delta table.
    pub(crate) async fn open(
        place: Place,
        options: Arc<TablesOptions>,
        executor: Arc<TokioBackgroundExecutor>,
        caches: Caches,
        background: Background,
    ) -> Result<Self> {
        let kernel = Kernel::new(
            Arc::clone(&place.store),
            &place.root,
            place.location.clone(),
            executor,
        )?;
        let log = place.log();
        let newest = load(&kernel, &log, &place, None).await?;
        // Files of this machine are as near as copies of them.
        let far = place.location.scheme() != "file";
        let cached_files = caches
            .files
            .filter(|_| far)
            .map(|files| files.of_store(&place.store, &place.store_url));
        Ok(Self {
            place,
            options,
            kernel,
            log,
            vectors: caches.vectors,
            cached_files,
            newest: RwLock::new(Arc::new(newest)),
            past: Mutex::default(),
            refreshes_begun: AtomicU64::new(0),
            refreshed: tokio::sync::Mutex::new(0),
            checkpointing: tokio::sync::Mutex::new(()),
            commit_queue: CommitQueue::default(),
            recent: Mutex::default(),
            kept_tombstones: tokio::sync::Mutex::default(),
            background,
            identity_turn: Arc::default(),
        })
    }

    /// Returns the table's root, with a trailing slash.
    pub fn location(&self) -> &Url {
        &self.place.location
    }

    /// Waits for the turn of a writer that gives values to identity columns, until what it wrote is committed.
    /// Nothing is wrong without: of two such writers one loses the race and starts over.
    pub async fn identity_turn(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.identity_turn).lock_owned().await
    }

    /// Returns the store that holds the table, and the path of the table's root in it.
    pub fn store(&self) -> (Arc<dyn ObjectStore>, Path) {
        (Arc::clone(&self.place.store), self.place.root.clone())
    }

    /// Returns the data files of the table's store as they are kept on a local disk; `None` where they are not.
    pub fn cached_files(&self) -> Option<&CachedFiles> {
        self.cached_files.as_ref()
    }

    /// Returns the path, in [`DeltaTable::store`], of a file by the `path` of its action (percent-decoded).
    ///
    /// # Errors
    /// `InvalidArgument` for a path that is not UTF-8, leaves the table with `..`, or lies in another store.
    pub fn file_path(&self, action_path: &str) -> Result<Path> {
        self.place.file_path(action_path)
    }

    /// Returns the newest snapshot. Asks the store for newer commits each time, and reads those only.
    ///
    /// # Errors
    /// `NotFound` when the table is gone.
    pub async fn snapshot(&self) -> Result<Arc<Snapshot>> {
        let begun_before = self.refreshes_begun.load(Ordering::SeqCst);
        let mut refreshed = self.refreshed.lock().await;
        if *refreshed > begun_before {
            return Ok(self.newest());
        }
        let number = self.refreshes_begun.fetch_add(1, Ordering::SeqCst) + 1;
        let snapshot = self.refresh().await?;
        *refreshed = number;
        Ok(snapshot)
    }

    /// Returns the actions of commit `version`, in their order; `None` when there is no such commit, or it was
    /// cleaned up.
    pub async fn commit_actions(&self, version: i64) -> Result<Option<Vec<Action>>> {
        self.log.read_commit(version).await
    }

    /// Refuses a table whose rows may not be changed, before anything is written for that.
    ///
    /// # Errors
    /// `Unsupported`, naming the feature: append-only, or one that we cannot honour.
    pub fn check_rows_can_change(&self, snapshot: &Snapshot) -> Result<()> {
        features::check_writable(
            self.location().as_str(),
            snapshot.protocol(),
            snapshot.metadata(),
            WriteOperation::ChangeRows,
        )
    }

    /// Starts a transaction on `read`, the snapshot that the operation's decisions were made on.
    pub fn transaction(self: &Arc<Self>, read: Arc<Snapshot>, operation: Operation) -> Transaction {
        Transaction::new(Arc::clone(self), read, operation)
    }

    /// Returns the limits and defaults of the registry.
    pub(crate) fn options(&self) -> &TablesOptions {
        &self.options
    }

    /// Returns what commits of this process to this table wait for, so that they queue instead of racing.
    pub(crate) fn commit_queue(&self) -> &CommitQueue {
        &self.commit_queue
    }

    /// Returns the table's commits.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Makes all commits durable that stand in the log. A commit can be read before its name is on disk and it is
    /// reported: who answers that something was done already, because the log says so, settles the log first.
    ///
    /// # Errors
    /// `Unavailable` when that cannot be said of them.
    pub async fn settle_log(&self) -> Result<()> {
        match self.log.staged() {
            Some(log) => log.settle(None).await,
            None => Ok(()),
        }
    }

    /// Returns the deletion vectors that this process has read.
    pub(crate) fn vectors(&self) -> &VectorCache {
        &self.vectors
    }

    fn kept_tombstones(&self) -> &tokio::sync::Mutex<Option<Tombstones>> {
        &self.kept_tombstones
    }

    pub(crate) fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Returns the path of the log's folder in the table's store.
    pub(crate) fn log_root(&self) -> Path {
        self.place.log_root()
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Lists the log.
    pub(crate) async fn log_files(&self) -> Result<LogFiles> {
        LogFiles::list(self.place.store.as_ref(), &self.log_root()).await
    }

    /// Returns the newest snapshot and the commits that lead to it from `read`, where all of that is in memory.
    pub(crate) fn commits_since(&self, read: &Snapshot) -> Option<(Arc<Snapshot>, Vec<Commit>)> {
        let newest = self.newest();
        if !newest.same_log(read) || newest.version() < read.version() {
            return None;
        }
        if newest.version() == read.version() {
            return Some((newest, Vec::new()));
        }
        let commits = self.recent().between(read.version(), newest.version())?;
        Some((newest, commits))
    }

    /// Takes in this process's own commit, made on top of the newest snapshot, without reading it back. Looks at its
    /// file only where the store did not say what it put. Returns the snapshot with it; `None` when others came
    /// between, and the log must be read.
    pub(crate) async fn take_in(&self, landed: Landed) -> Result<Option<Arc<Snapshot>>> {
        let version = landed.version;
        let base = self.newest();
        if base.version() + 1 != version {
            return Ok(None);
        }
        let meta = match landed.meta {
            Some(meta) => Some(meta),
            None => head(self.place.store.as_ref(), &self.log.commit_path(version)).await?,
        };
        let Some(meta) = meta else {
            return Ok(None);
        };
        let commit = landed.actions;
        let actions = Vec::clone(&commit);
        let next = match commit.len() > COMMIT_ACTIONS_INLINE_MAX {
            true => {
                let base = Arc::clone(&base);
                let applied = tokio::task::spawn_blocking(move || base.follow(&meta, actions)).await;
                applied.map_err(|error| Error::Internal {
                    message: format!("applying a commit failed: {error}"),
                })??
            }
            false => base.follow(&meta, actions)?,
        };
        let mut newest = self.newest.write().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&newest, &base) {
            return Ok(None);
        }
        *newest = Arc::new(next);
        self.recent().push(version, commit);
        Ok(Some(Arc::clone(&newest)))
    }

    /// Returns a snapshot that has this process's own commit `version`.
    pub(crate) async fn snapshot_with(&self, version: i64) -> Result<Arc<Snapshot>> {
        let mut snapshot = self.newest();
        if snapshot.version() < version {
            snapshot = self.snapshot().await?;
        }
        if snapshot.version() < version {
            return Err(Error::CorruptLog {
                location: self.place.location.to_string(),
                message: format!("commit {version} was written and is gone"),
            });
        }
        Ok(snapshot)
    }

    /// Begins a checkpoint if one is due after this process's own commit `version`. It is written while others
    /// commit; one that fails is logged, and the commit stands all the same.
    pub(crate) fn checkpoint_if_due(self: &Arc<Self>, version: i64, snapshot: &Arc<Snapshot>) {
        if version <= 0 || version % self.checkpoint_interval(snapshot) != 0 {
            return;
        }
        let (table, snapshot) = (Arc::clone(self), Arc::clone(snapshot));
        self.background.spawn("checkpoint", async move {
            let written = table.write_due_checkpoint(&snapshot).await;
            if let Err(error) = written {
                tracing::warn!(
                    location = %table.place.location,
                    version = snapshot.version(),
                    error = %ingot_common::error::chain(&error),
                    "checkpoint failed; the log grows until the next one",
                );
            }
        });
    }

    /// Writes a checkpoint if it is worth its cost, which grows with the table: a large table waits for more commits
    /// than the interval says, unless the table itself says it.
    async fn write_due_checkpoint(&self, snapshot: &Arc<Snapshot>) -> Result<()> {
        if !snapshot.properties().contains_key(CHECKPOINT_INTERVAL) {
            let last = self.last_checkpoint_version().await?.unwrap_or_default();
            let commits = snapshot.version() - last;
            let files = i64::try_from(snapshot.file_index().len()).unwrap_or(i64::MAX);
            let interval = self.checkpoint_interval(snapshot);
            let worth = files <= commits.saturating_mul(CHECKPOINT_FILES_PER_COMMIT);
            if !worth && commits < interval.saturating_mul(CHECKPOINT_INTERVALS_MAX) {
                return Ok(());
            }
        }
        self.write_checkpoint(snapshot).await
    }

    /// Says if the table's log is still the one that `snapshot` was read from, and reaches back to it. If so, the
    /// first absent version above it is free. It is not after a cleanup, which deletes the oldest commits first,
    /// nor where another table was made in this one's place.
    pub(crate) async fn holds(&self, snapshot: &Snapshot) -> Result<bool> {
        let commit = head(
            self.place.store.as_ref(),
            &self.log.commit_path(snapshot.version()),
        )
        .await?;
        Ok(snapshot.committed_as(commit.as_ref()))
    }

    /// Returns when the file of commit `version` was last modified, milliseconds since the epoch; `None` when there is
    /// no such file.
    pub(crate) async fn commit_modified_ms(&self, version: i64) -> Result<Option<i64>> {
        let commit = head(self.place.store.as_ref(), &self.log.commit_path(version)).await?;
        Ok(commit.map(|commit| commit.last_modified.timestamp_millis()))
    }

    /// Reads a version anew, past any cache.
    pub(crate) async fn load_version(&self, version: i64) -> Result<Arc<Snapshot>> {
        if let Some(snapshot) = self.past().get(&version).and_then(Weak::upgrade) {
            return Ok(snapshot);
        }
        let snapshot = load(&self.kernel, &self.log, &self.place, Some(version)).await?;
        let snapshot = Arc::new(snapshot);
        let mut past = self.past();
        past.retain(|_, held| held.strong_count() > 0);
        past.insert(version, Arc::downgrade(&snapshot));
        Ok(snapshot)
    }

    fn newest(&self) -> Arc<Snapshot> {
        Arc::clone(&self.newest.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, RecentCommits> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn past(&self) -> std::sync::MutexGuard<'_, BTreeMap<i64, Weak<Snapshot>>> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn checkpoint_interval(&self, snapshot: &Snapshot) -> i64 {
        let property = snapshot.properties().get(CHECKPOINT_INTERVAL);
        let default = i64::try_from(self.options.checkpoint_interval).unwrap_or(i64::MAX);
        property
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or(default)
            .max(1)
    }

    async fn refresh(&self) -> Result<Arc<Snapshot>> {
        let current = self.newest();
        let commits = self.commits_after(current.version()).await?;
        // Checked after the commits were read: if the file is the same now, it was the same then, and the
        // commits are of the same log.
        let commit = head(
            self.place.store.as_ref(),
            &self.log.commit_path(current.version()),
        )
        .await?;
        if !current.committed_as(commit.as_ref()) || commits.len() as i64 > REFRESH_COMMITS_MAX {
            return self.reload(&current).await;
        }
        if commits.is_empty() {
            return Ok(current);
        }
        let next = tokio::task::spawn_blocking(move || current.apply(commits)).await;
        let (next, commits) = next.map_err(|error| Error::Internal {
            message: format!("applying commits failed: {error}"),
        })??;
        Ok(self.install(next, commits))
    }

    async fn reload(&self, current: &Snapshot) -> Result<Arc<Snapshot>> {
        tracing::debug!(location = %self.place.location, version = current.version(), "reading the log anew");
        let snapshot = load(&self.kernel, &self.log, &self.place, None).await?;
        if snapshot.metadata().id != current.metadata().id || snapshot.version() < current.version() {
            self.past().clear();
        }
        Ok(self.install(snapshot, Vec::new()))
    }

    /// Makes `snapshot` the newest, unless a commit of ours went further meanwhile. `commits` are the last that led to
    /// it.
    fn install(&self, snapshot: Snapshot, commits: Vec<Commit>) -> Arc<Snapshot> {
        let mut newest = self.newest.write().unwrap_or_else(PoisonError::into_inner);
        if !newest.same_log(&snapshot) {
            *newest = Arc::new(snapshot);
            self.recent().clear();
        } else if newest.version() < snapshot.version() {
            let known = newest.version();
            let first = snapshot.version() + 1 - commits.len() as i64;
            let mut recent = self.recent();
            for (version, commit) in (first..).zip(commits).filter(|(version, _)| *version > known) {
                recent.push(version, commit);
            }
            *newest = Arc::new(snapshot);
        }
        Arc::clone(&newest)
    }

    /// Reads the commits after `version` until one is absent. Stops soon after [`REFRESH_COMMITS_MAX`].
    async fn commits_after(&self, version: i64) -> Result<Vec<CommitFile>> {
        let mut commits: Vec<CommitFile> = Vec::new();
        let mut next = version + 1;
        let mut ahead = 1;
        loop {
            let mut reads = stream::iter(next..next + ahead)
                .map(|version| read_commit_file(self.place.store.as_ref(), &self.log, version))
                .buffered(REFRESH_READ_AHEAD as usize);
            while let Some(commit) = reads.next().await {
                let Some(commit) = commit? else {
                    return Ok(commits);
                };
                commits.push(commit);
            }
            if commits.len() as i64 > REFRESH_COMMITS_MAX {
                return Ok(commits);
            }
            next += ahead;
            ahead = (ahead * 2).min(REFRESH_READ_AHEAD);
        }
    }
}

/// Reads a version whole. Starts over when files of the log go away meanwhile (a cleanup elsewhere).
async fn load(kernel: &Kernel, log: &Log, place: &Place, version: Option<i64>) -> Result<Snapshot> {
    let mut attempt = 1;
    let state = loop {
        match kernel.load(version).await {
            Ok(state) => break state,
            Err(error) if matches!(error, Error::UnsupportedFeature { .. }) => return Err(error),
            Err(error) => {
                if !LogFiles::any(place.store.as_ref(), &place.log_root()).await? {
                    return Err(Error::NotATable {
                        location: place.location.to_string(),
                    });
                }
                if attempt == LOAD_ATTEMPTS || version.is_some() {
                    return Err(error);
                }
                attempt += 1;
            }
        }
    };
    let commit = head(place.store.as_ref(), &log.commit_path(state.version)).await?;
    let location = place.location.clone();
    let made = tokio::task::spawn_blocking(move || Snapshot::try_new(location, state, commit.as_ref())).await;
    made.map_err(|error| Error::Internal {
        message: format!("building a snapshot failed: {error}"),
    })?
}

/// Returns what the store knows about a file, `None` when it does not exist.
async fn head(store: &dyn ObjectStore, path: &Path) -> Result<Option<ObjectMeta>> {
    match store.head(path).await {
        Ok(meta) => Ok(Some(meta)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(source) => Err(Error::Store {
            action: "head",
            path: path.to_string(),
            source,
        }),
    }
}
