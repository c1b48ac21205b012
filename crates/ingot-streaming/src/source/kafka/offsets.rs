//! Offsets by topic and partition, and the decision how far a batch reads. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{Error, Offset, Result};

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    pub topic: String,
    pub number: i32,
}

/// The offset of the next record, by partition; in JSON `{"topic":{"0":123}}`. Source: Spark, `KafkaSourceOffset`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionOffsets(pub BTreeMap<Partition, i64>);

/// The first offset that a partition still has, and the offset after its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermark {
    pub low: i64,
    pub high: i64,
}

/// The watermarks of every partition there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watermarks(pub BTreeMap<Partition, Watermark>);

/// Records to read of one partition: from `from`, before `until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    pub partition: Partition,
    pub from: i64,
    pub until: i64,
}

/// Where a batch ends, and what was lost before it.
#[derive(Debug, PartialEq, Eq)]
pub struct Next {
    pub end: PartitionOffsets,
    pub losses: Vec<String>,
}

/// Offset that stands for the newest in `startingOffsets`.
const LATEST: i64 = -1;
/// Offset that stands for the oldest in `startingOffsets`.
const EARLIEST: i64 = -2;

impl PartitionOffsets {
    /// Reads an offset.
    pub fn from_offset(offset: &Offset) -> Result<Self> {
        Self::from_json(&offset.0).map_err(|message| Error::InvalidOffset {
            origin: "kafka",
            message,
        })
    }

    /// Reads `{"topic":{"0":123}}`.
    pub fn from_json(value: &Value) -> Result<Self, String> {
        let wrong = || format!("`{value}` is not of the form {{\"topic\":{{\"0\":123}}}}");
        let mut offsets = BTreeMap::new();
        for (topic, partitions) in value.as_object().ok_or_else(wrong)? {
            for (number, offset) in partitions.as_object().ok_or_else(wrong)? {
                let partition = Partition {
                    topic: topic.clone(),
                    number: number.parse().map_err(|_| wrong())?,
                };
                offsets.insert(partition, offset.as_i64().ok_or_else(wrong)?);
            }
        }
        Ok(Self(offsets))
    }

    /// Writes the offset.
    pub fn to_offset(&self) -> Result<Offset> {
        let mut topics = Map::new();
        for (partition, offset) in &self.0 {
            let topic = topics
                .entry(partition.topic.clone())
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(partitions) = topic {
                partitions.insert(partition.number.to_string(), Value::from(*offset));
            }
        }
        Ok(Offset(Value::Object(topics)))
    }
}

impl Watermarks {
    /// Returns the offsets of the oldest records.
    pub fn lows(&self) -> PartitionOffsets {
        self.map(|watermark| watermark.low)
    }

    /// Returns the offsets after the newest records.
    pub fn highs(&self) -> PartitionOffsets {
        self.map(|watermark| watermark.high)
    }

    /// Puts numbers in the place of "latest" and "earliest" in offsets that a user gave.
    ///
    /// # Errors
    /// When a partition is not named, or one is that does not exist.
    pub fn at(&self, given: &PartitionOffsets) -> Result<PartitionOffsets, String> {
        if let Some(unknown) = given.0.keys().find(|partition| !self.0.contains_key(partition)) {
            return Err(format!("there is no partition {unknown}"));
        }
        let mut offsets = BTreeMap::new();
        for (partition, watermark) in &self.0 {
            let offset = match given.0.get(partition) {
                None => return Err(format!("it names no offset for partition {partition}")),
                Some(&LATEST) => watermark.high,
                Some(&EARLIEST) => watermark.low,
                Some(&offset) if offset < 0 => return Err(format!("offset {offset} means nothing")),
                Some(&offset) => offset,
            };
            offsets.insert(partition.clone(), offset);
        }
        Ok(PartitionOffsets(offsets))
    }

    /// Returns the offsets `found` at an instant; for partitions without a record since, the newest.
    ///
    /// # Errors
    /// When there is such a partition and `or_latest` is `false`.
    pub fn at_instant(&self, found: &PartitionOffsets, or_latest: bool) -> Result<PartitionOffsets, String> {
        let mut offsets = BTreeMap::new();
        for (partition, watermark) in &self.0 {
            let offset = match found.0.get(partition) {
                Some(offset) => *offset,
                None if or_latest => watermark.high,
                None => return Err(format!("partition {partition} has no record since then")),
            };
            offsets.insert(partition.clone(), offset);
        }
        Ok(PartitionOffsets(offsets))
    }

    /// Forgets what lies after `until`.
    pub fn cut_at(&mut self, until: &PartitionOffsets) {
        self.0.retain(|partition, watermark| {
            let end = until.0.get(partition);
            watermark.high = end.map_or(watermark.high, |end| watermark.high.min(*end));
            end.is_some()
        });
    }

