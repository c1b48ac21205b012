//! Materialized views and streaming tables: tables that a statement makes from a query, and that REFRESH brings up to
//! date.
//!
//! ```text
//! CREATE ─► query planned ─► rows and what they were computed from ─► commit 0 ─► name
//! REFRESH ─► query planned ─┬─ computed from the same ─► nothing
//!                           └─ else ─► rows ─► one commit, if nobody has refreshed meanwhile
//! ```
//! Always true: what the rows were computed from stands in the table's log, in the domain [`DOMAIN`], and changes only
//! with the rows, in one commit. So a refresh that was killed has done all or nothing, and of two at once one starts
//! over. The query is planned in a session of its own: nothing of the one that made it, or refreshes it, is part of it.
//! Source: Databricks, "CREATE MATERIALIZED VIEW", "CREATE STREAMING TABLE", "REFRESH"; ADR 0024.

mod alter;
mod create;
mod definition;
mod materialized;
mod schedule;
mod streamable;
mod streaming;

use std::time::Duration;

use arrow::datatypes::Schema;
use datafusion::dataframe::DataFrame;
use ingot_catalog::{Need, Privilege, TableInfo, TableKind};
use ingot_common::port::StatementResult;
use ingot_common::retry::RetryPolicy;
use ingot_common::{Kind, SchemaName, TableName};
use ingot_delta::Snapshot;

pub(super) use self::alter::parse as alter;
pub(super) use self::create::parse as create;
pub(super) use self::schedule::MANUAL;
use super::cursor::Cursor;
use super::{Work, done, namespace};
use crate::write::{Written, column_infos, conflict_error, type_text};
use crate::{Error, Result, Session, access};

/// The domain of a table's metadata that says what its rows were computed from.
const DOMAIN: &str = "ingot.refresh";

/// How often a refresh starts over because others changed the table.
const REFRESH_RETRIES: RetryPolicy = RetryPolicy {
    retries_max: 10,
    pause_first: Duration::from_millis(10),
    pause_max: Duration::from_secs(1),
};

/// What a statement makes of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DatasetKind {
    MaterializedView,
    StreamingTable,
}

impl DatasetKind {
    /// Takes `MATERIALIZED VIEW` or `STREAMING TABLE`, if it comes next.
    pub fn accept(cursor: &mut Cursor<'_>) -> Option<Self> {
        if cursor.accept_all(&["MATERIALIZED", "VIEW"]) {
            return Some(Self::MaterializedView);
        }
        cursor
            .accept_all(&["STREAMING", "TABLE"])
            .then_some(Self::StreamingTable)
    }

    fn table_kind(self) -> TableKind {
        match self {
            Self::MaterializedView => TableKind::MaterializedView,
            Self::StreamingTable => TableKind::StreamingTable,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::MaterializedView => "materialized view",
            Self::StreamingTable => "streaming table",
        }
    }

    /// Checks that a table is of the kind, and that a statement made it.
    fn check(self, info: &TableInfo) -> Result<()> {
        if info.kind != self.table_kind() {
            let (condition, sqlstate) = match self {
                Self::MaterializedView => (
                    "MATERIALIZED_VIEW_OPERATION_NOT_ALLOWED.NON_MATERIALIZED_VIEW",
                    "56038",
                ),
                Self::StreamingTable => (
                    "STREAMING_TABLE_OPERATION_NOT_ALLOWED.NON_STREAMING_TABLE",
                    "42601",
                ),
            };
            return Err(Error::Condition {
                kind: Kind::InvalidArgument,
                condition,
                sqlstate,
                message: format!("`{}` is not a {}", info.name, self.name()),
            });
        }
        match info.definition_namespace {
            Some(_) => Ok(()),
            None => Err(Error::unsupported(format!(
                "`{}` belongs to a pipeline, which alone changes it; `ingot pipeline run` refreshes it",
                info.name
            ))),
        }
    }
}

/// Refuses to write rows to a materialized view: they come from its query.
pub(super) fn check_written(info: &TableInfo) -> Result<()> {
    if info.kind != TableKind::MaterializedView || info.definition_namespace.is_none() {
        return Ok(());
    }
    Err(Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "MATERIALIZED_VIEW_OPERATION_NOT_ALLOWED",
        sqlstate: "56038",
        message: format!(
            "rows of the materialized view `{}` come from its query; REFRESH MATERIALIZED VIEW brings it up to date",
            info.name
        ),
    })
}

