//! Variables of a session, parameters, and names in texts.

use test_case::test_case;

use super::{names, new_session, open, refused, rows, run, steps};

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

/// The name of a parameter, its value and its type; empty where there is none.
type Given<'a> = (&'a str, Option<&'a str>, &'a str);

/// Runs a statement as a front door does, and returns its first row, or the condition of what went wrong.
async fn asked(engine: &ingot_engine::Engine, statement: &str, parameters: &[Given<'_>]) -> String {
    use futures::TryStreamExt;
    use ingot_common::port::{StatementParameter, StatementRequest, StatementService};
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let parameters = parameters
        .iter()
        .map(|(name, value, type_text)| StatementParameter {
            name: text(name),
            value: value.map(str::to_owned),
            type_text: text(type_text),
        });
    let request = StatementRequest {
        statement: statement.to_owned(),
        parameters: parameters.collect(),
        ..StatementRequest::default()
    };
    let context = ingot_common::RequestContext::new(ingot_common::Principal::new("tester"));
    let result = match engine.execute(&context, request).await {
        Ok(result) => result,
        Err(error) => return format!("!{}", error.condition.unwrap_or_default()),
    };
    let batches: Vec<_> = result.batches.try_collect().await.expect("rows");
    let Some(batch) = batches.first().filter(|batch| batch.num_rows() > 0) else {
        return String::new();
    };
    let values = batch.columns().iter().map(|column| match column.is_null(0) {
        true => "NULL".to_owned(),
        false => arrow::util::display::array_value_to_string(column, 0).expect("text"),
    });
    values.collect::<Vec<_>>().join("|")
}

#[tokio::test]
async fn a_request_gives_parameters() {
    let (_directory, engine, session) = open().await;
    run(&session, &["CREATE TABLE t (id INT, name STRING)"]).await;
    let cases: [(&str, &[Given<'_>], &str); 18] = [
        ("SELECT :a, typeof(:a)", &[("a", Some("1"), "INT")], "1|int"),
        (
            "SELECT :A || :b",
            &[("a", Some("it's"), ""), ("B", Some("!"), "STRING")],
            "it's!",
        ),
        (
            "SELECT typeof(:a), :a",
            &[("a", Some("1.5"), "DECIMAL(10, 2)")],
            "decimal(10,2)|1.50",
        ),
        (
            "SELECT :a + INTERVAL 1 DAY",
            &[("a", Some("2024-02-28"), "DATE")],
            "2024-02-29",
        ),
        (
            "SELECT :a IS NULL, typeof(:a)",
            &[("a", None, "BIGINT")],
            "true|bigint",
        ),
        (
            "SELECT ?, ?",
            &[("", Some("a"), ""), ("", Some("2"), "INT")],
            "a|2",
        ),
        (
            "INSERT INTO t VALUES (?, ?)",
            &[("", Some("1"), "INT"), ("", Some("one"), "")],
            "1|1",
        ),
        (
            "UPDATE t SET name = ?, id = ? WHERE id = ?",
            &[
                ("", Some("two"), ""),
                ("", Some("2"), "INT"),
                ("", Some("1"), "INT"),
            ],
            "1",
        ),
        (
            "SELECT name FROM t WHERE id = :id",
            &[("id", Some("2"), "INT")],
            "two",
        ),
        (
            "DELETE FROM t WHERE name = :name",
            &[("name", Some("two"), "")],
            "1",
        ),
        ("BEGIN SELECT :a; END", &[("a", Some("x"), "")], "x"),
        (
            "SELECT ?, '?', `a?` FROM (SELECT ? AS `a?`)",
            &[("", Some("1"), ""), ("", Some("2"), "")],
            "1|?|2",
        ),
        ("-- what?\nSELECT ?", &[("", Some("1"), "")], "1"),
        ("SELECT :a", &[("a", Some("x"), "INT")], "!CAST_INVALID_INPUT"),
        (
            "SELECT :a",
            &[("a", Some("x"), "INT whatever")],
            "!PARSE_SYNTAX_ERROR",
        ),
        (
            "SELECT :a",
            &[("a", Some("[1]"), "ARRAY<INT>")],
            "!UNSUPPORTED_FEATURE",
        ),
        (
            "SELECT :a",
            &[("a", Some("1"), ""), ("", Some("2"), "")],
            "!INVALID_QUERY_MIXED_QUERY_PARAMETERS",
        ),
        (
            "SELECT :a",
            &[("a", Some("1"), ""), ("A", Some("2"), "")],
            "!INVALID_PARAMETER_VALUE",
        ),
    ];
    let mut wrong = String::new();
    for (statement, parameters, expected) in cases {
        let given = asked(&engine, statement, parameters).await;
        if given != expected {
            wrong += &format!("{statement}\n    expected {expected}\n    given    {given}\n");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[tokio::test]
async fn what_lasts_names_no_variable() {
    let (_directory, engine, session) = open().await;
    const REFUSED: &str = "!INVALID_TEMP_OBJ_REFERENCE";
    const MARKER: &str = "!UNSUPPORTED_FEATURE.PARAMETER_MARKER_IN_UNEXPECTED_STATEMENT";
    steps(
        &session,
        &[
            ("CREATE TABLE t (a INT)", ""),
            ("CREATE VIEW plain AS SELECT a FROM t", ""),
            ("DECLARE x INT DEFAULT 5", ""),
            ("DECLARE name STRING DEFAULT 't'", ""),
            ("CREATE VIEW v AS SELECT x", REFUSED),
            ("CREATE VIEW v AS SELECT * FROM t WHERE a < session.x", REFUSED),
            ("CREATE VIEW v AS SELECT * FROM IDENTIFIER(name)", REFUSED),
            ("ALTER VIEW plain AS SELECT x AS a", REFUSED),
            ("CREATE GLOBAL TEMPORARY VIEW v AS SELECT x", REFUSED),
            ("CREATE FUNCTION f() RETURNS INT RETURN x", REFUSED),
            ("CREATE FUNCTION f(a INT DEFAULT x) RETURNS INT RETURN a", REFUSED),
            (
                "EXECUTE IMMEDIATE 'CREATE VIEW v AS SELECT :a' USING 1 AS a",
                MARKER,
            ),
            (
                "EXECUTE IMMEDIATE 'CREATE TEMPORARY VIEW v AS SELECT ?' USING 1",
                MARKER,
            ),
            (
                "EXECUTE IMMEDIATE 'CREATE FUNCTION f() RETURN :a' USING 1 AS a",
                MARKER,
            ),
            (
                "BEGIN DECLARE y INT DEFAULT 1; CREATE VIEW v AS SELECT y; END",
                REFUSED,
            ),
            (
                "BEGIN DECLARE y INT DEFAULT 1; CREATE TEMPORARY VIEW v AS SELECT y; END",
                REFUSED,
            ),
            (
                "BEGIN DECLARE y INT DEFAULT 1; CREATE TEMPORARY FUNCTION f() RETURN y; END",
                REFUSED,
            ),
            // What is of the session names the session's, whatever the script that reads it calls its own.
            ("CREATE TEMPORARY VIEW v AS SELECT x AS shown", ""),
            ("CREATE TEMPORARY FUNCTION f() RETURNS INT RETURN x + 1", ""),
            ("SELECT shown, f() FROM v", "5|6"),
            ("SET VAR x = 7", ""),
            ("SELECT shown, f() FROM v", "7|8"),
            (
                "BEGIN DECLARE x INT DEFAULT 1; SELECT shown, f(), x FROM v; END",
                "7|8|1",
            ),
            // A column hides a variable, so this names none.
            ("ALTER TABLE t ADD COLUMN x INT", ""),
            ("CREATE VIEW w AS SELECT x FROM t", ""),
            ("INSERT INTO t VALUES (1, 2)", "1|1"),
            ("SELECT x FROM w", "2"),
        ],
    )
    .await;
    // A view that is older than the rule, or whose table has lost a column, sees nothing of its reader's.
    steps(
        &session,
        &[
            ("CREATE OR REPLACE TABLE t (a INT)", ""),
            ("SELECT x FROM w", "!UNRESOLVED_COLUMN.WITH_SUGGESTION"),
        ],
    )
    .await;
    assert_eq!(rows(&new_session(&engine), "SELECT * FROM plain").await.len(), 0);
}
