//! The order in which records are sent.
//!
//! Of every hundred flights one is sent again later, and of every thousand one is followed by a malformed record
//! made from it. Both go to the partition of their flight. A duplicate has the bytes of its original, as an
//! at-least-once producer would send it; it comes up to 20,000 flights later, so often in another micro-batch.

use std::collections::{BTreeMap, VecDeque};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::error::Result;
use crate::flights::Flight;

/// Seed of the demo.
pub const SEED: u64 = 2013;
/// One flight of so many is sent twice.
const FLIGHTS_PER_DUPLICATE: u64 = 100;
/// One flight of so many is followed by a malformed record.
const FLIGHTS_PER_MALFORMED: u64 = 1000;
/// A duplicate comes at most so many flights after its original.
const DUPLICATE_LAG_MAX: u64 = 20_000;

/// One record to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub partition: i32,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub kind: RecordKind,
}

/// Why a record is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordKind {
    /// A flight, for the first time.
    Flight(Box<Flight>),
    /// A flight, again.
    Duplicate(Box<Flight>),
    Malformed(Malformation),
}

/// What is wrong with a malformed record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformation {
    /// JSON that ends in the middle.
    Truncated,
    /// A flight whose departure delay is no number.
    WrongType,
    /// No bytes.
    Empty,
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// JSON that is no object.
    NotAnObject,
}

impl Malformation {
    const ALL: [Self; 5] = [
        Self::Truncated,
        Self::WrongType,
        Self::Empty,
        Self::NotUtf8,
        Self::NotAnObject,
    ];

    fn apply(self, json: &str) -> Vec<u8> {
        match self {
            Self::Truncated => json.as_bytes()[..json.len() / 2].to_vec(),
            Self::WrongType => wrong_type(json).into_bytes(),
            Self::Empty => Vec::new(),
            Self::NotUtf8 => {
                let mut bytes = vec![0xff, 0xfe, 0xc3, 0x28];
                bytes.extend_from_slice(json.as_bytes());
                bytes
            }
            Self::NotAnObject => b"[\"not\", \"a\", \"flight\"]".to_vec(),
        }
    }
}

fn wrong_type(json: &str) -> String {
    const NAME: &str = "\"dep_delay\":";
    let Some((before, after)) = json.split_once(NAME) else {
        return json.to_owned();
    };
    let value_length = after.find([',', '}']).unwrap_or(after.len());
    format!("{before}{NAME}\"late\"{}", &after[value_length..])
}

/// Turns flights into records; see the module's documentation.
#[derive(Debug)]
pub struct Sequence<I> {
    flights: I,
    partitions: u64,
    random: StdRng,
    /// Flights taken so far.
    taken: u64,
    duplicate_at: u64,
    malformed_at: u64,
    /// By the number of flights after which they are due, and the original's number.
    duplicates: BTreeMap<(u64, u64), Record>,
    ready: VecDeque<Record>,
}

impl<I: Iterator<Item = Result<Flight>>> Sequence<I> {
    /// Makes the sequence of `flights` for a topic of `partitions` (at least one).
    pub fn new(flights: I, partitions: i32) -> Self {
        Self {
            flights,
            partitions: u64::try_from(partitions.max(1)).unwrap_or(1),
            random: StdRng::seed_from_u64(SEED),
            taken: 0,
            duplicate_at: 0,
            malformed_at: 0,
            duplicates: BTreeMap::new(),
            ready: VecDeque::new(),
        }
    }

