//! Behaviour of `ingot-delta` through its public API, on real folders.

mod checkpoint;
mod concurrency;
mod foreign;
mod history;
mod scale;
mod snapshot;
mod support;
mod transaction;
mod writer;
