//! Deletion vectors: written, read back, and what a table is with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ingot_common::{Classify, Kind};
use ingot_delta::action::DeletionVectorDescriptor;
use ingot_delta::{
    Action, Add, CommitOutcome, ConflictReason, DeletionVector, DeltaTable, DeltaTables, Error, Operation,
    ReadSet, Snapshot, TablesOptions,
};
use serde_json::json;
use test_case::test_case;
use url::Url;

use crate::faulty_store::{Call, Fault, FaultyStore};
use crate::foreign::{ForeignTable, features, metadata, tables};
use crate::support::{append, file_ids, rows, write};

/// A table `(id BIGINT, p STRING)` whose files may have vectors.
fn table_with_vectors() -> ForeignTable {
    let fields = json!([
        {"name": "id", "type": "long", "nullable": false, "metadata": {}},
        {"name": "p", "type": "string", "nullable": true, "metadata": {}},
    ]);
    let properties = json!({"delta.enableDeletionVectors": "true", "delta.checkpointInterval": "1000"});
    ForeignTable::new(&[
        features(&["deletionVectors"], &["deletionVectors"]),
        metadata("with-vectors", &fields, &[], properties),
    ])
}

/// Reads the ids that are not deleted, sorted.
async fn live_ids(table: &DeltaTable, snapshot: &Snapshot) -> Vec<i64> {
    let files = snapshot.files().await.expect("files");
    let mut live = Vec::new();
    for file in 0..files.len() {
        let add = files.add(file);
        let ids = file_ids(table, &add).await;
        let deleted = match &add.deletion_vector {
            Some(vector) => table.deletion_vector(vector).await.expect("vector"),
            None => Arc::default(),
        };
        let ids = ids.into_iter().enumerate();
        live.extend(
            ids.filter(|(row, _)| !deleted.contains(*row as u64))
                .map(|(_, id)| id),
        );
    }
    live.sort_unstable();
    live
}

/// Stages the deletion of `positions` in the only file of `snapshot`; what was deleted stays so.
async fn deletion(table: &DeltaTable, snapshot: &Snapshot, positions: &[u64]) -> (Arc<Add>, Add) {
    let old = snapshot.files().await.expect("files").add(0);
    let mut vector: DeletionVector = positions.iter().copied().collect();
    if let Some(before) = &old.deletion_vector {
        vector.merge(&table.deletion_vector(before).await.expect("older vector"));
    }
    let mut written = table
        .write_deletion_vectors(&[vector])
        .await
        .expect("vectors are written");
    let stored = table.stored_rows(&old).await.expect("count of rows");
    let new = old.with_deletion_vector(written.remove(0), stored).expect("add");
    (old, new)
}

async fn try_delete(
    table: &Arc<DeltaTable>,
    snapshot: &Arc<Snapshot>,
    positions: &[u64],
) -> Result<CommitOutcome, Error> {
    let (old, new) = deletion(table, snapshot, positions).await;
    let mut transaction = table.transaction(Arc::clone(snapshot), Operation::new("DELETE"));
    transaction.set_read_set(ReadSet::WholeTable);
    transaction.remove_files([old.to_remove(1, true)]);
    transaction.add_files([new]);
    transaction.commit().await
}

async fn delete(table: &Arc<DeltaTable>, positions: &[u64]) -> Arc<Snapshot> {
    let snapshot = table.snapshot().await.expect("snapshot");
    match try_delete(table, &snapshot, positions).await.expect("commit") {
        CommitOutcome::Committed { snapshot, .. } => snapshot,
        other => panic!("{other:?}"),
    }
}

fn vector_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("folder");
    let paths = entries.map(|entry| entry.expect("entry").path());
    paths
        .filter(|path| path.extension().is_some_and(|end| end == "bin"))
        .collect()
}

