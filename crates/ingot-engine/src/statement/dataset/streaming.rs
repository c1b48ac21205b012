//! Streaming tables: each refresh adds what the tables that they stream got since the one before.
//!
//! Where a stream is in a table's history (the table's id and the last version that was read) is the configuration of
//! [`DOMAIN`]: it changes with the rows, in one commit. A stream begins with all rows that its table has then. It reads
//! added rows only: a commit that changed or deleted rows stops it. Source: Databricks, "CREATE STREAMING TABLE"; Delta,
//! `DeltaSource`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::dataframe::DataFrame;
use ingot_catalog::{TableInfo, TableKind};
use ingot_common::{Kind, TableName};
use ingot_delta::{Action, Add, DeltaTable, Operation, Snapshot};
use serde::{Deserialize, Serialize};

use super::streamable::check_streamable;
use super::{DOMAIN, Extent, same_columns};
use crate::access::{self, SELECT};
use crate::provider::streamed_provider;
use crate::resolve::{self, Reads};
use crate::write::{ColumnMatch, Fence, SchemaEvolution, WriteMode, WriteOptions, WriteRequest};
use crate::{Error, Result, Session};

/// Versions without new rows after which a refresh records that they were passed: their commits may be cleaned up.
const EMPTY_VERSIONS_MAX: i64 = 100;

/// How far the streams of a table have been read: the configuration of [`DOMAIN`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// By the names of the tables, as the query has them in full.
    tables: BTreeMap<String, Position>,
    /// The columns of the table, by their places in the query, where the statement named them.
    named: Option<Vec<String>>,
}

/// Everything up to a version of a table has been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    id: String,
    version: i64,
}

impl Progress {
    /// Makes the progress of a table that has read nothing.
    pub fn new(named: Option<Vec<String>>) -> Self {
        Self {
            tables: BTreeMap::new(),
            named,
        }
    }

    /// Reads the configuration of the domain.
    ///
    /// # Errors
    /// `DataLoss` where there is none that is known: rows would be read twice.
    fn of(info: &TableInfo, snapshot: &Snapshot) -> Result<Self> {
        let configuration = snapshot.domain_metadata(DOMAIN).unwrap_or_default();
        serde_json::from_str(configuration).map_err(|error| Error::Condition {
            kind: Kind::DataLoss,
            condition: "STREAMING_TABLE_NEEDS_REFRESH",
            sqlstate: "55019",
            message: format!(
                "the log of `{}` does not say what it has read ({error}); run REFRESH STREAMING TABLE `{}` FULL",
                info.name, info.name
            ),
        })
    }

    pub fn configuration(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::internal(error.to_string()))
    }
}

/// The next batch of a streaming table.
pub(super) struct Batch {
    pub rows: DataFrame,
    /// How far the streams are read with it.
    pub progress: Progress,
    /// Some stream has files that were not read.
    has_rows: bool,
    /// Versions that are passed with it, of the stream that passes most.
    versions: i64,
}

/// Plans what a query reads after `before`, in its own session.
///
/// # Errors
/// `STREAMING_TABLE_QUERY_INVALID` for a query without a stream, and what is wrong with the query; as [`Stream::after`].
pub(super) async fn batch(
    session: &Session,
    name: &TableName,
    query: &str,
    before: &Progress,
) -> Result<Batch> {
    let parsed = super::super::parse_query(query)?;
    let mut streams = HashMap::new();
    let mut progress = Progress::new(before.named.clone());
    let (mut has_rows, mut versions) = (false, 0);
    for streamed in resolve::streams(&parsed)? {
        let table = session.resolve(&streamed)?;
        if streams.contains_key(&table) {
            continue;
        }
        if table == *name {
            return Err(super::super::view::recursive(&name.to_string()));
        }
        let read = before.tables.get(&table.to_string());
        let stream = Stream::after(session, &table, read).await?;
        has_rows |= stream.has_rows;
        versions = versions.max(stream.position.version - read.map_or(0, |read| read.version));
        progress.tables.insert(table.to_string(), stream.position);
        streams.insert(table, stream.rows);
    }
    if streams.is_empty() {
        return Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "STREAMING_TABLE_QUERY_INVALID",
            sqlstate: "42000",
            message: format!(
                "streaming table `{name}` can only be created from a streaming query: say FROM STREAM before the name of \
                 the table whose new rows it is to get"
            ),
        });
    }
    let reads = Reads::streaming(streams);
    let rows = resolve::plan(session, parsed, &session.namespace(), &reads).await?;
    check_streamable(rows.logical_plan())?;
    Ok(Batch {
        rows,
        progress,
        has_rows,
        versions,
    })
}

