//! Sends the demo's records.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::flights::{Record, Reference, Sequence, read_flights};
use crate::kafka::{Sender, Topic};

/// Records to send and where to.
#[derive(Debug, Clone)]
pub struct Production {
    /// The flights' Parquet file.
    pub flights: PathBuf,
    /// Flights to send at most.
    pub limit: Option<usize>,
    pub bootstrap_servers: String,
    pub topic: Topic,
    /// Records of each partition that are there already; missing ones count as 0.
    pub skip: Vec<i64>,
}

impl Production {
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
    let flights = read_flights(flights)?.take(limit.unwrap_or(usize::MAX));
    Ok(Sequence::new(flights, partitions))
}
