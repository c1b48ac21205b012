//! ALTER TABLE: what it makes of the log, of the metastore and of rows.

mod mapped;

use super::{new_session, open, refused, rows, run, try_rows};

async fn operation(session: &ingot_engine::Session, table: &str) -> String {
    let history = rows(session, &format!("DESCRIBE HISTORY {table}")).await;
    history.first().cloned().unwrap_or_default()
}

#[tokio::test]
async fn columns_are_added_reordered_and_commented() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (a INT, s STRUCT<x: INT, y: INT>, l ARRAY<STRUCT<p: INT>>)",
            "INSERT INTO t VALUES (1, named_struct('x', 1, 'y', 2), array(named_struct('p', 3)))",
            "ALTER TABLE t ADD COLUMNS (b STRING COMMENT 'new' AFTER a, s.z INT FIRST, l.element.q BIGINT)",
            "ALTER TABLE t ADD COLUMN c DATE FIRST",
        ],
    )
    .await;
    assert_eq!(
        rows(&session, "SELECT * FROM t").await,
        ["NULL|1|NULL|{z: NULL, x: 1, y: 2}|[{p: 3, q: NULL}]"]
    );
    let operation = operation(&session, "t").await;
    assert!(
        operation.contains("ADD COLUMNS")
            && operation.contains(r#""name":"c""#)
            && operation.contains(r#""position":"FIRST""#),
        "{operation}"
    );
    run(
        &session,
        &[
            "ALTER TABLE t ALTER COLUMN c AFTER B",
            "ALTER TABLE t ALTER COLUMN s.x COMMENT 'inner'",
            "ALTER TABLE t CHANGE COLUMN a a INT COMMENT 'key' FIRST",
            "COMMENT ON COLUMN t.b IS 'text'",
            "COMMENT ON TABLE t IS 'a table'",
        ],
    )
    .await;
    assert_eq!(
        rows(&session, "DESCRIBE TABLE t").await,
        [
            "a|int|key",
            "b|string|text",
            "c|date|",
            "s|struct<z:int,x:int,y:int>|",
            "l|array<struct<p:int,q:bigint>>|"
        ]
    );
    run(&session, &["INSERT INTO t VALUES (2, 'b', NULL, NULL, NULL)"]).await;
    assert_eq!(
        rows(&session, "SELECT a, b FROM t ORDER BY a").await,
        ["1|NULL", "2|b"]
    );
}

#[tokio::test]
async fn changes_of_columns_that_are_refused() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (a INT, id BIGINT GENERATED ALWAYS AS IDENTITY)",
            "INSERT INTO t (a) VALUES (1)",
        ],
    )
    .await;
    for (change, condition) in [
        ("ADD COLUMN A INT", "FIELD_ALREADY_EXISTS"),
        ("ADD COLUMN b INT NOT NULL", "DELTA_NOT_NULL_NESTED_FIELD"),
        (
            "ADD COLUMN b INT DEFAULT 1",
            "WRONG_COLUMN_DEFAULTS_FOR_DELTA_ALTER_TABLE_ADD_COLUMN_NOT_SUPPORTED",
        ),
        ("ADD COLUMN b INT GENERATED ALWAYS AS (a)", "UNSUPPORTED_FEATURE"),
        ("ADD COLUMN a.b INT", "DELTA_ADD_COLUMN_PARENT_NOT_STRUCT"),
        ("ADD COLUMN b INT AFTER z", "DELTA_COLUMN_NOT_FOUND_IN_SCHEMA"),
        ("ALTER COLUMN z COMMENT 'x'", "DELTA_COLUMN_NOT_FOUND_IN_SCHEMA"),
        (
            "ALTER COLUMN a SET DEFAULT true",
            "INVALID_DEFAULT_VALUE.DATA_TYPE",
        ),
        (
            "ALTER COLUMN id SET DEFAULT 1",
            "GENERATED_COLUMN_WITH_DEFAULT_VALUE",
        ),
        (
            "ALTER COLUMN a SYNC IDENTITY",
            "DELTA_IDENTITY_COLUMNS_ALTER_NON_IDENTITY_COLUMN",
        ),
        ("SET OWNER", "PARSE_SYNTAX_ERROR"),
        (
            "DROP FEATURE appendOnly",
            "DELTA_FEATURE_DROP_FEATURE_NOT_PRESENT",
        ),
    ] {
        assert_eq!(
            refused(&session, &format!("ALTER TABLE t {change}")).await,
            condition,
            "{change}"
        );
    }
    assert_eq!(
        refused(&session, "ALTER TABLE none ADD COLUMN a INT").await,
        "TABLE_OR_VIEW_NOT_FOUND"
    );
    assert_eq!(rows(&session, "DESCRIBE HISTORY t").await.len(), 2);
}

