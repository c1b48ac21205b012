//! The engine's integration tests: one binary, each test in a directory of its own.

mod merge;
mod scan;
mod support;
mod write;
