//! RESTORE: an older version becomes the newest.

use std::time::Duration;

use ingot_common::clock;
use ingot_engine::Session;
use test_case::test_case;

use super::{names, open, refused, rows, run};
use crate::hooked_store::HookedStore;
use crate::support;

async fn versions_of_rows(session: &Session) {
    run(
        session,
        &[
            "CREATE TABLE t (a INT)",
            "INSERT INTO t VALUES (1), (2)",
            "INSERT INTO t VALUES (3)",
            "MERGE INTO t USING (SELECT 1 AS k) s ON t.a = s.k WHEN MATCHED THEN DELETE",
            "INSERT OVERWRITE t VALUES (9)",
        ],
    )
    .await;
}

#[tokio::test]
async fn rows_are_those_of_the_version() {
    let (_directory, _, session) = open().await;
    versions_of_rows(&session).await;
    for version in [3, 1, 2, 0, 4] {
        let before = rows(
            &session,
            &format!("SELECT a FROM t VERSION AS OF {version} ORDER BY a"),
        )
        .await;
        let result = rows(&session, &format!("RESTORE TABLE t TO VERSION AS OF {version}")).await;
        assert_eq!(
            rows(&session, "SELECT a FROM t ORDER BY a").await,
            before,
            "version {version}"
        );
        let files = rows(&session, "DESCRIBE DETAIL t").await;
        assert_eq!(
            result[0].split('|').nth(1),
            files[0].split('|').nth(9),
            "version {version}"
        );
    }
    assert_eq!(
        names(&session, "RESTORE t TO VERSION AS OF 1").await,
        [
            "table_size_after_restore",
            "num_of_files_after_restore",
            "num_removed_files",
            "num_restored_files",
            "removed_files_size",
            "restored_files_size",
        ]
    );
    let history = rows(&session, "DESCRIBE HISTORY t LIMIT 1").await;
    assert!(history[0].contains("|RESTORE|{version: 1}|"), "{history:?}");
    assert!(history[0].contains("numRestoredFiles: 1"), "{history:?}");
}

#[tokio::test]
async fn schema_and_properties_go_back_with_the_rows() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (a INT) TBLPROPERTIES ('mine' = 'old')",
            "INSERT INTO t VALUES (1)",
            "CREATE OR REPLACE TABLE t (b STRING, c INT) TBLPROPERTIES ('mine' = 'new') AS SELECT 'x', 2",
            "RESTORE TABLE t TO VERSION AS OF 1",
        ],
    )
    .await;
    assert_eq!(rows(&session, "SELECT * FROM t").await, ["1"]);
    assert_eq!(rows(&session, "SHOW COLUMNS IN t").await, ["a"]);
    let detail = rows(&session, "DESCRIBE DETAIL t").await;
    assert!(detail[0].contains("mine: old"), "{detail:?}");
    assert_eq!(rows(&session, "SELECT c FROM t VERSION AS OF 2").await, ["2"]);
}

#[tokio::test]
async fn instants_are_understood() {
    let (_directory, _, session) = open().await;
    rows(&session, "CREATE TABLE t (a INT)").await;
    for day in 1..4 {
        let by = Duration::from_secs(day * 24 * 60 * 60);
        clock::later(by, rows(&session, &format!("INSERT INTO t VALUES ({day})"))).await;
    }
    rows(
        &session,
        "RESTORE TABLE t TO TIMESTAMP AS OF current_timestamp() + INTERVAL 36 HOURS",
    )
    .await;
    assert_eq!(rows(&session, "SELECT a FROM t").await, ["1"]);
    for (point, condition) in [
        (
            "TIMESTAMP AS OF '2001-01-01'",
            "DELTA_CANNOT_RESTORE_TIMESTAMP_EARLIER",
        ),
        (
            "TIMESTAMP AS OF '2101-01-01'",
            "DELTA_CANNOT_RESTORE_TIMESTAMP_GREATER",
        ),
        ("VERSION AS OF 99", "DELTA_CANNOT_RESTORE_TABLE_VERSION"),
        ("VERSION AS OF 4", "DELTA_CANNOT_RESTORE_TABLE_VERSION"),
        ("VERSION 4", "PARSE_SYNTAX_ERROR"),
    ] {
        assert_eq!(
            refused(&session, &format!("RESTORE TABLE t TO {point}")).await,
            condition,
            "{point}"
        );
    }
}

#[tokio::test]
async fn files_that_are_gone_are_missed_before_anything_changes() {
    let (_directory, engine, session) = open().await;
    versions_of_rows(&session).await;
    let root = support::location(&engine, "t")
        .await
        .to_file_path()
        .expect("local");
    let gone = std::fs::read_dir(&root)
        .expect("folder")
        .map(|entry| entry.expect("entry").path());
    let live = rows(&session, "EXPLAIN SELECT * FROM t").await.join("\n");
    for path in gone.filter(|path| path.extension().is_some_and(|end| end == "parquet")) {
        let name = path.file_name().expect("name").to_string_lossy().into_owned();
        if !live.contains(&name) {
            std::fs::remove_file(path).expect("removed");
        }
    }
    let condition = refused(&session, "RESTORE TABLE t TO VERSION AS OF 2").await;
    assert_eq!(condition, "DELTA_FILE_NOT_FOUND_DETAILED");
    assert_eq!(rows(&session, "SELECT a FROM t").await, ["9"]);
    assert_eq!(rows(&session, "DESCRIBE HISTORY t").await.len(), 5);
}

#[test_case("INSERT INTO t VALUES (5)"; "append")]
#[test_case("INSERT OVERWRITE t VALUES (6)"; "overwrite")]
#[test_case("OPTIMIZE t"; "optimize")]
#[tokio::test]
async fn a_restore_that_loses_a_race_still_gives_the_version(winner: &'static str) {
    let directory = tempfile::tempdir().expect("directory");
    let (store, tables) = HookedStore::open(&directory.path().join("tables"));
    let ours = support::session(&support::engine_over(directory.path(), tables).await);
    let theirs = support::session(&support::engine(directory.path()).await);
    versions_of_rows(&ours).await;
    run(&ours, &["INSERT INTO t VALUES (10)"]).await;
    store.before_commit(6, async move {
        rows(&theirs, winner).await;
    });
    run(&ours, &["RESTORE TABLE t TO VERSION AS OF 2"]).await;
    assert!(store.exhausted(), "the race took place");
    assert_eq!(rows(&ours, "SELECT a FROM t ORDER BY a").await, ["1", "2", "3"]);
}
