//! Maps, with the results of Spark's documentation.

use super::check;

#[tokio::test]
async fn maps_are_made() {
    check(&[
        ("SELECT map(1.0, '2', 3.0, '4')", "{1.0: 2, 3.0: 4}"),
        ("SELECT map('a', 1, 'a', 2)", "!DUPLICATED_MAP_KEY"),
        ("SELECT map(NULL, 1)", "!NULL_MAP_KEY"),
        ("SELECT map('a')", "!WRONG_NUM_ARGS.WITHOUT_SUGGESTION"),
        ("SELECT map()", "{}"),
        (
            "SELECT map_from_arrays(array(1.0, 3.0), array('2', '4'))",
            "{1.0: 2, 3.0: 4}",
        ),
        (
            "SELECT map_from_arrays(array(1, NULL), array(2, 3))",
            "!NULL_MAP_KEY",
        ),
        (
            "SELECT map_from_entries(array(struct(1, 'a'), struct(2, 'b')))",
            "{1: a, 2: b}",
        ),
        ("SELECT map_from_entries(array(struct(1, 'a'), NULL))", "NULL"),
        (
            "SELECT map_concat(map(1, 'a', 2, 'b'), map(3, 'c'))",
            "{1: a, 2: b, 3: c}",
        ),
        (
            "SELECT map_concat(map(1, 'a'), map(1, 'b'))",
            "!DUPLICATED_MAP_KEY",
        ),
        ("SELECT map_concat(map(1, 'a'), NULL)", "NULL"),
        ("SELECT str_to_map('a:1,b:2,c:3', ',', ':')", "{a: 1, b: 2, c: 3}"),
        (
            "SELECT str_to_map('a'), str_to_map('a=1;b', ';', '=')",
            "{a: NULL}|{a: 1, b: NULL}",
        ),
        ("SELECT str_to_map('a1b2', '[0-9]')", "{a: NULL, b: NULL, : NULL}"),
    ])
    .await;
}

#[tokio::test]
async fn maps_are_asked() {
    check(&[
        (
            "SELECT map('a', 1)['a'], map('a', 1)['b'], map(1, 'x')[1]",
            "1|NULL|x",
        ),
        ("SELECT m.a, m['a'] FROM (SELECT map('a', 1) AS m)", "1|1"),
        (
            "SELECT element_at(map(1, 'a', 2, 'b'), 2), try_element_at(map(1, 'a'), 3)",
            "b|NULL",
        ),
        (
            "SELECT map_keys(map(1, 'a', 2, 'b')), map_values(map(1, 'a', 2, 'b'))",
            "[1, 2]|[a, b]",
        ),
        (
            "SELECT map_entries(map(1, 'a', 2, 'b'))",
            "[{key: 1, value: a}, {key: 2, value: b}]",
        ),
        (
            "SELECT map_contains_key(map(1, 'a', 2, 'b'), 1), map_contains_key(map(1, 'a'), 3)",
            "true|false",
        ),
        ("SELECT map_keys(CAST(NULL AS MAP<INT, INT>))", "NULL"),
    ])
    .await;
}
