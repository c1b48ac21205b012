//! What is written in quotes arrives as it is meant.

use super::{names, open, refused, rows, run};

#[tokio::test]
async fn quotes_and_backslashes_in_literals_are_stored_as_they_are() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (a STRING)",
            r"INSERT INTO t VALUES ('a''''b'), ('it\'s'), ('back\\slash'), ('new\nline')",
            r"CREATE TABLE c AS SELECT 'x''y' AS a, '\\' AS b",
        ],
    )
    .await;
    let stored = rows(&session, "SELECT a FROM t ORDER BY a").await;
    assert_eq!(stored, ["a''b", r"back\slash", "it's", "new\nline"]);
    assert_eq!(rows(&session, "SELECT a, b FROM c").await, [r"x'y|\"]);
}

#[tokio::test]
async fn a_literal_never_becomes_sql() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id INT, a STRING)",
            "INSERT INTO t VALUES (1, 'one'), (2, 'two')",
            r"CREATE VIEW v AS SELECT * FROM t WHERE a = 'x\' OR a <> \'' -- all of it",
            r#"MERGE INTO t USING (SELECT 1 AS id, 'b' AS b) s ON t.id = s.id AND t.a = 'x\' OR \'1\' = \'1'
               WHEN MATCHED AND t.a <> '\' OR \'' THEN DELETE"#,
        ],
    )
    .await;
    assert!(rows(&session, "SELECT * FROM v").await.is_empty());
    assert_eq!(rows(&session, "SELECT count(*) FROM t").await, ["2"]);
    let set = r"MERGE INTO t USING (SELECT 2 AS id) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET a = 'q''\\'
                WHEN NOT MATCHED THEN INSERT (id, a) VALUES (s.id, 'n''')";
    run(&session, &[set]).await;
    assert_eq!(rows(&session, "SELECT a FROM t WHERE id = 2").await, [r"q'\"]);
}

#[tokio::test]
async fn a_view_keeps_the_text_that_was_written() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[r"CREATE VIEW v (`a b`, c) AS SELECT 'it''s', '\\n' /* two */ ; "],
    )
    .await;
    assert_eq!(rows(&session, "SELECT `a b`, c FROM v").await, [r"it's|\n"]);
    let described = rows(&session, "DESCRIBE EXTENDED v").await;
    let text = described
        .iter()
        .find(|line| line.starts_with("View Text"))
        .expect("text");
    assert!(text.contains(r"SELECT 'it''s', '\\n'"), "{text}");
}

#[tokio::test]
async fn an_instant_is_read_as_it_was_written() {
    let (_directory, _, session) = open().await;
    run(&session, &["CREATE TABLE t (a INT)"]).await;
    for text in [r"'2000-01-01\' OR \'1'", "'2000-01-01'"] {
        let condition = refused(&session, &format!("SELECT * FROM t TIMESTAMP AS OF {text}")).await;
        assert_ne!(condition, "PARSE_SYNTAX_ERROR", "{text}");
    }
    let now = "SELECT count(*) FROM t TIMESTAMP AS OF (TIMESTAMP '2999-01-01 00:00:00')";
    assert!(super::try_rows(&session, now).await.is_err() || rows(&session, now).await == ["0"]);
}

#[tokio::test]
async fn a_version_is_asked_for_without_quotes() {
    let (_directory, _, session) = open().await;
    run(&session, &["CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1)"]).await;
    assert_eq!(rows(&session, "SELECT count(*) FROM t@v0").await, ["0"]);
    assert_eq!(
        rows(&session, "SELECT count(*) FROM main.default.t@v1 AS x").await,
        ["1"]
    );
}

