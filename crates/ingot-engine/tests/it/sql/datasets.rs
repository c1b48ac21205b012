//! Materialized views and streaming tables beside other writers, a store that fails, and processes that end.

use ingot_common::Classify;
use ingot_engine::{Engine, Session};
use tempfile::TempDir;
use test_case::test_case;
use tokio::task::JoinSet;

use super::{open, rows, run, try_rows};
use crate::hooked_store::HookedStore;
use crate::support;

const STREAMING: &str = "CREATE STREAMING TABLE s AS SELECT id, upper(name) AS name FROM STREAM t";
const VIEW: &str = "CREATE MATERIALIZED VIEW m AS SELECT count(*) AS c, max(id) AS newest FROM t";
const REFRESHES: [&str; 2] = ["REFRESH STREAMING TABLE s", "REFRESH MATERIALIZED VIEW m"];

/// A table `t (id, name)` with the ids 1 and 2, a streaming table `s` of it, and a view `m` over it.
async fn datasets(session: &Session) {
    run(
        session,
        &[
            "CREATE TABLE t (id BIGINT, name STRING)",
            "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
            STREAMING,
            VIEW,
        ],
    )
    .await;
}

async fn ids(session: &Session) -> String {
    rows(session, "SELECT id FROM s ORDER BY id").await.join(" ")
}

/// The version of a table, and the operation that made it.
async fn newest(session: &Session, table: &str) -> String {
    let history = format!("SELECT version, operation FROM (DESCRIBE HISTORY {table} LIMIT 1)");
    rows(session, &history).await.join("")
}

#[tokio::test]
async fn a_streaming_table_has_the_schedule_of_the_last_statement() {
    let (_directory, _, session) = open().await;
    datasets(&session).await;
    let again = "CREATE OR REFRESH STREAMING TABLE s";
    let query = "AS SELECT id, name FROM STREAM t";
    for (clause, expected) in [(" SCHEDULE EVERY 2 HOURS ", "EVERY 2 HOURS"), (" ", "MANUAL")] {
        run(&session, &[&format!("{again}{clause}{query}")]).await;
        let described = rows(&session, "DESCRIBE EXTENDED s AS JSON").await.join("");
        let expected = format!("\"refresh_schedule\":\"{expected}\"");
        assert!(described.contains(&expected), "{described}");
    }
}

#[tokio::test]
async fn a_refresh_adds_what_came_and_nothing_twice() {
    let (_directory, _, session) = open().await;
    datasets(&session).await;
    assert_eq!(ids(&session).await, "1 2");
    run(&session, &["INSERT INTO t VALUES (3, 'c')", "OPTIMIZE t"]).await;
    for _ in 0..2 {
        run(&session, &REFRESHES).await;
        assert_eq!(ids(&session).await, "1 2 3");
        assert_eq!(rows(&session, "SELECT c, newest FROM m").await, ["3|3"]);
    }
    assert_eq!(
        newest(&session, "s").await,
        "1|REFRESH",
        "the second found nothing new"
    );
    assert_eq!(newest(&session, "m").await, "1|REFRESH");
}

#[tokio::test]
async fn what_was_read_is_known_to_other_processes_and_after_a_restart() {
    let (directory, _, session) = open().await;
    datasets(&session).await;
    let other = support::session(&support::engine(directory.path()).await);
    run(&session, &["INSERT INTO t VALUES (3, 'c')"]).await;
    run(&other, &REFRESHES).await;
    run(&session, &REFRESHES).await;
    assert_eq!(ids(&session).await, "1 2 3");
    assert_eq!(newest(&session, "s").await, "1|REFRESH");
}

struct Race {
    directory: TempDir,
    store: HookedStore,
    engine: Engine,
    ours: Session,
    theirs: Session,
}

impl Race {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let (store, tables) = HookedStore::open(&directory.path().join("tables"));
        let engine = support::engine_over(directory.path(), tables).await;
        let ours = support::session(&engine);
        datasets(&ours).await;
        let theirs = support::session(&support::engine(directory.path()).await);
        Self {
            directory,
            store,
            engine,
            ours,
            theirs,
        }
    }

    /// The folder of a table, as the store names it.
    async fn folder(&self, table: &str) -> String {
        let location = support::location(&self.engine, table).await;
        let mut segments = location.path_segments().expect("a path");
        segments
            .rfind(|part| !part.is_empty())
            .expect("a folder")
            .to_owned()
    }
}

#[test_case("REFRESH STREAMING TABLE s", "s"; "a streaming table")]
#[test_case("REFRESH STREAMING TABLE s FULL", "s"; "a streaming table in full")]
#[test_case("REFRESH MATERIALIZED VIEW m", "m"; "a view")]
#[tokio::test]
async fn of_two_refreshes_at_once_one_writes(refresh: &'static str, table: &str) {
    let race = Race::new().await;
    run(&race.ours, &["INSERT INTO t VALUES (3, 'c')"]).await;
    let folder = race.folder(table).await;
    let theirs = race.theirs;
    let when = async move {
        run(
            &theirs,
            &["INSERT INTO t VALUES (4, 'd')", &refresh.replace(" FULL", "")],
        )
        .await
    };
    race.store.before_commit_of(&folder, 1, when);
    run(&race.ours, &[refresh]).await;
    assert!(race.store.exhausted_of(&folder));
    run(&race.ours, &REFRESHES).await;
    assert_eq!(ids(&race.ours).await, "1 2 3 4");
    assert_eq!(rows(&race.ours, "SELECT c, newest FROM m").await, ["4|4"]);
}

