//! The history of statements: what is known of each that came through the statement service, and how front doors ask.
//!
//! The engine fills a [`StatementRecord`] while a statement runs; the metastore's crate keeps those that have ended. The
//! words are those of Databricks' `system.query.history` and of its query history API.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{RequestContext, ServiceError};

/// What all statements run on, as clients name it: a process is one SQL warehouse.
pub const WAREHOUSE_ID: &str = "ingot";

/// How far a statement is, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StatementStatus {
    /// Waits for its turn.
    Queued,
    Running,
    Finished,
    Failed,
    /// Its client stopped it, or left before it had all rows.
    Canceled,
}

impl StatementStatus {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Queued,
        Self::Running,
        Self::Finished,
        Self::Failed,
        Self::Canceled,
    ];

    /// Returns the name that Databricks gives it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Running => "RUNNING",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Canceled => "CANCELED",
        }
    }

    /// Says if nothing more will be known of the statement.
    pub fn ended(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

impl fmt::Display for StatementStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where the time of a statement went, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatementTimes {
    /// From its arrival to its last row.
    pub total: u64,
    /// In the queue.
    pub waiting_at_capacity: u64,
    /// Until its first plan was made.
    pub compilation: u64,
    pub execution: u64,
    /// Rows were ready, and its client had not asked for them.
    pub result_fetch: u64,
    /// Of all cores together, as far as operators count it.
    pub tasks: u64,
}

/// What a statement read, gave and wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatementCounts {
    pub read_files: u64,
    pub pruned_files: u64,
    pub read_rows: u64,
    pub read_bytes: u64,
    /// Bytes of those that came from the local file cache.
    pub read_cache_bytes: u64,
    pub produced_rows: u64,
    pub spilled_bytes: u64,
    pub written_files: u64,
    pub written_rows: u64,
    pub written_bytes: u64,
}

/// What is known of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementRecord {
    /// The id that the client of the statement was given.
    pub statement_id: Uuid,
    /// `None` for a statement that came without a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Uuid>,
    pub status: StatementStatus,
    pub executed_by: String,
    /// Cut where it is long.
    pub statement_text: String,
    /// `SELECT`, `INSERT`, … as Databricks names them.
    pub statement_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_application: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_driver: Option<String>,
    /// Milliseconds since the epoch, as the others.
    pub start_time: i64,
    /// `None` while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<i64>,
    pub update_time: i64,
    pub times: StatementTimes,
    pub counts: StatementCounts,
    pub from_result_cache: bool,
    /// Tags of the session and the statement; one without a value has none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query_tags: BTreeMap<String, Option<String>>,
}

/// A place in the history, whose order is: what started last comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HistoryPosition {
    pub start_time: i64,
    pub statement_id: Uuid,
}

impl StatementRecord {
    /// Returns where it stands in the history.
    pub fn position(&self) -> HistoryPosition {
        HistoryPosition {
            start_time: self.start_time,
            statement_id: self.statement_id,
        }
    }
}

/// Which statements to list. What is empty or absent says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryFilter {
    /// Milliseconds since the epoch; inclusive, as the next.
    pub started_from: Option<i64>,
    pub started_to: Option<i64>,
    pub statement_ids: Vec<Uuid>,
    pub statuses: Vec<StatementStatus>,
    /// Numbers that [`user_id`] gives.
    pub user_ids: Vec<i64>,
    pub executed_by: Option<String>,
    /// Those after this place.
    pub after: Option<HistoryPosition>,
    pub limit: Option<usize>,
}

impl HistoryFilter {
    /// Says if a statement is one of those, `limit` apart.
    pub fn matches(&self, record: &StatementRecord) -> bool {
        let any = |empty: bool, found: bool| empty || found;
        self.started_from.is_none_or(|from| record.start_time >= from)
            && self.started_to.is_none_or(|to| record.start_time <= to)
            && any(
                self.statement_ids.is_empty(),
                self.statement_ids.contains(&record.statement_id),
            )
            && any(self.statuses.is_empty(), self.statuses.contains(&record.status))
            && any(
                self.user_ids.is_empty(),
                self.user_ids.contains(&user_id(&record.executed_by)),
            )
            && self
                .executed_by
                .as_ref()
                .is_none_or(|user| *user == record.executed_by)
            && self.after.is_none_or(|after| record.position() < after)
    }
}

