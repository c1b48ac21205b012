//! Many writers at once, each with a registry of its own, as processes have.

use std::sync::Arc;

use ingot_delta::{CommitOutcome, DeltaTable, FileIndex, Operation, ReadPredicate, ReadSet};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use crate::support::{Folder, append, create, file_ids, ids, rows, seed, tables, write};

const WRITERS: i64 = 8;
const COMMITS: i64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_append_is_lost_or_doubled() {
    let folder = Folder::new();
    create(&folder, &[]).await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let location = folder.location();
        writers.spawn(async move {
            let table = tables().open(&location).await.expect("opens");
            for commit in 0..COMMITS {
                append(&table, &[writer * COMMITS + commit]).await;
            }
        });
    }
    writers.join_all().await;
    let table = tables().open(&folder.location()).await.expect("opens");
    let snapshot = table.snapshot().await.expect("snapshot");
    assert_eq!(
        snapshot.version(),
        WRITERS * COMMITS,
        "one version for each commit"
    );
    assert_eq!(
        ids(&table, &snapshot).await,
        (0..WRITERS * COMMITS).collect::<Vec<_>>()
    );
}

/// Each writer counts up the one row of the table; a lost update would show in the sum.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_rewrite_is_lost() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    append(&table, &[0]).await;
    let mut writers = JoinSet::new();
    for _ in 0..4 {
        let location = folder.location();
        writers.spawn(async move {
            let table = tables().open(&location).await.expect("opens");
            for _ in 0..5 {
                loop {
                    let snapshot = table.snapshot().await.expect("snapshot");
                    let count = ids(&table, &snapshot).await[0];
                    let files = snapshot.files().await.expect("files");
                    let removed: Vec<_> = (0..files.len())
                        .map(|file| files.add(file).to_remove(1, true))
                        .collect();
                    let added = write(&table, &snapshot, &rows(&[(count + 1, None)])).await;
                    let mut transaction = table.transaction(Arc::clone(&snapshot), Operation::new("UPDATE"));
                    transaction.set_read_set(ReadSet::WholeTable);
                    transaction.remove_files(removed);
                    transaction.add_files(added);
                    match transaction.commit().await.expect("no failure") {
                        CommitOutcome::Committed { .. } => break,
                        CommitOutcome::Conflicted(_) => {}
                        other @ CommitOutcome::AlreadyApplied { .. } => panic!("no application: {other:?}"),
                    }
                }
            }
        });
    }
    writers.join_all().await;
    let snapshot = table.snapshot().await.expect("snapshot");
    assert_eq!(ids(&table, &snapshot).await, [20]);
    assert_eq!(snapshot.version(), 21);
}

/// Takes every file for one that may hold the row.
#[derive(Debug)]
struct Anywhere;

impl ReadPredicate for Anywhere {
    fn may_match(&self, files: &FileIndex) -> Vec<bool> {
        vec![true; files.len()]
    }
}

/// Rewrites some files without row `deleted`, if any is given; starts over until it commits.
/// Returns `false` when no file holds the row, or there is nothing to rewrite.
async fn rewrite(table: &Arc<DeltaTable>, deleted: Option<i64>, random: &mut StdRng) -> bool {
    loop {
        let snapshot = table.snapshot().await.expect("snapshot");
        let files = snapshot.files().await.expect("files");
        let (mut removed, mut kept, mut paths) = (Vec::new(), Vec::new(), Vec::new());
        for file in 0..files.len() {
            let add = files.add(file);
            let found = file_ids(table, &add).await;
            let touched = match deleted {
                Some(id) => found.contains(&id),
                None => random.random_bool(0.5),
            };
            if touched {
                removed.push(add.to_remove(1, deleted.is_some()));
                paths.push(add.path.clone());
                kept.extend(found.into_iter().filter(|id| Some(*id) != deleted));
            }
        }
        if removed.is_empty() {
            return false;
        }
        let batch: Vec<_> = kept.iter().map(|id| (*id, None)).collect();
        let mut added = write(table, &snapshot, &rows(&batch)).await;
        added
            .iter_mut()
            .for_each(|add| add.data_change = deleted.is_some());
        let name = if deleted.is_some() { "DELETE" } else { "OPTIMIZE" };
        let mut transaction = table.transaction(snapshot, Operation::new(name));
        transaction.set_read_set(ReadSet::Matching {
            predicate: Arc::new(Anywhere),
            paths,
        });
        transaction.remove_files(removed);
        transaction.add_files(added);
        match transaction.commit().await.expect("no failure") {
            CommitOutcome::Committed { .. } => return true,
            CommitOutcome::Conflicted(_) => {}
            other @ CommitOutcome::AlreadyApplied { .. } => panic!("no application: {other:?}"),
        }
    }
}

/// Compactions move rows while others delete them: a row deleted stays deleted, the others stay, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_survive_appends_deletes_and_compactions_at_once() {
    const ROWS: i64 = 24;
    let seed = seed();
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    for id in 0..ROWS {
        append(&table, &[id]).await;
    }
    let mut writers = JoinSet::new();
    for task in 0..8_i64 {
        let location = folder.location();
        writers.spawn(async move {
            let table = tables().open(&location).await.expect("opens");
            let mut random = StdRng::seed_from_u64(seed.wrapping_add(task as u64));
            for round in 0..4 {
                match task {
                    0..3 => {
                        append(&table, &[ROWS + task * 4 + round]).await;
                    }
                    3..6 => {
                        let id = (task - 3) * 4 + round;
                        let deleted = rewrite(&table, Some(id), &mut random).await;
                        assert!(deleted, "row {id} was lost, seed={seed}");
                    }
                    _ => {
                        rewrite(&table, None, &mut random).await;
                    }
                }
            }
        });
    }
    writers.join_all().await;
    let table = tables().open(&folder.location()).await.expect("opens");
    let snapshot = table.snapshot().await.expect("snapshot");
    let expected: Vec<i64> = (12..ROWS + 12).collect();
    assert_eq!(ids(&table, &snapshot).await, expected, "seed={seed}");
}
