//! CREATE TABLE: metastore and log in the order that leaves either no table or a whole one.
//!
//! ```text
//! reserve the name ─► write its rows, if it has any ─► commit 0 with table and rows ─► publish the name
//!        │            (or adopt the log that stands there)
//!        └── renewed until then; on failure given back, and what was written goes with it
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::dataframe::DataFrame;
use futures::StreamExt;
use ingot_catalog::{
    ColumnInfo, Metastore, Need, NewConstraint, NewTable, Privilege, TableFilters, TableId, TableInfo,
    TableKind,
};
use ingot_common::retry::RetryPolicy;
use ingot_common::{Classify, Kind, SchemaName, TableName};
use ingot_delta::{CreateTable, DeltaTable, Operation};
use url::Url;

use super::stage::stage_for;
use super::type_text;
use crate::access::{self, Reader};
use crate::types::ColumnType;
use crate::{Error, Result, Session};

/// How long CREATE TABLE IF NOT EXISTS waits for another process that is creating the table.
const OTHER_CREATOR: RetryPolicy = RetryPolicy {
    retries_max: 40,
    pause_first: Duration::from_millis(10),
    pause_max: Duration::from_millis(500),
};

/// The setting under which new tables get deletion vectors, or none.
pub(crate) const DELETION_VECTORS_SETTING: &str =
    "spark.databricks.delta.properties.defaults.enableDeletionVectors";

/// How often a creator says that it is still at work: a few times in what a reservation lasts.
const RENEWAL: Duration = Duration::from_secs(15);

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
    /// The paths of the columns that OPTIMIZE clusters by; `None` for a table that is not clustered.
    pub clustering_columns: Option<Vec<Vec<String>>>,
    /// Its keys, which nothing enforces.
    pub constraints: Vec<NewConstraint>,
    /// What a materialized view or a streaming table that a statement makes has besides its query.
    pub dataset: Option<DatasetSpec>,
    /// What is shown of its rows. A table that is replaced keeps its own unless there are some here.
    pub filters: TableFilters,
}

/// See [`TableSpec::dataset`].
#[derive(Debug, Clone)]
pub struct DatasetSpec {
    /// Where the short names of its query are looked up.
    pub namespace: SchemaName,
    pub refresh_schedule: Option<String>,
    /// Domain metadata of the commit that makes it: what its rows were computed from.
    pub domain: &'static str,
    pub state: String,
}

/// What CREATE TABLE found or made.
pub(crate) enum Created {
    /// A new table, with so many rows.
    New(TableInfo, Arc<DeltaTable>, i64),
    /// The table of that name.
    Existed(TableInfo, Arc<DeltaTable>),
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
    match create(session, &spec, None, if_not_exists).await? {
        Created::New(info, table, _) | Created::Existed(info, table) => Ok((info, table)),
    }
}

