//! ANSI mode: whether a value that does not fit is refused, or becomes what Spark made of it before it refused it.
//!
//! ```text
//! SET ansi_mode ─► DataFusion's option `enable_ansi_mode` ─┬─► casts and unions, when types are settled
//!                                                          └─► functions, when they compute
//!               ─► `functions::in_mode` ─► operators and aggregates, which are planned without options
//! ```
//! A session has one mode at a time. What it plans keeps it: also views and functions, which are planned with the
//! statement that names them. ADR 0020. Source: Databricks,
//! "ANSI_MODE"; Spark, "ANSI Compliance".

use datafusion::common::config::ConfigOptions;

/// What becomes of what does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum AnsiMode {
    /// It is an error.
    On,
    /// Whole numbers start again from their other end, and all else is null.
    Off,
}

impl AnsiMode {
    /// Returns the mode in which functions compute.
    pub fn of(options: &ConfigOptions) -> Self {
        match options.execution.enable_ansi_mode {
            true => Self::On,
            false => Self::Off,
        }
    }
}
