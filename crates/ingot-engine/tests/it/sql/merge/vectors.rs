//! What MERGE leaves of the target's files, and what it takes of the engine's memory.

use std::sync::Arc;

use ingot_common::TableName;
use ingot_delta::Snapshot;
use ingot_engine::Session;
use test_case::test_case;

use super::super::{open, refused, rows, run};
use crate::support;

async fn snapshot(session: &Session) -> Arc<Snapshot> {
    let name = TableName::parse("main.default.t").expect("name");
    let (_, table) = session.open_table(&name).await.expect("table");
    table.snapshot().await.expect("snapshot")
}

/// Paths of the table's files, and how many rows of each are deleted.
async fn files(session: &Session) -> Vec<(String, i64)> {
    let snapshot = snapshot(session).await;
    let files = snapshot.files().await.expect("files");
    let file = |number| {
        let add = files.add(number);
        let deleted = add
            .deletion_vector
            .as_ref()
            .map_or(0, |vector| vector.cardinality);
        (add.path.clone(), deleted)
    };
    let mut files: Vec<_> = (0..files.len()).map(file).collect();
    files.sort();
    files
}

async fn metrics(session: &Session) -> impl Fn(&str) -> i64 {
    let name = TableName::parse("main.default.t").expect("name");
    let (_, table) = session.open_table(&name).await.expect("table");
    let history = table.history(Some(1)).await.expect("history");
    let metrics = history[0].info.operation_metrics.clone().unwrap_or_default();
    move |name| {
        let value = metrics.get(name).and_then(|value| value.as_str()?.parse().ok());
        value.unwrap_or_else(|| panic!("{name}: {metrics:?}"))
    }
}

#[tokio::test]
async fn a_merge_of_few_rows_writes_no_file_of_the_table_again() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id BIGINT, v STRING) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')",
            "INSERT INTO t SELECT id, 'old' FROM (SELECT unnest(generate_series(0, 99)) AS id)",
            "INSERT INTO t SELECT id, 'old' FROM (SELECT unnest(generate_series(100, 199)) AS id)",
            "INSERT INTO t SELECT id, 'old' FROM (SELECT unnest(generate_series(200, 299)) AS id)",
        ],
    )
    .await;
    let before = files(&session).await;
    let merge =
        "MERGE INTO t USING (VALUES (5, 'u'), (7, 'd'), (150, 'u'), (999, 'i')) AS s(id, v) ON t.id = s.id
        WHEN MATCHED AND s.v = 'd' THEN DELETE WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *";
    assert_eq!(rows(&session, merge).await, ["4|2|1|1"]);
    let after = files(&session).await;
    assert_eq!(after.len(), 4, "one file holds what is new");
    let deleted = |path: &str| {
        after
            .iter()
            .find(|(other, _)| other == path)
            .map(|(_, deleted)| *deleted)
    };
    let mut left: Vec<_> = before.iter().map(|(path, _)| deleted(path)).collect();
    left.sort();
    assert_eq!(left, [Some(0), Some(1), Some(2)]);
    let metric = metrics(&session).await;
    for (name, value) in [
        ("numTargetDeletionVectorsAdded", 2),
        ("numTargetDeletionVectorsUpdated", 0),
        ("numTargetDeletionVectorsRemoved", 0),
        ("numTargetFilesAdded", 1),
        ("numTargetFilesRemoved", 0),
        ("numTargetRowsCopied", 0),
        ("numOutputRows", 3),
    ] {
        assert_eq!(metric(name), value, "{name}");
    }
    // Another one adds to the vectors.
    let merge =
        "MERGE INTO t USING (VALUES (6, 'u')) AS s(id, v) ON t.id = s.id WHEN MATCHED THEN UPDATE SET *";
    run(&session, &[merge]).await;
    let metric = metrics(&session).await;
    assert_eq!(metric("numTargetDeletionVectorsUpdated"), 1);
    assert_eq!(
        rows(&session, "SELECT v, count(*) FROM t GROUP BY v ORDER BY v").await,
        ["i|1", "old|296", "u|3"]
    );
    // Where most rows go, the rest is written anew; where all go, nothing is.
    let merge = "MERGE INTO t USING (SELECT unnest(generate_series(100, 180)) AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE
        WHEN NOT MATCHED BY SOURCE AND t.id >= 200 AND t.id < 300 THEN DELETE";
    assert_eq!(rows(&session, merge).await, ["181|0|181|0"]);
    let metric = metrics(&session).await;
    assert_eq!(metric("numTargetRowsCopied"), 19);
    assert_eq!(metric("numTargetRowsMatchedDeleted"), 81);
    assert_eq!(metric("numTargetRowsNotMatchedBySourceDeleted"), 100);
    assert_eq!(rows(&session, "SELECT count(*) FROM t").await, ["119"]);
}

