//! What can go wrong with a Delta table.

use ingot_common::{Classify, Kind};

/// The result of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One variant for each act that can fail.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no Delta table at location=`{location}`")]
    NotATable { location: String },
    #[error("a Delta table exists at location=`{location}`")]
    TableExists { location: String },
    #[error(
        "version={version} of table at location=`{location}` does not exist; available: {earliest} to {latest}"
    )]
    VersionNotFound {
        location: String,
        version: i64,
        earliest: i64,
        latest: i64,
    },
    #[error(
        "table at location=`{location}` has no version at {}; available: {} to {}",
        instant(*timestamp_ms), instant(*earliest_ms), instant(*latest_ms)
    )]
    TimestampNotFound {
        location: String,
        /// Milliseconds since the epoch, as are the others.
        timestamp_ms: i64,
        earliest_ms: i64,
        latest_ms: i64,
    },
    #[error("value of partition column `{column}` is not of its type")]
    PartitionValue {
        column: String,
        #[source]
        source: arrow::error::ArrowError,
    },
    #[error("object store failed to {action} path=`{path}`")]
    Store {
        action: &'static str,
        path: String,
        #[source]
        source: object_store::Error,
    },
    #[error(
        "no commit can be made to table at location=`{location}`: its store cannot put a file only if absent"
    )]
    NoPutIfAbsent {
        location: String,
        #[source]
        source: object_store::Error,
    },
    #[error("{message}")]
    InvalidArgument { message: String },
    /// A change of the table that Delta refuses, by Delta's error condition.
    #[error("{message}")]
    Refused {
        condition: &'static str,
        sqlstate: &'static str,
        message: String,
    },
    #[error("{message}")]
    ChangeFeed {
        condition: &'static str,
        sqlstate: &'static str,
        message: String,
    },
    #[error(
        "table at location=`{location}` needs feature=`{feature}`, which cannot be honoured for {operation}"
    )]
    UnsupportedFeature {
        location: String,
        feature: String,
        operation: &'static str,
    },
    #[error("log of table at location=`{location}` is corrupt: {message}")]
    CorruptLog { location: String, message: String },
    #[error("delta kernel failed to {action}")]
    Kernel {
        action: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// `path` tells the column, nested ones by their parents' names.
    #[error(
        "cannot merge the column `{path}` of the rows into the table: type {rows} does not fit type {table}"
    )]
    SchemaMerge {
        path: String,
        table: String,
        rows: String,
    },
    #[error("rows of file `{path}` cannot be given ids: its statistics do not say how many there are")]
    RowCountUnknown { path: String },
    #[error("NOT NULL constraint violated for column: {column}")]
    NullInNotNull { column: String },
    #[error("arrow failed to {action}")]
    Arrow {
        action: &'static str,
        #[source]
        source: arrow::error::ArrowError,
    },
    #[error("parquet failed to {action} path=`{path}`")]
    Parquet {
        action: &'static str,
        path: String,
        #[source]
        source: parquet::errors::ParquetError,
    },
    #[error(
        "log of table at location=`{location}` is no longer the one that version={version} was read from: the table \
         was made anew or its log cleaned up"
    )]
    LogReplaced { location: String, version: i64 },
    #[error("commit to table at location=`{location}` lost {retries} races in a row; nothing was committed")]
    CommitRetriesExhausted { location: String, retries: u32 },
    /// Not to be tried again before someone has looked into the log: that may do it twice.
    #[error(
        "outcome of commit version={version} to table at location=`{location}` is unknown: the store failed to \
         write it and to read it back; txnId=`{transaction_id}` in the log tells"
    )]
    CommitOutcomeUnknown {
        location: String,
        version: i64,
        transaction_id: String,
        #[source]
        source: Box<Error>,
    },
    /// Not to be tried again: that would do it twice.
    #[error(
        "commit version={version} to table at location=`{location}` is on disk, but the table could not be read \
         after it"
    )]
    CommittedUnread {
        location: String,
        version: i64,
        #[source]
        source: Box<Error>,
    },
    #[error(
        "VACUUM with a retention of {} hours may delete files that are still read or about to be committed; table \
         keeps them for {} hours (`delta.deletedFileRetentionDuration`). If nothing is running, set \
         `spark.databricks.delta.retentionDurationCheck.enabled` to false",
        hours(*asked_ms), hours(*configured_ms)
    )]
    VacuumRetentionTooShort {
        /// Milliseconds, as is the other.
        configured_ms: i64,
        asked_ms: i64,
    },
    #[error(
        "VACUUM LITE of table at location=`{location}` cannot find all files that may go: its log begins at \
         version={earliest}; run VACUUM FULL"
    )]
    VacuumLiteImpossible { location: String, earliest: i64 },
    #[error("table at location=`{location}` is at version={version} already; there is nothing to restore")]
    RestoreNothing { location: String, version: i64 },
    #[error(
        "version={version} of table at location=`{location}` cannot be restored: {count} of its files are gone: {}",
        paths.join(", ")
    )]
    RestoreFilesMissing {
        location: String,
        version: i64,
        count: usize,
        /// The first of them.
        paths: Vec<String>,
    },
    #[error("table at location=`{location}` was not restored: others committed again and again")]
    RestoreConflict {
        location: String,
        #[source]
        reason: crate::ConflictReason,
    },
    #[error("internal: {message}")]
    Internal { message: String },
}

