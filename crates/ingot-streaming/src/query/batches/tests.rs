//! The loop against a source of numbers and a sink that remembers, stopped at every step.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use ingot_common::{Classify, Kind, Principal, ServiceError};
use serde_json::Value;
use test_case::test_case;

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
        source: None,
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

    async fn latest_offset(&self) -> Option<Offset> {
        Some(Offset(Value::from(self.available.load(Ordering::SeqCst))))
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
                    Kind::ResourceExhausted => {
                        let full = ServiceError::new(kind, "no memory is left for now");
                        Err(Error::Sink(Box::new(full)))
                    }
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
            rows_out,
            planning: Duration::from_millis(1),
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
        query_id: None,
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

#[test_case(Kind::Unavailable)]
#[test_case(Kind::ResourceExhausted)]
#[tokio::test]
async fn a_failure_that_passes_is_waited_out(kind: Kind) {
    let folder = tempfile::tempdir().expect("folder");
    let (source, sink) = (Numbers::new(15, 10), Arc::new(Memory::default()));
    source.away.store(2, Ordering::SeqCst);
    *sink.crash.lock().expect("lock") = Some((1, Crash::BeforeCommit, kind));
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
        query_id: None,
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

#[tokio::test]
async fn progress_is_told_as_spark_tells_it() {
    let folder = tempfile::tempdir().expect("folder");
    let (source, sink) = (Numbers::new(25, 10), Arc::default());
    let progress = run(folder.path(), Trigger::AvailableNow, &source, &sink)
        .await
        .expect("run");
    let mut told = serde_json::to_value(&progress[0]).expect("JSON");
    let timestamp = told["timestamp"].as_str().expect("text").to_owned();
    DateTime::parse_from_rfc3339(&timestamp).expect("ISO 8601");
    assert_eq!(timestamp.len(), "1970-01-01T00:00:00.000Z".len());
    // What differs from run to run; that it is there and of its kind is what counts.
    for field in ["id", "runId", "timestamp"] {
        assert!(told[field].is_string(), "{field}");
        told[field] = Value::from("?");
    }
    for (of, field) in [
        ("", "batchDuration"),
        ("", "processedRowsPerSecond"),
        ("/sources/0", "processedRowsPerSecond"),
    ] {
        let value = told.pointer_mut(of).expect("object");
        assert!(value[field].is_number(), "{of}/{field}");
        value[field] = Value::from(0);
    }
    let phases = told["durationMs"].as_object_mut().expect("phases");
    phases.values_mut().for_each(|took| {
        assert!(took.is_i64(), "{took}");
        *took = Value::from(0);
    });
    let expected = serde_json::json!({
        "id": "?",
        "runId": "?",
        "name": "numbers",
        "timestamp": "?",
        "batchId": 0,
        "batchDuration": 0,
        "numInputRows": 10,
        "inputRowsPerSecond": 0.0,
        "processedRowsPerSecond": 0,
        "durationMs": {
            "addBatch": 0,
            "commitOffsets": 0,
            "getBatch": 0,
            "latestOffset": 0,
            "queryPlanning": 0,
            "triggerExecution": 0,
            "walCommit": 0,
        },
        "eventTime": {},
        "stateOperators": [],
        "sources": [{
            "description": "Numbers",
            "startOffset": 0,
            "endOffset": 10,
            "latestOffset": 25,
            "numInputRows": 10,
            "inputRowsPerSecond": 0.0,
            "processedRowsPerSecond": 0,
            "metrics": {},
        }],
        "sink": {"description": "Memory", "numOutputRows": 10},
    });
    assert_eq!(
        told.to_string(),
        expected.to_string(),
        "Spark's clients read this"
    );
}

#[tokio::test]
async fn a_lost_checkpoint_is_refused_when_the_query_has_an_id_of_its_own() {
    let source = Numbers::new(15, 10);
    let sink = Arc::<Memory>::default();
    for attempt in 0..2 {
        // Another folder: what the first run recorded is lost.
        let folder = tempfile::tempdir().expect("folder");
        let ran = run(folder.path(), Trigger::AvailableNow, &source, &sink).await;
        match (attempt, ran) {
            (0, Ok(_)) => {}
            (1, Err(error)) => {
                assert_eq!(error.kind(), Kind::FailedPrecondition);
                assert!(error.to_string().contains("checkpoint was lost"), "{error}");
            }
            (_, other) => panic!("{other:?}"),
        }
    }
    assert_eq!(sink.ends(), [(0, 10), (1, 15)], "nothing was doubled");
}
