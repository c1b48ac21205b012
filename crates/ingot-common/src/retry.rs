//! Bounded retries with exponential back-off and full jitter.

use std::time::Duration;

use crate::clock;

/// How often and how long to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Retries after the first attempt.
    pub retries_max: u32,
    /// Upper bound of the first pause; doubles each time.
    pub pause_first: Duration,
    /// Upper bound of every pause.
    pub pause_max: Duration,
}

impl RetryPolicy {
    /// Starts counting retries.
    pub fn attempts(self) -> Backoff {
        Backoff {
            policy: self,
            retries: 0,
        }
    }
}

/// Counts retries of one piece of work.
#[derive(Debug)]
pub struct Backoff {
    policy: RetryPolicy,
    retries: u32,
}

impl Backoff {
    /// Sleeps before the next attempt and returns `true`, or returns `false` at once when none is left.
    pub async fn pause(&mut self) -> bool {
        let Some(pause) = self.next_pause() else {
            return false;
        };
        tokio::time::sleep(pause).await;
        true
    }

    /// Returns how many retries were granted so far.
    pub fn retries(&self) -> u32 {
        self.retries
    }

    fn next_pause(&mut self) -> Option<Duration> {
        if self.retries >= self.policy.retries_max {
            return None;
        }
        let doublings = self.retries.min(20);
        self.retries += 1;
        let bound = self
            .policy
            .pause_first
            .saturating_mul(1 << doublings)
            .min(self.policy.pause_max);
        let micros = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
        Some(Duration::from_micros(clock::random_below(
            micros.saturating_add(1),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_bounded_in_count_and_length() {
        let policy = RetryPolicy {
            retries_max: 50,
            pause_first: Duration::from_millis(5),
            pause_max: Duration::from_millis(40),
        };
        let mut backoff = policy.attempts();
        for _ in 0..50 {
            let pause = backoff.next_pause().expect("retries are left");
            assert!(pause <= policy.pause_max);
        }
        assert_eq!(backoff.next_pause(), None);
        assert_eq!(backoff.retries(), 50);
    }
}
