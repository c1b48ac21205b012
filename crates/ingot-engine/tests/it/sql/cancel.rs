//! Cancelled statements: nothing has changed, or all of it has.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use ingot_common::{Classify, Kind, Principal, RequestContext};
use tokio_util::sync::CancellationToken;

use super::{new_session, open, refused, rows, run, try_rows};
use crate::hooked_store::HookedStore;
use crate::support;

/// Rows without end; the request is cancelled when the second batch is asked for.
#[derive(Debug)]
struct Endless {
    schema: SchemaRef,
    cancellation: CancellationToken,
}

impl PartitionStream for Endless {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batch = RecordBatch::try_new(
            Arc::clone(&self.schema),
            vec![Arc::new(Int64Array::from(vec![1]))],
        );
        let batch = batch.expect("valid rows");
        let cancellation = self.cancellation.clone();
        let batches = futures::stream::unfold(0, move |place| {
            if place == 1 {
                cancellation.cancel();
            }
            let batch = batch.clone();
            async move {
                tokio::task::yield_now().await;
                Some((Ok(batch), place + 1))
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

fn endless(cancellation: &CancellationToken) -> Arc<dyn TableProvider> {
    let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
    let stream = Endless {
        schema: Arc::clone(&schema),
        cancellation: cancellation.clone(),
    };
    Arc::new(StreamingTable::try_new(schema, vec![Arc::new(stream)]).expect("streaming table"))
}

#[tokio::test]
async fn a_write_that_is_cancelled_leaves_no_trace() {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &["CREATE TABLE t (a BIGINT)", "INSERT INTO t VALUES (7)"],
    )
    .await;
    for statement in [
        "CREATE TABLE made AS SELECT * FROM endless",
        "CREATE OR REPLACE TABLE t AS SELECT a + 1 AS b FROM endless",
        "INSERT INTO t SELECT * FROM endless",
        "INSERT OVERWRITE t SELECT * FROM endless",
        "MERGE INTO t USING endless s ON t.a = s.a WHEN NOT MATCHED THEN INSERT *",
    ] {
        let context = RequestContext::new(Principal::new("hasty"));
        let hasty = engine.session(&context).expect("session");
        hasty
            .register_relation("endless", endless(&context.cancellation))
            .expect("registered");
        let error = try_rows(&hasty, statement).await.expect_err("cancelled");
        assert_eq!(error.kind(), Kind::Cancelled, "{statement}: {error}");
    }
    assert_eq!(rows(&session, "SELECT a FROM t").await, ["7"]);
    assert_eq!(rows(&session, "DESCRIBE HISTORY t").await.len(), 2);
    assert_eq!(
        refused(&session, "SELECT * FROM made").await,
        "TABLE_OR_VIEW_NOT_FOUND"
    );
    run(&new_session(&engine), &["CREATE TABLE made (a INT)"]).await;
}

#[tokio::test]
async fn a_statement_of_a_request_that_is_cancelled_already_does_nothing() {
    let (_directory, engine, session) = open().await;
    let context = RequestContext::new(Principal::new("hasty"));
    context.cancellation.cancel();
    let hasty = engine.session(&context).expect("session");
    let error = try_rows(&hasty, "CREATE TABLE t (a INT)")
        .await
        .expect_err("cancelled");
    assert_eq!(error.kind(), Kind::Cancelled);
    assert_eq!(
        refused(&session, "SELECT * FROM t").await,
        "TABLE_OR_VIEW_NOT_FOUND"
    );
}

#[tokio::test]
async fn a_commit_in_flight_is_told_as_what_it_becomes() {
    let directory = tempfile::tempdir().expect("directory");
    let (store, tables) = HookedStore::open(&directory.path().join("tables"));
    let engine = support::engine_over(directory.path(), tables).await;
    let session = support::session(&engine);
    run(&session, &["CREATE TABLE t (a INT)"]).await;
    for (version, statement) in [
        (1, "INSERT INTO t VALUES (1)"),
        (2, "INSERT OVERWRITE t VALUES (1)"),
        (
            3,
            "MERGE INTO t USING (SELECT 2 AS a) s ON t.a = s.a WHEN NOT MATCHED THEN INSERT *",
        ),
        (0, "CREATE TABLE made AS SELECT 1 AS a"),
        (1, "CREATE OR REPLACE TABLE made AS SELECT 2 AS b"),
    ] {
        let context = RequestContext::new(Principal::new("hasty"));
        let cancellation = context.cancellation.clone();
        store.before_commit(version, async move {
            cancellation.cancel();
            // Whoever waits for the token gets its turn before the commit is there.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        });
        let service: Arc<dyn ingot_common::port::StatementService> = engine.clone().into();
        let request = ingot_common::port::StatementRequest {
            statement: statement.to_owned(),
            ..Default::default()
        };
        let outcome = service.execute(&context, request).await;
        assert!(context.cancellation.is_cancelled(), "{statement}");
        assert!(outcome.is_ok(), "{statement}: {:?}", outcome.err());
    }
    assert_eq!(rows(&session, "SELECT a FROM t ORDER BY a").await, ["1", "2"]);
    assert_eq!(rows(&session, "SELECT b FROM made").await, ["2"]);
}
