//! The forms of the statement: sources, values, subqueries, what is refused.

use std::collections::BTreeMap;

use ingot_common::{Classify, TableName};
use serde_json::Value;
use test_case::test_case;

use super::super::{names, open, refused, rows, run, steps, try_rows};

/// A table with rows 1 and 2.
const TABLE: [&str; 2] = [
    "CREATE TABLE t (id INT, v STRING, n BIGINT)",
    "INSERT INTO t VALUES (1, 'a', 10), (2, 'b', 20)",
];

const UPSERT: &str =
    "WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v)";

#[test_case("MERGE INTO t USING (VALUES (2, 'x'), (3, 'y')) AS s(id, v) ON t.id = s.id"; "values")]
#[test_case("MERGE INTO t AS t USING (SELECT id + 1 AS id, v FROM src) s ON t.id = s.id"; "query")]
#[test_case("MERGE INTO main.default.t t USING src_view AS s ON t.id = s.id"; "view")]
#[test_case("WITH c AS (SELECT id + 1 AS id, v FROM src), s AS (SELECT * FROM c) MERGE INTO t USING s ON t.id = s.id"; "common table expressions")]
#[test_case("WITH c(ID, V) AS (SELECT id + 1, v FROM src) MERGE INTO t USING c s ON t.id = s.id"; "common table expression with an alias")]
#[test_case("MERGE INTO t USING shifted VERSION AS OF 1 AS s ON t.id = s.id"; "a past version")]
#[test_case("MERGE INTO t USING shifted@v1 AS s ON t.id = s.id"; "a past version by suffix")]
#[tokio::test]
async fn a_source_is_what_from_takes(merge: &str) {
    let (_directory, _, session) = open().await;
    run(&session, &TABLE).await;
    run(
        &session,
        &[
            "CREATE TABLE src AS SELECT 1 AS id, 'x' AS v UNION ALL SELECT 2, 'y'",
            "CREATE VIEW src_view AS SELECT id + 1 AS id, v FROM src",
            "CREATE TABLE shifted (id INT, v STRING)",
            "INSERT INTO shifted VALUES (2, 'x'), (3, 'y')",
            "INSERT OVERWRITE shifted VALUES (9, 'z')",
        ],
    )
    .await;
    let merge = format!("{merge} {UPSERT}");
    assert_eq!(rows(&session, &merge).await, ["2|1|0|1"]);
    let expected = ["1|a|10", "2|x|20", "3|y|NULL"];
    assert_eq!(rows(&session, "SELECT * FROM t ORDER BY id").await, expected);
}

#[tokio::test]
async fn the_result_has_the_counts_that_databricks_gives() {
    let (_directory, _, session) = open().await;
    run(&session, &TABLE).await;
    let merge = "MERGE INTO t USING (SELECT 1 AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE
        WHEN NOT MATCHED BY SOURCE THEN UPDATE SET v = 'alone'";
    let columns = [
        "num_affected_rows",
        "num_updated_rows",
        "num_deleted_rows",
        "num_inserted_rows",
    ];
    assert_eq!(names(&session, merge).await, columns);
    assert_eq!(rows(&session, "SELECT * FROM t").await, ["2|alone|20"]);
}

#[tokio::test]
async fn fields_of_structs_are_set_alone() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id INT, s STRUCT<a: INT, Deep: STRUCT<x: STRING, y: INT>>)",
            "INSERT INTO t SELECT 1, named_struct('a', 1, 'Deep', named_struct('x', 'x', 'y', 2))",
            "INSERT INTO t VALUES (2, NULL)",
            "MERGE INTO t USING (SELECT 1 AS id UNION ALL SELECT 2) src ON t.id = src.id
             WHEN MATCHED THEN UPDATE SET t.s.deep.Y = src.id * 100, s.a = t.s.deep.y",
        ],
    )
    .await;
    assert_eq!(
        rows(
            &session,
            "SELECT id, s.a, s.`Deep`.x, s.`Deep`.y FROM t ORDER BY id"
        )
        .await,
        ["1|2|x|100", "2|NULL|NULL|200"]
    );
    for (set, condition) in [
        ("s.a = 1, s = NULL", "DELTA_CONFLICT_SET_COLUMN"),
        ("s.a = 1, S.A = 2", "DELTA_CONFLICT_SET_COLUMN"),
        ("s.none = 1", "UNRESOLVED_COLUMN.WITHOUT_SUGGESTION"),
    ] {
        let merge = format!(
            "MERGE INTO t USING (SELECT 1 AS id) x ON t.id = x.id WHEN MATCHED THEN UPDATE SET {set}"
        );
        assert_eq!(refused(&session, &merge).await, condition, "{set}");
    }
    let insert =
        "MERGE INTO t USING (SELECT 5 AS id) x ON t.id = x.id WHEN NOT MATCHED THEN INSERT (s.a) VALUES (1)";
    assert_eq!(refused(&session, insert).await, "UNSUPPORTED_FEATURE");
}

