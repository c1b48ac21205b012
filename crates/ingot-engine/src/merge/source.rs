//! The source of a merge: evaluated once, and handed out in slices that fit into memory.
//!
//! A source that is small is one slice, in memory all the time. What does not fit is kept on disk, in files of the
//! size of a slice, and read back one at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, SpillFile, TaskContext};
use datafusion::physical_plan::execute_stream_partitioned;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion::physical_plan::spill::SpillManager;
use futures::StreamExt;
use tokio::task::JoinSet;

use crate::{Error, Result, Session};

/// The column that is true in each row of the source, and null where a join found none.
pub(crate) const SOURCE_MARK: &str = "__ingot_source_mark";

/// The part of the engine's memory that a slice may fill. A join with it holds its rows once more.
const MEMORY_SHARE: usize = 8;

/// The rows of a merge's source.
pub(crate) struct SourceRows {
    /// The source's columns, then [`SOURCE_MARK`].
    schema: SchemaRef,
    /// By the partitions that they came from.
    held: Vec<Vec<RecordBatch>>,
    spilled: Vec<Arc<dyn SpillFile>>,
    manager: SpillManager,
    rows: usize,
    memory: MemoryReservation,
}

/// Rows of the source that are in memory together.
pub(crate) struct Slice {
    schema: SchemaRef,
    partitions: Vec<Vec<RecordBatch>>,
    rows: usize,
    _memory: MemoryReservation,
}

impl SourceRows {
    /// Runs the query and keeps its rows.
    pub(crate) async fn collect(session: &Session, query: &DataFrame) -> Result<Self> {
        let task = Arc::new(query.task_ctx());
        let plan = query.clone().create_physical_plan().await?;
        let keeper = Arc::new(Keeper::new(&task, marked(&plan.schema())));
        let mut tasks = JoinSet::new();
        for (number, stream) in execute_stream_partitioned(plan, task)?.into_iter().enumerate() {
            let keeper = Arc::clone(&keeper);
            tasks.spawn(async move { (number, keeper.keep(stream).await) });
        }
        let mut parts = Vec::new();
        let stop = session.stop();
        loop {
            let ended = tokio::select! {
                biased;
                () = stop.cancelled() => return Err(Error::Cancelled),
                ended = tasks.join_next() => ended,
            };
            let Some(ended) = ended else { break };
            let (number, part) =
                ended.map_err(|error| Error::DataFusion(DataFusionError::External(Box::new(error))))?;
            parts.push((number, part?));
        }
        parts.sort_by_key(|(number, _)| *number);
        let mut source = Self {
            schema: Arc::clone(&keeper.schema),
            held: Vec::new(),
            spilled: Vec::new(),
            manager: keeper.manager.clone(),
            rows: 0,
            memory: keeper.memory.new_empty(),
        };
        for (_, part) in parts {
            source.rows += part.rows;
            source.memory.grow(part.memory.free());
            source.spilled.extend(part.spilled);
            source.held.push(part.held);
        }
        Ok(source)
    }

    /// Returns the source's columns and the mark.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Returns how many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Returns how many slices there are: one at least.
    pub(crate) fn slices(&self) -> usize {
        let held = self.held.iter().any(|batches| !batches.is_empty());
        self.spilled.len() + usize::from(held || self.spilled.is_empty())
    }

    /// Brings a slice into memory, if it is not there.
    ///
    /// # Errors
    /// `ResourceExhausted` when there is no memory left for it.
    pub(crate) async fn slice(&self, number: usize) -> Result<Slice> {
        let memory = self.memory.new_empty();
        let mut partitions = Vec::new();
        match self.spilled.get(number) {
            Some(file) => {
                let mut rows = self.manager.read_spill_as_stream(Arc::clone(file), None)?;
                let mut batches = Vec::new();
                while let Some(batch) = rows.next().await.transpose()? {
                    memory.try_grow(slice_bytes(&batch)?)?;
                    batches.push(batch);
                }
                partitions.push(batches);
            }
            None => partitions.clone_from(&self.held),
        }
        Ok(Slice {
            schema: Arc::clone(&self.schema),
            rows: partitions.iter().flatten().map(RecordBatch::num_rows).sum(),
            partitions,
            _memory: memory,
        })
    }
}

impl Slice {
    /// Returns how many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the rows, in no order that matters.
    pub(crate) fn batches(&self) -> impl Iterator<Item = &RecordBatch> {
        self.partitions.iter().flatten()
    }

