//! What names in a query stand for.

use tokio::task::JoinSet;

use super::{new_session, open, refused, rows, run};

#[tokio::test]
async fn a_view_that_would_stand_on_itself_is_refused() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE VIEW v AS SELECT 1 AS a",
            "CREATE VIEW w AS SELECT * FROM v",
        ],
    )
    .await;
    for statement in [
        "CREATE OR REPLACE VIEW v AS SELECT * FROM w",
        "CREATE OR REPLACE VIEW v AS SELECT * FROM V",
    ] {
        assert_eq!(refused(&session, statement).await, "RECURSIVE_VIEW");
    }
    for statement in [
        "CREATE OR REPLACE VIEW v AS SELECT * FROM v VERSION AS OF 0",
        "SELECT * FROM w@v0",
        "SELECT * FROM w TIMESTAMP AS OF '2020-01-01'",
    ] {
        assert_eq!(
            refused(&session, statement).await,
            "UNSUPPORTED_FEATURE.TIME_TRAVEL"
        );
    }
    assert_eq!(rows(&session, "SELECT * FROM w").await, ["1"]);
}

#[tokio::test]
async fn views_on_views_end_somewhere() {
    let (_directory, _, session) = open().await;
    run(&session, &["CREATE VIEW v0 AS SELECT 1 AS a"]).await;
    for depth in 1..=32 {
        let view = format!("CREATE VIEW v{depth} AS SELECT * FROM v{}", depth - 1);
        if depth < 32 {
            run(&session, &[&view]).await;
        } else {
            run(&session, &[&view]).await;
            let query = format!("SELECT * FROM v{depth}");
            assert_eq!(refused(&session, &query).await, "VIEW_EXCEED_MAX_NESTED_DEPTH");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_statement_sees_one_version_of_a_table_under_all_its_names() {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &["CREATE TABLE t (a INT)", "CREATE VIEW v AS SELECT * FROM t"],
    )
    .await;
    let mut writers = JoinSet::new();
    let writer = new_session(&engine);
    writers.spawn(async move {
        for _ in 0..30 {
            rows(&writer, "INSERT INTO t VALUES (1)").await;
        }
    });
    while writers.try_join_next().is_none() {
        let query = "SELECT x.n = y.n FROM (SELECT count(*) AS n FROM t) x, (SELECT count(*) AS n FROM v) y";
        assert_eq!(rows(&session, query).await, ["true"]);
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn settings_that_would_change_results_are_refused() {
    let (_directory, _, session) = open().await;
    let set = "SET spark.sql.caseSensitive = true";
    assert_eq!(refused(&session, set).await, "CONFIG_NOT_AVAILABLE");
    assert_eq!(
        refused(&session, "SET no.such.key = 1").await,
        "CONFIG_NOT_AVAILABLE"
    );
    let taken = rows(&session, "SET spark.sql.shuffle.partitions = 8").await;
    assert_eq!(taken, ["spark.sql.shuffle.partitions|8"]);
    assert_eq!(rows(&session, "SET").await, ["spark.sql.shuffle.partitions|8"]);
}

#[tokio::test]
async fn a_recursion_may_say_how_deep_it_goes() {
    let (_directory, _, session) = open().await;
    let query = "WITH RECURSIVE r(n) MAX RECURSION LEVEL 10 AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT \
                 sum(n) FROM r";
    assert_eq!(rows(&session, query).await, ["15"]);
}

#[tokio::test]
async fn a_struct_stands_for_its_fields() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id INT, s STRUCT<a: INT, Bee: STRING, n: STRUCT<x: INT>>)",
            "INSERT INTO t VALUES (1, named_struct('a', 2, 'Bee', 'b', 'n', named_struct('x', 3))), (2, NULL)",
        ],
    )
    .await;
    assert_eq!(
        rows(&session, "SELECT id, s.* FROM t ORDER BY id").await,
        ["1|2|b|{x: 3}", "2|NULL|NULL|NULL"]
    );
    assert_eq!(
        super::names(&session, "SELECT S.*, t.s.n.* FROM t").await,
        ["a", "Bee", "n", "x"]
    );
    assert_eq!(
        rows(&session, "SELECT q.s.* EXCEPT (n) FROM t AS q WHERE id = 1").await,
        ["2|b"]
    );
    assert_eq!(
        rows(&session, "SELECT s.* FROM (SELECT * FROM t WHERE id = 1)").await,
        ["2|b|{x: 3}"]
    );
}

#[tokio::test]
async fn a_query_renames_a_column_by_its_case_alone() {
    let (_directory, _, session) = open().await;
    run(&session, &["CREATE TABLE t AS SELECT 1 a, 'x' b"]).await;
    for query in [
        "SELECT * FROM (SELECT a AS A, b FROM t) ORDER BY A",
        "SELECT A, B FROM (SELECT a AS A, b AS B FROM t) q WHERE q.A = 1",
        "WITH q AS (SELECT a AS A, b FROM t) SELECT q.a, t.B FROM q JOIN t ON q.A = t.A",
        "SELECT max(A), B FROM (SELECT a A, b B FROM t) GROUP BY B",
    ] {
        assert_eq!(rows(&session, query).await, ["1|x"], "{query}");
    }
}
