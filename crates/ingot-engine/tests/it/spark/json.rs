//! JSON, with the results of Spark's documentation.

use super::check;

#[tokio::test]
async fn json_is_read() {
    check(&[
        (
            r#"SELECT from_json('{"a":1, "b":0.8}', 'a INT, b DOUBLE')"#,
            "{a: 1, b: 0.8}",
        ),
        (r#"SELECT from_json('[1,2]', 'array<int>')"#, "[1, 2]"),
        (
            r#"SELECT from_json('{"a":1,"b":2}', 'map<string,int>')"#,
            "{a: 1, b: 2}",
        ),
        (
            r#"SELECT from_json('[{"a":1},{"a":2}]', 'array<struct<a:int>>')"#,
            "[{a: 1}, {a: 2}]",
        ),
        (
            r#"SELECT from_json('{"a":1}', 'array<struct<a:int>>')"#,
            "[{a: 1}]",
        ),
        (
            r#"SELECT from_json('bad', 'a INT'), from_json('bad', 'array<int>')"#,
            "{a: NULL}|NULL",
        ),
        (
            r#"SELECT from_json('', 'a INT'), from_json(NULL, 'a INT')"#,
            "NULL|NULL",
        ),
        (
            r#"SELECT from_json('{"a":"x","b":2}', 'a INT, b INT')"#,
            "{a: NULL, b: 2}",
        ),
        (
            r#"SELECT from_json('{"a":{"b":"x","c":2}}', 'a STRUCT<b: INT, c: INT>')"#,
            "{a: {b: NULL, c: 2}}",
        ),
        (
            r#"SELECT from_json('{"a":[1,"x"],"b":2}', 'a ARRAY<INT>, b INT')"#,
            "{a: NULL, b: 2}",
        ),
        (
            r#"SELECT from_json('{"a":1.5}', 'a INT, _corrupt_record STRING')"#,
            r#"{a: NULL, _corrupt_record: {"a":1.5}}"#,
        ),
        (
            r#"SELECT from_json('{"a":1}', 'a INT, _corrupt_record STRING')"#,
            "{a: 1, _corrupt_record: NULL}",
        ),
        (r#"SELECT from_json("{'a': 'x'}", 'a STRING')"#, "{a: x}"),
        (
            r#"SELECT from_json('{"a":{"b": [1, 2.50]}}', 'a STRING').a"#,
            r#"{"b": [1, 2.50]}"#,
        ),
        (r#"SELECT from_json('{"a":true}', 'a BOOLEAN').a"#, "true"),
        (
            r#"SELECT from_json('{"d":"2024-02-29","t":"26/08/2015"}', 'd DATE, t TIMESTAMP',
            map('timestampFormat', 'dd/MM/yyyy'))"#,
            "{d: 2024-02-29, t: 2015-08-26T00:00:00Z}",
        ),
        (r#"SELECT from_json('{"a":12.345}', 'a DECIMAL(4,2)').a"#, "12.35"),
        (
            r#"SELECT from_json('{"a":1', 'a INT', map('mode', 'FAILFAST'))"#,
            "!MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION",
        ),
        (
            r#"SELECT from_json('{"a":1}', 'a INT', map('mode', 'DROPMALFORMED'))"#,
            "!PARSE_MODE_UNSUPPORTED",
        ),
        (
            r#"SELECT from_json('{"a":1}', 'int')"#,
            "!DATATYPE_MISMATCH.INVALID_JSON_SCHEMA",
        ),
        (
            r#"SELECT from_json('{"a":1}', schema_of_json('{"a":1}'))"#,
            "{a: 1}",
        ),
    ])
    .await;
}

#[tokio::test]
async fn json_is_written() {
    check(&[
        (r#"SELECT to_json(named_struct('a', 1, 'b', 2))"#, r#"{"a":1,"b":2}"#),
        (r#"SELECT to_json(named_struct('t', TIMESTAMP'2015-08-26 00:00:00'), map('timestampFormat', 'dd/MM/yyyy'))"#,
         r#"{"t":"26/08/2015"}"#),
        (r#"SELECT to_json(array(named_struct('a', 1, 'b', 2)))"#, r#"[{"a":1,"b":2}]"#),
        (r#"SELECT to_json(map('a', named_struct('b', NULL, 'c', 'x"y')))"#, r#"{"a":{"c":"x\"y"}}"#),
        (r#"SELECT to_json(named_struct('b', CAST(NULL AS INT)), map('ignoreNullFields', 'false'))"#, r#"{"b":null}"#),
        (r#"SELECT to_json(map('a', CAST(NULL AS INT)))"#, r#"{"a":null}"#),
        (r#"SELECT to_json(array(1.0D, 1e10D, CAST('NaN' AS DOUBLE)))"#, r#"[1.0,1.0E10,"NaN"]"#),
        (r#"SELECT to_json(array(X'41'))"#, r#"["QQ=="]"#),
        (r#"SELECT to_json(CAST(NULL AS STRUCT<a: INT>))"#, "NULL"),
        (r#"SELECT to_json(1)"#, "!DATATYPE_MISMATCH.INVALID_JSON_SCHEMA"),
    ])
    .await;
}

#[tokio::test]
async fn json_is_asked() {
    check(&[
        (r#"SELECT get_json_object('{"a":"b"}', '$.a'), get_json_object('{"a":"b"}', '$.c')"#, "b|NULL"),
        (r#"SELECT get_json_object('{"a":[1,{"b":2}]}', '$.a[1].b')"#, "2"),
        (r#"SELECT get_json_object('[{"a":"b"},{"a":"c"}]', '$[0].a')"#, "b"),
        (r#"SELECT get_json_object('[{"a":"b"},{"a":"c"}]', '$[*].a')"#, r#"["b","c"]"#),
        (r#"SELECT get_json_object('[{"a":"b"}]', '$[*].a')"#, r#""b""#),
        (r#"SELECT get_json_object('{"a":{"b c":[1, 2.50]}}', "$.a['b c']")"#, "[1,2.5]"),
        (r#"SELECT get_json_object('{"a":null}', '$.a'), get_json_object('bad', '$.a'), get_json_object('{}', 'a')"#,
         "NULL|NULL|NULL"),
        (r#"SELECT json_array_length('[1,2,3,{"f1":1,"f2":[5,6]},4]'), json_array_length('[1,2')"#, "5|NULL"),
        (r#"SELECT json_array_length('{"a":1}'), json_array_length('[]')"#, "NULL|0"),
        (r#"SELECT json_object_keys('{"f1":"abc","f2":{"f3":"a"}}'), json_object_keys('{}'), json_object_keys('[]')"#,
         "[f1, f2]|[]|NULL"),
        (r#"SELECT schema_of_json('[{"col":0}]')"#, "ARRAY<STRUCT<col: BIGINT>>"),
        (r#"SELECT schema_of_json('{"b":1.5,"a":null,"c d":[1,2.5]}')"#,
         "STRUCT<a: STRING, b: DOUBLE, `c d`: ARRAY<DOUBLE>>"),
        (r#"SELECT schema_of_json('[1,"a"]'), schema_of_json('123456789012345678901')"#, "ARRAY<STRING>|DECIMAL(21,0)"),
        (r#"SELECT v:a[0].b FROM (SELECT '{"a":[{"b":7}]}' AS v)"#, "7"),
    ])
    .await;
}