#[tokio::test]
async fn a_star_leaves_out_what_except_names() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id INT, v STRING, made STRING DEFAULT 'now') TBLPROPERTIES
             ('delta.feature.allowColumnDefaults' = 'supported')",
            "INSERT INTO t VALUES (1, 'a', 'first')",
        ],
    )
    .await;
    let source =
        "(SELECT 1 AS id, 'x' AS v, 'never' AS made, true AS gone UNION ALL SELECT 2, 'y', 'never', false)";
    let merge = |evolve: &str, except: &str| {
        format!(
            "MERGE {evolve} INTO t USING {source} s ON t.id = s.id
             WHEN MATCHED THEN UPDATE SET * EXCEPT ({except})
             WHEN NOT MATCHED THEN INSERT * EXCEPT ({except})"
        )
    };
    run(&session, &[&merge("", "MADE")]).await;
    let expected = ["1|x|first", "2|y|now"];
    assert_eq!(rows(&session, "SELECT * FROM t ORDER BY id").await, expected);
    // With evolution, a column that only the source has is left out as well.
    run(&session, &[&merge("WITH SCHEMA EVOLUTION", "made, gone")]).await;
    assert_eq!(rows(&session, "SELECT * FROM t ORDER BY id").await, expected);
    run(&session, &[&merge("WITH SCHEMA EVOLUTION", "t.made, v")]).await;
    assert_eq!(
        rows(&session, "SELECT id, v, made, gone FROM t ORDER BY id").await,
        ["1|x|first|true", "2|y|now|false"]
    );
    for (except, condition) in [
        ("missing", "UNRESOLVED_COLUMN.WITHOUT_SUGGESTION"),
        ("v, V", "EXCEPT_OVERLAPPING_COLUMNS"),
        ("", "PARSE_SYNTAX_ERROR"),
    ] {
        assert_eq!(refused(&session, &merge("", except)).await, condition, "{except}");
    }
}

#[tokio::test]
async fn default_stands_for_what_a_column_has_by_itself() {
    let (_directory, _, session) = open().await;
    run(&session, &TABLE).await;
    let merge = "MERGE INTO t USING (SELECT 1 AS id UNION ALL SELECT 3) s ON t.id = s.id
        WHEN MATCHED THEN UPDATE SET v = DEFAULT
        WHEN NOT MATCHED THEN INSERT (id, v, n) VALUES (s.id, default, 30)";
    run(&session, &[merge]).await;
    let expected = ["1|NULL|10", "2|b|20", "3|NULL|30"];
    assert_eq!(rows(&session, "SELECT * FROM t ORDER BY id").await, expected);
}

