//! Runs a query and writes its rows, all partitions at once.
//!
//! A partition keeps its first rows back. If it ends before they grow past a bound, they are written with
//! those of other such partitions: a small result makes one file on a machine of any size.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::SortOptions;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};
use futures::StreamExt;
use ingot_delta::{
    Add, CompressionCodec, DeltaTable, FileWriter, OperationMetrics, Snapshot, WriteTarget, WriterOptions,
};
use object_store::ObjectStoreExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::assign::{Assignment, Nested};
use super::options::compression_setting;
use super::predicate::TablePredicate;
use super::rules::{RowRules, identity};
use super::{StagedFiles, snapshot_read};
use crate::history::Trace;
use crate::{Error, Result, Session, spark};

/// Bytes in memory up to which a partition's rows wait for those of the others.
const HELD_BYTES_MAX: usize = 8 << 20;

/// The same of all partitions together, where rows are to be gathered in few files. Source: Databricks, optimised
/// writes aim at files of 128 MB.
const GATHERED_BYTES_MAX: usize = 128 << 20;

/// Runs `rows` and writes them as files of `table`; all cores write. Columns are matched by position and cast
/// to the table's types under Spark's store assignment rules (ANSI: a value that does not fit is an error), and the
/// rules of the table are enforced on every row.
///
/// Nothing is committed. On an error the files already written are deleted.
pub async fn stage_files(
    session: &Session,
    table: &Arc<DeltaTable>,
    snapshot: &Arc<Snapshot>,
    rows: DataFrame,
) -> Result<StagedFiles> {
    stage_for(session, WriteTarget::of_table(table, snapshot)?, rows).await
}

/// Does what [`stage_files`] does, for a table that may not exist yet.
pub(crate) async fn stage_for(
    session: &Session,
    target: WriteTarget,
    rows: DataFrame,
) -> Result<StagedFiles> {
    stage(session, StageRequest::new(target, rows)).await
}

/// Rows to write, and how.
#[derive(Debug)]
pub(crate) struct StageRequest {
    pub target: WriteTarget,
    /// Columns at the places of the table's.
    pub rows: DataFrame,
    pub nested: Nested,
    /// What every row must match.
    pub condition: Option<TablePredicate>,
    /// Gather rows into few files, whatever memory that takes within the engine's limit.
    pub optimize: bool,
    /// Compressed bytes of a file; as the table has it when `None`.
    pub file_bytes_target: Option<u64>,
    /// As the session, or else the table, has it when `None`.
    pub compression: Option<CompressionCodec>,
    pub data_change: bool,
}

impl StageRequest {
    pub fn new(target: WriteTarget, rows: DataFrame) -> Self {
        Self {
            target,
            rows,
            nested: Nested::Position,
            condition: None,
            optimize: false,
            file_bytes_target: None,
            compression: None,
            data_change: true,
        }
    }
}

/// Runs rows and writes them as files. Nothing is committed.
///
/// # Errors
/// As [`stage_files`], and `DELTA_REPLACE_WHERE_MISMATCH` for a row that does not match the condition. The files
/// already written are deleted.
pub(crate) async fn stage(session: &Session, request: StageRequest) -> Result<StagedFiles> {
    let reads_target = snapshot_read(request.rows.logical_plan(), request.target.location())?.is_some();
    let allocations = identity::allocations(request.rows.logical_plan())?;
    let (staging, plan, task) = prepared(session, request).await?;
    let mut files = Vec::new();
    match staging.run(&plan, &task, &mut files).await {
        Ok(rows) => {
            let bytes = files.iter().map(|file| file.size).sum();
            if let Some(trace) = Trace::current() {
                trace.wrote(files.len(), rows, bytes);
            }
            let mut metrics = OperationMetrics::default();
            metrics.increase("numFiles", count(files.len()));
            metrics.increase("numOutputRows", count(rows));
            metrics.increase("numOutputBytes", bytes);
            Ok(StagedFiles {
                files,
                metrics,
                high_water_marks: identity::high_water_marks(&allocations),
                reads_target,
            })
        }
        Err(error) => {
            staging.target.discard(&files).await;
            Err(error)
        }
    }
}

