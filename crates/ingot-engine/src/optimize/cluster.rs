//! Rewriting a bin along a curve.
//!
//! ```text
//! columns of the curve ─► sample ─► ranges of each column ─► where the curve is cut into pieces (`pieces`)
//! all columns ─► parted by the cuts (`parting`) ─► pieces sorted, spilling ─► a file after so many rows
//! ```
//! The first pass reads the columns of the curve only. Sorting spills within the engine's memory limit; besides,
//! each core holds the open row group of one file. Pieces that follow each other on the curve are written by one core,
//! in their order. All rows that were read are written, or nothing is kept.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::StreamingTableExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream_partitioned};
use datafusion::prelude::Column;
use futures::StreamExt;
use ingot_delta::{Add, FileWriter};
use tokio::task::JoinSet;

use super::curve::{Curve, Shape};
use super::parting::{PLACE, Parting};
use super::pieces::{self, Pieces};
use super::plan::Bin;
use super::ranges::{self, Ranges, Sample};
use super::rewrite::{Rewriter, Rewritten};
use crate::{Error, Result};

/// How the rows of a bin are laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    /// Columns, those in structs as paths; as the schema spells them.
    pub columns: Vec<Vec<String>>,
    pub shape: Shape,
    /// Bytes of a file, about.
    pub file_bytes_target: u64,
}

impl Order {
    /// Returns the names of the columns, parts joined with `.`.
    pub fn names(&self) -> Vec<String> {
        self.columns.iter().map(|path| path.join(".")).collect()
    }
}

/// Maps rows to places on a curve.
#[derive(Debug)]
struct Places {
    curve: Curve,
    ranges: Vec<Ranges>,
    /// For each dimension, the place of its column among those that are given, and the path in it.
    columns: Vec<(usize, Vec<String>)>,
}

impl Rewriter {
    /// Writes the rows of a bin, in the curve's order, into files of about the size that is asked for.
    ///
    /// # Errors
    /// `Unsupported` for more columns than a place has bits. Nothing is left behind then.
    pub async fn cluster(&self, bin: &Bin, order: &Order) -> Result<Rewritten> {
        let removed = self.adds(bin).await?;
        let curve = Curve::new(order.shape, order.columns.len()).ok_or_else(|| {
            Error::unsupported(format!(
                "rows cannot be ordered by {} columns",
                order.columns.len()
            ))
        })?;
        let sample = self.sample(bin, order).await?;
        if sample.rows == 0 {
            return Ok(Rewritten {
                removed,
                added: Vec::new(),
            });
        }
        let files = (bin.bytes / order.file_bytes_target.max(1)).max(1);
        let files = usize::try_from(files.min(sample.rows)).unwrap_or(usize::MAX);
        let places = Arc::new(Places {
            ranges: sample.ranges(curve.side()),
            columns: top_columns(order).1,
            curve,
        });
        let shares = pieces::shares(files, self.parallelism);
        let count = pieces::count(sample.rows, bin.bytes, self.memory_bytes(), shares.len());
        let pieces = Pieces::new(places.drawn(&sample), &shares, count);
        let rows_per_file = usize::try_from(sample.rows.div_ceil(files as u64)).unwrap_or(usize::MAX);
        let sorting = self.sorting(bin, order, places, pieces).await?;
        let added = self.write_sorted(sorting, &shares, rows_per_file).await?;
        Ok(Rewritten { removed, added })
    }

    /// Draws rows of the columns of the curve.
    async fn sample(&self, bin: &Bin, order: &Order) -> Result<Sample> {
        let (names, columns) = top_columns(order);
        let names: Vec<Expr> = names.into_iter().map(column).collect();
        let rows = self.frame(bin)?.select(names)?;
        let task = Arc::new(rows.task_ctx());
        let streams = execute_stream_partitioned(rows.create_physical_plan().await?, task)?;
        let columns = Arc::new(columns);
        let mut tasks = JoinSet::new();
        for stream in streams {
            let (rewriter, columns) = (self.clone(), Arc::clone(&columns));
            tasks.spawn(async move { rewriter.draw(stream, &columns).await });
        }
        let mut samples = Vec::new();
        while let Some(ended) = tasks.join_next().await {
            samples
                .push(ended.map_err(|error| Error::internal(format!("drawing a sample failed: {error}")))??);
        }
        match samples.is_empty() {
            true => Ok(Sample::new(order.columns.len())),
            false => Ok(Sample::merge(samples)),
        }
    }

