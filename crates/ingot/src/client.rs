//! Where statements run: the embedded engine, or a server by HTTP. Both give the same result.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::reader::StreamDecoder;
use futures::{Stream, StreamExt};
use ingot_common::history::{StatementProfile, StatementRecord};
use ingot_common::port::{StatementRequest, StatementResult, StatementService};
use ingot_common::{Kind, Principal, RequestContext, ServiceError};
use reqwest::header::ACCEPT;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::error::{Error, Result};

/// Media type of an Arrow IPC stream.
const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";

/// Names the statement of a request: the server takes the client's id.
const STATEMENT_ID: &str = "x-ingot-statement-id";

/// What this program says of itself.
const USER_AGENT: &str = concat!("ingot-sql/", env!("CARGO_PKG_VERSION"));

/// Runs statements somewhere.
#[derive(Clone)]
pub enum Target {
    Embedded {
        statements: Arc<dyn StatementService>,
        principal: Principal,
    },
    Server(ServerClient),
}

impl Target {
    /// Runs one statement; it is cancelled with `cancellation`.
    pub async fn execute(
        &self,
        request: StatementRequest,
        cancellation: &CancellationToken,
    ) -> Result<StatementResult> {
        self.execute_as(Uuid::new_v4(), request, cancellation).await
    }

    /// Runs one statement under an id that nobody else has, by which its progress is asked for.
    pub async fn execute_as(
        &self,
        statement_id: Uuid,
        request: StatementRequest,
        cancellation: &CancellationToken,
    ) -> Result<StatementResult> {
        match self {
            Self::Embedded {
                statements,
                principal,
            } => {
                let mut context = RequestContext::new(principal.clone());
                context.statement_id = statement_id;
                context.user_agent = Some(USER_AGENT.to_owned());
                context.cancellation = cancellation.child_token();
                Ok(statements.execute(&context, request).await?)
            }
            // Dropping the request closes the connection, which is how a server learns of the cancellation.
            Self::Server(client) => tokio::select! {
                result = client.execute(statement_id, request) => result,
                () = cancellation.cancelled() => Err(Error::Stopped),
            },
        }
    }

    /// Returns what a statement did, or does.
    pub async fn profile(&self, statement_id: Uuid) -> Result<StatementProfile> {
        match self {
            Self::Embedded {
                statements,
                principal,
            } => {
                let missing = || ServiceError::new(Kind::Unsupported, "no history of statements is kept");
                let history = statements.history().ok_or_else(missing)?;
                let context = RequestContext::new(principal.clone());
                Ok(history.profile(&context, statement_id).await?)
            }
            Self::Server(client) => client.profile(statement_id).await,
        }
    }

    /// Returns how far a statement is; `None` where that is not known.
    pub async fn progress(&self, statement_id: Uuid) -> Option<StatementRecord> {
        let profile = self.profile(statement_id).await.ok()?;
        Some(profile.statement)
    }
}

/// Speaks to a server's `POST /api/v1/sql`.
#[derive(Debug, Clone)]
pub struct ServerClient {
    http: Client,
    url: String,
    token: Option<String>,
}

impl ServerClient {
    /// Makes a client of the server at `url` (`http://HOST:PORT`); connects at the first statement.
    pub fn new(url: &str, token: Option<String>) -> Self {
        Self {
            http: Client::builder()
                .user_agent(USER_AGENT)
                .build()
                .unwrap_or_default(),
            url: url.trim_end_matches('/').to_owned(),
            token,
        }
    }

    async fn execute(&self, statement_id: Uuid, request: StatementRequest) -> Result<StatementResult> {
        let parameters = request.parameters.iter().map(|parameter| {
            serde_json::json!({
                "name": parameter.name,
                "value": parameter.value,
                "type": parameter.type_text,
            })
        });
        let body = serde_json::json!({
            "statement": request.statement,
            "catalog": request.catalog,
            "schema": request.schema,
            "settings": request.settings,
            "parameters": parameters.collect::<Vec<_>>(),
        });
        let post = self
            .http
            .post(format!("{}/api/v1/sql", self.url))
            .header(ACCEPT, ARROW_STREAM)
            .header(STATEMENT_ID, statement_id.to_string())
            .json(&body);
        let response = self.send(post).await?;
        self.read(response).await
    }

