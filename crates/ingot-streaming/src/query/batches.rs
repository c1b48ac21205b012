//! The loop: plan offsets, record them, run the batch, record its commit.
//!
//! ```text
//!   ┌► plan ─ nothing new ─► wait ─┐
//!   │    └─ offsets/N ─► run ─► commits/N ─► progress
//!   │                     └ source away: wait, run N again ┐
//!   └──────────────────────────────────────────────────────┘
//! ```

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::DateTime;
use ingot_common::clock;
use ingot_common::error::chain;
use ingot_common::retry::{Backoff, RetryPolicy};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::recovery::{Recovery, recover};
use super::{QueryHandle, QueryOptions, Trigger};
use crate::checkpoint::Checkpoint;
use crate::progress::{SinkProgress, SourceProgress};
use crate::{
    BatchInfo, BatchOutput, Error, Offset, ReadLimit, Result, SourceBatch, SourceRelation,
    StreamingQueryProgress,
};

/// How long a source may stay away: about ten minutes. The caller may run the query again after that.
const SOURCE_AWAY: RetryPolicy = RetryPolicy {
    retries_max: 120,
    pause_first: Duration::from_millis(100),
    pause_max: Duration::from_secs(10),
};

/// How often a batch that lost races, or whose store failed, runs again.
const BATCH_RETRIES: RetryPolicy = RetryPolicy {
    retries_max: 120,
    pause_first: Duration::from_millis(50),
    pause_max: Duration::from_secs(10),
};

/// Pauses between looks for new data while there is none.
const IDLE_PAUSE_FIRST: Duration = Duration::from_millis(10);
const IDLE_PAUSE_MAX: Duration = Duration::from_millis(250);

/// Runs one batch.
#[async_trait]
pub(super) trait BatchRunner: Send + Sync {
    fn description(&self) -> String;
    async fn committed_batch(&self, query_id: Uuid) -> Result<Option<i64>>;
    async fn add_batch(&self, batch: &BatchInfo, relations: &[(String, SourceBatch)]) -> Result<BatchOutput>;
}

/// A query that is running.
pub(super) struct MicroBatches<'a, R> {
    options: QueryOptions,
    sources: Vec<SourceRelation>,
    runner: R,
    handle: &'a QueryHandle,
    token: CancellationToken,
    checkpoint: Arc<Checkpoint>,
    run_id: Uuid,
    /// The next batch, and where it begins in each source.
    batch_id: i64,
    starts: Vec<Offset>,
    /// When the trigger of the last batch began.
    triggered_before: Option<Instant>,
}

/// A batch with its offsets recorded.
struct Batch {
    id: i64,
    starts: Vec<Offset>,
    ends: Vec<Offset>,
}

/// Phases of a trigger and how long they took.
struct Durations {
    begun: Instant,
    begun_at_ms: i64,
    phases: BTreeMap<String, i64>,
}

impl Durations {
    fn start() -> Self {
        Self {
            begun: Instant::now(),
            begun_at_ms: clock::now_ms(),
            phases: BTreeMap::new(),
        }
    }

    async fn time<T>(&mut self, phase: &str, work: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let result = work.await;
        *self.phases.entry(phase.to_owned()).or_default() += millis(begun.elapsed());
        result
    }

    /// Counts `took` for `phase` instead of for `whole`, of which it was a part.
    fn set_apart(&mut self, phase: &str, whole: &str, took: Duration) {
        *self.phases.entry(phase.to_owned()).or_default() += millis(took);
        if let Some(rest) = self.phases.get_mut(whole) {
            *rest = (*rest - millis(took)).max(0);
        }
    }
}

impl<'a, R: BatchRunner> MicroBatches<'a, R> {
    /// Opens the checkpoint and brings the last recorded batch to its end.
    pub async fn open(
        options: QueryOptions,
        sources: Vec<SourceRelation>,
        runner: R,
        handle: &'a QueryHandle,
        token: CancellationToken,
    ) -> Result<Self> {
        let (path, query_id) = (options.checkpoint.clone(), options.query_id);
        let checkpoint = blocking(move || Checkpoint::open(&path, query_id)).await?;
        Ok(Self {
            options,
            sources,
            runner,
            handle,
            token,
            checkpoint: Arc::new(checkpoint),
            run_id: Uuid::new_v4(),
            batch_id: 0,
            starts: Vec::new(),
            triggered_before: None,
        })
    }