#[tokio::test]
async fn not_null_is_set_only_where_it_holds() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (a INT, s STRUCT<x: INT>)",
            "INSERT INTO t VALUES (1, named_struct('x', 1)), (NULL, named_struct('x', NULL))",
        ],
    )
    .await;
    for column in ["a", "s.x"] {
        let error = try_rows(
            &session,
            &format!("ALTER TABLE t ALTER COLUMN {column} SET NOT NULL"),
        )
        .await;
        let error = error.expect_err("a row holds null");
        assert_eq!(
            ingot_common::Classify::condition(&error),
            Some("DELTA_NEW_NOT_NULL_VIOLATION")
        );
        assert!(error.to_string().starts_with("1 rows"), "{error}");
    }
    run(
        &session,
        &[
            "INSERT OVERWRITE t VALUES (1, named_struct('x', 1))",
            "ALTER TABLE t ALTER COLUMN a SET NOT NULL",
        ],
    )
    .await;
    let condition = refused(&session, "INSERT INTO t VALUES (NULL, NULL)").await;
    assert_eq!(condition, "DELTA_NOT_NULL_CONSTRAINT_VIOLATED");
    run(
        &session,
        &[
            "ALTER TABLE t ALTER COLUMN a DROP NOT NULL",
            "INSERT INTO t VALUES (NULL, NULL)",
        ],
    )
    .await;
}

#[tokio::test]
async fn constraints_hold_for_rows_that_are_there_and_that_come() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (Id INT, name STRING)",
            "INSERT INTO t VALUES (1, 'a'), (-1, 'b'), (NULL, 'c')",
        ],
    )
    .await;
    let error = try_rows(&session, "ALTER TABLE t ADD CONSTRAINT positive CHECK (id > 0)").await;
    let error = error.expect_err("two rows do not hold");
    assert!(
        error
            .to_string()
            .starts_with("2 rows in main.default.t violate the new CHECK constraint (id > 0)"),
        "{error}"
    );
    run(
        &session,
        &[
            "INSERT OVERWRITE t VALUES (1, 'a')",
            "ALTER TABLE t ADD CONSTRAINT Positive CHECK (id > 0)",
        ],
    )
    .await;
    let operation = operation(&session, "t").await;
    assert!(
        operation.contains("ADD CONSTRAINT") && operation.contains("id > 0"),
        "{operation}"
    );
    for row in ["(0, 'z')", "(NULL, 'z')"] {
        let error = try_rows(&session, &format!("INSERT INTO t VALUES (2, 'x'), {row}")).await;
        let message = error.expect_err("violated").to_string();
        assert!(
            message.starts_with("CHECK constraint positive id > 0 violated by row with values:\n - Id : "),
            "{message}"
        );
    }
    for (statement, condition) in [
        (
            "ADD CONSTRAINT POSITIVE CHECK (id > 1)",
            "DELTA_CONSTRAINT_ALREADY_EXISTS",
        ),
        (
            "ADD CONSTRAINT c CHECK (id + 1)",
            "DELTA_NON_BOOLEAN_CHECK_CONSTRAINT",
        ),
        (
            "ADD CONSTRAINT c CHECK (other > 1)",
            "DELTA_INVALID_CHECK_CONSTRAINT_REFERENCES",
        ),
        (
            "ADD CONSTRAINT c CHECK (max(id) > 1)",
            "DELTA_AGGREGATE_IN_CHECK_CONSTRAINT",
        ),
        (
            "ADD CONSTRAINT c CHECK (rand() > 1)",
            "DELTA_NON_DETERMINISTIC_EXPRESSION_IN_CHECK_CONSTRAINT",
        ),
        ("ADD CONSTRAINT u UNIQUE (id)", "UNSUPPORTED_CONSTRAINT_TYPE"),
        ("DROP CONSTRAINT none", "DELTA_CONSTRAINT_DOES_NOT_EXIST"),
        (
            "SET TBLPROPERTIES ('delta.constraints.c' = 'id > 1')",
            "DELTA_ADD_CONSTRAINTS",
        ),
    ] {
        assert_eq!(
            refused(&session, &format!("ALTER TABLE t {statement}")).await,
            condition,
            "{statement}"
        );
    }
    run(
        &session,
        &[
            "ALTER TABLE t DROP CONSTRAINT IF EXISTS none",
            "ALTER TABLE t DROP CONSTRAINT positive",
            "INSERT INTO t VALUES (-5, 'x')",
        ],
    )
    .await;
    let detail = rows(&session, "DESCRIBE DETAIL t").await;
    assert!(detail[0].contains("checkConstraints"), "{detail:?}");
}

