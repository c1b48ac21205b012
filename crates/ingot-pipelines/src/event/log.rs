//! The event log: collects the events of one update and appends them to its table.
//!
//! Events of batches are appended in the order of the batches of their query, in one commit with `txn(query, batch)`;
//! a batch that the table has is left out. An event stays here until it is on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use ingot_catalog::{TableFilters, TableKind};
use ingot_common::retry::RetryPolicy;
use ingot_common::{TableName, clock};
use ingot_delta::{CommitOutcome, DeltaTable, Operation, Snapshot};
use ingot_engine::Session;
use ingot_engine::write::{TableSpec, conflict_error, create_table, discard, stage_files};
use serde_json::Value;
use uuid::Uuid;

use super::recorded::{RecordedBatch, recorded_batches};
use super::{BatchKey, PipelineEvent, UpdateHandle};
use crate::Result;

/// How often an append is tried again when others write to the log, too.
const LOG_RETRIES: RetryPolicy = RetryPolicy {
    retries_max: 10,
    pause_first: Duration::from_millis(10),
    pause_max: Duration::from_secs(1),
};

/// Collects the events of one update. Cheap to clone; clones share the events.
#[derive(Debug, Clone)]
pub(crate) struct EventLog {
    handle: UpdateHandle,
    update_id: Uuid,
    unwritten: Arc<Mutex<Unwritten>>,
    followed: Arc<Mutex<BTreeMap<Uuid, FollowedDataset>>>,
    /// Held by whoever writes, so that batches come in order.
    writing: Arc<tokio::sync::Mutex<()>>,
}

/// A dataset whose batches are logged.
#[derive(Debug, Clone)]
pub(crate) struct FollowedDataset {
    pub query_id: Uuid,
    pub name: String,
    pub table: Arc<DeltaTable>,
}

impl FollowedDataset {
    fn entry(&self, recorded: RecordedBatch) -> Entry {
        Entry {
            number: 0,
            at_ms: recorded.at_ms,
            event: recorded.counts.event(&self.name),
            batch: Some(BatchKey {
                query_id: self.query_id,
                batch_id: recorded.batch_id,
            }),
            progress: Value::Null,
            awaits_progress: false,
        }
    }
}

#[derive(Debug, Default)]
struct Unwritten {
    entries: Vec<Entry>,
    noted: u64,
}

/// An event that is not in the table yet.
#[derive(Debug, Clone)]
struct Entry {
    number: u64,
    at_ms: i64,
    event: PipelineEvent,
    batch: Option<BatchKey>,
    /// The query's progress; null while it is not told.
    progress: Value,
    /// Whether progress will be told.
    awaits_progress: bool,
}

/// Which events to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that nothing is missing of.
    Complete,
    /// All: nothing more will come.
    All,
}

impl EventLog {
    /// Begins the log of an update.
    pub fn new(handle: UpdateHandle) -> Self {
        Self {
            handle,
            update_id: Uuid::now_v7(),
            unwritten: Arc::default(),
            followed: Arc::default(),
            writing: Arc::default(),
        }
    }

    /// Notes an event.
    pub fn note(&self, event: PipelineEvent) {
        self.push(clock::now_ms(), event.clone(), None, false);
        // Nobody may be listening.
        let _ = self.handle.events.send(event);
    }

    /// Notes the event of a batch that was committed just now.
    pub fn note_batch(&self, batch: BatchKey, event: PipelineEvent, awaits_progress: bool) {
        self.push(clock::now_ms(), event.clone(), Some(batch), awaits_progress);
        let _ = self.handle.events.send(event);
    }

    /// Adds the query's progress to a batch's event, if that is still here.
    pub fn attach_progress(&self, batch: BatchKey, progress: Value) {
        let mut unwritten = self.unwritten();
        let mut entries = unwritten.entries.iter_mut();
        if let Some(entry) = entries.find(|entry| entry.batch == Some(batch)) {
            entry.progress = progress;
            entry.awaits_progress = false;
        }
    }

    /// Makes the log know where a dataset's batches can be looked up.
    pub fn follow(&self, dataset: FollowedDataset) {
        self.followed().insert(dataset.query_id, dataset);
    }

