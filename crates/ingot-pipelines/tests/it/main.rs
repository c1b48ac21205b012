//! Updates of projects, from their SQL to the rows of their tables.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where its expectation fails"
)]

mod changes;
mod definitions;
mod expectations;
mod files;
mod restarts;
mod support;
mod views;
