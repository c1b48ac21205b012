//! Row filters and column masks: what is read of a table that has them, by whom, and how.

use ingot_common::{Classify, Principal, RequestContext};
use ingot_engine::{Engine, Session};
use test_case::test_case;

use super::{open, refused, rows, run, steps, try_rows};

fn session_of(engine: &Engine, principal: &str) -> Session {
    let context = RequestContext::new(Principal::new(principal));
    engine.session(&context).expect("session")
}

/// A table of which each user sees the rows of the regions that a table says, and the administrator's phone numbers
/// alone.
async fn filtered() -> (tempfile::TempDir, Engine, Session, Session) {
    let (directory, engine, admin) = open().await;
    run(
        &admin,
        &[
            "CREATE TABLE regions (who STRING, region STRING)",
            "INSERT INTO regions VALUES ('ann', 'eu'), ('tester', 'us')",
            "CREATE FUNCTION mine(region STRING) RETURNS BOOLEAN \
             RETURN EXISTS (SELECT 1 FROM regions r WHERE r.who = current_user() AND r.region = mine.region)",
            "CREATE FUNCTION hidden(phone STRING, id INT, sign STRING) RETURNS STRING \
             RETURN CASE WHEN current_user() = 'tester' THEN phone ELSE concat(sign, id) END",
            "CREATE TABLE t (id INT, region STRING, phone STRING MASK hidden USING COLUMNS (id, '#')) \
             WITH ROW FILTER mine ON (region)",
            "INSERT INTO t VALUES (1, 'eu', '111'), (2, 'us', '222'), (0, 'us', '000'), (3, NULL, '333')",
            "GRANT USE CATALOG, USE SCHEMA ON CATALOG main TO ann",
            "GRANT SELECT ON t TO ann",
        ],
    )
    .await;
    let ann = session_of(&engine, "ann");
    (directory, engine, admin, ann)
}

#[tokio::test]
async fn each_user_sees_the_rows_and_values_that_the_functions_leave() {
    let (_directory, _, admin, ann) = filtered().await;
    run(
        &admin,
        &[
            "CREATE VIEW v AS SELECT id, phone FROM t",
            "GRANT SELECT ON v TO ann",
        ],
    )
    .await;
    let of_all = [
        ("SELECT * FROM t", "1|eu|#1"),
        ("SELECT phone FROM t WHERE phone = '111'", ""),
        ("SELECT phone FROM t WHERE phone = '#1'", "#1"),
        ("SELECT count(*), max(phone), min(id) FROM t", "1|#1|1"),
        ("SELECT count(*) FROM t WHERE id = 2", "0"),
        ("SELECT a.id FROM t a JOIN t b ON a.region = b.region", "1"),
        ("SELECT id FROM t WHERE region IN (SELECT region FROM t)", "1"),
        ("SELECT id FROM t ORDER BY id DESC LIMIT 1", "1"),
        (
            "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT r.n + t.id FROM r JOIN t ON r.n = t.id) SELECT * FROM r",
            "1; 2",
        ),
        ("SELECT * FROM v", "1|#1"),
        (
            "SELECT phone, count(*) FROM t GROUP BY phone HAVING count(*) > 0",
            "#1|1",
        ),
        ("SELECT count(*) FROM regions", "!INSUFFICIENT_PERMISSIONS"),
        ("SELECT mine('eu')", "!INSUFFICIENT_PERMISSIONS"),
    ];
    steps(&ann, &of_all).await;
    steps(
        &admin,
        &[
            ("SELECT * FROM t ORDER BY id", "0|us|000; 2|us|222"),
            ("SELECT * FROM v ORDER BY id", "0|000; 2|222"),
            ("CREATE TABLE copy AS SELECT * FROM t", "2|2"),
            ("INSERT OVERWRITE t SELECT * FROM t", "2|2"),
            ("SELECT count(*) FROM t", "2"),
        ],
    )
    .await;
    assert!(rows(&ann, "SELECT * FROM t").await.is_empty());
}

#[test_case("SELECT id FROM t WHERE 10 / id > 1"; "a division by zero")]
#[test_case("SELECT 10 / id FROM t"; "a division that is shown")]
#[test_case("SELECT id FROM t WHERE CASE WHEN id = 0 THEN raise_error('seen') ELSE true END"; "an error")]
#[test_case("SELECT id FROM t WHERE CAST(concat('1', region) AS STRING) = raise_error('seen') OR id = 1"; "an error of each row")]
#[test_case("SELECT a.id FROM t a JOIN (SELECT 1 AS id) b ON a.id = b.id AND 10 / a.id > 1"; "a join")]
#[tokio::test]
async fn no_expression_of_a_query_sees_a_row_that_is_hidden(query: &str) {
    let (_directory, _, _, ann) = filtered().await;
    // Row 0, of another region, would be an error.
    match query.contains("OR id = 1") {
        true => {
            let told = try_rows(&ann, query).await;
            let text = told
                .err()
                .map(|error| ingot_common::error::chain(&error))
                .unwrap_or_default();
            assert!(!text.contains("000"), "{text}");
        }
        false => assert_eq!(rows(&ann, query).await.len(), 1),
    }
}