#[tokio::test]
async fn subqueries_that_stand_by_themselves_are_answered() {
    let (_directory, _, session) = open().await;
    run(&session, &TABLE).await;
    run(
        &session,
        &[
            "CREATE TABLE blocked AS SELECT 2 AS id UNION ALL SELECT NULL",
            "WITH limits AS (SELECT 15 AS most)
             MERGE INTO t USING (SELECT 1 AS id, 'x' AS v UNION ALL SELECT 2, 'y' UNION ALL SELECT 3, 'z') s
             ON t.id = s.id AND t.n < (SELECT max(n) + 1 FROM t)
             WHEN MATCHED AND t.id IN (SELECT id FROM blocked) THEN DELETE
             WHEN MATCHED AND EXISTS (SELECT 1 FROM blocked) AND t.n < (SELECT most FROM limits)
               THEN UPDATE SET n = (SELECT count(*) FROM t), v = s.v
             WHEN NOT MATCHED AND NOT EXISTS (SELECT 1 FROM blocked WHERE id = 7)
               THEN INSERT (id, n) VALUES (s.id, (SELECT n FROM t WHERE id = 99))",
        ],
    )
    .await;
    assert_eq!(
        rows(&session, "SELECT * FROM t ORDER BY id").await,
        ["1|x|2", "3|NULL|NULL"]
    );
    // A null among the values makes NOT IN unknown.
    let merge = "MERGE INTO t USING (SELECT 1 AS id) s ON t.id = s.id
        WHEN MATCHED AND t.id NOT IN (SELECT id FROM blocked) THEN DELETE";
    assert_eq!(rows(&session, merge).await, ["0|0|0|0"]);
    for (condition, expected) in [
        (
            "EXISTS (SELECT 1 FROM blocked b WHERE b.id = t.id)",
            "DELTA_UNSUPPORTED_SUBQUERY",
        ),
        (
            "t.n = (SELECT max(b.id) FROM blocked b WHERE b.id = s.id)",
            "DELTA_UNSUPPORTED_SUBQUERY",
        ),
        ("t.n = (SELECT id FROM blocked)", "SCALAR_SUBQUERY_TOO_MANY_ROWS"),
        (
            "t.n IN (SELECT id, 1 FROM blocked)",
            "INVALID_SUBQUERY_EXPRESSION.SCALAR_SUBQUERY_RETURN_MORE_THAN_ONE_OUTPUT_COLUMN",
        ),
    ] {
        let merge = format!(
            "MERGE INTO t USING (SELECT 1 AS id) s ON t.id = s.id WHEN MATCHED AND {condition} THEN DELETE"
        );
        assert_eq!(refused(&session, &merge).await, expected, "{condition}");
    }
}

#[test_case(
    "ON t.id = s.id AND rand() < 0.5 WHEN MATCHED THEN DELETE",
    "DELTA_NON_DETERMINISTIC_FUNCTION_NOT_SUPPORTED"
)]
#[test_case(
    "ON t.id = s.id WHEN MATCHED AND rand() < 0.5 THEN DELETE",
    "DELTA_NON_DETERMINISTIC_FUNCTION_NOT_SUPPORTED"
)]
#[test_case(
    "ON t.id = max(s.id) WHEN MATCHED THEN DELETE",
    "DELTA_AGGREGATION_NOT_SUPPORTED"
)]
#[test_case(
    "ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = sum(s.id)",
    "DELTA_AGGREGATION_NOT_SUPPORTED"
)]
#[test_case("ON t.id WHEN MATCHED THEN DELETE", "DATATYPE_MISMATCH.FILTER_NOT_BOOLEAN")]
#[test_case(
    "ON t.id = s.id WHEN MATCHED AND s.v THEN DELETE",
    "DATATYPE_MISMATCH.FILTER_NOT_BOOLEAN"
)]
#[test_case("ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = s.v", "CAST_INVALID_INPUT")]
#[test_case(
    "ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = date'2024-02-29'",
    "DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION"
)]
#[test_case(
    "ON t.id = s.id WHEN MATCHED THEN UPDATE SET *",
    "DELTA_MERGE_UNRESOLVED_EXPRESSION"
)]
#[test_case(
    "ON t.id = s.id WHEN NOT MATCHED THEN INSERT *",
    "DELTA_MERGE_UNRESOLVED_EXPRESSION"
)]
#[test_case("ON t.id = s.id WHEN NOT MATCHED THEN DELETE", "PARSE_SYNTAX_ERROR")]
#[test_case(
    "ON t.id = s.id WHEN NOT MATCHED BY SOURCE THEN UPDATE SET *",
    "PARSE_SYNTAX_ERROR"
)]
#[test_case(
    "ON t.id = s.id WHEN NOT MATCHED BY SOURCE THEN INSERT *",
    "PARSE_SYNTAX_ERROR"
)]
#[test_case(
    "ON t.id = s.id WHEN NOT MATCHED BY SOURCE THEN UPDATE SET v = s.v",
    "UNRESOLVED_COLUMN.WITHOUT_SUGGESTION"
)]
#[test_case("ON t.id = s.id", "MERGE_WITHOUT_WHEN")]
#[tokio::test]
async fn what_spark_refuses_is_refused_by_its_name(rest: &str, condition: &str) {
    let (_directory, _, session) = open().await;
    run(&session, &TABLE).await;
    let merge = format!("MERGE INTO t USING (SELECT 1 AS id, 'x' AS v) s {rest}");
    assert_eq!(refused(&session, &merge).await, condition);
    assert_eq!(rows(&session, "SELECT count(*) FROM t").await, ["2"]);
}

