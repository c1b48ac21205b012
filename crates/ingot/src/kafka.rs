//! Kafka clients of the commands: topics, watermarks, and a producer that keeps order.
//!
//! Calls block; async callers run them on the blocking pool.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::error::{Error, Result};

/// How long a broker may take to answer a request.
const REQUEST_MAX: Duration = Duration::from_secs(30);
/// How long the last records may take to arrive.
const FLUSH_MAX: Duration = Duration::from_secs(300);
/// Pause while the producer's queue is full.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);

/// A topic and how many partitions it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    pub partitions: i32,
}

impl std::str::FromStr for Topic {
    type Err = String;

    /// Reads `name:partitions`; one partition when the number is left out.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, partitions) = match text.rsplit_once(':') {
            None => (text, 1),
            Some((name, number)) => match number.parse() {
                Ok(partitions) if partitions > 0 => (name, partitions),
                _ => return Err(format!("`{number}` is no number of partitions")),
            },
        };
        if name.is_empty() {
            return Err("the topic's name is empty".to_owned());
        }
        Ok(Self {
            name: name.to_owned(),
            partitions,
        })
    }
}

/// Creates `topic` unless it exists, and returns it with the partitions that it has.
pub async fn ensure_topic(bootstrap_servers: &str, topic: &Topic) -> Result<Topic> {
    let admin = admin(bootstrap_servers)?;
    let new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(1));
    let results = admin
        .create_topics([&new], &options())
        .await
        .map_err(Error::kafka("create a topic"))?;
    for result in results {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => {
                return Err(Error::KafkaAdmin {
                    resource: format!("topic `{name}`"),
                    code,
                });
            }
        }
    }
    Ok(Topic {
        name: topic.name.clone(),
        partitions: partition_count(&admin, &topic.name)?,
    })
}

/// Gives a topic more partitions.
pub async fn grow_topic(bootstrap_servers: &str, topic: &Topic) -> Result<()> {
    let count = usize::try_from(topic.partitions).unwrap_or_default();
    let results = admin(bootstrap_servers)?
        .create_partitions([&NewPartitions::new(&topic.name, count)], &options())
        .await
        .map_err(Error::kafka("create partitions"))?;
    match results.into_iter().find_map(std::result::Result::err) {
        None => Ok(()),
        Some((name, code)) => Err(Error::KafkaAdmin {
            resource: format!("partitions of topic `{name}`"),
            code,
        }),
    }
}

/// Returns, for each partition, the offset of its first record and the offset that its next record will get.
pub fn watermarks(bootstrap_servers: &str, topic: &Topic) -> Result<Vec<(i64, i64)>> {
    let consumer: BaseConsumer = client(bootstrap_servers)
        .create()
        .map_err(Error::kafka("make a consumer"))?;
    (0..topic.partitions)
        .map(|partition| {
            consumer
                .fetch_watermarks(&topic.name, partition, REQUEST_MAX)
                .map_err(Error::kafka("fetch watermarks"))
        })
        .collect()
}

/// Reads the value of the record at `offset`; `None` when there is none.
pub fn value_at(
    bootstrap_servers: &str,
    topic: &str,
    partition: i32,
    offset: i64,
) -> Result<Option<Vec<u8>>> {
    let consumer: BaseConsumer = client(bootstrap_servers)
        .set("group.id", "ingot-demo")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .create()
        .map_err(Error::kafka("make a consumer"))?;
    let mut assignment = TopicPartitionList::new();
    assignment
        .add_partition_offset(topic, partition, Offset::Offset(offset))
        .and_then(|()| consumer.assign(&assignment))
        .map_err(Error::kafka("assign a partition"))?;
    match consumer.poll(REQUEST_MAX) {
        None => Ok(None),
        Some(Ok(message)) if message.offset() == offset => {
            Ok(Some(message.payload().unwrap_or_default().to_vec()))
        }
        Some(Ok(_)) => Ok(None),
        Some(Err(error)) => Err(Error::kafka("read a record")(error)),
    }
}

fn client(bootstrap_servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap_servers);
    config
}

