//! The metastore's rows as values. Instants are milliseconds since the epoch.

pub(crate) mod constraint;

use std::collections::BTreeMap;

use ingot_common::{FunctionName, Identifier, SchemaName, TableName, VolumeName};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::constraint::{
    ConstraintChoice, ForeignKey, Key, KeyChange, NewConstraint, NewKey, TableConstraint,
};
use crate::filters::TableFilters;

/// Identifies a table or view for as long as it exists; a table made anew under the name has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TableId(pub Uuid);

impl std::fmt::Display for TableId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What every securable has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    pub owner: String,
    pub created_at: i64,
    pub created_by: String,
    pub updated_at: i64,
    pub updated_by: String,
}

/// A catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogInfo {
    pub id: Uuid,
    pub name: Identifier,
    pub comment: Option<String>,
    pub properties: BTreeMap<String, String>,
    pub audit: Audit,
}

/// A schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaInfo {
    pub id: Uuid,
    pub name: SchemaName,
    pub comment: Option<String>,
    pub properties: BTreeMap<String, String>,
    pub audit: Audit,
}

/// What a table-like securable is. Source: Unity Catalog, `TableType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TableKind {
    Managed,
    External,
    View,
    StreamingTable,
    MaterializedView,
}

impl TableKind {
    /// Returns Unity Catalog's name of the kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Managed => "MANAGED",
            Self::External => "EXTERNAL",
            Self::View => "VIEW",
            Self::StreamingTable => "STREAMING_TABLE",
            Self::MaterializedView => "MATERIALIZED_VIEW",
        }
    }

    /// Says if Ingot owns the files: they go when the table is dropped.
    pub fn owns_files(self) -> bool {
        matches!(
            self,
            Self::Managed | Self::StreamingTable | Self::MaterializedView
        )
    }
}

/// A text that names no [`TableKind`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of table")]
pub struct UnknownTableKind(pub String);

impl std::str::FromStr for TableKind {
    type Err = UnknownTableKind;

    fn from_str(text: &str) -> Result<Self, UnknownTableKind> {
        let kinds = [
            Self::Managed,
            Self::External,
            Self::View,
            Self::StreamingTable,
            Self::MaterializedView,
        ];
        let found = kinds.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| UnknownTableKind(text.to_owned()))
    }
}

/// A column as the metastore shows it to clients; the truth of a table's columns is its Delta log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnInfo {
    pub name: String,
    /// Spark's spelling: `bigint`, `decimal(10,2)`, `struct<a:int>`.
    pub type_text: String,
    pub nullable: bool,
    pub comment: Option<String>,
    /// Place among the partition columns, from 0.
    pub partition_index: Option<u32>,
}

/// A table or view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableInfo {
    pub id: TableId,
    pub name: TableName,
    pub kind: TableKind,
    /// Made by SHALLOW CLONE, and not replaced since.
    pub shallow_clone: bool,
    /// A metric view: its definition is YAML.
    pub metrics: bool,
    /// Root folder's URL; `None` for views.
    pub location: Option<String>,
    /// Query text of a view or a pipeline dataset.
    pub definition: Option<String>,
    /// Catalog and schema in force when a statement made the definition: its short names are looked up there. `None` for
    /// a pipeline's dataset, which the pipeline alone refreshes.
    pub definition_namespace: Option<SchemaName>,
    /// When a materialized view or a streaming table is to be refreshed: `CRON '…' AT TIME ZONE '…'`, `EVERY n HOURS`,
    /// `TRIGGER ON UPDATE`; `None` for by hand.
    pub refresh_schedule: Option<String>,
    pub columns: Vec<ColumnInfo>,
    pub comment: Option<String>,
    pub properties: BTreeMap<String, String>,
    pub filters: TableFilters,
    pub audit: Audit,
}

impl TableInfo {
    /// Returns what it is called where it is described.
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            TableKind::View if self.metrics => "METRIC_VIEW",
            kind => kind.as_str(),
        }
    }

    /// Returns what the information schema calls its kind, which tells clones from others.
    ///
    /// Source: Databricks SQL language reference, "INFORMATION_SCHEMA.TABLES".
    pub fn table_type(&self) -> &'static str {
        match self.kind {
            TableKind::Managed if self.shallow_clone => "MANAGED_SHALLOW_CLONE",
            TableKind::External if self.shallow_clone => "EXTERNAL_SHALLOW_CLONE",
            _ => self.type_name(),
        }
    }
}

/// A table or view to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTable {
    pub name: TableName,
    pub kind: TableKind,
    pub shallow_clone: bool,
    pub metrics: bool,
    /// External tables only: where the files are. Managed tables are given a folder by the metastore.
    pub location: Option<String>,
    pub definition: Option<String>,
    pub definition_namespace: Option<SchemaName>,
    pub refresh_schedule: Option<String>,
    pub columns: Vec<ColumnInfo>,
    pub constraints: Vec<NewConstraint>,
    pub comment: Option<String>,
    pub properties: BTreeMap<String, String>,
    pub filters: TableFilters,
}

