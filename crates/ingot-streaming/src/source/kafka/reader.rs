//! Reads records with consumers that are kept from batch to batch, each on one partition.
//!
//! A consumer that stands where a batch begins goes on with what it has read ahead; one that stands elsewhere
//! is assigned anew. While the source has nothing new, consumers are paused, so that none asks the broker in
//! vain.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::{Stream, stream};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::client::{SourceConsumer, consumer, failed};
use super::offsets::{Partition, Range};
use super::options::KafkaSourceOptions;
use super::rows::Rows;
use crate::{Error, Result, RowCount};

/// Consumers that are kept. Source: `spark.kafka.consumer.cache.capacity`.
const CONSUMERS_KEPT: usize = 64;

/// Batches that wait for whoever reads them.
const BATCHES_WAITING: usize = 2;

/// How long one look for a record takes at most: the delay with which a reader notices that nobody reads.
const POLL_MAX: Duration = Duration::from_millis(100);

/// How long brokers may take to tell a watermark.
const WATERMARK_MAX: Duration = Duration::from_secs(10);

/// How long brokers may take to tell which partitions there are.
const METADATA_MAX: Duration = Duration::from_secs(10);

/// What to read, and into which columns.
pub struct ReadPlan {
    pub schema: SchemaRef,
    /// Each with its part of `rows`.
    pub ranges: Vec<(usize, Range)>,
    pub rows: RowCount,
}

/// The consumers of a source that no batch uses now.
pub struct Consumers {
    options: Arc<KafkaSourceOptions>,
    idle: Mutex<HashMap<Partition, PartitionConsumer>>,
}

impl Consumers {
    /// Makes an empty cache.
    pub fn new(options: Arc<KafkaSourceOptions>) -> Self {
        Self {
            options,
            idle: Mutex::default(),
        }
    }

    /// Reads what `plan` says, on a blocking thread that ends when the stream is dropped.
    pub fn read(self: Arc<Self>, plan: ReadPlan) -> impl Stream<Item = Result<RecordBatch>> + Send {
        read_on_thread(move |sender| self.read_ranges(plan, sender))
    }

    /// Pauses all idle consumers.
    pub fn pause_idle(&self) {
        for consumer in self.idle().values_mut() {
            consumer.pause();
        }
    }

    fn read_ranges(&self, plan: ReadPlan, sender: &mpsc::Sender<Result<RecordBatch>>) -> Result<()> {
        for (part, range) in plan.ranges {
            let mut consumer = self.take(&range)?;
            let mut rows = Rows::new(Arc::clone(&plan.schema));
            let mut count = 0;
            while !sender.is_closed() && consumer.next_rows(&range, &mut rows, &self.options, sender)? {
                let batch = rows.take().map_err(|source| Error::Internal {
                    message: format!("records do not fit the source's columns: {source}"),
                })?;
                let Some(batch) = batch else { continue };
                count += batch.num_rows() as u64;
                plan.rows.note(part, count);
                if sender.blocking_send(Ok(batch)).is_err() {
                    return Ok(());
                }
            }
            if sender.is_closed() {
                return Ok(());
            }
            self.give_back(range.partition, consumer);
        }
        Ok(())
    }

    /// Returns a consumer that stands where `range` begins.
    fn take(&self, range: &Range) -> Result<PartitionConsumer> {
        let kept = self.idle().remove(&range.partition);
        let mut consumer = match kept {
            Some(consumer) => consumer,
            None => PartitionConsumer::new(&self.options, range.partition.clone())?,
        };
        consumer.go_to(range.from)?;
        Ok(consumer)
    }

    fn give_back(&self, partition: Partition, consumer: PartitionConsumer) {
        let mut idle = self.idle();
        // Closing a consumer takes a while; the one that is not kept is closed after the lock is given back.
        let closed = if idle.len() < CONSUMERS_KEPT {
            idle.insert(partition, consumer)
        } else {
            Some(consumer)
        };
        drop(idle);
        drop(closed);
    }