    /// Runs the query to its end.
    pub async fn run(mut self) -> Result<()> {
        match self.run_batches().await {
            // A stop ends what was under way with an error of any kind.
            Err(error) if self.token.is_cancelled() => {
                tracing::debug!(query = %self.checkpoint.query_id(), error = %chain(&error), "stopped");
                Ok(())
            }
            ended => ended,
        }
    }

    async fn run_batches(&mut self) -> Result<()> {
        self.recover().await?;
        match self.options.trigger {
            Trigger::ProcessingTime(interval) => self.run_until_stopped(interval).await,
            Trigger::AvailableNow => self.run_available().await,
            Trigger::Once => {
                self.run_next(ReadLimit::All, None).await?;
                Ok(())
            }
        }
    }

    async fn run_until_stopped(&mut self, interval: Duration) -> Result<()> {
        let mut idle_pause = IDLE_PAUSE_FIRST;
        while !self.token.is_cancelled() {
            let begun = Instant::now();
            let ran = self.run_next(ReadLimit::Options, None).await?;
            let pause = if !interval.is_zero() {
                // The next multiple of the interval; a batch that took longer skips triggers.
                let elapsed = begun.elapsed().as_nanos() % interval.as_nanos();
                interval - Duration::from_nanos(u64::try_from(elapsed).unwrap_or_default())
            } else if ran {
                idle_pause = IDLE_PAUSE_FIRST;
                continue;
            } else {
                idle_pause = (idle_pause * 2).min(IDLE_PAUSE_MAX);
                idle_pause
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.token.cancelled() => {}
            }
        }
        Ok(())
    }

    async fn run_available(&mut self) -> Result<()> {
        let until = self.plan(ReadLimit::All, None).await?;
        while !self.token.is_cancelled() && self.run_next(ReadLimit::Options, Some(&until)).await? {}
        Ok(())
    }

    /// Finds out where to go on, and ends the batch that was under way.
    async fn recover(&mut self) -> Result<()> {
        let checkpoint = Arc::clone(&self.checkpoint);
        let (recorded, committed) =
            blocking(move || Ok((checkpoint.latest_offsets()?, checkpoint.latest_commit()?))).await?;
        let sink = self.runner.committed_batch(self.checkpoint.query_id()).await?;
        let decision = recover(recorded, committed, sink);
        tracing::info!(
            query = %self.checkpoint.query_id(),
            run = %self.run_id,
            name = self.options.name,
            ?decision,
            "streaming query starts"
        );
        match decision {
            Recovery::New => {
                self.starts = self.initial_offsets().await?;
            }
            Recovery::After { batch_id } => {
                self.starts = self.recorded_offsets(batch_id).await?;
                self.batch_id = batch_id + 1;
            }
            Recovery::Acknowledge { batch_id } => {
                let ends = self.recorded_offsets(batch_id).await?;
                self.acknowledge(batch_id, &ends).await?;
                self.starts = ends;
                self.batch_id = batch_id + 1;
            }
            Recovery::Rerun { batch_id } => {
                self.starts = match batch_id {
                    0 => self.initial_offsets().await?,
                    _ => self.recorded_offsets(batch_id - 1).await?,
                };
                self.batch_id = batch_id;
                let ends = self.recorded_offsets(batch_id).await?;
                self.run_recorded(ends, Durations::start()).await?;
            }
            Recovery::Mismatch(mismatch) => {
                return Err(Error::CheckpointMismatch {
                    path: self.checkpoint.path().display().to_string(),
                    message: mismatch.to_string(),
                });
            }
        }
        Ok(())
    }

