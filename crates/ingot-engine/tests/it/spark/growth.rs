//! Expressions whose meaning mentions an operand more than once do not grow with each level.

use super::check;

/// Wraps `inner` in `levels` calls.
fn nested(levels: usize, before: &str, inner: &str, after: &str) -> String {
    format!("SELECT {}{inner}{}", before.repeat(levels), after.repeat(levels))
}

#[tokio::test]
async fn nested_conditionals_are_planned_in_time() {
    let simple = "WHEN 1 THEN 1 WHEN 2 THEN 2 WHEN 3 THEN 3 WHEN 4 THEN 4 ELSE 1 END)";
    check(&[
        (&nested(30, "coalesce(", "NULL", ", 1)"), "1"),
        (&nested(30, "nvl(", "NULL", ", 1)"), "1"),
        (&nested(30, "nullif(", "5", ", '3')"), "5"),
        (&nested(30, "decode(", "1", ", 1, 1, NULL, 2, 3)"), "1"),
        (&nested(10, "(CASE ", "2", &format!(" {simple}")), "2"),
        (&nested(30, "(", "true", " BETWEEN false AND true)"), "true"),
    ])
    .await;
}

#[tokio::test]
async fn nested_operands_are_planned_in_time() {
    check(&[
        (
            &nested(20, "(1 + CASE WHEN true THEN ", "0", " ELSE 2 END)"),
            "20",
        ),
        (
            &nested(20, "concat('a', CASE WHEN true THEN ", "'b'", " END)"),
            &format!("{}b", "a".repeat(20)),
        ),
        (
            &nested(12, "(1 + CASE WHEN 0 < ", "1", " THEN 2 ELSE 3 END)"),
            "3",
        ),
        (&nested(20, "(1 + if(true, ", "0", ", 5))"), "20"),
        (&nested(20, "(1 + nullif(", "0", ", 99))"), "20"),
    ])
    .await;
}

/// Statements as programs write them.
#[tokio::test]
async fn long_rows_of_operands_are_planned_in_time() {
    let from = "FROM (SELECT 1 AS i, 'x' AS s)";
    let columns: Vec<String> = (0..1_000).map(|n| format!("i + {n} AS c{n}")).collect();
    let branches: Vec<String> = (2..1_002).map(|n| format!("WHEN i = {n} THEN {n}")).collect();
    let items: Vec<String> = (0..10_000).map(|n| n.to_string()).collect();
    check(&[
        (
            &format!("SELECT i = 1{} {from}", " AND i < 5".repeat(2_000)),
            "true",
        ),
        (
            &format!("SELECT i {from} WHERE i = 2{}", " OR i = 1".repeat(2_000)),
            "1",
        ),
        (
            &format!("SELECT length(s{}) {from}", " || s".repeat(2_000)),
            "2001",
        ),
        (&format!("SELECT i{} {from}", " + 1".repeat(1_000)), "1001"),
        (
            &format!("SELECT CASE {} ELSE 0 END {from}", branches.join(" ")),
            "0",
        ),
        (&format!("SELECT i IN ({}) {from}", items.join(", ")), "true"),
        (
            &format!(
                "SELECT count(*) FROM (SELECT 1{})",
                " UNION ALL SELECT 1".repeat(299)
            ),
            "300",
        ),
        (
            &format!("SELECT c0 + c999 FROM (SELECT {} {from})", columns.join(", ")),
            "1001",
        ),
    ])
    .await;
}

#[tokio::test]
async fn an_alias_of_aliases_is_bounded() {
    let doubled = |steps: usize| {
        let items = (1..=steps).map(|step| format!("c{} + c{} AS c{step}", step - 1, step - 1));
        format!("SELECT 1L AS c0, {}", items.collect::<Vec<_>>().join(", "))
    };
    check(&[
        (&format!("SELECT c5 FROM ({})", doubled(5)), "32"),
        (
            &doubled(40),
            "!UNSUPPORTED_FEATURE.LATERAL_COLUMN_ALIAS_TOO_LARGE",
        ),
    ])
    .await;
}

#[tokio::test]
async fn equal_values_are_null_whatever_their_types() {
    check(&[
        (
            "SELECT nullif('01', 1), nullif('02', 1), typeof(nullif('02', 1))",
            "NULL|02|string",
        ),
        (
            "SELECT nullif(array(1), array(1)), nullif(array(1, NULL), array(1)), nullif(NULL, NULL)",
            "NULL|[1, NULL]|NULL",
        ),
        (
            "SELECT decode(array(1), array(1), 'same', 'other'), decode('a', NULL, 'none', 'a', 'found')",
            "same|found",
        ),
        (
            "SELECT 2 BETWEEN 1.5 AND 2.5, '2' BETWEEN 1 AND 3, 2 NOT BETWEEN 1 AND NULL",
            "true|true|NULL",
        ),
        (
            "SELECT CASE 1 WHEN '1' THEN 'x' END, CASE NULL WHEN NULL THEN 1 ELSE 2 END",
            "x|2",
        ),
    ])
    .await;
}