#[tokio::test]
async fn properties_bring_their_features() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (a INT) TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported')",
            "INSERT INTO t VALUES (1)",
            "ALTER TABLE t SET TBLPROPERTIES ('delta.appendOnly' = 'true', mine = 'x')",
        ],
    )
    .await;
    let detail = rows(&session, "DESCRIBE DETAIL t").await;
    assert!(
        detail[0].contains("appendOnly") && detail[0].contains("allowColumnDefaults"),
        "{detail:?}"
    );
    let shown = rows(&session, "SHOW TBLPROPERTIES t").await;
    assert!(shown.contains(&"delta.appendOnly|true".to_owned()), "{shown:?}");
    assert!(shown.contains(&"mine|x".to_owned()), "{shown:?}");
    let detail = rows(&session, "DESCRIBE DETAIL t").await;
    assert!(
        !detail[0].contains("delta.feature"),
        "what asks is not stored: {detail:?}"
    );
    assert_eq!(rows(&session, "SHOW TBLPROPERTIES t ('mine')").await, ["mine|x"]);
    let error = try_rows(&session, "INSERT OVERWRITE t VALUES (1)").await;
    assert!(error.expect_err("append only").to_string().contains("appendOnly"));
    run(
        &session,
        &["ALTER TABLE t UNSET TBLPROPERTIES ('delta.appendOnly', 'mine')"],
    )
    .await;
    run(&session, &["INSERT OVERWRITE t VALUES (2)"]).await;
    for (statement, condition) in [
        (
            "UNSET TBLPROPERTIES ('none')",
            "DELTA_UNSET_NON_EXISTENT_PROPERTY",
        ),
        (
            "SET TBLPROPERTIES ('location' = 'x')",
            "DELTA_CANNOT_CHANGE_LOCATION",
        ),
        (
            "SET TBLPROPERTIES ('provider' = 'x')",
            "DELTA_CANNOT_CHANGE_PROVIDER",
        ),
        (
            "SET TBLPROPERTIES ('delta.feature.clustering' = 'supported')",
            "DELTA_ALTER_TABLE_SET_CLUSTERING_TABLE_FEATURE_NOT_ALLOWED",
        ),
    ] {
        assert_eq!(
            refused(&session, &format!("ALTER TABLE t {statement}")).await,
            condition,
            "{statement}"
        );
    }
    run(
        &session,
        &["ALTER TABLE t UNSET TBLPROPERTIES IF EXISTS ('none')"],
    )
    .await;
}

