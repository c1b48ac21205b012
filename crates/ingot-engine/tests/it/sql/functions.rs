//! Functions that statements make. Most cases are those of Spark's `sql-udf.sql`.

use super::{names, new_session, open, rows, run, steps};

#[tokio::test]
async fn a_function_is_called_with_what_its_parameters_take() {
    let (_directory, _, session) = open().await;
    steps(
        &session,
        &[
            ("CREATE FUNCTION foo1a0() RETURNS INT RETURN 1", ""),
            ("SELECT foo1a0()", "1"),
            ("SELECT foo1a0(1)", "!WRONG_NUM_ARGS.WITHOUT_SUGGESTION"),
            ("CREATE FUNCTION foo1a0() RETURNS INT RETURN 2", "!ROUTINE_ALREADY_EXISTS"),
            ("CREATE FUNCTION IF NOT EXISTS foo1a0() RETURNS INT RETURN 2", ""),
            ("SELECT foo1a0()", "1"),
            ("CREATE OR REPLACE FUNCTION foo1a0() RETURNS INT RETURN 3", ""),
            ("SELECT foo1a0(), main.default.foo1a0(), `default`.foo1a0()", "3|3|3"),
            ("CREATE FUNCTION foo1a2(a INT, b INT, c INT, d INT) RETURNS INT RETURN 1", ""),
            ("SELECT foo1a2(1, 2, 3, 4)", "1"),
            (
                "CREATE FUNCTION foo1c1(duplicate INT, DUPLICATE INT) RETURNS INT RETURN 1",
                "!DUPLICATE_ROUTINE_PARAMETER_NAMES",
            ),
            ("CREATE OR REPLACE FUNCTION foo1d1(a INT DEFAULT NULL) RETURNS INT RETURN a", ""),
            ("SELECT foo1d1(5), foo1d1()", "5|NULL"),
            ("CREATE OR REPLACE FUNCTION foo1d1(a INT DEFAULT 10) RETURNS INT RETURN a", ""),
            ("SELECT foo1d1(5), foo1d1()", "5|10"),
            (
                "CREATE OR REPLACE FUNCTION foo1d1(a INT DEFAULT '5' || length(substr(current_database(), 1, 1))) \
                 RETURNS INT RETURN a",
                "",
            ),
            ("SELECT foo1d1(5), foo1d1()", "5|51"),
            (
                "CREATE OR REPLACE FUNCTION foo1d1(a INT DEFAULT array(55, 17)) RETURNS INT RETURN a",
                "!DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION",
            ),
            (
                "CREATE OR REPLACE FUNCTION foo1d1(a INT DEFAULT (SELECT max(c1) FROM VALUES (1) AS T(c1))) \
                 RETURNS INT RETURN a",
                "!USER_DEFINED_FUNCTIONS.NOT_A_VALID_DEFAULT_EXPRESSION",
            ),
            (
                "CREATE OR REPLACE FUNCTION foo1d2(a INT, b INT DEFAULT 7, c INT DEFAULT 8, d INT DEFAULT 9 COMMENT \
                 'test') RETURNS STRING RETURN a || ' ' || b || ' ' || c || ' ' || d",
                "",
            ),
            (
                "SELECT foo1d2(1, 2, 3, 4), foo1d2(1, 2, 3), foo1d2(1, 2), foo1d2(1)",
                "1 2 3 4|1 2 3 9|1 2 8 9|1 7 8 9",
            ),
            ("SELECT foo1d2()", "!WRONG_NUM_ARGS.WITHOUT_SUGGESTION"),
            ("SELECT foo1d2(d => 1, a => 2)", "2 7 8 1"),
            ("SELECT foo1d2(1, c => 2)", "1 7 2 9"),
            ("SELECT foo1d2(d => 1)", "!REQUIRED_PARAMETER_NOT_FOUND"),
            ("SELECT foo1d2(1, e => 1)", "!UNRECOGNIZED_PARAMETER_NAME"),
            (
                "SELECT foo1d2(1, a => 1)",
                "!DUPLICATE_ROUTINE_PARAMETER_ASSIGNMENT.BOTH_POSITIONAL_AND_NAMED",
            ),
            (
                "SELECT foo1d2(a => 1, a => 2)",
                "!DUPLICATE_ROUTINE_PARAMETER_ASSIGNMENT.DOUBLE_NAMED_ARGUMENT_REFERENCE",
            ),
            ("SELECT foo1d2(a => 1, 2)", "!UNEXPECTED_POSITIONAL_ARGUMENT"),
            (
                "CREATE FUNCTION bad(a INT DEFAULT 5, b INT) RETURNS INT RETURN a",
                "!USER_DEFINED_FUNCTIONS.NOT_A_VALID_DEFAULT_PARAMETER_POSITION",
            ),
            (
                "CREATE OR REPLACE FUNCTION foo1d4(a INT, b INT DEFAULT a) RETURNS INT RETURN a + b",
                "!UNRESOLVED_COLUMN.WITH_SUGGESTION",
            ),
            ("CREATE OR REPLACE FUNCTION foo1d4(a INT, b INT DEFAULT 3) RETURNS INT RETURN a + b", ""),
            ("CREATE FUNCTION foo1d5(a INT, b INT DEFAULT foo1d4(6)) RETURNS INT RETURN a + b", ""),
            ("SELECT foo1d5(10), foo1d5(10, 2)", "19|12"),
            ("CREATE OR REPLACE FUNCTION foo1d5(a INT, b INT) RETURNS INT RETURN a + foo1d4(b)", ""),
            ("SELECT foo1d5(10, 2)", "15"),
            (
                "CREATE FUNCTION foo1e1(x INT NOT NULL, y INT) RETURNS INT RETURN 1",
                "!USER_DEFINED_FUNCTIONS.NOT_NULL_ON_FUNCTION_PARAMETERS",
            ),
            (
                "CREATE FUNCTION foo1f1(x INT, y INT GENERATED ALWAYS AS (x + 10)) RETURNS INT RETURN y + 1",
                "!INVALID_SQL_SYNTAX.CREATE_FUNC_WITH_GENERATED_COLUMNS_AS_PARAMETERS",
            ),
            ("DROP FUNCTION foo1d5", ""),
            ("DROP FUNCTION foo1d5", "!ROUTINE_NOT_FOUND"),
            ("DROP FUNCTION IF EXISTS foo1d5", ""),
            ("SELECT foo1d5(1, 2)", "!UNRESOLVED_ROUTINE"),
            ("SELECT other.f(1)", "!UNRESOLVED_ROUTINE"),
            ("SELECT * FROM nowhere(1)", "!UNRESOLVABLE_TABLE_VALUED_FUNCTION"),
            ("DROP FUNCTION abs", "!FORBIDDEN_OPERATION"),
            ("SELECT builtin.abs(-5), system.builtin.upper('a')", "5|A"),
            ("SELECT foo1a0(DISTINCT 1)", "!INVALID_SQL_SYNTAX.FUNCTION_WITH_UNSUPPORTED_SYNTAX"),
        ],
    )
    .await;
    assert_eq!(
        names(&session, "SELECT foo1d4(1, 2), foo1a0()").await,
        ["main.default.foo1d4(1, 2)", "main.default.foo1a0()"]
    );
}

