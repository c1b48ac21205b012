//! Checkpoints and the cleanup of what they make needless.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, StringArray};
use ingot_common::{Classify, Kind, clock};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::foreign::{ForeignTable, add, features, metadata, remove, txn};

/// Returns the paths of one kind of file action in checkpoint `version`.
fn checkpointed(foreign: &ForeignTable, version: i64, action: &str) -> Vec<String> {
    let path = foreign.log_file(&format!("{version:020}.checkpoint.parquet"));
    let file = std::fs::File::open(path).expect("checkpoint");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .expect("parquet")
        .build()
        .expect("reader");
    let mut paths = Vec::new();
    for batch in reader {
        let batch = batch.expect("batch");
        let actions = batch.column_by_name(action).expect("column").as_struct().clone();
        let column = actions.column_by_name("path").expect("path");
        let column = column.as_any().downcast_ref::<StringArray>().expect("strings");
        paths.extend(
            (0..actions.len())
                .filter(|row| actions.is_valid(*row))
                .map(|row| column.value(row).to_owned()),
        );
    }
    paths.sort();
    paths
}

fn last_checkpoint(foreign: &ForeignTable) -> Value {
    let text = std::fs::read_to_string(foreign.log_file("_last_checkpoint")).expect("_last_checkpoint");
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test]
async fn a_table_is_the_same_from_its_checkpoint_alone() {
    let fields = json!([
        {"name": "id", "type": "long", "nullable": true, "metadata": {}},
        {"name": "day", "type": "date", "nullable": true, "metadata": {}},
    ]);
    // Features that the kernel refuses to checkpoint.
    let foreign = ForeignTable::new(&[
        features(
            &["deletionVectors"],
            &[
                "checkConstraints",
                "identityColumns",
                "deletionVectors",
                "domainMetadata",
            ],
        ),
        metadata(
            "t",
            &fields,
            &["day"],
            json!({"delta.constraints.c": "id > 0", "user": "property"}),
        ),
        txn("app", 3),
        json!({"domainMetadata": {"domain": "d", "configuration": "{}", "removed": false}}),
        json!({"domainMetadata": {"domain": "gone", "configuration": "{}", "removed": false}}),
    ]);
    let mut rich = add("b", None, 2);
    rich["add"]["tags"] = json!({"k": "v", "n": null});
    rich["add"]["baseRowId"] = json!(5);
    rich["add"]["deletionVector"] = json!({
        "storageType": "u", "pathOrInlineDv": "ab^-aqEH.-t@S}K{vb[*k^", "offset": 4, "sizeInBytes": 40,
        "cardinality": 1,
    });
    foreign.commit(1, &[add("a", Some("2024-01-01"), 1), rich]);
    foreign.commit(
        2,
        &[
            json!({"domainMetadata": {"domain": "gone", "configuration": "{}", "removed": true}}),
            txn("app", 4),
        ],
    );
    let before = foreign.open().await.snapshot().await.expect("snapshot");
    assert_eq!(foreign.open().await.checkpoint().await.expect("checkpoint"), 2);
    foreign.remove_commits(0..2);

    let after = foreign.open().await.snapshot().await.expect("snapshot");
    assert_eq!(after.version(), 2);
    assert_eq!(after.metadata(), before.metadata());
    assert_eq!(after.protocol(), before.protocol());
    assert_eq!(after.app_transaction("app").await.expect("txn"), Some(4));
    let by_path = async |snapshot: &ingot_delta::Snapshot| -> BTreeMap<String, ingot_delta::Add> {
        let files = snapshot.files().await.expect("files");
        let adds = (0..files.len()).map(|file| files.add(file));
        adds.map(|add| {
            let mut add = ingot_delta::Add::clone(&add);
            add.data_change = false;
            // A null partition value may be written or left out.
            add.partition_values.retain(|_, value| value.is_some());
            (add.path.clone(), add)
        })
        .collect()
    };
    assert_eq!(by_path(&after).await, by_path(&before).await);

    let hint = last_checkpoint(&foreign);
    assert_eq!(hint["version"], json!(2));
    // Protocol, metadata, one transaction, one domain, two files.
    assert_eq!(hint["size"], json!(6));
    assert_eq!(hint["numOfAddFiles"], json!(2));
}

