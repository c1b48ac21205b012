//! CREATE OR REPLACE TABLE: one commit gives the table that exists its new columns and rows and takes the old ones
//! away. The table keeps its id, its place and its history, and who reads an older version goes on reading it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion::dataframe::DataFrame;
use ingot_catalog::{
    DatasetChange, FilterChange, KeyChange, Need, TableChange, TableFilters, TableInfo, TableKind,
};
use ingot_common::retry::RetryPolicy;
use ingot_common::{Classify, Kind, clock};
use ingot_delta::clustering_domain::CLUSTERING_DOMAIN;
use ingot_delta::{CommitOutcome, CreateTable, DeltaTable, OperationMetrics, ReadSet, Replacement, Snapshot};

use super::create::{Created, column_infos, create, description, parse_location, shown_properties};
use super::stage::stage_for;
use super::{StagedFiles, TableSpec, conflict_error, snapshot_read};
use crate::{Error, Result, Session, access};

/// How often a replacement starts over after losing a race.
const REPLACE_RETRIES: RetryPolicy = RetryPolicy {
    retries_max: 20,
    pause_first: Duration::from_millis(10),
    pause_max: Duration::from_secs(1),
};

/// Makes the table of `spec`, in the place of the one that has its name if there is one; with the rows of a query, or
/// empty. Returns the count of rows.
///
/// # Errors
/// `InvalidArgument` when the name is a view's, or the table is elsewhere than `spec` says; `Unsupported` for a
/// pipeline's table; `Conflict` when others changed a table that the query reads, or retries are used up. The table
/// is as it was then.
pub(crate) async fn replace_table(
    session: &Session,
    spec: &TableSpec,
    rows: Option<&DataFrame>,
) -> Result<i64> {
    let mut retries = REPLACE_RETRIES.attempts();
    loop {
        match access::table(session, &spec.name, Need::Manage).await {
            Ok(info) => {
                let table = session.open(&info).await?;
                check_replaceable(spec, &info)?;
                return replace(session, spec, &info, &table, rows).await;
            }
            Err(ingot_catalog::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        match create(session, spec, rows, false).await {
            Ok(Created::New(_, _, count)) => return Ok(count),
            Ok(Created::Existed(..)) => {}
            // Another made it meanwhile, or is about to.
            Err(error) if error.kind() == Kind::AlreadyExists => {
                if !retries.pause().await {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Gives a table other filters.
async fn set_filters(session: &Session, info: &TableInfo, filters: &TableFilters) -> Result<()> {
    let principal = session.context().principal.as_str();
    let change = FilterChange::All(filters.clone());
    let metastore = session.engine().metastore();
    Ok(metastore.alter_filters(info.id, change, principal).await?)
}

pub(super) fn check_replaceable(spec: &TableSpec, info: &TableInfo) -> Result<()> {
    let of_query = |kind| matches!(kind, TableKind::StreamingTable | TableKind::MaterializedView);
    if of_query(info.kind) && info.definition_namespace.is_none() {
        return Err(Error::unsupported(format!(
            "`{}` belongs to a pipeline, which alone can replace it",
            info.name
        )));
    }
    if spec.kind != info.kind && (of_query(spec.kind) || of_query(info.kind)) {
        return Err(super::table_exists(&info.name));
    }
    let (Some(asked), Some(stands)) = (&spec.location, &info.location) else {
        return Ok(());
    };
    let same = |a: &str, b: &str| a.trim_end_matches('/') == b.trim_end_matches('/');
    if same(parse_location(asked)?.as_str(), stands) {
        return Ok(());
    }
    Err(Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "DELTA_TABLE_LOCATION_MISMATCH",
        sqlstate: "42613",
        message: format!("the location of the existing table is `{stands}`, not `{asked}`"),
    })
}

async fn replace(
    session: &Session,
    spec: &TableSpec,
    info: &TableInfo,
    table: &Arc<DeltaTable>,
    rows: Option<&DataFrame>,
) -> Result<i64> {
    let operation = match rows {
        Some(_) if spec.kind == TableKind::MaterializedView => "CREATE OR REPLACE MATERIALIZED VIEW",
        Some(_) => "CREATE OR REPLACE TABLE AS SELECT",
        None => "CREATE OR REPLACE TABLE",
    };
    let description = description(session, spec, operation)?;
    if !spec.constraints.is_empty() {
        // Before anything is committed.
        access::check_parents(session, &info.name, &spec.constraints).await?;
        let columns = column_infos(&spec.schema, &spec.partition_columns);
        let metastore = session.engine().metastore();
        metastore
            .check_constraints(info.id, &columns, &spec.constraints)
            .await?;
    }
    let read = match rows {
        Some(rows) => snapshot_read(rows.logical_plan(), table.location())?,
        None => None,
    };
    let snapshot = match read {
        Some(read) => read,
        None => table.snapshot().await?,
    };
    let replacement = table.replacement(&snapshot, &description)?;
    let staged = match rows {
        Some(rows) => stage_for(session, replacement.target.clone(), rows.clone()).await?,
        None => StagedFiles {
            files: Vec::new(),
            metrics: OperationMetrics::default(),
            high_water_marks: BTreeMap::new(),
            reads_target: false,
        },
    };
    // Before the rows are there: they are never shown without.
    if !spec.filters.is_empty() {
        set_filters(session, info, &spec.filters).await?;
    }
    let committed = commit(session, table, snapshot, replacement, &description, &staged).await;
    if committed.is_err() && !spec.filters.is_empty() {
        set_filters(session, info, &info.filters).await?;
    }
    let replaced = committed?;
    let columns = column_infos(replaced.schema(), replaced.partition_columns());
    let change = TableChange {
        columns: &columns,
        keys: KeyChange::Replace(&spec.constraints),
        comment: spec.comment.as_deref(),
        properties: &shown_properties(&spec.properties),
        dataset: match (&spec.dataset, &spec.definition) {
            (Some(dataset), Some(definition)) => Some(DatasetChange {
                definition,
                namespace: &dataset.namespace,
                refresh_schedule: dataset.refresh_schedule.as_deref(),
            }),
            _ => None,
        },
        shallow_clone: Some(false),
    };
    session
        .engine()
        .metastore()
        .set_replaced(info.id, &change, session.context().principal.as_str())
        .await?;
    Ok(staged.metrics.get("numOutputRows"))
}

/// Commits; starts over on the newest version when another commit came first, unless the rows were computed from
/// the table itself. The files are deleted when it does not work out.
async fn commit(
    session: &Session,
    table: &Arc<DeltaTable>,
    snapshot: Arc<Snapshot>,
    replacement: Replacement,
    description: &CreateTable,
    staged: &StagedFiles,
) -> Result<Arc<Snapshot>> {
    let target = replacement.target.clone();
    let (mut read, mut replacement) = (snapshot, replacement);
    let mut retries = REPLACE_RETRIES.attempts();
    loop {
        let mut transaction = table.transaction(Arc::clone(&read), description.operation.clone());
        transaction.set_read_set(ReadSet::WholeTable);
        // The rows that are there end; the new ones are others.
        transaction.set_row_ids_kept();
        transaction.set_metadata(replacement.metadata);
        if let Some(protocol) = replacement.protocol {
            transaction.set_protocol(protocol);
        }
        if !replacement.domains.contains_key(CLUSTERING_DOMAIN) {
            transaction.remove_domain_metadata(CLUSTERING_DOMAIN);
        }
        for (domain, configuration) in replacement.domains {
            transaction.set_domain_metadata(domain, configuration);
        }
        let replaced = read.files().await?;
        let now = clock::now_ms();
        transaction.remove_files((0..replaced.len()).map(|file| replaced.add(file).to_remove(now, true)));
        transaction.add_files(staged.files.iter().cloned());
        transaction.set_metrics(staged.metrics.clone());
        transaction.set_author(session.author());
        let reason = match transaction.commit().await? {
            CommitOutcome::Committed { snapshot, .. } => return Ok(snapshot),
            CommitOutcome::AlreadyApplied { .. } => return Ok(read),
            CommitOutcome::Conflicted(reason) => reason,
        };
        if staged.reads_target || !retries.pause().await {
            target.discard(&staged.files).await;
            return Err(conflict_error(&reason));
        }
        read = table.snapshot().await?;
        replacement = table.replacement(&read, description)?;
    }
}