fn admin(bootstrap_servers: &str) -> Result<AdminClient<DefaultClientContext>> {
    client(bootstrap_servers)
        .create()
        .map_err(Error::kafka("make an admin client"))
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(REQUEST_MAX))
        .operation_timeout(Some(REQUEST_MAX))
}

fn partition_count(admin: &AdminClient<DefaultClientContext>, topic: &str) -> Result<i32> {
    let metadata = admin
        .inner()
        .fetch_metadata(Some(topic), REQUEST_MAX)
        .map_err(Error::kafka("fetch metadata"))?;
    let count = metadata
        .topics()
        .first()
        .map_or(0, |topic| topic.partitions().len());
    Ok(i32::try_from(count).unwrap_or(i32::MAX))
}

/// Sends records to one topic, each to the partition that the caller names, in order, once each.
///
/// Order and uniqueness are the idempotent producer's: they hold for what one `Sender` sends, also when the
/// broker goes away for a while.
pub struct Sender {
    producer: ThreadedProducer<Deliveries>,
    deliveries: Arc<DeliveryState>,
    topic: String,
}

impl Sender {
    /// Connects to `bootstrap_servers`; the broker need not be there yet.
    pub fn connect(bootstrap_servers: &str, topic: &str) -> Result<Self> {
        let deliveries = Arc::new(DeliveryState::default());
        let producer = client(bootstrap_servers)
            .set("enable.idempotence", "true")
            .set("linger.ms", "20")
            .set("queue.buffering.max.kbytes", "65536")
            .create_with_context(Deliveries(deliveries.clone()))
            .map_err(Error::kafka("make a producer"))?;
        Ok(Self {
            producer,
            deliveries,
            topic: topic.to_owned(),
        })
    }

    /// Queues a record; waits while the queue is full.
    ///
    /// # Errors
    /// The first delivery that failed, of any record before this one: nothing after it is in order.
    pub fn send(&self, partition: i32, key: &[u8], value: &[u8]) -> Result<()> {
        let mut record = BaseRecord::to(&self.topic)
            .partition(partition)
            .key(key)
            .payload(value);
        loop {
            self.deliveries.check()?;
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned)) => {
                    record = returned;
                    std::thread::sleep(QUEUE_FULL_PAUSE);
                }
                Err((error, _)) => return Err(Error::kafka("send a record")(error)),
            }
        }
    }

    /// Returns how many records the broker has confirmed.
    pub fn delivered(&self) -> u64 {
        self.deliveries.count.load(Ordering::Relaxed)
    }

    /// Waits until all records are confirmed and returns how many were.
    pub fn finish(self) -> Result<u64> {
        self.producer
            .flush(FLUSH_MAX)
            .map_err(Error::kafka("send the last records"))?;
        self.deliveries.check()?;
        Ok(self.delivered())
    }
}

#[derive(Default)]
struct DeliveryState {
    count: AtomicU64,
    first_failure: Mutex<Option<KafkaError>>,
}

impl DeliveryState {
    fn check(&self) -> Result<()> {
        let failure = self.first_failure.lock().unwrap_or_else(PoisonError::into_inner);
        match failure.clone() {
            None => Ok(()),
            Some(error) => Err(Error::kafka("deliver a record")(error)),
        }
    }
}

/// Counts confirmations; called from the producer's thread.
struct Deliveries(Arc<DeliveryState>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.0.count.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, _)) => {
                let mut first = self
                    .0
                    .first_failure
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert_with(|| error.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    #[test_case("flights:4", "flights", 4)]
    #[test_case("flights", "flights", 1)]
    fn topics_are_read(text: &str, name: &str, partitions: i32) {
        let topic: Topic = text.parse().expect("topic");
        assert_eq!((topic.name.as_str(), topic.partitions), (name, partitions));
    }

    #[test_case("flights:0")]
    #[test_case("flights:x")]
    #[test_case(":3")]
    fn wrong_topics_are_refused(text: &str) {
        text.parse::<Topic>().expect_err("no topic");
    }
}
