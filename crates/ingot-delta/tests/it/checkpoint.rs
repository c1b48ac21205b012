//! Checkpoints and the cleanup of what they make needless.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::ReaderBuilder;
use ingot_common::{Classify, Kind, clock};
use ingot_delta::{Add, CommitOutcome, DeltaTable, Operation, ReadSet};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use test_case::test_case;

use crate::foreign::{ForeignTable, add, features, metadata, protocol, remove, tables, txn};
use crate::support::PATIENCE;

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
    let by_path = async |snapshot: &ingot_delta::Snapshot| -> BTreeMap<String, Add> {
        let files = snapshot.files().await.expect("files");
        let adds = (0..files.len()).map(|file| files.add(file));
        adds.map(|add| {
            let mut add = Add::clone(&add);
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
async fn a_truncated_checkpoint_is_told() {
    let foreign = ForeignTable::partitioned();
    foreign.commit(1, &[add("a", None, 1)]);
    foreign.open().await.checkpoint().await.expect("checkpoint");
    let path = foreign.log_file("00000000000000000001.checkpoint.parquet");
    let whole = std::fs::read(&path).expect("checkpoint");
    for length in [0, 3, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).expect("truncated");
        let error = tables().open(&foreign.location()).await;
        let error = error.expect_err("unreadable");
        assert_eq!(
            error.kind(),
            Kind::DataLoss,
            "{length}: {}",
            ingot_common::error::chain(&error)
        );
    }
}

/// Rewrites a checkpoint of ours as one that has statistics as columns only, as writers with
/// `delta.checkpoint.writeStatsAsJson` off leave them.
fn parse_statistics(path: &std::path::Path) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).expect("checkpoint"))
        .expect("parquet")
        .build()
        .expect("reader");
    let bounds = DataType::Struct(
        vec![
            Field::new("id", DataType::Int64, true),
            Field::new("name", DataType::Utf8, true),
        ]
        .into(),
    );
    let statistics = Arc::new(Schema::new(vec![
        Field::new("numRecords", DataType::Int64, true),
        Field::new("minValues", bounds.clone(), true),
        Field::new("maxValues", bounds, true),
    ]));
    let mut writer = None;
    for batch in reader {
        let batch = batch.expect("batch");
        let adds = batch.column_by_name("add").expect("adds").as_struct();
        let stats = adds.column_by_name("stats").expect("stats").as_string::<i32>();
        let mut decoder = ReaderBuilder::new(Arc::clone(&statistics))
            .with_batch_size(stats.len())
            .build_decoder()
            .expect("decoder");
        for row in 0..stats.len() {
            let json = if stats.is_valid(row) {
                stats.value(row)
            } else {
                "{}"
            };
            decoder.decode(json.as_bytes()).expect("statistics");
        }
        let parsed = StructArray::from(decoder.flush().expect("parsed").expect("rows"));
        let parsed = StructArray::new(
            parsed.fields().clone(),
            parsed.columns().to_vec(),
            stats.nulls().cloned(),
        );
        let (mut fields, mut columns) = (Vec::new(), Vec::<ArrayRef>::new());
        for (field, column) in adds.fields().iter().zip(adds.columns()) {
            if field.name() != "stats" {
                fields.push(Arc::clone(field));
                columns.push(Arc::clone(column));
            }
        }
        fields.push(Arc::new(Field::new(
            "stats_parsed",
            parsed.data_type().clone(),
            true,
        )));
        columns.push(Arc::new(parsed));
        let adds = StructArray::new(fields.into(), columns, adds.nulls().cloned());
        let (mut fields, mut columns) = (Vec::new(), Vec::<ArrayRef>::new());
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            if field.name() == "add" {
                fields.push(Field::new("add", adds.data_type().clone(), true));
                columns.push(Arc::new(adds.clone()));
            } else {
                fields.push(field.as_ref().clone());
                columns.push(Arc::clone(column));
            }
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("batch");
        let writer = writer.get_or_insert_with(|| {
            ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("parquet writer")
        });
        writer.write(&batch).expect("written");
    }
    let bytes = writer.expect("rows").into_inner().expect("complete");
    std::fs::write(path, bytes).expect("checkpoint");
}

