//! Two processes, eight tasks each, one table.

use std::collections::BTreeMap;

use ingot_common::Kind;
use tokio::task::JoinSet;

use crate::harness::{Process, Sql};

const TASKS_PER_PROCESS: u64 = 8;
const ROUNDS: u64 = 5;
/// Merges meet on so few rows that they conflict often.
const COUNTERS: u64 = 4;
const RETRIES_MAX: u32 = 200;

/// Runs a statement until it does not lose to another writer. A lost statement has changed nothing.
async fn run(sql: &Sql, statement: &str) {
    for _ in 0..RETRIES_MAX {
        match sql.rows(statement).await {
            Ok(_) => return,
            Err(error) if error.kind == Kind::Conflict => {}
            Err(error) => panic!("{statement}: {error}"),
        }
    }
    panic!("{statement}: lost {RETRIES_MAX} times");
}

async fn task(sql: Sql, task: u64) {
    for round in 0..ROUNDS {
        let id = 1_000 + task * ROUNDS + round;
        run(&sql, &format!("INSERT INTO t VALUES ({id}, 1)")).await;
        let counter = (task + round) % COUNTERS;
        let merge = format!(
            "MERGE INTO t USING (SELECT CAST({counter} AS BIGINT) AS id) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET \
             n = t.n + 1 WHEN NOT MATCHED THEN INSERT (id, n) VALUES (s.id, 1)"
        );
        run(&sql, &merge).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_row_is_lost_or_doubled_and_every_commit_is_accounted_for() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let servers = [Process::server(data_dir.path()), Process::server(data_dir.path())];
    let sql = servers[0].client();
    run(&sql, "CREATE TABLE t (id BIGINT, n BIGINT)").await;

    let mut tasks = JoinSet::new();
    for (process, server) in servers.iter().enumerate() {
        for number in 0..TASKS_PER_PROCESS {
            let number = u64::try_from(process).expect("small") * TASKS_PER_PROCESS + number;
            tasks.spawn(task(server.client(), number));
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("task");
    }

    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let statements = (2 * TASKS_PER_PROCESS * ROUNDS) as f64;
    for server in &servers {
        let sql = server.client();
        let inserted = "SELECT count(*) FROM t WHERE id >= 1000 AND n = 1";
        assert_eq!(sql.number(inserted).await, Some(statements));
        let distinct = "SELECT count(DISTINCT id) FROM t WHERE id >= 1000";
        assert_eq!(sql.number(distinct).await, Some(statements));
        let merged = "SELECT sum(n) FROM t WHERE id < 1000";
        assert_eq!(sql.number(merged).await, Some(statements));
        let counters = "SELECT count(*) FROM t WHERE id < 1000";
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let expected = COUNTERS as f64;
        assert_eq!(sql.number(counters).await, Some(expected));
    }

    let history = sql.rows("DESCRIBE HISTORY t").await.expect("history");
    let mut versions: Vec<i64> = history
        .iter()
        .map(|row| row["version"].as_i64().expect("version"))
        .collect();
    versions.sort_unstable();
    let commits = i64::try_from(2 * 2 * TASKS_PER_PROCESS * ROUNDS).expect("small");
    assert_eq!(versions, (0..=commits).collect::<Vec<_>>());
    let mut operations: BTreeMap<&str, i64> = BTreeMap::new();
    for row in &history {
        *operations
            .entry(row["operation"].as_str().expect("operation"))
            .or_default() += 1;
    }
    let expected = BTreeMap::from([
        ("CREATE TABLE", 1),
        ("MERGE", commits / 2),
        ("WRITE", commits / 2),
    ]);
    assert_eq!(operations, expected);
}
