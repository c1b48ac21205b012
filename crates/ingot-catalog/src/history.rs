//! The statements that have ended, on disk: a database of its own beside the metastore's.
//!
//! ```text
//! engine ─► batches of records ─► one transaction ─► statements (record as JSON; what is searched by in columns)
//! ```
//! Several processes write and read the same file; SQLite's lock orders them, and never holds up the metastore, whose
//! database is another. It is not synced with each batch: a machine that loses power may lose the last batches, a process
//! that is killed loses what it had not handed over. The decision: ADR 0025.

use std::path::{Path, PathBuf};

use ingot_common::clock;
use ingot_common::history::{HistoryFilter, StatementRecord, user_id};
use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{QueryBuilder, Row, Sqlite, SqlitePool};

use crate::metastore::{BUSY_TIMEOUT, connect};
use crate::{Error, Result};

const DAY_MS: i64 = 86_400_000;

/// Tables and indices, made where they are missing. A change of theirs takes another file name: what is there is history.
const SCHEMA: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS statements (
        statement_id TEXT NOT NULL PRIMARY KEY,
        start_time BIGINT NOT NULL,
        status TEXT NOT NULL,
        executed_by TEXT NOT NULL,
        user_id BIGINT NOT NULL,
        record TEXT NOT NULL
    )",
    "CREATE INDEX IF NOT EXISTS statements_by_start ON statements (start_time, statement_id)",
];

/// How much of the past is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryRetention {
    pub days_max: u32,
    /// Of the file, freed pages apart.
    pub bytes_max: u64,
}

/// The history of a data directory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HistoryStore {
    pool: SqlitePool,
}

impl HistoryStore {
    /// Opens the SQLite file at `path`, and creates it where it is missing.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be opened.
    pub async fn open(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = connect(options).await?;
        for statement in SCHEMA {
            sqlx::query(statement)
                .execute(&pool)
                .await
                .map_err(failed("make the query history"))?;
        }
        Ok(Self { pool })
    }

    /// Keeps statements that have ended. One whose id is known already is left as it is.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be written; none is kept then.
    pub async fn append(&self, records: &[StatementRecord]) -> Result<()> {
        let failed = || failed("write the query history");
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed())?;
        for record in records {
            let text = serde_json::to_string(record).map_err(|error| Error::InvalidArgument {
                message: format!("statement {} is no record: {error}", record.statement_id),
            })?;
            sqlx::query(
                "INSERT INTO statements (statement_id, start_time, status, executed_by, user_id, record)
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
            )
            .bind(record.statement_id.to_string())
            .bind(record.start_time)
            .bind(record.status.as_str())
            .bind(&record.executed_by)
            .bind(user_id(&record.executed_by))
            .bind(text)
            .execute(&mut *transaction)
            .await
            .map_err(failed())?;
        }
        transaction.commit().await.map_err(failed())
    }

    /// Lists statements, the one that started last first. A record that cannot be read is left out.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be read.
    pub async fn list(&self, filter: &HistoryFilter) -> Result<Vec<StatementRecord>> {
        let rows = query(filter)
            .build()
            .fetch_all(&self.pool)
            .await
            .map_err(failed("read the query history"))?;
        let records = rows.iter().filter_map(|row| {
            let text: String = row.try_get("record").ok()?;
            serde_json::from_str(&text)
                .inspect_err(|error| tracing::warn!(%error, "a record of the query history cannot be read"))
                .ok()
        });
        Ok(records.collect())
    }

    /// Deletes what is older, and more, than is kept. Idempotent.
    ///
    /// # Errors
    /// `Unavailable` when the database cannot be written.
    pub async fn trim(&self, retention: HistoryRetention) -> Result<()> {
        let failed = || failed("trim the query history");
        let oldest = clock::now_ms() - i64::from(retention.days_max).saturating_mul(DAY_MS);
        sqlx::query("DELETE FROM statements WHERE start_time < $1")
            .bind(oldest)
            .execute(&self.pool)
            .await
            .map_err(failed())?;
        let used = self.bytes().await.map_err(failed())?;
        if used > retention.bytes_max {
            let count: i64 = sqlx::query_scalar("SELECT count(*) FROM statements")
                .fetch_one(&self.pool)
                .await
                .map_err(failed())?;
            sqlx::query(
                "DELETE FROM statements WHERE statement_id IN
                 (SELECT statement_id FROM statements ORDER BY start_time LIMIT $1)",
            )
            .bind(surplus(count, used, retention.bytes_max))
            .execute(&self.pool)
            .await
            .map_err(failed())?;
        }
        sqlx::query("PRAGMA incremental_vacuum")
            .execute(&self.pool)
            .await
            .map_err(failed())?;
        Ok(())
    }

    /// Returns the bytes of pages in use.
    async fn bytes(&self) -> Result<u64, sqlx::Error> {
        let used: i64 = sqlx::query_scalar(
            "SELECT (page_count - freelist_count) * page_size
             FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(used.try_into().unwrap_or_default())
    }
}

