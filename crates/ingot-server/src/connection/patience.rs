//! Bodies of answers over HTTP/2, whose readers may stop reading while their connection goes on.
//!
//! Flow control holds back one stream of many (RFC 9113, 5.2): nothing is written then and no write fails. So a task
//! pulls the body, and drops it when nobody takes what it has pulled.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use futures::StreamExt;
use http_body_util::{BodyStream, StreamBody};
use hyper::body::Frame;
use ingot_common::task::Supervisor;
use tokio::sync::mpsc;

type Piece = Result<Frame<Bytes>, axum::Error>;

/// Bounds how long the body of `response` waits for its reader. A body whose length is known is left as it is: it holds
/// no work back.
pub fn limited(response: Response, stall_max: Duration, tasks: &Supervisor) -> Response {
    response.map(|body| match body.size_hint().exact() {
        Some(_) => body,
        None => pulled(body, stall_max, tasks),
    })
}

fn pulled(body: Body, stall_max: Duration, tasks: &Supervisor) -> Body {
    // The end is sent too: where it is missing, the answer broke off.
    let (sender, receiver) = mpsc::channel::<Option<Piece>>(1);
    tasks.spawn("body of an answer", |_| async move {
        let mut pieces = BodyStream::new(body);
        loop {
            let piece = tokio::select! {
                piece = pieces.next() => piece,
                () = sender.closed() => return Ok::<(), io::Error>(()),
            };
            let ended = piece.is_none();
            if sender.send_timeout(piece, stall_max).await.is_err() {
                tracing::debug!("a client stopped reading an answer");
                return Ok(());
            }
            if ended {
                return Ok(());
            }
        }
    });
    let pieces = futures::stream::unfold(Some(receiver), async |receiver| {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Some(piece)) => Some((piece, Some(receiver))),
            Some(None) => None,
            None => {
                let error = io::Error::new(io::ErrorKind::TimedOut, "the client stopped reading");
                Some((Err(axum::Error::new(error)), None))
            }
        }
    });
    Body::new(StreamBody::new(pieces))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt;

    use super::*;

    /// A body of `pieces` that keeps `kept` for as long as it lives.
    fn body(pieces: usize, kept: Arc<()>) -> Response {
        let pieces = futures::stream::iter(0..pieces).map(move |number| {
            let _kept = &kept;
            Ok::<_, io::Error>(format!("{number} "))
        });
        Response::new(Body::from_stream(pieces))
    }

    #[tokio::test]
    async fn a_reader_that_reads_gets_all() {
        let tasks = Supervisor::new();
        let whole = limited(body(3, Arc::default()), Duration::from_secs(60), &tasks);
        let read = whole.into_body().collect().await.expect("whole").to_bytes();
        assert_eq!(read, "0 1 2 ");
    }

    #[tokio::test]
    async fn a_reader_that_stops_loses_the_body_and_is_told() {
        let (tasks, kept) = (Supervisor::new(), Arc::new(()));
        let mut stalled =
            limited(body(1000, Arc::clone(&kept)), Duration::from_millis(20), &tasks).into_body();
        let first = stalled.frame().await.expect("a piece").expect("whole");
        assert_eq!(first.into_data().expect("data"), "0 ");
        assert!(tasks.join(Duration::from_secs(60)).await, "the task gives up");
        assert_eq!(Arc::strong_count(&kept), 1, "the body is gone");
        assert!(stalled.collect().await.is_err(), "half an answer is no answer");
    }

    #[tokio::test]
    async fn a_reader_that_leaves_ends_the_task() {
        let (tasks, kept) = (Supervisor::new(), Arc::new(()));
        let endless = futures::stream::pending::<io::Result<String>>();
        let keeps = Arc::clone(&kept);
        let endless = endless.inspect(move |_| assert!(Arc::strong_count(&keeps) > 0));
        let response = Response::new(Body::from_stream(endless));
        drop(limited(response, Duration::from_secs(3600), &tasks));
        assert!(tasks.join(Duration::from_secs(60)).await);
        assert_eq!(Arc::strong_count(&kept), 1);
    }
}
