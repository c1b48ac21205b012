//! Rules of a table: NOT NULL, CHECK, generated and identity columns, defaults, for every way to write.

use std::collections::HashSet;

use tokio::task::JoinSet;

use super::{new_session, open, refused, rows, run, try_rows};
use crate::support;

#[tokio::test]
async fn a_generated_column_is_computed_or_checked() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (Id INT, ts TIMESTAMP, d DATE GENERATED ALWAYS AS (CAST(ts AS DATE)), \
             twice BIGINT GENERATED ALWAYS AS (ID * 2)) PARTITIONED BY (d)",
            "INSERT INTO t (id, ts) VALUES (1, TIMESTAMP '2024-02-03 04:05:06')",
            "INSERT INTO t BY NAME SELECT 2 AS id, TIMESTAMP '2024-02-04 00:00:00' AS ts, 4 AS twice",
            "INSERT INTO t VALUES (3, NULL)",
            "INSERT INTO t VALUES (4, TIMESTAMP '2024-02-05 00:00:00', DATE '2024-02-05', 8)",
            "INSERT INTO t (twice, ts, id) VALUES (DEFAULT, TIMESTAMP '2024-02-06 00:00:00', 5)",
        ],
    )
    .await;
    assert_eq!(
        rows(&session, "SELECT id, d, twice FROM t ORDER BY id").await,
        [
            "1|2024-02-03|2",
            "2|2024-02-04|4",
            "3|NULL|6",
            "4|2024-02-05|8",
            "5|2024-02-06|10"
        ]
    );
    let error = try_rows(&session, "INSERT INTO t (id, twice) VALUES (6, 13)").await;
    let message = error.expect_err("does not fit").to_string();
    assert!(
        message.contains(
            "Generated Column (twice <=> ID * 2) violated by row with values:\n - Id : 6\n - twice : 13"
        ),
        "{message}"
    );
    // Null is a value like another.
    let condition = refused(&session, "INSERT INTO t (id, twice) VALUES (6, NULL)").await;
    assert_eq!(condition, "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES");
    assert_eq!(rows(&session, "SELECT count(*) FROM t").await, ["5"]);
}

#[tokio::test]
async fn generated_columns_are_defined_as_delta_allows() {
    let (_directory, _, session) = open().await;
    for (column, condition) in [
        (
            "g INT GENERATED ALWAYS AS (h)",
            "DELTA_INVALID_GENERATED_COLUMN_REFERENCES",
        ),
        (
            "g INT GENERATED ALWAYS AS (sum(a))",
            "DELTA_AGGREGATE_IN_GENERATED_COLUMN",
        ),
        (
            "g DOUBLE GENERATED ALWAYS AS (rand() + a)",
            "DELTA_NON_DETERMINISTIC_EXPRESSION_IN_GENERATED_COLUMN",
        ),
        (
            "g DATE GENERATED ALWAYS AS (current_date())",
            "DELTA_NON_DETERMINISTIC_EXPRESSION_IN_GENERATED_COLUMN",
        ),
        (
            "g DATE GENERATED ALWAYS AS (a > 1)",
            "DELTA_GENERATED_COLUMNS_EXPR_TYPE_MISMATCH",
        ),
        (
            "g INT GENERATED ALWAYS AS (a) DEFAULT 1",
            "GENERATED_COLUMN_WITH_DEFAULT_VALUE",
        ),
        (
            "g INT GENERATED ALWAYS AS IDENTITY",
            "DELTA_IDENTITY_COLUMNS_UNSUPPORTED_DATA_TYPE",
        ),
        (
            "g BIGINT GENERATED ALWAYS AS IDENTITY (INCREMENT BY 0)",
            "DELTA_IDENTITY_COLUMNS_ILLEGAL_STEP",
        ),
        (
            "g INT DEFAULT (SELECT 1)",
            "INVALID_DEFAULT_VALUE.SUBQUERY_EXPRESSION",
        ),
        ("g INT DEFAULT a", "INVALID_DEFAULT_VALUE.UNRESOLVED_EXPRESSION"),
        ("g INT DEFAULT true", "INVALID_DEFAULT_VALUE.DATA_TYPE"),
        (
            "g ARRAY<STRUCT<x: INT NOT NULL>>",
            "DELTA_NESTED_NOT_NULL_CONSTRAINT",
        ),
        ("g INT CHECK (g > 1)", "UNSUPPORTED_FEATURE"),
    ] {
        let statement = format!("CREATE TABLE t (a INT, h INT GENERATED ALWAYS AS (a + 1), {column})");
        assert_eq!(refused(&session, &statement).await, condition, "{column}");
    }
    let partitioned = "CREATE TABLE t (a BIGINT GENERATED ALWAYS AS IDENTITY, b INT) PARTITIONED BY (a)";
    assert_eq!(
        refused(&session, partitioned).await,
        "DELTA_IDENTITY_COLUMNS_PARTITION_NOT_SUPPORTED"
    );
}

