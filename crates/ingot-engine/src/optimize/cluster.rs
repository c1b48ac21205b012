//! Rewriting a bin along a curve.
//!
//! ```text
//! columns of the curve ─► sample ─► ranges of each column ─► where the curve is cut, once for each core
//! all columns ─► place on the curve ─► parted by the cuts ─► sorted, spilling ─► a file after so many rows
//! ```
//! The first pass reads the columns of the curve only. Sorting spills within the engine's memory limit; besides,
//! each core holds the open row group of one file.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{ColumnarValue, Expr, Volatility, create_udf};
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr, RangePartitioning, SplitPoint};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{
    ExecutionPlan, ExecutionPlanProperties, Partitioning, execute_stream_partitioned,
};
use datafusion::prelude::Column;
use datafusion::scalar::ScalarValue;
use ingot_delta::{Add, FileWriter};
use tokio::task::JoinSet;

use super::curve::{Curve, Shape};
use super::plan::Bin;
use super::ranges::{self, Ranges, Sample};
use super::rewrite::{Rewriter, Rewritten};
use crate::{Error, Result};

/// The column that holds a row's place on the curve while it is sorted.
const PLACE: &str = "__ingot_place";

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
        let shares = shares(files, self.parallelism);
        let cuts = places.cuts(&sample, &shares);
        let sorted = self.sorted(bin, order, &places, cuts).await?;
        let rows_per_file = usize::try_from(sample.rows.div_ceil(files as u64)).unwrap_or(usize::MAX);
        let added = self.write_sorted(&sorted, &shares, rows_per_file).await?;
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

    /// Plans the rows of a bin with their places, in order: one partition of the plan for each piece between `cuts`.
    async fn sorted(&self, bin: &Bin, order: &Order, places: &Arc<Places>, cuts: Vec<u64>) -> Result<Sorted> {
        let rows = self.frame(bin)?;
        let names = top_columns(order).0;
        let schema = Arc::clone(rows.schema().inner());
        let types = names
            .iter()
            .map(|name| Ok(schema.field_with_name(name)?.data_type().clone()));
        let types: Vec<DataType> = types
            .collect::<Result<_, arrow::error::ArrowError>>()
            .map_err(DataFusionError::from)?;
        let places = Arc::clone(places);
        let place = create_udf(
            PLACE,
            types,
            DataType::UInt64,
            Volatility::Immutable,
            Arc::new(move |arguments: &[ColumnarValue]| {
                let arrays = ColumnarValue::values_to_arrays(arguments)?;
                Ok(ColumnarValue::Array(Arc::new(places.of(&arrays)?)))
            }),
        );
        let mut columns: Vec<Expr> = schema
            .fields()
            .iter()
            .map(|field| column(field.name().clone()))
            .collect();
        columns.push(place.call(names.into_iter().map(column).collect()).alias(PLACE));
        let rows = rows.select(columns)?;
        let task = Arc::new(rows.task_ctx());
        let mut plan = rows.create_physical_plan().await?;
        let last = plan.schema().fields().len() - 1;
        let by_place = PhysicalSortExpr::new_default(Arc::new(PhysicalColumn::new(PLACE, last)));
        let ordering = LexOrdering::from([by_place]);
        plan = match cuts.is_empty() {
            true => Arc::new(CoalescePartitionsExec::new(plan)),
            false => {
                let cuts = cuts
                    .into_iter()
                    .map(|cut| SplitPoint::new(vec![ScalarValue::UInt64(Some(cut))]));
                let ranges = RangePartitioning::try_new(ordering.clone(), cuts.collect())?;
                Arc::new(RepartitionExec::try_new(plan, Partitioning::Range(ranges))?)
            }
        };
        let plan = SortExec::new(ordering, plan).with_preserve_partitioning(true);
        Ok(Sorted {
            plan: Arc::new(plan),
            task,
            schema,
        })
    }

    /// Writes each piece of the curve on a task of its own.
    async fn write_sorted(
        &self,
        sorted: &Sorted,
        shares: &[usize],
        rows_per_file: usize,
    ) -> Result<Vec<Add>> {
        let mut tasks = JoinSet::new();
        for piece in 0..sorted.plan.output_partitioning().partition_count() {
            let rows = sorted.plan.execute(piece, Arc::clone(&sorted.task))?;
            let mut cutter = Cutter {
                rewriter: self.clone(),
                open: None,
                rows: 0,
                rows_per_file,
                files_left: shares.get(piece).copied().unwrap_or(1).max(1),
                added: Vec::new(),
            };
            let schema = Arc::clone(&sorted.schema);
            tasks.spawn(async move {
                let outcome = cutter.write_all(rows, &schema).await;
                (piece, cutter.end(outcome).await)
            });
        }
        let mut pieces: Vec<(usize, Vec<Add>)> = Vec::new();
        let mut failure = None;
        while let Some(ended) = tasks.join_next().await {
            let error = match ended {
                Ok((piece, Ok(added))) => {
                    pieces.push((piece, added));
                    continue;
                }
                Ok((_, Err(error))) => error,
                Err(error) => Error::internal(format!("writing sorted rows failed: {error}")),
            };
            // The first failure is the cause; those after it are cancellations.
            self.stop();
            failure.get_or_insert(error);
        }
        pieces.sort_by_key(|(piece, _)| *piece);
        let added: Vec<Add> = pieces.into_iter().flat_map(|(_, added)| added).collect();
        match failure {
            None => Ok(added),
            Some(error) => {
                self.target.discard(&added).await;
                Err(error)
            }
        }
    }
}

