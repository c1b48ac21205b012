//! The commits of this process to one table, in the order of their versions.
//!
//! ```text
//! enter ─► decided against those in memory and those underway ─► join ─► written, beside others
//!                                                                          │
//!   the next ◄─ published ◄─ named and taken in, in turn ◄─ the one before was published?
//!                                                             └ no ─► both are decided anew
//! ```
//! Always true: a commit is published only after all that it was decided upon are. One that gives up takes those that
//! follow it along; nothing of them is visible then, and each starts over. The queue is a plan, no promise: between
//! processes the log decides.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::table::Commit;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct CommitQueue {
    /// Held by the one who decides. Where commits are not staged, by the one who puts, too.
    turn: tokio::sync::Mutex<()>,
    underway: Mutex<Underway>,
}

#[derive(Debug, Default)]
struct Underway {
    commits: VecDeque<Pending>,
    joined: u64,
}

/// A commit that is decided and not published.
#[derive(Debug)]
struct Pending {
    number: u64,
    version: i64,
    commit: Commit,
    /// Closed without having become true when it gave up.
    published: watch::Receiver<bool>,
}

/// What is underway before a commit that is about to be decided.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// In their order.
    pub commits: Vec<Commit>,
    last: Option<watch::Receiver<bool>>,
}

impl Ahead {
    /// Waits until all of them are published. `false` when one gave up.
    pub async fn published(&self) -> bool {
        became_true(self.last.clone()).await
    }
}

/// Commits that were underway when that was asked.
#[derive(Debug)]
pub(crate) struct CommitsUnderway(Vec<(i64, Commit, watch::Receiver<bool>)>);

impl CommitsUnderway {
    /// Returns those that follow version `newest`: none if there is a gap, which tells that they were overtaken.
    pub fn after(self, newest: i64) -> Ahead {
        let mut ahead = Ahead::default();
        for (version, commit, published) in self.0.into_iter().filter(|(version, ..)| *version > newest) {
            if version != newest + 1 + ahead.commits.len() as i64 {
                return Ahead::default();
            }
            ahead.commits.push(commit);
            ahead.last = Some(published);
        }
        ahead
    }
}

/// The place of a commit among those underway. Dropped, it gives up.
#[derive(Debug)]
pub(crate) struct QueuePlace<'a> {
    queue: &'a CommitQueue,
    number: u64,
    before: Option<watch::Receiver<bool>>,
    published: watch::Sender<bool>,
}

