//! The rows of a statement on their way to whoever asked.

use std::pin::Pin;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use ingot_common::ServiceError;
use ingot_common::port::BatchStream;

use super::Allowance;
use crate::Error;

/// Batches that end with an error, rather than quietly, when their statement has to end. With the last batch, and with
/// an error, the statement's work and its slot are let go.
pub(crate) struct Rows {
    /// `None` once they ended.
    running: Option<Running>,
}

struct Running {
    batches: BatchStream,
    ended: BoxFuture<'static, Error>,
}

impl Rows {
    pub fn new(batches: BatchStream, allowance: Allowance) -> Self {
        let ended = allowance.ended().boxed();
        Self {
            running: Some(Running { batches, ended }),
        }
    }
}

impl Stream for Rows {
    type Item = Result<RecordBatch, ServiceError>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(running) = &mut self.running else {
            return Poll::Ready(None);
        };
        let polled = match running.ended.poll_unpin(task) {
            Poll::Ready(error) => Poll::Ready(Some(Err(ServiceError::from_error(&error)))),
            Poll::Pending => running.batches.poll_next_unpin(task),
        };
        if let Poll::Ready(None | Some(Err(_))) = polled {
            self.running = None;
        }
        polled
    }
}
