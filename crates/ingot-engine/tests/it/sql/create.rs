//! CREATE TABLE: all of it or nothing, once.

use arrow::array::RecordBatch;
use tokio::task::JoinSet;

use super::{names, new_session, open, refused, rows, run, try_rows};

#[tokio::test]
async fn a_table_made_by_a_query_begins_with_its_rows() {
    let (_directory, _, session) = open().await;
    let made = rows(&session, "CREATE TABLE t AS SELECT 1 AS a UNION ALL SELECT 2").await;
    assert_eq!(made, ["2|2"]);
    assert_eq!(
        rows(&session, "SELECT count(*) FROM t VERSION AS OF 0").await,
        ["2"]
    );
    let history = rows(&session, "DESCRIBE HISTORY t").await;
    assert_eq!(history.len(), 1);
    assert!(history[0].contains("CREATE TABLE AS SELECT"), "{history:?}");
}

#[tokio::test]
async fn a_query_that_fails_leaves_no_table() {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &["CREATE TABLE n (a STRING)", "INSERT INTO n VALUES ('x')"],
    )
    .await;
    let condition = refused(&session, "CREATE TABLE t AS SELECT CAST(a AS INT) AS a FROM n").await;
    assert_eq!(condition, "CAST_INVALID_INPUT");
    assert_eq!(
        refused(&session, "SELECT * FROM t").await,
        "TABLE_OR_VIEW_NOT_FOUND"
    );
    // Its files go with the next purge, and its name is free at once.
    assert_eq!(engine.purge_dropped().await.expect("purged"), 1);
    run(&session, &["CREATE TABLE t AS SELECT 1 AS a"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_creators_at_once_one_fills_the_table() {
    let (_directory, engine, session) = open().await;
    let mut creators = JoinSet::new();
    for _ in 0..4 {
        let session = new_session(&engine);
        creators.spawn(async move {
            try_rows(&session, "CREATE TABLE IF NOT EXISTS t AS SELECT 1 AS a")
                .await
                .map(|rows| rows.len())
        });
    }
    let mut filled = 0;
    for outcome in creators.join_all().await {
        filled += outcome.expect("made or found");
    }
    assert_eq!(filled, 1);
    assert_eq!(rows(&session, "SELECT count(*) FROM t").await, ["1"]);
}

#[tokio::test]
async fn a_replaced_table_keeps_its_id_and_history() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (a INT) COMMENT 'old'",
            "INSERT INTO t VALUES (1), (2)",
            "CREATE OR REPLACE TABLE t COMMENT 'new' AS SELECT a, a * 10 AS b FROM t WHERE a > 1",
        ],
    )
    .await;
    assert_eq!(rows(&session, "SELECT * FROM t").await, ["2|20"]);
    assert_eq!(
        rows(&session, "SELECT * FROM t VERSION AS OF 1 ORDER BY a").await,
        ["1", "2"]
    );
    assert_eq!(rows(&session, "DESCRIBE HISTORY t").await.len(), 3);
    let described = rows(&session, "DESCRIBE EXTENDED t").await;
    assert!(
        described.iter().any(|line| line.starts_with("Comment|new")),
        "{described:?}"
    );
    let ids = |version: &str| format!("SELECT count(*) FROM t {version}");
    assert_eq!(rows(&session, &ids("")).await, ["1"]);
    // Without a query: empty, with the new columns, partitioned anew.
    run(
        &session,
        &["CREATE OR REPLACE TABLE t (x STRING, p INT) PARTITIONED BY (p)"],
    )
    .await;
    assert_eq!(names(&session, "SELECT * FROM t").await, ["x", "p"]);
    run(&session, &["INSERT INTO t VALUES ('v', 1)"]).await;
    assert_eq!(rows(&session, "SELECT * FROM t").await, ["v|1"]);
    assert_eq!(rows(&session, "SELECT a FROM t@v1 ORDER BY a").await, ["1", "2"]);
}

