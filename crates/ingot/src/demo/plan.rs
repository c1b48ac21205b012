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

    /// Reads the identity that a data directory was claimed for; `None` before the first demo.
    ///
    /// # Errors
    /// `FailedPrecondition` when the file cannot be understood.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file("read", path)(error)),
        };
        let found = serde_json::from_str(&text).map_err(|error| Error::Demo {
            message: format!("`{}` cannot be read: {error}", path.display()),
        })?;
        Ok(Some(found))
    }

    /// Checks that the directory, claimed for `found`, may go on as this demo.
    ///
    /// # Errors
    /// `FailedPrecondition` when it holds another demo.
    pub fn check(&self, found: &Self) -> Result<()> {
        if found == self {
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

    /// Writes the identity at the first start; compares it at later ones. Comes last, when nothing else keeps the
    /// demo from running: a directory is not to be claimed by a demo that cannot run.
    ///
    /// # Errors
    /// `FailedPrecondition` when the directory holds another demo.
    pub fn claim(&self, path: &Path) -> Result<()> {
        let text = serde_json::json!(self).to_string();
        if crate::data_directory::write_secret_once(path, &text)? {
            return Ok(());
        }
        match Self::read(path)? {
            Some(found) => self.check(&found),
            None => Ok(()),
        }
    }
}

/// What a topic holds, beside what the demo wants it to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicState {
    pub name: String,
    pub broker: BrokerKind,
    /// For each partition, the offset of its first record.
    pub first: Vec<i64>,
    /// For each partition, the offset that its next record will get.
    pub next: Vec<i64>,
    /// Records that the demo has for each partition.
    pub expected: Vec<i64>,
}

/// Which records to send, and when to process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoPlan {
    /// Records that each partition holds, and which are not sent again.
    pub held: Vec<i64>,
    pub order: Order,
}

/// When to process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// While records are sent.
    Together,
    /// Once all records are there. The pipeline has checkpoints, and refuses offsets that a broker does not hold: one
    /// that lost records must get them back first.
    SendFirst,
}

/// Chooses the plan. `processed_before` says whether the pipeline has checkpoints.
///
/// # Errors
/// `FailedPrecondition` when the topic cannot be the demo's: a partition holds more records than the demo has, or
/// lost its first ones before they were processed.
pub fn decide(topic: &TopicState, processed_before: bool) -> Result<DemoPlan> {
    let refuse = |message: String| Err(Error::Demo { message });
    let name = &topic.name;
    for (partition, (next, expected)) in topic.next.iter().zip(&topic.expected).enumerate() {
        if next > expected {
            return refuse(format!(
                "partition {partition} of topic `{name}` holds {next} records, the demo has {expected}; choose another \
                 --topic"
            ));
        }
    }
    for (partition, first) in topic.first.iter().enumerate() {
        if *first > 0 && !processed_before {
            return refuse(format!(
                "partition {partition} of topic `{name}` begins at offset {first}, so records are gone; choose another \
                 --topic"
            ));
        }
    }
    let whole = topic.next == topic.expected;
    Ok(DemoPlan {
        held: topic.next.clone(),
        order: if processed_before && !whole {
            Order::SendFirst
        } else {
            Order::Together
        },
    })
}

impl DemoPlan {
    /// Says plainly what is resumed and what is started over. `bronze` is the rows that bronze holds, `records` all
    /// records of the demo.
    pub fn explain(&self, broker: BrokerKind, bronze: i64, records: i64) -> String {
        let held: i64 = self.held.iter().sum();
        if held == 0 && bronze == 0 {
            return format!("starting: {records} records to send and process");
        }
        let sending = match broker {
            BrokerKind::Embedded => "the in-memory broker lost its own, so all are sent again".to_owned(),
            BrokerKind::External if held < bronze => {
                format!("the broker holds only {held} of them, so the others are sent again")
            }
            BrokerKind::External if held == records => "the topic holds all".to_owned(),
            BrokerKind::External => format!("the topic holds {held}, the rest is sent"),
        };
        format!(
            "going on: bronze holds {bronze} of {records} records and keeps them; {sending}, and processing resumes \
             after those that bronze holds"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    fn topic(first: &[i64], next: &[i64]) -> TopicState {
        TopicState {
            name: "flights".to_owned(),
            broker: BrokerKind::External,
            first: first.to_vec(),
            next: next.to_vec(),
            expected: vec![7, 7],
        }
    }

    #[test_case(false, &[0, 0], Order::Together; "the first start")]
    #[test_case(false, &[0, 5], Order::Together; "a topic that was partly filled")]
    #[test_case(true, &[0, 0], Order::SendFirst; "a broker that lost all")]
    #[test_case(true, &[7, 5], Order::SendFirst; "a demo that was killed while sending")]
    #[test_case(true, &[7, 7], Order::Together; "nothing left to send")]
    fn order_follows_from_checkpoint_and_topic(processed_before: bool, next: &[i64], order: Order) {
        let plan = decide(&topic(&[0, 0], next), processed_before).expect("plan");
        let held = next.to_vec();
        assert_eq!(plan, DemoPlan { held, order });
    }

    #[test_case(&[0, 0], &[0, 8], "partition 1 of topic `flights` holds 8 records"; "more records")]
    #[test_case(&[3, 0], &[5, 0], "partition 0 of topic `flights` begins at offset 3"; "lost records")]
    fn a_topic_that_cannot_be_ours_is_refused(first: &[i64], next: &[i64], message: &str) {
        let error = decide(&topic(first, next), false).expect_err("refused");
        assert!(error.to_string().contains(message), "{error}");
    }

    #[test]
    fn records_that_are_gone_but_processed_do_not_matter() {
        decide(&topic(&[3, 0], &[7, 7]), true).expect("plan");
    }

    #[test_case(BrokerKind::Embedded, &[0, 0], 0, "starting: 14 records"; "first start")]
    #[test_case(BrokerKind::Embedded, &[0, 0], 9, "bronze holds 9 of 14 records and keeps them; the in-memory broker lost"; "killed")]
    #[test_case(BrokerKind::External, &[5, 5], 9, "the topic holds 10, the rest is sent"; "resumed")]
    #[test_case(BrokerKind::External, &[0, 5], 9, "the broker holds only 5 of them"; "lost")]
    #[test_case(BrokerKind::External, &[7, 7], 9, "the topic holds all"; "all sent")]
    fn the_plan_is_explained(broker: BrokerKind, held: &[i64], bronze: i64, expected: &str) {
        let plan = DemoPlan {
            held: held.to_vec(),
            order: Order::Together,
        };
        let text = plan.explain(broker, bronze, 14);
        assert!(text.contains(expected), "{text}");
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