    /// Sends a request; an answer that is an error is one.
    async fn send(&self, mut request: RequestBuilder) -> Result<Response> {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.map_err(|source| Error::Unreachable {
            url: self.url.clone(),
            source,
        })?;
        match response.status().is_success() {
            true => Ok(response),
            false => Err(failure(response).await.into()),
        }
    }

    async fn profile(&self, statement_id: Uuid) -> Result<StatementProfile> {
        let url = format!("{}/api/v1/statements/{statement_id}/profile", self.url);
        let response = self.send(self.http.get(url)).await?;
        response.json().await.map_err(|error| Error::Answer {
            url: self.url.clone(),
            message: error.to_string(),
        })
    }

    async fn read(&self, response: Response) -> Result<StatementResult> {
        let bytes = response.bytes_stream().map(|chunk| {
            chunk
                .map(Buffer::from)
                .map_err(|error| broken(&error.to_string()))
        });
        let mut decoding = Box::pin(decode(bytes));
        let schema = match decoding.next().await {
            Some(Ok(Decoded::Schema(schema))) => schema,
            Some(Err(error)) => return Err(error.into()),
            // A statement without rows answers without a body.
            None => Arc::new(Schema::empty()),
            Some(Ok(Decoded::Batch(_))) => {
                return Err(Error::Answer {
                    url: self.url.clone(),
                    message: "rows came before their schema".to_owned(),
                });
            }
        };
        let batches = decoding.filter_map(async |decoded| match decoded {
            Ok(Decoded::Batch(batch)) => Some(Ok(batch)),
            Ok(Decoded::Schema(_)) => None,
            Err(error) => Some(Err(error)),
        });
        Ok(StatementResult {
            schema,
            batches: Box::pin(batches),
        })
    }
}

enum Decoded {
    Schema(SchemaRef),
    Batch(RecordBatch),
}

struct Decoding<S> {
    bytes: S,
    decoder: StreamDecoder,
    chunk: Buffer,
    schema_sent: bool,
    /// A batch that was decoded together with the schema.
    held: Option<RecordBatch>,
    ended: bool,
}

/// Decodes an Arrow IPC stream as its bytes arrive: the schema first, then the batches.
fn decode<S>(bytes: S) -> impl Stream<Item = Result<Decoded, ServiceError>> + Send
where
    S: Stream<Item = Result<Buffer, ServiceError>> + Send + Unpin,
{
    let state = Decoding {
        bytes,
        decoder: StreamDecoder::new(),
        chunk: Buffer::from(Vec::<u8>::new()),
        schema_sent: false,
        held: None,
        ended: false,
    };
    futures::stream::try_unfold(state, async |mut state| {
        Ok(state.next().await?.map(|decoded| (decoded, state)))
    })
}

impl<S> Decoding<S>
where
    S: Stream<Item = Result<Buffer, ServiceError>> + Send + Unpin,
{
    async fn next(&mut self) -> Result<Option<Decoded>, ServiceError> {
        loop {
            if self.schema_sent
                && let Some(batch) = self.held.take()
            {
                return Ok(Some(Decoded::Batch(batch)));
            }
            if self.held.is_none() && !self.chunk.is_empty() {
                self.held = self
                    .decoder
                    .decode(&mut self.chunk)
                    .map_err(|error| broken(&error.to_string()))?;
            }
            if !self.schema_sent
                && let Some(schema) = self.decoder.schema()
            {
                self.schema_sent = true;
                return Ok(Some(Decoded::Schema(schema)));
            }
            if self.held.is_some() || !self.chunk.is_empty() {
                continue;
            }
            match self.bytes.next().await {
                Some(chunk) => self.chunk = chunk?,
                None if self.ended => return Ok(None),
                None => {
                    self.ended = true;
                    if self.schema_sent {
                        // Tells an answer that was cut off from one that ended.
                        self.decoder
                            .finish()
                            .map_err(|error| broken(&error.to_string()))?;
                    }
                    return Ok(None);
                }
            }
        }
    }
}

