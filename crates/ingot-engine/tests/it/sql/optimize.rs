//! OPTIMIZE and REORG: the same rows, better laid out, whatever others do meanwhile.

use ingot_engine::{Engine, Session};
use tempfile::TempDir;
use test_case::test_case;

use super::{open, refused, rows, run};
use crate::hooked_store::HookedStore;
use crate::support;

/// Makes a table of `files` files of one row each.
async fn small_files(session: &Session, files: usize) {
    run(session, &["CREATE TABLE t (a INT, p STRING) PARTITIONED BY (p)"]).await;
    for a in 0..files {
        let p = ["x", "y"][a % 2];
        run(session, &[&format!("INSERT INTO t VALUES ({a}, '{p}')")]).await;
    }
}

async fn files(session: &Session) -> String {
    let detail = rows(session, "DESCRIBE DETAIL t").await;
    detail[0].split('|').nth(9).expect("numFiles").to_owned()
}

async fn values(session: &Session) -> String {
    let values = rows(session, "SELECT a FROM t ORDER BY a").await;
    values.join(" ")
}

/// Returns version, operation and parameters of the newest commit.
async fn newest(session: &Session) -> String {
    let history = rows(session, "DESCRIBE HISTORY t LIMIT 1").await;
    let columns: Vec<&str> = history[0].split('|').collect();
    [columns[0], columns[4], columns[5]].join("|")
}

#[tokio::test]
async fn small_files_of_a_partition_become_one() {
    let (_directory, _, session) = open().await;
    small_files(&session, 6).await;
    let result = rows(&session, "OPTIMIZE t").await;
    assert!(
        result[0].contains("numFilesAdded: 2, numFilesRemoved: 6")
            && result[0].contains("partitionsOptimized: 2"),
        "{result:?}"
    );
    assert_eq!(files(&session).await, "2");
    assert_eq!(values(&session).await, "0 1 2 3 4 5");
    assert_eq!(
        newest(&session).await,
        r#"7|OPTIMIZE|{auto: false, clusterBy: [], predicate: [], zOrderBy: []}"#
    );
    let again = rows(&session, "OPTIMIZE t").await;
    assert!(
        again[0].contains("numFilesAdded: 0, numFilesRemoved: 0"),
        "{again:?}"
    );
    assert!(
        newest(&session).await.starts_with("7|"),
        "nothing to do commits nothing"
    );
    assert_eq!(
        rows(&session, "SELECT count(*) FROM t VERSION AS OF 6").await,
        ["6"]
    );
}

