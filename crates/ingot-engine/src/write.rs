//! Rows of a query into a table: INSERT, CTAS, and the sink of a stream.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::dataframe::DataFrame;
use ingot_catalog::{TableInfo, TableKind};
use ingot_common::TableName;
use ingot_delta::{Add, DeltaTable, OperationMetrics, Snapshot};

use crate::{Result, Session};

/// Files written for a table and not yet committed.
#[derive(Debug)]
pub struct StagedFiles {
    pub files: Vec<Add>,
    /// `numFiles`, `numOutputRows`, `numOutputBytes`.
    pub metrics: OperationMetrics,
}

/// Runs `rows` and writes them as files of `table`; all cores write. Columns are matched by position and cast
/// to the table's types under Spark's store assignment rules (ANSI: a value that does not fit is an error).
///
/// Nothing is committed. On an error the files already written are deleted.
pub async fn stage_files(
    session: &Session,
    table: &Arc<DeltaTable>,
    snapshot: &Arc<Snapshot>,
    rows: DataFrame,
) -> Result<StagedFiles> {
    let _ = (session, table, snapshot, rows);
    todo!()
}

/// Reorders and completes the columns of `rows` to those of `snapshot` by name (case-insensitive); a missing
/// nullable column is null, an unknown one an error.
pub fn align_by_name(rows: DataFrame, snapshot: &Snapshot) -> Result<DataFrame> {
    let _ = (rows, snapshot);
    todo!()
}

/// A table to create through the engine: metastore and log in the safe order.
#[derive(Debug, Clone)]
pub struct TableSpec {
    pub name: TableName,
    pub kind: TableKind,
    pub schema: arrow::datatypes::SchemaRef,
    pub partition_columns: Vec<String>,
    /// External tables only.
    pub location: Option<String>,
    pub definition: Option<String>,
    pub comment: Option<String>,
    pub properties: BTreeMap<String, String>,
}

/// Creates an empty table. With `if_not_exists`, returns the existing one.
pub async fn create_table(
    session: &Session,
    spec: TableSpec,
    if_not_exists: bool,
) -> Result<(TableInfo, Arc<DeltaTable>)> {
    let _ = (session, spec, if_not_exists);
    todo!()
}
