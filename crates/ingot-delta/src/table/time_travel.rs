//! Snapshots of the past.

use std::sync::Arc;

use super::{DeltaTable, TimeTravel};
use crate::kernel::VersionAt;
use crate::{Error, Result, Snapshot};

impl DeltaTable {
    /// Returns a snapshot of the past.
    ///
    /// # Errors
    /// `NotFound`, with the range that exists, when the log does not reach back (or forward) that far.
    pub async fn snapshot_at(&self, point: TimeTravel) -> Result<Arc<Snapshot>> {
        let newest = self.snapshot().await?;
        match point {
            TimeTravel::Version(version) => self.at_version(version, newest).await,
            TimeTravel::Timestamp(timestamp_ms) => self.at_timestamp(timestamp_ms, newest).await,
        }
    }

    async fn at_version(&self, version: i64, newest: Arc<Snapshot>) -> Result<Arc<Snapshot>> {
        if version == newest.version() {
            return Ok(newest);
        }
        let in_reach = (0..newest.version()).contains(&version);
        let loaded = match in_reach {
            true => Some(self.load_version(version).await),
            false => None,
        };
        match loaded {
            Some(Ok(snapshot)) => Ok(snapshot),
            Some(Err(error)) if matches!(error, Error::UnsupportedFeature { .. }) => Err(error),
            failed => {
                let earliest = self.kernel().earliest_version().await?;
                match failed {
                    // The version should be there, so this is another failure.
                    Some(Err(error)) if version >= earliest => Err(error),
                    _ => Err(Error::VersionNotFound {
                        location: self.location().to_string(),
                        version,
                        earliest,
                        latest: newest.version(),
                    }),
                }
            }
        }
    }

    async fn at_timestamp(&self, timestamp_ms: i64, newest: Arc<Snapshot>) -> Result<Arc<Snapshot>> {
        if !newest.in_commit_timestamps() {
            return self.at_modification_time(timestamp_ms, newest).await;
        }
        let latest_ms = newest.timestamp_ms();
        if timestamp_ms == latest_ms {
            return Ok(newest);
        }
        if timestamp_ms < latest_ms
            && let VersionAt::Found(version) = self.kernel().version_at(timestamp_ms).await?
        {
            return self.at_version(version, newest).await;
        }
        let earliest = self.kernel().earliest_version().await?;
        Err(Error::TimestampNotFound {
            location: self.location().to_string(),
            timestamp_ms,
            earliest_ms: self.at_version(earliest, newest).await?.timestamp_ms(),
            latest_ms,
        })
    }

    /// Finds a version by when the commits' files were modified. A clock may have stepped back, so the time of one
    /// commit says nothing without those before it.
    async fn at_modification_time(
        &self,
        timestamp_ms: i64,
        mut newest: Arc<Snapshot>,
    ) -> Result<Arc<Snapshot>> {
        let earliest = self.kernel().earliest_version().await?;
        let mut times = self.log_files().await?.modification_times();
        times.retain(|(version, _)| *version >= earliest);
        if times.is_empty() {
            // Its checkpoint is all that is left.
            times.push((newest.version(), newest.timestamp_ms()));
        }
        match version_by_time(&times, timestamp_ms) {
            Some(version) => {
                if version > newest.version() {
                    newest = self.snapshot().await?;
                }
                self.at_version(version, newest).await
            }
            None => Err(Error::TimestampNotFound {
                location: self.location().to_string(),
                timestamp_ms,
                earliest_ms: times.first().map_or(timestamp_ms, |(_, ms)| *ms),
                latest_ms: times.last().map_or(timestamp_ms, |(_, ms)| *ms),
            }),
        }
    }
}

/// Returns the newest version that was there at `timestamp_ms`; `None` before the first and after the last of
/// `times`, which grow.
fn version_by_time(times: &[(i64, i64)], timestamp_ms: i64) -> Option<i64> {
    let (_, latest_ms) = times.last()?;
    if timestamp_ms > *latest_ms {
        return None;
    }
    let later = times.partition_point(|(_, made_ms)| *made_ms <= timestamp_ms);
    let (version, _) = times.get(later.checked_sub(1)?)?;
    Some(*version)
}
