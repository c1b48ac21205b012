//! What names of relations stand for: relations of the session, tables and views of the metastore.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::datasource::ViewTable;
use datafusion::sql::sqlparser::ast::Statement;
use ingot_catalog::{TableInfo, TableKind};
use ingot_common::{Kind, TableName};
use ingot_delta::change_feed::check_recorded;
use ingot_delta::{ChangeFeed, DeltaTable, Snapshot, TimeTravel};

use super::filtered::filtered;
use super::scope::{Scope, SeenValues};
use super::{Reads, plan_in};
use crate::access::Reader;
use crate::change_feed::feed_provider;
use crate::metric_view::{Inputs, MetricView};
use crate::provider::{FileOrder, Rows, delta_provider, ordered_provider, past_provider};
use crate::session::identifier;
use crate::{Error, Result, Session, access, information_schema, system_tables};

/// Finds what a name in a query stands for, and the full name under which DataFusion will look for it.
pub(super) async fn provider_of(
    session: &Session,
    reference: &TableReference,
    scope: &Scope,
    reads: &Reads,
) -> Result<(TableReference, Arc<dyn TableProvider>)> {
    let catalog = reference.catalog().unwrap_or(scope.namespace.catalog.as_str());
    let schema = reference.schema().unwrap_or(scope.namespace.schema.as_str());
    let full = TableReference::full(catalog, schema, reference.table());
    if let Some(provider) = session_relation(session, &reference.to_vec(), reads, scope).await? {
        return Ok((full, provider));
    }
    let name = TableName::new(
        identifier(catalog)?,
        identifier(schema)?,
        identifier(reference.table())?,
    );
    Ok((full, table_provider(session, &name, None, reads, scope).await?))
}

/// Finds a relation of the session's own: one that is registered, or a temporary view.
pub(super) async fn session_relation(
    session: &Session,
    name: &[String],
    reads: &Reads,
    scope: &Scope,
) -> Result<Option<Arc<dyn TableProvider>>> {
    if let [short] = name
        && scope.sees(short)
        && let Some(provider) = session.relation(short)
    {
        reads.see_temporary(short.to_lowercase());
        return Ok(Some(provider));
    }
    let view = match name {
        [short] if !scope.sees(short) => None,
        name => session.temporary_view(name),
    };
    let Some(view) = view else { return Ok(None) };
    reads.see_temporary(view.name.to_lowercase());
    let values = match name {
        [_] => SeenValues::SessionVariables,
        // All sessions see it, each with variables of its own.
        _ => SeenValues::None,
    };
    let reader = match name {
        [_] => scope.reader.clone(),
        _ => Reader::owner(&view.owner),
    };
    let (namespace, temporary) = (view.namespace.clone(), view.temporary.clone());
    let scope = scope.of_view(&view.name, namespace, temporary, values, reader)?;
    let query = crate::statement::parse_query(&view.definition)?;
    view_provider(session, query, Some(&view.definition), scope, reads)
        .await
        .map(Some)
}

/// Plans the query of a view.
async fn view_provider(
    session: &Session,
    query: Statement,
    definition: Option<&str>,
    scope: Scope,
    reads: &Reads,
) -> Result<Arc<dyn TableProvider>> {
    let rows = plan_in(session, query, scope, reads, None).await?;
    Ok(Arc::new(ViewTable::new(
        rows.into_unoptimized_plan(),
        definition.map(str::to_owned),
    )))
}

/// What a name of the metastore stands for, before any of it is read.
pub(crate) enum Found {
    /// A version of a table.
    Table(Box<TableAt>),
    /// What has no versions: a view, a table that is shown through a filter or masks, or a relation of
    /// `information_schema`.
    Other(Arc<dyn TableProvider>),
}

/// A version of a table. Its rows are given by the methods here and by nothing else: what restricts what a reader sees
/// of them goes around each, and lets through the columns that say where rows are.
#[derive(Debug)]
pub(crate) struct TableAt {
    info: TableInfo,
    table: Arc<DeltaTable>,
    snapshot: Arc<Snapshot>,
    /// It was asked for by number or time.
    past: bool,
}

impl TableAt {
    /// Returns the table's row in the metastore.
    pub fn info(&self) -> &TableInfo {
        &self.info
    }

    /// Returns the version.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Makes the provider of its rows.
    pub async fn provider(&self) -> Result<Arc<dyn TableProvider>> {
        let (table, snapshot) = (Arc::clone(&self.table), Arc::clone(&self.snapshot));
        if self.past {
            return Ok(past_provider(table, snapshot));
        }
        // The optimiser asks for them, and cannot wait.
        snapshot.files().await?;
        Ok(delta_provider(table, snapshot, None))
    }

