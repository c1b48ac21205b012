//! Rows that are fetched in portions.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use futures::{FutureExt, StreamExt};
use ingot_common::ServiceError;
use ingot_common::port::{BatchStream, StatementResult};

/// The first column of what a statement that writes returns. Source: Databricks, "MERGE INTO", "UPDATE", "DELETE".
const AFFECTED_ROWS: &str = "num_affected_rows";

/// How much a client takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portion {
    pub rows_max: usize,
    /// Of Arrow's memory; one batch may be more.
    pub bytes_max: usize,
}

/// Some rows of a result.
#[derive(Debug)]
pub struct Fetched {
    /// The number of the first row.
    pub offset: usize,
    pub batches: Vec<RecordBatch>,
    /// There may be more.
    pub more: bool,
}

/// A result that is being fetched.
pub(super) struct Rows {
    schema: SchemaRef,
    batches: BatchStream,
    /// What came and was not fetched.
    ahead: Option<RecordBatch>,
    ended: bool,
    /// What ended it before its end: told to whoever asks again, too.
    failed: Option<ServiceError>,
    /// The portion that is being put together. It stays here while it waits: a request that is dropped loses no rows.
    portion: Vec<RecordBatch>,
    portion_rows: usize,
    portion_bytes: usize,
    offset: usize,
}

impl Rows {
    pub fn new(result: StatementResult) -> Self {
        Self {
            schema: result.schema,
            batches: result.batches,
            ahead: None,
            ended: false,
            failed: None,
            portion: Vec::new(),
            portion_rows: 0,
            portion_bytes: 0,
            offset: 0,
        }
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Waits for the next batch, and keeps it.
    pub async fn look_ahead(&mut self) -> Result<(), ServiceError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        while self.ahead.is_none() && !self.ended {
            match self.batches.next().await {
                Some(Ok(batch)) if batch.num_rows() == 0 => {}
                Some(Ok(batch)) => self.ahead = Some(batch),
                Some(Err(error)) => {
                    self.failed = Some(error.clone());
                    return Err(error);
                }
                None => self.ended = true,
            }
        }
        Ok(())
    }

    /// Returns how many rows the statement changed, if it says so.
    pub fn modified(&self) -> Option<i64> {
        let counts = self.schema.fields().first()?.name() == AFFECTED_ROWS;
        let batch = self.ahead.as_ref().filter(|_| counts)?;
        let column = batch.columns().first()?.as_primitive_opt::<Int64Type>()?;
        (!column.is_empty()).then(|| column.value(0))
    }

    /// Takes rows until the portion is full.
    pub async fn fetch(&mut self, portion: Portion) -> Result<Fetched, ServiceError> {
        let rows_max = portion.rows_max.max(1);
        while self.portion_rows < rows_max && self.portion_bytes < portion.bytes_max {
            self.look_ahead().await?;
            let Some(batch) = self.ahead.take() else { break };
            let taken = batch.num_rows().min(rows_max - self.portion_rows);
            self.ahead = (taken < batch.num_rows()).then(|| batch.slice(taken, batch.num_rows() - taken));
            let batch = batch.slice(0, taken);
            self.portion_rows += taken;
            self.portion_bytes += batch.get_array_memory_size();
            self.portion.push(batch);
        }
        // Says that there is no more where that is known, and does not wait to know it. An error is for the next portion.
        let _ = self.look_ahead().now_or_never();
        let offset = self.offset;
        self.offset += std::mem::take(&mut self.portion_rows);
        self.portion_bytes = 0;
        let batches = std::mem::take(&mut self.portion);
        Ok(Fetched {
            offset,
            batches,
            more: self.ahead.is_some() || !self.ended,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use ingot_common::Kind;

    use super::*;

    fn batch(from: i64, to: i64) -> RecordBatch {
        let numbers = Int64Array::from_iter_values(from..to);
        RecordBatch::try_from_iter([("n", Arc::new(numbers) as _)]).expect("batch")
    }

    fn rows(batches: Vec<Result<RecordBatch, ServiceError>>) -> Rows {
        Rows::new(StatementResult {
            schema: batch(0, 0).schema(),
            batches: futures::stream::iter(batches).boxed(),
        })
    }

    fn portion(rows_max: usize) -> Portion {
        Portion {
            rows_max,
            bytes_max: usize::MAX,
        }
    }

    fn numbers(fetched: &Fetched) -> Vec<i64> {
        let columns = fetched.batches.iter().map(|batch| batch.column(0));
        columns
            .flat_map(|column| column.as_primitive::<Int64Type>().values().to_vec())
            .collect()
    }

    #[tokio::test]
    async fn portions_follow_each_other() {
        let mut rows = rows(vec![Ok(batch(0, 5)), Ok(batch(5, 5)), Ok(batch(5, 8))]);
        let mut seen = Vec::new();
        loop {
            let fetched = rows.fetch(portion(3)).await.expect("rows");
            assert_eq!(fetched.offset, seen.len());
            assert!(fetched.batches.iter().map(RecordBatch::num_rows).sum::<usize>() <= 3);
            seen.extend(numbers(&fetched));
            if !fetched.more {
                break;
            }
        }
        assert_eq!(seen, (0..8).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_portion_that_is_dropped_loses_no_rows() {
        let (sender, receiver) = futures::channel::mpsc::unbounded();
        let mut rows = Rows::new(StatementResult {
            schema: batch(0, 0).schema(),
            batches: receiver.boxed(),
        });
        sender.unbounded_send(Ok(batch(0, 2))).expect("open");
        assert!(rows.fetch(portion(4)).now_or_never().is_none(), "it waits");
        sender.unbounded_send(Ok(batch(2, 4))).expect("open");
        let fetched = rows.fetch(portion(4)).await.expect("rows");
        assert_eq!((fetched.offset, numbers(&fetched)), (0, vec![0, 1, 2, 3]));
    }

    #[tokio::test]
    async fn an_error_ends_the_rows_for_good() {
        let broken = ServiceError::new(Kind::DataLoss, "a file is gone");
        let mut rows = rows(vec![Ok(batch(0, 2)), Err(broken.clone())]);
        let fetched = rows.fetch(portion(2)).await.expect("the rows before");
        assert!(fetched.more);
        for _ in 0..2 {
            assert_eq!(rows.fetch(portion(2)).await.map(|_| ()), Err(broken.clone()));
        }
    }

    #[tokio::test]
    async fn a_count_of_rows_is_what_was_modified() {
        let counted = RecordBatch::try_from_iter([(AFFECTED_ROWS, Arc::new(Int64Array::from(vec![7])) as _)]);
        let counted = counted.expect("batch");
        let mut rows = Rows::new(StatementResult {
            schema: counted.schema(),
            batches: futures::stream::iter([Ok(counted)]).boxed(),
        });
        rows.look_ahead().await.expect("rows");
        assert_eq!(rows.modified(), Some(7));
    }
}
