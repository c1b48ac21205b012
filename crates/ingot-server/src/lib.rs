//! Every protocol's front door. Links no DataFusion: statements go through the port of `ingot-common`.

use std::net::SocketAddr;
use std::sync::Arc;

use ingot_catalog::Metastore;
use ingot_common::port::StatementService;
use tokio_util::sync::CancellationToken;

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
pub struct Server {}

impl Server {
    /// Binds `listen` (`127.0.0.1:0` picks a port).
    pub async fn bind(listen: SocketAddr, options: ServerOptions) -> std::io::Result<Self> {
        let _ = (listen, options);
        todo!()
    }

    /// Returns the address it is bound to.
    pub fn local_address(&self) -> SocketAddr {
        todo!()
    }

    /// Serves until `token` is cancelled, then lets requests in flight end (bounded).
    pub async fn serve(self, token: CancellationToken) -> std::io::Result<()> {
        let _ = token;
        todo!()
    }
}
