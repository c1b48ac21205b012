//! VACUUM LITE: what commits from before the retention removed, found in the log alone.
//!
//! How far it came is kept beside the log, where Spark keeps it, so that each commit is read once.

use std::collections::{HashMap, HashSet};

use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};

use super::{Deletable, Vacuum, classify};
use crate::kernel::VersionAt;
use crate::{Action, Error, Result};

/// The file that says how far the log has been dealt with. Source: Spark, `LastVacuumInfo`.
const LAST_VACUUM_INFO: &str = "_last_vacuum_info";

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LastVacuum {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    latest_commit_version_outside_of_retention_window: Option<i64>,
}

impl Vacuum<'_> {
    /// Lists what commits from before the cutoff removed and nobody needs.
    pub(super) async fn removed_long_ago(&self, needed: &HashSet<Path>) -> Result<Deletable> {
        let VersionAt::Found(last) = self.table.kernel().version_at(self.cutoff_ms).await? else {
            return Ok(Deletable::default());
        };
        let last = last.min(self.snapshot.version());
        let commits = self.table.log_files().await?.commits;
        let earliest = commits.keys().next().copied().unwrap_or_default();
        let dealt_with = self.last_vacuum().await?;
        if earliest != 0 && dealt_with.is_none_or(|version| version < earliest) {
            return Err(Error::VacuumLiteImpossible {
                location: self.table.location().to_string(),
                earliest,
            });
        }
        let first = dealt_with.map_or(earliest, |version| version + 1);
        let mut files: HashMap<Path, u64> = HashMap::new();
        for version in first..=last {
            let actions = self.table.commit_actions(version).await?;
            for action in actions.unwrap_or_default() {
                self.collect(&action, &mut files)?;
            }
        }
        files.retain(|path, _| !needed.contains(path));
        let folders: HashSet<Path> = files.keys().filter_map(classify::parent).collect();
        Ok(Deletable {
            folders: folders.len(),
            files: files.into_iter().collect(),
            version: (first <= last).then_some(last),
        })
    }

    fn collect(&self, action: &Action, files: &mut HashMap<Path, u64>) -> Result<()> {
        let unsigned = |bytes: i64| u64::try_from(bytes).unwrap_or_default();
        if let Some(path) = classify::change_data_path(action).and_then(|path| self.own_file(path)) {
            files.insert(path, 0);
        }
        if let Action::Remove(remove) = action {
            if let Some(path) = self.own_file(&remove.path) {
                files.insert(path, remove.size.map(unsigned).unwrap_or_default());
            }
            if let Some(vector) = &remove.deletion_vector
                && let Some(path) = self.own_vector(vector)?
            {
                files.insert(path, unsigned(i64::from(vector.size_in_bytes)));
            }
        }
        Ok(())
    }

    async fn last_vacuum(&self) -> Result<Option<i64>> {
        let (store, _) = self.table.store();
        let path = self.table.log_root().join(LAST_VACUUM_INFO);
        let bytes = match store.get(&path).await {
            Ok(found) => found.bytes().await,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => Err(source),
        };
        let bytes = bytes.map_err(|source| Error::Store {
            action: "read",
            path: path.to_string(),
            source,
        })?;
        // One that cannot be read is as good as none: more of the log is read.
        let info: LastVacuum = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(info.latest_commit_version_outside_of_retention_window)
    }

    /// Notes how far the log has been dealt with. A failure costs the next VACUUM LITE some reading.
    pub(super) async fn remember(&self, version: i64) {
        let info = LastVacuum {
            latest_commit_version_outside_of_retention_window: Some(version),
        };
        let Ok(text) = serde_json::to_vec(&info) else {
            return;
        };
        let (store, _) = self.table.store();
        let path = self.table.log_root().join(LAST_VACUUM_INFO);
        if let Err(error) = store.put(&path, PutPayload::from(text)).await {
            tracing::warn!(%path, %error, "how far the log was vacuumed is not noted");
        }
    }
}
