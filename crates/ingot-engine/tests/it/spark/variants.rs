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