/// Makes what a refresh writes; `None` when there is nothing new.
///
/// # Errors
/// As [`batch`].
pub(super) async fn request(
    session: &Session,
    info: &TableInfo,
    query: &str,
    snapshot: &Arc<Snapshot>,
    extent: Extent,
) -> Result<Option<WriteRequest>> {
    let before = match (Progress::of(info, snapshot), extent) {
        (Ok(progress), Extent::New) => progress,
        (Ok(progress), Extent::Full) => Progress::new(progress.named),
        (Err(_), Extent::Full) => Progress::new(None),
        (Err(error), Extent::New) => return Err(error),
    };
    let batch = batch(session, &info.name, query, &before).await?;
    let other_streams = !batch.progress.tables.keys().eq(before.tables.keys());
    let due = batch.has_rows || other_streams || batch.versions >= EMPTY_VERSIONS_MAX;
    if !due && extent == Extent::New {
        return Ok(None);
    }
    let mode = match extent {
        Extent::New => WriteMode::Append,
        Extent::Full => WriteMode::Overwrite,
    };
    let mut options = WriteOptions::new(mode);
    // Another query may have more or fewer columns than were named.
    let given = batch.rows.schema().fields().len();
    let named = before.named.filter(|names| names.len() == given);
    if named.is_none() && !same_columns(&batch.rows, snapshot.schema()) {
        options.evolution = match extent {
            Extent::New => SchemaEvolution::Merge,
            Extent::Full => SchemaEvolution::Overwrite,
        };
    }
    let columns = match named {
        Some(names) => ColumnMatch::Listed(names),
        None => ColumnMatch::Name,
    };
    let mode = match extent {
        Extent::New => "INCREMENTAL",
        Extent::Full => "COMPLETE",
    };
    let mut request = WriteRequest::new(batch.rows, columns, options);
    request.operation = Some(Operation::new("REFRESH").with("mode", mode));
    request.read = Some(Arc::clone(snapshot));
    request.fence = Some(Fence::Domain {
        domain: DOMAIN,
        before: snapshot.domain_metadata(DOMAIN).map(str::to_owned),
        after: batch.progress.configuration()?,
    });
    Ok(Some(request))
}

/// What a table has got.
struct Stream {
    rows: Arc<dyn TableProvider>,
    position: Position,
    has_rows: bool,
}

impl Stream {
    /// Finds what a table has got after `read`; all that it has when nothing was read.
    ///
    /// # Errors
    /// `Unsupported` for a view; `DIFFERENT_DELTA_TABLE_READ_BY_STREAMING_SOURCE` for a table that was made anew;
    /// `DELTA_SOURCE_TABLE_IGNORE_CHANGES` where rows were changed or deleted; `DataLoss` where a commit is gone.
    async fn after(session: &Session, name: &TableName, read: Option<&Position>) -> Result<Self> {
        let info = access::table(session, name, SELECT).await?;
        access::check_unfiltered(&info, "a stream of its rows")?;
        if info.kind == TableKind::View {
            return Err(Error::unsupported(format!(
                "`{name}` is a view, which is not streamed; stream the tables that it reads"
            )));
        }
        let (table, newest) = session.open_newest(&info).await?;
        let id = newest.metadata().id.clone();
        let Some(read) = read else {
            let has_rows = !newest.files().await?.is_empty();
            let position = Position {
                id,
                version: newest.version(),
            };
            return Ok(Self {
                rows: streamed_provider(table, newest, None),
                position,
                has_rows,
            });
        };
        if id != read.id || newest.version() < read.version {
            return Err(changed(
                "DIFFERENT_DELTA_TABLE_READ_BY_STREAMING_SOURCE",
                "55019",
                format!(
                    "`{name}` is another table than the one that was streamed, which was dropped or replaced"
                ),
            ));
        }
        let mut adds = Vec::new();
        for version in read.version + 1..=newest.version() {
            adds.extend(added_files(name, &table, version).await?);
        }
        let position = Position {
            id,
            version: newest.version(),
        };
        Ok(Self {
            has_rows: !adds.is_empty(),
            rows: streamed_provider(table, newest, Some(adds)),
            position,
        })
    }
}

/// Returns the files of new rows of a commit.
async fn added_files(name: &TableName, table: &DeltaTable, version: i64) -> Result<Vec<Arc<Add>>> {
    let Some(actions) = table.commit_actions(version).await? else {
        return Err(changed(
            "DELTA_FILE_NOT_FOUND_DETAILED",
            "42K03",
            format!("commit {version} of `{name}` was cleaned up before it was read"),
        ));
    };
    let mut adds = Vec::new();
    for action in actions {
        match action {
            Action::Add(add) if add.data_change => adds.push(Arc::new(add)),
            Action::Remove(remove) if remove.data_change => {
                return Err(changed(
                    "DELTA_SOURCE_TABLE_IGNORE_CHANGES",
                    "0A000",
                    format!(
                        "commit {version} of `{name}` changed or deleted rows, which a stream cannot follow"
                    ),
                ));
            }
            _ => {}
        }
    }
    Ok(adds)
}

fn changed(condition: &'static str, sqlstate: &'static str, what: String) -> Error {
    Error::Condition {
        kind: Kind::FailedPrecondition,
        condition,
        sqlstate,
        message: format!("{what}; REFRESH STREAMING TABLE … FULL begins anew with all rows"),
    }
}
