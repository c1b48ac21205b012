//! What the tables must say once all records are processed, computed from the flights themselves: sums over
//! integers, so that no order of addition changes a digit.

use std::collections::{BTreeMap, BTreeSet};

use crate::flights::{Record, RecordKind};

/// A mean of integers, kept exact until it is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mean {
    pub sum: i64,
    pub count: i64,
}

impl Mean {
    fn add(&mut self, value: Option<i64>) {
        if let Some(value) = value {
            self.sum += value;
            self.count += 1;
        }
    }

    /// Returns the mean; `None` without values.
    #[expect(clippy::cast_precision_loss, reason = "sums of minutes stay far below 2^53")]
    pub fn value(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }
}

/// Flights and mean delay of one month or carrier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Group {
    pub flights: i64,
    pub delay: Mean,
}

/// Counts and answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reference {
    /// Records of each partition.
    pub records: BTreeMap<i32, i64>,
    pub flights: i64,
    pub duplicates: i64,
    pub malformed: i64,
    pub departure_delay: Mean,
    pub arrival_delay: Mean,
    /// Departure delay by month.
    pub months: BTreeMap<i64, Group>,
    /// Arrival delay by carrier.
    pub carriers: BTreeMap<String, Group>,
    /// Carriers that each aircraft flew for, by the hours it flew in.
    pub aircraft: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    /// Readable records of a known aircraft, duplicates counted.
    pub sightings: i64,
    pub airport_months: BTreeSet<(String, i64)>,
    /// Origin, destination, month and day; all flights are of one year.
    pub route_days: BTreeSet<(String, String, i64, i64)>,
}

impl Reference {
    /// Takes a record into account.
    pub fn observe(&mut self, record: &Record) {
        *self.records.entry(record.partition).or_default() += 1;
        match &record.kind {
            RecordKind::Duplicate(flight) => {
                self.duplicates += 1;
                self.sightings += i64::from(flight.tail_number.is_some());
            }
            RecordKind::Malformed(_) => self.malformed += 1,
            RecordKind::Flight(flight) => {
                self.flights += 1;
                self.departure_delay.add(flight.departure_delay);
                self.arrival_delay.add(flight.arrival_delay);
                let month = self.months.entry(flight.month).or_default();
                month.flights += 1;
                month.delay.add(flight.departure_delay);
                let carrier = self.carriers.entry(flight.carrier.clone()).or_default();
                carrier.flights += 1;
                carrier.delay.add(flight.arrival_delay);
                let airport_month = (flight.origin.clone(), flight.month);
                self.airport_months.insert(airport_month);
                let (origin, dest) = (flight.origin.clone(), flight.dest.clone());
                self.route_days.insert((origin, dest, flight.month, flight.day));
                if let Some(tail_number) = &flight.tail_number {
                    self.sightings += 1;
                    let hours = self.aircraft.entry(tail_number.clone()).or_default();
                    let carriers = hours.entry(flight.time_hour.clone()).or_default();
                    carriers.insert(flight.carrier.clone());
                }
            }
        }
    }

    /// Returns how many aircraft flew for more than one carrier.
    pub fn aircraft_that_changed_carrier(&self) -> usize {
        let changed = |hours: &&BTreeMap<String, BTreeSet<String>>| {
            let carriers: BTreeSet<_> = hours.values().flatten().collect();
            carriers.len() > 1
        };
        self.aircraft.values().filter(changed).count()
    }

    /// Returns how many stretches of time with one carrier all aircraft have together.
    pub fn aircraft_history_rows(&self) -> usize {
        let stretches = |hours: &BTreeMap<String, BTreeSet<String>>| {
            let mut carriers: Vec<_> = hours.values().flatten().collect();
            carriers.dedup();
            carriers.len()
        };
        self.aircraft.values().map(stretches).sum()
    }

    /// Returns the number of all records.
    pub fn record_count(&self) -> i64 {
        self.records.values().sum()
    }
}
