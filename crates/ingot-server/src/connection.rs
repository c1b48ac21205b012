//! Connections: accepted up to a bound, given up when their client stalls, ended gently at shutdown.
//!
//! ```text
//! listener ─► slot (at most `connections_max`) ─► supervised task: [TLS ─►] HTTP/1 or HTTP/2 ─► router
//!                                                  └─ handshake, version, head of a request: within `stall_max`
//!                                                  └─ bytes of an answer: some within each `stall_max`
//! ```
//! What always holds: a client that neither sends nor reads keeps a connection, and the statement behind it, for a
//! bounded time only.

mod patience;
mod protocol;
mod write_deadline;

use std::error::Error;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::map_response;
use axum::response::Response;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use ingot_common::task::Supervisor;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub use self::protocol::Protocol;
use self::write_deadline::WriteDeadline;
use crate::Limits;

/// Pause after the system refused a connection, for want of file handles, say.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Requests of one HTTP/2 connection that are answered at a time. Source: RFC 9113, 6.5.2, advises at least 100.
const STREAMS_MAX: u32 = 128;

/// Bytes of the heads of one HTTP/2 request.
const HEADERS_BYTES_MAX: u32 = 64 << 10;

/// How connections are served.
pub struct Door {
    http1: Router,
    http2: Router,
    tls: Option<TlsAcceptor>,
    connections_max: usize,
    stall_max: Duration,
    tasks: Supervisor,
}

impl Door {
    /// Makes one that answers with `router`. Each connection is a task of `tasks`.
    pub fn new(router: Router, tls: Option<TlsAcceptor>, limits: &Limits, tasks: Supervisor) -> Self {
        let (stall_max, bodies) = (limits.stall_max, tasks.clone());
        let bounded = map_response(move |response: Response| {
            std::future::ready(patience::limited(response, stall_max, &bodies))
        });
        Self {
            http2: router.clone().layer(bounded),
            http1: router,
            tls,
            connections_max: limits.connections_max,
            stall_max,
            tasks,
        }
    }

    /// Accepts connections until `token` is cancelled.
    pub async fn accept_all(self, listener: TcpListener, token: &CancellationToken) {
        let slots = Arc::new(Semaphore::new(self.connections_max));
        let door = Arc::new(self);
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
            Arc::clone(&door).open(stream, slot);
        }
    }

    /// Serves a connection, which holds `slot`, in a task of its own.
    fn open(self: Arc<Self>, stream: TcpStream, slot: OwnedSemaphorePermit) {
        let tasks = self.tasks.clone();
        tasks.spawn("connection", move |token| async move {
            let _slot = slot;
            if let Err(error) = self.serve(stream, &token).await {
                // Clients come and go as they like.
                let error = ingot_common::error::chain(error.as_ref());
                tracing::debug!(%error, "connection broke off");
            }
            Ok::<(), io::Error>(())
        });
    }

    async fn serve(
        &self,
        stream: TcpStream,
        token: &CancellationToken,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        stream.set_nodelay(true)?;
        match &self.tls {
            None => {
                let (protocol, stream) = self.soon(protocol::detect(stream)).await?;
                self.answer(protocol, WriteDeadline::new(stream, self.stall_max), token)
                    .await
            }
            Some(tls) => {
                let stream = WriteDeadline::new(stream, self.stall_max);
                let stream = self.soon(tls.accept(stream)).await?;
                let protocol = Protocol::of_alpn(stream.get_ref().1.alpn_protocol());
                self.answer(protocol, stream, token).await
            }
        }
    }

    /// Waits for what a client has to send at the beginning.
    async fn soon<T>(&self, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let done = tokio::time::timeout(self.stall_max, work).await;
        done.unwrap_or_else(|_| Err(io::Error::new(ErrorKind::TimedOut, "the client sent nothing")))
    }

    async fn answer(
        &self,
        protocol: Protocol,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        token: &CancellationToken,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let io = TokioIo::new(stream);
        match protocol {
            Protocol::Http1 => {
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(self.stall_max)
                    .serve_connection(io, TowerToHyperService::new(self.http1.clone()));
                until_asked_to_end(connection, http1::Connection::graceful_shutdown, token).await?;
            }
            Protocol::Http2 => {
                let connection = http2::Builder::new(Tasks(self.tasks.clone()))
                    .timer(TokioTimer::new())
                    .keep_alive_interval(self.stall_max)
                    .keep_alive_timeout(self.stall_max)
                    .max_concurrent_streams(STREAMS_MAX)
                    .max_header_list_size(HEADERS_BYTES_MAX)
                    .serve_connection(io, TowerToHyperService::new(self.http2.clone()));
                until_asked_to_end(connection, http2::Connection::graceful_shutdown, token).await?;
            }
        }
        Ok(())
    }
}

/// Runs `connection` until it ends. When `token` is cancelled it is told by `shut_down`, and ends with its requests.
async fn until_asked_to_end<C: Future>(
    connection: C,
    shut_down: impl FnOnce(Pin<&mut C>),
    token: &CancellationToken,
) -> C::Output {
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = token.cancelled() => {
            shut_down(connection.as_mut());
            connection.await
        }
    }
}

/// Runs the requests of HTTP/2 connections, which are tasks of their own.
#[derive(Clone)]
struct Tasks(Supervisor);

impl<F> Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, request: F) {
        self.0.spawn("request", |_| async move {
            request.await;
            Ok::<(), io::Error>(())
        });
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
