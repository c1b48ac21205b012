//! Results that are asked for again.

use ingot_engine::{Engine, EngineOptions, Session};
use tempfile::TempDir;
use test_case::test_case;

use crate::sql::{open, rows, run};
use crate::support;

async fn table() -> (TempDir, Engine, Session) {
    let (directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (a INT, s STRING)",
            "INSERT INTO t VALUES (1, 'x'), (2, 'y')",
            "CREATE VIEW v AS SELECT a, upper(s) AS u FROM t",
            "CREATE VIEW m WITH METRICS LANGUAGE YAML AS $$
version: 1.1
source: t
measures: [{name: n, expr: count(1)}, {name: total, expr: sum(a)}]
$$",
        ],
    )
    .await;
    (directory, engine, session)
}

fn hits(engine: &Engine) -> u64 {
    engine.result_cache().hits
}

/// Runs a query and says if its result was known.
async fn known(engine: &Engine, session: &Session, query: &str) -> (Vec<String>, bool) {
    let before = hits(engine);
    let found = rows(session, query).await;
    (found, hits(engine) > before)
}

/// Runs a query until its result is known. It is not kept while another test asks what time it is.
async fn learn(engine: &Engine, session: &Session, query: &str) {
    for _ in 0..100 {
        if known(engine, session, query).await.1 {
            return;
        }
    }
    panic!("{query} is never kept");
}

#[test_case("SELECT sum(a) FROM t", "select  SUM(a)\n from T -- again"; "an aggregate")]
#[test_case("SELECT * FROM v", "SELECT * FROM v"; "a view")]
#[test_case("SELECT a FROM t WHERE a = (SELECT max(a) FROM t)", "SELECT a FROM t WHERE a = (SELECT max(a) FROM t)"; "a subquery")]
#[test_case("SELECT x.a FROM t x JOIN t y ON x.a = y.a WHERE EXISTS (SELECT 1 FROM v WHERE v.a = x.a)", "SELECT x.a FROM t x JOIN t y ON x.a = y.a WHERE EXISTS (SELECT 1 FROM v WHERE v.a = x.a)"; "joins")]
#[test_case("WITH q AS (SELECT a FROM t) SELECT count(*) FROM q", "WITH q AS (SELECT a FROM t) SELECT count(*) FROM q"; "a name for a query")]
#[test_case("SELECT transform(array(a), x -> x + 1) FROM t", "SELECT transform(array(a), x -> x + 1) FROM t"; "a lambda")]
#[test_case("SELECT explode(array(a, a)) FROM t", "SELECT explode(array(a, a)) FROM t"; "a generator")]
#[test_case("SELECT CAST('2024-01-01' AS DATE) AS d, a FROM t", "SELECT CAST('2024-01-01' AS DATE) AS d, a FROM t"; "a date")]
#[test_case("SELECT a FROM t WHERE a > 9", "SELECT a FROM t WHERE a > 9"; "no rows")]
#[test_case("SELECT MEASURE(n) FROM m", "SELECT MEASURE(n) FROM m"; "a measure of rows")]
#[tokio::test]
async fn a_result_is_known_the_second_time(first: &str, second: &str) {
    let (_directory, engine, session) = table().await;
    let (made, hit) = known(&engine, &session, first).await;
    assert!(!hit);
    learn(&engine, &session, first).await;
    // Another session of the same user.
    let another = support::session(&engine);
    assert_eq!(known(&engine, &another, second).await, (made, true));
}

