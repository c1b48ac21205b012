//! What keeps a table's log short: expired-log cleanup. Never part of a commit.
//!
//! ```text
//! commits  0 … 9 10 11 … 19 20 21 … 29        cutoff = now - delta.logRetentionDuration
//! checkpoints    10         20                 newest complete checkpoint older than the cutoff: 10
//!          └───┘ deleted
//! ```
//!
//! Always true: every version from the kept checkpoint on can still be read. All files are classified before
//! the first is deleted; the oldest go first, so that an interrupted cleanup leaves no gap above what it kept.
//! Sidecar files of V2 checkpoints are left to VACUUM.
//! Source: Delta protocol, "Metadata Cleanup".

use futures::{StreamExt, stream};
use ingot_common::clock;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::retention::Retention;
use crate::table::LogFiles;
use crate::{DeltaTable, Error, Result, Snapshot};

/// Deletions in flight at once.
const DELETES_MAX: usize = 8;

/// A writer feature that forbids deleting history without a look at its property.
const CHECKPOINT_PROTECTION: &str = "checkpointProtection";

impl DeltaTable {
    /// Deletes commits and checkpoints that no retained version needs (`delta.logRetentionDuration`,
    /// 30 days unless set). Returns how many files went; 0 where `delta.enableExpiredLogCleanup` is off.
    ///
    /// # Errors
    /// `Unsupported` for tables with the feature `checkpointProtection`.
    pub async fn cleanup_expired_logs(&self) -> Result<usize> {
        let snapshot = self.snapshot().await?;
        if !self.may_clean(&snapshot)? {
            return Ok(0);
        }
        let files = self.log_files().await?;
        let cutoff_ms = clock::now_ms().saturating_sub(Retention::of(snapshot.properties()).log_ms);
        let expired = expired_files(&files, cutoff_ms);
        let (store, _) = self.store();
        let store = &store;
        let mut deletions = stream::iter(expired)
            .map(|path| async move {
                match store.delete(&path).await {
                    Ok(()) => Ok(1),
                    Err(object_store::Error::NotFound { .. }) => Ok(0),
                    Err(source) => Err(Error::Store {
                        action: "delete",
                        path: path.to_string(),
                        source,
                    }),
                }
            })
            .buffered(DELETES_MAX);
        let mut deleted = 0;
        while let Some(count) = deletions.next().await {
            deleted += count?;
        }
        Ok(deleted)
    }

    fn may_clean(&self, snapshot: &Snapshot) -> Result<bool> {
        let features = snapshot.protocol().writer_features.as_deref().unwrap_or_default();
        if features.iter().any(|feature| feature == CHECKPOINT_PROTECTION) {
            return Err(Error::UnsupportedFeature {
                location: self.location().to_string(),
                feature: CHECKPOINT_PROTECTION.to_owned(),
                operation: "log cleanup",
            });
        }
        let property = snapshot.properties().get("delta.enableExpiredLogCleanup");
        Ok(property.is_none_or(|value| !value.eq_ignore_ascii_case("false")))
    }
}

/// Lists what may go: all that is older than the newest complete checkpoint from before the cutoff.
/// Ascending by version.
fn expired_files(files: &LogFiles, cutoff_ms: i64) -> Vec<Path> {
    // A checkpoint is written after the commit of its version, so its own time errs on the safe side.
    let kept = files.complete_checkpoints().rev().find(|(_, parts)| {
        let written = parts
            .iter()
            .map(|part| part.meta.last_modified.timestamp_millis())
            .max();
        written.is_some_and(|written_ms| written_ms <= cutoff_ms)
    });
    let Some((kept, _)) = kept else {
        return Vec::new();
    };
    let commits = files.commits.range(..kept);
    let checkpoints = files.checkpoints.range(..kept);
    let mut expired: Vec<(i64, Path)> = commits
        .map(|(version, meta)| (*version, meta.location.clone()))
        .chain(
            checkpoints
                .flat_map(|(version, parts)| parts.iter().map(|part| (*version, part.meta.location.clone()))),
        )
        .chain(
            files
                .derived
                .iter()
                .filter(|(version, _)| *version < kept)
                .map(|(version, meta)| (*version, meta.location.clone())),
        )
        .collect();
    expired.sort();
    expired.into_iter().map(|(_, path)| path).collect()
}
