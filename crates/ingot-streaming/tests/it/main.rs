//! Sources and queries against a real broker and real tables.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where its expectation fails"
)]

mod delta_changes;
mod delta_source;
mod file_source;
mod full_store;
mod kafka_source;
mod query;
mod support;
