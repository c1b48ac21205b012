//! MERGE beside other writers of the table, in one process and as in two.

use tokio::task::JoinSet;

use super::super::{new_session, open, rows, run};
use crate::support;

const ROUNDS: usize = 4;

/// Runs each list of statements on a session of its own, all at once and on two engines.
async fn race(directory: &std::path::Path, lists: Vec<Vec<String>>) {
    let engines = [support::engine(directory).await, support::engine(directory).await];
    let mut tasks = JoinSet::new();
    for (number, statements) in lists.into_iter().enumerate() {
        let session = new_session(&engines[number % 2]);
        tasks.spawn(async move {
            for statement in statements {
                rows(&session, &statement).await;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("a writer failed");
    }
}

fn times(statement: &str) -> Vec<String> {
    vec![statement.to_owned(); ROUNDS]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_merges_of_one_new_key_never_both_insert_it() {
    let (directory, _, session) = open().await;
    run(&session, &["CREATE TABLE t (id INT, n INT)"]).await;
    let upsert = |id: usize| {
        format!(
            "MERGE INTO t USING (SELECT {id} AS id) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = t.n + 1
             WHEN NOT MATCHED THEN INSERT (id, n) VALUES (s.id, 1)"
        )
    };
    let all: Vec<String> = (0..ROUNDS).map(upsert).collect();
    race(directory.path(), vec![all.clone(), all.clone(), all]).await;
    assert_eq!(
        rows(&session, "SELECT id, n FROM t ORDER BY id").await,
        (0..ROUNDS).map(|id| format!("{id}|3")).collect::<Vec<_>>()
    );
}

/// Rows of one file, with vectors and without, while others append, pack files and delete rows.
#[test_case::test_case("true"; "with deletion vectors")]
#[test_case::test_case("false"; "without")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn merges_of_other_rows_of_a_file_all_count(vectors: &str) {
    let (directory, _, session) = open().await;
    run(
        &session,
        &[
            &format!(
                "CREATE TABLE t (id INT, n INT) TBLPROPERTIES ('delta.enableDeletionVectors' = '{vectors}')"
            ),
            "INSERT INTO t SELECT id, 0 FROM (SELECT unnest(generate_series(1, 100)) AS id)",
        ],
    )
    .await;
    let count = |id: usize| {
        times(&format!(
            "MERGE INTO t USING (SELECT {id} AS id) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = t.n + 1"
        ))
    };
    let appended = (0..ROUNDS).map(|row| format!("INSERT INTO t VALUES ({}, 0)", 1000 + row));
    let deleted = (0..ROUNDS).map(|row| format!("DELETE FROM t WHERE id = {}", 50 + row));
    let lists = vec![
        count(1),
        count(2),
        appended.collect(),
        deleted.collect(),
        times("OPTIMIZE t"),
    ];
    race(directory.path(), lists).await;
    let expected = [format!("1|{ROUNDS}"), format!("2|{ROUNDS}"), "3|0".to_owned()];
    assert_eq!(
        rows(&session, "SELECT * FROM t WHERE id < 4 ORDER BY id").await,
        expected
    );
    assert_eq!(
        rows(&session, "SELECT count(*), count(DISTINCT id) FROM t").await,
        ["100|100"]
    );
    assert_eq!(
        rows(&session, "SELECT count(*) FROM t WHERE id BETWEEN 50 AND 53").await,
        ["0"]
    );
}

/// A row that a DELETE takes is not brought back by a merge that had found it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_deleted_meanwhile_does_not_come_back() {
    let (directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id INT, n INT) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')",
            "INSERT INTO t SELECT id, 0 FROM (SELECT unnest(generate_series(1, 20)) AS id)",
        ],
    )
    .await;
    let merge = "MERGE INTO t USING (SELECT unnest(generate_series(1, 20)) AS id) s ON t.id = s.id
        WHEN MATCHED THEN UPDATE SET n = t.n + 1";
    let deleted = (1..=ROUNDS).map(|id| format!("DELETE FROM t WHERE id = {id}"));
    race(directory.path(), vec![times(merge), deleted.collect()]).await;
    assert_eq!(rows(&session, "SELECT min(id), count(*) FROM t").await, ["5|16"]);
    assert_eq!(
        rows(&session, "SELECT DISTINCT n FROM t").await,
        [ROUNDS.to_string()]
    );
}
