//! A server on a port of its own, and the service behind it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{Int64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use arrow::util::display::array_value_to_string;
use async_trait::async_trait;
use futures::StreamExt;
use ingot_catalog::Metastore;
use ingot_common::history::{
    HistoryFilter, StatementCounts, StatementHistory, StatementProfile, StatementRecord, StatementStatus,
    StatementTimes,
};
use ingot_common::port::{
    IngestRequest, Page, PageRequest, RowPosition, SessionRequest, StateId, StatementDescription,
    StatementParameter, StatementRequest, StatementResult, StatementService, StatementSession, TableQuery,
    TableReader, TableRequest, TableState, TableVersion,
};
use ingot_common::task::Supervisor;
use ingot_common::{Kind, RequestContext, ServiceError};
use ingot_server::{Authentication, CursorKey, Identity, Limits, Server, ServerOptions};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use url::Url;
use uuid::Uuid;

/// Answers statements by their text: `rows`, `nothing`, `nested`, `break`, `endless` (no rows ever), `wait` (rows
/// once it is released), `flood` (rows without end), `busy` (no turn for it), `panic`, `parameters` (what it was given);
/// tables with what was asked of them; see [`OneTable`].
#[derive(Default, Clone)]
pub struct Service {
    /// Set when an endless statement has ended.
    pub cancelled: Arc<AtomicBool>,
    /// Notified when a statement that takes its time has begun.
    pub running: Arc<Notify>,
    /// Lets a statement that waits go on.
    pub release: Arc<Notify>,
    /// Notified when rows without end are dropped.
    pub dropped: Arc<Notify>,
    /// What was ingested last, and how many rows.
    pub ingested: Arc<Mutex<Option<(String, i64)>>>,
    /// What the tables are now.
    pub tables: Arc<Mutex<TablesNow>>,
}

/// What the tables are now.
#[derive(Debug, Clone)]
pub struct TablesNow {
    pub version: i64,
    /// Versions before this one are gone.
    pub earliest: i64,
    pub id: String,
    pub policy: Option<String>,
    /// Files of a version that can be opened are gone.
    pub files_gone: bool,
    /// Rows that were asked for.
    pub reads: usize,
}

impl Default for TablesNow {
    fn default() -> Self {
        Self {
            version: 7,
            earliest: 0,
            id: "t".to_owned(),
            policy: Some("p".to_owned()),
            files_gone: false,
            reads: 0,
        }
    }
}

/// A table of any name: of ten rows where it is asked for pages, of one that says what was asked otherwise. `v` has no
/// versions.
struct OneTable {
    state: TableState,
    tables: Arc<Mutex<TablesNow>>,
}

const TABLE_ROWS: i64 = 10;

#[async_trait]
impl TableReader for OneTable {
    fn state(&self) -> &TableState {
        &self.state
    }

    async fn rows(&self, query: TableQuery) -> Result<StatementResult, ServiceError> {
        for filter in &query.filters {
            if self.state.schema.field_with_name(&filter.column).is_err() {
                let message = format!("column `{}` cannot be resolved", filter.column);
                return Err(ServiceError::new(Kind::InvalidArgument, message));
            }
        }
        self.tables.lock().expect("lock").reads += 1;
        Ok(StatementResult {
            schema: schema(),
            batches: futures::stream::iter([Ok(asked(format!("{query:?}")))]).boxed(),
        })
    }

    async fn page(&self, _query: TableQuery, page: PageRequest) -> Result<Page, ServiceError> {
        if self.tables.lock().expect("lock").files_gone {
            return Err(ServiceError::new(Kind::NotFound, "a file of the table is gone"));
        }
        let first = match page.after {
            Some(RowPosition::Row { row, .. }) => row + 1,
            _ => 0,
        };
        let most = i64::try_from(page.rows_max).expect("small");
        let end = first.saturating_add(most).min(TABLE_ROWS);
        let flights: Vec<i64> = (first..end).collect();
        let carriers: Vec<String> = flights.iter().map(|row| format!("row {row}")).collect();
        let columns: Vec<arrow::array::ArrayRef> = vec![
            Arc::new(StringArray::from(carriers)),
            Arc::new(Int64Array::from(flights)),
        ];
        let next = RowPosition::Row {
            file: "f".to_owned(),
            row: end - 1,
        };
        Ok(Page {
            schema: schema(),
            batches: vec![RecordBatch::try_new(schema(), columns).expect("batch")],
            next: (end < TABLE_ROWS).then_some(next),
        })
    }
}

struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("carrier", DataType::Utf8, true),
        Field::new("flights", DataType::Int64, true),
    ]))
}

fn batch() -> RecordBatch {
    RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(StringArray::from(vec![Some("UA"), None])),
            Arc::new(Int64Array::from(vec![58_665, 685])),
        ],
    )
    .expect("batch")
}

/// Rows with a column that holds lists.
fn nested() -> RecordBatch {
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None])]);
    RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![1])) as _),
        ("tags", Arc::new(lists) as _),
    ])
    .expect("batch")
}

/// A row that says what was asked.
fn asked(text: String) -> RecordBatch {
    RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(StringArray::from(vec![text])),
            Arc::new(Int64Array::from(vec![1])),
        ],
    )
    .expect("batch")
}

fn broken() -> ServiceError {
    ServiceError::new(Kind::DataLoss, "a file is gone")
}

/// Answers in a session as without one.
struct InSession(Service);

#[async_trait]
impl StatementSession for InSession {
    async fn execute(
        &self,
        context: &RequestContext,
        statement: String,
        parameters: Vec<StatementParameter>,
    ) -> Result<StatementResult, ServiceError> {
        let request = StatementRequest {
            statement,
            parameters,
            ..StatementRequest::default()
        };
        self.0.execute(context, request).await
    }

    /// Answers with the statement and the values.
    async fn execute_bound(
        &self,
        _: &RequestContext,
        statement: String,
        values: RecordBatch,
    ) -> Result<StatementResult, ServiceError> {
        let texts = values
            .columns()
            .iter()
            .map(|column| array_value_to_string(column, 0));
        let texts: Vec<String> = texts.collect::<Result<_, _>>().expect("texts");
        if statement.starts_with("change") {
            return Ok(counted(1));
        }
        let row = asked(format!("{statement} {}", texts.join(",")));
        Ok(StatementResult {
            schema: row.schema(),
            batches: futures::stream::iter([Ok(row)]).boxed(),
        })
    }

    /// Knows the columns of all but `change`.
    async fn describe(
        &self,
        _: &RequestContext,
        statement: String,
    ) -> Result<StatementDescription, ServiceError> {
        Ok(StatementDescription {
            schema: (!statement.starts_with("change")).then(schema),
            markers: statement.matches('?').count(),
        })
    }

    /// Counts rows; notes the end of those that end with an error as that of an endless statement.
    async fn ingest(
        &self,
        _: &RequestContext,
        mut request: IngestRequest,
    ) -> Result<StatementResult, ServiceError> {
        let _ended = SetOnDrop(self.0.cancelled.clone());
        self.0.running.notify_one();
        let mut rows = 0;
        while let Some(batch) = request.rows.next().await.transpose()? {
            rows += i64::try_from(batch.num_rows()).expect("few");
        }
        *self.0.ingested.lock().expect("lock") = Some((format!("{request:?}"), rows));
        Ok(counted(rows))
    }
}

/// What a statement gives that has changed rows.
fn counted(rows: i64) -> StatementResult {
    let column = Arc::new(Int64Array::from(vec![rows]));
    let batch = RecordBatch::try_from_iter([("num_affected_rows", column as _)]).expect("batch");
    StatementResult {
        schema: batch.schema(),
        batches: futures::stream::iter([Ok(batch)]).boxed(),
    }
}

