//! Columns whose type was widened: files of both types, read as one.

use arrow::datatypes::{DataType, TimeUnit};
use ingot_delta::type_widening::widened_column;
use ingot_engine::{Engine, Session};
use tempfile::TempDir;
use test_case::test_case;

use super::column_mapping::{alter, path, set_property, table};
use super::{open, refused, rows, run};

async fn widen(engine: &Engine, directory: &TempDir, column: &[&str], to: DataType) {
    let column = path(column);
    alter(engine, directory, |metadata| {
        widened_column(metadata, &column, &to)
    })
    .await
    .expect("widened");
}

async fn widening_table(columns: &str) -> (TempDir, Engine, Session) {
    let (directory, engine, session) = open().await;
    let create = format!("CREATE TABLE t ({columns}) TBLPROPERTIES ('delta.enableTypeWidening' = 'true')");
    run(&session, &[&create]).await;
    (directory, engine, session)
}

#[tokio::test]
async fn every_widening_reads_old_and_new_files() {
    let (directory, engine, session) = widening_table(
        "k INT, a TINYINT, b SMALLINT, c INT, d FLOAT, e INT, f DECIMAL(5,2), g DATE, h BIGINT",
    )
    .await;
    run(
        &session,
        &["INSERT INTO t VALUES (1, 1, 2, 3, 1.1, 5, 6.25, DATE '2024-02-29', 8)"],
    )
    .await;
    let ntz = DataType::Timestamp(TimeUnit::Microsecond, None);
    for (column, to) in [
        ("a", DataType::Int16),
        ("a", DataType::Int64),
        ("b", DataType::Float64),
        ("c", DataType::Int64),
        ("d", DataType::Float64),
        ("e", DataType::Decimal128(12, 2)),
        ("f", DataType::Decimal128(8, 4)),
        ("g", ntz),
        ("h", DataType::Decimal128(20, 0)),
    ] {
        widen(&engine, &directory, &[column], to).await;
    }
    run(
        &session,
        &["INSERT INTO t VALUES (2, 5000000000, 2.5, 5000000000, 1.1, 5.25, 6.2525, TIMESTAMP_NTZ '2024-02-29 12:00:00', 9)"],
    )
    .await;
    assert_eq!(
        rows(&session, "SELECT * FROM t ORDER BY k").await,
        [
            "1|1|2.0|3|1.100000023841858|5.00|6.2500|2024-02-29T00:00:00|8",
            "2|5000000000|2.5|5000000000|1.1|5.25|6.2525|2024-02-29T12:00:00|9",
        ]
    );
    for filter in [
        "a = 1",
        "a < 2",
        "b = 2",
        "b < 2.25",
        "c <= 3",
        "d = 1.100000023841858",
        "d > 1.1",
        "e = 5",
        "f = 6.25",
        "h = 8",
        "g = TIMESTAMP_NTZ '2024-02-29 00:00:00'",
        "g < TIMESTAMP_NTZ '2024-02-29 00:00:01'",
    ] {
        let query = format!("SELECT k FROM t WHERE {filter}");
        assert_eq!(rows(&session, &query).await, ["1"], "{filter}");
        let plan = rows(&session, &format!("EXPLAIN {query}")).await.join("\n");
        // A bound of what was a float is that float or its text.
        let prunes = !filter.starts_with('d');
        assert_eq!(
            plan.contains("files=1, files_pruned=1"),
            prunes,
            "{filter}: {plan}"
        );
    }
    assert_eq!(
        rows(&session, "SELECT max(a), max(c), min(h) FROM t").await,
        ["5000000000|5000000000|8"]
    );
    let snapshot = table(&engine, &directory)
        .await
        .snapshot()
        .await
        .expect("snapshot");
    for list in [
        &snapshot.protocol().reader_features,
        &snapshot.protocol().writer_features,
    ] {
        assert!(list.iter().flatten().any(|feature| feature == "typeWidening"));
    }
    // The past has its own types.
    assert_eq!(
        rows(&session, "SELECT a, d, g FROM t VERSION AS OF 1").await,
        ["1|1.1|2024-02-29"]
    );
}