#[tokio::test]
async fn nothing_reads_the_rows_past_the_filter() {
    let (_directory, _, admin, _) = filtered().await;
    let location = "SELECT storage_path FROM information_schema.tables WHERE table_name = 't'";
    let location = rows(&admin, location).await.remove(0);
    let path = location.strip_prefix("file://").expect("a local path").to_owned();
    let by_path = format!("SELECT * FROM delta.`{path}`");
    for statement in [
        "SELECT * FROM t VERSION AS OF 1",
        "SELECT * FROM t@v1",
        "SELECT * FROM table_changes('t', 0)",
        "CREATE TABLE c SHALLOW CLONE t",
        "CREATE OR REPLACE TABLE t SHALLOW CLONE regions",
        "UPDATE t SET region = phone",
        "UPDATE t SET region = upper(t.phone)",
        "UPDATE t SET region = concat(*)",
        "MERGE INTO t USING (SELECT 1 AS id) s ON t.phone = s.id WHEN MATCHED THEN DELETE",
        "MERGE INTO t USING (SELECT 1 AS id) s ON t.id = s.id WHEN MATCHED AND phone > '' THEN DELETE",
        "MERGE INTO t USING (SELECT 1 AS id) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET region = t.phone",
        "INSERT INTO t REPLACE WHERE id = 1 SELECT 1, 'eu', '1'",
        "SHOW PARTITIONS t",
        "CREATE MATERIALIZED VIEW m AS SELECT id FROM t",
        "CREATE MATERIALIZED VIEW m AS SELECT 1 AS id WHERE EXISTS (SELECT * FROM t)",
        "CREATE STREAMING TABLE s AS SELECT id FROM STREAM t",
        "ALTER TABLE t RENAME COLUMN region TO place",
        "ALTER TABLE t DROP COLUMN phone",
        &by_path,
    ] {
        assert_eq!(
            refused(&admin, statement).await,
            "UNSUPPORTED_FEATURE",
            "{statement}"
        );
    }
    run(
        &admin,
        &[
            "INSERT INTO t VALUES (9, 'us', '999')",
            "OPTIMIZE t",
            "DESCRIBE HISTORY t",
        ],
    )
    .await;
    assert_eq!(rows(&admin, "SELECT count(*) FROM t").await, ["3"]);
}

/// What ann's statements make of `(1, eu, 111), (2, us, 222), (0, us, 000), (3, NULL, 333)`, of which she is shown
/// `(1, eu, #1)`.
#[test_case("UPDATE t SET region = 'eu2' WHERE id < 3", "0|us|000 1|eu2|111 2|us|222 3|NULL|333"; "update")]
#[test_case("UPDATE t SET id = id + 10", "0|us|000 2|us|222 3|NULL|333 11|eu|111"; "update of all")]
#[test_case("UPDATE t SET phone = '9' WHERE phone = '#1'", "0|us|000 1|eu|9 2|us|222 3|NULL|333"; "by what is shown")]
#[test_case("UPDATE t SET phone = '9' WHERE phone = '111'", "0|us|000 1|eu|111 2|us|222 3|NULL|333"; "by what is stored")]
#[test_case("UPDATE t SET id = 5 WHERE 1 / id > 0", "0|us|000 2|us|222 3|NULL|333 5|eu|111"; "division by what is hidden")]
#[test_case("DELETE FROM t WHERE id < 3", "0|us|000 2|us|222 3|NULL|333"; "delete")]
#[test_case("DELETE FROM t WHERE phone = '222'", "0|us|000 1|eu|111 2|us|222 3|NULL|333"; "delete of hidden")]
#[test_case("DELETE FROM t", "0|us|000 2|us|222 3|NULL|333"; "delete of all")]
#[test_case(
    "MERGE INTO t USING (VALUES (1, 'eu', 'a'), (2, 'eu', 'b')) s(id, region, phone) ON t.id = s.id
     WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *",
    "0|us|000 1|eu|a 2|eu|b 2|us|222 3|NULL|333"; "merge"
)]
#[test_case(
    "MERGE INTO t USING (SELECT 7 AS id) s ON t.id = s.id
     WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id) WHEN NOT MATCHED BY SOURCE THEN UPDATE SET region = 'gone'",
    "0|us|000 1|gone|111 2|us|222 3|NULL|333 7|NULL|NULL"; "merge by source"
)]
#[test_case(
    "MERGE INTO t USING (SELECT 1 AS id) s ON 1 / t.id = s.id WHEN MATCHED THEN DELETE",
    "0|us|000 2|us|222 3|NULL|333"; "merge by a division"
)]
#[tokio::test]
async fn a_statement_changes_the_rows_that_are_shown(statement: &str, expected: &str) {
    let (_directory, _, admin, ann) = filtered().await;
    run(&admin, &["GRANT MODIFY ON t TO ann"]).await;
    run(&ann, &[statement]).await;
    run(
        &admin,
        &[
            "ALTER TABLE t DROP ROW FILTER",
            "ALTER TABLE t ALTER COLUMN phone DROP MASK",
        ],
    )
    .await;
    let left = rows(&admin, "SELECT * FROM t ORDER BY id, region").await;
    assert_eq!(left.join(" "), expected);
}

