//! Columns of text and of bytes.

use std::hash::BuildHasher;

use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashTable};
use parquet::basic::Encoding;

use super::delta::{self, Width};
use super::integers::{key_width, write_keys};
use super::page::{Bounds, Dictionary, PageValues, Values};

/// The values of one column in one row group. Source: ADR 0028.
#[derive(Debug)]
pub(super) struct Text {
    dictionary: Option<TextDictionary>,
    dictionary_bytes_max: usize,
    /// Places in the dictionary of the open page's values, as long as there is one.
    keys: Vec<u32>,
    /// The open page's values, where there is none.
    lengths: Vec<i64>,
    bytes: Vec<u8>,
    bounds: TextBounds,
    /// Bytes of the open page's values, however they are stored.
    text_bytes: usize,
}

impl Text {
    pub fn new(dictionary_bytes_max: usize) -> Self {
        Self {
            dictionary: Some(TextDictionary::default()),
            dictionary_bytes_max,
            keys: Vec::new(),
            lengths: Vec::new(),
            bytes: Vec::new(),
            bounds: TextBounds::default(),
            text_bytes: 0,
        }
    }

    /// Adds values to the open page.
    pub fn put<'a>(&mut self, values: impl Iterator<Item = &'a [u8]>) {
        let Self {
            dictionary, bounds, ..
        } = self;
        match dictionary {
            Some(dictionary) => {
                let mut before = None;
                for value in values {
                    self.text_bytes += value.len();
                    let key = match before {
                        Some((text, key)) if text == value => key,
                        _ => dictionary.key(value),
                    };
                    if before.is_none_or(|(_, before)| before != key) {
                        bounds.add(value, dictionary.prefixes[key as usize]);
                    }
                    before = Some((value, key));
                    self.keys.push(key);
                }
            }
            None => {
                for value in values {
                    self.text_bytes += value.len();
                    bounds.add(value, prefix(value));
                    // Parquet has no longer texts.
                    self.lengths.push(i64::try_from(value.len()).unwrap_or(i64::MAX));
                    self.bytes.extend_from_slice(value);
                }
            }
        }
    }
}

impl Values for Text {
    fn page_bytes(&self) -> usize {
        match &self.dictionary {
            Some(dictionary) => self.keys.len() * key_width(dictionary.places.len()) as usize / 8,
            None => self.bytes.len() + self.lengths.len(),
        }
    }

    fn dictionary_bytes(&self) -> usize {
        self.dictionary
            .as_ref()
            .map_or(0, |dictionary| dictionary.page.len())
    }

    fn dictionary_is_full(&self) -> bool {
        self.dictionary_bytes() >= self.dictionary_bytes_max
    }

    fn memory_bytes(&self) -> usize {
        let dictionary = self.dictionary.as_ref().map(TextDictionary::memory_bytes);
        dictionary.unwrap_or_default()
            + self.keys.capacity() * size_of::<u32>()
            + self.lengths.capacity() * size_of::<i64>()
            + self.bytes.capacity()
    }

    fn end_page(&mut self, out: &mut Vec<u8>) -> PageValues {
        let encoding = match &self.dictionary {
            Some(dictionary) => {
                write_keys(&self.keys, dictionary.places.len(), out);
                Encoding::RLE_DICTIONARY
            }
            None => {
                delta::encode(&self.lengths, Width::Four, out);
                out.extend_from_slice(&self.bytes);
                Encoding::DELTA_LENGTH_BYTE_ARRAY
            }
        };
        self.keys.clear();
        self.lengths.clear();
        self.bytes.clear();
        PageValues {
            encoding,
            bounds: std::mem::take(&mut self.bounds).take(),
            text_bytes: Some(std::mem::take(&mut self.text_bytes)),
        }
    }

    fn end_dictionary(&mut self) -> Option<Dictionary> {
        let dictionary = self.dictionary.take()?;
        self.keys = Vec::new();
        Some(Dictionary {
            count: dictionary.places.len(),
            page: Bytes::from(dictionary.page),
        })
    }
}

/// Different texts in the order in which they came.
#[derive(Debug, Default)]
struct TextDictionary {
    /// As the file has it: each text after its length.
    page: Vec<u8>,
    /// Where each text begins and ends in the page.
    places: Vec<(usize, usize)>,
    prefixes: Vec<u64>,
    keys: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl TextDictionary {
    fn key(&mut self, value: &[u8]) -> u32 {
        let Self {
            page,
            places,
            prefixes,
            keys,
            hasher,
        } = self;
        let hash = hasher.hash_one(value);
        let text = |key: u32| {
            let (start, end) = places[key as usize];
            &page[start..end]
        };
        if let Some(key) = keys.find(hash, |key| text(*key) == value) {
            return *key;
        }
        let key = u32::try_from(places.len()).unwrap_or(u32::MAX);
        keys.insert_unique(hash, key, |key| hasher.hash_one(text(*key)));
        // Parquet has no longer texts.
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        page.extend_from_slice(&length.to_le_bytes());
        places.push((page.len(), page.len() + value.len()));
        page.extend_from_slice(value);
        prefixes.push(prefix(value));
        key
    }

    fn memory_bytes(&self) -> usize {
        self.page.capacity()
            + self.places.capacity() * size_of::<(usize, usize)>()
            + self.prefixes.capacity() * size_of::<u64>()
            + self.keys.allocation_size()
    }
}

/// The least and the greatest text of a page, by their bytes.
#[derive(Debug, Default)]
struct TextBounds {
    bounds: Option<(Vec<u8>, Vec<u8>)>,
    /// What the two begin with: most texts are told apart by it.
    least: u64,
    most: u64,
}

impl TextBounds {
    fn add(&mut self, value: &[u8], prefix: u64) {
        if self.least < prefix && prefix < self.most {
            return;
        }
        let Some((low, high)) = &mut self.bounds else {
            self.bounds = Some((value.to_vec(), value.to_vec()));
            (self.least, self.most) = (prefix, prefix);
            return;
        };
        if value < low.as_slice() {
            low.clear();
            low.extend_from_slice(value);
            self.least = prefix;
        }
        if value > high.as_slice() {
            high.clear();
            high.extend_from_slice(value);
            self.most = prefix;
        }
    }

    fn take(self) -> Option<Bounds> {
        self.bounds.map(|(low, high)| Bounds::Text(low, high))
    }
}

/// Returns the first eight bytes as a number that is in order as they are; what is missing counts as zero.
fn prefix(value: &[u8]) -> u64 {
    match value.first_chunk() {
        Some(first) => u64::from_be_bytes(*first),
        None => {
            let mut first = [0; size_of::<u64>()];
            first[..value.len()].copy_from_slice(value);
            u64::from_be_bytes(first)
        }
    }
}