#[tokio::test]
async fn values_are_of_the_declared_types() {
    let (_directory, _, session) = open().await;
    steps(
        &session,
        &[
            ("CREATE FUNCTION foo9a(a BOOLEAN) RETURNS BOOLEAN RETURN NOT a", ""),
            ("SELECT foo9a(true), foo9a(5)", "false|false"),
            ("SELECT foo9a('Nonsense')", "!CAST_INVALID_INPUT"),
            ("CREATE FUNCTION foo9b(a BYTE) RETURNS BYTE RETURN CAST(a AS SHORT) + 1", ""),
            ("SELECT foo9b(126), typeof(foo9b(126))", "127|tinyint"),
            ("SELECT foo9b(127)", "!CAST_OVERFLOW"),
            ("SELECT foo9b(128)", "!CAST_OVERFLOW"),
            (
                "CREATE FUNCTION foo9f(a DECIMAL( 5, 2 )) RETURNS DECIMAL (5, 2) RETURN CAST(a AS DECIMAL(6, 2)) + 1",
                "",
            ),
            ("SELECT foo9f(999 - 1)", "999.00"),
            ("SELECT foo9f(999)", "!NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION"),
            ("CREATE FUNCTION foo9g(a FLOAT, b String) RETURNS FLOAT RETURN b || CAST(a AS String)", ""),
            ("SELECT foo9g(123.23, '7')", "7123.23"),
            ("SELECT foo9g(123.23, 'q')", "!CAST_INVALID_INPUT"),
            ("CREATE FUNCTION foo9n(a ARRAY<INTEGER>) RETURNS ARRAY<INTEGER> RETURN a", ""),
            ("SELECT foo9n(ARRAY(1, 2, 3))", "[1, 2, 3]"),
            ("CREATE FUNCTION foo9o(a MAP<STRING, INTEGER>) RETURNS MAP<STRING, INTEGER> RETURN a", ""),
            ("SELECT foo9o(MAP('hello', 1, 'world', 2))", "{hello: 1, world: 2}"),
            (
                "CREATE FUNCTION foo9q(a ARRAY<STRUCT<a1: INT, a2: STRING>>) RETURNS ARRAY<STRUCT<a1: INT, a2: \
                 STRING>> RETURN a",
                "",
            ),
            (
                "SELECT foo9q(ARRAY(NAMED_STRUCT('x', 1, 'y', 'hello'), NAMED_STRUCT('x', 2, 'y', 'world')))",
                "[{a1: 1, a2: hello}, {a1: 2, a2: world}]",
            ),
            ("CREATE FUNCTION foo1_10(a INT) RETURNS INT RETURN a + 2", ""),
            (
                "CREATE FUNCTION bar1_10(b INT) RETURNS STRING RETURN foo1_10(TRY_CAST(b AS STRING))",
                "",
            ),
            ("SELECT bar1_10(3)", "5"),
            ("CREATE FUNCTION foo1_11d(a DOUBLE, b INT) RETURN a * b + 1.5", ""),
            ("SELECT foo1_11d(3.0, 5), typeof(foo1_11d(3.0, 5))", "16.5|double"),
            ("CREATE FUNCTION foo1_11f(d DATE) RETURN d + INTERVAL '1' DAY", ""),
            ("SELECT foo1_11f(DATE '2024-01-01')", "2024-01-02"),
            ("CREATE FUNCTION foo1_11h(a INT, b STRING) RETURN STRUCT(a, b)", ""),
            ("SELECT foo1_11h(1, 'test')", "{a: 1, b: test}"),
            ("CREATE FUNCTION foo1_11i(x INT) RETURN (SELECT x * 2)", ""),
            ("SELECT foo1_11i(5)", "10"),
            ("CREATE FUNCTION foo3_1x(x STRUCT<a: INT, b: INT>) RETURNS INT RETURN x.a + x.b", ""),
            ("SELECT foo3_1x(named_struct('a', 1, 'b', 2))", "3"),
            (
                "CREATE FUNCTION foo3_1y(x ARRAY<INT>) RETURNS INT RETURN aggregate(x, BIGINT(0), (x, y) -> x + y)",
                "",
            ),
            ("SELECT foo3_1y(array(1, 2, 3))", "6"),
            ("SELECT transform(array(1, 2), v -> foo1_10(v))", "[3, 4]"),
            ("CREATE FUNCTION foo3_2a() RETURNS INT RETURN FLOOR(RAND() * 6) + 1", ""),
            ("SELECT CASE WHEN foo3_2a() > 6 THEN FALSE ELSE TRUE END", "true"),
            ("CREATE FUNCTION twice(x DOUBLE) RETURNS DOUBLE RETURN x - x", ""),
            ("SELECT sum(abs(twice(rand()))) FROM range(100)", "0.0"),
            ("CREATE FUNCTION today() RETURN current_date() = current_date()", ""),
            ("SELECT today()", "true"),
            ("CREATE FUNCTION spread(x INT) RETURN x * x * x - x", ""),
            ("SELECT sum(spread(id + 1)) FROM range(3)", "30"),
            ("SELECT id FROM range(10) WHERE spread(id + 1) = 24", "2"),
            ("SELECT spread(id + 1), count(*) FROM range(2) GROUP BY spread(id + 1) ORDER BY 1", "0|1; 6|1"),
        ],
    )
    .await;
}

