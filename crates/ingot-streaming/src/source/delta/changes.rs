//! The change data feed as a stream: `readChangeFeed`.
//!
//! ```text
//! files of the starting snapshot ─► inserts ──────────────────────────────┐
//! commits ─► next_offset: how much, is it recorded, with which schema     ├─► ChangeFeed ─► the relation of `table_changes`
//!         └► batch: rows as recorded, or as files tell ───────────────────┘
//! ```
//! Always true: what a commit changed is read in one batch, so that an update's rows before and after are never apart;
//! only the snapshot that a stream begins with is split. The options for commits that delete or change rows
//! (`ignoreDeletes`, `skipChangeCommits`) have no effect, for there is nothing to pass over.
//!
//! Source: Delta, `DeltaSourceCDCSupport`; Databricks, "Use Delta Lake change data feed", rate limits.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ingot_delta::{Action, ChangeFeed, ChangedFile, Metadata, Snapshot, TimeTravel, change_feed};
use ingot_engine::change_feed::feed_provider;

use super::offset::Position;
use super::{Content, DeltaSource, Piece, files_until, pieces_of_snapshot, records};
use crate::Result;
use crate::source::counted::CountedTable;
use crate::source::{RowCount, SourceBatch};

impl DeltaSource {
    /// Returns what the commit at `start`, with `actions`, changed; nothing when it changed no rows.
    ///
    /// # Errors
    /// `FailedPrecondition` when changes are not recorded there, or its rows cannot be read with the source's schema.
    pub(super) async fn changes(&self, start: &Position, actions: &[Action]) -> Result<Vec<Piece>> {
        let version = start.reservoir_version;
        let (mut recorded, mut told) = ((0_u64, 0_u64), (0_u64, 0_u64));
        for action in actions {
            let (sum, size) = match action {
                Action::Cdc(file) => (&mut recorded, file.size),
                Action::Add(add) if add.data_change => (&mut told, add.size),
                Action::Remove(remove) if remove.data_change => (&mut told, remove.size.unwrap_or_default()),
                Action::Metadata(metadata) => {
                    self.check_metadata(metadata, version)?;
                    continue;
                }
                _ => continue,
            };
            sum.0 += 1;
            sum.1 = sum.1.saturating_add(u64::try_from(size).unwrap_or_default());
        }
        self.check_feed_once(version).await?;
        let (files, bytes) = match recorded.0 {
            0 => told,
            _ => recorded,
        };
        if files == 0 {
            return Ok(Vec::new());
        }
        Ok(vec![Piece {
            content: Content::Changes { files, bytes },
            after: start.next_version(),
        }])
    }

    /// Returns the changes between two positions.
    pub(super) async fn batch_of_changes(&self, start: Position, end: &Position) -> Result<SourceBatch> {
        let mut feed = ChangeFeed::new(Arc::clone(&self.snapshot));
        let mut from = start.reservoir_version;
        if start.is_starting_version {
            let snapshot = self.starting_snapshot(&start).await?;
            let pieces = pieces_of_snapshot(&snapshot, &start).await?;
            feed.insert(&snapshot, files_until(pieces, end));
            from += 1;
        }
        if !self.options.fail_on_data_loss
            && from < end.reservoir_version
            && self.table.commit_actions(from).await?.is_none()
        {
            from = self.first_commit_after(from, end.reservoir_version).await?;
        }
        if from < end.reservoir_version {
            self.check_feed_once(from).await?;
            self.table
                .add_changes(&mut feed, from..=end.reservoir_version - 1)
                .await?;
        }
        // The log does not say how many rows files of changes have.
        let known: Option<u64> = match feed.recorded.is_empty() {
            true => feed.data.iter().map(rows_of).sum(),
            false => None,
        };
        let relation = feed_provider(Arc::clone(&self.table), feed);
        if let Some(rows) = known {
            let rows = RowCount::known(rows);
            return Ok(SourceBatch { relation, rows });
        }
        let rows = RowCount::unread();
        let relation = Arc::new(CountedTable::new(relation, rows.clone()));
        Ok(SourceBatch { relation, rows })
    }

    /// Checks that changes are recorded under `metadata`, in force after commit `version`, and its rows readable.
    fn check_metadata(&self, metadata: &Metadata, version: i64) -> Result<()> {
        change_feed::check_recorded(metadata, version, &(version..=version))?;
        self.check_schema(version, &metadata.schema_string)
    }

    /// Checks that changes are recorded at the version of `snapshot`, and its rows readable.
    pub(super) fn check_in_force(&self, snapshot: &Snapshot) -> Result<()> {
        self.check_metadata(snapshot.metadata(), snapshot.version())
    }

    /// Checks what is in force at `version`, where this source goes on with commits. Those after it say when that changes.
    async fn check_feed_once(&self, version: i64) -> Result<()> {
        if self.feed_checked.load(Ordering::Relaxed) {
            return Ok(());
        }
        let snapshot = self.table.snapshot_at(TimeTravel::Version(version)).await?;
        self.check_in_force(&snapshot)?;
        self.feed_checked.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Returns how many rows of a file came or went; `None` when its action does not say.
fn rows_of(file: &ChangedFile) -> Option<u64> {
    match &file.rows {
        Some(rows) => Some(rows.len()),
        None => file.add.stats.as_ref().map(|_| records(&file.add)),
    }
}
