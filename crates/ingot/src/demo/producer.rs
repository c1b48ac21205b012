//! Sends the demo's records.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use crate::demo::plan::{BrokerKind, TopicState};
use crate::error::{Error, Result};
use crate::flights::{Record, Reference, Sequence, read_flights};
use crate::kafka::{Sender, Topic, value_at, watermarks};

/// Records to send and where to.
#[derive(Debug, Clone)]
pub struct Production {
    /// The flights' Parquet file.
    pub flights: PathBuf,
    /// Flights to send at most, spread evenly over the file.
    pub limit: Option<usize>,
    pub bootstrap_servers: String,
    pub topic: Topic,
    /// Records of each partition that are there already; missing ones count as 0.
    pub skip: Vec<i64>,
}

impl Production {
    /// Asks the broker what the topic holds. Blocks.
    pub fn topic_state(&self, broker: BrokerKind, reference: &Reference) -> Result<TopicState> {
        let watermarks = watermarks(&self.bootstrap_servers, &self.topic)?;
        let (first, next) = watermarks.into_iter().unzip();
        let records = |partition| reference.records.get(&partition).copied().unwrap_or_default();
        Ok(TopicState {
            name: self.topic.name.clone(),
            broker,
            first,
            next,
            expected: (0..self.topic.partitions).map(records).collect(),
        })
    }

    /// Checks that the `held` records of each partition are the demo's: its last one stands where the demo would
    /// have put it. A topic of somebody else is not to be filled up. Blocks.
    ///
    /// # Errors
    /// `FailedPrecondition` when it is another record.
    pub fn check_held(&self, held: &[i64]) -> Result<()> {
        let mut left = held.to_vec();
        for record in records(&self.flights, self.limit, self.topic.partitions)? {
            if left.iter().all(|left| *left <= 0) {
                break;
            }
            let record = record?;
            let partition = usize::try_from(record.partition).unwrap_or_default();
            let Some(left) = left.get_mut(partition) else {
                continue;
            };
            *left -= 1;
            if *left != 0 {
                continue;
            }
            let offset = held.get(partition).copied().unwrap_or_default() - 1;
            let found = value_at(
                &self.bootstrap_servers,
                &self.topic.name,
                record.partition,
                offset,
            )?;
            if found.as_ref() != Some(&record.value) {
                return Err(Error::Demo {
                    message: format!(
                        "record {offset} in partition {partition} of topic `{}` is not the demo's; choose another --topic",
                        self.topic.name
                    ),
                });
            }
        }
        Ok(())
    }

    /// Sends the records in order and returns how many were sent. Blocks. `sent` follows the confirmed ones.
    ///
    /// # Errors
    /// `Cancelled` when `token` was cancelled before the end; what was sent stays.
    pub fn run(&self, sent: &AtomicU64, token: &CancellationToken) -> Result<u64> {
        let sender = Sender::connect(&self.bootstrap_servers, &self.topic.name)?;
        let mut left_out = self.skip.clone();
        for record in records(&self.flights, self.limit, self.topic.partitions)? {
            let record = record?;
            if token.is_cancelled() {
                return Err(Error::Stopped);
            }
            let partition = usize::try_from(record.partition).unwrap_or_default();
            if let Some(left) = left_out.get_mut(partition)
                && *left > 0
            {
                *left -= 1;
                continue;
            }
            sender.send(record.partition, &record.key, &record.value)?;
            sent.store(sender.delivered(), Ordering::Relaxed);
        }
        let delivered = sender.finish()?;
        sent.store(delivered, Ordering::Relaxed);
        Ok(delivered)
    }
}

/// Computes what the tables must say after all records. Blocks.
pub fn reference(flights: &Path, limit: Option<usize>, partitions: i32) -> Result<Reference> {
    let mut reference = Reference::default();
    for record in records(flights, limit, partitions)? {
        reference.observe(&record?);
    }
    Ok(reference)
}

fn records(
    flights: &Path,
    limit: Option<usize>,
    partitions: i32,
) -> Result<impl Iterator<Item = Result<Record>>> {
    Ok(Sequence::new(read_flights(flights, limit)?, partitions))
}
