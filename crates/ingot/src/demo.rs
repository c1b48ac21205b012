//! The demo's parts: what to send, how to show it, what to check.
//!
//! ```text
//! flights ─► producer ─► broker ─► pipeline (bronze ─► silver ─► gold) ─► report: answers beside the known ones
//!               └──────── counters ◄────────┘ ─► progress
//! ```
//! Always true: a demo that was killed and is started again on its data directory ends with the same tables as
//! one that was left alone, because its records are always the same and the pipeline takes each offset once.

pub mod plan;
pub mod producer;
pub mod progress;
pub mod report;
