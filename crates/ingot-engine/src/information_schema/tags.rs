//! `catalog_tags`, `schema_tags`, `table_tags`, `column_tags`, `volume_tags`.

use std::collections::HashMap;

use ingot_catalog::TagInfo;
use ingot_common::{SchemaName, TableName};
use uuid::Uuid;

use super::{Columns, Contents, texts};

/// What the tags of a relation are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tagged {
    Catalogs,
    Schemas,
    Tables,
    Columns,
    Volumes,
}

/// Returns what the tags of a relation are of; `None` for another relation.
pub(super) fn of(relation: &str) -> Option<Tagged> {
    Some(match relation {
        "catalog_tags" => Tagged::Catalogs,
        "schema_tags" => Tagged::Schemas,
        "table_tags" => Tagged::Tables,
        "column_tags" => Tagged::Columns,
        "volume_tags" => Tagged::Volumes,
        _ => return None,
    })
}

/// Returns the columns of a relation of tags; `None` for another relation.
pub(super) fn columns(relation: &str, contents: &Contents) -> Option<Columns> {
    let of = of(relation)?;
    let names: &[&'static str] = match of {
        Tagged::Catalogs => &["catalog_name"],
        Tagged::Schemas => &["catalog_name", "schema_name"],
        Tagged::Tables => &["catalog_name", "schema_name", "table_name"],
        Tagged::Columns => &["catalog_name", "schema_name", "table_name", "column_name"],
        Tagged::Volumes => &["catalog_name", "schema_name", "volume_name"],
    };
    let tagged = tagged(of, contents);
    let mut columns: Columns = Vec::with_capacity(names.len() + 2);
    for (place, name) in names.iter().enumerate() {
        columns.push((
            name,
            texts(tagged.iter().map(|(parts, _)| parts.get(place).copied())),
        ));
    }
    columns.push(("tag_name", texts(tagged.iter().map(|(_, tag)| Some(&tag.name)))));
    columns.push(("tag_value", texts(tagged.iter().map(|(_, tag)| Some(&tag.value)))));
    Some(columns)
}

/// Returns the tags, each with the parts of the name of what has it.
fn tagged(of: Tagged, contents: &Contents) -> Vec<(Vec<&str>, &TagInfo)> {
    let mut by_securable: HashMap<Uuid, Vec<&TagInfo>> = HashMap::new();
    for tag in &contents.tags {
        if tag.column.is_some() == (of == Tagged::Columns) {
            by_securable.entry(tag.securable).or_default().push(tag);
        }
    }
    let mut tagged = Vec::new();
    for (id, parts) in securables(of, contents) {
        for tag in by_securable.get(&id).into_iter().flatten() {
            let mut parts = parts.clone();
            parts.extend(tag.column.as_deref());
            tagged.push((parts, *tag));
        }
    }
    tagged
}

/// Returns what may have tags, each with the parts of its name.
fn securables(of: Tagged, contents: &Contents) -> Vec<(Uuid, Vec<&str>)> {
    match of {
        Tagged::Catalogs => {
            let catalogs = contents.catalogs.iter();
            catalogs
                .map(|catalog| (catalog.id, vec![catalog.name.as_str()]))
                .collect()
        }
        Tagged::Schemas => {
            let schemas = contents.schemas.iter();
            schemas
                .map(|schema| (schema.id, schema_parts(&schema.name)))
                .collect()
        }
        Tagged::Tables | Tagged::Columns => {
            let tables = contents.tables.iter();
            tables
                .map(|table| (table.id.0, table_parts(&table.name)))
                .collect()
        }
        Tagged::Volumes => {
            let volumes = contents.volumes.iter();
            let parts = volumes.map(|volume| {
                let mut parts = schema_parts(&volume.name.schema);
                parts.push(volume.name.volume.as_str());
                (volume.id, parts)
            });
            parts.collect()
        }
    }
}

fn schema_parts(name: &SchemaName) -> Vec<&str> {
    vec![name.catalog.as_str(), name.schema.as_str()]
}

fn table_parts(name: &TableName) -> Vec<&str> {
    vec![name.catalog.as_str(), name.schema.as_str(), name.table.as_str()]
}