#[tokio::test]
async fn a_refresh_goes_on_beside_optimize() {
    let race = Race::new().await;
    run(
        &race.ours,
        &[
            "INSERT INTO t VALUES (3, 'c')",
            "REFRESH STREAMING TABLE s",
            "INSERT INTO t VALUES (4, 'd')",
        ],
    )
    .await;
    let folder = race.folder("s").await;
    let theirs = race.theirs;
    race.store
        .before_commit_of(&folder, 2, async move { run(&theirs, &["OPTIMIZE s"]).await });
    run(&race.ours, &["REFRESH STREAMING TABLE s"]).await;
    assert_eq!(ids(&race.ours).await, "1 2 3 4");
    assert_eq!(newest(&race.ours, "s").await, "3|REFRESH");
}

#[test_case("REFRESH STREAMING TABLE s"; "a streaming table")]
#[test_case("REFRESH STREAMING TABLE s FULL"; "a streaming table in full")]
#[test_case("REFRESH MATERIALIZED VIEW m"; "a view")]
#[test_case("CREATE OR REFRESH STREAMING TABLE s AS SELECT id, lower(name) AS name FROM STREAM t"; "another query")]
#[tokio::test]
async fn a_refresh_that_fails_anywhere_loses_and_doubles_nothing(refresh: &str) {
    let race = Race::new().await;
    run(&race.ours, &["INSERT INTO t VALUES (3, 'c')"]).await;
    for puts in 0.. {
        race.store.fail_put(Some(puts));
        let _ = try_rows(&race.ours, refresh).await;
        let failed = race.store.fail_put(None);
        // As another process finds it.
        let engine = support::engine(race.directory.path()).await;
        let after = support::session(&engine);
        assert!(["1 2", "1 2 3"].contains(&&*ids(&after).await), "{puts}");
        run(&after, &REFRESHES).await;
        assert_eq!(ids(&after).await, "1 2 3", "{puts}");
        assert_eq!(rows(&after, "SELECT c, newest FROM m").await, ["3|3"], "{puts}");
        if !failed {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn refreshes_beside_writers_read_each_row_once() {
    let (directory, engine, session) = open().await;
    datasets(&session).await;
    let mut work = JoinSet::new();
    for writer in 0..3 {
        let session = support::session(&engine);
        work.spawn(async move {
            for number in 0..5 {
                let id = 10 + writer * 5 + number;
                run(&session, &[&format!("INSERT INTO t VALUES ({id}, 'x')")]).await;
            }
        });
    }
    for _ in 0..3 {
        let session = support::session(&support::engine(directory.path()).await);
        work.spawn(async move {
            for _ in 0..4 {
                let refreshed = try_rows(&session, "REFRESH STREAMING TABLE s").await;
                // Retries may be used up; what is wrong then is nothing else.
                if let Err(error) = refreshed {
                    assert_eq!(error.condition(), Some("DELTA_CONCURRENT_TRANSACTION"));
                }
            }
        });
    }
    work.join_all().await;
    run(&session, &REFRESHES).await;
    let counted = rows(
        &session,
        "SELECT count(*), count(DISTINCT id), (SELECT count(*) FROM t) FROM s",
    )
    .await;
    assert_eq!(counted, ["17|17|17"]);
    assert_eq!(rows(&session, "SELECT c FROM m").await, ["17"]);
}

#[test_case("DELETE FROM t WHERE id = 1", "DELTA_SOURCE_TABLE_IGNORE_CHANGES"; "rows are deleted")]
#[test_case("CREATE OR REPLACE TABLE t AS SELECT 9L AS id, 'z' AS name", "DELTA_SOURCE_TABLE_IGNORE_CHANGES"; "the table is replaced")]
#[test_case("DROP TABLE t; CREATE TABLE t AS SELECT 9L AS id, 'z' AS name", "DIFFERENT_DELTA_TABLE_READ_BY_STREAMING_SOURCE"; "the table is another")]
#[tokio::test]
async fn a_stream_that_cannot_follow_says_so_and_begins_anew_in_full(change: &str, condition: &str) {
    let (_directory, _, session) = open().await;
    datasets(&session).await;
    run(&session, &change.split("; ").collect::<Vec<_>>()).await;
    let error = try_rows(&session, "REFRESH STREAMING TABLE s")
        .await
        .expect_err("refused");
    assert_eq!(error.condition(), Some(condition));
    assert!(error.to_string().contains("FULL"), "{error}");
    assert_eq!(ids(&session).await, "1 2", "nothing has changed");
    run(&session, &["REFRESH STREAMING TABLE s FULL"]).await;
    assert_eq!(
        ids(&session).await,
        rows(&session, "SELECT id FROM t ORDER BY id").await.join(" ")
    );
    run(
        &session,
        &["INSERT INTO t VALUES (10, 'k')", "REFRESH STREAMING TABLE s"],
    )
    .await;
    assert!(ids(&session).await.ends_with(" 10"));
}