#[test_case("UPDATE t SET id = 50 WHERE id = 1"; "update")]
#[test_case("MERGE INTO t USING (SELECT 1 AS id) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET id = 50"; "merge")]
#[tokio::test]
async fn an_error_does_not_tell_what_is_masked(statement: &str) {
    let (_directory, _, admin, ann) = filtered().await;
    run(
        &admin,
        &[
            "ALTER TABLE t ADD CONSTRAINT small CHECK (id < 10 OR phone = '')",
            "GRANT MODIFY ON t TO ann",
        ],
    )
    .await;
    let error = try_rows(&ann, statement).await.expect_err("a broken rule");
    assert_eq!(error.condition(), Some("DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"));
    let told = ingot_common::error::chain(&error);
    assert!(
        told.contains("small") && !told.contains("111") && !told.contains("50"),
        "{told}"
    );
}

#[tokio::test]
async fn filters_and_masks_are_set_and_dropped() {
    let (_directory, _, admin, ann) = filtered().await;
    steps(
        &admin,
        &[
            (
                "SELECT table_name, filter_name, target_columns FROM information_schema.row_filters",
                "t|main.default.mine|region",
            ),
            (
                "SELECT column_name, mask_name, using_columns FROM system.information_schema.column_masks",
                "phone|main.default.hidden|id, '#'",
            ),
            ("ALTER TABLE t DROP ROW FILTER", ""),
            ("SELECT count(*) FROM t", "4"),
            ("ALTER TABLE t ALTER COLUMN phone DROP MASK", ""),
            ("SELECT count(*) FROM information_schema.column_masks", "0"),
            (
                "CREATE FUNCTION small(id INT, most INT) RETURNS BOOLEAN RETURN id < most",
                "",
            ),
            ("ALTER TABLE t SET ROW FILTER main.default.small ON (`id`, 2)", ""),
            ("SELECT id FROM t ORDER BY id", "0; 1"),
            ("CREATE FUNCTION star(text STRING) RETURNS STRING RETURN '*'", ""),
            ("ALTER TABLE t ALTER COLUMN REGION SET MASK star", ""),
            ("SELECT DISTINCT region FROM t", "*"),
            ("DELETE FROM t", "2"),
            (
                "ALTER TABLE t SET ROW FILTER small ON (id)",
                "!WRONG_NUM_ARGS.WITHOUT_SUGGESTION",
            ),
            (
                "ALTER TABLE t SET ROW FILTER missing ON (id)",
                "!ROUTINE_NOT_FOUND",
            ),
            (
                "ALTER TABLE t ALTER COLUMN missing SET MASK star",
                "!UNRESOLVED_COLUMN.WITHOUT_SUGGESTION",
            ),
        ],
    )
    .await;
    assert_eq!(
        refused(&ann, "ALTER TABLE t DROP ROW FILTER").await,
        "INSUFFICIENT_PERMISSIONS"
    );
    assert_eq!(
        refused(&ann, "ALTER TABLE t ALTER COLUMN phone DROP MASK").await,
        "INSUFFICIENT_PERMISSIONS"
    );
}

#[tokio::test]
async fn a_table_whose_function_is_gone_or_another_shows_nothing() {
    let (_directory, _, admin, ann) = filtered().await;
    run(
        &admin,
        &["CREATE OR REPLACE FUNCTION mine(region STRING) RETURNS BOOLEAN RETURN region = 'us'"],
    )
    .await;
    assert_eq!(rows(&ann, "SELECT count(*) FROM t").await, ["2"]);
    run(&admin, &["DROP FUNCTION mine"]).await;
    assert_eq!(refused(&ann, "SELECT count(*) FROM t").await, "ROUTINE_NOT_FOUND");
    run(
        &admin,
        &["CREATE FUNCTION mine(region STRING) RETURNS BOOLEAN RETURN true"],
    )
    .await;
    for session in [&admin, &ann] {
        assert_eq!(
            refused(session, "SELECT count(*) FROM t").await,
            "ROUTINE_NOT_FOUND"
        );
    }
    run(&admin, &["ALTER TABLE t SET ROW FILTER mine ON (region)"]).await;
    assert_eq!(rows(&ann, "SELECT count(*) FROM t").await, ["4"]);
}

