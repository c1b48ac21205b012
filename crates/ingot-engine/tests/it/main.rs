//! The engine's integration tests: one binary, each test in a directory of its own.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "what a test needs and does not get fails the test"
)]

mod deletion_vectors;
mod expressions;
mod functions;
mod history;
mod hooked_store;
mod join_order;
mod merge;
mod races;
mod random;
mod resources;
mod scan;
mod spark;
mod sql;
mod support;
mod table_query;
mod write;
