//! `DESCRIBE HISTORY` and `DESCRIBE DETAIL`.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;

use crate::commit_time::commit_time_ms;
use crate::table::read_commit_file;
use crate::{CommitInfo, DeltaTable, Error, Result, Snapshot};

/// Commit files read at once.
const READS_MAX: usize = 16;

/// One commit.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryEntry {
    pub version: i64,
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Empty where the commit has none.
    pub info: CommitInfo,
}

/// The columns of `DESCRIBE DETAIL`. Source: Delta Lake documentation, "Retrieve Delta table details".
#[derive(Debug, Clone, PartialEq)]
pub struct TableDetail {
    pub id: String,
    pub name: Option<String>,
    pub description: Option<String>,
    pub location: String,
    /// Milliseconds since the epoch.
    pub created_at_ms: Option<i64>,
    pub last_modified_ms: i64,
    pub partition_columns: Vec<String>,
    pub clustering_columns: Vec<String>,
    pub num_files: i64,
    pub size_in_bytes: i64,
    pub properties: BTreeMap<String, String>,
    pub min_reader_version: i32,
    pub min_writer_version: i32,
    pub table_features: Vec<String>,
}

/// The only part of a commit file that the history shows.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommitInfoLine {
    commit_info: Option<CommitInfo>,
}

impl DeltaTable {
    /// Returns the newest `limit` commits, newest first.
    ///
    /// Commits whose files were cleaned up are not part of it, nor are those cleaned up while it is read.
    pub async fn history(&self, limit: Option<usize>) -> Result<Vec<HistoryEntry>> {
        let snapshot = self.snapshot().await?;
        let files = self.log_files().await?;
        let commits = files.modification_times();
        let newest_first = commits.into_iter().rev().take(limit.unwrap_or(usize::MAX));
        let entries = stream::iter(newest_first)
            .map(|(version, modified_ms)| self.history_entry(&snapshot, version, modified_ms))
            .buffered(READS_MAX);
        let entries: Vec<Option<HistoryEntry>> = entries.try_collect().await?;
        Ok(entries.into_iter().flatten().collect())
    }

    /// Returns what `DESCRIBE DETAIL` shows.
    pub async fn detail(&self) -> Result<TableDetail> {
        let snapshot = self.snapshot().await?;
        let sizes = snapshot.file_index().sizes();
        let size_in_bytes: u64 = sizes.iter().flatten().sum();
        let protocol = snapshot.protocol();
        let metadata = snapshot.metadata();
        let clustering = snapshot.clustering_columns()?.unwrap_or_default();
        let readers = protocol.reader_features.iter().flatten();
        let features: BTreeSet<&String> = readers.chain(protocol.writer_features.iter().flatten()).collect();
        Ok(TableDetail {
            id: metadata.id.clone(),
            name: metadata.name.clone(),
            description: metadata.description.clone(),
            location: self.location().to_string(),
            created_at_ms: metadata.created_time,
            last_modified_ms: snapshot.timestamp_ms(),
            partition_columns: metadata.partition_columns.clone(),
            clustering_columns: clustering.iter().map(|path| path.join(".")).collect(),
            num_files: i64::try_from(snapshot.file_index().len()).unwrap_or(i64::MAX),
            size_in_bytes: i64::try_from(size_in_bytes).unwrap_or(i64::MAX),
            properties: metadata.configuration.clone(),
            min_reader_version: protocol.min_reader_version,
            min_writer_version: protocol.min_writer_version,
            table_features: features.into_iter().cloned().collect(),
        })
    }

    async fn history_entry(
        &self,
        snapshot: &Snapshot,
        version: i64,
        modified_ms: i64,
    ) -> Result<Option<HistoryEntry>> {
        let (store, _) = self.store();
        let Some(commit) = read_commit_file(store.as_ref(), self.log(), version).await? else {
            return Ok(None);
        };
        let info = commit_info(&commit.bytes).map_err(|error| Error::CorruptLog {
            location: self.location().to_string(),
            message: format!("commit {version}: {error}"),
        })?;
        let info = info.unwrap_or_default();
        Ok(Some(HistoryEntry {
            version,
            timestamp_ms: commit_time_ms(snapshot.metadata(), version, Some(&info), modified_ms),
            info,
        }))
    }
}

fn commit_info(bytes: &[u8]) -> serde_json::Result<Option<CommitInfo>> {
    for line in bytes.split(|byte| *byte == b'\n') {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let line: CommitInfoLine = serde_json::from_slice(line)?;
        if line.commit_info.is_some() {
            return Ok(line.commit_info);
        }
    }
    Ok(None)
}
