//! Expectations: rows are counted, dropped or refused while they stream into their table.
//!
//! ```text
//! SELECT *, condition AS __expectation_0, … FROM (query) ─► CheckedRelation ─► rows without those columns ─► table
//!                                                                └─ counts by partition
//! ```
//! The rows are computed once. Counts are kept by partition and begin anew with each execution, so a batch that is
//! written again after a conflict is counted once.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{and, filter_record_batch, prep_null_mask_filter};
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session as CatalogSession, TableProvider};
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, TableType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;
use ingot_engine::Session;

use crate::definition::{Expectation, OnViolation};
use crate::event::{BatchCounts, ExpectationCounts};
use crate::{Error, Result};

/// Rows of one execution, by partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Counts {
    rows: u64,
    /// By expectation.
    failed: Vec<u64>,
}

/// Checks the rows of one batch (or view) against the expectations of its dataset.
#[derive(Debug)]
pub(crate) struct Checks {
    dataset: String,
    expectations: Vec<Expectation>,
    counts: Mutex<Vec<Counts>>,
    violation: Mutex<Option<(String, u64)>>,
}

impl Checks {
    /// Makes checks that have seen nothing.
    pub fn new(dataset: String, expectations: Vec<Expectation>) -> Arc<Self> {
        Arc::new(Self {
            dataset,
            expectations,
            counts: Mutex::default(),
            violation: Mutex::default(),
        })
    }

    /// Plans `query` so that its rows are checked as they stream.
    pub async fn plan(self: &Arc<Self>, session: &Session, query: &str) -> Result<DataFrame> {
        let mut columns = String::new();
        for (number, expectation) in self.expectations.iter().enumerate() {
            columns.push_str(&format!(", ({}) AS {}", expectation.condition, column(number)));
        }
        let checked = session
            .query(&format!("SELECT *{columns} FROM ({query}\n)"))
            .await?;
        let plan = checked.into_optimized_plan().map_err(ingot_engine::Error::from)?;
        let fields = plan.schema().fields();
        let kept = fields.len() - self.expectations.len();
        let relation = CheckedRelation {
            schema: Arc::new(Schema::new(fields.iter().take(kept).cloned().collect::<Vec<_>>())),
            plan,
            checks: Arc::clone(self),
        };
        let rows = session.datafusion().read_table(Arc::new(relation));
        Ok(rows.map_err(ingot_engine::Error::from)?)
    }

    /// Returns what was counted, of which `rows_out` rows were written.
    pub fn counted(&self, rows_out: u64) -> BatchCounts {
        let counts = lock(&self.counts);
        let rows = counts.iter().map(|partition| partition.rows).sum();
        let expectations = self.expectations.iter().enumerate().map(|(number, expectation)| {
            let failed: u64 = counts
                .iter()
                .filter_map(|partition| partition.failed.get(number))
                .sum();
            ExpectationCounts {
                name: expectation.name.clone(),
                passed_records: rows - failed,
                failed_records: failed,
            }
        });
        BatchCounts {
            rows_in: rows,
            rows_out,
            expectations: expectations.collect(),
        }
    }

    /// Returns the error of a violated FAIL UPDATE, if that is why the rows ended.
    pub fn violation(&self) -> Option<Error> {
        let (expectation, rows) = lock(&self.violation).clone()?;
        Some(Error::ExpectationViolated {
            dataset: self.dataset.clone(),
            expectation,
            rows,
        })
    }

    /// Counts a partition's next rows and returns those that stay, without the conditions.
    fn check(
        &self,
        partition: usize,
        batch: &RecordBatch,
        kept: &SchemaRef,
    ) -> Result<RecordBatch, DataFusionError> {
        let columns = batch.columns()[..kept.fields().len()].to_vec();
        let mut rows = RecordBatch::try_new(Arc::clone(kept), columns)?;
        let mut failed = Vec::with_capacity(self.expectations.len());
        let mut stays: Option<BooleanArray> = None;
        for (expectation, condition) in self
            .expectations
            .iter()
            .zip(&batch.columns()[kept.fields().len()..])
        {
            let passed = passed(condition)?;
            let failures = count(passed.len() - passed.true_count());
            failed.push(failures);
            match expectation.on_violation {
                OnViolation::FailUpdate if failures > 0 => {
                    *lock(&self.violation) = Some((expectation.name.clone(), failures));
                    return Err(DataFusionError::Execution(format!(
                        "expectation `{}` was violated",
                        expectation.name
                    )));
                }
                OnViolation::DropRow => {
                    stays = Some(match stays {
                        Some(others) => and(&others, &passed)?,
                        None => passed,
                    });
                }
                OnViolation::Keep | OnViolation::FailUpdate => {}
            }
        }
        if let Some(stays) = stays {
            rows = filter_record_batch(&rows, &stays)?;
        }
        let mut counts = lock(&self.counts);
        if let Some(counts) = counts.get_mut(partition) {
            counts.rows += count(batch.num_rows());
            counts.failed.resize(failed.len(), 0);
            counts
                .failed
                .iter_mut()
                .zip(failed)
                .for_each(|(sum, more)| *sum += more);
        }
        Ok(rows)
    }

    fn begin(&self, partitions: usize) {
        *lock(&self.counts) = vec![Counts::default(); partitions];
        *lock(&self.violation) = None;
    }
}

fn column(number: usize) -> String {
    format!("__expectation_{number}")
}

/// Null is a failure.
fn passed(condition: &dyn Array) -> Result<BooleanArray, DataFusionError> {
    let Some(condition) = condition.as_boolean_opt() else {
        let message = format!("an expectation is a condition, not {}", condition.data_type());
        return Err(DataFusionError::Plan(message));
    };
    if condition.null_count() == 0 {
        return Ok(condition.clone());
    }
    Ok(prep_null_mask_filter(condition))
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The rows that a dataset's expectations let through.
#[derive(Debug)]
struct CheckedRelation {
    schema: SchemaRef,
    plan: LogicalPlan,
    checks: Arc<Checks>,
}

#[async_trait]
impl TableProvider for CheckedRelation {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        state: &dyn CatalogSession,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let plan = state.create_physical_plan(&self.plan).await?;
        let partitions = plan.output_partitioning().partition_count();
        self.checks.begin(partitions);
        let streams = (0..partitions).map(|partition| {
            let stream: Arc<dyn PartitionStream> = Arc::new(CheckedPartition {
                schema: Arc::clone(&self.schema),
                plan: Arc::clone(&plan),
                partition,
                checks: Arc::clone(&self.checks),
            });
            stream
        });
        let scan = StreamingTableExec::try_new(
            Arc::clone(&self.schema),
            streams.collect(),
            projection,
            [],
            false,
            limit,
        )?;
        Ok(Arc::new(scan))
    }
}

struct CheckedPartition {
    schema: SchemaRef,
    plan: Arc<dyn ExecutionPlan>,
    partition: usize,
    checks: Arc<Checks>,
}

impl fmt::Debug for CheckedPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckedPartition")
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}

impl PartitionStream for CheckedPartition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (schema, checks, partition) =
            (Arc::clone(&self.schema), Arc::clone(&self.checks), self.partition);
        let rows = match self.plan.execute(partition, context) {
            Ok(rows) => rows,
            Err(error) => {
                let failed = futures::stream::once(async { Err(error) });
                return Box::pin(RecordBatchStreamAdapter::new(schema, failed));
            }
        };
        let kept = Arc::clone(&schema);
        let checked = rows.map(move |batch| batch.and_then(|batch| checks.check(partition, &batch, &kept)));
        Box::pin(RecordBatchStreamAdapter::new(schema, checked))
    }
}
