//! Scans of Delta tables: what is read, what the log answers.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use datafusion::assert_batches_eq;
use datafusion::physical_plan::{ExecutionPlan, displayable};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_proto::bytes::{
    physical_plan_from_bytes_with_extension_codec, physical_plan_to_bytes_with_extension_codec,
};
use ingot_delta::DeltaTable;
use ingot_engine::codec::DeltaCodec;
use ingot_engine::provider::delta_provider;
use ingot_engine::scan::DeltaScanExec;
use tempfile::TempDir;
use test_case::test_case;

use crate::support;

/// `id`, partition column `place`, `note`.
fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("place", DataType::Utf8, true),
        Field::new("note", DataType::Utf8, true),
    ]))
}

fn rows(ids: &[i64], place: Option<&str>, note: Option<&str>) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(ids.to_vec())),
        Arc::new(StringArray::from(vec![place; ids.len()])),
        Arc::new(StringArray::from(vec![note; ids.len()])),
    ];
    RecordBatch::try_new(schema(), columns).expect("valid rows")
}

async fn context(table: &Arc<DeltaTable>) -> SessionContext {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    let snapshot = table.snapshot().await.expect("snapshot");
    let provider = delta_provider(Arc::clone(table), snapshot, None);
    context.register_table("t", provider).expect("registered");
    context
}

async fn query(context: &SessionContext, sql: &str) -> Vec<RecordBatch> {
    let frame = context.sql(sql).await.expect("planned");
    frame.collect().await.expect("run")
}

async fn plan(context: &SessionContext, sql: &str) -> Arc<dyn ExecutionPlan> {
    let frame = context.sql(sql).await.expect("planned");
    frame.create_physical_plan().await.expect("physical plan")
}

/// Returns how many files the plan's scan reads and leaves out; `None` when there is no scan.
fn files(plan: &Arc<dyn ExecutionPlan>) -> Option<(usize, usize)> {
    if let Some(scan) = plan.downcast_ref::<DeltaScanExec>() {
        return Some((scan.files(), scan.files_pruned()));
    }
    plan.children().into_iter().find_map(files)
}

async fn partitioned_table(directory: &TempDir) -> Arc<DeltaTable> {
    let tables = support::tables();
    let table = support::create_table(&tables, directory.path(), schema(), &["place"]).await;
    support::append(
        &table,
        &[
            rows(&[1, 2], Some("a/b=c d%é"), Some("x")),
            rows(&[3], None, Some("y")),
            rows(&[10, 11, 12], Some("plain"), None),
        ],
    )
    .await;
    table
}

#[tokio::test]
async fn partition_column_keeps_its_place_in_the_schema() {
    let directory = tempfile::tempdir().expect("directory");
    let table = partitioned_table(&directory).await;
    let context = context(&table).await;
    let all = query(&context, "SELECT * FROM t ORDER BY id").await;
    assert_batches_eq!(
        [
            "+----+-----------+------+",
            "| id | place     | note |",
            "+----+-----------+------+",
            "| 1  | a/b=c d%é | x    |",
            "| 2  | a/b=c d%é | x    |",
            "| 3  |           | y    |",
            "| 10 | plain     |      |",
            "| 11 | plain     |      |",
            "| 12 | plain     |      |",
            "+----+-----------+------+",
        ],
        &all
    );
    let some = query(&context, "SELECT note, place FROM t WHERE id = 2").await;
    assert_batches_eq!(
        [
            "+------+-----------+",
            "| note | place     |",
            "+------+-----------+",
            "| x    | a/b=c d%é |",
            "+------+-----------+",
        ],
        &some
    );
}

#[test_case("place = 'a/b=c d%é'", 1, 2; "equal partition")]
#[test_case("place IS NULL", 1, 1; "null partition")]
#[test_case("place IS NOT NULL", 2, 5; "partition that is not null")]
#[test_case("place IN ('plain', 'none')", 1, 3; "one of several partitions")]
#[test_case("upper(place) = 'PLAIN'", 1, 3; "function of the partition")]
#[test_case("id > 9", 1, 3; "bound from below")]
#[test_case("id = 2", 1, 1; "within bounds of one file")]
#[test_case("note IS NULL", 1, 3; "counts of nulls")]
#[test_case("id < 4 AND place = 'plain'", 0, 0; "nothing left")]
#[test_case("id > 1 OR place IS NULL", 3, 5; "nothing to prune")]
#[tokio::test]
async fn filter_reads_only_files_that_may_match(filter: &str, read: usize, rows: usize) {
    let directory = tempfile::tempdir().expect("directory");
    let table = partitioned_table(&directory).await;
    let context = context(&table).await;
    let sql = format!("SELECT id FROM t WHERE {filter}");
    let found = query(&context, &sql).await;
    assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), rows);
    let plan = plan(&context, &sql).await;
    let expected = (read > 0).then_some((read, 3 - read));
    assert_eq!(
        files(&plan),
        expected,
        "{}",
        displayable(plan.as_ref()).indent(true)
    );
}

