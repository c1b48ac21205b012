//! Columns that are stored as whole numbers: integers, dates, timestamps, and decimals of up to 18 digits.

use std::hash::BuildHasher;

use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashTable};
use parquet::basic::{Encoding, Type};
use parquet::file::statistics::{Statistics, ValueStatistics};

use super::bits;
use super::delta::{self, Width};
use super::hybrid;
use super::page::{Bounds, Dictionary, PageValues, Values};

/// Numbers, from the first one's neighbourhood on, that are found by their place instead of by a hash.
const NEAR_MAX: u64 = 1 << 16;

/// The values of one column in one row group. Source: ADR 0028.
#[derive(Debug)]
pub(super) struct Integers {
    width: Width,
    dictionary: Option<IntegerDictionary>,
    dictionary_bytes_max: usize,
    /// Places in the dictionary of the open page's values, as long as there is one.
    keys: Vec<u32>,
    /// The open page's values, where there is none.
    plain: Vec<i64>,
    bounds: Option<(i64, i64)>,
}

impl Integers {
    pub fn new(width: Width, dictionary_bytes_max: usize) -> Self {
        Self {
            width,
            dictionary: Some(IntegerDictionary::default()),
            dictionary_bytes_max,
            keys: Vec::new(),
            plain: Vec::new(),
            bounds: None,
        }
    }

    /// Adds values to the open page.
    pub fn put(&mut self, values: &[i64]) {
        let bounds = values.iter().copied().min().zip(values.iter().copied().max());
        let Some((least, most)) = bounds else {
            return;
        };
        let (low, high) = self.bounds.unwrap_or((least, most));
        self.bounds = Some((low.min(least), high.max(most)));
        match &mut self.dictionary {
            Some(dictionary) => {
                dictionary.expect(least, most);
                self.keys
                    .extend(values.iter().map(|value| dictionary.key(*value)));
            }
            None => self.plain.extend_from_slice(values),
        }
    }

    fn value_bytes(&self) -> usize {
        match self.width {
            Width::Four => size_of::<i32>(),
            Width::Eight => size_of::<i64>(),
        }
    }
}

impl Values for Integers {
    fn page_bytes(&self) -> usize {
        match &self.dictionary {
            Some(dictionary) => self.keys.len() * dictionary.width() as usize / 8,
            None => self.plain.len() * self.value_bytes(),
        }
    }

    fn dictionary_bytes(&self) -> usize {
        let values = self.dictionary.as_ref().map(|dictionary| dictionary.values.len());
        values.unwrap_or_default() * self.value_bytes()
    }

    fn dictionary_is_full(&self) -> bool {
        self.dictionary_bytes() >= self.dictionary_bytes_max
    }

    fn memory_bytes(&self) -> usize {
        let dictionary = self.dictionary.as_ref().map(IntegerDictionary::memory_bytes);
        dictionary.unwrap_or_default()
            + self.keys.capacity() * size_of::<u32>()
            + self.plain.capacity() * size_of::<i64>()
    }

    fn end_page(&mut self, out: &mut Vec<u8>) -> PageValues {
        let encoding = match &self.dictionary {
            Some(dictionary) => {
                dictionary.write_keys(&self.keys, out);
                Encoding::RLE_DICTIONARY
            }
            None => {
                delta::encode(&self.plain, self.width, out);
                Encoding::DELTA_BINARY_PACKED
            }
        };
        self.keys.clear();
        self.plain.clear();
        let bounds = self.bounds.take().map(|(low, high)| Bounds::Integers(low, high));
        PageValues {
            encoding,
            bounds,
            text_bytes: None,
        }
    }

    fn end_dictionary(&mut self) -> Option<Dictionary> {
        let values = self.dictionary.take()?.values;
        let mut page = Vec::with_capacity(values.len() * self.value_bytes());
        for value in &values {
            page.extend_from_slice(&value.to_le_bytes()[..self.value_bytes()]);
        }
        self.keys = Vec::new();
        Some(Dictionary {
            count: values.len(),
            page: Bytes::from(page),
        })
    }
}

/// Returns the statistics of whole numbers as Parquet has them.
#[expect(
    clippy::cast_possible_truncation,
    reason = "columns of four bytes hold no larger numbers"
)]
pub(super) fn statistics(physical: Type, bounds: Option<(i64, i64)>, nulls: u64, signed: bool) -> Statistics {
    let (low, high) = bounds.unzip();
    match physical {
        Type::INT32 => {
            let (low, high) = (low.map(|low| low as i32), high.map(|high| high as i32));
            let statistics = ValueStatistics::new(low, high, None, Some(nulls), false);
            Statistics::Int32(statistics.with_backwards_compatible_min_max(signed))
        }
        _ => {
            let statistics = ValueStatistics::new(low, high, None, Some(nulls), false);
            Statistics::Int64(statistics.with_backwards_compatible_min_max(signed))
        }
    }
}

/// Different numbers in the order in which they came.
#[derive(Debug, Default)]
struct IntegerDictionary {
    values: Vec<i64>,
    /// Of each number from `low` on, the key and one; 0 where it did not come yet.
    near: Vec<u32>,
    low: i64,
    /// Keys of all other numbers.
    far: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl IntegerDictionary {
    /// Prepares for numbers between two: those of the first call tell which ones are near each other.
    fn expect(&mut self, least: i64, most: i64) {
        if !self.values.is_empty() {
            return;
        }
        let range = most.wrapping_sub(least).cast_unsigned();
        if range < NEAR_MAX {
            // Later ones may be a bit below or above.
            let room = (range + 1).next_power_of_two();
            let below = (room - range - 1) / 2;
            self.low = least.saturating_sub_unsigned(below);
            self.near = vec![0; usize::try_from(room).unwrap_or_default()];
        }
    }

    fn key(&mut self, value: i64) -> u32 {
        let place = value.wrapping_sub(self.low).cast_unsigned();
        let near = usize::try_from(place)
            .ok()
            .and_then(|place| self.near.get_mut(place));
        match near {
            Some(0) => {}
            Some(found) => return *found - 1,
            None => return self.far_key(value),
        }
        let key = self.add(value);
        self.near[usize::try_from(place).unwrap_or_default()] = key + 1;
        key
    }

    fn far_key(&mut self, value: i64) -> u32 {
        let Self {
            values, far, hasher, ..
        } = self;
        let hash = hasher.hash_one(value);
        let is_it = |key: &u32| values[*key as usize] == value;
        if let Some(key) = far.find(hash, is_it) {
            return *key;
        }
        let key = self.add(value);
        let Self {
            values, far, hasher, ..
        } = self;
        far.insert_unique(hash, key, |key| hasher.hash_one(values[*key as usize]));
        key
    }

    fn add(&mut self, value: i64) -> u32 {
        let key = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(value);
        key
    }

    fn width(&self) -> u32 {
        key_width(self.values.len())
    }

    fn write_keys(&self, keys: &[u32], out: &mut Vec<u8>) {
        write_keys(keys, self.values.len(), out);
    }

    fn memory_bytes(&self) -> usize {
        self.values.capacity() * size_of::<i64>()
            + self.near.capacity() * size_of::<u32>()
            + self.far.allocation_size()
    }
}

/// Returns the bits of a key into a dictionary of so many values.
pub(super) fn key_width(values: usize) -> u32 {
    bits::width(values.saturating_sub(1) as u64)
}

/// Appends keys of a page, which say themselves how many bits each has.
pub(super) fn write_keys(keys: &[u32], values: usize, out: &mut Vec<u8>) {
    let width = key_width(values);
    out.push(width.to_le_bytes()[0]);
    hybrid::encode(keys, width, out);
}