/// Runs rows as [`stage`] does, but writes none. Returns the first `preview` as the table would hold them.
///
/// # Errors
/// As [`stage`].
pub(crate) async fn check(
    session: &Session,
    request: StageRequest,
    preview: usize,
) -> Result<Vec<RecordBatch>> {
    let (staging, plan, task) = prepared(session, request).await?;
    let mut shown = Vec::new();
    let mut left = preview;
    let mut rows = CoalescePartitionsExec::new(plan).execute(0, task)?;
    while let Some(batch) = staging.next(&mut rows).await? {
        let shown_rows = left.min(batch.num_rows());
        left -= shown_rows;
        if shown_rows > 0 {
            shown.push(batch.slice(0, shown_rows));
        }
    }
    Ok(shown)
}

/// Plans rows, and what is done with each.
async fn prepared(
    session: &Session,
    request: StageRequest,
) -> Result<(Arc<Staging>, Arc<dyn ExecutionPlan>, Arc<TaskContext>)> {
    let target = request.target;
    let rules = RowRules::new(&request.rows, target.schema(), target.properties())?;
    let task = Arc::new(request.rows.task_ctx());
    let zone = spark::zone_of(task.session_config().options());
    let plan = request.rows.create_physical_plan().await?;
    let partitions = task.session_config().target_partitions();
    let plan = match request.optimize {
        true => gather(plan, &target, partitions)?,
        false => spread(plan, &target, partitions)?,
    };
    let held_bytes_max = match request.optimize {
        true => GATHERED_BYTES_MAX / plan.output_partitioning().partition_count().max(1),
        false => HELD_BYTES_MAX,
    };
    let staging = Staging {
        assignment: Assignment::new(&plan.schema(), target.schema(), request.nested, zone)?,
        rules,
        target,
        condition: request.condition,
        held_bytes_max,
        writer: WriterOptions {
            file_bytes_target: request.file_bytes_target,
            data_change: request.data_change,
            compression: request.compression.or_else(|| compression_setting(session)),
            ..WriterOptions::default()
        },
        stop: session.stop().child_token(),
    };
    Ok((Arc::new(staging), plan, task))
}

/// Gives each core a part of the rows to encode. Rows of one partition of the table go to one core, so that
/// they fill one file; otherwise an order that the plan has is kept.
fn spread(
    plan: Arc<dyn ExecutionPlan>,
    target: &WriteTarget,
    partitions: usize,
) -> Result<Arc<dyn ExecutionPlan>> {
    if partitions < 2 {
        return Ok(plan);
    }
    let keys = partition_keys(&plan, target);
    let partitioning = if !keys.is_empty() {
        Partitioning::Hash(keys, partitions)
    } else if plan.output_partitioning().partition_count() == 1 && plan.output_ordering().is_none() {
        Partitioning::RoundRobinBatch(partitions)
    } else {
        return Ok(plan);
    };
    Ok(Arc::new(RepartitionExec::try_new(plan, partitioning)?))
}

/// Does what [`spread`] does, and sorts the rows of each core by partition, spilling where they do not fit: however
/// many partitions there are, one file is open at a time and none is begun twice.
fn gather(
    plan: Arc<dyn ExecutionPlan>,
    target: &WriteTarget,
    partitions: usize,
) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = spread(plan, target, partitions)?;
    let keys = partition_keys(&plan, target).into_iter();
    let order = LexOrdering::new(keys.map(|key| PhysicalSortExpr::new(key, SortOptions::default())));
    Ok(match order {
        Some(order) => Arc::new(SortExec::new(order, plan).with_preserve_partitioning(true)),
        None => plan,
    })
}

/// The table's partition columns, in the columns of a plan at their places.
fn partition_keys(plan: &Arc<dyn ExecutionPlan>, target: &WriteTarget) -> Vec<Arc<dyn PhysicalExpr>> {
    let partition_columns = target.partition_columns();
    let source = plan.schema();
    target
        .schema()
        .fields()
        .iter()
        .zip(source.fields())
        .enumerate()
        .filter(|(_, (field, _))| partition_columns.contains(field.name()))
        .map(|(place, (_, given))| Arc::new(Column::new(given.name(), place)) as _)
        .collect()
}

/// What the tasks of one staging share.
struct Staging {
    target: WriteTarget,
    assignment: Assignment,
    condition: Option<TablePredicate>,
    /// Bytes in memory up to which a partition's rows wait for those of the others.
    held_bytes_max: usize,
    writer: WriterOptions,
    rules: RowRules,
    /// Cancelled by the session, and by the first task that fails.
    stop: CancellationToken,
}

/// What a partition's rows became.
enum Part {
    Written {
        files: Vec<Add>,
        rows: usize,
    },
    /// Too few for files of their own.
    Held(Vec<RecordBatch>),
}

