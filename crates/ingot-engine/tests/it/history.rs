//! The query history: what each statement that comes through the front doors' port leaves.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use ingot_common::history::{
    HistoryFilter, OperatorProfile, StatementHistory, StatementProfile, StatementRecord, StatementStatus,
};
use ingot_common::port::{
    SessionRequest, StatementRequest, StatementResult, StatementService, StatementSession, TableQuery,
    TableRequest, TableVersion,
};
use ingot_common::{Identifier, Kind, Principal, RequestContext, ServiceError, TableName};
use ingot_engine::{Engine, EngineOptions, HistoryOptions, StatementLimits};
use tempfile::TempDir;
use test_case::test_case;

use crate::sql::rows;
use crate::support;

/// Gives rows without end.
const ENDLESS: &str = "SELECT a.id FROM range(10000000) a CROSS JOIN range(10000000) b";

fn options(directory: &Path) -> EngineOptions {
    EngineOptions {
        history: HistoryOptions {
            file: Some(directory.join("history.sqlite")),
            ..HistoryOptions::default()
        },
        ..support::options(directory)
    }
}

/// Opens an engine in whose catalog Ann may do everything.
async fn engine(directory: &Path) -> Engine {
    let engine = support::engine_with(directory, support::tables(), options(directory)).await;
    let session = support::session(&engine);
    rows(&session, "GRANT ALL PRIVILEGES ON CATALOG main TO ann").await;
    engine
}

async fn opened() -> (TempDir, Engine) {
    let directory = tempfile::tempdir().expect("directory");
    let engine = engine(directory.path()).await;
    (directory, engine)
}

fn by(principal: &str) -> RequestContext {
    RequestContext::new(Principal::new(principal))
}

fn request(statement: &str) -> StatementRequest {
    StatementRequest {
        statement: statement.to_owned(),
        ..StatementRequest::default()
    }
}

async fn read(result: StatementResult) -> Result<usize, ServiceError> {
    let batches: Vec<_> = result.batches.try_collect().await?;
    Ok(batches.iter().map(arrow::array::RecordBatch::num_rows).sum())
}

/// Runs a statement to its last row, and returns its id.
async fn run(engine: &Engine, statement: &str) -> uuid::Uuid {
    let context = by("ann");
    let result = engine.execute(&context, request(statement)).await.expect("rows");
    read(result).await.expect("rows");
    context.statement_id
}

fn history(engine: &Engine) -> Arc<dyn StatementHistory> {
    engine.history().expect("a history")
}

async fn all(engine: &Engine) -> Vec<StatementRecord> {
    let listed = history(engine)
        .list(&by("tester"), HistoryFilter::default())
        .await;
    listed.expect("listed")
}

async fn record(engine: &Engine, id: uuid::Uuid) -> StatementRecord {
    let records = all(engine).await;
    let found = records.into_iter().find(|record| record.statement_id == id);
    found.expect("a record")
}

#[tokio::test]
async fn a_query_leaves_what_it_read_and_gave() {
    let (_directory, engine) = opened().await;
    run(
        &engine,
        "CREATE TABLE t (id BIGINT, part INT) PARTITIONED BY (part)",
    )
    .await;
    let insert = "INSERT INTO t SELECT id, CAST(id % 4 AS INT) FROM range(1000)";
    let insert = record(&engine, run(&engine, insert).await).await;
    assert_eq!(insert.statement_type, "INSERT");
    assert_eq!(
        (insert.counts.written_files, insert.counts.written_rows),
        (4, 1000)
    );
    assert!(insert.counts.written_bytes > 0);

    let id = run(&engine, "SELECT id FROM t WHERE part = 1").await;
    let select = record(&engine, id).await;
    assert_eq!(select.status, StatementStatus::Finished);
    assert_eq!(select.statement_text, "SELECT id FROM t WHERE part = 1");
    assert_eq!(select.executed_by, "ann");
    assert_eq!((select.counts.read_files, select.counts.pruned_files), (1, 3));
    assert_eq!((select.counts.read_rows, select.counts.produced_rows), (250, 250));
    assert!(select.counts.read_bytes > 0);
    assert!(!select.from_result_cache);
    let end = select.end_time.expect("it has ended");
    assert!(select.start_time <= end);
    let times = select.times;
    assert!(times.compilation + times.execution <= times.total, "{times:?}");

    // Results are not kept while a test beside this one asks for the time.
    let mut again = None;
    for _ in 0..100 {
        let id = run(&engine, "SELECT id FROM t WHERE part = 1").await;
        again = Some(record(&engine, id).await).filter(|again| again.from_result_cache);
        if again.is_some() {
            break;
        }
    }
    let again = again.expect("a kept result");
    assert_eq!((again.counts.read_files, again.counts.produced_rows), (0, 250));
}