#[tokio::test]
async fn many_vectors_share_a_file_and_are_read_one_by_one() {
    let foreign = table_with_vectors();
    let table = foreign.open().await;
    let vectors: Vec<DeletionVector> = (0..50).map(|n| (n..n + 20).step_by(3).collect()).collect();
    let written = table.write_deletion_vectors(&vectors).await.expect("written");
    assert_eq!(vector_files(foreign.path()).len(), 1);

    // Another process, which has none of them in memory.
    let other = foreign.open().await;
    let read = other
        .deletion_vectors(&written.iter().collect::<Vec<_>>())
        .await
        .expect("read");
    for ((read, vector), descriptor) in read.iter().zip(&vectors).zip(&written) {
        assert_eq!(read.as_ref(), vector);
        assert_eq!(
            (descriptor.storage_type.as_str(), descriptor.cardinality),
            ("u", vector.len() as i64)
        );
    }
    other.discard_deletion_vectors(&written).await;
    assert!(vector_files(foreign.path()).is_empty());
    other.deletion_vector(&written[0]).await.expect("kept in memory");
    let gone = foreign.open().await.deletion_vector(&written[0]).await;
    assert_eq!(gone.expect_err("its file is gone").kind(), Kind::NotFound);
}

#[tokio::test]
async fn large_vectors_take_several_files() {
    let foreign = table_with_vectors();
    let table = foreign.open().await;
    let scattered: DeletionVector = (0..4_000_000).step_by(3).collect();
    let vectors = vec![scattered; 12];
    let written = table.write_deletion_vectors(&vectors).await.expect("written");
    assert!(vector_files(foreign.path()).len() > 1);
    let read = foreign
        .open()
        .await
        .deletion_vector(&written[11])
        .await
        .expect("read");
    assert_eq!(read.len(), vectors[11].len());
}

