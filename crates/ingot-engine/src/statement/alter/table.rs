//! The table in the metastore: `RENAME TO`, `SET LOCATION`, `SET OWNER TO`.

use ingot_catalog::{Need, Privilege, TableKind};
use ingot_common::TableName;
use ingot_delta::Snapshot;

use super::super::cursor::Cursor;
use super::super::{Work, done};
use super::{Altered, open};
use crate::access::{self, Reader};
use crate::types::ColumnType;
use crate::write::rules::definition::refused;
use crate::{Error, Result, Session, files};

/// `RENAME TO name`. Files stay where they are.
pub(super) fn rename<'a>(session: &'a Session, cursor: &mut Cursor<'_>, name: TableName) -> Result<Work<'a>> {
    let new_name = cursor.table_name(session)?;
    cursor.end()?;
    if new_name.catalog != name.catalog {
        return Err(Error::unsupported(format!(
            "`{name}` cannot be moved to another catalog: `{new_name}`"
        )));
    }
    Ok(Work::defines(async move {
        let principal = session.context().principal.as_str();
        let table = access::table(session, &name, Need::Manage).await?;
        let schema = new_name.schema_name();
        if schema != name.schema_name() {
            access::check_create(session, &schema, Privilege::CreateTable).await?;
        }
        let metastore = session.engine().metastore();
        metastore.rename_table(table.id, &new_name, principal).await?;
        done()
    }))
}

/// `SET OWNER TO principal`.
pub(super) fn set_owner<'a>(
    session: &'a Session,
    cursor: &mut Cursor<'_>,
    name: TableName,
) -> Result<Work<'a>> {
    let owner = cursor.name()?;
    cursor.end()?;
    Ok(Work::defines(async move {
        let principal = session.context().principal.as_str();
        let table = access::table(session, &name, Need::Manage).await?;
        let metastore = session.engine().metastore();
        metastore.set_table_owner(table.id, &owner, principal).await?;
        done()
    }))
}

/// `SET LOCATION 'url'` of an external table: a Delta table with the same columns stands there.
pub(super) fn set_location<'a>(
    session: &'a Session,
    cursor: &mut Cursor<'_>,
    name: TableName,
) -> Result<Work<'a>> {
    let location = cursor.string()?;
    cursor.end()?;
    Ok(Work::defines(async move {
        access::check_path(session, &Reader::Session, &location)?;
        let Altered { info, snapshot, .. } = open(session, &name, Need::Manage).await?;
        if info.kind != TableKind::External {
            return Err(refused(
                "DELTA_CANNOT_SET_LOCATION_ON_PATH_IDENTIFIER",
                "42613",
                format!("cannot change the location of `{name}`, whose files belong to it"),
            ));
        }
        let url = files::location(&location)?;
        let there = session.engine().tables().open(&url).await?.snapshot().await?;
        if columns(&there) != columns(&snapshot) {
            return Err(refused(
                "DELTA_SET_LOCATION_SCHEMA_MISMATCH",
                "42KD7",
                format!(
                    "the schema of the new Delta location is different than the current table schema. original \
                     schema: {:?}, destination schema: {:?}",
                    columns(&snapshot),
                    columns(&there)
                ),
            ));
        }
        let principal = session.context().principal.as_str();
        session
            .engine()
            .metastore()
            .set_table_location(info.id, url.as_str(), principal)
            .await?;
        done()
    }))
}

/// What two tables must have in common to stand for each other: columns, and which of them partition.
fn columns(snapshot: &Snapshot) -> Vec<(String, String, bool, bool)> {
    let partitions = snapshot.partition_columns();
    let fields = snapshot.schema().fields().iter();
    fields
        .map(|field| {
            let partitions = partitions.contains(field.name());
            (
                field.name().clone(),
                ColumnType::of(field).to_string(),
                field.is_nullable(),
                partitions,
            )
        })
        .collect()
}
