//! Rows of an operation on their way to one reader, as they are made.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::Stream;
use ingot_common::ServiceError;

use super::Operation;
use super::rows::Portion;

/// One batch, as soon as it is there.
const NEXT: Portion = Portion {
    rows_max: usize::MAX,
    bytes_max: 1,
};

/// Streams the rows of an operation. What keeps it is `guard`, dropped with the stream.
pub fn flow<G: Send + 'static>(
    operation: Arc<Operation>,
    guard: G,
) -> impl Stream<Item = Result<RecordBatch, ServiceError>> + Send + 'static {
    let reading = (operation, VecDeque::new(), guard);
    futures::stream::try_unfold(reading, |(operation, mut ready, guard)| async move {
        if ready.is_empty() {
            ready = operation.fetch(NEXT).await?.batches.into();
        }
        let batch = ready.pop_front();
        Ok(batch.map(|batch| (batch, (operation, ready, guard))))
    })
}
