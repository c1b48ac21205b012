//! Functions that take functions, with the results of Spark's documentation.

use super::check;

#[tokio::test]
async fn lambdas_of_arrays() {
    check(&[
        ("SELECT transform(array(1, 2, 3), x -> x + 1)", "[2, 3, 4]"),
        ("SELECT transform(array(1, 2, 3), (x, i) -> x + i)", "[1, 3, 5]"),
        ("SELECT transform(CAST(NULL AS ARRAY<INT>), x -> x)", "NULL"),
        ("SELECT transform(CAST(array() AS ARRAY<INT>), x -> x / 0)", "[]"),
        (
            "SELECT transform(array(array(1, 2), array(3)), l -> transform(l, x -> x * size(l)))",
            "[[2, 4], [3]]",
        ),
        (
            "SELECT transform(array(struct(1 AS a, 'x' AS b)), s -> s.b)",
            "[x]",
        ),
        ("SELECT transform(array(1), x -> array(x)[0])", "[1]"),
        ("SELECT filter(array(1, 2, 3), x -> x % 2 == 1)", "[1, 3]"),
        ("SELECT filter(array(0, 2, 3), (x, i) -> x > i)", "[2, 3]"),
        (
            "SELECT filter(array(0, NULL, 2, 3, NULL), x -> x IS NOT NULL)",
            "[0, 2, 3]",
        ),
        (
            "SELECT filter(array(1), x -> x)",
            "!DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
        ),
        ("SELECT exists(array(1, 2, 3), x -> x % 2 == 0)", "true"),
        ("SELECT exists(array(1, NULL, 3), x -> x % 2 == 0)", "NULL"),
        (
            "SELECT exists(array(0, NULL, 2, 3, NULL), x -> x IS NULL)",
            "true",
        ),
        ("SELECT forall(array(1, 2, 3), x -> x % 2 == 0)", "false"),
        ("SELECT forall(array(1, NULL, 3), x -> x % 2 == 0)", "false"),
        ("SELECT forall(array(2, NULL, 8), x -> x % 2 == 0)", "NULL"),
        (
            "SELECT zip_with(array(1, 2, 3), array('a', 'b', 'c'), (x, y) -> struct(y, x))",
            "[{y: a, x: 1}, {y: b, x: 2}, {y: c, x: 3}]",
        ),
        (
            "SELECT zip_with(array('a', 'b'), array('d'), (x, y) -> concat(x, y))",
            "[ad, NULL]",
        ),
        ("SELECT aggregate(array(1, 2, 3), 0, (acc, x) -> acc + x)", "6"),
        (
            "SELECT reduce(array(1, 2, 3), 0, (acc, x) -> acc + x, acc -> acc * 10)",
            "60",
        ),
        (
            "SELECT aggregate(CAST(array() AS ARRAY<INT>), 7, (acc, x) -> acc + x)",
            "7",
        ),
        (
            "SELECT aggregate(CAST(NULL AS ARRAY<INT>), 7, (acc, x) -> acc + x)",
            "NULL",
        ),
        (
            "SELECT aggregate(array(1L), 0, (acc, x) -> acc + x)",
            "!DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
        ),
        (
            "SELECT array_sort(array(5, 6, 1), (left, right) -> CASE WHEN left < right THEN -1 \
          WHEN left > right THEN 1 ELSE 0 END)",
            "[1, 5, 6]",
        ),
        (
            "SELECT array_sort(array('bc', 'ab', 'dc'), (left, right) -> CASE WHEN left < right THEN 1 \
          WHEN left > right THEN -1 ELSE 0 END)",
            "[dc, bc, ab]",
        ),
        (
            "SELECT array_sort(array('b', 'd', NULL, 'c', 'a'))",
            "[a, b, c, d, NULL]",
        ),
        (
            "SELECT array_sort(array(1, 2), (x, y) -> CAST(NULL AS INT))",
            "!COMPARATOR_RETURNS_NULL",
        ),
        (
            "SELECT transform(array(1), (x, i, z) -> x)",
            "!INVALID_LAMBDA_FUNCTION_CALL.NUM_ARGS_MISMATCH",
        ),
    ])
    .await;
}

#[tokio::test]
async fn lambdas_of_maps() {
    check(&[
        (
            "SELECT map_filter(map(1, 0, 2, 2, 3, -1), (k, v) -> k > v)",
            "{1: 0, 3: -1}",
        ),
        (
            "SELECT transform_keys(map(1, 1, 2, 2), (k, v) -> k + 1)",
            "{2: 1, 3: 2}",
        ),
        (
            "SELECT transform_keys(map(1, 1, 2, 2), (k, v) -> 0)",
            "!DUPLICATED_MAP_KEY",
        ),
        (
            "SELECT transform_values(map(1, 1, 2, 2), (k, v) -> k + v)",
            "{1: 2, 2: 4}",
        ),
        (
            "SELECT map_zip_with(map(1, 'a', 2, 'b'), map(1, 'x', 3, 'y'), (k, v1, v2) -> concat(v1, v2))",
            "{1: ax, 2: NULL, 3: NULL}",
        ),
    ])
    .await;
}

#[tokio::test]
async fn lambdas_see_the_columns_around_them() {
    check(&[
        (
            "SELECT collect_list(r) FROM (SELECT transform(a, x -> x + k) AS r \
             FROM VALUES (array(1, 2), 10), (array(), 20), (NULL, 30), (array(3), 40) AS t(a, k))",
            "[[11, 12], [], [43]]",
        ),
        (
            "SELECT collect_list(r) FROM (SELECT aggregate(a, k, (s, x) -> s + x * k, s -> s + k) AS r \
             FROM VALUES (array(1, 2), 10), (NULL, 30), (array(3), 40) AS t(a, k))",
            "[50, 200]",
        ),
        (
            "SELECT transform(array(1, 2), x -> filter(array(1, 2, 3), y -> y > x + k)) \
             FROM VALUES (0) AS t(k)",
            "[[2, 3], [3]]",
        ),
    ])
    .await;
}
