//! Runs a statement for a request and streams its rows.

use std::future::Future;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt};
use ingot_common::port::{BatchStream, StatementResult};
use ingot_common::{Kind, RequestContext, ServiceError};
use tokio_util::sync::DropGuard;
use uuid::Uuid;

use crate::accept;
use crate::auth::{Caller, STATEMENT_ID};
use crate::encode::{Encoder, Format, ROWS_PER_PIECE};
use crate::error::ApiError;
use crate::quota::ApiLimits;
use crate::state::AppState;

/// Runs `work` and answers with its rows in the format that `headers` accept.
///
/// Waits for the first rows, encoded, before it answers, so that an error until then is an error status.
pub async fn respond<F>(
    state: &AppState,
    caller: Caller,
    headers: &HeaderMap,
    work: impl FnOnce(RequestContext) -> F,
) -> Result<Response, ApiError>
where
    F: Future<Output = Result<StatementResult, ServiceError>>,
{
    let format = accept::format(headers).ok_or_else(ApiError::not_acceptable)?;
    let context = state.context(caller);
    let guard = context.cancellation.clone().drop_guard();
    let request_id = context.request_id;
    let statement_id = context.statement_id;
    let begin = async {
        let rows = Rows::new(work(context).await?, format, &state.limits.api, request_id)?;
        rows.stream(guard).await
    };
    let answered: Result<Response, ServiceError> = begin.await;
    let mut response = answered.map_err(|error| ApiError::from(state.blame(error)))?;
    // A UUID is always a header's value.
    if let Ok(id) = HeaderValue::from_str(&statement_id.to_string()) {
        response.headers_mut().insert(STATEMENT_ID, id);
    }
    Ok(response)
}

/// Rows on their way out.
pub struct Rows {
    format: Format,
    encoder: Encoder,
    batches: BatchStream,
    /// What is left of the batch at hand.
    rest: Option<RecordBatch>,
    ended: bool,
    request_id: Uuid,
    allowance: Allowance,
}

impl Rows {
    /// Takes rows to encode, within `limits`.
    ///
    /// # Errors
    /// `InvalidArgument` for a column that the format has no place for.
    pub fn new(
        result: StatementResult,
        format: Format,
        limits: &ApiLimits,
        request_id: Uuid,
    ) -> Result<Self, ServiceError> {
        let StatementResult { schema, batches } = result;
        if let Some(column) = format.refused(&schema) {
            return Err(does_not_fit(format, column));
        }
        Ok(Self {
            format,
            encoder: Encoder::new(format, &schema).map_err(|error| unencodable(&error))?,
            batches,
            rest: None,
            ended: false,
            request_id,
            allowance: Allowance::of(limits),
        })
    }

    /// Answers with the rows as they become ready. `guard` cancels the work when it is dropped: the client is gone
    /// then, or has all.
    pub async fn stream(mut self, guard: DropGuard) -> Result<Response, ServiceError> {
        let first = self.piece().await?;
        let content_type = HeaderValue::from_static(self.format.content_type());
        let body = Body::from_stream(pieces(first, self, guard));
        Ok(([(CONTENT_TYPE, content_type)], body).into_response())
    }

    /// Answers with the rows once all are encoded.
    pub async fn whole(mut self) -> Result<Response, ServiceError> {
        let content_type = HeaderValue::from_static(self.format.content_type());
        let mut body = Vec::new();
        while let Some(piece) = self.piece().await? {
            body.extend(piece);
        }
        Ok(([(CONTENT_TYPE, content_type)], body).into_response())
    }

    /// Encodes the next rows, or the end; `None` after that.
    async fn piece(&mut self) -> Result<Option<Vec<u8>>, ServiceError> {
        while !self.ended {
            if let Some(batch) = self.rest.take().filter(|batch| batch.num_rows() > 0) {
                let rows = batch.num_rows().min(ROWS_PER_PIECE);
                self.rest = Some(batch.slice(rows, batch.num_rows() - rows));
                self.allowance.take_rows(rows)?;
                let piece = self.encoder.batch(&batch.slice(0, rows));
                let piece = piece.map_err(|error| unencodable(&error))?;
                if piece.is_empty() {
                    continue;
                }
                self.allowance.take_bytes(piece.len())?;
                return Ok(Some(piece));
            }
            self.rest = self.batches.next().await.transpose()?;
            if self.rest.is_none() {
                self.ended = true;
                let end = self.encoder.finish().map_err(|error| unencodable(&error))?;
                self.allowance.take_bytes(end.len())?;
                return Ok(Some(end));
            }
        }
        Ok(None)
    }
}

/// What an answer may still hold.
struct Allowance {
    limits: ApiLimits,
    rows: usize,
    bytes: usize,
}

impl Allowance {
    fn of(limits: &ApiLimits) -> Self {
        Self {
            limits: limits.clone(),
            rows: 0,
            bytes: 0,
        }
    }

    fn take_rows(&mut self, rows: usize) -> Result<(), ServiceError> {
        self.rows = self.rows.saturating_add(rows);
        within(self.rows, self.limits.answer_rows_max, "rows")
    }

    fn take_bytes(&mut self, bytes: usize) -> Result<(), ServiceError> {
        self.bytes = self.bytes.saturating_add(bytes);
        within(self.bytes, self.limits.answer_bytes_max, "bytes")
    }
}

fn within(taken: usize, most: usize, what: &str) -> Result<(), ServiceError> {
    if most == 0 || taken <= most {
        return Ok(());
    }
    let message = format!(
        "the answer has more than {most} {what}, the most that one may have; ask for less, or for pages with a smaller \
         `page_size`"
    );
    Err(ServiceError::new(Kind::FailedPrecondition, message))
}

/// Streams `first` and what follows it. An error ends the stream, which breaks the connection off: the client does
/// not take it for the end.
fn pieces(
    first: Option<Vec<u8>>,
    rows: Rows,
    guard: DropGuard,
) -> impl Stream<Item = Result<Bytes, ServiceError>> + Send {
    futures::stream::try_unfold((first, rows, guard), async |(first, mut rows, guard)| {
        let piece = match first {
            Some(first) => Some(first),
            None => rows.piece().await.inspect_err(|error| {
                tracing::warn!(request_id = %rows.request_id, message = error.message, "answer broke off");
            })?,
        };
        Ok(piece.map(|piece| (Bytes::from(piece), (None, rows, guard))))
    })
}

fn does_not_fit(format: Format, column: &str) -> ServiceError {
    let media_type = format.media_type();
    let message = format!(
        "column `{column}` is nested and {media_type} has no place for it; leave the column out or accept {}",
        Format::Arrow.media_type()
    );
    ServiceError::new(Kind::InvalidArgument, message)
}

fn unencodable(error: &ArrowError) -> ServiceError {
    ServiceError::new(Kind::Internal, format!("rows cannot be encoded: {error}"))
}
