//! The Kafka source against a broker.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use ingot_common::{Classify, Kind};
use ingot_streaming::{KafkaSource, Offset, ReadLimit, Source};
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminOptions, NewPartitions};
use rdkafka::bindings::{
    rd_kafka_header_add, rd_kafka_headers_new, rd_kafka_producev, rd_kafka_vtype_t as Part,
};
use rdkafka::producer::{BaseProducer, Producer};
use serde_json::json;

use crate::support::{Broker, TIMEOUT, options, rows, send_one};

fn kafka(broker: &Broker, given: &[(&str, &str)]) -> KafkaSource {
    let mut options = options(given);
    options.insert("kafka.bootstrap.servers".to_owned(), broker.servers.clone());
    options.entry("subscribe".to_owned()).or_insert("t".to_owned());
    options
        .entry("startingOffsets".to_owned())
        .or_insert("earliest".to_owned());
    KafkaSource::new(&options).expect("source")
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
    let source = kafka(&broker, &[]);
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
    let source = kafka(&broker, &[("includeHeaders", "true")]);
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
    let source = kafka(&broker, &[("maxOffsetsPerTrigger", "40")]);
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
    let source = kafka(&broker, &[("startingOffsets", "latest")]);
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
    let source = kafka(&broker, &[]);
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
    let error = kafka(&broker, &[])
        .next_offset(&beyond, ReadLimit::Options, None)
        .await
        .expect_err("lost");
    assert_eq!(error.kind(), Kind::DataLoss);
    let source = kafka(&broker, &[("failOnDataLoss", "false")]);
    assert_eq!(next(&source, &beyond).await.0, json!({"t": {"0": 3}}));

    let start = Offset(json!({"t": {"0": 0}}));
    let error = rows(&kafka(&broker, &[]), &start, &beyond)
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
    let source = kafka(&broker, &[("subscribe", "elsewhere")]);
    let error = source.initial_offset().await.expect_err("missing");
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
}

