//! `views`. The definition is the text as it was given: clients compare it with theirs.

use ingot_catalog::{TableInfo, TableKind};

use super::{Columns, Contents, always, texts};

pub(super) fn columns(contents: &Contents) -> Columns {
    let views: Vec<&TableInfo> = contents
        .tables
        .iter()
        .filter(|table| matches!(table.kind, TableKind::View | TableKind::MaterializedView))
        .collect();
    let all = || views.iter();
    let materialized = |view: &&TableInfo| match view.kind {
        TableKind::MaterializedView => Some("TRUE"),
        _ => Some("FALSE"),
    };
    vec![
        (
            "table_catalog",
            texts(all().map(|view| Some(view.name.catalog.as_str()))),
        ),
        (
            "table_schema",
            texts(all().map(|view| Some(view.name.schema.as_str()))),
        ),
        (
            "table_name",
            texts(all().map(|view| Some(view.name.table.as_str()))),
        ),
        (
            "view_definition",
            texts(all().map(|view| view.definition.as_ref())),
        ),
        ("check_option", always("NONE", views.len())),
        ("is_updatable", always("NO", views.len())),
        ("is_insertable_into", always("NO", views.len())),
        ("sql_path", texts(all().map(|_| None::<&str>))),
        ("is_materialized", texts(all().map(materialized))),
    ]
}
