//! Row ids: given by each commit, above all that were given before, whoever came first.

use std::sync::Arc;

use ingot_delta::{
    Author, CommitOutcome, DeltaTable, Error, FileWriter, Operation, ReadSet, Snapshot, Transaction,
    WriterOptions,
};
use serde_json::{Value, json};

use crate::foreign::{ForeignTable, features, metadata};
use crate::support::{Folder, rows, schema, spec, tables, write};

const ENABLED: &str = "delta.enableRowTracking";

fn table(properties: Value) -> ForeignTable {
    let fields = json!([
        {"name": "id", "type": "long", "nullable": false, "metadata": {}},
        {"name": "p", "type": "string", "nullable": true, "metadata": {}},
    ]);
    ForeignTable::new(&[
        features(
            &["deletionVectors"],
            &["rowTracking", "domainMetadata", "deletionVectors", "invariants"],
        ),
        metadata("t", &fields, &[], properties),
    ])
}

async fn staged(table: &Arc<DeltaTable>, ids: &[i64]) -> Transaction {
    let snapshot = table.snapshot().await.expect("snapshot");
    let batch: Vec<_> = ids.iter().map(|id| (*id, None)).collect();
    let files = write(table, &snapshot, &rows(&batch)).await;
    let mut transaction = table.transaction(snapshot, Operation::new("WRITE"));
    transaction.add_files(files);
    transaction
}

async fn committed(transaction: Transaction) -> Arc<Snapshot> {
    match transaction.commit().await.expect("no failure") {
        CommitOutcome::Committed { snapshot, .. } => snapshot,
        other => panic!("not committed: {other:?}"),
    }
}

/// First id, number of rows and commit version of each file, by first id.
async fn given(snapshot: &Snapshot) -> Vec<(i64, u64, i64)> {
    let files = snapshot.files().await.expect("files");
    let rows = files.num_records();
    let mut given: Vec<_> = (0..files.len())
        .map(|file| {
            let add = files.add(file);
            let base = add.base_row_id.expect("a first row id");
            let version = add.default_row_commit_version.expect("a commit version");
            (base, rows.value(file), version)
        })
        .collect();
    given.sort_unstable();
    given
}

fn watermark(snapshot: &Snapshot) -> Value {
    let domain = snapshot
        .domain_metadata("delta.rowTracking")
        .expect("a watermark");
    serde_json::from_str(domain).expect("json")
}

#[tokio::test]
async fn ids_are_given_anew_after_a_lost_race() {
    let foreign = table(json!({}));
    let (ours, theirs) = (foreign.open().await, foreign.open().await);
    let stale = staged(&ours, &[1, 2]).await;
    committed(staged(&theirs, &[3, 4, 5]).await).await;
    let snapshot = committed(stale).await;
    assert_eq!(given(&snapshot).await, [(0, 3, 1), (3, 2, 2)]);
    assert_eq!(watermark(&snapshot), json!({"rowIdHighWaterMark": 4}));
    // A table that is read anew gives the next ids above those.
    let snapshot = committed(staged(&foreign.open().await, &[6]).await).await;
    assert_eq!(given(&snapshot).await, [(0, 3, 1), (3, 2, 2), (5, 1, 3)]);
}

#[tokio::test]
async fn a_file_that_only_moves_keeps_its_ids() {
    let foreign = table(json!({}));
    let table = foreign.open().await;
    let snapshot = committed(staged(&table, &[1, 2]).await).await;
    let file = snapshot.files().await.expect("files").add(0);
    let mut again = table.transaction(Arc::clone(&snapshot), Operation::new("DELETE"));
    again.set_read_set(ReadSet::WholeTable);
    again.remove_files([file.to_remove(1, true)]);
    let mut kept = ingot_delta::Add::clone(&file);
    kept.deletion_vector = Some(ingot_delta::action::DeletionVectorDescriptor {
        storage_type: "i".to_owned(),
        path_or_inline_dv: "^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L".to_owned(),
        offset: None,
        size_in_bytes: 40,
        cardinality: 1,
    });
    again.add_files([kept]);
    let snapshot = committed(again).await;
    assert_eq!(snapshot.files().await.expect("files").add(0).base_row_id, Some(0));
    assert_eq!(watermark(&snapshot), json!({"rowIdHighWaterMark": 1}));
}

