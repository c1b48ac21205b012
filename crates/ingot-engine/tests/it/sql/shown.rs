//! What SHOW, DESCRIBE and EXPLAIN say.

use test_case::test_case;

use super::{names, open, refused, rows, run};

const TABLE: &str = "CREATE TABLE t (id INT NOT NULL COMMENT 'the id', k STRING, s STRUCT<a: DECIMAL(5, 2)>) \
                     PARTITIONED BY (k) COMMENT 'it''s'";

#[tokio::test]
async fn a_table_is_described_as_json() {
    let (_directory, _, session) = open().await;
    run(&session, &[TABLE, "CREATE TEMPORARY VIEW v AS SELECT 1 AS one"]).await;
    let about = rows(&session, "DESCRIBE TABLE EXTENDED t AS JSON").await;
    for piece in [
        r#""table_name":"t","catalog_name":"main","namespace":["default"],"schema_name":"default""#,
        r#"{"name":"id","type":{"name":"int"},"nullable":false,"comment":"the id"}"#,
        r#"{"name":"k","type":{"name":"string","collation":"UTF8_BINARY"},"nullable":true}"#,
        r#"{"name":"a","type":{"name":"decimal","precision":5,"scale":2},"nullable":true}"#,
        r#""partition_columns":["k"]"#,
        r#""provider":"delta""#,
    ] {
        assert!(about[0].contains(piece), "{piece} is not in {about:?}");
    }
    run(
        &session,
        &["CREATE VIEW w AS SELECT array(CAST(1 AS VARIANT)) AS variants"],
    )
    .await;
    let about_variants = rows(&session, "DESC EXTENDED w AS JSON").await;
    let variants = r#""element_type":{"name":"variant"}"#;
    assert!(about_variants[0].contains(variants), "{about_variants:?}");
    assert_eq!(
        names(&session, "DESC EXTENDED v AS JSON").await,
        ["json_metadata"]
    );
    let about = rows(&session, "DESC EXTENDED v AS JSON").await;
    assert!(about[0].contains(r#""view_text":"SELECT 1 AS one""#), "{about:?}");
}

#[tokio::test]
async fn a_query_and_a_function_are_described() {
    let (_directory, _, session) = open().await;
    assert_eq!(
        rows(&session, "DESCRIBE QUERY SELECT 1 AS a, 'x'").await,
        ["a|int|", "x|string|"]
    );
    assert_eq!(rows(&session, "DESCRIBE VALUES (1L)").await, ["col1|bigint|"]);
    let described = rows(&session, "DESCRIBE FUNCTION abs").await;
    assert_eq!(described.first().map(String::as_str), Some("Function: abs"));
    assert_eq!(
        rows(&session, "SHOW FUNCTIONS LIKE 'posexp*'").await,
        ["posexplode", "posexplode_outer"]
    );
}

#[tokio::test]
async fn the_statement_that_makes_a_table_makes_it() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            TABLE,
            "CREATE VIEW v (a COMMENT 'an a') COMMENT 'looks' AS SELECT id FROM t",
        ],
    )
    .await;
    for (kind, name) in [("TABLE", "t"), ("VIEW", "v")] {
        let shown = rows(&session, &format!("SHOW CREATE TABLE {name}")).await;
        run(&session, &[&format!("DROP {kind} {name}"), &shown[0]]).await;
        if kind == "TABLE" {
            assert_eq!(rows(&session, "SHOW CREATE TABLE t").await, shown);
            run(
                &session,
                &["INSERT INTO t VALUES (1, 'a', NULL), (2, NULL, NULL)"],
            )
            .await;
        }
    }
    assert_eq!(rows(&session, "SHOW PARTITIONS t").await, ["k=null", "k=a"]);
    assert_eq!(rows(&session, "SELECT a FROM v ORDER BY a").await, ["1", "2"]);
}

#[tokio::test]
async fn the_statement_that_makes_a_table_makes_its_keys() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE p (a INT, b DATE, CONSTRAINT pk PRIMARY KEY (a, b TIMESERIES) RELY)",
            "CREATE TABLE c (x INT, y DATE, CONSTRAINT `f k` FOREIGN KEY (y, x) REFERENCES p (b, a))",
        ],
    )
    .await;
    // The child before its parent, which takes its key along.
    for name in ["c", "p"] {
        let shown = rows(&session, &format!("SHOW CREATE TABLE {name}")).await;
        assert!(shown[0].contains(" CONSTRAINT "), "{shown:?}");
        run(&session, &[&format!("DROP TABLE {name}"), &shown[0]]).await;
        assert_eq!(rows(&session, &format!("SHOW CREATE TABLE {name}")).await, shown);
    }
}

