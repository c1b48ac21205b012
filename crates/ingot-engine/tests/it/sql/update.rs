//! UPDATE: which rows change, to what, and what the history says of it.

use ingot_delta::Action;
use test_case::test_case;
use tokio::task::JoinSet;

use super::delete::{WITH_VECTORS, WITHOUT_VECTORS, files, metrics, snapshot, table, ten_rows};
use super::{names, new_session, open, refused, rows, run};

#[test_case("v = 0 WHERE id = 3", &["3|odd|0"]; "one row")]
#[test_case("v = v + id, id = id * 100 WHERE id < 3", &["100|odd|2", "200|even|4"]; "values are those before")]
#[test_case("v = id WHERE v IS NULL", &["5|odd|5", "10|even|10"])]
#[test_case("v = 1 WHERE v > 8", &["9|odd|1"]; "null is not updated")]
#[test_case("p = NULL WHERE id = 1", &["1|NULL|1"])]
#[test_case("v = DEFAULT WHERE id = 1", &["1|odd|NULL"]; "without a default it is null")]
#[test_case("t.v = 7.9, default.t.p = 5, main.default.t.id = 99 WHERE main.default.t.id = 1", &["99|5|7"]; "casts of store assignment")]
#[test_case("v = (SELECT max(x) FROM other) WHERE id = 1", &["1|odd|30"]; "scalar subquery")]
#[test_case("v = (SELECT max(x) FROM other o WHERE o.id = t.id) WHERE id IN (SELECT id FROM other)", &["2|even|20", "4|even|30"]; "correlated subquery")]
#[test_case("v = (SELECT count(*) FROM t) WHERE id = (SELECT max(id) FROM t)", &["10|even|10"]; "subqueries on the table itself")]
#[tokio::test]
async fn rows_change_where_the_predicate_is_true(change: &str, changed: &[&str]) {
    for properties in [WITH_VECTORS, WITHOUT_VECTORS] {
        let (_directory, engine, session) = ten_rows(properties).await;
        run(
            &session,
            &[
                "CREATE TABLE other (id INT, x INT)",
                "INSERT INTO other VALUES (2, 20), (4, 30)",
                "CREATE TABLE before AS SELECT * FROM t",
            ],
        )
        .await;
        let path = files(&engine, "t").await.into_keys().next().expect("a file");
        assert_eq!(
            rows(&session, &format!("UPDATE t SET {change}")).await,
            [changed.len().to_string()]
        );
        let new = "SELECT t.id, t.p, t.v FROM t LEFT ANTI JOIN before b
                   ON t.id <=> b.id AND t.p <=> b.p AND t.v <=> b.v ORDER BY t.id";
        assert_eq!(rows(&session, new).await, changed);
        assert_eq!(rows(&session, "SELECT count(*) FROM t").await, ["10"]);
        let stays = files(&engine, "t").await.contains_key(&path);
        assert_eq!(stays, properties == WITH_VECTORS);
    }
}

