//! What others see of a running query.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::StreamingQueryProgress;

/// Batches remembered. Source: `spark.sql.streaming.numRecentProgressUpdates`.
const PROGRESS_KEPT: usize = 100;

/// Hears of each batch once it is recorded as committed. Called on the query's task: it must not block.
pub type ProgressListener = Arc<dyn Fn(&StreamingQueryProgress) + Send + Sync>;

/// Follows a query while it runs. Cheap to clone.
#[derive(Clone, Default)]
pub struct QueryHandle {
    recent: Arc<Mutex<VecDeque<StreamingQueryProgress>>>,
    listener: Option<ProgressListener>,
}

impl QueryHandle {
    /// Makes a handle for a query that is about to run.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a handle that also tells `listener`. Source: Spark, `StreamingQueryListener.onQueryProgress`.
    pub fn with_listener(listener: ProgressListener) -> Self {
        Self {
            recent: Arc::default(),
            listener: Some(listener),
        }
    }

    /// Returns the progress of recent batches, oldest first (100 at most).
    pub fn recent_progress(&self) -> Vec<StreamingQueryProgress> {
        self.recent().iter().cloned().collect()
    }

    /// Returns the progress of the newest batch.
    pub fn last_progress(&self) -> Option<StreamingQueryProgress> {
        self.recent().back().cloned()
    }

    pub(super) fn push(&self, progress: StreamingQueryProgress) {
        if let Some(listener) = &self.listener {
            listener(&progress);
        }
        let mut recent = self.recent();
        if recent.len() == PROGRESS_KEPT {
            recent.pop_front();
        }
        recent.push_back(progress);
    }

    fn recent(&self) -> MutexGuard<'_, VecDeque<StreamingQueryProgress>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for QueryHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryHandle")
            .field("recent", &self.recent())
            .finish_non_exhaustive()
    }
}