    async fn draw(
        &self,
        mut rows: SendableRecordBatchStream,
        columns: &[(usize, Vec<String>)],
    ) -> Result<Sample> {
        let mut sample = Sample::new(columns.len());
        while let Some(batch) = self.next(&mut rows).await? {
            sample.draw(&dimensions(batch.columns(), columns)?, batch.num_rows())?;
        }
        Ok(sample)
    }

    /// Plans the rows of a bin, parted and in order.
    async fn sorting(
        &self,
        bin: &Bin,
        order: &Order,
        places: Arc<Places>,
        pieces: Pieces,
    ) -> Result<Sorting> {
        let rows = self.frame(bin)?;
        let schema = Arc::clone(rows.schema().inner());
        let columns = top_columns(order).0;
        let columns: Vec<usize> = columns
            .iter()
            .map(|name| schema.index_of(name))
            .collect::<Result<_, _>>()
            .map_err(DataFusionError::from)?;
        let places_of = move |batch: &RecordBatch| {
            let columns: Vec<ArrayRef> = columns.iter().map(|place| batch.column(*place).clone()).collect();
            places.of(&columns)
        };
        let (parting, inputs) = Parting::new(&schema, pieces.cuts.clone(), Box::new(places_of));
        let task = sorting_whole_pieces(rows.task_ctx(), inputs.len(), self.memory_bytes());
        let unsorted = Arc::clone(parting.schema());
        let by_place = PhysicalColumn::new(PLACE, unsorted.fields().len() - 1);
        let ordering = LexOrdering::from([PhysicalSortExpr::new_default(Arc::new(by_place))]);
        let input = StreamingTableExec::try_new(unsorted, inputs, None, [], false, None)?;
        Ok(Sorting {
            scan: rows.create_physical_plan().await?,
            parting: Arc::new(parting),
            sorted: SortExec::new(ordering, Arc::new(input)).with_preserve_partitioning(true),
            task: Arc::new(task),
            schema,
            pieces,
        })
    }

    /// Reads and parts all rows, and writes the pieces, those of each writer on a task of its own.
    async fn write_sorted(
        &self,
        sorting: Sorting,
        shares: &[usize],
        rows_per_file: usize,
    ) -> Result<Vec<Add>> {
        let mut tasks = JoinSet::new();
        for (writer, files) in shares.iter().enumerate() {
            // All pieces take rows from the same scan, and so run at once until each of them has its first.
            let pieces = sorting.pieces.of_writer(writer);
            let pieces =
                pieces.map(|piece| Ok(begun(sorting.sorted.execute(piece, Arc::clone(&sorting.task))?)));
            let pieces: Vec<SendableRecordBatchStream> = pieces.collect::<Result<_>>()?;
            let mut cutter = Cutter {
                rewriter: self.clone(),
                open: None,
                rows: 0,
                rows_per_file,
                files_left: *files,
                written: Written::default(),
            };
            let schema = Arc::clone(&sorting.schema);
            tasks.spawn(async move {
                let outcome = cutter.write_all(pieces, &schema).await;
                Ok(Ended::Written(writer, cutter.end(outcome).await?))
            });
        }
        for rows in execute_stream_partitioned(sorting.scan, sorting.task)? {
            let (rewriter, parting) = (self.clone(), Arc::clone(&sorting.parting));
            tasks.spawn(async move { Ok(Ended::Parted(parting.part(&rewriter, rows).await?)) });
        }
        // The inputs of the pieces end with the last task that parts rows.
        drop(sorting.parting);
        self.all_written(tasks).await
    }