    fn idle(&self) -> MutexGuard<'_, HashMap<Partition, PartitionConsumer>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Consumers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumers")
            .field("idle", &self.idle().keys())
            .finish_non_exhaustive()
    }
}

/// What a reader that runs on a thread of its own hands over.
struct Reading {
    receiver: mpsc::Receiver<Result<RecordBatch>>,
    /// Ended when the receiver has nothing more; taken once it was asked how.
    reader: Option<JoinHandle<()>>,
}

/// Makes the stream of what `read` sends. It ends only after `read` has returned: a reader that died in between
/// ends it with an error, so that what it had sent by then does not pass for everything.
fn read_on_thread(
    read: impl FnOnce(&mpsc::Sender<Result<RecordBatch>>) -> Result<()> + Send + 'static,
) -> impl Stream<Item = Result<RecordBatch>> + Send {
    let (sender, receiver) = mpsc::channel(BATCHES_WAITING);
    let reader = tokio::task::spawn_blocking(move || {
        if let Err(error) = read(&sender) {
            // Nobody is left to tell when this fails.
            let _ = sender.blocking_send(Err(error));
        }
    });
    let reading = Reading {
        receiver,
        reader: Some(reader),
    };
    stream::unfold(reading, |mut reading| async move {
        if let Some(batch) = reading.receiver.recv().await {
            return Some((batch, reading));
        }
        match reading.reader.take()?.await {
            Ok(()) => None,
            Err(died) => {
                let message = format!("the reader of kafka records died: {died}");
                Some((Err(Error::Internal { message }), reading))
            }
        }
    })
}

/// A consumer that is assigned one partition.
struct PartitionConsumer {
    consumer: SourceConsumer,
    partition: Partition,
    /// The offset that comes next; `None` when it is not known and the consumer must be assigned anew.
    position: Option<i64>,
    paused: bool,
    end: EndOfPartition,
    /// What the consumer last complained of since it last had a record.
    complaint: Option<KafkaError>,
}

/// What is known about the end of the partition.
///
/// The consumer says once that it reached the end, and that word waits with the records: it may be from long
/// ago, before the records of this batch were written. Only a consumer that was assigned anew since the batch
/// was planned tells that there is nothing between its position and the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EndOfPartition {
    Unknown,
    /// It was said, at some time.
    Said,
    /// It was said, and the consumer was assigned anew to say it again.
    AskedAgain,
}

/// What a look for a record found.
enum Polled {
    /// The batch is full.
    Full,
    /// The range is read.
    Done,
    /// Nothing for now.
    Nothing,
}

impl PartitionConsumer {
    fn new(options: &KafkaSourceOptions, partition: Partition) -> Result<Self> {
        Ok(Self {
            consumer: consumer(options)?,
            partition,
            position: None,
            paused: false,
            end: EndOfPartition::Unknown,
            complaint: None,
        })
    }

    /// Makes `offset` the one that comes next.
    fn go_to(&mut self, offset: i64) -> Result<()> {
        self.end = EndOfPartition::Unknown;
        if self.position == Some(offset) {
            if self.paused {
                self.consumer
                    .resume(&self.assignment()?)
                    .map_err(failed("resume a partition"))?;
                self.paused = false;
            }
            return Ok(());
        }
        self.assign(offset)
    }

    /// Forgets what was read ahead and starts at `offset`.
    fn assign(&mut self, offset: i64) -> Result<()> {
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(
                &self.partition.topic,
                self.partition.number,
                KafkaOffset::Offset(offset),
            )
            .map_err(failed("assign a partition"))?;
        self.consumer
            .assign(&assignment)
            .map_err(failed("assign a partition"))?;
        self.position = Some(offset);
        self.paused = false;
        Ok(())
    }