#[tokio::test]
async fn bodies_hold_queries() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE VIEW t1(c1, c2) AS VALUES (0, 1), (0, 2), (1, 2)",
            "CREATE VIEW t2(c1, c2) AS VALUES (0, 2), (0, 3)",
            "CREATE FUNCTION foo3_1a(a DOUBLE, b DOUBLE) RETURNS DOUBLE RETURN a * b",
            "CREATE FUNCTION foo3_1b(x INT) RETURNS INT RETURN x",
            "CREATE FUNCTION foo3_1c(x INT) RETURNS INT RETURN SELECT x",
            "CREATE FUNCTION foo3_1d(x INT) RETURNS INT RETURN (SELECT SUM(c2) FROM t2 WHERE c1 = x)",
            "CREATE FUNCTION foo3_1e() RETURNS INT RETURN foo3_1d(0)",
            "CREATE FUNCTION foo3_1f() RETURNS INT RETURN SELECT SUM(c2) FROM t2 WHERE c1 = 0",
        ],
    )
    .await;
    steps(
        &session,
        &[
            ("SELECT a, b, foo3_1a(a + 1, b + 1) FROM t1 AS t(a, b) ORDER BY 1, 2", "0|1|2.0; 0|2|3.0; 1|2|6.0"),
            ("SELECT x, foo3_1c(x) FROM t1 AS t(x, y) ORDER BY 1", "0|0; 0|0; 1|1"),
            ("SELECT c1, foo3_1d(c1) FROM t1 ORDER BY 1", "0|5; 0|5; 1|NULL"),
            ("SELECT c1, foo3_1d(foo3_1c(foo3_1b(c1))) FROM t1 ORDER BY 1", "0|5; 0|5; 1|NULL"),
            (
                "SELECT c1, foo3_1a(foo3_1c(foo3_1b(c1)), foo3_1d(foo3_1b(c1))) FROM t1 ORDER BY 1",
                "0|0.0; 0|0.0; 1|NULL",
            ),
            ("SELECT foo3_1c(foo3_1e()) FROM t1", "5; 5; 5"),
            ("SELECT foo3_1a(MAX(c1), c2) FROM t1 GROUP BY c2 ORDER BY 1", "0.0; 2.0"),
            ("SELECT c1, SUM(foo3_1c(c2)) FROM t1 GROUP BY c1 ORDER BY 1", "0|3; 1|2"),
            ("SELECT c1, SUM(foo3_1d(c2)) FROM t1 GROUP BY c1 ORDER BY 1", "0|NULL; 1|NULL"),
            ("SELECT foo3_1c(c1), foo3_1d(c1) FROM t1 GROUP BY c1 ORDER BY 1", "0|5; 1|NULL"),
            ("SELECT SUM(c2) FROM t1 GROUP BY foo3_1b(c1) ORDER BY 1", "2; 3"),
            ("SELECT c1, SUM(c2) FROM t1 GROUP BY c1 HAVING foo3_1b(SUM(c2)) > 2", "0|3"),
            ("SELECT * FROM t1 JOIN t2 ON foo3_1a(t1.c1, t2.c2) >= 2 ORDER BY 4", "1|2|0|2; 1|2|0|3"),
            ("SELECT count(*) FROM t1 JOIN t2 ON foo3_1f() > 0", "6"),
            ("SELECT (SELECT SUM(c2) FROM t2 WHERE c1 = foo3_1b(t1.c1)) s FROM t1 ORDER BY 1", "NULL; 5; 5"),
            ("SELECT foo3_1b((SELECT SUM(c1) FROM t1))", "1"),
            ("SELECT foo3_1b((SELECT SUM(c1) FROM t1 WHERE c2 = t2.c2)) s FROM t2 ORDER BY 1", "NULL; 1"),
            ("CREATE FUNCTION foo3_2b1(x INT) RETURNS BOOLEAN RETURN x IN (SELECT 1)", ""),
            ("SELECT * FROM t1 WHERE foo3_2b1(c1)", "1|2"),
            ("CREATE FUNCTION foo3_2b2(x INT) RETURNS INT RETURN IF(x IN (SELECT 1), 1, 0)", ""),
            ("SELECT foo3_2b2(c1) FROM t1 ORDER BY 1", "0; 0; 1"),
            (
                "CREATE FUNCTION foo3_2b4(x INT) RETURNS BOOLEAN RETURN x NOT IN (SELECT c2 FROM t2 WHERE x = c1)",
                "",
            ),
            ("SELECT count(*) FROM t1 WHERE foo3_2b4(c1)", "3"),
            (
                "CREATE FUNCTION foo3_2b5(x INT) RETURNS BOOLEAN RETURN SUM(1) + IF(x IN (SELECT 1), 1, 0)",
                "!USER_DEFINED_FUNCTIONS.CANNOT_CONTAIN_COMPLEX_FUNCTIONS",
            ),
            (
                "CREATE FUNCTION foo3_2b5(x INT) RETURNS BOOLEAN RETURN y IN (SELECT 1)",
                "!UNRESOLVED_COLUMN.WITH_SUGGESTION",
            ),
            ("CREATE FUNCTION foo3_2c2(x INT) RETURNS BOOLEAN RETURN NOT EXISTS(SELECT * FROM t2 WHERE c1 = x)", ""),
            ("SELECT * FROM t1 WHERE foo3_2c2(c1)", "1|2"),
            ("SELECT c1, foo3_2c2(c1) FROM t1 WHERE c2 = 2 ORDER BY 1", "0|false; 1|true"),
            ("CREATE FUNCTION foo51() RETURNS INT RETURN (SELECT a FROM VALUES(1), (2) AS T(a))", ""),
            ("CREATE FUNCTION foo52() RETURNS INT RETURN (SELECT 1 FROM VALUES(1) WHERE 1 = 0)", ""),
            ("SELECT foo51()", "!SCALAR_SUBQUERY_TOO_MANY_ROWS"),
            ("SELECT foo52()", "NULL"),
            (
                "CREATE FUNCTION foo7a(a STRING, b STRING, c STRING) RETURNS STRING RETURN SELECT 'Foo.a: ' || a || ' \
                 Foo.a: ' || foo7a.a || ' T.b: ' || b || ' Foo.b: ' || foo7a.b || ' T.c: ' || c || ' T.c: ' || t.c \
                 FROM VALUES('t.b', 't.c') AS T(b, c)",
                "",
            ),
            (
                "SELECT foo7a('Foo.a', 'Foo.b', 'Foo.c')",
                "Foo.a: Foo.a Foo.a: Foo.a T.b: t.b Foo.b: Foo.b T.c: t.c T.c: t.c",
            ),
            (
                "CREATE FUNCTION foo2_4b(m MAP<STRING, STRING>, k STRING) RETURNS STRING RETURN SELECT v || ' ' || v \
                 FROM (SELECT upper(m[k]) AS v)",
                "",
            ),
            ("SELECT foo2_4b(map('a', 'hello', 'b', 'world'), 'a')", "HELLO HELLO"),
            ("CREATE FUNCTION first_of(x INT) RETURNS INT RETURN (SELECT c2 FROM t2 WHERE c1 = x ORDER BY c2 LIMIT 1)", ""),
            ("SELECT c1, first_of(c1) FROM t1 ORDER BY c1", "0|2; 0|2; 1|NULL"),
            ("CREATE FUNCTION one_of(x INT) RETURNS INT RETURN (SELECT c1 FROM t2 WHERE c2 = x)", ""),
            ("SELECT c2, one_of(c2) FROM t1 ORDER BY c2", "1|NULL; 2|0; 2|0"),
            ("CREATE FUNCTION many_of(x INT) RETURNS INT RETURN (SELECT c2 FROM t2 WHERE c1 = x)", ""),
            ("SELECT many_of(c1) FROM t1", "!SCALAR_SUBQUERY_TOO_MANY_ROWS"),
            (
                "CREATE FUNCTION reader() RETURNS INT CONTAINS SQL RETURN (SELECT max(c1) FROM t1)",
                "!INVALID_SQL_FUNCTION_DATA_ACCESS",
            ),
            (
                "CREATE FUNCTION foo3_2e1(occurrences ARRAY<STRUCT<start_time: TIMESTAMP, occurrence_id: STRING>>, \
                 instance_start_time TIMESTAMP) RETURNS STRING RETURN WITH t AS (SELECT transform(occurrences, x -> \
                 named_struct('diff', abs(unix_millis(x.start_time) - unix_millis(instance_start_time)), 'id', \
                 x.occurrence_id)) AS diffs) SELECT CASE WHEN occurrences IS NULL OR size(occurrences) = 0 THEN NULL \
                 ELSE sort_array(diffs)[0].id END AS id FROM t",
                "",
            ),
            (
                "SELECT foo3_2e1(ARRAY(STRUCT('2022-01-01 10:11:12', '1'), STRUCT('2022-01-01 10:11:15', '2')), \
                 '2022-01-01')",
                "1",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_function_returns_a_table() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE VIEW t1(c1, c2) AS VALUES (0, 1), (0, 2), (1, 2)",
            "CREATE VIEW t2(c1, c2) AS VALUES (0, 2), (0, 3)",
            "CREATE FUNCTION foo4_0() RETURNS TABLE (x INT) RETURN SELECT 1",
            "CREATE FUNCTION foo4_1(x INT) RETURNS TABLE (a INT) RETURN SELECT x",
            "CREATE FUNCTION foo4_2(x INT) RETURNS TABLE (a INT) RETURN SELECT c2 FROM t2 WHERE c1 = x",
            "CREATE FUNCTION foo4_3(x INT) RETURNS TABLE (a INT, cnt INT) RETURN SELECT c1, COUNT(*) FROM t2 WHERE c1 = \
             x GROUP BY c1",
        ],
    )
    .await;
    steps(
        &session,
        &[
            ("SELECT * FROM foo4_0()", "1"),
            ("SELECT * FROM foo4_1(1)", "1"),
            ("SELECT * FROM foo4_2(2)", ""),
            ("SELECT * FROM foo4_3(0)", "0|2"),
            ("SELECT * FROM foo4_1(rand(0) * 0)", "0"),
            ("SELECT * FROM foo4_1(x => 1)", "1"),
            ("SELECT * FROM t1, LATERAL foo4_1(c1) ORDER BY 1, 2", "0|1|0; 0|2|0; 1|2|1"),
            ("SELECT * FROM t1, LATERAL foo4_2(c1) ORDER BY 1, 2, 3", "0|1|2; 0|1|3; 0|2|2; 0|2|3"),
            ("SELECT * FROM t1 JOIN LATERAL foo4_2(c1) ON t1.c2 = foo4_2.a", "0|2|2"),
            ("SELECT * FROM t1, LATERAL foo4_3(c1) ORDER BY 1, 2", "0|1|0|2; 0|2|0|2"),
            ("SELECT * FROM t1, LATERAL (SELECT cnt FROM foo4_3(c1)) ORDER BY 1, 2", "0|1|2; 0|2|2"),
            ("SELECT * FROM t1 JOIN foo4_1(1) AS foo4_1(x) ON t1.c1 = foo4_1.x", "1|2|1"),
            (
                "SELECT * FROM t1, LATERAL foo4_1(c1), LATERAL foo4_2(foo4_1.a + c1) ORDER BY 1, 2, 3, 4",
                "0|1|0|2; 0|1|0|3; 0|2|0|2; 0|2|0|3",
            ),
            ("SELECT (SELECT MAX(a) FROM foo4_1(c1)) m FROM t1 ORDER BY 1", "0; 0; 1"),
            ("SELECT (SELECT MAX(a) FROM foo4_1(c1) WHERE a = c2) FROM t1", "NULL; NULL; NULL"),
            ("SELECT (SELECT MAX(cnt) FROM foo4_3(c1)) m FROM t1 ORDER BY 1", "NULL; 2; 2"),
            ("SELECT * FROM t1 LEFT JOIN LATERAL foo4_2(c1) ON true WHERE c1 = 1", "1|2|NULL"),
            ("SELECT c1 FROM t1, foo4_1(c1)", "!UNRESOLVED_COLUMN.WITH_SUGGESTION"),
            ("SELECT * FROM foo3_14a()", "!UNRESOLVABLE_TABLE_VALUED_FUNCTION"),
            ("CREATE FUNCTION foo3_14a() RETURNS INT RETURN 1", ""),
            ("SELECT * FROM foo3_14a()", "!NOT_A_TABLE_FUNCTION"),
            ("SELECT foo4_0()", "!NOT_A_SCALAR_FUNCTION"),
            ("CREATE FUNCTION f() RETURNS TABLE() RETURN SELECT 1", "!PARSE_SYNTAX_ERROR"),
            (
                "CREATE FUNCTION f() RETURNS TABLE(DuPLiCatE INT, duplicate INT) RETURN SELECT 1, 2",
                "!DUPLICATE_ROUTINE_RETURNS_COLUMNS",
            ),
            (
                "CREATE FUNCTION foo32() RETURNS TABLE(a INT) RETURN SELECT 1, 2",
                "!USER_DEFINED_FUNCTIONS.RETURN_COLUMN_COUNT_MISMATCH",
            ),
            (
                "CREATE FUNCTION foo42() RETURNS TABLE(a INT) RETURN 1",
                "!USER_DEFINED_FUNCTIONS.SQL_TABLE_UDF_BODY_MUST_BE_A_QUERY",
            ),
            (
                "CREATE FUNCTION foo1_11m(a INT, b STRING) RETURNS TABLE RETURN SELECT a * 2 as doubled, UPPER(b) as \
                 upper_name",
                "",
            ),
            ("SELECT doubled, upper_name FROM foo1_11m(5, 'world')", "10|WORLD"),
            (
                "CREATE FUNCTION foo1_11o(id INT, name STRING) RETURNS TABLE RETURN SELECT STRUCT(id, name) as \
                 person_info, id + 100 as modified_id",
                "",
            ),
            ("SELECT * FROM foo1_11o(1, 'Alice')", "{id: 1, name: Alice}|101"),
            ("CREATE FUNCTION shout(a INT) RETURNS TABLE(`Doubled It` INT) RETURN SELECT a * 2 ", ""),
            ("SELECT `doubled it`, `DOUBLED IT` + 1 FROM shout(4) AS s", "8|9"),
            (
                "CREATE FUNCTION digits(n INT) RETURNS TABLE (d INT) RETURN SELECT explode(sequence(1, n)) AS d",
                "",
            ),
            ("SELECT c2, d FROM t1, LATERAL digits(c2) WHERE c1 = 0 ORDER BY 1, 2", "1|1; 2|1; 2|2"),
            (
                "CREATE FUNCTION top(n INT, k INT) RETURNS TABLE (v INT) RETURN SELECT c2 FROM t2 WHERE c1 = k ORDER \
                 BY c2 DESC LIMIT 1",
                "",
            ),
            ("SELECT c1, c2, v FROM t1, LATERAL top(1, c1) ORDER BY 1, 2", "0|1|3; 0|2|3"),
        ],
    )
    .await;
    assert_eq!(names(&session, "SELECT * FROM shout(1)").await, ["Doubled It"]);
}

