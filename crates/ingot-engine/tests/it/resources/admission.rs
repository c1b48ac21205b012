//! Slots: who takes one, who waits, who does not.

use std::time::Duration;

use futures::{FutureExt, TryStreamExt};
use ingot_common::{Classify, Kind};
use ingot_engine::StatementLimits;
use test_case::test_case;

use super::{begun, limited, request};
use crate::sql::{refused, rows, run, try_rows};
use crate::support;

/// Many rows in few bytes: nobody reads them all.
const LONG: &str = "SELECT id FROM range(1000000000000)";

fn one_slot() -> StatementLimits {
    StatementLimits {
        running_max: 1,
        ..StatementLimits::default()
    }
}

/// One that would wait is refused.
fn without_a_queue() -> StatementLimits {
    StatementLimits {
        queued_max: 0,
        ..one_slot()
    }
}

#[tokio::test]
async fn a_slot_is_held_until_the_rows_are_dropped() {
    let (_directory, engine, session) = limited(one_slot()).await;
    let mut long = session.execute(LONG).await.expect("rows");
    begun(&mut long).await;
    assert_eq!(engine.statements(), (1, 0));
    let another = support::session(&engine);
    let mut waiting = Box::pin(rows(&another, "SELECT count(*) FROM range(10)"));
    assert!(waiting.as_mut().now_or_never().is_none());
    assert_eq!(engine.statements(), (1, 1));
    drop(long);
    assert_eq!(waiting.await, ["10"]);
    assert_eq!(engine.statements(), (0, 0));
}

#[tokio::test]
async fn a_slot_is_free_with_the_last_batch_or_an_error() {
    let (_directory, engine, session) = limited(one_slot()).await;
    let mut short = session.execute("SELECT id FROM range(3)").await.expect("rows");
    while short.batches.try_next().await.expect("batches").is_some() {}
    assert_eq!(engine.statements(), (0, 0));
    // Nobody has dropped `short`.
    let mut failed = session
        .execute("SELECT 1 DIV (id - id) FROM range(3)")
        .await
        .expect("rows");
    failed.batches.try_next().await.expect_err("division by zero");
    assert_eq!(engine.statements(), (0, 0));
    refused(&session, "SELECT * FROM nowhere").await;
    assert_eq!(engine.statements(), (0, 0));
}

#[tokio::test]
async fn what_needs_little_does_not_wait() {
    let (_directory, engine, session) = limited(one_slot()).await;
    run(&session, &["CREATE TABLE t (a INT)"]).await;
    let long = session.execute(LONG).await.expect("rows");
    let another = support::session(&engine);
    for statement in [
        "SELECT 1",
        "SELECT upper('a'), current_date()",
        "VALUES (1), (2)",
        "SHOW TABLES",
        "SHOW CATALOGS",
        "DESCRIBE t",
        "DESCRIBE HISTORY t",
        "EXPLAIN SELECT * FROM t",
        "SET STATEMENT_TIMEOUT = 10",
        "RESET STATEMENT_TIMEOUT",
        "USE SCHEMA default",
        "CREATE SCHEMA s",
        "CREATE TABLE s.u (a INT)",
        "CREATE VIEW v AS SELECT * FROM t",
        "CREATE TEMPORARY VIEW w AS SELECT * FROM t",
        "ALTER TABLE t SET TBLPROPERTIES ('a' = 'b')",
        "DECLARE x = 1",
        "SET VAR x = 2",
        "EXECUTE IMMEDIATE 'SELECT 1'",
        "EXECUTE IMMEDIATE 'SELECT 1' INTO x",
        "DROP VIEW v",
        "DROP TABLE s.u",
    ] {
        run(&another, &[statement]).await;
    }
    drop(long);
}

#[test_case("SELECT * FROM t")]
#[test_case("WITH q AS (SELECT * FROM t) SELECT * FROM q UNION ALL SELECT * FROM v"; "a view")]
#[test_case("SELECT * FROM deep"; "views on views")]
#[test_case("EXPLAIN ANALYZE SELECT * FROM t")]
#[test_case("EXECUTE IMMEDIATE 'SELECT * FROM v'"; "a text")]
#[test_case("EXECUTE IMMEDIATE 'SELECT max(a) FROM v' INTO x"; "a text into a variable")]
#[test_case("EXECUTE IMMEDIATE 'INSERT INTO t SELECT * FROM v'"; "a text that writes")]
#[test_case("BEGIN SELECT * FROM t; INSERT INTO t VALUES (5); FOR r AS SELECT a FROM v DO INSERT INTO t SELECT a + 10 FROM v; END FOR; SELECT count(*) FROM t; END"; "a script")]
#[test_case("SET VAR (x) = (SELECT max(a) FROM v)"; "a variable from a query")]
#[test_case("SET VAR x = (SELECT max(a) FROM v)"; "a variable from a query as a value")]
#[test_case("CREATE TABLE u AS SELECT * FROM deep"; "a table of a query")]
#[test_case("CREATE OR REPLACE TABLE t AS SELECT a FROM deep"; "a table of itself")]
#[test_case("CREATE TABLE u SHALLOW CLONE t"; "a clone")]
#[test_case("INSERT INTO t SELECT * FROM v")]
#[test_case("DELETE FROM t WHERE a IN (SELECT a FROM v)"; "delete")]
#[test_case("UPDATE t SET a = (SELECT max(a) FROM v)"; "update")]
#[test_case("MERGE INTO t USING v ON t.a = v.a WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"; "merge")]
#[test_case("OPTIMIZE t")]
#[test_case("VACUUM t")]
#[test_case("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)"; "a constraint")]
#[test_case("RESTORE TABLE t TO VERSION AS OF 0"; "restore")]
#[test_case("CACHE TABLE t"; "cache")]
#[tokio::test]
async fn no_statement_waits_for_itself(statement: &str) {
    let (_directory, engine, session) = limited(without_a_queue()).await;
    let made = [
        "CREATE TABLE t (a INT)",
        "INSERT INTO t VALUES (1), (2)",
        "CREATE VIEW v AS SELECT * FROM t",
        "CREATE VIEW deep AS SELECT * FROM v",
        "DECLARE x INT",
    ];
    run(&session, &made).await;
    run(&session, &[statement]).await;
    assert_eq!(engine.statements(), (0, 0));
}

