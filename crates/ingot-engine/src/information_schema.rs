//! `information_schema`: what a catalog holds, as relations; `system.information_schema` is about all catalogs.
//!
//! ```text
//! metastore ─► catalogs, schemas, tables, functions ─► one file for each relation ─► MemTable
//! ```
//! What Ingot has none of, as tags and masks, is an empty relation: clients ask for it before they write. Source:
//! Databricks, "Information schema".

mod catalogs;
mod columns;
mod empty;
mod routines;
mod schemata;
mod tables;
mod tags;
mod views;
mod volumes;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::catalog::{MemTable, TableProvider};
use ingot_catalog::{CatalogInfo, FunctionInfo, Page, SchemaInfo, TableInfo, TagInfo, VolumeInfo};
use ingot_common::TableName;

use crate::{Error, Result, Session};

/// The schema.
pub(crate) const NAME: &str = "information_schema";

/// The catalog whose information schema is about all.
const SYSTEM: &str = "system";

/// Columns with their names.
type Columns = Vec<(&'static str, ArrayRef)>;

/// Says if a name is of a relation here.
pub(crate) fn has(name: &TableName) -> bool {
    name.schema.as_str().eq_ignore_ascii_case(NAME)
}

/// Reads a relation.
///
/// # Errors
/// `TABLE_OR_VIEW_NOT_FOUND` when there is none of the name.
pub(crate) async fn provider(session: &Session, name: &TableName) -> Result<Arc<dyn TableProvider>> {
    let relation = name.table.as_str().to_lowercase();
    let contents = Contents::of(session, name).await?;
    let columns = match relation.as_str() {
        "catalogs" => catalogs::columns(&contents),
        "schemata" => schemata::columns(&contents),
        "tables" => tables::columns(&contents),
        "columns" => columns::columns(&contents),
        "views" => views::columns(&contents),
        "routines" => routines::routines(&contents),
        "parameters" => routines::parameters(&contents),
        "routine_columns" => routines::routine_columns(&contents),
        "volumes" => volumes::columns(&contents),
        other => tags::columns(other, &contents)
            .or_else(|| empty::columns(other))
            .ok_or_else(|| Error::table_not_found(name))?,
    };
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns)
        .map_err(|error| Error::internal(error.to_string()))?;
    Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
}

/// What the relations are about.
struct Contents {
    catalogs: Vec<CatalogInfo>,
    schemas: Vec<SchemaInfo>,
    tables: Vec<TableInfo>,
    functions: Vec<FunctionInfo>,
    volumes: Vec<VolumeInfo>,
    tags: Vec<TagInfo>,
}

impl Contents {
    /// Reads what the catalog of `name` holds, or all.
    async fn of(session: &Session, name: &TableName) -> Result<Self> {
        let metastore = session.engine().metastore();
        let all = Page::default();
        let catalogs = match name.catalog.as_str().eq_ignore_ascii_case(SYSTEM) {
            true => metastore.list_catalogs(&all).await?,
            false => vec![metastore.catalog(&name.catalog).await?],
        };
        let mut contents = Self {
            catalogs,
            schemas: Vec::new(),
            tables: Vec::new(),
            functions: Vec::new(),
            volumes: Vec::new(),
            tags: metastore.list_tags().await?,
        };
        for catalog in &contents.catalogs {
            let schemas = metastore.list_schemas(&catalog.name, &all).await?;
            for schema in &schemas {
                contents
                    .tables
                    .extend(metastore.list_tables(&schema.name, &all).await?);
                contents
                    .functions
                    .extend(metastore.list_functions(&schema.name, &all).await?);
                contents
                    .volumes
                    .extend(metastore.list_volumes(&schema.name, &all).await?);
            }
            contents.schemas.extend(schemas);
        }
        Ok(contents)
    }
}

fn texts<T: AsRef<str>>(values: impl Iterator<Item = Option<T>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

/// The same text in each row.
fn always(text: &str, rows: usize) -> ArrayRef {
    Arc::new(StringArray::from(vec![text; rows]))
}

fn numbers(values: impl Iterator<Item = Option<i32>>) -> ArrayRef {
    Arc::new(values.collect::<Int32Array>())
}

/// Instants of milliseconds since the epoch.
fn instants(values: impl Iterator<Item = i64>) -> ArrayRef {
    let micros = values.map(|milliseconds| Some(milliseconds.saturating_mul(1000)));
    Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}