#[tokio::test]
async fn nested_types_are_widened_with_and_without_mapped_names() {
    let (directory, engine, session) =
        widening_table("k INT, s STRUCT<x: INT>, l ARRAY<SMALLINT>, m MAP<STRING, INT>").await;
    let insert = |k: i32, value: i64| {
        format!("INSERT INTO t SELECT {k}, named_struct('x', {value}), array({value}), map('k', {value})")
    };
    run(&session, &[&insert(1, 7)]).await;
    widen(&engine, &directory, &["s", "x"], DataType::Int64).await;
    set_property(&engine, &directory, "delta.columnMapping.mode", "name")
        .await
        .expect("mapped");
    widen(&engine, &directory, &["l", "element"], DataType::Int64).await;
    widen(&engine, &directory, &["m", "value"], DataType::Int64).await;
    run(&session, &[&insert(2, 5_000_000_000)]).await;
    assert_eq!(
        rows(&session, "SELECT k, s.x, l[0], m['k'] FROM t ORDER BY k").await,
        ["1|7|7|7", "2|5000000000|5000000000|5000000000"]
    );
    assert_eq!(rows(&session, "SELECT k FROM t WHERE s.x < 10").await, ["1"]);
}

#[tokio::test]
async fn partition_values_are_read_in_the_wider_type() {
    let (directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (k INT, p INT) PARTITIONED BY (p) TBLPROPERTIES ('delta.enableTypeWidening' = 'true')",
            "INSERT INTO t VALUES (1, 7)",
        ],
    )
    .await;
    widen(&engine, &directory, &["p"], DataType::Int64).await;
    run(&session, &["INSERT INTO t VALUES (2, 5000000000)"]).await;
    assert_eq!(
        rows(&session, "SELECT k, p FROM t WHERE p >= 7 ORDER BY k").await,
        ["1|7", "2|5000000000"]
    );
}

#[tokio::test]
async fn a_merge_that_evolves_the_schema_widens_within_the_family() {
    let (_directory, _, session) = widening_table("k INT, v INT").await;
    run(
        &session,
        &[
            "INSERT INTO t VALUES (1, 10)",
            "MERGE WITH SCHEMA EVOLUTION INTO t USING (SELECT 2 AS k, CAST(5000000000 AS BIGINT) AS v) AS n ON t.k = n.k \
             WHEN NOT MATCHED THEN INSERT *",
        ],
    )
    .await;
    assert_eq!(
        rows(&session, "SELECT k, v FROM t ORDER BY k").await,
        ["1|10", "2|5000000000"]
    );
}

#[test_case("ALTER TABLE t ADD CONSTRAINT small CHECK (v < 100)", "DELTA_CONSTRAINT_DATA_TYPE_MISMATCH"; "a constraint")]
#[test_case("ALTER TABLE t ADD CONSTRAINT small CHECK (s IS NULL OR s.x < 100)", "none"; "a constraint on another column")]
#[tokio::test]
async fn a_column_that_a_rule_names_is_not_widened_by_a_write(rule: &str, condition: &str) {
    let (_directory, _, session) = widening_table("k INT, v INT, s STRUCT<x: INT>").await;
    run(
        &session,
        &[
            "INSERT INTO t VALUES (1, 10, NULL), (2, 20, named_struct('x', 1))",
            rule,
        ],
    )
    .await;
    let source = "SELECT 3 AS k, CAST(30 AS BIGINT) AS v, named_struct('x', CAST(1 AS INT)) AS s";
    for statement in [
        format!(
            "MERGE WITH SCHEMA EVOLUTION INTO t USING ({source}) n ON t.k = n.k WHEN NOT MATCHED THEN INSERT *"
        ),
        format!("INSERT WITH SCHEMA EVOLUTION INTO t BY NAME {source}"),
    ] {
        match condition {
            "none" => run(&session, &[&statement]).await,
            condition => assert_eq!(refused(&session, &statement).await, condition, "{statement}"),
        }
    }
}

#[tokio::test]
async fn a_column_that_a_generated_one_names_is_not_widened_by_a_write() {
    let (_directory, _, session) =
        widening_table("k INT, s STRUCT<x: INT>, twice INT GENERATED ALWAYS AS (s.x * 2)").await;
    let merge = |x: &str| {
        format!(
            "MERGE WITH SCHEMA EVOLUTION INTO t USING (SELECT 1 AS k, named_struct('x', {x}) AS s) n ON t.k = n.k
             WHEN NOT MATCHED THEN INSERT *"
        )
    };
    assert_eq!(
        refused(&session, &merge("5000000000")).await,
        "DELTA_GENERATED_COLUMNS_DATA_TYPE_MISMATCH"
    );
    // Rows of the column's own type change nothing.
    run(&session, &[&merge("CAST(5 AS INT)")]).await;
    assert_eq!(rows(&session, "SELECT s.x, twice FROM t").await, ["5|10"]);
}
