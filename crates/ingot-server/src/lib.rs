//! Every protocol's front door. Links no DataFusion: statements go through the port of `ingot-common`.
//!
//! ```text
//! request ─► limits, panics caught ─► who is it? (auth) ─► route ─► StatementService ─► batches ─► JSON, CSV, Arrow
//!                                                           └─────► Metastore (Unity Catalog, read-only)
//! ```
//! Front doors translate and do not think: no SQL is parsed here and no grant decided. What always holds: without
//! a known token nothing but health and documentation is answered; an error before the first row is an error
//! status, one after it breaks the answer off, so that half an answer never looks whole; a client that goes away
//! cancels its work.

mod auth;
mod encode;
mod error;
mod metrics;
mod routes;
mod state;
mod statement;

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ingot_catalog::Metastore;
use ingot_common::port::StatementService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use routes::openapi::document as openapi_document;

use crate::state::AppState;

/// How long requests in flight may take after a shutdown began; then they are cancelled.
const DRAIN_MAX: Duration = Duration::from_secs(20);

/// How requests are let in.
#[derive(Debug, Clone)]
pub enum Authentication {
    /// Bearer tokens, by SHA-256 hash in lower-case hex, and whose they are.
    Tokens(Vec<(String, String)>),
    /// Everybody is `principal`. Loopback development only.
    Development { principal: String },
}

/// What the server serves.
#[derive(Clone)]
pub struct ServerOptions {
    pub statements: Arc<dyn StatementService>,
    pub metastore: Metastore,
    pub authentication: Authentication,
}

/// A bound server that is not serving yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: axum::Router,
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
        let router = routes::router(AppState::new(options, abandon.clone()));
        Ok(Self {
            listener,
            address,
            router,
            abandon,
        })
    }

    /// Returns the address it is bound to.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `token` is cancelled, then lets requests in flight end, for 20 s at most.
    ///
    /// # Errors
    /// The system's, when the listener fails.
    pub async fn serve(self, token: CancellationToken) -> std::io::Result<()> {
        let serving = axum::serve(self.listener, self.router)
            .with_graceful_shutdown(token.clone().cancelled_owned())
            .into_future();
        let drained = async {
            token.cancelled().await;
            tokio::time::sleep(DRAIN_MAX).await;
        };
        tokio::select! {
            outcome = serving => outcome,
            () = drained => {
                tracing::warn!(seconds = DRAIN_MAX.as_secs(), "requests in flight were cancelled at shutdown");
                self.abandon.cancel();
                Ok(())
            }
        }
    }
}