    /// Waits for all tasks; returns the files in the curve's order. On an error none is left behind.
    async fn all_written(&self, mut tasks: JoinSet<Result<Ended>>) -> Result<Vec<Add>> {
        let mut written: Vec<(usize, Written)> = Vec::new();
        let mut rows_parted = 0;
        let mut failure = None;
        while let Some(ended) = tasks.join_next().await {
            let error = match ended {
                Ok(Ok(Ended::Written(writer, files))) => {
                    written.push((writer, files));
                    continue;
                }
                Ok(Ok(Ended::Parted(rows))) => {
                    rows_parted += rows;
                    continue;
                }
                Ok(Err(error)) => error,
                Err(error) => Error::internal(format!("writing sorted rows failed: {error}")),
            };
            // The first failure is the cause; those after it are cancellations.
            self.stop();
            failure.get_or_insert(error);
        }
        written.sort_by_key(|(writer, _)| *writer);
        let rows_written: usize = written.iter().map(|(_, written)| written.rows).sum();
        let added: Vec<Add> = written
            .into_iter()
            .flat_map(|(_, written)| written.files)
            .collect();
        let failure = failure.or_else(|| {
            let lost = rows_written != rows_parted;
            lost.then(|| Error::internal(format!("{rows_parted} rows were read, {rows_written} written")))
        });
        match failure {
            None => Ok(added),
            Some(error) => {
                self.target.discard(&added).await;
                Err(error)
            }
        }
    }
}

/// Bytes of a piece that are sorted at once, rather than as many batches that are then merged row by row.
const SORTED_AT_ONCE_BYTES_MAX: usize = 64 << 20;

/// The share of the memory, one in so many parts, that all pieces together keep free for merging what they may have to
/// spill.
const MERGE_SHARE: usize = 4;

fn sorting_whole_pieces(task: TaskContext, pieces: usize, memory_bytes: u64) -> TaskContext {
    let config = task.session_config().clone();
    let merge_bytes_max = usize::try_from(memory_bytes).unwrap_or(usize::MAX) / MERGE_SHARE / pieces.max(1);
    let merge_bytes = config.options().execution.sort_spill_reservation_bytes;
    let config = config
        .with_sort_in_place_threshold_bytes(SORTED_AT_ONCE_BYTES_MAX)
        .with_sort_spill_reservation_bytes(merge_bytes.min(merge_bytes_max));
    task.with_session_config(config)
}

/// Runs a stream until its first rows, whether or not somebody waits for them.
fn begun(mut rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let mut ahead = RecordBatchReceiverStream::builder(rows.schema(), 1);
    let sender = ahead.tx();
    ahead.spawn(async move {
        while let Some(batch) = rows.next().await {
            if sender.send(batch).await.is_err() {
                break;
            }
        }
        Ok(())
    });
    ahead.build()
}

/// Rows on their way into files.
struct Sorting {
    scan: Arc<dyn ExecutionPlan>,
    parting: Arc<Parting>,
    /// One partition for each piece, in order within it, places in the last column.
    sorted: SortExec,
    pieces: Pieces,
    task: Arc<TaskContext>,
    /// Without the places.
    schema: SchemaRef,
}

/// What became of a task.
enum Ended {
    /// So many rows are in the pieces.
    Parted(usize),
    /// The pieces of a writer are in files.
    Written(usize, Written),
}

/// What a writer has written.
#[derive(Default)]
struct Written {
    files: Vec<Add>,
    rows: usize,
}

/// Cuts rows into files.
struct Cutter {
    rewriter: Rewriter,
    open: Option<FileWriter>,
    /// In the open file.
    rows: usize,
    rows_per_file: usize,
    /// Files to come, the open one included; the last one takes all that is left.
    files_left: usize,
    written: Written,
}

impl Cutter {
    /// Writes streams of rows one after the other.
    async fn write_all(&mut self, pieces: Vec<SendableRecordBatchStream>, schema: &SchemaRef) -> Result<()> {
        for rows in pieces {
            self.write_piece(rows, schema).await?;
        }
        Ok(())
    }

