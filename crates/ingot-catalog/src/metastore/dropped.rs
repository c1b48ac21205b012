//! What is known of securables that are no more, and is forgotten with them: tags and grants.

use sqlx::{Sqlite, Transaction};

use super::database;
use crate::Result;

/// Forgets what was of securables that the transaction has dropped.
pub(super) async fn forget(transaction: &mut Transaction<'static, Sqlite>) -> Result<()> {
    for statement in [
        "DELETE FROM tags WHERE securable_id NOT IN (SELECT id FROM catalogs UNION SELECT id FROM schemas \
         UNION SELECT id FROM volumes UNION SELECT id FROM tables WHERE state <> 'DROPPED')",
        "DELETE FROM grants WHERE securable_id NOT IN (SELECT id FROM catalogs UNION SELECT id FROM schemas \
         UNION SELECT id FROM volumes UNION SELECT id FROM functions \
         UNION SELECT id FROM tables WHERE state <> 'DROPPED' \
         UNION SELECT '00000000-0000-0000-0000-000000000000')",
    ] {
        let forgotten = sqlx::query(statement).execute(&mut **transaction).await;
        forgotten.map_err(|source| database("forget what was dropped", source))?;
    }
    Ok(())
}
