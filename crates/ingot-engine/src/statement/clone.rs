//! `CREATE [OR REPLACE] TABLE name SHALLOW CLONE source [VERSION | TIMESTAMP AS OF …]`.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::sql::sqlparser::ast::ObjectName;
use ingot_common::port::StatementResult;
use ingot_common::{Kind, TableName};
use ingot_delta::{CloneSource, OperationMetrics};

use super::counts;
use super::cursor::Cursor;
use super::describe::open;
use super::time_travel::Point;
use crate::access::{self, SELECT};
use crate::write::{CloneTarget, clone_table};
use crate::{Error, Result, Session};

/// What stands after the name of the new table.
#[derive(Debug)]
pub(super) struct Source {
    name: ObjectName,
    point: Option<Point>,
}

impl Source {
    /// Takes `SHALLOW CLONE source …`, if it comes next.
    ///
    /// # Errors
    /// `Unsupported` for a deep clone.
    pub fn accept(cursor: &mut Cursor<'_>) -> Result<Option<Self>> {
        if cursor.accept_all(&["SHALLOW", "CLONE"]) {
            let name = cursor.table_or_path()?;
            let point = Point::accept(cursor)?;
            return Ok(Some(Self { name, point }));
        }
        if cursor.accept_all(&["DEEP", "CLONE"]) || cursor.accept("CLONE") {
            return Err(Error::Condition {
                kind: Kind::Unsupported,
                condition: "DELTA_UNSUPPORTED_DEEP_CLONE",
                sqlstate: "0A000",
                message: "deep clone is not supported; CREATE TABLE … AS SELECT copies rows, SHALLOW CLONE shares files"
                    .to_owned(),
            });
        }
        Ok(None)
    }
}

/// Makes the clone.
pub(super) async fn run(
    session: &Session,
    source: Source,
    target: CloneTarget,
    properties: BTreeMap<String, String>,
) -> Result<StatementResult> {
    let (info, table) = open(session, &source.name, SELECT).await?;
    if let Some(info) = &info {
        access::check_unfiltered(info, "a clone of its files")?;
    }
    let snapshot = match &source.point {
        Some(point) => {
            let point = point.resolve(session).await?;
            table.snapshot_at(point).await?
        }
        None => table.snapshot().await?,
    };
    let same = info.as_ref().is_some_and(|info| info.name == target.name);
    if same && target.replace {
        return Err(replaced_by_itself(&target.name));
    }
    let name = match info {
        Some(info) => info.name.to_string(),
        None => format!("delta.`{}`", table.location().as_str().trim_end_matches('/')),
    };
    let source = CloneSource {
        table: Arc::clone(&table),
        snapshot,
        properties,
        name,
        author: session.author(),
    };
    let metrics = clone_table(session, &target, &source).await?.unwrap_or_default();
    row(&metrics)
}

fn row(metrics: &OperationMetrics) -> Result<StatementResult> {
    counts(&[
        ("source_table_size", metrics.get("sourceTableSize")),
        ("source_num_of_files", metrics.get("sourceNumOfFiles")),
        ("num_removed_files", metrics.get("numRemovedFiles")),
        ("num_copied_files", metrics.get("numCopiedFiles")),
        ("removed_files_size", metrics.get("removedFilesSize")),
        ("copied_files_size", metrics.get("copiedFilesSize")),
    ])
}

fn replaced_by_itself(name: &TableName) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "DELTA_UNSUPPORTED_CLONE_REPLACE_SAME_TABLE",
        sqlstate: "0AKDC",
        message: format!(
            "table `{name}` cannot be replaced by a clone of itself; RESTORE takes it back to a version"
        ),
    }
}
