//! Databricks' Statement Execution API: statements in, results to be fetched when they are there.
//!
//! ```text
//! POST /statements ─► Execution ─► waits ─► {state, manifest, first chunk}     (statement_api/execution.rs)
//! GET  /statements/{id}, …/result/chunks/{n} ─► rows, or a link to /results/{id}/{secret}/{n}
//! POST /statements/{id}/cancel; DELETE /statements/{id}; POST, DELETE /sessions
//! ```
//! Source: Databricks REST API, Statement Execution. Sessions, `INLINE_OR_EXTERNAL_LINKS` and compression are what
//! `databricks-sql-connector` sends beyond its documentation.

mod answer;
mod columns;
mod execution;
mod request;
mod result;
mod values;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Path, Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use ingot_common::port::SessionRequest;
use ingot_common::{Kind, ServiceError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::answer::{ResultData, StatementResponse};
pub use self::execution::Executions;
use self::execution::State as Progress;
pub use self::request::{Parameter, QueryTag, StatementBody};
use self::result::Format;
pub use self::result::Shelf;
use crate::auth::{self, Caller};
use crate::body;
use crate::error::{ApiError, ErrorBody};
use crate::state::AppState;

/// How long the answer to a cancelled statement waits for its end, which is soon.
const CANCEL_MAX: Duration = Duration::from_secs(5);

/// The routes that need a token.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/sessions", post(open_session))
        .route("/sessions/{id}", delete(close_session))
        .route("/statements", post(execute))
        .route("/statements/{id}", get(status).delete(close))
        .route("/statements/{id}/cancel", post(cancel))
        .route("/statements/{id}/result/chunks/{index}", get(chunk))
}

/// The route that links lead to.
pub fn links() -> Router<AppState> {
    Router::new().route("/{id}/{secret}/{index}", get(linked))
}

/// A session to open.
#[derive(Debug, Deserialize)]
struct SessionBody {
    catalog: Option<String>,
    schema: Option<String>,
    #[serde(default)]
    session_confs: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct SessionResponse {
    session_id: Uuid,
}

async fn open_session(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<SessionResponse>, ApiError> {
    let body: SessionBody = body::json(&state, request).await?;
    let request = SessionRequest {
        catalog: body.catalog.filter(|name| !name.is_empty()),
        schema: body.schema.filter(|name| !name.is_empty()),
        settings: body.session_confs,
    };
    let session = state.warehouse.open(&state.context(caller), request).await?;
    Ok(Json(SessionResponse {
        session_id: session.id(),
    }))
}

async fn close_session(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Empty>, ApiError> {
    state.warehouse.close(request::session(&id)?, &caller.principal)?;
    Ok(Json(Empty {}))
}

/// An answer that says nothing.
#[derive(Debug, Serialize, ToSchema)]
pub struct Empty {}

/// Runs a statement, and waits some time for its result.
#[utoipa::path(
    post, path = "/api/2.0/sql/statements", tag = "sql", request_body = StatementBody,
    responses(
        (status = 200, description = "how far it is, and its result once it is there", body = StatementResponse),
        (status = 400, description = "the request is wrong; what is wrong with a statement stands in `status`", body = ErrorBody),
        (status = 401, description = "no known token", body = ErrorBody),
        (status = 404, description = "no such session", body = ErrorBody),
        (status = 413, description = "the request is too large", body = ErrorBody),
        (status = 415, description = "the request is not JSON", body = ErrorBody),
        (status = 429, description = "too many statements run or wait to be fetched", body = ErrorBody),
    )
)]
pub async fn execute(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, ApiError> {
    let origin = auth::origin(&state, &request);
    let body: StatementBody = body::json(&state, request).await?;
    let (order, wait) = body.order()?;
    let execution = state.executions.begin(&state.context(caller), order).await?;
    let mut progress = execution.state(wait.patience).await;
    if wait.cancel && matches!(progress, Progress::Running) {
        execution.cancel();
        progress = execution.state(CANCEL_MAX).await;
    }
    Ok(answer::statement(&execution, &progress, &origin)
        .await?
        .into_response())
}

/// Tells how far a statement is.
#[utoipa::path(
    get, path = "/api/2.0/sql/statements/{statement_id}", tag = "sql",
    params(("statement_id" = String, Path)),
    responses(
        (status = 200, description = "how far it is, and its result once it is there", body = StatementResponse),
        (status = 401, description = "no known token", body = ErrorBody),
        (status = 404, description = "no such statement", body = ErrorBody),
    )
)]
pub async fn status(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let execution = state.executions.execution(number(&id)?, &caller.principal)?;
    let origin = auth::origin(&state, &request);
    let progress = execution.state(Duration::ZERO).await;
    Ok(answer::statement(&execution, &progress, &origin)
        .await?
        .into_response())
}