#[tokio::test]
async fn defaults_fill_what_a_statement_leaves_out() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (a INT, b STRING DEFAULT concat('x', 'y'), c DATE DEFAULT '2024-01-02', \
             d TINYINT NOT NULL DEFAULT 7)",
            "INSERT INTO t (a) VALUES (1)",
            "INSERT INTO t VALUES (2, DEFAULT, DATE '2020-01-01', 1), (3, 'z', DEFAULT, 2)",
            "INSERT INTO t VALUES (4)",
            "INSERT INTO t (b, a) VALUES (NULL, 5)",
            "INSERT INTO t VALUES (DEFAULT, DEFAULT, DEFAULT, DEFAULT)",
            "INSERT INTO t BY NAME SELECT 6 AS a",
        ],
    )
    .await;
    assert_eq!(
        rows(&session, "SELECT * FROM t ORDER BY a NULLS LAST").await,
        [
            "1|xy|2024-01-02|7",
            "2|xy|2020-01-01|1",
            "3|z|2024-01-02|2",
            "4|xy|2024-01-02|7",
            "5|NULL|2024-01-02|7",
            "6|xy|2024-01-02|7",
            "NULL|xy|2024-01-02|7"
        ]
    );
    let features = rows(&session, "DESCRIBE DETAIL t").await;
    assert!(features[0].contains("allowColumnDefaults"), "{features:?}");
}

#[tokio::test]
async fn identity_columns_count() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id BIGINT GENERATED ALWAYS AS IDENTITY (START WITH 10 INCREMENT BY -5), a INT)",
            "INSERT INTO t (a) VALUES (1), (2)",
            "INSERT INTO t VALUES (DEFAULT, 3)",
            "CREATE TABLE s (id BIGINT GENERATED BY DEFAULT AS IDENTITY, a INT)",
            "INSERT INTO s (a) SELECT a FROM t",
            "INSERT INTO s VALUES (100, 4)",
            "INSERT INTO s (a) VALUES (5)",
        ],
    )
    .await;
    assert_eq!(
        rows(&session, "SELECT id FROM t ORDER BY id").await,
        ["0", "5", "10"]
    );
    assert_eq!(
        rows(&session, "SELECT id FROM s ORDER BY id").await,
        ["1", "2", "3", "4", "100"]
    );
    let condition = refused(&session, "INSERT INTO t VALUES (1, 4)").await;
    assert_eq!(condition, "DELTA_IDENTITY_COLUMNS_EXPLICIT_INSERT_NOT_SUPPORTED");
    let history = rows(&session, "DESCRIBE HISTORY t").await;
    assert_eq!(
        history.len(),
        3,
        "no commit but those of the statements: {history:?}"
    );
}

/// Two engines are as two processes: they share the log and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn identity_values_are_given_once_whoever_writes() {
    let (directory, engine, session) = open().await;
    let other = support::engine(directory.path()).await;
    let values: Vec<String> = (0..20).map(|value| format!("({value})")).collect();
    run(
        &session,
        &[
            "CREATE TABLE t (id BIGINT GENERATED ALWAYS AS IDENTITY, a INT)",
            "CREATE TABLE n (value INT)",
            &format!("INSERT INTO n VALUES {}", values.join(", ")),
        ],
    )
    .await;
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let session = new_session(if writer % 2 == 0 { &engine } else { &other });
        writers.spawn(async move {
            for _ in 0..5 {
                run(&session, &["INSERT INTO t (a) SELECT value FROM n"]).await;
            }
        });
    }
    writers.join_all().await;
    let ids = rows(&session, "SELECT id FROM t").await;
    let distinct: HashSet<&String> = ids.iter().collect();
    assert_eq!((ids.len(), distinct.len()), (400, 400));
    assert_eq!(rows(&session, "SELECT min(id), max(id) FROM t").await, ["1|400"]);
}