/// Creates a table, with the rows of a query if one is given: they and the table become visible at once.
///
/// # Errors
/// As [`create_table`]; `FailedPrecondition` when the rows are to go where there is something already.
pub(crate) async fn create(
    session: &Session,
    spec: &TableSpec,
    rows: Option<&DataFrame>,
    if_not_exists: bool,
) -> Result<Created> {
    let mut retries = OTHER_CREATOR.attempts();
    loop {
        let error = match create_new(session, spec, rows).await {
            Err(error) if if_not_exists && error.kind() == Kind::AlreadyExists => error,
            created => return created,
        };
        match access::table(session, &spec.name, Need::Sight).await {
            Err(ingot_catalog::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
            Ok(info) => {
                let table = session.open(&info).await?;
                return Ok(Created::Existed(info, table));
            }
        }
        // The name is reserved by a creator that has not published it: it will, or its reservation ends.
        if !retries.pause().await {
            return Err(error);
        }
    }
}

async fn create_new(session: &Session, spec: &TableSpec, rows: Option<&DataFrame>) -> Result<Created> {
    check_allowed(session, spec).await?;
    let adopted = match &spec.location {
        Some(location) => existing_table(session, spec, location, rows.is_some()).await?,
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
        Some(table) => Ok((table, 0)),
        None => while_reserved(metastore, reserved.id, write_log(session, spec, &reserved, rows)).await,
    };
    let (table, count) = match created {
        Ok(created) => created,
        Err(error) => {
            abandon(metastore, &reserved).await;
            return Err(error);
        }
    };
    match metastore.publish_table(reserved.id).await {
        Ok(info) => Ok(Created::New(info, table, count)),
        Err(error) => {
            // Only where it is certain that the name is not ours: the outcome of another failure is unknown.
            let lost = matches!(error, ingot_catalog::Error::NotFound { .. });
            if lost
                && spec.kind.owns_files()
                && let Err(left) = session.engine().tables().delete(table.location()).await
            {
                tracing::warn!(location = %table.location(), error = %left, "files of a table that was not made stay");
            }
            Err(error.into())
        }
    }
}

/// Checks that the session's principal may make a table there.
pub(super) async fn check_allowed(session: &Session, spec: &TableSpec) -> Result<()> {
    let privilege = match spec.kind {
        TableKind::MaterializedView => Privilege::CreateMaterializedView,
        _ => Privilege::CreateTable,
    };
    access::check_create(session, &spec.name.schema_name(), privilege).await?;
    access::check_parents(session, &spec.name, &spec.constraints).await?;
    match &spec.location {
        Some(location) => access::check_path(session, &Reader::Session, location),
        None => Ok(()),
    }
}

/// Gives a reservation back. If that fails it ends by itself; the failure that led here is the one to report.
pub(super) async fn abandon(metastore: &Metastore, reserved: &TableInfo) {
    if let Err(error) = metastore.abandon_table(reserved.id).await {
        tracing::warn!(table = %reserved.name, %error, "a reservation was not given back and lasts until its end");
    }
}

/// Runs `work`, which must have an end, and renews the reservation meanwhile.
///
/// # Errors
/// `NotFound` when the reservation was lost all the same; `work` is dropped then.
pub(super) async fn while_reserved<T>(
    metastore: &Metastore,
    id: TableId,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(RENEWAL) => {}
        }
        match metastore.renew_reservation(id).await {
            Ok(()) => {}
            Err(lost @ ingot_catalog::Error::NotFound { .. }) => return Err(lost.into()),
            Err(error) => tracing::warn!(%id, %error, "a reservation was not renewed; tried again"),
        }
    }
}

/// Opens the Delta table that stands at an external table's location, if one does.
async fn existing_table(
    session: &Session,
    spec: &TableSpec,
    location: &str,
    with_rows: bool,
) -> Result<Option<Arc<DeltaTable>>> {
    let url = parse_location(location)?;
    let table = match session.engine().tables().open(&url).await {
        Ok(table) => table,
        Err(error) if error.kind() == Kind::NotFound => {
            return match empty(session, &url).await? {
                true => Ok(None),
                false => Err(not_empty(location, "is not empty and no Delta table")),
            };
        }
        Err(error) => return Err(error.into()),
    };
    if with_rows {
        return Err(not_empty(location, "holds a Delta table"));
    }
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

pub(super) async fn empty(session: &Session, location: &Url) -> Result<bool> {
    let (store, root) = session.engine().tables().store_for(location)?;
    let first = store.list(Some(&root)).next().await;
    match first {
        None | Some(Err(object_store::Error::NotFound { .. })) => Ok(true),
        Some(Ok(_)) => Ok(false),
        Some(Err(source)) => Err(Error::Delta(ingot_delta::Error::Store {
            action: "list",
            path: root.to_string(),
            source,
        })),
    }
}

pub(super) fn not_empty(location: &str, what: &str) -> Error {
    Error::Condition {
        kind: Kind::FailedPrecondition,
        condition: "DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION",
        sqlstate: "42601",
        message: format!("cannot create table: location=`{location}` {what}"),
    }
}

/// Writes commit 0, with the rows of the query if there is one; returns their count.
async fn write_log(
    session: &Session,
    spec: &TableSpec,
    reserved: &TableInfo,
    rows: Option<&DataFrame>,
) -> Result<(Arc<DeltaTable>, i64)> {
    let location = reserved.location.as_deref().or(spec.location.as_deref());
    let location = location
        .ok_or_else(|| Error::internal(format!("table {} was given no location", spec.name)))
        .and_then(parse_location)?;
    let operation = match (rows, spec.kind) {
        (Some(_), TableKind::MaterializedView) => "CREATE MATERIALIZED VIEW",
        (Some(_), TableKind::StreamingTable) => "CREATE STREAMING TABLE",
        (Some(_), _) => "CREATE TABLE AS SELECT",
        (None, _) => "CREATE TABLE",
    };
    let mut table = description(session, spec, operation)?;
    let tables = session.engine().tables();
    let Some(rows) = rows else {
        return Ok((tables.create(&location, table).await?, 0));
    };
    let target = tables.write_target(&location, &table).await?;
    let staged = stage_for(session, target.clone(), rows.clone()).await?;
    let count = staged.metrics.get("numOutputRows");
    table.metrics = staged.metrics;
    table.files = staged.files.clone();
    match tables.create(&location, table).await {
        Ok(table) => Ok((table, count)),
        Err(error) => {
            use ingot_delta::Error::{CommitOutcomeUnknown, CommittedUnread};
            if !matches!(error, CommitOutcomeUnknown { .. } | CommittedUnread { .. }) {
                target.discard(&staged.files).await;
            }
            Err(error.into())
        }
    }
}

/// Describes the table of `spec` to the Delta log.
///
/// # Errors
/// `InvalidArgument` when it has no columns.
pub(super) fn description(
    session: &Session,
    spec: &TableSpec,
    operation: &'static str,
) -> Result<CreateTable> {
    if spec.schema.fields().is_empty() {
        return Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "DELTA_SCHEMA_NOT_PROVIDED",
            sqlstate: "42908",
            message: format!("table schema is not provided for {}", spec.name),
        });
    }
    let partitions = serde_json::Value::from(spec.partition_columns.clone()).to_string();
    let properties = with_defaults(session, spec);
    let shown: serde_json::Map<String, serde_json::Value> = properties
        .iter()
        .map(|(key, value)| (key.clone(), value.clone().into()))
        .collect();
    let clustering = spec.clustering_columns.iter().flatten();
    let clustering: Vec<String> = clustering.map(|path| path.join(".")).collect();
    let operation = Operation::new(operation)
        .with("partitionBy", partitions)
        .with("clusterBy", serde_json::Value::from(clustering).to_string())
        .with("properties", serde_json::Value::from(shown).to_string())
        .with("isManaged", spec.kind.owns_files().to_string());
    let domains = spec.dataset.iter();
    Ok(CreateTable {
        partition_columns: spec.partition_columns.clone(),
        description: spec.comment.clone(),
        properties,
        clustering_columns: spec.clustering_columns.clone(),
        domains: domains
            .map(|dataset| (dataset.domain.to_owned(), dataset.state.clone()))
            .collect(),
        author: session.author(),
        ..CreateTable::new(Arc::clone(&spec.schema), operation)
    })
}

