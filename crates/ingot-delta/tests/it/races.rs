//! Commits, checkpoints, cleanups and tables made anew, at once, in processes that know more or less of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ingot_common::{Classify, Kind};
use ingot_delta::{CommitOutcome, ConflictReason, CreateTable, DeltaTable, Operation, Snapshot};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tokio::sync::RwLock;
use tokio::task::JoinSet;

use crate::support::{Folder, ids, rows, schema, seed, spec, tables, write};

const PROCESSES: u64 = 5;
const ROUNDS: usize = 40;

/// A table that is checkpointed and cleaned up all the time.
fn short_lived() -> CreateTable {
    let mut table = spec(schema(), &[]);
    let properties = [
        ("delta.checkpointInterval", "3"),
        ("delta.logRetentionDuration", "interval 0 seconds"),
    ];
    table.properties = properties
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    table
}

/// What was promised: rows by the id of the table that they are in.
type Promises = BTreeMap<String, BTreeSet<i64>>;

/// One process: a registry of its own, and a random mix of work. It passes `gate` twice, to read and to commit, so that
/// what it knows may be about a table that is no more.
struct Process {
    table: Arc<DeltaTable>,
    folder: Arc<Folder>,
    gate: Arc<RwLock<()>>,
    random: StdRng,
    next_row: i64,
    promised: Promises,
}

impl Process {
    async fn work(mut self) -> Promises {
        for _ in 0..ROUNDS {
            match self.random.random_range(0..20) {
                0 => self.make_anew().await,
                1..4 => self.checkpoint().await,
                4..7 => self.clean_up().await,
                _ => self.append().await,
            }
        }
        self.promised
    }

    async fn append(&mut self) {
        let row = self.next_row;
        let (read, files) = {
            let _one_table = self.gate.read().await;
            let read = self.table.snapshot().await.expect("there is a table");
            let files = write(&self.table, &read, &rows(&[(row, None)])).await;
            (read, files)
        };
        // Now others may make the table anew.
        tokio::task::yield_now().await;
        let _one_table = self.gate.read().await;
        let id = read.metadata().id.clone();
        let mut transaction = self.table.transaction(read, Operation::new("WRITE"));
        transaction.add_files(files);
        match transaction.commit().await.expect("no failure") {
            CommitOutcome::Committed { .. } => {
                self.promised.entry(id).or_default().insert(row);
                self.next_row += 1;
            }
            CommitOutcome::Conflicted(ConflictReason::LogReplaced { .. }) => {}
            other => panic!("blind appends conflict with nothing else: {other:?}"),
        }
    }

    async fn checkpoint(&self) {
        let _one_table = self.gate.read().await;
        if let Err(error) = self.table.checkpoint().await {
            // Another process cleaned up the commit that it was to be of.
            assert!(
                matches!(
                    error.kind(),
                    Kind::Conflict | Kind::DataLoss | Kind::NotFound | Kind::Internal
                ),
                "{error}"
            );
        }
    }

    async fn clean_up(&self) {
        let _one_table = self.gate.read().await;
        if let Err(error) = self.table.cleanup_expired_logs().await {
            assert_eq!(error.kind(), Kind::Conflict, "{error}");
        }
    }

    /// Drops the table and makes another in its place, at no instant at which others are between their last look at
    /// the log and their put: no store can tell these apart.
    async fn make_anew(&self) {
        let _alone = self.gate.write().await;
        let location = self.folder.location();
        let tables = tables();
        tables.delete(&location).await.expect("deleted");
        tables.create(&location, short_lived()).await.expect("created");
    }
}

/// Lists the log: commits without a gap from the newest checkpoint on, and a hint that fits.
fn check_log(folder: &Folder, newest: &Snapshot, seed: u64) {
    let log = folder.root().join("t/_delta_log");
    let names: Vec<String> = std::fs::read_dir(&log)
        .expect("log")
        .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned())
        .collect();
    let versions = |suffix: &str| -> BTreeSet<i64> {
        let named = names.iter().filter_map(|name| name.strip_suffix(suffix));
        named.filter_map(|digits| digits.parse().ok()).collect()
    };
    let (commits, checkpoints) = (versions(".json"), versions(".checkpoint.parquet"));
    let base = checkpoints.last().copied().unwrap_or(0);
    for version in base..=newest.version() {
        assert!(
            commits.contains(&version),
            "commit {version} is gone, seed={seed}: {names:?}"
        );
    }
    assert_eq!(commits.last(), Some(&newest.version()), "seed={seed}");
    assert!(base <= newest.version(), "seed={seed}: {names:?}");
    if let Ok(hint) = std::fs::read_to_string(log.join("_last_checkpoint")) {
        let hint: Value = serde_json::from_str(&hint).expect("JSON");
        let version = hint["version"].as_i64().expect("version");
        // An older one is as good: readers look for a checkpoint from there on.
        assert!(
            checkpoints.range(version..).next().is_some(),
            "seed={seed}: {hint} of {names:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn log_stays_whole_beside_checkpoints_cleanups_and_tables_made_anew() {
    let seed = seed();
    let folder = Arc::new(Folder::new());
    let created = tables().create(&folder.location(), short_lived()).await;
    created.expect("created");
    let gate = Arc::new(RwLock::new(()));
    let mut processes = JoinSet::new();
    for number in 0..PROCESSES {
        let opened = {
            let _one_table = gate.read().await;
            tables().open(&folder.location()).await
        };
        let process = Process {
            table: opened.expect("there is a table"),
            folder: Arc::clone(&folder),
            gate: Arc::clone(&gate),
            random: StdRng::seed_from_u64(seed.wrapping_add(number)),
            next_row: number as i64 * 1_000,
            promised: Promises::new(),
        };
        processes.spawn(process.work());
    }
    let mut promised = Promises::new();
    for promises in processes.join_all().await {
        for (table, rows) in promises {
            promised.entry(table).or_default().extend(rows);
        }
    }
    let table = tables().open(&folder.location()).await.expect("opens");
    let newest = table.snapshot().await.expect("snapshot");
    check_log(&folder, &newest, seed);
    let rows: Vec<i64> = promised
        .get(&newest.metadata().id)
        .map(|rows| rows.iter().copied().collect())
        .unwrap_or_default();
    assert_eq!(ids(&table, &newest).await, rows, "seed={seed}");
    assert_eq!(
        newest.version(),
        rows.len() as i64,
        "one row a commit, seed={seed}"
    );
}
