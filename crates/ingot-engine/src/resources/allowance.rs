//! What one statement was allowed: its slot, when it has to end, and the token that ends it.
//!
//! It is the task's own while the statement runs, and its rows' afterwards. What the statement spawns gets the token.
//! Source: Databricks, `STATEMENT_TIMEOUT`, `QUERY_EXECUTION_TIMEOUT_EXCEEDED`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use ingot_common::{Classify, Kind, RequestContext};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::admission::{Admission, Slot};
use crate::{Error, Result};

tokio::task_local! {
    /// Of the statement that the task runs.
    static CURRENT: Allowance;
}

/// When a statement has to end, and how long after it began that is.
#[derive(Debug, Clone, Copy)]
struct Deadline {
    at: Instant,
    after: Duration,
}

/// The right of a statement to do work.
#[derive(Debug)]
enum Turn {
    /// Taken when the statement, or one that it runs, first does work.
    None,
    Taken {
        _slot: Slot,
    },
    /// Given back while nobody takes what was made.
    Paused,
}

/// See the module's documentation. Clones are of the same statement.
#[derive(Debug, Clone)]
pub(crate) struct Allowance {
    token: CancellationToken,
    deadline: Option<Deadline>,
    slot: Arc<Mutex<Turn>>,
    /// Cancels the token with the last clone: what a task of the statement still does is for nobody.
    _guard: Arc<DropGuard>,
}

impl Allowance {
    /// Makes the allowance of a statement that begins now, and may take `time_max` unless that is zero.
    pub fn begin(context: &RequestContext, time_max: Duration, slot: Option<Slot>) -> Self {
        let at = Instant::now()
            .checked_add(time_max)
            .filter(|_| !time_max.is_zero());
        let token = context.cancellation.child_token();
        Self {
            _guard: Arc::new(token.clone().drop_guard()),
            token,
            deadline: at.map(|at| Deadline { at, after: time_max }),
            slot: Arc::new(Mutex::new(
                slot.map_or(Turn::None, |slot| Turn::Taken { _slot: slot }),
            )),
        }
    }

    /// Returns that of the statement which the task runs.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Returns that of the statement which the task runs; of work that is no statement's, one without bounds.
    pub fn current_or_of(context: &RequestContext) -> Self {
        Self::current().unwrap_or_else(|| Self::begin(context, Duration::ZERO, None))
    }

    /// Says if the statement has a slot.
    pub fn has_slot(&self) -> bool {
        matches!(*self.turn(), Turn::Taken { .. })
    }

    /// Keeps a slot until the statement ends.
    pub fn keep(&self, slot: Slot) {
        let mut turn = self.turn();
        // One that is there already serves as well.
        if !matches!(*turn, Turn::Taken { .. }) {
            *turn = Turn::Taken { _slot: slot };
        }
    }

    /// Returns what lets others have the slot while nobody takes what the statement makes.
    pub fn pauses(&self) -> Pauses {
        Pauses {
            turn: Arc::downgrade(&self.slot),
            token: self.token.clone(),
        }
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        lock(&self.slot)
    }

    /// Returns the token that is cancelled when the statement has to end.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Returns what tells work that cannot wait if the statement has to end.
    pub fn over(&self) -> Over {
        Over {
            token: self.token.clone(),
            deadline: self.deadline,
        }
    }

    /// Waits until the statement has to end, and says why.
    pub async fn ended(self) -> Error {
        tokio::select! {
            biased;
            () = self.token.cancelled() => Error::Cancelled,
            error = self.passed() => error,
        }
    }

    /// Runs work that may be dropped at any await, until it has to end.
    pub async fn read<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            outcome = CURRENT.scope(self.clone(), work) => outcome,
            error = self.clone().ended() => Err(error),
        }
    }

    /// Runs work that ends by itself, once the token is cancelled, where it may.
    pub async fn write<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let work = CURRENT.scope(self.clone(), work);
        tokio::pin!(work);
        let error = tokio::select! {
            biased;
            outcome = &mut work => return outcome,
            error = self.passed() => error,
        };
        self.token.cancel();
        match work.await {
            Err(ended) if ended.kind() == Kind::Cancelled => Err(error),
            outcome => outcome,
        }
    }

    /// Waits until the time is over; for ever when there is no end.
    async fn passed(&self) -> Error {
        let Some(deadline) = self.deadline else {
            return std::future::pending().await;
        };
        tokio::time::sleep_until(deadline.at).await;
        deadline.error()
    }
}

/// Runs a part of a statement that may be dropped at any await, until the statement has to end.
pub(crate) async fn reading<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    match Allowance::current() {
        Some(allowance) => allowance.read(work).await,
        None => work.await,
    }
}

impl Deadline {
    fn error(self) -> Error {
        Error::Condition {
            kind: Kind::DeadlineExceeded,
            condition: "QUERY_EXECUTION_TIMEOUT_EXCEEDED",
            sqlstate: "57KD0",
            message: format!(
                "the statement was cancelled because it took more than {} seconds; set STATEMENT_TIMEOUT to allow it more",
                self.after.as_secs_f64()
            ),
        }
    }
}

/// Gives a statement's slot back for a time. It does not keep the statement's allowance.
#[derive(Debug, Clone)]
pub(crate) struct Pauses {
    turn: Weak<Mutex<Turn>>,
    token: CancellationToken,
}

impl Pauses {
    /// Lets others have the slot, if there is one.
    pub fn pause(&self) {
        let Some(turn) = self.turn.upgrade() else { return };
        let mut turn = lock(&turn);
        if matches!(*turn, Turn::Taken { .. }) {
            *turn = Turn::Paused;
        }
    }

    /// Waits for a slot again after [`Self::pause`].
    ///
    /// # Errors
    /// As [`Admission::admit`].
    pub async fn resume(&self, admission: &Admission) -> Result<()> {
        let paused = |turn: Arc<Mutex<Turn>>| matches!(*lock(&turn), Turn::Paused);
        if !self.turn.upgrade().is_some_and(paused) {
            return Ok(());
        }
        let slot = admission.admit(&self.token).await?;
        if let Some(turn) = self.turn.upgrade() {
            *lock(&turn) = Turn::Taken { _slot: slot };
        }
        Ok(())
    }
}

fn lock(turn: &Mutex<Turn>) -> MutexGuard<'_, Turn> {
    turn.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells if a statement has to end. It does not keep the statement's allowance.
#[derive(Debug, Clone)]
pub(crate) struct Over {
    token: CancellationToken,
    deadline: Option<Deadline>,
}

impl Over {
    /// Fails once the statement has to end.
    pub fn check(&self) -> Result<()> {
        if self.token.is_cancelled() {
            return Err(Error::Cancelled);
        }
        match self.deadline {
            Some(deadline) if deadline.at <= Instant::now() => Err(deadline.error()),
            _ => Ok(()),
        }
    }
}
