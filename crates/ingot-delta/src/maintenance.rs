//! What keeps a table's log short: expired-log cleanup. Never part of a commit.

use crate::{DeltaTable, Result};

impl DeltaTable {
    /// Writes a checkpoint of the newest version, unless one exists. Returns its version.
    pub async fn checkpoint(&self) -> Result<i64> {
        todo!()
    }

    /// Deletes commits and checkpoints that no retained version needs (`delta.logRetentionDuration`,
    /// 30 days unless set). Returns how many files went.
    pub async fn cleanup_expired_logs(&self) -> Result<usize> {
        todo!()
    }
}
