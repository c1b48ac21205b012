//! `information_schema`: what a catalog holds, as relations; `system.information_schema` is about all catalogs.
//!
//! ```text
//! metastore ─► what the relation is about ([`Needed`]) ─► one file for each relation ─► MemTable
//! ```
//! What Ingot has none of, as constraints, is an empty relation: clients ask for it before they write. Source:
//! Databricks, "Information schema".

mod catalogs;
mod columns;
mod constraints;
mod filters;
mod privileges;
mod routines;
mod schemata;
mod tables;
mod tags;
mod views;
mod volumes;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::catalog::{MemTable, TableProvider};
use ingot_catalog::{
    CatalogInfo, FunctionInfo, Identity, Page, Policy, SchemaInfo, SecurableKind, TableConstraint, TableInfo,
    TagInfo, VolumeInfo,
};
use ingot_common::TableName;

use crate::{Error, Result, Session, access, system_tables};

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
    let needed = Needed::of(&relation).ok_or_else(|| Error::table_not_found(name))?;
    let contents = Contents::read(session, name, needed).await?;
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
            .or_else(|| privileges::columns(other, &contents))
            .or_else(|| constraints::columns(other, &contents))
            .or_else(|| filters::columns(other, &contents))
            .ok_or_else(|| Error::table_not_found(name))?,
    };
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns)
        .map_err(|error| Error::internal(error.to_string()))?;
    Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
}

/// What of the metastore a relation is about, besides catalogs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Needed {
    schemas: bool,
    tables: bool,
    functions: bool,
    volumes: bool,
    tags: bool,
    policy: bool,
    constraints: bool,
}

impl Needed {
    /// Returns what a relation needs; `None` when there is none of the name.
    fn of(relation: &str) -> Option<Self> {
        let nothing = Self::default();
        Some(match relation {
            "catalogs" => nothing,
            "schemata" => Self {
                schemas: true,
                ..nothing
            },
            "tables" | "columns" | "views" => Self {
                tables: true,
                ..nothing
            },
            "routines" | "parameters" | "routine_columns" => Self {
                functions: true,
                ..nothing
            },
            "volumes" => Self {
                volumes: true,
                ..nothing
            },
            other if constraints::has(other) => Self {
                tables: true,
                constraints: true,
                ..nothing
            },
            other if filters::has(other) => Self {
                tables: true,
                ..nothing
            },
            other => match (tags::of(other), privileges::of(other)) {
                (Some(tagged), _) => Self {
                    schemas: tagged == tags::Tagged::Schemas,
                    tables: matches!(tagged, tags::Tagged::Tables | tags::Tagged::Columns),
                    volumes: tagged == tags::Tagged::Volumes,
                    tags: true,
                    ..nothing
                },
                (None, Some(kind)) => Self {
                    schemas: kind == SecurableKind::Schema,
                    tables: kind == SecurableKind::Table,
                    functions: kind == SecurableKind::Function,
                    volumes: kind == SecurableKind::Volume,
                    policy: true,
                    ..nothing
                },
                (None, None) => return None,
            },
        })
    }
}

/// What the relations are about; what one does not need is empty.
struct Contents {
    catalogs: Vec<CatalogInfo>,
    schemas: Vec<SchemaInfo>,
    tables: Vec<TableInfo>,
    functions: Vec<FunctionInfo>,
    volumes: Vec<VolumeInfo>,
    tags: Vec<TagInfo>,
    /// What decides who may do what, and who asks.
    policy: Option<(Arc<Policy>, Identity)>,
    constraints: Vec<TableConstraint>,
}

impl Contents {
    /// Reads what the catalog of `name` holds, or all: as much as the session's principal may know of.
    async fn read(session: &Session, name: &TableName, needed: Needed) -> Result<Self> {
        let metastore = session.engine().metastore();
        let all = Page::default();
        let catalogs = match name.catalog.as_str().eq_ignore_ascii_case(SYSTEM) {
            true => metastore.list_catalogs(&all).await?,
            false => vec![metastore.catalog(&name.catalog).await?],
        };
        let tags = match needed.tags {
            true => metastore.list_tags().await?,
            false => Vec::new(),
        };
        let policy = match needed.policy {
            true => {
                let policy = metastore.policy().await?;
                let who = policy.identity(session.context().principal.as_str());
                Some((policy, who))
            }
            false => None,
        };
        let sight = access::sight(session).await?;
        let constraints = match needed.constraints {
            true => metastore.list_constraints().await?,
            false => Vec::new(),
        };
        let mut contents = Self {
            catalogs: catalogs
                .into_iter()
                .filter(|catalog| sight.sees(catalog))
                .collect(),
            schemas: Vec::new(),
            tables: Vec::new(),
            functions: Vec::new(),
            volumes: Vec::new(),
            tags,
            policy,
            constraints,
        };
        let in_schemas = needed.tables || needed.functions || needed.volumes;
        if !needed.schemas && !in_schemas {
            return Ok(contents);
        }
        for catalog in &contents.catalogs {
            let schemas = metastore.list_schemas(&catalog.name, &all).await?;
            contents
                .schemas
                .extend(schemas.into_iter().filter(|schema| sight.sees(schema)));
        }
        for schema in contents.schemas.iter().filter(|_| in_schemas) {
            if needed.tables {
                let tables = metastore.list_tables(&schema.name, &all).await?;
                contents
                    .tables
                    .extend(tables.into_iter().filter(|table| sight.sees(table)));
                contents.tables.extend(system_tables::list(&schema.name)?);
            }
            if needed.functions {
                let functions = metastore.list_functions(&schema.name, &all).await?;
                let seen = functions.into_iter().filter(|function| sight.sees(function));
                contents.functions.extend(seen);
            }
            if needed.volumes {
                let volumes = metastore.list_volumes(&schema.name, &all).await?;
                contents
                    .volumes
                    .extend(volumes.into_iter().filter(|volume| sight.sees(volume)));
            }
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

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("catalogs", &[])]
    #[test_case("schemata", &["schemas"])]
    #[test_case("tables", &["tables"])]
    #[test_case("columns", &["tables"])]
    #[test_case("views", &["tables"])]
    #[test_case("routines", &["functions"])]
    #[test_case("parameters", &["functions"])]
    #[test_case("routine_columns", &["functions"])]
    #[test_case("volumes", &["volumes"])]
    #[test_case("catalog_tags", &["tags"])]
    #[test_case("schema_tags", &["schemas", "tags"])]
    #[test_case("table_tags", &["tables", "tags"])]
    #[test_case("column_tags", &["tables", "tags"])]
    #[test_case("volume_tags", &["volumes", "tags"])]
    #[test_case("table_privileges", &["tables", "policy"])]
    #[test_case("catalog_privileges", &["policy"])]
    #[test_case("table_constraints", &["tables", "constraints"])]
    #[test_case("column_masks", &["tables"])]
    fn a_relation_needs_what_it_is_about(relation: &str, expected: &[&str]) {
        let needed = Needed::of(relation).expect("a relation");
        let parts = [
            ("schemas", needed.schemas),
            ("tables", needed.tables),
            ("functions", needed.functions),
            ("volumes", needed.volumes),
            ("tags", needed.tags),
            ("policy", needed.policy),
            ("constraints", needed.constraints),
        ];
        let needed: Vec<&str> = parts
            .into_iter()
            .filter(|(_, needed)| *needed)
            .map(|(part, _)| part)
            .collect();
        assert_eq!(needed, expected);
    }

    #[test]
    fn another_name_is_of_no_relation() {
        assert_eq!(Needed::of("nothing"), None);
    }
}
