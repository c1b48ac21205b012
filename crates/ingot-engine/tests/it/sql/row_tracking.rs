//! Row tracking: rows keep their ids, and their commit versions while they stay as they are, wherever they move.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use ingot_delta::{Add, DeltaTable, Snapshot};
use ingot_engine::{Engine, Session};
use object_store::ObjectStoreExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use test_case::test_case;

use super::{open, rows, run};
use crate::support;

const ROW_ID: &str = "delta.rowTracking.materializedRowIdColumnName";
const VERSION: &str = "delta.rowTracking.materializedRowCommitVersionColumnName";

/// Row id and commit version of each row, by the row's key, which is the first column. Read from the files by the
/// protocol's rules, past everything that is tested.
type Ids = BTreeMap<i32, (i64, i64)>;

async fn ids(engine: &Engine, table: &str) -> Ids {
    let location = support::location(engine, table).await;
    let table = engine.tables().open(&location).await.expect("table");
    let snapshot = table.snapshot().await.expect("snapshot");
    let index = snapshot.files().await.expect("files");
    let mut ids = Ids::new();
    let mut seen = BTreeSet::new();
    for file in 0..index.len() {
        for (key, id, version) in file_ids(&table, &snapshot, &index.add(file)).await {
            assert!(seen.insert(id), "id {id} is there twice");
            ids.insert(key, (id, version));
        }
    }
    let watermark = snapshot
        .domain_metadata("delta.rowTracking")
        .expect("a watermark");
    let watermark: serde_json::Value = serde_json::from_str(watermark).expect("json");
    let highest = watermark["rowIdHighWaterMark"].as_i64().expect("a number");
    assert!(seen.last().is_none_or(|id| *id <= highest), "{seen:?} {highest}");
    ids
}

async fn file_ids(table: &DeltaTable, snapshot: &Snapshot, add: &Add) -> Vec<(i32, i64, i64)> {
    let deleted = match &add.deletion_vector {
        Some(vector) => Some(table.deletion_vector(vector).await.expect("vector")),
        None => None,
    };
    let (base, default_version) = (
        add.base_row_id.expect("every file has a first id"),
        add.default_row_commit_version.expect("and a version"),
    );
    let (store, _) = table.store();
    let path = table.file_path(&add.path).expect("path");
    let bytes = store
        .get(&path)
        .await
        .expect("file")
        .bytes()
        .await
        .expect("bytes");
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("parquet");
    let hidden = |batch: &RecordBatch, property: &str, row: usize| {
        let column = batch.column_by_name(&snapshot.properties()[property])?;
        let column = column.as_primitive::<Int64Type>();
        column.is_valid(row).then(|| column.value(row))
    };
    let mut ids = Vec::new();
    let mut position = 0_i64;
    for batch in reader.build().expect("reader") {
        let batch = batch.expect("batch");
        let keys = batch.column(0).as_primitive::<Int32Type>();
        for row in 0..batch.num_rows() {
            let gone = deleted.as_ref();
            if !gone.is_some_and(|gone| gone.contains(position.unsigned_abs())) {
                let id = hidden(&batch, ROW_ID, row).unwrap_or(base + position);
                let version = hidden(&batch, VERSION, row).unwrap_or(default_version);
                ids.push((keys.value(row), id, version));
            }
            position += 1;
        }
    }
    ids
}

async fn version(session: &Session, table: &str) -> i64 {
    let history = rows(
        session,
        &format!("SELECT max(version) FROM (DESCRIBE HISTORY {table})"),
    )
    .await;
    history[0].parse().expect("a version")
}

/// Ten rows in two files, and what becomes of them: keys that change and get the statement's version, keys that go,
/// keys that come. All others keep both id and version.
#[test_case("UPDATE t SET v = 'u' WHERE k IN (1, 7)", &[1, 7], &[], &[]; "update")]
#[test_case("UPDATE t SET v = 'u'", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], &[], &[]; "update of all")]
#[test_case("DELETE FROM t WHERE k = 3", &[], &[3], &[]; "delete")]
#[test_case("DELETE FROM t WHERE k <= 3", &[], &[0, 1, 2, 3], &[]; "delete of most of a file")]
#[test_case("OPTIMIZE t", &[], &[], &[]; "optimize")]
#[test_case("OPTIMIZE t ZORDER BY (k, v)", &[], &[], &[]; "z-order")]
#[test_case("REORG TABLE t APPLY (PURGE)", &[], &[], &[]; "purge")]
#[test_case("INSERT INTO t REPLACE WHERE k = 2 VALUES (2, 'p', 'new')", &[], &[], &[2]; "replace where")]
#[test_case("MERGE INTO t USING (SELECT * FROM VALUES (1, 'p', 'm'), (8, 'q', 'd'), (42, 'p', 'i') AS s(k, p, v)) s \
    ON t.k = s.k WHEN MATCHED AND s.v = 'd' THEN DELETE WHEN MATCHED THEN UPDATE SET v = s.v \
    WHEN NOT MATCHED THEN INSERT * WHEN NOT MATCHED BY SOURCE AND t.k = 5 THEN UPDATE SET v = 'o'",
    &[1, 5], &[8], &[42]; "merge")]
