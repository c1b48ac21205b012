//! The embedded Kafka-protocol broker: for development, the demo and tests.
//!
//! It keeps its records in memory: they are gone with the process. It serves on threads of its own, which end
//! with the process.

use std::net::{SocketAddr, TcpListener};
use std::thread;

use noida::kafka::connection::handle_connection;
use noida::kafka::engine::Engine;

use crate::error::{Error, Result};

/// Starts a broker on `listen` (`HOST:PORT`; port 0 picks one) and returns where it listens. Clients are told to
/// connect to `advertised`, or to where it listens.
pub fn start(listen: &str, advertised: Option<SocketAddr>) -> Result<SocketAddr> {
    let failed = |source| Error::Broker {
        address: listen.to_owned(),
        source,
    };
    let Some(advertised) = advertised else {
        return noida::kafka::spawn(listen).map_err(failed);
    };
    let listener = TcpListener::bind(listen).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let engine = Engine::new(advertised.ip().to_string(), i32::from(advertised.port()));
    engine.spawn_log_cleaner();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let engine = engine.clone();
            thread::spawn(move || handle_connection(connection, engine));
        }
    });
    Ok(address)
}