/// Writes a record with a header whose key is `key`, which no safe call would take.
#[expect(
    unsafe_code,
    reason = "a header's key that is no text can be written no other way"
)]
fn send_with_header(broker: &Broker, key: &[u8], header_value: &[u8]) {
    let producer: BaseProducer = broker.config().create().expect("producer");
    // SAFETY: the pointers are valid for the call, which copies what they point to, and the arguments are the pairs
    // that `rd_kafka_producev` reads up to its end mark. It takes the headers over.
    unsafe {
        let headers = rd_kafka_headers_new(1);
        rd_kafka_header_add(
            headers,
            key.as_ptr().cast(),
            key.len() as isize,
            header_value.as_ptr().cast(),
            header_value.len() as isize,
        );
        rd_kafka_producev(
            producer.client().native_ptr(),
            Part::RD_KAFKA_VTYPE_TOPIC,
            c"t".as_ptr(),
            Part::RD_KAFKA_VTYPE_PARTITION,
            0_i32,
            Part::RD_KAFKA_VTYPE_MSGFLAGS,
            2_i32,
            Part::RD_KAFKA_VTYPE_VALUE,
            b"7".as_ptr(),
            1_usize,
            Part::RD_KAFKA_VTYPE_HEADERS,
            headers,
            Part::RD_KAFKA_VTYPE_END,
        );
    }
    producer.flush(TIMEOUT).expect("flush");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_is_no_text_does_not_stop_the_stream() {
    let broker = Broker::with_topic(1).await;
    broker.send(0, 0..3);
    send_with_header(&broker, b"a\xff\xfeb", &[0xff]);
    send_with_header(&broker, b"empty", b"");
    broker.send(0, 3..5);
    let source = kafka(&broker, &[("includeHeaders", "true")]);
    let start = source.initial_offset().await.expect("initial");
    let end = next(&source, &start).await;
    let batches = rows(&source, &start, &end).await.expect("rows");
    assert_eq!(values(&batches), [0, 1, 2, 3, 4, 7, 7]);
    let headers = batches[0]["headers"].as_list::<i32>();
    assert_eq!(headers.null_count(), 5);
    let entries = headers.values().as_struct();
    let keys: Vec<_> = entries.column(0).as_string::<i32>().iter().flatten().collect();
    assert_eq!(keys, ["a\u{fffd}\u{fffd}b", "empty"]);
    let header_values: Vec<_> = entries.column(1).as_binary::<i32>().iter().flatten().collect();
    assert_eq!(header_values, [b"\xff".as_slice(), b""]);
}

/// Deletes the records of a partition before an offset, as retention does.
async fn delete_before(broker: &Broker, partition: i32, offset: i64) {
    let mut offsets = TopicPartitionList::new();
    offsets
        .add_partition_offset("t", partition, rdkafka::Offset::Offset(offset))
        .expect("offset");
    let deleted = broker
        .admin()
        .delete_records(&offsets, &AdminOptions::new())
        .await;
    deleted.expect("deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_partition_that_lost_its_beginning_is_told() {
    let broker = Broker::with_topic(2).await;
    broker.send(1, 10..15);
    let before = Offset(json!({"t": {"0": 0}}));
    let end = next(&kafka(&broker, &[]), &before).await;
    assert_eq!(end.0, json!({"t": {"0": 0, "1": 5}}));
    // Between the plan of the batch and its second run, retention takes what the partition began with.
    delete_before(&broker, 1, 2).await;
    let strict = kafka(&broker, &[]);
    let error = strict.batch(&before, &end).await.expect_err("rerun");
    assert_eq!(error.kind(), Kind::DataLoss, "{error}");
    let error = strict
        .next_offset(&before, ReadLimit::Options, None)
        .await
        .expect_err("discovery");
    assert_eq!(error.kind(), Kind::DataLoss, "{error}");
    let lenient = kafka(&broker, &[("failOnDataLoss", "false")]);
    let batches = rows(&lenient, &before, &end).await.expect("rows");
    assert_eq!(values(&batches), [12, 13, 14]);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_were_deleted_are_passed_over_in_one_step_when_told_so() {
    let broker = Broker::with_topic(1).await;
    broker.send(0, 0..40);
    delete_before(&broker, 0, 30).await;
    let start = Offset(json!({"t": {"0": 5}}));
    let lenient = kafka(&broker, &[("failOnDataLoss", "false")]);
    let end = Offset(json!({"t": {"0": 40}}));
    let batches = rows(&lenient, &start, &end).await.expect("rows");
    assert_eq!(values(&batches), (30..40).collect::<Vec<_>>());
    // A topic made anew ends before the range begins.
    let beyond = (
        Offset(json!({"t": {"0": 1_000}})),
        Offset(json!({"t": {"0": 1_000_000}})),
    );
    let read = rows(&lenient, &beyond.0, &beyond.1);
    let batches = tokio::time::timeout(TIMEOUT, read)
        .await
        .expect("one step, not a million")
        .expect("rows");
    assert_eq!(values(&batches), Vec::<i64>::new());
    let error = rows(&kafka(&broker, &[]), &start, &end)
        .await
        .expect_err("strict");
    assert_eq!(error.kind(), Kind::DataLoss, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_deleted_under_a_recorded_batch_is_lost() {
    let broker = Broker::with_topic(1).await;
    broker.send(0, 0..3);
    let given = [("kafkaConsumer.pollTimeoutMs", "300")];
    let source = kafka(&broker, &given);
    let start = source.initial_offset().await.expect("initial");
    let end = next(&source, &start).await;
    let deleted = broker.admin().delete_topics(&["t"], &AdminOptions::new()).await;
    deleted.expect("answer")[0].as_ref().expect("deleted");
    let error = rows(&source, &start, &end).await.expect_err("gone");
    assert_eq!(
        error.kind(),
        Kind::DataLoss,
        "{}",
        ingot_common::error::chain(&error)
    );
}

#[test]
fn a_setting_that_the_client_refuses_is_told_at_once() {
    for (name, value) in [
        ("kafka.security.protocol", "SSL"),
        ("kafka.fetch.wait.max.ms", "soon"),
        ("kafka.no.such.setting", "1"),
    ] {
        let given = [
            ("subscribe", "t"),
            ("kafka.bootstrap.servers", "127.0.0.1:1"),
            (name, value),
        ];
        let error = KafkaSource::new(&options(&given)).expect_err(name);
        let text = ingot_common::error::chain(&error);
        assert_eq!(error.kind(), Kind::InvalidArgument, "{text}");
        assert!(text.contains(name.trim_start_matches("kafka.")), "{text}");
    }
}
