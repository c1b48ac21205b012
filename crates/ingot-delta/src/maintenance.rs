//! What keeps a table's log short: expired-log cleanup. Never part of a commit.
//!
//! ```text
//! commits  0 … 9 10 11 … 19 20 21 … 29        cutoff = now - delta.logRetentionDuration
//! checkpoints    10         20                 newest complete checkpoint older than the cutoff: 10
//!          └───┘ deleted
//! ```
//!
//! Always true: every version from the kept checkpoint on can still be read. All files are classified before
//! the first is deleted. What a version can be rebuilt from goes first and in order, oldest first: commit 0, then
//! checkpoints. So an interrupted cleanup leaves no base with gaps above it, only commits that nobody reaches.
//! Before each of these it is asked if the log is still the one that was listed: a table made anew in its place
//! has files of the same names. Sidecars of V2 checkpoints go last, when no checkpoint that is left names them and they are
//! a day old: a checkpoint that is being written names its own only when they are all there.
//!
//! A table that dropped a feature which bound readers says before which version checkpoints are protected: nothing goes
//! before all of that can go at once, and its checkpoints go after its commits.
//! Source: Delta protocol, "Metadata Cleanup"; Delta, `protocol_rfcs/checkpoint-protection.md`.

use std::collections::HashSet;

use futures::future::try_join_all;
use ingot_common::clock;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use url::Url;

use crate::retention::Retention;
use crate::table::LogFiles;
use crate::{DeltaTable, DeltaTables, Error, Result, Snapshot, drop_feature};

/// Deletions in flight at once.
const DELETES_MAX: usize = 8;

/// A sidecar that no checkpoint names may belong to one that is being written, until it is so old.
const SIDECAR_AGE_MIN_MS: i64 = 24 * 3600 * 1000;

impl DeltaTables {
    /// Cleans up the log of the table at `location`, as [`DeltaTable::cleanup_expired_logs`] does. Costs a listing
    /// where nothing can go, whatever the retention; a table that nobody has open is not kept open for it. Where there
    /// is no table there is nothing to clean up.
    ///
    /// # Errors
    /// As [`DeltaTable::cleanup_expired_logs`]. A failure says nothing about other tables.
    pub async fn cleanup_expired_logs(&self, location: &Url) -> Result<usize> {
        let place = self.place(location)?;
        let files = LogFiles::list(place.store.as_ref(), &place.log_root()).await?;
        let old_sidecars = files.sidecars_before(clock::now_ms().saturating_sub(SIDECAR_AGE_MIN_MS));
        if !files.any_superseded() && old_sidecars.is_empty() {
            return Ok(0);
        }
        let table = match self.opened(location) {
            Some(table) => table,
            None => self.open_apart(location).await?,
        };
        table.cleanup_expired_logs().await
    }
}

impl DeltaTable {
    /// Deletes commits and checkpoints that no retained version needs (`delta.logRetentionDuration`,
    /// 30 days unless set). Returns how many files went; 0 where `delta.enableExpiredLogCleanup` is off.
    ///
    /// # Errors
    /// `Conflict` when the table was made anew meanwhile. What was deleted until then stays deleted, and a repetition
    /// goes on.
    pub async fn cleanup_expired_logs(&self) -> Result<usize> {
        let snapshot = self.snapshot().await?;
        let property = snapshot.properties().get("delta.enableExpiredLogCleanup");
        if property.is_some_and(|value| value.eq_ignore_ascii_case("false")) {
            return Ok(0);
        }
        let retention = Retention::of(snapshot.properties());
        self.cleanup_logs_older_than(&snapshot, retention.log_ms).await
    }