fn broken(message: &str) -> ServiceError {
    ServiceError::new(
        Kind::Unavailable,
        format!("answer of the server broke off: {message}"),
    )
}

/// The body of an error answer. Fields that a server leaves out are absent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Failure {
    error_code: Option<String>,
    message: Option<String>,
    condition: Option<String>,
    sqlstate: Option<String>,
}

async fn failure(response: Response) -> ServiceError {
    let status = response.status();
    let body = response.text().await.unwrap_or_default();
    let failure: Failure = serde_json::from_str(&body).unwrap_or_default();
    ServiceError {
        kind: kind(status, failure.error_code.as_deref()),
        condition: failure.condition,
        sqlstate: failure.sqlstate,
        message: failure
            .message
            .unwrap_or_else(|| format!("server answered {status}: {}", body.trim())),
    }
}

/// Reverses the server's mapping; an answer without a known code (of a proxy, say) goes by its status.
fn kind(status: StatusCode, error_code: Option<&str>) -> Kind {
    match (error_code, status) {
        (Some("INVALID_ARGUMENT"), _) | (None, StatusCode::BAD_REQUEST) => Kind::InvalidArgument,
        (Some("FAILED_PRECONDITION"), _) => Kind::FailedPrecondition,
        (Some("ALREADY_EXISTS"), _) => Kind::AlreadyExists,
        (Some("ABORTED"), _) | (None, StatusCode::CONFLICT) => Kind::Conflict,
        (Some("CANCELLED"), _) => Kind::Cancelled,
        (Some("DEADLINE_EXCEEDED"), _) => Kind::DeadlineExceeded,
        (Some("DATA_LOSS"), _) => Kind::DataLoss,
        (_, StatusCode::UNAUTHORIZED) => Kind::Unauthenticated,
        (_, StatusCode::FORBIDDEN) => Kind::PermissionDenied,
        (_, StatusCode::NOT_FOUND) => Kind::NotFound,
        (_, StatusCode::TOO_MANY_REQUESTS) => Kind::ResourceExhausted,
        (_, StatusCode::NOT_IMPLEMENTED) => Kind::Unsupported,
        (_, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT) => {
            Kind::Unavailable
        }
        _ => Kind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field};
    use arrow::ipc::writer::StreamWriter;

    use super::*;

    fn stream(batches: i64) -> Vec<u8> {
        let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]));
        let mut writer = StreamWriter::try_new(Vec::new(), &schema).expect("writer");
        for id in 0..batches {
            let column = Arc::new(Int64Array::from(vec![id]));
            let batch = RecordBatch::try_new(schema.clone(), vec![column]).expect("batch");
            writer.write(&batch).expect("write");
        }
        writer.into_inner().expect("finished")
    }

    async fn decoded(bytes: &[u8], chunk_bytes: usize) -> Result<(usize, usize), ServiceError> {
        let chunks: Vec<_> = bytes
            .chunks(chunk_bytes)
            .map(|chunk| Ok(Buffer::from(chunk)))
            .collect();
        let mut items = Box::pin(decode(futures::stream::iter(chunks)));
        let (mut schemas, mut batches) = (0, 0);
        while let Some(item) = items.next().await {
            match item? {
                Decoded::Schema(_) => schemas += 1,
                Decoded::Batch(_) => batches += 1,
            }
        }
        Ok((schemas, batches))
    }

    #[tokio::test]
    async fn a_stream_is_decoded_however_it_is_cut() {
        for chunk_bytes in [1, 7, 100_000] {
            assert_eq!(decoded(&stream(3), chunk_bytes).await, Ok((1, 3)));
            assert_eq!(decoded(&stream(0), chunk_bytes).await, Ok((1, 0)));
        }
        assert_eq!(decoded(&[], 1).await, Ok((0, 0)));
    }

    #[tokio::test]
    async fn a_stream_that_broke_off_is_an_error() {
        let bytes = stream(3);
        decoded(&bytes[..bytes.len() - 40], 64)
            .await
            .expect_err("cut off");
    }
}
