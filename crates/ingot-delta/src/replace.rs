//! CREATE OR REPLACE of a table that exists: what its next version is to be. The table keeps its id, its history and
//! its features; schema, partitioning and properties are the new ones.

use std::collections::BTreeMap;

use crate::create::{check, clustering_columns, domain_names, domains};
use crate::features::{self, IN_COMMIT_TIMESTAMPS};
use crate::{
    CreateTable, DeltaTable, Metadata, Protocol, Result, Snapshot, WriteTarget, column_mapping, schema,
};

/// The table's next metadata, to be committed together with the removal of all files of the snapshot.
#[derive(Debug, Clone)]
pub struct Replacement {
    pub metadata: Metadata,
    /// Only if the new table needs features that the table does not list.
    pub protocol: Option<Protocol>,
    /// Domain metadata to set, by domain.
    pub domains: BTreeMap<String, String>,
    /// Where the new rows are written, and how.
    pub target: WriteTarget,
}

impl DeltaTable {
    /// Prepares to replace what the table is in `snapshot` by what `table` describes. Writes nothing.
    ///
    /// # Errors
    /// As [`crate::DeltaTables::create`] for what a table cannot be.
    pub fn replacement(&self, snapshot: &Snapshot, table: &CreateTable) -> Result<Replacement> {
        let stored = check(table)?;
        let schema_string = schema::schema_string(&stored)?;
        let metadata = Metadata {
            description: table.description.clone(),
            schema_string,
            partition_columns: table.partition_columns.clone(),
            configuration: properties(snapshot, table),
            ..snapshot.metadata().clone()
        };
        let (protocol, metadata) = features::upgraded(
            self.location().as_str(),
            snapshot.protocol(),
            Some(snapshot.metadata()),
            metadata,
            domain_names(table),
        )?;
        let domains = domains(table, &metadata)?;
        Ok(Replacement {
            protocol: Some(protocol).filter(|protocol| protocol != snapshot.protocol()),
            target: WriteTarget::new(
                self.place().clone(),
                &metadata,
                clustering_columns(&domains, self.location(), &metadata)?,
                &self.options().engine_info,
            )?,
            metadata,
            domains,
        })
    }
}

/// The new table's properties, with what says since when the table's commits carry their time, and how its columns are
/// mapped if they are.
fn properties(snapshot: &Snapshot, table: &CreateTable) -> BTreeMap<String, String> {
    let mut properties = table.properties.clone();
    properties.remove(IN_COMMIT_TIMESTAMPS);
    let kept = snapshot.properties().iter().filter(|(key, _)| {
        key.as_str() == IN_COMMIT_TIMESTAMPS
            || features::of_log(key)
            || (key.as_str() == column_mapping::MODE && !table.properties.contains_key(key.as_str()))
            || key.as_str() == column_mapping::MAX_COLUMN_ID
    });
    properties.extend(kept.map(|(key, value)| (key.clone(), value.clone())));
    properties
}
