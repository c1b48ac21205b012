//! `schemata`.

use super::{Columns, Contents, instants, texts};

pub(super) fn columns(contents: &Contents) -> Columns {
    let all = || contents.schemas.iter();
    vec![
        (
            "catalog_name",
            texts(all().map(|schema| Some(schema.name.catalog.as_str()))),
        ),
        (
            "schema_name",
            texts(all().map(|schema| Some(schema.name.schema.as_str()))),
        ),
        (
            "schema_owner",
            texts(all().map(|schema| Some(&schema.audit.owner))),
        ),
        ("comment", texts(all().map(|schema| schema.comment.as_ref()))),
        ("created", instants(all().map(|schema| schema.audit.created_at))),
        (
            "created_by",
            texts(all().map(|schema| Some(&schema.audit.created_by))),
        ),
        (
            "last_altered",
            instants(all().map(|schema| schema.audit.updated_at)),
        ),
        (
            "last_altered_by",
            texts(all().map(|schema| Some(&schema.audit.updated_by))),
        ),
    ]
}
