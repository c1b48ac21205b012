//! `SET ansi_mode`: what is refused in ANSI mode, and what it is without. Sources: Databricks, "ANSI_MODE"; Spark, "ANSI
//! Compliance", and the expressions where neither says it.

use std::fmt::Write as _;

use ingot_engine::Session;

use super::condition_of;
use crate::sql::{open, refused, rows, try_rows};

const ARITHMETIC: [(&str, &str, &str); 43] = [
    ("1 / 0", "!DIVIDE_BY_ZERO", "NULL"),
    ("1 div 0", "!DIVIDE_BY_ZERO", "NULL"),
    ("1 % 0", "!REMAINDER_BY_ZERO", "NULL"),
    ("mod(5, 0), pmod(5, 2)", "!REMAINDER_BY_ZERO", "NULL|1"),
    ("pmod(5L, 0L)", "!REMAINDER_BY_ZERO", "NULL"),
    ("1.5BD / 0", "!DIVIDE_BY_ZERO", "NULL"),
    ("1.5BD % 0", "!REMAINDER_BY_ZERO", "NULL"),
    ("1.5D / 0", "!DIVIDE_BY_ZERO", "NULL"),
    ("1.5D % 0D", "!REMAINDER_BY_ZERO", "NULL"),
    (
        "(-9223372036854775807 - 1) div -1L",
        "!ARITHMETIC_OVERFLOW",
        "-9223372036854775808",
    ),
    ("2147483647 + 1", "!ARITHMETIC_OVERFLOW", "-2147483648"),
    ("127Y + 1Y", "!ARITHMETIC_OVERFLOW", "-128"),
    ("-128Y - 1Y", "!ARITHMETIC_OVERFLOW", "127"),
    ("100Y * 100Y", "!ARITHMETIC_OVERFLOW", "16"),
    ("32767S + 1S", "!ARITHMETIC_OVERFLOW", "-32768"),
    (
        "9223372036854775807 + 1",
        "!ARITHMETIC_OVERFLOW",
        "-9223372036854775808",
    ),
    ("9223372036854775807 * 2L", "!ARITHMETIC_OVERFLOW", "-2"),
    ("-(-128Y)", "!ARITHMETIC_OVERFLOW", "-128"),
    (
        "negative(CAST(-2147483648 AS INT))",
        "!ARITHMETIC_OVERFLOW",
        "-2147483648",
    ),
    ("abs(-128Y)", "!ARITHMETIC_OVERFLOW", "-128"),
    (
        "abs(CAST(-2147483648 AS INT))",
        "!ARITHMETIC_OVERFLOW",
        "-2147483648",
    ),
    (
        "typeof(2147483647 + 0), typeof(127Y + 0Y)",
        "int|tinyint",
        "int|tinyint",
    ),
    (
        "99999999999999999999999999999999999999BD + 1BD",
        "!NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION",
        "NULL",
    ),
    (
        "CAST(1e37 AS DECIMAL(38,0)) * 100BD",
        "!NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION",
        "NULL",
    ),
    (
        "try_add(2147483647, 1), try_divide(1, 0)",
        "NULL|NULL",
        "NULL|NULL",
    ),
    ("1e308D * 10", "inf", "inf"),
    ("3 + 4, 7 / 2, 7 div 2, -7 % 3", "7|3.5|3|-1", "7|3.5|3|-1"),
    ("round(127Y, -1)", "!ARITHMETIC_OVERFLOW", "-126"),
    ("bround(2147483647, -1)", "!ARITHMETIC_OVERFLOW", "-2147483646"),
    ("round(2.5), round(25, -1)", "3|30", "3|30"),
    (
        "conv('18446744073709551616', 10, 16)",
        "!ARITHMETIC_OVERFLOW",
        "FFFFFFFFFFFFFFFF",
    ),
    (
        "conv('18446744073709551616', 10, -10)",
        "!ARITHMETIC_OVERFLOW",
        "-1",
    ),
    (
        "(SELECT sum(x) FROM VALUES (9223372036854775807), (1) AS t(x))",
        "!ARITHMETIC_OVERFLOW",
        "-9223372036854775808",
    ),
    (
        "(SELECT max(s) FROM (SELECT sum(x) AS s FROM VALUES (1, 9223372036854775807), (1, 1) AS t(k, x) GROUP BY k))",
        "!ARITHMETIC_OVERFLOW",
        "-9223372036854775808",
    ),
    (
        "(SELECT sum(x) FROM VALUES (99999999999999999999999999999999999999BD), (1BD) AS t(x))",
        "!ARITHMETIC_OVERFLOW",
        "NULL",
    ),
    (
        "(SELECT sum(DISTINCT x) FROM VALUES (99999999999999999999999999999999999999BD), (1BD) AS t(x))",
        "!ARITHMETIC_OVERFLOW",
        "NULL",
    ),
    (
        "(SELECT count_if(s IS NULL) FROM (SELECT k, sum(x) AS s FROM VALUES (1, 99999999999999999999999999999999999999BD), \
         (1, 1BD), (2, 1BD) AS t(k, x) GROUP BY k))",
        "!ARITHMETIC_OVERFLOW",
        "1",
    ),
    (
        "(SELECT array_join(collect_list(coalesce(string(s), '-')), ',') FROM (SELECT i, sum(x) OVER (ORDER BY i ROWS BETWEEN 1 \
         PRECEDING AND CURRENT ROW) AS s FROM VALUES (1, 90000000000000000000000000000000000000BD), \
         (2, 90000000000000000000000000000000000000BD), (3, 1BD), (4, 2BD) AS t(i, x) ORDER BY i))",
        "!ARITHMETIC_OVERFLOW",
        "90000000000000000000000000000000000000,-,90000000000000000000000000000000000001,3",
    ),
    ("(SELECT sum(x) FROM VALUES (1), (2) AS t(x))", "3", "3"),
    (
        "(SELECT sum(x) FROM VALUES (1.5BD), (2.25BD), (NULL) AS t(x))",
        "3.75",
        "3.75",
    ),
    (
        "(SELECT sum(x) FROM VALUES ('1'), ('x') AS t(x))",
        "!CAST_INVALID_INPUT",
        "1.0",
    ),
    (
        "transform(array(1, 0), x -> 6 div x)",
        "!DIVIDE_BY_ZERO",
        "[6, NULL]",
    ),
    ("typeof(1L + CAST(1 AS FLOAT))", "double", "float"),
];

