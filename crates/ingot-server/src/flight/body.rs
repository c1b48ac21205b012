//! Bodies of requests that tell an end from a break.
//!
//! When a client cancels a call, HTTP/2 resets its stream, and hyper ends the body as if all had been sent; gRPC passes
//! the end on. Rows that a client puts would be taken for all of them. Only the end that the client itself has sent
//! (END_STREAM) is one.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tonic::Status;

/// Passes `inner` on, and fails where it ends before its client has ended it.
pub(super) struct Whole {
    inner: Body,
    ended: bool,
}

impl Whole {
    /// Wraps a body.
    pub fn new(inner: Body) -> Self {
        Self { inner, ended: false }
    }
}

impl HttpBody for Whole {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        Poll::Ready(match frame {
            Some(frame) => Some(frame),
            None => {
                self.ended = true;
                let broken = !self.inner.is_end_stream();
                broken.then(|| {
                    let status = Status::aborted("the client went away before it had sent all");
                    Err(axum::Error::new(status))
                })
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
