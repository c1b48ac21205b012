//! Privileges: granted by statements, and asked for by all others.

use ingot_common::{Principal, RequestContext};
use ingot_engine::{Engine, Session};
use test_case::test_case;

use super::{names, open, refused, rows, run, steps, try_rows};

const DENIED: &str = "INSUFFICIENT_PERMISSIONS";

fn session_of(engine: &Engine, principal: &str) -> Session {
    let context = RequestContext::new(Principal::new(principal));
    engine.session(&context).expect("session")
}

/// Lets `ann` use `main.default`, in which the administrator has made a table, a view and a function.
async fn shared() -> (tempfile::TempDir, Engine, Session, Session) {
    let (directory, engine, admin) = open().await;
    run(
        &admin,
        &[
            "CREATE TABLE t (id INT, k STRING)",
            "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
            "CREATE VIEW v AS SELECT id FROM t",
            "CREATE FUNCTION f() RETURNS BIGINT RETURN (SELECT count(*) FROM t)",
            "GRANT USE CATALOG ON CATALOG main TO ann",
            "GRANT USE SCHEMA ON SCHEMA default TO ann",
        ],
    )
    .await;
    let ann = session_of(&engine, "ann");
    (directory, engine, admin, ann)
}

#[tokio::test]
async fn grants_are_shown_as_clients_read_them() {
    let (_directory, _, admin, _) = shared().await;
    run(
        &admin,
        &[
            "GRANT SELECT, MODIFY ON TABLE t TO `data team`",
            "GRANT ALL PRIVILEGES ON VIEW v TO ann",
            "GRANT EXECUTE ON FUNCTION f TO ann",
            "REVOKE MODIFY ON t FROM `data team`",
            "REVOKE APPLY TAG ON t FROM nobody",
        ],
    )
    .await;
    assert_eq!(
        names(&admin, "SHOW GRANTS ON t").await,
        ["Principal", "ActionType", "ObjectType", "ObjectKey"]
    );
    steps(
        &admin,
        &[
            (
                "SHOW GRANTS `data team` ON TABLE t",
                "data team|SELECT|TABLE|main.default.t",
            ),
            ("SHOW GRANT ON VIEW v", "ann|ALL PRIVILEGES|TABLE|main.default.v"),
            ("SHOW GRANTS ON FUNCTION f", "ann|EXECUTE|FUNCTION|main.default.f"),
            ("SHOW GRANTS ann ON SCHEMA", "ann|USE SCHEMA|SCHEMA|main.default"),
            ("SHOW GRANTS ON CATALOG", "ann|USE CATALOG|CATALOG|main"),
            ("GRANT SELECT ON SCHEMA default TO bob", ""),
            ("SHOW GRANTS bob ON v", "bob|SELECT|SCHEMA|main.default"),
            ("GRANT SELECT ON missing TO ann", "!TABLE_OR_VIEW_NOT_FOUND"),
            ("GRANT EXECUTE ON t TO ann", "!INVALID_PARAMETER_VALUE"),
            ("GRANT FLY ON t TO ann", "!PARSE_SYNTAX_ERROR"),
            ("GRANT SELECT ON t", "!PARSE_SYNTAX_ERROR"),
            ("GRANT SELECT ON ANY FILE TO ann", "!UNSUPPORTED_FEATURE"),
        ],
    )
    .await;
}

#[tokio::test]
async fn grants_stay_when_a_table_is_replaced_or_renamed_and_go_when_it_is_dropped() {
    let (_directory, _, admin, ann) = shared().await;
    run(
        &admin,
        &[
            "GRANT SELECT ON t TO ann",
            "CREATE OR REPLACE TABLE t AS SELECT 7 AS id",
            "ALTER TABLE t RENAME TO u",
        ],
    )
    .await;
    assert_eq!(rows(&ann, "SELECT * FROM u").await, ["7"]);
    run(&admin, &["DROP TABLE u", "CREATE TABLE u (id INT)"]).await;
    assert_eq!(refused(&ann, "SELECT * FROM u").await, DENIED);
    run(
        &admin,
        &[
            "GRANT SELECT ON v TO ann",
            "CREATE OR REPLACE VIEW v AS SELECT 3 AS id",
        ],
    )
    .await;
    assert_eq!(rows(&ann, "SELECT * FROM v").await, ["3"]);
}

