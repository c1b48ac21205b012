//! Making a table: the checks on what it is to be, and commit 0.
//!
//! ```text
//! CreateTable ─► write_target ─► FileWriter ─► files ─┐        (only for a table that begins with rows)
//! CreateTable ────────────────────────────────────────┴─► create: put commit 0 if absent ─► DeltaTable
//! ```
//! Always true: there is no table, or there is all of it: its rows are part of commit 0.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{Schema, SchemaRef};
use ingot_common::clock;
use ingot_common::retry::RetryPolicy;
use object_store::ObjectStoreExt;
use url::Url;
use uuid::Uuid;

use crate::action::{DomainMetadata, Format};
use crate::clustering_domain::{CLUSTERING_DOMAIN, ClusteringDomain};
use crate::features::IN_COMMIT_TIMESTAMPS;
use crate::log::{self, Log, PutOutcome};
use crate::table::{LogFiles, Place};
use crate::{
    Action, CommitInfo, CreateTable, DeltaTable, DeltaTables, Error, Metadata, Protocol, Result, WriteTarget,
    action, change_feed, features, partition, properties, row_tracking, schema,
};

/// How often the store is asked again about a table that was just made.
const STORE_RETRIES: RetryPolicy = RetryPolicy {
    retries_max: 3,
    pause_first: Duration::from_millis(1),
    pause_max: Duration::from_millis(500),
};

impl DeltaTables {
    /// Prepares to write files for a table that does not exist yet, which [`DeltaTables::create`] then makes of
    /// the same `table` with these files. Writes nothing.
    ///
    /// # Errors
    /// As [`DeltaTables::create`]; another writer may still make the table meanwhile.
    pub async fn write_target(&self, location: &Url, table: &CreateTable) -> Result<WriteTarget> {
        let stored = check(table)?;
        let place = self.place(location)?;
        check_free(&place).await?;
        let (_, metadata) = first_state(location, &stored, table)?;
        let domains = domains(table, &metadata)?;
        let clustering = clustering_columns(&domains, location, &metadata)?;
        WriteTarget::new(place, &metadata, clustering, &self.options().engine_info)
    }

    /// Creates a table: commit 0 with protocol (3,7), the features it uses, in-commit timestamps unless its properties
    /// say otherwise, and the rows it begins with.
    ///
    /// # Errors
    /// `AlreadyExists` when a table stands there, also when another process created it meanwhile;
    /// `InvalidArgument` for types that Delta lacks, unknown `delta.*` properties, and partition columns that are
    /// unknown, of a type that cannot partition, or all there is. After [`Error::CommitOutcomeUnknown`] and
    /// [`Error::CommittedUnread`] the files of `table` must stay; after any other error nothing names them.
    pub async fn create(&self, location: &Url, table: CreateTable) -> Result<Arc<DeltaTable>> {
        let stored = check(&table)?;
        let (protocol, metadata) = first_state(location, &stored, &table)?;
        let domains = domains(&table, &metadata)?;
        let engine_info = self.options().engine_info.clone();
        self.create_as(location, |transaction_id| {
            first_commit(protocol, metadata, domains, table, transaction_id, &engine_info)
        })
        .await
    }

    /// Creates the table whose commit 0 `actions` makes for a transaction's id.
    pub(crate) async fn create_as(
        &self,
        location: &Url,
        actions: impl FnOnce(&str) -> Result<Vec<Action>>,
    ) -> Result<Arc<DeltaTable>> {
        let place = self.place(location)?;
        check_free(&place).await?;
        delete_leftovers(&place).await?;
        let transaction_id = Uuid::new_v4().to_string();
        put_first_commit(&place, &actions(&transaction_id)?, &transaction_id).await?;
        self.forget(location);
        let mut retries = STORE_RETRIES.attempts();
        loop {
            match self.open(location).await {
                Ok(table) => return Ok(table),
                Err(_) if retries.pause().await => {}
                Err(source) => {
                    return Err(Error::CommittedUnread {
                        location: location.to_string(),
                        version: 0,
                        source: Box::new(source),
                    });
                }
            }
        }
    }
}

/// Checks what the table is to be, and returns its schema in the types that Delta stores.
pub(crate) fn check(table: &CreateTable) -> Result<SchemaRef> {
    let stored = schema::storable_schema(&table.schema, schema::ColumnNames::of(&table.properties))?;
    check_partition_columns(&stored, &table.partition_columns)?;
    properties::check(&table.properties, &BTreeMap::new())?;
    Ok(stored)
}

