//! Syncs of folders that several writers wait for together.
//!
//! ```text
//! name a file ─► a sync runs? ─no──► sync, for all who asked before it began
//!                  └ yes ─► wait for the next one: the one that runs may have passed by the new name
//! ```
//! Always true: a caller is told `Ok` only of a sync that began after it asked, so that what it had named by then is
//! on disk; when that sync fails, everyone who waited for it is told so. A later sync that goes well does not make up
//! for it: what the system could not write it forgets, and reports once.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// Makes the entries of a folder durable.
pub(super) type SyncFolder = Box<dyn Fn(&Path) -> io::Result<()> + Send + Sync>;

/// The syncs of all folders. They block.
pub(super) struct SharedSyncs {
    sync: SyncFolder,
    /// Folders that someone syncs or waits for.
    folders: Mutex<HashMap<PathBuf, Arc<Folder>>>,
}

#[derive(Default)]
struct Folder {
    rounds: Mutex<Rounds>,
    ended: Condvar,
}

#[derive(Default)]
struct Rounds {
    running: bool,
    /// The sync that begins next.
    next: Arc<Round>,
}

/// One sync: unset until it has ended.
type Round = OnceLock<Result<(), Failure>>;

/// An `io::Error` that can be told to many.
#[derive(Debug, Clone)]
struct Failure {
    kind: io::ErrorKind,
    message: String,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self {
            kind: error.kind(),
            message: error.to_string(),
        }
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        Self::new(failure.kind, failure.message)
    }
}

impl SharedSyncs {
    pub fn new(sync: SyncFolder) -> Self {
        Self {
            sync,
            folders: Mutex::default(),
        }
    }

    /// Makes the entries that `folder` has now durable.
    pub fn sync(&self, folder: &Path) -> io::Result<()> {
        let shared = Arc::clone(lock(&self.folders).entry(folder.to_path_buf()).or_default());
        let outcome = shared.sync(|| (self.sync)(folder));
        let mut folders = lock(&self.folders);
        // The map's and ours: nobody else is at it.
        if Arc::strong_count(&shared) == 2 {
            folders.remove(folder);
        }
        outcome
    }
}

impl Folder {
    fn sync(&self, work: impl Fn() -> io::Result<()>) -> io::Result<()> {
        let mut rounds = lock(&self.rounds);
        let ours = Arc::clone(&rounds.next);
        loop {
            if let Some(outcome) = ours.get() {
                return outcome.clone().map_err(io::Error::from);
            }
            if rounds.running {
                rounds = self.ended.wait(rounds).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            // Ours has not ended and none runs: it is the next.
            rounds.running = true;
            rounds.next = Arc::default();
            drop(rounds);
            let outcome = work().map_err(Failure::from);
            rounds = lock(&self.rounds);
            rounds.running = false;
            // It is set once, by the one who ran it.
            let _ = ours.set(outcome);
            self.ended.notify_all();
        }
    }
}

impl fmt::Debug for SharedSyncs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSyncs")
            .field("folders", &lock(&self.folders).len())
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{self, Receiver, Sender};
    use std::thread;

    use super::*;

    const LATE: usize = 5;

    /// Syncs that tell when they begin, and end as they are told.
    struct Held {
        syncs: Arc<SharedSyncs>,
        begun: Receiver<()>,
        end: Sender<io::Result<()>>,
        count: Arc<AtomicUsize>,
    }

    fn held() -> Held {
        let (tell_begun, begun) = mpsc::channel();
        let (end, told) = mpsc::channel::<io::Result<()>>();
        let told = Mutex::new(told);
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let syncs = SharedSyncs::new(Box::new(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            tell_begun.send(()).expect("the test listens");
            lock(&told).recv().expect("the test answers")
        }));
        Held {
            syncs: Arc::new(syncs),
            begun,
            end,
            count,
        }
    }

    fn ask(held: &Held) -> Caller {
        let syncs = Arc::clone(&held.syncs);
        thread::spawn(move || syncs.sync(Path::new("t")))
    }

    /// Waits until so many hold the folder beside the map.
    fn wait_for_waiting(held: &Held, callers: usize) {
        loop {
            let folders = lock(&held.syncs.folders);
            let folder = folders.get(Path::new("t"));
            let asked = folder.is_some_and(|folder| {
                let rounds = lock(&folder.rounds);
                // Of the round that is next: the folder's, and those who wait for it.
                Arc::strong_count(&rounds.next) == callers + 1
            });
            drop(folders);
            if asked {
                return;
            }
            thread::yield_now();
        }
    }

    type Caller = thread::JoinHandle<io::Result<()>>;

    /// Begins a sync, and lets others ask while it runs.
    fn first_and_late(held: &Held) -> (Caller, Vec<Caller>) {
        let first = ask(held);
        held.begun.recv().expect("begun");
        let late = (0..LATE).map(|_| ask(held)).collect();
        wait_for_waiting(held, LATE);
        (first, late)
    }

    #[test]
    fn those_who_come_during_a_sync_share_the_next() {
        let held = held();
        let (first, late) = first_and_late(&held);
        held.end.send(Ok(())).expect("runs");
        first.join().expect("thread").expect("synced");
        held.begun.recv().expect("begun anew for those who came late");
        assert!(
            late.iter().all(|caller| !caller.is_finished()),
            "the first sync is none for those who came after it began"
        );
        held.end.send(Ok(())).expect("runs");
        for caller in late {
            caller.join().expect("thread").expect("synced");
        }
        assert_eq!(held.count.load(Ordering::SeqCst), 2);
        assert!(lock(&held.syncs.folders).is_empty(), "nothing is remembered");
    }

    #[test]
    fn a_sync_that_fails_fails_for_all_who_waited_for_it_and_for_nobody_else() {
        let held = held();
        let (first, late) = first_and_late(&held);
        held.end.send(Ok(())).expect("runs");
        held.begun.recv().expect("begun");
        let later = ask(&held);
        wait_for_waiting(&held, 1);
        held.end
            .send(Err(io::Error::other("Input/output error")))
            .expect("runs");
        held.begun.recv().expect("begun");
        held.end.send(Ok(())).expect("runs");
        first.join().expect("thread").expect("its sync went well");
        for caller in late {
            let error = caller.join().expect("thread").expect_err("its sync failed");
            assert_eq!(error.to_string(), "Input/output error");
        }
        later.join().expect("thread").expect("its sync went well");
    }
}