    async fn write_piece(&mut self, mut rows: SendableRecordBatchStream, schema: &SchemaRef) -> Result<()> {
        while let Some(batch) = self.rewriter.next(&mut rows).await? {
            let columns = batch.columns()[..schema.fields().len()].to_vec();
            let batch = RecordBatch::try_new(Arc::clone(schema), columns).map_err(DataFusionError::from)?;
            let mut start = 0;
            while start < batch.num_rows() {
                let room = match self.files_left {
                    0 | 1 => usize::MAX,
                    _ => self.rows_per_file - self.rows,
                };
                let taken = room.min(batch.num_rows() - start);
                self.write(&batch.slice(start, taken)).await?;
                start += taken;
            }
        }
        Ok(())
    }

    async fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let writer = match &mut self.open {
            Some(writer) => writer,
            None => {
                let options = self.rewriter.writer.clone();
                let writer = FileWriter::for_target(self.rewriter.target.clone(), options)?;
                self.open.insert(writer)
            }
        };
        writer.write(rows).await?;
        self.rows += rows.num_rows();
        self.written.rows += rows.num_rows();
        if self.rows >= self.rows_per_file && self.files_left > 1 {
            self.close().await?;
            self.files_left -= 1;
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        self.rows = 0;
        if let Some(writer) = self.open.take() {
            self.written.files.extend(writer.close().await?);
        }
        Ok(())
    }

    /// Completes the last file, or deletes all of them.
    async fn end(mut self, outcome: Result<()>) -> Result<Written> {
        let outcome = match outcome {
            Ok(()) => self.close().await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => Ok(self.written),
            Err(error) => {
                if let Some(writer) = self.open.take() {
                    writer.abort().await;
                }
                self.rewriter.target.discard(&self.written.files).await;
                Err(error)
            }
        }
    }
}

impl Places {
    /// Returns the places of rows by the columns of the curve.
    fn of(&self, columns: &[ArrayRef]) -> Result<UInt64Array, DataFusionError> {
        let arrays = dimensions(columns, &self.columns)?;
        let numbers = arrays
            .iter()
            .zip(&self.ranges)
            .map(|(array, ranges)| ranges.numbers(array));
        let numbers: Vec<Vec<u32>> = numbers.collect::<Result<_, _>>()?;
        Ok(UInt64Array::from(self.on_curve(&numbers)))
    }

    fn on_curve(&self, numbers: &[Vec<u32>]) -> Vec<u64> {
        let rows = numbers.first().map_or(0, Vec::len);
        let mut point = vec![0; numbers.len()];
        let mut places = Vec::with_capacity(rows);
        for row in 0..rows {
            for (coordinate, numbers) in point.iter_mut().zip(numbers) {
                *coordinate = numbers[row];
            }
            places.push(self.curve.place(&mut point));
        }
        places
    }

    /// Returns the places of the rows that were drawn.
    fn drawn(&self, sample: &Sample) -> Vec<u64> {
        self.on_curve(&sample.numbers(&self.ranges))
    }
}

/// Returns the columns that hold those of the curve, and for each of these its column and the path in it.
fn top_columns(order: &Order) -> (Vec<String>, Vec<(usize, Vec<String>)>) {
    let mut names: Vec<String> = Vec::new();
    let mut columns = Vec::new();
    for path in &order.columns {
        let Some((name, rest)) = path.split_first() else {
            continue;
        };
        let place = names.iter().position(|known| known == name);
        let place = place.unwrap_or_else(|| {
            names.push(name.clone());
            names.len() - 1
        });
        columns.push((place, rest.to_vec()));
    }
    (names, columns)
}

fn dimensions(
    columns: &[ArrayRef],
    paths: &[(usize, Vec<String>)],
) -> Result<Vec<ArrayRef>, DataFusionError> {
    let arrays = paths.iter().map(|(place, path)| match columns.get(*place) {
        Some(column) => ranges::field(column, path),
        None => Err(DataFusionError::Internal(
            "a column of the curve is missing".to_owned(),
        )),
    });
    arrays.collect()
}

fn column(name: String) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}
