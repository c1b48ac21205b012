//! Variables of a session, parameters, and names in texts.

use test_case::test_case;

use super::{names, new_session, open, refused, rows, run};

#[tokio::test]
async fn a_variable_has_a_value_in_its_session() {
    let (_directory, engine, session) = open().await;
    run(&session, &["DECLARE x INT DEFAULT 5", "SET VAR x = x * 2"]).await;
    assert_eq!(
        rows(&session, "SELECT x + 1, session.x, system.session.X").await,
        ["11|10|10"]
    );
    assert_eq!(names(&session, "SELECT x").await, ["x"]);
    run(&session, &["SET VARIABLE x = DEFAULT"]).await;
    assert_eq!(rows(&session, "VALUES (x)").await, ["5"]);
    run(&session, &["DECLARE OR REPLACE VARIABLE y, z STRING DEFAULT 'a'"]).await;
    run(&session, &["SET VAR (y, x) = (SELECT 'q', 7L)"]).await;
    assert_eq!(rows(&session, "SELECT y || z, x").await, ["qa|7"]);
    run(&session, &["SET VAR (y, x) = (SELECT 'q', 7 WHERE false)"]).await;
    assert_eq!(rows(&session, "SELECT y, x").await, ["NULL|NULL"]);
    assert_eq!(
        refused(&new_session(&engine), "SELECT x").await,
        "UNRESOLVED_COLUMN.WITH_SUGGESTION"
    );
    run(
        &session,
        &["DROP TEMPORARY VARIABLE x", "DROP TEMPORARY VARIABLE IF EXISTS x"],
    )
    .await;
    assert_eq!(
        refused(&session, "SELECT x").await,
        "UNRESOLVED_COLUMN.WITH_SUGGESTION"
    );
}

#[test_case("array(1, 2)", "[1, 2]")]
#[test_case("map('a', 1)", "{a: 1}")]
#[test_case("named_struct('a', 1, 'b', 'it''s')", "{a: 1, b: it's}")]
#[test_case("DATE'2020-01-31'", "2020-01-31")]
#[test_case("TIMESTAMP'2020-01-31 10:00:00.123456'", "2020-01-31T10:00:00.123456Z")]
#[test_case("1.50", "1.50")]
#[test_case("-2", "-2")]
#[test_case("1e10D", "10000000000.0")]
#[test_case("X'0aFF'", "0aff")]
#[test_case("true", "true")]
#[test_case("CAST(NULL AS INT)", "NULL")]
#[test_case(r"'a\\b\'c'", r"a\b'c")]
#[tokio::test]
async fn a_variable_keeps_values_of_all_types(value: &str, expected: &str) {
    let (_directory, _, session) = open().await;
    run(&session, &[&format!("DECLARE v = {value}")]).await;
    assert_eq!(rows(&session, "SELECT v").await, [expected]);
}

#[tokio::test]
async fn a_column_hides_a_variable() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id INT, x INT)",
            "INSERT INTO t VALUES (1, 100)",
            "DECLARE x INT DEFAULT 5",
            "DECLARE y INT DEFAULT 6",
        ],
    )
    .await;
    assert_eq!(
        rows(&session, "SELECT x, y, session.x FROM t WHERE id < session.x").await,
        ["100|6|5"]
    );
}

#[tokio::test]
async fn a_text_runs_with_parameters() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id INT, name STRING)",
            "DECLARE x BIGINT",
            "DECLARE q = 'SELECT 42'",
        ],
    )
    .await;
    run(
        &session,
        &["EXECUTE IMMEDIATE 'INSERT INTO t VALUES (?, ?), (2, NULL)' USING 1, 'o''ne'"],
    )
    .await;
    assert_eq!(
        rows(&session, "SELECT * FROM t ORDER BY id").await,
        ["1|o'ne", "2|NULL"]
    );
    assert_eq!(rows(&session, "EXECUTE IMMEDIATE q").await, ["42"]);
    run(&session, &["SET VAR q = 'EXECUTE IMMEDIATE q'"]).await;
    assert_eq!(
        refused(&session, "EXECUTE IMMEDIATE q").await,
        "NESTED_EXECUTE_IMMEDIATE"
    );
    assert_eq!(
        rows(
            &session,
            "EXECUTE IMMEDIATE 'SELECT :a + :b' USING 1 AS a, 2 AS b"
        )
        .await,
        ["3"]
    );
    assert_eq!(
        rows(&session, "EXECUTE IMMEDIATE 'SELECT :b' USING (1 AS a, 2 AS b)").await,
        ["2"]
    );
    run(
        &session,
        &["EXECUTE IMMEDIATE 'SELECT count(*) FROM t WHERE id = :id' INTO x USING 1 AS id"],
    )
    .await;
    assert_eq!(rows(&session, "SELECT x").await, ["1"]);
    assert_eq!(refused(&session, "SELECT :id").await, "UNBOUND_SQL_PARAMETER");
}

#[tokio::test]
async fn a_name_stands_in_a_text() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE IDENTIFIER('main.default.t') (id INT)",
            "INSERT INTO IDENTIFIER('t') VALUES (1)",
            "DECLARE name = 't'",
        ],
    )
    .await;
    assert_eq!(
        rows(
            &session,
            "SELECT IDENTIFIER('id') FROM IDENTIFIER('default.' || name)"
        )
        .await,
        ["1"]
    );
    assert_eq!(
        rows(
            &session,
            "EXECUTE IMMEDIATE 'SELECT * FROM IDENTIFIER(:t)' USING 't' AS t"
        )
        .await,
        ["1"]
    );
}

#[test_case("DECLARE x INT", "VARIABLE_ALREADY_EXISTS")]
#[test_case("DECLARE y", "PARSE_SYNTAX_ERROR")]
#[test_case("DECLARE main.y INT", "INVALID_VARIABLE_DECLARATION.QUALIFIED_LOCAL_VARIABLE")]
#[test_case("SET VAR y = 1", "UNRESOLVED_VARIABLE")]
#[test_case("SET VAR x = 'a'", "CAST_INVALID_INPUT")]
#[test_case("SET VAR (x) = (VALUES (1), (2))", "ROW_SUBQUERY_TOO_MANY_ROWS")]
#[test_case("SET VAR (x) = (SELECT 1, 2)", "ASSIGNMENT_ARITY_MISMATCH")]
#[test_case("DROP TEMPORARY VARIABLE y", "VARIABLE_NOT_FOUND")]
#[test_case("EXECUTE IMMEDIATE NULL", "NULL_QUERY_STRING_EXECUTE_IMMEDIATE")]
#[test_case("EXECUTE IMMEDIATE 'SELECT ?'", "UNBOUND_SQL_PARAMETER")]
#[test_case("EXECUTE IMMEDIATE 'SELECT FROM WHERE'", "PARSE_SYNTAX_ERROR")]
#[test_case(
    "EXECUTE IMMEDIATE 'USE main.default' INTO x",
    "INVALID_STATEMENT_FOR_EXECUTE_INTO"
)]
#[test_case("SELECT * FROM IDENTIFIER(missing)", "NOT_A_CONSTANT_STRING.NOT_CONSTANT")]
#[test_case("SELECT * FROM IDENTIFIER('a b c')", "PARSE_SYNTAX_ERROR")]
#[tokio::test]
async fn what_cannot_be_is_refused(statement: &str, condition: &str) {
    let (_directory, _, session) = open().await;
    run(&session, &["DECLARE x INT DEFAULT 1"]).await;
    assert_eq!(refused(&session, statement).await, condition);
}
