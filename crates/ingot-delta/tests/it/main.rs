//! Behaviour of `ingot-delta` through its public API, on real folders.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "what a test needs and does not get fails the test"
)]

mod checkpoint;
mod concurrency;
mod create;
mod deletion_vector;
mod faults;
mod faulty_store;
mod foreign;
mod histories;
mod history;
mod in_commit_timestamps;
mod matrix;
mod operations;
mod races;
mod registry;
mod row_tracking;
mod snapshot;
mod support;
mod transaction;
mod writer;
