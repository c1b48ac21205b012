//! Chunks of files that never change, and which of their rows one version holds.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, BooleanArray, StringArray, UInt64Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{CastOptions, cast_with_options, concat, filter};
use arrow::datatypes::DataType;

use super::columns::{Columns, PartitionColumn};
use super::statistics::{Bound, Statistics};
use super::{FileKey, Request, arrow_error};
use crate::{Add, Error, Result};

/// Files that were added together, or merged from such.
pub(super) struct Chunk {
    adds: Vec<Arc<Add>>,
    /// By logical name; a column whose values could not be read is absent.
    partition_values: HashMap<String, ArrayRef>,
    statistics: OnceLock<Statistics>,
    /// Rows in the order of their keys; made when a file is first looked up.
    by_key: OnceLock<Vec<u32>>,
}

/// A chunk and its rows that a version holds.
#[derive(Clone)]
pub(super) struct Segment {
    chunk: Arc<Chunk>,
    /// `None`: all of them.
    live: Option<BooleanArray>,
    len: usize,
}

impl Chunk {
    pub fn try_new(adds: Vec<Arc<Add>>, columns: &Columns) -> Result<Self> {
        let mut partition_values = HashMap::new();
        for (name, column) in columns.partition() {
            partition_values.insert(name.clone(), parse_partition_values(&adds, name, column)?);
        }
        Ok(Self::with_partition_values(adds, partition_values))
    }

    pub fn new_lenient(adds: Vec<Arc<Add>>, columns: &Columns) -> Self {
        let mut partition_values = HashMap::new();
        for (name, column) in columns.partition() {
            if let Ok(values) = parse_partition_values(&adds, name, column) {
                partition_values.insert(name.clone(), values);
            }
        }
        Self::with_partition_values(adds, partition_values)
    }

    fn with_partition_values(adds: Vec<Arc<Add>>, partition_values: HashMap<String, ArrayRef>) -> Self {
        Self {
            adds,
            partition_values,
            statistics: OnceLock::new(),
            by_key: OnceLock::new(),
        }
    }

    fn statistics(&self, columns: &Columns) -> &Statistics {
        self.statistics
            .get_or_init(|| Statistics::parse(&self.adds, columns.statistics_schema()))
    }

    fn find(&self, key: &FileKey) -> Option<usize> {
        let by_key = self.by_key.get_or_init(|| {
            let mut rows: Vec<u32> = (0..self.adds.len() as u32).collect();
            rows.sort_by(|a, b| {
                let (a, b) = (&self.adds[*a as usize], &self.adds[*b as usize]);
                let by_path = a.path.cmp(&b.path);
                by_path.then_with(|| FileKey::of_add(a).cmp(&FileKey::of_add(b)))
            });
            rows
        });
        let compare = |row: &u32| {
            let add = &self.adds[*row as usize];
            let by_path = add.path.as_str().cmp(&key.path);
            by_path.then_with(|| FileKey::of_add(add).cmp(key))
        };
        let place = by_key.binary_search_by(compare).ok()?;
        Some(by_key[place] as usize)
    }
}