#[tokio::test]
async fn all_rows_are_updated_without_a_predicate() {
    let (_directory, engine, session) = ten_rows(WITH_VECTORS).await;
    run(&session, &["DELETE FROM t WHERE id = 1"]).await;
    let statement = "UPDATE t AS a SET v = -a.id";
    assert_eq!(names(&session, statement).await, ["num_affected_rows"]);
    assert_eq!(
        rows(&session, "SELECT sum(v), count(v), count(*) FROM t").await,
        ["-54|9|9"]
    );
    let metrics = metrics(&engine, "t").await;
    for (name, value) in [
        ("numUpdatedRows", "9"),
        ("numCopiedRows", "0"),
        ("numRemovedFiles", "1"),
        ("numAddedFiles", "1"),
        ("numDeletionVectorsAdded", "0"),
        ("numDeletionVectorsRemoved", "1"),
    ] {
        assert_eq!(metrics.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[tokio::test]
async fn the_commit_says_what_it_did() {
    let (_directory, engine, session) = ten_rows(WITH_VECTORS).await;
    run(&session, &["UPDATE t SET v = 0 WHERE id = 3"]).await;
    let metrics = metrics(&engine, "t").await;
    for (name, value) in [
        ("numUpdatedRows", "1"),
        ("numCopiedRows", "0"),
        ("numRemovedFiles", "0"),
        ("numAddedFiles", "1"),
        ("numDeletionVectorsAdded", "1"),
    ] {
        assert_eq!(metrics.get(name).map(String::as_str), Some(value), "{name}");
    }
    let table = table(&engine, "t").await;
    let version = table.snapshot().await.expect("snapshot").version();
    let actions = table.commit_actions(version).await.expect("log").expect("commit");
    let info = actions.iter().find_map(|action| match action {
        Action::CommitInfo(info) => Some(info),
        _ => None,
    });
    let info = info.expect("commit info");
    assert_eq!(info.operation.as_deref(), Some("UPDATE"));
    assert_eq!(
        info.operation_parameters.as_ref().expect("parameters")["predicate"],
        r#"["id = 3"]"#
    );
    assert_eq!(info.is_blind_append, Some(false));
    let version = snapshot(&engine, "t").await.version();
    assert_eq!(rows(&session, "UPDATE t SET v = 0 WHERE id = 300").await, ["0"]);
    assert_eq!(
        snapshot(&engine, "t").await.version(),
        version,
        "nothing matched, nothing is committed"
    );
}

#[tokio::test]
async fn rows_move_between_partitions() {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &[
            &format!("CREATE TABLE t (id INT, p STRING) PARTITIONED BY (p) {WITH_VECTORS}"),
            "INSERT INTO t VALUES (1, 'a'), (2, 'a'), (3, 'b')",
            "UPDATE t SET p = 'c' WHERE id = 1",
            "UPDATE t SET p = upper(p) WHERE p = 'b'",
        ],
    )
    .await;
    assert_eq!(
        rows(&session, "SELECT * FROM t ORDER BY id").await,
        ["1|c", "2|a", "3|B"]
    );
    let partitions: Vec<String> = files(&engine, "t").await.into_keys().collect();
    assert!(
        partitions.iter().any(|path| path.starts_with("p=c/")),
        "{partitions:?}"
    );
}

#[tokio::test]
async fn fields_of_structs_are_set_alone() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id INT, s STRUCT<a: INT, n: STRUCT<x: STRING, Y: INT>>)",
            "INSERT INTO t SELECT 1, named_struct('a', 1, 'n', named_struct('x', 'one', 'Y', 10))",
            "INSERT INTO t SELECT 2, named_struct('a', 2, 'n', named_struct('x', 'two', 'Y', 20))",
            "UPDATE t SET s.n.y = s.a + 100, t.s.a = s.n.`Y` WHERE id = 2",
        ],
    )
    .await;
    let fields = "SELECT id, s.a, s.n.x, s.n.`Y` FROM t ORDER BY id";
    assert_eq!(rows(&session, fields).await, ["1|1|one|10", "2|20|two|102"]);
    run(&session, &["UPDATE t SET s = NULL WHERE id = 1"]).await;
    assert_eq!(rows(&session, "SELECT id FROM t WHERE s IS NULL").await, ["1"]);
}

#[tokio::test]
async fn structs_are_set_by_the_names_of_their_fields() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id INT, s STRUCT<a: INT, b: STRING>)",
            "INSERT INTO t SELECT 1, named_struct('a', 1, 'b', 'x')",
            "UPDATE t SET s = named_struct('B', 'y', 'A', '2')",
        ],
    )
    .await;
    assert_eq!(rows(&session, "SELECT s.a, s.b FROM t").await, ["2|y"]);
    run(
        &session,
        &["UPDATE t SET s = (SELECT named_struct('b', 7, 'a', true))"],
    )
    .await;
    assert_eq!(rows(&session, "SELECT s.a, s.b FROM t").await, ["1|7"]);
}