impl Error {
    /// Makes the error of a change that Delta refuses, with its condition.
    pub(crate) fn refused(condition: &'static str, sqlstate: &'static str, message: String) -> Self {
        Self::Refused {
            condition,
            sqlstate,
            message,
        }
    }
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::NotATable { .. } | Self::VersionNotFound { .. } | Self::TimestampNotFound { .. } => {
                Kind::NotFound
            }
            Self::TableExists { .. } => Kind::AlreadyExists,
            Self::Store { source, .. } => store_kind(source),
            Self::InvalidArgument { .. }
            | Self::Refused { .. }
            | Self::NullInNotNull { .. }
            | Self::SchemaMerge { .. } => Kind::InvalidArgument,
            Self::RestoreFilesMissing { .. } => Kind::NotFound,
            Self::RestoreConflict { .. } => Kind::Conflict,
            Self::RestoreNothing { .. } | Self::VacuumRetentionTooShort { .. } => Kind::InvalidArgument,
            Self::VacuumLiteImpossible { .. } => Kind::FailedPrecondition,
            Self::UnsupportedFeature { .. } | Self::RowCountUnknown { .. } | Self::NoPutIfAbsent { .. } => {
                Kind::Unsupported
            }
            Self::CorruptLog { .. } | Self::PartitionValue { .. } => Kind::DataLoss,
            Self::ChangeFeed { condition, .. } => match *condition {
                "DELTA_INVALID_CDC_RANGE"
                | "DELTA_TIMESTAMP_GREATER_THAN_COMMIT"
                | "DELTA_TABLE_ALREADY_CONTAINS_CDC_COLUMNS" => Kind::InvalidArgument,
                _ => Kind::FailedPrecondition,
            },
            Self::CommitRetriesExhausted { .. } | Self::LogReplaced { .. } => Kind::Conflict,
            Self::CommitOutcomeUnknown { .. }
            | Self::CommittedUnread { .. }
            | Self::Kernel { .. }
            | Self::Arrow { .. }
            | Self::Parquet { .. }
            | Self::Internal { .. } => Kind::Internal,
        }
    }

    fn condition(&self) -> Option<&str> {
        match self {
            Self::Refused { condition, .. } => Some(condition),
            Self::SchemaMerge { .. } => Some("DELTA_FAILED_TO_MERGE_FIELDS"),
            Self::ChangeFeed { condition, .. } => Some(condition),
            Self::NullInNotNull { .. } => Some("DELTA_NOT_NULL_CONSTRAINT_VIOLATED"),
            Self::NotATable { .. } => Some("DELTA_TABLE_NOT_FOUND"),
            Self::VersionNotFound { .. } => Some("DELTA_VERSION_NOT_FOUND"),
            Self::TimestampNotFound {
                timestamp_ms,
                earliest_ms,
                ..
            } if timestamp_ms < earliest_ms => Some("DELTA_TIMESTAMP_EARLIER_THAN_COMMIT_RETENTION"),
            Self::TimestampNotFound { .. } => Some("DELTA_TIMESTAMP_GREATER_THAN_COMMIT"),
            _ => None,
        }
    }

    fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Refused { sqlstate, .. } => Some(sqlstate),
            Self::SchemaMerge { .. } => Some("22005"),
            Self::ChangeFeed { sqlstate, .. } => Some(sqlstate),
            Self::NullInNotNull { .. } => Some("23502"),
            Self::NotATable { .. } => Some("42P01"),
            Self::VersionNotFound { .. } => Some("22003"),
            Self::TimestampNotFound { .. } => Some("42816"),
            _ => None,
        }
    }
}

fn store_kind(error: &object_store::Error) -> Kind {
    match error {
        object_store::Error::NotFound { .. } => Kind::NotFound,
        object_store::Error::PermissionDenied { .. } => Kind::PermissionDenied,
        object_store::Error::Unauthenticated { .. } => Kind::Unauthenticated,
        object_store::Error::NotSupported { .. } | object_store::Error::NotImplemented { .. } => {
            Kind::Unsupported
        }
        _ => Kind::Unavailable,
    }
}

/// Returns hours, rounded up.
fn hours(ms: i64) -> i64 {
    const HOUR_MS: i64 = 60 * 60 * 1000;
    ms.div_euclid(HOUR_MS) + i64::from(ms.rem_euclid(HOUR_MS) > 0)
}

/// Writes an instant, milliseconds since the epoch, as ISO 8601 in UTC.
fn instant(timestamp_ms: i64) -> String {
    match chrono::DateTime::from_timestamp_millis(timestamp_ms) {
        Some(instant) => instant.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        None => format!("{timestamp_ms} ms"),
    }
}
