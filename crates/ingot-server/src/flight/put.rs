//! Rows of clients: values of prepared statements, and rows to ingest.

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::{Command, DoPutUpdateResult};
use arrow_flight::{FlightData, PutResult};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use ingot_common::{Kind, ServiceError};
use prost::Message;
use tonic::{Code, Status, Streaming};

use super::call::Call;
use super::command::command;
use super::{ingest, invalid, prepared, statement, unsupported};

/// Takes what a client puts, and does its command.
pub(super) async fn put(call: &Call, stream: Streaming<FlightData>) -> Result<PutResult, ServiceError> {
    let mut messages = Box::pin(messages(stream, call.state.limits.stall_max));
    let first = messages.next().await;
    let first = first.ok_or_else(|| invalid("nothing was put"))?;
    let first = first.map_err(|error| unreadable(&error))?;
    let descriptor = first.flight_descriptor.as_ref();
    let descriptor = descriptor.ok_or_else(|| invalid("the first message has no descriptor"))?;
    let command = command(&descriptor.cmd)?;
    let messages = futures::stream::iter([Ok(first)]).chain(messages);
    let messages = messages.filter(|message| std::future::ready(!message.as_ref().is_ok_and(says_nothing)));
    let changed = match command {
        Command::CommandStatementUpdate(update) => {
            statement::no_transaction(update.transaction_id.as_ref())?;
            statement::changed(statement::begin(call, update.query).await?).await?
        }
        Command::CommandStatementIngest(target) => {
            ingest::ingest(call, target, Put::open(messages).await?).await?
        }
        Command::CommandPreparedStatementUpdate(update) => {
            let values = Put::open_if_any(messages).await?;
            let values = match values {
                Some(put) => Some(put.collected(call.state.limits.body_bytes_max).await?),
                None => None,
            };
            prepared::update(call, &update.prepared_statement_handle, values).await?
        }
        Command::CommandPreparedStatementQuery(query) => {
            let values = Put::open(messages)
                .await?
                .collected(call.state.limits.body_bytes_max)
                .await?;
            let bound = prepared::bind(call, query.prepared_statement_handle, values)?;
            return Ok(answer(bound.encode_to_vec()));
        }
        other => {
            let what = other.type_url().rsplit('.').next().unwrap_or_default().to_owned();
            return Err(unsupported(&format!("puts of `{what}`")));
        }
    };
    let result = DoPutUpdateResult {
        record_count: changed,
    };
    Ok(answer(result.encode_to_vec()))
}

/// Says if a message has neither columns nor rows: a command may stand alone.
fn says_nothing(message: &FlightData) -> bool {
    message.data_header.is_empty()
}

fn answer(metadata: Vec<u8>) -> PutResult {
    PutResult {
        app_metadata: Bytes::from(metadata),
    }
}

/// Returns the messages, and fails where none comes for `stall_max`.
fn messages(
    stream: Streaming<FlightData>,
    stall_max: Duration,
) -> impl Stream<Item = Result<FlightData, FlightError>> + Send {
    futures::stream::unfold(Some(stream), move |stream| async move {
        let mut stream = stream?;
        match tokio::time::timeout(stall_max, stream.message()).await {
            Ok(Ok(Some(message))) => Some((Ok(message), Some(stream))),
            Ok(Ok(None)) => None,
            Ok(Err(status)) => Some((Err(FlightError::Tonic(Box::new(status))), None)),
            Err(_) => {
                let seconds = stall_max.as_secs();
                let status = Status::deadline_exceeded(format!("nothing was put for {seconds} s"));
                Some((Err(FlightError::Tonic(Box::new(status))), None))
            }
        }
    })
}

/// Rows that are coming.
pub(super) struct Put {
    pub columns: SchemaRef,
    first: Option<Result<RecordBatch, ServiceError>>,
    rest: FlightRecordBatchStream,
}

impl Put {
    /// Waits for the columns and the first rows.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no stream of Arrow, or has no columns; those of the connection.
    async fn open(
        messages: impl Stream<Item = Result<FlightData, FlightError>> + Send + 'static,
    ) -> Result<Self, ServiceError> {
        let put = Self::open_if_any(messages).await?;
        put.ok_or_else(|| invalid("the rows that were put have no columns"))
    }

    /// Does what [`Put::open`] does; `None` where there are no columns.
    async fn open_if_any(
        messages: impl Stream<Item = Result<FlightData, FlightError>> + Send + 'static,
    ) -> Result<Option<Self>, ServiceError> {
        let mut rest = FlightRecordBatchStream::new_from_flight_data(messages);
        let first = match rest.next().await {
            Some(Err(error)) => return Err(unreadable(&error)),
            Some(Ok(batch)) => Some(Ok(batch)),
            None => None,
        };
        let columns = rest.schema().filter(|schema| !schema.fields().is_empty());
        Ok(columns.cloned().map(|columns| Self { columns, first, rest }))
    }

    /// Returns the rows as they come.
    pub fn rows(self) -> impl Stream<Item = Result<RecordBatch, ServiceError>> + Send + 'static {
        let rest = self.rest.map(|batch| batch.map_err(|error| unreadable(&error)));
        futures::stream::iter(self.first).chain(rest)
    }

    /// Waits for all rows.
    ///
    /// # Errors
    /// `ResourceExhausted` for more than `bytes_max`; those of the rows.
    async fn collected(self, bytes_max: usize) -> Result<Vec<RecordBatch>, ServiceError> {
        let mut rows = Box::pin(self.rows());
        let mut collected = Vec::new();
        let mut bytes = 0_usize;
        while let Some(batch) = rows.next().await.transpose()? {
            bytes = bytes.saturating_add(batch.get_array_memory_size());
            if bytes > bytes_max {
                return Err(ServiceError::new(
                    Kind::ResourceExhausted,
                    format!(
                        "the values of a statement are more than {bytes_max} bytes; ingest them, or bind fewer"
                    ),
                ));
            }
            collected.push(batch);
        }
        Ok(collected)
    }
}

/// Makes the error of rows that do not come, or are none.
fn unreadable(error: &FlightError) -> ServiceError {
    match error {
        FlightError::Tonic(status) => {
            let kind = match status.code() {
                Code::Aborted => Kind::Cancelled,
                Code::DeadlineExceeded => Kind::DeadlineExceeded,
                Code::OutOfRange | Code::ResourceExhausted => Kind::ResourceExhausted,
                Code::InvalidArgument | Code::Internal => Kind::InvalidArgument,
                _ => Kind::Cancelled,
            };
            ServiceError::new(kind, format!("the rows broke off: {}", status.message()))
        }
        other => invalid(format!("the rows cannot be read: {other}")),
    }
}