#[tokio::test]
async fn aliases_keep_their_case() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (Carrier STRING, delay INT)",
            "INSERT INTO t VALUES ('UA', 3), ('UA', 4), ('B6', 1)",
            "CREATE TABLE sums AS SELECT carrier, sum(delay) AS totalDelay FROM t GROUP BY carrier",
            "CREATE VIEW v AS WITH x AS (SELECT carrier AS airlineName FROM t) SELECT * FROM x",
        ],
    )
    .await;
    let query = "SELECT CARRIER, sum(delay) AS totalDelay FROM t GROUP BY carrier \
                 HAVING totaldelay > 1 ORDER BY TOTALDELAY DESC";
    assert_eq!(rows(&session, query).await, ["UA|7"]);
    assert_eq!(names(&session, query).await, ["Carrier", "totalDelay"]);
    assert_eq!(
        names(&session, "SELECT * FROM sums").await,
        ["Carrier", "totalDelay"]
    );
    assert_eq!(names(&session, "SELECT * FROM v").await, ["airlineName"]);
    let spelled = "SELECT DELAY AS Delay FROM (SELECT delay FROM t) LIMIT 1";
    assert_eq!(names(&session, spelled).await, ["Delay"]);
    assert_eq!(
        rows(&session, "SELECT TotalDelay FROM sums WHERE carrier = 'UA'").await,
        ["7"]
    );
}

#[tokio::test]
async fn columns_that_differ_by_case_between_tables_are_told_apart() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE l (Id INT, Name STRING)",
            "CREATE TABLE r (ID INT, name STRING)",
            "CREATE TABLE s (Id INT, x INT)",
            "INSERT INTO l VALUES (1, 'left')",
            "INSERT INTO r VALUES (1, 'right')",
            "INSERT INTO s VALUES (1, 9)",
        ],
    )
    .await;
    let joined = "SELECT l.name, r.NAME FROM l JOIN r ON l.id = r.id";
    assert_eq!(rows(&session, joined).await, ["left|right"]);
    let using = "SELECT x FROM l JOIN s USING (ID)";
    assert_eq!(rows(&session, using).await, ["9"]);
    assert_eq!(names(&session, "SELECT * EXCEPT (ID) FROM s").await, ["x"]);
    // A relation may be called like a column.
    assert_eq!(rows(&session, "SELECT name.id FROM l AS name").await, ["1"]);
}

#[tokio::test]
async fn fields_of_structs_are_found_in_any_case() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id INT, x INT, S STRUCT<Deep: STRUCT<X: INT, y: INT>, Plain: INT>,
                             l ARRAY<STRUCT<Inner: INT>>, m MAP<STRING, STRUCT<Inner: INT>>)",
            "INSERT INTO t SELECT 1, 5, named_struct('Deep', named_struct('X', 10, 'y', 20), 'Plain', 30),
                             array(named_struct('Inner', 40)), map('k', named_struct('Inner', 50))",
        ],
    )
    .await;
    for query in [
        "SELECT s.deep.x, S.DEEP.Y, t.s.plain FROM t",
        "SELECT main.default.t.s.deep.x, `s`.`DEEP`.y, s.Plain FROM t",
        "SELECT q.renamed.DEEP.x, q.renamed.deep.Y, q.renamed.PLAIN FROM (SELECT s AS renamed FROM t) q",
        "WITH c AS (SELECT * FROM t) SELECT s.deep.x, c.s.Deep.y, c.S.plain FROM c WHERE s.deep.x = 10",
        "SELECT max(s.deep.x), s.deep.Y, s.plain FROM t GROUP BY S.Deep.y, s.PLAIN HAVING max(s.DEEP.X) > 1",
    ] {
        assert_eq!(rows(&session, query).await, ["10|20|30"], "{query}");
    }
    let inside = "SELECT l[0].inner, l[0].INNER + m['k'].inner, x FROM t";
    assert_eq!(rows(&session, inside).await, ["40|90|5"]);
    run(
        &session,
        &[
            "UPDATE t SET s.deep.x = s.DEEP.y + t.x WHERE s.deep.X = 10",
            "INSERT INTO t BY NAME REPLACE WHERE s.plain = 31 SELECT * FROM t WHERE false",
            "DELETE FROM t WHERE s.PLAIN = 31",
        ],
    )
    .await;
    assert_eq!(
        rows(&session, "SELECT s.deep.x, s.deep.y FROM t").await,
        ["25|20"]
    );
    assert_eq!(
        refused(&session, "SELECT s.deep.missing FROM t").await,
        "INVALID_SQL"
    );
}
