//! The server over real HTTP: a real metastore, and rows from a service of the test's own.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where its expectation fails"
)]

mod data;
mod flight;
mod harness;
mod hive;
mod limits;
mod openapi;
mod permissions;
mod protocol;
mod query_history;
mod statement_api;
mod tls;
mod unity_catalog;