/// Returns how many of `count` statements go, so that those that stay take nine tenths of `bytes_max`.
fn surplus(count: i64, used: u64, bytes_max: u64) -> i64 {
    let kept = i128::from(bytes_max) * 9 / 10 * i128::from(count) / i128::from(used.max(1));
    count - i64::try_from(kept).unwrap_or(count).clamp(0, count)
}

/// Writes the query of a filter.
fn query(filter: &HistoryFilter) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("SELECT record FROM statements WHERE 1 = 1");
    if let Some(from) = filter.started_from {
        query.push(" AND start_time >= ").push_bind(from);
    }
    if let Some(to) = filter.started_to {
        query.push(" AND start_time <= ").push_bind(to);
    }
    if let Some(user) = &filter.executed_by {
        query.push(" AND executed_by = ").push_bind(user.clone());
    }
    if let Some(after) = filter.after {
        query
            .push(" AND (start_time, statement_id) < (")
            .push_bind(after.start_time)
            .push(", ")
            .push_bind(after.statement_id.to_string())
            .push(")");
    }
    let ids = filter.statement_ids.iter().map(ToString::to_string);
    any_of(&mut query, "statement_id", ids);
    let statuses = filter.statuses.iter().map(|status| status.as_str().to_owned());
    any_of(&mut query, "status", statuses);
    any_of(&mut query, "user_id", filter.user_ids.iter().copied());
    query.push(" ORDER BY start_time DESC, statement_id DESC");
    if let Some(limit) = filter.limit {
        query
            .push(" LIMIT ")
            .push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
    }
    query
}

/// Adds that a column has one of some values; nothing where there are none.
fn any_of<T>(query: &mut QueryBuilder<Sqlite>, column: &'static str, values: impl ExactSizeIterator<Item = T>)
where
    T: for<'q> sqlx::Encode<'q, Sqlite> + sqlx::Type<Sqlite> + Send + 'static,
{
    if values.len() == 0 {
        return;
    }
    query.push(format!(" AND {column} IN ("));
    let mut listed = query.separated(", ");
    for value in values {
        listed.push_bind(value);
    }
    query.push(")");
}

fn failed(action: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |source| Error::Database { action, source }
}

/// Returns the file below a data directory.
pub fn history_file(directory: &Path) -> PathBuf {
    directory.join("history.sqlite")
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(100, 1000, 1000, 10; "a tenth more than asked goes")]
    #[test_case(100, 2000, 1000, 55; "of twice as much")]
    #[test_case(0, 4096, 1, 0; "there is nothing")]
    #[test_case(10, 4096, 0, 10; "nothing may stay")]
    fn what_is_too_much_goes(count: i64, used: u64, bytes_max: u64, expected: i64) {
        assert_eq!(surplus(count, used, bytes_max), expected);
    }
}