/// A plan of rows that are in order within each of its partitions, their places in the last column.
struct Sorted {
    plan: Arc<dyn ExecutionPlan>,
    task: Arc<TaskContext>,
    /// Without the places.
    schema: SchemaRef,
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
    added: Vec<Add>,
}

impl Cutter {
    async fn write_all(&mut self, mut rows: SendableRecordBatchStream, schema: &SchemaRef) -> Result<()> {
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
        if self.rows >= self.rows_per_file && self.files_left > 1 {
            self.close().await?;
            self.files_left -= 1;
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        self.rows = 0;
        if let Some(writer) = self.open.take() {
            self.added.extend(writer.close().await?);
        }
        Ok(())
    }

    /// Completes the last file, or deletes all of them.
    async fn end(mut self, outcome: Result<()>) -> Result<Vec<Add>> {
        let outcome = match outcome {
            Ok(()) => self.close().await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => Ok(self.added),
            Err(error) => {
                if let Some(writer) = self.open.take() {
                    writer.abort().await;
                }
                self.rewriter.target.discard(&self.added).await;
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

    /// Returns where the curve is cut so that the pieces hold rows for `shares` files each.
    fn cuts(&self, sample: &Sample, shares: &[usize]) -> Vec<u64> {
        let mut places = self.on_curve(&sample.numbers(&self.ranges));
        places.sort_unstable();
        let files: usize = shares.iter().sum();
        let mut before = 0;
        let mut cuts = Vec::with_capacity(shares.len());
        for share in &shares[..shares.len().saturating_sub(1)] {
            before += share;
            cuts.extend(places.get(before * places.len() / files.max(1)));
        }
        cuts.dedup();
        cuts.retain(|cut| *cut > 0);
        cuts
    }
}

/// Deals `files` out to at most `pieces` pieces.
fn shares(files: usize, pieces: usize) -> Vec<usize> {
    let pieces = pieces.clamp(1, files.max(1));
    let share = |piece: usize| files * (piece + 1) / pieces - files * piece / pieces;
    (0..pieces).map(share).collect()
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

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(1, 4, &[1])]
    #[test_case(5, 2, &[2, 3])]
    #[test_case(6, 4, &[1, 2, 1, 2])]
    fn files_are_dealt_out(files: usize, pieces: usize, expected: &[usize]) {
        assert_eq!(shares(files, pieces), expected);
    }
}
