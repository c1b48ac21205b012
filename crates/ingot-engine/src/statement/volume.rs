//! Volumes: `CREATE`, `DROP`, `ALTER`, `DESCRIBE` and `SHOW VOLUMES`, and `LIST` of the files in one.
//!
//! Source: Databricks, `CREATE VOLUME`, "What are Unity Catalog volumes?".

mod list;

use datafusion::sql::sqlparser::ast::ObjectName;
use ingot_catalog::{Need, NewVolume, Page, Privilege, SecurableChange};
use ingot_common::port::StatementResult;
use ingot_common::{SchemaName, VolumeName};
use url::Url;

pub(super) use self::list::parse as list;
use super::cursor::Cursor;
use super::namespace::missing_is_fine;
use super::show::Pattern;
use super::{Work, done, tag, text_rows};
use crate::access::{self, Reader};
use crate::session::identifier;
use crate::{Error, Result, Session, files};

/// Completes the name of a volume.
pub(super) fn volume_name(session: &Session, name: &ObjectName) -> Result<VolumeName> {
    let name = session.resolve(name)?;
    Ok(VolumeName::new(name.schema_name(), name.table))
}

/// Parses what follows `CREATE [EXTERNAL] VOLUME`.
pub(super) fn create<'a>(session: &'a Session, cursor: &mut Cursor<'_>, external: bool) -> Result<Work<'a>> {
    let if_not_exists = cursor.if_not_exists();
    let name = volume_name(session, &cursor.object_name()?)?;
    let (mut location, mut comment) = (None, None);
    while !cursor.at_end() {
        if cursor.accept("LOCATION") {
            location = Some(files::location(&cursor.string()?)?.to_string());
        } else if cursor.accept("COMMENT") {
            comment = Some(cursor.string()?);
        } else {
            return Err(cursor.expected("LOCATION or COMMENT"));
        }
    }
    cursor.end()?;
    if external != location.is_some() {
        return Err(Error::parse(match external {
            true => "an external volume needs a LOCATION".to_owned(),
            false => "a volume with a LOCATION is EXTERNAL".to_owned(),
        }));
    }
    Ok(Work::defines(async move {
        access::check_create(session, &name.schema, Privilege::CreateVolume).await?;
        if let Some(location) = &location {
            access::check_path(session, &Reader::Session, location)?;
        }
        let volume = NewVolume {
            name,
            location,
            comment,
        };
        let principal = session.context().principal.as_str();
        match session
            .engine()
            .metastore()
            .create_volume(&volume, principal)
            .await
        {
            Ok(_) => done(),
            Err(ingot_catalog::Error::AlreadyExists { .. }) if if_not_exists => done(),
            Err(error) => Err(error.into()),
        }
    }))
}

/// Parses what follows `DROP VOLUME`. The files of a managed volume go later.
pub(super) fn drop<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let if_exists = cursor.if_exists();
    let name = volume_name(session, &cursor.object_name()?)?;
    cursor.end()?;
    Ok(Work::defines(async move {
        let dropped = match access::volume(session, &name, Need::Manage).await {
            Ok(_) => session.engine().metastore().drop_volume(&name).await,
            Err(error) => Err(error),
        };
        missing_is_fine(dropped, if_exists)
    }))
}

/// Parses what follows `ALTER VOLUME`.
pub(super) fn alter<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let name = volume_name(session, &cursor.object_name()?)?;
    if let Some(work) = tag::accept(session, cursor, || tag::Tagged::Volume(name.clone()))? {
        return Ok(work);
    }
    if cursor.accept_all(&["RENAME", "TO"]) {
        let new_name = volume_name(session, &cursor.object_name()?)?;
        cursor.end()?;
        if new_name.schema != name.schema {
            return Err(Error::unsupported("a volume stays in its schema".to_owned()));
        }
        return Ok(Work::defines(async move {
            let principal = session.context().principal.as_str();
            let metastore = session.engine().metastore();
            access::volume(session, &name, Need::Manage).await?;
            metastore
                .rename_volume(&name, &new_name.volume, principal)
                .await?;
            done()
        }));
    }
    if cursor.accept_all(&["SET", "OWNER", "TO"]) || cursor.accept_all(&["OWNER", "TO"]) {
        let owner = cursor.name()?;
        cursor.end()?;
        return Ok(Work::defines(async move {
            let change = SecurableChange {
                owner: Some(owner),
                ..SecurableChange::default()
            };
            alter_by(session, &name, change).await
        }));
    }
    Err(cursor.expected("RENAME TO, OWNER TO, SET TAGS or UNSET TAGS"))
}

