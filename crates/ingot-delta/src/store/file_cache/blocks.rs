//! Which blocks are on disk, by when they were last read.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use object_store::path::Path;
use url::Url;

use super::{BLOCK_BYTES, FileCacheCounts, digest};

/// A file, by where it is and its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileId {
    place: [u8; 16],
    pub size: u64,
}

impl FileId {
    pub fn new(store_url: &Url, path: &Path, size: u64) -> Self {
        Self {
            place: digest(store_url, path),
            size,
        }
    }

    pub fn block(self, number: u32) -> BlockId {
        BlockId { file: self, number }
    }

    /// Returns where a block is in the file.
    pub fn range(self, number: u32) -> Range<u64> {
        let start = u64::from(number) * BLOCK_BYTES;
        start.min(self.size)..(start + BLOCK_BYTES).min(self.size)
    }
}

/// A block of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct BlockId {
    file: FileId,
    number: u32,
}

impl BlockId {
    /// Returns the name of the block on disk.
    pub fn name(self) -> String {
        let place = u128::from_be_bytes(self.file.place);
        format!("{place:032x}-{:x}-{:x}", self.file.size, self.number)
    }

    pub fn from_name(name: &str) -> Option<Self> {
        let mut parts = name.split('-');
        let (place, size, number) = (parts.next()?, parts.next()?, parts.next()?);
        let file = FileId {
            place: u128::from_str_radix(place, 16).ok()?.to_be_bytes(),
            size: u64::from_str_radix(size, 16).ok()?,
        };
        let id = file.block(u32::from_str_radix(number, 16).ok()?);
        (id.name() == name).then_some(id)
    }

    /// Returns how many bytes the block has.
    pub fn bytes(self) -> u64 {
        let range = self.file.range(self.number);
        range.end - range.start
    }
}

#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// When each was last read.
    uses: HashMap<BlockId, u64>,
    by_use: BTreeMap<u64, BlockId>,
    clock: u64,
    counts: FileCacheCounts,
}

impl Blocks {
    pub fn counts(&self) -> FileCacheCounts {
        self.counts
    }

    pub fn count(&mut self, hits: usize, misses: usize) {
        self.counts.hits += hits as u64;
        self.counts.misses += misses as u64;
        metrics::counter!("ingot_file_cache_hits_total").increment(hits as u64);
        metrics::counter!("ingot_file_cache_misses_total").increment(misses as u64);
    }

    /// Says if a block is there; it counts as read.
    pub fn touch(&mut self, id: BlockId) -> bool {
        let Some(used) = self.uses.get_mut(&id) else {
            return false;
        };
        self.by_use.remove(used);
        self.clock += 1;
        *used = self.clock;
        self.by_use.insert(self.clock, id);
        true
    }

    /// Adds a block. Returns those that have to go so that there are `bytes_max` at most.
    pub fn insert(&mut self, id: BlockId, bytes_max: u64) -> Vec<BlockId> {
        if !self.touch(id) {
            self.clock += 1;
            self.uses.insert(id, self.clock);
            self.by_use.insert(self.clock, id);
            self.counts.bytes += id.bytes();
        }
        let mut gone = Vec::new();
        while self.counts.bytes > bytes_max
            && let Some((_, oldest)) = self.by_use.first_key_value()
        {
            let oldest = *oldest;
            self.remove(oldest);
            gone.push(oldest);
        }
        self.resized();
        gone
    }

    fn resized(&self) {
        metrics::gauge!("ingot_file_cache_bytes").set(self.counts.bytes as f64);
    }

    pub fn remove(&mut self, id: BlockId) {
        if let Some(used) = self.uses.remove(&id) {
            self.by_use.remove(&used);
            self.counts.bytes -= id.bytes();
            self.resized();
        }
    }

    /// Removes the blocks of a file.
    pub fn forget(&mut self, file: FileId) -> Vec<BlockId> {
        let last = u32::try_from(file.size.div_ceil(BLOCK_BYTES)).unwrap_or(u32::MAX);
        let gone: Vec<BlockId> = (0..last)
            .map(|number| file.block(number))
            .filter(|id| self.uses.contains_key(id))
            .collect();
        for id in &gone {
            self.remove(*id);
        }
        gone
    }

