//! `RESTORE [TABLE] name [TO] VERSION AS OF n | TIMESTAMP AS OF expression`.

use datafusion::sql::sqlparser::ast::ObjectName;
use ingot_catalog::{KeyChange, TableChange};
use ingot_common::Kind;
use ingot_common::port::StatementResult;
use ingot_delta::{Error as DeltaError, Operation};

use super::cursor::Cursor;
use super::describe::open;
use super::time_travel::Point;
use super::{Work, counts, dataset};
use crate::access::MODIFY;
use crate::write::{column_infos, conflict_error};
use crate::{Error, Result, Session};

/// Parses the statement.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    cursor.accept("TABLE");
    let name = cursor.table_or_path()?;
    cursor.accept("TO");
    let point = Point::expect(cursor)?;
    cursor.end()?;
    Ok(Work::writes(run(session, name, point)))
}

async fn run(session: &Session, name: ObjectName, point: Point) -> Result<StatementResult> {
    let (info, table) = open(session, &name, MODIFY).await?;
    info.as_ref().map_or(Ok(()), dataset::check_restored)?;
    let operation = match &point {
        Point::Version(version) => Operation::new("RESTORE").with("version", version.to_string()),
        Point::Timestamp { text, .. } => Operation::new("RESTORE").with("timestamp", text.trim_matches('\'')),
    };
    let point = point.resolve(session).await?;
    let principal = session.context().principal.as_str();
    let restored = table
        .restore(point, &operation, &session.author())
        .await
        .map_err(named)?;
    if let Some(info) = info {
        let snapshot = &restored.snapshot;
        let columns = column_infos(snapshot.schema(), snapshot.partition_columns());
        let metastore = session.engine().metastore();
        let change = TableChange {
            columns: &columns,
            keys: KeyChange::Keep,
            comment: info.comment.as_deref(),
            properties: &info.properties,
            dataset: None,
            shallow_clone: None,
        };
        metastore.set_replaced(info.id, &change, principal).await?;
    }
    let metric = |name: &str| restored.metrics.get(name);
    counts(&[
        ("table_size_after_restore", metric("tableSizeAfterRestore")),
        ("num_of_files_after_restore", metric("numOfFilesAfterRestore")),
        ("num_removed_files", metric("numRemovedFiles")),
        ("num_restored_files", metric("numRestoredFiles")),
        ("removed_files_size", metric("removedFilesSize")),
        ("restored_files_size", metric("restoredFilesSize")),
    ])
}

/// Gives refusals the names that Delta has for them.
fn named(error: DeltaError) -> Error {
    let (kind, condition, sqlstate) = match &error {
        DeltaError::VersionNotFound { .. } | DeltaError::RestoreNothing { .. } => {
            (Kind::NotFound, "DELTA_CANNOT_RESTORE_TABLE_VERSION", "22003")
        }
        DeltaError::TimestampNotFound {
            timestamp_ms,
            earliest_ms,
            ..
        } if timestamp_ms < earliest_ms => {
            (Kind::NotFound, "DELTA_CANNOT_RESTORE_TIMESTAMP_EARLIER", "22003")
        }
        DeltaError::TimestampNotFound { .. } => {
            (Kind::NotFound, "DELTA_CANNOT_RESTORE_TIMESTAMP_GREATER", "22003")
        }
        DeltaError::RestoreFilesMissing { .. } => (Kind::NotFound, "DELTA_FILE_NOT_FOUND_DETAILED", "42K03"),
        DeltaError::RestoreConflict { reason, .. } => return conflict_error(reason),
        _ => return error.into(),
    };
    Error::Condition {
        kind,
        condition,
        sqlstate,
        message: error.to_string(),
    }
}
