//! The inputs of a nested loop join, counted and cut.
//!
//! The join compares each batch of its right input with all rows of its left one, which it has read before, without
//! suspending its task. So the left input counts its rows, and the right one comes in pieces of so few rows that the
//! pairs of a piece are soon compared; between pieces the task is suspended.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;

/// Pairs that are compared before the task is suspended, if a row has no more.
const PAIRS_MAX: usize = 1 << 23;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Is read first, and counted.
    Build,
    /// Comes in pieces.
    Probe,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct PairsExec {
    input: Arc<dyn ExecutionPlan>,
    side: Side,
    build_rows: Arc<AtomicUsize>,
}

impl PairsExec {
    /// Puts a node around each of the inputs of a join.
    pub fn around(
        build: &Arc<dyn ExecutionPlan>,
        probe: &Arc<dyn ExecutionPlan>,
    ) -> (Arc<dyn ExecutionPlan>, Arc<dyn ExecutionPlan>) {
        let build_rows = Arc::new(AtomicUsize::new(0));
        let node = |input: &Arc<dyn ExecutionPlan>, side| {
            Arc::new(Self {
                input: Arc::clone(input),
                side,
                build_rows: Arc::clone(&build_rows),
            })
        };
        (node(build, Side::Build), node(probe, Side::Probe))
    }
}

impl DisplayAs for PairsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PairsExec: side={:?}", self.side)
    }
}

impl ExecutionPlan for PairsExec {
    fn name(&self) -> &'static str {
        "PairsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children
            .pop()
            .ok_or_else(|| DataFusionError::Internal("an input of a join has one input itself".to_owned()))?;
        Ok(Arc::new(Self {
            input,
            side: self.side,
            build_rows: Arc::clone(&self.build_rows),
        }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let (schema, build_rows) = (input.schema(), Arc::clone(&self.build_rows));
        Ok(match self.side {
            Side::Build => {
                // A plan may run again, as that of a recursive query does.
                build_rows.store(0, Ordering::Relaxed);
                let counted = input.inspect(move |batch| {
                    let rows = batch.as_ref().map_or(0, RecordBatch::num_rows);
                    build_rows.fetch_add(rows, Ordering::Relaxed);
                });
                Box::pin(RecordBatchStreamAdapter::new(schema, counted))
            }
            Side::Probe => {
                let pieces = Pieces {
                    input,
                    rest: None,
                    pairs: 0,
                    build_rows,
                };
                let pieces = futures::stream::unfold(pieces, Pieces::next);
                Box::pin(RecordBatchStreamAdapter::new(schema, pieces))
            }
        })
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let only = inputs.first().map(Arc::clone);
        only.ok_or_else(|| DataFusionError::Internal("an input of a join has one input itself".to_owned()))
    }
}

struct Pieces {
    input: SendableRecordBatchStream,
    /// What is left of a batch.
    rest: Option<RecordBatch>,
    /// Compared since the task was suspended.
    pairs: usize,
    build_rows: Arc<AtomicUsize>,
}

impl Pieces {
    async fn next(mut self) -> Option<(Result<RecordBatch>, Self)> {
        if self.pairs >= PAIRS_MAX {
            self.pairs = 0;
            tokio::task::yield_now().await;
        }
        let batch = match self.rest.take() {
            Some(rest) => rest,
            None => match self.input.next().await? {
                Ok(batch) => batch,
                Err(error) => return Some((Err(error), self)),
            },
        };
        let build_rows = self.build_rows.load(Ordering::Relaxed).max(1);
        let rows = (PAIRS_MAX / build_rows).max(1).min(batch.num_rows());
        if rows < batch.num_rows() {
            self.rest = Some(batch.slice(rows, batch.num_rows() - rows));
        }
        self.pairs = self.pairs.saturating_add(rows.saturating_mul(build_rows));
        Some((Ok(batch.slice(0, rows)), self))
    }
}