/// Refuses a place where there is a table. Any version will do: a cleanup may have taken commit 0 of a table that
/// lives on.
async fn check_free(place: &Place) -> Result<()> {
    match LogFiles::any(place.store.as_ref(), &place.log_root()).await? {
        true => Err(exists(&place.location)),
        false => Ok(()),
    }
}

/// Deletes what a deletion that stopped halfway left in the log. A `_last_checkpoint` without its checkpoint, or a
/// checksum of another table's commit, would make the new table unreadable.
async fn delete_leftovers(place: &Place) -> Result<()> {
    let leftovers = LogFiles::leftovers(place.store.as_ref(), &place.log_root()).await?;
    for path in leftovers {
        match place.store.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(source) => {
                return Err(Error::Store {
                    action: "delete",
                    path: path.to_string(),
                    source,
                });
            }
        }
    }
    Ok(())
}

async fn put_first_commit(place: &Place, actions: &[Action], transaction_id: &str) -> Result<()> {
    let log = place.log();
    let unknown = |source| Error::CommitOutcomeUnknown {
        location: place.location.to_string(),
        version: 0,
        transaction_id: transaction_id.to_owned(),
        source: Box::new(source),
    };
    let mut retries = STORE_RETRIES.attempts();
    let mut in_flight = false;
    loop {
        let put = log.put_commit(0, actions).await;
        match &put {
            Ok(PutOutcome::Created(_)) => return Ok(()),
            Ok(PutOutcome::Exists) => {}
            Err(Error::NoPutIfAbsent { .. }) => return put.map(drop),
            Err(failure) => in_flight |= log::may_still_arrive(failure),
        }
        // Ours after all, if the put reported a failure that was none.
        let found = log.read_commit(0).await.map_err(unknown)?;
        return match (found, put) {
            (Some(found), Ok(_)) if is_by(&found, transaction_id) => Ok(()),
            (Some(found), Err(_)) if is_by(&found, transaction_id) => {
                settle(&log, actions).await.map_err(unknown)
            }
            (Some(_), _) => Err(exists(&place.location)),
            // S3 also answers that it exists to two that put at once, when neither has come through yet.
            (None, _) if retries.pause().await => continue,
            (None, Err(failure)) if in_flight => Err(unknown(failure)),
            (None, Err(failure)) => Err(failure),
            (None, Ok(_)) => Err(Error::CorruptLog {
                location: place.location.to_string(),
                message: "commit 0 came and went while the table was created".to_owned(),
            }),
        };
    }
}

/// Puts a commit that is there, although its put failed, until the store says that it holds it.
async fn settle(log: &Log, actions: &[Action]) -> Result<()> {
    let mut retries = STORE_RETRIES.attempts();
    loop {
        match log.put_commit(0, actions).await {
            Ok(PutOutcome::Created(_) | PutOutcome::Exists) => return Ok(()),
            Err(_) if retries.pause().await => {}
            Err(failure) => return Err(failure),
        }
    }
}

/// Returns what the new table is: protocol with the features it uses, and metadata.
fn first_state(location: &Url, stored: &Schema, table: &CreateTable) -> Result<(Protocol, Metadata)> {
    let mut configuration = table.properties.clone();
    configuration
        .entry(IN_COMMIT_TIMESTAMPS.to_owned())
        .or_insert_with(|| "true".to_owned());
    let metadata = Metadata {
        id: table.id.to_string(),
        name: table.name.clone(),
        description: table.description.clone(),
        format: Format::default(),
        schema_string: schema::schema_string(stored)?,
        partition_columns: table.partition_columns.clone(),
        created_time: Some(clock::now_ms()),
        configuration,
    };
    change_feed::check_columns(&metadata)?;
    let (protocol, mut metadata) = features::upgraded(
        location.as_str(),
        &features::new_protocol(),
        None,
        metadata,
        domain_names(table),
    )?;
    if row_tracking::keeps_ids(&metadata) {
        row_tracking::name_materialized_columns(&mut metadata.configuration);
    }
    Ok((protocol, metadata))
}

/// Returns the domains that a table has metadata of from the beginning.
pub(crate) fn domain_names(table: &CreateTable) -> Vec<&str> {
    let clustering = table.clustering_columns.as_ref().map(|_| CLUSTERING_DOMAIN);
    let given = table.domains.keys().map(String::as_str);
    given.chain(clustering).collect()
}

