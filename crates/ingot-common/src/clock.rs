//! The only source of time and randomness in Ingot.
//!
//! Code asks [`now_ms`] and [`random_below`] and nothing else (`clippy.toml` bans the rest), so one place
//! decides what "now" means.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns milliseconds since 1970-01-01T00:00:00Z; 0 for a clock set before that.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the system's clock"
)]
pub fn now_ms() -> i64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// Returns a random number in `0..bound`; 0 when `bound` is 0.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that asks for randomness"
)]
pub fn random_below(bound: u64) -> u64 {
    if bound == 0 {
        0
    } else {
        rand::Rng::random_range(&mut rand::rng(), 0..bound)
    }
}
