//! The commits of a table's log.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;
use url::Url;

/// The commit files of one table. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    root: Path,
}

impl Log {
    pub fn new(store: Arc<dyn ObjectStore>, root: Path, location: Url) -> Self {
        let _ = (store, location);
        Self { root }
    }

    pub fn commit_path(&self, version: i64) -> Path {
        let folder = self.root.clone().join("_delta_log");
        folder.join(format!("{version:020}.json"))
    }
}