#[async_trait]
impl StatementService for Service {
    async fn execute(
        &self,
        context: &RequestContext,
        request: StatementRequest,
    ) -> Result<StatementResult, ServiceError> {
        let batches = match request.statement.as_str() {
            "rows" => vec![Ok(batch()), Ok(batch())],
            "nothing" => vec![],
            "wait" => {
                self.running.notify_one();
                self.release.notified().await;
                vec![Ok(batch())]
            }
            "nested" => {
                return Ok(StatementResult {
                    schema: nested().schema(),
                    batches: futures::stream::iter([Ok(nested())]).boxed(),
                });
            }
            "flood" => {
                let dropped = NotifyOnDrop(self.dropped.clone());
                let rows = futures::stream::repeat_with(move || {
                    let _kept = &dropped;
                    Ok(batch())
                });
                return Ok(StatementResult {
                    schema: schema(),
                    batches: rows.boxed(),
                });
            }
            "busy" => {
                return Err(ServiceError {
                    kind: Kind::ResourceExhausted,
                    condition: Some("SERVER_IS_BUSY".to_owned()),
                    sqlstate: Some("08KD1".to_owned()),
                    message: "the server is busy".to_owned(),
                });
            }
            "parameters" => vec![Ok(asked(format!("{:?}", request.parameters)))],
            "panic" => panic!("a defect"),
            "break" => vec![Ok(batch()), Err(broken())],
            "endless" => {
                let _ended = SetOnDrop(self.cancelled.clone());
                self.running.notify_one();
                context.cancellation.cancelled().await;
                return Err(ServiceError::new(Kind::Cancelled, "cancelled"));
            }
            statement => {
                return Err(ServiceError {
                    kind: Kind::InvalidArgument,
                    condition: Some("PARSE_SYNTAX_ERROR".to_owned()),
                    sqlstate: Some("42601".to_owned()),
                    message: format!("syntax error at `{statement}`"),
                });
            }
        };
        Ok(StatementResult {
            schema: schema(),
            batches: futures::stream::iter(batches).boxed(),
        })
    }

    async fn open_session(
        &self,
        _: &RequestContext,
        _: SessionRequest,
    ) -> Result<Arc<dyn StatementSession>, ServiceError> {
        Ok(Arc::new(InSession(self.clone())))
    }

    async fn open_table(
        &self,
        _context: &RequestContext,
        request: TableRequest,
    ) -> Result<Arc<dyn TableReader>, ServiceError> {
        let now = self.tables.lock().expect("lock").clone();
        let version = match request.version {
            TableVersion::Version(version) => version,
            TableVersion::Latest | TableVersion::Timestamp(_) => now.version,
        };
        if !(now.earliest..=now.version).contains(&version) {
            return Err(ServiceError {
                condition: Some("DELTA_VERSION_NOT_FOUND".to_owned()),
                ..ServiceError::new(Kind::NotFound, format!("version={version} does not exist"))
            });
        }
        let id = StateId {
            table: now.id,
            version,
            committed_at_ms: 0,
        };
        Ok(Arc::new(OneTable {
            state: TableState {
                schema: schema(),
                id: (request.table.table.as_str() != "v").then_some(id),
                policy: now.policy,
            },
            tables: Arc::clone(&self.tables),
        }))
    }

    fn history(&self) -> Option<Arc<dyn StatementHistory>> {
        Some(Arc::new(Past))
    }
}

/// Five statements of Ann's, a millisecond after each other; the one with the profile is the first.
pub struct Past;

impl Past {
    fn records() -> Vec<StatementRecord> {
        let record = |number: u128| {
            let start_time = i64::try_from(number).expect("small");
            StatementRecord {
                statement_id: Uuid::from_u128(number),
                session_id: None,
                status: StatementStatus::Finished,
                executed_by: "ann".to_owned(),
                statement_text: format!("SELECT {number}"),
                statement_type: "SELECT".to_owned(),
                error_message: None,
                client_application: None,
                client_driver: None,
                start_time,
                end_time: Some(start_time + 10),
                update_time: start_time + 10,
                times: StatementTimes::default(),
                counts: StatementCounts::default(),
                from_result_cache: false,
                query_tags: [("team".to_owned(), None)].into(),
            }
        };
        (1..=5).rev().map(record).collect()
    }
}

#[async_trait]
impl StatementHistory for Past {
    async fn list(
        &self,
        _: &RequestContext,
        filter: HistoryFilter,
    ) -> Result<Vec<StatementRecord>, ServiceError> {
        let records = Self::records()
            .into_iter()
            .filter(|record| filter.matches(record));
        Ok(records.take(filter.limit.unwrap_or(usize::MAX)).collect())
    }

    async fn profile(&self, _: &RequestContext, id: Uuid) -> Result<StatementProfile, ServiceError> {
        let statement = Self::records().pop().filter(|record| record.statement_id == id);
        let missing = || ServiceError::new(Kind::NotFound, "no profile");
        Ok(StatementProfile {
            statement: statement.ok_or_else(missing)?,
            plans: Vec::new(),
        })
    }
}

