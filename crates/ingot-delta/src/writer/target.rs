//! What a writer needs to know of a table, whether it exists or is about to.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use url::Url;

use super::data_file;
use crate::features::{self, WriteOperation};
use crate::table::Place;
use crate::{Add, DeltaTable, Result, Snapshot};

/// Where files are written, and what they must hold: a table as of one snapshot, or one that is to be made
/// ([`crate::DeltaTables::write_target`]). Cheap to clone.
#[derive(Debug, Clone)]
pub struct WriteTarget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    place: Place,
    schema: SchemaRef,
    partition_columns: Vec<String>,
    properties: BTreeMap<String, String>,
    engine_info: String,
}

impl WriteTarget {
    /// Writes for `table`, with the schema of `snapshot`.
    ///
    /// # Errors
    /// `Unsupported` when the table has a writer feature that a writer of ours cannot honour.
    pub fn of_table(table: &DeltaTable, snapshot: &Snapshot) -> Result<Self> {
        features::check_writable(
            table.location().as_str(),
            snapshot.protocol(),
            snapshot.metadata(),
            WriteOperation::Append,
        )?;
        Ok(Self::new(
            table.place().clone(),
            Arc::clone(snapshot.schema()),
            snapshot.partition_columns().to_vec(),
            snapshot.properties().clone(),
            &table.options().engine_info,
        ))
    }

    pub(crate) fn new(
        place: Place,
        schema: SchemaRef,
        partition_columns: Vec<String>,
        properties: BTreeMap<String, String>,
        engine_info: &str,
    ) -> Self {
        let engine_info = engine_info.to_owned();
        let inner = Inner {
            place,
            schema,
            partition_columns,
            properties,
            engine_info,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Returns the table's root, with a trailing slash.
    pub fn location(&self) -> &Url {
        &self.inner.place.location
    }

    /// Returns the table's schema: the types that files hold, partition columns at their places.
    pub fn schema(&self) -> &SchemaRef {
        &self.inner.schema
    }

    /// Returns the names of the partition columns, outermost folder first.
    pub fn partition_columns(&self) -> &[String] {
        &self.inner.partition_columns
    }

    /// Deletes files that no commit names, nor ever will. One that cannot be deleted stays for VACUUM.
    pub async fn discard(&self, files: &[Add]) {
        data_file::delete(&self.inner.place, files).await;
    }

    pub(super) fn place(&self) -> &Place {
        &self.inner.place
    }

    pub(super) fn properties(&self) -> &BTreeMap<String, String> {
        &self.inner.properties
    }

    pub(super) fn engine_info(&self) -> &str {
        &self.inner.engine_info
    }
}
