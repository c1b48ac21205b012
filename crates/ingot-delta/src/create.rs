//! Making a table: the checks on what it is to be, and commit 0.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::Schema;
use ingot_common::clock;
use url::Url;
use uuid::Uuid;

use crate::action::Format;
use crate::log::{Log, PutOutcome};
use crate::table::LogFiles;
use crate::{
    Action, CommitInfo, CreateTable, DeltaTable, DeltaTables, Error, Metadata, Result, action, features,
    partition, schema,
};

impl DeltaTables {
    /// Creates a table: commit 0 with protocol (3,7), the features it uses and in-commit timestamps.
    ///
    /// # Errors
    /// `AlreadyExists` when a table stands there, also when another process created it meanwhile;
    /// `InvalidArgument` for types that Delta lacks, unknown `delta.*` properties, and partition columns that are
    /// unknown, of a type that cannot partition, or all there is.
    pub async fn create(&self, location: &Url, table: CreateTable) -> Result<Arc<DeltaTable>> {
        let stored = schema::storable_schema(&table.schema)?;
        check_partition_columns(&stored, &table.partition_columns)?;
        features::check_properties(&table.properties)?;
        let (store, root) = self.store_for(location)?;
        // Any version will do: a cleanup may have taken commit 0 of a table that lives on.
        if LogFiles::any(store.as_ref(), &root.clone().join("_delta_log")).await? {
            return Err(exists(location));
        }
        let log = Log::new(store, root, location.clone());
        let transaction_id = Uuid::new_v4().to_string();
        let actions = first_commit(&stored, table, &transaction_id, &self.options().engine_info)?;
        let put = log.put_commit(0, &actions).await;
        if !matches!(put, Ok(PutOutcome::Created)) {
            // Ours after all, if the put reported a failure that was none.
            let found = log
                .read_commit(0)
                .await
                .map_err(|unreadable| Error::CommitOutcomeUnknown {
                    location: location.to_string(),
                    version: 0,
                    transaction_id: transaction_id.clone(),
                    source: Box::new(unreadable),
                })?;
            match (found, put) {
                (Some(found), _) if is_by(&found, &transaction_id) => {}
                (Some(_), _) => return Err(exists(location)),
                (None, Err(failure)) => return Err(failure),
                (None, Ok(_)) => {
                    return Err(Error::CorruptLog {
                        location: location.to_string(),
                        message: "commit 0 came and went while the table was created".to_owned(),
                    });
                }
            }
        }
        self.forget(location);
        self.open(location).await
    }
}

fn first_commit(
    stored: &Schema,
    table: CreateTable,
    transaction_id: &str,
    engine_info: &str,
) -> Result<Vec<Action>> {
    let now = clock::now_ms();
    let mut configuration = table.properties;
    configuration.insert("delta.enableInCommitTimestamps".to_owned(), "true".to_owned());
    let timestamp_ntz = stored
        .fields()
        .iter()
        .any(|field| schema::holds_timestamp_ntz(field.data_type()));
    let protocol = features::protocol_for(&configuration, timestamp_ntz);
    let parameters: BTreeMap<String, serde_json::Value> = table
        .operation
        .parameters
        .into_iter()
        .map(|(key, value)| (key, value.into()))
        .collect();
    let info = CommitInfo {
        in_commit_timestamp: Some(now),
        timestamp: Some(now),
        operation: Some(table.operation.name.to_owned()),
        operation_parameters: Some(parameters),
        isolation_level: Some("Serializable".to_owned()),
        is_blind_append: Some(true),
        operation_metrics: Some(BTreeMap::new()),
        engine_info: Some(engine_info.to_owned()),
        txn_id: Some(transaction_id.to_owned()),
        ..CommitInfo::default()
    };
    let metadata = Metadata {
        id: Uuid::new_v4().to_string(),
        name: table.name,
        description: table.description,
        format: Format::default(),
        schema_string: schema::schema_string(stored)?,
        partition_columns: table.partition_columns,
        created_time: Some(now),
        configuration,
    };
    Ok(vec![
        Action::CommitInfo(info),
        Action::Protocol(protocol),
        Action::Metadata(metadata),
    ])
}

fn check_partition_columns(schema: &Schema, columns: &[String]) -> Result<()> {
    let refuse = |message: String| Err(Error::InvalidArgument { message });
    if schema.fields().is_empty() {
        return refuse("a table needs at least one column".to_owned());
    }
    for (place, column) in columns.iter().enumerate() {
        let Ok(field) = schema.field_with_name(column) else {
            return refuse(format!(
                "partition column `{column}` is not a column of the table"
            ));
        };
        if columns[..place].contains(column) {
            return refuse(format!("partition column `{column}` is named twice"));
        }
        if !partition::can_partition(field.data_type()) {
            return refuse(format!(
                "column `{column}` of type {} cannot partition a table",
                field.data_type()
            ));
        }
    }
    if columns.len() == schema.fields().len() {
        return refuse("a table cannot be partitioned by all of its columns".to_owned());
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
