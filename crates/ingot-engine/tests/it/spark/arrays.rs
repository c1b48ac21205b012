//! Arrays, with the results of Spark's documentation.

use super::check;

#[tokio::test]
async fn items_are_found_by_their_places() {
    check(&[
        ("SELECT array(1, 2, 3)[0]", "1"),
        ("SELECT array(1, 2, 3)[5]", "!INVALID_ARRAY_INDEX"),
        ("SELECT array(1, 2, 3)[-1]", "!INVALID_ARRAY_INDEX"),
        ("SELECT CAST(NULL AS ARRAY<INT>)[0]", "NULL"),
        ("SELECT array(1)[CAST(NULL AS INT)]", "NULL"),
        (
            "SELECT get(array(1, 2, 3), 0), get(array(1), 3), get(array(1), -1)",
            "1|NULL|NULL",
        ),
        (
            "SELECT element_at(array(1, 2, 3), 2), element_at(array(1, 2, 3), -3)",
            "2|1",
        ),
        ("SELECT element_at(array(1), 0)", "!INVALID_INDEX_OF_ZERO"),
        (
            "SELECT element_at(array(1), 2)",
            "!INVALID_ARRAY_INDEX_IN_ELEMENT_AT",
        ),
        (
            "SELECT try_element_at(array(1, 2, 3), 5), try_element_at(array(1), -2)",
            "NULL|NULL",
        ),
        ("SELECT try_element_at(array(1), 0)", "!INVALID_INDEX_OF_ZERO"),
        ("SELECT array(array(1, 2), array(3))[1][0]", "3"),
        ("SELECT array(struct(1 AS a, 'x' AS b))[0].b", "x"),
        ("SELECT s.B FROM (SELECT struct(1 AS a, 'x' AS b) AS s)", "x"),
        (
            "SELECT l.a FROM (SELECT array(struct(1 AS a), NULL, struct(2 AS a)) AS l)",
            "[1, NULL, 2]",
        ),
        ("SELECT struct(1 AS a).b", "!FIELD_NOT_FOUND"),
        ("SELECT 1[0]", "!INVALID_EXTRACT_BASE_FIELD_TYPE"),
    ])
    .await;
}

#[tokio::test]
async fn arrays_are_made_of_a_common_type() {
    check(&[
        ("SELECT array(1, 2.5)", "[1.0, 2.5]"),
        ("SELECT array(1, '2')", "[1, 2]"),
        ("SELECT array(1, 'a')", "!CAST_INVALID_INPUT"),
        ("SELECT array(1, true)", "!DATATYPE_MISMATCH.DATA_DIFF_TYPES"),
        ("SELECT array(), size(array())", "[]|0"),
        (
            "SELECT array(NULL, 1), array(array(1), array(2L))",
            "[NULL, 1]|[[1], [2]]",
        ),
        (
            "SELECT array_repeat('123', 2), array_repeat(1, 0), array_repeat(1, -1)",
            "[123, 123]|[]|[]",
        ),
    ])
    .await;
}

#[tokio::test]
async fn arrays_are_changed() {
    check(&[
        (
            "SELECT array_append(array('b', 'd'), 'd'), array_append(array(1), NULL)",
            "[b, d, d]|[1, NULL]",
        ),
        ("SELECT array_append(NULL, 1)", "NULL"),
        ("SELECT array_prepend(array('b', 'd'), 'd')", "[d, b, d]"),
        ("SELECT array_insert(array(1, 2, 3, 4), 5, 5)", "[1, 2, 3, 4, 5]"),
        ("SELECT array_insert(array(5, 4, 3, 2), -1, 1)", "[5, 4, 3, 2, 1]"),
        ("SELECT array_insert(array(5, 3, 2, 1), -4, 4)", "[5, 4, 3, 2, 1]"),
        (
            "SELECT array_insert(array(1), 4, 9), array_insert(array(1), -4, 9)",
            "[1, NULL, NULL, 9]|[9, NULL, NULL, 1]",
        ),
        ("SELECT array_insert(array(1), 0, 9)", "!INVALID_INDEX_OF_ZERO"),
        ("SELECT array_remove(array(1, 2, 3, NULL, 3), 3)", "[1, 2, NULL]"),
        ("SELECT array_compact(array(1, 2, 3, NULL))", "[1, 2, 3]"),
        (
            "SELECT array_distinct(array(1, 2, 3, NULL, 3, NULL))",
            "[1, 2, 3, NULL]",
        ),
        (
            "SELECT array_distinct(array(0.0D, -0.0D, CAST('NaN' AS DOUBLE), CAST('NaN' AS DOUBLE)))",
            "[0.0, NaN]",
        ),
        (
            "SELECT array_union(array(1, 2, 3), array(1, 3, 5))",
            "[1, 2, 3, 5]",
        ),
        (
            "SELECT array_intersect(array(1, 2, NULL), array(NULL, 1))",
            "[1, NULL]",
        ),
        ("SELECT array_except(array(1, 2, 2, 3), array(1, 3, 5))", "[2]"),
        (
            "SELECT slice(array(1, 2, 3, 4), 2, 2), slice(array(1, 2, 3, 4), -2, 2)",
            "[2, 3]|[3, 4]",
        ),
        ("SELECT slice(array(1), 3, 1), slice(array(1, 2), -3, 2)", "[]|[]"),
        ("SELECT slice(array(1), 0, 1)", "!INVALID_PARAMETER_VALUE.START"),
        ("SELECT slice(array(1), 1, -1)", "!INVALID_PARAMETER_VALUE.LENGTH"),
        (
            "SELECT flatten(array(array(1, 2), array(3, 4))), flatten(array(array(1), NULL))",
            "[1, 2, 3, 4]|NULL",
        ),
        (
            "SELECT reverse(array(2, 1, 4, 3)), reverse('Spark SQL')",
            "[3, 4, 1, 2]|LQS krapS",
        ),
        (
            "SELECT concat(array(1, 2, 3), array(4, 5), array(6))",
            "[1, 2, 3, 4, 5, 6]",
        ),
        (
            "SELECT concat('Spark', 'SQL'), concat('a', NULL), concat(), concat(1, 2)",
            "SparkSQL|NULL||12",
        ),
        ("SELECT concat(array(1), NULL)", "NULL"),
    ])
    .await;
}