#[tokio::test]
async fn enabling_gives_ids_to_the_rows_that_are_there() {
    let foreign = table(json!({"delta.rowTrackingSuspended": "true"}));
    let table = foreign.open().await;
    let snapshot = committed(staged(&table, &[1, 2]).await).await;
    assert_eq!(snapshot.files().await.expect("files").add(0).base_row_id, None);
    let mut enable = table.transaction(Arc::clone(&snapshot), Operation::new("SET TBLPROPERTIES"));
    let mut enabled = snapshot.metadata().clone();
    enabled.configuration.remove("delta.rowTrackingSuspended");
    enabled
        .configuration
        .insert(ENABLED.to_owned(), "true".to_owned());
    enable.set_metadata(enabled);
    let snapshot = committed(enable).await;
    assert_eq!(given(&snapshot).await, [(0, 2, 2)]);
    let names: Vec<_> = snapshot
        .properties()
        .keys()
        .filter(|key| key.starts_with("delta.rowTracking."))
        .collect();
    assert_eq!(names.len(), 2, "both materialised columns have names: {names:?}");
}

#[tokio::test]
async fn a_table_begins_with_ids() {
    let folder = Folder::new();
    let mut spec = spec(schema(), &[]);
    spec.properties.insert(ENABLED.to_owned(), "true".to_owned());
    let target = tables()
        .write_target(&folder.location(), &spec)
        .await
        .expect("target");
    let mut writer = FileWriter::for_target(target, WriterOptions::default()).expect("writer");
    writer.write(&rows(&[(1, None), (2, None)])).await.expect("rows");
    spec.files = writer.close().await.expect("files");
    let created = tables().create(&folder.location(), spec).await;
    let snapshot = created.expect("table").snapshot().await.expect("snapshot");
    assert_eq!(given(&snapshot).await, [(0, 2, 0)]);
    assert_eq!(watermark(&snapshot), json!({"rowIdHighWaterMark": 1}));
}

#[tokio::test]
async fn rows_that_may_lose_their_ids_are_refused_by_name() {
    let foreign = table(json!({ENABLED: "true"}));
    let table = foreign.open().await;
    let snapshot = committed(staged(&table, &[1, 2]).await).await;
    let rewrite = async |kept: bool| {
        let files = write(&table, &snapshot, &rows(&[(1, None)])).await;
        let file = snapshot.files().await.expect("files").add(0);
        let mut rewrite = table.transaction(Arc::clone(&snapshot), Operation::new("UPDATE"));
        rewrite.set_read_set(ReadSet::WholeTable);
        rewrite.remove_files([file.to_remove(1, true)]);
        rewrite.add_files(files);
        if kept {
            rewrite.set_row_ids_kept();
        }
        rewrite.commit().await
    };
    let refused = rewrite(false).await;
    assert!(
        matches!(&refused, Err(Error::UnsupportedFeature { feature, operation: "UPDATE", .. }) if feature == "rowTracking"),
        "{refused:?}"
    );
    let outcome = rewrite(true).await.expect("no failure");
    let CommitOutcome::Committed { snapshot, version } = outcome else {
        panic!("not committed: {outcome:?}");
    };
    assert_eq!(given(&snapshot).await, [(2, 1, version)]);
}

#[tokio::test]
async fn a_backfill_lets_others_append_and_gives_each_file_ids_once() {
    let foreign = table(json!({"delta.rowTrackingSuspended": "true"}));
    let (ours, theirs) = (foreign.open().await, foreign.open().await);
    let before = committed(staged(&ours, &[1, 2]).await).await;
    let mut wanted = before.metadata().clone();
    wanted.configuration.remove("delta.rowTrackingSuspended");
    wanted.configuration.insert(ENABLED.to_owned(), "true".to_owned());
    ours.backfill_row_ids(&wanted, &Author::default())
        .await
        .expect("ids for all");
    let mut enable = ours.transaction(
        ours.snapshot().await.expect("snapshot"),
        Operation::new("SET TBLPROPERTIES"),
    );
    enable.set_metadata(wanted.clone());
    // Whoever appends since the backfill began gives ids.
    committed(staged(&theirs, &[3]).await).await;
    let snapshot = committed(enable).await;
    assert_eq!(given(&snapshot).await, [(0, 2, 3), (2, 1, 4)]);
    // The same file is not given other ids by one that looked earlier.
    let file = before.files().await.expect("files").add(0);
    let mut late = theirs.transaction(before, Operation::new("ROW TRACKING BACKFILL"));
    late.add_files([ingot_delta::Add {
        data_change: false,
        ..ingot_delta::Add::clone(&file)
    }]);
    let outcome = late.commit().await.expect("no failure");
    assert!(matches!(outcome, CommitOutcome::Conflicted(_)), "{outcome:?}");
}