    /// Stops asking for records. A consumer that cannot be paused is assigned anew when it is needed.
    fn pause(&mut self) {
        if self.paused {
            return;
        }
        let paused = self
            .assignment()
            .is_ok_and(|assignment| self.consumer.pause(&assignment).is_ok());
        self.paused = paused;
        if !paused {
            self.position = None;
        }
    }

    fn assignment(&self) -> Result<TopicPartitionList> {
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition(&self.partition.topic, self.partition.number);
        Ok(assignment)
    }

    /// Reads records of `range` into `rows` until the batch is full or the range is read. Returns `false` when
    /// there is nothing more: the range was read before, or nobody reads any longer.
    fn next_rows(
        &mut self,
        range: &Range,
        rows: &mut Rows,
        options: &KafkaSourceOptions,
        sender: &mpsc::Sender<Result<RecordBatch>>,
    ) -> Result<bool> {
        if self.position.is_none_or(|position| position >= range.until) {
            return Ok(false);
        }
        let mut heard = Instant::now();
        loop {
            let before = self.position;
            match self.poll(range, rows, options)? {
                Polled::Full | Polled::Done => return Ok(true),
                Polled::Nothing => {}
            }
            if sender.is_closed() {
                return Ok(false);
            }
            if self.position != before {
                heard = Instant::now();
                self.complaint = None;
            } else if heard.elapsed() > options.poll_timeout {
                self.give_up(range, options, heard.elapsed())?;
                return Ok(true);
            }
        }
    }

    /// Nothing came for too long: the partition was deleted, or the brokers are away.
    fn give_up(&mut self, range: &Range, options: &KafkaSourceOptions, waited: Duration) -> Result<()> {
        let offset = self.position.unwrap_or(range.from);
        if self.deleted()? {
            let message = format!(
                "partition {} is gone, and offsets {offset} to {} were to be read",
                self.partition, range.until
            );
            return self.lost(message, range.until, range, options);
        }
        Err(Error::KafkaSilent {
            topic: self.partition.topic.clone(),
            partition: self.partition.number,
            offset,
            waited_ms: waited.as_millis(),
            source: self.complaint.take().map(Box::new),
        })
    }

    /// Says if the brokers answer that there is no such partition.
    fn deleted(&self) -> Result<bool> {
        let topic = self.partition.topic.as_str();
        let metadata = self
            .consumer
            .fetch_metadata(Some(topic), METADATA_MAX)
            .map_err(failed("fetch metadata"))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let exists = found.is_some_and(|found| {
            let mut partitions = found.partitions().iter();
            partitions.any(|partition| partition.id() == self.partition.number)
        });
        Ok(!exists)
    }

    /// Takes records until there is none at hand.
    fn poll(&mut self, range: &Range, rows: &mut Rows, options: &KafkaSourceOptions) -> Result<Polled> {
        let mut position = self.position.unwrap_or(range.from);
        let error = loop {
            match self.consumer.poll(POLL_MAX) {
                None => {
                    self.position = Some(position);
                    return self.hear_nothing(range, options);
                }
                Some(Err(error)) => break error,
                // What was fetched before the consumer was sent elsewhere.
                Some(Ok(record)) if record.offset() < position => {}
                Some(Ok(record)) if record.offset() >= range.until => {
                    // Offsets up to the end are gaps. The record belongs to the next batch, which has to fetch
                    // it again.
                    self.position = None;
                    return Ok(Polled::Done);
                }
                Some(Ok(record)) => {
                    position = record.offset() + 1;
                    self.end = EndOfPartition::Unknown;
                    rows.push(&record);
                    if position >= range.until {
                        self.position = Some(position);
                        return Ok(Polled::Done);
                    }
                    if rows.full() {
                        self.position = Some(position);
                        return Ok(Polled::Full);
                    }
                }
            }
        };
        self.position = Some(position);
        self.judge(error, range, options)
    }

