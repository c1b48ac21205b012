//! Sees a statement from its arrival to its last row, however it ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use arrow::array::RecordBatch;
use futures::{Stream, StreamExt};
use ingot_common::history::StatementStatus;
use ingot_common::port::{BatchStream, StatementResult};
use ingot_common::{Classify, Kind, RequestContext, ServiceError};
use tokio::time::Instant;

use super::{History, Started, Trace};
use crate::Result;

/// A statement that has come and has not ended. Dropped, it has: its client has left.
pub(crate) struct Recording {
    history: Arc<History>,
    trace: Arc<Trace>,
}

impl Recording {
    /// Notes that a statement has come.
    ///
    /// # Errors
    /// `AlreadyExists` where the id that the request gives it is one of a statement that runs.
    pub fn begin(
        history: &Arc<History>,
        context: &RequestContext,
        started: Started,
    ) -> std::result::Result<Self, ServiceError> {
        let trace = Arc::new(Trace::new(context, started));
        history.begin(&trace)?;
        Ok(Self {
            history: Arc::clone(history),
            trace,
        })
    }

    /// Notes that a script has come to a statement of its own; `None` for a script that nobody records.
    pub fn within(history: &Arc<History>, text: &str) -> Option<Self> {
        let trace = Arc::new(Trace::current()?.within(text));
        history.begin(&trace).ok()?;
        Some(Self {
            history: Arc::clone(history),
            trace,
        })
    }

    /// Runs the statement's work; with its error the statement has ended. What gives the rows away has to
    /// [watch](Recording::watch) them.
    pub async fn run<T>(self, work: impl Future<Output = Result<T>>) -> Result<(T, Self)> {
        match self.trace.scope(work).await {
            Ok(outcome) => Ok((outcome, self)),
            Err(error) => {
                let (status, message) = of_error(&error);
                self.end(status, Some(message));
                Err(error)
            }
        }
    }

    /// Runs the statement, which ends with its rows, or with its error.
    pub async fn of(self, work: impl Future<Output = Result<StatementResult>>) -> Result<StatementResult> {
        let (result, recording) = self.run(work).await?;
        Ok(recording.watch(result))
    }

    /// Notes that the statement has given all of its rows.
    pub fn finish(self, rows: usize) {
        self.trace.produced(rows);
        self.end(StatementStatus::Finished, None);
    }

    /// Returns the rows of the statement, which ends with them.
    pub fn watch(self, result: StatementResult) -> StatementResult {
        let StatementResult { schema, batches } = result;
        let watched = Watched {
            batches,
            recording: Some(self),
            idle_since: None,
        };
        StatementResult {
            schema,
            batches: watched.boxed(),
        }
    }

    fn end(&self, status: StatementStatus, error_message: Option<String>) {
        if let Some(profile) = self.trace.end(status, error_message) {
            self.history.end(profile);
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        match std::thread::panicking() {
            true => self.end(
                StatementStatus::Failed,
                Some("[INTERNAL_ERROR] the statement panicked".to_owned()),
            ),
            false => self.end(StatementStatus::Canceled, None),
        }
    }
}

/// Rows of a statement on their way to its client.
struct Watched {
    batches: BatchStream,
    /// `None` once the statement has ended.
    recording: Option<Recording>,
    /// Since when the last rows are the client's.
    idle_since: Option<Instant>,
}

impl Stream for Watched {
    type Item = std::result::Result<RecordBatch, ServiceError>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let (Some(since), Some(recording)) = (self.idle_since.take(), &self.recording) {
            recording.trace.fetched(since.elapsed());
        }
        let polled = self.batches.poll_next_unpin(task);
        let Some(recording) = &self.recording else {
            return polled;
        };
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(batch))) => {
                recording.trace.produced(batch.num_rows());
                self.idle_since = Some(Instant::now());
            }
            Poll::Ready(Some(Err(error))) => {
                let (status, message) = of_error(error);
                recording.end(status, Some(message));
                self.recording = None;
            }
            Poll::Ready(None) => {
                recording.end(StatementStatus::Finished, None);
                self.recording = None;
            }
        }
        polled
    }
}

impl Drop for Watched {
    /// A client that has all rows need not have asked for the end.
    fn drop(&mut self) {
        let Some(recording) = &self.recording else { return };
        if recording.trace.done_without_rows() {
            recording.end(StatementStatus::Finished, None);
        } else if tokio::runtime::Handle::try_current().is_ok() && !std::thread::panicking() {
            let mut task = Context::from_waker(Waker::noop());
            if let Poll::Ready(None) = self.batches.poll_next_unpin(&mut task) {
                recording.end(StatementStatus::Finished, None);
            }
        }
    }
}

/// Says what becomes of a statement with an error.
fn of_error(error: &impl Classify) -> (StatementStatus, String) {
    let status = match error.kind() {
        Kind::Cancelled => StatementStatus::Canceled,
        _ => StatementStatus::Failed,
    };
    let condition = error.condition();
    let condition = condition.map_or_else(String::new, |condition| format!("[{condition}] "));
    (status, condition + &ingot_common::error::chain(error))
}
