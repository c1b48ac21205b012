//! The source of a merge: evaluated once, kept in memory while that is little, else on disk.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, SpillFile, TaskContext};
use datafusion::physical_plan::execute_stream_partitioned;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion::physical_plan::spill::SpillManager;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::StreamExt;
use tokio::task::JoinSet;

use crate::{Error, Result, Session};

/// The column that is true in each row of the source, and null where a join found none.
pub(crate) const SOURCE_MARK: &str = "__ingot_source_mark";

/// The part of the engine's memory that a source may fill. A join with it holds its rows once more.
const MEMORY_SHARE: usize = 8;

/// The rows of a merge's source.
pub(crate) struct SourceRows {
    /// The source's columns, then [`SOURCE_MARK`].
    schema: SchemaRef,
    parts: Vec<Part>,
    rows: usize,
    _memory: MemoryReservation,
}

/// The rows of one partition.
enum Part {
    Memory(Vec<RecordBatch>),
    Disk(Arc<Spilled>),
}

/// Rows on disk. The file is deleted with the last reference to it.
struct Spilled {
    manager: SpillManager,
    file: Arc<dyn SpillFile>,
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
        let mut kept = Vec::new();
        let stop = &session.context().cancellation;
        loop {
            let ended = tokio::select! {
                biased;
                () = stop.cancelled() => return Err(Error::Cancelled),
                ended = tasks.join_next() => ended,
            };
            let Some(ended) = ended else { break };
            let (number, part) =
                ended.map_err(|error| Error::DataFusion(DataFusionError::External(Box::new(error))))?;
            kept.push((number, part?));
        }
        kept.sort_by_key(|(number, _)| *number);
        let memory = keeper.memory.new_empty();
        let mut rows = 0;
        let mut parts = Vec::with_capacity(kept.len());
        for (_, part) in kept {
            rows += part.rows;
            memory.grow(part.memory.free());
            parts.push(part.rows_kept);
        }
        Ok(Self {
            schema: Arc::clone(&keeper.schema),
            parts,
            rows,
            _memory: memory,
        })
    }

    /// Returns the source's columns and the mark.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Returns how many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the rows if they are in memory: only then they may be the side of a join that must be.
    pub(crate) fn in_memory(&self) -> Option<Vec<&RecordBatch>> {
        let mut batches = Vec::new();
        for part in &self.parts {
            match part {
                Part::Memory(held) => batches.extend(held),
                Part::Disk(_) => return None,
            }
        }
        Some(batches)
    }

    /// Returns all rows.
    pub(crate) fn table(&self) -> Result<Arc<dyn TableProvider>> {
        let held = self.parts.iter().map(|part| match part {
            Part::Memory(batches) => Some(batches.clone()),
            Part::Disk(_) => None,
        });
        if let Some(mut partitions) = held.collect::<Option<Vec<_>>>() {
            if partitions.is_empty() {
                partitions.push(Vec::new());
            }
            return Ok(Arc::new(MemTable::try_new(Arc::clone(&self.schema), partitions)?));
        }
        let partitions = self.parts.iter().map(|part| {
            let schema = Arc::clone(&self.schema);
            let partition: Arc<dyn PartitionStream> = Arc::new(match part {
                Part::Memory(batches) => Partition::Memory(schema, batches.clone()),
                Part::Disk(spilled) => Partition::Disk(schema, Arc::clone(spilled)),
            });
            partition
        });
        Ok(Arc::new(StreamingTable::try_new(
            Arc::clone(&self.schema),
            partitions.collect(),
        )?))
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
    rows_kept: Part,
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
        let memory = self.memory.new_empty();
        let mut held = Vec::new();
        let mut rows = 0;
        while let Some(batch) = stream.next().await.transpose()? {
            if batch.num_rows() == 0 {
                continue;
            }
            rows += batch.num_rows();
            let batch = self.mark(&batch)?;
            let bytes = slice_bytes(&batch)?;
            held.push(batch);
            let all_bytes = self.held_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
            if all_bytes > self.held_bytes_max || memory.try_grow(bytes).is_err() {
                let (spilled, more) = self.spill(held, stream).await?;
                let freed = bytes + memory.free();
                self.held_bytes.fetch_sub(freed, Ordering::Relaxed);
                return Ok(Kept {
                    rows_kept: Part::Disk(Arc::new(spilled)),
                    rows: rows + more,
                    memory,
                });
            }
        }
        Ok(Kept {
            rows_kept: Part::Memory(held),
            rows,
            memory,
        })
    }

    /// Writes what is held and what is left, and returns how many rows were left.
    async fn spill(
        &self,
        held: Vec<RecordBatch>,
        mut rest: SendableRecordBatchStream,
    ) -> Result<(Spilled, usize), DataFusionError> {
        let mut file = self.manager.create_in_progress_file("MERGE source")?;
        for batch in held {
            file.append_batch(&batch)?;
        }
        let mut rows = 0;
        while let Some(batch) = rest.next().await.transpose()? {
            if batch.num_rows() > 0 {
                rows += batch.num_rows();
                file.append_batch(&self.mark(&batch)?)?;
            }
        }
        let file = file.finish()?.ok_or_else(|| {
            DataFusionError::Internal("rows of a MERGE source left no file behind".to_owned())
        })?;
        let manager = self.manager.clone();
        Ok((Spilled { manager, file }, rows))
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

/// Rows of a partition to be read again.
enum Partition {
    Memory(SchemaRef, Vec<RecordBatch>),
    Disk(SchemaRef, Arc<Spilled>),
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory(..) => "Memory",
            Self::Disk(..) => "Disk",
        })
    }
}

impl PartitionStream for Partition {
    fn schema(&self) -> &SchemaRef {
        match self {
            Self::Memory(schema, _) | Self::Disk(schema, _) => schema,
        }
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let schema = Arc::clone(self.schema());
        match self {
            Self::Memory(_, batches) => {
                let batches = batches.clone().into_iter().map(Ok);
                Box::pin(RecordBatchStreamAdapter::new(
                    schema,
                    futures::stream::iter(batches),
                ))
            }
            Self::Disk(_, spilled) => {
                let file = Arc::clone(&spilled.file);
                match spilled.manager.read_spill_as_stream(file, None) {
                    Ok(stream) => stream,
                    Err(error) => {
                        let failure = futures::stream::iter([Err(error)]);
                        Box::pin(RecordBatchStreamAdapter::new(schema, failure))
                    }
                }
            }
        }
    }
}
