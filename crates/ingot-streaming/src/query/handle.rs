//! What others see of a running query.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::StreamingQueryProgress;

/// Batches remembered. Source: `spark.sql.streaming.numRecentProgressUpdates`.
const PROGRESS_KEPT: usize = 100;

/// Follows a query while it runs. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct QueryHandle {
    recent: Arc<Mutex<VecDeque<StreamingQueryProgress>>>,
}

impl QueryHandle {
    /// Makes a handle for a query that is about to run.
    pub fn new() -> Self {
        Self::default()
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
