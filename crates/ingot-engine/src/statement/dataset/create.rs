//! `CREATE [OR REPLACE | OR REFRESH] MATERIALIZED VIEW`, `CREATE [OR REFRESH] STREAMING TABLE`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::dataframe::DataFrame;
use datafusion::sql::sqlparser::ast::visit_relations;
use ingot_catalog::{DatasetChange, FilterChange, KeyChange, Need, TableChange, TableInfo};
use ingot_common::port::StatementResult;
use ingot_common::{Classify, Kind};

use super::super::alter::{Clustering, apply_clustering, apply_properties};
use super::super::create_table::check_properties;
use super::super::cursor::Cursor;
use super::super::{Work, done, view};
use super::definition::Definition;
use super::{DOMAIN, DatasetKind, Extent, bring_up_to_date, materialized, session_in, streaming};
use crate::resolve;
use crate::write::rules::definition::{check_columns, refused};
use crate::write::{DatasetSpec, TableSpec, create as create_table, replace_table, snapshot_read};
use crate::{Error, Result, Session, access};

/// Parses what follows the kind. With `again`, a dataset of the name is replaced, or has another query from now on.
pub(in crate::statement) fn parse<'a>(
    session: &'a Session,
    cursor: &mut Cursor<'_>,
    kind: DatasetKind,
    again: bool,
) -> Result<Work<'a>> {
    let definition = Definition::parse(session, cursor, kind)?;
    check_properties(&definition.properties)?;
    if again && definition.if_not_exists {
        return Err(Error::parse(
            "OR REPLACE, OR REFRESH and IF NOT EXISTS exclude each other".to_owned(),
        ));
    }
    if definition.clustering_columns.is_some() && !definition.partition_columns.is_empty() {
        return Err(refused(
            "DELTA_CLUSTER_BY_WITH_PARTITIONED_BY",
            "42613",
            "clustering and partitioning cannot both be specified".to_owned(),
        ));
    }
    Ok(Work::writes(run(session, definition, again)))
}

