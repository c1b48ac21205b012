//! Tombstones between checkpoints. The kernel replays the whole log for them and lists it, which costs more with each
//! commit; what it told once is kept, and later commits add theirs.

use std::collections::HashSet;
use std::sync::Arc;

use crate::file_index::FileKey;
use crate::retention::Retention;
use crate::snapshot::LogIdentity;
use crate::{Action, DeltaTable, Remove, Result, Snapshot};

/// Tombstones kept in memory; a table with more asks the kernel each time.
const KEPT_MAX: usize = 100_000;

/// Commits read one by one; after more the kernel is asked, which starts from a checkpoint.
const COMMITS_MAX: i64 = 1_000;

/// The tombstones of a version.
#[derive(Debug)]
pub(crate) struct Tombstones {
    version: i64,
    log: LogIdentity,
    /// Not expired when they were kept. Some may be of files that were added again since.
    removes: Vec<Remove>,
}

impl DeltaTable {
    /// Returns the tombstones at `snapshot`. Some may be expired, or be of files that are live again.
    pub(crate) async fn tombstones(&self, snapshot: &Arc<Snapshot>, now_ms: i64) -> Result<Vec<Remove>> {
        let mut kept = self.kept_tombstones().lock().await;
        let removes = match kept.take() {
            Some(known) if known.leads_to(snapshot) => self.with_commits(known, snapshot).await?,
            _ => None,
        };
        let removes = match removes {
            Some(removes) => removes,
            None => self.kernel().tombstones(snapshot.version()).await?,
        };
        let kept_ms = Retention::of(snapshot.properties()).deleted_files_ms;
        let cutoff_ms = now_ms.saturating_sub(kept_ms);
        let fresh = removes
            .iter()
            .filter(|remove| remove.deletion_timestamp.unwrap_or_default() >= cutoff_ms);
        let fresh: Vec<Remove> = fresh.take(KEPT_MAX + 1).cloned().collect();
        if fresh.len() <= KEPT_MAX {
            *kept = Some(Tombstones {
                version: snapshot.version(),
                log: snapshot.log().clone(),
                removes: fresh,
            });
        }
        Ok(removes)
    }

    /// Adds the tombstones of the commits up to `snapshot`; `None` when one of them is gone.
    async fn with_commits(&self, known: Tombstones, snapshot: &Snapshot) -> Result<Option<Vec<Remove>>> {
        let mut removes = known.removes;
        for version in known.version + 1..=snapshot.version() {
            let Some(commit) = self.log().read_commit(version).await? else {
                return Ok(None);
            };
            removes.extend(commit.into_iter().filter_map(|action| match action {
                Action::Remove(remove) => Some(remove),
                _ => None,
            }));
        }
        // The last word on a file counts, as in a replay.
        let mut seen = HashSet::new();
        removes.reverse();
        removes.retain(|remove| seen.insert(FileKey::new(&remove.path, remove.deletion_vector.as_ref())));
        Ok(Some(removes))
    }
}

impl Tombstones {
    fn leads_to(&self, snapshot: &Snapshot) -> bool {
        let commits = snapshot.version() - self.version;
        self.log == *snapshot.log() && (0..=COMMITS_MAX).contains(&commits)
    }
}
