//! Results that are kept for the next who asks the same of the same versions.
//!
//! ```text
//! query ─► planned, tables refreshed as ever ─► question (plan, settings, tables) + states of the tables
//!            ├─ same question, same states ─► the batches that were kept
//!            └─ otherwise ─► runs; its batches are kept if all were read, and are few
//! ```
//! - Never stale: the states of the tables are those that the query would read if it ran.
//! - What is not repeatable is never kept: see [`Question::of`]. A query during which a function asked what time it is
//!   is not kept either: texts such as `now` and `12:30` are instants of the day on which they are read.
//! - Bounded in bytes, of all results and of one; whoever was asked for least recently goes first.
//!
//! Source: Databricks, "Query caching", `USE_CACHED_RESULT`.

mod question;

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::{Stream, StreamExt};
use ingot_common::ServiceError;
use ingot_common::port::{BatchStream, StatementResult};

use self::question::{Key, TableState};
use crate::spark::temporal;

pub(crate) use self::question::{Question, inputs};

/// One result may take this part of what there is for all.
const SHARE_OF_ONE: usize = 8;
/// What an entry takes beside its rows and its plan.
const ENTRY_BYTES: usize = 16 << 10;

/// Results by what was asked.
#[derive(Debug)]
pub(crate) struct ResultCache {
    bytes_max: usize,
    entries: Mutex<Entries>,
}

/// What a cache holds, and what it was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheCounts {
    pub hits: u64,
    pub misses: u64,
    pub entries: usize,
    pub bytes: usize,
}

#[derive(Debug, Default)]
struct Entries {
    by_key: HashMap<Arc<Key>, Entry>,
    /// Least recently asked for first.
    by_use: BTreeMap<u64, Arc<Key>>,
    uses: u64,
    bytes: usize,
    hits: u64,
    misses: u64,
}

#[derive(Debug)]
struct Entry {
    states: Vec<TableState>,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    bytes: usize,
    used: u64,
}

impl ResultCache {
    /// Makes an empty one; with no bytes it stays empty.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            entries: Mutex::default(),
        }
    }

    /// Says if results are kept at all.
    pub fn enabled(&self) -> bool {
        self.bytes_max > 0
    }

    pub fn counts(&self) -> CacheCounts {
        let entries = self.entries();
        CacheCounts {
            hits: entries.hits,
            misses: entries.misses,
            entries: entries.by_key.len(),
            bytes: entries.bytes,
        }
    }

    /// Returns what is known of the question in the tables' states.
    pub fn get(&self, question: &Question) -> Option<StatementResult> {
        let mut entries = self.entries();
        let found = entries.find(question);
        match found {
            Some(_) => {
                entries.hits += 1;
                metrics::counter!("ingot_result_cache_hits_total").increment(1);
            }
            None => {
                entries.misses += 1;
                metrics::counter!("ingot_result_cache_misses_total").increment(1);
            }
        }
        let (schema, batches) = found?;
        Some(StatementResult {
            schema,
            batches: futures::stream::iter(batches.into_iter().map(Ok)).boxed(),
        })
    }

    /// Keeps the batches of `result` for the question, once all were read.
    pub fn keep(self: &Arc<Self>, question: Question, result: StatementResult) -> StatementResult {
        let StatementResult { schema, batches } = result;
        let bytes = ENTRY_BYTES + question.bytes;
        let kept = Kept {
            batches,
            schema: Arc::clone(&schema),
            room: Some(Room {
                question,
                batches: Vec::new(),
                bytes,
            })
            .filter(|room| room.bytes <= self.bytes_max / SHARE_OF_ONE),
            cache: Arc::clone(self),
        };
        StatementResult {
            schema,
            batches: kept.boxed(),
        }
    }

    /// Forgets all results.
    pub fn clear(&self) {
        let mut entries = self.entries();
        while entries.forget_one() {}
        metrics::gauge!("ingot_result_cache_bytes").set(0.0);
    }

    fn insert(&self, schema: SchemaRef, room: Room) {
        let mut entries = self.entries();
        entries.insert(schema, room);
        while entries.bytes > self.bytes_max && entries.forget_one() {}
        metrics::gauge!("ingot_result_cache_bytes").set(entries.bytes as f64);
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn find(&mut self, question: &Question) -> Option<(SchemaRef, Vec<RecordBatch>)> {
        let (key, entry) = self.by_key.get_key_value(&question.key)?;
        if entry.states != question.states {
            return None;
        }
        let (key, used) = (Arc::clone(key), entry.used);
        self.by_use.remove(&used);
        self.uses += 1;
        self.by_use.insert(self.uses, Arc::clone(&key));
        let entry = self.by_key.get_mut(&key)?;
        entry.used = self.uses;
        Some((Arc::clone(&entry.schema), entry.batches.clone()))
    }

    /// Takes the place of what was known in other states of the tables.
    fn insert(&mut self, schema: SchemaRef, room: Room) {
        let key = Arc::new(room.question.key);
        self.forget(&key);
        self.uses += 1;
        self.bytes += room.bytes;
        self.by_use.insert(self.uses, Arc::clone(&key));
        let entry = Entry {
            states: room.question.states,
            schema,
            batches: room.batches,
            bytes: room.bytes,
            used: self.uses,
        };
        self.by_key.insert(key, entry);
    }

    fn forget(&mut self, key: &Key) {
        if let Some(entry) = self.by_key.remove(key) {
            self.by_use.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }

    fn forget_one(&mut self) -> bool {
        let Some((_, key)) = self.by_use.pop_first() else {
            return false;
        };
        if let Some(entry) = self.by_key.remove(&key) {
            self.bytes -= entry.bytes;
        }
        true
    }
}

/// What is kept of a result so far.
struct Room {
    question: Question,
    batches: Vec<RecordBatch>,
    bytes: usize,
}

/// Batches on their way, of which copies are kept.
struct Kept {
    batches: BatchStream,
    schema: SchemaRef,
    /// `None` once the result is too large, or ended.
    room: Option<Room>,
    cache: Arc<ResultCache>,
}

impl Stream for Kept {
    type Item = Result<RecordBatch, ServiceError>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.batches.poll_next_unpin(task);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(batch))) => {
                let bytes_max = self.cache.bytes_max / SHARE_OF_ONE;
                if let Some(room) = &mut self.room {
                    room.bytes += batch.get_array_memory_size();
                    room.batches.push(batch.clone());
                }
                self.room = self.room.take().filter(|room| room.bytes <= bytes_max);
            }
            Poll::Ready(Some(Err(_))) => self.room = None,
            Poll::Ready(None) => {
                if let Some(room) = self.room.take()
                    && temporal::times_asked() == room.question.times_asked
                {
                    self.cache.insert(Arc::clone(&self.schema), room);
                }
            }
        }
        polled
    }
}
