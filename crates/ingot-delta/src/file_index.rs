//! The data files of one version as columns: what pruning and statistics read.
//!
//! Statistics are parsed once for each file, when the version that adds the file is first read; a refresh
//! parses those of new files only.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt64Array};
use arrow::datatypes::SchemaRef;

use crate::Add;

/// The files of one version, numbered from 0. Arrays returned here have one row per file.
#[derive(Debug, Clone)]
pub struct FileIndex {}

impl FileIndex {
    /// Makes an index of `adds`, in their order, for a table with the logical `schema` (column mapping in its
    /// fields' metadata).
    pub fn from_adds(adds: Vec<Arc<Add>>, schema: &SchemaRef, partition_columns: &[String]) -> Self {
        let _ = (adds, schema, partition_columns);
        todo!()
    }

    /// Returns the number of files.
    pub fn len(&self) -> usize {
        todo!()
    }

    /// Says if there are no files.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the `add` action of file `file`, as it stands in the log.
    pub fn add(&self, file: usize) -> Arc<Add> {
        let _ = file;
        todo!()
    }

    /// Returns file sizes in bytes.
    pub fn sizes(&self) -> UInt64Array {
        todo!()
    }

    /// Returns rows per file, those of deletion vectors taken off; null where the log does not say.
    pub fn num_records(&self) -> UInt64Array {
        todo!()
    }

    /// Returns the typed values of a partition column; `None` for a column that does not partition.
    pub fn partition_values(&self, column: &str) -> Option<ArrayRef> {
        let _ = column;
        todo!()
    }

    /// Returns lower bounds in the column's type; null where unknown, `None` where no file has one.
    /// `column` is a logical top-level column, or a nested one joined with `.`.
    pub fn min_values(&self, column: &str) -> Option<ArrayRef> {
        let _ = column;
        todo!()
    }

    /// Returns upper bounds; a string's may be longer than any value (truncated and rounded up).
    pub fn max_values(&self, column: &str) -> Option<ArrayRef> {
        let _ = column;
        todo!()
    }

    /// Returns counts of nulls.
    pub fn null_counts(&self, column: &str) -> Option<UInt64Array> {
        let _ = column;
        todo!()
    }

    /// Says, per file, if `min_values` and `max_values` are values that live rows hold (`tightBounds`), so
    /// that MIN and MAX may be answered from them. Long strings are truncated and so never exact.
    pub fn exact_bounds(&self, column: &str) -> Option<arrow::array::BooleanArray> {
        let _ = column;
        todo!()
    }
}