/// Parses what follows `COMMENT ON VOLUME`.
pub(super) fn comment<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let name = volume_name(session, &cursor.object_name()?)?;
    let comment = super::alter::comment_text(cursor)?;
    Ok(Work::defines(async move {
        let change = SecurableChange {
            comment: Some(comment),
            ..SecurableChange::default()
        };
        alter_by(session, &name, change).await
    }))
}

async fn alter_by(session: &Session, name: &VolumeName, change: SecurableChange) -> Result<StatementResult> {
    let principal = session.context().principal.as_str();
    let metastore = session.engine().metastore();
    access::volume(session, name, Need::Manage).await?;
    metastore.alter_volume(name, &change, principal).await?;
    done()
}

/// `SHOW VOLUMES`.
pub(super) async fn show(session: &Session, schema: SchemaName, pattern: Pattern) -> Result<StatementResult> {
    let metastore = session.engine().metastore();
    let mut volumes = metastore.list_volumes(&schema, &Page::default()).await?;
    let sight = access::sight(session).await?;
    volumes.retain(|volume| sight.sees(volume));
    let names = volumes.iter().map(|volume| volume.name.volume.as_str());
    let names: Vec<&str> = names.filter(|name| pattern.matches(name)).collect();
    let schemas = vec![schema.schema.as_str(); names.len()];
    text_rows(&[("database", schemas), ("volume_name", names)])
}

/// `DESCRIBE VOLUME`.
pub(super) async fn describe(session: &Session, name: VolumeName) -> Result<StatementResult> {
    let volume = access::volume(session, &name, Need::Sight).await?;
    let comment = volume.comment.unwrap_or_default();
    text_rows(&[
        ("name", vec![volume.name.volume.as_str()]),
        ("catalog", vec![volume.name.schema.catalog.as_str()]),
        ("database", vec![volume.name.schema.schema.as_str()]),
        ("owner", vec![volume.audit.owner.as_str()]),
        ("storage_location", vec![volume.location.as_str()]),
        ("volume_type", vec![volume.kind.as_str()]),
        ("comment", vec![comment.as_str()]),
    ])
}

/// Finds the place of a path, which may be below `/Volumes`.
///
/// # Errors
/// `VOLUME_DOES_NOT_EXIST`; `PermissionDenied` for who may not read there; `InvalidArgument` for a path that is none, or
/// that leads out of its volume.
pub(crate) async fn place(session: &Session, reader: &Reader, path: &str) -> Result<Url> {
    let below = path
        .strip_prefix("dbfs:")
        .unwrap_or(path)
        .strip_prefix("/Volumes/");
    let Some(below) = below else {
        access::check_path(session, reader, path)?;
        return files::location(path);
    };
    let mut parts = below.splitn(4, '/');
    let (Some(catalog), Some(schema), Some(volume)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(files::invalid(format!(
            "`{path}` names no volume; one is `/Volumes/catalog/schema/volume`"
        )));
    };
    let rest = parts.next().unwrap_or_default();
    let schema = SchemaName::new(identifier(catalog)?, identifier(schema)?);
    let name = VolumeName::new(schema, identifier(volume)?);
    let volume = access::volume_to_read(session, reader, &name).await?;
    let folder = Url::parse(&volume.location).map_err(|error| Error::internal(error.to_string()))?;
    files::below(&folder, rest)
}