/// Returns the properties of a new table: what the statement says, then the session, then the configuration.
fn with_defaults(session: &Session, spec: &TableSpec) -> BTreeMap<String, String> {
    let mut properties = spec.properties.clone();
    let set = session.setting(DELETION_VECTORS_SETTING);
    let vectors = set.map_or(session.engine().options().deletion_vectors, |value| {
        value.eq_ignore_ascii_case("true")
    });
    if vectors {
        let name = "delta.enableDeletionVectors".to_owned();
        properties.entry(name).or_insert_with(|| "true".to_owned());
    }
    properties
}

pub(super) fn parse_location(location: &str) -> Result<Url> {
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

pub(super) fn new_table(spec: &TableSpec, schema: &Schema, partition_columns: &[String]) -> NewTable {
    NewTable {
        name: spec.name.clone(),
        kind: spec.kind,
        shallow_clone: false,
        metrics: false,
        location: spec.location.clone(),
        definition: spec.definition.clone(),
        definition_namespace: spec.dataset.as_ref().map(|dataset| dataset.namespace.clone()),
        refresh_schedule: spec
            .dataset
            .as_ref()
            .and_then(|dataset| dataset.refresh_schedule.clone()),
        columns: column_infos(schema, partition_columns),
        constraints: spec.constraints.clone(),
        comment: spec.comment.clone(),
        properties: shown_properties(&spec.properties),
        filters: spec.filters.clone(),
    }
}

/// Returns the properties that clients see: without those that only ask for a protocol.
pub(super) fn shown_properties(properties: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let asks = |key: &str| {
        let words = [
            "delta.minReaderVersion",
            "delta.minWriterVersion",
            "delta.ignoreProtocolDefaults",
        ];
        key.starts_with("delta.feature.") || words.contains(&key)
    };
    let shown = properties.iter().filter(|(key, _)| !asks(key));
    shown.map(|(key, value)| (key.clone(), value.clone())).collect()
}

pub(crate) fn column_infos(schema: &Schema, partition_columns: &[String]) -> Vec<ColumnInfo> {
    schema
        .fields()
        .iter()
        .map(|field| ColumnInfo {
            name: field.name().clone(),
            type_text: ColumnType::of(field).to_string(),
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