const CASTS: [(&str, &str, &str); 46] = [
    (
        "unix_micros(CAST(1e20D AS TIMESTAMP)), CAST(CAST('NaN' AS DOUBLE) AS TIMESTAMP)",
        "!CAST_OVERFLOW",
        "9223372036854775807|NULL",
    ),
    (
        "CAST(map('x', 1) AS MAP<INT, INT>)",
        "!CAST_INVALID_INPUT",
        "!DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION",
    ),
    ("CAST('abc' AS INT)", "!CAST_INVALID_INPUT", "NULL"),
    (
        "CAST('1.7' AS INT), CAST(' -3.2 ' AS BIGINT), CAST('.' AS INT)",
        "!CAST_INVALID_INPUT",
        "1|-3|0",
    ),
    ("CAST('128' AS TINYINT)", "!CAST_INVALID_INPUT", "NULL"),
    ("CAST('' AS DOUBLE)", "!CAST_INVALID_INPUT", "NULL"),
    ("CAST('x' AS DECIMAL(5,2))", "!CAST_INVALID_INPUT", "NULL"),
    ("CAST('maybe' AS BOOLEAN)", "!CAST_INVALID_INPUT", "NULL"),
    ("CAST('2024-02-30' AS DATE)", "!CAST_INVALID_INPUT", "NULL"),
    ("CAST('noon' AS TIMESTAMP)", "!CAST_INVALID_INPUT", "NULL"),
    ("'a'::INT", "!CAST_INVALID_INPUT", "NULL"),
    ("int('a'), date('a')", "!CAST_INVALID_INPUT", "NULL|NULL"),
    ("CAST(128 AS TINYINT)", "!CAST_OVERFLOW", "-128"),
    ("CAST(70000 AS SMALLINT)", "!CAST_OVERFLOW", "4464"),
    ("CAST(4294967297 AS INT)", "!CAST_OVERFLOW", "1"),
    (
        "CAST(1e10D AS INT), CAST(-1e10D AS INT)",
        "!CAST_OVERFLOW",
        "2147483647|-2147483648",
    ),
    (
        "CAST(1e20D AS BIGINT), CAST(double('NaN') AS INT)",
        "!CAST_OVERFLOW",
        "9223372036854775807|0",
    ),
    ("CAST(300.7D AS TINYINT)", "!CAST_OVERFLOW", "44"),
    (
        "CAST(300.7BD AS TINYINT), CAST(-1.9BD AS INT)",
        "!CAST_OVERFLOW",
        "44|-1",
    ),
    (
        "CAST(123.456BD AS DECIMAL(4,2))",
        "!NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION",
        "NULL",
    ),
    (
        "CAST(1000 AS DECIMAL(3,0))",
        "!NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION",
        "NULL",
    ),
    (
        "CAST(DATE'2024-01-01' AS INT)",
        "!DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION",
        "NULL",
    ),
    (
        "CAST(TRUE AS TIMESTAMP)",
        "!DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION",
        "1970-01-01T00:00:00.000001Z",
    ),
    (
        "hex(CAST(258 AS BINARY)), hex(CAST(1L AS BINARY))",
        "!DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION",
        "00000102|0000000000000001",
    ),
    (
        "CAST(TIMESTAMP'1970-01-02 00:00:00' AS SMALLINT)",
        "!CAST_OVERFLOW",
        "20864",
    ),
    (
        "CAST(7 AS TINYINT), CAST('7' AS INT), CAST(NULL AS INT), CAST(1.5D AS INT)",
        "7|7|NULL|1",
        "7|7|NULL|1",
    ),
    (
        "try_cast('abc' AS INT), try_cast(128 AS TINYINT)",
        "NULL|NULL",
        "NULL|NULL",
    ),
    (
        "CAST(array('1', 'x') AS ARRAY<INT>)",
        "!CAST_INVALID_INPUT",
        "[1, NULL]",
    ),
    (
        "CAST(named_struct('a', '2', 'b', 'y') AS STRUCT<a: INT, b: DATE>)",
        "!CAST_INVALID_INPUT",
        "{a: 2, b: NULL}",
    ),
    (
        "CAST(map('k', 300) AS MAP<STRING, TINYINT>)",
        "!CAST_OVERFLOW",
        "{k: 44}",
    ),
    ("typeof(CAST('1' AS INT))", "int", "int"),
    (
        "'a' = 1, '1' = 1, '1.0' = 1",
        "!CAST_INVALID_INPUT",
        "NULL|true|true",
    ),
    ("'1.9' = 1", "!CAST_INVALID_INPUT", "true"),
    (
        "'x' < 5D, 5 BETWEEN 'a' AND 9",
        "!CAST_INVALID_INPUT",
        "NULL|NULL",
    ),
    ("DATE'2024-01-01' = 'x'", "!CAST_INVALID_INPUT", "NULL"),
    (
        "true = 1, false <=> 0, true != 2",
        "!DATATYPE_MISMATCH.BINARY_OP_DIFF_TYPES",
        "true|true|true",
    ),
    ("'5' + 1, 'a' + 1", "!CAST_INVALID_INPUT", "6.0|NULL"),
    (
        "typeof('5' + 1), typeof(-'5'), typeof('5' * 2L)",
        "bigint|double|bigint",
        "double|double|double",
    ),
    (
        "1 IN ('1', 'a'), typeof(coalesce(1, 'a')), coalesce(NULL, 1, 'a')",
        "true|bigint|1",
        "true|string|1",
    ),
    (
        "CASE WHEN false THEN 1 ELSE 'b' END, typeof(if(true, 1, 'x')), nvl(1, 'z')",
        "!CAST_INVALID_INPUT",
        "b|string|1",
    ),
    (
        "(SELECT concat_ws(',', collect_list(x), first(typeof(x))) FROM VALUES (1), ('a'), (NULL) AS t(x))",
        "!CAST_INVALID_INPUT",
        "1,a,string",
    ),
    (
        "(SELECT concat_ws(',', first(typeof(x)), first(typeof(y))) FROM VALUES (1, -1.5), ('2', '3') AS t(x, y))",
        "bigint,double",
        "string,string",
    ),
    ("CASE '7' WHEN 7 THEN 'same' ELSE 'other' END", "same", "same"),
    ("nullif('a', 1)", "!CAST_INVALID_INPUT", "a"),
    (
        "(SELECT count(*) FROM (SELECT 1 AS x UNION ALL SELECT 'a') WHERE x IN ('1', 'a'))",
        "!CAST_INVALID_INPUT",
        "2",
    ),
    ("substring('abc', 'x')", "!CAST_INVALID_INPUT", "NULL"),
];

