//! Journeys through the real binary: each test starts `ingot` processes on a directory and ports of its own.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where its expectation fails"
)]

mod broker_faults;
mod concurrency;
mod configuration;
mod crash;
mod data_api;
mod harness;
mod killed_writers;
mod pipeline;
mod producer;
mod proxy;
mod sql;