    /// Notes the batches that datasets have and the log lacks: those of an update that was killed before it could
    /// write their events, and those whose commits were found to be there already.
    pub async fn catch_up(&self, log: &Arc<DeltaTable>) -> Result<()> {
        let snapshot = log.snapshot().await?;
        let followed: Vec<FollowedDataset> = self.followed().values().cloned().collect();
        for dataset in followed {
            let logged = snapshot.app_transaction(&dataset.query_id.to_string()).await?;
            for recorded in recorded_batches(&dataset.table, dataset.query_id, logged).await? {
                let entry = dataset.entry(recorded);
                let known = |other: &Entry| other.batch == entry.batch;
                if !self.unwritten().entries.iter().any(known) {
                    self.push(entry.at_ms, entry.event, entry.batch, false);
                }
            }
        }
        Ok(())
    }

    fn push(&self, at_ms: i64, event: PipelineEvent, batch: Option<BatchKey>, awaits_progress: bool) {
        let mut unwritten = self.unwritten();
        unwritten.noted += 1;
        let number = unwritten.noted;
        unwritten.entries.push(Entry {
            number,
            at_ms,
            event,
            batch,
            progress: Value::Null,
            awaits_progress,
        });
    }

    /// Appends events to the table. Those that could not be written are written by the next call.
    ///
    /// # Errors
    /// Those of the table; nothing is lost by them.
    pub async fn write(&self, session: &Session, table: &Arc<DeltaTable>, which: Which) -> Result<()> {
        let _writing = self.writing.lock().await;
        let entries = match which {
            Which::All => self.unwritten().entries.clone(),
            Which::Complete => complete(&self.unwritten().entries),
        };
        if entries.is_empty() {
            return Ok(());
        }
        self.append(session, table, &entries).await?;
        let written = |entry: &Entry| entries.iter().any(|done| done.number == entry.number);
        self.unwritten().entries.retain(|entry| !written(entry));
        Ok(())
    }

    async fn append(&self, session: &Session, table: &Arc<DeltaTable>, entries: &[Entry]) -> Result<()> {
        let mut retries = LOG_RETRIES.attempts();
        loop {
            let snapshot = table.snapshot().await?;
            let mut new = not_in(&snapshot, entries).await?;
            if new.is_empty() {
                return Ok(());
            }
            self.fill_gaps(&snapshot, &mut new).await?;
            let rows = session
                .datafusion()
                .read_batch(self.rows(&new)?)
                .map_err(ingot_engine::Error::from)?;
            let staged = stage_files(session, table, &snapshot, rows).await?;
            let operation = Operation::new("WRITE")
                .with("mode", "Append")
                .with("partitionBy", "[]");
            let mut transaction = table.transaction(Arc::clone(&snapshot), operation);
            transaction.add_files(staged.files.iter().cloned());
            transaction.set_metrics(staged.metrics.clone());
            transaction.set_user_name(session.context().principal.as_str());
            for (query_id, batch_id) in newest_batches(new.iter()) {
                transaction.set_app_transaction(query_id.to_string(), batch_id);
            }
            match transaction.commit().await? {
                CommitOutcome::Committed { .. } => return Ok(()),
                CommitOutcome::AlreadyApplied { .. } => discard(table, &staged.files).await,
                CommitOutcome::Conflicted(reason) => {
                    discard(table, &staged.files).await;
                    if !retries.pause().await {
                        return Err(conflict_error(&reason).into());
                    }
                }
            }
        }
    }

    /// Adds batches between those that the log has and those of `entries`: the newest batch of a query that the log has
    /// stands for all before it, so none may be left behind.
    async fn fill_gaps(&self, log: &Snapshot, entries: &mut Vec<Entry>) -> Result<()> {
        for (query_id, newest) in newest_batches(entries.iter()) {
            let Some(dataset) = self.followed().get(&query_id).cloned() else {
                continue;
            };
            let logged = log.app_transaction(&query_id.to_string()).await?;
            let here: BTreeSet<i64> = entries
                .iter()
                .filter_map(|entry| entry.batch.filter(|batch| batch.query_id == query_id))
                .map(|batch| batch.batch_id)
                .collect();
            let whole = logged.map_or(0, |logged| logged + 1)..=newest;
            if whole.clone().all(|batch_id| here.contains(&batch_id)) {
                continue;
            }
            for recorded in recorded_batches(&dataset.table, query_id, logged).await? {
                if whole.contains(&recorded.batch_id) && !here.contains(&recorded.batch_id) {
                    entries.push(dataset.entry(recorded));
                }
            }
        }
        Ok(())
    }