#[test_case("SELECT * FROM t")]
#[test_case("SELECT 1 FROM t LIMIT 0")]
#[test_case("SELECT * FROM v")]
#[test_case("SELECT (SELECT max(id) FROM t)")]
#[test_case("WITH a AS (SELECT * FROM t) SELECT * FROM a")]
#[test_case("SELECT * FROM t VERSION AS OF 0")]
#[test_case("SELECT * FROM table_changes('t', 0)")]
#[test_case("SELECT * FROM (DESCRIBE HISTORY t)")]
#[test_case("SELECT f()")]
#[test_case("EXPLAIN SELECT * FROM t")]
#[test_case("DESCRIBE TABLE t")]
#[test_case("DESCRIBE TABLE EXTENDED t AS JSON")]
#[test_case("DESCRIBE HISTORY t")]
#[test_case("DESCRIBE DETAIL t")]
#[test_case("DESCRIBE FUNCTION f")]
#[test_case("SHOW CREATE TABLE t")]
#[test_case("SHOW COLUMNS IN t")]
#[test_case("SHOW TBLPROPERTIES t")]
#[test_case("CACHE TABLE t")]
#[test_case("CREATE TEMPORARY VIEW w AS SELECT * FROM t")]
#[test_case("CREATE TABLE c AS SELECT 1 AS a")]
#[test_case("CREATE TABLE c LIKE t")]
#[test_case("CREATE TABLE c SHALLOW CLONE t")]
#[test_case("CREATE OR REPLACE TABLE t (a INT)")]
#[test_case("CREATE VIEW w AS SELECT 1 AS a")]
#[test_case("CREATE OR REPLACE VIEW v AS SELECT 1 AS a")]
#[test_case("CREATE FUNCTION g() RETURNS INT RETURN 1")]
#[test_case("CREATE OR REPLACE FUNCTION f() RETURNS BIGINT RETURN 1L")]
#[test_case("CREATE VOLUME w")]
#[test_case("CREATE SCHEMA s")]
#[test_case("CREATE CATALOG c")]
#[test_case("INSERT INTO t VALUES (1, 'a')")]
#[test_case("INSERT OVERWRITE t VALUES (1, 'a')")]
#[test_case("DELETE FROM t")]
#[test_case("UPDATE t SET id = 1")]
#[test_case("MERGE INTO t USING (SELECT 1 AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE")]
#[test_case("TRUNCATE TABLE t")]
#[test_case("OPTIMIZE t")]
#[test_case("VACUUM t")]
#[test_case("RESTORE TABLE t TO VERSION AS OF 0")]
#[test_case("ALTER TABLE t ADD COLUMN b INT")]
#[test_case("ALTER TABLE t RENAME TO w")]
#[test_case("ALTER TABLE t OWNER TO ann")]
#[test_case("ALTER TABLE t SET TAGS ('a' = 'b')")]
#[test_case("ALTER VIEW v AS SELECT 1 AS a")]
#[test_case("ALTER SCHEMA default OWNER TO ann")]
#[test_case("ALTER CATALOG main OWNER TO ann")]
#[test_case("COMMENT ON TABLE t IS 'x'")]
#[test_case("COMMENT ON SCHEMA default IS 'x'")]
#[test_case("DROP TABLE t")]
#[test_case("DROP TABLE IF EXISTS t")]
#[test_case("DROP VIEW v")]
#[test_case("DROP FUNCTION f")]
#[test_case("DROP SCHEMA default CASCADE")]
#[test_case("DROP CATALOG main CASCADE")]
#[test_case("GRANT SELECT ON t TO ann")]
#[test_case("REVOKE SELECT ON t FROM bob")]
#[test_case("SELECT * FROM delta.`/tmp/t`")]
#[test_case("SELECT * FROM read_files('/tmp/t', format => 'json')")]
#[test_case("COPY INTO t FROM '/tmp/t' FILEFORMAT = JSON")]
#[test_case("LIST '/tmp'")]
#[test_case("BEGIN SELECT * FROM t; END")]
#[test_case("EXECUTE IMMEDIATE 'SELECT * FROM t'")]
#[tokio::test]
async fn who_may_use_a_schema_may_do_nothing_else(statement: &str) {
    let (_directory, _, admin, ann) = shared().await;
    assert_eq!(refused(&ann, statement).await, DENIED);
    assert_eq!(rows(&admin, "SELECT count(*) FROM t").await, ["2"]);
}