#[tokio::test]
async fn not_null_holds_in_columns_and_in_structs() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (a INT NOT NULL, s STRUCT<x: INT NOT NULL, y: INT>)",
            "INSERT INTO t VALUES (1, named_struct('x', 1, 'y', NULL))",
        ],
    )
    .await;
    for (row, column) in [
        ("(NULL, named_struct('x', 1, 'y', 2))", "column: a"),
        ("(2, named_struct('x', CAST(NULL AS INT), 'y', 2))", "column: s.x"),
        ("(2, NULL)", "column: s.x"),
    ] {
        let error = try_rows(&session, &format!("INSERT INTO t VALUES {row}")).await;
        let error = error.expect_err("null");
        assert_eq!(
            ingot_common::Classify::condition(&error),
            Some("DELTA_NOT_NULL_CONSTRAINT_VIOLATED")
        );
        assert!(error.to_string().contains(column), "{row}: {error}");
    }
    let condition = refused(
        &session,
        "INSERT INTO t (s) VALUES (named_struct('x', 1, 'y', 2))",
    )
    .await;
    assert_eq!(condition, "INCOMPATIBLE_DATA_FOR_TABLE.CANNOT_FIND_DATA");
    let features = rows(&session, "DESCRIBE DETAIL t").await;
    assert!(
        features[0].contains("invariants"),
        "Spark refuses a table without: {features:?}"
    );
}

#[tokio::test]
async fn merge_keeps_to_the_rules_and_fills_what_it_leaves_out() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id BIGINT GENERATED ALWAYS AS IDENTITY, k INT, v INT DEFAULT 7, \
             twice INT GENERATED ALWAYS AS (v * 2))",
            "ALTER TABLE t ADD CONSTRAINT small CHECK (v < 100)",
            "INSERT INTO t (k, v) VALUES (1, 10), (2, 20)",
            "MERGE INTO t USING (VALUES (1, 11), (3, 30), (4, NULL)) AS s(k, v) ON t.k = s.k \
             WHEN MATCHED THEN UPDATE SET v = s.v \
             WHEN NOT MATCHED AND s.v IS NULL THEN INSERT (k) VALUES (s.k) \
             WHEN NOT MATCHED THEN INSERT (k, v) VALUES (s.k, s.v)",
        ],
    )
    .await;
    assert_eq!(
        rows(&session, "SELECT k, v, twice FROM t ORDER BY k").await,
        ["1|11|22", "2|20|40", "3|30|60", "4|7|14"]
    );
    let ids = rows(&session, "SELECT count(DISTINCT id), min(id), count(id) FROM t").await;
    assert_eq!(ids, ["4|1|4"]);
    run(&session, &["INSERT INTO t (k) VALUES (5)"]).await;
    assert_eq!(rows(&session, "SELECT count(DISTINCT id) FROM t").await, ["5"]);
    let merge = |action: &str| {
        format!(
            "MERGE INTO t USING (VALUES (1, 100)) AS s(k, v) ON t.k = s.k WHEN MATCHED THEN UPDATE SET {action}"
        )
    };
    let condition = refused(&session, &merge("v = s.v")).await;
    assert_eq!(condition, "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES");
    let condition = refused(&session, &merge("id = s.v")).await;
    assert_eq!(condition, "DELTA_IDENTITY_COLUMNS_UPDATE_NOT_SUPPORTED");
}

#[tokio::test]
async fn update_computes_anew_what_is_generated() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id BIGINT GENERATED ALWAYS AS IDENTITY, v INT NOT NULL DEFAULT 7, \
             twice INT GENERATED ALWAYS AS (v * 2))",
            "INSERT INTO t (v) VALUES (1), (2), (3)",
            "UPDATE t SET v = v + 10 WHERE id = 1",
            "UPDATE t SET v = DEFAULT WHERE id = 2",
            "UPDATE t SET twice = 6 WHERE id = 3",
        ],
    )
    .await;
    assert_eq!(
        rows(&session, "SELECT * FROM t ORDER BY id").await,
        ["1|11|22", "2|7|14", "3|3|6"]
    );
    for (set, condition) in [
        ("id = 5", "DELTA_IDENTITY_COLUMNS_UPDATE_NOT_SUPPORTED"),
        ("twice = 5", "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"),
        ("v = NULL", "DELTA_NOT_NULL_CONSTRAINT_VIOLATED"),
    ] {
        assert_eq!(
            refused(&session, &format!("UPDATE t SET {set}")).await,
            condition,
            "{set}"
        );
    }
}
