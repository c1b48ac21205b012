//! CREATE TABLE: metastore and log in the order that leaves either no table or a whole one.
//!
//! ```text
//! reserve the name ─► write commit 0 (or adopt the log that stands there) ─► publish the name
//!        └──────────────────── on failure: give the name back, delete what was written
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{Schema, SchemaRef};
use ingot_catalog::{ColumnInfo, NewTable, TableInfo, TableKind};
use ingot_common::retry::RetryPolicy;
use ingot_common::{Classify, Kind, TableName};
use ingot_delta::{CreateTable, DeltaTable, Operation};
use url::Url;

use super::type_text;
use crate::{Error, Result, Session};

/// How long CREATE TABLE IF NOT EXISTS waits for another process that is creating the table.
const OTHER_CREATOR: RetryPolicy = RetryPolicy {
    retries_max: 40,
    pause_first: Duration::from_millis(10),
    pause_max: Duration::from_millis(500),
};

/// A table to create through the engine: metastore and log in the safe order.
#[derive(Debug, Clone)]
pub struct TableSpec {
    pub name: TableName,
    pub kind: TableKind,
    pub schema: SchemaRef,
    pub partition_columns: Vec<String>,
    /// External tables only.
    pub location: Option<String>,
    pub definition: Option<String>,
    pub comment: Option<String>,
    pub properties: BTreeMap<String, String>,
}

/// Creates an empty table. With `if_not_exists`, returns the existing one.
///
/// An external table over a folder that holds a Delta table adopts that table as it is; a schema in `spec`
/// must then be the same.
///
/// # Errors
/// `AlreadyExists` for a taken name; `InvalidArgument` for a schema that is empty or another than the folder's.
pub async fn create_table(
    session: &Session,
    spec: TableSpec,
    if_not_exists: bool,
) -> Result<(TableInfo, Arc<DeltaTable>)> {
    let mut retries = OTHER_CREATOR.attempts();
    loop {
        let error = match create_new(session, &spec).await {
            Err(error) if if_not_exists && error.kind() == Kind::AlreadyExists => error,
            created => return created,
        };
        match session.open_table(&spec.name).await {
            Err(missing) if missing.kind() == Kind::NotFound => {}
            opened => return opened,
        }
        // The name is reserved by a creator that has not published it: it will, or its reservation ends.
        if !retries.pause().await {
            return Err(error);
        }
    }
}

async fn create_new(session: &Session, spec: &TableSpec) -> Result<(TableInfo, Arc<DeltaTable>)> {
    let adopted = match &spec.location {
        Some(location) => existing_table(session, spec, location).await?,
        None => None,
    };
    let (schema, partition_columns) = match &adopted {
        Some(table) => {
            let snapshot = table.snapshot().await?;
            (
                Arc::clone(snapshot.schema()),
                snapshot.partition_columns().to_vec(),
            )
        }
        None => (Arc::clone(&spec.schema), spec.partition_columns.clone()),
    };
    let metastore = session.engine().metastore();
    let principal = session.context().principal.as_str();
    let reserved = metastore
        .reserve_table(&new_table(spec, &schema, &partition_columns), principal)
        .await?;
    let created = match adopted {
        Some(table) => Ok(table),
        None => write_log(session, spec, &reserved).await,
    };
    let table = match created {
        Ok(table) => table,
        Err(error) => {
            metastore.abandon_table(reserved.id).await?;
            return Err(error);
        }
    };
    match metastore.publish_table(reserved.id).await {
        Ok(info) => Ok((info, table)),
        Err(error) => {
            if spec.kind.owns_files() {
                // Nobody else knows the folder: it was made for this reservation.
                session.engine().tables().delete(table.location()).await?;
            }
            Err(error.into())
        }
    }
}

/// Opens the Delta table that stands at an external table's location, if one does.
async fn existing_table(
    session: &Session,
    spec: &TableSpec,
    location: &str,
) -> Result<Option<Arc<DeltaTable>>> {
    let url = parse_location(location)?;
    let table = match session.engine().tables().open(&url).await {
        Ok(table) => table,
        Err(error) if error.kind() == Kind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let snapshot = table.snapshot().await?;
    if !spec.schema.fields().is_empty() && !same_columns(&spec.schema, snapshot.schema()) {
        return Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "DELTA_CREATE_TABLE_SCHEME_MISMATCH",
            sqlstate: "42KD7",
            message: format!("the specified schema does not match the existing schema at {location}"),
        });
    }
    Ok(Some(table))
}

async fn write_log(session: &Session, spec: &TableSpec, reserved: &TableInfo) -> Result<Arc<DeltaTable>> {
    if spec.schema.fields().is_empty() {
        return Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "DELTA_SCHEMA_NOT_PROVIDED",
            sqlstate: "42908",
            message: format!("table schema is not provided for {}", spec.name),
        });
    }
    let location = reserved.location.as_deref().or(spec.location.as_deref());
    let location = location.ok_or_else(|| Error::Condition {
        kind: Kind::Internal,
        condition: "INTERNAL_ERROR",
        sqlstate: "XX000",
        message: format!("table {} was given no location", spec.name),
    })?;
    let partitions = serde_json::Value::from(spec.partition_columns.clone()).to_string();
    let properties: serde_json::Map<String, serde_json::Value> = spec
        .properties
        .iter()
        .map(|(key, value)| (key.clone(), value.clone().into()))
        .collect();
    let operation = Operation::new("CREATE TABLE")
        .with("partitionBy", partitions)
        .with("properties", serde_json::Value::from(properties).to_string())
        .with("isManaged", spec.kind.owns_files().to_string());
    let table = CreateTable {
        schema: Arc::clone(&spec.schema),
        partition_columns: spec.partition_columns.clone(),
        name: None,
        description: spec.comment.clone(),
        properties: spec.properties.clone(),
        operation,
    };
    let tables = session.engine().tables();
    Ok(tables.create(&parse_location(location)?, table).await?)
}

fn parse_location(location: &str) -> Result<Url> {
    let parsed = if location.starts_with('/') {
        Url::from_directory_path(location).ok()
    } else {
        Url::parse(location).ok()
    };
    parsed.ok_or_else(|| Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "INVALID_LOCATION",
        sqlstate: "42K05",
        message: format!("location=`{location}` is neither a URL nor an absolute path"),
    })
}

fn new_table(spec: &TableSpec, schema: &Schema, partition_columns: &[String]) -> NewTable {
    NewTable {
        name: spec.name.clone(),
        kind: spec.kind,
        location: spec.location.clone(),
        definition: spec.definition.clone(),
        definition_namespace: None,
        columns: column_infos(schema, partition_columns),
        comment: spec.comment.clone(),
        properties: spec.properties.clone(),
    }
}

fn column_infos(schema: &Schema, partition_columns: &[String]) -> Vec<ColumnInfo> {
    schema
        .fields()
        .iter()
        .map(|field| ColumnInfo {
            name: field.name().clone(),
            type_text: type_text(field.data_type()),
            nullable: field.is_nullable(),
            comment: field.metadata().get("comment").cloned(),
            partition_index: partition_columns
                .iter()
                .position(|column| column == field.name())
                .and_then(|place| u32::try_from(place).ok()),
        })
        .collect()
}

fn same_columns(left: &Schema, right: &Schema) -> bool {
    left.fields().len() == right.fields().len()
        && left.fields().iter().zip(right.fields()).all(|(left, right)| {
            left.name() == right.name() && type_text(left.data_type()) == type_text(right.data_type())
        })
}
