//! The Kafka source against a broker.

use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use ingot_common::{Classify, Kind};
use ingot_streaming::{KafkaSource, Offset, ReadLimit, Source};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::json;

use crate::support::{options, rows};

const TIMEOUT: Duration = Duration::from_secs(30);

struct Broker {
    servers: String,
}

impl Broker {
    async fn with_topic(partitions: i32) -> Self {
        let address = noida::kafka::spawn("127.0.0.1:0").expect("broker");
        let broker = Self {
            servers: address.to_string(),
        };
        let topic = NewTopic::new("t", partitions, TopicReplication::Fixed(1));
        let created = broker.admin().create_topics([&topic], &AdminOptions::new()).await;
        created.expect("answer")[0].as_ref().expect("created");
        broker
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.servers);
        config
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().expect("admin")
    }

    /// Writes `values` to a partition and waits until they are there.
    fn send(&self, partition: i32, values: std::ops::Range<i64>) {
        let producer: BaseProducer = self.config().create().expect("producer");
        for value in values {
            send_one(&producer, partition, value);
        }
        producer.flush(TIMEOUT).expect("flush");
    }

    fn source(&self, given: &[(&str, &str)]) -> KafkaSource {
        let mut options = options(given);
        options.insert("kafka.bootstrap.servers".to_owned(), self.servers.clone());
        options.entry("subscribe".to_owned()).or_insert("t".to_owned());
        options
            .entry("startingOffsets".to_owned())
            .or_insert("earliest".to_owned());
        KafkaSource::new(&options).expect("source")
    }
}

fn send_one(producer: &BaseProducer, partition: i32, value: i64) {
    let payload = value.to_string();
    let record = BaseRecord::<str, str>::to("t")
        .partition(partition)
        .payload(&payload);
    producer.send(record).map_err(|(error, _)| error).expect("queued");
    producer.poll(Duration::ZERO);
}

/// The values of a batch, sorted.
fn values(batches: &[RecordBatch]) -> Vec<i64> {
    let mut values: Vec<i64> = batches
        .iter()
        .flat_map(|batch| {
            let values = batch.column_by_name("value").expect("value").as_binary::<i32>();
            let texts = values
                .iter()
                .map(|value| std::str::from_utf8(value.expect("value")).expect("text"));
            texts
                .map(|text| text.parse::<i64>().expect("number"))
                .collect::<Vec<_>>()
        })
        .collect();
    values.sort_unstable();
    values
}

