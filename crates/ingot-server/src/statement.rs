//! Runs a statement for a request and streams its rows.

use std::future::Future;

use arrow::array::RecordBatch;
use axum::body::{Body, Bytes};
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt};
use ingot_common::port::{BatchStream, StatementResult};
use ingot_common::{Principal, RequestContext, ServiceError};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::DropGuard;

use crate::encode::{Encoder, Format, ROWS_PER_PIECE};
use crate::error::ApiError;
use crate::state::AppState;

/// Name of the header that names the request in the log.
const REQUEST_ID: &str = "x-request-id";

/// Runs `work` when it is its turn and answers with its rows in the format that `headers` accept.
///
/// Waits for the first rows before it answers, so that an error until then is an error status.
pub async fn respond<F>(
    state: &AppState,
    principal: Principal,
    headers: &HeaderMap,
    work: impl FnOnce(RequestContext) -> F,
) -> Response
where
    F: Future<Output = Result<StatementResult, ServiceError>>,
{
    let context = state.context(principal);
    let request_id = context.request_id.to_string();
    // Dropped with this future, or with the body: either way the client is gone or has all.
    let guard = context.cancellation.clone().drop_guard();
    let mut response = match run(state, headers, context, guard, work).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    };
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

async fn run<F>(
    state: &AppState,
    headers: &HeaderMap,
    context: RequestContext,
    guard: DropGuard,
    work: impl FnOnce(RequestContext) -> F,
) -> Result<Response, ApiError>
where
    F: Future<Output = Result<StatementResult, ServiceError>>,
{
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let Some(format) = Format::accepted(accept) else {
        let message = "acceptable are application/json, text/csv and application/vnd.apache.arrow.stream";
        return Ok((StatusCode::NOT_ACCEPTABLE, message).into_response());
    };
    let permit = state.admit().await?;
    let StatementResult { schema, mut batches } = work(context).await?;
    let first = batches.next().await.transpose()?;
    let encoder = Encoder::new(format, &schema).map_err(|error| internal(&error))?;
    let rows = Rows {
        encoder,
        first,
        batches,
        _permit: permit,
        _guard: guard,
    };
    let content_type = HeaderValue::from_static(format.content_type());
    let body = Body::from_stream(rows.encoded());
    Ok(([(CONTENT_TYPE, content_type)], body).into_response())
}

/// Rows on their way out; holds the statement's turn until the last.
struct Rows {
    encoder: Encoder,
    first: Option<RecordBatch>,
    batches: BatchStream,
    _permit: OwnedSemaphorePermit,
    _guard: DropGuard,
}

impl Rows {
    /// An error ends the stream, which breaks the connection off: the client does not take it for the end.
    fn encoded(self) -> impl Stream<Item = Result<Bytes, ServiceError>> + Send {
        futures::stream::try_unfold((Some(self), Vec::new()), async |(rows, mut pieces): State| {
            let Some(mut rows) = rows else {
                let piece = pieces.pop();
                return Ok(piece.map(|piece| (Bytes::from(piece), (None, pieces))));
            };
            while pieces.is_empty() {
                let Some(batch) = rows.next().await? else {
                    let end = rows.encoder.finish().map_err(|error| service_error(&error))?;
                    return Ok(Some((Bytes::from(end), (None, Vec::new()))));
                };
                pieces = rows.pieces(&batch)?;
            }
            let piece = pieces.pop().unwrap_or_default();
            Ok(Some((Bytes::from(piece), (Some(rows), pieces))))
        })
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>, ServiceError> {
        match self.first.take() {
            Some(batch) => Ok(Some(batch)),
            None => self.batches.next().await.transpose().inspect_err(|error| {
                tracing::warn!(message = error.message, "answer broke off");
            }),
        }
    }

    /// Encodes a batch in pieces, last piece first.
    fn pieces(&mut self, batch: &RecordBatch) -> Result<Vec<Vec<u8>>, ServiceError> {
        let mut pieces = Vec::with_capacity(batch.num_rows().div_ceil(ROWS_PER_PIECE));
        for start in (0..batch.num_rows()).step_by(ROWS_PER_PIECE) {
            let slice = batch.slice(start, ROWS_PER_PIECE.min(batch.num_rows() - start));
            pieces.push(
                self.encoder
                    .batch(&slice)
                    .map_err(|error| service_error(&error))?,
            );
        }
        pieces.reverse();
        Ok(pieces)
    }
}

type State = (Option<Rows>, Vec<Vec<u8>>);

fn service_error(error: &arrow::error::ArrowError) -> ServiceError {
    ServiceError::new(
        ingot_common::Kind::Internal,
        format!("rows cannot be encoded: {error}"),
    )
}

fn internal(error: &arrow::error::ArrowError) -> ApiError {
    ApiError::from(service_error(error))
}
