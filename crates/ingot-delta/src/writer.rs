//! Record batches in, Parquet files and `add` actions out.

use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::{Add, DeltaTable, Result, Snapshot};

/// Sizes of the files to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterOptions {
    /// Compressed bytes after which a file is closed and the next begun; `delta.targetFileSize` if set.
    pub file_bytes_target: u64,
    /// Rows per row group at most.
    pub row_group_rows_max: usize,
    /// `dataChange` of the actions.
    pub data_change: bool,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            file_bytes_target: 128 << 20,
            row_group_rows_max: 1 << 20,
            data_change: true,
        }
    }
}

/// Writes files for one table; rows of different partitions go to different files. Memory is bounded by
/// the row groups that are open.
#[derive(Debug)]
pub struct FileWriter {}

impl FileWriter {
    /// Starts writing for `table` with the schema of `snapshot`.
    ///
    /// # Errors
    /// `Unsupported` when the table has a writer feature that this writer cannot honour.
    pub fn new(table: Arc<DeltaTable>, snapshot: &Snapshot, options: WriterOptions) -> Result<Self> {
        let _ = (table, snapshot, options);
        todo!()
    }

    /// Writes the rows of `batch`, whose columns are those of the table's schema, in order. View and
    /// dictionary types are converted; other types must be the table's.
    ///
    /// # Errors
    /// `InvalidArgument` for other columns, other types, or a null in a NOT NULL column.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let _ = batch;
        todo!()
    }

    /// Ends all files, syncs them, and returns their actions in the order in which files were begun.
    pub async fn close(self) -> Result<Vec<Add>> {
        todo!()
    }

    /// Deletes what was written. For operations that fail; a crash leaves files for VACUUM instead.
    pub async fn abort(self) {
        todo!()
    }
}