#[tokio::test]
async fn defaults_and_identity_marks_change() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id BIGINT GENERATED BY DEFAULT AS IDENTITY, a INT)",
            "ALTER TABLE t ALTER COLUMN a SET DEFAULT 1 + 2",
            "INSERT INTO t (id) VALUES (40)",
            "ALTER TABLE t ALTER COLUMN id SYNC IDENTITY",
            "ALTER TABLE t ALTER COLUMN a DROP DEFAULT",
            "INSERT INTO t (a) VALUES (DEFAULT)",
        ],
    )
    .await;
    assert_eq!(
        rows(&session, "SELECT id, a FROM t ORDER BY id").await,
        ["40|3", "41|NULL"]
    );
}

#[tokio::test]
async fn clustering_is_named_by_columns() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (a INT, B STRING, s STRUCT<x: INT>) CLUSTER BY (A, s.x)",
            "INSERT INTO t VALUES (1, 'b', NULL)",
        ],
    )
    .await;
    let clustering = |detail: &[String]| detail[0].contains("[a, s.x]");
    let detail = rows(&session, "DESCRIBE DETAIL t").await;
    assert!(
        clustering(&detail) && detail[0].contains("clustering"),
        "{detail:?}"
    );
    run(
        &session,
        &["CREATE TABLE copy LIKE t", "ALTER TABLE t CLUSTER BY (b)"],
    )
    .await;
    let operation = operation(&session, "t").await;
    assert!(
        operation.contains("CLUSTER BY") && operation.contains("a,s.x"),
        "{operation}"
    );
    assert!(!clustering(&rows(&session, "DESCRIBE DETAIL t").await));
    assert!(
        clustering(&rows(&session, "DESCRIBE DETAIL copy").await),
        "LIKE takes the clustering"
    );
    run(
        &session,
        &[
            "ALTER TABLE t CLUSTER BY NONE",
            "CREATE OR REPLACE TABLE copy (a INT)",
            "CREATE TABLE p (a INT, b INT) PARTITIONED BY (a)",
        ],
    )
    .await;
    for (statement, condition) in [
        ("ALTER TABLE t CLUSTER BY (z)", "DELTA_COLUMN_NOT_FOUND"),
        (
            "ALTER TABLE p CLUSTER BY (b)",
            "DELTA_ALTER_TABLE_CLUSTER_BY_ON_PARTITIONED_TABLE_NOT_ALLOWED",
        ),
        (
            "CREATE TABLE q (a INT, b INT) PARTITIONED BY (a) CLUSTER BY (b)",
            "DELTA_CLUSTER_BY_WITH_PARTITIONED_BY",
        ),
    ] {
        assert_eq!(refused(&session, statement).await, condition, "{statement}");
    }
}

#[tokio::test]
async fn a_table_like_another_has_its_columns_and_not_its_rows() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id BIGINT GENERATED ALWAYS AS IDENTITY, a INT NOT NULL DEFAULT 5, b INT) \
             PARTITIONED BY (b) COMMENT 'mine' TBLPROPERTIES (k = 'v')",
            "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)",
            "INSERT INTO t (b) VALUES (1), (2)",
            "CREATE TABLE u LIKE t TBLPROPERTIES (k = 'w')",
            "INSERT INTO u (b) VALUES (3)",
        ],
    )
    .await;
    assert_eq!(
        rows(&session, "SELECT * FROM u").await,
        ["1|5|3"],
        "its identity begins anew"
    );
    assert_eq!(
        refused(&session, "INSERT INTO u (a, b) VALUES (0, 1)").await,
        "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"
    );
    let shown = rows(&session, "SHOW TBLPROPERTIES u").await;
    assert!(shown.contains(&"k|w".to_owned()), "{shown:?}");
}

