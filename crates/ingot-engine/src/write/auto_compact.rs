//! Auto compaction: a commit that leaves many small files in a partition has them packed, in the background.
//!
//! ```text
//! commit ─► asked for? ─► partitions of its files with enough small ones ─► task: OPTIMIZE of these (`optimize`)
//! ```
//! Always true: the commit is reported before, and whatever becomes of the compaction; a table has one compaction at
//! a time, and a commit meanwhile starts none: the next does. Source: Databricks, "Auto compaction".

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ingot_common::RequestContext;
use ingot_common::error::chain;
use ingot_common::task::Supervisor;
use ingot_delta::{Add, DeltaTable, FileIndex, ReadPredicate, Snapshot};
use url::Url;

use super::partitions::{NullPartition, PartitionSet};
use crate::optimize::{PackedSizes, Request, Task, optimize};
use crate::{Engine, Result, Session};

/// Small files of a partition from which on they are packed. Source: Spark, `autoCompact.minNumFiles`.
const FILES_MIN: usize = 50;

/// Bytes of a packed file; half of it is still small. Source: Spark, `autoCompact.maxFileSize`.
const FILE_BYTES_MAX: u64 = 128 << 20;

const ENABLED: &str = "spark.databricks.delta.autoCompact.enabled";
const FILES: &str = "spark.databricks.delta.autoCompact.minNumFiles";
const BYTES: &str = "spark.databricks.delta.autoCompact.maxFileSize";

/// A setting, how its value is read, and what it is expected to be.
type Known = (&'static str, fn(&str) -> bool, &'static str);

/// The settings.
pub(crate) const SETTINGS: [Known; 3] = [
    (
        ENABLED,
        |value| enabled(value).is_some(),
        "`true`, `false`, `auto` or `legacy`",
    ),
    (
        FILES,
        |value| value.parse::<usize>().is_ok_and(|files| files > 1),
        "a number of files above 1",
    ),
    (
        BYTES,
        |value| ingot_delta::parse_bytes(value).is_some(),
        "bytes above 0, or a number with `k`, `m` or `g`",
    ),
];

/// The compactions of a process.
#[derive(Debug, Default)]
pub(crate) struct Compactions {
    supervisor: Supervisor,
    /// Tables that are being compacted.
    running: Arc<Mutex<HashSet<Url>>>,
}

impl Compactions {
    /// Ends those that run, as far as they have not committed.
    pub fn stop(&self) {
        self.supervisor.shutdown();
    }

    /// Waits until none runs, at most `patience`.
    pub async fn ended(&self, patience: Duration) -> bool {
        self.supervisor.join(patience).await
    }
}

/// Packs small files after a commit that added `files`, if the session or the table asks for it and there are enough.
/// Returns at once.
pub fn compact_after(session: &Session, table: &Arc<DeltaTable>, snapshot: &Arc<Snapshot>, files: &[Add]) {
    if !asked_for(session, snapshot) || files.is_empty() {
        return;
    }
    let (engine, context) = (
        session.engine().clone(),
        RequestContext::new(session.context().principal.clone()),
    );
    let limits = Limits::of(session);
    let (table, snapshot, files) = (Arc::clone(table), Arc::clone(snapshot), files.to_vec());
    let location = table.location().clone();
    let running = Arc::clone(&session.engine().compactions().running);
    if !lock(&running).insert(location.clone()) {
        return;
    }
    session.engine().compactions().supervisor.spawn("auto compaction", |stop| async move {
        let work = compact(&engine, &context, &table, &snapshot, files, limits);
        let outcome = tokio::select! {
            outcome = work => outcome,
            () = stop.cancelled() => Ok(()),
        };
        lock(&running).remove(&location);
        if let Err(error) = outcome {
            tracing::info!(table = %location, error = %chain(&error), "small files stay as they are for now");
        }
        Ok::<(), Infallible>(())
    });
}

async fn compact(
    engine: &Engine,
    context: &RequestContext,
    table: &Arc<DeltaTable>,
    snapshot: &Arc<Snapshot>,
    files: Vec<Add>,
    limits: Limits,
) -> Result<()> {
    let index = snapshot.files().await?;
    let Some(only) = crowded(snapshot, index, files, &limits)? else {
        return Ok(());
    };
    let session = engine.session(context)?;
    let request = Request {
        task: Task::Optimize,
        predicate: None,
        only: Some(only),
        auto: Some(PackedSizes {
            file_bytes_target: limits.file_bytes_max,
            file_bytes_min: limits.small(),
        }),
    };
    optimize(&session, table, &request).await?;
    Ok(())
}

/// Returns the partitions of `files` that have too many small files; `None` when there are none.
fn crowded(
    snapshot: &Snapshot,
    index: &FileIndex,
    files: Vec<Add>,
    limits: &Limits,
) -> Result<Option<Arc<dyn ReadPredicate>>> {
    let columns = snapshot.partition_columns().to_vec();
    let new = snapshot.index_of(files.into_iter().map(Arc::new).collect());
    let sizes = index.sizes();
    let small = |file: usize| sizes.value(file) < limits.small();
    if columns.is_empty() {
        let count = (0..index.len()).filter(|file| small(*file)).count();
        return Ok((count >= limits.files_min).then(|| Arc::new(Everywhere) as _));
    }
    let touched = PartitionSet::of(&new, columns, NullPartition::Matches)?;
    let crowded = touched.with_at_least(index, small, limits.files_min)?;
    Ok((!crowded.is_empty()).then(|| Arc::new(crowded) as _))
}

/// All files of a table without partitions.
#[derive(Debug)]
struct Everywhere;

impl ReadPredicate for Everywhere {
    fn may_match(&self, files: &FileIndex) -> Vec<bool> {
        vec![true; files.len()]
    }
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    files_min: usize,
    file_bytes_max: u64,
}

impl Limits {
    fn of(session: &Session) -> Self {
        let files = session.setting(FILES).and_then(|value| value.parse().ok());
        let bytes = session
            .setting(BYTES)
            .and_then(|value| ingot_delta::parse_bytes(&value));
        Self {
            files_min: files.unwrap_or(FILES_MIN),
            file_bytes_max: bytes.unwrap_or(FILE_BYTES_MAX),
        }
    }

    /// Smaller files are packed.
    fn small(&self) -> u64 {
        self.file_bytes_max / 2
    }
}

fn asked_for(session: &Session, snapshot: &Snapshot) -> bool {
    let setting = session.setting(ENABLED);
    let property = |name: &str| snapshot.properties().get(name).cloned();
    let said = setting
        .or_else(|| property("delta.autoOptimize.autoCompact"))
        .or_else(|| property("delta.autoOptimize"));
    said.and_then(|value| enabled(&value)).unwrap_or(false)
}

/// Reads whether to compact; `None` for what says neither.
fn enabled(value: &str) -> Option<bool> {
    match value.to_lowercase().as_str() {
        "true" | "auto" | "legacy" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
