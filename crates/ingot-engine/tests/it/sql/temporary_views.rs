//! Temporary views, of a session and of all sessions.

use test_case::test_case;

use super::{names, new_session, open, refused, rows, run};

#[tokio::test]
async fn a_temporary_view_is_read_anew_and_hides_a_table() {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (a INT)",
            "CREATE TEMPORARY VIEW v AS SELECT a + 1 AS b FROM t",
            "CREATE TEMP VIEW t AS SELECT 7 AS a",
            "INSERT INTO main.default.t VALUES (1)",
        ],
    )
    .await;
    assert_eq!(rows(&session, "SELECT * FROM t").await, ["7"]);
    // Its names mean what they meant when it was made.
    assert_eq!(rows(&session, "SELECT * FROM V").await, ["2"]);
    run(&session, &["CREATE SCHEMA other", "USE other"]).await;
    assert_eq!(rows(&session, "SELECT * FROM v").await, ["2"]);
    assert_eq!(
        refused(&new_session(&engine), "SELECT * FROM v").await,
        "TABLE_OR_VIEW_NOT_FOUND"
    );
    run(&session, &["DROP VIEW v", "DROP VIEW IF EXISTS v"]).await;
    assert_eq!(
        refused(&session, "SELECT * FROM v").await,
        "TABLE_OR_VIEW_NOT_FOUND"
    );
}

#[tokio::test]
async fn a_temporary_view_stands_on_others_and_is_replaced() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TEMPORARY VIEW v AS SELECT 1 AS a",
            "CREATE TEMPORARY VIEW w (x COMMENT 'the x') AS SELECT * FROM v",
            "CREATE OR REPLACE TEMPORARY VIEW v AS SELECT 2 AS a",
        ],
    )
    .await;
    assert_eq!(rows(&session, "SELECT x FROM w").await, ["2"]);
    assert_eq!(rows(&session, "DESCRIBE w").await, ["x|int|the x"]);
    assert_eq!(
        rows(&session, "SHOW VIEWS").await,
        ["|v|true|false", "|w|true|false"]
    );
    assert_eq!(rows(&session, "SHOW TABLES LIKE 'w'").await, ["|w|true"]);
    assert_eq!(
        names(&session, "SHOW VIEWS").await,
        ["namespace", "viewName", "isTemporary", "isMaterialized"]
    );
}

#[tokio::test]
async fn a_global_temporary_view_is_seen_by_all_sessions() {
    let (_directory, engine, session) = open().await;
    run(&session, &["CREATE GLOBAL TEMPORARY VIEW g AS SELECT 7 AS a"]).await;
    let other = new_session(&engine);
    assert_eq!(rows(&other, "SELECT a FROM global_temp.g").await, ["7"]);
    run(&other, &["DROP VIEW global_temp.g"]).await;
    assert_eq!(
        refused(&session, "SELECT * FROM global_temp.g").await,
        "TABLE_OR_VIEW_NOT_FOUND"
    );
}

#[test_case("CREATE TEMPORARY VIEW v AS SELECT 2", "TEMP_TABLE_OR_VIEW_ALREADY_EXISTS")]
#[test_case("CREATE OR REPLACE TEMPORARY VIEW v AS SELECT * FROM v", "RECURSIVE_VIEW")]
#[test_case("CREATE TEMPORARY VIEW a.b AS SELECT 2", "TEMP_VIEW_NAME_TOO_MANY_NAME_PARTS")]
#[test_case("CREATE TEMPORARY VIEW IF NOT EXISTS w AS SELECT 2", "PARSE_SYNTAX_ERROR")]
#[test_case("CREATE VIEW w AS SELECT * FROM v", "INVALID_TEMP_OBJ_REFERENCE")]
#[test_case(
    "CREATE TEMP VIEW w (a, b) AS SELECT 1",
    "CREATE_VIEW_COLUMN_ARITY_MISMATCH.NOT_ENOUGH_DATA_COLUMNS"
)]
#[test_case(
    "CREATE VIEW w (a) AS SELECT 1, 2",
    "CREATE_VIEW_COLUMN_ARITY_MISMATCH.TOO_MANY_DATA_COLUMNS"
)]
#[test_case("CREATE TEMP VIEW w AS SELECT missing", "UNRESOLVED_COLUMN.WITH_SUGGESTION")]
#[test_case("DROP TABLE v", "WRONG_COMMAND_FOR_OBJECT_TYPE")]
#[tokio::test]
async fn what_cannot_be_is_refused(statement: &str, condition: &str) {
    let (_directory, _, session) = open().await;
    run(&session, &["CREATE TEMPORARY VIEW v AS SELECT 1 AS a"]).await;
    assert_eq!(refused(&session, statement).await, condition);
}