    fn take(&mut self, flight: Flight) {
        let number = self.taken;
        self.taken += 1;
        if number.is_multiple_of(FLIGHTS_PER_DUPLICATE) {
            self.duplicate_at = number + self.random.random_range(0..FLIGHTS_PER_DUPLICATE);
        }
        if number.is_multiple_of(FLIGHTS_PER_MALFORMED) {
            self.malformed_at = number + self.random.random_range(0..FLIGHTS_PER_MALFORMED);
        }
        let partition = i32::try_from(number % self.partitions).unwrap_or_default();
        let record = |value, kind| Record {
            partition,
            key: flight.key.clone().into_bytes(),
            value,
            kind,
        };
        if number == self.duplicate_at {
            let due = number + self.random.random_range(1..=DUPLICATE_LAG_MAX);
            let kind = RecordKind::Duplicate(Box::new(flight.clone()));
            let duplicate = record(flight.json.clone().into_bytes(), kind);
            self.duplicates.insert((due, number), duplicate);
        }
        let malformed = (number == self.malformed_at).then(|| {
            let malformation = Malformation::ALL[self.random.random_range(0..Malformation::ALL.len())];
            record(
                malformation.apply(&flight.json),
                RecordKind::Malformed(malformation),
            )
        });
        let kind = RecordKind::Flight(Box::new(flight.clone()));
        self.ready
            .push_back(record(flight.json.clone().into_bytes(), kind));
        self.ready.extend(malformed);
        while let Some(entry) = self.duplicates.first_entry()
            && entry.key().0 <= number
        {
            self.ready.push_back(entry.remove());
        }
    }
}

impl<I: Iterator<Item = Result<Flight>>> Iterator for Sequence<I> {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Some(Ok(record));
            }
            match self.flights.next() {
                Some(Ok(flight)) => self.take(flight),
                Some(Err(error)) => return Some(Err(error)),
                None => return self.duplicates.pop_first().map(|(_, record)| Ok(record)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn flight(number: i64) -> Flight {
        Flight {
            key: format!("key-{number}"),
            json: format!("{{\"flight\":{number},\"dep_delay\":-3,\"carrier\":\"UA\"}}"),
            month: 1,
            day: 1,
            carrier: "UA".to_owned(),
            origin: "EWR".to_owned(),
            dest: "IAH".to_owned(),
            time_hour: "2013-01-01T10:00:00Z".to_owned(),
            tail_number: None,
            departure_delay: Some(-3),
            arrival_delay: None,
        }
    }

    fn records(flights: i64) -> Vec<Record> {
        Sequence::new((0..flights).map(|number| Ok(flight(number))), 4)
            .map(|record| record.expect("record"))
            .collect()
    }

    fn count(records: &[Record], matches: impl Fn(&RecordKind) -> bool) -> usize {
        records.iter().filter(|record| matches(&record.kind)).count()
    }

    #[test]
    fn one_percent_comes_twice_and_one_in_a_thousand_is_malformed() {
        let records = records(50_000);
        assert_eq!(
            count(&records, |kind| matches!(kind, RecordKind::Flight(_))),
            50_000
        );
        assert_eq!(
            count(&records, |kind| matches!(kind, RecordKind::Duplicate(_))),
            500
        );
        for malformation in Malformation::ALL {
            assert!(count(&records, |kind| *kind == RecordKind::Malformed(malformation)) > 0);
        }
        assert_eq!(records.len(), 50_000 + 500 + 50);
    }

    #[test]
    fn the_sequence_is_always_the_same() {
        assert_eq!(records(5_000), records(5_000));
    }

    #[test]
    fn duplicates_follow_their_originals_in_the_same_partition() {
        let mut seen = HashSet::new();
        for record in records(30_000) {
            let place = (record.partition, record.key.clone(), record.value.clone());
            match record.kind {
                RecordKind::Flight(_) => assert!(seen.insert(place)),
                RecordKind::Duplicate(_) => assert!(seen.contains(&place)),
                RecordKind::Malformed(_) => assert!(!seen.contains(&place)),
            }
        }
    }

    #[test]
    fn malformed_records_are_no_flights() {
        let json = flight(7).json;
        for malformation in Malformation::ALL {
            let bytes = malformation.apply(&json);
            let parsed: Result<serde_json::Value, _> = serde_json::from_slice(&bytes);
            let valid = parsed.is_ok_and(|value| value["dep_delay"].is_i64());
            assert!(!valid, "{malformation:?} is a valid flight");
        }
    }
}