#[tokio::test]
async fn mistakes_are_named() {
    let (_directory, engine, session) = ten_rows(WITH_VECTORS).await;
    run(
        &session,
        &[
            "CREATE TABLE s (id INT NOT NULL, s STRUCT<a: INT, b: INT>)",
            "INSERT INTO s SELECT 1, named_struct('a', 1, 'b', 2)",
        ],
    )
    .await;
    for (statement, condition) in [
        ("UPDATE t WHERE id = 1", "PARSE_SYNTAX_ERROR"),
        ("UPDATE t SET v WHERE id = 1", "PARSE_SYNTAX_ERROR"),
        ("UPDATE t SET v = 1 garbage", "PARSE_SYNTAX_ERROR"),
        ("UPDATE t SET v = 1, V = 2", "DELTA_CONFLICT_SET_COLUMN"),
        ("UPDATE s SET s.a = 1, s = NULL", "DELTA_CONFLICT_SET_COLUMN"),
        ("UPDATE s SET s.c = 1", "FIELD_NOT_FOUND"),
        ("UPDATE t SET v.a = 1", "FIELD_NOT_FOUND"),
        ("UPDATE t SET missing = 1", "UNRESOLVED_COLUMN.WITH_SUGGESTION"),
        ("UPDATE t a SET t.v = 1", "UNRESOLVED_COLUMN.WITH_SUGGESTION"),
        ("UPDATE t SET v = missing", "UNRESOLVED_COLUMN.WITH_SUGGESTION"),
        ("UPDATE t SET v = 'text'", "CAST_INVALID_INPUT"),
        (
            "UPDATE t SET v = date'2024-02-29'",
            "DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION",
        ),
        (
            "UPDATE t SET v = 10000000000",
            "DELTA_CAST_OVERFLOW_IN_TABLE_WRITE",
        ),
        (
            "UPDATE s SET s = named_struct('a', 1)",
            "DELTA_UPDATE_SCHEMA_MISMATCH_EXPRESSION",
        ),
        (
            "UPDATE s SET s = named_struct('a', 1, 'b', 2, 'c', 3)",
            "DELTA_UPDATE_SCHEMA_MISMATCH_EXPRESSION",
        ),
        ("UPDATE missing SET v = 1", "TABLE_OR_VIEW_NOT_FOUND"),
    ] {
        assert_eq!(refused(&session, statement).await, condition, "{statement}");
    }
    let null = super::try_rows(&session, "UPDATE s SET id = NULL")
        .await
        .expect_err("NOT NULL");
    assert!(
        null.to_string()
            .contains("NOT NULL constraint violated for column: id"),
        "{null}"
    );
    // What failed left nothing behind.
    let folder = crate::support::location(&engine, "t")
        .await
        .to_file_path()
        .expect("a folder");
    let left = std::fs::read_dir(folder)
        .expect("folder")
        .filter(|entry| entry.as_ref().expect("entry").path().is_file());
    assert_eq!(left.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_increment_is_lost() {
    let (_directory, engine, session) = ten_rows(WITH_VECTORS).await;
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let session = new_session(&engine);
        tasks.spawn(async move {
            for _ in 0..5 {
                rows(&session, "UPDATE t SET v = v + 1 WHERE id = 1").await;
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(rows(&session, "SELECT v FROM t WHERE id = 1").await, ["21"]);
}

#[test_case("name")]
#[test_case("id")]
#[tokio::test]
async fn mapped_columns_are_changed_as_others(mode: &str) {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &[
            &format!(
                "CREATE TABLE t (id INT, `a b` STRING, p STRING) PARTITIONED BY (p)
                 TBLPROPERTIES ('delta.columnMapping.mode' = '{mode}')"
            ),
            "INSERT INTO t VALUES (1, 'x1', 'p'), (2, 'x2', 'p'), (3, 'x3', 'p'), (4, 'x4', 'o'), (5, 'x5', 'p'),
                 (6, 'x6', 'p'), (7, 'x7', 'p')",
            "DELETE FROM t WHERE `a b` = 'x3'",
            "UPDATE t SET `a b` = concat(`a b`, p), p = 'q' WHERE id = 5",
        ],
    )
    .await;
    let vectors: i64 = files(&engine, "t").await.values().sum();
    assert_eq!(vectors, 2, "in one file");
    run(
        &session,
        &[
            "SET ingot.deletionVectors.maxDeletedRowsRatio = 0",
            "DELETE FROM t WHERE id = 6",
            "DELETE FROM t WHERE p = 'o'",
        ],
    )
    .await;
    assert_eq!(
        rows(&session, "SELECT * FROM t ORDER BY id").await,
        ["1|x1|p", "2|x2|p", "5|x5p|q", "7|x7|p"]
    );
}
