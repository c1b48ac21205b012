//! `tables`: tables and views.

use ingot_catalog::{TableInfo, TableKind};

use super::{Columns, Contents, always, instants, texts};

pub(super) fn columns(contents: &Contents) -> Columns {
    let all = || contents.tables.iter();
    let rows = contents.tables.len();
    let insertable = |table: &TableInfo| match table.kind {
        TableKind::Managed | TableKind::External => Some("YES"),
        _ => Some("NO"),
    };
    let format = |table: &TableInfo| match table.kind {
        TableKind::View => Some("UNKNOWN_DATA_SOURCE_FORMAT"),
        _ => Some("DELTA"),
    };
    vec![
        (
            "table_catalog",
            texts(all().map(|table| Some(table.name.catalog.as_str()))),
        ),
        (
            "table_schema",
            texts(all().map(|table| Some(table.name.schema.as_str()))),
        ),
        (
            "table_name",
            texts(all().map(|table| Some(table.name.table.as_str()))),
        ),
        ("table_type", texts(all().map(|table| Some(table.table_type())))),
        ("is_insertable_into", texts(all().map(insertable))),
        ("commit_action", always("PRESERVE", rows)),
        ("table_owner", texts(all().map(|table| Some(&table.audit.owner)))),
        ("comment", texts(all().map(|table| table.comment.as_ref()))),
        ("created", instants(all().map(|table| table.audit.created_at))),
        (
            "created_by",
            texts(all().map(|table| Some(&table.audit.created_by))),
        ),
        (
            "last_altered",
            instants(all().map(|table| table.audit.updated_at)),
        ),
        (
            "last_altered_by",
            texts(all().map(|table| Some(&table.audit.updated_by))),
        ),
        ("data_source_format", texts(all().map(format))),
        ("storage_path", texts(all().map(|table| table.location.as_ref()))),
        ("storage_sub_directory", texts(all().map(|_| None::<&str>))),
    ]
}
