//! How a demo goes on from what it finds.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::flights::sequence::SEED;

/// Which records a data directory was filled from. Kept as `demo.json` in it: records of another demo would
/// continue at offsets that belong to different flights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DemoIdentity {
    pub seed: u64,
    /// Flights sent; `None` means all.
    pub limit: Option<usize>,
    pub topic: String,
    pub partitions: i32,
    pub broker: BrokerKind,
}

/// Where the records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BrokerKind {
    /// In the demo's own process: records are gone with it.
    Embedded,
    /// Elsewhere: records outlive the demo.
    External,
}

impl DemoIdentity {
    /// Describes the demo that is about to run.
    pub fn new(limit: Option<usize>, topic: &str, partitions: i32, broker: BrokerKind) -> Self {
        Self {
            seed: SEED,
            limit,
            topic: topic.to_owned(),
            partitions,
            broker,
        }
    }

    /// Writes the identity at the first start; compares it at later ones.
    ///
    /// # Errors
    /// `FailedPrecondition` when the directory holds another demo.
    pub fn claim(&self, path: &Path) -> Result<()> {
        let text = serde_json::json!(self).to_string();
        if crate::data_directory::write_secret_once(path, &text)? {
            return Ok(());
        }
        let found = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
        let found: Self = serde_json::from_str(&found).map_err(|error| Error::Demo {
            message: format!("`{}` cannot be read: {error}", path.display()),
        })?;
        if found == *self {
            return Ok(());
        }
        Err(Error::Demo {
            message: format!(
                "the data directory was filled by another demo ({}); choose another --data-dir, or give the flags of \
                 that demo",
                serde_json::json!(found)
            ),
        })
    }
}

/// What to do with the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DemoPlan {
    /// Nothing was processed before: send and process at the same time.
    Start,
    /// The pipeline has a checkpoint, and the records it counts went with the earlier process's broker. Send all
    /// again first: the pipeline refuses offsets that a broker does not hold yet.
    SendAgainThenProcess,
    /// The broker kept its records: send what each partition lacks, and process at the same time.
    SendRest {
        /// Records that each partition holds.
        held: Vec<i64>,
    },
}

/// Chooses the plan. `held` are the broker's high watermarks, `expected` the records of each partition.
///
/// # Errors
/// `FailedPrecondition` when a partition holds more records than the demo has: they are somebody else's.
pub fn decide(
    broker: BrokerKind,
    processed_before: bool,
    held: Vec<i64>,
    expected: &[i64],
    topic: &str,
) -> Result<DemoPlan> {
    for (partition, (held, expected)) in held.iter().zip(expected).enumerate() {
        if held > expected {
            return Err(Error::Demo {
                message: format!(
                    "partition {partition} of topic `{topic}` holds {held} records, the demo has {expected}; choose \
                     another --topic"
                ),
            });
        }
    }
    Ok(match broker {
        BrokerKind::External => DemoPlan::SendRest { held },
        BrokerKind::Embedded if processed_before => DemoPlan::SendAgainThenProcess,
        BrokerKind::Embedded => DemoPlan::Start,
    })
}

impl DemoPlan {
    /// Returns how many records of each partition to leave out.
    pub fn skip(&self) -> Vec<i64> {
        match self {
            Self::Start | Self::SendAgainThenProcess => Vec::new(),
            Self::SendRest { held } => held.clone(),
        }
    }

    /// Says plainly what is resumed and what is started over. `bronze` is the rows that bronze holds.
    pub fn explain(&self, bronze: i64, records: i64) -> String {
        match self {
            Self::Start => format!("starting: {records} records to send and process"),
            Self::SendAgainThenProcess => format!(
                "going on: bronze holds {bronze} of {records} records and keeps them; the in-memory broker lost its \
                 own, so all are sent again, and processing resumes after those that bronze holds"
            ),
            Self::SendRest { held } => format!(
                "the topic holds {} of {records} records, the rest is sent; bronze holds {bronze}, processing resumes \
                 after those",
                held.iter().sum::<i64>()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    #[test_case(BrokerKind::Embedded, false, DemoPlan::Start)]
    #[test_case(BrokerKind::Embedded, true, DemoPlan::SendAgainThenProcess)]
    #[test_case(BrokerKind::External, false, DemoPlan::SendRest { held: vec![0, 5] })]
    #[test_case(BrokerKind::External, true, DemoPlan::SendRest { held: vec![0, 5] })]
    fn plan_follows_from_broker_and_checkpoint(broker: BrokerKind, before: bool, expected: DemoPlan) {
        let plan = decide(broker, before, vec![0, 5], &[7, 7], "flights").expect("plan");
        assert_eq!(plan, expected);
    }

    #[test]
    fn a_topic_with_more_records_is_refused() {
        let error =
            decide(BrokerKind::External, false, vec![0, 8], &[7, 7], "flights").expect_err("too many");
        assert!(
            error
                .to_string()
                .contains("partition 1 of topic `flights` holds 8 records")
        );
    }

    #[test]
    fn a_directory_keeps_to_one_demo() {
        let folder = tempfile::tempdir().expect("tempdir");
        let path = folder.path().join("demo.json");
        let demo = DemoIdentity::new(Some(10), "flights", 4, BrokerKind::Embedded);
        demo.claim(&path).expect("first");
        demo.claim(&path).expect("again");
        let other = DemoIdentity { limit: None, ..demo };
        other.claim(&path).expect_err("another demo");
    }
}
