//! Names of columns that the query gives none.

use crate::sql::{names, open};

#[tokio::test]
async fn calls_are_named_as_in_spark() {
    let (_directory, _, session) = open().await;
    for (call, name) in [
        ("sqrt(4)", "SQRT(4)"),
        ("ceil(-0.1)", "CEIL(-0.1)"),
        ("ceiling(-0.1)", "ceiling(-0.1)"),
        ("round(2.5, 0)", "round(2.5, 0)"),
        ("mod(2, 1.8)", "(2 % 1.8)"),
        ("try_add(1, 2)", "try_add(1, 2)"),
        ("positive(1)", "(+ 1)"),
        ("isnull(1)", "(1 IS NULL)"),
        ("nvl2(NULL, 2, 1)", "nvl2(NULL, 2, 1)"),
        ("coalesce(NULL, 1)", "coalesce(NULL, 1)"),
        ("int('1')", "1"),
        ("substr('Spark', 2)", "substr(Spark, 2, 2147483647)"),
        ("position('a', 'b')", "position(a, b, 1)"),
        ("regexp_replace('a', 'b', 'c')", "regexp_replace(a, b, c, 1)"),
        ("current_database()", "current_schema()"),
        ("rand(1)", "rand(1)"),
        ("pi()", "PI()"),
        ("decode(1, 1, 'a')", "decode(1, 1, a)"),
    ] {
        assert_eq!(names(&session, &format!("SELECT {call}")).await, [name], "{call}");
    }
}
