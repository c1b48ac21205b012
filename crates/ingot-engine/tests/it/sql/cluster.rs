//! OPTIMIZE … ZORDER BY, and OPTIMIZE of clustered tables.

use std::collections::BTreeSet;

use ingot_engine::{Engine, Session};
use test_case::test_case;

use super::{open, refused, rows, run};
use crate::support;

/// Makes a table with all pairs of numbers below 64, in an order that says nothing of `b`.
async fn grid(session: &Session, partitions: &str) {
    let create = format!(
        "CREATE TABLE t (a INT, b BIGINT, s STRUCT<b: BIGINT>, d DATE, p STRING, x BINARY) {partitions}"
    );
    rows(session, &create).await;
    let digits = "(SELECT * FROM VALUES (0), (1), (2), (3), (4), (5), (6), (7) v(n))";
    for half in 0..2 {
        let insert = format!(
            "INSERT INTO t SELECT CAST(v.a AS INT), v.b, named_struct('b', v.b), date_add(DATE'2024-01-01', CAST(v.a AS INT)), \
             CASE WHEN v.a % 2 = 0 THEN 'even' ELSE 'odd' END, NULL \
             FROM (SELECT one.n * 8 + two.n AS a, three.n * 8 + four.n AS b \
                   FROM {digits} one, {digits} two, {digits} three, {digits} four) v WHERE v.b % 2 = {half}"
        );
        rows(session, &insert).await;
    }
}

/// Returns the share of files that a query with this filter leaves out.
async fn skipped(session: &Session, filter: &str) -> f64 {
    let plan = rows(session, &format!("EXPLAIN SELECT a FROM t WHERE {filter}"))
        .await
        .join(" ");
    let count = |name: &str| -> f64 {
        let (_, rest) = plan.split_once(name).unwrap_or_else(|| panic!("{plan}"));
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("number")
    };
    let (read, pruned) = (count("files="), count("files_pruned="));
    pruned / (read + pruned)
}

async fn sum(session: &Session) -> String {
    rows(
        session,
        "SELECT count(*), sum(a), sum(s.b), count(DISTINCT a * 64 + s.b) FROM t",
    )
    .await
    .remove(0)
}

async fn small_targets(session: &Session, engine: &Engine, files: i64) {
    let location = support::location(engine, "t").await;
    let bytes: i64 = support::adds(engine, &location)
        .await
        .iter()
        .map(|add| add.size)
        .sum();
    let target = format!(
        "SET spark.databricks.delta.optimize.maxFileSize = {}",
        bytes / files
    );
    rows(session, &target).await;
}

const ALL: &str = "4096|129024|129024|4096";

#[test_case("(a, s.b)", "a = 3", "b = 60"; "a column of a struct")]
#[test_case("A, B", "a = 63", "b BETWEEN 5 AND 7"; "without parentheses, in another case")]
#[test_case("(d, b)", "d = DATE'2024-01-20'", "b = 0"; "a date")]
#[tokio::test]
async fn a_zorder_skips_by_either_column(columns: &str, one: &str, other: &str) {
    let (_directory, engine, session) = open().await;
    grid(&session, "").await;
    small_targets(&session, &engine, 16).await;
    let result = rows(&session, &format!("OPTIMIZE t ZORDER BY {columns}")).await;
    assert!(result[0].contains("strategyName: all"), "{result:?}");
    assert_eq!(sum(&session).await, ALL);
    for filter in [one, other] {
        let share = skipped(&session, filter).await;
        assert!(share >= 0.5, "{filter}: {share}");
    }
    let share = skipped(&session, &format!("{one} AND {other}")).await;
    assert!(share >= 0.8, "both: {share}");
    let history = rows(&session, "DESCRIBE HISTORY t LIMIT 1").await;
    assert!(history[0].contains("zOrderBy: [\""), "{history:?}");
}

#[tokio::test]
async fn a_zorder_stays_within_partitions_and_refuses_what_it_cannot_use() {
    let (_directory, engine, session) = open().await;
    grid(&session, "PARTITIONED BY (p)").await;
    small_targets(&session, &engine, 8).await;
    rows(&session, "OPTIMIZE t WHERE p = 'odd' ZORDER BY (b)").await;
    assert_eq!(sum(&session).await, ALL);
    let share = skipped(&session, "p = 'odd' AND b = 9").await;
    assert!(share > 0.5, "{share}");
    for (clause, condition) in [
        ("ZORDER BY (p)", "DELTA_ZORDERING_ON_PARTITION_COLUMN"),
        ("ZORDER BY (a, nothing)", "DELTA_ZORDERING_COLUMN_DOES_NOT_EXIST"),
        ("ZORDER BY (x)", "DELTA_ZORDERING_ON_COLUMN_WITHOUT_STATS"),
        ("ZORDER BY (s)", "DELTA_ZORDERING_ON_COLUMN_WITHOUT_STATS"),
        ("FULL", "DELTA_OPTIMIZE_FULL_NOT_SUPPORTED"),
        ("ZORDER (a)", "PARSE_SYNTAX_ERROR"),
    ] {
        assert_eq!(
            refused(&session, &format!("OPTIMIZE t {clause}")).await,
            condition,
            "{clause}"
        );
    }
    let location = support::location(&engine, "t").await;
    support::set_property(&engine, &location, "delta.dataSkippingNumIndexedCols", "1").await;
    let condition = refused(&session, "OPTIMIZE t ZORDER BY (s.b)").await;
    assert_eq!(condition, "DELTA_ZORDERING_ON_COLUMN_WITHOUT_STATS");
    run(
        &session,
        &[
            "SET spark.databricks.delta.optimize.zorder.checkStatsCollection.enabled = false",
            "OPTIMIZE t ZORDER BY (s.b)",
        ],
    )
    .await;
    assert_eq!(sum(&session).await, ALL);
}