    /// Returns how far `end` is behind, as Spark's metrics.
    pub fn behind(&self, end: &PartitionOffsets) -> Vec<(String, String)> {
        let lags: Vec<i64> = self
            .0
            .iter()
            .map(|(partition, watermark)| {
                let read = end.0.get(partition).copied().unwrap_or(watermark.low);
                (watermark.high - read).max(0)
            })
            .collect();
        let (Some(min), Some(max)) = (lags.iter().min(), lags.iter().max()) else {
            return Vec::new();
        };
        let average = lags.iter().sum::<i64>() as f64 / lags.len() as f64;
        vec![
            ("avgOffsetsBehindLatest".to_owned(), average.to_string()),
            ("maxOffsetsBehindLatest".to_owned(), max.to_string()),
            ("minOffsetsBehindLatest".to_owned(), min.to_string()),
        ]
    }

    fn map(&self, offset: impl Fn(&Watermark) -> i64) -> PartitionOffsets {
        let offsets = self.0.iter();
        PartitionOffsets(
            offsets
                .map(|(partition, watermark)| (partition.clone(), offset(watermark)))
                .collect(),
        )
    }
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.number)
    }
}

/// Decides where a batch that begins at `start` ends. With `rows_max`, at most so many offsets are taken, from
/// each partition in proportion to its backlog (more only where there are more partitions than that).
pub fn next(start: &PartitionOffsets, available: &Watermarks, rows_max: Option<u64>) -> Next {
    let mut losses = Vec::new();
    for partition in start.0.keys() {
        if !available.0.contains_key(partition) {
            losses.push(format!("partition {partition} is gone"));
        }
    }
    let mut from = BTreeMap::new();
    for (partition, watermark) in &available.0 {
        let first = match start.0.get(partition) {
            // A partition that came later is read from its beginning, of which nothing may be missing.
            None => {
                losses.extend(missing_beginning(partition, watermark.low));
                watermark.low
            }
            Some(&read) if read < watermark.low => {
                losses.push(format!(
                    "partition {partition} begins at offset {}, and {read} was to be read",
                    watermark.low
                ));
                watermark.low
            }
            Some(&read) if read > watermark.high => {
                losses.push(format!(
                    "partition {partition} ends at offset {}, and {read} was to be read",
                    watermark.high
                ));
                watermark.high
            }
            Some(&read) => read,
        };
        from.insert(partition, first);
    }
    let backlog = |partition: &Partition, watermark: &Watermark| {
        u64::try_from(watermark.high - from.get(partition).copied().unwrap_or_default()).unwrap_or_default()
    };
    let total: u64 = available
        .0
        .iter()
        .map(|(partition, watermark)| backlog(partition, watermark))
        .sum();
    let limit = rows_max.filter(|limit| *limit < total);
    let mut ends = BTreeMap::new();
    for (partition, watermark) in &available.0 {
        let end = match limit {
            None => watermark.high,
            Some(limit) => {
                let waiting = backlog(partition, watermark);
                let share = u128::from(limit) * u128::from(waiting);
                // At least one, so that no partition with a backlog starves. Source: Spark, `rateLimit`.
                let share = (share / u128::from(total)).max(u128::from(waiting.min(1)));
                let share = i64::try_from(share).unwrap_or(i64::MAX);
                from.get(partition)
                    .copied()
                    .unwrap_or_default()
                    .saturating_add(share)
            }
        };
        ends.insert(partition.clone(), end.min(watermark.high));
    }
    Next {
        end: PartitionOffsets(ends),
        losses,
    }
}

/// Says what to read of each partition between two offsets. A partition that `start` does not know is read from its
/// beginning, `lows`; that it begins later than at 0 is a loss, since `start` was all there was.
pub fn ranges(
    start: &PartitionOffsets,
    end: &PartitionOffsets,
    lows: &Watermarks,
) -> (Vec<Range>, Vec<String>) {
    let (mut ranges, mut losses) = (Vec::new(), Vec::new());
    for (partition, until) in &end.0 {
        let from = start.0.get(partition).copied().unwrap_or_else(|| {
            let low = lows.0.get(partition).map_or(0, |watermark| watermark.low);
            losses.extend(missing_beginning(partition, low));
            low
        });
        if from < *until {
            ranges.push(Range {
                partition: partition.clone(),
                from,
                until: *until,
            });
        }
    }
    (ranges, losses)
}

