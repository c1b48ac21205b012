//! Vectors that were read, kept within a bound. They never change, so none is ever out of date.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::DeletionVector;

/// Bytes of all vectors that a process keeps.
const CACHED_BYTES_MAX: usize = 64 << 20;

/// The vectors that a process has read, by where they are.
#[derive(Debug)]
pub(crate) struct VectorCache {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    vectors: HashMap<String, Entry>,
    bytes: usize,
    /// Counts uses, to tell old ones from new ones.
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    vector: Arc<DeletionVector>,
    bytes: usize,
    used_at: u64,
}

impl Default for VectorCache {
    fn default() -> Self {
        Self::new(CACHED_BYTES_MAX)
    }
}

impl VectorCache {
    fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            kept: Mutex::default(),
        }
    }

    pub fn get(&self, key: &str) -> Option<Arc<DeletionVector>> {
        let mut kept = self.kept();
        kept.uses += 1;
        let now = kept.uses;
        let entry = kept.vectors.get_mut(key)?;
        entry.used_at = now;
        Some(Arc::clone(&entry.vector))
    }

    /// Keeps a vector, in place of those that were not used for the longest time. One that would take most of the
    /// room is not kept.
    pub fn insert(&self, key: String, vector: &Arc<DeletionVector>) {
        let bytes = vector.memory_bytes() + key.len();
        if bytes > self.bytes_max / 2 {
            return;
        }
        let mut kept = self.kept();
        kept.uses += 1;
        let entry = Entry {
            vector: Arc::clone(vector),
            bytes,
            used_at: kept.uses,
        };
        kept.bytes += bytes;
        if let Some(before) = kept.vectors.insert(key, entry) {
            kept.bytes -= before.bytes;
        }
        if kept.bytes > self.bytes_max {
            kept.shrink_to(self.bytes_max / 4 * 3);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Drops the longest unused. Several at once, so that the search for them is paid seldom.
    fn shrink_to(&mut self, bytes: usize) {
        let mut by_use: Vec<(u64, usize)> = self
            .vectors
            .values()
            .map(|entry| (entry.used_at, entry.bytes))
            .collect();
        by_use.sort_unstable();
        let mut left = self.bytes;
        let mut oldest_kept = 0;
        for (used_at, size) in by_use {
            oldest_kept = used_at;
            if left <= bytes {
                break;
            }
            left -= size;
        }
        self.vectors.retain(|_, entry| entry.used_at >= oldest_kept);
        self.bytes = self.vectors.values().map(|entry| entry.bytes).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_go_first_and_the_bound_holds() {
        let vector = Arc::new(DeletionVector::from_iter([1]));
        let bytes = vector.memory_bytes() + 2;
        let cache = VectorCache::new(8 * bytes);
        for number in 0..8 {
            cache.insert(format!("v{number}"), &vector);
        }
        assert!(cache.get("v0").is_some(), "all have room");
        cache.insert("v8".to_owned(), &vector);
        assert!(cache.kept().bytes <= 8 * bytes);
        assert!(cache.get("v1").is_none(), "unused for the longest time");
        assert!(cache.get("v0").is_some(), "used lately");
        assert!(cache.get("v8").is_some(), "new");
    }

    #[test]
    fn what_takes_most_of_the_room_is_not_kept() {
        let cache = VectorCache::new(300);
        cache.insert("v".to_owned(), &Arc::new(DeletionVector::from_iter([1])));
        assert!(cache.get("v").is_none());
        assert_eq!(cache.kept().bytes, 0);
    }
}
