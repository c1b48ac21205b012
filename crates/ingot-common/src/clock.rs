//! The only source of time and randomness in Ingot.
//!
//! Code asks [`now_ms`] and [`random_below`] and nothing else (`clippy.toml` bans the rest), so one place
//! decides what "now" means.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

tokio::task_local! {
    /// How much later than it is a task takes it to be.
    static LATER: Duration;
}

/// Runs `work` as if it were `by` later: what depends on retention is tested so. Tasks that `work` spawns are not
/// shifted.
pub async fn later<T>(by: Duration, work: impl Future<Output = T>) -> T {
    LATER.scope(by, work).await
}

/// Returns milliseconds since 1970-01-01T00:00:00Z; 0 for a clock set before that.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the system's clock"
)]
pub fn now_ms() -> i64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    let later = LATER.try_with(|later| *later).unwrap_or(Duration::ZERO);
    i64::try_from((since_epoch + later).as_millis()).unwrap_or(i64::MAX)
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
