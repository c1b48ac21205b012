//! One call: who makes it, until when, and what its answer says beside its content.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::HeaderValue;
use futures::{Stream, StreamExt};
use ingot_common::{Kind, RequestContext, ServiceError};
use tokio::time::Instant;
use tonic::Status;

use super::session::Cookie;
use super::status::status;
use crate::state::AppState;

/// Cheap to clone; an extension of every request that was admitted.
#[derive(Clone)]
pub(super) struct Call {
    pub state: AppState,
    pub context: RequestContext,
    pub deadline: Option<Instant>,
    /// What the client keeps of its session.
    pub cookie: Cookie,
    /// What it is to keep from now on.
    pub answered_cookie: Arc<OnceLock<HeaderValue>>,
}

impl Call {
    /// Makes the status of an error.
    pub fn status(&self, error: ServiceError) -> Status {
        status(&self.state.blame(error), self.context.request_id)
    }

    /// Ends `items` with an error when the time of the call is over.
    pub fn in_time<T: Send + 'static>(
        &self,
        items: impl Stream<Item = Result<T, ServiceError>> + Send + 'static,
    ) -> impl Stream<Item = Result<T, ServiceError>> + Send + 'static {
        let deadline = self.deadline;
        futures::stream::unfold(Some(Box::pin(items)), move |items| async move {
            let mut items = items?;
            let next = match deadline {
                None => items.next().await,
                // Rows that are always there leave a timer no time.
                Some(deadline) if deadline <= Instant::now() => return Some((Err(time_over()), None)),
                Some(deadline) => match tokio::time::timeout_at(deadline, items.next()).await {
                    Ok(next) => next,
                    Err(_) => return Some((Err(time_over()), None)),
                },
            };
            next.map(|item| (item, Some(items)))
        })
    }
}

/// Makes the error of a call whose time is over.
pub(super) fn time_over() -> ServiceError {
    ServiceError::new(
        Kind::DeadlineExceeded,
        "the time that the client gave the call is over",
    )
}

/// Reads `grpc-timeout`: up to eight digits, and a unit. `None` for what is none.
///
/// Source: gRPC over HTTP/2, "Timeout".
pub(super) fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    #[test_case("5S", Some(Duration::from_secs(5)))]
    #[test_case("99999999H", Some(Duration::from_secs(99_999_999 * 3600)); "the most")]
    #[test_case("250m", Some(Duration::from_millis(250)))]
    #[test_case("1n", Some(Duration::from_nanos(1)))]
    #[test_case("", None; "nothing")]
    #[test_case("S", None; "no number")]
    #[test_case("100000000S", None; "nine digits")]
    #[test_case("+5S", None; "a sign")]
    #[test_case("5s", None; "no unit")]
    #[test_case("5ß", None; "no ascii")]
    fn timeouts_are_read(text: &str, expected: Option<Duration>) {
        assert_eq!(timeout(text), expected);
    }
}
