//! Every protocol's front door. Links no DataFusion: statements go through the port of `ingot-common`.
//!
//! ```text
//! connection ─► request ─► its id ─► panics caught ─► who is it? ─► route ─► StatementService ─► JSON, CSV, Arrow
//!  (bounded)                                          (auth)         ├────► Metastore (Unity Catalog)
//!                                                                    └────► Warehouse (sessions) ─► Thrift, Flight SQL,
//!                                                                                          Statement Execution API
//! ```
//! Front doors translate and do not think: no SQL is parsed here; who may do what, the metastore says. What always holds: without
//! a known token nothing but health and documentation is answered; an error before the first row is an error
//! status, one after it breaks the answer off, so that half an answer never looks whole; a client that goes away
//! cancels its work.

mod accept;
mod auth;
mod body;
mod connection;
mod cursor;
mod encode;
mod error;
mod flight;
mod hive;
mod listings;
mod lz4;
mod metrics;
mod nested;
mod quota;
mod request_id;
mod routes;
mod state;
mod statement;
mod statement_api;
mod thrift;
mod tls;
mod warehouse;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ingot_catalog::Metastore;
use ingot_common::port::StatementService;
use ingot_common::task::Supervisor;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use cursor::CursorKey;
pub use quota::ApiLimits;
pub use routes::openapi::document as openapi_document;
pub use tls::{Identity, TlsError};

use crate::connection::Door;
use crate::state::AppState;
use crate::statement_api::Executions;
use crate::warehouse::Warehouse;

/// How long requests may take to end and to tell their clients after they were cancelled at shutdown.
const ABANDON_MAX: Duration = Duration::from_secs(5);

/// How requests are let in.
#[derive(Debug, Clone)]
pub enum Authentication {
    /// Bearer tokens, by SHA-256 hash in lower-case hex, and whose they are.
    Tokens(Vec<(String, String)>),
    /// Everybody is `principal`. Loopback development only.
    Development { principal: String },
}

/// Bounds of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are open at a time; more wait to be accepted.
    pub connections_max: usize,
    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// How long a client may take to send the head or the body of a request, and to read some of its answer.
    pub stall_max: Duration,
    /// Bytes of results of the Statement Execution API that wait to be fetched.
    pub result_bytes_max: u64,
    /// How long requests in flight may take after a shutdown began; then they are cancelled.
    pub drain_max: Duration,
    /// Of the data API and of SQL over HTTP.
    pub api: ApiLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            body_bytes_max: 16 << 20,
            stall_max: Duration::from_secs(60),
            result_bytes_max: 20 << 30,
            drain_max: Duration::from_secs(20),
            api: ApiLimits::default(),
        }
    }
}

/// What the server serves.
#[derive(Clone)]
pub struct ServerOptions {
    pub limits: Limits,
    pub statements: Arc<dyn StatementService>,
    pub metastore: Metastore,
    pub authentication: Authentication,
    /// What the server shows to clients of HTTPS; `None` serves HTTP.
    pub identity: Option<Identity>,
    /// What cursors of the data API are signed with: the same in all processes that one client may meet.
    pub cursor_key: CursorKey,
    /// Where results of the Statement Execution API wait: files without names, which go with the process.
    pub results: PathBuf,
}

/// A bound server that is not serving yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: axum::Router,
    identity: Option<Identity>,
    limits: Limits,
    metrics: Option<PrometheusHandle>,
    warehouse: Arc<Warehouse>,
    executions: Arc<Executions>,
    /// Cancels the work of every request.
    abandon: CancellationToken,
}

impl Server {
    /// Binds `listen` (`127.0.0.1:0` picks a port). From here on connections are accepted and wait.
    ///
    /// # Errors
    /// The system's, when the address is taken or not ours.
    pub async fn bind(listen: SocketAddr, options: ServerOptions) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let abandon = CancellationToken::new();
        let (limits, identity) = (options.limits.clone(), options.identity.clone());
        let state = AppState::new(options, abandon.clone());
        let metrics = state.metrics.clone();
        let warehouse = Arc::clone(&state.warehouse);
        let executions = Arc::clone(&state.executions);
        Ok(Self {
            listener,
            address,
            router: routes::router(state),
            identity,
            limits,
            metrics,
            warehouse,
            executions,
            abandon,
        })
    }

    /// Returns the address it is bound to.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `token` is cancelled, then lets requests in flight end, for [`Limits::drain_max`] at most. Those
    /// that have not ended are cancelled and answered 503.
    pub async fn serve(self, token: CancellationToken) {
        let connections = Supervisor::new();
        let tls = self.identity.as_ref().map(Identity::acceptor);
        let door = Door::new(self.router, tls, &self.limits, connections.clone());
        tokio::select! {
            () = door.accept_all(self.listener, &token) => {}
            () = metrics::keep_up(self.metrics.as_ref()) => {}
            () = self.warehouse.keep_up() => {}
            () = self.executions.keep_up() => {}
        }
        connections.shutdown();
        let drained = connections.join(self.limits.drain_max).await;
        self.warehouse.close_all();
        if drained {
            return;
        }
        tracing::warn!(
            seconds = self.limits.drain_max.as_secs(),
            "requests in flight are cancelled at shutdown"
        );
        self.abandon.cancel();
        if !connections.join(ABANDON_MAX).await {
            tracing::warn!("connections were closed before their clients had read all");
        }
    }
}
