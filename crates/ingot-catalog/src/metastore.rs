//! The metastore of one data directory: its database, and the rules that all of its operations share.
//!
//! ```text
//! operation ─► one transaction ─► rows ─► values of `model`
//!    writes: BEGIN IMMEDIATE, so that a write never fails for a read it began with
//! ```
//! The database is synced before an operation returns. Several processes may open the same file; SQLite's lock
//! orders their writes. Queries keep to SQL that Postgres knows too.

mod catalogs;
mod constraints;
mod dropped;
mod filters;
mod functions;
mod grants;
mod permissions;
mod policy;
mod row;
mod schemas;
mod tables;
mod tags;
mod tokens;
mod volumes;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ingot_common::retry::RetryPolicy;
use ingot_common::{Identifier, SchemaName, clock};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{SqlSafeStr, Sqlite, SqlitePool, Transaction};
use url::Url;
use uuid::Uuid;

pub use self::grants::{GrantChange, check_principal};
pub use self::permissions::Sight;
use self::policy::KnownPolicy;
use crate::{Error, Result};

/// How long a statement waits for another process's write.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// How often opening is tried again while other processes open the same file.
const OPEN_RETRIES: RetryPolicy = RetryPolicy {
    retries_max: 20,
    pause_first: Duration::from_millis(10),
    pause_max: Duration::from_millis(500),
};

/// Source: SQLite, "Result and Error Codes".
const SQLITE_BUSY: u32 = 5;

/// Connections of one process.
const CONNECTIONS_MAX: u32 = 8;

/// Who owns what the metastore makes on its own.
const SYSTEM_PRINCIPAL: &str = "system";

/// The metastore of one data directory. Cheap to clone. Several processes may open the same one.
#[derive(Debug, Clone)]
pub struct Metastore {
    pool: SqlitePool,
    tables_root: Url,
    administrators: Arc<BTreeSet<String>>,
    known_policy: KnownPolicy,
}

impl Metastore {
    /// Opens the SQLite file at `database`, creates or migrates it, and makes catalogs `main` and `system`
    /// and schemas `main.default` and `system.query` where they are missing. Managed tables are placed below `tables_root`.
    ///
    /// # Errors
    /// `FailedPrecondition` when the file was written by a newer version, `Unavailable` when it cannot be opened.
    pub async fn open(database: &Path, tables_root: &Url) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(database)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = connect(options).await?;
        let mut tables_root = tables_root.clone();
        if !tables_root.path().ends_with('/') {
            tables_root.set_path(&format!("{}/", tables_root.path()));
        }
        let metastore = Self {
            pool,
            tables_root,
            administrators: Arc::default(),
            known_policy: KnownPolicy::default(),
        };
        metastore.migrate(database).await?;
        metastore.make_defaults().await?;
        Ok(metastore)
    }

    /// Lets principals of these names do everything. Without it, only what the server does for itself may.
    #[must_use]
    pub fn with_administrators(self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            administrators: Arc::new(names.into_iter().map(Into::into).collect()),
            known_policy: KnownPolicy::default(),
            ..self
        }
    }

    /// Says if the database answers.
    pub async fn ping(&self) -> Result<()> {
        let answer = sqlx::query("SELECT 1").execute(&self.pool).await;
        answer.map(drop).map_err(|source| Error::Database {
            action: "answer",
            source,
        })
    }

    /// Brings the database to this version's schema. Processes that start at once take turns.
    async fn migrate(&self, database: &Path) -> Result<()> {
        let steps = [
            ("securables", include_str!("../migrations/0001_securables.sql")),
            ("functions", include_str!("../migrations/0002_functions.sql")),
            (
                "volumes and tags",
                include_str!("../migrations/0003_volumes_and_tags.sql"),
            ),
            (
                "dropped volumes",
                include_str!("../migrations/0004_dropped_volumes.sql"),
            ),
            ("grants", include_str!("../migrations/0005_grants.sql")),
            ("tokens", include_str!("../migrations/0006_tokens.sql")),
            (
                "table constraints",
                include_str!("../migrations/0007_table_constraints.sql"),
            ),
            (
                "refresh schedules",
                include_str!("../migrations/0008_refresh_schedules.sql"),
            ),
            ("filters", include_str!("../migrations/0009_filters.sql")),
            (
                "shallow clones",
                include_str!("../migrations/0010_shallow_clones.sql"),
            ),
            (
                "metric views",
                include_str!("../migrations/0011_metric_views.sql"),
            ),
        ];
        let step = |(version, (name, text)): (i64, (&'static str, &'static str))| {
            let text = text.into_sql_str();
            Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, text, false)
        };
        let migrator = Migrator::with_migrations((1..).zip(steps).map(step).collect());
        // SQLite has no lock for migrations: a second process may fail on what the first has just made.
        let mut retries = OPEN_RETRIES.attempts();
        loop {
            let source = match migrator.run(&self.pool).await {
                Ok(()) => return Ok(()),
                Err(source) => source,
            };
            let newer = matches!(source, sqlx::migrate::MigrateError::VersionMissing(_));
            if newer || !retries.pause().await {
                return Err(Error::Migration {
                    path: database.display().to_string(),
                    source,
                });
            }
        }
    }

    async fn make_defaults(&self) -> Result<()> {
        for name in ["main", "system"] {
            let name = identifier(name)?;
            ignore_existing(self.create_catalog(&name, None, SYSTEM_PRINCIPAL).await)?;
        }
        for (catalog, schema) in [("main", "default"), ("system", "query")] {
            let name = SchemaName::new(identifier(catalog)?, identifier(schema)?);
            ignore_existing(self.create_schema(&name, None, SYSTEM_PRINCIPAL).await)?;
        }
        Ok(())
    }

    /// Begins a transaction that may write.
    async fn write(&self, action: &'static str) -> Result<Transaction<'static, Sqlite>> {
        let begun = self.pool.begin_with("BEGIN IMMEDIATE").await;
        begun.map_err(|source| Error::Database { action, source })
    }
}