#[tokio::test]
async fn rows_keep_their_ids(statement: &str, changed: &[i32], gone: &[i32], come: &[i32]) {
    for properties in [
        "'delta.enableDeletionVectors' = 'true'",
        "'delta.enableDeletionVectors' = 'false'",
        "'delta.enableDeletionVectors' = 'true', 'delta.enableChangeDataFeed' = 'true'",
        "'delta.enableDeletionVectors' = 'false', 'delta.columnMapping.mode' = 'name'",
        "'delta.enableDeletionVectors' = 'true', 'delta.columnMapping.mode' = 'id'",
    ] {
        for clause in ["", "PARTITIONED BY (p)"] {
            let (_directory, engine, session) = open().await;
            let create = format!(
                "CREATE TABLE t (k INT, p STRING, v STRING) {clause} \
                 TBLPROPERTIES ('delta.enableRowTracking' = 'true', {properties})"
            );
            let first = "INSERT INTO t SELECT k, 'p', 'a' FROM (VALUES (0), (1), (2), (3), (4)) AS r(k)";
            let second = "INSERT INTO t SELECT k, 'q', 'a' FROM (VALUES (5), (6), (7), (8), (9)) AS r(k)";
            // Rows that have moved before move on with what they have.
            let moved = "UPDATE t SET v = 'before' WHERE k IN (4, 9)";
            run(&session, &[&create, first, second, moved]).await;
            let before = ids(&engine, "t").await;
            run(&session, &[statement]).await;
            let after = ids(&engine, "t").await;
            let now = version(&session, "t").await;
            let context = format!("{properties} {clause}: {before:?} {after:?}");
            let mut expected = before.clone();
            expected.retain(|key, _| !gone.contains(key) && !come.contains(key));
            for key in changed {
                if let Some((_, version)) = expected.get_mut(key) {
                    *version = now;
                }
            }
            for key in come {
                let (id, version) = after[key];
                assert!(before.values().all(|(other, _)| *other != id), "{context}");
                assert_eq!(version, now, "{context}");
                expected.insert(*key, (id, version));
            }
            assert_eq!(after, expected, "{context}");
            run(&session, &["OPTIMIZE t"]).await;
            assert_eq!(ids(&engine, "t").await, expected, "{context}, then packed");
        }
    }
}

#[tokio::test]
async fn a_merge_records_what_changed_although_files_of_changes_have_no_ids() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (k INT, v STRING) TBLPROPERTIES ('delta.enableRowTracking' = 'true', \
             'delta.enableChangeDataFeed' = 'true')",
            "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')",
            "MERGE INTO t USING (SELECT * FROM VALUES (1, 'm'), (2, 'd'), (4, 'i') AS s(k, v)) s ON t.k = s.k \
             WHEN MATCHED AND s.v = 'd' THEN DELETE WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *",
        ],
    )
    .await;
    assert_eq!(
        rows(
            &session,
            "SELECT k, v, _change_type FROM table_changes('t', 2) ORDER BY k, _change_type"
        )
        .await,
        [
            "1|m|update_postimage",
            "1|a|update_preimage",
            "2|b|delete",
            "4|i|insert"
        ]
    );
}

#[tokio::test]
async fn rows_that_were_there_before_it_was_enabled_have_ids_from_then_on() {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (k INT, v STRING)",
            "INSERT INTO t VALUES (0, 'a'), (1, 'b')",
            "INSERT INTO t VALUES (2, 'c')",
            "ALTER TABLE t SET TBLPROPERTIES ('delta.enableRowTracking' = 'true')",
        ],
    )
    .await;
    let before = ids(&engine, "t").await;
    assert!(before.values().all(|(_, version)| *version == 4), "{before:?}");
    let history = "SELECT version, operation FROM (DESCRIBE HISTORY t) WHERE version > 2 ORDER BY version";
    assert_eq!(
        rows(&session, history).await,
        [
            "3|UPGRADE PROTOCOL",
            "4|ROW TRACKING BACKFILL",
            "5|SET TBLPROPERTIES"
        ]
    );
    run(&session, &["UPDATE t SET v = 'u' WHERE k = 1", "OPTIMIZE t"]).await;
    let after = ids(&engine, "t").await;
    let only_ids = |ids: &Ids| -> Vec<i64> { ids.values().map(|(id, _)| *id).collect() };
    assert_eq!(only_ids(&after), only_ids(&before));
    assert_eq!(after[&1].1, 6);
    assert_eq!((after[&0].1, after[&2].1), (4, 4));
}

#[tokio::test]
async fn a_clone_gives_ids_of_its_own() {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (k INT, v STRING) TBLPROPERTIES ('delta.enableRowTracking' = 'true')",
            "INSERT INTO t VALUES (0, 'a'), (1, 'b')",
            "INSERT INTO t VALUES (2, 'c')",
            "OPTIMIZE t",
            "INSERT INTO t VALUES (3, 'd')",
            "CREATE TABLE c SHALLOW CLONE t",
            "INSERT INTO c VALUES (4, 'e')",
            "UPDATE c SET v = 'u' WHERE k = 2",
        ],
    )
    .await;
    let of_clone = ids(&engine, "c").await;
    assert_eq!(of_clone.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(ids(&engine, "t").await.len(), 4);
}

#[tokio::test]
async fn ids_stay_when_files_are_written_anew_for_a_feature_that_goes() {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (k INT, v STRING) TBLPROPERTIES ('delta.enableRowTracking' = 'true', \
             'delta.columnMapping.mode' = 'name')",
            "INSERT INTO t VALUES (0, 'a'), (1, 'b'), (2, 'c')",
            "DELETE FROM t WHERE k = 0",
        ],
    )
    .await;
    let before = ids(&engine, "t").await;
    run(
        &session,
        &[
            "ALTER TABLE t DROP FEATURE columnMapping",
            "ALTER TABLE t DROP FEATURE deletionVectors",
        ],
    )
    .await;
    assert_eq!(ids(&engine, "t").await, before);
    let location = support::location(&engine, "t").await;
    let table: Arc<DeltaTable> = engine.tables().open(&location).await.expect("table");
    let history = table.history(Some(1)).await.expect("history");
    assert_eq!(history[0].info.operation.as_deref(), Some("DROP FEATURE"));
}
