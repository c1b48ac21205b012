//! What a statement may take: a slot to run in, time, and how it is stopped.
//!
//! ```text
//! statement ─► parsed ─► light? ─yes──────────────────────────────┐
//!                          └no─► admission: slot, queue, refusal ─┴► allowance ─► work ─► rows ─► slot is free
//!                                                                    (slot, token, deadline)
//! ```
//! - A statement has one [`Allowance`]; statements that it runs itself (EXECUTE IMMEDIATE) work within it and take no
//!   slot of their own, so that none waits for itself.
//! - A slot is held until the last row was produced, the statement failed, or its rows were dropped.
//! - A query whose answer is known is not run: [`result_cache`].
//! - What work is in flight is dropped with the future or the rows of its statement; joins hand the thread back often
//!   enough for that ([`CooperativeJoins`]).
//!
//! The decisions: ADR 0018. For users: `docs/resources.md`.

mod admission;
mod allowance;
mod cooperation;
mod pairs;
mod result_cache;
mod rows;

use std::time::Duration;

pub(crate) use self::admission::Admission;
pub(crate) use self::allowance::{Allowance, Pauses, reading};
pub(crate) use self::cooperation::{CooperativeJoins, UntilOver};
pub(crate) use self::pairs::PairsExec;
pub use self::result_cache::CacheCounts;
pub(crate) use self::result_cache::{Question, ResultCache, inputs};
pub(crate) use self::rows::Rows;

/// What the longest statement may take unless something else is set. Source: Databricks, `STATEMENT_TIMEOUT`.
pub(crate) const STATEMENT_SECONDS_MAX: u64 = 172_800;

/// Bounds of the statements of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementLimits {
    /// Statements that do work at a time; 0 for four for each core, and eight at least.
    pub running_max: usize,
    /// Statements that wait for that; one more is refused.
    pub queued_max: usize,
    /// How long a statement waits before it is refused.
    pub queued_time_max: Duration,
    /// How long a statement may run when its session says nothing else; zero for as long as it takes.
    pub time_max: Duration,
}

impl Default for StatementLimits {
    fn default() -> Self {
        Self {
            running_max: 0,
            queued_max: 1000,
            queued_time_max: Duration::from_secs(300),
            time_max: Duration::from_secs(STATEMENT_SECONDS_MAX),
        }
    }
}
