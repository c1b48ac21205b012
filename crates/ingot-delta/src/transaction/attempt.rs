//! The rounds of one commit: read the winners, decide, put, and find out what became of the put.
//!
//! Two ways lead into the log. Where a store only puts, the queue is held from the decision to the answer (`queued`).
//! Where commits are written first and named later, they are decided one after the other and written beside each other
//! (`staged`).

mod staged;

use std::sync::Arc;
use std::time::Duration;

use ingot_common::clock;
use ingot_common::retry::{Backoff, RetryPolicy};
use object_store::ObjectMeta;
use uuid::Uuid;

use self::staged::StagedCommit;
use super::{Basis, CommitOutcome, Transaction};
use crate::conflict::{self, Decision, Staged};
use crate::log::{self, PutOutcome};
use crate::table::Commit;
use crate::{Action, ConflictReason, Error, Result, Snapshot, action, commit_time};

/// Pauses between attempts, growing with each.
const PAUSE_FIRST: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// How often a put that failed is tried again, once the log shows that it left nothing behind.
pub(super) const STORE_RETRIES_MAX: u32 = 3;

/// What one round of an attempt led to.
pub(super) enum Step {
    /// The version is taken by a commit that ours can follow, or nothing was written: go on.
    Again,
    Committed(Landed),
    Ended(CommitOutcome),
}

/// How a commit ended.
pub(super) enum Ended {
    /// It is on disk. With a snapshot that has it, if others did not come between.
    Committed {
        version: i64,
        taken_in: Option<Arc<Snapshot>>,
    },
    Not(CommitOutcome),
}

/// A commit of ours that is in the log.
pub(crate) struct Landed {
    pub version: i64,
    pub actions: Commit,
    /// What a look at its file would find, where the store said so.
    pub meta: Option<ObjectMeta>,
}

/// The rounds of one commit.
pub(super) struct Attempt<'a> {
    transaction: &'a Transaction,
    /// Unique for this commit: tells ours from another's.
    transaction_id: String,
    /// The version to follow; all up to it are decided.
    basis: Basis,
    /// The newest snapshot of the log that `basis` is in.
    known: Arc<Snapshot>,
    /// Nothing is known to stand after `basis`: the put finds out.
    at_head: bool,
    /// What the winners in memory led to, if not to a version to try.
    ended: Option<CommitOutcome>,
    /// A put of ours at this version may have worked, and nobody has looked since.
    in_doubt: bool,
    /// A put of ours at this version may arrive after we looked.
    in_flight: bool,
    /// What is written and has no version yet.
    staged: Option<StagedCommit>,
    races: Backoff,
    store_failures: Backoff,
}

/// Pauses between at most so many retries.
pub(super) fn pauses(retries_max: u32) -> Backoff {
    RetryPolicy {
        retries_max,
        pause_first: PAUSE_FIRST,
        pause_max: PAUSE_MAX,
    }
    .attempts()
}

impl<'a> Attempt<'a> {
    pub fn new(transaction: &'a Transaction) -> Self {
        Self {
            transaction,
            transaction_id: Uuid::new_v4().to_string(),
            basis: Basis::of(&transaction.read),
            known: Arc::clone(&transaction.read),
            at_head: false,
            ended: None,
            in_doubt: false,
            in_flight: false,
            staged: None,
            races: pauses(transaction.table.options().commit_retries_max),
            store_failures: pauses(STORE_RETRIES_MAX),
        }
    }

    /// Commits, holding the queue until the store has answered.
    pub async fn queued(mut self, ours: &Staged<'_>) -> Result<Ended> {
        let table = &self.transaction.table;
        let queued = table.commit_queue().enter().await;
        if let Some((newest, winners)) = table.commits_since(&self.transaction.read) {
            self.catch_up(ours, newest, &winners);
        }
        let landed = loop {
            match self.run(ours).await? {
                Step::Again => {}
                Step::Committed(landed) => break landed,
                Step::Ended(outcome) => return Ok(Ended::Not(outcome)),
            }
        };
        let version = landed.version;
        // Before the next in the queue looks, so that it finds this commit in memory.
        let taken_in = table.take_in(landed).await;
        drop(queued);
        Ok(Ended::Committed {
            version,
            // The log tells what could not be taken in.
            taken_in: taken_in.ok().flatten(),
        })
    }