    /// Deletes commits and checkpoints that no version of the last `retention_ms` milliseconds needs. Returns how many
    /// files went.
    ///
    /// # Errors
    /// As [`DeltaTable::cleanup_expired_logs`].
    pub(crate) async fn cleanup_logs_older_than(
        &self,
        snapshot: &Snapshot,
        retention_ms: i64,
    ) -> Result<usize> {
        let files = self.log_files().await?;
        let cutoff_ms = clock::now_ms().saturating_sub(retention_ms);
        let Expired { bases, others, kept } = expired_files(&files, cutoff_ms);
        let protected_before = drop_feature::protected_before(snapshot);
        if kept < protected_before {
            return Ok(0);
        }
        let bases: Vec<Vec<Path>> = bases.into_iter().map(|path| vec![path]).collect();
        let others = others.chunks(DELETES_MAX).map(<[Path]>::to_vec);
        // Checkpoints that are protected go last.
        let batches: Vec<Vec<Path>> = match protected_before > 0 {
            true => others.chain(bases).collect(),
            false => bases.into_iter().chain(others).collect(),
        };
        let mut deleted = 0;
        for batch in batches {
            self.check_same_log(snapshot).await?;
            let deletions = batch.into_iter().map(|path| self.delete_log_file(path));
            deleted += try_join_all(deletions).await?.into_iter().sum::<usize>();
        }
        let sidecars = self.unnamed_sidecars(&files, kept).await?;
        for batch in sidecars.chunks(DELETES_MAX) {
            self.check_same_log(snapshot).await?;
            let deletions = batch.iter().cloned().map(|path| self.delete_log_file(path));
            deleted += try_join_all(deletions).await?.into_iter().sum::<usize>();
        }
        Ok(deleted)
    }

    /// Lists the sidecars that may go when the checkpoints before version `kept` are gone.
    async fn unnamed_sidecars(&self, files: &LogFiles, kept: i64) -> Result<Vec<Path>> {
        let mut unnamed = files.sidecars_before(clock::now_ms().saturating_sub(SIDECAR_AGE_MIN_MS));
        if unnamed.is_empty() {
            return Ok(unnamed);
        }
        let mut named = HashSet::new();
        for (_, parts) in files.checkpoints.range(kept..) {
            for part in parts {
                named.extend(self.sidecars_of(&part.meta.location).await?);
            }
        }
        unnamed.retain(|path| path.filename().is_some_and(|name| !named.contains(name)));
        Ok(unnamed)
    }

    async fn delete_log_file(&self, path: Path) -> Result<usize> {
        let (store, _) = self.store();
        match store.delete(&path).await {
            Ok(()) => Ok(1),
            Err(object_store::Error::NotFound { .. }) => Ok(0),
            Err(source) => Err(Error::Store {
                action: "delete",
                path: path.to_string(),
                source,
            }),
        }
    }
}

/// What may go.
#[derive(Debug, Default, PartialEq, Eq)]
struct Expired {
    /// What versions can be rebuilt from: commit 0 and checkpoints. Ascending by version.
    bases: Vec<Path>,
    /// Commits, checksums, compacted commits. Ascending by version.
    others: Vec<Path>,
    /// The version of the oldest checkpoint that stays.
    kept: i64,
}

/// Lists what may go: all that is older than the newest complete checkpoint from before the cutoff.
fn expired_files(files: &LogFiles, cutoff_ms: i64) -> Expired {
    // A checkpoint is written after the commit of its version, so its own time errs on the safe side.
    let kept = files.complete_checkpoints().rev().find(|(_, parts)| {
        let written = parts
            .iter()
            .map(|part| part.meta.last_modified.timestamp_millis())
            .max();
        written.is_some_and(|written_ms| written_ms <= cutoff_ms)
    });
    let Some((kept, _)) = kept else {
        return Expired::default();
    };
    let commits = files.commits.range(..kept);
    let (first, commits): (Vec<_>, Vec<_>) = commits
        .map(|(version, meta)| (*version, meta.location.clone()))
        .partition(|(version, _)| *version == 0);
    let derived = files.derived.iter().filter(|(version, _)| *version < kept);
    let mut others: Vec<(i64, Path)> = derived
        .map(|(version, meta)| (*version, meta.location.clone()))
        .chain(commits)
        .collect();
    others.sort();
    let checkpoints = files.checkpoints.range(..kept);
    let checkpoints = checkpoints.flat_map(|(_, parts)| parts.iter().map(|part| part.meta.location.clone()));
    Expired {
        bases: first
            .into_iter()
            .map(|(_, path)| path)
            .chain(checkpoints)
            .collect(),
        others: others.into_iter().map(|(_, path)| path).collect(),
        kept,
    }
}