    /// Returns where the sources begin; decided once, then read from the checkpoint.
    async fn initial_offsets(&self) -> Result<Vec<Offset>> {
        let mut offsets = Vec::with_capacity(self.sources.len());
        for (number, relation) in self.sources.iter().enumerate() {
            let checkpoint = Arc::clone(&self.checkpoint);
            let offset = match blocking(move || checkpoint.initial_offset(number)).await? {
                Some(offset) => offset,
                None => {
                    let offset = self.wait_for(|| relation.source.initial_offset()).await?;
                    let (checkpoint, recorded) = (Arc::clone(&self.checkpoint), offset.clone());
                    blocking(move || checkpoint.write_initial_offset(number, &recorded)).await?;
                    offset
                }
            };
            offsets.push(offset);
        }
        Ok(offsets)
    }

    async fn recorded_offsets(&self, batch_id: i64) -> Result<Vec<Offset>> {
        let (checkpoint, sources) = (Arc::clone(&self.checkpoint), self.sources.len());
        blocking(move || checkpoint.offsets(batch_id, sources)).await
    }

    /// Returns where the next batch should end.
    async fn plan(&self, limit: ReadLimit, until: Option<&[Offset]>) -> Result<Vec<Offset>> {
        let mut ends = Vec::with_capacity(self.sources.len());
        for (number, (relation, start)) in self.sources.iter().zip(&self.starts).enumerate() {
            let until = until.and_then(|until| until.get(number));
            let end = self.wait_for(|| relation.source.next_offset(start, limit, until));
            ends.push(end.await?);
        }
        Ok(ends)
    }

    /// Plans, records and runs the next batch. Returns `false` when there is nothing new.
    async fn run_next(&mut self, limit: ReadLimit, until: Option<&[Offset]>) -> Result<bool> {
        let mut durations = Durations::start();
        let ends = durations.time("latestOffset", self.plan(limit, until)).await?;
        if ends == self.starts {
            return Ok(false);
        }
        let (checkpoint, batch_id, recorded) = (Arc::clone(&self.checkpoint), self.batch_id, ends.clone());
        let record = blocking(move || checkpoint.write_offsets(batch_id, &recorded));
        durations.time("walCommit", record).await?;
        self.run_recorded(ends, durations).await?;
        Ok(true)
    }

    /// Runs the next batch, whose offsets are recorded, until it is in the sink.
    async fn run_recorded(&mut self, ends: Vec<Offset>, mut durations: Durations) -> Result<()> {
        let batch = Batch {
            id: self.batch_id,
            starts: std::mem::take(&mut self.starts),
            ends,
        };
        let mut retries = BATCH_RETRIES.attempts();
        let (relations, output) = loop {
            match self.attempt(&batch, &mut durations).await {
                Ok(done) => break done,
                Err(error) => self.pause_after(&mut retries, error).await?,
            }
        };
        durations
            .time("commitOffsets", self.acknowledge(batch.id, &batch.ends))
            .await?;
        let progress = self.progress(&batch, &relations, output, durations).await;
        tracing::debug!(
            query = %progress.id,
            batch = progress.batch_id,
            rows_in = progress.num_input_rows,
            rows_out = progress.sink.num_output_rows,
            ms = progress.batch_duration,
            "batch is committed"
        );
        self.handle.push(progress);
        self.batch_id = batch.id + 1;
        self.starts = batch.ends;
        Ok(())
    }

    async fn attempt(
        &self,
        batch: &Batch,
        durations: &mut Durations,
    ) -> Result<(Vec<(String, SourceBatch)>, BatchOutput)> {
        let relations = durations.time("getBatch", self.relations(batch)).await?;
        let rows = relations.iter().map(|(_, batch)| batch.rows.clone());
        let info = BatchInfo {
            rows: rows.collect(),
            query_id: self.checkpoint.query_id(),
            run_id: self.run_id,
            batch_id: batch.id,
            end_offsets: self
                .sources
                .iter()
                .zip(&batch.ends)
                .map(|(relation, end)| (relation.relation.clone(), end.clone()))
                .collect(),
        };
        let added = self.runner.add_batch(&info, &relations);
        let output = durations.time("addBatch", self.unless_stopped(added)).await?;
        durations.set_apart("queryPlanning", "addBatch", output.planning);
        Ok((relations, output))
    }

    async fn relations(&self, batch: &Batch) -> Result<Vec<(String, SourceBatch)>> {
        let mut relations = Vec::with_capacity(self.sources.len());
        for (relation, (start, end)) in self.sources.iter().zip(batch.starts.iter().zip(&batch.ends)) {
            let rows = self.unless_stopped(relation.source.batch(start, end)).await?;
            relations.push((relation.relation.clone(), rows));
        }
        Ok(relations)
    }