impl Segment {
    pub fn whole(chunk: Arc<Chunk>) -> Self {
        let len = chunk.adds.len();
        Self {
            chunk,
            live: None,
            len,
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn live(&self) -> Option<&BooleanArray> {
        self.live.as_ref()
    }

    pub fn add(&self, row: usize) -> Arc<Add> {
        Arc::clone(&self.chunk.adds[row])
    }

    pub fn add_ref(&self, row: usize) -> &Add {
        &self.chunk.adds[row]
    }

    pub fn live_rows(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.chunk.adds.len()).filter(|row| self.lives(*row))
    }

    pub fn contains(&self, key: &FileKey) -> bool {
        self.chunk.find(key).is_some_and(|row| self.lives(row))
    }

    pub fn unparsed_files(&self) -> usize {
        match self.chunk.statistics.get() {
            Some(_) => 0,
            None => self.chunk.adds.len(),
        }
    }

    pub fn statistics(&self, columns: &Columns) -> &Statistics {
        self.chunk.statistics(columns)
    }

    /// Returns the segment without the files `gone`.
    pub fn without(&self, gone: &[FileKey]) -> Self {
        let found = |key: &FileKey| self.chunk.find(key).filter(|row| self.lives(*row));
        let mut rows: Vec<usize> = gone.iter().filter_map(found).collect();
        rows.sort_unstable();
        rows.dedup();
        if rows.is_empty() {
            return self.clone();
        }
        let live = BooleanBuffer::collect_bool(self.chunk.adds.len(), |row| {
            self.lives(row) && rows.binary_search(&row).is_err()
        });
        Self {
            chunk: Arc::clone(&self.chunk),
            live: Some(BooleanArray::new(live, None)),
            len: self.len - rows.len(),
        }
    }

    /// Returns the array that answers `request`, one row per row of the chunk; `None` where all is unknown.
    pub fn array(&self, request: &Request, columns: &Columns) -> Option<ArrayRef> {
        let adds = &self.chunk.adds;
        let statistics = || self.chunk.statistics(columns);
        match request {
            Request::Sizes => {
                let sizes = adds.iter().map(|add| u64::try_from(add.size).ok());
                Some(Arc::new(sizes.collect::<UInt64Array>()))
            }
            Request::NumRecords => Some(Arc::new(statistics().num_records(adds))),
            Request::PartitionValues(name) => self.chunk.partition_values.get(name).cloned(),
            Request::MinValues(name) => statistics().bound(columns.data(name)?, Bound::Min),
            Request::MaxValues(name) => statistics().bound(columns.data(name)?, Bound::Max),
            Request::NullCounts(name) => {
                let counts = statistics().null_counts(columns.data(name)?, adds)?;
                Some(Arc::new(counts))
            }
            Request::ExactBounds(name) => {
                Some(Arc::new(statistics().exact_bounds(columns.data(name)?, adds)))
            }
        }
    }

    fn lives(&self, row: usize) -> bool {
        self.live.as_ref().is_none_or(|live| live.value(row))
    }

    /// Says if most of the chunk is dead weight.
    fn mostly_dead(&self) -> bool {
        const CHUNK_FILES_MIN: usize = 256;
        self.chunk.adds.len() > CHUNK_FILES_MIN && self.len * 2 < self.chunk.adds.len()
    }
}

/// Merges small segments so that each is more than twice as large as the next: their number stays
/// logarithmic, and a file is copied a logarithmic number of times in its life.
pub(super) fn compact(segments: &mut Vec<Segment>, columns: &Columns) -> Result<()> {
    for segment in segments.iter_mut() {
        if segment.mostly_dead() {
            let empty = Segment::whole(Arc::new(Chunk::new_lenient(Vec::new(), columns)));
            *segment = merge(segment, &empty, columns)?;
        }
    }
    while let [.., before, last] = segments.as_slice() {
        if before.len > last.len.saturating_mul(2) {
            break;
        }
        let merged = merge(before, last, columns)?;
        segments.truncate(segments.len() - 2);
        segments.push(merged);
    }
    Ok(())
}

fn merge(left: &Segment, right: &Segment, columns: &Columns) -> Result<Segment> {
    let adds = [left, right]
        .into_iter()
        .flat_map(|segment| segment.live_rows().map(|row| segment.add(row)))
        .collect();
    let mut partition_values = HashMap::new();
    for name in columns.partition().keys() {
        let parts = (
            live_partition_values(left, name)?,
            live_partition_values(right, name)?,
        );
        if let (Some(left), Some(right)) = parts {
            let values = concat(&[left.as_ref(), right.as_ref()]);
            partition_values.insert(
                name.clone(),
                values.map_err(arrow_error("join partition values"))?,
            );
        }
    }
    let chunk = Chunk::with_partition_values(adds, partition_values);
    // What is parsed stays parsed; the new and small is parsed to keep it so, the old and large is not.
    if left.chunk.statistics.get().is_some() {
        let merged = Statistics::merge(
            (left.statistics(columns), left.live()),
            (right.statistics(columns), right.live()),
        );
        let merged = merged.map_err(arrow_error("join file statistics"))?;
        let _ = chunk.statistics.set(merged);
    }
    Ok(Segment::whole(Arc::new(chunk)))
}

fn live_partition_values(segment: &Segment, name: &str) -> Result<Option<ArrayRef>> {
    let Some(values) = segment.chunk.partition_values.get(name) else {
        return Ok(None);
    };
    match segment.live() {
        Some(live) => filter(values, live)
            .map(Some)
            .map_err(arrow_error("filter partition values")),
        None => Ok(Some(Arc::clone(values))),
    }
}

/// Reads the values of a partition column. The empty string is null for every type.
fn parse_partition_values(adds: &[Arc<Add>], name: &str, column: &PartitionColumn) -> Result<ArrayRef> {
    let text = |add: &Arc<Add>| {
        let value = add.partition_values.get(&column.physical)?.as_deref()?;
        (!value.is_empty()).then(|| value.to_owned())
    };
    let texts: StringArray = adds.iter().map(text).collect();
    if column.data_type == DataType::Utf8 {
        return Ok(Arc::new(texts));
    }
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let values = cast_with_options(&texts, &column.data_type, &options);
    values.map_err(|source| Error::PartitionValue {
        column: name.to_owned(),
        source,
    })
}
