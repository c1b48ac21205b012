//! SQL scripts.

use std::time::Duration;

use ingot_common::{Principal, RequestContext};

use super::{names, open, rows, run, steps};

#[tokio::test]
async fn control_flows() {
    let (_directory, _, session) = open().await;
    steps(
        &session,
        &[
            ("BEGIN SELECT 1; SELECT 2; END", "2"),
            ("BEGIN SELECT 1; SELECT 2; END;", "2"),
            ("BEGIN END", ""),
            ("BEGIN DECLARE x INT DEFAULT 3; SET x = x * 2; SELECT x; END", "6"),
            ("BEGIN DECLARE x, y INT = 3; SET VAR x = y + 1, y = 7; SELECT x, y; END", "4|7"),
            ("BEGIN DECLARE x DEFAULT 'a'; SET (x) = (SELECT 'b'); VALUES (x); END", "b"),
            (
                "BEGIN DECLARE x INT DEFAULT 2; IF x = 1 THEN SELECT 'one'; ELSEIF x = 2 THEN SELECT 'two'; ELSE SELECT \
                 'many'; END IF; END",
                "two",
            ),
            ("BEGIN IF CAST(NULL AS BOOLEAN) THEN SELECT 1; ELSE SELECT 2; END IF; END", "2"),
            ("BEGIN IF 1 THEN SELECT 1; END IF; END", "!INVALID_BOOLEAN_STATEMENT"),
            (
                "BEGIN DECLARE x INT DEFAULT 2; CASE x WHEN 1 THEN SELECT 'one'; WHEN 1 + 1 THEN SELECT 'two'; END CASE; \
                 END",
                "two",
            ),
            (
                "BEGIN CASE WHEN 1 > 2 THEN SELECT 1; ELSE SELECT CASE WHEN true THEN 5 END; END CASE; END",
                "5",
            ),
            (
                "BEGIN DECLARE s, i INT DEFAULT 0; WHILE i < 5 DO SET i = i + 1; SET s = s + i; END WHILE; SELECT s; END",
                "15",
            ),
            (
                "BEGIN DECLARE i INT DEFAULT 0; REPEAT SET i = i + 1; UNTIL i >= 3 END REPEAT; SELECT i; END",
                "3",
            ),
            (
                "BEGIN DECLARE i, odd INT DEFAULT 0; lbl: LOOP SET i = i + 1; IF i > 6 THEN LEAVE lbl; END IF; IF i % 2 = \
                 0 THEN ITERATE lbl; END IF; SET odd = odd + i; END LOOP lbl; SELECT odd; END",
                "9",
            ),
            (
                "BEGIN DECLARE s INT DEFAULT 0; FOR row AS SELECT id AS a, id * 10 AS b FROM range(3) DO SET s = s + row.a \
                 + b; END FOR; SELECT s; END",
                "33",
            ),
            (
                "BEGIN DECLARE s STRING DEFAULT ''; l: FOR SELECT explode(array('a', 'b', 'c')) AS c DO IF c = 'c' THEN \
                 LEAVE l; END IF; SET s = s || c; END FOR l; SELECT s; END",
                "ab",
            ),
            ("BEGIN outer: BEGIN LEAVE outer; SELECT 1; END outer; SELECT 2; END", "2"),
            (
                "BEGIN DECLARE x INT DEFAULT 1; l: BEGIN DECLARE x INT DEFAULT 2; SET l.x = 5; SELECT x, l.x; END; END",
                "5|5",
            ),
            (
                "BEGIN DECLARE x INT DEFAULT 1; BEGIN DECLARE x INT DEFAULT 2; END; SELECT x; END",
                "1",
            ),
            // A handler sees what is around its block, not what is in the one that failed.
            (
                "BEGIN DECLARE x INT DEFAULT 1; DECLARE CONTINUE HANDLER FOR SQLEXCEPTION SET x = 99; \
                 BEGIN DECLARE x INT DEFAULT 2; SELECT 1 / 0; END; SELECT x; END",
                "99",
            ),
            ("BEGIN lbl: LOOP SELECT 1; LEAVE nothing; END LOOP; END", "!INVALID_LABEL_USAGE.DOES_NOT_EXIST"),
            ("BEGIN l: BEGIN ITERATE l; END; END", "!INVALID_LABEL_USAGE.ITERATE_IN_COMPOUND"),
            ("BEGIN l: BEGIN SELECT 1; END m; END", "!LABELS_MISMATCH"),
            ("BEGIN BEGIN SELECT 1; END m; END", "!END_LABEL_WITHOUT_BEGIN_LABEL"),
            ("BEGIN l: BEGIN l: BEGIN SELECT 1; END; END; END", "!LABEL_ALREADY_EXISTS"),
            ("BEGIN SELECT 1; DECLARE x INT; END", "!INVALID_VARIABLE_DECLARATION.ONLY_AT_BEGINNING"),
            ("BEGIN DECLARE OR REPLACE x INT; END", "!INVALID_VARIABLE_DECLARATION.REPLACE_LOCAL_VARIABLE"),
            ("BEGIN DECLARE a.x INT; END", "!INVALID_VARIABLE_DECLARATION.QUALIFIED_LOCAL_VARIABLE"),
            ("BEGIN DECLARE x INT; DECLARE x INT; END", "!VARIABLE_ALREADY_EXISTS"),
            ("BEGIN SET nothing = 1; END", "!UNRESOLVED_VARIABLE"),
            ("BEGIN SELECT x; END", "!UNRESOLVED_COLUMN.WITH_SUGGESTION"),
            ("BEGIN SELECT 1; SELEC 2; END", "!PARSE_SYNTAX_ERROR"),
            ("BEGIN SELECT 1", "!PARSE_SYNTAX_ERROR"),
            ("BEGIN SELECT 1 END", "!PARSE_SYNTAX_ERROR"),
            ("EXECUTE IMMEDIATE 'BEGIN SELECT 1; END'", "!SQL_SCRIPT_IN_EXECUTE_IMMEDIATE"),
        ],
    )
    .await;
    assert_eq!(
        names(&session, "BEGIN SELECT 1 AS a, 2 AS b; END").await,
        ["a", "b"]
    );
}

