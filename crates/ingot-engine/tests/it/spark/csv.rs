//! CSV, with the results of Spark's documentation.

use super::check;

#[tokio::test]
async fn csv_is_read_and_written() {
    check(&[
        ("SELECT from_csv('1, 0.8', 'a INT, b DOUBLE')", "{a: 1, b: 0.8}"),
        ("SELECT from_csv('26/08/2015', 'time TIMESTAMP', map('timestampFormat', 'dd/MM/yyyy'))",
         "{time: 2015-08-26T00:00:00Z}"),
        (r#"SELECT from_csv('"a,b";2', 'x STRING, y INT', map('sep', ';'))"#, "{x: a,b, y: 2}"),
        (r#"SELECT from_csv('"a\\"b",', 'x STRING, y INT')"#, r#"{x: a"b, y: NULL}"#),
        ("SELECT from_csv('x,2', 'a INT, b INT')", "{a: NULL, b: 2}"),
        ("SELECT from_csv('1', 'a INT, b INT'), from_csv('1,2,3', 'a INT, b INT')", "{a: 1, b: NULL}|{a: 1, b: 2}"),
        ("SELECT from_csv('x', 'a INT', map('mode', 'FAILFAST'))", "!MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION"),
        ("SELECT from_csv(NULL, 'a INT')", "NULL"),
        ("SELECT count(from_csv(string(id), '')) FROM range(3)", "3"),
        ("SELECT to_csv(named_struct('a', 1, 'b', 2))", "1,2"),
        ("SELECT to_csv(named_struct('time', TIMESTAMP'2015-08-26 00:00:00'), map('timestampFormat', 'dd/MM/yyyy'))",
         "26/08/2015"),
        (r#"SELECT to_csv(named_struct('a', 'x,y', 'b', 'q"', 'c', CAST(NULL AS INT), 'd', ''))"#,
         r#""x,y","q\"",,"""#),
        ("SELECT schema_of_csv('1,abc')", "STRUCT<_c0: INT, _c1: STRING>"),
        ("SELECT schema_of_csv('1.5,true,2024-01-01,2024-01-01 00:00:00,12345678901')",
         "STRUCT<_c0: DOUBLE, _c1: BOOLEAN, _c2: DATE, _c3: TIMESTAMP, _c4: BIGINT>"),
        ("SELECT from_csv('1,a', schema_of_csv('1,a'))", "{_c0: 1, _c1: a}"),
    ])
    .await;
}
