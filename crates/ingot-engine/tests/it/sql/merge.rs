//! MERGE as a statement: names, order of clauses, sources that read the target.

mod evolution;
mod forms;
mod model;
mod races;
mod vectors;

use tokio::task::JoinSet;

use super::{new_session, open, refused, rows, run};

#[tokio::test]
async fn tables_of_one_name_in_two_schemas_are_told_apart() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE SCHEMA gold",
            "CREATE SCHEMA silver",
            "CREATE TABLE gold.t (id INT, v STRING)",
            "CREATE TABLE silver.t (id INT, v STRING, extra INT)",
            "INSERT INTO gold.t VALUES (1, 'a'), (2, 'b')",
            "INSERT INTO silver.t VALUES (2, 'new', 7)",
        ],
    )
    .await;
    let unclear = "MERGE INTO gold.t USING silver.t ON t.id = t.id WHEN MATCHED THEN DELETE";
    assert_eq!(refused(&session, unclear).await, "AMBIGUOUS_REFERENCE");
    assert_eq!(rows(&session, "SELECT count(*) FROM gold.t").await, ["2"]);
    let clear = "MERGE INTO gold.t USING silver.t ON gold.t.id = main.silver.t.id AND t.extra = 7
                 WHEN MATCHED THEN UPDATE SET gold.t.v = silver.t.v";
    run(&session, &[clear]).await;
    assert_eq!(
        rows(&session, "SELECT * FROM gold.t ORDER BY id").await,
        ["1|a", "2|new"]
    );
}

#[tokio::test]
async fn names_in_set_and_insert_are_taken_as_written() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id INT, `user-id` STRING)",
            "INSERT INTO t VALUES (1, 'a')",
            "MERGE INTO t USING (SELECT 1 AS id UNION ALL SELECT 2) s ON t.id = s.id
             WHEN MATCHED THEN UPDATE SET `user-id` = 'b'
             WHEN NOT MATCHED THEN INSERT (id, `user-id`) VALUES (id, 'c')",
        ],
    )
    .await;
    assert_eq!(
        rows(&session, "SELECT * FROM t ORDER BY id").await,
        ["1|b", "2|c"]
    );
    for wrong in [
        "MERGE INTO t USING (SELECT 1 AS id) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET s.id = 5",
        "MERGE INTO t USING (SELECT 1 AS id) s ON t.id = other.id WHEN MATCHED THEN DELETE",
        "MERGE INTO t USING (SELECT 1 AS id) s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id) VALUES (t.id)",
        "MERGE INTO t USING (SELECT 1 AS id) s ON t.id = s.id
         WHEN NOT MATCHED THEN INSERT (id, `user-id`) VALUES (s.id, `user-id`)",
    ] {
        let condition = refused(&session, wrong).await;
        assert!(condition.starts_with("UNRESOLVED_COLUMN"), "{wrong}: {condition}");
    }
}

#[tokio::test]
async fn a_clause_that_hides_others_is_refused() {
    let (_directory, _, session) = open().await;
    run(&session, &["CREATE TABLE t (id INT)"]).await;
    let merge = "MERGE INTO t USING (SELECT 1 AS id) s ON t.id = s.id";
    for (clauses, condition) in [
        (
            "WHEN MATCHED THEN DELETE WHEN MATCHED AND s.id > 1 THEN UPDATE SET id = 2",
            "NON_LAST_MATCHED_CLAUSE_OMIT_CONDITION",
        ),
        (
            "WHEN NOT MATCHED THEN INSERT * WHEN NOT MATCHED AND s.id > 1 THEN INSERT *",
            "NON_LAST_NOT_MATCHED_BY_TARGET_CLAUSE_OMIT_CONDITION",
        ),
        (
            "WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN NOT MATCHED BY SOURCE THEN DELETE",
            "NON_LAST_NOT_MATCHED_BY_SOURCE_CLAUSE_OMIT_CONDITION",
        ),
    ] {
        assert_eq!(refused(&session, &format!("{merge} {clauses}")).await, condition);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_increment_is_lost_when_the_source_reads_the_target() {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE counters (id INT, n INT)",
            "INSERT INTO counters VALUES (1, 0), (2, 0)",
        ],
    )
    .await;
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let session = new_session(&engine);
        tasks.spawn(async move {
            for _ in 0..5 {
                let increment = "MERGE INTO counters t USING (SELECT id, n + 1 AS n FROM counters) s \
                                 ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = s.n";
                rows(&session, increment).await;
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(
        rows(&session, "SELECT n FROM counters ORDER BY id").await,
        ["20", "20"]
    );
}

#[tokio::test]
async fn a_past_version_of_the_target_can_be_the_source() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id INT, v STRING)",
            "INSERT INTO t VALUES (1, 'before')",
            "INSERT OVERWRITE t VALUES (1, 'after')",
            "MERGE INTO t USING (SELECT * FROM t VERSION AS OF 1) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET *",
        ],
    )
    .await;
    assert_eq!(rows(&session, "SELECT v FROM t").await, ["before"]);
}