#[tokio::test]
async fn tables_are_renamed_and_moved() {
    let (directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE SCHEMA other",
            "CREATE TABLE t AS SELECT 1 AS a",
            "CREATE TABLE taken (a INT)",
            "ALTER TABLE t RENAME TO other.u",
        ],
    )
    .await;
    let another = new_session(&engine);
    assert_eq!(rows(&another, "SELECT * FROM other.u").await, ["1"]);
    assert_eq!(
        refused(&session, "SELECT * FROM t").await,
        "TABLE_OR_VIEW_NOT_FOUND"
    );
    let taken = refused(&session, "ALTER TABLE other.u RENAME TO taken").await;
    assert_eq!(taken, "TABLE_OR_VIEW_ALREADY_EXISTS");
    run(&session, &["ALTER TABLE other.u SET OWNER TO `ada@example.com`"]).await;

    let place = |name: &str| directory.path().join(name).display().to_string();
    run(
        &session,
        &[
            &format!("CREATE TABLE x (a INT) LOCATION '{}'", place("x")),
            &format!(
                "CREATE TABLE y LOCATION '{}' AS SELECT CAST(7 AS INT) AS a",
                place("y")
            ),
            &format!("CREATE TABLE z (b INT) LOCATION '{}'", place("z")),
            "DROP TABLE y",
            "DROP TABLE z",
        ],
    )
    .await;
    let moved = format!("ALTER TABLE x SET LOCATION '{}'", place("z"));
    assert_eq!(
        refused(&session, &moved).await,
        "DELTA_SET_LOCATION_SCHEMA_MISMATCH"
    );
    run(
        &session,
        &[&format!("ALTER TABLE x SET LOCATION '{}'", place("y"))],
    )
    .await;
    assert_eq!(rows(&session, "SELECT * FROM x").await, ["7"]);
    let managed = format!("ALTER TABLE taken SET LOCATION '{}'", place("y"));
    assert_eq!(
        refused(&session, &managed).await,
        "DELTA_CANNOT_SET_LOCATION_ON_PATH_IDENTIFIER"
    );
}

#[tokio::test]
async fn columns_are_renamed_dropped_and_widened() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE plain (a INT, b INT)",
            "CREATE TABLE t (a INT, b INT, s STRUCT<x: INT, y: INT>, c INT) TBLPROPERTIES \
             ('delta.columnMapping.mode' = 'name', 'delta.enableTypeWidening' = 'true')",
            "INSERT INTO t VALUES (1, 2, named_struct('x', 3, 'y', 4), 5)",
            "ALTER TABLE t RENAME COLUMN A TO `key of t`",
            "ALTER TABLE t RENAME COLUMN s.x TO z",
            "ALTER TABLE t DROP COLUMNS (b, s.y)",
            "ALTER TABLE t DROP COLUMN IF EXISTS none",
            "ALTER TABLE t ALTER COLUMN c TYPE BIGINT",
            "INSERT INTO t VALUES (2, named_struct('z', 6), 5000000000)",
        ],
    )
    .await;
    assert_eq!(
        rows(&session, "SELECT * FROM t ORDER BY c").await,
        ["1|{z: 3}|5", "2|{z: 6}|5000000000"]
    );
    assert_eq!(
        rows(&session, "DESCRIBE TABLE t").await,
        ["key of t|int|", "s|struct<z:int>|", "c|bigint|"]
    );
    let history = rows(&session, "DESCRIBE HISTORY t").await;
    for (entry, operation) in history
        .iter()
        .zip(["WRITE", "CHANGE COLUMN", "DROP COLUMNS", "RENAME COLUMN"])
    {
        assert!(entry.contains(operation), "{entry}");
    }
    assert_eq!(history.len(), 7, "dropping nothing commits nothing");
    for statement in [
        "ALTER TABLE plain RENAME COLUMN a TO c",
        "ALTER TABLE plain DROP COLUMN a",
        "ALTER TABLE plain ALTER COLUMN a TYPE BIGINT",
        "ALTER TABLE t ALTER COLUMN c TYPE INT",
        "ALTER TABLE t DROP COLUMN none",
    ] {
        let condition = refused(&session, statement).await;
        assert!(condition.starts_with("DELTA_"), "{statement}: {condition}");
    }
}
