//! Asks the brokers about partitions and offsets. Calls block.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientContext, Offset as KafkaOffset, TopicPartitionList};

use super::offsets::{Partition, PartitionOffsets, Watermark, Watermarks};
use super::options::{KafkaSourceOptions, Topics};
use crate::{Error, Result};

/// How long a broker may take to answer; after that, the caller decides whether to ask again.
const REQUEST_MAX: Duration = Duration::from_secs(10);

/// A consumer of this source.
pub type SourceConsumer = BaseConsumer<SourceContext>;

/// Makes a consumer; it connects in the background.
///
/// # Errors
/// `InvalidArgument` for a setting that librdkafka refuses.
pub fn consumer(options: &KafkaSourceOptions) -> Result<SourceConsumer> {
    options
        .consumer
        .create_with_context(SourceContext)
        .map_err(failed("make a consumer"))
}

/// Passes on what librdkafka complains of. It tries again by itself, and what it gives up comes out of the calls, so
/// nothing here is an error; the end of a partition is not even a complaint.
pub struct SourceContext;

impl ClientContext for SourceContext {
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        tracing::warn!(%error, reason, "kafka client complains");
    }
}

impl ConsumerContext for SourceContext {}

/// A client that is never assigned a partition.
pub struct Client {
    options: Arc<KafkaSourceOptions>,
    consumer: SourceConsumer,
    /// The watermarks seen last.
    last: Mutex<Watermarks>,
}

impl Client {
    /// Makes a client; it connects in the background.
    ///
    /// # Errors
    /// `InvalidArgument` for a setting that librdkafka refuses.
    pub fn new(options: Arc<KafkaSourceOptions>) -> Result<Self> {
        let consumer = consumer(&options)?;
        Ok(Self {
            options,
            consumer,
            last: Mutex::default(),
        })
    }

    /// Returns the watermarks of the source's partitions. The high one is the last stable offset when only
    /// committed records are read.
    pub fn watermarks(&self) -> Result<Watermarks> {
        let mut watermarks = Watermarks::default();
        for partition in self.partitions()? {
            let (low, high) = self
                .consumer
                .fetch_watermarks(&partition.topic, partition.number, REQUEST_MAX)
                .map_err(failed("fetch watermarks"))?;
            watermarks.0.insert(partition, Watermark { low, high });
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone_from(&watermarks);
        Ok(watermarks)
    }

    /// Returns the watermarks seen last, without asking.
    pub fn last_watermarks(&self) -> Watermarks {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the offset of the first record at or after an instant, milliseconds since the epoch, for the
    /// partitions that have one.
    pub fn offsets_at(&self, partitions: &[Partition], ms: i64) -> Result<PartitionOffsets> {
        let mut request = TopicPartitionList::new();
        for partition in partitions {
            request
                .add_partition_offset(&partition.topic, partition.number, KafkaOffset::Offset(ms))
                .map_err(failed("ask for offsets at an instant"))?;
        }
        let answer = self
            .consumer
            .offsets_for_times(request, REQUEST_MAX)
            .map_err(failed("ask for offsets at an instant"))?;
        let mut offsets = PartitionOffsets::default();
        for element in answer.elements() {
            element.error().map_err(failed("ask for offsets at an instant"))?;
            if let KafkaOffset::Offset(offset) = element.offset() {
                let partition = Partition {
                    topic: element.topic().to_owned(),
                    number: element.partition(),
                };
                offsets.0.insert(partition, offset);
            }
        }
        Ok(offsets)
    }

    fn partitions(&self) -> Result<Vec<Partition>> {
        let topics = match &self.options.topics {
            Topics::Assign(partitions) => return Ok(partitions.clone()),
            Topics::Subscribe(topics) => topics,
        };
        let mut partitions = Vec::new();
        for topic in topics {
            let metadata = self
                .consumer
                .fetch_metadata(Some(topic), REQUEST_MAX)
                .map_err(failed("fetch metadata"))?;
            let before = partitions.len();
            for found in metadata.topics().iter().filter(|found| found.name() == topic) {
                partitions.extend(found.partitions().iter().map(|partition| Partition {
                    topic: topic.clone(),
                    number: partition.id(),
                }));
            }
            if partitions.len() == before {
                return Err(Error::TopicMissing { topic: topic.clone() });
            }
        }
        Ok(partitions)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

/// Makes the error of a failed call.
pub fn failed(action: &'static str) -> impl FnOnce(KafkaError) -> Error {
    move |source| Error::Kafka { action, source }
}
