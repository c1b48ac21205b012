//! Slots: so many statements that do work at a time; the others wait in the order in which they came.
//!
//! The queue is bounded in length and in time. Source: Databricks, "SQL warehouse sizing, scaling, and queuing
//! behavior", for the queue and its length; Databricks, `SERVER_IS_BUSY`, for the refusal.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use ingot_common::Kind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio_util::sync::CancellationToken;

use super::StatementLimits;
use crate::history::Trace;
use crate::{Error, Result};

/// Slots for each core: some statements wait for a store, others for their readers.
const SLOTS_PER_CORE: usize = 4;
/// A few readers that are slow leave slots for others.
const SLOTS_MIN: usize = 8;

/// Lets statements in.
#[derive(Debug)]
pub(crate) struct Admission {
    slots: Arc<Semaphore>,
    slots_count: usize,
    limits: StatementLimits,
    queued: AtomicUsize,
}

impl Admission {
    pub fn new(limits: StatementLimits) -> Self {
        let slots_count = match limits.running_max {
            0 => {
                let cores = available_parallelism().map_or(1, NonZeroUsize::get);
                SLOTS_MIN.max(cores * SLOTS_PER_CORE)
            }
            count => count.min(Semaphore::MAX_PERMITS),
        };
        Self {
            slots: Arc::new(Semaphore::new(slots_count)),
            slots_count,
            limits,
            queued: AtomicUsize::new(0),
        }
    }

    /// Returns the bounds.
    pub fn limits(&self) -> &StatementLimits {
        &self.limits
    }

    /// Returns how many statements have a slot.
    pub fn running(&self) -> usize {
        self.slots_count - self.slots.available_permits()
    }

    /// Returns how many statements wait for one.
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::SeqCst)
    }

    /// Waits for a slot; whoever came first gets the first. Dropped, it leaves the queue.
    ///
    /// # Errors
    /// `SERVER_IS_BUSY` when the queue is full, and when no slot came in time; `Cancelled` when `stop` was meanwhile.
    pub async fn admit(&self, stop: &CancellationToken) -> Result<Slot> {
        match Arc::clone(&self.slots).try_acquire_owned() {
            Ok(permit) => return Ok(Slot::new(permit)),
            Err(TryAcquireError::NoPermits) => {}
            Err(TryAcquireError::Closed) => return Err(closed()),
        }
        let _queued = Trace::queue();
        let _place = Place::take(&self.queued, self.limits.queued_max).ok_or_else(|| {
            busy(
                format!("{} more wait, as many as may", self.limits.queued_max),
                self,
            )
        })?;
        tokio::select! {
            biased;
            permit = Arc::clone(&self.slots).acquire_owned() => {
                permit.map(Slot::new).map_err(|_| closed())
            }
            () = stop.cancelled() => Err(Error::Cancelled),
            () = tokio::time::sleep(self.limits.queued_time_max) => {
                let waited = self.limits.queued_time_max.as_secs_f64();
                Err(busy(format!("none ended within {waited} seconds"), self))
            }
        }
    }
}

fn busy(reason: String, admission: &Admission) -> Error {
    metrics::counter!("ingot_statements_refused_total").increment(1);
    Error::Condition {
        kind: Kind::ResourceExhausted,
        condition: "SERVER_IS_BUSY",
        sqlstate: "08KD1",
        message: format!(
            "the server is busy: {} statements are running, and {reason}; wait a moment and try again",
            admission.slots_count
        ),
    }
}

/// Nothing closes the semaphore.
fn closed() -> Error {
    Error::internal("no statements are admitted any more".to_owned())
}

/// A place in the queue.
struct Place<'a> {
    queued: &'a AtomicUsize,
}

impl<'a> Place<'a> {
    /// Takes one of `most` places, if one is free.
    fn take(queued: &'a AtomicUsize, most: usize) -> Option<Self> {
        let taken = queued.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |queued| {
            (queued < most).then_some(queued + 1)
        });
        taken.ok()?;
        metrics::gauge!("ingot_statements_queued").increment(1.0);
        Some(Self { queued })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.queued.fetch_sub(1, Ordering::SeqCst);
        metrics::gauge!("ingot_statements_queued").decrement(1.0);
    }
}

/// The right to do work; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        metrics::gauge!("ingot_statements_running").increment(1.0);
        Self { _permit: permit }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        metrics::gauge!("ingot_statements_running").decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;
    use ingot_common::Classify;

    use super::*;

    const NEVER: Duration = Duration::from_secs(3600);

    fn admission(running_max: usize, queued_max: usize, queued_time_max: Duration) -> Admission {
        Admission::new(StatementLimits {
            running_max,
            queued_max,
            queued_time_max,
            ..StatementLimits::default()
        })
    }

    #[tokio::test]
    async fn those_who_wait_are_let_in_in_their_order() {
        let (admission, stop) = (admission(1, 3, NEVER), CancellationToken::new());
        let first = admission.admit(&stop).await.expect("a slot");
        let mut second = Box::pin(admission.admit(&stop));
        let mut third = Box::pin(admission.admit(&stop));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        assert_eq!((admission.running(), admission.queued()), (1, 2));
        drop(first);
        assert!(third.as_mut().now_or_never().is_none(), "it is not its turn");
        // Nor is it that of somebody who comes now.
        let mut fourth = Box::pin(admission.admit(&stop));
        assert!(fourth.as_mut().now_or_never().is_none());
        let second = second.await.expect("a slot");
        assert!(third.as_mut().now_or_never().is_none());
        drop(second);
        let third = third.await.expect("a slot");
        drop((third, fourth));
        assert_eq!((admission.running(), admission.queued()), (0, 0));
    }

    #[tokio::test]
    async fn who_leaves_the_queue_holds_nobody_up() {
        let (admission, stop) = (admission(1, 2, NEVER), CancellationToken::new());
        let first = admission.admit(&stop).await.expect("a slot");
        let left = CancellationToken::new();
        let mut cancelled = Box::pin(admission.admit(&left));
        let mut dropped = Box::pin(admission.admit(&stop));
        assert!(cancelled.as_mut().now_or_never().is_none());
        assert!(dropped.as_mut().now_or_never().is_none());
        left.cancel();
        assert_eq!(cancelled.await.expect_err("left").kind(), Kind::Cancelled);
        drop(dropped);
        let mut last = Box::pin(admission.admit(&stop));
        assert!(last.as_mut().now_or_never().is_none());
        drop(first);
        last.await.expect("a slot");
    }

    #[tokio::test]
    async fn a_full_queue_and_a_long_wait_are_refusals() {
        let stop = CancellationToken::new();
        let full = admission(1, 0, NEVER);
        let slow = admission(1, 1, Duration::from_millis(1));
        for admission in [full, slow] {
            let _slot = admission.admit(&stop).await.expect("a slot");
            let error = admission.admit(&stop).await.expect_err("refused");
            assert_eq!(error.condition(), Some("SERVER_IS_BUSY"));
            assert_eq!(error.sqlstate(), Some("08KD1"));
            assert_eq!(error.kind(), Kind::ResourceExhausted);
            assert_eq!(admission.queued(), 0);
        }
    }
}