    /// Makes the provider of some rows in an order of its files, with where they are: see [`ordered_provider`].
    pub fn ordered(&self, order: &Arc<FileOrder>, files: Vec<usize>, rows: Rows) -> Arc<dyn TableProvider> {
        let (table, snapshot) = (Arc::clone(&self.table), Arc::clone(&self.snapshot));
        ordered_provider(table, snapshot, Arc::clone(order), files, rows)
    }

    /// Makes the relation of what the commits of `versions`, none of which is later, changed.
    ///
    /// # Errors
    /// As [`DeltaTable::change_feed`].
    pub async fn changes(&self, versions: RangeInclusive<i64>) -> Result<Arc<dyn TableProvider>> {
        let snapshot = Arc::clone(&self.snapshot);
        let feed = match versions.is_empty() {
            true => {
                check_recorded(snapshot.metadata(), snapshot.version(), &versions)?;
                ChangeFeed::new(snapshot)
            }
            false => self.table.change_feed(snapshot, versions).await?,
        };
        Ok(feed_provider(Arc::clone(&self.table), feed))
    }
}

/// Finds the table or view `name`, a table at `point` of its history if given, in a query of `scope`.
///
/// # Errors
/// `NotFound` when there is none; `PermissionDenied`; `Unsupported` for a point in the history of a view.
pub(super) async fn table_provider(
    session: &Session,
    name: &TableName,
    point: Option<TimeTravel>,
    reads: &Reads,
    scope: &Scope,
) -> Result<Arc<dyn TableProvider>> {
    match found(session, name, point, reads, scope).await? {
        Found::Table(table) => table.provider().await,
        Found::Other(provider) => Ok(provider),
    }
}

/// Does what [`table_provider`] does, and reads no files of tables.
///
/// # Errors
/// As [`table_provider`].
pub(super) async fn found(
    session: &Session,
    name: &TableName,
    point: Option<TimeTravel>,
    reads: &Reads,
    scope: &Scope,
) -> Result<Found> {
    if information_schema::has(name) && point.is_none() {
        return Ok(Found::Other(information_schema::provider(session, name).await?));
    }
    if point.is_none()
        && let Some(table) = system_tables::provider(session, name)?
    {
        return Ok(Found::Other(table));
    }
    let info = access::table_to_read(session, &scope.reader, reads, name).await?;
    if info.kind != TableKind::View {
        if point.is_some() {
            access::check_unfiltered(&info, "its past")?;
        }
        let (table, newest) = session.open_newest(&info).await?;
        let snapshot = match point {
            None => reads.see(&table, newest),
            Some(point) => table.snapshot_at(point).await?,
        };
        let table = TableAt {
            info,
            table,
            snapshot,
            past: point.is_some(),
        };
        let TableAt { info, .. } = &table;
        if info.filters.is_empty() {
            return Ok(Found::Table(Box::new(table)));
        }
        let rows = table.provider().await?;
        let shown = filtered(session, &info.name, &info.filters, rows, reads, scope).await?;
        return Ok(Found::Other(shown));
    }
    if point.is_some() {
        return Err(Error::Condition {
            kind: Kind::Unsupported,
            condition: "UNSUPPORTED_FEATURE.TIME_TRAVEL",
            sqlstate: "0A000",
            message: format!("time travel on the view `{name}` is not supported; views have no versions"),
        });
    }
    let query = match info.metrics {
        true => MetricView::of(&info)?.rows(&Inputs::new())?,
        false => crate::statement::parse_query(info.definition.as_deref().unwrap_or_default())?,
    };
    let view = view_rows(session, &info, query, scope, reads).await?;
    Ok(Found::Other(view))
}

/// Plans a query where the one of a view is planned, with the rights of the view's owner.
///
/// # Errors
/// `VIEW_EXCEED_MAX_NESTED_DEPTH`, and what is wrong with the query.
pub(super) async fn view_rows(
    session: &Session,
    view: &TableInfo,
    query: Statement,
    scope: &Scope,
    reads: &Reads,
) -> Result<Arc<dyn TableProvider>> {
    reads.see_view(view.name.clone());
    let namespace = view.definition_namespace.clone();
    let scope = scope.of_view(
        &view.name.to_string(),
        namespace.unwrap_or_else(|| session.namespace()),
        BTreeSet::new(),
        SeenValues::None,
        Reader::owner(&view.audit.owner),
    )?;
    view_provider(session, query, view.definition.as_deref(), scope, reads).await
}

/// Makes the provider of a table as the statement sees it, or of its past.
pub(super) async fn provider(
    table: Arc<DeltaTable>,
    point: Option<TimeTravel>,
    reads: &Reads,
) -> Result<Arc<dyn TableProvider>> {
    match point {
        None => {
            let snapshot = reads.snapshot(&table).await?;
            // The optimiser asks for them, and cannot wait.
            snapshot.files().await?;
            Ok(delta_provider(table, snapshot, None))
        }
        Some(point) => {
            let snapshot = table.snapshot_at(point).await?;
            Ok(past_provider(table, snapshot))
        }
    }
}
