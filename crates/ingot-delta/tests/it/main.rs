//! Behaviour of `ingot-delta` through its public API, on real folders.

mod checkpoint;
mod foreign;
mod history;
mod snapshot;