/// What a statement of another kind asks of tables is a query too.
#[test_case("BEGIN IF EXISTS (SELECT * FROM t) THEN SELECT 1; END IF; END"; "a condition")]
#[test_case("BEGIN FOR r AS SELECT a FROM t DO SELECT r.a; END FOR; END"; "rows of a script")]
#[test_case("BEGIN DECLARE x INT DEFAULT (SELECT max(a) FROM t); SELECT 1; END"; "a default")]
#[test_case("EXECUTE IMMEDIATE (SELECT max(q) FROM VALUES ('SELECT 1') AS v(q) JOIN t ON true)"; "a text")]
#[test_case("SELECT f()"; "a function that is a query")]
#[test_case("SHOW PARTITIONS p")]
#[tokio::test]
async fn what_reads_tables_waits_for_its_turn(statement: &str) {
    let (_directory, engine, session) = limited(without_a_queue()).await;
    let made = [
        "CREATE TABLE t (a INT)",
        "CREATE TABLE p (a INT, b INT) PARTITIONED BY (b)",
        "CREATE FUNCTION f() RETURNS INT RETURN (SELECT max(a) FROM t)",
    ];
    run(&session, &made).await;
    let long = session.execute(LONG).await.expect("rows");
    let another = support::session(&engine);
    assert_eq!(refused(&another, statement).await, "SERVER_IS_BUSY");
    drop(long);
}

#[tokio::test]
async fn a_full_queue_and_a_long_wait_are_said() {
    for limits in [
        StatementLimits {
            queued_max: 0,
            ..one_slot()
        },
        StatementLimits {
            queued_time_max: Duration::from_millis(1),
            ..one_slot()
        },
    ] {
        let (_directory, engine, session) = limited(limits).await;
        let _long = session.execute(LONG).await.expect("rows");
        let another = support::session(&engine);
        for statement in ["SELECT * FROM range(1)", "CREATE TABLE t AS SELECT 1 AS a"] {
            let error = try_rows(&another, statement).await.expect_err("refused");
            assert_eq!(error.condition(), Some("SERVER_IS_BUSY"));
            assert_eq!(error.kind(), Kind::ResourceExhausted);
        }
        assert_eq!(refused(&another, "SELECT * FROM t").await, "SERVER_IS_BUSY");
        assert_eq!(engine.statements(), (1, 0));
    }
}

#[tokio::test]
async fn who_is_cancelled_leaves_the_queue() {
    let (_directory, engine, session) = limited(one_slot()).await;
    let _long = session.execute(LONG).await.expect("rows");
    let (context, hasty) = request(&engine);
    let mut waiting = Box::pin(try_rows(&hasty, "CREATE TABLE t AS SELECT 1 AS a"));
    assert!(waiting.as_mut().now_or_never().is_none());
    assert_eq!(engine.statements(), (1, 1));
    context.cancellation.cancel();
    assert_eq!(waiting.await.expect_err("cancelled").kind(), Kind::Cancelled);
    assert_eq!(engine.statements(), (1, 0));
}

/// A reader that takes nothing for a while lets others have its turn, and gets one again when it goes on.
#[tokio::test]
async fn a_reader_that_waits_holds_nobody_up() {
    let (_directory, engine, session) = limited(one_slot()).await;
    let mut long = session.execute(LONG).await.expect("rows");
    begun(&mut long).await;
    let another = support::session(&engine);
    assert_eq!(rows(&another, "SELECT count(*) FROM range(10)").await, ["10"]);
    assert_eq!(engine.statements(), (0, 0));
    // What was made ahead comes without a turn.
    for _ in 0..4 {
        assert!(long.batches.try_next().await.expect("batches").is_some());
    }
    assert_eq!(engine.statements(), (1, 0));
    drop(long);
}
