//! `volumes`.

use super::{Columns, Contents, instants, texts};

pub(super) fn columns(contents: &Contents) -> Columns {
    let all = || contents.volumes.iter();
    vec![
        (
            "volume_catalog",
            texts(all().map(|volume| Some(volume.name.schema.catalog.as_str()))),
        ),
        (
            "volume_schema",
            texts(all().map(|volume| Some(volume.name.schema.schema.as_str()))),
        ),
        (
            "volume_name",
            texts(all().map(|volume| Some(volume.name.volume.as_str()))),
        ),
        (
            "volume_type",
            texts(all().map(|volume| Some(volume.kind.as_str()))),
        ),
        (
            "volume_owner",
            texts(all().map(|volume| Some(&volume.audit.owner))),
        ),
        ("comment", texts(all().map(|volume| volume.comment.as_ref()))),
        (
            "storage_location",
            texts(all().map(|volume| Some(&volume.location))),
        ),
        ("created", instants(all().map(|volume| volume.audit.created_at))),
        (
            "created_by",
            texts(all().map(|volume| Some(&volume.audit.created_by))),
        ),
        (
            "last_altered",
            instants(all().map(|volume| volume.audit.updated_at)),
        ),
        (
            "last_altered_by",
            texts(all().map(|volume| Some(&volume.audit.updated_by))),
        ),
    ]
}
