//! Rows on their way from a scan into the pieces of a curve.
//!
//! ```text
//! scan ─► place of each row ─► rows by piece ─► gathered into batches ─► bounded channels ─► one input for each piece
//! ```
//! Always true: a piece's input ends only once all rows of the scan have been parted, or the caller has been told of an
//! error: what is made of pieces must not be kept unless every [`Parting::part`] said how many rows it passed on.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, RecordBatch, UInt32Array, UInt64Array};
use arrow::compute::{concat_batches, take_arrays};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::rewrite::Rewriter;
use crate::Result;

/// The column that holds a row's place on the curve while it is sorted: the last one.
pub(super) const PLACE: &str = "__ingot_place";

/// Batches that wait for a piece to take them.
const BATCHES_WAITING_MAX: usize = 1;

/// Rows of a batch where there are few pieces, and at least.
const BATCH_ROWS_MAX: usize = 8192;
const BATCH_ROWS_MIN: usize = 1024;

/// Says where on the curve the rows of a batch are.
pub(super) type PlacesOf = dyn Fn(&RecordBatch) -> Result<UInt64Array, DataFusionError> + Send + Sync;

/// Parts rows by where the curve is cut.
pub(super) struct Parting {
    places_of: Box<PlacesOf>,
    /// Where each piece but the first begins.
    cuts: Vec<u64>,
    schema: SchemaRef,
    batch_rows: usize,
    inputs: Vec<Sender<RecordBatch>>,
}

impl Parting {
    /// Makes the way into `cuts` and one more pieces for rows of `schema`, and the inputs of these in their order.
    pub fn new(
        schema: &Schema,
        cuts: Vec<u64>,
        places_of: Box<PlacesOf>,
    ) -> (Self, Vec<Arc<dyn PartitionStream>>) {
        let mut fields = schema.fields().to_vec();
        fields.push(Arc::new(Field::new(PLACE, DataType::UInt64, false)));
        let schema = Arc::new(Schema::new(fields));
        let count = cuts.len() + 1;
        let (mut inputs, mut outputs) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for _ in 0..count {
            let (sender, receiver) = channel(BATCHES_WAITING_MAX);
            inputs.push(sender);
            outputs.push(Arc::new(PieceInput {
                schema: Arc::clone(&schema),
                rows: Mutex::new(Some(receiver)),
            }) as Arc<dyn PartitionStream>);
        }
        let parting = Self {
            places_of,
            cuts,
            schema,
            batch_rows: (4 * BATCH_ROWS_MAX / count).clamp(BATCH_ROWS_MIN, BATCH_ROWS_MAX),
            inputs,
        };
        (parting, outputs)
    }

    /// Returns the schema of the rows in the pieces: theirs, and [`PLACE`].
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Parts the rows of a stream; returns how many there were. Rows for a piece that nobody takes are dropped: whoever
    /// should have has failed, and says so.
    ///
    /// # Errors
    /// Those of the stream, and `Cancelled`.
    pub async fn part(&self, rewriter: &Rewriter, mut rows: SendableRecordBatchStream) -> Result<usize> {
        let mut waiting: Vec<Waiting> = self.inputs.iter().map(|_| Waiting::default()).collect();
        let mut count = 0;
        while let Some(batch) = rewriter.next(&mut rows).await? {
            count += batch.num_rows();
            for (piece, rows) in self.by_piece(&batch)? {
                waiting[piece].rows += rows.num_rows();
                waiting[piece].batches.push(rows);
                if waiting[piece].rows >= self.batch_rows {
                    self.pass_on(piece, &mut waiting[piece]).await?;
                }
            }
        }
        for (piece, waiting) in waiting.iter_mut().enumerate() {
            self.pass_on(piece, waiting).await?;
        }
        Ok(count)
    }

