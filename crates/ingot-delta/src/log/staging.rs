//! Commits that are written and synced before they get their version, in a log that is a local folder.

use std::sync::Arc;

use super::{Log, text};
use crate::store::{LocalStaging, Published, StagedFile};
use crate::{Action, Result, Snapshot};

/// A log that takes commits in three steps: stage, publish, settle. Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StagedLog<'a> {
    log: &'a Log,
    staging: &'a LocalStaging,
}

impl<'a> StagedLog<'a> {
    pub(super) fn new(log: &'a Log, staging: &'a LocalStaging) -> Self {
        Self { log, staging }
    }

    /// Writes a commit that has no version yet, in place of one that is `outdated`. It is on disk then.
    ///
    /// # Errors
    /// `Unavailable` when the store failed: nothing is there.
    pub async fn stage(
        self,
        actions: &[Action],
        outdated: Option<Arc<StagedFile>>,
    ) -> Result<Arc<StagedFile>> {
        let text = text(actions)?;
        let staged = self.staging.stage(&self.log.folder, text, outdated).await;
        let staged = staged.map_err(|source| self.log.error("write", &self.log.folder, source))?;
        Ok(Arc::new(staged))
    }

    /// Makes a staged commit `version` if that is free, and if the commit of `known` is still the file that it was:
    /// what is absent above another log, or one that was cleaned up, is not free. Others see the commit then; it is
    /// not to be reported before it is settled.
    ///
    /// # Errors
    /// `Unavailable` when the store failed: the commit may or may not be there; read it back to know.
    pub async fn publish(
        self,
        version: i64,
        staged: &Arc<StagedFile>,
        known: &Arc<Snapshot>,
    ) -> Result<Published> {
        let path = self.log.commit_path(version);
        let before = self.log.commit_path(known.version());
        let known = Arc::clone(known);
        let unchanged = move |found: Option<&_>| known.committed_as(found);
        let published = self.staging.publish(staged, &path, &before, unchanged).await;
        published.map_err(|source| self.log.error("write", &path, source))
    }

    /// Makes all commits that stand in the log durable. `done` is published, and not needed any more.
    ///
    /// # Errors
    /// `Unavailable` when that cannot be said of them, nor after another try: what a system could not write it
    /// forgets.
    pub async fn settle(self, done: Option<Arc<StagedFile>>) -> Result<()> {
        let settled = self.staging.settle(&self.log.folder, done).await;
        settled.map_err(|source| self.log.error("sync", &self.log.folder, source))
    }
}
