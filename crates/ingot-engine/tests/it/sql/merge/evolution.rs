//! `MERGE WITH SCHEMA EVOLUTION`.

use std::sync::Arc;

use ingot_common::TableName;
use ingot_delta::DeltaTable;
use ingot_engine::Session;
use test_case::test_case;

use super::super::{open, refused, rows, run};

const UPSERT_ALL: &str = "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *";

async fn table(session: &Session) -> Arc<DeltaTable> {
    let name = TableName::parse("main.default.t").expect("name");
    session.open_table(&name).await.expect("table").1
}

#[tokio::test]
async fn new_columns_come_in_the_commit_of_their_rows() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id INT, v STRING) COMMENT 'kept' TBLPROPERTIES ('mine' = 'kept')",
            "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
        ],
    )
    .await;
    let table = table(&session).await;
    let before = table.snapshot().await.expect("snapshot");
    let source = "SELECT 2 AS ID, 'n' AS fresh UNION ALL SELECT 3, 'm'";
    let merge = format!("MERGE WITH SCHEMA EVOLUTION INTO t USING ({source}) s ON t.id = s.id {UPSERT_ALL}");
    assert_eq!(rows(&session, &merge).await, ["2|1|0|1"]);
    let after = table.snapshot().await.expect("snapshot");
    assert_eq!(after.version(), before.version() + 1);
    let (old, new) = (before.metadata(), after.metadata());
    assert_eq!(
        (&new.id, &new.name, &new.description),
        (&old.id, &old.name, &old.description)
    );
    assert_eq!(new.configuration, old.configuration);
    let expected = ["1|a|NULL", "2|b|n", "3|NULL|m"];
    assert_eq!(
        rows(&session, "SELECT id, v, fresh FROM t ORDER BY id").await,
        expected
    );
    // Nothing is new the second time.
    run(&session, &[&merge]).await;
    let again = table.snapshot().await.expect("snapshot");
    assert_eq!(again.metadata(), after.metadata());
}

#[test_case("WHEN MATCHED THEN UPDATE SET fresh = s.fresh", "1|a|7 2|b|NULL"; "a new column is set")]
#[test_case("WHEN MATCHED THEN UPDATE SET t.fresh = s.fresh + 1, v = 'x'", "1|x|8 2|b|NULL"; "by the target's name and from an expression")]
#[test_case("WHEN NOT MATCHED THEN INSERT (id, fresh) VALUES (s.id, s.fresh)", "1|a|NULL 2|b|NULL 5|NULL|7"; "a new column is inserted")]
#[tokio::test]
async fn a_column_that_is_assigned_by_name_is_added(clause: &str, expected: &str) {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id INT, v STRING)",
            "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
        ],
    )
    .await;
    let source = "SELECT 1 AS id, 7 AS fresh, 'unused' AS other UNION ALL SELECT 5, 7, 'unused'";
    let merge = format!("INTO t USING ({source}) s ON t.id = s.id {clause}");
    let without = refused(&session, &format!("MERGE {merge}")).await;
    assert_eq!(without, "UNRESOLVED_COLUMN.WITHOUT_SUGGESTION");
    run(&session, &[&format!("MERGE WITH SCHEMA EVOLUTION {merge}")]).await;
    let expected: Vec<&str> = expected.split(' ').collect();
    assert_eq!(rows(&session, "SELECT * FROM t ORDER BY id").await, expected);
}

#[tokio::test]
async fn fields_of_structs_are_added_and_those_that_the_source_lacks_stay() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id INT, s STRUCT<a: INT, b: INT>, l ARRAY<STRUCT<x: INT>>)",
            "INSERT INTO t SELECT 1, named_struct('a', 1, 'b', 2), array(named_struct('x', 1))",
        ],
    )
    .await;
    let source = "SELECT 1 AS id, named_struct('c', 30, 'a', 10) AS s, array(named_struct('y', 5)) AS l
        UNION ALL SELECT 2, named_struct('c', 33, 'a', 11), NULL";
    let merge = format!("INTO t USING ({source}) src ON t.id = src.id {UPSERT_ALL}");
    assert_eq!(
        refused(&session, &format!("MERGE {merge}")).await,
        "DELTA_UPDATE_SCHEMA_MISMATCH_EXPRESSION"
    );
    run(&session, &[&format!("MERGE WITH SCHEMA EVOLUTION {merge}")]).await;
    assert_eq!(
        rows(&session, "SELECT id, s.a, s.b, s.c, l FROM t ORDER BY id").await,
        ["1|10|2|30|[{x: NULL, y: 5}]", "2|11|NULL|33|NULL"]
    );
}

#[tokio::test]
async fn the_setting_of_the_session_evolves_every_merge() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id INT)",
            "INSERT INTO t VALUES (1)",
            "SET spark.databricks.delta.schema.autoMerge.enabled = true",
            "MERGE INTO t USING (SELECT 2 AS id, 'x' AS fresh) s ON t.id = s.id WHEN NOT MATCHED THEN INSERT *",
            "SET spark.databricks.delta.schema.autoMerge.enabled = false",
        ],
    )
    .await;
    assert_eq!(
        rows(&session, "SELECT * FROM t ORDER BY id").await,
        ["1|NULL", "2|x"]
    );
    let merge =
        "MERGE INTO t USING (SELECT 2 AS id, 1 AS more) s ON t.id = s.id WHEN NOT MATCHED THEN INSERT *";
    assert_eq!(
        refused(&session, merge).await,
        "DELTA_MERGE_UNRESOLVED_EXPRESSION"
    );
}

#[tokio::test]
async fn a_schema_that_evolves_without_rows_is_committed() {
    let (_directory, _, session) = open().await;
    run(&session, &["CREATE TABLE t (id INT)", "INSERT INTO t VALUES (1)"]).await;
    let merge = "MERGE WITH SCHEMA EVOLUTION INTO t USING (SELECT 9 AS id, 'x' AS fresh) s ON t.id = s.id
        WHEN MATCHED THEN UPDATE SET *";
    assert_eq!(rows(&session, merge).await, ["0|0|0|0"]);
    assert_eq!(rows(&session, "SELECT id, fresh FROM t").await, ["1|NULL"]);
}

#[tokio::test]
async fn a_type_that_cannot_be_merged_is_refused() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &["CREATE TABLE t (id INT, v INT)", "INSERT INTO t VALUES (1, 1)"],
    )
    .await;
    let merge = "MERGE WITH SCHEMA EVOLUTION INTO t USING (SELECT 1 AS id, named_struct('a', 1) AS v) s
        ON t.id = s.id WHEN MATCHED THEN UPDATE SET *";
    assert_eq!(refused(&session, merge).await, "DELTA_FAILED_TO_MERGE_FIELDS");
    assert_eq!(rows(&session, "SELECT v FROM t").await, ["1"]);
}