    /// Records that a batch is in the sink and tells the sources.
    async fn acknowledge(&self, batch_id: i64, ends: &[Offset]) -> Result<()> {
        let checkpoint = Arc::clone(&self.checkpoint);
        blocking(move || checkpoint.write_commit(batch_id)).await?;
        for (relation, end) in self.sources.iter().zip(ends) {
            relation.source.commit(end).await?;
        }
        Ok(())
    }

    /// Asks a source until it answers, at most as long as it may stay away.
    async fn wait_for<T, F>(&self, ask: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut retries = SOURCE_AWAY.attempts();
        loop {
            match self.unless_stopped(ask()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => self.pause_after(&mut retries, error).await?,
            }
        }
    }

    /// Waits after a failure that may pass; returns any other, and one after the last retry.
    async fn pause_after(&self, retries: &mut Backoff, error: Error) -> Result<()> {
        if !error.batch_may_run_again() {
            return Err(error);
        }
        tracing::warn!(
            query = %self.checkpoint.query_id(),
            batch = self.batch_id,
            retries = retries.retries(),
            error = %chain(&error),
            "streaming query waits and tries again"
        );
        match self.unless_stopped(async { Ok(retries.pause().await) }).await? {
            true => Ok(()),
            false => Err(error),
        }
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.token.cancelled() => Err(Error::Stopped),
            result = work => result,
        }
    }

    async fn progress(
        &mut self,
        batch: &Batch,
        relations: &[(String, SourceBatch)],
        output: BatchOutput,
        mut durations: Durations,
    ) -> StreamingQueryProgress {
        let took = durations.begun.elapsed();
        durations
            .phases
            .insert("triggerExecution".to_owned(), millis(took));
        let since_last = self
            .triggered_before
            .replace(durations.begun)
            .map_or(Duration::ZERO, |before| durations.begun - before);
        let rows_in: u64 = relations.iter().map(|(_, rows)| rows.rows.total()).sum();
        let mut sources = Vec::with_capacity(self.sources.len());
        for (number, relation) in self.sources.iter().enumerate() {
            let rows = relations.get(number).map_or(0, |(_, rows)| rows.rows.total());
            let latest = relation.source.latest_offset().await;
            sources.push(SourceProgress {
                description: relation.source.description(),
                start_offset: batch.starts[number].0.clone(),
                end_offset: batch.ends[number].0.clone(),
                latest_offset: latest.map_or(serde_json::Value::Null, |latest| latest.0),
                num_input_rows: count(rows),
                input_rows_per_second: rate(rows, since_last),
                processed_rows_per_second: rate(rows, took),
                metrics: relation
                    .source
                    .metrics(&batch.ends[number])
                    .await
                    .into_iter()
                    .collect(),
            });
        }
        StreamingQueryProgress {
            id: self.checkpoint.query_id(),
            run_id: self.run_id,
            name: self.options.name.clone(),
            timestamp: instant(durations.begun_at_ms),
            batch_id: batch.id,
            batch_duration: millis(took),
            num_input_rows: count(rows_in),
            input_rows_per_second: rate(rows_in, since_last),
            processed_rows_per_second: rate(rows_in, took),
            duration_ms: durations.phases,
            event_time: BTreeMap::new(),
            state_operators: Vec::new(),
            sources,
            sink: SinkProgress {
                description: self.runner.description(),
                num_output_rows: count(output.rows_out),
            },
        }
    }
}

fn rate(rows: u64, time: Duration) -> f64 {
    match time.is_zero() {
        true => 0.0,
        false => rows as f64 / time.as_secs_f64(),
    }
}

fn count(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn instant(ms: i64) -> String {
    match DateTime::from_timestamp_millis(ms) {
        Some(instant) => instant.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        None => ms.to_string(),
    }
}

/// Runs work that blocks on the disk off the runtime. Not cancelled with the future: what is recorded is whole.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::Internal {
            message: format!("checkpoint task failed: {error}"),
        })?
}

#[cfg(test)]
mod tests;