    /// Decides what an event that is no record means.
    fn judge(&mut self, error: KafkaError, range: &Range, options: &KafkaSourceOptions) -> Result<Polled> {
        match error {
            KafkaError::PartitionEOF(_) if self.end == EndOfPartition::AskedAgain => {
                // What is missing are gaps: transaction marks, compacted records.
                self.position = Some(range.until);
                Ok(Polled::Done)
            }
            KafkaError::PartitionEOF(_) => {
                self.end = EndOfPartition::Said;
                Ok(Polled::Nothing)
            }
            KafkaError::MessageConsumption(code) => match meaning(code) {
                Meaning::OutOfRange => self.out_of_range(range, options),
                Meaning::Failed => {
                    self.position = None;
                    Err(failed("read records")(error))
                }
                Meaning::Passing => Ok(self.go_on(error)),
            },
            KafkaError::MessageConsumptionFatal(_) => {
                self.position = None;
                Err(failed("read records")(error))
            }
            _ => Ok(self.go_on(error)),
        }
    }

    /// Brokers come and go; the consumer goes on by itself. The time without records is bounded.
    fn go_on(&mut self, error: KafkaError) -> Polled {
        tracing::debug!(partition = %self.partition, error = %error, "kafka consumer goes on");
        self.complaint = Some(error);
        Polled::Nothing
    }

    /// No record came for a while. When the consumer said that it is at the end, and the partition reaches as far
    /// as the range, it is asked again.
    fn hear_nothing(&mut self, range: &Range, options: &KafkaSourceOptions) -> Result<Polled> {
        if self.end != EndOfPartition::Said {
            return Ok(Polled::Nothing);
        }
        let (_, high) = self.watermarks()?;
        if high < range.until {
            let message = format!(
                "partition {} ends at offset {high}, and {} was to be read",
                self.partition, range.until
            );
            self.lost(message, range.until, range, options)?;
            return Ok(Polled::Done);
        }
        self.assign(self.position.unwrap_or(range.from))?;
        self.end = EndOfPartition::AskedAgain;
        Ok(Polled::Nothing)
    }

    /// The offset to read is gone, or not there yet.
    fn out_of_range(&mut self, range: &Range, options: &KafkaSourceOptions) -> Result<Polled> {
        let (low, high) = self.watermarks()?;
        let position = self.position.unwrap_or(range.from);
        let partition = &self.partition;
        let (message, next) = match place(position, low, high) {
            Place::BeforeBeginning => (
                format!("partition {partition} begins at offset {low}, and {position} was to be read"),
                low,
            ),
            Place::AfterEnd => (
                format!("partition {partition} ends at offset {high}, and {position} was to be read"),
                range.until,
            ),
            Place::Within => {
                // The answer is an old one, or the partition has just grown.
                self.assign(position)?;
                return Ok(Polled::Nothing);
            }
        };
        self.lost(message, next, range, options)?;
        Ok(Polled::Done)
    }

    /// Goes on at `offset`, or fails, as `failOnDataLoss` says. At the range's end the consumer stays where it is,
    /// and is assigned anew for the next one.
    fn lost(
        &mut self,
        message: String,
        offset: i64,
        range: &Range,
        options: &KafkaSourceOptions,
    ) -> Result<()> {
        self.position = None;
        if options.fail_on_data_loss {
            return Err(Error::DataLoss {
                origin: format!("KafkaV2[{}]", options.topics),
                message,
            });
        }
        tracing::warn!(losses = message, "data was lost; the stream goes on without it");
        match offset < range.until {
            true => self.go_to(offset),
            false => Ok(()),
        }
    }

    fn watermarks(&self) -> Result<(i64, i64)> {
        self.consumer
            .fetch_watermarks(&self.partition.topic, self.partition.number, WATERMARK_MAX)
            .map_err(failed("fetch watermarks"))
    }
}

/// What the code of a consumer's error means for the range at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The offset to read is not among those that the partition has.
    OutOfRange,
    /// Records cannot be read. The consumer passes over them by itself, so going on would lose them.
    Failed,
    /// The consumer goes on by itself and loses nothing.
    Passing,
}