    fn rows(&self, entries: &[Entry]) -> Result<RecordBatch> {
        let texts = |text: &dyn Fn(&Entry) -> String| -> ArrayRef {
            let texts = entries.iter().map(|entry| Some(text(entry)));
            Arc::new(texts.collect::<StringArray>())
        };
        let times = entries.iter().map(|entry| entry.at_ms * 1000);
        let columns: Vec<ArrayRef> = vec![
            texts(&|_| Uuid::now_v7().to_string()),
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
            texts(&|_| self.update_id.to_string()),
            texts(&|entry| entry.event.dataset().to_owned()),
            texts(&|entry| entry.event.event_type().to_owned()),
            texts(&|entry| entry.event.level().to_owned()),
            texts(&|entry| entry.event.details(entry.batch, &entry.progress).to_string()),
        ];
        RecordBatch::try_new(event_schema(), columns).map_err(|error| {
            ingot_engine::Error::from(datafusion::error::DataFusionError::from(error)).into()
        })
    }

    fn followed(&self) -> MutexGuard<'_, BTreeMap<Uuid, FollowedDataset>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unwritten(&self) -> MutexGuard<'_, Unwritten> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the events that do not await anything. A batch before one that is complete awaits nothing any more, and
/// must not be left behind: the table would take it for written.
fn complete(entries: &[Entry]) -> Vec<Entry> {
    let done = newest_batches(entries.iter().filter(|entry| !entry.awaits_progress));
    let overtaken = |entry: &Entry| {
        let newest = entry
            .batch
            .and_then(|batch| done.get(&batch.query_id).map(|newest| (batch, newest)));
        newest.is_some_and(|(batch, newest)| batch.batch_id <= *newest)
    };
    let ready = entries
        .iter()
        .filter(|entry| !entry.awaits_progress || overtaken(entry));
    ready.cloned().collect()
}

/// Returns the newest batch of each query.
fn newest_batches<'a>(entries: impl Iterator<Item = &'a Entry>) -> BTreeMap<Uuid, i64> {
    let mut newest = BTreeMap::new();
    for entry in entries {
        if let Some(batch) = entry.batch {
            let known = newest.entry(batch.query_id).or_insert(batch.batch_id);
            *known = batch.batch_id.max(*known);
        }
    }
    newest
}

/// Returns the events that the table does not have.
async fn not_in(snapshot: &Snapshot, entries: &[Entry]) -> Result<Vec<Entry>> {
    let mut new = Vec::with_capacity(entries.len());
    for entry in entries {
        let written = match entry.batch {
            None => false,
            Some(batch) => {
                let newest = snapshot.app_transaction(&batch.query_id.to_string()).await?;
                newest.is_some_and(|newest| newest >= batch.batch_id)
            }
        };
        if !written {
            new.push(entry.clone());
        }
    }
    Ok(new)
}

/// Opens the event log, creating it at the first update.
pub(crate) async fn open_event_log(session: &Session, name: TableName) -> Result<Arc<DeltaTable>> {
    let spec = TableSpec {
        name,
        kind: TableKind::Managed,
        schema: event_schema(),
        partition_columns: Vec::new(),
        location: None,
        definition: None,
        comment: Some("Events of a pipeline's updates".to_owned()),
        properties: BTreeMap::new(),
        clustering_columns: None,
        constraints: Vec::new(),
        dataset: None,
        filters: TableFilters::default(),
    };
    let (_, table) = create_table(session, spec, true).await?;
    Ok(table)
}

fn event_schema() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, true);
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        text("id"),
        Field::new("timestamp", instant, true),
        text("update_id"),
        text("dataset"),
        text("event_type"),
        text("level"),
        text("details"),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::BatchCounts;

    fn key(batch_id: i64) -> BatchKey {
        BatchKey {
            query_id: Uuid::from_u128(1),
            batch_id,
        }
    }

    #[test]
    fn a_batch_waits_for_its_progress_until_a_later_one_has_its() {
        let (handle, _events) = UpdateHandle::new();
        let log = EventLog::new(handle);
        let batches = |entries: Vec<Entry>| -> Vec<i64> {
            let batches = entries.iter().filter_map(|entry| entry.batch);
            batches.map(|batch| batch.batch_id).collect()
        };
        for batch_id in 0..3 {
            log.note_batch(key(batch_id), BatchCounts::default().event("d"), true);
        }
        assert_eq!(batches(complete(&log.unwritten().entries)), Vec::<i64>::new());
        log.attach_progress(key(1), Value::from("told"));
        assert_eq!(batches(complete(&log.unwritten().entries)), [0, 1]);
    }
}
