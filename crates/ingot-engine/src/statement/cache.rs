//! `CACHE [LAZY] TABLE t`, `CACHE SELECT …`, `UNCACHE TABLE [IF EXISTS] t`, `REFRESH [TABLE] t`, `CLEAR CACHE`: data
//! files of far stores, read ahead and forgotten.
//!
//! Files are kept as they are read, so none of these is needed for right answers. A table of local files is left as it
//! is. Source: Databricks, `CACHE SELECT`; Spark, `CACHE TABLE`, `UNCACHE TABLE`, `REFRESH TABLE`, `CLEAR CACHE`.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{ObjectName, Statement};
use futures::{StreamExt, TryStreamExt};
use ingot_common::port::StatementResult;
use ingot_common::{Classify, Kind};
use ingot_delta::CachedFiles;
use object_store::path::Path;

use super::cursor::Cursor;
use super::light::is_light;
use super::{Work, done};
use crate::provider::DeltaTableProvider;
use crate::resolve::{self, Reads};
use crate::{Error, Result, Session};

/// Files that are read ahead at a time.
const FILES_AHEAD_MAX: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Fetch,
    /// Files are fetched when they are first read, as ever.
    FetchLater,
    Forget,
    /// What is known of the table's log too.
    ForgetAll,
}

/// Parses one of the statements; `None` when it is another.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Option<Work<'a>>> {
    if cursor.accept_all(&["CLEAR", "CACHE"]) {
        cursor.end()?;
        return Ok(Some(Work::reads(clear(session))));
    }
    let act = if cursor.accept_all(&["CACHE", "LAZY", "TABLE"]) {
        Act::FetchLater
    } else if cursor.accept_all(&["CACHE", "TABLE"]) {
        Act::Fetch
    } else if cursor.accept_all(&["UNCACHE", "TABLE"]) {
        Act::Forget
    } else if cursor.accept_all(&["REFRESH", "TABLE"]) || cursor.accept("REFRESH") {
        Act::ForgetAll
    } else if cursor.accept("CACHE") {
        let query = cursor.query()?;
        cursor.end()?;
        return Ok(Some(Work::queries(
            is_light(session, &query),
            read(session, query),
        )));
    } else {
        return Ok(None);
    };
    let if_exists = act == Act::Forget && cursor.if_exists();
    let name = cursor.object_name()?;
    cursor.end()?;
    let work = Work::reads(run(session, name, act, if_exists));
    Ok(Some(match act {
        Act::Fetch => work.heavy(),
        _ => work,
    }))
}

async fn run(session: &Session, name: ObjectName, act: Act, if_exists: bool) -> Result<StatementResult> {
    let rows = match resolve::relation(session, &name).await {
        Ok(rows) => rows,
        Err(error) if if_exists && error.kind() == Kind::NotFound => return done(),
        Err(error) => return Err(error),
    };
    let files = files(&rows).await?;
    match act {
        Act::FetchLater => {}
        Act::Fetch => {
            futures::stream::iter(files)
                .map(|file| async move { file.store.fetch(&file.path, file.size).await })
                .buffer_unordered(FILES_AHEAD_MAX)
                .try_collect::<()>()
                .await
                .map_err(|error| Error::DataFusion(error.into()))?;
        }
        Act::Forget | Act::ForgetAll => {
            for file in files {
                file.store.forget(&file.path, file.size).await;
            }
        }
    }
    if act == Act::ForgetAll {
        for scanned in scanned(rows.logical_plan())? {
            if let Some(provider) = scanned.provider() {
                session.engine().tables().forget(provider.table().location());
            }
        }
    }
    done()
}

/// Runs a query for the files that it reads; the rows are nobody's.
async fn read(session: &Session, query: Statement) -> Result<StatementResult> {
    let rows = resolve::plan(session, query, &session.namespace(), &Reads::default()).await?;
    let mut stream = rows.execute_stream().await?;
    while stream.try_next().await?.is_some() {}
    done()
}

async fn clear(session: &Session) -> Result<StatementResult> {
    if let Some(files) = session.engine().tables().file_cache() {
        files.clear().await;
    }
    session.engine().results().clear();
    done()
}

/// A data file of a far store.
struct CachedFile {
    store: CachedFiles,
    path: Path,
    size: u64,
}

/// Returns the files, of those that may be kept, of all tables that a plan reads.
async fn files(rows: &DataFrame) -> Result<Vec<CachedFile>> {
    let mut files = Vec::new();
    for scanned in scanned(rows.logical_plan())? {
        let Some(provider) = scanned.provider() else {
            continue;
        };
        let (table, snapshot) = (provider.table(), provider.snapshot());
        let Some(store) = table.cached_files() else {
            continue;
        };
        let index = snapshot.files().await?;
        for number in 0..index.len() {
            let add = index.add(number);
            files.push(CachedFile {
                store: store.clone(),
                path: table.file_path(&add.path)?,
                size: u64::try_from(add.size).unwrap_or_default(),
            });
        }
    }
    Ok(files)
}

/// A table that a plan reads.
struct Scanned(Arc<dyn TableProvider>);

impl Scanned {
    fn provider(&self) -> Option<&DeltaTableProvider> {
        self.0.downcast_ref()
    }
}

/// Returns what a plan reads.
fn scanned(plan: &LogicalPlan) -> Result<Vec<Scanned>> {
    let mut scanned = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
        {
            scanned.push(Scanned(provider));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(scanned)
}
