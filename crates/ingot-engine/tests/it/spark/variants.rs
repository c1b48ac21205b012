//! Variants, with the results of Spark's documentation.

use super::check;

#[tokio::test]
async fn variants_are_made_and_asked() {
    check(&[
        (r#"SELECT to_json(parse_json('{"b": [1, 2.50, 1e3, "x", null, true], "a": {}}'))"#,
         r#"{"a":{},"b":[1,2.5,1000.0,"x",null,true]}"#),
        ("SELECT parse_json('{')", "!MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION"),
        (r#"SELECT parse_json('{"a":1,"a":2}')"#, "!VARIANT_DUPLICATE_KEY"),
        ("SELECT try_parse_json('{') IS NULL, parse_json(NULL) IS NULL", "true|true"),
        (r#"SELECT variant_get(parse_json('{"a": 1}'), '$.a', 'int'), variant_get(parse_json('{"a": 1}'), '$.b', 'int')"#,
         "1|NULL"),
        (r#"SELECT variant_get(parse_json('[1, "2"]'), '$[1]', 'string'), variant_get(parse_json('[1, "2"]'), '$[2]', 'string')"#,
         "2|NULL"),
        (r#"SELECT variant_get(parse_json('[1, "hello"]'), '$[1]', 'int')"#, "!INVALID_VARIANT_CAST"),
        (r#"SELECT try_variant_get(parse_json('[1, "hello"]'), '$[1]', 'int')"#, "NULL"),
        (r#"SELECT variant_get(parse_json('[1]'), 'x', 'int')"#, "!INVALID_VARIANT_GET_PATH"),
        (r#"SELECT to_json(variant_get(parse_json('{"a": {"b": 1}}'), '$.a'))"#, r#"{"b":1}"#),
        (r#"SELECT variant_get(parse_json('{"a": [1, 2]}'), '$', 'struct<a:array<int>>')"#, "{a: [1, 2]}"),
        (r#"SELECT is_variant_null(parse_json('null')), is_variant_null(parse_json('13')), is_variant_null(CAST(NULL AS VARIANT))"#,
         "true|false|false"),
        (r#"SELECT schema_of_variant(parse_json('null')), schema_of_variant(parse_json('[{"b":true,"a":0}]'))"#,
         "VOID|ARRAY<OBJECT<a: BIGINT, b: BOOLEAN>>"),
        (r#"SELECT schema_of_variant(parse_json('[1, 2.5]')), schema_of_variant(parse_json('[1, "a"]'))"#,
         "ARRAY<DECIMAL(20,1)>|ARRAY<VARIANT>"),
        (r#"SELECT to_json(to_variant_object(named_struct('a', 1, 'b', array(DATE'2024-01-01'))))"#,
         r#"{"a":1,"b":["2024-01-01"]}"#),
        ("SELECT to_variant_object(1)", "!DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE"),
        (r#"SELECT to_json(v:a[0].b) FROM (SELECT parse_json('{"a":[{"b":7}]}') AS v)"#, "7"),
    ])
    .await;
}

#[tokio::test]
async fn values_are_cast_to_variants() {
    check(&[
        ("SELECT to_json(CAST(1 AS VARIANT)), schema_of_variant(CAST(1.50BD AS VARIANT)), typeof(CAST('x' AS VARIANT))",
         "1|DECIMAL(3,2)|variant"),
        (r#"SELECT to_json(CAST('{"a": 1}' AS VARIANT)), schema_of_variant(CAST('{}' AS VARIANT))"#,
         r#""{\"a\": 1}"|STRING"#),
        ("SELECT to_json(CAST(array(1, NULL, 3) AS VARIANT)), to_json(CAST(array(array('a')) AS VARIANT))",
         r#"[1,null,3]|[["a"]]"#),
        ("SELECT schema_of_variant(CAST(DATE'2024-01-01' AS VARIANT)), schema_of_variant(true::VARIANT)", "DATE|BOOLEAN"),
        ("SELECT CAST(NULL AS VARIANT) IS NULL, CAST(CAST(NULL AS INT) AS VARIANT) IS NULL", "true|true"),
        ("SELECT CAST(named_struct('a', 1) AS VARIANT)", "!DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION"),
        ("SELECT CAST(map('a', 1) AS VARIANT)", "!DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION"),
        ("SELECT CAST(array(named_struct('a', 1)) AS VARIANT)", "!DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION"),
        ("SELECT to_json(try_cast(5 AS VARIANT)), try_cast(7::VARIANT AS INT)", "5|7"),
        ("SELECT to_json(CAST(array(1::VARIANT, 'a'::VARIANT) AS VARIANT))", r#"[1,"a"]"#),
    ])
    .await;
}

#[tokio::test]
async fn variants_are_cast_to_values() {
    check(&[
        ("SELECT parse_json('5')::INT + 1, CAST(parse_json('5') AS DOUBLE), CAST(parse_json('5') AS STRING)", "6|5.0|5"),
        (r#"SELECT CAST(parse_json('"x"') AS STRING), CAST(parse_json('true') AS STRING), CAST(parse_json('2.50') AS STRING)"#,
         "x|true|2.5"),
        (r#"SELECT CAST(parse_json('{"b": [1, "x"], "a": null}') AS STRING), CAST(parse_json('[1, {}]') AS STRING)"#,
         r#"{"a":null,"b":[1,"x"]}|[1,{}]"#),
        (r#"SELECT CAST(parse_json('"2024-02-29"') AS DATE), CAST(parse_json('"12"') AS INT), CAST(parse_json('1.5') AS INT)"#,
         "2024-02-29|12|1"),
        ("SELECT CAST(parse_json('12.345') AS DECIMAL(4,2)), CAST(parse_json('1e3') AS DECIMAL(6,1)), CAST(parse_json('1') AS BOOLEAN)",
         "12.35|1000.0|true"),
        ("SELECT CAST(parse_json('12345.6') AS DECIMAL(4,2))", "!INVALID_VARIANT_CAST"),
        ("SELECT CAST(parse_json('300') AS TINYINT)", "!INVALID_VARIANT_CAST"),
        (r#"SELECT CAST(parse_json('"x"') AS INT)"#, "!INVALID_VARIANT_CAST"),
        ("SELECT CAST(parse_json('{}') AS INT)", "!INVALID_VARIANT_CAST"),
        ("SELECT CAST(parse_json('5') AS DATE)", "!INVALID_VARIANT_CAST"),
        ("SELECT CAST(parse_json('5') AS ARRAY<INT>)", "!INVALID_VARIANT_CAST"),
        ("SELECT CAST(parse_json('{}') AS MAP<INT, INT>)", "!DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION"),
        ("SELECT CAST(parse_json('null') AS INT), CAST(parse_json('null') AS STRING), CAST(CAST(NULL AS VARIANT) AS INT)",
         "NULL|NULL|NULL"),
        (r#"SELECT CAST(parse_json('[1, "2", null]') AS ARRAY<INT>), CAST(parse_json('[[1.5]]') AS ARRAY<ARRAY<STRING>>)"#,
         "[1, 2, NULL]|[[1.5]]"),
        (r#"SELECT CAST(parse_json('{"a": 1, "b": {"c": "x"}, "d": 7}') AS STRUCT<b: STRUCT<c: STRING>, a: BIGINT, e: INT>)"#,
         "{b: {c: x}, a: 1, e: NULL}"),
        (r#"SELECT CAST(parse_json('{"a": 1, "b": "2"}') AS MAP<STRING, INT>)"#, "{a: 1, b: 2}"),
        (r#"SELECT to_json(CAST(parse_json('[1, {"a": 2}]') AS ARRAY<VARIANT>)[1])"#, r#"{"a":2}"#),
        (r#"SELECT try_cast(parse_json('"x"') AS INT), try_cast(parse_json('[1, "x"]') AS ARRAY<INT>), try_cast(parse_json('5') AS DATE)"#,
         "NULL|[1, NULL]|NULL"),
        (r#"SELECT v:a::INT, v:b::STRING, v:c.d::DATE FROM (SELECT parse_json('{"a": 1, "b": [true], "c": {"d": "2024-01-01"}}') AS v)"#,
         "1|[true]|2024-01-01"),
        (r#"SELECT concat_ws(';', collect_list(CAST(parse_json(j) AS STRING))) FROM VALUES ('1'), ('"a"'), (NULL), ('[2]'), ('1.50'), ('3') AS t(j)"#,
         "1;a;[2];1.5;3"),
        ("SELECT sum(CAST(parse_json(j) AS INT)) FROM VALUES ('1'), ('\"2\"'), ('3.9'), ('null') AS t(j)", "6"),
        ("SELECT CAST(array(1::VARIANT, '2'::VARIANT) AS ARRAY<INT>)", "[1, 2]"),
        ("SELECT CAST(TIMESTAMP'2024-01-01 12:00:00'::VARIANT AS TIMESTAMP), CAST(DATE'2024-01-01'::VARIANT AS TIMESTAMP_NTZ)",
         "2024-01-01T12:00:00Z|2024-01-01T00:00:00"),
        ("SELECT CAST(X'4142'::VARIANT AS STRING), CAST(1.5F::VARIANT AS STRING), CAST(1e20D::VARIANT AS STRING)", "AB|1.5|1.0E20"),
    ])
    .await;
}

#[tokio::test]
async fn variants_are_not_of_all_types() {
    check(&[
        (
            r#"SELECT variant_get(parse_json('1'), '$', 'map<int,int>')"#,
            "!DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION",
        ),
        (
            "SELECT CAST(INTERVAL '1' DAY AS VARIANT)",
            "!DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION",
        ),
        (
            "SELECT parse_json('5')::INTERVAL DAY",
            "!DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION",
        ),
    ])
    .await;
}