const FUNCTIONS: [(&str, &str, &str); 31] = [
    ("array(1, 2)[5]", "!INVALID_ARRAY_INDEX", "NULL"),
    (
        "array(1, 2)[-1], array(1, 2)[1]",
        "!INVALID_ARRAY_INDEX",
        "NULL|2",
    ),
    (
        "element_at(array(1, 2), 5)",
        "!INVALID_ARRAY_INDEX_IN_ELEMENT_AT",
        "NULL",
    ),
    (
        "element_at(array(1, 2), 0)",
        "!INVALID_INDEX_OF_ZERO",
        "!INVALID_INDEX_OF_ZERO",
    ),
    ("element_at(array(1, 2), -1)", "2", "2"),
    (
        "map('a', 1)['b'], element_at(map('a', 1), 'b')",
        "NULL|NULL",
        "NULL|NULL",
    ),
    ("elt(3, 'a', 'b')", "!INVALID_ARRAY_INDEX", "NULL"),
    ("to_date('x')", "!CAST_INVALID_INPUT", "NULL"),
    (
        "to_date('2024-13-01', 'yyyy-MM-dd')",
        "!CANNOT_PARSE_TIMESTAMP",
        "NULL",
    ),
    (
        "to_date('2024-02-29'), to_date('29/02/2024', 'dd/MM/yyyy')",
        "2024-02-29|2024-02-29",
        "2024-02-29|2024-02-29",
    ),
    ("to_timestamp('x')", "!CAST_INVALID_INPUT", "NULL"),
    ("to_timestamp('x', 'yyyy')", "!CANNOT_PARSE_TIMESTAMP", "NULL"),
    ("to_timestamp_ntz('x')", "!CAST_INVALID_INPUT", "NULL"),
    (
        "unix_timestamp('x'), to_unix_timestamp('x')",
        "!CANNOT_PARSE_TIMESTAMP",
        "NULL|NULL",
    ),
    (
        "make_date(2024, 2, 30)",
        "!DATETIME_FIELD_OUT_OF_BOUNDS.WITH_SUGGESTION",
        "NULL",
    ),
    (
        "make_timestamp(2024, 1, 1, 25, 0, 0)",
        "!DATETIME_FIELD_OUT_OF_BOUNDS.WITH_SUGGESTION",
        "NULL",
    ),
    (
        "make_timestamp_ntz(2024, 1, 1, 0, 0, 60.5)",
        "!INVALID_FRACTION_OF_SECOND",
        "NULL",
    ),
    (
        "string(make_interval(178956971))",
        "!INTERVAL_ARITHMETIC_OVERFLOW.WITHOUT_SUGGESTION",
        "NULL",
    ),
    (
        "next_day('2024-01-01', 'someday'), next_day('2024-01-01', 'TU')",
        "!ILLEGAL_DAY_OF_WEEK",
        "NULL|2024-01-02",
    ),
    (
        "year('x'), datediff('x', '2024-01-01')",
        "!CAST_INVALID_INPUT",
        "NULL|NULL",
    ),
    (
        "date_add('x', 1), last_day('x'), date_format('x', 'yyyy')",
        "!CAST_INVALID_INPUT",
        "NULL|NULL|NULL",
    ),
    (
        "(SELECT concat_ws(',', collect_list(coalesce(year(s), -1))) FROM VALUES ('2020-01-01'), ('x'), ('2022-01-01'), \
         ('y'), ('z'), (NULL) AS t(s))",
        "!CAST_INVALID_INPUT",
        "2020,-1,2022,-1,-1,-1",
    ),
    ("parse_url('http://a b/', 'HOST')", "!INVALID_URL", "NULL"),
    (
        "size(NULL), cardinality(CAST(NULL AS MAP<INT, INT>)), size(array(1))",
        "NULL|NULL|1",
        "-1|-1|1",
    ),
    ("array_size(CAST(NULL AS ARRAY<INT>))", "NULL", "NULL"),
    (
        "raise_error('x')",
        "!USER_RAISED_EXCEPTION",
        "!USER_RAISED_EXCEPTION",
    ),
    (
        "to_number('x', '999')",
        "!INVALID_FORMAT.MISMATCH_INPUT",
        "!INVALID_FORMAT.MISMATCH_INPUT",
    ),
    ("timestampadd(DAY, 1, 'x')", "!CAST_INVALID_INPUT", "NULL"),
    (
        "DATE'2024-01-01' + 1, 'x' - INTERVAL '1' DAY",
        "!CAST_INVALID_INPUT",
        "2024-01-02|NULL",
    ),
    (
        "(SELECT array(x, 1 div (x - 2)) FROM VALUES (1), (2) AS t(x) WHERE x = 2)",
        "!DIVIDE_BY_ZERO",
        "[2, NULL]",
    ),
    (
        "(SELECT avg(x) FROM VALUES ('3'), ('x') AS t(x))",
        "!CAST_INVALID_INPUT",
        "3.0",
    ),
];

