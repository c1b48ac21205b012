//! The rounds of a commit that is written first and named later.
//!
//! ```text
//! decide (in turn) ─► write and sync (beside others) ─► publish (in turn) ─► sync the log's folder (shared) ─► report
//!     ▲                                                    │ the one before gave up, or another process was faster
//!     └──────────────── read what is there now ◄───────────┘
//! ```
//! Always true: nothing is reported before the log's folder was synced after our commit had its name; if that fails,
//! the commit is seen by others and its outcome is called unknown. What was written is used again where the winners
//! leave it as it is.

use std::sync::Arc;
use std::time::Duration;

use ingot_common::clock;
use ingot_common::retry::RetryPolicy;

use super::{Attempt, Ended, Landed, Step};
use crate::conflict::Staged;
use crate::log::StagedLog;
use crate::store::{Published, StagedFile};
use crate::table::Commit;
use crate::transaction::queue::{Ahead, QueuePlace};
use crate::transaction::{Basis, CommitOutcome, Transaction};
use crate::{ConflictReason, Error, Result, Snapshot};

/// Pauses after a race that was lost to another process. Each race has a winner and the next is soon: who stays away
/// for long loses that too.
const RACE_PAUSE_FIRST: Duration = Duration::from_micros(250);
const RACE_PAUSE_MAX: Duration = Duration::from_millis(4);

/// A commit that is written and has no version yet.
pub(super) struct StagedCommit {
    /// The time that it was made for.
    now_ms: i64,
    actions: Commit,
    file: Arc<StagedFile>,
}

/// What is to be written, or was.
struct Made {
    now_ms: i64,
    actions: Commit,
    file: Option<Arc<StagedFile>>,
    /// What was written before and is no longer right.
    outdated: Option<Arc<StagedFile>>,
}

/// What a round led to.
enum Round {
    Again,
    Ended(Ended),
}

impl From<CommitOutcome> for Round {
    fn from(outcome: CommitOutcome) -> Self {
        Self::Ended(Ended::Not(outcome))
    }
}