#[tokio::test]
async fn an_insert_only_merge_takes_nothing_away() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id BIGINT, v STRING) TBLPROPERTIES ('delta.appendOnly' = 'true')",
            "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
        ],
    )
    .await;
    let before = files(&session).await;
    let merge = "MERGE INTO t USING (VALUES (2, 'x'), (3, 'y'), (3, 'z')) AS s(id, v) ON t.id = s.id
        WHEN NOT MATCHED THEN INSERT *";
    assert_eq!(rows(&session, merge).await, ["2|0|0|2"]);
    let after = files(&session).await;
    assert!(
        before.iter().all(|file| after.contains(file)),
        "{before:?} {after:?}"
    );
    assert_eq!(
        rows(&session, "SELECT * FROM t ORDER BY id, v").await,
        ["1|a", "2|b", "3|y", "3|z"]
    );
}

/// Rows whose keys are scattered.
fn scattered(from: i64, to: i64, mark: &str) -> String {
    format!(
        "SELECT id * 7919 % 1000003 AS id, concat(repeat('{mark}', 60), id) AS v FROM
         (SELECT unnest(generate_series({from}, {to})) AS id)"
    )
}

/// The source alone is larger than all of the memory.
#[test_case("WHEN MATCHED THEN UPDATE SET v = concat(t.v, s.v)", "0|100000 1|200000"; "updates")]
#[test_case("WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT *", "0|100000 1|100000"; "deletes and inserts")]
#[test_case("WHEN NOT MATCHED THEN INSERT *", "0|300000 1|100000"; "inserts alone")]
#[test_case("WHEN NOT MATCHED BY SOURCE THEN DELETE", "0|200000"; "rows without a source alone")]
#[test_case(
    "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT * WHEN NOT MATCHED BY SOURCE THEN DELETE",
    "1|300000"; "all of it")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_that_does_not_fit_the_memory_spills(clauses: &str, expected: &str) {
    let directory = tempfile::tempdir().expect("directory");
    let engine = support::engine_within(directory.path(), support::tables(), 20 << 20).await;
    let session = support::session(&engine);
    run(
        &session,
        &[&format!("CREATE TABLE t AS {}", scattered(1, 300_000, "t"))],
    )
    .await;
    let merge = format!(
        "MERGE INTO t USING ({}) s ON t.id = s.id {clauses}",
        scattered(100_001, 400_000, "s")
    );
    run(&session, &[&merge]).await;
    let marks = "SELECT mark, count(*) FROM (SELECT CASE WHEN v LIKE '%s%' THEN 1 ELSE 0 END AS mark FROM t)
        GROUP BY mark ORDER BY mark";
    let expected: Vec<&str> = expected.split(' ').collect();
    assert_eq!(rows(&session, marks).await, expected);
    assert_eq!(
        rows(&session, "SELECT count(*) - count(DISTINCT id) FROM t").await,
        ["0"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_the_ends_of_a_large_source_would_both_change_is_refused() {
    let directory = tempfile::tempdir().expect("directory");
    let engine = support::engine_within(directory.path(), support::tables(), 20 << 20).await;
    let session = support::session(&engine);
    run(&session, &["CREATE TABLE t AS SELECT 7919 AS id, 'old' AS v"]).await;
    let source = format!(
        "{} UNION ALL {}",
        scattered(1, 150_000, "a"),
        scattered(1, 1, "b")
    );
    let update =
        format!("MERGE INTO t USING ({source}) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = s.v");
    assert_eq!(
        refused(&session, &update).await,
        "DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE"
    );
    assert_eq!(rows(&session, "SELECT v FROM t").await, ["old"]);
    let delete = format!("MERGE INTO t USING ({source}) s ON t.id = s.id WHEN MATCHED THEN DELETE");
    assert_eq!(rows(&session, &delete).await, ["1|0|1|0"]);
}
