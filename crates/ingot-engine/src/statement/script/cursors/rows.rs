//! The rows of an open cursor, one after the other.
//!
//! A batch is read at a time; dropping the rows ends the query.

use std::sync::{Mutex, PoisonError};

use arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use futures::TryStreamExt;

use super::super::run::copy;
use crate::resources::reading;
use crate::{Error, Result};

/// See the module's documentation.
pub(super) struct CursorRows {
    /// The batch that is read.
    batch: RecordBatch,
    /// The row of it that comes next.
    place: usize,
    /// Nobody waits for the lock. It makes of the stream, which threads must not share, what may stand beside things
    /// that they may.
    source: Mutex<Source>,
}

/// Where batches come from.
enum Source {
    Query(SendableRecordBatchStream),
    Ended,
    /// The query failed with this.
    Failed(Error),
}

impl CursorRows {
    pub fn new(batches: SendableRecordBatchStream) -> Self {
        Self {
            batch: RecordBatch::new_empty(batches.schema()),
            place: 0,
            source: Mutex::new(Source::Query(batches)),
        }
    }

    /// Returns the values of the next row; `None` after the last one.
    ///
    /// # Errors
    /// What the query fails with, each time that a row after that is asked for.
    pub async fn next(&mut self) -> Result<Option<Vec<ScalarValue>>> {
        while self.place >= self.batch.num_rows() {
            let Some(batch) = self.next_batch().await? else {
                return Ok(None);
            };
            self.batch = batch;
            self.place = 0;
        }
        let columns = self.batch.columns().iter();
        let values = columns.map(|column| ScalarValue::try_from_array(column, self.place));
        let values = values.collect::<datafusion::error::Result<_>>()?;
        self.place += 1;
        Ok(Some(values))
    }

    async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let source = self.source.get_mut().unwrap_or_else(PoisonError::into_inner);
        let batches = match source {
            Source::Query(batches) => batches,
            Source::Ended => return Ok(None),
            Source::Failed(error) => return Err(copy(error)),
        };
        let next = reading(async { Ok(batches.try_next().await?) }).await;
        match &next {
            Ok(Some(_)) => {}
            Ok(None) => *source = Source::Ended,
            Err(error) => *source = Source::Failed(copy(error)),
        }
        next
    }
}