#[test_case("SELECT", "SELECT * FROM t", "1|a; 2|b")]
#[test_case("SELECT", "SELECT count(*) FROM table_changes('t', 0)", "!INSUFFICIENT_PERMISSIONS"; "changes are not on")]
#[test_case("SELECT", "INSERT INTO t VALUES (3, 'c')", "!INSUFFICIENT_PERMISSIONS"; "reading is not writing")]
#[test_case("MODIFY", "INSERT INTO t VALUES (3, 'c')", "1|1")]
#[test_case("MODIFY", "SELECT * FROM t", "!INSUFFICIENT_PERMISSIONS"; "writing is not reading")]
#[test_case("MODIFY", "DELETE FROM t WHERE id = 1", "!INSUFFICIENT_PERMISSIONS"; "a predicate reads")]
#[test_case("MODIFY", "DELETE FROM t", "2")]
#[test_case("SELECT, MODIFY", "UPDATE t SET k = 'z' WHERE id = 1", "1")]
#[test_case("MODIFY", "ALTER TABLE t ADD COLUMN b INT", "")]
#[test_case("MODIFY", "ALTER TABLE t RENAME TO u", "!INSUFFICIENT_PERMISSIONS"; "writing is not managing")]
#[test_case("MANAGE", "ALTER TABLE t RENAME TO u", "")]
#[test_case("MANAGE", "GRANT SELECT ON t TO ann", "")]
#[test_case("MANAGE", "DROP TABLE t", "")]
#[test_case("APPLY TAG", "ALTER TABLE t SET TAGS ('a' = 'b')", "")]
#[test_case("SELECT", "DESCRIBE t", "id|int|; k|string|")]
#[test_case("MODIFY", "SHOW TABLES", "default|t|false")]
#[test_case("SELECT", "SHOW GRANTS ON t", "ann|SELECT|TABLE|main.default.t")]
#[tokio::test]
async fn a_privilege_allows_what_it_is_of(privileges: &str, statement: &str, expected: &str) {
    let (_directory, _, admin, ann) = shared().await;
    run(&admin, &[&format!("GRANT {privileges} ON t TO ann")]).await;
    if expected == "!INSUFFICIENT_PERMISSIONS" && statement.contains("table_changes") {
        // What is missing then is the feed.
        assert_ne!(refused(&ann, statement).await, DENIED);
        return;
    }
    steps(&ann, &[(statement, expected)]).await;
}

#[tokio::test]
async fn a_view_and_a_function_read_with_the_rights_of_their_owners() {
    let (_directory, engine, admin, ann) = shared().await;
    run(
        &admin,
        &[
            "GRANT SELECT ON v TO ann",
            "GRANT EXECUTE ON FUNCTION f TO ann",
            "GRANT CREATE TABLE, CREATE FUNCTION ON SCHEMA default TO ann",
        ],
    )
    .await;
    steps(
        &ann,
        &[
            ("SELECT * FROM v ORDER BY id", "1; 2"),
            ("SELECT f()", "2"),
            ("SELECT * FROM t", "!INSUFFICIENT_PERMISSIONS"),
            ("CREATE VIEW of_ann AS SELECT id FROM v", ""),
            ("SELECT count(*) FROM of_ann", "2"),
            ("ALTER TABLE of_ann OWNER TO bob", ""),
        ],
    )
    .await;
    // Its owner may not read what it reads.
    let cat = session_of(&engine, "cat");
    run(
        &admin,
        &[
            "GRANT USE CATALOG, USE SCHEMA ON CATALOG main TO `account users`",
            "GRANT SELECT ON of_ann TO cat",
        ],
    )
    .await;
    assert_eq!(refused(&cat, "SELECT * FROM of_ann").await, DENIED);
    run(&admin, &["GRANT SELECT ON v TO bob"]).await;
    assert_eq!(rows(&cat, "SELECT count(*) FROM of_ann").await, ["2"]);
    run(&admin, &["REVOKE SELECT ON v FROM bob"]).await;
    assert_eq!(refused(&cat, "SELECT * FROM of_ann").await, DENIED);
}

