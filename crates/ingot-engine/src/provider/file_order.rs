//! The files of a snapshot in an order that is the same for whoever reads that version.
//!
//! A snapshot numbers its files as it came to know them, which differs from process to process. Pages of a table are
//! cut in the order of the files' paths instead.

use std::sync::Arc;

use ingot_delta::{Add, FileIndex};

/// See the module's documentation. A file's rank is its place in the order.
#[derive(Debug)]
pub(crate) struct FileOrder {
    /// By rank.
    files: Vec<(Arc<Add>, usize)>,
    /// By number.
    ranks: Vec<usize>,
}

impl FileOrder {
    /// Puts the files of a snapshot in order.
    pub fn of(index: &FileIndex) -> Self {
        let mut files: Vec<_> = (0..index.len())
            .map(|number| (index.add(number), number))
            .collect();
        files.sort_unstable_by(|(one, _), (other, _)| one.path.cmp(&other.path));
        let mut ranks = vec![0; files.len()];
        for (rank, (_, number)) in files.iter().enumerate() {
            if let Some(place) = ranks.get_mut(*number) {
                *place = rank;
            }
        }
        Self { files, ranks }
    }

    /// Returns the rank of a file by its number.
    pub fn rank(&self, number: usize) -> usize {
        self.ranks.get(number).copied().unwrap_or(number)
    }

    /// Returns the rank of the file at `path`.
    pub fn find(&self, path: &str) -> Option<usize> {
        self.files
            .binary_search_by(|(add, _)| add.path.as_str().cmp(path))
            .ok()
    }

    /// Returns the path of a file by its rank.
    pub fn path(&self, rank: usize) -> Option<&str> {
        self.files.get(rank).map(|(add, _)| add.path.as_str())
    }

    /// Returns the numbers of the files from `rank` on, in order.
    pub fn numbers_from(&self, rank: usize) -> Vec<usize> {
        let files = self.files.iter().skip(rank);
        files.map(|(_, number)| *number).collect()
    }
}