#[test_case("SELECT rand() FROM t")]
#[test_case("SELECT uuid() FROM t")]
#[test_case("SELECT current_timestamp() FROM t"; "an instant")]
#[test_case("SELECT a FROM t WHERE current_date() > DATE '2000-01-01'"; "a day")]
#[test_case("SELECT unix_timestamp(), a FROM t"; "seconds")]
#[test_case("SELECT TIMESTAMP 'now', a FROM t"; "now as a text")]
#[test_case("SELECT CAST(concat('T12:', a, '0') AS TIMESTAMP) FROM t"; "a time of today")]
#[test_case("SELECT current_user(), a FROM t"; "a user")]
#[test_case("SELECT current_schema(), a FROM t"; "a schema")]
#[test_case("SELECT a FROM (SELECT a, rand() AS r FROM t) WHERE r < 2"; "below")]
#[test_case("SELECT a FROM t WHERE a IN (SELECT CAST(rand() * 0 + 1 AS INT) FROM t)"; "in a subquery")]
#[test_case("SELECT * FROM t TABLESAMPLE (50 PERCENT)"; "a sample")]
#[test_case("SELECT * FROM (DESCRIBE HISTORY t)"; "a history")]
#[test_case("SELECT * FROM information_schema.tables"; "metadata")]
#[test_case("SELECT * FROM range(3)"; "no table")]
#[test_case("SELECT MEASURE(total) FROM m"; "a measure of a column")]
#[test_case("SELECT * FROM t VERSION AS OF 1"; "the past")]
#[test_case("EXPLAIN SELECT * FROM t"; "a plan")]
#[test_case("EXPLAIN ANALYZE SELECT * FROM t"; "what a plan took")]
#[tokio::test]
async fn what_may_be_another_next_time_is_not_kept(query: &str) {
    let (_directory, engine, session) = table().await;
    for _ in 0..3 {
        rows(&session, query).await;
    }
    assert_eq!(hits(&engine), 0, "{query}");
    assert_eq!(engine.result_cache().entries, 0, "{query}");
}

#[tokio::test]
async fn a_commit_of_anybody_is_seen() {
    let (directory, engine, session) = table().await;
    let query = "SELECT sum(a), count(*) FROM t";
    assert_eq!(rows(&session, query).await, ["3|2"]);
    run(&session, &["INSERT INTO t VALUES (3, 'z')"]).await;
    assert_eq!(
        known(&engine, &session, query).await,
        (vec!["6|3".to_owned()], false)
    );
    assert_eq!(
        known(&engine, &session, query).await,
        (vec!["6|3".to_owned()], true)
    );
    // What another process would do.
    let other = support::engine(directory.path()).await;
    run(&support::session(&other), &["DELETE FROM t WHERE a = 1"]).await;
    assert_eq!(
        known(&engine, &session, query).await,
        (vec!["5|2".to_owned()], false)
    );
    run(&session, &["RESTORE TABLE t TO VERSION AS OF 1"]).await;
    assert_eq!(
        known(&engine, &session, query).await,
        (vec!["3|2".to_owned()], false)
    );
    run(&session, &["UPDATE t SET a = a + 1"]).await;
    assert_eq!(
        known(&engine, &session, query).await,
        (vec!["5|2".to_owned()], false)
    );
    // The older results made room.
    assert_eq!(engine.result_cache().entries, 1);
}

#[tokio::test]
async fn another_table_of_the_name_is_another() {
    let (_directory, engine, session) = table().await;
    let query = "SELECT a FROM t ORDER BY a";
    assert_eq!(rows(&session, query).await, ["1", "2"]);
    run(
        &session,
        &[
            "DROP TABLE t",
            "CREATE TABLE t (a INT, s STRING)",
            "INSERT INTO t VALUES (7, 'x')",
        ],
    )
    .await;
    assert_eq!(
        known(&engine, &session, query).await,
        (vec!["7".to_owned()], false)
    );
    run(&session, &["CREATE OR REPLACE TABLE t AS SELECT 8 AS a"]).await;
    assert_eq!(
        known(&engine, &session, query).await,
        (vec!["8".to_owned()], false)
    );
    run(
        &session,
        &[
            "CREATE SCHEMA s",
            "CREATE TABLE s.t AS SELECT 9 AS a",
            "USE SCHEMA s",
        ],
    )
    .await;
    assert_eq!(
        known(&engine, &session, query).await,
        (vec!["9".to_owned()], false)
    );
}

#[tokio::test]
async fn a_view_that_changes_is_another_query() {
    let (_directory, engine, session) = table().await;
    assert_eq!(rows(&session, "SELECT * FROM v WHERE a = 1").await, ["1|X"]);
    run(
        &session,
        &["CREATE OR REPLACE VIEW v AS SELECT a, lower(s) AS u FROM t"],
    )
    .await;
    let (found, hit) = known(&engine, &session, "SELECT * FROM v WHERE a = 1").await;
    assert_eq!((found, hit), (vec!["1|x".to_owned()], false));
}