#[tokio::test]
async fn what_runs_as_its_owner_is_changed_by_its_owner() {
    let (_directory, _, admin, ann) = shared().await;
    run(
        &admin,
        &[
            "GRANT MANAGE, SELECT ON v TO ann",
            "GRANT MANAGE ON FUNCTION f TO ann",
        ],
    )
    .await;
    run(
        &admin,
        &["GRANT CREATE TABLE, CREATE FUNCTION ON SCHEMA default TO ann"],
    )
    .await;
    steps(
        &ann,
        &[
            (
                "CREATE OR REPLACE VIEW v AS SELECT 1 AS id",
                "!INSUFFICIENT_PERMISSIONS",
            ),
            ("ALTER VIEW v AS SELECT 1 AS id", "!INSUFFICIENT_PERMISSIONS"),
            (
                "CREATE OR REPLACE FUNCTION f() RETURNS BIGINT RETURN 1L",
                "!INSUFFICIENT_PERMISSIONS",
            ),
            ("CREATE VIEW v AS SELECT 1 AS id", "!TABLE_OR_VIEW_ALREADY_EXISTS"),
            ("CREATE VIEW IF NOT EXISTS v AS SELECT 1 AS id", ""),
            ("ALTER VIEW v SET TBLPROPERTIES ('a' = 'b')", ""),
            // Who manages it may take it over; it reads with the new owner's rights then.
            ("ALTER VIEW v OWNER TO ann", ""),
            ("SELECT * FROM v", "!INSUFFICIENT_PERMISSIONS"),
            ("CREATE OR REPLACE VIEW v AS SELECT 5 AS id", ""),
            ("SELECT * FROM v", "5"),
        ],
    )
    .await;
}

#[tokio::test]
async fn who_may_make_something_owns_it() {
    let (_directory, engine, admin, ann) = shared().await;
    run(
        &admin,
        &["GRANT CREATE TABLE, CREATE FUNCTION, CREATE VOLUME ON SCHEMA default TO ann"],
    )
    .await;
    run(&admin, &["GRANT CREATE SCHEMA ON CATALOG main TO ann"]).await;
    steps(
        &ann,
        &[
            ("CREATE TABLE own AS SELECT 1 AS a", "1|1"),
            ("INSERT INTO own VALUES (2)", "1|1"),
            ("SELECT sum(a) FROM own", "3"),
            ("CREATE OR REPLACE TABLE own AS SELECT 2 AS a", "1|1"),
            ("CREATE VIEW over_own AS SELECT * FROM own", ""),
            ("CREATE FUNCTION g(x INT) RETURNS INT RETURN x + 1", ""),
            ("SELECT g(a) FROM over_own", "3"),
            ("CREATE VOLUME w", ""),
            ("LIST '/Volumes/main/default/w'", ""),
            ("CREATE SCHEMA of_ann", ""),
            ("CREATE TABLE of_ann.t AS SELECT 1 AS a", "1|1"),
            ("GRANT SELECT ON own TO bob", ""),
            (
                "CREATE TABLE outside (a INT) LOCATION '/tmp/outside'",
                "!INSUFFICIENT_PERMISSIONS",
            ),
            (
                "CREATE EXTERNAL VOLUME outside LOCATION '/tmp/outside'",
                "!INSUFFICIENT_PERMISSIONS",
            ),
            ("DROP TABLE own", ""),
            ("DROP SCHEMA of_ann CASCADE", ""),
        ],
    )
    .await;
    let bob = session_of(&engine, "bob");
    assert_eq!(refused(&bob, "LIST '/Volumes/main/default/w'").await, DENIED);
    run(
        &admin,
        &[
            "GRANT USE CATALOG, USE SCHEMA ON CATALOG main TO bob",
            "GRANT READ VOLUME ON VOLUME w TO bob",
        ],
    )
    .await;
    assert!(rows(&bob, "LIST '/Volumes/main/default/w'").await.is_empty());
}

