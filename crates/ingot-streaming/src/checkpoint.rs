//! The checkpoint directory, in Spark's layout.
//!
//! ```text
//! metadata      {"id":"…"}                      the query's id, stable over restarts
//! sources/I/0   v1 \n initial offset            where source I began; a source may keep a log of its own beside it
//! offsets/N     v1 \n {"batchWatermarkMs":0,…} \n one offset per source     before batch N runs
//! commits/N     v1 \n {"nextBatchWatermarkMs":0}                            after batch N is in the sink
//! ```
//! Always true: a file is there whole or not at all, and on disk once written; a file is never changed. One
//! process at a time holds a directory: a lock on `.lock` that ends with the process, however it ends.
//!
//! Source: Spark, `OffsetSeqLog`, `CommitLog`, `HDFSMetadataLog`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ingot_common::clock;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Error, Offset, Result};

/// The log format that we write and read.
pub(crate) const VERSION_LINE: &str = "v1";

/// Finished batches whose files are kept. Source: `spark.sql.streaming.minBatchesToRetain`.
const BATCHES_KEPT: i64 = 100;

/// An open checkpoint directory.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    query_id: Uuid,
    /// Held for as long as the checkpoint is open.
    _lock: File,
}

#[derive(Debug, Serialize, Deserialize)]
struct QueryMetadata {
    id: Uuid,
}

/// First line of `offsets/N` after the version.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchMetadata {
    batch_watermark_ms: i64,
    batch_timestamp_ms: i64,
    #[serde(default)]
    conf: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommitMetadata {
    next_batch_watermark_ms: i64,
}

impl Checkpoint {
    /// Opens or creates the directory at `path`. A new one gets `query_id`, or an id of its own when there is none
    /// given. Blocks on the disk.
    ///
    /// # Errors
    /// `FailedPrecondition` when another run holds it, it is no checkpoint, or it is another query's.
    pub fn open(path: &Path, query_id: Option<Uuid>) -> Result<Self> {
        for folder in ["offsets", "commits", "sources"] {
            create_folder(&path.join(folder))?;
        }
        let lock_path = path.join(".lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(failed("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(Error::CheckpointInUse {
                    path: path.display().to_string(),
                });
            }
            Err(fs::TryLockError::Error(error)) => return Err(failed("lock", &lock_path)(error)),
        }
        let metadata_path = path.join("metadata");
        let id = match read(&metadata_path)? {
            Some(text) => parse::<QueryMetadata>(&metadata_path, &text)?.id,
            None => {
                let id = query_id.unwrap_or_else(Uuid::new_v4);
                write_new(&metadata_path, &json(&QueryMetadata { id })?)?;
                id
            }
        };
        if let Some(wanted) = query_id.filter(|wanted| *wanted != id) {
            let message = format!("it is the checkpoint of query {id}, not of {wanted}");
            return Err(mismatch(path, message));
        }
        Ok(Self {
            path: path.to_owned(),
            query_id: id,
            _lock: lock,
        })
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the query's id.
    pub fn query_id(&self) -> Uuid {
        self.query_id
    }

    /// Returns the newest batch whose offsets are recorded.
    pub fn latest_offsets(&self) -> Result<Option<i64>> {
        Ok(batches(&self.path.join("offsets"))?.into_iter().max())
    }

    /// Returns the newest batch that was committed.
    pub fn latest_commit(&self) -> Result<Option<i64>> {
        Ok(batches(&self.path.join("commits"))?.into_iter().max())
    }

    /// Returns where source number `source` began, if that is recorded.
    pub fn initial_offset(&self, source: usize) -> Result<Option<Offset>> {
        let path = self.source_path(source);
        let Some(text) = read(&path)? else {
            return Ok(None);
        };
        match lines(&path, &text)?.as_slice() {
            [line] => Ok(Some(parse(&path, line)?)),
            _ => Err(mismatch(&path, "it does not hold one offset")),
        }
    }

    /// Records where source number `source` begins.
    pub fn write_initial_offset(&self, source: usize, offset: &Offset) -> Result<()> {
        let path = self.source_path(source);
        if let Some(folder) = path.parent() {
            create_folder(folder)?;
        }
        write_new(&path, &format!("{VERSION_LINE}\n{}", json(offset)?))
    }

    /// Returns the end offsets of a batch, one per source.
    ///
    /// # Errors
    /// `FailedPrecondition` when the batch is not recorded or has another count of sources.
    pub fn offsets(&self, batch_id: i64, sources: usize) -> Result<Vec<Offset>> {
        let path = self.batch_path("offsets", batch_id);
        let text = read(&path)?.ok_or_else(|| mismatch(&path, "it is missing"))?;
        let lines = lines(&path, &text)?;
        let Some((metadata, offsets)) = lines.split_first() else {
            return Err(mismatch(&path, "it ends too early"));
        };
        parse::<BatchMetadata>(&path, metadata)?;
        if offsets.len() != sources {
            let message = format!(
                "it was written for {} sources and the query has {sources}",
                offsets.len()
            );
            return Err(mismatch(&path, message));
        }
        offsets.iter().map(|line| parse(&path, line)).collect()
    }