/// Opens the database. The first of all connections makes it a WAL, for which SQLite waits for nobody.
pub(crate) async fn connect(options: SqliteConnectOptions) -> Result<SqlitePool> {
    let mut retries = OPEN_RETRIES.attempts();
    loop {
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS_MAX);
        let source = match pool.connect_with(options.clone()).await {
            Ok(pool) => return Ok(pool),
            Err(source) => source,
        };
        if !busy(&source) || !retries.pause().await {
            return Err(Error::Database {
                action: "open the database",
                source,
            });
        }
    }
}

/// Says if another connection has the database: `SQLITE_BUSY`, or one of its extended codes.
fn busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    let code = code.and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == SQLITE_BUSY)
}

fn ignore_existing<T>(outcome: Result<T>) -> Result<()> {
    match outcome {
        Ok(_) | Err(Error::AlreadyExists { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn identifier(name: &str) -> Result<Identifier> {
    Identifier::new(name).map_err(|error| Error::InvalidArgument {
        message: error.to_string(),
    })
}

/// Says if a statement failed because its name is taken.
fn taken(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation())
}

/// Commits what a transaction has written.
async fn commit(transaction: Transaction<'static, Sqlite>, action: &'static str) -> Result<()> {
    let committed = transaction.commit().await;
    committed.map_err(|source| database(action, source))
}

/// Writes comment, owner and properties by `statement`, which binds them, the time, `principal` and `id`.
async fn write_change(
    transaction: &mut Transaction<'static, Sqlite>,
    statement: &'static str,
    id: Uuid,
    (comment, owner, properties): (Option<String>, String, BTreeMap<String, String>),
    principal: &str,
    action: &'static str,
) -> Result<()> {
    let updated = sqlx::query(statement)
        .bind(comment)
        .bind(owner)
        .bind(row::to_json(&properties)?)
        .bind(clock::now_ms())
        .bind(principal)
        .bind(id.to_string())
        .execute(&mut **transaction)
        .await;
    updated.map(drop).map_err(|source| database(action, source))
}

/// Returns the instant that is so long ago.
fn before(ago: Duration) -> i64 {
    clock::now_ms() - i64::try_from(ago.as_millis()).unwrap_or(i64::MAX)
}

fn database(action: &'static str, source: sqlx::Error) -> Error {
    Error::Database { action, source }
}
