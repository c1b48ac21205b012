//! One transaction at a time, and what others did meanwhile.

use std::sync::Arc;

use ingot_delta::{CommitOutcome, ConflictReason, DeltaTable, Operation, ReadSet};

use crate::support::{Folder, append, create, ids, rows, tables, write};

/// Replaces every row by one row `id`, as an overwrite does, on a snapshot taken before `meanwhile`.
async fn overwrite_after(
    table: &Arc<DeltaTable>,
    id: i64,
    data_change: bool,
    meanwhile: impl Future<Output = ()>,
) -> CommitOutcome {
    let snapshot = table.snapshot().await.expect("snapshot");
    let files = snapshot.files().await.expect("files");
    let removed: Vec<_> = (0..files.len())
        .map(|file| files.add(file).to_remove(1, data_change))
        .collect();
    let mut added = write(table, &snapshot, &rows(&[(id, None)])).await;
    added.iter_mut().for_each(|add| add.data_change = data_change);
    let mut transaction = table.transaction(snapshot, Operation::new("WRITE").with("mode", "Overwrite"));
    transaction.set_read_set(ReadSet::WholeTable);
    transaction.remove_files(removed);
    transaction.add_files(added);
    meanwhile.await;
    transaction.commit().await.expect("no failure")
}

#[tokio::test]
async fn blind_append_goes_on_top_of_a_rewrite() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    append(&table, &[1, 2]).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let files = write(&table, &snapshot, &rows(&[(3, None)])).await;
    let mut transaction = table.transaction(snapshot, Operation::new("WRITE"));
    transaction.add_files(files);
    let other = tables().open(&folder.location()).await.expect("opens");
    overwrite_after(&other, 9, true, async {}).await;
    let CommitOutcome::Committed { version, snapshot } = transaction.commit().await.expect("commit") else {
        panic!("a blind append conflicts with nothing");
    };
    assert_eq!(version, 3);
    assert_eq!(ids(&table, &snapshot).await, [3, 9]);
}

#[tokio::test]
async fn rewrite_conflicts_with_a_rewrite_that_changed_no_rows() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    append(&table, &[1]).await;
    let other = tables().open(&folder.location()).await.expect("opens");
    let outcome = overwrite_after(&table, 5, true, async {
        // As OPTIMIZE does: the same rows in another file.
        overwrite_after(&other, 1, false, async {}).await;
    })
    .await;
    assert!(
        matches!(
            outcome,
            CommitOutcome::Conflicted(ConflictReason::ConcurrentDeleteDelete { version: 2, .. })
        ),
        "{outcome:?}"
    );
    let snapshot = table.snapshot().await.expect("snapshot");
    assert_eq!(ids(&table, &snapshot).await, [1]);
}

#[tokio::test]
async fn application_transaction_is_applied_once() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    for (version, applied) in [(5, true), (5, false), (3, false), (6, true)] {
        let snapshot = table.snapshot().await.expect("snapshot");
        let files = write(&table, &snapshot, &rows(&[(version, None)])).await;
        let mut transaction = table.transaction(snapshot, Operation::new("STREAMING UPDATE"));
        transaction.add_files(files);
        transaction.set_app_transaction("stream", version);
        let outcome = transaction.commit().await.expect("no failure");
        assert_eq!(
            matches!(outcome, CommitOutcome::Committed { .. }),
            applied,
            "{version}: {outcome:?}"
        );
        assert_eq!(matches!(outcome, CommitOutcome::AlreadyApplied { .. }), !applied);
    }
    let snapshot = table.snapshot().await.expect("snapshot");
    assert_eq!(ids(&table, &snapshot).await, [5, 6]);
    assert_eq!(snapshot.app_transaction("stream").await.expect("txn"), Some(6));
}

#[tokio::test]
async fn stale_instance_of_an_application_finds_its_batch_applied() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    let stale = table.snapshot().await.expect("snapshot");
    let commit = async |snapshot| {
        let files = write(&table, &stale, &rows(&[(1, None)])).await;
        let mut transaction = table.transaction(snapshot, Operation::new("STREAMING UPDATE"));
        transaction.add_files(files);
        transaction.set_app_transaction("stream", 0);
        transaction.commit().await.expect("no failure")
    };
    assert!(matches!(
        commit(Arc::clone(&stale)).await,
        CommitOutcome::Committed { .. }
    ));
    assert!(matches!(
        commit(Arc::clone(&stale)).await,
        CommitOutcome::AlreadyApplied { version: 0, .. }
    ));
}

#[tokio::test]
async fn in_commit_timestamps_grow_with_versions() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    for id in 0..5 {
        append(&table, &[id]).await;
    }
    let history = table.history(None).await.expect("history");
    let times: Vec<i64> = history.iter().map(|entry| entry.timestamp_ms).collect();
    assert_eq!(times.len(), 6);
    assert!(times.windows(2).all(|pair| pair[0] > pair[1]), "{times:?}");
    assert_eq!(history[0].info.operation.as_deref(), Some("WRITE"));
    assert_eq!(history[0].info.is_blind_append, Some(true));
}
