//! Reads of one table for the data API, without SQL text on the way.
//!
//! ```text
//! TableRequest ─► resolve ─► version of a table, or a view ─► state: no file is read, nothing planned
//!                              ├─ rows ─► filters ─► groups ─► order ─► columns ─► limit ─► plan
//!                              └─ page ─► the same, cut by where rows are (`page`)
//! ```

mod aggregation;
mod conditions;
mod page;
mod shape;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::dataframe::DataFrame;
use ingot_common::port::{
    Page, PageRequest, StateId, StatementResult, TableQuery, TableReader, TableRequest, TableState,
    TableVersion,
};
use ingot_common::{Kind, RequestContext, ServiceError, TableName};
use ingot_delta::{ChangeFeed, TimeTravel};

use crate::history::{Recording, Started};
use crate::resolve::{self, Found, TableAt};
use crate::resources::Allowance;
use crate::{Engine, Error, Result, Session};

/// A table or view, opened for one request.
pub(crate) struct Reading {
    session: Session,
    name: TableName,
    source: Source,
    state: TableState,
}

/// What is read.
enum Source {
    Table(Box<TableAt>),
    /// The changes of the table after a version.
    Changes(Box<TableAt>, i64),
    /// What has no versions.
    Other(Arc<dyn TableProvider>),
}

impl Reading {
    /// Opens a table or view.
    ///
    /// # Errors
    /// `NotFound` when there is none, or no such version; `Unsupported` for versions of a view.
    pub async fn open(engine: &Engine, context: &RequestContext, request: TableRequest) -> Result<Self> {
        let session = engine.session(context)?.with_client_types();
        let point = match request.version {
            TableVersion::Latest => None,
            TableVersion::Version(version) => Some(TimeTravel::Version(version)),
            TableVersion::Timestamp(timestamp) => Some(TimeTravel::Timestamp(timestamp)),
        };
        let found = resolve::table(&session, &request.table, point).await?;
        let source = match (found, request.changes_since) {
            (Found::Table(table), None) => Source::Table(table),
            (Found::Table(table), Some(since)) => Source::Changes(table, since),
            (Found::Other(provider), None) => Source::Other(provider),
            (Found::Other(_), Some(_)) => {
                let name = &request.table;
                return Err(refused(format!(
                    "`{name}` is a view, or is shown through a row filter or masks, and gives no change data feed; read that of \
                     its tables"
                )));
            }
        };
        Ok(Self {
            state: source.state(context),
            session,
            name: request.table,
            source,
        })
    }

    /// Reads within a turn and a time of its own.
    async fn admitted<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let context = self.session.context();
        let admission = self.session.engine().admission();
        let slot = admission.admit(&context.cancellation).await?;
        let allowance = Allowance::begin(context, self.session.time_max(), Some(slot));
        allowance.read(work).await
    }

    /// Notes in the query history that a query has come.
    fn begin(&self, query: &TableQuery) -> Result<Recording, ServiceError> {
        let context = self.session.context();
        let started = Started::new(context, text(&self.name, query), None);
        Recording::begin(self.session.engine().query_history(), context, started)
    }

    /// Plans all rows of what is read.
    async fn all(&self) -> Result<DataFrame> {
        let provider = match &self.source {
            Source::Table(table) => table.provider().await?,
            Source::Changes(table, since) => changes(table, *since).await?,
            Source::Other(provider) => Arc::clone(provider),
        };
        Ok(self.session.datafusion().read_table(provider)?)
    }
}

#[async_trait]
impl TableReader for Reading {
    fn state(&self) -> &TableState {
        &self.state
    }

    async fn rows(&self, query: TableQuery) -> Result<StatementResult, ServiceError> {
        let recording = self.begin(&query)?;
        let read = async {
            let rows = shape::shaped(&self.session, self.all().await?, &query)?;
            self.session.run(rows).await
        };
        let rows = recording.of(self.admitted(read)).await;
        rows.map_err(|error| ServiceError::from_error(&error))
    }

    async fn page(&self, query: TableQuery, page: PageRequest) -> Result<Page, ServiceError> {
        let recording = self.begin(&query)?;
        let read = async {
            match &self.source {
                Source::Table(table) => page::read(&self.session, table, &query, &page).await,
                Source::Changes(..) => Err(refused(
                    "changes come in one answer without pages; `version` bounds it, and `changes_since` goes on from \
                     there"
                        .to_owned(),
                )),
                Source::Other(_) => Err(refused(format!(
                    "`{}` is a view, or is shown through a row filter or masks, and has no version that pages could stay at; \
                     leave `page_size` out, or read its tables",
                    self.name
                ))),
            }
        };
        let read = recording.run(self.admitted(read)).await;
        let (page, recording) = read.map_err(|error| ServiceError::from_error(&error))?;
        recording.finish(page.batches.iter().map(RecordBatch::num_rows).sum());
        Ok(page)
    }
}

/// Writes a query as the history of statements shows it. Values stay out of it: they may be anybody's.
fn text(name: &TableName, query: &TableQuery) -> String {
    let columns = match (query.select.as_slice(), &query.aggregation) {
        ([], None) => "*".to_owned(),
        ([], Some(_)) => "…".to_owned(),
        (select, _) => select.join(", "),
    };
    let mut text = format!("SELECT {columns} FROM {name}");
    let filtered: Vec<&str> = query
        .filters
        .iter()
        .map(|filter| filter.column.as_str())
        .collect();
    if !filtered.is_empty() {
        text += &format!(" WHERE {} …", filtered.join(" … AND "));
    }
    if let Some(limit) = query.limit {
        text += &format!(" LIMIT {limit}");
    }
    text
}

impl Source {
    fn state(&self, context: &RequestContext) -> TableState {
        let (schema, id): (SchemaRef, _) = match self {
            Self::Table(table) => (Arc::clone(table.snapshot().schema()), Some(state_id(table))),
            Self::Changes(table, _) => (
                ChangeFeed::schema(table.snapshot().schema()),
                Some(state_id(table)),
            ),
            Self::Other(provider) => (provider.schema(), None),
        };
        TableState {
            schema,
            id,
            policy: Some(context.principal.as_str().to_owned()),
        }
    }
}

fn state_id(table: &TableAt) -> StateId {
    StateId {
        // A folder that was made anew from outside has another id in its log.
        table: format!("{}/{}", table.info().id, table.snapshot().metadata().id),
        version: table.snapshot().version(),
        committed_at_ms: table.snapshot().timestamp_ms(),
    }
}

/// Makes the relation of the changes after version `since` up to that of `table`.
async fn changes(table: &TableAt, since: i64) -> Result<Arc<dyn TableProvider>> {
    let latest = table.snapshot().version();
    if !(-1..=latest).contains(&since) {
        return Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "DELTA_INVALID_CDC_RANGE",
            sqlstate: "22003",
            message: format!(
                "there are no changes since version {since}; give one from -1, for all, to {latest}, the version that \
                 is read"
            ),
        });
    }
    table.changes(since + 1..=latest).await
}

fn refused(message: String) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "INVALID_PARAMETER_VALUE",
        sqlstate: "22023",
        message,
    }
}
