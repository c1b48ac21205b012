//! Correlated subqueries, in every place and of every shape.

use super::{open, rows, run, steps};

#[tokio::test]
async fn correlated_subqueries_are_answered_for_each_row() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (a INT, b STRING)",
            "INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, NULL), (NULL, 'n')",
            "CREATE TABLE u (k INT, v INT)",
            "INSERT INTO u VALUES (1, 10), (1, 20), (2, 5), (NULL, 7), (2, NULL)",
        ],
    )
    .await;
    steps(
        &session,
        &[
            ("SELECT a, (SELECT max(v) FROM u WHERE u.k = t.a) m FROM t ORDER BY a", "NULL|NULL; 1|20; 2|5; 3|NULL"),
            ("SELECT a, (SELECT count(*) FROM u WHERE u.k = t.a) m FROM t ORDER BY a", "NULL|0; 1|2; 2|2; 3|0"),
            ("SELECT a, (SELECT v FROM u WHERE u.k = t.a + 5) m FROM t ORDER BY a", "NULL|NULL; 1|NULL; 2|NULL; 3|NULL"),
            ("SELECT (SELECT v FROM u)", "!SCALAR_SUBQUERY_TOO_MANY_ROWS"),
            ("SELECT (SELECT v FROM u WHERE v = 10), (SELECT v FROM u WHERE v = 11)", "10|NULL"),
            ("SELECT a FROM t WHERE a = (SELECT k FROM u WHERE v = 5)", "2"),
            ("SELECT (SELECT v FROM u WHERE u.k = t.a) FROM t", "!SCALAR_SUBQUERY_TOO_MANY_ROWS"),
            ("SELECT a, (SELECT max(v) FROM u WHERE u.k <= t.a) m FROM t ORDER BY a", "NULL|NULL; 1|20; 2|20; 3|20"),
            ("SELECT a, (SELECT max(v + t.a) FROM u WHERE u.k = t.a) m FROM t ORDER BY a", "NULL|NULL; 1|21; 2|7; 3|NULL"),
            ("SELECT a, (SELECT t.a + 1) m FROM t ORDER BY a", "NULL|NULL; 1|2; 2|3; 3|4"),
            (
                "SELECT a, (SELECT v FROM u WHERE u.k = t.a ORDER BY v DESC NULLS LAST LIMIT 1) m FROM t ORDER BY a",
                "NULL|NULL; 1|20; 2|5; 3|NULL",
            ),
            (
                "SELECT a, (SELECT k FROM u WHERE u.k = t.a ORDER BY v DESC NULLS LAST LIMIT 1) m, \
                 (SELECT v * 2 FROM u WHERE u.k = t.a ORDER BY k, -v LIMIT 1) d FROM t ORDER BY a",
                "NULL|NULL|NULL; 1|1|40; 2|2|NULL; 3|NULL|NULL",
            ),
            (
                "SELECT a, max((SELECT max(v) FROM u WHERE u.k = t.a)) OVER () m FROM t ORDER BY a",
                "NULL|20; 1|20; 2|20; 3|20",
            ),
            (
                "SELECT a, (SELECT max(v) FROM u WHERE u.k = x.a ORDER BY 1 LIMIT 1) m \
                 FROM (SELECT a, uuid() r FROM t WHERE rand() < 2 ORDER BY a DESC NULLS LAST LIMIT 2) x ORDER BY a",
                "2|5; 3|NULL",
            ),
            (
                "SELECT a, (SELECT max(v) FROM u WHERE u.k <= x.a LIMIT 1) m \
                 FROM (SELECT a FROM t WHERE a IN (SELECT k FROM u WHERE rand() < 2 LIMIT 9)) x ORDER BY a",
                "1|20; 2|20",
            ),
            (
                "SELECT (SELECT max(v) FROM u WHERE u.v > x.r LIMIT 1) m FROM (SELECT rand() r FROM t) x",
                "!UNSUPPORTED_FEATURE",
            ),
            ("SELECT a, (SELECT count(DISTINCT k) FROM u WHERE v > t.a * 5) m FROM t ORDER BY a", "NULL|0; 1|1; 2|1; 3|1"),
            ("SELECT a, EXISTS (SELECT 1 FROM u WHERE u.k = t.a) e FROM t ORDER BY a", "NULL|false; 1|true; 2|true; 3|false"),
            ("SELECT a, NOT EXISTS (SELECT 1 FROM u WHERE u.k = t.a) e FROM t ORDER BY a", "NULL|true; 1|false; 2|false; 3|true"),
            ("SELECT a, EXISTS (SELECT 1 FROM u WHERE u.v > 100) e FROM t ORDER BY a", "NULL|false; 1|false; 2|false; 3|false"),
            ("SELECT a, 5 IN (SELECT v FROM u WHERE u.k = t.a) e FROM t ORDER BY a", "NULL|false; 1|false; 2|true; 3|false"),
            ("SELECT a, 6 IN (SELECT v FROM u WHERE u.k = t.a) e FROM t ORDER BY a", "NULL|false; 1|false; 2|NULL; 3|false"),
            ("SELECT a, 6 NOT IN (SELECT v FROM u WHERE u.k = t.a) e FROM t ORDER BY a", "NULL|true; 1|true; 2|NULL; 3|true"),
            ("SELECT a, a IN (SELECT k FROM u WHERE k IS NOT NULL) e FROM t ORDER BY a", "NULL|NULL; 1|true; 2|true; 3|false"),
            ("SELECT a FROM t WHERE (SELECT v FROM u WHERE u.k = t.a ORDER BY v LIMIT 1) > 9", "1"),
            ("SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.a AND u.v > 10)", "1"),
            ("SELECT a FROM t WHERE a = 3 OR EXISTS (SELECT 1 FROM u WHERE u.k = t.a AND u.v > 10) ORDER BY a", "1; 3"),
            (
                "SELECT a, w FROM t, LATERAL (SELECT v + t.a AS w FROM u WHERE u.k = t.a) ORDER BY a, w",
                "1|11; 1|21; 2|NULL; 2|7",
            ),
            ("SELECT a, s FROM t, LATERAL (SELECT sum(v) AS s FROM u WHERE u.k = t.a) ORDER BY a", "NULL|NULL; 1|30; 2|5; 3|NULL"),
            (
                "SELECT a, v FROM t, LATERAL (SELECT v FROM u WHERE u.k = t.a ORDER BY v NULLS LAST LIMIT 1) ORDER BY a",
                "1|10; 2|5",
            ),
            (
                "SELECT a, x.v FROM t LEFT JOIN LATERAL (SELECT v + t.a AS v FROM u WHERE u.k = t.a AND v > 5) x ON true \
                 ORDER BY a, 2",
                "NULL|NULL; 1|11; 1|21; 2|NULL; 3|NULL",
            ),
            (
                "SELECT a, v FROM t, LATERAL (SELECT v FROM u WHERE u.k = t.a UNION ALL SELECT t.a * 100) ORDER BY a, v",
                "NULL|NULL; 1|10; 1|20; 1|100; 2|NULL; 2|5; 2|200; 3|300",
            ),
            (
                "SELECT a, r FROM t, LATERAL (SELECT v, row_number() OVER (ORDER BY v) AS r FROM u WHERE u.k = t.a) WHERE \
                 v IS NOT NULL ORDER BY a, r",
                "1|1; 1|2; 2|2",
            ),
            (
                "SELECT t.a, x.v FROM t, LATERAL (SELECT DISTINCT q.v FROM u JOIN u AS q ON u.k = q.k AND q.v > t.a WHERE \
                 u.k = t.a) x ORDER BY 1, 2",
                "1|10; 1|20; 2|5",
            ),
            (
                "SELECT sum((SELECT count(*) FROM u WHERE u.k = t.a)) FROM t",
                "4",
            ),
            (
                "SELECT a FROM t ORDER BY (SELECT count(*) FROM u WHERE u.k = t.a) DESC, a NULLS LAST LIMIT 3",
                "1; 2; 3",
            ),
            (
                "SELECT a, (SELECT (SELECT max(v) FROM u WHERE u.k = q.k) FROM u AS q WHERE q.k = t.a LIMIT 1) m FROM t \
                 ORDER BY a",
                "NULL|NULL; 1|20; 2|5; 3|NULL",
            ),
            (
                "SELECT (SELECT max(x.v) FROM u AS x WHERE x.k = u.k) m FROM u ORDER BY 1",
                "NULL; 5; 5; 20; 20",
            ),
            (
                "SELECT k, (SELECT sum(v) FROM u AS u2 WHERE u2.k = u.k GROUP BY u2.k) s FROM u WHERE v > 5 ORDER BY v",
                "NULL|NULL; 1|30; 1|30",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn each_subquery_reads_the_outer_rows_once_more() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t AS SELECT 1 a",
            "CREATE TABLE u AS SELECT 1 k, 2 v",
        ],
    )
    .await;
    for count in [1, 4, 8] {
        let value = "(SELECT v FROM u WHERE u.k = t.a LIMIT 1)";
        let query = format!("EXPLAIN SELECT {} FROM t", vec![value; count].join(", "));
        let plan = rows(&session, &query).await.join("\n");
        let reads = plan.matches("DeltaScanExec").count();
        assert!(
            (count..=3 * count + 1).contains(&reads),
            "{count}: {reads}\n{plan}"
        );
    }
}