#[tokio::test]
async fn a_script_changes_tables_and_variables_of_the_session() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "DECLARE total INT DEFAULT 0",
            "BEGIN DECLARE i INT DEFAULT 0; CREATE TABLE t (a INT, b STRING); WHILE i < 3 DO INSERT INTO t VALUES (i, \
             'row ' || i); SET i = i + 1; END WHILE; UPDATE t SET a = a * 10 WHERE a > 0; SET total = (SELECT sum(a) FROM \
             t); END",
        ],
    )
    .await;
    steps(
        &session,
        &[
            ("SELECT total", "30"),
            ("SELECT * FROM t ORDER BY a", "0|row 0; 10|row 1; 20|row 2"),
            ("BEGIN INSERT INTO t VALUES (99, 'x'); END", ""),
            ("BEGIN SELECT count(*) FROM t; DELETE FROM t WHERE a = 99; END", "4"),
            // What failed is not undone before it.
            ("BEGIN INSERT INTO t VALUES (1, 'kept'); SELECT 1 / 0; INSERT INTO t VALUES (2, 'never'); END", "!DIVIDE_BY_ZERO"),
            ("SELECT count(*) FROM t", "4"),
            ("BEGIN SET spark.sql.ansi.enabled = true; SELECT 1; END", "1"),
            (
                "BEGIN DECLARE q STRING DEFAULT 'SELECT max(a) FROM t WHERE a < ?'; EXECUTE IMMEDIATE q USING 15; END",
                "10",
            ),
            ("BEGIN DECLARE x INT; EXECUTE IMMEDIATE 'SELECT 5' INTO x; SELECT x + 1; END", "6"),
            ("BEGIN FOR r AS SELECT a FROM t DO DELETE FROM t WHERE a = r.a; END FOR; SELECT count(*) FROM t; END", "0"),
        ],
    )
    .await;
}