#[tokio::test]
async fn a_replacement_that_fails_changes_nothing() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t AS SELECT 'x' AS a",
            "CREATE VIEW v AS SELECT 1 AS one",
        ],
    )
    .await;
    for statement in [
        "CREATE OR REPLACE TABLE t AS SELECT CAST(a AS INT) AS a FROM t",
        "CREATE OR REPLACE TABLE t",
        "CREATE OR REPLACE TABLE t AS SELECT * FROM nowhere",
        "CREATE OR REPLACE TABLE v AS SELECT 2 AS two",
    ] {
        refused(&session, statement).await;
    }
    assert_eq!(rows(&session, "SELECT a FROM t").await, ["x"]);
    assert_eq!(rows(&session, "SELECT * FROM v").await, ["1"]);
    assert_eq!(rows(&session, "DESCRIBE HISTORY t").await.len(), 1);
}

#[tokio::test]
async fn replacing_what_is_not_there_makes_it() {
    let (_directory, _, session) = open().await;
    run(&session, &["CREATE OR REPLACE TABLE t AS SELECT 1 AS a"]).await;
    assert_eq!(rows(&session, "SELECT a FROM t").await, ["1"]);
    let condition = refused(&session, "CREATE OR REPLACE TABLE IF NOT EXISTS t (a INT)").await;
    assert_eq!(condition, "PARSE_SYNTAX_ERROR");
}

#[tokio::test]
async fn rows_never_go_where_something_is() {
    let (directory, _, session) = open().await;
    let place = directory.path().join("outside");
    let location = place.display();
    run(
        &session,
        &[
            &format!("CREATE TABLE one LOCATION '{location}' AS SELECT 1 AS a"),
            "DROP TABLE one",
        ],
    )
    .await;
    let again = format!("CREATE TABLE two LOCATION '{location}' AS SELECT 2 AS a");
    assert_eq!(
        refused(&session, &again).await,
        "DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION"
    );
    run(&session, &[&format!("CREATE TABLE two LOCATION '{location}'")]).await;
    assert_eq!(rows(&session, "SELECT a FROM two").await, ["1"]);
    let other = directory.path().join("other");
    std::fs::create_dir_all(&other).expect("folder");
    std::fs::write(other.join("notes.txt"), "mine").expect("file");
    let over = format!("CREATE TABLE three (a INT) LOCATION '{}'", other.display());
    assert_eq!(
        refused(&session, &over).await,
        "DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION"
    );
}

#[tokio::test]
async fn a_dropped_table_is_read_to_the_end() {
    use futures::TryStreamExt;
    let (_directory, engine, session) = open().await;
    run(&session, &["CREATE TABLE t AS SELECT 1 AS a UNION ALL SELECT 2"]).await;
    let reading = session.execute("SELECT * FROM t").await.expect("planned");
    run(&session, &["DROP TABLE t"]).await;
    assert_eq!(engine.purge_dropped().await.expect("purged"), 0);
    let read: Vec<RecordBatch> = reading.batches.try_collect().await.expect("read");
    assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
    let purged = engine.purge_dropped_before(std::time::Duration::ZERO).await;
    assert_eq!(purged.expect("purged"), 1);
}

#[tokio::test]
async fn fields_of_structs_keep_their_comments() {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id INT, s STRUCT<a: INT COMMENT 'first', l: ARRAY<STRUCT<x: INT COMMENT 'inside'>>>)",
            "ALTER TABLE t ALTER COLUMN s.a COMMENT 'second'",
        ],
    )
    .await;
    let location = crate::support::location(&engine, "t").await;
    let table = engine.tables().open(&location).await.expect("opened");
    let snapshot = table.snapshot().await.expect("snapshot");
    let schema: serde_json::Value =
        serde_json::from_str(&snapshot.metadata().schema_string).expect("a schema");
    let fields = &schema["fields"][1]["type"]["fields"];
    assert_eq!(fields[0]["metadata"]["comment"], "second");
    let inside = &fields[1]["type"]["elementType"]["fields"][0];
    assert_eq!(inside["metadata"]["comment"], "inside");
}