#[tokio::test]
async fn statistics_in_columns_of_a_checkpoint_are_read_and_kept() {
    let foreign = ForeignTable::partitioned();
    foreign.commit(1, &[add("a", None, 7), add("b", None, 9)]);
    foreign.open().await.checkpoint().await.expect("checkpoint");
    foreign.remove_commits(0..2);
    parse_statistics(&foreign.log_file("00000000000000000001.checkpoint.parquet"));
    let bounds = async || {
        let snapshot = foreign.open().await.snapshot().await.expect("snapshot");
        let files = snapshot.files().await.expect("files");
        files.max_values("id").expect("bounds are known")
    };
    let expected: ArrayRef = Arc::new(Int64Array::from(vec![7, 9, 11]));
    foreign.commit(2, &[add("c", None, 11)]);
    assert_eq!(&bounds().await, &expected);
    // Ours has them as JSON.
    foreign.open().await.checkpoint().await.expect("checkpoint");
    std::fs::remove_file(foreign.log_file("00000000000000000001.checkpoint.parquet"))
        .expect("old checkpoint");
    assert_eq!(&bounds().await, &expected);
}

#[tokio::test]
async fn cleanup_keeps_what_retained_versions_need() {
    let fields = json!([{"name": "id", "type": "long", "nullable": true, "metadata": {}}]);
    let retention = json!({"delta.logRetentionDuration": "interval 0 seconds"});
    let foreign = ForeignTable::new(&[protocol(1, 2), metadata("t", &fields, &[], retention)]);
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
async fn cleanup_that_is_off_or_must_wait_deletes_nothing() {
    let fields = json!([{"name": "id", "type": "long", "nullable": true, "metadata": {}}]);
    let configuration = |enabled: &str| json!({"delta.logRetentionDuration": "interval 0 seconds", "delta.enableExpiredLogCleanup": enabled});
    let off = ForeignTable::new(&[
        protocol(1, 2),
        metadata("t", &fields, &[], configuration("false")),
    ]);
    let mut protected_before = configuration("true");
    protected_before["delta.requireCheckpointProtectionBeforeVersion"] = json!("2");
    let protected = ForeignTable::new(&[
        features(&[], &["checkpointProtection"]),
        metadata("t", &fields, &[], protected_before),
    ]);
    for foreign in [&off, &protected] {
        foreign.commit(1, &[]);
        let table = foreign.open().await;
        table.checkpoint().await.expect("checkpoint");
        assert_eq!(table.cleanup_expired_logs().await.expect("nothing may go"), 0);
        assert!(foreign.log_file("00000000000000000000.json").exists());
    }
    // Once a checkpoint stands at the version itself, all before it goes at once.
    protected.commit(2, &[]);
    let table = protected.open().await;
    table.checkpoint().await.expect("checkpoint");
    let deleted = table.cleanup_expired_logs().await.expect("cleaned");
    assert_eq!(deleted, 3, "commits 0 and 1, checkpoint 1");
    assert_eq!(
        protected
            .open()
            .await
            .snapshot()
            .await
            .expect("snapshot")
            .version(),
        2
    );
}

#[tokio::test]
async fn upkeep_cleans_tables_that_nobody_has_open_and_leaves_them_so() {
    let folder = crate::support::Folder::new();
    let mut spec = crate::support::spec(crate::support::schema(), &[]);
    let retention = ("delta.logRetentionDuration", "interval 0 seconds");
    spec.properties = [(retention.0.to_owned(), retention.1.to_owned())].into();
    let created = crate::support::tables().create(&folder.location(), spec).await;
    let table = created.expect("created");
    let tables = crate::support::tables();
    for id in 1..=5 {
        crate::support::append(&table, &[id]).await;
        let cleaned = tables.cleanup_expired_logs(&folder.location()).await;
        assert_eq!(cleaned.expect("nothing to clean"), 0);
    }
    table.checkpoint().await.expect("checkpoint");
    let cleaned = tables.cleanup_expired_logs(&folder.location()).await;
    assert_eq!(cleaned.expect("cleaned"), 5, "commits 0 to 4");
    let cleaned = tables.cleanup_expired_logs(&folder.location()).await;
    assert_eq!(cleaned.expect("all clean"), 0);
    assert!(format!("{tables:?}").contains("open: 0"), "{tables:?}");
    let nowhere = folder.location().join("../nowhere/").expect("url");
    assert_eq!(tables.cleanup_expired_logs(&nowhere).await.expect("no table"), 0);
}

#[tokio::test]
async fn cleanup_leaves_young_logs_alone() {
    let foreign = ForeignTable::partitioned();
    foreign.commit(1, &[]);
    let table = foreign.open().await;
    table.checkpoint().await.expect("checkpoint");
    assert_eq!(table.cleanup_expired_logs().await.expect("cleaned"), 0);
}

/// Commits one file through a transaction, beside the removal of `removed`.
async fn commit_file(table: &Arc<DeltaTable>, path: &str, removed: Option<&str>) {
    let snapshot = table.snapshot().await.expect("snapshot");
    let mut transaction = table.transaction(Arc::clone(&snapshot), Operation::new("WRITE"));
    let file = add(path, None, 1)["add"].clone();
    transaction.add_files([serde_json::from_value::<Add>(file).expect("add")]);
    if let Some(removed) = removed {
        let files = snapshot.files().await.expect("files");
        let file = (0..files.len())
            .map(|file| files.add(file))
            .find(|add| add.path == removed);
        transaction.set_read_set(ReadSet::WholeTable);
        transaction.remove_files([file.expect("file").to_remove(clock::now_ms(), true)]);
    }
    let outcome = transaction.commit().await.expect("no failure");
    assert!(matches!(outcome, CommitOutcome::Committed { .. }), "{outcome:?}");
}

/// The first checkpoint of a handle reads the log for its tombstones, the later ones the commits since.
#[tokio::test]
async fn tombstones_are_kept_from_one_checkpoint_to_the_next() {
    let foreign = ForeignTable::partitioned();
    let table = foreign.open().await;
    commit_file(&table, "a", None).await;
    commit_file(&table, "b", Some("a")).await;
    table.checkpoint().await.expect("first");
    commit_file(&table, "c", Some("b")).await;
    // Removed, there again, and removed again: one tombstone.
    commit_file(&table, "a", None).await;
    commit_file(&table, "d", Some("a")).await;
    // Removed and there again: none.
    commit_file(&table, "e", Some("c")).await;
    commit_file(&table, "c", None).await;
    let version = table.checkpoint().await.expect("second");
    assert_eq!(version, 7);
    assert_eq!(checkpointed(&foreign, version, "remove"), ["a", "b"]);
    assert_eq!(checkpointed(&foreign, version, "add"), ["c", "d", "e"]);
}

#[test_case(json!({}), &[40]; "by default")]
#[test_case(json!({"delta.checkpointInterval": "10"}), &[10, 20, 30, 40]; "as the table says")]
#[tokio::test]
async fn a_large_table_is_checkpointed_after_more_commits(properties: Value, expected: &[i64]) {
    const FILES: usize = 10_000;
    let fields = json!([{"name": "id", "type": "long", "nullable": true, "metadata": {}}]);
    let foreign = ForeignTable::new(&[protocol(1, 2), metadata("t", &fields, &[], properties)]);
    let files: Vec<Value> = (0..FILES).map(|file| add(&format!("f{file}"), None, 1)).collect();
    foreign.commit(1, &files);
    let registry = tables();
    let table = registry.open(&foreign.location()).await.expect("opens");
    for version in 2..=40 {
        commit_file(&table, &format!("g{version}"), None).await;
        assert!(registry.settle(PATIENCE).await);
    }
    let written = (0..=40).filter(|version| {
        let name = format!("{version:020}.checkpoint.parquet");
        foreign.log_file(&name).exists()
    });
    assert_eq!(written.collect::<Vec<i64>>(), expected);
}

/// Makes a table with V2 checkpoints.
fn with_v2_checkpoints() -> ForeignTable {
    let fields = json!([
        {"name": "id", "type": "long", "nullable": true, "metadata": {}},
        {"name": "day", "type": "date", "nullable": true, "metadata": {}},
    ]);
    let properties =
        json!({"delta.checkpointPolicy": "v2", "delta.logRetentionDuration": "interval 0 seconds"});
    ForeignTable::new(&[
        features(&["v2Checkpoint"], &["v2Checkpoint", "domainMetadata"]),
        metadata("t", &fields, &["day"], properties),
        txn("app", 3),
        json!({"domainMetadata": {"domain": "d", "configuration": "{}", "removed": false}}),
    ])
}

fn sidecars(foreign: &ForeignTable) -> Vec<std::path::PathBuf> {
    let folder = std::fs::read_dir(foreign.log_file("_sidecars")).expect("sidecars");
    let mut files: Vec<_> = folder.map(|entry| entry.expect("entry").path()).collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_table_is_the_same_from_its_v2_checkpoint_alone() {
    let foreign = with_v2_checkpoints();
    foreign.commit(
        1,
        &[
            add("a", Some("2024-01-01"), 1),
            add("b", None, 2),
            add("c", None, 3),
        ],
    );
    foreign.commit(2, &[remove("c", clock::now_ms())]);
    foreign.open().await.checkpoint().await.expect("checkpoint");
    assert!(
        !foreign
            .log_file("00000000000000000002.checkpoint.parquet")
            .exists()
    );
    foreign.remove_commits(0..2);

    let snapshot = foreign.open().await.snapshot().await.expect("snapshot");
    let files = snapshot.files().await.expect("files");
    assert_eq!(files.len(), 2);
    assert_eq!(
        files.max_values("id").expect("bounds").as_ref(),
        &Int64Array::from(vec![1, 2])
    );
    assert_eq!(snapshot.app_transaction("app").await.expect("txn"), Some(3));
    assert_eq!(snapshot.domain_metadata("d"), Some("{}"));

    let hint = last_checkpoint(&foreign);
    // Itself, protocol, metadata, one transaction, one domain, one sidecar, two files and a tombstone.
    assert_eq!(
        (&hint["version"], &hint["size"], &hint["numOfAddFiles"]),
        (&json!(2), &json!(9), &json!(2))
    );
    let name = hint["v2Checkpoint"]["path"]
        .as_str()
        .expect("its name")
        .to_owned();
    assert!(foreign.log_file(&name).exists());
    assert_eq!(sidecars(&foreign).len(), 1);
    // The tombstone is carried on from the sidecar.
    foreign.commit(3, &[txn("app", 4)]);
    foreign.open().await.checkpoint().await.expect("checkpoint");
    assert_eq!(last_checkpoint(&foreign)["size"], json!(9));
}

#[tokio::test]
async fn sidecars_are_of_bounded_size() {
    const FILES: i64 = 50_001;
    let foreign = with_v2_checkpoints();
    let adds: Vec<Value> = (0..FILES)
        .map(|file| add(&format!("f{file}"), None, file))
        .collect();
    foreign.commit(1, &adds);
    foreign.open().await.checkpoint().await.expect("checkpoint");
    foreign.remove_commits(0..1);
    assert_eq!(sidecars(&foreign).len(), 2);
    let snapshot = foreign.open().await.snapshot().await.expect("snapshot");
    assert_eq!(snapshot.files().await.expect("files").len() as i64, FILES);
}

#[tokio::test]
async fn sidecars_go_when_no_checkpoint_names_them_and_they_are_old() {
    let foreign = with_v2_checkpoints();
    let table = foreign.open().await;
    foreign.commit(1, &[add("a", None, 1)]);
    table.checkpoint().await.expect("checkpoint");
    let first = sidecars(&foreign);
    foreign.commit(2, &[add("b", None, 2)]);
    table.checkpoint().await.expect("checkpoint");
    std::fs::write(
        foreign.log_file("_sidecars/orphan.parquet"),
        "of a checkpoint that failed",
    )
    .expect("written");
    table.cleanup_expired_logs().await.expect("cleaned");
    assert_eq!(
        sidecars(&foreign).len(),
        3,
        "they may belong to a checkpoint that is being written"
    );

    let yesterday_ms = u64::try_from(clock::now_ms() - 25 * 3600 * 1000).expect("after 1970");
    let yesterday = std::time::UNIX_EPOCH + std::time::Duration::from_millis(yesterday_ms);
    for sidecar in sidecars(&foreign) {
        let file = std::fs::File::options()
            .write(true)
            .open(sidecar)
            .expect("sidecar");
        file.set_modified(yesterday).expect("aged");
    }
    let cleaned = tables().cleanup_expired_logs(&foreign.location()).await;
    assert_eq!(
        cleaned.expect("cleaned"),
        2,
        "the first checkpoint's and the orphan"
    );
    let left = sidecars(&foreign);
    assert!(left.len() == 1 && left != first, "{left:?}");
    let snapshot = foreign.open().await.snapshot().await.expect("snapshot");
    assert_eq!(snapshot.files().await.expect("files").len(), 2);
}
