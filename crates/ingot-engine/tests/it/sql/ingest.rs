//! Rows of clients, values of Arrow for markers, and what is known of a statement before it runs: through the port.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use ingot_common::port::{
    IfExists, IfMissing, IngestRequest, SessionRequest, StatementResult, StatementService, StatementSession,
};
use ingot_common::{Kind, Principal, RequestContext, ServiceError};
use ingot_engine::Engine;
use test_case::test_case;

use super::open;
use crate::support;

type Sent = Result<RecordBatch, ServiceError>;

fn tester() -> RequestContext {
    RequestContext::new(Principal::new("tester"))
}

async fn opened(engine: &Engine) -> Arc<dyn StatementSession> {
    let opened = engine.open_session(&tester(), SessionRequest::default()).await;
    opened.expect("a session")
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).expect("batch")
}

fn numbers(values: &[i32]) -> RecordBatch {
    batch(vec![("a", Arc::new(Int32Array::from(values.to_vec())) as _)])
}

fn request(columns: SchemaRef, rows: impl futures::Stream<Item = Sent> + Send + 'static) -> IngestRequest {
    IngestRequest {
        catalog: None,
        schema: None,
        table: "t".to_owned(),
        if_missing: IfMissing::Create,
        if_exists: IfExists::Append,
        columns,
        rows: rows.boxed(),
    }
}

async fn text(result: StatementResult) -> String {
    let batches: Vec<_> = result.batches.try_collect().await.expect("rows");
    support::text(&batches)
}

async fn asked(session: &Arc<dyn StatementSession>, statement: &str) -> Result<String, ServiceError> {
    let result = session
        .execute(&tester(), statement.to_owned(), Vec::new())
        .await?;
    Ok(text(result).await)
}

/// The versions of the table, newest first.
async fn operations(session: &Arc<dyn StatementSession>) -> usize {
    let shown = asked(session, "SELECT operation FROM (DESCRIBE HISTORY t)").await;
    shown.expect("history").lines().count() - 4
}

#[test_case(IfMissing::Create, IfExists::Fail, None, Some(Kind::AlreadyExists); "create")]
#[test_case(IfMissing::Fail, IfExists::Append, Some(Kind::NotFound), None; "append")]
#[test_case(IfMissing::Create, IfExists::Append, None, None; "create or append")]
#[test_case(IfMissing::Create, IfExists::Replace, None, None; "create or replace")]
#[test_case(IfMissing::Fail, IfExists::Replace, Some(Kind::NotFound), None; "replace")]
#[test_case(IfMissing::Fail, IfExists::Fail, Some(Kind::InvalidArgument), Some(Kind::InvalidArgument); "nothing")]
#[tokio::test]
async fn a_table_is_there_or_not(
    if_missing: IfMissing,
    if_exists: IfExists,
    without: Option<Kind>,
    with: Option<Kind>,
) {
    let (_directory, engine, _) = open().await;
    let session = opened(&engine).await;
    let rows = || {
        let rows = numbers(&[1, 2]);
        let request = request(rows.schema(), futures::stream::iter([Ok(rows)]));
        IngestRequest {
            if_missing,
            if_exists,
            ..request
        }
    };
    let ended = session.ingest(&tester(), rows()).await;
    assert_eq!(ended.err().map(|error| error.kind), without);
    if without.is_some() {
        asked(&session, "CREATE TABLE t (a INT)").await.expect("created");
    }
    let ended = session.ingest(&tester(), rows()).await;
    assert_eq!(ended.err().map(|error| error.kind), with);
}

#[tokio::test]
async fn rows_that_end_with_an_error_leave_nothing() {
    let (_directory, engine, _) = open().await;
    let session = opened(&engine).await;
    let broken = || {
        let gone = ServiceError::new(Kind::Cancelled, "the client went away");
        let rows = futures::stream::iter([Ok(numbers(&[1])), Err(gone)]);
        request(numbers(&[]).schema(), rows)
    };
    let error = session.ingest(&tester(), broken()).await.expect_err("broken off");
    assert_eq!(
        (error.kind, error.message.as_str()),
        (Kind::Cancelled, "the client went away")
    );
    let missing = asked(&session, "SELECT * FROM t").await.expect_err("never made");
    assert_eq!(missing.condition.as_deref(), Some("TABLE_OR_VIEW_NOT_FOUND"));
    asked(&session, "CREATE TABLE t (a INT)").await.expect("created");
    session.ingest(&tester(), broken()).await.expect_err("broken off");
    assert_eq!(operations(&session).await, 1);
}

/// What an ingestion will give.
type Ending = BoxFuture<'static, Result<StatementResult, ServiceError>>;

/// Begins an ingestion into a table that exists, and waits until it reads.
async fn begun(session: &Arc<dyn StatementSession>) -> (UnboundedSender<Sent>, Ending) {
    let (sender, rows) = unbounded();
    let (read, mut reads) = tokio::sync::mpsc::channel(1);
    let rows = rows.inspect(move |_| {
        let _ = read.try_send(());
    });
    let request = request(numbers(&[]).schema(), rows);
    let session = Arc::clone(session);
    let mut ending: Ending = Box::pin(async move { session.ingest(&tester(), request).await });
    sender.unbounded_send(Ok(numbers(&[1]))).expect("open");
    tokio::select! {
        _ = &mut ending => panic!("there is more to come"),
        read = reads.recv() => read.expect("it reads"),
    }
    (sender, ending)
}