#[tokio::test]
async fn a_condition_chooses_partitions() {
    let (_directory, _, session) = open().await;
    small_files(&session, 6).await;
    run(&session, &["OPTIMIZE t WHERE P = 'x' OR p IS NULL"]).await;
    assert_eq!(files(&session).await, "4");
    assert_eq!(values(&session).await, "0 1 2 3 4 5");
    assert!(
        newest(&session)
            .await
            .contains(r#"predicate: ["P = 'x' OR p IS NULL"]"#),
        "{}",
        newest(&session).await
    );
    for (condition, expected) in [
        ("a = 1", "DELTA_NON_PARTITION_COLUMN_REFERENCE"),
        ("'x'", "DATATYPE_MISMATCH.FILTER_NOT_BOOLEAN"),
        ("concat(p, 'y')", "DATATYPE_MISMATCH.FILTER_NOT_BOOLEAN"),
        ("nothing = 1", "UNRESOLVED_COLUMN.WITHOUT_SUGGESTION"),
        (
            "p IN (SELECT p FROM t)",
            "DELTA_UNSUPPORTED_SUBQUERY_IN_PARTITION_PREDICATES",
        ),
    ] {
        assert_eq!(
            refused(&session, &format!("OPTIMIZE t WHERE {condition}")).await,
            expected
        );
    }
    assert_eq!(
        refused(&session, "OPTIMIZE nothing").await,
        "TABLE_OR_VIEW_NOT_FOUND"
    );
    assert_eq!(refused(&session, "OPTIMIZE t WHERE").await, "PARSE_SYNTAX_ERROR");
    assert_eq!(
        refused(&session, "REORG TABLE t APPLY (UPGRADE)").await,
        "UNSUPPORTED_FEATURE"
    );
}

#[tokio::test]
async fn files_are_as_large_as_asked_and_statistics_tight() {
    let (_directory, _, session) = open().await;
    small_files(&session, 12).await;
    run(
        &session,
        &["SET spark.databricks.delta.optimize.maxFileSize = 1000"],
    )
    .await;
    run(&session, &["OPTIMIZE t"]).await;
    let written: usize = files(&session).await.parse().expect("number");
    assert!((4..12).contains(&written), "{written} files");
    assert_eq!(values(&session).await, "0 1 2 3 4 5 6 7 8 9 10 11");
    let plan = rows(&session, "EXPLAIN SELECT * FROM t WHERE a = 11")
        .await
        .join("\n");
    assert!(
        plan.contains("files=1,"),
        "bounds rule all other files out: {plan}"
    );
}

/// Two engines over one folder; the second's work happens before the first commits.
struct Race {
    _directory: TempDir,
    store: HookedStore,
    _ours: Engine,
    ours: Session,
    theirs: Engine,
}

async fn race() -> Race {
    let directory = tempfile::tempdir().expect("directory");
    let (store, tables) = HookedStore::open(&directory.path().join("tables"));
    let engine = support::engine_over(directory.path(), tables).await;
    let theirs = support::engine(directory.path()).await;
    Race {
        ours: support::session(&engine),
        _ours: engine,
        theirs,
        store,
        _directory: directory,
    }
}

const INSERT: &str = "INSERT INTO t VALUES (9, 'x')";
const DELETE: &str = "MERGE INTO t USING (SELECT 0 AS k) s ON t.a = s.k WHEN MATCHED THEN DELETE";
const UPDATE: &str = "MERGE INTO t USING (SELECT 0 AS k) s ON t.a = s.k WHEN MATCHED THEN UPDATE SET a = 7";
const OVERWRITE: &str = "INSERT OVERWRITE t SELECT 8, 'x'";

#[test_case("WriteSerializable", INSERT, "0 1 2 3 4 5 9", "3"; "append")]
#[test_case("Serializable", INSERT, "0 1 2 3 4 5 9", "3"; "append under serializable")]
#[test_case("WriteSerializable", DELETE, "1 2 3 4 5", "2"; "delete")]
#[test_case("Serializable", DELETE, "1 2 3 4 5", "2"; "delete under serializable")]
#[test_case("WriteSerializable", UPDATE, "1 2 3 4 5 7", "2"; "update")]
#[test_case("WriteSerializable", OVERWRITE, "8", "1"; "overwrite")]
#[test_case("WriteSerializable", "OPTIMIZE t", "0 1 2 3 4 5", "2"; "optimize")]
#[test_case("Serializable", "OPTIMIZE t WHERE p = 'x'", "0 1 2 3 4 5", "2"; "optimize of a part")]
#[tokio::test]
async fn a_lost_race_neither_doubles_nor_resurrects_rows(
    level: &str,
    winner: &str,
    expected: &str,
    left: &str,
) {
    let race = race().await;
    small_files(&race.ours, 6).await;
    let table = support::location(&race.theirs, "t").await;
    // Set through the log: the property belongs to another statement.
    support::set_property(&race.theirs, &table, "delta.isolationLevel", level).await;
    let theirs = support::session(&race.theirs);
    let winner = winner.to_owned();
    race.store.before_commit(8, async move {
        rows(&theirs, &winner).await;
    });
    run(&race.ours, &["OPTIMIZE t"]).await;
    assert!(race.store.exhausted(), "the race took place");
    assert_eq!(values(&race.ours).await, expected);
    assert_eq!(files(&race.ours).await, left);
}

#[test_case(INSERT, true, "0 1 2 3 4 5 9"; "append goes through")]
#[test_case(DELETE, true, "1 2 3 4 5"; "delete starts over")]
#[test_case(OVERWRITE, true, "8"; "overwrite starts over")]
#[tokio::test]
async fn a_writer_that_loses_to_optimize_is_right_all_the_same(
    loser: &str,
    goes_through: bool,
    expected: &str,
) {
    let race = race().await;
    small_files(&race.ours, 6).await;
    let theirs = support::session(&race.theirs);
    race.store.before_commit(7, async move {
        rows(&theirs, "OPTIMIZE t").await;
    });
    assert_eq!(super::try_rows(&race.ours, loser).await.is_ok(), goes_through);
    assert!(race.store.exhausted(), "the race took place");
    assert_eq!(values(&race.ours).await, expected);
}
