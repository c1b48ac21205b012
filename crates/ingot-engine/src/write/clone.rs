//! SHALLOW CLONE into a table of the metastore: a new one, or one that is replaced.

use std::sync::Arc;

use ingot_catalog::{KeyChange, Need, NewTable, TableChange, TableFilters, TableKind};
use ingot_common::{Classify, Kind, TableName};
use ingot_delta::{CloneSource, DeltaTable, OperationMetrics};

use super::TableSpec;
use super::create::{
    abandon, check_allowed, column_infos, empty, new_table, not_empty, parse_location, while_reserved,
};
use super::replace::check_replaceable;
use crate::{Error, Result, Session, access};

/// The table that becomes a clone.
#[derive(Debug, Clone)]
pub(crate) struct CloneTarget {
    pub name: TableName,
    pub if_not_exists: bool,
    pub replace: bool,
    /// External tables only.
    pub location: Option<String>,
}

/// Makes `target` a clone of `source`. Returns Spark's metrics; `None` when the table is there and was to be left.
///
/// # Errors
/// `AlreadyExists` for a taken name; as [`ingot_delta::DeltaTables::create_clone`] for what cannot be cloned.
pub(crate) async fn clone_table(
    session: &Session,
    target: &CloneTarget,
    source: &CloneSource,
) -> Result<Option<OperationMetrics>> {
    let spec = spec(target, source);
    if target.replace || target.if_not_exists {
        let need = match target.if_not_exists {
            true => Need::Sight,
            false => Need::Manage,
        };
        match access::table(session, &target.name, need).await {
            Ok(_) if target.if_not_exists => return Ok(None),
            Ok(info) => {
                access::check_unfiltered(&info, "what a clone has in its place")?;
                let table = session.open(&info).await?;
                check_replaceable(&spec, &info)?;
                return replace(session, &info, &table, source).await.map(Some);
            }
            Err(ingot_catalog::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match create(session, &spec, source).await {
        Err(error) if target.if_not_exists && error.kind() == Kind::AlreadyExists => Ok(None),
        created => created.map(Some),
    }
}

async fn replace(
    session: &Session,
    info: &ingot_catalog::TableInfo,
    table: &Arc<DeltaTable>,
    source: &CloneSource,
) -> Result<OperationMetrics> {
    let (snapshot, metrics) = table.replace_by_clone(source).await?;
    let columns = column_infos(snapshot.schema(), snapshot.partition_columns());
    let principal = session.context().principal.as_str();
    let change = TableChange {
        columns: &columns,
        keys: KeyChange::Replace(&[]),
        comment: None,
        properties: &source.properties,
        dataset: None,
        shallow_clone: Some(true),
    };
    let metastore = session.engine().metastore();
    metastore.set_replaced(info.id, &change, principal).await?;
    Ok(metrics)
}

async fn create(session: &Session, spec: &TableSpec, source: &CloneSource) -> Result<OperationMetrics> {
    if let Some(location) = &spec.location
        && !empty(session, &parse_location(location)?).await?
    {
        return Err(not_empty(location, "is not empty"));
    }
    check_allowed(session, spec).await?;
    let metastore = session.engine().metastore();
    let principal = session.context().principal.as_str();
    let new = NewTable {
        shallow_clone: true,
        ..new_table(spec, &spec.schema, &spec.partition_columns)
    };
    let reserved = metastore.reserve_table(&new, principal).await?;
    let made = while_reserved(metastore, reserved.id, async {
        let location = reserved.location.as_deref().or(spec.location.as_deref());
        let location =
            location.ok_or_else(|| Error::internal(format!("table {} was given no location", spec.name)));
        let location = parse_location(location?)?;
        Ok(session.engine().tables().create_clone(&location, source).await?)
    });
    let (table, metrics) = match made.await {
        Ok(made) => made,
        Err(error) => {
            abandon(metastore, &reserved).await;
            return Err(error);
        }
    };
    match metastore.publish_table(reserved.id).await {
        Ok(_) => Ok(metrics),
        Err(error) => {
            // Only where it is certain that the name is not ours: the outcome of another failure is unknown.
            let lost = matches!(error, ingot_catalog::Error::NotFound { .. });
            if lost
                && spec.kind.owns_files()
                && let Err(left) = session.engine().tables().delete(table.location()).await
            {
                tracing::warn!(location = %table.location(), error = %left, "files of a table that was not made stay");
            }
            Err(error.into())
        }
    }
}

fn spec(target: &CloneTarget, source: &CloneSource) -> TableSpec {
    let kind = match target.location {
        Some(_) => TableKind::External,
        None => TableKind::Managed,
    };
    TableSpec {
        name: target.name.clone(),
        kind,
        schema: Arc::clone(source.snapshot.schema()),
        partition_columns: source.snapshot.partition_columns().to_vec(),
        location: target.location.clone(),
        definition: None,
        comment: None,
        properties: source.properties.clone(),
        clustering_columns: None,
        constraints: Vec::new(),
        dataset: None,
        filters: TableFilters::default(),
    }
}