#[tokio::test]
async fn arrays_are_asked() {
    check(&[
        (
            "SELECT array_contains(array(1, 2, 3), 2), array_contains(array(1, NULL), 2)",
            "true|NULL",
        ),
        (
            "SELECT array_contains(array(1, 2), NULL)",
            "!DATATYPE_MISMATCH.NULL_TYPE",
        ),
        (
            "SELECT array_contains(1, 2)",
            "!DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
        ),
        (
            "SELECT array_position(array(312, 773, 708, 708), 708), array_position(array(312), 1)",
            "3|0",
        ),
        (
            "SELECT array_max(array(1, 20, NULL, 3)), array_min(array(1, 20, NULL, 3))",
            "20|1",
        ),
        (
            "SELECT array_max(array(1.0D, CAST('NaN' AS DOUBLE))), array_max(CAST(array() AS ARRAY<INT>))",
            "NaN|NULL",
        ),
        (
            "SELECT arrays_overlap(array(1, 2, 3), array(3, 4, 5)), arrays_overlap(array(1), array())",
            "true|false",
        ),
        (
            "SELECT size(array('b', 'd')), size(map('a', 1)), size(NULL), cardinality(array(1))",
            "2|1|NULL|1",
        ),
        ("SELECT array_size(array(1, 2)), array_size(NULL)", "2|NULL"),
        (
            "SELECT array_join(array('hello', NULL, 'world'), ' ', ','), array_join(array(1, 2), '-')",
            "hello , world|1-2",
        ),
        (
            "SELECT sort_array(array('b', 'd', NULL, 'c', 'a'), true)",
            "[NULL, a, b, c, d]",
        ),
        ("SELECT sort_array(array(3, NULL, 1), false)", "[3, 1, NULL]"),
        (
            "SELECT arrays_zip(array(1, 2, 3), array(2, 3))",
            "[{0: 1, 1: 2}, {0: 2, 1: 3}, {0: 3, 1: NULL}]",
        ),
        (
            "SELECT arrays_zip(x, y) FROM (SELECT array(1) AS x, array('a') AS y)",
            "[{x: 1, y: a}]",
        ),
        (
            "SELECT array(1, 2) = array(1, 2), array(1, 2) < array(1, 3), array(1) < array(1, 0)",
            "true|true|true",
        ),
        (
            "SELECT struct(1, 2) < struct(1, 3), struct(1, 2) = struct(1L, 2L)",
            "true|true",
        ),
    ])
    .await;
}

#[tokio::test]
async fn columns_are_taken_as_literals_are() {
    check(&[
        (
            "SELECT sum(a[0]), max(array_size(a)) FROM VALUES (array(1, 2)), (array(3)), (NULL) AS t(a)",
            "4|2",
        ),
        (
            "SELECT count(*) FROM VALUES (array(1, 2), 2), (array(3), 1), (NULL, 1) AS t(a, x) \
             WHERE array_contains(a, x)",
            "1",
        ),
    ])
    .await;
}

#[tokio::test]
async fn items_change_places() {
    check(&[
        (
            "SELECT shuffle(slice(split('2024', ''), NULL, 3)), shuffle(NULL), shuffle(array())",
            "NULL|NULL|[]",
        ),
        (
            "SELECT array_sort(shuffle(array(3, 1, 2))), shuffle(array('a'), 7L)",
            "[1, 2, 3]|[a]",
        ),
        (
            "SELECT shuffle(array(1, 2, 3, 4, 5), 1) = shuffle(array(1, 2, 3, 4, 5), 1)",
            "true",
        ),
        ("SELECT shuffle(1)", "!DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE"),
    ])
    .await;
}