/// Refuses to take a dataset back to a version: what it has read would not go back with its rows.
pub(super) fn check_restored(info: &TableInfo) -> Result<()> {
    let of_statement = info.definition_namespace.is_some() && info.kind != TableKind::View;
    match of_statement {
        false => Ok(()),
        true => Err(Error::unsupported(format!(
            "`{}` cannot be restored; REFRESH … FULL computes it anew",
            info.name
        ))),
    }
}

/// Parses what follows `REFRESH` and the kind: `name [FULL] [SYNC | ASYNC]`.
pub(super) fn refresh<'a>(
    session: &'a Session,
    cursor: &mut Cursor<'_>,
    kind: DatasetKind,
) -> Result<Work<'a>> {
    let name = cursor.table_name(session)?;
    let extent = match cursor.accept("FULL") {
        true => Extent::Full,
        false => Extent::New,
    };
    if !cursor.accept("SYNC") {
        cursor.accept("ASYNC");
    }
    cursor.end()?;
    Ok(Work::writes(async move {
        bring_up_to_date(session, &name, kind, extent).await
    }))
}

/// `[IF EXISTS] name`.
pub(super) fn drop<'a>(session: &'a Session, cursor: &mut Cursor<'_>, kind: DatasetKind) -> Result<Work<'a>> {
    let if_exists = cursor.if_exists();
    let name = cursor.table_name(session)?;
    cursor.end()?;
    Ok(Work::defines(async move {
        let metastore = session.engine().metastore();
        let info = match access::table(session, &name, Need::Manage).await {
            Err(error) => return namespace::missing_is_fine::<()>(Err(error), if_exists),
            Ok(info) => info,
        };
        kind.check(&info)?;
        let principal = session.context().principal.as_str();
        namespace::missing_is_fine(metastore.drop_table_by_id(info.id, principal).await, if_exists)
    }))
}

/// How much a refresh computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// What is new.
    New,
    /// Everything, as if the table were made now.
    Full,
}

/// Refreshes a dataset; its query reads with the rights of who refreshes it. One that is refreshed by somebody else
/// meanwhile is looked at again.
async fn bring_up_to_date(
    session: &Session,
    name: &TableName,
    kind: DatasetKind,
    extent: Extent,
) -> Result<StatementResult> {
    let mut retries = REFRESH_RETRIES.attempts();
    loop {
        let info = access::table(session, name, Need::Privilege(Privilege::Refresh)).await?;
        kind.check(&info)?;
        let (table, snapshot) = session.open_newest(&info).await?;
        let own = session_of(session, &info)?;
        let query = info.definition.as_deref();
        let query = query.ok_or_else(|| Error::internal(format!("`{name}` has no query")))?;
        let request = match kind {
            DatasetKind::MaterializedView => materialized::request(&own, query, &snapshot, extent).await?,
            DatasetKind::StreamingTable => streaming::request(&own, &info, query, &snapshot, extent).await?,
        };
        let Some(request) = request else {
            return done();
        };
        match crate::write::try_write(&own, &table, &request).await? {
            Written::Committed { snapshot: newest, .. } => {
                show_columns(session, &info, &newest).await?;
                return done();
            }
            // Nothing of the request is of an application.
            Written::AlreadyApplied { .. } => return done(),
            Written::Conflicted(reason) => {
                if !retries.pause().await {
                    return Err(conflict_error(&reason));
                }
            }
        }
    }
}

/// Shows the columns that a refresh has given a table.
async fn show_columns(session: &Session, info: &TableInfo, snapshot: &Snapshot) -> Result<()> {
    let columns = column_infos(snapshot.schema(), snapshot.partition_columns());
    if columns == info.columns {
        return Ok(());
    }
    let principal = session.context().principal.as_str();
    let metastore = session.engine().metastore();
    Ok(metastore.set_columns(info.id, &columns, principal).await?)
}

/// Makes the session in which the query of a dataset is planned and run.
fn session_of(session: &Session, info: &TableInfo) -> Result<Session> {
    let namespace = info.definition_namespace.clone();
    session_in(session, namespace.unwrap_or_else(|| session.namespace()))
}

fn session_in(session: &Session, namespace: SchemaName) -> Result<Session> {
    let own = session.engine().session(session.context())?;
    own.set_namespace(namespace);
    Ok(own)
}

/// Says if rows have the columns that a table has: their names and types. A column of nulls fits any.
fn same_columns(rows: &DataFrame, table: &Schema) -> bool {
    let fields = rows.schema().fields();
    fields.len() == table.fields().len()
        && fields.iter().zip(table.fields()).all(|(ours, theirs)| {
            ours.name().eq_ignore_ascii_case(theirs.name())
                && (ours.data_type().is_null()
                    || type_text(ours.data_type()) == type_text(theirs.data_type()))
        })
}
