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
use crate::auth::Caller;
use crate::encode::{Encoder, Format, ROWS_PER_PIECE};
use crate::error::ApiError;
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
    let begin = async {
        // Dropped with this future, or with the rows: either way the client is gone or has all.
        let guard = context.cancellation.clone().drop_guard();
        let request_id = context.request_id;
        let StatementResult { schema, batches } = work(context).await?;
        if let Some(column) = format.refused(&schema) {
            return Err(does_not_fit(format, column));
        }
        let mut rows = Rows {
            encoder: Encoder::new(format, &schema).map_err(|error| unencodable(&error))?,
            batches,
            rest: None,
            ended: false,
            request_id,
            _guard: guard,
        };
        let first = rows.piece().await?;
        Ok((first, rows))
    };
    let (first, rows) = begin.await.map_err(|error| state.blame(error))?;
    let content_type = HeaderValue::from_static(format.content_type());
    let body = Body::from_stream(pieces(first, rows));
    Ok(([(CONTENT_TYPE, content_type)], body).into_response())
}

/// Rows on their way out.
struct Rows {
    encoder: Encoder,
    batches: BatchStream,
    /// What is left of the batch at hand.
    rest: Option<RecordBatch>,
    ended: bool,
    request_id: Uuid,
    _guard: DropGuard,
}

impl Rows {
    /// Encodes the next rows, or the end; `None` after that.
    async fn piece(&mut self) -> Result<Option<Vec<u8>>, ServiceError> {
        while !self.ended {
            if let Some(batch) = self.rest.take().filter(|batch| batch.num_rows() > 0) {
                let rows = batch.num_rows().min(ROWS_PER_PIECE);
                self.rest = Some(batch.slice(rows, batch.num_rows() - rows));
                let piece = self.encoder.batch(&batch.slice(0, rows));
                return piece.map(Some).map_err(|error| unencodable(&error));
            }
            self.rest = self.batches.next().await.transpose()?;
            if self.rest.is_none() {
                self.ended = true;
                return self
                    .encoder
                    .finish()
                    .map(Some)
                    .map_err(|error| unencodable(&error));
            }
        }
        Ok(None)
    }
}

/// Streams `first` and what follows it. An error ends the stream, which breaks the connection off: the client does
/// not take it for the end.
fn pieces(first: Option<Vec<u8>>, rows: Rows) -> impl Stream<Item = Result<Bytes, ServiceError>> + Send {
    futures::stream::try_unfold((first, rows), async |(first, mut rows)| {
        let piece = match first {
            Some(first) => Some(first),
            None => rows.piece().await.inspect_err(|error| {
                tracing::warn!(request_id = %rows.request_id, message = error.message, "answer broke off");
            })?,
        };
        Ok(piece.map(|piece| (Bytes::from(piece), (None, rows))))
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