#[tokio::test]
async fn a_value_that_does_not_fit_names_its_column() {
    let (_directory, _, session) = open().await;
    run(&session, &TABLE).await;
    let merge = "MERGE INTO t USING (SELECT 1 AS id, 3000000000 AS big) s ON t.id = s.id
        WHEN MATCHED THEN UPDATE SET t.id = s.big";
    let error = try_rows(&session, merge).await.expect_err("does not fit");
    assert_eq!(error.condition(), Some("DELTA_CAST_OVERFLOW_IN_TABLE_WRITE"));
    assert!(error.to_string().contains("`id`"), "{error}");
    assert_eq!(rows(&session, "SELECT id FROM t ORDER BY id").await, ["1", "2"]);
}

#[tokio::test]
async fn a_condition_without_keys_is_tried_on_all_pairs() {
    let (_directory, _, session) = open().await;
    run(&session, &TABLE).await;
    let merge =
        "MERGE INTO t USING (SELECT 15 AS low) s ON t.n > s.low WHEN MATCHED THEN UPDATE SET v = 'high'
        WHEN NOT MATCHED BY SOURCE THEN UPDATE SET v = 'low'";
    assert_eq!(rows(&session, merge).await, ["2|2|0|0"]);
    assert_eq!(
        rows(&session, "SELECT v FROM t ORDER BY id").await,
        ["low", "high"]
    );
    let merge =
        "MERGE INTO t USING (SELECT 7 AS id) s ON FALSE WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)
        WHEN NOT MATCHED BY SOURCE AND t.id = 1 THEN DELETE";
    assert_eq!(rows(&session, merge).await, ["2|0|1|1"]);
    assert_eq!(rows(&session, "SELECT id FROM t ORDER BY id").await, ["2", "7"]);
}