impl CommitQueue {
    /// Waits until nobody else decides.
    pub async fn enter(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Returns what is underway. A commit leaves only when it is in memory, so that who asks this first, and for the
    /// newest version in memory then, misses none.
    pub fn underway(&self) -> CommitsUnderway {
        let underway = self.lock();
        let commits = underway.commits.iter();
        let copied = commits.map(|pending| {
            let commit = Commit::clone(&pending.commit);
            (pending.version, commit, pending.published.clone())
        });
        CommitsUnderway(copied.collect())
    }

    /// Takes the place of `version`, behind what it was decided upon, also if that has given up since. Forgets what was
    /// overtaken.
    pub fn join(&self, version: i64, commit: Commit, ahead: Ahead) -> QueuePlace<'_> {
        let mut underway = self.lock();
        let last = underway.commits.back();
        if last.is_some_and(|last| last.version + 1 != version) {
            underway.commits.clear();
        }
        let (sender, published) = watch::channel(false);
        underway.joined += 1;
        let number = underway.joined;
        underway.commits.push_back(Pending {
            number,
            version,
            commit,
            published,
        });
        QueuePlace {
            queue: self,
            number,
            before: ahead.last,
            published: sender,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Underway> {
        self.underway.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueuePlace<'_> {
    /// Waits until the commit before is published. `false` when it gave up.
    pub async fn turn(&self) -> bool {
        became_true(self.before.clone()).await
    }

    /// Returns how many wait, or are about to.
    #[cfg(test)]
    pub fn followers(&self) -> usize {
        self.published.receiver_count().saturating_sub(1)
    }

    /// Lets the next one follow. The commit is in the log, and in memory where it could be taken in.
    pub fn published(self) {
        self.published.send_replace(true);
    }
}

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        let published = *self.published.borrow();
        let mut underway = self.queue.lock();
        let commits = &mut underway.commits;
        // Gone already where one before gave up: those that stand there now are others.
        let Some(place) = commits.iter().position(|pending| pending.number == self.number) else {
            return;
        };
        match published {
            true => drop(commits.drain(..=place)),
            false => commits.truncate(place),
        }
    }
}

async fn became_true(published: Option<watch::Receiver<bool>>) -> bool {
    match published {
        Some(mut published) => published.wait_for(|published| *published).await.is_ok(),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt;

    use super::*;

    /// The version that these tests begin with.
    const FIRST: i64 = 5;

    fn commit() -> Commit {
        Arc::new(Vec::new())
    }

    /// Joins as `version`, decided upon all that is underway before.
    fn join(queue: &CommitQueue, version: i64) -> QueuePlace<'_> {
        let ahead = queue.underway().after(FIRST - 1);
        queue.join(version, commit(), ahead)
    }

    #[tokio::test]
    async fn one_waits_for_the_one_before() {
        let queue = CommitQueue::default();
        let first = join(&queue, 5);
        let second = join(&queue, 6);
        assert!(first.turn().await, "nothing is before it");
        assert_eq!(second.turn().now_or_never(), None, "the first is not published");
        first.published();
        assert!(second.turn().await);
    }

    #[tokio::test]
    async fn what_is_underway_follows_the_newest_version() {
        let queue = CommitQueue::default();
        let first = join(&queue, 5);
        let second = join(&queue, 6);
        assert_eq!(queue.underway().after(4).commits.len(), 2);
        assert_eq!(
            queue.underway().after(5).commits.len(),
            1,
            "the first is in memory already"
        );
        first.published();
        let ahead = queue.underway().after(5);
        assert_eq!(ahead.commits.len(), 1);
        second.published();
        assert!(ahead.published().await);
        assert_eq!(queue.underway().after(6).commits.len(), 0);
        assert!(
            queue.underway().after(6).published().await,
            "nothing is to be waited for"
        );
    }

    #[tokio::test]
    async fn one_that_gives_up_takes_its_followers_along_and_no_others() {
        let queue = CommitQueue::default();
        let first = join(&queue, 5);
        let second = join(&queue, 6);
        let ahead = queue.underway().after(4);
        drop(first);
        assert!(!second.turn().await);
        assert_eq!(queue.underway().after(4).commits.len(), 0);
        // Others take the versions before the second has noticed.
        let first = join(&queue, 5);
        let after = join(&queue, 6);
        drop(second);
        assert!(!ahead.published().await, "what was decided upon them is void");
        first.published();
        assert!(after.turn().await, "the old second is none of theirs");
    }

    #[tokio::test]
    async fn one_that_was_decided_upon_a_commit_that_is_gone_gives_up() {
        let queue = CommitQueue::default();
        let first = join(&queue, 5);
        let ahead = queue.underway().after(4);
        drop(first);
        let second = queue.join(6, commit(), ahead);
        assert!(!second.turn().await, "version 5 is free, or another's");
    }

    #[test]
    fn what_was_overtaken_by_another_process_is_forgotten() {
        let queue = CommitQueue::default();
        let _first = join(&queue, 5);
        let _second = join(&queue, 6);
        let ahead = queue.underway().after(7);
        assert!(ahead.commits.is_empty());
        let eighth = queue.join(8, commit(), ahead);
        assert_eq!(
            eighth.turn().now_or_never(),
            Some(true),
            "it waits for none of them"
        );
    }
}
