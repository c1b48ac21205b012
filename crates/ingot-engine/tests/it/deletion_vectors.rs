//! Scans of files with deletion vectors: still parallel, still pruned, still counted from the log.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::physical_plan::metrics::MetricValue;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, collect};
use datafusion::prelude::{SessionConfig, SessionContext};
use ingot_delta::{
    CommitOutcome, CreateTable, DeletionVector, DeltaTable, FileWriter, Operation, ReadSet, WriterOptions,
};
use ingot_engine::provider::delta_provider;
use ingot_engine::scan::DeltaScanExec;
use tempfile::TempDir;
use test_case::test_case;
use url::Url;

use crate::support;

const ROWS: i64 = 100_000;
const ROW_GROUP_ROWS: usize = 50_000;

/// A table of one column and two files, ids 0 to 99,999 and from 100,000 on, each of two row groups with several
/// pages. Every third row of the first file is deleted, and the last thousand of the second.
struct Table {
    directory: TempDir,
    table: Arc<DeltaTable>,
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]))
}

impl Table {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let location = Url::from_directory_path(directory.path().join("table")).expect("absolute path");
        let spec = CreateTable {
            properties: [("delta.enableDeletionVectors".to_owned(), "true".to_owned())].into(),
            ..CreateTable::new(schema(), Operation::new("CREATE TABLE"))
        };
        let table = support::tables().create(&location, spec).await.expect("created");
        let table = Self { directory, table };
        table.write(0..ROWS).await;
        table.write(ROWS..2 * ROWS).await;
        table.delete(0, (0..ROWS as u64).step_by(3)).await;
        table.delete(1, ROWS as u64 - 1000..ROWS as u64).await;
        table
    }

    async fn write(&self, ids: std::ops::Range<i64>) {
        let snapshot = self.table.snapshot().await.expect("snapshot");
        let options = WriterOptions {
            row_group_rows_max: ROW_GROUP_ROWS,
            ..WriterOptions::default()
        };
        let mut writer = FileWriter::new(Arc::clone(&self.table), &snapshot, options).expect("writer");
        let ids = Int64Array::from_iter_values(ids);
        let batch = RecordBatch::try_new(schema(), vec![Arc::new(ids)]).expect("batch");
        writer.write(&batch).await.expect("written");
        let mut transaction = self.table.transaction(snapshot, Operation::new("WRITE"));
        transaction.add_files(writer.close().await.expect("closed"));
        let outcome = transaction.commit().await.expect("commit");
        assert!(matches!(outcome, CommitOutcome::Committed { .. }), "{outcome:?}");
    }

    /// Deletes rows of the file that begins with the id `file` times [`ROWS`].
    async fn delete(&self, file: i64, rows: impl Iterator<Item = u64>) {
        let snapshot = self.table.snapshot().await.expect("snapshot");
        let files = snapshot.files().await.expect("files");
        let bounds = files.min_values("id").expect("bounds");
        let bounds = bounds.as_any().downcast_ref::<Int64Array>().expect("bigint");
        let number = (0..files.len())
            .find(|number| bounds.value(*number) == file * ROWS)
            .expect("the file");
        let add = files.add(number);
        let vectors = [rows.collect::<DeletionVector>()];
        let mut written = self
            .table
            .write_deletion_vectors(&vectors)
            .await
            .expect("written");
        let new = add
            .with_deletion_vector(written.remove(0), ROWS as u64)
            .expect("add");
        let mut transaction = self
            .table
            .transaction(Arc::clone(&snapshot), Operation::new("DELETE"));
        transaction.set_read_set(ReadSet::WholeTable);
        transaction.remove_files([add.to_remove(1, true)]);
        transaction.add_files([new]);
        let outcome = transaction.commit().await.expect("commit");
        assert!(matches!(outcome, CommitOutcome::Committed { .. }), "{outcome:?}");
    }

    /// Opens the table as another process does, which has read no vector.
    async fn context(&self) -> SessionContext {
        let mut config = SessionConfig::new().with_target_partitions(4);
        config.options_mut().optimizer.repartition_file_min_size = 0;
        config.options_mut().execution.parquet.pushdown_filters = true;
        let context = SessionContext::new_with_config(config);
        let table = support::tables()
            .open(self.table.location())
            .await
            .expect("opened");
        let snapshot = table.snapshot().await.expect("snapshot");
        context
            .register_table("t", delta_provider(table, snapshot, None))
            .expect("registered");
        context
    }

    /// The file of the vector of a data file.
    async fn vector_file(&self, file: i64) -> PathBuf {
        let snapshot = self.table.snapshot().await.expect("snapshot");
        let files = snapshot.files().await.expect("files");
        let adds = (0..files.len()).map(|number| files.add(number));
        let begins = |add: &&Arc<ingot_delta::Add>| {
            let stats = add.stats.as_deref().expect("stats");
            stats.contains(&format!("\"minValues\":{{\"id\":{}}}", file * ROWS))
        };
        let add = adds.collect::<Vec<_>>();
        let add = add.iter().find(begins).expect("the file");
        let vector = add.deletion_vector.as_ref().expect("a vector");
        let folder = self.directory.path().join("table");
        let mut entries = std::fs::read_dir(folder)
            .expect("folder")
            .map(|entry| entry.expect("entry").path());
        entries
            .find(|path| {
                let name = path
                    .file_name()
                    .and_then(|name| name.to_str())
                    .unwrap_or_default();
                let id = name
                    .strip_prefix("deletion_vector_")
                    .and_then(|rest| rest.strip_suffix(".bin"));
                let id = id.and_then(|id| uuid::Uuid::parse_str(id).ok());
                id.is_some_and(|id| z85_of(id) == vector.path_or_inline_dv)
            })
            .expect("a file")
    }
}

