//! Columns under other names, gone, and of wider types, while files stay as they are.

use test_case::test_case;

use super::super::{names, new_session, open, refused, rows, run};
use super::operation;

#[test_case("name")]
#[test_case("id")]
#[tokio::test]
async fn columns_are_renamed_at_any_depth(mode: &str) {
    let (_directory, engine, session) = open().await;
    let create = format!(
        "CREATE TABLE t (id BIGINT, p STRING, s STRUCT<x: INT, y: INT>, l ARRAY<STRUCT<v: INT>>) \
         PARTITIONED BY (p) TBLPROPERTIES ('delta.columnMapping.mode' = '{mode}', \
         'delta.dataSkippingStatsColumns' = 'id,s.x')"
    );
    run(
        &session,
        &[
            &create,
            "INSERT INTO t VALUES (1, 'a', named_struct('x', 10, 'y', 20), array(named_struct('v', 30)))",
            "ALTER TABLE t RENAME COLUMN ID TO `a key`",
            "ALTER TABLE t RENAME COLUMN p TO part",
            "ALTER TABLE t RENAME COLUMN s TO S2",
            "ALTER TABLE t RENAME COLUMN s2.x TO xx",
        ],
    )
    .await;
    let done = operation(&session, "t").await;
    assert!(
        done.contains("RENAME COLUMN") && done.contains("s2.x") && done.contains("s2.xx"),
        "{done}"
    );
    run(
        &session,
        &[
            "ALTER TABLE t RENAME COLUMN l.element.v TO w",
            "INSERT INTO t (`a key`, part, S2, l) VALUES (2, 'b', named_struct('xx', 11, 'y', 21), \
             array(named_struct('w', 31)))",
        ],
    )
    .await;
    let query = "SELECT `a key`, part, S2.xx, S2.y, l[0]['w'] FROM t ORDER BY 1";
    let expected = ["1|a|10|20|30", "2|b|11|21|31"];
    assert_eq!(rows(&session, query).await, expected);
    assert_eq!(rows(&new_session(&engine), query).await, expected);
    let shown = rows(
        &session,
        "SHOW TBLPROPERTIES t ('delta.dataSkippingStatsColumns')",
    )
    .await;
    assert_eq!(shown, ["delta.dataSkippingStatsColumns|`a key`,S2.xx"]);
    let described = rows(&session, "DESCRIBE TABLE t").await;
    assert_eq!(described[..2], ["a key|bigint|", "part|string|"]);
    let filtered = "SELECT part FROM t WHERE S2.xx = 11 AND part = 'b'";
    assert_eq!(rows(&session, filtered).await, ["b"]);
}

#[tokio::test]
async fn dropped_columns_do_not_come_back() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (a INT, b INT, c INT, d INT, s STRUCT<x: INT, y: INT>)",
            "INSERT INTO t VALUES (1, 2, 3, 4, named_struct('x', 5, 'y', 6))",
            "ALTER TABLE t SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
            "ALTER TABLE t DROP COLUMN B",
            "ALTER TABLE t DROP COLUMNS (c, s.x)",
        ],
    )
    .await;
    let done = operation(&session, "t").await;
    assert!(done.contains("DROP COLUMNS") && done.contains("s.x"), "{done}");
    let before = rows(&session, "DESCRIBE HISTORY t").await.len();
    run(
        &session,
        &[
            "ALTER TABLE t DROP COLUMN IF EXISTS none",
            "ALTER TABLE t DROP COLUMNS IF EXISTS none, nor.this",
        ],
    )
    .await;
    assert_eq!(
        rows(&session, "DESCRIBE HISTORY t").await.len(),
        before,
        "nothing to drop is no commit"
    );
    run(
        &session,
        &[
            "ALTER TABLE t DROP COLUMNS IF EXISTS (none, d)",
            "ALTER TABLE t ADD COLUMNS (b STRING FIRST, s.x STRING)",
            "INSERT INTO t VALUES ('two', 10, named_struct('y', 60, 'x', 'five'))",
        ],
    )
    .await;
    assert_eq!(names(&session, "SELECT * FROM t").await, ["b", "a", "s"]);
    assert_eq!(
        rows(&session, "SELECT * FROM t ORDER BY a").await,
        ["NULL|1|{y: 6, x: NULL}", "two|10|{y: 60, x: five}"]
    );
    assert_eq!(
        rows(&session, "SELECT b, c FROM t VERSION AS OF 1").await,
        ["2|3"]
    );
}

