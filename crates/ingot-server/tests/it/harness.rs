//! A server on a port of its own, and the service behind it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use futures::StreamExt;
use ingot_catalog::Metastore;
use ingot_common::port::{StatementRequest, StatementResult, StatementService, TableQuery};
use ingot_common::task::Supervisor;
use ingot_common::{Kind, RequestContext, ServiceError};
use ingot_server::{Authentication, Server, ServerOptions};
use tempfile::TempDir;
use url::Url;

/// Answers statements by their text: `rows`, `nothing`, `fail`, `break`, `endless`; tables with their query.
#[derive(Default)]
pub struct Service {
    /// Set when an endless statement has ended.
    pub cancelled: Arc<AtomicBool>,
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

fn broken() -> ServiceError {
    ServiceError::new(Kind::DataLoss, "a file is gone")
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
            "break" => vec![Ok(batch()), Err(broken())],
            "endless" => {
                let _ended = SetOnDrop(self.cancelled.clone());
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

    async fn query_table(
        &self,
        _context: &RequestContext,
        query: TableQuery,
    ) -> Result<StatementResult, ServiceError> {
        let asked = RecordBatch::try_new(
            schema(),
            vec![
                Arc::new(StringArray::from(vec![format!("{query:?}")])),
                Arc::new(Int64Array::from(vec![1])),
            ],
        )
        .expect("batch");
        Ok(StatementResult {
            schema: schema(),
            batches: futures::stream::iter([Ok(asked)]).boxed(),
        })
    }
}

/// A server that ends with its test.
pub struct TestServer {
    address: SocketAddr,
    pub metastore: Metastore,
    pub cancelled: Arc<AtomicBool>,
    supervisor: Supervisor,
    _folder: TempDir,
}

impl TestServer {
    pub async fn start(authentication: Authentication) -> Self {
        let folder = tempfile::tempdir().expect("tempdir");
        let tables = Url::from_directory_path(folder.path()).expect("URL");
        let metastore = Metastore::open(&folder.path().join("metastore.sqlite"), &tables)
            .await
            .expect("metastore");
        let service = Service::default();
        let cancelled = service.cancelled.clone();
        let options = ServerOptions {
            statements: Arc::new(service),
            metastore: metastore.clone(),
            authentication,
        };
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(listen, options).await.expect("bind");
        let address = server.local_address();
        let supervisor = Supervisor::new();
        supervisor.spawn("server", |token| server.serve(token));
        Self {
            address,
            metastore,
            cancelled,
            supervisor,
            _folder: folder,
        }
    }

    /// Starts a server that lets everybody in.
    pub async fn open() -> Self {
        let principal = "ann".to_owned();
        Self::start(Authentication::Development { principal }).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Runs a statement that is answered.
    pub async fn sql(&self, statement: &str, accept: &str) -> reqwest::Response {
        self.try_sql(statement, accept).await.expect("answer")
    }

    /// Runs a statement.
    pub async fn try_sql(&self, statement: &str, accept: &str) -> reqwest::Result<reqwest::Response> {
        reqwest::Client::new()
            .post(self.url("/api/v1/sql"))
            .header("accept", accept)
            .json(&serde_json::json!({ "statement": statement }))
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