#[tokio::test]
async fn tables_are_shown_with_what_there_is_to_know() {
    let (_directory, _, session) = open().await;
    run(&session, &[TABLE, "CREATE VIEW v AS SELECT id FROM t"]).await;
    let shown = rows(&session, "SHOW TABLE EXTENDED IN main.default LIKE 't|v'").await;
    assert_eq!(shown.len(), 2);
    for piece in [
        "Owner: tester\n",
        "Provider: delta\n",
        "Comment: it's\n",
        " |-- id: int (nullable = false)\n",
    ] {
        assert!(shown[0].contains(piece), "{piece} is not in {shown:?}");
    }
    assert!(shown[1].contains("Type: VIEW\n"), "{shown:?}");
    assert_eq!(
        names(&session, "SHOW TABLE EXTENDED LIKE '*'").await,
        ["database", "tableName", "isTemporary", "information"]
    );
}

#[test_case("EXPLAIN SELECT 1", &["== Physical Plan =="])]
#[test_case("EXPLAIN FORMATTED SELECT 1", &["== Physical Plan =="])]
#[test_case("EXPLAIN EXTENDED SELECT 1", &["== Analyzed Logical Plan ==", "== Optimized Logical Plan ==", "== Physical Plan =="])]
#[tokio::test]
async fn a_plan_is_one_text(statement: &str, headings: &[&str]) {
    let (_directory, _, session) = open().await;
    assert_eq!(names(&session, statement).await, ["plan"]);
    let shown = rows(&session, statement).await;
    assert!(
        headings.iter().all(|heading| shown[0].contains(heading)),
        "{shown:?}"
    );
}

#[tokio::test]
async fn a_view_gets_another_query_and_name() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE VIEW v AS SELECT 1 AS a",
            "ALTER VIEW v AS SELECT 2 AS a, 3 AS b",
            "ALTER VIEW v SET TBLPROPERTIES ('p' = 'q')",
            "ALTER VIEW v RENAME TO w",
        ],
    )
    .await;
    assert_eq!(rows(&session, "SELECT * FROM w").await, ["2|3"]);
    assert_eq!(rows(&session, "DESCRIBE w").await, ["a|int|", "b|int|"]);
    run(
        &session,
        &[
            "CACHE TABLE w",
            "REFRESH TABLE w",
            "UNCACHE TABLE IF EXISTS missing",
            "CLEAR CACHE",
        ],
    )
    .await;
}

#[test_case("DESCRIBE TABLE t AS JSON", "DESCRIBE_JSON_NOT_EXTENDED")]
#[test_case("DESCRIBE TABLE EXTENDED missing AS JSON", "TABLE_OR_VIEW_NOT_FOUND")]
#[test_case("DESCRIBE FUNCTION no_such_function", "ROUTINE_NOT_FOUND")]
#[test_case("DESCRIBE QUERY SELECT missing", "UNRESOLVED_COLUMN.WITH_SUGGESTION")]
#[test_case("SHOW CREATE TABLE missing", "TABLE_OR_VIEW_NOT_FOUND")]
#[test_case("SHOW PARTITIONS u", "INVALID_PARTITION_OPERATION.PARTITION_SCHEMA_IS_EMPTY")]
#[test_case("SHOW NOTHING", "PARSE_SYNTAX_ERROR")]
#[test_case("CACHE TABLE missing", "TABLE_OR_VIEW_NOT_FOUND")]
#[test_case("ALTER VIEW t AS SELECT 1", "EXPECT_VIEW_NOT_TABLE.NO_ALTERNATIVE")]
#[tokio::test]
async fn what_cannot_be_shown_is_refused(statement: &str, condition: &str) {
    let (_directory, _, session) = open().await;
    run(&session, &[TABLE, "CREATE TABLE u (a INT)"]).await;
    assert_eq!(refused(&session, statement).await, condition);
}
