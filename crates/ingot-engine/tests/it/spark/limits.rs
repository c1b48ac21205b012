//! What random statements found: errors that had no condition, and statements that grew without bound.

use super::check;

#[tokio::test]
async fn what_cannot_be_has_a_condition() {
    check(&[
        (
            "SELECT format_number(1e300, DATE '2024-01-01')",
            "!DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
        ),
        ("SELECT length(format_number(1.5D, 2147483647))", "342"),
        (
            "SELECT length(format_number(1.5D, concat('0.', repeat('0', 70000))))",
            "342",
        ),
        (
            "SELECT * FROM (VALUES (-0.0D), (1.0)) AS t(a) ORDER BY a",
            "-0.0; 1.0",
        ),
        (
            "SELECT - TIMESTAMP '2024-01-01 00:00:00'",
            "!DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
        ),
        (
            "SELECT X'00' BETWEEN 1 AND 2",
            "!DATATYPE_MISMATCH.DATA_DIFF_TYPES",
        ),
        (
            "SELECT DATE '2024-01-01' NOT BETWEEN array(1) AND NULL",
            "!DATATYPE_MISMATCH.DATA_DIFF_TYPES",
        ),
        ("SELECT X'00' IN (1, 2)", "!DATATYPE_MISMATCH.DATA_DIFF_TYPES"),
        (
            "SELECT shiftrightunsigned(true, X'00')",
            "!DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
        ),
        (
            "SELECT min(m) FROM (VALUES (map('a', 1)), (map('b', 2))) AS t(m)",
            "!DATATYPE_MISMATCH.INVALID_ORDERING_TYPE",
        ),
        ("SELECT * FROM ``", "!INVALID_SCHEMA_OR_RELATION_NAME"),
        ("CREATE TABLE a (b INT, B INT)", "!DELTA_DUPLICATE_COLUMNS_FOUND"),
        (
            "CREATE TABLE a (b INT) PARTITIONED BY (c)",
            "!COLUMN_NOT_DEFINED_IN_TABLE",
        ),
        (
            "CREATE TABLE a (b INT) TBLPROPERTIES ('delta.nope' = '1')",
            "!DELTA_UNKNOWN_CONFIGURATION",
        ),
        (
            "CREATE TABLE a (b INT) TBLPROPERTIES ('delta.appendOnly' = '1')",
            "!DELTA_VIOLATE_TABLE_PROPERTY_VALIDATION_FAILED",
        ),
        (
            "CREATE TABLE a (b INT) TBLPROPERTIES ('delta.feature.nope' = 'supported')",
            "!DELTA_UNSUPPORTED_FEATURES_IN_CONFIG",
        ),
    ])
    .await;
}

