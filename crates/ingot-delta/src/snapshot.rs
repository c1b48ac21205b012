//! One version of a table, immutable.

use std::collections::BTreeMap;

use arrow::datatypes::SchemaRef;

use crate::{FileIndex, Metadata, Protocol, Result};

/// The state of a table after one commit. Cheap to share; never changes.
#[derive(Debug)]
pub struct Snapshot {}

impl Snapshot {
    /// Returns the version, from 0.
    pub fn version(&self) -> i64 {
        todo!()
    }

    /// Returns when the version was committed, milliseconds since the epoch: the in-commit timestamp where
    /// the feature is on, else the log file's modification time made monotonic.
    pub fn timestamp_ms(&self) -> i64 {
        todo!()
    }

    /// Returns the logical schema, partition columns at their declared places. No view types; timestamps are
    /// microseconds, in `UTC` (TIMESTAMP) or without a zone (TIMESTAMP_NTZ).
    pub fn schema(&self) -> &SchemaRef {
        todo!()
    }

    /// Returns the names of the partition columns, outermost folder first.
    pub fn partition_columns(&self) -> &[String] {
        todo!()
    }

    /// Returns the table's properties (`delta.*` and users').
    pub fn properties(&self) -> &BTreeMap<String, String> {
        todo!()
    }

    /// Returns the metadata action in force.
    pub fn metadata(&self) -> &Metadata {
        todo!()
    }

    /// Returns the protocol action in force.
    pub fn protocol(&self) -> &Protocol {
        todo!()
    }

    /// Returns the table's data files. Read on first use, then kept.
    pub async fn files(&self) -> Result<&FileIndex> {
        todo!()
    }

    /// Returns the newest version that application `app_id` has committed.
    pub async fn app_transaction(&self, app_id: &str) -> Result<Option<i64>> {
        let _ = app_id;
        todo!()
    }
}