#[tokio::test]
async fn rows_are_not_read_again_for_other_columns() {
    let (_directory, engine, _) = open().await;
    let (session, other) = (opened(&engine).await, opened(&engine).await);
    asked(&session, "CREATE TABLE t (a INT)").await.expect("created");
    let (sender, ending) = begun(&session).await;
    asked(&other, "ALTER TABLE t ADD COLUMN b INT")
        .await
        .expect("altered");
    drop(sender);
    let error = ending.await.expect_err("a conflict");
    assert_eq!(error.condition.as_deref(), Some("DELTA_METADATA_CHANGED"));
    let rows = asked(&other, "SELECT count(*) AS n FROM t").await.expect("rows");
    assert!(rows.contains("| 0 |"), "{rows}");
}

#[tokio::test]
async fn others_may_write_meanwhile() {
    let (_directory, engine, _) = open().await;
    let (session, other) = (opened(&engine).await, opened(&engine).await);
    asked(&session, "CREATE TABLE t (a INT)").await.expect("created");
    let (sender, ending) = begun(&session).await;
    asked(&other, "INSERT INTO t VALUES (7)").await.expect("inserted");
    drop(sender);
    let counted = ending.await.expect("ingested");
    assert!(text(counted).await.contains("| 1 "));
    let rows = asked(&other, "SELECT sum(a) AS n FROM t").await.expect("rows");
    assert!(rows.contains("| 8 |"), "{rows}");
}

#[tokio::test]
async fn an_ingestion_that_is_dropped_leaves_nothing() {
    let (_directory, engine, _) = open().await;
    let session = opened(&engine).await;
    asked(&session, "CREATE TABLE t (a INT)").await.expect("created");
    let (sender, ending) = begun(&session).await;
    drop(ending);
    // Its session has a turn again once it has ended.
    assert_eq!(operations(&session).await, 1);
    drop(sender);
}

#[tokio::test]
async fn values_of_arrow_are_bound() {
    let (_directory, engine, _) = open().await;
    let session = opened(&engine).await;
    let values = batch(vec![
        ("n", Arc::new(Int64Array::from(vec![7])) as ArrayRef),
        ("Text", Arc::new(StringArray::from(vec!["it's"]))),
        ("bytes", Arc::new(BinaryArray::from(vec![&[0_u8, 0xff][..]]))),
    ]);
    for statement in [
        "SELECT ? + 1 AS x, ? || '!' AS y, hex(?) AS z",
        "SELECT :n + 1 AS x, :text || '!' AS y, hex(:bytes) AS z",
    ] {
        let result = session
            .execute_bound(&tester(), statement.to_owned(), values.clone())
            .await;
        let shown = text(result.expect("rows")).await;
        assert!(shown.contains("| 8 | it's! | 00FF |"), "{shown}");
    }
}

#[test_case("SELECT 1 AS a, 'x' AS b", Some("a,b"), 0; "a query")]
#[test_case("WITH q AS (SELECT 1 AS a) SELECT * FROM q", Some("a"), 0; "a query with a name")]
#[test_case("SELECT * FROM t WHERE a = ? AND '?' <> ?", Some("a"), 2; "markers")]
#[test_case("SELECT :x AS x, nowhere FROM t", None, 0; "what only values tell")]
#[test_case("SHOW SCHEMAS", Some("databaseName"), 0; "a listing")]
#[test_case("DESCRIBE TABLE t", Some("col_name,data_type,comment"), 0; "a description")]
#[test_case("INSERT INTO t VALUES (?)", None, 1; "a change")]
#[test_case("CREATE TABLE other (a INT)", None, 0; "a definition")]
#[test_case("DROP TABLE t", None, 0; "a removal")]
#[tokio::test]
async fn a_statement_is_known_before_it_runs(statement: &str, columns: Option<&str>, markers: usize) {
    let (_directory, engine, _) = open().await;
    let session = opened(&engine).await;
    asked(&session, "CREATE TABLE t (a INT)").await.expect("created");
    let described = session
        .describe(&tester(), statement.to_owned())
        .await
        .expect("described");
    let names = described.schema.map(|schema| {
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().clone()).collect();
        names.join(",")
    });
    assert_eq!((names.as_deref(), described.markers), (columns, markers));
    assert_eq!(operations(&session).await, 1, "nothing has changed");
    asked(&session, "SELECT * FROM other")
        .await
        .expect_err("nothing was made");
}

#[test_case("SELECT * FROM nowhere", "TABLE_OR_VIEW_NOT_FOUND"; "no such table")]
#[test_case("SELEC 1", "PARSE_SYNTAX_ERROR"; "no statement")]
#[tokio::test]
async fn what_is_wrong_is_known_before_it_runs(statement: &str, condition: &str) {
    let (_directory, engine, _) = open().await;
    let session = opened(&engine).await;
    let error = session
        .describe(&tester(), statement.to_owned())
        .await
        .expect_err("wrong");
    assert_eq!(error.condition.as_deref(), Some(condition));
}
