//! Reading a table's log with delta_kernel: one version, whole.
//!
//! ```text
//! kernel Snapshot (lists the log, picks checkpoint + commits, checks the protocol)
//!     └─ its log segment ─► batches of actions, newest first ─► replay ─► VersionState
//! ```
//!
//! Later versions are not read this way: `refresh` reads their commits and applies them. The kernel knows
//! every form of checkpoint (parts, V2, sidecars, compacted logs), which is why it is the one to begin with.
//!
//! Kernel calls block; every call here runs on the blocking pool, and the kernel's I/O on the one thread of
//! [`TokioBackgroundExecutor`], so that it works under any flavour of the caller's runtime.

use std::fmt;
use std::sync::Arc;

use delta_kernel::engine::arrow_conversion::TryFromArrow;
use delta_kernel::engine::arrow_data::EngineDataArrowExt;
use delta_kernel::history_manager::{
    HistoryCommitType, error::LogHistoryError, get_earliest_commit, latest_version_as_of,
};
use delta_kernel::schema::{SchemaRef as KernelSchemaRef, StructType};
use delta_kernel::snapshot::SnapshotRef;
use delta_kernel::{KernelError, KernelResult, Snapshot as KernelSnapshot};
use delta_kernel_default_engine::executor::tokio::TokioBackgroundExecutor;
use delta_kernel_default_engine::{DefaultEngine, DefaultEngineBuilder};
use ingot_common::error::chain;
use object_store::ObjectStore;
use object_store::path::Path;
use parquet::errors::ParquetError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::replay::Replay;
use crate::schema::parse_schema_string;
use crate::{Error, FileIndex, Metadata, Protocol, Remove, Result};

/// The root of every store in the kernel's eyes. The kernel sorts the listings of directory buckets, which it
/// knows by this part of their name, and takes those of other stores to be sorted; not every store's are.
/// Under the scheme `file` it would look for the table on the local disk.
const STORE_URL: &str = "store://unordered--x-s3/";

/// A table as the kernel sees it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Kernel {
    engine: Arc<DefaultEngine<TokioBackgroundExecutor>>,
    /// The table's root as the kernel is told it: the path in the store, under [`STORE_URL`].
    root: Url,
    /// The table's true location, for messages.
    location: Url,
}

/// Everything that one version of a table is.
pub(crate) struct VersionState {
    pub version: i64,
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    pub protocol: Protocol,
    pub metadata: Metadata,
    pub replay: Replay,
}

/// What a search for the version in force at an instant found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VersionAt {
    Found(i64),
    /// The instant is before the earliest commit from which the table can be read.
    TooEarly,
}