/// Compares the row of each query in ANSI mode and without; a row that starts with `!` is a condition.
async fn compare(expected: &[(&str, &str, &str)]) {
    let (_directory, _, session) = open().await;
    let mut wrong = String::new();
    for (mode, column) in [("true", 1), ("false", 2)] {
        rows(&session, &format!("SET ansi_mode = {mode}")).await;
        for (expressions, on, off) in expected {
            let row = if column == 1 { on } else { off };
            let found = found(&session, &format!("SELECT {expressions}")).await;
            if found != *row {
                writeln!(wrong, "{expressions}\n    ansi_mode {mode}: {row}, not {found}").expect("text");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

async fn found(session: &Session, query: &str) -> String {
    match try_rows(session, query).await {
        Ok(rows) => rows.join("; "),
        Err(error) => format!("!{}", condition_of(&error)),
    }
}

#[tokio::test]
async fn arithmetic_starts_again_or_is_null() {
    compare(&ARITHMETIC).await;
}

#[tokio::test]
async fn casts_that_cannot_be_are_null_and_types_meet_as_texts() {
    compare(&CASTS).await;
}

#[tokio::test]
async fn functions_give_null_for_what_they_refuse() {
    compare(&FUNCTIONS).await;
}

#[tokio::test]
async fn both_names_are_of_one_setting() {
    let (_directory, _, session) = open().await;
    assert_eq!(rows(&session, "SET ansi_mode").await, ["ansi_mode|true"]);
    assert_eq!(rows(&session, "SET ANSI_MODE = FALSE").await, ["ANSI_MODE|FALSE"]);
    assert_eq!(
        rows(&session, "SET spark.sql.ansi.enabled").await,
        ["spark.sql.ansi.enabled|FALSE"]
    );
    assert_eq!(rows(&session, "SELECT 1 / 0").await, ["NULL"]);
    rows(&session, "SET Spark.Sql.Ansi.Enabled = true").await;
    assert_eq!(refused(&session, "SELECT 1 / 0").await, "DIVIDE_BY_ZERO");
    rows(&session, "SET spark.sql.ansi.enabled = false").await;
    assert_eq!(rows(&session, "SELECT 1 / 0").await, ["NULL"]);
    rows(&session, "RESET ansi_mode").await;
    assert_eq!(refused(&session, "SELECT 1 / 0").await, "DIVIDE_BY_ZERO");
    rows(&session, "SET ansi_mode = false").await;
    rows(&session, "RESET").await;
    assert_eq!(refused(&session, "SELECT 1 / 0").await, "DIVIDE_BY_ZERO");
    assert_eq!(
        refused(&session, "SET ansi_mode = off").await,
        "CONFIG_NOT_AVAILABLE"
    );
}

#[tokio::test]
async fn tables_views_and_known_results_follow_the_session() {
    let (_directory, _, session) = open().await;
    for statement in [
        "CREATE TABLE t (a INT, b STRING)",
        "INSERT INTO t VALUES (2147483647, 'x'), (0, '7')",
        "CREATE VIEW v AS SELECT a + 1 AS c, CAST(b AS INT) AS d FROM t",
        "CREATE FUNCTION f(x INT) RETURNS INT RETURN x + 1",
        "SET ansi_mode = false",
    ] {
        rows(&session, statement).await;
    }
    let sum = "SELECT a + 1, CAST(b AS INT), 1 div a FROM t ORDER BY a";
    assert_eq!(rows(&session, sum).await, ["1|7|NULL", "-2147483648|NULL|0"]);
    assert_eq!(
        rows(&session, "SELECT c, d FROM v ORDER BY c").await,
        ["-2147483648|NULL", "1|7"]
    );
    assert_eq!(rows(&session, "SELECT f(2147483647)").await, ["-2147483648"]);
    assert_eq!(rows(&session, "SELECT count(*) FROM t WHERE b = 7").await, ["1"]);
    assert_eq!(
        rows(&session, "SELECT max(element_at(array(a), 3)) FROM t").await,
        ["NULL"]
    );
    rows(&session, "SET ansi_mode = true").await;
    assert_eq!(refused(&session, sum).await, "ARITHMETIC_OVERFLOW");
    assert_eq!(
        refused(&session, "SELECT f(2147483647)").await,
        "ARITHMETIC_OVERFLOW"
    );
    assert_eq!(
        refused(&session, "SELECT count(*) FROM t WHERE b = 7").await,
        "CAST_INVALID_INPUT"
    );
}

#[tokio::test]
async fn what_is_stored_is_cast_under_ansi_all_the_same() {
    let (_directory, _, session) = open().await;
    rows(&session, "CREATE TABLE t (a TINYINT, b INT)").await;
    rows(&session, "SET ansi_mode = false").await;
    assert_eq!(
        refused(&session, "INSERT INTO t VALUES (300, 1)").await,
        "CAST_OVERFLOW_IN_TABLE_INSERT"
    );
    assert_eq!(
        refused(&session, "INSERT INTO t VALUES (1, 'x')").await,
        "CAST_INVALID_INPUT"
    );
    rows(&session, "INSERT INTO t VALUES (CAST(300 AS TINYINT), 1 div 0)").await;
    assert_eq!(rows(&session, "SELECT * FROM t").await, ["44|NULL"]);
    assert_eq!(
        refused(&session, "UPDATE t SET a = 300").await,
        "DELTA_CAST_OVERFLOW_IN_TABLE_WRITE"
    );
}

#[tokio::test]
async fn rules_of_tables_follow_the_session() {
    let (_directory, _, session) = open().await;
    rows(&session, "CREATE TABLE t (a INT)").await;
    rows(
        &session,
        "ALTER TABLE t ADD CONSTRAINT c CHECK (element_at(array(1), a) IS NULL OR a = 1)",
    )
    .await;
    assert_eq!(
        refused(&session, "INSERT INTO t VALUES (5)").await,
        "INVALID_ARRAY_INDEX_IN_ELEMENT_AT"
    );
    rows(&session, "SET ansi_mode = false").await;
    rows(&session, "INSERT INTO t VALUES (5)").await;
    let delete = "DELETE FROM t WHERE array(1)[a] IS NULL";
    rows(&session, "SET ansi_mode = true").await;
    assert_eq!(refused(&session, delete).await, "INVALID_ARRAY_INDEX");
    rows(&session, "SET ansi_mode = false").await;
    rows(&session, delete).await;
    assert_eq!(rows(&session, "SELECT count(*) FROM t").await, ["0"]);
}