/// What a table has become.
#[derive(Debug, Clone, Copy)]
pub struct TableChange<'a> {
    pub columns: &'a [ColumnInfo],
    pub keys: KeyChange<'a>,
    pub comment: Option<&'a str>,
    pub properties: &'a BTreeMap<String, String>,
    /// The query that a materialized view or a streaming table is from now on; the one it is when `None`.
    pub dataset: Option<DatasetChange<'a>>,
    /// Whether it is a shallow clone from now on; as it is when `None`.
    pub shallow_clone: Option<bool>,
}

/// What a materialized view or a streaming table is from now on.
#[derive(Debug, Clone, Copy)]
pub struct DatasetChange<'a> {
    pub definition: &'a str,
    pub namespace: &'a SchemaName,
    pub refresh_schedule: Option<&'a str>,
}

/// Identifies a function for as long as it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FunctionId(pub Uuid);

impl std::fmt::Display for FunctionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A parameter of a function, or a column that a function returns. Source: Unity Catalog, `FunctionParameterInfo`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterInfo {
    pub name: String,
    /// Spark's spelling: `bigint`, `decimal(10,2)`, `struct<a:int>`.
    pub type_text: String,
    /// What the parameter is where a call does not say: an expression, as the statement wrote it.
    pub default: Option<String>,
    pub comment: Option<String>,
}

/// What a function returns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FunctionReturns {
    /// A value of the type, in Spark's spelling.
    Scalar(String),
    /// Rows of the columns.
    Table(Vec<ParameterInfo>),
}

/// What the body of a function reads. Source: Unity Catalog, `sql_data_access`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataAccess {
    ContainsSql,
    ReadsSqlData,
}

impl DataAccess {
    /// Returns Unity Catalog's name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ContainsSql => "CONTAINS_SQL",
            Self::ReadsSqlData => "READS_SQL_DATA",
        }
    }
}

/// A function that a statement has made. Source: Unity Catalog, `FunctionInfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionInfo {
    pub id: FunctionId,
    pub name: FunctionName,
    pub parameters: Vec<ParameterInfo>,
    pub returns: FunctionReturns,
    /// The text after RETURN.
    pub definition: String,
    /// Catalog and schema in force when it was made: the short names of its body are looked up there.
    pub definition_namespace: SchemaName,
    pub deterministic: bool,
    pub data_access: DataAccess,
    pub comment: Option<String>,
    pub properties: BTreeMap<String, String>,
    pub audit: Audit,
}

/// A function to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFunction {
    pub name: FunctionName,
    pub parameters: Vec<ParameterInfo>,
    pub returns: FunctionReturns,
    pub definition: String,
    pub definition_namespace: SchemaName,
    pub deterministic: bool,
    pub data_access: DataAccess,
    pub comment: Option<String>,
}

/// Who owns the files of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VolumeKind {
    /// They go when the volume is dropped.
    Managed,
    External,
}

impl VolumeKind {
    /// Returns Unity Catalog's name of the kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Managed => "MANAGED",
            Self::External => "EXTERNAL",
        }
    }
}

/// A volume. Source: Unity Catalog, `VolumeInfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeInfo {
    pub id: Uuid,
    pub name: VolumeName,
    pub kind: VolumeKind,
    /// The folder's URL, which ends with `/`.
    pub location: String,
    pub comment: Option<String>,
    pub audit: Audit,
}

/// A managed volume that was dropped, and whose files are there still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedVolume {
    pub id: Uuid,
    /// The folder's URL, which ends with `/`.
    pub location: String,
}

/// A volume to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVolume {
    pub name: VolumeName,
    /// External volumes only: where the files are.
    pub location: Option<String>,
    pub comment: Option<String>,
}

/// A tag of a securable, or of a column of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagInfo {
    pub securable: Uuid,
    pub column: Option<String>,
    pub name: String,
    pub value: String,
}

/// An access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// SHA-256 of the token in lower-case hex.
    pub hash: String,
    /// Who holds it.
    pub principal: String,
    pub created_at: i64,
    pub created_by: String,
}

/// What becomes of a view or a function that has the name of one that is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace<'a> {
    No,
    /// It is replaced if this is its owner: what is put in its place runs with that owner's rights, which whoever asks
    /// was seen to have.
    OfOwner(&'a str),
}

/// What becomes of a catalog or a schema.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecurableChange {
    /// The comment it gets; `Some(None)` for none.
    pub comment: Option<Option<String>>,
    pub owner: Option<String>,
    pub set_properties: BTreeMap<String, String>,
    pub unset_properties: Vec<String>,
}

impl SecurableChange {
    /// Makes the comment, the owner and the properties that a securable has after the change.
    pub(crate) fn after(
        &self,
        comment: Option<String>,
        owner: String,
        properties: &BTreeMap<String, String>,
    ) -> (Option<String>, String, BTreeMap<String, String>) {
        let mut properties = properties.clone();
        properties.extend(self.set_properties.clone());
        properties.retain(|key, _| !self.unset_properties.contains(key));
        (
            self.comment.clone().unwrap_or(comment),
            self.owner.clone().unwrap_or(owner),
            properties,
        )
    }
}

/// A page of a listing: names after `after`, at most `limit`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    pub after: Option<String>,
    /// All when `None`.
    pub limit: Option<u32>,
}

impl Page {
    pub(crate) fn after(&self) -> &str {
        self.after.as_deref().unwrap_or_default()
    }

    pub(crate) fn limit(&self) -> i64 {
        self.limit.map_or(i64::MAX, i64::from)
    }
}