/// Source: Spark, `KafkaMicroBatchStream.planInputPartitions`, "Added partitions … starts from … instead of 0".
fn missing_beginning(partition: &Partition, low: i64) -> Option<String> {
    (low > 0).then(|| format!("partition {partition} was added and begins at offset {low}, not at 0"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use test_case::test_case;

    use super::*;

    fn offsets(value: &Value) -> PartitionOffsets {
        PartitionOffsets::from_json(value).expect("offsets")
    }

    fn watermarks(given: &[(i32, i64, i64)]) -> Watermarks {
        let watermarks = given.iter().map(|&(number, low, high)| {
            let topic = "t".to_owned();
            (Partition { topic, number }, Watermark { low, high })
        });
        Watermarks(watermarks.collect())
    }

    #[test]
    fn offsets_are_written_as_spark_does() {
        let value = json!({"a": {"0": 5, "1": 7}, "b": {"0": 1}});
        assert_eq!(offsets(&value).to_offset().expect("offset").0, value);
    }

    #[test_case(json!({"0": 10, "1": 20}), &[(0, 0, 15), (1, 0, 20)], None, json!({"0": 15, "1": 20}), 0; "all that is new")]
    #[test_case(json!({"0": 10}), &[(0, 0, 10), (1, 0, 8)], None, json!({"0": 10, "1": 8}), 0; "a new partition")]
    #[test_case(json!({"0": 10}), &[(0, 0, 10), (1, 3, 8)], None, json!({"0": 10, "1": 8}), 1; "a new partition that lost its beginning")]
    #[test_case(json!({"0": 0, "1": 0}), &[(0, 0, 300), (1, 0, 100)], Some(40), json!({"0": 30, "1": 10}), 0; "limited by backlog")]
    #[test_case(json!({"0": 0, "1": 0}), &[(0, 0, 1000), (1, 0, 1)], Some(10), json!({"0": 9, "1": 1}), 0; "limited without starving")]
    #[test_case(json!({"0": 0, "1": 0, "2": 0}), &[(0, 0, 90), (1, 0, 90), (2, 0, 90)], Some(50), json!({"0": 16, "1": 16, "2": 16}), 0; "never more than the limit")]
    #[test_case(json!({"0": 0}), &[(0, 0, 5)], Some(10), json!({"0": 5}), 0; "a limit that does not bind")]
    #[test_case(json!({"0": 2}), &[(0, 5, 9)], None, json!({"0": 9}), 1; "retention overtook")]
    #[test_case(json!({"0": 12}), &[(0, 0, 9)], None, json!({"0": 9}), 1; "topic made anew")]
    #[test_case(json!({"0": 1, "1": 1}), &[(0, 0, 1)], None, json!({"0": 1}), 1; "partition gone")]
    fn a_batch_ends(
        start: Value,
        available: &[(i32, i64, i64)],
        limit: Option<u64>,
        end: Value,
        losses: usize,
    ) {
        let next = next(&offsets(&json!({"t": start})), &watermarks(available), limit);
        assert_eq!(next.end, offsets(&json!({"t": end})));
        assert_eq!(next.losses.len(), losses, "{:?}", next.losses);
    }

    #[test]
    fn a_partition_that_came_later_is_compared_again_when_it_is_read() {
        let (start, end) = (
            offsets(&json!({"t": {"0": 4}})),
            offsets(&json!({"t": {"0": 9, "1": 5, "2": 0}})),
        );
        let (whole, losses) = ranges(&start, &end, &watermarks(&[(0, 0, 9), (1, 0, 5), (2, 0, 0)]));
        let read: Vec<_> = whole
            .iter()
            .map(|range| (range.partition.number, range.from, range.until))
            .collect();
        assert_eq!((read, losses.len()), (vec![(0, 4, 9), (1, 0, 5)], 0));
        let (_, losses) = ranges(&start, &end, &watermarks(&[(0, 0, 9), (1, 2, 5), (2, 0, 0)]));
        assert_eq!(losses.len(), 1, "{losses:?}");
    }

    #[test]
    fn offsets_by_hand_may_say_latest_and_earliest() {
        let available = watermarks(&[(0, 2, 9), (1, 2, 9), (2, 2, 9)]);
        let given = offsets(&json!({"t": {"0": -1, "1": -2, "2": 4}}));
        assert_eq!(
            available.at(&given),
            Ok(offsets(&json!({"t": {"0": 9, "1": 2, "2": 4}})))
        );
        let missing = offsets(&json!({"t": {"0": 1}}));
        available
            .at(&missing)
            .expect_err("partitions 1 and 2 are not named");
    }

    #[test]
    fn what_came_after_the_bound_is_cut_off() {
        let mut available = watermarks(&[(0, 0, 9), (1, 0, 4)]);
        available.cut_at(&offsets(&json!({"t": {"0": 5}})));
        assert_eq!(available, watermarks(&[(0, 0, 5)]));
    }
}
