//! The handles of a registry: at most so many are kept open, the least recently used goes first.
//!
//! ```text
//! open ─► kept? ─────────────────────────────► the same handle
//!          └ no ─► still in someone's hands? ─► kept again
//!                   └ no ─► an empty cell, filled by whoever comes first
//! ```
//! Always true: a location has one handle at a time, however many tables there are: a handle that is no longer kept
//! is remembered as long as someone uses it.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use tokio::sync::OnceCell;
use url::Url;

use super::DeltaTable;

/// A place for a handle, filled by whoever opens the table first.
pub(super) type Cell = Arc<OnceCell<Arc<DeltaTable>>>;

/// Handles by normalised location.
#[derive(Debug)]
pub(super) struct Handles {
    kept_max: usize,
    kept: HashMap<Url, Kept>,
    /// Handles that others use and the registry no longer keeps.
    in_use: HashMap<Url, Weak<DeltaTable>>,
    uses: u64,
}

#[derive(Debug)]
struct Kept {
    cell: Cell,
    last_use: u64,
}

impl Handles {
    /// Keeps at least one handle.
    pub fn new(kept_max: usize) -> Self {
        Self {
            kept_max: kept_max.max(1),
            kept: HashMap::new(),
            in_use: HashMap::new(),
            uses: 0,
        }
    }

    /// Returns the cell of a location.
    pub fn cell(&mut self, location: &Url) -> Cell {
        self.uses += 1;
        let last_use = self.uses;
        if let Some(kept) = self.kept.get_mut(location) {
            kept.last_use = last_use;
            return Arc::clone(&kept.cell);
        }
        if self.kept.len() >= self.kept_max {
            self.evict();
        }
        let in_use = self.in_use.remove(location).and_then(|handle| handle.upgrade());
        let cell: Cell = Arc::new(OnceCell::new_with(in_use));
        let kept = Kept {
            cell: Arc::clone(&cell),
            last_use,
        };
        self.kept.insert(location.clone(), kept);
        cell
    }

    /// Returns the handle of a location if it is open; that counts as no use.
    pub fn opened(&self, location: &Url) -> Option<Arc<DeltaTable>> {
        let kept = self.kept.get(location).and_then(|kept| kept.cell.get()).cloned();
        kept.or_else(|| self.in_use.get(location)?.upgrade())
    }

    /// Forgets a location.
    pub fn forget(&mut self, location: &Url) {
        self.kept.remove(location);
        self.in_use.remove(location);
    }

    /// Forgets a cell, unless another has taken its place.
    pub fn forget_cell(&mut self, location: &Url, cell: &Cell) {
        let current = self.kept.get(location);
        if current.is_some_and(|kept| Arc::ptr_eq(&kept.cell, cell)) {
            self.forget(location);
        }
    }

    /// Returns how many are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Lets the least recently used handle go. One that is being opened stays, so that it is opened once.
    fn evict(&mut self) {
        let opened = self.kept.iter().filter(|(_, kept)| kept.cell.initialized());
        let oldest = opened.min_by_key(|(_, kept)| kept.last_use);
        let Some(location) = oldest.map(|(location, _)| location.clone()) else {
            return;
        };
        let evicted = self.kept.remove(&location);
        self.in_use.retain(|_, handle| handle.strong_count() > 0);
        let Some(handle) = evicted.as_ref().and_then(|kept| kept.cell.get()) else {
            return;
        };
        self.in_use.insert(location, Arc::downgrade(handle));
    }
}
