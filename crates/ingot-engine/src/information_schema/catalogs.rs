//! `catalogs`.

use super::{Columns, Contents, instants, texts};

pub(super) fn columns(contents: &Contents) -> Columns {
    let all = || contents.catalogs.iter();
    vec![
        (
            "catalog_name",
            texts(all().map(|catalog| Some(catalog.name.as_str()))),
        ),
        (
            "catalog_owner",
            texts(all().map(|catalog| Some(&catalog.audit.owner))),
        ),
        ("comment", texts(all().map(|catalog| catalog.comment.as_ref()))),
        ("created", instants(all().map(|catalog| catalog.audit.created_at))),
        (
            "created_by",
            texts(all().map(|catalog| Some(&catalog.audit.created_by))),
        ),
        (
            "last_altered",
            instants(all().map(|catalog| catalog.audit.updated_at)),
        ),
        (
            "last_altered_by",
            texts(all().map(|catalog| Some(&catalog.audit.updated_by))),
        ),
    ]
}
