//! Supervised tasks: every long-lived piece of work has a name, an owner and a way to be stopped.
//!
//! ```text
//! Supervisor ──spawn(name, future)──► task ──ends──► logged; join() returns when all have ended
//!     └─ shutdown() cancels the token that each task was given
//! ```

use std::future::Future;
use std::time::Duration;

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
    /// An error that `work` returns is logged under `name`; restarting is the work's own affair, because
    /// only it knows what is safe to repeat.
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
            match future.await {
                Ok(()) => tracing::debug!(task = name, "task ended"),
                Err(error) => tracing::error!(task = name, error = %chain(&error), "task failed"),
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

#[cfg(test)]
mod tests {
    use super::*;

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
