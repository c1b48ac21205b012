//! `catalog_tags`, `schema_tags`, `table_tags`, `column_tags`, `volume_tags`.

use ingot_catalog::TagInfo;
use uuid::Uuid;

use super::{Columns, Contents, texts};

/// A tag, and the parts of the name of what has it.
type Tagged<'a> = (Vec<&'a str>, &'a TagInfo);

/// Returns the columns of a relation of tags; `None` for another relation.
pub(super) fn columns(relation: &str, contents: &Contents) -> Option<Columns> {
    let names: &[&'static str] = match relation {
        "catalog_tags" => &["catalog_name"],
        "schema_tags" => &["catalog_name", "schema_name"],
        "table_tags" => &["catalog_name", "schema_name", "table_name"],
        "column_tags" => &["catalog_name", "schema_name", "table_name", "column_name"],
        "volume_tags" => &["catalog_name", "schema_name", "volume_name"],
        _ => return None,
    };
    let tagged = tagged(relation, contents);
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

fn tagged<'a>(relation: &str, contents: &'a Contents) -> Vec<Tagged<'a>> {
    let securables: Vec<(Uuid, Vec<&'a str>)> = match relation {
        "catalog_tags" => contents
            .catalogs
            .iter()
            .map(|catalog| (catalog.id, vec![catalog.name.as_str()]))
            .collect(),
        "schema_tags" => contents
            .schemas
            .iter()
            .map(|schema| {
                (
                    schema.id,
                    vec![schema.name.catalog.as_str(), schema.name.schema.as_str()],
                )
            })
            .collect(),
        "volume_tags" => contents
            .volumes
            .iter()
            .map(|volume| {
                let schema = &volume.name.schema;
                let parts = vec![
                    schema.catalog.as_str(),
                    schema.schema.as_str(),
                    volume.name.volume.as_str(),
                ];
                (volume.id, parts)
            })
            .collect(),
        _ => contents
            .tables
            .iter()
            .map(|table| {
                let name = &table.name;
                (
                    table.id.0,
                    vec![name.catalog.as_str(), name.schema.as_str(), name.table.as_str()],
                )
            })
            .collect(),
    };
    let of_columns = relation == "column_tags";
    let mut tagged = Vec::new();
    for (id, parts) in securables {
        let tags = contents.tags.iter();
        for tag in tags.filter(|tag| tag.securable == id && tag.column.is_some() == of_columns) {
            let mut parts = parts.clone();
            parts.extend(tag.column.as_deref());
            tagged.push((parts, tag));
        }
    }
    tagged
}