/// Returns the domain metadata of a table that is to be `table`, by domain.
pub(crate) fn domains(table: &CreateTable, metadata: &Metadata) -> Result<BTreeMap<String, String>> {
    let mut domains = table.domains.clone();
    if let Some(columns) = &table.clustering_columns {
        let domain = ClusteringDomain::new(metadata, columns)?;
        domains.insert(CLUSTERING_DOMAIN.to_owned(), domain.configuration(metadata)?);
    }
    Ok(domains)
}

/// Returns the columns that a table with this domain metadata is clustered by.
pub(crate) fn clustering_columns(
    domains: &BTreeMap<String, String>,
    location: &Url,
    metadata: &Metadata,
) -> Result<Vec<Vec<String>>> {
    match domains.get(CLUSTERING_DOMAIN) {
        Some(domain) => Ok(ClusteringDomain::parse(domain, location.as_str(), metadata)?.columns),
        None => Ok(Vec::new()),
    }
}

fn first_commit(
    protocol: Protocol,
    metadata: Metadata,
    domains: BTreeMap<String, String>,
    table: CreateTable,
    transaction_id: &str,
    engine_info: &str,
) -> Result<Vec<Action>> {
    let now = clock::now_ms();
    let parameters = table.operation.parameters.into_iter();
    let metrics = table.metrics.0.iter();
    let info = CommitInfo {
        in_commit_timestamp: features::in_commit_timestamps(&metadata).then_some(now),
        timestamp: Some(now),
        operation: Some(table.operation.name.to_owned()),
        operation_parameters: Some(parameters.map(|(key, value)| (key, value.into())).collect()),
        isolation_level: Some("Serializable".to_owned()),
        is_blind_append: Some(true),
        operation_metrics: Some(metrics.map(|(k, v)| (k.clone(), v.to_string().into())).collect()),
        user_name: table.author.user_name,
        user_metadata: table.author.user_metadata,
        engine_info: Some(engine_info.to_owned()),
        txn_id: Some(transaction_id.to_owned()),
        ..CommitInfo::default()
    };
    let mut files = table.files;
    let row_ids = match row_tracking::assigns_ids(&protocol, &metadata) {
        true => row_tracking::assign(&mut files, None, 0)?,
        false => None,
    };
    let mut actions = vec![
        Action::CommitInfo(info),
        Action::Protocol(protocol),
        Action::Metadata(metadata),
    ];
    actions.extend(row_ids.map(Action::DomainMetadata));
    actions.extend(domains.into_iter().map(|(domain, configuration)| {
        Action::DomainMetadata(DomainMetadata {
            domain,
            configuration,
            removed: false,
        })
    }));
    actions.extend(files.into_iter().map(Action::Add));
    Ok(actions)
}

pub(crate) fn check_partition_columns(schema: &Schema, columns: &[String]) -> Result<()> {
    let refuse = |condition, sqlstate, message| Err(Error::refused(condition, sqlstate, message));
    if schema.fields().is_empty() {
        return refuse(
            "DELTA_SCHEMA_NOT_PROVIDED",
            "42908",
            "a table needs at least one column".to_owned(),
        );
    }
    for (place, column) in columns.iter().enumerate() {
        let Ok(field) = schema.field_with_name(column) else {
            return refuse(
                "COLUMN_NOT_DEFINED_IN_TABLE",
                "42703",
                format!("partition column `{column}` is not a column of the table"),
            );
        };
        if columns[..place].contains(column) {
            return refuse(
                "COLUMN_ALREADY_EXISTS",
                "42711",
                format!("partition column `{column}` is named twice"),
            );
        }
        if !partition::can_partition(field.data_type()) {
            return refuse(
                "INVALID_PARTITION_COLUMN_DATA_TYPE",
                "0A000",
                format!(
                    "column `{column}` of type {} cannot partition a table",
                    field.data_type()
                ),
            );
        }
    }
    if columns.len() == schema.fields().len() {
        return refuse(
            "ALL_PARTITION_COLUMNS_NOT_ALLOWED",
            "KD005",
            "a table cannot be partitioned by all of its columns".to_owned(),
        );
    }
    Ok(())
}

fn is_by(commit: &[Action], transaction_id: &str) -> bool {
    action::commit_info(commit).is_some_and(|info| info.txn_id.as_deref() == Some(transaction_id))
}

fn exists(location: &Url) -> Error {
    Error::TableExists {
        location: location.to_string(),
    }
}
