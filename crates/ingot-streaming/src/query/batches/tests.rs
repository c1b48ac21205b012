//! The loop against a source of numbers and a sink that remembers, stopped at every step.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use ingot_common::Principal;
use serde_json::Value;

use super::*;
use crate::{RowCount, Source};

/// The numbers from 0 up to those that were made available.
#[derive(Debug)]
struct Numbers {
    available: AtomicI64,
    per_batch: i64,
    /// Questions that go unanswered before one is answered.
    away: AtomicUsize,
}

impl Numbers {
    fn new(available: i64, per_batch: i64) -> Arc<Self> {
        Arc::new(Self {
            available: AtomicI64::new(available),
            per_batch,
            away: AtomicUsize::new(0),
        })
    }
}

fn number(offset: &Offset) -> i64 {
    offset.0.as_i64().expect("number")
}

fn unavailable() -> Error {
    Error::KafkaSilent {
        topic: "numbers".to_owned(),
        partition: 0,
        offset: 0,
        waited_ms: 0,
    }
}

#[async_trait]
impl Source for Numbers {
    fn description(&self) -> String {
        "Numbers".to_owned()
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::empty())
    }

    async fn initial_offset(&self) -> Result<Offset> {
        Ok(Offset(Value::from(0)))
    }

    async fn next_offset(&self, start: &Offset, limit: ReadLimit, until: Option<&Offset>) -> Result<Offset> {
        let away = self.away.load(Ordering::SeqCst);
        if away > 0 {
            self.away.store(away - 1, Ordering::SeqCst);
            return Err(unavailable());
        }
        let mut end = self.available.load(Ordering::SeqCst);
        if limit == ReadLimit::Options {
            end = end.min(number(start) + self.per_batch);
        }
        Ok(Offset(Value::from(
            until.map_or(end, |until| end.min(number(until))),
        )))
    }

    async fn batch(&self, start: &Offset, end: &Offset) -> Result<SourceBatch> {
        let rows = u64::try_from(number(end) - number(start)).expect("forward");
        let relation: Arc<dyn TableProvider> = Arc::new(EmptyTable::new(self.schema()));
        Ok(SourceBatch {
            relation,
            rows: RowCount::known(rows),
        })
    }

    async fn commit(&self, _end: &Offset) -> Result<()> {
        Ok(())
    }

    async fn metrics(&self, _end: &Offset) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// Where the sink gives up, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crash {
    BeforeCommit,
    AfterCommit,
}

/// The end offset of each batch, as committed.
#[derive(Debug, Default)]
struct Memory {
    batches: Mutex<BTreeMap<i64, i64>>,
    crash: Mutex<Option<(i64, Crash, Kind)>>,
}

impl Memory {
    fn ends(&self) -> Vec<(i64, i64)> {
        let batches = self.batches.lock().expect("lock");
        batches.iter().map(|(batch, end)| (*batch, *end)).collect()
    }