#[tokio::test]
async fn the_use_of_a_schema_comes_first_and_hides_what_is_in_it() {
    let (_directory, engine, admin, _) = shared().await;
    run(&admin, &["GRANT SELECT ON t TO bob"]).await;
    let bob = session_of(&engine, "bob");
    for statement in [
        "SELECT * FROM t",
        "SELECT * FROM missing",
        "DROP TABLE missing",
        "DROP TABLE IF EXISTS missing",
    ] {
        let error = try_rows(&bob, statement).await.expect_err(statement);
        let text = ingot_common::error::chain(&error);
        assert!(
            text.contains("User does not have USE CATALOG on Catalog 'main'."),
            "{statement}: {text}"
        );
    }
    run(&admin, &["GRANT USE CATALOG, USE SCHEMA ON CATALOG main TO bob"]).await;
    assert_eq!(rows(&bob, "SELECT count(*) FROM t").await, ["2"]);
    assert_eq!(
        refused(&bob, "SELECT * FROM missing").await,
        "TABLE_OR_VIEW_NOT_FOUND"
    );
    assert!(rows(&bob, "DROP TABLE IF EXISTS missing").await.is_empty());
}

#[tokio::test]
async fn what_one_may_not_know_of_is_not_listed() {
    let (_directory, engine, admin, ann) = shared().await;
    run(
        &admin,
        &[
            "GRANT SELECT ON v TO ann",
            "CREATE SCHEMA hidden",
            "CREATE CATALOG apart",
        ],
    )
    .await;
    steps(
        &ann,
        &[
            ("SHOW CATALOGS", "main"),
            ("SHOW SCHEMAS", "default"),
            ("SHOW TABLES", "default|v|false"),
            ("SHOW VIEWS", "default|v|false|false"),
            ("SHOW USER FUNCTIONS", ""),
            ("SELECT table_name FROM information_schema.tables", "v"),
            ("SELECT schema_name FROM system.information_schema.schemata", "default"),
            ("SELECT count(*) FROM information_schema.columns", "1"),
            ("SELECT count(*) FROM information_schema.routines", "0"),
            (
                "SELECT grantee, table_name, privilege_type, inherited_from FROM information_schema.table_privileges",
                "ann|v|SELECT|NONE",
            ),
        ],
    )
    .await;
    run(&admin, &["GRANT BROWSE ON CATALOG main TO bob"]).await;
    let bob = session_of(&engine, "bob");
    steps(
        &bob,
        &[
            ("SHOW TABLES", "default|t|false; default|v|false"),
            ("DESCRIBE t", "id|int|; k|string|"),
            ("SELECT * FROM t", "!INSUFFICIENT_PERMISSIONS"),
        ],
    )
    .await;
    let nobody = session_of(&engine, "nobody");
    steps(
        &nobody,
        &[
            ("SHOW CATALOGS", ""),
            ("SELECT 1 AS one", "1"),
            ("USE default", "!INSUFFICIENT_PERMISSIONS"),
        ],
    )
    .await;
}

