//! Work that nobody wants any more ends.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use datafusion::physical_plan::{collect, displayable};
use datafusion_proto::bytes::{
    physical_plan_from_bytes_with_extension_codec, physical_plan_to_bytes_with_extension_codec,
};
use futures::TryStreamExt;
use ingot_common::port::{StatementRequest, StatementService};
use ingot_common::{Classify, Kind, Principal, RequestContext};
use ingot_engine::codec::DeltaCodec;
use ingot_engine::{Engine, StatementLimits};
use test_case::test_case;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::{limited, request};
use crate::hooked_store::HookedStore;
use crate::sql::{refused, rows, run, try_rows};
use crate::support;

/// Longer than any test takes: one that meets it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes for ever and gives nothing: pairs that meet no condition, groups without end, rows that are sorted.
const ENDLESS: [&str; 6] = [
    "SELECT count(*) FROM range(10000000) a CROSS JOIN range(10000000) b",
    "SELECT a.id FROM range(3000000) a JOIN range(3000000) b ON a.id + b.id < 0",
    "SELECT a.id FROM range(3000000) a LEFT JOIN range(3000000) b ON a.id + b.id < 0",
    "SELECT a.id % 1000000007 AS k, count(*) FROM range(10000000) a CROSS JOIN range(100000) b GROUP BY k",
    "SELECT a.id FROM range(3000000) a JOIN range(3000000) b ON a.id % 2 = b.id % 2 AND a.id + b.id < 0",
    "SELECT count(sha2(CAST(a.id AS STRING), 256)) FROM range(10000000) a CROSS JOIN range(1000000) b",
];

/// Waits until operators hold no memory and no task is left of those that came after `tasks`.
async fn at_rest(engine: &Engine, tasks: usize) {
    let rest = async {
        while engine.memory_bytes() > 0 || Handle::current().metrics().num_alive_tasks() > tasks {
            tokio::task::yield_now().await;
        }
    };
    let rested = tokio::time::timeout(PATIENCE, rest).await;
    assert!(rested.is_ok(), "{} bytes are still held", engine.memory_bytes());
    assert_eq!(engine.statements(), (0, 0));
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[test_case(0)]
#[test_case(1)]
#[test_case(2)]
#[test_case(3)]
#[test_case(4)]
#[test_case(5)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_dropped_end_their_work(query: usize) {
    let (_directory, engine, session) = limited(StatementLimits::default()).await;
    run(&session, &["SELECT count(*) FROM range(10)"]).await;
    let before = tasks();
    let mut result = session.execute(ENDLESS[query]).await.expect("rows");
    // The plan runs: it holds memory, or has tasks.
    let asked = tokio::time::timeout(Duration::from_millis(200), result.batches.try_next()).await;
    assert!(asked.is_err(), "it ended");
    drop(result);
    at_rest(&engine, before).await;
}

#[test_case(0)]
#[test_case(1)]
#[test_case(4)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_cancelled_ends_its_work(query: usize) {
    let (_directory, engine, session) = limited(StatementLimits::default()).await;
    run(&session, &["SELECT count(*) FROM range(10)"]).await;
    let before = tasks();
    let (context, hasty) = request(&engine);
    let work = try_rows(&hasty, ENDLESS[query]);
    let cancel = async {
        while engine.statements() == (0, 0) || tasks() <= before {
            tokio::task::yield_now().await;
        }
        context.cancellation.cancel();
    };
    let (outcome, ()) = tokio::join!(work, cancel);
    assert!(outcome.is_err());
    at_rest(&engine, before).await;
}