    fn crash(&self, batch_id: i64, at: Crash) -> Result<()> {
        let mut crash = self.crash.lock().expect("lock");
        match *crash {
            Some((batch, when, kind)) if batch == batch_id && when == at => {
                *crash = None;
                match kind {
                    Kind::Unavailable => Err(unavailable()),
                    _ => Err(Error::Internal {
                        message: "crash".to_owned(),
                    }),
                }
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl BatchRunner for Arc<Memory> {
    fn description(&self) -> String {
        "Memory".to_owned()
    }

    async fn committed_batch(&self, _query_id: Uuid) -> Result<Option<i64>> {
        Ok(self.ends().last().map(|(batch, _)| *batch))
    }

    async fn add_batch(&self, batch: &BatchInfo, relations: &[(String, SourceBatch)]) -> Result<BatchOutput> {
        self.crash(batch.batch_id, Crash::BeforeCommit)?;
        let end = number(&batch.end_offsets[0].1);
        let rows_out = relations[0].1.rows.total();
        {
            let mut batches = self.batches.lock().expect("lock");
            let known = *batches.entry(batch.batch_id).or_insert(end);
            assert_eq!(known, end, "a batch always has the same offsets");
        }
        self.crash(batch.batch_id, Crash::AfterCommit)?;
        Ok(BatchOutput {
            rows_in: None,
            rows_out,
        })
    }
}

async fn run(
    folder: &Path,
    trigger: Trigger,
    source: &Arc<Numbers>,
    sink: &Arc<Memory>,
) -> Result<Vec<StreamingQueryProgress>> {
    let handle = QueryHandle::new();
    let options = QueryOptions {
        name: Some("numbers".to_owned()),
        checkpoint: folder.to_owned(),
        trigger,
        principal: Principal::new("tester"),
    };
    let sources = vec![SourceRelation {
        relation: "numbers".to_owned(),
        source: Arc::clone(source) as _,
    }];
    let token = CancellationToken::new();
    MicroBatches::open(options, sources, Arc::clone(sink), &handle, token)
        .await?
        .run()
        .await?;
    Ok(handle.recent_progress())
}

#[tokio::test]
async fn available_now_reads_what_was_there_in_batches_and_ends() {
    let folder = tempfile::tempdir().expect("folder");
    let (source, sink) = (Numbers::new(25, 10), Arc::default());
    let progress = run(folder.path(), Trigger::AvailableNow, &source, &sink)
        .await
        .expect("run");
    assert_eq!(sink.ends(), [(0, 10), (1, 20), (2, 25)]);
    let rows: Vec<i64> = progress.iter().map(|progress| progress.num_input_rows).collect();
    assert_eq!(rows, [10, 10, 5]);

    let again = run(folder.path(), Trigger::AvailableNow, &source, &sink)
        .await
        .expect("run");
    assert_eq!(again, [], "nothing is new");
    source.available.store(30, Ordering::SeqCst);
    run(folder.path(), Trigger::AvailableNow, &source, &sink)
        .await
        .expect("run");
    assert_eq!(sink.ends().last(), Some(&(3, 30)));
}

#[tokio::test]
async fn once_reads_everything_in_one_batch() {
    let folder = tempfile::tempdir().expect("folder");
    let (source, sink) = (Numbers::new(25, 10), Arc::default());
    run(folder.path(), Trigger::Once, &source, &sink)
        .await
        .expect("run");
    assert_eq!(sink.ends(), [(0, 25)]);
}

#[tokio::test]
async fn a_query_that_broke_off_goes_on_with_the_recorded_batch() {
    for at in [Crash::BeforeCommit, Crash::AfterCommit] {
        for batch_id in 0..3 {
            let folder = tempfile::tempdir().expect("folder");
            let (source, sink) = (Numbers::new(25, 10), Arc::new(Memory::default()));
            *sink.crash.lock().expect("lock") = Some((batch_id, at, Kind::Internal));
            run(folder.path(), Trigger::AvailableNow, &source, &sink)
                .await
                .expect_err("breaks off");
            // More has come since: the recorded batch must not grow.
            source.available.store(40, Ordering::SeqCst);
            run(folder.path(), Trigger::AvailableNow, &source, &sink)
                .await
                .expect("goes on");
            let ends = sink.ends();
            assert_eq!(ends.last().expect("batches").1, 40, "{at:?} {batch_id}");
            assert!(
                ends.windows(2).all(|pair| pair[1].1 > pair[0].1),
                "{at:?} {batch_id}: {ends:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_failure_that_passes_is_waited_out() {
    let folder = tempfile::tempdir().expect("folder");
    let (source, sink) = (Numbers::new(15, 10), Arc::new(Memory::default()));
    source.away.store(2, Ordering::SeqCst);
    *sink.crash.lock().expect("lock") = Some((1, Crash::BeforeCommit, Kind::Unavailable));
    run(folder.path(), Trigger::AvailableNow, &source, &sink)
        .await
        .expect("run");
    assert_eq!(sink.ends(), [(0, 10), (1, 15)]);
}

#[tokio::test]
async fn a_sink_that_was_replaced_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let source = Numbers::new(15, 10);
    run(folder.path(), Trigger::AvailableNow, &source, &Arc::default())
        .await
        .expect("run");
    let error = run(folder.path(), Trigger::AvailableNow, &source, &Arc::default())
        .await
        .expect_err("another sink");
    assert_eq!(error.kind(), Kind::FailedPrecondition);
    assert!(
        error.to_string().contains("start over with a new checkpoint"),
        "{error}"
    );
}

#[tokio::test]
async fn a_stopped_query_ends_well_and_goes_on_later() {
    let folder = tempfile::tempdir().expect("folder");
    let (source, sink) = (Numbers::new(15, 10), Arc::<Memory>::default());
    let token = CancellationToken::new();
    let handle = QueryHandle::new();
    let options = QueryOptions {
        name: None,
        checkpoint: folder.path().to_owned(),
        trigger: Trigger::ProcessingTime(Duration::ZERO),
        principal: Principal::new("tester"),
    };
    let sources = vec![SourceRelation {
        relation: "numbers".to_owned(),
        source: Arc::clone(&source) as _,
    }];
    let query = MicroBatches::open(options, sources, Arc::clone(&sink), &handle, token.clone())
        .await
        .expect("open");
    let stop = async {
        while sink.ends().len() < 2 {
            tokio::task::yield_now().await;
        }
        token.cancel();
    };
    let (ended, ()) = tokio::join!(query.run(), stop);
    ended.expect("stopped");
    source.available.store(16, Ordering::SeqCst);
    run(folder.path(), Trigger::AvailableNow, &source, &sink)
        .await
        .expect("goes on");
    assert_eq!(sink.ends().last(), Some(&(2, 16)));
}

#[test]
fn progress_has_the_fields_of_spark() {
    let progress = StreamingQueryProgress {
        id: Uuid::nil(),
        run_id: Uuid::nil(),
        name: None,
        timestamp: instant(0),
        batch_id: 1,
        batch_duration: 2,
        num_input_rows: 3,
        input_rows_per_second: 0.0,
        processed_rows_per_second: 0.0,
        duration_ms: BTreeMap::new(),
        sources: Vec::new(),
        sink: SinkProgress {
            description: "Memory".to_owned(),
            num_output_rows: 3,
        },
    };
    let value = serde_json::to_value(&progress).expect("JSON");
    assert_eq!(value["timestamp"], "1970-01-01T00:00:00.000Z");
    for field in [
        "runId",
        "batchId",
        "batchDuration",
        "numInputRows",
        "inputRowsPerSecond",
        "durationMs",
        "sources",
    ] {
        assert!(value.get(field).is_some(), "{field}");
    }
    assert_eq!(value["sink"]["numOutputRows"], 3);
}