    pub fn clear(&mut self) -> Vec<BlockId> {
        self.by_use.clear();
        self.counts.bytes = 0;
        self.resized();
        self.uses.drain().map(|(id, _)| id).collect()
    }
}

/// Returns the numbers of the blocks that ranges touch, ascending. Files have fewer blocks than numbers.
pub(super) fn of_ranges(ranges: &[Range<u64>]) -> Vec<u32> {
    let number = |offset: u64| u32::try_from(offset / BLOCK_BYTES).unwrap_or(u32::MAX);
    let mut numbers: Vec<u32> = ranges
        .iter()
        .flat_map(|range| number(range.start)..=number(range.end - 1))
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// Joins numbers, ascending, that follow each other to runs of `most` at most.
pub(super) fn runs(numbers: &[u32], most: u32) -> Vec<Range<u32>> {
    let mut runs: Vec<Range<u32>> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some(run) if run.end == *number && run.end - run.start < most => run.end += 1,
            _ => runs.push(*number..number + 1),
        }
    }
    runs
}

/// Returns the part of `bytes`, which begin at `start` of a file, that is `range` of the file.
pub(super) fn part(bytes: &Bytes, start: u64, range: Range<u64>) -> Bytes {
    let place = |offset: u64| usize::try_from(offset - start).unwrap_or(usize::MAX);
    bytes.slice(place(range.start)..place(range.end))
}

/// Puts a range together from blocks, all of which are there.
pub(super) fn assemble(range: &Range<u64>, blocks: &HashMap<u32, Bytes>) -> Bytes {
    let numbers = of_ranges(std::slice::from_ref(range));
    let mut parts = numbers.iter().filter_map(|number| {
        let start = u64::from(*number) * BLOCK_BYTES;
        let block = blocks.get(number)?;
        let within = range.start.max(start)..range.end.min(start + block.len() as u64);
        Some(part(block, start, within))
    });
    match (parts.next(), numbers.len()) {
        (Some(only), 1) => only,
        (first, _) => {
            let mut whole = BytesMut::with_capacity(usize::try_from(range.end - range.start).unwrap_or(0));
            for part in first.into_iter().chain(parts) {
                whole.extend_from_slice(&part);
            }
            whole.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(size: u64) -> FileId {
        let url = Url::parse("s3://bucket/").expect("URL");
        FileId::new(&url, &Path::from("t/part-0.parquet"), size)
    }

    #[test]
    fn names_are_read_back() {
        let id = file(5 * BLOCK_BYTES + 7).block(5);
        assert_eq!(BlockId::from_name(&id.name()), Some(id));
        assert_eq!(id.bytes(), 7);
        for wrong in ["", "lock", "0-0-0", "x.tmp1"] {
            assert_eq!(BlockId::from_name(wrong), None);
        }
    }

    #[test]
    fn ranges_are_of_blocks() {
        let ranges = [
            0..1,
            10..BLOCK_BYTES,
            BLOCK_BYTES - 1..BLOCK_BYTES + 1,
            4 * BLOCK_BYTES..4 * BLOCK_BYTES + 1,
        ];
        assert_eq!(of_ranges(&ranges), [0, 1, 4]);
        assert_eq!(runs(&[0, 1, 2, 4, 6, 7], 2), [0..2, 2..3, 4..5, 6..8]);
    }

    #[test]
    fn the_block_that_was_read_least_recently_goes_first() {
        let file = file(10 * BLOCK_BYTES);
        let mut blocks = Blocks::default();
        for number in 0..3 {
            assert!(blocks.insert(file.block(number), 3 * BLOCK_BYTES).is_empty());
        }
        assert!(blocks.touch(file.block(0)));
        assert_eq!(blocks.insert(file.block(3), 3 * BLOCK_BYTES), [file.block(1)]);
        assert_eq!(blocks.counts().bytes, 3 * BLOCK_BYTES);
        assert_eq!(blocks.forget(file).len(), 3);
        assert_eq!(blocks.counts().bytes, 0);
    }
}
