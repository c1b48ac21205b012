//! Supervised tasks: every long-lived piece of work has a name, an owner and a way to be stopped.
//!
//! ```text
//! Supervisor ──spawn(name, future)──► task ──ends──► logged; join() returns when all have ended
//!     └─ shutdown() cancels the token that each task was given
//! ```
//! A panic ends its task and nothing else, and is logged as an error: a task never dies without a word.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::chain;

/// Owns the long-lived tasks of one process or one component. Cheap to clone; clones share the tasks.
#[derive(Debug, Clone, Default)]
pub struct Supervisor {
    token: CancellationToken,
    tracker: TaskTracker,
}

impl Supervisor {
    /// Makes a supervisor without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a token that is cancelled by [`Supervisor::shutdown`].
    pub fn token(&self) -> CancellationToken {
        self.token.child_token()
    }

    /// Runs `work` as a task called `name`. `work` receives a token and ends soon after it is cancelled.
    /// An error that `work` returns, or its panic, is logged under `name`; restarting is the work's own affair,
    /// because only it knows what is safe to repeat.
    #[expect(
        clippy::disallowed_methods,
        reason = "the supervisor is what tasks are spawned through"
    )]
    pub fn spawn<F, W, E>(&self, name: &'static str, work: W)
    where
        W: FnOnce(CancellationToken) -> F,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::error::Error + Send + 'static,
    {
        let future = work(self.token.child_token());
        let task = self.tracker.track_future(async move {
            match caught(future).await {
                Ok(Ok(())) => tracing::debug!(task = name, "task ended"),
                Ok(Err(error)) => tracing::error!(task = name, error = %chain(&error), "task failed"),
                Err(Panicked { message }) => tracing::error!(task = name, message, "task panicked"),
            }
        });
        drop(tokio::spawn(task));
    }

    /// Cancels every task's token.
    pub fn shutdown(&self) {
        self.token.cancel();
        self.tracker.close();
    }

    /// Waits until all tasks have ended, at most `patience`. Returns `false` when some had not.
    pub async fn join(&self, patience: Duration) -> bool {
        self.tracker.close();
        tokio::time::timeout(patience, self.tracker.wait()).await.is_ok()
    }
}

/// Work that panicked, and what it said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("panicked: {message}")]
pub struct Panicked {
    pub message: String,
}

impl Panicked {
    /// Reads what a panic said: its message, for the panics of Rust's own macros.
    pub fn from_payload(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Self {
            message: text.unwrap_or_else(|| "no message".to_owned()),
        }
    }
}

/// Runs `work` and turns a panic into an error. State that `work` shares with others may be half changed after a
/// panic; whoever starts it again builds that state anew.
pub async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    outcome.map_err(|payload| Panicked::from_payload(payload.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_its_task_only() {
        let supervisor = Supervisor::new();
        supervisor.spawn("panics", |_| async move {
            // Keeps the compiler from knowing that the rest is never reached.
            if std::hint::black_box(true) {
                panic!("a defect");
            }
            Ok::<(), std::io::Error>(())
        });
        assert!(supervisor.join(Duration::from_secs(10)).await);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_with_its_message() {
        let number = 7;
        let outcome = caught(async { assert_eq!(number, 8, "wrong number {number}") }).await;
        let error = outcome.expect_err("panicked");
        assert!(error.to_string().contains("wrong number 7"), "{error}");
        assert_eq!(caught(async { number }).await, Ok(7));
    }

    #[tokio::test]
    async fn shutdown_ends_tasks() {
        let supervisor = Supervisor::new();
        supervisor.spawn("waits", |token| async move {
            token.cancelled().await;
            Ok::<(), std::io::Error>(())
        });
        assert!(!supervisor.join(Duration::from_millis(1)).await);
        supervisor.shutdown();
        assert!(supervisor.join(Duration::from_secs(10)).await);
    }
}