async fn cubes(engine: &Engine) -> BTreeSet<String> {
    let location = support::location(engine, "t").await;
    let adds = support::adds(engine, &location).await;
    let cube = |add: &ingot_delta::Add| add.tags.as_ref()?.get("ZCUBE_ID")?.clone();
    adds.iter().map(|add| cube(add).unwrap_or_default()).collect()
}

#[tokio::test]
async fn a_clustered_table_is_clustered_bit_by_bit() {
    let (_directory, engine, session) = open().await;
    grid(&session, "").await;
    let location = support::location(&engine, "t").await;
    support::cluster_by(&engine, &location, &["a", "d"]).await;
    support::cluster_by(&engine, &location, &["a"]).await;
    small_targets(&session, &engine, 8).await;
    let result = rows(&session, "OPTIMIZE t").await;
    assert!(
        result[0].contains("clusteringStats: {inputZCubeFiles: {numFiles: 0"),
        "{result:?}"
    );
    assert_eq!(sum(&session).await, ALL);
    assert!(skipped(&session, "a = 5").await >= 0.75);
    let adds = support::adds(&engine, &location).await;
    for add in &adds {
        assert_eq!(add.clustering_provider.as_deref(), Some("liquid"));
        let tags = add.tags.as_ref().expect("tags");
        assert_eq!(tags["ZCUBE_ZORDER_BY"].as_deref(), Some("[\"a\"]"));
    }
    let first = cubes(&engine).await;
    assert_eq!(first.len(), 1, "one cube: {first:?}");
    let history = rows(&session, "DESCRIBE HISTORY t LIMIT 1").await;
    assert!(
        history[0].contains("clusterBy: [\"a\"], isFull: false"),
        "{history:?}"
    );

    rows(&session, "OPTIMIZE t").await;
    assert_eq!(
        rows(&session, "DESCRIBE HISTORY t LIMIT 1").await,
        history,
        "nothing to do"
    );

    // Every cube is large enough now: only what is new is clustered.
    run(
        &session,
        &[
            "SET spark.databricks.delta.optimize.clustering.mergeStrategy.minCubeSize.threshold = 1",
            "INSERT INTO t (a) VALUES (100), (101)",
            "OPTIMIZE t",
        ],
    )
    .await;
    assert_eq!(cubes(&engine).await.len(), 2);
    let paths = |adds: Vec<std::sync::Arc<ingot_delta::Add>>| -> BTreeSet<String> {
        adds.into_iter().map(|add| add.path.clone()).collect()
    };
    let (before, after) = (paths(adds), paths(support::adds(&engine, &location).await));
    assert!(after.is_superset(&before), "{after:?}");

    // Cubes of other columns stay until all is clustered anew.
    support::cluster_by(&engine, &location, &["a", "d"]).await;
    rows(&session, "OPTIMIZE t").await;
    assert_eq!(paths(support::adds(&engine, &location).await), after);
    let prefix = "spark.databricks.delta.optimize.clustering.mergeStrategy.minCubeSize";
    rows(&session, &format!("SET {prefix}.targetCubeSize = 100000000")).await;
    rows(&session, "OPTIMIZE t FULL").await;
    assert_eq!(cubes(&engine).await.len(), 1);
    assert!(cubes(&engine).await.is_disjoint(&first));
    assert_eq!(rows(&session, "SELECT count(*) FROM t").await, ["4098"]);
    assert!(skipped(&session, "a = 5").await >= 0.4);

    for (clause, condition) in [
        ("WHERE a = 1", "DELTA_CLUSTERING_WITH_PARTITION_PREDICATE"),
        ("ZORDER BY (a)", "DELTA_CLUSTERING_WITH_ZORDER_BY"),
    ] {
        assert_eq!(
            refused(&session, &format!("OPTIMIZE t {clause}")).await,
            condition,
            "{clause}"
        );
    }
}

#[tokio::test]
async fn sorting_spills_where_memory_is_short() {
    let directory = tempfile::tempdir().expect("directory");
    let engine = support::engine_within(directory.path(), support::tables(), 32 << 20).await;
    let session = support::session(&engine);
    rows(&session, "CREATE TABLE t (a BIGINT, b STRING)").await;
    let digits = "(SELECT * FROM VALUES (0), (1), (2), (3), (4), (5), (6), (7) v(n))";
    for part in 0..8 {
        let insert = format!(
            "INSERT INTO t SELECT n, concat('some text that takes memory ', CAST(n AS STRING)) FROM ( \
             SELECT ((((a.n * 8 + b.n) * 8 + c.n) * 8 + d.n) * 8 + e.n) * 8 + {part} AS n \
             FROM {digits} a, {digits} b, {digits} c, {digits} d, {digits} e) v"
        );
        rows(&session, &insert).await;
    }
    rows(&session, "OPTIMIZE t ZORDER BY (a, b)").await;
    let roomy = support::session(&support::engine(directory.path()).await);
    let found = rows(
        &roomy,
        "SELECT count(*), sum(a), count(DISTINCT b), min(b), max(b) FROM t",
    );
    let text = "some text that takes memory ";
    let expected = format!("262144|34359607296|262144|{text}0|{text}99999");
    assert_eq!(found.await, [expected]);
}
