//! A batch of the source as DataFusion sees it.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::project_schema;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::{StreamExt, stream};

use super::offsets::Range;
use super::reader::{Consumers, ReadPlan};
use crate::RowCount;

/// Some records of each of some partitions.
#[derive(Debug)]
pub struct KafkaTable {
    schema: SchemaRef,
    consumers: Arc<Consumers>,
    ranges: Vec<Range>,
    rows: RowCount,
}

impl KafkaTable {
    /// Makes the table of `ranges`; part N of `rows` counts range N.
    pub fn new(schema: SchemaRef, consumers: Arc<Consumers>, ranges: Vec<Range>, rows: RowCount) -> Self {
        Self {
            schema,
            consumers,
            ranges,
            rows,
        }
    }
}

#[async_trait]
impl TableProvider for KafkaTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = project_schema(&self.schema, projection)?;
        if self.ranges.is_empty() {
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let parts = self.ranges.iter().cloned().enumerate().collect();
        let dealt = deal(parts, state.config().target_partitions());
        let streams = dealt.into_iter().map(|ranges| {
            Arc::new(KafkaPartitions {
                schema: Arc::clone(&schema),
                consumers: Arc::clone(&self.consumers),
                ranges,
                rows: self.rows.clone(),
            }) as Arc<dyn PartitionStream>
        });
        let streams = streams.collect();
        Ok(Arc::new(StreamingTableExec::try_new(
            schema,
            streams,
            None,
            [],
            false,
            limit,
        )?))
    }
}

/// Deals ranges to at most `hands` hands so that each has about the same to read: the largest first, each to
/// the hand that has least.
fn deal(mut ranges: Vec<(usize, Range)>, hands: usize) -> Vec<Vec<(usize, Range)>> {
    let size = |range: &Range| range.until - range.from;
    ranges.sort_by_key(|(_, range)| std::cmp::Reverse(size(range)));
    let mut dealt: Vec<(i64, Vec<(usize, Range)>)> = Vec::new();
    dealt.resize_with(hands.clamp(1, ranges.len().max(1)), Default::default);
    for (part, range) in ranges {
        if let Some((total, hand)) = dealt.iter_mut().min_by_key(|(total, _)| *total) {
            *total += size(&range);
            hand.push((part, range));
        }
    }
    dealt.into_iter().map(|(_, hand)| hand).collect()
}

/// The ranges that one stream reads, one after the other.
#[derive(Debug)]
struct KafkaPartitions {
    schema: SchemaRef,
    consumers: Arc<Consumers>,
    ranges: Vec<(usize, Range)>,
    rows: RowCount,
}

impl PartitionStream for KafkaPartitions {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let plan = ReadPlan {
            schema: Arc::clone(&self.schema),
            ranges: self.ranges.clone(),
            rows: self.rows.clone(),
        };
        let consumers = Arc::clone(&self.consumers);
        // The reader starts when the stream is first asked.
        let batches = stream::once(async move { consumers.read(plan) })
            .flatten()
            .map(|batch| batch.map_err(|error| DataFusionError::External(Box::new(error))));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

#[cfg(test)]
mod tests {
    use super::super::offsets::Partition;
    use super::*;

    #[test]
    fn ranges_are_dealt_evenly() {
        let range = |number, until| Range {
            partition: Partition {
                topic: "t".to_owned(),
                number,
            },
            from: 0,
            until,
        };
        let ranges = vec![range(0, 10), range(1, 100), range(2, 60), range(3, 50)];
        let dealt = deal(ranges.into_iter().enumerate().collect(), 2);
        let totals: Vec<i64> = dealt
            .iter()
            .map(|hand| hand.iter().map(|(_, range)| range.until).sum())
            .collect();
        assert_eq!(totals, [110, 110]);
        assert_eq!(deal(vec![(0, range(0, 1))], 8).len(), 1);
    }
}