#[tokio::test]
async fn handlers_see_to_conditions() {
    let (_directory, _, session) = open().await;
    steps(
        &session,
        &[
            (
                "BEGIN DECLARE EXIT HANDLER FOR DIVIDE_BY_ZERO SELECT 'caught'; SELECT 1 / 0; SELECT 'not reached'; END",
                "caught",
            ),
            (
                "BEGIN DECLARE EXIT HANDLER FOR SQLSTATE '22012' BEGIN SELECT 'caught'; END; SELECT 1 / 0; END",
                "caught",
            ),
            ("BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION SELECT 'any'; SELECT * FROM nowhere; END", "any"),
            (
                "BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION SELECT 'any'; DECLARE EXIT HANDLER FOR DIVIDE_BY_ZERO SELECT \
                 'zero'; SELECT 1 / 0; END",
                "zero",
            ),
            (
                "BEGIN DECLARE EXIT HANDLER FOR UNRESOLVED_COLUMN SELECT 'class'; SELECT nothing; END",
                "class",
            ),
            ("BEGIN DECLARE EXIT HANDLER FOR DIVIDE_BY_ZERO SELECT 1; SELECT * FROM nowhere; END", "!TABLE_OR_VIEW_NOT_FOUND"),
            (
                "BEGIN DECLARE n INT DEFAULT 0; BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION SET n = 1; SELECT 1 / 0; SET n \
                 = 5; END; SET n = n + 10; SELECT n; END",
                "11",
            ),
            (
                "BEGIN DECLARE n INT DEFAULT 0; DECLARE CONTINUE HANDLER FOR SQLEXCEPTION SET n = n + 1; SELECT 1 / 0; \
                 SELECT nothing; SELECT n; END",
                "2",
            ),
            // What fails in a handler is for the blocks around.
            (
                "BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION SELECT 'outer'; BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION \
                 SELECT 1 / 0; SELECT nothing; END; END",
                "outer",
            ),
            (
                "BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN DECLARE c, m, s STRING; GET DIAGNOSTICS CONDITION 1 c = \
                 CONDITION_IDENTIFIER, s = RETURNED_SQLSTATE, m = MESSAGE_TEXT; SELECT c, s, length(m) > 5; END; SELECT 1 \
                 / 0; END",
                "DIVIDE_BY_ZERO|22012|true",
            ),
            ("BEGIN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'; END", "!USER_RAISED_EXCEPTION"),
            (
                "BEGIN DECLARE bad CONDITION FOR SQLSTATE '12345'; DECLARE EXIT HANDLER FOR bad BEGIN DECLARE m STRING; GET \
                 DIAGNOSTICS CONDITION 1 m = MESSAGE_TEXT; SELECT m; END; SIGNAL bad SET MESSAGE_TEXT = 'it ' || 'is'; END",
                "it is",
            ),
            (
                "BEGIN DECLARE EXIT HANDLER FOR SQLSTATE '12345' SELECT 'state'; SIGNAL SQLSTATE VALUE '12345'; END",
                "state",
            ),
            (
                "BEGIN DECLARE m MAP<STRING, STRING> DEFAULT map('errorMessage', 'why'); DECLARE EXIT HANDLER FOR \
                 USER_RAISED_EXCEPTION BEGIN DECLARE t STRING; GET DIAGNOSTICS CONDITION 1 t = MESSAGE_TEXT; SELECT t; END; \
                 SIGNAL USER_RAISED_EXCEPTION SET MESSAGE_ARGUMENTS = m; END",
                "why",
            ),
            ("BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION RESIGNAL; SELECT 1 / 0; END", "!DIVIDE_BY_ZERO"),
            ("BEGIN RESIGNAL; END", "!GET_DIAGNOSTICS_OUTSIDE_HANDLER"),
            ("BEGIN DECLARE EXIT HANDLER FOR NOT FOUND SELECT 'none'; SIGNAL SQLSTATE '02000'; END", "none"),
            ("BEGIN DECLARE EXIT HANDLER FOR SQLSTATE '00000' SELECT 1; END", "!INVALID_SQLSTATE"),
            (
                "BEGIN DECLARE EXIT HANDLER FOR DIVIDE_BY_ZERO SELECT 1; DECLARE x INT; END",
                "!INVALID_HANDLER_DECLARATION.WRONG_PLACE_OF_DECLARATION",
            ),
            (
                "BEGIN DECLARE i INT DEFAULT 0; WHILE i < 3 DO SET i = i + 1; BEGIN DECLARE EXIT HANDLER FOR DIVIDE_BY_ZERO \
                 SELECT 'zero'; SELECT 10 / (2 - i); END; END WHILE; SELECT i; END",
                "3",
            ),
        ],
    )
    .await;
    // Nothing of the scripts is left.
    steps(&session, &[("SELECT n", "!UNRESOLVED_COLUMN.WITH_SUGGESTION")]).await;
}

#[tokio::test]
async fn an_endless_script_is_cancelled() {
    let (_directory, engine, session) = open().await;
    run(&session, &["CREATE TABLE t (a INT)"]).await;
    let context = RequestContext::new(Principal::new("someone"));
    let endless = engine.session(&context).expect("session");
    let stop = context.cancellation.clone();
    let script = "BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION SELECT 1; LOOP BEGIN END; END LOOP; END";
    let (outcome, ()) = tokio::join!(endless.execute(script), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stop.cancel();
    });
    assert!(matches!(outcome, Err(ingot_engine::Error::Cancelled)));
    assert_eq!(rows(&session, "SELECT count(*) FROM t").await, ["0"]);
}

#[tokio::test]
async fn deep_scripts_run_and_deeper_ones_are_refused() {
    let (_directory, _, session) = open().await;
    let nested = |depth: usize| {
        format!(
            "BEGIN {} SELECT 'deep'; {} END",
            "BEGIN ".repeat(depth),
            "END; ".repeat(depth)
        )
    };
    assert_eq!(rows(&session, &nested(60)).await, ["deep"]);
    steps(&session, &[(nested(5000).as_str(), "!PARSE_SYNTAX_ERROR")]).await;
}