impl Staging {
    /// Writes all partitions of `plan` and returns the count of rows. `files` holds what was written, also
    /// after an error.
    async fn run(
        self: &Arc<Self>,
        plan: &Arc<dyn ExecutionPlan>,
        task: &Arc<TaskContext>,
        files: &mut Vec<Add>,
    ) -> Result<usize> {
        let mut tasks = JoinSet::new();
        for partition in 0..plan.output_partitioning().partition_count() {
            let staging = Arc::clone(self);
            let stream = plan.execute(partition, Arc::clone(task))?;
            tasks.spawn(async move { (partition, staging.write_partition(stream).await) });
        }
        let mut rows = 0;
        let mut held = Vec::new();
        let mut failure = None;
        while let Some(ended) = tasks.join_next().await {
            let error = match ended {
                Ok((_, Ok(Part::Written { files: more, rows: n }))) => {
                    files.extend(more);
                    rows += n;
                    continue;
                }
                Ok((partition, Ok(Part::Held(batches)))) => {
                    held.push((partition, batches));
                    continue;
                }
                Ok((_, Err(error))) => error,
                Err(error) => Error::DataFusion(DataFusionError::External(Box::new(error))),
            };
            // The first failure is the cause; those after it are cancellations.
            self.stop.cancel();
            failure.get_or_insert(error);
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        held.sort_by_key(|(partition, _)| *partition);
        let held: Vec<RecordBatch> = held.into_iter().flat_map(|(_, batches)| batches).collect();
        rows += held.iter().map(RecordBatch::num_rows).sum::<usize>();
        files.extend(self.write_held(held).await?);
        Ok(rows)
    }

    async fn write_partition(&self, mut rows: SendableRecordBatchStream) -> Result<Part> {
        let mut held = Vec::new();
        let mut held_bytes = 0;
        while held_bytes <= self.held_bytes_max {
            let Some(batch) = self.next(&mut rows).await? else {
                return Ok(Part::Held(held));
            };
            held_bytes += batch.get_array_memory_size();
            held.push(batch);
        }
        let mut writer = self.writer()?;
        match self.write_all(&mut writer, held, rows).await {
            Ok(rows) => Ok(Part::Written {
                files: writer.close().await?,
                rows,
            }),
            Err(error) => {
                writer.abort().await;
                Err(error)
            }
        }
    }

    async fn write_all(
        &self,
        writer: &mut FileWriter,
        held: Vec<RecordBatch>,
        mut rest: SendableRecordBatchStream,
    ) -> Result<usize> {
        let mut rows = 0;
        for batch in held {
            rows += batch.num_rows();
            writer.write(&batch).await?;
        }
        while let Some(batch) = self.next(&mut rest).await? {
            rows += batch.num_rows();
            writer.write(&batch).await?;
        }
        Ok(rows)
    }

    async fn write_held(&self, held: Vec<RecordBatch>) -> Result<Vec<Add>> {
        if held.is_empty() {
            return Ok(Vec::new());
        }
        let mut writer = self.writer()?;
        for batch in &held {
            if let Err(error) = writer.write(batch).await {
                writer.abort().await;
                return Err(error.into());
            }
        }
        Ok(writer.close().await?)
    }

    /// Returns the next rows in the table's types; none at the end.
    async fn next(&self, rows: &mut SendableRecordBatchStream) -> Result<Option<RecordBatch>> {
        loop {
            let next = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(Error::Cancelled),
                next = rows.next() => next,
            };
            let Some(batch) = next.transpose()? else {
                return Ok(None);
            };
            if batch.num_rows() == 0 {
                continue;
            }
            let batch = self.assignment.apply(&batch)?;
            self.rules.enforce(&batch)?;
            if let Some(condition) = &self.condition {
                condition.check(&batch)?;
            }
            return Ok(Some(batch));
        }
    }

    fn writer(&self) -> Result<FileWriter> {
        Ok(FileWriter::for_target(self.target.clone(), self.writer.clone())?)
    }
}

/// Deletes files that no commit will name. One that cannot be deleted is left to VACUUM.
pub async fn discard(table: &DeltaTable, files: &[Add]) {
    let (store, _) = table.store();
    for file in files {
        let Ok(path) = table.file_path(&file.path) else {
            continue;
        };
        if let Err(error) = store.delete(&path).await {
            tracing::debug!(path = file.path, error = %error, "uncommitted file is left to VACUUM");
        }
    }
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
