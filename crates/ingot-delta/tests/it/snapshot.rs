//! Opening, refreshing and time travel.

use std::sync::Arc;

use arrow::array::{Date32Array, Int64Array};
use arrow::datatypes::DataType;
use ingot_common::{Classify, Kind};
use ingot_delta::{Error, Snapshot, TimeTravel};
use serde_json::json;
use test_case::test_case;

use crate::foreign::{ForeignTable, add, features, metadata, protocol, remove, tables, txn};

async fn paths(snapshot: &Snapshot) -> Vec<String> {
    let files = snapshot.files().await.expect("files");
    let mut paths: Vec<String> = (0..files.len())
        .map(|file| files.add(file).path.clone())
        .collect();
    paths.sort();
    paths
}

#[tokio::test]
async fn a_legacy_table_is_read() {
    let foreign = ForeignTable::partitioned();
    foreign.commit(
        1,
        &[add("a", Some("2024-01-01"), 1), add("b", None, 2), txn("app", 7)],
    );
    let table = foreign.open().await;
    let snapshot = table.snapshot().await.expect("snapshot");

    assert_eq!(snapshot.version(), 1);
    assert_eq!(snapshot.partition_columns(), ["day"]);
    let id = snapshot.schema().field(0);
    assert_eq!((id.name().as_str(), id.data_type()), ("id", &DataType::Int64));
    assert_eq!(id.metadata().get("comment").map(String::as_str), Some("the key"));
    assert_eq!(snapshot.app_transaction("app").await.expect("txn"), Some(7));
    assert_eq!(snapshot.app_transaction("other").await.expect("txn"), None);

    let files = snapshot.files().await.expect("files");
    let days = files.partition_values("day").expect("partition column");
    assert_eq!(days.as_ref(), &Date32Array::from(vec![Some(19_723), None]));
    let ids = files.min_values("id").expect("bounds");
    assert_eq!(ids.as_ref(), &Int64Array::from(vec![1, 2]));
    assert_eq!(files.sizes().values(), &[100, 100]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_applies_the_commits_made_since() {
    let foreign = ForeignTable::partitioned();
    let table = foreign.open().await;
    let first = table.snapshot().await.expect("snapshot");
    foreign.commit(1, &[add("a", None, 1), add("b", None, 2), txn("app", 1)]);
    foreign.commit(2, &[remove("a", 1), add("c", None, 3), txn("app", 2)]);
    let refreshed = table.snapshot().await.expect("snapshot");

    assert_eq!(refreshed.version(), 2);
    assert_eq!(paths(&refreshed).await, ["b", "c"]);
    assert_eq!(refreshed.app_transaction("app").await.expect("txn"), Some(2));
    assert_eq!(
        (first.version(), paths(&first).await.len()),
        (0, 0),
        "a snapshot never changes"
    );
    let anew = foreign.open().await.snapshot().await.expect("snapshot");
    assert_eq!(paths(&anew).await, paths(&refreshed).await);
}

#[tokio::test]
async fn a_refresh_without_news_returns_the_same_snapshot() {
    let foreign = ForeignTable::partitioned();
    let table = foreign.open().await;
    let first = table.snapshot().await.expect("snapshot");
    let second = table.snapshot().await.expect("snapshot");
    assert!(Arc::ptr_eq(&first, &second));
}

#[tokio::test]
async fn more_commits_than_a_refresh_reads_are_all_seen() {
    let foreign = ForeignTable::partitioned();
    let table = foreign.open().await;
    for version in 1..=1200 {
        foreign.commit(version, &[add(&format!("f{version}"), None, version)]);
    }
    let snapshot = table.snapshot().await.expect("snapshot");
    assert_eq!(snapshot.version(), 1200);
    assert_eq!(snapshot.files().await.expect("files").len(), 1200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_beside_a_writer_see_every_version_once_it_is_there() {
    let foreign = Arc::new(ForeignTable::partitioned());
    let table = foreign.open().await;
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let table = Arc::clone(&table);
        readers.spawn(async move {
            let mut seen = 0;
            while seen < 200 {
                let snapshot = table.snapshot().await.expect("snapshot");
                assert!(snapshot.version() >= seen, "versions only grow");
                seen = snapshot.version();
                assert_eq!(snapshot.files().await.expect("files").len() as i64, seen);
            }
        });
    }
    for version in 1..=200 {
        foreign.commit(version, &[add(&format!("f{version}"), None, version)]);
        let snapshot = table.snapshot().await.expect("snapshot");
        assert!(snapshot.version() >= version, "a commit that ended is seen");
    }
    while let Some(reader) = readers.join_next().await {
        reader.expect("reader");
    }
}

#[tokio::test]
async fn a_table_made_anew_at_the_same_place_is_noticed() {
    let foreign = ForeignTable::partitioned();
    foreign.commit(1, &[add("old", None, 1)]);
    let tables = tables();
    let table = tables.open(&foreign.location()).await.expect("opened");
    std::fs::remove_dir_all(foreign.path().join("_delta_log")).expect("log removed");

    let gone = table.snapshot().await.expect_err("no table");
    assert!(matches!(gone, Error::NotATable { .. }), "{gone}");
    let gone = tables.open(&foreign.location()).await.expect_err("no table");
    assert_eq!(gone.kind(), Kind::NotFound);

    std::fs::create_dir_all(foreign.path().join("_delta_log")).expect("folder");
    let fields = json!([{"name": "x", "type": "integer", "nullable": true, "metadata": {}}]);
    foreign.commit(0, &[protocol(1, 2), metadata("table-2", &fields, &[], json!({}))]);
    foreign.commit(1, &[]);
    foreign.commit(2, &[]);
    let snapshot = table.snapshot().await.expect("snapshot");
    assert_eq!(snapshot.metadata().id, "table-2");
    assert_eq!(snapshot.version(), 2);
    assert_eq!(snapshot.schema().fields().len(), 1);
    assert_eq!(paths(&snapshot).await.len(), 0);
}

#[tokio::test]
async fn commits_cleaned_up_by_others_do_not_strand_a_handle() {
    let foreign = ForeignTable::partitioned();
    let table = foreign.open().await;
    for version in 1..=5 {
        foreign.commit(version, &[add(&format!("f{version}"), None, version)]);
    }
    assert_eq!(foreign.open().await.checkpoint().await.expect("checkpoint"), 5);
    foreign.commit(6, &[add("f6", None, 6)]);
    foreign.remove_commits(0..5);
    let snapshot = table.snapshot().await.expect("snapshot");
    assert_eq!(snapshot.version(), 6);
    assert_eq!(snapshot.files().await.expect("files").len(), 6);
}

#[tokio::test]
async fn a_table_without_its_first_commit_still_exists() {
    let foreign = ForeignTable::partitioned();
    foreign.commit(1, &[]);
    foreign.open().await.checkpoint().await.expect("checkpoint");
    foreign.remove_commits(0..1);
    let spec = crate::support::spec(crate::support::schema(), &[]);
    let error = tables()
        .create(&foreign.location(), spec)
        .await
        .expect_err("exists");
    assert_eq!(error.kind(), Kind::AlreadyExists);
}

#[tokio::test]
async fn a_missing_table_is_not_found() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let location = url::Url::from_directory_path(folder.path()).expect("url");
    let error = tables().open(&location).await.expect_err("no table");
    assert!(matches!(error, Error::NotATable { .. }), "{error:?}");
    let error = tables()
        .open(&location.join("nowhere").expect("url"))
        .await
        .expect_err("no table");
    assert!(matches!(error, Error::NotATable { .. }), "{error:?}");
}

#[test_case("someFutureFeature"; "unknown to everyone")]
#[test_case("variantShredding"; "known to the kernel only")]
#[tokio::test]
async fn a_reader_feature_we_lack_is_refused_by_name(feature: &str) {
    let fields = json!([{"name": "x", "type": "integer", "nullable": true, "metadata": {}}]);
    let refused = [
        features(&[feature], &[feature]),
        metadata("t", &fields, &[], json!({})),
    ];
    let foreign = ForeignTable::new(&refused);
    let error = tables().open(&foreign.location()).await.expect_err("refused");
    let Error::UnsupportedFeature { feature: named, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(named.contains(feature), "{named}");

    let foreign = ForeignTable::partitioned();
    let table = foreign.open().await;
    foreign.commit(1, &[features(&[feature], &[feature])]);
    let error = table.snapshot().await.expect_err("refused");
    assert_eq!(error.kind(), Kind::Unsupported);
}

#[tokio::test]
async fn mapped_columns_are_read_by_their_physical_names() {
    let fields = json!([
        {"name": "id", "type": "long", "nullable": true, "metadata": {
            "delta.columnMapping.id": 1, "delta.columnMapping.physicalName": "col-a"}},
        {"name": "day", "type": "date", "nullable": true, "metadata": {
            "delta.columnMapping.id": 2, "delta.columnMapping.physicalName": "col-b"}},
    ]);
    let configuration = json!({"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "2"});
    let foreign = ForeignTable::new(&[protocol(2, 5), metadata("t", &fields, &["day"], configuration)]);
    let stats = json!({"numRecords": 2, "minValues": {"col-a": 1}, "maxValues": {"col-a": 9}});
    foreign.commit(
        1,
        &[json!({"add": {
            "path": "a", "partitionValues": {"col-b": "2024-01-01"}, "size": 1, "modificationTime": 1,
            "dataChange": true, "stats": stats.to_string(),
        }})],
    );
    let snapshot = foreign.open().await.snapshot().await.expect("snapshot");
    let files = snapshot.files().await.expect("files");
    assert_eq!(
        files.max_values("id").expect("bounds").as_ref(),
        &Int64Array::from(vec![9])
    );
    let days = files.partition_values("day").expect("partition column");
    assert_eq!(days.as_ref(), &Date32Array::from(vec![19_723]));
}

#[tokio::test]
async fn a_new_schema_is_applied_to_files_old_and_new() {
    let foreign = ForeignTable::partitioned();
    let table = foreign.open().await;
    foreign.commit(1, &[add("a", None, 1)]);
    table
        .snapshot()
        .await
        .expect("snapshot")
        .files()
        .await
        .expect("files");
    let fields = json!([
        {"name": "id", "type": "long", "nullable": true, "metadata": {}},
        {"name": "day", "type": "date", "nullable": true, "metadata": {}},
        {"name": "name", "type": "string", "nullable": true, "metadata": {}},
        {"name": "extra", "type": "long", "nullable": true, "metadata": {}},
    ]);
    let stats =
        json!({"numRecords": 1, "minValues": {"id": 2, "extra": 5}, "maxValues": {"id": 2, "extra": 5}});
    let mut file = add("b", None, 2);
    file["add"]["stats"] = json!(stats.to_string());
    foreign.commit(2, &[metadata("table-1", &fields, &["day"], json!({})), file]);
    let snapshot = table.snapshot().await.expect("snapshot");
    let files = snapshot.files().await.expect("files");
    let extra = files.min_values("extra").expect("bounds");
    assert_eq!(extra.as_ref(), &Int64Array::from(vec![None, Some(5)]));
}

#[tokio::test]
async fn a_deletion_vector_replaces_the_file_it_belongs_to() {
    let fields = json!([{"name": "id", "type": "long", "nullable": true, "metadata": {}}]);
    let protocol = features(&["deletionVectors"], &["deletionVectors"]);
    let foreign = ForeignTable::new(&[protocol, metadata("t", &fields, &[], json!({}))]);
    let stats =
        json!({"numRecords": 10, "minValues": {"id": 1}, "maxValues": {"id": 9}, "nullCount": {"id": 0}});
    let plain = json!({"add": {
        "path": "a", "partitionValues": {}, "size": 1, "modificationTime": 1, "dataChange": true,
        "stats": stats.to_string(),
    }});
    let mut marked = plain.clone();
    marked["add"]["deletionVector"] = json!({
        "storageType": "u", "pathOrInlineDv": "ab^-aqEH.-t@S}K{vb[*k^", "offset": 4, "sizeInBytes": 40,
        "cardinality": 6,
    });
    foreign.commit(1, &[plain]);
    let table = foreign.open().await;
    foreign.commit(2, &[remove("a", 1), marked]);
    for snapshot in [
        table.snapshot().await.expect("refreshed"),
        foreign.open().await.snapshot().await.expect("read anew"),
    ] {
        let files = snapshot.files().await.expect("files");
        assert_eq!(files.num_records().values(), &[4]);
        assert_eq!(files.exact_bounds("id").expect("column").true_count(), 0);
    }
}

#[tokio::test]
async fn time_travel_by_version_finds_each_and_names_the_range_otherwise() {
    let foreign = ForeignTable::partitioned();
    for version in 1..=6 {
        foreign.commit(version, &[add(&format!("f{version}"), None, version)]);
    }
    let table = foreign.open().await;
    for version in 0..=6 {
        let snapshot = table
            .snapshot_at(TimeTravel::Version(version))
            .await
            .expect("snapshot");
        assert_eq!(snapshot.version(), version);
        assert_eq!(paths(&snapshot).await.len() as i64, version);
    }
    table.checkpoint().await.expect("checkpoint");
    foreign.remove_commits(0..6);
    for version in [3, 7, -1] {
        let error = foreign
            .open()
            .await
            .snapshot_at(TimeTravel::Version(version))
            .await;
        let error = error.expect_err("out of range");
        let Error::VersionNotFound { earliest, latest, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!((earliest, latest), (6, 6));
    }
}

/// Commit n is made at n * 1000 ms, except for the clock's step back at commit 3.
#[test_case(1_000, Some(1); "the very instant")]
#[test_case(1_999, Some(1); "between two commits")]
#[test_case(2_001, Some(3); "a clock that went back")]
#[test_case(4_000, Some(4); "the newest")]
#[test_case(4_001, None; "after the newest")]
#[test_case(-1, None; "before the first")]
#[tokio::test]
async fn time_travel_by_modification_time(timestamp_ms: i64, expected: Option<i64>) {
    let foreign = ForeignTable::partitioned();
    for version in 1..=4 {
        foreign.commit(version, &[add(&format!("f{version}"), None, version)]);
    }
    for (version, modified_ms) in [(0, 0), (1, 1_000), (2, 2_000), (3, 1_500), (4, 4_000)] {
        foreign.set_modified(version, modified_ms);
    }
    let table = foreign.open().await;
    let found = table.snapshot_at(TimeTravel::Timestamp(timestamp_ms)).await;
    match expected {
        Some(version) => assert_eq!(found.expect("found").version(), version),
        None => {
            let error = found.expect_err("out of range");
            let Error::TimestampNotFound {
                earliest_ms,
                latest_ms,
                ..
            } = error
            else {
                panic!("{error:?}");
            };
            assert_eq!((earliest_ms, latest_ms), (0, 4_000));
        }
    }
}

/// The clock steps back at the newest commit, which therefore counts as one millisecond after the one before.
#[test_case(2_000, Some(2); "the one before it")]
#[test_case(1_500, Some(1); "when its file says that it was made")]
#[test_case(1_700, Some(1); "after what its file says")]
#[test_case(2_001, Some(3); "when it counts as made")]
#[test_case(2_002, None; "after all of them")]
#[tokio::test]
async fn time_travel_beside_a_newest_commit_from_the_past(timestamp_ms: i64, expected: Option<i64>) {
    let foreign = ForeignTable::partitioned();
    for version in 1..=3 {
        foreign.commit(version, &[add(&format!("f{version}"), None, version)]);
    }
    for (version, modified_ms) in [(0, 0), (1, 1_000), (2, 2_000), (3, 1_500)] {
        foreign.set_modified(version, modified_ms);
    }
    let found = foreign
        .open()
        .await
        .snapshot_at(TimeTravel::Timestamp(timestamp_ms))
        .await;
    match expected {
        Some(version) => assert_eq!(found.expect("found").version(), version),
        None => assert!(
            matches!(
                found,
                Err(Error::TimestampNotFound {
                    earliest_ms: 0,
                    latest_ms: 2_001,
                    ..
                })
            ),
            "{found:?}"
        ),
    }
}

#[tokio::test]
async fn a_malformed_commit_is_told_and_the_handle_goes_on_once_it_is_mended() {
    let foreign = ForeignTable::partitioned();
    let table = foreign.open().await;
    let path = foreign.log_file("00000000000000000001.json");
    std::fs::write(&path, "{\"add\":{\"path\":\"a\"}}").expect("commit file");
    let error = table.snapshot().await.expect_err("malformed");
    assert!(matches!(error, Error::CorruptLog { .. }), "{error}");
    assert_eq!(error.kind(), Kind::DataLoss);
    assert!(error.to_string().contains("commit 1"), "{error}");
    foreign.commit(1, &[add("a", None, 1)]);
    assert_eq!(paths(&table.snapshot().await.expect("mended")).await, ["a"]);
}

#[tokio::test]
async fn in_commit_timestamps_win_over_the_file_system() {
    let fields = json!([{"name": "id", "type": "long", "nullable": true, "metadata": {}}]);
    let configuration = json!({"delta.enableInCommitTimestamps": "true"});
    let info =
        |timestamp_ms: i64| json!({"commitInfo": {"inCommitTimestamp": timestamp_ms, "operation": "WRITE"}});
    let foreign = ForeignTable::new(&[
        info(10_000),
        features(&[], &["inCommitTimestamp"]),
        metadata("t", &fields, &[], configuration),
    ]);
    let table = foreign.open().await;
    for version in 1..=4 {
        foreign.commit(version, &[info(10_000 + version * 1_000)]);
        assert_eq!(
            table.snapshot().await.expect("snapshot").timestamp_ms(),
            10_000 + version * 1_000
        );
    }
    let snapshot = table
        .snapshot_at(TimeTravel::Timestamp(12_500))
        .await
        .expect("snapshot");
    assert_eq!((snapshot.version(), snapshot.timestamp_ms()), (2, 12_000));
    let anew = foreign.open().await.snapshot().await.expect("snapshot");
    assert_eq!(anew.timestamp_ms(), 14_000);
}

#[test_case("a/b.parquet", "a/b.parquet"; "plain")]
#[test_case("day=2024-01-01/a%20b%2520.parquet", "day=2024-01-01/a b%20.parquet"; "percent-encoded once")]
#[tokio::test]
async fn file_paths_are_decoded_once(action_path: &str, expected: &str) {
    let foreign = ForeignTable::partitioned();
    let table = foreign.open().await;
    let (_, root) = table.store();
    let path = table.file_path(action_path).expect("path");
    assert_eq!(path.as_ref(), format!("{root}/{expected}"));
    let absolute = foreign.location().join("x.parquet").expect("url");
    assert_eq!(
        table.file_path(absolute.as_str()).expect("path").as_ref(),
        format!("{root}/x.parquet")
    );
    assert!(table.file_path("../other/x.parquet").is_err());
    assert!(table.file_path("s3://elsewhere/x.parquet").is_err());
}
