//! Connections: accepted up to a bound, given up when their client stalls, ended gently at shutdown.
//!
//! ```text
//! listener ─► slot (at most `connections_max`) ─► supervised task: HTTP/1 ─► router
//!                                                  └─ head of a request: within `stall_max`
//!                                                  └─ bytes of an answer: some within each `stall_max`
//! ```
//! What always holds: a client that neither sends nor reads keeps a connection, and the statement behind it, for a
//! bounded time only.

mod write_deadline;

use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use ingot_common::task::Supervisor;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::Limits;
use crate::connection::write_deadline::WriteDeadline;

/// Pause after the system refused a connection, for want of file handles, say.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Accepts connections until `token` is cancelled and serves each as a task of `connections`.
pub async fn accept_all(
    listener: TcpListener,
    router: Router,
    limits: &Limits,
    connections: &Supervisor,
    token: &CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    let next = async || {
        let slot = slots.clone().acquire_owned().await.ok()?;
        Some((accept(&listener).await, slot))
    };
    loop {
        let accepted = tokio::select! {
            accepted = next() => accepted,
            () = token.cancelled() => return,
        };
        // The semaphore is never closed.
        let Some((stream, slot)) = accepted else { return };
        serve(stream, slot, router.clone(), limits.stall_max, connections);
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // The client's doing.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
                ) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn serve(
    stream: TcpStream,
    slot: OwnedSemaphorePermit,
    router: Router,
    stall_max: Duration,
    connections: &Supervisor,
) {
    connections.spawn("connection", move |token| async move {
        let _slot = slot;
        stream.set_nodelay(true)?;
        let io = TokioIo::new(WriteDeadline::new(stream, stall_max));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(stall_max)
            .serve_connection(io, TowerToHyperService::new(router));
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = token.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            // Clients come and go as they like.
            tracing::debug!(error = %ingot_common::error::chain(&error), "connection broke off");
        }
        Ok::<(), std::io::Error>(())
    });
}
