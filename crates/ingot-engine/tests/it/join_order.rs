//! Joins in the order that costs least give what they give in the order that is written.

use ingot_engine::Session;
use test_case::test_case;

use crate::sql::{open, rows, run};
use crate::support::{Random, seed};

/// Tables `t0`, `t1`, … and their rows.
const ROWS: [usize; 5] = [1, 6, 40, 150, 400];
const QUERIES: usize = 150;

#[tokio::test]
async fn random_joins_give_the_same_rows_in_any_order() {
    let seed = seed();
    let mut random = Random(seed);
    let (_directory, _engine, session) = open().await;
    for (table, count) in ROWS.iter().enumerate() {
        create(&session, table, *count).await;
    }
    let mut changed = 0;
    for _ in 0..QUERIES {
        let query = query(&mut random);
        let mut found = Vec::new();
        for reorder in ["true", "false"] {
            let setting = format!("SET spark.sql.cbo.joinReorder.enabled = {reorder}");
            run(&session, &[&setting]).await;
            let plan = rows(&session, &format!("EXPLAIN {query}")).await;
            found.push((rows(&session, &query).await, plan));
        }
        assert_eq!(found[0].0, found[1].0, "INGOT_TEST_SEED={seed}; {query}");
        changed += usize::from(found[0].1 != found[1].1);
    }
    assert!(changed > QUERIES / 10, "INGOT_TEST_SEED={seed}; {changed}");
}

/// Makes a table: `k` and `j` are numbers that many rows share, or null; `v` is each row's own.
async fn create(session: &Session, table: usize, count: usize) {
    let statement = format!(
        "CREATE TABLE t{table} AS SELECT CASE WHEN id % 11 = 3 THEN NULL ELSE id * 7 % 97 END AS k, \
         CASE WHEN id % 13 = 5 THEN NULL ELSE id * 3 % 41 END AS j, CAST(id AS INT) AS v, \
         concat('s', id % 5) AS s FROM range({count})"
    );
    run(session, &[&statement]).await;
}

fn query(random: &mut Random) -> String {
    let count = 3 + random.below(4);
    let mut from = format!("t{} r0", random.below(ROWS.len()));
    // Those whose columns can be named.
    let mut shown = vec![0];
    for relation in 1..count {
        let other = shown[random.below(shown.len())];
        let kind = random.of(&[
            "JOIN",
            "JOIN",
            "JOIN",
            "JOIN",
            "JOIN",
            "LEFT JOIN",
            "LEFT SEMI JOIN",
            "LEFT ANTI JOIN",
        ]);
        let table = random.below(ROWS.len());
        let mut on = format!(
            "r{relation}.{} = r{other}.{}",
            random.of(&["k", "j"]),
            random.of(&["k", "j"])
        );
        if random.below(3) == 0 {
            let other = shown[random.below(shown.len())];
            let condition = [
                format!(" AND r{relation}.v + 3 > r{other}.v"),
                format!(" AND r{relation}.s = r{other}.s"),
                format!(" AND r{relation}.v + r{other}.v = r{relation}.k"),
                format!(" AND r{relation}.j = r{other}.k"),
                format!(" AND r{relation}.k = r{other}.k"),
                format!(" AND r{relation}.j = r{other}.j"),
            ];
            on += &condition[random.below(condition.len())];
        }
        from += &format!(" {kind} t{table} r{relation} ON {on}");
        if kind.ends_with(" JOIN") && !kind.contains("SEMI") && !kind.contains("ANTI") || kind == "JOIN" {
            shown.push(relation);
        }
    }
    let conditions = (0..random.below(3)).map(|_| {
        let relation = shown[random.below(shown.len())];
        let other = shown[random.below(shown.len())];
        let value = random.below(60);
        let conditions = [
            format!("r{relation}.v < {value}"),
            format!("r{relation}.k = {value}"),
            format!("r{relation}.s IN ('s1', 's3')"),
            format!("r{relation}.v BETWEEN 5 AND {value}"),
            format!("(r{relation}.v > r{other}.v OR r{other}.k = {value})"),
            format!("r{relation}.k NOT IN (SELECT v FROM t2 WHERE v > {value})"),
            format!("EXISTS (SELECT 1 FROM t3 x WHERE x.k = r{relation}.j AND x.v <> r{other}.v)"),
            format!("r{relation}.v > (SELECT avg(x.v) - 30 FROM t3 x WHERE x.k = r{relation}.k)"),
        ];
        conditions[random.below(conditions.len())].clone()
    });
    let conditions: Vec<String> = conditions.collect();
    let filter = match conditions.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", conditions.join(" AND ")),
    };
    let columns: Vec<String> = shown
        .iter()
        .map(|relation| format!("r{relation}.v, r{relation}.k"))
        .collect();
    format!(
        "SELECT count(*), sum(xxhash64({}) % 1000003) FROM {from}{filter}",
        columns.join(", ")
    )
}

/// Two columns of one table are equal to one of another.
#[test_case("SELECT p.id, g.n FROM p JOIN (SELECT k, count(*) AS n FROM f GROUP BY k) g ON p.id = g.k AND p.id = g.n \
             WHERE p.x = 20", &["20|20"]; "of groups that are reduced")]
#[test_case("SELECT count(*) FROM facts JOIN large ON facts.a = large.a AND facts.c = large.a \
             JOIN small ON facts.b = small.b WHERE y = 3", &["100"]; "of joins in another order")]
