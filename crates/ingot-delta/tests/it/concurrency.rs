//! Many writers at once, each with a registry of its own, as processes have.

use std::sync::Arc;

use ingot_delta::{CommitOutcome, Operation, ReadSet};
use tokio::task::JoinSet;

use crate::support::{Folder, append, create, ids, rows, tables, write};

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
