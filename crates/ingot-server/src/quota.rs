//! How much each token may ask of the API: requests at a time, requests a minute.
//!
//! The tokens of a principal are counted apart: one that floods takes nothing from the others. Development knows no tokens,
//! and counts all requests together. A request that is one too many
//! is refused at once and says when to come again; none waits. It counts until its answer was read or given up.
//! What the answers themselves may hold stands here too, and is watched where they are encoded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::auth::Caller;
use crate::error::ApiError;
use crate::state::AppState;

/// Seconds after which a caller with too many requests at a time may try again.
const BUSY_SECONDS: u64 = 1;

const MINUTE: Duration = Duration::from_secs(60);

/// Bounds of the data API and of SQL over HTTP. 0 stands for none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiLimits {
    /// Rows of an answer.
    pub answer_rows_max: usize,
    /// Bytes of an answer's body.
    pub answer_bytes_max: usize,
    /// Rows of a page; at least 1.
    pub page_rows_max: usize,
    /// Requests of a token that are being answered at a time.
    pub requests_max: usize,
    /// Requests of a token in a minute.
    pub requests_per_minute_max: u32,
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self {
            answer_rows_max: 0,
            answer_bytes_max: 0,
            page_rows_max: 10_000,
            requests_max: 0,
            requests_per_minute_max: 0,
        }
    }
}

/// Who has asked how much. As many entries as there were tokens that asked.
#[derive(Debug)]
pub struct Quotas {
    requests_max: usize,
    per_minute: u32,
    /// By the token's hash; by an empty text where there is none.
    tokens: Mutex<HashMap<String, Quota>>,
}

#[derive(Debug)]
struct Quota {
    slots: Arc<Semaphore>,
    bucket: Bucket,
}

impl Quotas {
    /// Makes counters with these bounds.
    pub fn new(limits: &ApiLimits) -> Self {
        Self {
            requests_max: match limits.requests_max {
                0 => Semaphore::MAX_PERMITS,
                most => most.min(Semaphore::MAX_PERMITS),
            },
            per_minute: limits.requests_per_minute_max,
            tokens: Mutex::default(),
        }
    }

    /// Counts a request, until what is returned is dropped.
    ///
    /// # Errors
    /// 429, with the seconds to wait, for one too many.
    fn enter(&self, token: Option<&str>, now: Instant) -> Result<OwnedSemaphorePermit, ApiError> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let quota = tokens
            .entry(token.unwrap_or_default().to_owned())
            .or_insert_with(|| Quota {
                slots: Arc::new(Semaphore::new(self.requests_max)),
                bucket: Bucket::full(self.per_minute, now),
            });
        let permit = Arc::clone(&quota.slots).try_acquire_owned().map_err(|_| {
            let most = self.requests_max;
            ApiError::too_many(
                format!("{most} requests of this token are being answered, as many as may"),
                BUSY_SECONDS,
            )
        })?;
        quota.bucket.take(now).map_err(|wait| {
            let most = self.per_minute;
            ApiError::too_many(
                format!("this token has sent {most} requests in a minute, as many as it may"),
                wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)),
            )
        })?;
        Ok(permit)
    }
}

/// A bucket that holds a minute's requests and fills as time goes by.
#[derive(Debug)]
struct Bucket {
    /// 0 stands for no bound.
    per_minute: u32,
    /// When it will be full.
    full_at: Instant,
}

impl Bucket {
    fn full(per_minute: u32, now: Instant) -> Self {
        Self {
            per_minute,
            full_at: now,
        }
    }

    /// Takes a request out, or tells how long until there is one.
    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let Some(each) = MINUTE.checked_div(self.per_minute) else {
            return Ok(());
        };
        let full_at = self.full_at.max(now) + each;
        // An empty bucket takes a minute to fill.
        let wait = full_at.saturating_duration_since(now + MINUTE);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.full_at = full_at;
        Ok(())
    }
}

/// Lets a request through, or answers 429.
pub async fn enforce(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Response {
    match state.quotas.enter(caller.token.as_deref(), Instant::now()) {
        Ok(permit) => {
            let response = next.run(request).await;
            if !response.status().is_success() {
                return response;
            }
            response.map(|body| {
                let pieces = body.into_data_stream().map(move |piece| {
                    let _held = &permit;
                    piece
                });
                Body::from_stream(pieces)
            })
        }
        Err(refused) => refused.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(requests_max: usize, requests_per_minute_max: u32) -> Quotas {
        Quotas::new(&ApiLimits {
            requests_max,
            requests_per_minute_max,
            ..ApiLimits::default()
        })
    }

    fn status(outcome: Result<OwnedSemaphorePermit, ApiError>) -> (u16, Option<String>) {
        let response = outcome.expect_err("refused").into_response();
        let after = response.headers().get("retry-after");
        let after = after.and_then(|value| value.to_str().ok()).map(str::to_owned);
        (response.status().as_u16(), after)
    }

    #[test]
    fn requests_at_a_time_are_each_tokens_own() {
        let (quotas, now) = (quotas(2, 0), Instant::now());
        let (one, other) = (Some("5e884898"), Some("6b86b273"));
        let first = quotas.enter(one, now).expect("first");
        let _second = quotas.enter(one, now).expect("second");
        assert_eq!(status(quotas.enter(one, now)), (429, Some("1".to_owned())));
        let _other = quotas.enter(other, now).expect("another token");
        let _nobody = quotas.enter(None, now).expect("no token");
        drop(first);
        drop(quotas.enter(one, now).expect("one has ended"));
    }

    #[test]
    fn requests_a_minute_come_back_one_by_one() {
        let (quotas, now) = (quotas(0, 6), Instant::now());
        for _ in 0..6 {
            drop(quotas.enter(None, now).expect("a minute's requests at once"));
        }
        assert_eq!(status(quotas.enter(None, now)), (429, Some("10".to_owned())));
        let later = now + Duration::from_millis(9_500);
        assert_eq!(status(quotas.enter(None, later)), (429, Some("1".to_owned())));
        let later = now + Duration::from_secs(10);
        drop(quotas.enter(None, later).expect("a sixth of a minute later"));
        assert_eq!(status(quotas.enter(None, later)).0, 429);
    }
}