#[tokio::test]
async fn a_table_that_is_replaced_keeps_its_filter_and_a_clone_of_a_session_does_not_change_it() {
    let (_directory, _, admin, ann) = filtered().await;
    run(
        &admin,
        &["CREATE OR REPLACE TABLE t AS SELECT 5 AS id, 'us' AS region, '555' AS phone UNION ALL SELECT 6, 'eu', '666'"],
    )
    .await;
    assert_eq!(rows(&ann, "SELECT * FROM t").await, ["6|eu|#6"]);
    run(&admin, &["ALTER TABLE t RENAME TO u"]).await;
    assert_eq!(rows(&ann, "SELECT * FROM u").await, ["6|eu|#6"]);
    // Functions of the session hide none of the catalog's.
    run(
        &ann,
        &["CREATE TEMPORARY FUNCTION mine(region STRING) RETURNS BOOLEAN RETURN true"],
    )
    .await;
    assert_eq!(rows(&ann, "SELECT * FROM u").await, ["6|eu|#6"]);
    run(
        &admin,
        &["CREATE FUNCTION none(id INT) RETURNS BOOLEAN RETURN false"],
    )
    .await;
    run(
        &admin,
        &[
            "CREATE OR REPLACE TABLE u (id INT) WITH ROW FILTER none ON (id)",
            "INSERT INTO u VALUES (1)",
        ],
    )
    .await;
    assert!(rows(&admin, "SELECT * FROM u").await.is_empty());
}

#[tokio::test]
async fn what_a_query_makes_has_filters_of_its_own() {
    let (_directory, _, admin, ann) = filtered().await;
    run(
        &admin,
        &[
            "CREATE TABLE source (id INT, region STRING, phone STRING)",
            "INSERT INTO source VALUES (1, 'eu', '111'), (2, 'us', '222')",
            "CREATE MATERIALIZED VIEW m (id, region, phone MASK hidden USING COLUMNS (id, '#')) \
             WITH ROW FILTER mine ON (region) AS SELECT * FROM source",
            "CREATE STREAMING TABLE s WITH ROW FILTER mine ON (region) AS SELECT * FROM STREAM source",
            "GRANT SELECT ON m TO ann",
            "GRANT SELECT ON s TO ann",
        ],
    )
    .await;
    assert_eq!(rows(&ann, "SELECT * FROM m").await, ["1|eu|#1"]);
    assert_eq!(rows(&ann, "SELECT * FROM s").await, ["1|eu|111"]);
    run(
        &admin,
        &[
            "INSERT INTO source VALUES (3, 'eu', '333')",
            "REFRESH MATERIALIZED VIEW m",
            "CREATE OR REFRESH STREAMING TABLE s WITH ROW FILTER mine ON (phone) AS SELECT * FROM STREAM source",
            "INSERT INTO regions VALUES ('ann', '333')",
        ],
    )
    .await;
    assert_eq!(
        rows(&ann, "SELECT * FROM m ORDER BY id").await,
        ["1|eu|#1", "3|eu|#3"]
    );
    assert_eq!(rows(&ann, "SELECT * FROM s").await, ["3|eu|333"]);
    run(
        &admin,
        &[
            "INSERT INTO source VALUES (4, '333', '333')",
            "REFRESH STREAMING TABLE s",
        ],
    )
    .await;
    assert_eq!(rows(&ann, "SELECT id FROM s ORDER BY id").await, ["3", "4"]);
}

#[tokio::test]
async fn an_answer_of_one_user_is_not_given_to_another() {
    let (_directory, _, admin, ann) = filtered().await;
    for _ in 0..2 {
        assert_eq!(rows(&admin, "SELECT sum(id) FROM t").await, ["2"]);
        assert_eq!(rows(&ann, "SELECT sum(id) FROM t").await, ["1"]);
    }
    run(&admin, &["INSERT INTO regions VALUES ('ann', 'us')"]).await;
    assert_eq!(rows(&ann, "SELECT sum(id) FROM t").await, ["3"]);
}

#[tokio::test]
async fn a_comparison_that_cannot_fail_prunes_files() {
    let (_directory, _, admin, ann) = filtered().await;
    run(&admin, &["INSERT INTO t VALUES (100, 'eu', '1')"]).await;
    assert_eq!(rows(&ann, "SELECT id FROM t WHERE id > 50").await, ["100"]);
    assert_eq!(
        rows(
            &ann,
            "SELECT id FROM t WHERE id IN (1, 100) AND region = 'eu' ORDER BY id"
        )
        .await,
        ["1", "100"]
    );
}