/// A server that ends with its test.
pub struct TestServer {
    address: SocketAddr,
    tls: bool,
    pub metastore: Metastore,
    pub cancelled: Arc<AtomicBool>,
    pub ingested: Arc<Mutex<Option<(String, i64)>>>,
    pub tables: Arc<Mutex<TablesNow>>,
    running: Arc<Notify>,
    release: Arc<Notify>,
    dropped: Arc<Notify>,
    supervisor: Supervisor,
    _folder: TempDir,
}

impl TestServer {
    pub async fn start(authentication: Authentication, limits: Limits) -> Self {
        Self::with(authentication, limits, None).await
    }

    async fn with(authentication: Authentication, limits: Limits, identity: Option<Identity>) -> Self {
        let tls = identity.is_some();
        let folder = tempfile::tempdir().expect("tempdir");
        let tables = Url::from_directory_path(folder.path()).expect("URL");
        let metastore = Metastore::open(&folder.path().join("metastore.sqlite"), &tables)
            .await
            .expect("metastore")
            .with_administrators(["ann"]);
        let service = Service::default();
        let cancelled = service.cancelled.clone();
        let (running, release) = (service.running.clone(), service.release.clone());
        let (dropped, ingested) = (service.dropped.clone(), service.ingested.clone());
        let tables_now = service.tables.clone();
        let options = ServerOptions {
            statements: Arc::new(service),
            metastore: metastore.clone(),
            authentication,
            limits,
            identity,
            results: folder.path().to_owned(),
            cursor_key: CursorKey::new([7; 32]),
        };
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(listen, options).await.expect("bind");
        let address = server.local_address();
        let supervisor = Supervisor::new();
        supervisor.spawn("server", |token| async move {
            server.serve(token).await;
            Ok::<(), std::io::Error>(())
        });
        Self {
            address,
            tls,
            metastore,
            cancelled,
            ingested,
            tables: tables_now,
            running,
            release,
            dropped,
            supervisor,
            _folder: folder,
        }
    }

    /// Starts a server that lets everybody in.
    pub async fn open() -> Self {
        Self::limited(Limits::default()).await
    }

    /// Starts a server that lets everybody in, within `limits`.
    pub async fn limited(limits: Limits) -> Self {
        let principal = "ann".to_owned();
        Self::start(Authentication::Development { principal }, limits).await
    }

    /// Starts a server that lets everybody in and speaks HTTPS, within `limits`.
    pub async fn secured(identity: Identity, limits: Limits) -> Self {
        let principal = "ann".to_owned();
        Self::with(Authentication::Development { principal }, limits, Some(identity)).await
    }

    /// Opens a connection and sends `bytes`.
    pub async fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("connect");
        stream.write_all(bytes).await.expect("send");
        stream
    }

    /// Waits until a statement that takes its time has begun.
    pub async fn running(&self) {
        self.running.notified().await;
    }

    /// Waits until rows without end are dropped.
    pub async fn rows_dropped(&self) {
        self.dropped.notified().await;
    }

    /// Lets a statement that waits go on.
    pub fn release(&self) {
        self.release.notify_one();
    }

    /// Asks the server to end; what runs goes on for as long as its limits let it.
    pub fn stop(&self) {
        self.supervisor.shutdown();
    }

    /// Waits until the server has ended.
    pub async fn ended(&self) -> bool {
        self.supervisor.join(Duration::from_secs(30)).await
    }

    pub fn url(&self, path: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// Runs a statement that is answered.
    pub async fn sql(&self, statement: &str, accept: &str) -> reqwest::Response {
        self.try_sql(statement, accept).await.expect("answer")
    }

    /// Runs a statement.
    pub async fn try_sql(&self, statement: &str, accept: &str) -> reqwest::Result<reqwest::Response> {
        self.post(&serde_json::json!({ "statement": statement }), accept)
            .await
    }

    /// Sends a request to run a statement.
    pub async fn post(&self, body: &serde_json::Value, accept: &str) -> reqwest::Result<reqwest::Response> {
        reqwest::Client::new()
            .post(self.url("/api/v1/sql"))
            .header("accept", accept)
            .json(body)
            .send()
            .await
    }

    /// Gets `path` as JSON.
    pub async fn get(&self, path: &str) -> (u16, serde_json::Value) {
        let response = reqwest::get(self.url(path)).await.expect("answer");
        let status = response.status().as_u16();
        (status, response.json().await.expect("JSON"))
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.supervisor.shutdown();
    }
}
