//! A continuous update: all streams at once, views at intervals, until it is stopped.
//!
//! Each dataset fails for itself: a stream is tried again a few times in a row, a view less and less often, and the
//! others go on meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use ingot_common::retry::RetryPolicy;
use ingot_delta::DeltaTable;
use ingot_streaming::Trigger;
use tokio_util::sync::CancellationToken;

use super::{Prepared, Update};
use crate::Result;
use crate::definition::DatasetKind;
use crate::event::Which;
use crate::flow::view::Files;

/// Pause between micro-batches of a continuous update: batches of a useful size at a latency of a second or two.
const BATCH_INTERVAL: Duration = Duration::from_millis(500);
/// Pause between two looks at the inputs of materialized views in a continuous update.
const VIEW_INTERVAL: Duration = Duration::from_secs(2);

/// How often a stream that failed runs again. Source: Databricks, `pipelines.numUpdateRetryAttempts`.
const FLOW_RETRIES: RetryPolicy = RetryPolicy {
    retries_max: 8,
    pause_first: Duration::from_secs(1),
    pause_max: Duration::from_secs(60),
};
/// A stream that ran for so long before it failed has all its retries again.
const FLOW_HEALTHY: Duration = Duration::from_secs(600);
/// Pause between two tries of a view that fails again and again.
const VIEW_PAUSE_MAX: Duration = Duration::from_secs(60);

impl<'a> Update<'a> {
    /// Runs until the token is cancelled, or no stream is left.
    pub(super) async fn continuous(&self, prepared: &[Prepared<'a>], log: &Arc<DeltaTable>) -> Result<()> {
        let streams = prepared
            .iter()
            .filter(|dataset| dataset.node.dataset.kind == DatasetKind::StreamingTable);
        let streams: Vec<_> = streams
            .map(|dataset| self.keep_running(dataset, prepared))
            .collect();
        let views_stop = self.token.child_token();
        let all_streams = async {
            let some = !streams.is_empty();
            let ended = join_all(streams).await;
            // Nothing new can come when no stream is left.
            if some {
                views_stop.cancel();
            }
            ended
        };
        let (ended, views) = tokio::join!(all_streams, self.refresh_at_intervals(prepared, log, &views_stop));
        ended.into_iter().collect::<Result<()>>().and(views)
    }

    /// Runs a stream until it is stopped; after a failure again, a few times in a row.
    async fn keep_running(&self, dataset: &Prepared<'a>, all: &[Prepared<'a>]) -> Result<()> {
        let mut retries = FLOW_RETRIES.attempts();
        loop {
            let begun = Instant::now();
            let stream = self.stream(dataset, all, Trigger::ProcessingTime(BATCH_INTERVAL));
            let Err(error) = self.noted(dataset, stream).await else {
                return Ok(());
            };
            if begun.elapsed() > FLOW_HEALTHY {
                retries = FLOW_RETRIES.attempts();
            }
            let name = dataset.node.dataset.name.to_string();
            tracing::error!(dataset = name, error = %ingot_common::error::chain(&error), "stream of a pipeline failed");
            let again = tokio::select! {
                again = retries.pause() => again,
                () = self.token.cancelled() => return Ok(()),
            };
            if !again {
                return Err(error);
            }
        }
    }

    /// Looks after the views, and after the event log. A view that fails is tried again less and less often.
    async fn refresh_at_intervals(
        &self,
        prepared: &[Prepared<'a>],
        log: &Arc<DeltaTable>,
        stop: &CancellationToken,
    ) -> Result<()> {
        let mut views: Vec<_> = prepared
            .iter()
            .filter(|dataset| dataset.node.dataset.kind == DatasetKind::MaterializedView)
            .map(|dataset| (dataset, Files::Changed, Patience::default()))
            .collect();
        while !stop.is_cancelled() {
            for (dataset, files, patience) in &mut views {
                if stop.is_cancelled() || patience.asks_to_wait() {
                    continue;
                }
                match self.noted(dataset, self.refresh(dataset, *files)).await {
                    Ok(()) => (*files, *patience) = (Files::Unchanged, Patience::default()),
                    Err(error) => {
                        patience.note_failure();
                        let name = dataset.node.dataset.name.to_string();
                        let error = ingot_common::error::chain(&error);
                        tracing::error!(dataset = name, error, "view of a pipeline failed");
                    }
                }
            }
            if !stop.is_cancelled() {
                self.log_events(&self.session()?, log, Which::Complete).await;
            }
            tokio::select! {
                () = tokio::time::sleep(VIEW_INTERVAL) => {}
                () = stop.cancelled() => {}
            }
        }
        Ok(())
    }
}

/// When a view that failed is looked at again.
#[derive(Debug, Clone, Copy, Default)]
struct Patience {
    failures: u32,
    until: Option<Instant>,
}

impl Patience {
    fn asks_to_wait(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }

    fn note_failure(&mut self) {
        let pause = VIEW_INTERVAL.saturating_mul(1 << self.failures.min(10));
        self.failures += 1;
        self.until = Some(Instant::now() + pause.min(VIEW_PAUSE_MAX));
    }
}