#[tokio::test]
async fn settings_values_and_users_are_part_of_the_question() {
    let (_directory, engine, session) = table().await;
    let query = "SELECT a, CAST(timestamp_seconds(a) AS STRING) FROM t WHERE a = 1";
    assert_eq!(rows(&session, query).await, ["1|1970-01-01 00:00:01"]);
    run(&session, &["SET TIME ZONE 'Asia/Tokyo'"]).await;
    let (found, hit) = known(&engine, &session, query).await;
    assert_eq!((found, hit), (vec!["1|1970-01-01 09:00:01".to_owned()], false));
    run(&session, &["RESET"]).await;
    assert!(known(&engine, &session, query).await.1);
    run(&session, &["SET STATEMENT_TIMEOUT = 100"]).await;
    assert!(known(&engine, &session, query).await.1, "it changes no result");

    run(&session, &["DECLARE x = 1"]).await;
    let query = "SELECT s FROM t WHERE a = x";
    assert_eq!(
        known(&engine, &session, query).await,
        (vec!["x".to_owned()], false)
    );
    assert_eq!(
        known(&engine, &session, query).await,
        (vec!["x".to_owned()], true)
    );
    run(&session, &["SET VAR x = 2"]).await;
    assert_eq!(
        known(&engine, &session, query).await,
        (vec!["y".to_owned()], false)
    );
    for (value, s) in [(1, "x"), (2, "y")] {
        let text = format!("EXECUTE IMMEDIATE 'SELECT s AS p FROM t WHERE a = ?' USING {value}");
        assert_eq!(known(&engine, &session, &text).await, (vec![s.to_owned()], false));
        assert_eq!(known(&engine, &session, &text).await, (vec![s.to_owned()], true));
    }
    let other = super::request(&engine).1;
    assert!(!known(&engine, &other, "SELECT s FROM t WHERE a = 1").await.1);
}

#[tokio::test]
async fn a_session_can_do_without() {
    let (_directory, engine, session) = table().await;
    let query = "SELECT max(a) FROM t";
    run(&session, &["SET use_cached_result = false", query, query]).await;
    assert_eq!(hits(&engine), 0);
    run(&session, &["SET use_cached_result = true", query]).await;
    assert!(known(&engine, &session, query).await.1);
    run(&session, &["SET USE_CACHED_RESULT = false"]).await;
    assert!(!known(&engine, &session, query).await.1);
}

#[tokio::test]
async fn results_are_few_and_small() {
    let directory = tempfile::tempdir().expect("directory");
    let options = EngineOptions {
        result_cache_bytes_max: 1 << 20,
        ..support::options(directory.path())
    };
    let engine = support::engine_with(directory.path(), support::tables(), options).await;
    let session = support::session(&engine);
    run(
        &session,
        &["CREATE TABLE t AS SELECT id, CAST(id AS STRING) AS s FROM range(50000)"],
    )
    .await;
    // More than an eighth of a megabyte.
    run(&session, &["SELECT * FROM t"]).await;
    assert_eq!(engine.result_cache().entries, 0);
    for id in 0..100 {
        run(&session, &[&format!("SELECT * FROM t WHERE id = {id}")]).await;
    }
    let counts = engine.result_cache();
    assert!(counts.bytes <= 1 << 20, "{counts:?}");
    assert!((10..100).contains(&counts.entries), "{counts:?}");
    learn(&engine, &session, "SELECT * FROM t WHERE id = 99").await;
    assert!(
        !known(&engine, &session, "SELECT * FROM t WHERE id = 0").await.1,
        "the first"
    );
}

#[tokio::test]
async fn rows_that_were_not_all_read_are_not_kept() {
    let (_directory, engine, session) = table().await;
    drop(session.execute("SELECT a FROM t").await.expect("rows"));
    assert_eq!(engine.result_cache().entries, 0);
}