#[tokio::test]
async fn a_body_means_what_it_meant_where_it_was_made() {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE SCHEMA other",
            "CREATE TABLE t (a INT)",
            "INSERT INTO t VALUES (1)",
            "CREATE TABLE other.t (a INT)",
            "INSERT INTO other.t VALUES (2)",
            "CREATE FUNCTION g() RETURNS INT RETURN 10",
            "CREATE FUNCTION other.g() RETURNS INT RETURN 20",
            "CREATE FUNCTION f() RETURNS INT RETURN (SELECT max(a) FROM t) + g()",
            "DECLARE hidden INT DEFAULT 5",
        ],
    )
    .await;
    steps(
        &session,
        &[
            ("SELECT f()", "11"),
            ("USE other", ""),
            ("SELECT main.default.f(), g(), f()", "!UNRESOLVED_ROUTINE"),
            ("SELECT main.default.f(), g()", "11|20"),
            ("USE default", ""),
            (
                "CREATE FUNCTION v() RETURNS INT RETURN hidden",
                "!INVALID_TEMP_OBJ_REFERENCE",
            ),
            ("CREATE VIEW view_of AS SELECT f() AS x", ""),
            ("USE other", ""),
            ("SELECT x FROM main.default.view_of", "11"),
            ("USE default", ""),
            ("CREATE TEMPORARY FUNCTION tf(x INT) RETURNS INT RETURN x + 1", ""),
            ("SELECT tf(1), session.tf(2), system.session.tf(3)", "2|3|4"),
            (
                "CREATE TEMPORARY FUNCTION tf(x INT) RETURNS INT RETURN x + 1",
                "!ROUTINE_ALREADY_EXISTS",
            ),
            ("CREATE FUNCTION tf(x INT) RETURNS INT RETURN x + 100", ""),
            ("SELECT tf(1), default.tf(1)", "2|101"),
            (
                "CREATE VIEW keeps AS SELECT tf(1) AS x",
                "!INVALID_TEMP_OBJ_REFERENCE",
            ),
            (
                "CREATE FUNCTION keeps() RETURN tf(1)",
                "!INVALID_TEMP_OBJ_REFERENCE",
            ),
            ("CREATE TEMPORARY VIEW tv AS SELECT 7 AS a", ""),
            (
                "CREATE FUNCTION keeps() RETURN (SELECT max(a) FROM tv)",
                "!INVALID_TEMP_OBJ_REFERENCE",
            ),
            (
                "CREATE TEMPORARY FUNCTION reads() RETURN (SELECT max(a) FROM tv) + tf(1)",
                "",
            ),
            ("SELECT reads()", "9"),
            ("DROP TEMPORARY FUNCTION tf", ""),
            ("DROP TEMPORARY FUNCTION tf", "!ROUTINE_NOT_FOUND"),
            ("DROP TEMPORARY FUNCTION IF EXISTS tf", ""),
            ("SELECT tf(1)", "101"),
            (
                "CREATE TEMPORARY FUNCTION main.default.x() RETURN 1",
                "!INVALID_SQL_SYNTAX.CREATE_TEMP_FUNC_WITH_DATABASE",
            ),
            (
                "CREATE TEMPORARY FUNCTION IF NOT EXISTS x() RETURN 1",
                "!INVALID_SQL_SYNTAX.CREATE_TEMP_FUNC_WITH_IF_NOT_EXISTS",
            ),
            (
                "CREATE OR REPLACE FUNCTION IF NOT EXISTS x() RETURN 1",
                "!INVALID_SQL_SYNTAX.CREATE_ROUTINE_WITH_IF_NOT_EXISTS_AND_REPLACE",
            ),
            ("CREATE FUNCTION nowhere.x() RETURN 1", "!SCHEMA_NOT_FOUND"),
            ("DROP SCHEMA other", "!SCHEMA_NOT_EMPTY"),
        ],
    )
    .await;
    let other = new_session(&engine);
    assert_eq!(rows(&other, "SELECT f()").await, ["11"]);
    steps(&other, &[("SELECT reads()", "!UNRESOLVED_ROUTINE")]).await;
}

