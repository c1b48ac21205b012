//! Whole queries: a broker, a table, and what happens between them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use ingot_common::{Classify, Kind, Principal};
use ingot_delta::{CreateTable, DeltaTable, DeltaTables, Operation};
use ingot_engine::Engine;
use ingot_streaming::{
    DeltaSink, KafkaSource, OutputMode, QueryHandle, QueryOptions, Result, SourceRelation, StreamingQuery,
    Trigger,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rdkafka::mocking::MockCluster;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use crate::full_store::FullStore;
use crate::support::{Broker, engine, options, session, tables, wait_for_release};

const QUERY: &str = "SELECT partition, offset, CAST(CAST(value AS STRING) AS BIGINT) AS number FROM records";

async fn create(tables: &DeltaTables, folder: &Path) -> Arc<DeltaTable> {
    let field = |name, data_type| Field::new(name, data_type, true);
    let schema = Schema::new(vec![
        field("partition", DataType::Int32),
        field("offset", DataType::Int64),
        field("number", DataType::Int64),
    ]);
    let table = CreateTable::new(Arc::new(schema), Operation::new("CREATE TABLE"));
    let location = Url::from_directory_path(folder.join("sunk")).expect("absolute path");
    tables.create(&location, table).await.expect("created")
}

/// Makes the query as each start of a process does.
fn query(broker: &Broker, table: &Arc<DeltaTable>, checkpoint: &Path, trigger: Trigger) -> StreamingQuery {
    let given = options(&[
        ("subscribe", "t"),
        ("startingOffsets", "earliest"),
        ("maxOffsetsPerTrigger", "70"),
        ("kafka.reconnect.backoff.max.ms", "200"),
        ("kafka.bootstrap.servers", &broker.servers),
    ]);
    StreamingQuery {
        options: QueryOptions {
            name: Some("sunk".to_owned()),
            checkpoint: checkpoint.to_owned(),
            query_id: Some(Uuid::from_u128(7)),
            trigger,
            principal: Principal::new("tester"),
        },
        sources: vec![SourceRelation {
            relation: "records".to_owned(),
            source: Arc::new(KafkaSource::new(&given).expect("source")),
        }],
        sink: Arc::new(DeltaSink::new(Arc::clone(table), QUERY, OutputMode::Append)),
    }
}

async fn run(engine: &Engine, query: StreamingQuery) -> Result<()> {
    query
        .run(engine, &QueryHandle::new(), CancellationToken::new())
        .await
}

/// Returns the numbers in the table, sorted, and how many rows there are by distinct place in the topic.
async fn numbers(engine: &Engine, folder: &Path) -> (Vec<i64>, usize) {
    let path = folder.join("sunk");
    let rows = session(engine)
        .query(&format!(
            "SELECT partition, offset, number FROM delta.`{}`",
            path.display()
        ))
        .await
        .expect("query")
        .collect()
        .await
        .expect("rows");
    let mut numbers = Vec::new();
    let mut places = BTreeSet::new();
    for batch in &rows {
        numbers.extend_from_slice(batch["number"].as_primitive::<Int64Type>().values());
        let partitions = batch["partition"].as_primitive::<arrow::datatypes::Int32Type>();
        let offsets = batch["offset"].as_primitive::<Int64Type>();
        places.extend(
            partitions
                .values()
                .iter()
                .zip(offsets.values())
                .map(|(p, o)| (*p, *o)),
        );
    }
    numbers.sort_unstable();
    (numbers, places.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_record_is_sunk_once_however_often_the_query_is_dropped() {
    let seed = ingot_common::clock::random_below(u64::MAX);
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("folder");
    let tables = tables();
    let engine = engine(folder.path(), tables.clone()).await;
    let table = create(&tables, folder.path()).await;
    let broker = Broker::with_topic(2).await;
    let checkpoint = folder.path().join("checkpoint");
    let mut sent = 0;
    for _ in 0..12 {
        for partition in 0..2 {
            let more = random.random_range(0..150);
            broker.send(partition, sent..sent + more);
            sent += more;
        }
        let query = query(&broker, &table, &checkpoint, Trigger::AvailableNow);
        // Dropped anywhere: while it plans, records, reads, writes, commits.
        let moment = Duration::from_micros(random.random_range(0..120_000));
        let _ = tokio::time::timeout(moment, run(&engine, query)).await;
        // What a killed process leaves to the system: its threads end, and so does its lock.
        wait_for_release(&checkpoint).await;
    }
    run(
        &engine,
        query(&broker, &table, &checkpoint, Trigger::AvailableNow),
    )
    .await
    .expect("to the end");
    let (numbers, places) = numbers(&engine, folder.path()).await;
    assert_eq!(numbers, (0..sent).collect::<Vec<_>>());
    assert_eq!(places, numbers.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_costs_time_and_no_record() {
    let folder = tempfile::tempdir().expect("folder");
    let store = Arc::new(FullStore::new());
    let root = Url::parse("file:///").expect("URL");
    let tables = tables().with_store(root, Arc::clone(&store) as _);
    let engine = engine(folder.path(), tables.clone()).await;
    let table = create(&tables, folder.path()).await;
    let broker = Broker::with_topic(1).await;
    broker.send(0, 0..60);
    let checkpoint = folder.path().join("checkpoint");
    run(
        &engine,
        query(&broker, &table, &checkpoint, Trigger::AvailableNow),
    )
    .await
    .expect("room enough");
    for room in [0, 200, 1_500] {
        let before = numbers(&engine, folder.path()).await.0.len() as i64;
        broker.send(0, before..before + 60);
        store.leave_room(Some(room));
        let handle = QueryHandle::new();
        let token = CancellationToken::new();
        let running = query(&broker, &table, &checkpoint, Trigger::AvailableNow);
        let running = running.run(&engine, &handle, token);
        tokio::pin!(running);
        // The query meets the full disk and waits; then somebody makes room.
        tokio::select! {
            ended = &mut running => panic!("it should wait: {ended:?}"),
            () = store.refused() => {}
        }
        let (kept, _) = numbers(&engine, folder.path()).await;
        assert_eq!(
            kept,
            (0..before).collect::<Vec<_>>(),
            "nothing of the batch is visible"
        );
        store.leave_room(None);
        running.await.expect("goes on by itself");
        let (numbers, places) = numbers(&engine, folder.path()).await;
        assert_eq!(numbers, (0..before + 60).collect::<Vec<_>>());
        assert_eq!(places, numbers.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_goes_away_is_waited_for() {
    let folder = tempfile::tempdir().expect("folder");
    let tables = tables();
    let engine = engine(folder.path(), tables.clone()).await;
    let table = create(&tables, folder.path()).await;
    let cluster = MockCluster::new(1).expect("cluster");
    cluster.create_topic("t", 1, 1).expect("topic");
    let broker = Broker {
        servers: cluster.bootstrap_servers(),
    };
    let checkpoint = folder.path().join("checkpoint");
    broker.send(0, 0..100);
    run(
        &engine,
        query(&broker, &table, &checkpoint, Trigger::AvailableNow),
    )
    .await
    .expect("run");
    broker.send(0, 100..200);
    cluster.broker_down(1).expect("down");
    let running = run(
        &engine,
        query(&broker, &table, &checkpoint, Trigger::AvailableNow),
    );
    tokio::pin!(running);
    let early = tokio::time::timeout(Duration::from_secs(2), &mut running).await;
    assert!(early.is_err(), "there is nobody to ask: {early:?}");
    cluster.broker_up(1).expect("up");
    running.await.expect("goes on by itself");
    let (numbers, places) = numbers(&engine, folder.path()).await;
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
    assert_eq!(places, numbers.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_checkpoint_is_refused_and_doubles_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let tables = tables();
    let engine = engine(folder.path(), tables.clone()).await;
    let table = create(&tables, folder.path()).await;
    let broker = Broker::with_topic(1).await;
    broker.send(0, 0..100);
    let checkpoint = folder.path().join("checkpoint");
    run(
        &engine,
        query(&broker, &table, &checkpoint, Trigger::AvailableNow),
    )
    .await
    .expect("run");
    std::fs::remove_dir_all(&checkpoint).expect("deleted");
    let error = run(
        &engine,
        query(&broker, &table, &checkpoint, Trigger::AvailableNow),
    )
    .await
    .expect_err("the table knows the query");
    assert_eq!(error.kind(), Kind::FailedPrecondition);
    assert!(error.to_string().contains("drop the sink's table"), "{error}");
    assert_eq!(numbers(&engine, folder.path()).await.0.len(), 100);
}
