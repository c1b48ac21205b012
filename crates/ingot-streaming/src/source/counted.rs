//! A relation whose rows are counted while they are read.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session as CatalogSession, TableProvider};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;

use crate::RowCount;

/// Passes the rows of `inner` on and notes them in `rows`, by partition. Filters are left to the query, so that every
/// row counts.
#[derive(Debug)]
pub struct CountedTable {
    inner: Arc<dyn TableProvider>,
    rows: RowCount,
}

impl CountedTable {
    pub fn new(inner: Arc<dyn TableProvider>, rows: RowCount) -> Self {
        Self { inner, rows }
    }
}

#[async_trait]
impl TableProvider for CountedTable {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        state: &dyn CatalogSession,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let plan = self.inner.scan(state, projection, &[], None).await?;
        let schema = plan.schema();
        let partitions = plan.output_partitioning().partition_count();
        let streams = (0..partitions).map(|partition| {
            let stream: Arc<dyn PartitionStream> = Arc::new(CountedPartition {
                schema: Arc::clone(&schema),
                plan: Arc::clone(&plan),
                partition,
                rows: self.rows.clone(),
            });
            stream
        });
        let scan =
            StreamingTableExec::try_new(Arc::clone(&schema), streams.collect(), None, [], false, None)?;
        Ok(Arc::new(scan))
    }
}

struct CountedPartition {
    schema: SchemaRef,
    plan: Arc<dyn ExecutionPlan>,
    partition: usize,
    rows: RowCount,
}

impl fmt::Debug for CountedPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountedPartition")
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}

impl PartitionStream for CountedPartition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (schema, rows, partition) = (Arc::clone(&self.schema), self.rows.clone(), self.partition);
        let batches = match self.plan.execute(partition, context) {
            Ok(batches) => batches,
            Err(error) => {
                let failed = futures::stream::once(async { Err(error) });
                return Box::pin(RecordBatchStreamAdapter::new(schema, failed));
            }
        };
        let mut read = 0;
        let counted = batches.inspect(move |batch| {
            if let Ok(batch) = batch {
                read += u64::try_from(batch.num_rows()).unwrap_or_default();
                rows.note(partition, read);
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, counted))
    }
}