    /// Decides winners that are in memory, up to the newest commit that this process knows of.
    fn catch_up<'w>(
        &mut self,
        ours: &Staged<'_>,
        newest: Arc<Snapshot>,
        winners: impl IntoIterator<Item = &'w Commit>,
    ) {
        self.known = newest;
        self.at_head = true;
        for winner in winners {
            if let Step::Ended(outcome) = self.decide(ours, winner) {
                self.ended = Some(outcome);
                return;
            }
        }
    }

    /// Decides all winners, then puts the commit under the first free version.
    pub async fn run(&mut self, ours: &Staged<'_>) -> Result<Step> {
        let decided = match self.decide_rest(ours).await? {
            Step::Ended(outcome) => Some(outcome),
            Step::Again => None,
            committed @ Step::Committed(..) => return Ok(committed),
        };
        // Whatever was found, or not found, says something only if it is this table's log.
        if !self.log_is_the_same().await? {
            let version = self.transaction.read.version();
            let reason = ConflictReason::LogReplaced { version };
            return Ok(Step::Ended(CommitOutcome::Conflicted(reason)));
        }
        if let Some(outcome) = decided {
            return Ok(Step::Ended(outcome));
        }
        self.follow_modification_time().await?;
        let actions = self.actions(clock::now_ms())?;
        self.in_doubt = true;
        let log = self.transaction.table.log();
        match log.put_commit(self.version(), &actions).await {
            Ok(PutOutcome::Created(meta)) => Ok(self.landed(actions, meta)),
            Ok(PutOutcome::Exists) => self.lost_race().await,
            Err(refused @ Error::NoPutIfAbsent { .. }) => Err(refused),
            Err(failure) => self.resolve(actions, failure).await,
        }
    }

    /// Decides what is not decided yet.
    async fn decide_rest(&mut self, ours: &Staged<'_>) -> Result<Step> {
        match self.ended.take() {
            Some(outcome) => Ok(Step::Ended(outcome)),
            None if std::mem::take(&mut self.at_head) => Ok(Step::Again),
            None => self.decide_all(ours).await,
        }
    }

    /// Decides the winners that the log has, until a version is absent: then it is `Again`.
    async fn decide_all(&mut self, ours: &Staged<'_>) -> Result<Step> {
        loop {
            let Some(winner) = self.look().await? else {
                return Ok(Step::Again);
            };
            if self.is_ours(&winner) {
                return Ok(self.landed(winner, None));
            }
            if let Step::Ended(outcome) = self.decide(ours, &winner) {
                return Ok(Step::Ended(outcome));
            }
        }
    }

    /// The version to try next.
    fn version(&self) -> i64 {
        self.basis.version + 1
    }

    /// Returns what will stand in the log, at a time.
    fn actions(&self, now_ms: i64) -> Result<Vec<Action>> {
        let transaction = self.transaction;
        transaction.actions(&self.transaction_id, &self.basis, now_ms)
    }

    fn landed(&self, actions: Vec<Action>, meta: Option<ObjectMeta>) -> Step {
        Step::Committed(Landed {
            version: self.version(),
            actions: Arc::new(actions),
            meta,
        })
    }

    /// A commit that begins in-commit timestamps is later than the file of the one before it, by whatever clock that
    /// was written. Source: Delta protocol, "Writer Requirements for In-Commit Timestamps".
    async fn follow_modification_time(&mut self) -> Result<()> {
        if !self.begins_times() {
            return Ok(());
        }
        loop {
            match self
                .transaction
                .table
                .commit_modified_ms(self.basis.version)
                .await
            {
                Err(_) if self.store_failures.pause().await => {}
                Err(error) => return Err(error),
                Ok(modified_ms) => {
                    let before_ms = self.basis.timestamp_ms;
                    self.basis.timestamp_ms = before_ms.max(modified_ms.unwrap_or(before_ms));
                    return Ok(());
                }
            }
        }
    }

    fn begins_times(&self) -> bool {
        let staged = self.transaction.metadata.as_ref();
        staged.is_some_and(|staged| commit_time::begins(&self.basis.metadata, staged))
    }

    async fn log_is_the_same(&mut self) -> Result<bool> {
        loop {
            match self.transaction.table.holds(&self.known).await {
                Err(_) if self.store_failures.pause().await => {}
                answer => return answer,
            }
        }
    }

    /// Reads what stands at our version.
    async fn look(&mut self) -> Result<Option<Vec<Action>>> {
        loop {
            match self.transaction.table.log().read_commit(self.version()).await {
                Ok(found) => {
                    self.in_doubt = false;
                    return Ok(found);
                }
                Err(_) if self.store_failures.pause().await => {}
                Err(unreadable) if self.in_doubt => return Err(self.unknown(unreadable)),
                Err(unreadable) => return Err(unreadable),
            }
        }
    }

    /// Takes one commit that stands at our version.
    fn decide(&mut self, ours: &Staged<'_>, winner: &[Action]) -> Step {
        match conflict::decide(ours, &self.basis, winner) {
            Decision::Rebased => {
                self.basis.follow(winner);
                self.in_flight = false;
                Step::Again
            }
            Decision::AlreadyApplied { app_id, version } => {
                Step::Ended(CommitOutcome::AlreadyApplied { app_id, version })
            }
            Decision::Conflict(reason) => Step::Ended(CommitOutcome::Conflicted(reason)),
        }
    }

    /// Something stands at our version: another process was faster between our look and our put, or a put of
    /// ours arrived before its answer was lost and the store sent it again.
    async fn lost_race(&mut self) -> Result<Step> {
        if self.races.pause().await {
            return Ok(Step::Again);
        }
        if let Some(commit) = self.look().await?.filter(|commit| self.is_ours(commit)) {
            return Ok(self.landed(commit, None));
        }
        Err(self.retries_exhausted())
    }

    /// A put failed: it may have left the commit behind all the same. Only the log knows.
    async fn resolve(&mut self, actions: Vec<Action>, failure: Error) -> Result<Step> {
        self.in_flight |= log::may_still_arrive(&failure);
        match self.look().await? {
            Some(commit) if self.is_ours(&commit) => self.settle(actions, failure).await,
            Some(_) => Ok(Step::Again),
            None if self.store_failures.pause().await => Ok(Step::Again),
            None if self.in_flight => Err(self.unknown(failure)),
            None => Err(failure),
        }
    }

    /// Our commit is there, but its put failed: it may be visible and yet not survive a crash. A store that answers
    /// "exists" holds what exists.
    async fn settle(&mut self, actions: Vec<Action>, mut failure: Error) -> Result<Step> {
        while self.store_failures.pause().await {
            let log = self.transaction.table.log();
            match log.put_commit(self.version(), &actions).await {
                Ok(PutOutcome::Created(meta)) => return Ok(self.landed(actions, meta)),
                Ok(PutOutcome::Exists) => return Ok(self.landed(actions, None)),
                Err(error) => failure = error,
            }
        }
        Err(self.unknown(failure))
    }

    fn retries_exhausted(&self) -> Error {
        Error::CommitRetriesExhausted {
            location: self.transaction.table.location().to_string(),
            retries: self.races.retries(),
        }
    }

    fn unknown(&self, source: Error) -> Error {
        Error::CommitOutcomeUnknown {
            location: self.transaction.table.location().to_string(),
            version: self.version(),
            transaction_id: self.transaction_id.clone(),
            source: Box::new(source),
        }
    }

    fn is_ours(&self, commit: &[Action]) -> bool {
        let info = action::commit_info(commit);
        info.is_some_and(|info| info.txn_id.as_deref() == Some(&self.transaction_id))
    }
}