#[tokio::test]
async fn windows_take_keys_of_any_type_that_has_an_order() {
    let rows = "(SELECT * FROM VALUES (1, X'01'), (2, X'02'), (3, X'02') AS t(i, b))";
    check(&[
        (&format!("SELECT sum(i) OVER (ORDER BY b) FROM {rows}"), "1; 6; 6"),
        (
            &format!("SELECT sum(i) OVER (ORDER BY b RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) FROM {rows}"),
            "6; 5; 5",
        ),
        (
            &format!("SELECT sum(i) OVER (ORDER BY b RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) FROM {rows}"),
            "!DATATYPE_MISMATCH.RANGE_FRAME_INVALID_TYPE",
        ),
        (
            &format!("SELECT row_number() OVER (PARTITION BY struct(1, array(1)) ORDER BY i) FROM {rows}"),
            "1; 2; 3",
        ),
        (
            &format!("SELECT rank() OVER (PARTITION BY (SELECT 1) ORDER BY (SELECT max(i) FROM {rows})) FROM {rows}"),
            "1; 1; 1",
        ),
        (
            &format!(
                "SELECT row_number() OVER (ORDER BY 0.5BD RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) FROM {rows}"
            ),
            "!NUMERIC_VALUE_OUT_OF_RANGE.WITHOUT_SUGGESTION",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_statement_too_complex_to_read_is_refused() {
    let too_complex = "!FAILED_TO_PARSE_TOO_COMPLEX";
    let nested = |levels: usize, before: &str, inner: &str, after: &str| {
        format!("SELECT {}{inner}{}", before.repeat(levels), after.repeat(levels))
    };
    check(&[
        (&nested(40, "(", "1", ")"), "1"),
        (&nested(4_000, "(", "1", ")"), too_complex),
        // Each of these is read in two ways where the first does not do.
        (&nested(200, "CAST(", "1", " AS INT)"), too_complex),
        (&nested(40, "CAST(", "1 1", " AS INT)"), "!PARSE_SYNTAX_ERROR"),
        (&nested(100, "CAST(NULL AS ARRAY<", "INT", ">)"), too_complex),
        (
            &format!(
                "SELECT CAST(NULL AS {}INT{})",
                "ARRAY<".repeat(60),
                ">".repeat(60)
            ),
            "NULL",
        ),
        (
            &format!(
                "SELECT CAST(NULL AS {}INT{})",
                "MAP<INT, ".repeat(100),
                ">".repeat(100)
            ),
            too_complex,
        ),
        (&nested(20, "(SELECT ", "1", ")"), too_complex),
        (&nested(8, "(SELECT ", "1", ")"), "1"),
        (&nested(20, "transform(array(1), x -> ", "1", ")"), too_complex),
        (&nested(4, "transform(array(1), x -> ", "x", ")"), "[[[[1]]]]"),
        (&format!("SELECT 1{}", " + 1".repeat(10_000)), too_complex),
        (&format!("SELECT 1{}", "::INT".repeat(1_000)), too_complex),
        (
            &format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(10_000)),
            too_complex,
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_call_makes_no_more_than_there_is_room_for() {
    let too_large = "!COLLECTION_SIZE_LIMIT_EXCEEDED.FUNCTION";
    let largest = "2147483647";
    let calls = [
        format!("space({largest})"),
        format!("repeat('ab', {largest})"),
        "repeat(repeat('a', 100000), 100000)".to_owned(),
        format!("lpad('a', {largest})"),
        format!("rpad('a', {largest}, 'xyz')"),
        format!("rpad(X'00', {largest}, X'0102')"),
        format!("array_repeat(1, {largest})"),
        "array_repeat(repeat('a', 100000), 100000)".to_owned(),
        "array_repeat(array_repeat(array('ab'), 20000), 20000)".to_owned(),
        format!("sequence(1, {largest} - 100)"),
        format!("array_insert(array(1), {largest} - 100, 2)"),
        "regexp_replace(repeat('a', 100000), 'a', repeat('b', 100000))".to_owned(),
        "replace(repeat('a', 100000), 'a', repeat('b', 100000))".to_owned(),
        "array_join(array_repeat('a', 100000), repeat('b', 100000))".to_owned(),
        "concat_ws(repeat('b', 100000), array_repeat('a', 100000))".to_owned(),
        format!("format_string('%{largest}d', 1)"),
        "format_string(repeat('%1$s', 1000), repeat('a', 1000000))".to_owned(),
        "transform(sequence(1, 100000), x -> repeat('a', 100000))".to_owned(),
        "transform(sequence(1, 100000), x -> array_repeat(1, 100000))".to_owned(),
        "transform(sequence(1, 100000), x -> x || repeat('a', 100000))".to_owned(),
    ];
    let calls: Vec<(String, &str)> = calls
        .iter()
        .map(|call| (format!("SELECT length(string({call}))"), too_large))
        .collect();
    let calls: Vec<(&str, &str)> = calls
        .iter()
        .map(|(call, expected)| (call.as_str(), *expected))
        .collect();
    check(&calls).await;
    check(&[
        ("SELECT sum(length(randstr(1000000))) FROM range(10000)", too_large),
        (
            "SELECT sum(length(format_string('%s-%s', if(id = 7, repeat('a', 100000), 'b'), 'c'))) FROM range(10000)",
            "129999",
        ),
        (
            "SELECT sum(aggregate(sequence(1, 20), 0, (a, x) -> a + length(s))) FROM (SELECT if(id = 7, repeat('a', 100000), 'b') s \
             FROM range(10000))",
            "2199980",
        ),
        ("SELECT max(length(repeat('a', 1000000) || id)) FROM range(10000)", too_large),
        ("SELECT max(size(transform(sequence(1, 100000), x -> length(s || x)))) FROM (SELECT repeat('a', 100000 + id) s FROM range(2))", too_large),
        ("SELECT max(length(repeat('a', 1000000))) FROM range(10000)", "1000000"),
        (
            "SELECT size(transform(sequence(1, 10), x -> repeat('a', 100000))), length(repeat('a', 100000)) FROM range(2)",
            "10|100000; 10|100000",
        ),
        (
            "SELECT repeat('', 2147483647), lpad('a', 2147483647, ''), array_repeat(1, -5), space(-1)",
            "|a|[]|",
        ),
        (
            "SELECT length(repeat('ab', 1000000)), size(sequence(1, 1000000)), length(space(3000000))",
            "2000000|1000000|3000000",
        ),
    ])
    .await;
}
