//! Work that a commit leaves behind: checkpoints. It goes on after the commit was reported, and nothing waits for it
//! but the end of the process.

use std::sync::Arc;
use std::time::Duration;

use ingot_common::task::Supervisor;
use tokio::sync::Semaphore;

/// Checkpoints written at once by one process; one more is left to the next commit that is due.
const CHECKPOINTS_MAX: usize = 2;

/// The tasks of one registry. Cheap to clone; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Background {
    supervisor: Supervisor,
    places: Arc<Semaphore>,
}

impl Default for Background {
    fn default() -> Self {
        Self {
            supervisor: Supervisor::new(),
            places: Arc::new(Semaphore::new(CHECKPOINTS_MAX)),
        }
    }
}

impl Background {
    /// Runs `work`, unless too much is running.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return;
        };
        self.supervisor.spawn(name, |_| async move {
            work.await;
            drop(place);
            Ok::<(), std::io::Error>(())
        });
    }

    /// Waits until no work runs, at most `patience`. Returns `false` when some still does.
    pub async fn settle(&self, patience: Duration) -> bool {
        self.supervisor.join(patience).await
    }
}
