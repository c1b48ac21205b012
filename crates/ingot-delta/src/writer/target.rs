//! What a writer needs to know of a table, whether it exists or is about to.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use url::Url;

use super::data_file;
use crate::change_feed::CHANGE_TYPE;
use crate::features::{self, WriteOperation};
use crate::table::Place;
use crate::{
    Add, ColumnMapping, DeltaTable, Error, Metadata, Result, RowIdColumns, Snapshot, column_mapping, schema,
};

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
    /// `schema` with what the log says of columns in files.
    mapped: SchemaRef,
    mapping: Option<ColumnMapping>,
    clustering_columns: Vec<Vec<String>>,
    partition_columns: Vec<String>,
    properties: BTreeMap<String, String>,
    engine_info: String,
    kind: FileKind,
    /// Columns at the end of the schemas that readers do not see.
    hidden: usize,
}

/// What files are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    Data,
    /// Changed rows, for the change data feed. Source: Delta protocol, "Change Data Files".
    Changes,
}

impl FileKind {
    /// Returns the folder of such files in the table's, with a slash at the end, or nothing.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Data => "",
            Self::Changes => "_change_data/",
        }
    }

    /// Returns what names of such files begin with.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Data => "part",
            Self::Changes => "cdc",
        }
    }
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
        Self::new(
            table.place().clone(),
            snapshot.metadata(),
            snapshot.clustering_columns()?.unwrap_or_default(),
            &table.options().engine_info,
        )
    }

    /// Writes for `table` as it is to be with `metadata`, which has the columns of `snapshot` in another form.
    ///
    /// # Errors
    /// As [`WriteTarget::of_table`].
    pub fn of_metadata(table: &DeltaTable, snapshot: &Snapshot, metadata: &Metadata) -> Result<Self> {
        Self::new(
            table.place().clone(),
            metadata,
            snapshot.clustering_columns()?.unwrap_or_default(),
            &table.options().engine_info,
        )
    }

    /// Writes for the table that `metadata` describes, its columns mapped already.
    ///
    /// # Errors
    /// `Internal` for a schema that is none.
    pub(crate) fn new(
        place: Place,
        metadata: &Metadata,
        clustering_columns: Vec<Vec<String>>,
        engine_info: &str,
    ) -> Result<Self> {
        let internal = |message: String| Error::Internal { message };
        let parsed = Arc::new(schema::parse_schema_string(&metadata.schema_string).map_err(internal)?);
        let mapping = ColumnMapping::new(metadata, &parsed).map_err(internal)?;
        let logical = Arc::new(column_mapping::logical(&parsed));
        let inner = Inner {
            place,
            mapped: match mapping {
                Some(_) => parsed,
                None => Arc::new(column_mapping::unmapped(&parsed)),
            },
            schema: logical,
            mapping,
            clustering_columns,
            partition_columns: metadata.partition_columns.clone(),
            properties: metadata.configuration.clone(),
            engine_info: engine_info.to_owned(),
            kind: FileKind::Data,
            hidden: 0,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Returns the same table as a target for files of its changes: rows have [`CHANGE_TYPE`] after the table's
    /// columns.
    pub fn change_files(&self) -> Self {
        let with_type = |schema: &SchemaRef| {
            let mut fields = schema.fields().to_vec();
            fields.push(Arc::new(Field::new(CHANGE_TYPE, DataType::Utf8, true)));
            Arc::new(Schema::new(fields))
        };
        let inner = Inner {
            place: self.inner.place.clone(),
            schema: with_type(&self.inner.schema),
            mapped: with_type(&self.inner.mapped),
            mapping: self.inner.mapping.clone(),
            clustering_columns: Vec::new(),
            partition_columns: self.inner.partition_columns.clone(),
            properties: self.inner.properties.clone(),
            engine_info: self.inner.engine_info.clone(),
            kind: FileKind::Changes,
            hidden: 0,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Returns the same table as a target for rows that were there before: they have their ids and commit versions after
    /// the table's columns ([`RowIdColumns`]). The same target where rows need not keep their ids.
    pub fn with_row_ids(&self) -> Self {
        let Some(ids) = RowIdColumns::of(&self.inner.properties) else {
            return self.clone();
        };
        let inner = Inner {
            place: self.inner.place.clone(),
            schema: ids.extended(&self.inner.schema),
            mapped: ids.extended(&self.inner.mapped),
            mapping: self.inner.mapping.clone(),
            clustering_columns: self.inner.clustering_columns.clone(),
            partition_columns: self.inner.partition_columns.clone(),
            properties: self.inner.properties.clone(),
            engine_info: self.inner.engine_info.clone(),
            kind: self.inner.kind,
            hidden: 2,
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

    pub(super) fn mapped_schema(&self) -> &SchemaRef {
        &self.inner.mapped
    }

    /// Returns the logical paths of the columns that the table is clustered by.
    pub(super) fn clustering_columns(&self) -> &[Vec<String>] {
        &self.inner.clustering_columns
    }

    /// Says if columns have other names in files.
    pub(super) fn maps_columns(&self) -> bool {
        self.inner.mapping.is_some()
    }

    pub(super) fn place(&self) -> &Place {
        &self.inner.place
    }

    /// Returns the table's properties.
    pub fn properties(&self) -> &BTreeMap<String, String> {
        &self.inner.properties
    }

    /// Returns how many columns at the end of the schema readers do not see.
    pub(super) fn hidden(&self) -> usize {
        self.inner.hidden
    }

    pub(super) fn kind(&self) -> FileKind {
        self.inner.kind
    }

    pub(super) fn engine_info(&self) -> &str {
        &self.inner.engine_info
    }
}