    /// Records the end offsets of a batch that is about to run.
    ///
    /// # Errors
    /// `FailedPrecondition` when they are recorded already: another run works on the checkpoint.
    pub fn write_offsets(&self, batch_id: i64, offsets: &[Offset]) -> Result<()> {
        let metadata = BatchMetadata {
            batch_watermark_ms: 0,
            batch_timestamp_ms: clock::now_ms(),
            conf: serde_json::Map::new(),
        };
        let mut text = format!("{VERSION_LINE}\n{}", json(&metadata)?);
        for offset in offsets {
            text.push('\n');
            text.push_str(&json(offset)?);
        }
        write_new(&self.batch_path("offsets", batch_id), &text)
    }

    /// Records that a batch is in the sink, and forgets batches long past.
    pub fn write_commit(&self, batch_id: i64) -> Result<()> {
        let metadata = CommitMetadata {
            next_batch_watermark_ms: 0,
        };
        let text = format!("{VERSION_LINE}\n{}", json(&metadata)?);
        write_new(&self.batch_path("commits", batch_id), &text)?;
        self.purge(batch_id - BATCHES_KEPT)
    }

    /// Deletes what is recorded of batches up to `batch_id`, which are finished.
    fn purge(&self, batch_id: i64) -> Result<()> {
        for folder in ["offsets", "commits"] {
            let folder = self.path.join(folder);
            for old in batches(&folder)?.into_iter().filter(|old| *old <= batch_id) {
                let path = folder.join(old.to_string());
                fs::remove_file(&path).map_err(failed("delete", &path))?;
            }
        }
        Ok(())
    }

    fn batch_path(&self, folder: &str, batch_id: i64) -> PathBuf {
        self.path.join(folder).join(batch_id.to_string())
    }

    fn source_path(&self, source: usize) -> PathBuf {
        source_folder(&self.path, source).join("0")
    }
}

/// Returns the folder of source number `source` in the checkpoint at `path`.
pub fn source_folder(path: &Path, source: usize) -> PathBuf {
    path.join("sources").join(source.to_string())
}

/// Returns the batches that have a file in `folder`; other files are staged ones that a crash left.
fn batches(folder: &Path) -> Result<Vec<i64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
        let entry = entry.map_err(failed("list", folder))?;
        if let Some(batch_id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            found.push(batch_id);
        }
    }
    Ok(found)
}

pub(crate) fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Returns the lines after the version line.
pub(crate) fn lines<'a>(path: &Path, text: &'a str) -> Result<Vec<&'a str>> {
    let mut lines = text.lines();
    match lines.next() {
        Some(VERSION_LINE) => Ok(lines.collect()),
        Some(version) => Err(mismatch(path, format!("its format `{version}` is unknown"))),
        None => Err(mismatch(path, "it is empty")),
    }
}

/// Writes a file that must not exist, so that it is on disk, whole, when this returns.
pub(crate) fn write_new(path: &Path, text: &str) -> Result<()> {
    let staged = path.with_extension(format!("{:x}.tmp", clock::random_below(u64::MAX)));
    let written = (|| {
        let mut file = File::create_new(&staged)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        // A link, unlike a rename, refuses to take the place of a file.
        fs::hard_link(&staged, path)
    })();
    // It is a second name of the file by now, or of no use.
    let _ = fs::remove_file(&staged);
    match written {
        Ok(()) => path.parent().map_or(Ok(()), sync_folder),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(mismatch(
            path,
            "it exists already: another run of the query works on this checkpoint",
        )),
        Err(error) => Err(failed("write", path)(error)),
    }
}

/// Creates a folder and those above it that are missing, so that they are on disk when this returns.
pub(crate) fn create_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_folder(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed("create", path)(error));
        }
        _ => {}
    }
    parent.map_or(Ok(()), sync_folder)
}

pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed("sync", folder))
}

pub(crate) fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Internal {
        message: format!("checkpoint entry cannot be written as JSON: {error}"),
    })
}

pub(crate) fn parse<'a, T: Deserialize<'a>>(path: &Path, text: &'a str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| mismatch(path, error.to_string()))
}

pub(crate) fn mismatch(path: &Path, message: impl Into<String>) -> Error {
    Error::CheckpointMismatch {
        path: path.display().to_string(),
        message: message.into(),
    }
}

pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error::Checkpoint { action, path, source }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn offset(position: i64) -> Offset {
        Offset(json!({"flights": {"0": position}}))
    }

    #[test]
    fn a_reopened_checkpoint_has_the_same_query_and_batches() {
        let folder = tempfile::tempdir().expect("folder");
        let checkpoint = Checkpoint::open(folder.path(), None).expect("open");
        let query_id = checkpoint.query_id();
        assert_eq!(checkpoint.latest_offsets().expect("offsets"), None);
        checkpoint.write_initial_offset(0, &offset(3)).expect("initial");
        checkpoint.write_offsets(0, &[offset(7)]).expect("offsets");
        checkpoint.write_commit(0).expect("commit");
        checkpoint.write_offsets(1, &[offset(9)]).expect("offsets");
        drop(checkpoint);

        let checkpoint = Checkpoint::open(folder.path(), None).expect("open again");
        assert_eq!(checkpoint.query_id(), query_id);
        assert_eq!(checkpoint.initial_offset(0).expect("initial"), Some(offset(3)));
        assert_eq!(checkpoint.latest_offsets().expect("offsets"), Some(1));
        assert_eq!(checkpoint.latest_commit().expect("commits"), Some(0));
        assert_eq!(checkpoint.offsets(1, 1).expect("batch 1"), [offset(9)]);
    }

    #[test]
    fn files_are_as_spark_writes_them() {
        let folder = tempfile::tempdir().expect("folder");
        let checkpoint = Checkpoint::open(folder.path(), None).expect("open");
        checkpoint.write_offsets(0, &[offset(7)]).expect("offsets");
        checkpoint.write_commit(0).expect("commit");
        let text = |name: &str| fs::read_to_string(folder.path().join(name)).expect("file");
        let offsets = text("offsets/0");
        let lines: Vec<&str> = offsets.lines().collect();
        assert_eq!(lines[0], "v1");
        assert!(
            lines[1].starts_with(r#"{"batchWatermarkMs":0,"batchTimestampMs":"#),
            "{}",
            lines[1]
        );
        assert_eq!(lines[2], r#"{"flights":{"0":7}}"#);
        assert_eq!(text("commits/0"), "v1\n{\"nextBatchWatermarkMs\":0}");
        assert_eq!(
            text("metadata"),
            format!("{{\"id\":\"{}\"}}", checkpoint.query_id())
        );
    }

    #[test]
    fn a_checkpoint_belongs_to_the_query_that_it_was_made_for() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("states/checkpoint");
        let (ours, theirs) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let query_id = |wanted| Checkpoint::open(&path, wanted).map(|checkpoint| checkpoint.query_id());
        assert_eq!(query_id(Some(ours)).expect("new"), ours);
        assert_eq!(query_id(Some(ours)).expect("again"), ours);
        assert_eq!(query_id(None).expect("whoever's"), ours);
        let error = query_id(Some(theirs)).expect_err("another query's");
        assert!(matches!(error, Error::CheckpointMismatch { .. }), "{error}");
    }

    #[test]
    fn a_second_run_on_a_checkpoint_is_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let _first = Checkpoint::open(folder.path(), None).expect("open");
        let error = Checkpoint::open(folder.path(), None).expect_err("held");
        assert!(matches!(error, Error::CheckpointInUse { .. }), "{error}");
    }

    #[test]
    fn a_recorded_batch_is_never_changed() {
        let folder = tempfile::tempdir().expect("folder");
        let checkpoint = Checkpoint::open(folder.path(), None).expect("open");
        checkpoint.write_offsets(0, &[offset(7)]).expect("offsets");
        let error = checkpoint.write_offsets(0, &[offset(8)]).expect_err("recorded");
        assert!(matches!(error, Error::CheckpointMismatch { .. }), "{error}");
        assert_eq!(checkpoint.offsets(0, 1).expect("batch 0"), [offset(7)]);
        let files = fs::read_dir(folder.path().join("offsets")).expect("list").count();
        assert_eq!(files, 1, "no staged file stays");
    }

    #[test]
    fn another_count_of_sources_is_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let checkpoint = Checkpoint::open(folder.path(), None).expect("open");
        checkpoint.write_offsets(0, &[offset(7)]).expect("offsets");
        let error = checkpoint.offsets(0, 2).expect_err("two sources");
        assert!(error.to_string().contains("for 1 sources"), "{error}");
    }

    #[test]
    fn batches_long_past_are_forgotten() {
        let folder = tempfile::tempdir().expect("folder");
        let checkpoint = Checkpoint::open(folder.path(), None).expect("open");
        for batch_id in 0..BATCHES_KEPT + 5 {
            checkpoint
                .write_offsets(batch_id, &[offset(batch_id)])
                .expect("offsets");
            checkpoint.write_commit(batch_id).expect("commit");
        }
        let mut kept = batches(&folder.path().join("offsets")).expect("list");
        kept.sort_unstable();
        assert_eq!(kept.len() as i64, BATCHES_KEPT);
        assert_eq!(kept.first(), Some(&5));
    }
}