#[tokio::test]
async fn privileges_are_relations_of_the_information_schema() {
    let (_directory, _, admin, _) = shared().await;
    run(
        &admin,
        &[
            "GRANT SELECT ON SCHEMA default TO bob",
            "GRANT EXECUTE ON FUNCTION f TO bob",
        ],
    )
    .await;
    steps(
        &admin,
        &[
            (
                "SELECT grantor, grantee, catalog_name, privilege_type, is_grantable, inherited_from \
                 FROM information_schema.catalog_privileges",
                "tester|ann|main|USE_CATALOG|NO|NONE",
            ),
            (
                "SELECT grantee, schema_name, privilege_type, inherited_from \
                 FROM information_schema.schema_privileges ORDER BY grantee",
                "ann|default|USE_SCHEMA|NONE; bob|default|SELECT|NONE",
            ),
            (
                "SELECT grantee, table_name, privilege_type, inherited_from \
                 FROM system.information_schema.table_privileges ORDER BY table_name",
                "bob|t|SELECT|SCHEMA; bob|v|SELECT|SCHEMA",
            ),
            (
                "SELECT grantee, routine_schema, routine_name, specific_name FROM information_schema.routine_privileges",
                "bob|default|f|f",
            ),
            ("SELECT count(*) FROM information_schema.volume_privileges", "0"),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_answer_that_is_known_is_given_to_who_may_ask() {
    let (_directory, _, admin, ann) = shared().await;
    run(&admin, &["GRANT SELECT ON t TO ann"]).await;
    let question = "SELECT sum(id) FROM t";
    for session in [&admin, &ann, &ann] {
        assert_eq!(rows(session, question).await, ["3"]);
    }
    run(&admin, &["REVOKE SELECT ON t FROM ann"]).await;
    assert_eq!(refused(&ann, question).await, DENIED);
}

#[tokio::test]
async fn temporary_things_read_with_the_rights_of_who_names_or_made_them() {
    let (_directory, engine, admin, ann) = shared().await;
    run(&admin, &["GRANT SELECT ON t TO ann"]).await;
    run(&ann, &["CREATE TEMPORARY VIEW own AS SELECT * FROM t"]).await;
    assert_eq!(rows(&ann, "SELECT count(*) FROM own").await, ["2"]);
    run(&ann, &["CREATE GLOBAL TEMPORARY VIEW shown AS SELECT id FROM t"]).await;
    let bob = session_of(&engine, "bob");
    assert_eq!(rows(&bob, "SELECT count(*) FROM global_temp.shown").await, ["2"]);
    run(&admin, &["REVOKE SELECT ON t FROM ann"]).await;
    assert_eq!(refused(&ann, "SELECT count(*) FROM own").await, DENIED);
    assert_eq!(
        refused(&bob, "SELECT count(*) FROM global_temp.shown").await,
        DENIED
    );
}

#[tokio::test]
async fn users_are_in_the_group_of_all() {
    let (_directory, engine, _, _) = shared().await;
    let ann = session_of(&engine, "ann");
    steps(
        &ann,
        &[
            ("SELECT current_user(), session_user()", "ann|ann"),
            (
                "SELECT is_account_group_member('account users'), is_account_group_member('admins')",
                "true|false",
            ),
            (
                "SELECT is_member(g) FROM VALUES ('account users'), (NULL) AS v(g)",
                "true; NULL",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_foreign_key_tells_nothing_of_a_table_that_is_hidden() {
    let (_directory, _, admin, ann) = shared().await;
    run(
        &admin,
        &[
            "CREATE TABLE hidden (id INT PRIMARY KEY)",
            "GRANT CREATE TABLE ON SCHEMA default TO ann",
        ],
    )
    .await;
    run(&ann, &["CREATE TABLE own (id INT NOT NULL, other STRING)"]).await;
    let statements = [
        "CREATE TABLE child (id STRING REFERENCES hidden)",
        "CREATE OR REPLACE TABLE own (id STRING REFERENCES hidden)",
        "ALTER TABLE own ADD CONSTRAINT fk FOREIGN KEY (other) REFERENCES hidden",
    ];
    for statement in statements {
        assert_eq!(refused(&ann, statement).await, DENIED, "{statement}");
    }
    run(&admin, &["GRANT SELECT ON hidden TO ann"]).await;
    for statement in statements {
        assert_eq!(
            refused(&ann, statement).await,
            "FOREIGN_KEY_MISMATCH",
            "{statement}"
        );
    }
    run(
        &ann,
        &[
            "CREATE TABLE tree (id INT PRIMARY KEY, parent INT REFERENCES tree)",
            "ALTER TABLE own ADD CONSTRAINT fk FOREIGN KEY (id) REFERENCES hidden",
        ],
    )
    .await;
}