#[test_case("SELECT count(*) AS n FROM t", "6"; "rows")]
#[test_case("SELECT min(id) AS n FROM t", "1"; "smallest")]
#[test_case("SELECT max(id) AS n FROM t", "12"; "largest")]
#[test_case("SELECT count(note) AS n FROM t", "3"; "values that are not null")]
#[test_case("SELECT max(place) AS n FROM t", "plain"; "largest partition")]
#[test_case("SELECT count(*) AS n FROM t WHERE place = 'plain'", "3"; "rows of a partition")]
#[tokio::test]
async fn aggregate_is_answered_from_the_log(sql: &str, expected: &str) {
    let directory = tempfile::tempdir().expect("directory");
    let table = partitioned_table(&directory).await;
    let context = context(&table).await;
    let plan = plan(&context, sql).await;
    assert_eq!(files(&plan), None, "{}", displayable(plan.as_ref()).indent(true));
    let answer = support::text(&query(&context, sql).await);
    assert!(answer.contains(&format!("| {expected} ")), "{answer}");
}

#[tokio::test]
async fn aggregate_over_filtered_rows_reads_files() {
    let directory = tempfile::tempdir().expect("directory");
    let table = partitioned_table(&directory).await;
    let context = context(&table).await;
    let sql = "SELECT count(*) AS n FROM t WHERE id <> 11";
    assert_eq!(files(&plan(&context, sql).await), Some((3, 0)));
    let answer = support::text(&query(&context, sql).await);
    assert!(answer.contains("| 5 "), "{answer}");
}

#[tokio::test]
async fn limit_stops_adding_files() {
    let directory = tempfile::tempdir().expect("directory");
    let table = partitioned_table(&directory).await;
    let context = context(&table).await;
    let plan = plan(&context, "SELECT * FROM t LIMIT 2").await;
    assert_eq!(files(&plan).map(|(read, _)| read), Some(1));
    let found = query(&context, "SELECT * FROM t LIMIT 2").await;
    assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
}

#[tokio::test]
async fn order_with_limit_passes_its_filter_to_the_files() {
    let directory = tempfile::tempdir().expect("directory");
    let table = partitioned_table(&directory).await;
    let context = context(&table).await;
    let plan = plan(&context, "SELECT * FROM t ORDER BY id DESC LIMIT 1").await;
    let text = displayable(plan.as_ref()).indent(true).to_string();
    let scan = text
        .lines()
        .find(|line| line.contains("DeltaScanExec"))
        .unwrap_or_default();
    assert!(scan.contains("DynamicFilter"), "{text}");
    let found = support::text(&query(&context, "SELECT id FROM t ORDER BY id DESC LIMIT 1").await);
    assert!(found.contains("| 12 |"), "{found}");
}

#[tokio::test]
async fn nested_values_survive() {
    let directory = tempfile::tempdir().expect("directory");
    let point = DataType::Struct(vec![Field::new("x", DataType::Int32, true)].into());
    let schema: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("point", point.clone(), true),
        Field::new_list("tags", Field::new("element", DataType::Int32, true), true),
    ]));
    let tables = support::tables();
    let table = support::create_table(&tables, directory.path(), schema, &[]).await;
    let schema = Arc::clone(table.snapshot().await.expect("snapshot").schema());
    let x: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None]));
    let DataType::Struct(fields) = schema.field(0).data_type().clone() else {
        panic!("a struct")
    };
    let points = StructArray::new(fields, vec![x], None);
    let tags = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None]), None]);
    let tags = arrow::compute::cast(&tags, schema.field(1).data_type()).expect("list");
    let batch = RecordBatch::try_new(schema, vec![Arc::new(points), tags]).expect("valid rows");
    support::append(&table, std::slice::from_ref(&batch)).await;
    let context = context(&table).await;
    let found = query(&context, "SELECT * FROM t").await;
    assert_eq!(support::text(&found), support::text(&[batch]));
}

#[test_case("SELECT note, place, id FROM t WHERE id > 1 ORDER BY id"; "filter and projection")]
#[test_case("SELECT place FROM t WHERE place IS NOT NULL ORDER BY place"; "partition filter")]
#[tokio::test]
async fn plan_survives_the_codec(sql: &str) {
    let directory = tempfile::tempdir().expect("directory");
    let table = partitioned_table(&directory).await;
    let context = context(&table).await;
    let original = plan(&context, sql).await;
    let codec = DeltaCodec::new(support::tables());
    let bytes = physical_plan_to_bytes_with_extension_codec(Arc::clone(&original), &codec).expect("encoded");
    let elsewhere = SessionContext::new();
    let decoded = physical_plan_from_bytes_with_extension_codec(&bytes, &elsewhere.task_ctx(), &codec)
        .expect("decoded");
    assert_eq!(files(&decoded), files(&original));
    let found = datafusion::physical_plan::collect(decoded, elsewhere.task_ctx())
        .await
        .expect("run");
    assert_eq!(support::text(&found), support::text(&query(&context, sql).await));
}
