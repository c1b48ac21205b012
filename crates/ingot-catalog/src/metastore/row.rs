//! Rows to values. A row that does not parse is the metastore's fault, not the caller's.

use std::collections::BTreeMap;
use std::str::FromStr;

use ingot_common::{FunctionName, Identifier, SchemaName, TableName, VolumeName};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::model::{
    Audit, CatalogInfo, DataAccess, FunctionId, FunctionInfo, SchemaInfo, TableId, TableInfo, TableKind,
    VolumeInfo, VolumeKind,
};

use crate::policy::Grant;
use crate::privilege::UnknownPrivilege;

type Decoded<T> = Result<T, sqlx::Error>;

/// Columns of a catalog, in the order in which [`catalog`] needs none.
pub(super) fn catalog(row: &SqliteRow) -> Decoded<CatalogInfo> {
    Ok(CatalogInfo {
        id: uuid(row, "id")?,
        name: identifier(row, "name")?,
        comment: row.try_get("comment")?,
        properties: properties(row)?,
        audit: audit(row)?,
    })
}

pub(super) fn schema(row: &SqliteRow) -> Decoded<SchemaInfo> {
    Ok(SchemaInfo {
        id: uuid(row, "id")?,
        name: SchemaName::new(identifier(row, "catalog_name")?, identifier(row, "name")?),
        comment: row.try_get("comment")?,
        properties: properties(row)?,
        audit: audit(row)?,
    })
}

/// Reads a name from the columns of its parts.
pub(super) fn table_name(row: &SqliteRow, columns: [&'static str; 3]) -> Decoded<TableName> {
    let [catalog, schema, table] = columns;
    Ok(TableName::new(
        identifier(row, catalog)?,
        identifier(row, schema)?,
        identifier(row, table)?,
    ))
}

pub(super) fn table(row: &SqliteRow) -> Decoded<TableInfo> {
    let name = table_name(row, ["catalog_name", "schema_name", "name"])?;
    let kind: String = row.try_get("kind")?;
    let definition_catalog: Option<String> = row.try_get("definition_catalog")?;
    let definition_namespace = match definition_catalog {
        Some(_) => Some(SchemaName::new(
            identifier(row, "definition_catalog")?,
            identifier(row, "definition_schema")?,
        )),
        None => None,
    };
    Ok(TableInfo {
        id: TableId(uuid(row, "id")?),
        name,
        kind: TableKind::from_str(&kind).map_err(|error| decode("kind", error))?,
        shallow_clone: row.try_get("shallow_clone")?,
        metrics: row.try_get("metrics")?,
        location: row.try_get("location")?,
        definition: row.try_get("definition")?,
        definition_namespace,
        refresh_schedule: row.try_get("refresh_schedule")?,
        columns: json(row, "columns")?,
        comment: row.try_get("comment")?,
        properties: properties(row)?,
        filters: json(row, "filters")?,
        audit: audit(row)?,
    })
}

pub(super) fn function(row: &SqliteRow) -> Decoded<FunctionInfo> {
    let schema = SchemaName::new(identifier(row, "catalog_name")?, identifier(row, "schema_name")?);
    Ok(FunctionInfo {
        id: FunctionId(uuid(row, "id")?),
        name: FunctionName::new(schema, identifier(row, "name")?),
        parameters: json(row, "parameters")?,
        returns: json(row, "returns")?,
        definition: row.try_get("definition")?,
        definition_namespace: SchemaName::new(
            identifier(row, "definition_catalog")?,
            identifier(row, "definition_schema")?,
        ),
        deterministic: row.try_get("deterministic")?,
        data_access: one_of(
            row,
            "data_access",
            [DataAccess::ContainsSql, DataAccess::ReadsSqlData],
            DataAccess::as_str,
        )?,
        comment: row.try_get("comment")?,
        properties: properties(row)?,
        audit: audit(row)?,
    })
}

pub(super) fn volume(row: &SqliteRow) -> Decoded<VolumeInfo> {
    let schema = SchemaName::new(identifier(row, "catalog_name")?, identifier(row, "schema_name")?);
    Ok(VolumeInfo {
        id: uuid(row, "id")?,
        name: VolumeName::new(schema, identifier(row, "name")?),
        kind: one_of(
            row,
            "kind",
            [VolumeKind::Managed, VolumeKind::External],
            VolumeKind::as_str,
        )?,
        location: row.try_get("location")?,
        comment: row.try_get("comment")?,
        audit: audit(row)?,
    })
}

pub(super) fn grant(row: &SqliteRow) -> Decoded<Grant> {
    let privilege: String = row.try_get("privilege")?;
    Ok(Grant {
        principal: row.try_get("principal")?,
        privilege: privilege
            .parse()
            .map_err(|error: UnknownPrivilege| decode("privilege", error))?,
        granted_by: row.try_get("granted_by")?,
    })
}

/// Writes a value as the JSON of a column.
pub(super) fn to_json(value: &impl Serialize) -> crate::Result<String> {
    serde_json::to_string(value).map_err(|error| crate::Error::InvalidArgument {
        message: format!("value does not serialize: {error}"),
    })
}

fn audit(row: &SqliteRow) -> Decoded<Audit> {
    Ok(Audit {
        owner: row.try_get("owner")?,
        created_at: row.try_get("created_at")?,
        created_by: row.try_get("created_by")?,
        updated_at: row.try_get("updated_at")?,
        updated_by: row.try_get("updated_by")?,
    })
}

fn properties(row: &SqliteRow) -> Decoded<BTreeMap<String, String>> {
    json(row, "properties")
}

/// Reads which of `all` a column names.
fn one_of<T: Copy, const N: usize>(
    row: &SqliteRow,
    column: &'static str,
    all: [T; N],
    name: impl Fn(T) -> &'static str,
) -> Decoded<T> {
    let text: String = row.try_get(column)?;
    let found = all.into_iter().find(|each| name(*each) == text);
    found.ok_or_else(|| decode(column, UnknownName(text)))
}

/// A name that this version does not know.
#[derive(Debug, thiserror::Error)]
#[error("unknown value `{0}`")]
struct UnknownName(String);

pub(super) fn json<T: DeserializeOwned>(row: &SqliteRow, column: &'static str) -> Decoded<T> {
    let text: String = row.try_get(column)?;
    serde_json::from_str(&text).map_err(|error| decode(column, error))
}

pub(super) fn uuid(row: &SqliteRow, column: &'static str) -> Decoded<Uuid> {
    let text: String = row.try_get(column)?;
    Uuid::parse_str(&text).map_err(|error| decode(column, error))
}

fn identifier(row: &SqliteRow, column: &'static str) -> Decoded<Identifier> {
    let text: String = row.try_get(column)?;
    Identifier::new(text).map_err(|error| decode(column, error))
}

fn decode(column: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: Box::new(error),
    }
}
