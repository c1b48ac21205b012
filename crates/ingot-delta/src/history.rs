//! `DESCRIBE HISTORY` and `DESCRIBE DETAIL`.

use std::collections::BTreeMap;

use crate::CommitInfo;

/// One commit.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryEntry {
    pub version: i64,
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Empty where the commit has none.
    pub info: CommitInfo,
}

/// The columns of `DESCRIBE DETAIL`. Source: Delta Lake documentation, "Retrieve Delta table details".
#[derive(Debug, Clone, PartialEq)]
pub struct TableDetail {
    pub id: String,
    pub name: Option<String>,
    pub description: Option<String>,
    pub location: String,
    /// Milliseconds since the epoch.
    pub created_at_ms: Option<i64>,
    pub last_modified_ms: i64,
    pub partition_columns: Vec<String>,
    pub clustering_columns: Vec<String>,
    pub num_files: i64,
    pub size_in_bytes: i64,
    pub properties: BTreeMap<String, String>,
    pub min_reader_version: i32,
    pub min_writer_version: i32,
    pub table_features: Vec<String>,
}