async fn run(session: &Session, definition: Definition, again: bool) -> Result<StatementResult> {
    let existing = match access::table(session, &definition.name, Need::Sight).await {
        Ok(info) => Some(info),
        Err(ingot_catalog::Error::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    if existing.is_some() && definition.if_not_exists {
        return done();
    }
    check_markers(&definition)?;
    match (definition.kind, existing) {
        (DatasetKind::StreamingTable, Some(info)) if again => redefine(session, &definition, &info).await,
        (DatasetKind::StreamingTable, _) => create_streaming_table(session, &definition).await,
        (DatasetKind::MaterializedView, existing) => {
            create_view(session, &definition, existing.filter(|_| again)).await
        }
    }
}

/// Refuses a query that has markers: it is read again when nobody gives their values.
fn check_markers(definition: &Definition) -> Result<()> {
    let query = super::super::parse_query(&definition.query)?;
    let kind = definition.kind.name();
    if resolve::has_parameters(&query) {
        return Err(Error::parameter_marker(&format!(
            "CREATE {}",
            kind.to_uppercase()
        )));
    }
    Ok(())
}

/// Tells of a temporary view where a query names one: it is not found where the query is planned.
fn lasting<T>(session: &Session, definition: &Definition, planned: Result<T>) -> Result<T> {
    let error = match planned {
        Err(error) if error.kind() == Kind::NotFound => error,
        planned => return planned,
    };
    let query = super::super::parse_query(&definition.query)?;
    let mut temporary = None;
    let _ = visit_relations(&query, |name| {
        let parts = resolve::parts(name).unwrap_or_default();
        match session.temporary_view(&parts) {
            Some(_) => {
                temporary = Some(parts.join("."));
                ControlFlow::Break(())
            }
            None => ControlFlow::Continue(()),
        }
    });
    match temporary {
        Some(named) => {
            let lasting = format!("{} `{}`", definition.kind.name(), definition.name);
            Err(Error::temporary_reference(&lasting, &named))
        }
        None => Err(error),
    }
}

async fn create_view(
    session: &Session,
    definition: &Definition,
    existing: Option<TableInfo>,
) -> Result<StatementResult> {
    let own = session_in(session, session.namespace())?;
    let named = definition.named().is_some();
    let planned = materialized::plan(&own, &definition.query, named).await;
    let (rows, computed) = lasting(session, definition, planned)?;
    let spec = spec(&own, definition, &rows, computed.configuration()?).await?;
    let Some(info) = existing else {
        create_table(&own, &spec, Some(&rows), definition.if_not_exists).await?;
        return done();
    };
    let table = own.open(&info).await?;
    if snapshot_read(rows.logical_plan(), table.location())?.is_some() {
        return Err(view::recursive(&info.name.to_string()));
    }
    replace_table(&own, &spec, Some(&rows)).await?;
    done()
}

async fn create_streaming_table(session: &Session, definition: &Definition) -> Result<StatementResult> {
    let own = session_in(session, session.namespace())?;
    let nothing = streaming::Progress::new(definition.named());
    let planned = streaming::batch(&own, &definition.name, &definition.query, &nothing).await;
    let batch = lasting(session, definition, planned)?;
    let spec = spec(&own, definition, &batch.rows, batch.progress.configuration()?).await?;
    create_table(&own, &spec, Some(&batch.rows), definition.if_not_exists).await?;
    done()
}

async fn spec(
    session: &Session,
    definition: &Definition,
    rows: &DataFrame,
    state: String,
) -> Result<TableSpec> {
    let schema = definition.schema(rows)?;
    let partition_columns = definition.partition_columns(&schema);
    check_columns(&session.datafusion().state(), &schema, &partition_columns)?;
    let filters = definition
        .filters
        .to_filters(session, &definition.name, &schema)
        .await?;
    Ok(TableSpec {
        name: definition.name.clone(),
        kind: definition.kind.table_kind(),
        schema,
        partition_columns,
        location: None,
        definition: Some(definition.query.clone()),
        comment: definition.comment.clone(),
        properties: definition.properties.clone(),
        clustering_columns: definition.clustering_columns.clone(),
        constraints: definition.keys.clone(),
        dataset: Some(DatasetSpec {
            namespace: session.namespace(),
            refresh_schedule: definition.schedule.clone(),
            domain: DOMAIN,
            state,
        }),
        filters,
    })
}

/// Gives a streaming table that is there another query, for the rows that come, and refreshes it.
async fn redefine(session: &Session, definition: &Definition, info: &TableInfo) -> Result<StatementResult> {
    definition.kind.check(info)?;
    access::check(session, info, Need::Manage).await?;
    if definition.named().is_some() {
        return Err(Error::unsupported(format!(
            "`{}` is there; CREATE OR REFRESH takes no columns then, it gets those of its query",
            info.name
        )));
    }
    let (_, snapshot) = session.open_newest(info).await?;
    let partitions = definition.partition_columns(snapshot.schema());
    if !partitions.is_empty() && partitions != snapshot.partition_columns() {
        return Err(Error::unsupported(format!(
            "`{}` is partitioned by ({}); DROP it to partition it by other columns",
            info.name,
            snapshot.partition_columns().join(", ")
        )));
    }
    // Planned before anything changes: a query that cannot be is no query.
    let own = session_in(session, session.namespace())?;
    let nothing = streaming::Progress::new(None);
    streaming::batch(&own, &info.name, &definition.query, &nothing).await?;
    let mut properties: BTreeMap<String, String> = definition.properties.clone();
    properties.retain(|key, value| snapshot.properties().get(key) != Some(value));
    if let Some(comment) = definition
        .comment
        .clone()
        .filter(|comment| info.comment.as_ref() != Some(comment))
    {
        properties.insert("comment".to_owned(), comment);
    }
    if !properties.is_empty() {
        apply_properties(session, &info.name, properties).await?;
    }
    let clustered = snapshot
        .clustering_columns()?
        .filter(|columns| !columns.is_empty());
    if let Some(columns) = definition.clustering_columns.clone()
        && Some(&columns) != clustered.as_ref()
    {
        apply_clustering(session, &info.name, Clustering::By(columns)).await?;
    }
    if !definition.filters.is_empty() {
        let filters = definition
            .filters
            .to_filters(session, &info.name, snapshot.schema());
        let change = FilterChange::RowFilter(filters.await?.row_filter);
        let principal = session.context().principal.as_str();
        let metastore = session.engine().metastore();
        metastore.alter_filters(info.id, change, principal).await?;
    }
    record(session, definition, info).await?;
    bring_up_to_date(session, &info.name, definition.kind, Extent::New).await
}

/// Tells the metastore what the query of a table is now.
async fn record(session: &Session, definition: &Definition, info: &TableInfo) -> Result<()> {
    let metastore = session.engine().metastore();
    let shown = metastore.table(&info.name).await?;
    if shown.id != info.id {
        return Err(Error::table_not_found(&info.name));
    }
    let change = TableChange {
        columns: &shown.columns,
        keys: KeyChange::Keep,
        comment: shown.comment.as_deref(),
        properties: &shown.properties,
        dataset: Some(DatasetChange {
            definition: &definition.query,
            namespace: &session.namespace(),
            refresh_schedule: definition.schedule.as_deref(),
        }),
        shallow_clone: None,
    };
    let principal = session.context().principal.as_str();
    Ok(metastore.set_replaced(info.id, &change, principal).await?)
}
