//! Streaming tables with a query: each micro-batch is appended.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use ingot_common::SchemaName;
use ingot_delta::DeltaTable;
use ingot_engine::Session;
use ingot_streaming::{BatchInfo, BatchOutcome, BatchOutput, BatchSink, BatchWrite, OutputMode, write_batch};
use uuid::Uuid;

use crate::definition::{Dataset, Expectation};
use crate::event::{BatchKey, EventLog};
use crate::expectation::Checks;
use crate::{Error, Result};

/// Appends the rows of the dataset's query that its expectations let through.
pub(crate) struct StreamingTableSink {
    table: Arc<DeltaTable>,
    namespace: SchemaName,
    dataset: String,
    query: String,
    expectations: Vec<Expectation>,
    events: EventLog,
    /// The checks of the last batch, for the reason of a failure.
    checks: std::sync::Mutex<Option<Arc<Checks>>>,
}

impl StreamingTableSink {
    /// Makes the sink of `dataset` over its table.
    pub fn new(
        dataset: &Dataset,
        query: &str,
        namespace: &SchemaName,
        table: Arc<DeltaTable>,
        events: EventLog,
    ) -> Self {
        Self {
            table,
            namespace: namespace.clone(),
            dataset: dataset.name.to_string(),
            query: query.to_owned(),
            expectations: dataset.expectations.clone(),
            events,
            checks: std::sync::Mutex::default(),
        }
    }

    /// Returns the error of the expectation that stopped the query, if one did.
    pub fn violation(&self) -> Option<Error> {
        let checks = self
            .checks
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        checks.as_ref().and_then(|checks| checks.violation())
    }

    async fn add(&self, session: &Session, batch: &BatchInfo) -> Result<BatchOutput> {
        session.use_namespace(&self.namespace).await?;
        let checks = Checks::new(self.dataset.clone(), self.expectations.clone());
        {
            let mut last = self
                .checks
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            *last = Some(Arc::clone(&checks));
        }
        let begun = Instant::now();
        let rows = checks.plan(session, &self.query).await?;
        let planning = begun.elapsed();
        let remark = |rows_out| checks.counted(rows_out).remark();
        let write = BatchWrite {
            rows,
            mode: OutputMode::Append,
            operation: None,
            remark: Some(&remark),
        };
        let key = BatchKey {
            query_id: batch.query_id,
            batch_id: batch.batch_id,
        };
        let rows_out = match write_batch(session, &self.table, batch, write).await? {
            BatchOutcome::Added { rows } => {
                let event = checks.counted(rows).event(&self.dataset);
                self.events.note_batch(key, event, true);
                rows
            }
            // Its counts come into the log from its commit.
            BatchOutcome::AlreadyThere => 0,
        };
        Ok(BatchOutput { rows_out, planning })
    }
}

#[async_trait]
impl BatchSink for StreamingTableSink {
    fn description(&self) -> String {
        format!("DeltaSink[{}]", self.table.location())
    }

    async fn committed_batch(&self, query_id: Uuid) -> ingot_streaming::Result<Option<i64>> {
        let snapshot = self.table.snapshot().await?;
        Ok(snapshot.app_transaction(&query_id.to_string()).await?)
    }

    async fn add_batch(&self, session: &Session, batch: &BatchInfo) -> ingot_streaming::Result<BatchOutput> {
        self.add(session, batch).await.map_err(into_streaming)
    }
}

/// Hands an error to the query that runs the sink.
pub(crate) fn into_streaming(error: Error) -> ingot_streaming::Error {
    match error {
        Error::Streaming(error) => *error,
        Error::Engine(error) => error.into(),
        Error::Delta(error) => error.into(),
        other => ingot_streaming::Error::Sink(Box::new(ingot_common::ServiceError::from_error(&other))),
    }
}