    /// Returns the rows as a table.
    pub(crate) fn table(&self) -> Result<Arc<dyn TableProvider>> {
        let mut partitions = self.partitions.clone();
        if partitions.is_empty() {
            partitions.push(Vec::new());
        }
        Ok(Arc::new(MemTable::try_new(Arc::clone(&self.schema), partitions)?))
    }
}

fn marked(schema: &Schema) -> SchemaRef {
    let mut fields = schema.fields().to_vec();
    fields.push(Arc::new(Field::new(SOURCE_MARK, DataType::Boolean, false)));
    Arc::new(Schema::new(fields))
}

/// Keeps the rows of partitions, which together stay below a bound in memory.
struct Keeper {
    schema: SchemaRef,
    manager: SpillManager,
    memory: MemoryReservation,
    held_bytes: AtomicUsize,
    held_bytes_max: usize,
}

/// What was kept of a partition.
struct Kept {
    held: Vec<RecordBatch>,
    spilled: Vec<Arc<dyn SpillFile>>,
    rows: usize,
    memory: MemoryReservation,
}

impl Keeper {
    fn new(task: &TaskContext, schema: SchemaRef) -> Self {
        let pool = task.memory_pool();
        let held_bytes_max = match pool.memory_limit() {
            MemoryLimit::Finite(bytes) => bytes / MEMORY_SHARE,
            MemoryLimit::Infinite | MemoryLimit::Unknown => usize::MAX,
        };
        let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
        Self {
            manager: SpillManager::new(task.runtime_env(), metrics, Arc::clone(&schema)),
            schema,
            memory: MemoryConsumer::new("MERGE source").register(pool),
            held_bytes: AtomicUsize::new(0),
            held_bytes_max,
        }
    }

    async fn keep(&self, mut stream: SendableRecordBatchStream) -> Result<Kept, DataFusionError> {
        let mut kept = Kept {
            held: Vec::new(),
            spilled: Vec::new(),
            rows: 0,
            memory: self.memory.new_empty(),
        };
        while let Some(batch) = stream.next().await.transpose()? {
            if batch.num_rows() == 0 {
                continue;
            }
            let batch = self.mark(&batch)?;
            let bytes = slice_bytes(&batch)?;
            kept.rows += batch.num_rows();
            kept.held.push(batch);
            let all_bytes = self.held_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
            if all_bytes > self.held_bytes_max || kept.memory.try_grow(bytes).is_err() {
                let held = std::mem::take(&mut kept.held);
                kept.rows += self.spill(held, stream, &mut kept.spilled).await?;
                self.held_bytes
                    .fetch_sub(bytes + kept.memory.free(), Ordering::Relaxed);
                break;
            }
        }
        Ok(kept)
    }

    /// Writes what is held and what is left to files of the size of a slice, and returns how many rows were left.
    async fn spill(
        &self,
        held: Vec<RecordBatch>,
        mut rest: SendableRecordBatchStream,
        files: &mut Vec<Arc<dyn SpillFile>>,
    ) -> Result<usize, DataFusionError> {
        let mut file = self.manager.create_in_progress_file("MERGE source")?;
        let mut file_bytes = 0;
        let mut rows = 0;
        let mut held = held.into_iter();
        loop {
            let batch = match held.next() {
                Some(batch) => batch,
                None => match rest.next().await.transpose()? {
                    Some(batch) if batch.num_rows() == 0 => continue,
                    Some(batch) => {
                        rows += batch.num_rows();
                        self.mark(&batch)?
                    }
                    None => break,
                },
            };
            let bytes = slice_bytes(&batch)?;
            if file_bytes > 0 && file_bytes + bytes > self.held_bytes_max {
                files.extend(file.finish()?);
                file = self.manager.create_in_progress_file("MERGE source")?;
                file_bytes = 0;
            }
            file.append_batch(&batch)?;
            file_bytes += bytes;
        }
        files.extend(file.finish()?);
        Ok(rows)
    }

    fn mark(&self, batch: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
        let mark: ArrayRef = Arc::new(BooleanArray::from(vec![true; batch.num_rows()]));
        let mut columns = batch.columns().to_vec();
        columns.push(mark);
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

/// Returns the bytes of a batch's own rows: several batches may be slices of one.
fn slice_bytes(batch: &RecordBatch) -> Result<usize, DataFusionError> {
    let mut bytes = 0;
    for column in batch.columns() {
        bytes += column.to_data().get_slice_memory_size()?;
    }
    Ok(bytes)
}