impl Attempt<'_> {
    /// Commits to a log that takes commits in steps.
    pub async fn staged(mut self, log: StagedLog<'_>, ours: &Staged<'_>) -> Result<Ended> {
        let races = RetryPolicy {
            retries_max: self.transaction.table.options().commit_retries_max,
            pause_first: RACE_PAUSE_FIRST,
            pause_max: RACE_PAUSE_MAX,
        };
        self.races = races.attempts();
        loop {
            let Round::Ended(ended) = self.staged_round(log, ours).await? else {
                continue;
            };
            if matches!(ended, Ended::Not(CommitOutcome::AlreadyApplied { .. })) {
                // What was done is done for good only once it is on disk, whoever did it.
                log.settle(None).await?;
            }
            return Ok(ended);
        }
    }

    async fn staged_round(&mut self, log: StagedLog<'_>, ours: &Staged<'_>) -> Result<Round> {
        let queue = self.transaction.table.commit_queue();
        let deciding = queue.enter().await;
        let ahead = self.start_over(ours);
        match self.decide_rest(ours).await? {
            Step::Again => {}
            Step::Ended(outcome) => {
                drop(deciding);
                return self.ended(outcome, ahead).await;
            }
            Step::Committed(landed) => {
                drop(deciding);
                return self.settle_landed(log, landed).await;
            }
        }
        if self.begins_times() {
            // It looks at the file of the one before, which is not there yet where that is underway.
            if !ahead.published().await {
                drop(deciding);
                return self.catch_up_with_log().await;
            }
            self.follow_modification_time().await?;
        }
        let commit = self.made()?;
        let place = queue.join(self.version(), Commit::clone(&commit.actions), ahead);
        drop(deciding);
        self.write(log, commit, place).await
    }

    /// Decides anew all that the transaction has not read and that this process knows of. Returns what of that is
    /// underway.
    fn start_over(&mut self, ours: &Staged<'_>) -> Ahead {
        let Transaction { table, read, .. } = self.transaction;
        self.basis = Basis::of(read);
        self.known = Arc::clone(read);
        self.at_head = false;
        let underway = table.commit_queue().underway();
        let Some((newest, winners)) = table.commits_since(read) else {
            return Ahead::default();
        };
        let ahead = underway.after(newest.version());
        self.catch_up(ours, newest, winners.iter().chain(&ahead.commits));
        ahead
    }

    /// Ends the commit as was decided, partly upon commits that may yet give up.
    async fn ended(&mut self, outcome: CommitOutcome, ahead: Ahead) -> Result<Round> {
        if !ahead.published().await {
            return self.catch_up_with_log().await;
        }
        match self.log_is_the_same().await? {
            true => Ok(Round::from(outcome)),
            false => Ok(self.log_replaced()),
        }
    }

    /// Makes what is to be written: the same as before where that is still right. The time is that of the first try, or
    /// right after the winner's: who must write anew then gives no other writer a reason to.
    fn made(&mut self) -> Result<Made> {
        let before = self.staged.take();
        let now_ms = before.as_ref().map_or_else(clock::now_ms, |staged| staged.now_ms);
        let actions = Arc::new(self.actions(now_ms)?);
        let (file, outdated) = match before {
            Some(staged) if staged.actions == actions => (Some(staged.file), None),
            Some(staged) => (None, Some(staged.file)),
            None => (None, None),
        };
        Ok(Made {
            now_ms,
            actions,
            file,
            outdated,
        })
    }

    /// Writes the commit, and publishes it in its turn.
    async fn write(&mut self, log: StagedLog<'_>, made: Made, place: QueuePlace<'_>) -> Result<Round> {
        let file = match made.file {
            Some(file) => file,
            None => match log.stage(&made.actions, made.outdated).await {
                Ok(file) => file,
                Err(failure) => {
                    drop(place);
                    return match self.store_failures.pause().await {
                        true => Ok(Round::Again),
                        false => Err(failure),
                    };
                }
            },
        };
        let staged = self.staged.insert(StagedCommit {
            now_ms: made.now_ms,
            actions: made.actions,
            file,
        });
        if !place.turn().await {
            drop(place);
            return self.catch_up_with_log().await;
        }
        let version = self.basis.version + 1;
        match log.publish(version, &staged.file, &self.known).await {
            Ok(Published::Done(meta)) => {
                let landed = Landed {
                    version,
                    actions: Commit::clone(&staged.actions),
                    meta: Some(meta),
                };
                // Before the next one is published, so that it follows this commit in memory.
                let taken_in = self.transaction.table.take_in(landed).await;
                place.published();
                self.settle_names(log, version, taken_in).await
            }
            Ok(Published::Exists) => {
                drop(place);
                self.lost_to_another_process().await
            }
            Ok(Published::Replaced) => Ok(self.log_replaced()),
            Err(failure) => {
                drop(place);
                self.resolve_published(log, failure).await
            }
        }
    }

    /// Goes on after another process was faster.
    async fn lost_to_another_process(&mut self) -> Result<Round> {
        if !self.races.pause().await {
            return Err(self.retries_exhausted());
        }
        self.catch_up_with_log().await
    }

    /// Reads what others committed, for all of this process.
    async fn catch_up_with_log(&mut self) -> Result<Round> {
        loop {
            match self.transaction.table.snapshot().await {
                Ok(_) => return Ok(Round::Again),
                Err(_) if self.store_failures.pause().await => {}
                Err(unreadable) => return Err(unreadable),
            }
        }
    }

    /// A commit may have got its name although that failed. Only the log knows.
    async fn resolve_published(&mut self, log: StagedLog<'_>, failure: Error) -> Result<Round> {
        self.in_doubt = true;
        match self.look().await? {
            Some(commit) if self.is_ours(&commit) => {
                let landed = Landed {
                    version: self.version(),
                    actions: Arc::new(commit),
                    meta: None,
                };
                self.settle_landed(log, landed).await
            }
            Some(_) => self.lost_to_another_process().await,
            None if self.store_failures.pause().await => Ok(Round::Again),
            None => Err(failure),
        }
    }

    async fn settle_landed(&mut self, log: StagedLog<'_>, landed: Landed) -> Result<Round> {
        let version = landed.version;
        let taken_in = self.transaction.table.take_in(landed).await;
        self.settle_names(log, version, taken_in).await
    }

    /// Makes a published commit durable. A sync that failed is not tried again: what a system could not write it
    /// forgets, and the next sync knows nothing of it.
    async fn settle_names(
        &mut self,
        log: StagedLog<'_>,
        version: i64,
        taken_in: Result<Option<Arc<Snapshot>>>,
    ) -> Result<Round> {
        let done = self.staged.take().map(|staged| staged.file);
        let settled = log.settle(done).await;
        settled.map_err(|failure| self.unknown(failure))?;
        Ok(Round::Ended(Ended::Committed {
            version,
            // The log tells what could not be taken in.
            taken_in: taken_in.ok().flatten(),
        }))
    }

    fn log_replaced(&self) -> Round {
        let version = self.transaction.read.version();
        Round::from(CommitOutcome::Conflicted(ConflictReason::LogReplaced { version }))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io;
    use std::path::Path;
    use std::sync::{Condvar, Mutex};

    use arrow::datatypes::{DataType, Field, Schema};
    use tokio::task::JoinSet;
    use url::Url;

    use super::*;
    use crate::store::LocalStore;
    use crate::{Action, CreateTable, DeltaTable, DeltaTables, Operation, TablesOptions, Txn};

    const COMMITS: usize = 4;

    /// What becomes of a sync of the log's folder.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Disk {
        Works,
        Fails,
        /// It takes its time.
        Hangs,
    }

    /// A table in a folder, on a disk that does as it is told.
    struct Lab {
        folder: tempfile::TempDir,
        disk: Arc<(Mutex<Disk>, Condvar)>,
    }

    impl Lab {
        fn new() -> Self {
            Self {
                folder: tempfile::tempdir().expect("folder"),
                disk: Arc::new((Mutex::new(Disk::Works), Condvar::new())),
            }
        }

        fn set(&self, disk: Disk) {
            *self.disk.0.lock().expect("no holder panics") = disk;
            self.disk.1.notify_all();
        }

        fn location(&self) -> Url {
            Url::from_directory_path(self.folder.path().join("t")).expect("absolute path")
        }

        fn process(&self) -> DeltaTables {
            let disk = Arc::clone(&self.disk);
            let store = LocalStore::syncing(move |folder: &Path| {
                let mut state = disk.0.lock().expect("no holder panics");
                if folder.ends_with("_delta_log") {
                    while *state == Disk::Hangs {
                        state = disk.1.wait(state).expect("no holder panics");
                    }
                    if *state == Disk::Fails {
                        return Err(io::Error::other("Input/output error"));
                    }
                }
                drop(state);
                File::open(folder)?.sync_all()
            });
            DeltaTables::with_local_store(TablesOptions::default(), store)
        }

        async fn create(&self) -> Arc<DeltaTable> {
            let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
            let spec = CreateTable::new(schema, Operation::new("CREATE TABLE"));
            let created = self.process().create(&self.location(), spec).await;
            created.expect("created")
        }

        /// Returns the newest version that a process finds which was not there before.
        async fn version(&self) -> i64 {
            let table = self.process().open(&self.location()).await.expect("opens");
            table.snapshot().await.expect("snapshot").version()
        }
    }

    async fn commit(table: &Arc<DeltaTable>, app: Option<&str>) -> Result<CommitOutcome> {
        let read = table.snapshot().await?;
        let mut transaction = table.transaction(read, Operation::new("WRITE"));
        if let Some(app_id) = app {
            transaction.set_app_transaction(app_id, 1);
        }
        transaction.commit().await
    }

    fn begin(table: &Arc<DeltaTable>, commits: usize) -> JoinSet<Result<CommitOutcome>> {
        let mut begun = JoinSet::new();
        for _ in 0..commits {
            let table = Arc::clone(table);
            begun.spawn(async move { commit(&table, None).await });
        }
        begun
    }

    /// Begins commits whose folder's sync hangs, and waits until all have their names.
    async fn begin_on_hanging_disk(lab: &Lab, table: &Arc<DeltaTable>) -> JoinSet<Result<CommitOutcome>> {
        lab.set(Disk::Hangs);
        let begun = begin(table, COMMITS);
        while lab.version().await < COMMITS as i64 {
            tokio::task::yield_now().await;
        }
        begun
    }

    fn version(outcome: &Result<CommitOutcome>) -> Option<i64> {
        match outcome {
            Ok(CommitOutcome::Committed { version, .. }) => Some(*version),
            _ => None,
        }
    }

    #[tokio::test]
    async fn no_commit_is_reported_whose_folder_was_not_synced() {
        let lab = Lab::new();
        let table = lab.create().await;
        lab.set(Disk::Fails);
        for outcome in begin(&table, COMMITS).join_all().await {
            let error = outcome.expect_err("not durable");
            assert!(matches!(error, Error::CommitOutcomeUnknown { .. }), "{error}");
        }
        lab.set(Disk::Works);
        assert_eq!(lab.version().await, COMMITS as i64, "others see them, whole");
        let after = commit(&table, None).await;
        assert_eq!(version(&after), Some(COMMITS as i64 + 1), "{after:?}");
    }

    #[tokio::test]
    async fn what_others_did_is_no_reason_to_do_nothing_until_it_is_on_disk() {
        let lab = Lab::new();
        let table = lab.create().await;
        lab.set(Disk::Fails);
        commit(&table, Some("stream")).await.expect_err("not durable");
        for process in [lab.process(), lab.process()] {
            let table = process.open(&lab.location()).await.expect("opens");
            let error = commit(&table, Some("stream")).await.expect_err("not durable");
            assert!(matches!(error, Error::Store { .. }), "{error}");
            // As writers do that ask a snapshot themselves.
            let error = table.settle_log().await.expect_err("not durable");
            assert!(matches!(error, Error::Store { .. }), "{error}");
        }
        lab.set(Disk::Works);
        let outcome = commit(&table, Some("stream")).await;
        assert!(
            matches!(outcome, Ok(CommitOutcome::AlreadyApplied { .. })),
            "{outcome:?}"
        );
        assert_eq!(lab.version().await, 1);
    }

    #[tokio::test]
    async fn commits_follow_each_other_before_the_first_is_on_disk_and_wait_for_it() {
        let lab = Lab::new();
        let table = lab.create().await;
        let mut begun = begin_on_hanging_disk(&lab, &table).await;
        assert!(begun.try_join_next().is_none(), "nothing is on disk");
        lab.set(Disk::Works);
        let outcomes = begun.join_all().await;
        let mut versions: Vec<_> = outcomes.iter().filter_map(version).collect();
        versions.sort_unstable();
        assert_eq!(versions, (1..=COMMITS as i64).collect::<Vec<_>>(), "{outcomes:?}");
    }

    #[tokio::test]
    async fn a_process_that_dies_between_name_and_disk_leaves_a_whole_log() {
        let lab = Lab::new();
        let table = lab.create().await;
        let mut begun = begin_on_hanging_disk(&lab, &table).await;
        begun.shutdown().await;
        lab.set(Disk::Works);
        let other = lab.process().open(&lab.location()).await.expect("opens");
        for table in [&other, &table] {
            commit(table, None).await.expect("goes on");
        }
        assert_eq!(lab.version().await, COMMITS as i64 + 2);
    }

    #[tokio::test]
    async fn a_commit_is_made_anew_where_the_one_before_gives_up() {
        let lab = Lab::new();
        let table = lab.create().await;
        let before = table
            .commit_queue()
            .join(1, Arc::new(Vec::new()), Ahead::default());
        let begun = begin(&table, 2);
        while table.commit_queue().underway().after(0).commits.len() < 3 {
            tokio::task::yield_now().await;
        }
        drop(before);
        let mut versions: Vec<_> = begun.join_all().await.iter().filter_map(version).collect();
        versions.sort_unstable();
        assert_eq!(versions, [1, 2]);
    }

    #[tokio::test]
    async fn nothing_ends_a_commit_that_did_not_come_about() {
        let lab = Lab::new();
        let table = lab.create().await;
        let applied = Action::Txn(Txn {
            app_id: "stream".to_owned(),
            version: 1,
            last_updated: None,
        });
        let before = table
            .commit_queue()
            .join(1, Arc::new(vec![applied]), Ahead::default());
        let mut begun = JoinSet::new();
        let follower = Arc::clone(&table);
        begun.spawn(async move { commit(&follower, Some("stream")).await });
        while before.followers() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(begun.try_join_next().is_none(), "the one before may give up");
        drop(before);
        let outcomes = begun.join_all().await;
        assert_eq!(version(&outcomes[0]), Some(1), "{outcomes:?}");
    }
}