/// Z85, as the protocol names vectors.
fn z85_of(id: uuid::Uuid) -> String {
    const DIGITS: &[u8; 85] =
        b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
    let words = id
        .as_bytes()
        .chunks(4)
        .map(|word| u32::from_be_bytes(word.try_into().expect("a word")));
    let digits = words.flat_map(|word| (0..5).rev().map(move |place| word / 85_u32.pow(place) % 85));
    digits.map(|digit| char::from(DIGITS[digit as usize])).collect()
}

async fn plan(context: &SessionContext, sql: &str) -> Arc<dyn ExecutionPlan> {
    let frame = context.sql(sql).await.expect("planned");
    frame.create_physical_plan().await.expect("physical plan")
}

fn scan(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    if plan.downcast_ref::<DeltaScanExec>().is_some() {
        return Some(Arc::clone(plan));
    }
    plan.children().into_iter().find_map(scan)
}

/// Runs a query; returns its only value, and a metric of its scan.
async fn value_and_metric(context: &SessionContext, sql: &str, metric: &str) -> (i64, usize) {
    let plan = plan(context, sql).await;
    let rows = collect(Arc::clone(&plan), context.task_ctx()).await.expect("run");
    let value = rows[0]
        .column(0)
        .as_any()
        .downcast_ref::<Int64Array>()
        .expect("bigint")
        .value(0);
    let metrics = scan(&plan).expect("a scan").metrics().expect("metrics");
    let sum = metrics.sum_by_name(metric).expect(metric);
    let count = match sum {
        MetricValue::PruningMetrics { pruning_metrics, .. } => pruning_metrics.pruned(),
        other => other.as_usize(),
    };
    (value, count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_file_with_a_vector_is_read_by_all_cores() {
    let table = Table::new().await;
    let context = table.context().await;
    let sql = "SELECT sum(id) FROM t WHERE id < 100000";
    let plan = plan(&context, sql).await;
    let scan = scan(&plan).expect("a scan");
    assert_eq!(scan.output_partitioning().partition_count(), 4);
    let (sum, _) = value_and_metric(&context, sql, "files_read").await;
    assert_eq!(sum, (0..ROWS).filter(|id| id % 3 != 0).sum::<i64>());
}

#[test_case("row_groups_pruned_statistics", "SELECT count(*) FROM t WHERE id >= 60000 AND id < 70000", 6_666, 1; "row groups")]
#[test_case("page_index_rows_pruned", "SELECT count(*) FROM t WHERE id >= 99000 AND id < 100000", 666, 20_000; "pages")]
#[test_case("pushdown_rows_pruned", "SELECT count(*) FROM t WHERE id = 50000", 1, 1000; "filters in the reader")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pruning_works_beside_vectors(metric: &str, sql: &str, rows: i64, pruned_min: usize) {
    let table = Table::new().await;
    let context = table.context().await;
    let (count, pruned) = value_and_metric(&context, sql, metric).await;
    assert_eq!(count, rows);
    assert!(pruned >= pruned_min, "{metric}: {pruned}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_greatest_rows_are_those_that_are_left() {
    let table = Table::new().await;
    let context = table.context().await;
    let sql = "SELECT min(id) FROM (SELECT id FROM t ORDER BY id DESC LIMIT 3)";
    let (least, _) = value_and_metric(&context, sql, "files_read").await;
    assert_eq!(least, 2 * ROWS - 1000 - 3);
    // Bounds in the log are those of deleted rows.
    let (least, _) = value_and_metric(&context, "SELECT min(id) FROM t", "files_read").await;
    assert_eq!(least, 1);
    let (greatest, _) = value_and_metric(&context, "SELECT max(id) FROM t", "files_read").await;
    assert_eq!(greatest, 2 * ROWS - 1001);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_counted_without_reading_a_file_or_a_vector() {
    let table = Table::new().await;
    let context = table.context().await;
    let plan = plan(&context, "SELECT count(*), count(id) FROM t").await;
    assert!(scan(&plan).is_none(), "the log knows");
    let rows = collect(plan, context.task_ctx()).await.expect("run");
    let value = |column: usize| {
        rows[0]
            .column(column)
            .as_any()
            .downcast_ref::<Int64Array>()
            .expect("bigint")
            .value(0)
    };
    let left = 2 * ROWS - 33_334 - 1000;
    assert_eq!((value(0), value(1)), (left, left));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_of_files_that_are_left_out_are_not_read() {
    let table = Table::new().await;
    let file = table.vector_file(0).await;
    std::fs::remove_file(file).expect("removed");
    let context = table.context().await;
    let (count, _) = value_and_metric(
        &context,
        "SELECT count(*) FROM t WHERE id >= 198500",
        "files_read",
    )
    .await;
    assert_eq!(count, 500);
    let frame = context
        .sql("SELECT count(*) FROM t WHERE id < 198500")
        .await
        .expect("planned");
    let missing = frame.collect().await.expect_err("the vector is gone");
    assert!(missing.to_string().contains("deletion_vector_"), "{missing}");
}
