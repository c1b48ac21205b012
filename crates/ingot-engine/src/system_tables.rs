//! Tables of the catalog `system` that the engine makes rows of as they are read; one file for each.
//!
//! They are no tables of the metastore: nobody changes or drops them. What lists tables lists them too.

mod query_history;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use ingot_catalog::{Audit, ColumnInfo, TableFilters, TableId, TableInfo, TableKind};
use ingot_common::{Identifier, SchemaName, TableName};
use uuid::Uuid;

use crate::write::type_text;
use crate::{Result, Session};

const SYSTEM: &str = "system";

/// A table of the catalog `system`.
struct SystemTable {
    schema: &'static str,
    name: &'static str,
    comment: &'static str,
    columns: fn() -> Result<SchemaRef>,
    provider: fn(&Session) -> Result<Arc<dyn TableProvider>>,
}

const TABLES: [SystemTable; 1] = [SystemTable {
    schema: "query",
    name: "history",
    comment: "Statements that ran and that run",
    columns: query_history::schema,
    provider: query_history::provider,
}];

/// Says if a name is of a table here.
pub(crate) fn has(name: &TableName) -> bool {
    find(name).is_some()
}

/// Returns the table of a name as the session sees it, if there is one.
///
/// # Errors
/// None of which it is known.
pub(crate) fn provider(session: &Session, name: &TableName) -> Result<Option<Arc<dyn TableProvider>>> {
    find(name).map(|table| (table.provider)(session)).transpose()
}

/// Returns what there is to know of the table of a name, if there is one.
///
/// # Errors
/// None of which it is known.
pub(crate) fn info(name: &TableName) -> Result<Option<TableInfo>> {
    find(name).map(SystemTable::info).transpose()
}

/// Returns the tables of a schema.
///
/// # Errors
/// None of which it is known.
pub(crate) fn list(schema: &SchemaName) -> Result<Vec<TableInfo>> {
    let tables = TABLES.iter().filter(|table| table.is_in(schema));
    tables.map(SystemTable::info).collect()
}

fn find(name: &TableName) -> Option<&'static SystemTable> {
    let schema = SchemaName::new(name.catalog.clone(), name.schema.clone());
    let mut tables = TABLES.iter().filter(|table| table.is_in(&schema));
    tables.find(|table| name.table.as_str().eq_ignore_ascii_case(table.name))
}

impl SystemTable {
    fn is_in(&self, schema: &SchemaName) -> bool {
        schema.catalog.as_str().eq_ignore_ascii_case(SYSTEM)
            && schema.schema.as_str().eq_ignore_ascii_case(self.schema)
    }

    fn info(&self) -> Result<TableInfo> {
        let part = |text: &str| Identifier::new(text);
        let columns = (self.columns)()?;
        let columns = columns.fields().iter().map(|field| ColumnInfo {
            name: field.name().clone(),
            type_text: type_text(field.data_type()),
            nullable: field.is_nullable(),
            comment: None,
            partition_index: None,
        });
        Ok(TableInfo {
            id: TableId(Uuid::nil()),
            name: TableName::new(part(SYSTEM)?, part(self.schema)?, part(self.name)?),
            kind: TableKind::Managed,
            shallow_clone: false,
            metrics: false,
            location: None,
            definition: None,
            definition_namespace: None,
            refresh_schedule: None,
            columns: columns.collect(),
            comment: Some(self.comment.to_owned()),
            properties: BTreeMap::new(),
            filters: TableFilters::default(),
            audit: Audit {
                owner: SYSTEM.to_owned(),
                created_at: 0,
                created_by: SYSTEM.to_owned(),
                updated_at: 0,
                updated_by: SYSTEM.to_owned(),
            },
        })
    }
}
