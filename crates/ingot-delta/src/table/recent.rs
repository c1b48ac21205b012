//! The newest commits of a table in memory, so that one which follows them need not read them back.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::Action;

/// Commits kept; a transaction that is further behind reads the log.
const COMMITS_MAX: usize = 256;

/// Actions kept in all; one commit may have more, and is then kept alone.
const ACTIONS_MAX: usize = 16_384;

/// The actions of one commit.
pub(crate) type Commit = Arc<Vec<Action>>;

/// Commits that follow each other without a gap.
#[derive(Debug, Default)]
pub(crate) struct RecentCommits {
    /// The version of the first one.
    first: i64,
    commits: VecDeque<Commit>,
    actions: usize,
}

impl RecentCommits {
    /// Takes in commit `version`. If it does not follow the last one, those before it are forgotten.
    pub fn push(&mut self, version: i64, commit: Commit) {
        if self.end() != version {
            self.clear();
            self.first = version;
        }
        self.actions += commit.len();
        self.commits.push_back(commit);
        while self.commits.len() > COMMITS_MAX || (self.actions > ACTIONS_MAX && self.commits.len() > 1) {
            if let Some(oldest) = self.commits.pop_front() {
                self.actions -= oldest.len();
                self.first += 1;
            }
        }
    }

    /// Returns the commits after version `read` up to `newest`; `None` when one of them is not kept.
    pub fn between(&self, read: i64, newest: i64) -> Option<Vec<Commit>> {
        if read + 1 < self.first || newest >= self.end() {
            return None;
        }
        let skipped = usize::try_from(read + 1 - self.first).ok()?;
        let count = usize::try_from(newest - read).ok()?;
        Some(self.commits.iter().skip(skipped).take(count).cloned().collect())
    }

    pub fn clear(&mut self) {
        self.commits.clear();
        self.actions = 0;
    }

    /// The version after the last one.
    fn end(&self) -> i64 {
        self.first + self.commits.len() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(actions: usize) -> Commit {
        Arc::new(vec![Action::Other(serde_json::Map::new()); actions])
    }

    #[test]
    fn only_whole_ranges_are_returned() {
        let mut recent = RecentCommits::default();
        for version in 5..9 {
            recent.push(version, commit(version as usize));
        }
        let sizes = |read, newest| {
            let commits = recent.between(read, newest)?;
            Some(commits.iter().map(|commit| commit.len()).collect::<Vec<_>>())
        };
        assert_eq!(sizes(5, 7), Some(vec![6, 7]));
        assert_eq!(sizes(4, 8), Some(vec![5, 6, 7, 8]));
        assert_eq!(sizes(3, 8), None, "version 4 is not kept");
        assert_eq!(sizes(6, 9), None, "version 9 is not there");
        assert_eq!(sizes(8, 8), Some(vec![]));
    }

    #[test]
    fn a_gap_forgets_what_was_before() {
        let mut recent = RecentCommits::default();
        recent.push(1, commit(1));
        recent.push(3, commit(1));
        assert!(recent.between(0, 1).is_none());
        assert_eq!(recent.between(2, 3).map(|commits| commits.len()), Some(1));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut recent = RecentCommits::default();
        for version in 0..2 * COMMITS_MAX as i64 {
            recent.push(version, commit(1));
        }
        assert_eq!(recent.commits.len(), COMMITS_MAX);
        recent.push(2 * COMMITS_MAX as i64, commit(2 * ACTIONS_MAX));
        assert_eq!(recent.commits.len(), 1, "a large commit is kept alone");
    }
}