#[tokio::test]
async fn names_that_rules_and_layout_hold_are_kept() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE plain (a INT, b INT)",
            "CREATE TABLE t (a INT, b INT, c INT, d INT, g INT GENERATED ALWAYS AS (b + 1), p INT, s STRUCT<x: INT>) \
             PARTITIONED BY (p) TBLPROPERTIES ('delta.columnMapping.mode' = 'name', \
             'delta.enableTypeWidening' = 'true')",
            "ALTER TABLE t ADD CONSTRAINT positive CHECK (A > 0 AND `s`.x > 0)",
            "CREATE TABLE clustered (k INT, v INT) CLUSTER BY (k) TBLPROPERTIES \
             ('delta.columnMapping.mode' = 'name')",
            "INSERT INTO clustered VALUES (1, 2)",
        ],
    )
    .await;
    for (statement, condition) in [
        ("plain RENAME COLUMN a TO z", "DELTA_UNSUPPORTED_RENAME_COLUMN"),
        ("plain DROP COLUMN a", "DELTA_UNSUPPORTED_DROP_COLUMN"),
        (
            "t RENAME COLUMN a TO z",
            "DELTA_CONSTRAINT_DEPENDENT_COLUMN_CHANGE",
        ),
        ("t DROP COLUMN a", "DELTA_CONSTRAINT_DEPENDENT_COLUMN_CHANGE"),
        (
            "t ALTER COLUMN a TYPE BIGINT",
            "DELTA_CONSTRAINT_DEPENDENT_COLUMN_CHANGE",
        ),
        (
            "t RENAME COLUMN s.x TO z",
            "DELTA_CONSTRAINT_DEPENDENT_COLUMN_CHANGE",
        ),
        (
            "t RENAME COLUMN b TO z",
            "DELTA_GENERATED_COLUMNS_DEPENDENT_COLUMN_CHANGE",
        ),
        (
            "t DROP COLUMNS (c, b)",
            "DELTA_GENERATED_COLUMNS_DEPENDENT_COLUMN_CHANGE",
        ),
        (
            "t CHANGE COLUMN b b BIGINT",
            "DELTA_GENERATED_COLUMNS_DEPENDENT_COLUMN_CHANGE",
        ),
        ("t DROP COLUMN p", "DELTA_UNSUPPORTED_DROP_PARTITION_COLUMN"),
        (
            "clustered DROP COLUMN k",
            "DELTA_UNSUPPORTED_DROP_CLUSTERING_COLUMN",
        ),
        ("t RENAME COLUMN c TO D", "DELTA_DUPLICATE_COLUMNS_FOUND"),
        ("t RENAME COLUMN none TO z", "DELTA_COLUMN_NOT_FOUND_IN_SCHEMA"),
        ("t DROP COLUMN none", "DELTA_COLUMN_NOT_FOUND_IN_SCHEMA"),
        ("t DROP COLUMN a.c", "DELTA_COLUMN_NOT_FOUND_IN_SCHEMA"),
        ("t RENAME COLUMN c", "PARSE_SYNTAX_ERROR"),
    ] {
        assert_eq!(
            refused(&session, &format!("ALTER TABLE {statement}")).await,
            condition,
            "{statement}"
        );
    }
    run(
        &session,
        &[
            "ALTER TABLE clustered RENAME COLUMN k TO key",
            "INSERT INTO clustered VALUES (3, 4)",
            "OPTIMIZE clustered",
            "ALTER TABLE t RENAME COLUMN g TO made",
            "INSERT INTO t (a, b, p, s) VALUES (1, 2, 3, named_struct('x', 1))",
        ],
    )
    .await;
    let detail = rows(&session, "DESCRIBE DETAIL clustered").await;
    assert!(detail[0].contains("[key]"), "{detail:?}");
    assert_eq!(rows(&session, "SELECT b, made FROM t").await, ["2|3"]);
    assert_eq!(
        rows(&session, "SELECT key, v FROM clustered ORDER BY key").await,
        ["1|2", "3|4"]
    );
    assert_eq!(
        refused(
            &session,
            "INSERT INTO t (a, b, p, s) VALUES (0, 2, 3, named_struct('x', 1))"
        )
        .await,
        "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"
    );
}

