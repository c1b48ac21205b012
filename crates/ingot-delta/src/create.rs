//! Creating tables.

use std::sync::Arc;

use url::Url;

use crate::{CreateTable, DeltaTable, DeltaTables, Result};

impl DeltaTables {
    /// Creates a table: commit 0 with protocol (3,7), the features it uses and in-commit timestamps.
    ///
    /// # Errors
    /// `AlreadyExists` when a table stands there, also when another process created it meanwhile.
    pub async fn create(&self, location: &Url, table: CreateTable) -> Result<Arc<DeltaTable>> {
        let _ = (location, table);
        todo!()
    }
}