#[test_case("SELECT count(*) FROM range(10000000) a CROSS JOIN range(10000000) b"; "rows")]
#[test_case("BEGIN DECLARE n INT DEFAULT 0; WHILE TRUE DO SET n = 1 - n; END WHILE; END"; "a script")]
#[test_case("BEGIN FOR r AS SELECT count(*) AS n FROM range(10000000) a CROSS JOIN range(10000000) b DO SELECT r.n; END FOR; END"; "rows of a script")]
#[test_case("BEGIN IF (SELECT count(*) FROM range(10000000) a CROSS JOIN range(10000000) b) > 0 THEN SELECT 1; END IF; END"; "a condition")]
#[test_case("BEGIN DECLARE x BIGINT DEFAULT (SELECT count(*) FROM range(10000000) a CROSS JOIN range(10000000) b); SELECT x; END"; "a default")]
#[test_case("EXECUTE IMMEDIATE (SELECT string(count(*)) FROM range(10000000) a CROSS JOIN range(10000000) b)"; "a text")]
#[test_case("INSERT INTO t SELECT a.id FROM range(3000000) a JOIN range(3000000) b ON a.id + b.id < 0"; "insert")]
#[test_case("CREATE OR REPLACE TABLE t AS SELECT a.id AS a FROM range(10000000) a CROSS JOIN range(10000000) b"; "replace")]
#[test_case("DELETE FROM t WHERE a IN (SELECT a.id FROM range(3000000) a JOIN range(3000000) b ON a.id + b.id < 0)"; "delete")]
#[test_case("MERGE INTO t USING (SELECT a.id AS a FROM range(3000000) a JOIN range(3000000) b ON a.id + b.id < 0) s ON t.a = s.a WHEN NOT MATCHED THEN INSERT *"; "merge")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_takes_too_long_ends_and_changes_nothing(statement: &str) {
    let (_directory, engine, session) = limited(StatementLimits {
        time_max: Duration::from_millis(300),
        ..StatementLimits::default()
    })
    .await;
    let patient = support::session(&engine);
    run(
        &patient,
        &[
            "SET STATEMENT_TIMEOUT = 0",
            "CREATE TABLE t (a BIGINT)",
            "INSERT INTO t VALUES (7)",
        ],
    )
    .await;
    let before = tasks();
    let condition = tokio::time::timeout(PATIENCE, refused(&session, statement)).await;
    assert_eq!(condition.expect("it ended"), "QUERY_EXECUTION_TIMEOUT_EXCEEDED");
    at_rest(&engine, before).await;
    assert_eq!(rows(&patient, "SELECT * FROM t").await, ["7"]);
    assert_eq!(rows(&patient, "DESCRIBE HISTORY t").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_sets_how_long_its_statements_may_take() {
    let (_directory, _engine, session) = limited(StatementLimits::default()).await;
    assert_eq!(
        refused(&session, "SET STATEMENT_TIMEOUT = 172801").await,
        "CONFIG_NOT_AVAILABLE"
    );
    assert_eq!(
        refused(&session, "SET STATEMENT_TIMEOUT = soon").await,
        "CONFIG_NOT_AVAILABLE"
    );
    run(&session, &["SET statement_timeout = 1"]).await;
    let statement = "CREATE TABLE t AS SELECT a.id FROM range(10000000) a CROSS JOIN range(10000000) b";
    let error = try_rows(&session, statement).await.expect_err("too long");
    assert_eq!(error.kind(), Kind::DeadlineExceeded);
    assert_eq!(error.sqlstate(), Some("57KD0"));
    assert!(error.to_string().contains("1 seconds"), "{error}");
    assert_eq!(
        refused(&session, "SELECT * FROM t").await,
        "TABLE_OR_VIEW_NOT_FOUND"
    );
}

/// A front door drops the future of a statement when its client leaves.
#[tokio::test]
async fn a_commit_in_flight_when_the_client_leaves_is_made() {
    let directory = tempfile::tempdir().expect("directory");
    let (store, tables) = HookedStore::open(&directory.path().join("tables"));
    let engine = support::engine_over(directory.path(), tables).await;
    let session = support::session(&engine);
    run(&session, &["CREATE TABLE t (a INT)"]).await;
    for (version, statement) in [
        (1, "INSERT INTO t VALUES (1)"),
        (0, "CREATE TABLE made AS SELECT 2 AS a"),
    ] {
        let (begun, left) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (begins, leaves) = (Arc::clone(&begun), Arc::clone(&left));
        store.before_commit(version, async move {
            begins.notify_one();
            leaves.notified().await;
        });
        let service: Arc<dyn StatementService> = engine.clone().into();
        let request = StatementRequest {
            statement: statement.to_owned(),
            ..StatementRequest::default()
        };
        let context = RequestContext::new(Principal::new("hasty"));
        tokio::select! {
            _ = service.execute(&context, request) => panic!("{statement}: it ended"),
            () = begun.notified() => {}
        }
        left.notify_one();
        while engine.statements() != (0, 0) {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(rows(&session, "SELECT a FROM t").await, ["1"]);
    assert_eq!(rows(&session, "SELECT a FROM made").await, ["2"]);
}

#[tokio::test]
async fn a_query_ends_when_its_client_leaves_before_the_first_row() {
    let (_directory, engine, session) = limited(StatementLimits {
        running_max: 1,
        ..StatementLimits::default()
    })
    .await;
    let long = session
        .execute("SELECT id FROM range(1000000000000)")
        .await
        .expect("rows");
    let service: Arc<dyn StatementService> = engine.clone().into();
    let request = StatementRequest {
        statement: "SELECT count(*) FROM range(10)".to_owned(),
        ..StatementRequest::default()
    };
    let context = RequestContext::new(Principal::new("hasty"));
    let queued = async {
        while engine.statements() != (1, 1) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = service.execute(&context, request) => panic!("it ended"),
        () = queued => {}
    }
    while engine.statements() != (1, 0) {
        tokio::task::yield_now().await;
    }
    drop(long);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_dropped_changes_nothing() {
    let (_directory, engine, session) = limited(StatementLimits::default()).await;
    run(
        &session,
        &["CREATE TABLE t (a BIGINT)", "INSERT INTO t VALUES (7)"],
    )
    .await;
    let before = tasks();
    for statement in [
        "INSERT INTO t SELECT a.id FROM range(10000000) a CROSS JOIN range(10000000) b",
        "UPDATE t SET a = (SELECT count(*) FROM range(10000000) a CROSS JOIN range(10000000) b)",
        "DELETE FROM t WHERE a IN (SELECT a.id FROM range(3000000) a JOIN range(3000000) b ON a.id + b.id < 0)",
    ] {
        let dropped = tokio::time::timeout(Duration::from_millis(200), session.execute(statement)).await;
        assert!(dropped.is_err(), "{statement}: it ended");
        at_rest(&engine, before).await;
    }
    assert_eq!(rows(&session, "SELECT * FROM t").await, ["7"]);
}

#[tokio::test]
async fn a_join_in_pieces_is_the_same_join_elsewhere() {
    let (_directory, engine, session) = limited(StatementLimits::default()).await;
    run(&session, &["CREATE TABLE t AS SELECT id FROM range(100)"]).await;
    let query = "SELECT a.id, b.id FROM t a JOIN t b ON a.id > b.id WHERE a.id < 2";
    let plan = session.query(query).await.expect("planned");
    let plan = plan.create_physical_plan().await.expect("a plan");
    assert!(
        displayable(plan.as_ref())
            .indent(false)
            .to_string()
            .contains("PairsExec")
    );
    let codec = DeltaCodec::new(engine.tables().clone());
    let bytes = physical_plan_to_bytes_with_extension_codec(plan, &codec).expect("encoded");
    let elsewhere = session.datafusion();
    let decoded = physical_plan_from_bytes_with_extension_codec(&bytes, &elsewhere.task_ctx(), &codec);
    let rows = collect(decoded.expect("decoded"), elsewhere.task_ctx())
        .await
        .expect("run");
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
}
