//! The source of a merge: evaluated once, kept in memory, each row with a number of its own.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_plan::execute_stream_partitioned;
use futures::StreamExt;
use tokio::task::JoinSet;

use crate::{Error, Result, Session};

/// The column with the row's number, from 0.
pub(crate) const SOURCE_ROW: &str = "__ingot_source_row";

/// The rows of a merge's source.
pub(crate) struct SourceRows {
    /// The source's columns, then [`SOURCE_ROW`].
    schema: SchemaRef,
    partitions: Vec<Vec<RecordBatch>>,
    rows: i64,
    _memory: MemoryReservation,
}

impl SourceRows {
    /// Runs the query and keeps its rows.
    pub(crate) async fn collect(session: &Session, query: &DataFrame) -> Result<Self> {
        let task = Arc::new(query.task_ctx());
        let memory = MemoryConsumer::new("MERGE source").register(task.memory_pool());
        let plan = query.clone().create_physical_plan().await?;
        let schema = numbered(&plan.schema());
        let mut tasks = JoinSet::new();
        for (number, stream) in execute_stream_partitioned(plan, task)?.into_iter().enumerate() {
            let memory = memory.new_empty();
            tasks.spawn(async move { (number, read(stream, memory).await) });
        }
        let mut parts = Vec::new();
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
            let (batches, part_memory) = part?;
            memory.grow(part_memory.free());
            parts.push((number, batches));
        }
        parts.sort_by_key(|(number, _)| *number);
        let mut rows = 0;
        let mut partitions = Vec::with_capacity(parts.len());
        for (_, batches) in parts {
            let mut partition = Vec::with_capacity(batches.len());
            for batch in batches {
                let next = rows + i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
                let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(rows..next));
                let mut columns = batch.columns().to_vec();
                columns.push(numbers);
                partition
                    .push(RecordBatch::try_new(Arc::clone(&schema), columns).map_err(DataFusionError::from)?);
                rows = next;
            }
            partitions.push(partition);
        }
        Ok(Self {
            schema,
            partitions,
            rows,
            _memory: memory,
        })
    }

    /// Returns the source's columns and the row number.
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Returns how many rows there are.
    pub(crate) fn rows(&self) -> i64 {
        self.rows
    }

    /// Returns all rows.
    pub(crate) fn table(&self) -> Result<Arc<dyn TableProvider>> {
        Ok(Arc::new(MemTable::try_new(
            Arc::clone(&self.schema),
            self.partitions.clone(),
        )?))
    }

    /// Returns the rows whose number is not marked in `matched`.
    pub(crate) fn unmatched(&self, matched: &[bool]) -> Result<Arc<dyn TableProvider>> {
        let mut first = 0;
        let mut partitions = Vec::with_capacity(self.partitions.len());
        for partition in &self.partitions {
            let mut left = Vec::new();
            for batch in partition {
                let marks = &matched[first..first + batch.num_rows()];
                first += batch.num_rows();
                let keep: BooleanArray = marks.iter().map(|matched| Some(!matched)).collect();
                let rows = filter_record_batch(batch, &keep).map_err(DataFusionError::from)?;
                if rows.num_rows() > 0 {
                    left.push(rows);
                }
            }
            partitions.push(left);
        }
        Ok(Arc::new(MemTable::try_new(Arc::clone(&self.schema), partitions)?))
    }
}

fn numbered(schema: &Schema) -> SchemaRef {
    let mut fields = schema.fields().to_vec();
    fields.push(Arc::new(Field::new(SOURCE_ROW, DataType::Int64, false)));
    Arc::new(Schema::new(fields))
}

async fn read(
    mut rows: SendableRecordBatchStream,
    memory: MemoryReservation,
) -> Result<(Vec<RecordBatch>, MemoryReservation), DataFusionError> {
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await.transpose()? {
        if batch.num_rows() > 0 {
            memory.try_grow(batch.get_array_memory_size())?;
            batches.push(batch);
        }
    }
    Ok((batches, memory))
}