#[test_case("SELECT count(*) FROM facts JOIN large ON facts.a = large.a JOIN small ON facts.b = small.b \
             AND small.y = large.x AND large.a = small.b WHERE y = 3", &["100"]; "around a circle")]
#[tokio::test]
async fn every_equality_holds(query: &str, expected: &[&str]) {
    let (_directory, _engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE p AS SELECT id, id % 400 AS x FROM range(1000)",
            "CREATE TABLE f AS SELECT id % 1000 AS k, id AS v FROM range(20000)",
            "CREATE TABLE facts AS SELECT id, id % 1000 AS a, id % 10 AS c, id % 500 AS b FROM range(100000)",
            "CREATE TABLE large AS SELECT id AS a, id % 7 AS x FROM range(1000)",
            "CREATE TABLE small AS SELECT id AS b, id AS y FROM range(500)",
        ],
    )
    .await;
    let found = rows(&session, query).await;
    run(&session, &["SET spark.sql.cbo.joinReorder.enabled = false"]).await;
    assert_eq!(rows(&session, query).await, found);
    assert_eq!(found, expected);
}

/// Groups are made of the keys alone that another table leaves.
#[test_case("SELECT p.id, g.n FROM p JOIN (SELECT k, count(*) AS n FROM f GROUP BY k HAVING count(*) > 1) g ON p.id = g.k \
             WHERE p.x = 3"; "a join with groups")]
#[test_case("SELECT sum(f.v) FROM f, p WHERE p.id = f.k AND p.x = 3 \
             AND f.v < (SELECT 1.5 * avg(v) FROM f g WHERE g.k = p.id)"; "a correlated aggregate")]
#[test_case("SELECT p.id FROM p WHERE p.x = 3 AND p.id IN (SELECT k FROM f GROUP BY k, j HAVING count(*) > 3)"; "semi")]
#[test_case("SELECT p.id FROM p WHERE p.x = 250 \
             AND NOT EXISTS (SELECT 1 FROM (SELECT k + 0 AS k, max(v) AS v FROM f GROUP BY k) g WHERE g.k = p.id)"; "anti")]
#[test_case("SELECT p.id, g.k, g.n FROM p JOIN (SELECT k, j, count(*) AS n FROM f GROUP BY k, j WITH ROLLUP) g \
             ON p.id = g.k WHERE p.x = 3"; "groups of several sets")]
#[tokio::test]
async fn groups_are_made_of_keys_that_are_left(query: &str) {
    let (_directory, _engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE p AS SELECT id, id % 400 AS x FROM range(1200)",
            "CREATE TABLE f AS SELECT id % 1000 AS k, id % 3 AS j, id AS v FROM range(20000)",
        ],
    )
    .await;
    let ordered = format!("SELECT * FROM ({query}) ORDER BY ALL");
    let found = rows(&session, &ordered).await;
    run(&session, &["SET spark.sql.cbo.joinReorder.enabled = false"]).await;
    assert_eq!(rows(&session, &ordered).await, found);
    assert!(!found.is_empty());
}

#[tokio::test]
async fn what_a_join_throws_away_is_not_grouped() {
    let (_directory, _engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE p AS SELECT id, id % 400 AS x FROM range(1000)",
            "CREATE TABLE f AS SELECT id % 1000 AS k, id AS v FROM range(20000)",
        ],
    )
    .await;
    let query = "SELECT p.id, g.n FROM p JOIN (SELECT k, count(*) AS n FROM f GROUP BY k) g ON p.id = g.k WHERE p.x = 3";
    let plan = rows(&session, &format!("EXPLAIN EXTENDED {query}"))
        .await
        .join("\n");
    assert!(plan.contains("SubqueryAlias: __ingot_keys"), "{plan}");
    // All keys are left, or others when the table is read again.
    for keys in [
        "p",
        "(SELECT * FROM p LIMIT 3)",
        "(SELECT * FROM p WHERE rand() < 0.01 AND x = 3)",
    ] {
        let query = format!(
            "SELECT p.id, g.n FROM {keys} p JOIN (SELECT k, count(*) AS n FROM f GROUP BY k) g ON p.id = g.k"
        );
        let plan = rows(&session, &format!("EXPLAIN EXTENDED {query}"))
            .await
            .join("\n");
        assert!(!plan.contains("__ingot_keys"), "{plan}");
    }
}

/// A star: of the facts `t4`, few rows meet `t1` once it is filtered.
#[tokio::test]
async fn what_leaves_few_rows_is_joined_first() {
    let (_directory, _engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE facts AS SELECT id, id % 1000 AS a, id % 500 AS b FROM range(100000)",
            "CREATE TABLE large AS SELECT id AS a, id % 7 AS x FROM range(1000)",
            "CREATE TABLE small AS SELECT id AS b, id AS y FROM range(500)",
        ],
    )
    .await;
    let query = "SELECT count(*) FROM facts JOIN large ON facts.a = large.a JOIN small ON facts.b = small.b WHERE y = 3";
    let plan = rows(&session, &format!("EXPLAIN {query}")).await.join("\n");
    let deepest = &plan[plan.rfind("HashJoinExec").expect("joins")..];
    assert!(deepest.contains("on=[(b@"), "{plan}");
    assert_eq!(rows(&session, query).await, ["200"]);
}
