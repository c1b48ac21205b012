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
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use tokio::sync::mpsc;

use super::client::failed;
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

/// How long a watermark may take to be told.
const WATERMARK_MAX: Duration = Duration::from_secs(10);

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
        let (sender, mut receiver) = mpsc::channel(BATCHES_WAITING);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = self.read_ranges(plan, &sender) {
                // Nobody is left to tell when this fails.
                let _ = sender.blocking_send(Err(error));
            }
        });
        stream::poll_fn(move |context| receiver.poll_recv(context))
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
            while consumer.next_rows(&range, &mut rows, &self.options, sender)? {
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

/// A consumer that is assigned one partition.
struct PartitionConsumer {
    consumer: BaseConsumer,
    partition: Partition,
    /// The offset that comes next; `None` when it is not known and the consumer must be assigned anew.
    position: Option<i64>,
    paused: bool,
    end: EndOfPartition,
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
            consumer: options.consumer.create().map_err(failed("make a consumer"))?,
            partition,
            position: None,
            paused: false,
            end: EndOfPartition::Unknown,
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
            } else if heard.elapsed() > options.poll_timeout {
                return Err(Error::KafkaSilent {
                    topic: self.partition.topic.clone(),
                    partition: self.partition.number,
                    offset: self.position.unwrap_or(range.from),
                    waited_ms: heard.elapsed().as_millis(),
                });
            }
        }
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
            KafkaError::MessageConsumption(code) => match code {
                RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset => {
                    self.out_of_range(range, options)
                }
                RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::GroupAuthorizationFailed => {
                    self.position = None;
                    Err(failed("read records")(error))
                }
                _ => {
                    // Brokers come and go; the consumer goes on by itself. The time without records is bounded.
                    tracing::debug!(partition = %self.partition, error = %error, "kafka consumer goes on");
                    Ok(Polled::Nothing)
                }
            },
            KafkaError::MessageConsumptionFatal(_) => {
                self.position = None;
                Err(failed("read records")(error))
            }
            _ => {
                tracing::debug!(partition = %self.partition, error = %error, "kafka consumer goes on");
                Ok(Polled::Nothing)
            }
        }
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
            return self.lost(message, range.until, options);
        }
        self.assign(self.position.unwrap_or(range.from))?;
        self.end = EndOfPartition::AskedAgain;
        Ok(Polled::Nothing)
    }

    /// The offset to read is gone.
    fn out_of_range(&mut self, range: &Range, options: &KafkaSourceOptions) -> Result<Polled> {
        let (low, _) = self.watermarks()?;
        let position = self.position.unwrap_or(range.from);
        let message = format!(
            "partition {} begins at offset {low}, and {position} was to be read",
            self.partition
        );
        self.lost(message, low.max(position + 1), options)
    }

    /// Goes on at `offset`, or fails, as `failOnDataLoss` says.
    fn lost(&mut self, message: String, offset: i64, options: &KafkaSourceOptions) -> Result<Polled> {
        self.position = None;
        if options.fail_on_data_loss {
            return Err(Error::DataLoss {
                origin: format!("KafkaV2[{}]", options.topics),
                message,
            });
        }
        tracing::warn!(losses = message, "data was lost; the stream goes on without it");
        self.go_to(offset)?;
        Ok(Polled::Done)
    }

    fn watermarks(&self) -> Result<(i64, i64)> {
        self.consumer
            .fetch_watermarks(&self.partition.topic, self.partition.number, WATERMARK_MAX)
            .map_err(failed("fetch watermarks"))
    }
}
