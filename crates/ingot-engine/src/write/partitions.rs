//! Partitions of a table by their values, as the log has them: typed, so that spellings of a value are one value.

use std::collections::{BTreeSet, HashMap, HashSet};

use arrow::array::{Array, ArrayRef};
use arrow::row::{OwnedRow, RowConverter, SortField};
use ingot_delta::{FileIndex, ReadPredicate};

use crate::{Error, Result};

/// If a null in a new row stands for the nulls that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NullPartition {
    Matches,
    Never,
}

/// Partitions, by their values in some of the partition columns.
#[derive(Debug)]
pub(super) struct PartitionSet {
    columns: Vec<String>,
    converter: RowConverter,
    values: HashSet<OwnedRow>,
}

impl PartitionSet {
    /// Takes the partitions of `files`.
    pub fn of(files: &FileIndex, columns: Vec<String>, null: NullPartition) -> Result<Self> {
        let arrays = arrays(files, &columns)?;
        let fields = arrays
            .iter()
            .map(|array| SortField::new(array.data_type().clone()));
        let converter = RowConverter::new(fields.collect()).map_err(arrow_error)?;
        let rows = converter.convert_columns(&arrays).map_err(arrow_error)?;
        let counts = |row: usize| null == NullPartition::Matches || arrays.iter().all(|a| a.is_valid(row));
        let values = rows.iter().enumerate().filter(|(row, _)| counts(*row));
        Ok(Self {
            values: values.map(|(_, value)| value.owned()).collect(),
            columns,
            converter,
        })
    }

    /// Returns the numbers of the files in these partitions.
    pub fn files(&self, index: &FileIndex) -> Result<Vec<usize>> {
        let arrays = arrays(index, &self.columns)?;
        let rows = self.converter.convert_columns(&arrays).map_err(arrow_error)?;
        let within = rows
            .iter()
            .enumerate()
            .filter(|(_, row)| self.values.contains(&row.owned()));
        Ok(within.map(|(file, _)| file).collect())
    }
}

impl PartitionSet {
    /// Keeps the partitions that have at least `count` files of which `counted` is true.
    pub fn with_at_least(
        mut self,
        index: &FileIndex,
        counted: impl Fn(usize) -> bool,
        count: usize,
    ) -> Result<Self> {
        let arrays = arrays(index, &self.columns)?;
        let rows = self.converter.convert_columns(&arrays).map_err(arrow_error)?;
        let mut counts: HashMap<OwnedRow, usize> = HashMap::new();
        for (file, row) in rows.iter().enumerate() {
            if counted(file) {
                *counts.entry(row.owned()).or_default() += 1;
            }
        }
        self.values
            .retain(|value| counts.get(value).is_some_and(|found| *found >= count));
        Ok(self)
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl ReadPredicate for PartitionSet {
    fn may_match(&self, files: &FileIndex) -> Vec<bool> {
        match self.files(files) {
            Ok(within) => {
                let within: BTreeSet<usize> = within.into_iter().collect();
                (0..files.len()).map(|file| within.contains(&file)).collect()
            }
            Err(_) => vec![true; files.len()],
        }
    }
}

fn arrays(files: &FileIndex, columns: &[String]) -> Result<Vec<ArrayRef>> {
    let array = |column: &String| {
        files.partition_values(column).ok_or_else(|| {
            Error::unsupported(format!(
                "the partition column `{column}` has values that are not of its type; replace rows by a predicate"
            ))
        })
    };
    columns.iter().map(array).collect()
}

fn arrow_error(source: arrow::error::ArrowError) -> Error {
    Error::Delta(ingot_delta::Error::Arrow {
        action: "compare partition values",
        source,
    })
}
