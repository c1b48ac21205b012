//! The facts of decisions about who may do what, read once for as long as they stay.
//!
//! Every transaction that changes one of them raises the version in the same transaction, so whoever begins to work
//! after a REVOKE has been answered, in any process, decides without what was revoked. What was granted on a securable
//! that is gone may stay known for a while: its id is never another's.

use std::sync::{Arc, Mutex, PoisonError};

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, SqliteExecutor, Transaction};

use super::{Metastore, database, row};
use crate::Result;
use crate::policy::{Holder, Policy};

const ACTION: &str = "read who may do what";

/// What was read last.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownPolicy(Arc<Mutex<Option<Arc<Policy>>>>);

impl KnownPolicy {
    fn of_version(&self, version: i64) -> Option<Arc<Policy>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.filter(|policy| policy.version == version)
    }

    fn keep(&self, policy: &Arc<Policy>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(policy));
    }
}

impl Metastore {
    /// Returns what decides who may do what, as it is now.
    pub async fn policy(&self) -> Result<Arc<Policy>> {
        if let Some(known) = self.known_policy.of_version(version(&self.pool).await?) {
            return Ok(known);
        }
        let policy = Arc::new(self.read_policy().await?);
        self.known_policy.keep(&policy);
        Ok(policy)
    }

    async fn read_policy(&self) -> Result<Policy> {
        let failed = |source| database(ACTION, source);
        // One state of the database, whatever is written meanwhile.
        let mut transaction = self.pool.begin().await.map_err(failed)?;
        let mut policy = Policy {
            version: version(&mut *transaction).await?,
            administrators: Arc::clone(&self.administrators),
            ..Policy::default()
        };
        for found in all(&mut transaction, "SELECT * FROM catalogs").await? {
            let catalog = row::catalog(&found).map_err(failed)?;
            policy.catalogs.insert(
                catalog.name,
                Holder {
                    id: catalog.id,
                    owner: catalog.audit.owner,
                },
            );
        }
        for found in all(&mut transaction, "SELECT * FROM schemas").await? {
            let schema = row::schema(&found).map_err(failed)?;
            policy.schemas.insert(
                schema.name,
                Holder {
                    id: schema.id,
                    owner: schema.audit.owner,
                },
            );
        }
        let grants = "SELECT * FROM grants ORDER BY securable_id, principal, privilege";
        for found in all(&mut transaction, grants).await? {
            let grant = row::grant(&found).map_err(failed)?;
            let securable = row::uuid(&found, "securable_id").map_err(failed)?;
            policy.grants.entry(securable).or_default().push(grant);
        }
        Ok(policy)
    }
}

async fn all(transaction: &mut Transaction<'static, Sqlite>, query: &'static str) -> Result<Vec<SqliteRow>> {
    let rows = sqlx::query(query).fetch_all(&mut **transaction).await;
    rows.map_err(|source| database(ACTION, source))
}

async fn version(executor: impl SqliteExecutor<'_>) -> Result<i64> {
    let found = sqlx::query("SELECT version FROM policy_version")
        .fetch_one(executor)
        .await;
    found
        .and_then(|found| found.try_get("version"))
        .map_err(|source| database(ACTION, source))
}

/// Says, in the transaction that changes who may do what, that it does.
pub(super) async fn changed(transaction: &mut Transaction<'static, Sqlite>) -> Result<()> {
    let raised = sqlx::query("UPDATE policy_version SET version = version + 1")
        .execute(&mut **transaction)
        .await;
    raised.map(drop).map_err(|source| database(ACTION, source))
}