#[test_case("SELECT * FROM nowhere", "[TABLE_OR_VIEW_NOT_FOUND]"; "before the first row")]
#[test_case("SELECT 1 DIV (id - 2) FROM range(3)", "[DIVIDE_BY_ZERO]"; "as rows are made")]
#[test_case("SELEC 1", "[PARSE_SYNTAX_ERROR]"; "no statement")]
#[tokio::test]
async fn what_fails_says_why(statement: &str, condition: &str) {
    let (_directory, engine) = opened().await;
    let context = by("ann");
    let outcome = async { read(engine.execute(&context, request(statement)).await?).await };
    outcome.await.expect_err("it fails");
    let record = record(&engine, context.statement_id).await;
    assert_eq!(record.status, StatementStatus::Failed);
    let message = record.error_message.expect("a message");
    assert!(message.starts_with(condition), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_has_cancelled() {
    let (_directory, engine) = opened().await;
    let context = by("ann");
    let mut result = engine.execute(&context, request(ENDLESS)).await.expect("rows");
    result.batches.try_next().await.expect("a batch");
    let running = record(&engine, context.statement_id).await;
    assert_eq!(
        (running.status, running.end_time),
        (StatementStatus::Running, None)
    );
    assert!(running.counts.produced_rows > 0);
    drop(result);
    let left = record(&engine, context.statement_id).await;
    assert_eq!(left.status, StatementStatus::Canceled);
    assert!(left.end_time.is_some());

    // One that leaves before there is a row.
    let context = by("ann");
    let long = "SELECT count(*) FROM range(10000000) a CROSS JOIN range(10000000) b";
    let executed = engine.execute(&context, request(long));
    let left = tokio::time::timeout(Duration::from_millis(100), async { read(executed.await?).await });
    assert!(left.await.is_err(), "it ended");
    let ended = async {
        while !record(&engine, context.statement_id).await.status.ended() {
            tokio::task::yield_now().await;
        }
    };
    let patience = Duration::from_secs(60);
    tokio::time::timeout(patience, ended).await.expect("it ends");
    assert_eq!(
        record(&engine, context.statement_id).await.status,
        StatementStatus::Canceled
    );
}

#[tokio::test]
async fn what_is_cancelled_says_so() {
    let (_directory, engine) = opened().await;
    let context = by("ann");
    context.cancellation.cancel();
    let refused = engine.execute(&context, request("SELECT * FROM range(10)")).await;
    assert_eq!(refused.expect_err("cancelled").kind, Kind::Cancelled);
    assert_eq!(
        record(&engine, context.statement_id).await.status,
        StatementStatus::Canceled
    );
}

#[tokio::test]
async fn all_rows_are_all_whether_their_end_was_asked_for_or_not() {
    let (_directory, engine) = opened().await;
    let context = by("ann");
    let mut result = engine.execute(&context, request("SELECT 1")).await.expect("rows");
    let batch = result.batches.try_next().await.expect("rows").expect("a batch");
    assert_eq!(batch.num_rows(), 1);
    // What follows is known once the plan's task has ended.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    drop(result);
    assert_eq!(
        record(&engine, context.statement_id).await.status,
        StatementStatus::Finished
    );
    // A write is done before its rows are read.
    let context = by("ann");
    let result = engine
        .execute(&context, request("CREATE TABLE t AS SELECT 1 AS a"))
        .await;
    drop(result.expect("created"));
    assert_eq!(
        record(&engine, context.statement_id).await.status,
        StatementStatus::Finished
    );
}

#[tokio::test]
async fn a_statement_that_waits_is_queued_and_one_that_may_not_has_failed() {
    let directory = tempfile::tempdir().expect("directory");
    let options = EngineOptions {
        statements: StatementLimits {
            running_max: 1,
            queued_max: 1,
            ..StatementLimits::default()
        },
        ..options(directory.path())
    };
    let engine = support::engine_with(directory.path(), support::tables(), options).await;
    let first = by("ann");
    let mut running = engine
        .execute(&first, request("SELECT id FROM range(1000000000000)"))
        .await
        .expect("rows");
    running.batches.try_next().await.expect("a batch");
    let second = by("ann");
    let short = "SELECT count(*) FROM range(10)";
    let waiting = async { read(engine.execute(&second, request(short)).await?).await };
    let meanwhile = async {
        while engine.statements() != (1, 1) {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            record(&engine, second.statement_id).await.status,
            StatementStatus::Queued
        );
        let third = by("ann");
        let refused = engine.execute(&third, request(short)).await.expect_err("refused");
        assert_eq!(refused.kind, Kind::ResourceExhausted);
        let refused = record(&engine, third.statement_id).await;
        assert_eq!(refused.status, StatementStatus::Failed);
        drop(running);
    };
    let (rows, ()) = tokio::join!(waiting, meanwhile);
    assert_eq!(rows.expect("rows"), 1);
    assert_eq!(
        record(&engine, second.statement_id).await.status,
        StatementStatus::Finished
    );
}

#[tokio::test]
async fn history_outlives_its_process_and_is_shared() {
    let directory = tempfile::tempdir().expect("directory");
    let (one, other) = (engine(directory.path()).await, engine(directory.path()).await);
    let first = run(&one, "SELECT 'first'").await;
    let second = run(&other, "SELECT 'second'").await;
    for engine in [one, other] {
        assert!(engine.ended(Duration::from_secs(60)).await);
    }
    let next = engine(directory.path()).await;
    let ids: Vec<_> = all(&next)
        .await
        .iter()
        .map(|record| record.statement_id)
        .collect();
    assert_eq!(ids.len(), 2);
    assert!(ids.contains(&first) && ids.contains(&second));
}

#[tokio::test]
async fn a_statement_is_written_soon_without_anybody_asking() {
    let (directory, engine) = opened().await;
    let id = run(&engine, "SELECT 1").await;
    let file = directory.path().join("history.sqlite");
    let store = ingot_catalog::HistoryStore::open(&file).await.expect("store");
    let written = async {
        loop {
            let listed = store.list(&HistoryFilter::default()).await.expect("listed");
            if let Some(record) = listed.first() {
                return record.statement_id;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let patience = Duration::from_secs(60);
    assert_eq!(
        tokio::time::timeout(patience, written).await.expect("written"),
        id
    );
    assert_eq!(all(&engine).await.len(), 1, "it is listed once");
}

#[tokio::test]
async fn others_see_their_own_statements_alone() {
    let (_directory, engine) = opened().await;
    let id = run(&engine, "SELECT 'of ann'").await;
    let query = "SELECT statement_text FROM system.query.history WHERE statement_text LIKE '%of ann%' AND statement_text \
                 NOT LIKE '%history%'";
    for (principal, seen) in [("ann", 1), ("tester", 1), ("bob", 0)] {
        let context = by(principal);
        let result = engine.execute(&context, request(query)).await.expect("rows");
        assert_eq!(read(result).await.expect("rows"), seen, "{principal}");
        let profile = history(&engine).profile(&by(principal), id).await;
        assert_eq!(profile.is_ok(), seen == 1, "{principal}");
    }
    let filter = HistoryFilter {
        executed_by: Some("ann".to_owned()),
        ..HistoryFilter::default()
    };
    let listed = history(&engine).list(&by("bob"), filter).await.expect("listed");
    assert_eq!(listed, []);
}

#[tokio::test]
async fn sessions_and_their_tags_are_known() {
    let (_directory, engine) = opened().await;
    let settings = [("QUERY_TAGS".to_owned(), "team:a\\:b,alone".to_owned())];
    let session = SessionRequest {
        settings: settings.into(),
        ..SessionRequest::default()
    };
    let session: Arc<dyn StatementSession> = engine.open_session(&by("ann"), session).await.expect("session");
    let mut context = by("ann");
    context.session_id = Some(uuid::Uuid::from_u128(9));
    context.user_agent = Some("PyDatabricksSqlConnector/4.4.0 (dbt-databricks/1.12.8)".to_owned());
    context.query_tags = Some("alone:no,own:1".to_owned());
    let set = "SET QUERY_TAGS['env'] = 'prod', QUERY_TAGS['team'] = UNSET, QUERY_TAGS['key'] = NULL";
    let result = session.execute(&by("ann"), set.to_owned(), Vec::new()).await;
    read(result.expect("set")).await.expect("set");
    let result = session
        .execute(&context, "SET QUERY_TAGS".to_owned(), Vec::new())
        .await;
    assert_eq!(read(result.expect("rows")).await.expect("rows"), 3);
    let record = record(&engine, context.statement_id).await;
    assert_eq!(record.session_id, context.session_id);
    assert_eq!(record.statement_type, "SET");
    assert_eq!(record.client_application.as_deref(), Some("dbt-databricks"));
    assert_eq!(
        record.client_driver.as_deref(),
        Some("Databricks SQL Connector for Python")
    );
    let tags: Vec<_> = record
        .query_tags
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_deref()))
        .collect();
    assert_eq!(
        tags,
        [
            ("alone", Some("no")),
            ("env", Some("prod")),
            ("key", None),
            ("own", Some("1"))
        ]
    );
    for refused in [
        "SET QUERY_TAGS[''] = 'x'",
        "SET QUERY_TAGS['a']",
        "SET QUERY_TAGS['a'] = ",
    ] {
        session
            .execute(&by("ann"), refused.to_owned(), Vec::new())
            .await
            .expect_err(refused);
    }
}

#[tokio::test]
async fn statements_of_a_script_stand_beside_it() {
    let (_directory, engine) = opened().await;
    let script = "BEGIN CREATE TABLE t AS SELECT id FROM range(5); SELECT sum(id) FROM t; END";
    let id = run(&engine, script).await;
    let mut texts: Vec<_> = all(&engine)
        .await
        .into_iter()
        .map(|record| (record.statement_type, record.status))
        .collect();
    texts.sort_by(|a, b| a.0.cmp(&b.0));
    let finished = StatementStatus::Finished;
    let expected = ["CREATE", "OTHER", "SELECT"].map(|kind| (kind.to_owned(), finished));
    assert_eq!(texts, expected);
    let script = record(&engine, id).await;
    assert_eq!((script.counts.written_rows, script.counts.read_rows), (5, 5));
    assert_eq!(script.counts.produced_rows, 1);

    let failing = "BEGIN SELECT * FROM nowhere; END";
    engine
        .execute(&by("ann"), request(failing))
        .await
        .expect_err("it fails");
    let failed = all(&engine)
        .await
        .into_iter()
        .filter(|record| record.status == StatementStatus::Failed);
    assert_eq!(failed.count(), 2);
}

#[tokio::test]
async fn a_read_of_a_table_is_a_statement() {
    let (_directory, engine) = opened().await;
    run(&engine, "CREATE TABLE t AS SELECT id FROM range(5)").await;
    let part = |text: &str| Identifier::new(text).expect("name");
    let request = TableRequest {
        table: TableName::new(part("main"), part("default"), part("t")),
        version: TableVersion::Latest,
        changes_since: None,
    };
    let query = TableQuery {
        filters: Vec::new(),
        aggregation: None,
        order: Vec::new(),
        select: vec!["id".to_owned()],
        limit: Some(2),
    };
    let context = by("ann");
    let table = engine.open_table(&context, request).await.expect("opened");
    let result = table.rows(query).await.expect("rows");
    assert_eq!(read(result).await.expect("rows"), 2);
    let record = record(&engine, context.statement_id).await;
    assert_eq!(record.statement_text, "SELECT id FROM main.default.t LIMIT 2");
    assert_eq!(
        (record.status, record.counts.produced_rows),
        (StatementStatus::Finished, 2)
    );
}

#[tokio::test]
async fn an_id_is_of_one_statement_at_a_time() {
    let (_directory, engine) = opened().await;
    let context = by("ann");
    let running = engine.execute(&context, request(ENDLESS)).await.expect("rows");
    let refused = engine
        .execute(&context, request("SELECT 1"))
        .await
        .expect_err("taken");
    assert_eq!(refused.kind, Kind::AlreadyExists);
    assert_eq!(
        record(&engine, context.statement_id).await.status,
        StatementStatus::Running
    );
    drop(running);
}

fn operators(plan: &OperatorProfile, found: &mut Vec<OperatorProfile>) {
    found.push(plan.clone());
    plan.children.iter().for_each(|child| operators(child, found));
}

async fn profile(engine: &Engine, id: uuid::Uuid) -> StatementProfile {
    history(engine).profile(&by("ann"), id).await.expect("a profile")
}

#[tokio::test]
async fn a_profile_counts_what_operators_did() {
    let (_directory, engine) = opened().await;
    run(
        &engine,
        "CREATE TABLE t AS SELECT id, id % 10 AS k FROM range(1000)",
    )
    .await;
    let query = "SELECT a.k, count(*) FROM t a JOIN t b ON a.id = b.id GROUP BY a.k ORDER BY a.k";
    let id = run(&engine, query).await;
    let profile = profile(&engine, id).await;
    assert_eq!(profile.statement.counts.read_rows, 2000);
    let mut found = Vec::new();
    profile.plans.iter().for_each(|plan| operators(plan, &mut found));
    let named = |name: &str| found.iter().find(|operator| operator.name == name).expect(name);
    assert_eq!(named("HashJoinExec").metrics["output_rows"], 1000);
    assert_eq!(named("SortExec").metrics["output_rows"], 10);
    assert_eq!(named("DeltaScanExec").metrics["output_rows"], 1000);
    assert!(named("HashJoinExec").details.contains("id"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_statement_shows_how_far_it_is() {
    let (_directory, engine) = opened().await;
    run(&engine, "CREATE TABLE t AS SELECT id FROM range(100000)").await;
    let context = by("ann");
    let query = "SELECT a.id FROM t a CROSS JOIN range(1000000) b";
    let mut result = engine.execute(&context, request(query)).await.expect("rows");
    result.batches.try_next().await.expect("a batch");
    let profile = profile(&engine, context.statement_id).await;
    assert_eq!(profile.statement.status, StatementStatus::Running);
    assert!(profile.statement.counts.read_rows > 0);
    drop(result);
}

#[tokio::test]
async fn as_many_profiles_are_kept_as_the_options_say() {
    let directory = tempfile::tempdir().expect("directory");
    let options = EngineOptions {
        history: HistoryOptions {
            profiles_max: 2,
            ..options(directory.path()).history
        },
        ..options(directory.path())
    };
    let engine = support::engine_with(directory.path(), support::tables(), options).await;
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(run(&engine, &format!("SELECT {number}")).await);
    }
    let history = history(&engine);
    let gone = history.profile(&by("ann"), ids[0]).await.expect_err("gone");
    assert_eq!(gone.kind, Kind::NotFound);
    for id in &ids[1..] {
        history.profile(&by("ann"), *id).await.expect("kept");
    }
}

#[tokio::test]
async fn the_table_is_one_as_others_are() {
    let (_directory, engine) = opened().await;
    let id = run(&engine, "SELECT 7 AS seven").await;
    let session = engine.session(&by("tester")).expect("session");
    let query = format!(
        "SELECT execution_status, statement_type, compute.warehouse_id, produced_rows, query_source.job_info.job_id, \
         query_tags['a'] FROM system.query.history WHERE statement_id = '{id}'"
    );
    assert_eq!(
        rows(&session, &query).await,
        ["FINISHED|SELECT|ingot|1|NULL|NULL"]
    );
    let counted = [
        "start_time > current_timestamp() - INTERVAL 1 HOUR",
        "start_time BETWEEN current_timestamp() - INTERVAL 1 HOUR AND current_timestamp()",
        "executed_by = 'ann' AND execution_status = 'FINISHED'",
        "total_duration_ms >= 0 OR statement_id = 'x'",
    ];
    for filter in counted {
        let query = format!("SELECT count(*) FROM system.query.history WHERE {filter}");
        assert_eq!(rows(&session, &query).await, ["1"], "{filter}");
    }
    for filter in [
        "start_time < '2020-01-01'",
        "executed_by = 'bob'",
        "statement_id = 'x'",
    ] {
        let query = format!("SELECT count(*) FROM system.query.history WHERE {filter}");
        assert_eq!(rows(&session, &query).await, ["0"], "{filter}");
    }
    assert_eq!(
        rows(&session, "SHOW TABLES IN system.query").await,
        ["query|history|false"]
    );
    let described = rows(&session, "DESCRIBE TABLE system.query.history").await;
    assert!(
        described.contains(&"statement_text|string|".to_owned()),
        "{described:?}"
    );
    assert!(
        described.contains(&"query_tags|map<string,string>|".to_owned()),
        "{described:?}"
    );
    let extended = rows(&session, "DESCRIBE EXTENDED system.query.history").await;
    assert!(extended.len() > described.len());
    let listed = "SELECT table_type FROM system.information_schema.tables WHERE table_schema = 'query'";
    assert_eq!(rows(&session, listed).await, ["MANAGED"]);
}