fn meaning(code: RDKafkaErrorCode) -> Meaning {
    match code {
        RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset => Meaning::OutOfRange,
        RDKafkaErrorCode::BadMessage
        | RDKafkaErrorCode::BadCompression
        | RDKafkaErrorCode::NotImplemented
        | RDKafkaErrorCode::InvalidMessage
        | RDKafkaErrorCode::InvalidMessageSize
        | RDKafkaErrorCode::MessageSizeTooLarge
        | RDKafkaErrorCode::Authentication
        | RDKafkaErrorCode::ClusterAuthorizationFailed
        | RDKafkaErrorCode::GroupAuthorizationFailed
        | RDKafkaErrorCode::TopicAuthorizationFailed => Meaning::Failed,
        _ => Meaning::Passing,
    }
}

/// Where an offset lies with regard to what a partition has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    BeforeBeginning,
    Within,
    AfterEnd,
}

fn place(position: i64, low: i64, high: i64) -> Place {
    if position < low {
        Place::BeforeBeginning
    } else if position > high {
        Place::AfterEnd
    } else {
        Place::Within
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::datatypes::Schema;
    use futures::StreamExt;
    use ingot_common::{Classify, Kind};
    use test_case::test_case;

    use super::*;

    #[tokio::test]
    async fn a_reader_that_dies_is_an_error_not_the_end() {
        let read = read_on_thread(|sender| {
            let batch = RecordBatch::new_empty(Arc::new(Schema::empty()));
            sender.blocking_send(Ok(batch)).expect("somebody reads");
            panic!("the reader dies");
        });
        let outcomes: Vec<bool> = read.map(|batch| batch.is_ok()).collect().await;
        assert_eq!(outcomes, [true, false]);
    }

    #[test_case(RDKafkaErrorCode::BadMessage, Kind::DataLoss)]
    #[test_case(RDKafkaErrorCode::BadCompression, Kind::DataLoss)]
    #[test_case(RDKafkaErrorCode::NotImplemented, Kind::Unsupported)]
    #[test_case(RDKafkaErrorCode::MessageSizeTooLarge, Kind::FailedPrecondition)]
    #[test_case(RDKafkaErrorCode::TopicAuthorizationFailed, Kind::PermissionDenied)]
    fn records_that_cannot_be_read_are_no_gap(code: RDKafkaErrorCode, kind: Kind) {
        let options = BTreeMap::from([
            ("subscribe".to_owned(), "t".to_owned()),
            ("kafka.bootstrap.servers".to_owned(), "127.0.0.1:1".to_owned()),
        ]);
        let options = KafkaSourceOptions::parse(&options).expect("options");
        let partition = Partition {
            topic: "t".to_owned(),
            number: 0,
        };
        let mut consumer = PartitionConsumer::new(&options, partition.clone()).expect("consumer");
        let range = Range {
            partition,
            from: 0,
            until: 10,
        };
        let judged = consumer.judge(KafkaError::MessageConsumption(code), &range, &options);
        assert_eq!(judged.err().map(|error| error.kind()), Some(kind));
        assert_eq!(consumer.position, None, "what it read ahead is not trusted");
    }

    #[test]
    fn a_broker_that_is_away_is_waited_for() {
        assert_eq!(
            meaning(RDKafkaErrorCode::BrokerTransportFailure),
            Meaning::Passing
        );
        assert_eq!(meaning(RDKafkaErrorCode::LeaderNotAvailable), Meaning::Passing);
    }

    #[test_case(4, 5, 9 => Place::BeforeBeginning; "retention overtook")]
    #[test_case(5, 5, 9 => Place::Within; "at the beginning")]
    #[test_case(9, 5, 9 => Place::Within; "at the end")]
    #[test_case(10, 5, 9 => Place::AfterEnd; "made anew")]
    fn an_offset_is_placed(position: i64, low: i64, high: i64) -> Place {
        place(position, low, high)
    }
}
