//! `POST /sql/1.0/warehouses/{id}`: HiveServer2's TCLIService, as clients of Databricks SQL speak it.
//!
//! One call in a request, one answer in its response. A call that runs a statement waits a few seconds for its end, and
//! then tells its client to ask again: clients ask at once, so an answer that nothing has changed is held back.
//! Numbers of fields from 1281 on are Databricks'. Source: Hive, `TCLIService.thrift`; the fields that
//! `databricks-sql-connector` sends and reads.

mod catalog;
mod columns;
mod encode;

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use axum::extract::{Extension, FromRequest, Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use ingot_common::port::{SessionRequest, StatementParameter};
use ingot_common::{Kind, RequestContext, ServiceError};
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::ApiError;
use crate::state::AppState;
use crate::thrift::{Call, Struct, Value, explain};
use crate::warehouse::{Encoding, Fetched, Operation, Portion, Progress, Session};

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/x-thrift");

/// `SPARK_CLI_SERVICE_PROTOCOL_V7`.
const PROTOCOL: i32 = 0xA507;

/// How long a call waits for a statement to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Rows and bytes of an answer, at most, whatever a client asks for.
const PORTION_MAX: Portion = Portion {
    rows_max: 1 << 20,
    bytes_max: 16 << 20,
};

/// Settings of a session that are about how rows are encoded, which the request says better.
const OF_ENCODING: &str = "spark.thriftserver.";

/// `TStatusCode`.
#[derive(Debug, Clone, Copy)]
enum StatusCode {
    Success = 0,
    Error = 3,
    InvalidHandle = 4,
}

/// `TOperationState`.
#[derive(Debug, Clone, Copy)]
enum OperationState {
    Running = 1,
    Finished = 2,
    Canceled = 3,
    Error = 5,
}

/// Answers a call.
pub async fn serve(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, ApiError> {
    let body = Bytes::from_request(request, &state);
    let body = tokio::time::timeout(state.limits.stall_max, body)
        .await
        .map_err(|_| ApiError::body_timed_out())?
        .map_err(|rejection| {
            let bytes_max = state.limits.body_bytes_max;
            ApiError::body(rejection.status(), rejection.body_text(), bytes_max)
        })?;
    let call = Call::read(&body).map_err(|error| {
        let message = format!("the request's body is no call of Thrift: {}", explain(&error));
        ApiError::invalid(message)
    })?;
    let service = Service {
        context: state.context(caller),
        state,
    };
    let answered = match service.answer(&call).await {
        Some(response) => call.reply(response),
        None => call.unknown(),
    };
    let answer = answered
        .map_err(|error| ApiError::internal(format!("the answer cannot be written: {}", explain(&error))))?;
    Ok(([(CONTENT_TYPE, MEDIA_TYPE)], answer).into_response())
}

/// One request.
struct Service {
    state: AppState,
    context: RequestContext,
}

impl Service {
    /// Answers a call; `None` for one that there is not.
    async fn answer(&self, call: &Call) -> Option<Struct> {
        let request = &call.request;
        if let Some((query, parameters)) = catalog::listing(&call.name, request) {
            return Some(self.begin(request, query, parameters).await);
        }
        Some(match call.name.as_str() {
            "OpenSession" => self.open_session(request).await,
            "CloseSession" => self.close_session(request),
            "GetInfo" => self.info(request),
            "ExecuteStatement" => self.execute(request).await,
            "GetOperationStatus" => self.operation_status(request).await,
            "GetResultSetMetadata" => self.metadata(request).await,
            "FetchResults" => self.fetch(request).await,
            "CancelOperation" => self.cancel(request),
            "CloseOperation" => self.close(request),
            _ => return None,
        })
    }

    async fn open_session(&self, request: &Struct) -> Struct {
        let namespace = request.fields(1284);
        let part = |field| {
            let text = namespace.and_then(|namespace| namespace.text(field));
            text.filter(|name| !name.is_empty()).map(str::to_owned)
        };
        let settings = request.texts(4).filter(|(key, _)| !key.starts_with(OF_ENCODING));
        let wanted = SessionRequest {
            catalog: part(1),
            schema: part(2),
            settings: settings
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        };
        let session = match self.state.warehouse.open(&self.context, wanted).await {
            Ok(session) => session,
            Err(error) => return failed(&error),
        };
        done()
            .with(2, PROTOCOL)
            .with(
                3,
                Struct::default()
                    .with(1, handle(session.id(), session.id()))
                    .with(3329, PROTOCOL),
            )
            .with_some(1284, namespace.cloned())
            .with(1285, true)
    }

    /// Returns the session that a request is of.
    fn session(&self, request: &Struct) -> Result<Arc<Session>, ServiceError> {
        let (id, _) = identifiers(request)?;
        self.state.warehouse.session(id, &self.context.principal)
    }

    /// Returns the operation that a request is about.
    fn operation(&self, request: &Struct) -> Result<Arc<Operation>, ServiceError> {
        let (id, session) = identifiers(request)?;
        let session = self.state.warehouse.session(session, &self.context.principal)?;
        session.operation(id)
    }

    fn close_session(&self, request: &Struct) -> Struct {
        let close = |(id, _)| self.state.warehouse.close(id, &self.context.principal);
        let closed = identifiers(request).and_then(close);
        closed.map_or_else(|error| failed(&error), |()| done())
    }

    /// The names that clients ask servers for. Source: ODBC, `SQLGetInfo`.
    fn info(&self, request: &Struct) -> Struct {
        if let Err(error) = self.session(request) {
            return failed(&error);
        }
        let value = match request.number(2) {
            Some(13 | 17) => "Spark SQL",
            Some(18) => "4.0.0",
            _ => {
                return failed(&ServiceError::new(
                    Kind::Unsupported,
                    "this information is not known",
                ));
            }
        };
        done().with(2, Struct::default().with(1, value))
    }

    async fn execute(&self, request: &Struct) -> Struct {
        let statement = request.text(2).unwrap_or_default().to_owned();
        let parameters = request.items(1288).iter().filter_map(Value::as_struct);
        self.begin(request, statement, parameters.map(parameter).collect())
            .await
    }

    /// Begins a statement, and answers with its handle and what it gives at once.
    async fn begin(
        &self,
        request: &Struct,
        statement: String,
        parameters: Vec<StatementParameter>,
    ) -> Struct {
        // `confOverlay`, of which tags are what is honoured.
        let mut overlay = request.texts(3);
        let tags = overlay.find(|(key, _)| key.eq_ignore_ascii_case("query_tags"));
        let context = RequestContext {
            query_tags: tags.map(|(_, tags)| tags.to_owned()),
            ..self.context.clone()
        };
        let begun = self.session(request).and_then(|session| {
            let operation = session.begin(&context, statement, parameters, encoding(request))?;
            Ok((session, operation))
        });
        let (session, operation) = match begun {
            Ok(begun) => begun,
            Err(error) => return failed(&error),
        };
        let progress = operation.progress(PATIENCE).await;
        let handle = Struct::default()
            .with(1, handle(operation.id(), session.id()))
            .with(2, 0)
            .with(3, true);
        let response = done().with(2, handle);
        let direct = match (request.fields(1281), &progress) {
            (_, Progress::Running) | (None, _) => Struct::default().with(1, status_of(&progress)),
            (Some(limits), _) => self.at_once(&session, &operation, &progress, limits).await,
        };
        response.with(1281, direct)
    }

    /// What an operation that has ended gives without being asked: its status, its columns, its first rows. It is closed
    /// when those are all.
    async fn at_once(
        &self,
        session: &Session,
        operation: &Operation,
        progress: &Progress,
        limits: &Struct,
    ) -> Struct {
        let direct = Struct::default().with(1, status_of(progress));
        let Progress::Finished { schema, .. } = progress else {
            return direct;
        };
        let encoding = operation.encoding();
        let direct = direct.with(2, encode::metadata(encoding, schema));
        let portion = portion(limits.number(1), limits.number(2));
        match operation.fetch(portion).await {
            // The client fetches, and is told then.
            Err(_) => direct,
            Ok(fetched) => {
                let all = !fetched.more;
                let direct = direct.with(3, rows(encoding, schema, fetched));
                if !all {
                    return direct;
                }
                session.forget(operation.id());
                direct.with(4, done())
            }
        }
    }

    async fn operation_status(&self, request: &Struct) -> Struct {
        match self.operation(request) {
            Ok(operation) => status_of(&operation.progress(PATIENCE).await),
            Err(error) => failed(&error),
        }
    }

    async fn metadata(&self, request: &Struct) -> Struct {
        match self.finished(request).await {
            Ok((operation, schema)) => encode::metadata(operation.encoding(), &schema),
            Err(error) => failed(&error),
        }
    }

    async fn fetch(&self, request: &Struct) -> Struct {
        let fetched = async {
            let (operation, schema) = self.finished(request).await?;
            let fetched = operation
                .fetch(portion(request.number(3), request.number(1281)))
                .await?;
            let response = rows(operation.encoding(), &schema, fetched);
            Ok(match request.flag(1283) {
                true => response.with(1281, encode::metadata(operation.encoding(), &schema)),
                false => response,
            })
        };
        fetched.await.unwrap_or_else(|error: ServiceError| failed(&error))
    }

    /// Returns an operation that has ended well, and its columns.
    async fn finished(&self, request: &Struct) -> Result<(Arc<Operation>, SchemaRef), ServiceError> {
        let operation = self.operation(request)?;
        match operation.progress(PATIENCE).await {
            Progress::Finished { schema, .. } => Ok((operation, schema)),
            Progress::Failed(error) => Err(error),
            Progress::Canceled => Err(ServiceError::new(Kind::Cancelled, "the operation was cancelled")),
            Progress::Running => Err(ServiceError::new(
                Kind::FailedPrecondition,
                "the operation is still running; ask for its status first",
            )),
        }
    }

    /// Ends an operation, which can be asked about until it is closed.
    fn cancel(&self, request: &Struct) -> Struct {
        let cancelled = self.operation(request).map(|operation| operation.cancel());
        cancelled.map_or_else(|error| failed(&error), |()| done())
    }

    fn close(&self, request: &Struct) -> Struct {
        let closed = identifiers(request).and_then(|(id, session)| {
            let session = self.state.warehouse.session(session, &self.context.principal)?;
            session.forget(id);
            Ok(())
        });
        match closed {
            // It ended with its session.
            Err(error) if error.kind != Kind::NotFound => failed(&error),
            _ => done(),
        }
    }
}

/// Makes a response that says that all went well; its other fields are for the caller to add.
fn done() -> Struct {
    Struct::default().with(1, status(StatusCode::Success))
}

fn status(code: StatusCode) -> Struct {
    Struct::default().with(1, code as i32)
}

/// Makes a response that says what was wrong.
fn failed(error: &ServiceError) -> Struct {
    let code = match error.kind {
        Kind::NotFound if error.condition.is_none() => StatusCode::InvalidHandle,
        _ => StatusCode::Error,
    };
    let status = status(code)
        .with_some(3, error.sqlstate.clone())
        .with(5, error.described())
        .with(6, error.described());
    Struct::default().with(1, status)
}

/// Makes the response that says how far an operation is.
fn status_of(progress: &Progress) -> Struct {
    let state = |state: OperationState| done().with(2, state as i32);
    match progress {
        Progress::Running => state(OperationState::Running),
        Progress::Canceled => state(OperationState::Canceled),
        Progress::Finished { modified, .. } => state(OperationState::Finished)
            .with(9, true)
            .with_some(11, *modified),
        Progress::Failed(error) => state(OperationState::Error)
            .with_some(3, error.sqlstate.clone())
            .with(5, error.described())
            .with(1281, error.described())
            .with(1282, error.described()),
    }
}

/// Makes the response that has rows.
fn rows(encoding: Encoding, schema: &SchemaRef, fetched: Fetched) -> Struct {
    let more = fetched.more;
    match encode::rows(encoding, schema, fetched) {
        Ok(rows) => done().with(2, more).with(3, rows),
        Err(error) => failed(&error),
    }
}

/// Makes a `THandleIdentifier`. The secret of an operation is its session, in which it is looked for.
fn handle(id: Uuid, session: Uuid) -> Struct {
    Struct::default()
        .with(1, id.as_bytes().to_vec())
        .with(2, session.as_bytes().to_vec())
}

/// Reads the numbers of the handle that a request begins with: its own, and its session's.
fn identifiers(request: &Struct) -> Result<(Uuid, Uuid), ServiceError> {
    let handle = request.fields(1).and_then(|handle| handle.fields(1));
    let number = |field| match handle?.get(field)? {
        Value::Bytes(bytes) => Uuid::from_slice(bytes).ok(),
        _ => None,
    };
    number(1).zip(number(2)).ok_or_else(no_handle)
}

fn no_handle() -> ServiceError {
    ServiceError::new(Kind::InvalidArgument, "the call has no handle")
}

fn portion(rows_max: Option<i64>, bytes_max: Option<i64>) -> Portion {
    let bounded = |asked: Option<i64>, most: usize| {
        let asked = asked.and_then(|asked| usize::try_from(asked).ok());
        asked.filter(|asked| *asked > 0).unwrap_or(most).min(most)
    };
    Portion {
        rows_max: bounded(rows_max, PORTION_MAX.rows_max),
        bytes_max: bounded(bytes_max, PORTION_MAX.bytes_max),
    }
}

/// Reads how a client takes rows. It takes Arrow's types unless it says otherwise.
fn encoding(request: &Struct) -> Encoding {
    let types = request.fields(1286);
    let is_text = |field| types.and_then(|types| types.get(field)) == Some(&Value::Bool(false));
    Encoding {
        lz4: request.flag(1284),
        timestamps_as_texts: is_text(1),
        decimals_as_texts: is_text(2),
        nested_as_texts: is_text(3),
    }
}

/// Reads a parameter: `TSparkParameter`.
fn parameter(parameter: &Struct) -> StatementParameter {
    let name = parameter.text(2).filter(|name| !name.is_empty());
    let type_text = parameter.text(3).map(str::to_owned);
    let value = parameter.fields(4).and_then(|value| value.text(1));
    StatementParameter {
        name: name.map(str::to_owned),
        value: value.map(str::to_owned),
        type_text,
    }
}