#[tokio::test]
async fn the_history_tells_what_was_asked_and_done() {
    let (_directory, _, session) = open().await;
    run(&session, &TABLE).await;
    let merge = "MERGE INTO t USING (VALUES (1, 'x'), (3, 'y'), (4, 'z')) AS s(id, v) ON t.id = s.id
        WHEN MATCHED AND s.v = 'x' THEN UPDATE SET v = s.v
        WHEN NOT MATCHED AND s.id < 4 THEN INSERT (id, v) VALUES (s.id, s.v)
        WHEN NOT MATCHED BY SOURCE THEN DELETE";
    assert_eq!(rows(&session, merge).await, ["3|1|1|1"]);
    let table = TableName::parse("main.default.t").expect("name");
    let (_, table) = session.open_table(&table).await.expect("table");
    let history = table.history(Some(1)).await.expect("history");
    let info = &history[0].info;
    assert_eq!(info.operation.as_deref(), Some("MERGE"));
    let texts = |values: &Option<BTreeMap<String, Value>>| -> BTreeMap<String, String> {
        let values = values.iter().flatten();
        values
            .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect()
    };
    let parameters = texts(&info.operation_parameters);
    let expected = [
        (
            "matchedPredicates",
            r#"[{"predicate":"s.v = 'x'","actionType":"update"}]"#,
        ),
        ("notMatchedBySourcePredicates", r#"[{"actionType":"delete"}]"#),
        (
            "notMatchedPredicates",
            r#"[{"predicate":"s.id < 4","actionType":"insert"}]"#,
        ),
        ("predicate", r#"["t.id = s.id"]"#),
    ];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(parameters, expected.into());
    let metrics = texts(&info.operation_metrics);
    for (name, value) in [
        ("numSourceRows", 3),
        ("numTargetRowsInserted", 1),
        ("numTargetRowsUpdated", 1),
        ("numTargetRowsMatchedUpdated", 1),
        ("numTargetRowsNotMatchedBySourceUpdated", 0),
        ("numTargetRowsDeleted", 1),
        ("numTargetRowsMatchedDeleted", 0),
        ("numTargetRowsNotMatchedBySourceDeleted", 1),
        ("numTargetRowsCopied", 0),
        ("numOutputRows", 2),
        ("numTargetFilesAdded", 1),
        ("numTargetFilesRemoved", 1),
        ("numTargetChangeFilesAdded", 0),
        ("numTargetDeletionVectorsAdded", 0),
        ("numTargetDeletionVectorsUpdated", 0),
        ("numTargetDeletionVectorsRemoved", 0),
    ] {
        assert_eq!(metrics.get(name), Some(&value.to_string()), "{name}: {metrics:?}");
    }
    for name in [
        "executionTimeMs",
        "materializeSourceTimeMs",
        "scanTimeMs",
        "rewriteTimeMs",
        "numTargetBytesAdded",
        "numTargetBytesRemoved",
    ] {
        let value = metrics.get(name).and_then(|value| value.parse::<i64>().ok());
        assert!(value.is_some_and(|value| value >= 0), "{name}: {metrics:?}");
    }
}

#[tokio::test]
async fn texts_name_variables_and_parameters() {
    let (_directory, _, session) = open().await;
    run(&session, &TABLE).await;
    run(
        &session,
        &["DECLARE x BIGINT DEFAULT 5", "DECLARE id INT DEFAULT 99"],
    )
    .await;
    steps(
        &session,
        &[
            // A column hides a variable.
            (
                "MERGE INTO t USING (VALUES (1, 'x')) AS s(key, v) ON id = s.key WHEN MATCHED AND x = 5 THEN UPDATE SET n = \
                 t.n + session.x",
                "1|1|0|0",
            ),
            (
                "EXECUTE IMMEDIATE 'MERGE INTO t USING (SELECT ? AS id, ? AS v) s ON t.id = s.id AND t.id = ? WHEN MATCHED \
                 THEN UPDATE SET v = ?, n = ? WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, ?)' USING 2, 'b', 2, \
                 'set', 7, 'new'",
                "1|1|0|0",
            ),
            ("SELECT * FROM t ORDER BY id", "1|a|15; 2|set|7"),
            (
                "EXECUTE IMMEDIATE 'WITH q AS (SELECT ? AS id) MERGE INTO t USING (SELECT id, ? AS v FROM q) s ON t.id = \
                 s.id WHEN MATCHED THEN UPDATE SET v = s.v' USING 2, 'second'",
                "1|1|0|0",
            ),
            (
                "EXECUTE IMMEDIATE 'MERGE INTO t USING (SELECT :id AS id) s ON t.id = s.id AND s.id IN (SELECT :id) WHEN \
                 MATCHED THEN UPDATE SET v = :v' USING 1 AS id, 'named' AS v",
                "1|1|0|0",
            ),
            ("SELECT * FROM t ORDER BY id", "1|named|15; 2|second|7"),
            (
                "BEGIN DECLARE n BIGINT DEFAULT 1; DECLARE y STRING DEFAULT 'local'; MERGE INTO t USING (VALUES (1)) AS s(id) \
                 ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = y, n = n + 1; END",
                "",
            ),
            ("SELECT * FROM t WHERE t.id = 1", "1|local|16"),
            (
                "MERGE INTO t USING (VALUES (1)) AS s(id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = aggregate(array(1L, \
                 2L), 0L, (x, y) -> x + y)",
                "1|1|0|0",
            ),
            ("SELECT n FROM t WHERE t.id = 1", "3"),
            // A lambda's parameter hides a column, and nothing outside of the lambda.
            (
                "MERGE INTO t USING (VALUES (1)) AS s(id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = \
                 transform(array(10L), id -> id + 1L)[0] + aggregate(array(1L, 2L), 0L, (x, y) -> x + y) * session.x * 0 + x * 0",
                "1|1|0|0",
            ),
            ("SELECT n FROM t WHERE t.id = 1", "11"),
            (
                "MERGE INTO t USING (VALUES (1)) AS s(id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = nothing",
                "!UNRESOLVED_COLUMN.WITH_SUGGESTION",
            ),
            (
                "MERGE INTO t USING (VALUES (1)) AS s(id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = :nothing",
                "!UNBOUND_SQL_PARAMETER",
            ),
        ],
    )
    .await;
}