async fn next(source: &KafkaSource, start: &Offset) -> Offset {
    source
        .next_offset(start, ReadLimit::Options, None)
        .await
        .expect("offset")
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_hold_each_record_once_also_after_idle_times() {
    let broker = Broker::with_topic(2).await;
    let source = broker.source(&[]);
    let mut start = source.initial_offset().await.expect("initial");
    assert_eq!(start.0, json!({"t": {"0": 0, "1": 0}}));
    let mut first = 0;
    // Small batches after idle times: the consumer's word that it is at the end is an old one each time.
    for count in [5000, 1, 3, 10_000, 1] {
        broker.send(0, first..first + count);
        broker.send(1, first + count..first + 2 * count);
        let end = next(&source, &start).await;
        let batches = rows(&source, &start, &end).await.expect("rows");
        assert_eq!(values(&batches), (first..first + 2 * count).collect::<Vec<_>>());
        // Again, as after a crash: the consumers stand elsewhere now.
        let again = rows(&source, &start, &end).await.expect("rows");
        assert_eq!(values(&again), values(&batches));
        assert_eq!(next(&source, &end).await, end, "nothing is new");
        start = end;
        first += 2 * count;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_have_the_columns_of_spark() {
    let broker = Broker::with_topic(1).await;
    broker.send(0, 7..9);
    let source = broker.source(&[("includeHeaders", "true")]);
    let start = source.initial_offset().await.expect("initial");
    let batches = rows(&source, &start, &next(&source, &start).await)
        .await
        .expect("rows");
    let [batch] = batches.as_slice() else {
        panic!("one batch")
    };
    let names: Vec<&str> = batch
        .schema_ref()
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    let expected = [
        "key",
        "value",
        "topic",
        "partition",
        "offset",
        "timestamp",
        "timestampType",
        "headers",
    ];
    assert_eq!(names, expected);
    assert_eq!(batch["topic"].as_string::<i32>().value(1), "t");
    assert_eq!(batch["partition"].as_primitive::<Int32Type>().values(), &[0, 0]);
    assert_eq!(batch["offset"].as_primitive::<Int64Type>().values(), &[0, 1]);
    assert_eq!(
        batch["timestampType"].as_primitive::<Int32Type>().values(),
        &[0, 0]
    );
    assert_eq!((batch["key"].null_count(), batch["headers"].null_count()), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_takes_no_more_than_the_limit() {
    let broker = Broker::with_topic(1).await;
    broker.send(0, 0..100);
    let source = broker.source(&[("maxOffsetsPerTrigger", "40")]);
    let start = source.initial_offset().await.expect("initial");
    let end = next(&source, &start).await;
    assert_eq!(end.0, json!({"t": {"0": 40}}));
    let all = source
        .next_offset(&start, ReadLimit::All, None)
        .await
        .expect("offset");
    assert_eq!(all.0, json!({"t": {"0": 100}}));
    broker.send(0, 100..110);
    let late = Offset(json!({"t": {"0": 80}}));
    let bounded = source
        .next_offset(&late, ReadLimit::Options, Some(&all))
        .await
        .expect("offset");
    assert_eq!(bounded, all, "what came after the bound is left");
    let batches = rows(&source, &start, &end).await.expect("rows");
    assert_eq!(values(&batches), (0..40).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_comes_later_is_read_from_its_beginning() {
    let broker = Broker::with_topic(1).await;
    broker.send(0, 0..3);
    let source = broker.source(&[("startingOffsets", "latest")]);
    let start = source.initial_offset().await.expect("initial");
    let grown = NewPartitions::new("t", 2);
    let answer = broker
        .admin()
        .create_partitions([&grown], &AdminOptions::new())
        .await;
    answer.expect("answer")[0].as_ref().expect("grown");
    broker.send(1, 10..12);
    let end = next(&source, &start).await;
    assert_eq!(end.0, json!({"t": {"0": 3, "1": 2}}));
    assert_eq!(
        values(&rows(&source, &start, &end).await.expect("rows")),
        [10, 11]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_aborted_transactions_are_not_read() {
    let broker = Broker::with_topic(1).await;
    let producer: BaseProducer = broker
        .config()
        .set("transactional.id", "writer")
        .create()
        .expect("producer");
    producer.init_transactions(TIMEOUT).expect("init");
    for (values, commit) in [(0..5, true), (5..9, false), (9..12, true), (12..15, false)] {
        producer.begin_transaction().expect("begin");
        for value in values {
            send_one(&producer, 0, value);
        }
        producer.flush(TIMEOUT).expect("flush");
        match commit {
            true => producer.commit_transaction(TIMEOUT).expect("commit"),
            false => producer.abort_transaction(TIMEOUT).expect("abort"),
        }
    }
    let source = broker.source(&[]);
    let start = source.initial_offset().await.expect("initial");
    // The range ends with aborted records and marks: nothing arrives for its last offsets.
    let end = next(&source, &start).await;
    let batches = rows(&source, &start, &end).await.expect("rows");
    assert_eq!(values(&batches), [0, 1, 2, 3, 4, 9, 10, 11]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_records_are_an_error_unless_told_otherwise() {
    let broker = Broker::with_topic(1).await;
    broker.send(0, 0..3);
    let beyond = Offset(json!({"t": {"0": 50}}));
    let error = broker
        .source(&[])
        .next_offset(&beyond, ReadLimit::Options, None)
        .await
        .expect_err("lost");
    assert_eq!(error.kind(), Kind::DataLoss);
    let source = broker.source(&[("failOnDataLoss", "false")]);
    assert_eq!(next(&source, &beyond).await.0, json!({"t": {"0": 3}}));

    let start = Offset(json!({"t": {"0": 0}}));
    let error = rows(&broker.source(&[]), &start, &beyond)
        .await
        .expect_err("never written");
    assert_eq!(
        error.kind(),
        Kind::DataLoss,
        "{}",
        ingot_common::error::chain(&error)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_missing_may_come_later() {
    let broker = Broker::with_topic(1).await;
    let source = broker.source(&[("subscribe", "elsewhere")]);
    let error = source.initial_offset().await.expect_err("missing");
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
}
