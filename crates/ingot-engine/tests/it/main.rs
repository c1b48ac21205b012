//! The engine's integration tests: one binary, each test in a directory of its own.

mod scan;
mod support;