#[tokio::test]
async fn types_are_widened() {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (a SMALLINT, b INT, l ARRAY<INT>, s STRUCT<x: FLOAT>) \
             TBLPROPERTIES ('delta.enableTypeWidening' = 'true')",
            "INSERT INTO t VALUES (1, 2, array(3), named_struct('x', 0.5))",
            "ALTER TABLE t ALTER COLUMN a TYPE INT",
            "ALTER TABLE t CHANGE COLUMN b TYPE DECIMAL(12, 1)",
            "ALTER TABLE t ALTER COLUMN l.element TYPE BIGINT",
            "ALTER TABLE t ALTER COLUMN s.x TYPE DOUBLE",
        ],
    )
    .await;
    let done = operation(&session, "t").await;
    assert!(
        done.contains("CHANGE COLUMN") && done.contains("s.x") && done.contains("double"),
        "{done}"
    );
    let before = rows(&session, "DESCRIBE HISTORY t").await.len();
    run(&session, &["ALTER TABLE t ALTER COLUMN a TYPE INT"]).await;
    assert_eq!(rows(&session, "DESCRIBE HISTORY t").await.len(), before);
    run(
        &session,
        &[
            "ALTER TABLE t CHANGE COLUMN a a BIGINT COMMENT 'wide' AFTER b",
            "INSERT INTO t VALUES (2.5, 5000000000, array(5000000000), named_struct('x', 0.1))",
        ],
    )
    .await;
    let described = rows(&session, "DESCRIBE TABLE t").await;
    assert_eq!(described[..2], ["b|decimal(12,1)|", "a|bigint|wide"]);
    let query = "SELECT a, b, l[0], s.x FROM t ORDER BY a";
    let expected = ["1|2.0|3|0.5", "5000000000|2.5|5000000000|0.1"];
    assert_eq!(rows(&session, query).await, expected);
    assert_eq!(rows(&new_session(&engine), query).await, expected);
}

#[tokio::test]
async fn types_that_are_not_wider_are_refused() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE plain (a INT)",
            "CREATE TABLE t (a INT, id BIGINT GENERATED ALWAYS AS IDENTITY) \
             TBLPROPERTIES ('delta.enableTypeWidening' = 'true')",
        ],
    )
    .await;
    for (statement, condition) in [
        (
            "plain ALTER COLUMN a TYPE BIGINT",
            "DELTA_UNSUPPORTED_ALTER_TABLE_CHANGE_COL_OP",
        ),
        (
            "t ALTER COLUMN a TYPE SMALLINT",
            "DELTA_UNSUPPORTED_ALTER_TABLE_CHANGE_COL_OP",
        ),
        (
            "t CHANGE COLUMN a a STRING",
            "DELTA_UNSUPPORTED_ALTER_TABLE_CHANGE_COL_OP",
        ),
        (
            "t ALTER COLUMN id TYPE DECIMAL(20, 0)",
            "DELTA_IDENTITY_COLUMNS_ALTER_COLUMN_NOT_SUPPORTED",
        ),
        (
            "t ALTER COLUMN a.id TYPE BIGINT",
            "DELTA_COLUMN_NOT_FOUND_IN_SCHEMA",
        ),
        (
            "t CHANGE COLUMN a.id id BIGINT",
            "DELTA_COLUMN_NOT_FOUND_IN_SCHEMA",
        ),
    ] {
        assert_eq!(
            refused(&session, &format!("ALTER TABLE {statement}")).await,
            condition,
            "{statement}"
        );
    }
}
