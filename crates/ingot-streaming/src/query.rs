//! A running query: the loop of micro-batches.

mod batches;
mod handle;
mod recovery;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ingot_common::{Principal, RequestContext};
use ingot_engine::Engine;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{BatchInfo, BatchOutput, BatchSink, Result, SourceBatch, SourceRelation};

use batches::{BatchRunner, MicroBatches};
pub use handle::{ProgressListener, QueryHandle};

/// When batches run. Source: Spark, `Trigger`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// A batch each interval, as soon as possible when zero; until stopped.
    ProcessingTime(Duration),
    /// All that was there at the start, in as many batches as limits need; then ends.
    AvailableNow,
    /// One batch of all there is, whatever the limits; then ends.
    Once,
}

/// Settings of a query.
#[derive(Debug, Clone)]
pub struct QueryOptions {
    pub name: Option<String>,
    /// Folder of the checkpoint; created if missing. One run at a time holds it.
    pub checkpoint: PathBuf,
    /// The query's id, the `appId` of its transactions. Give it where it can be told without the checkpoint: a
    /// checkpoint that was lost is then noticed, because the sink knows the query. A new checkpoint gets an id of its
    /// own when `None`.
    pub query_id: Option<Uuid>,
    pub trigger: Trigger,
    /// On whose behalf batches read and write.
    pub principal: Principal,
}

/// A query before it runs.
pub struct StreamingQuery {
    pub options: QueryOptions,
    pub sources: Vec<SourceRelation>,
    pub sink: Arc<dyn BatchSink>,
}

impl StreamingQuery {
    /// Runs until the trigger is done, `token` is cancelled (at a safe point; `Ok`) or an error. Recovers from
    /// the checkpoint first. A source that is away for a while (broker down) is waited for, not an error.
    ///
    /// Dropping the future is safe: what was under way is done again by the next run.
    ///
    /// # Errors
    /// `FailedPrecondition` when the checkpoint is held by another run, or does not fit the sources or the sink;
    /// `DataLoss` when a source no longer has what comes next; `Unavailable` when a source stayed away.
    pub async fn run(self, engine: &Engine, handle: &QueryHandle, token: CancellationToken) -> Result<()> {
        let runner = EngineRunner {
            engine,
            sink: Arc::clone(&self.sink),
            principal: self.options.principal.clone(),
            token: token.clone(),
        };
        MicroBatches::open(self.options, self.sources, runner, handle, token)
            .await?
            .run()
            .await
    }
}

/// Runs each batch in a session of its own.
struct EngineRunner<'a> {
    engine: &'a Engine,
    sink: Arc<dyn BatchSink>,
    principal: Principal,
    token: CancellationToken,
}

#[async_trait]
impl BatchRunner for EngineRunner<'_> {
    fn description(&self) -> String {
        self.sink.description()
    }

    async fn committed_batch(&self, query_id: Uuid) -> Result<Option<i64>> {
        self.sink.committed_batch(query_id).await
    }

    async fn add_batch(&self, batch: &BatchInfo, relations: &[(String, SourceBatch)]) -> Result<BatchOutput> {
        let mut context = RequestContext::new(self.principal.clone());
        context.cancellation = self.token.child_token();
        let session = self.engine.session(&context)?;
        for (name, rows) in relations {
            session.register_relation(name, Arc::clone(&rows.relation))?;
        }
        self.sink.add_batch(&session, batch).await
    }
}