#[tokio::test]
async fn functions_do_not_call_themselves_and_do_not_grow_without_bounds() {
    let (_directory, _, session) = open().await;
    steps(
        &session,
        &[
            ("CREATE FUNCTION a(x INT) RETURNS INT RETURN x", ""),
            ("CREATE FUNCTION b(x INT) RETURNS INT RETURN a(x)", ""),
            (
                "CREATE OR REPLACE FUNCTION a(x INT) RETURNS INT RETURN b(x)",
                "!USER_DEFINED_FUNCTIONS.CYCLIC_FUNCTION_REFERENCE",
            ),
            (
                "CREATE FUNCTION c(x INT) RETURNS INT RETURN c(x)",
                "!UNRESOLVED_ROUTINE",
            ),
            ("CREATE FUNCTION f0(x BIGINT) RETURNS BIGINT RETURN x + x", ""),
        ],
    )
    .await;
    for step in 1..10 {
        let before = step - 1;
        run(
            &session,
            &[&format!(
                "CREATE FUNCTION f{step}(x BIGINT) RETURNS BIGINT RETURN f{before}(x) + f{before}(x)"
            )],
        )
        .await;
    }
    assert_eq!(rows(&session, "SELECT f9(1)").await, ["1024"]);
    let mut refusal = None;
    for step in 10..30 {
        let before = step - 1;
        let made = session
            .execute(&format!(
                "CREATE FUNCTION f{step}(x BIGINT) RETURNS BIGINT RETURN f{before}(x) + f{before}(x)"
            ))
            .await;
        if made.is_err() {
            refusal = Some(step);
            break;
        }
    }
    assert!(refusal.is_some(), "a function that stands for 2^30 sums was made");
}