/// An operator of a plan that ran or runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperatorProfile {
    pub name: String,
    /// What it was told to do, as EXPLAIN shows it; cut where it is long.
    pub details: String,
    /// Sums over its partitions; times in nanoseconds.
    pub metrics: BTreeMap<String, u64>,
    pub children: Vec<OperatorProfile>,
}

/// A statement, and the plans that it ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatementProfile {
    pub statement: StatementRecord,
    /// In the order in which they were made.
    pub plans: Vec<OperatorProfile>,
}

/// Answers what ran and what runs.
///
/// Implementers show a principal its own statements only, unless it may see all.
#[async_trait]
pub trait StatementHistory: Send + Sync {
    /// Lists statements, the one that started last first.
    ///
    /// # Errors
    /// `Unavailable` when the history cannot be read.
    async fn list(
        &self,
        context: &RequestContext,
        filter: HistoryFilter,
    ) -> Result<Vec<StatementRecord>, ServiceError>;

    /// Returns the profile of a statement that runs, or is among the last that ended.
    ///
    /// # Errors
    /// `NotFound` for any other.
    async fn profile(
        &self,
        context: &RequestContext,
        statement_id: Uuid,
    ) -> Result<StatementProfile, ServiceError>;
}

/// Returns the number that stands for a user where clients expect one: the same for the same name, always.
///
/// Source: FNV-1a, cut to the bits that JSON's numbers have.
pub fn user_id(name: &str) -> i64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    i64::try_from(hash & ((1 << 53) - 1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn record() -> StatementRecord {
        StatementRecord {
            statement_id: Uuid::from_u128(7),
            session_id: None,
            status: StatementStatus::Finished,
            executed_by: "ann".to_owned(),
            statement_text: "SELECT 1".to_owned(),
            statement_type: "SELECT".to_owned(),
            error_message: None,
            client_application: None,
            client_driver: None,
            start_time: 100,
            end_time: Some(110),
            update_time: 110,
            times: StatementTimes::default(),
            counts: StatementCounts::default(),
            from_result_cache: false,
            query_tags: BTreeMap::from([("team".to_owned(), None)]),
        }
    }

    fn after(start_time: i64, id: u128) -> HistoryFilter {
        HistoryFilter {
            after: Some(HistoryPosition {
                start_time,
                statement_id: Uuid::from_u128(id),
            }),
            ..HistoryFilter::default()
        }
    }

    #[test_case(HistoryFilter::default(), true; "no filter")]
    #[test_case(HistoryFilter { started_from: Some(100), started_to: Some(100), ..HistoryFilter::default() }, true; "bounds are within")]
    #[test_case(HistoryFilter { started_from: Some(101), ..HistoryFilter::default() }, false; "too early")]
    #[test_case(HistoryFilter { started_to: Some(99), ..HistoryFilter::default() }, false; "too late")]
    #[test_case(HistoryFilter { statement_ids: vec![Uuid::from_u128(8)], ..HistoryFilter::default() }, false; "another id")]
    #[test_case(HistoryFilter { statuses: vec![StatementStatus::Failed, StatementStatus::Finished], ..HistoryFilter::default() }, true; "one of the statuses")]
    #[test_case(HistoryFilter { statuses: vec![StatementStatus::Running], ..HistoryFilter::default() }, false; "another status")]
    #[test_case(HistoryFilter { user_ids: vec![user_id("ann")], ..HistoryFilter::default() }, true; "the user by number")]
    #[test_case(HistoryFilter { executed_by: Some("bob".to_owned()), ..HistoryFilter::default() }, false; "another user")]
    #[test_case(after(100, 8), true; "started with, and has a smaller id")]
    #[test_case(after(100, 7), false; "is the place itself")]
    #[test_case(after(99, 9), false; "started later")]
    fn statements_are_chosen(filter: HistoryFilter, expected: bool) {
        assert_eq!(filter.matches(&record()), expected);
    }

    #[test]
    fn a_record_is_read_back() {
        let text = serde_json::to_string(&record()).expect("JSON");
        assert_eq!(
            serde_json::from_str::<StatementRecord>(&text).expect("read"),
            record()
        );
    }

    #[test]
    fn users_have_numbers_of_their_own() {
        assert_ne!(user_id("ann"), user_id("bob"));
        // Kept in clients' filters: it must not change.
        assert_eq!(user_id("admin"), 3_914_252_170_724_436);
    }
}