#[tokio::test]
async fn a_script_that_cannot_be_read_does_nothing() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &["CREATE TABLE t (a INT)", "CREATE TEMPORARY VIEW v AS SELECT 7"],
    )
    .await;
    const WRONG: &str = "!PARSE_SYNTAX_ERROR";
    steps(
        &session,
        &[
            ("BEGIN INSERT INTO t VALUES (1); SELEC 1; END", WRONG),
            ("BEGIN INSERT INTO t VALUES (1); IF false THEN SELECT FROM WHERE; END IF; END", WRONG),
            ("BEGIN INSERT INTO t VALUES (1); l: LOOP CREATE TABEL x (a INT); LEAVE l; END LOOP; END", WRONG),
            ("BEGIN INSERT INTO t VALUES (1); FOR r AS SELECT 1 DO DROP TABEL t; END FOR; END", WRONG),
            (
                "BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION SELECT 'caught'; INSERT INTO t VALUES (1); UPDATE t SET; END",
                WRONG,
            ),
            (
                "BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION DROP TABEL t; INSERT INTO t VALUES (1); END",
                WRONG,
            ),
            ("BEGIN DECLARE x INT; INSERT INTO t VALUES (1); SET x 1; END", WRONG),
            ("BEGIN DECLARE x INT; INSERT INTO t VALUES (1); SET VAR x; END", WRONG),
            ("BEGIN DROP VIEW v; SELEC 1; END", WRONG),
            ("SELECT * FROM v", "7"),
            ("BEGIN SET spark.sql.session.timeZone = 'Asia/Tokyo'; SELEC 1; END", WRONG),
            ("BEGIN SET TIME ZONE 'Asia/Tokyo'; SELEC 1; END", WRONG),
            ("SELECT current_timezone()", "UTC"),
            ("SELECT count(*) FROM t", "0"),
            // What a statement means can depend on those before it.
            (
                "BEGIN CREATE SCHEMA s; USE s; CREATE TABLE t2 (a INT); INSERT INTO t2 VALUES (1); SELECT count(*) FROM \
                 s.t2; END",
                "1",
            ),
            ("BEGIN DROP TABLE v; END", "!WRONG_COMMAND_FOR_OBJECT_TYPE"),
            ("BEGIN DROP VIEW v; CREATE TABLE v (a INT); DROP TABLE v; SELECT 'dropped'; END", "dropped"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_declaration_is_read_to_its_end() {
    let (_directory, _, session) = open().await;
    steps(
        &session,
        &[
            (
                "BEGIN DECLARE x INT whatever; SELECT x; END",
                "!PARSE_SYNTAX_ERROR",
            ),
            (
                "BEGIN DECLARE x INT DEFAULT 1 whatever; SELECT x; END",
                "!PARSE_SYNTAX_ERROR",
            ),
            ("BEGIN DECLARE x; SELECT x; END", "!PARSE_SYNTAX_ERROR"),
            (
                "BEGIN DECLARE x ARRAY<INT> = array(1, 2); SELECT x; END",
                "[1, 2]",
            ),
            ("BEGIN DECLARE x DECIMAL(10, 2) DEFAULT 1; SELECT x; END", "1.00"),
            (
                "BEGIN DECLARE x MAP<STRING, STRUCT<a: INT>>; SELECT x; END",
                "NULL",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_text_that_runs_gives_rows_where_it_is_a_query() {
    let (_directory, _, session) = open().await;
    run(&session, &["CREATE TABLE t (a INT)"]).await;
    steps(
        &session,
        &[
            (
                "BEGIN SELECT 5; EXECUTE IMMEDIATE 'SELECT 1 AS num_affected_rows'; END",
                "1",
            ),
            (
                "BEGIN SELECT 5; EXECUTE IMMEDIATE 'INSERT INTO t VALUES (1)'; END",
                "5",
            ),
            ("BEGIN SELECT 5; EXECUTE IMMEDIATE 'OPTIMIZE t'; END", "5"),
            (
                "BEGIN SELECT 5; EXECUTE IMMEDIATE 'SHOW TABLES'; END",
                "default|t|false",
            ),
            ("BEGIN SELECT 5; EXECUTE IMMEDIATE 'USE main.default'; END", "5"),
            (
                "BEGIN SET TAG ON TABLE t k = v; SELECT tag_value FROM information_schema.table_tags; END",
                "v",
            ),
        ],
    )
    .await;
}