#[tokio::test]
async fn a_function_that_is_known_is_no_shorter_for_it() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE FUNCTION f1(x INT) RETURNS INT RETURN x",
            "CREATE FUNCTION g(x INT) RETURNS INT RETURN x",
        ],
    )
    .await;
    let chain = async |first: &str, steps: std::ops::RangeInclusive<u32>| {
        let mut before = first.to_owned();
        for step in steps {
            run(
                &session,
                &[&format!(
                    "CREATE FUNCTION f{step}(x INT) RETURNS INT RETURN {before}(x) + 1"
                )],
            )
            .await;
            before = format!("f{step}");
        }
    };
    chain("f1", 2..=31).await;
    chain("g", 34..=40).await;
    run(
        &session,
        &["CREATE OR REPLACE FUNCTION g(x INT) RETURNS INT RETURN f31(x) + 1"],
    )
    .await;
    steps(
        &session,
        &[
            ("SELECT f31(1), f31(2)", "31|32"),
            ("SELECT f40(1)", "!UNSUPPORTED_FEATURE"),
            ("SELECT f31(1), f40(1)", "!UNSUPPORTED_FEATURE"),
            ("SELECT f31(1), g(1)", "31|32"),
        ],
    )
    .await;
}

#[tokio::test]
async fn functions_on_two_others_each_are_planned_once() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (a INT)",
            "INSERT INTO t VALUES (1), (2)",
            "CREATE FUNCTION f0(x INT) RETURNS INT RETURN (SELECT max(a) FROM t) + x",
            "CREATE FUNCTION g0(x INT) RETURNS INT RETURN (SELECT min(a) FROM t) + x",
        ],
    )
    .await;
    for step in 1..6 {
        let before = step - 1;
        for (name, sign) in [("f", "+"), ("g", "-")] {
            run(
                &session,
                &[&format!(
                    "CREATE FUNCTION {name}{step}(x INT) RETURNS INT RETURN f{before}(x) {sign} g{before}(x)"
                )],
            )
            .await;
        }
    }
    // Each step doubles what one of the two was two steps before.
    assert_eq!(rows(&session, "SELECT f4(0), g4(0), f5(0)").await, ["8|4|12"]);
}

