//! The embedded Kafka-protocol broker: for development, the demo and tests.
//!
//! It keeps its records in memory: they are gone with the process. It serves on threads of its own, which end
//! with the process.

use std::net::SocketAddr;

use crate::error::{Error, Result};

/// Starts a broker on `listen` (`HOST:PORT`; port 0 picks one) and returns where it listens.
pub fn start(listen: &str) -> Result<SocketAddr> {
    noida::kafka::spawn(listen).map_err(|source| Error::Broker {
        address: listen.to_owned(),
        source,
    })
}