/// Gives a chunk of a result.
#[utoipa::path(
    get, path = "/api/2.0/sql/statements/{statement_id}/result/chunks/{chunk_index}", tag = "sql",
    params(("statement_id" = String, Path), ("chunk_index" = usize, Path, description = "from 0")),
    responses(
        (status = 200, description = "the rows, or a link to them", body = ResultData),
        (status = 400, description = "the statement has no result, or not yet", body = ErrorBody),
        (status = 401, description = "no known token", body = ErrorBody),
        (status = 404, description = "no such statement or chunk", body = ErrorBody),
    )
)]
pub async fn chunk(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path((id, index)): Path<(String, String)>,
    request: Request,
) -> Result<Json<ResultData>, ApiError> {
    let execution = state.executions.execution(number(&id)?, &caller.principal)?;
    let origin = auth::origin(&state, &request);
    let Progress::Succeeded(stored) = execution.state(Duration::ZERO).await else {
        return Err(ServiceError::new(
            Kind::FailedPrecondition,
            format!("the statement {id} has no result: it runs, has failed or was cancelled"),
        )
        .into());
    };
    let index = place(&index)?;
    Ok(Json(answer::chunk(&execution, &stored, index, &origin).await?))
}

/// Ends a statement; how it ended is told on.
#[utoipa::path(
    post, path = "/api/2.0/sql/statements/{statement_id}/cancel", tag = "sql",
    params(("statement_id" = String, Path)),
    responses(
        (status = 200, description = "it is being cancelled, or had ended", body = Empty),
        (status = 401, description = "no known token", body = ErrorBody),
        (status = 404, description = "no such statement", body = ErrorBody),
    )
)]
pub async fn cancel(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Empty>, ApiError> {
    state
        .executions
        .execution(number(&id)?, &caller.principal)?
        .cancel();
    Ok(Json(Empty {}))
}

/// Ends a statement and forgets its result.
async fn close(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Empty>, ApiError> {
    state.executions.close(number(&id)?, &caller.principal)?;
    Ok(Json(Empty {}))
}

/// Gives the bytes of a chunk to whoever has the link.
async fn linked(
    State(state): State<AppState>,
    Path((id, secret, index)): Path<(String, String, String)>,
) -> Result<Response, ApiError> {
    let execution = state.executions.linked(number(&id)?, number(&secret)?)?;
    let Progress::Succeeded(stored) = execution.state(Duration::ZERO).await else {
        return Err(ApiError::missing("the statement has no result"));
    };
    let bytes = stored.read(answer::found(&stored, place(&index)?)?).await?;
    let media_type = match stored.format {
        Format::JsonArray => "application/json",
        Format::ArrowStream { lz4: false } => "application/vnd.apache.arrow.stream",
        Format::ArrowStream { lz4: true } => "application/octet-stream",
        Format::Csv => "text/csv; charset=utf-8",
    };
    Ok((
        [(CONTENT_TYPE, HeaderValue::from_static(media_type))],
        Body::from(bytes),
    )
        .into_response())
}

/// Reads the number of a statement.
fn number(id: &str) -> Result<Uuid, ApiError> {
    Uuid::parse_str(id).map_err(|_| ApiError::missing(format!("there is no statement {id}")))
}

fn place(index: &str) -> Result<usize, ApiError> {
    index
        .parse()
        .map_err(|_| ApiError::missing(format!("the result has no chunk `{index}`")))
}