#[tokio::test]
async fn tombstones_are_carried_until_they_expire() {
    let foreign = ForeignTable::partitioned();
    let now = clock::now_ms();
    let long_ago = now - 8 * 24 * 3600 * 1000;
    let names = ["fresh", "stale", "again", "kept"];
    let adds: Vec<Value> = names.iter().map(|name| add(name, None, 1)).collect();
    foreign.commit(1, &adds);
    foreign.commit(
        2,
        &[
            remove("fresh", now),
            remove("stale", long_ago),
            remove("again", now),
        ],
    );
    foreign.commit(3, &[add("again", None, 1)]);
    let table = foreign.open().await;
    assert_eq!(table.checkpoint().await.expect("checkpoint"), 3);
    assert_eq!(checkpointed(&foreign, 3, "remove"), ["fresh"]);
    assert_eq!(checkpointed(&foreign, 3, "add"), ["again", "kept"]);

    // The next checkpoint takes them from the one before.
    foreign.remove_commits(0..3);
    foreign.commit(4, &[remove("kept", now)]);
    assert_eq!(table.checkpoint().await.expect("checkpoint"), 4);
    assert_eq!(checkpointed(&foreign, 4, "remove"), ["fresh", "kept"]);
    assert_eq!(last_checkpoint(&foreign)["version"], json!(4));
}

#[tokio::test]
async fn a_checkpoint_that_exists_is_left_alone() {
    let foreign = ForeignTable::partitioned();
    let table = foreign.open().await;
    let path = foreign.log_file("00000000000000000000.checkpoint.parquet");
    table.checkpoint().await.expect("checkpoint");
    let first = std::fs::metadata(&path).expect("file").modified().expect("time");
    table.checkpoint().await.expect("checkpoint");
    assert_eq!(
        std::fs::metadata(&path).expect("file").modified().expect("time"),
        first
    );
}

#[tokio::test]
async fn a_writer_feature_we_do_not_know_is_not_checkpointed() {
    let fields = json!([{"name": "id", "type": "long", "nullable": true, "metadata": {}}]);
    let foreign = ForeignTable::new(&[
        features(&[], &["someFutureFeature"]),
        metadata("t", &fields, &[], json!({})),
    ]);
    let error = foreign.open().await.checkpoint().await.expect_err("refused");
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("someFutureFeature"), "{error}");
}

#[tokio::test]
async fn cleanup_keeps_what_retained_versions_need() {
    let fields = json!([{"name": "id", "type": "long", "nullable": true, "metadata": {}}]);
    let retention = json!({"delta.logRetentionDuration": "interval 0 seconds"});
    let foreign = ForeignTable::new(&[
        crate::foreign::protocol(1, 2),
        metadata("t", &fields, &[], retention),
    ]);
    let table = foreign.open().await;
    assert_eq!(
        table.cleanup_expired_logs().await.expect("cleaned"),
        0,
        "there is no checkpoint"
    );
    for version in 1..=3 {
        foreign.commit(version, &[]);
    }
    table.checkpoint().await.expect("checkpoint");
    for version in 4..=6 {
        foreign.commit(version, &[]);
    }
    assert_eq!(
        table.cleanup_expired_logs().await.expect("cleaned"),
        3,
        "commits 0 to 2"
    );
    assert!(foreign.log_file("00000000000000000003.json").exists());
    table.checkpoint().await.expect("checkpoint");
    assert_eq!(
        table.cleanup_expired_logs().await.expect("cleaned"),
        4,
        "commits 3 to 5, checkpoint 3"
    );
    let snapshot = foreign.open().await.snapshot().await.expect("snapshot");
    assert_eq!(snapshot.version(), 6);
}

#[tokio::test]
async fn cleanup_leaves_young_logs_alone() {
    let foreign = ForeignTable::partitioned();
    foreign.commit(1, &[]);
    let table = foreign.open().await;
    table.checkpoint().await.expect("checkpoint");
    assert_eq!(table.cleanup_expired_logs().await.expect("cleaned"), 0);
}