    /// Returns the rows of a batch by piece, with their places.
    fn by_piece(&self, batch: &RecordBatch) -> Result<Vec<(usize, RecordBatch)>, DataFusionError> {
        let places = (self.places_of)(batch)?;
        let (ends, order) = self.order(&places);
        let order = UInt32Array::from(order);
        let places: ArrayRef = Arc::new(places);
        let columns: Vec<ArrayRef> = batch.columns().iter().chain([&places]).cloned().collect();
        let columns = take_arrays(&columns, &order, None)?;
        let parted = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        let mut start = 0;
        let mut pieces = Vec::with_capacity(ends.len());
        for (piece, end) in ends.into_iter().enumerate() {
            if end > start {
                pieces.push((piece, parted.slice(start, end - start)));
            }
            start = end;
        }
        Ok(pieces)
    }

    /// Returns the numbers of rows, those of the first piece first, and where each piece ends among them.
    fn order(&self, places: &UInt64Array) -> (Vec<usize>, Vec<u32>) {
        let piece = |place: &u64| self.cuts.partition_point(|cut| cut <= place);
        let of_rows: Vec<usize> = places.values().iter().map(piece).collect();
        let mut starts = vec![0; self.cuts.len() + 2];
        for piece in &of_rows {
            starts[piece + 1] += 1;
        }
        for piece in 1..starts.len() {
            starts[piece] += starts[piece - 1];
        }
        let mut order = vec![0; of_rows.len()];
        for (row, piece) in (0_u32..).zip(&of_rows) {
            order[starts[*piece]] = row;
            starts[*piece] += 1;
        }
        // Each piece now starts where it ends.
        starts.truncate(self.cuts.len() + 1);
        (starts, order)
    }

    async fn pass_on(&self, piece: usize, waiting: &mut Waiting) -> Result<()> {
        let Waiting { batches, .. } = std::mem::take(waiting);
        if !batches.is_empty() {
            let batch = concat_batches(&self.schema, &batches).map_err(DataFusionError::from)?;
            // An error says that nobody takes rows of the piece any more.
            let _ = self.inputs[piece].send(batch).await;
        }
        Ok(())
    }
}

/// Rows of a piece that are not yet a batch.
#[derive(Default)]
struct Waiting {
    batches: Vec<RecordBatch>,
    rows: usize,
}

/// What a piece takes its rows from, once.
struct PieceInput {
    schema: SchemaRef,
    rows: Mutex<Option<Receiver<RecordBatch>>>,
}

impl fmt::Debug for PieceInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PieceInput")
    }
}

impl PartitionStream for PieceInput {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _ctx: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).take();
        let batches = stream::unfold(rows, |rows| async move {
            let mut rows = rows?;
            let batch = rows.recv().await?;
            Some((Ok(batch), Some(rows)))
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Array;

    use super::*;

    #[test]
    fn rows_are_parted_at_the_cuts_and_keep_their_order() {
        let schema = Schema::new(vec![Field::new("n", DataType::UInt64, false)]);
        let places_of = |batch: &RecordBatch| Ok(UInt64Array::from(batch.column(0).to_data()));
        let (parting, inputs) = Parting::new(&schema, vec![10, 20], Box::new(places_of));
        assert_eq!(inputs.len(), 3);
        let n: ArrayRef = Arc::new(UInt64Array::from(vec![25, 9, 10, 0, 30, 19, 11]));
        let batch = RecordBatch::try_from_iter([("n", n)]).expect("batch");
        let parted = parting.by_piece(&batch).expect("parted");
        let parted: Vec<(usize, Vec<u64>)> = parted
            .into_iter()
            .map(|(piece, rows)| {
                let places = UInt64Array::from(rows.column(1).to_data());
                assert_eq!(rows.column(0).to_data(), places.to_data());
                (piece, places.values().to_vec())
            })
            .collect();
        assert_eq!(
            parted,
            [(0, vec![9, 0]), (1, vec![10, 19, 11]), (2, vec![25, 30])]
        );
        let only_last = batch.slice(4, 1);
        assert_eq!(parting.by_piece(&only_last).expect("parted")[0].0, 2);
    }
}