impl Kernel {
    pub fn new(
        store: Arc<dyn ObjectStore>,
        root: &Path,
        location: Url,
        executor: Arc<TokioBackgroundExecutor>,
    ) -> Result<Self> {
        let mut url = Url::parse(STORE_URL).map_err(|error| Error::Internal {
            message: error.to_string(),
        })?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments
                .clear()
                .extend(root.parts().map(|part| part.as_ref().to_owned()))
                .push("");
        }
        let engine = DefaultEngineBuilder::new(store)
            .with_task_executor(executor)
            .build();
        Ok(Self {
            engine: Arc::new(engine),
            root: url,
            location,
        })
    }

    /// Reads `version`, or the newest one.
    pub async fn load(&self, version: Option<i64>) -> Result<VersionState> {
        self.run("read the table's log", move |kernel| {
            kernel.load_blocking(version)
        })
        .await
    }

    /// Reads the tombstones in force at `version`, newest first; those of expired files too.
    pub async fn tombstones(&self, version: i64) -> Result<Vec<Remove>> {
        self.run("read the table's tombstones", move |kernel| {
            let snapshot = kernel.snapshot(Some(version))?;
            let mut replay = Replay::default();
            kernel.replay(&snapshot, &["remove"], &["remove"], None, &mut replay)?;
            Ok(replay.into_removes())
        })
        .await
    }

    /// Returns the newest version committed at or before `timestamp_ms` from which the table can be read.
    pub async fn version_at(&self, timestamp_ms: i64) -> Result<VersionAt> {
        self.run("find a version by its time", move |kernel| {
            let snapshot = kernel.snapshot(None)?;
            let recreatable = HistoryCommitType::Recreatable;
            match latest_version_as_of(&snapshot, kernel.engine.as_ref(), timestamp_ms, recreatable) {
                Ok(commit) => Ok(VersionAt::Found(signed(commit.version)?)),
                Err(KernelError::LogHistory(error))
                    if matches!(*error, LogHistoryError::TimestampOutOfRange { .. }) =>
                {
                    Ok(VersionAt::TooEarly)
                }
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Returns the earliest version that the log still holds whole.
    pub async fn earliest_version(&self) -> Result<i64> {
        self.run("find the earliest version", |kernel| {
            let log_root = kernel.root.join("_delta_log/")?;
            let recreatable = HistoryCommitType::Recreatable;
            signed(get_earliest_commit(
                kernel.engine.as_ref(),
                &log_root,
                None,
                recreatable,
            )?)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Self) -> KernelResult<T> + Send + 'static,
    ) -> Result<T> {
        let kernel = self.clone();
        let outcome = tokio::task::spawn_blocking(move || work(&kernel)).await;
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.error(action, error)),
            Err(error) => Err(Error::Kernel {
                action,
                source: Box::new(error),
            }),
        }
    }

    fn load_blocking(&self, version: Option<i64>) -> KernelResult<VersionState> {
        let snapshot = self.snapshot(version)?;
        let configuration = snapshot.table_configuration();
        let metadata: Metadata = convert(configuration.metadata())?;
        Ok(VersionState {
            version: signed(snapshot.version())?,
            timestamp_ms: self.timestamp_ms(&snapshot)?,
            protocol: convert(configuration.protocol())?,
            replay: self.replay_state(&snapshot, &metadata)?,
            metadata,
        })
    }

    /// Replays all that makes up a version. Statistics that a checkpoint has as columns only are read in a second
    /// pass: most checkpoints have them as JSON, and the columns would cost as much again.
    fn replay_state(&self, snapshot: &SnapshotRef, metadata: &Metadata) -> KernelResult<Replay> {
        const COMMIT_ACTIONS: [&str; 4] = ["add", "remove", "txn", "domainMetadata"];
        const CHECKPOINT_ACTIONS: [&str; 3] = ["add", "txn", "domainMetadata"];
        let mut replay = Replay::default();
        self.replay(snapshot, &COMMIT_ACTIONS, &CHECKPOINT_ACTIONS, None, &mut replay)?;
        if !replay.checkpoint_lacks_statistics() {
            return Ok(replay);
        }
        let Some(statistics) = statistics_schema(metadata) else {
            return Ok(replay);
        };
        let mut with_columns = Replay::default();
        let found = self.replay(
            snapshot,
            &COMMIT_ACTIONS,
            &CHECKPOINT_ACTIONS,
            Some(&statistics),
            &mut with_columns,
        )?;
        Ok(if found { with_columns } else { replay })
    }

    fn snapshot(&self, version: Option<i64>) -> KernelResult<SnapshotRef> {
        let mut builder = KernelSnapshot::builder_for(self.root.as_str());
        if let Some(version) = version {
            let version = u64::try_from(version).map_err(KernelError::generic_err)?;
            builder = builder.at_version(version);
        }
        builder.build(self.engine.as_ref())
    }

    /// Replays into `replay`. With `statistics`, only if the checkpoint has statistics as columns of these types;
    /// says if it went on.
    fn replay(
        &self,
        snapshot: &SnapshotRef,
        commit_actions: &[&str],
        checkpoint_actions: &[&str],
        statistics: Option<&StructType>,
        replay: &mut Replay,
    ) -> KernelResult<bool> {
        let batches = snapshot
            .log_segment()
            .read_actions_with_projected_checkpoint_actions(
                self.engine.as_ref(),
                action_schema(commit_actions)?,
                action_schema(checkpoint_actions)?,
                None,
                statistics,
                None,
                None,
            )?;
        if statistics.is_some() && !batches.checkpoint_info.has_stats_parsed {
            return Ok(false);
        }
        for batch in batches.actions {
            let batch = batch?;
            let from_commit = batch.is_log_batch;
            replay.read(&batch.actions.try_into_record_batch()?, from_commit)?;
        }
        Ok(true)
    }

    /// The commit file may have been cleaned up while its checkpoint stays; then the checkpoint's time serves.
    fn timestamp_ms(&self, snapshot: &SnapshotRef) -> KernelResult<i64> {
        let listed = &snapshot.log_segment().listed;
        if listed.latest_commit_file.is_none()
            && let Some(checkpoint) = listed.checkpoint_parts.first()
        {
            return Ok(checkpoint.location.last_modified);
        }
        snapshot.get_timestamp(self.engine.as_ref())
    }

    fn error(&self, action: &'static str, error: KernelError) -> Error {
        match unwrap_backtrace(error) {
            KernelError::ObjectStore(source) => Error::Store {
                action: "read",
                path: self.location.to_string(),
                source,
            },
            KernelError::Unsupported(message) => Error::UnsupportedFeature {
                location: self.location.to_string(),
                feature: quoted(&message).unwrap_or(&message).to_owned(),
                operation: "reading",
            },
            error if tells_of_bad_files(&error) => Error::CorruptLog {
                location: self.location.to_string(),
                message: format!("cannot {action}: {}", chain(&error)),
            },
            error => Error::Kernel {
                action,
                source: Box::new(error),
            },
        }
    }
}

/// Says if the kernel failed because of what the log holds.
fn tells_of_bad_files(error: &KernelError) -> bool {
    match error {
        // The reader of Parquet files wraps what the store says.
        KernelError::Parquet(ParquetError::External(inner)) => !inner.is::<object_store::Error>(),
        KernelError::Parquet(_)
        | KernelError::Arrow(_)
        | KernelError::MalformedJson(_)
        | KernelError::MissingColumn(_)
        | KernelError::UnexpectedColumnType(_)
        | KernelError::MissingData(_)
        | KernelError::MissingMetadata
        | KernelError::MissingProtocol
        | KernelError::MissingMetadataAndProtocol
        | KernelError::InvalidProtocol(_)
        | KernelError::InvalidCheckpoint(_)
        | KernelError::InvalidLogSegment(_) => true,
        _ => false,
    }
}

/// Returns the columns that statistics have for a table; `None` for a schema that cannot be read.
fn statistics_schema(metadata: &Metadata) -> Option<StructType> {
    let schema = parse_schema_string(&metadata.schema_string).ok()?;
    let statistics = FileIndex::statistics_schema(&Arc::new(schema), &metadata.partition_columns);
    StructType::try_from_arrow(statistics.as_ref()).ok()
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel")
            .field("root", &self.root.as_str())
            .finish_non_exhaustive()
    }
}

fn unwrap_backtrace(error: KernelError) -> KernelError {
    match error {
        KernelError::Backtraced { source, .. } => unwrap_backtrace(*source),
        error => error,
    }
}

/// The kernel names a feature in its message only: `Feature 'x' is not supported`.
fn quoted(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once('\'')?;
    let (name, _) = rest.split_once('\'')?;
    Some(name)
}

fn action_schema(actions: &[&str]) -> KernelResult<KernelSchemaRef> {
    delta_kernel::actions::get_all_actions_schema().project(actions)
}

fn signed(version: u64) -> KernelResult<i64> {
    i64::try_from(version).map_err(KernelError::generic_err)
}

/// The kernel's action types are opaque but serialize as the log's JSON, which ours read.
fn convert<T: DeserializeOwned>(action: &impl Serialize) -> KernelResult<T> {
    let value = serde_json::to_value(action).map_err(KernelError::generic_err)?;
    serde_json::from_value(value).map_err(KernelError::generic_err)
}