#[tokio::test]
async fn functions_are_described_and_listed() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE FUNCTION area(x DOUBLE COMMENT 'a side', y DOUBLE DEFAULT 1) RETURNS DOUBLE COMMENT 'of a rectangle' \
             RETURN x * y",
            "CREATE FUNCTION pairs(n INT) RETURNS TABLE (a INT COMMENT 'first', b STRING) RETURN SELECT n, 'x'",
            "CREATE TEMPORARY FUNCTION own() RETURN 1",
        ],
    )
    .await;
    assert_eq!(
        rows(&session, "DESCRIBE FUNCTION area").await,
        [
            "Function:      main.default.area",
            "Type:          SCALAR",
            "Input:         x DOUBLE 'a side'",
            "               y DOUBLE DEFAULT 1",
            "Returns:       DOUBLE",
        ]
    );
    let extended = rows(&session, "DESCRIBE FUNCTION EXTENDED default.pairs").await;
    for line in [
        "Type:          TABLE",
        "Returns:       a INT 'first'",
        "               b STRING",
        "Deterministic: true",
        "Data Access:   CONTAINS SQL",
        "Body:          SELECT n, 'x'",
    ] {
        assert!(extended.iter().any(|found| found == line), "{line}: {extended:?}");
    }
    steps(
        &session,
        &[
            ("DESCRIBE FUNCTION nothing", "!ROUTINE_NOT_FOUND"),
            ("SHOW USER FUNCTIONS", "main.default.area; main.default.pairs; own"),
            ("SHOW USER FUNCTIONS LIKE 'a*'", "main.default.area"),
            ("SHOW FUNCTIONS IN default LIKE 'area|abs'", "abs; main.default.area"),
            ("SHOW SYSTEM FUNCTIONS LIKE 'area'", ""),
            ("SHOW USER FUNCTIONS LIKE area", "main.default.area"),
            ("SHOW USER FUNCTIONS area", "main.default.area"),
            ("CREATE SCHEMA other", ""),
            ("CREATE FUNCTION other.area() RETURN 2", ""),
            ("SHOW USER FUNCTIONS IN main.other", "main.other.area; own"),
            ("SHOW FUNCTIONS other.area", "main.other.area"),
            ("SHOW FUNCTIONS main.other.area", "main.other.area"),
            ("SHOW FUNCTIONS other.abs", ""),
            ("SHOW SYSTEM FUNCTIONS other.area", ""),
            ("SHOW FUNCTIONS IN default other.area", "!INVALID_SQL_SYNTAX.SHOW_FUNCTIONS_INVALID_PATTERN"),
            ("SHOW FUNCTIONS IN nowhere", "!SCHEMA_NOT_FOUND"),
            ("DROP SCHEMA other CASCADE", ""),
            ("CREATE TEMPORARY FUNCTION `other.area`() RETURN 3", "!INVALID_SCHEMA_OR_RELATION_NAME"),
            ("CREATE TEMPORARY FUNCTION other.area() RETURN 3", "!INVALID_SQL_SYNTAX.CREATE_TEMP_FUNC_WITH_DATABASE"),
            (
                "SELECT routine_name, data_type, full_data_type, routine_definition, is_deterministic, sql_data_access, \
                 comment FROM main.information_schema.routines ORDER BY 1",
                "area|DOUBLE|double|x * y|YES|CONTAINS SQL|of a rectangle; pairs|TABLE|TABLE|SELECT n, 'x'|YES|CONTAINS \
                 SQL|NULL",
            ),
            (
                "SELECT specific_name, ordinal_position, parameter_name, data_type, parameter_default, comment FROM \
                 information_schema.parameters ORDER BY 1, 2",
                "area|1|x|DOUBLE|NULL|a side; area|2|y|DOUBLE|1|NULL; pairs|1|n|INT|NULL|NULL",
            ),
            (
                "SELECT specific_name, column_name, ordinal_position, data_type FROM \
                 information_schema.routine_columns ORDER BY 3",
                "pairs|a|1|INT; pairs|b|2|STRING",
            ),
            ("DROP SCHEMA default", "!SCHEMA_NOT_EMPTY"),
        ],
    )
    .await;
}

