//! CREATE OR REPLACE of a table that exists: what its next version is to be. The table keeps its id, its history and
//! its features; schema, partitioning and properties are the new ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::create::check;
use crate::{
    CreateTable, DeltaTable, Error, Metadata, Protocol, Result, Snapshot, WriteTarget, features, schema,
};

/// The property under which commits carry their own time.
const IN_COMMIT_TIMESTAMPS: &str = "delta.enableInCommitTimestamps";

/// The table's next metadata, to be committed together with the removal of all files of the snapshot.
#[derive(Debug, Clone)]
pub struct Replacement {
    pub metadata: Metadata,
    /// Only if the new table needs features that the table does not list.
    pub protocol: Option<Protocol>,
    /// Where the new rows are written, and how.
    pub target: WriteTarget,
}

impl DeltaTable {
    /// Prepares to replace what the table is in `snapshot` by what `table` describes. Writes nothing.
    ///
    /// # Errors
    /// As [`crate::DeltaTables::create`] for what a table cannot be; `Unsupported` when the table's protocol is of a
    /// version without feature lists and the new table needs one.
    pub fn replacement(&self, snapshot: &Snapshot, table: &CreateTable) -> Result<Replacement> {
        let stored = check(table)?;
        let schema_string = schema::schema_string(&stored)?;
        let schema =
            schema::parse_schema_string(&schema_string).map_err(|message| Error::Internal { message })?;
        let properties = properties(snapshot, table);
        let timestamp_ntz = stored
            .fields()
            .iter()
            .any(|field| schema::holds_timestamp_ntz(field.data_type()));
        let needed = features::protocol_for(&properties, timestamp_ntz, !table.domains.is_empty());
        Ok(Replacement {
            protocol: self.extended(snapshot.protocol(), &needed, &properties)?,
            target: WriteTarget::new(
                self.place().clone(),
                Arc::new(schema),
                table.partition_columns.clone(),
                properties.clone(),
                &self.options().engine_info,
            ),
            metadata: Metadata {
                description: table.description.clone(),
                schema_string,
                partition_columns: table.partition_columns.clone(),
                configuration: properties,
                ..snapshot.metadata().clone()
            },
        })
    }

    /// Returns `protocol` with the features of `needed` that it lacks, if there are any.
    pub(crate) fn extended(
        &self,
        protocol: &Protocol,
        needed: &Protocol,
        properties: &BTreeMap<String, String>,
    ) -> Result<Option<Protocol>> {
        let timestamps = properties.contains_key(IN_COMMIT_TIMESTAMPS);
        let missing = |listed: &Option<Vec<String>>, needed: &Option<Vec<String>>| -> Vec<String> {
            let needed = needed.iter().flatten();
            let lacks = |name: &&String| {
                (timestamps || *name != "inCommitTimestamp")
                    && !listed.as_ref().is_some_and(|listed| listed.contains(name))
            };
            needed.filter(lacks).cloned().collect()
        };
        let reader = missing(&protocol.reader_features, &needed.reader_features);
        let writer = missing(&protocol.writer_features, &needed.writer_features);
        // Every writer version from 2 on honours `appendOnly`.
        let legacy = protocol.writer_features.is_none();
        if legacy && writer.iter().all(|feature| feature == "appendOnly") {
            return Ok(None);
        }
        let reads_features = reader.is_empty() || protocol.reader_features.is_some();
        if legacy || !reads_features {
            return Err(Error::UnsupportedFeature {
                location: self.location().to_string(),
                feature: writer.into_iter().next().unwrap_or_default(),
                operation: "replace",
            });
        }
        if reader.is_empty() && writer.is_empty() {
            return Ok(None);
        }
        let mut extended = protocol.clone();
        extended.reader_features.get_or_insert_default().extend(reader);
        extended.writer_features.get_or_insert_default().extend(writer);
        Ok(Some(extended))
    }
}

/// The new table's properties, with what says since when the table's commits carry their time.
fn properties(snapshot: &Snapshot, table: &CreateTable) -> BTreeMap<String, String> {
    let mut properties = table.properties.clone();
    properties.remove(IN_COMMIT_TIMESTAMPS);
    let kept = snapshot.properties().iter().filter(|(key, _)| {
        key.as_str() == IN_COMMIT_TIMESTAMPS || key.starts_with("delta.inCommitTimestamp")
    });
    properties.extend(kept.map(|(key, value)| (key.clone(), value.clone())));
    properties
}