#[tokio::test]
async fn the_kernel_reads_what_we_write() {
    use delta_kernel::Engine;
    use delta_kernel::actions::deletion_vector::DeletionVectorDescriptor as KernelVector;
    use delta_kernel_default_engine::DefaultEngineBuilder;

    let foreign = table_with_vectors();
    let table = foreign.open().await;
    let vectors = [
        DeletionVector::from_iter([0, 9, (1 << 33) + 1]),
        (0..100_000).collect(),
    ];
    let written = table.write_deletion_vectors(&vectors).await.expect("written");
    let root = foreign.location();
    let rows = tokio::task::spawn_blocking(move || {
        let engine = DefaultEngineBuilder::new(Arc::new(object_store::local::LocalFileSystem::new())).build();
        let read = |vector: DeletionVectorDescriptor| {
            let vector = KernelVector::try_new(
                vector.storage_type.parse().expect("storage type"),
                vector.path_or_inline_dv,
                vector.offset,
                vector.size_in_bytes,
                vector.cardinality,
            );
            vector
                .expect("descriptor")
                .row_indexes(engine.storage_handler(), &root)
                .expect("rows")
        };
        written.into_iter().map(read).collect::<Vec<_>>()
    });
    let rows = rows.await.expect("no panic");
    assert_eq!(rows[0], [0, 9, (1 << 33) + 1]);
    assert_eq!(rows[1], (0..100_000).collect::<Vec<u64>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_rows_stay_deleted_through_refresh_checkpoint_and_reload() {
    let foreign = table_with_vectors();
    let table = foreign.open().await;
    append(&table, &[10, 11, 12, 13]).await;
    let elsewhere = foreign.open().await;
    elsewhere.snapshot().await.expect("a snapshot to refresh");

    let first = delete(&table, &[1]).await;
    assert_eq!(live_ids(&table, &first).await, [10, 12, 13]);
    let second = delete(&table, &[3]).await;
    assert_eq!(live_ids(&table, &second).await, [10, 12]);
    let files = second.files().await.expect("files");
    assert_eq!((files.len(), files.num_records().value(0)), (1, 2));
    assert!(
        !files.exact_bounds("id").expect("bounds").value(0),
        "bounds may be those of deleted rows"
    );

    // Two commits at once, read as a refresh.
    let refreshed = elsewhere.snapshot().await.expect("refresh");
    assert_eq!(live_ids(&elsewhere, &refreshed).await, [10, 12]);
    // The log from its beginning, then from a checkpoint, then a commit on top of that.
    assert_eq!(
        live_ids(&table, &foreign.open().await.snapshot().await.expect("reload")).await,
        [10, 12]
    );
    table.checkpoint().await.expect("checkpoint");
    foreign.remove_commits(0..3);
    let reloaded = foreign.open().await;
    let snapshot = reloaded.snapshot().await.expect("from the checkpoint");
    assert_eq!(snapshot.files().await.expect("files").len(), 1);
    assert_eq!(live_ids(&reloaded, &snapshot).await, [10, 12]);
    let third = delete(&reloaded, &[0]).await;
    assert_eq!(live_ids(&reloaded, &third).await, [12]);
    assert_eq!(
        live_ids(&table, &table.snapshot().await.expect("refresh")).await,
        [12]
    );
}

#[tokio::test]
async fn a_commit_with_a_vector_says_so_on_both_sides() {
    let foreign = table_with_vectors();
    let table = foreign.open().await;
    append(&table, &[10, 11, 12]).await;
    let first = delete(&table, &[1]).await;
    let second = delete(&table, &[2]).await;
    let old = first.files().await.expect("files").add(0).deletion_vector.clone();
    let new = second.files().await.expect("files").add(0);
    assert_eq!(
        new.deletion_vector.as_ref().map(|vector| vector.cardinality),
        Some(2)
    );
    let stats: serde_json::Value = serde_json::from_str(new.stats.as_deref().expect("stats")).expect("json");
    assert_eq!(
        (&stats["numRecords"], &stats["tightBounds"]),
        (&json!(3), &json!(false))
    );
    let actions = table
        .commit_actions(second.version())
        .await
        .expect("log")
        .expect("commit");
    let removed = actions.iter().find_map(|action| match action {
        Action::Remove(remove) => Some(remove),
        _ => None,
    });
    assert_eq!(removed.expect("a removal").deletion_vector, old);
    // The older state is still there.
    let past = table
        .snapshot_at(ingot_delta::TimeTravel::Version(first.version()))
        .await
        .expect("past");
    assert_eq!(live_ids(&table, &past).await, [10, 12]);
}

#[tokio::test]
async fn two_deletions_from_one_file_conflict() {
    let foreign = table_with_vectors();
    let (table, other) = (foreign.open().await, foreign.open().await);
    append(&table, &[10, 11, 12]).await;
    let read = other.snapshot().await.expect("snapshot");
    delete(&table, &[0]).await;
    let outcome = try_delete(&other, &read, &[2]).await.expect("decided");
    let CommitOutcome::Conflicted(ConflictReason::ConcurrentAppend { .. }) = outcome else {
        panic!("{outcome:?}");
    };
    // On what the winner left, both hold.
    let both = delete(&other, &[2]).await;
    assert_eq!(live_ids(&other, &both).await, [11]);
}

#[tokio::test]
async fn vectors_need_the_tables_consent() {
    let fields = json!([{"name": "id", "type": "long", "nullable": false, "metadata": {}},
        {"name": "p", "type": "string", "nullable": true, "metadata": {}}]);
    let foreign = ForeignTable::new(&[features(&[], &[]), metadata("without", &fields, &[], json!({}))]);
    let table = foreign.open().await;
    append(&table, &[1, 2]).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    assert!(!snapshot.deletion_vectors_enabled());
    let refused = try_delete(&table, &snapshot, &[0])
        .await
        .expect_err("no such feature");
    assert_eq!(refused.kind(), Kind::InvalidArgument);
    assert!(refused.to_string().contains("`deletionVectors`"), "{refused}");
}

#[tokio::test]
async fn rows_are_counted_in_the_file_where_statistics_do_not_say() {
    let foreign = table_with_vectors();
    let table = foreign.open().await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let batch = rows(&[(1, None), (2, None), (3, None)]);
    let add = write(&table, &snapshot, &batch).await.remove(0);
    let bare = Add { stats: None, ..add };
    assert_eq!(table.stored_rows(&bare).await.expect("count"), 3);
}

#[test_case(|v| v.cardinality += 1; "another count")]
#[test_case(|v| v.size_in_bytes -= 1; "another size")]
#[test_case(|v| v.offset = Some(2); "another place")]
#[test_case(|v| v.offset = Some(-1); "no place")]
#[test_case(|v| v.storage_type = "x".to_owned(); "another storage")]
#[test_case(|v| v.path_or_inline_dv = "short".to_owned(); "no name")]
#[tokio::test]
async fn a_descriptor_that_does_not_fit_its_file_is_refused(change: fn(&mut DeletionVectorDescriptor)) {
    let foreign = table_with_vectors();
    let table = foreign.open().await;
    let vectors = [DeletionVector::from_iter([1, 2]), DeletionVector::from_iter([3])];
    let mut vector = table
        .write_deletion_vectors(&vectors)
        .await
        .expect("written")
        .remove(0);
    change(&mut vector);
    let refused = foreign
        .open()
        .await
        .deletion_vector(&vector)
        .await
        .expect_err("refused");
    assert_eq!(refused.kind(), Kind::DataLoss, "{refused}");
}

#[tokio::test]
async fn a_flipped_bit_is_noticed() {
    let foreign = table_with_vectors();
    let table = foreign.open().await;
    let vector = table
        .write_deletion_vectors(&[DeletionVector::from_iter([1, 2])])
        .await
        .expect("written")
        .remove(0);
    let file = vector_files(foreign.path()).remove(0);
    let mut bytes = std::fs::read(&file).expect("file");
    let last = bytes.len() - 6;
    bytes[last] ^= 1;
    std::fs::write(&file, bytes).expect("file");
    let refused = foreign
        .open()
        .await
        .deletion_vector(&vector)
        .await
        .expect_err("refused");
    assert_eq!(refused.kind(), Kind::DataLoss, "{refused}");
}

#[tokio::test]
async fn vectors_by_path_and_in_the_log_are_read() {
    let foreign = table_with_vectors();
    let table = foreign.open().await;
    let written = table
        .write_deletion_vectors(&[DeletionVector::from_iter([5])])
        .await
        .expect("written");
    let file = Url::from_file_path(&vector_files(foreign.path())[0]).expect("url");
    let by_path = DeletionVectorDescriptor {
        storage_type: "p".to_owned(),
        path_or_inline_dv: file.to_string(),
        ..written[0].clone()
    };
    assert!(table.deletion_vector(&by_path).await.expect("read").contains(5));
    let inline = DeletionVectorDescriptor {
        storage_type: "i".to_owned(),
        path_or_inline_dv: "^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L".to_owned(),
        offset: None,
        size_in_bytes: 44,
        cardinality: 6,
    };
    let read = table.deletion_vector(&inline).await.expect("read");
    assert_eq!(read.iter().collect::<Vec<_>>(), [3, 4, 7, 11, 18, 29]);
}

#[test_case(Fault::Before; "nothing is written")]
#[test_case(Fault::After; "it is written all the same")]
#[tokio::test]
async fn a_store_that_fails_leaves_no_vectors(fault: Fault) {
    let foreign = table_with_vectors();
    let store = Arc::new(FaultyStore::new());
    let root = Url::parse("file:///").expect("url");
    let registry =
        DeltaTables::new(TablesOptions::default()).with_store(root, Arc::<FaultyStore>::clone(&store));
    let table = registry.open(&foreign.location()).await.expect("opens");
    store.fail(Call::Put, ".bin", fault, 1);
    let vectors = vec![(0..4_000_000).step_by(3).collect::<DeletionVector>(); 12];
    let failed = table
        .write_deletion_vectors(&vectors)
        .await
        .expect_err("the store failed");
    assert_eq!(failed.kind(), Kind::Unavailable);
    assert!(vector_files(foreign.path()).is_empty(), "the others are gone too");
    tables()
        .open(&foreign.location())
        .await
        .expect("the table is as it was");
}