#[tokio::test]
async fn functions_stand_in_statements_that_change_tables() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (a INT, b INT)",
            "CREATE FUNCTION double(x INT) RETURNS INT RETURN x * 2",
            "CREATE FUNCTION twice(x INT) RETURNS INT RETURN x * 2",
            "CREATE FUNCTION biggest() RETURNS INT RETURN (SELECT max(a) FROM t)",
            "INSERT INTO t VALUES (twice(1), 1), (twice(2), 2), (3, twice(3))",
            "INSERT INTO t SELECT twice(a), b FROM t WHERE twice(b) = 2",
            "UPDATE t SET b = twice(b) WHERE twice(a) = 6",
            "DELETE FROM t WHERE twice(a) = 4",
            "CREATE TABLE m (a INT, b INT)",
            "INSERT INTO m VALUES (1, 1), (2, 2)",
            "MERGE INTO m USING (SELECT 2 AS a UNION ALL SELECT 4) s ON m.a = s.a WHEN MATCHED AND twice(s.a) = 4 THEN UPDATE \
             SET b = twice(m.b) + 1 WHEN NOT MATCHED THEN INSERT (a, b) VALUES (s.a, twice(x => s.a))",
        ],
    )
    .await;
    steps(
        &session,
        &[
            ("SELECT * FROM t ORDER BY a, b", "3|12; 4|1; 4|2"),
            ("SELECT biggest()", "4"),
            ("SELECT * FROM m ORDER BY a", "1|1; 2|5; 4|8"),
            // A function with a query stands where a query does: it has one answer for the merge.
            ("CREATE FUNCTION most(x INT) RETURNS INT RETURN (SELECT max(b) FROM t WHERE a < x)", ""),
            (
                "MERGE INTO m USING (SELECT 4 AS a) s ON m.a = s.a AND s.a = biggest() WHEN MATCHED THEN UPDATE SET b = \
                 most(1 + 3) + twice(m.a)",
                "1|1|0|0",
            ),
            ("SELECT b FROM m WHERE a = 4", "20"),
            (
                "MERGE INTO m USING (SELECT 4 AS a) s ON m.a = s.a WHEN MATCHED THEN UPDATE SET b = (SELECT \
                 most(a + 1) FROM (SELECT max(a) AS a FROM t))",
                "1|1|0|0",
            ),
            ("SELECT b FROM m WHERE a = 4", "12"),
            ("SELECT max(most(a)), most(5) FROM t", "12|12"),
            ("SELECT a, most(a) FROM t WHERE a = 4 GROUP BY a", "4|12"),
            ("SELECT most(max(a)) FROM t", "!UNSUPPORTED_FEATURE"),
            ("SELECT most(max(a) OVER ()) FROM t", "!UNSUPPORTED_FEATURE"),
            ("SELECT most(a) FROM (SELECT max(a) AS a FROM t)", "12"),
            (
                "MERGE INTO m USING (SELECT 4 AS a) s ON m.a = s.a WHEN MATCHED THEN UPDATE SET b = most(s.a)",
                "!UNSUPPORTED_FEATURE",
            ),
            // The name of a type is a cast.
            ("SELECT double(1), `default`.double(1)", "1.0|2"),
        ],
    )
    .await;
}
