//! Staging of rows: store assignment, files, failures.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use ingot_common::{Classify, Kind, TableName};
use ingot_delta::{DeltaTable, Operation};
use ingot_engine::Session;
use ingot_engine::provider::delta_provider;
use ingot_engine::write::{
    ColumnMatch, WriteMode, WriteOptions, WriteRequest, Written, align_by_name, commit_append,
    commit_overwrite, stage_files, write,
};
use tempfile::TempDir;

use crate::support;

async fn open(directory: &TempDir, partition_columns: &[&str]) -> (Session, Arc<DeltaTable>) {
    let schema: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("small", DataType::Int32, false),
        Field::new("part", DataType::Utf8, true),
    ]));
    let engine = support::engine(directory.path()).await;
    let table = support::create_table(engine.tables(), directory.path(), schema, partition_columns).await;
    (support::session(&engine), table)
}

fn rows(values: &[Option<i64>], part: &str) -> RecordBatch {
    let schema = Schema::new(vec![
        Field::new("SMALL", DataType::Int64, true),
        Field::new("Part", DataType::Utf8, true),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(values.to_vec())),
        Arc::new(StringArray::from(vec![part; values.len()])),
    ];
    RecordBatch::try_new(Arc::new(schema), columns).expect("valid rows")
}

async fn count(session: &Session, table: &Arc<DeltaTable>) -> usize {
    let snapshot = table.snapshot().await.expect("snapshot");
    let provider = delta_provider(Arc::clone(table), snapshot, None);
    let frame = session.datafusion().read_table(provider).expect("frame");
    frame
        .collect()
        .await
        .expect("rows")
        .iter()
        .map(RecordBatch::num_rows)
        .sum()
}

#[tokio::test]
async fn small_result_makes_one_file_per_partition_of_the_table() {
    let directory = tempfile::tempdir().expect("directory");
    let (session, table) = open(&directory, &["part"]).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let batches = ["a", "b", "a", "b"].map(|part| rows(&[Some(1), Some(2)], part));
    let frame = session.datafusion().read_batches(batches).expect("frame");
    let staged = stage_files(&session, &table, &snapshot, frame)
        .await
        .expect("staged");
    assert_eq!(staged.files.len(), 2);
    assert_eq!(staged.metrics.get("numFiles"), 2);
    assert_eq!(staged.metrics.get("numOutputRows"), 8);
    commit_append(&session, &table, &snapshot, staged, Operation::new("WRITE"))
        .await
        .expect("committed");
    assert_eq!(count(&session, &table).await, 8);
}

#[tokio::test]
async fn value_that_does_not_fit_names_its_column_and_leaves_no_file() {
    let directory = tempfile::tempdir().expect("directory");
    let (session, table) = open(&directory, &[]).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    for (value, message) in [(Some(1 << 40), "`small`"), (None, "violated for column: small")] {
        let frame = session
            .datafusion()
            .read_batch(rows(&[Some(1), value], "a"))
            .expect("frame");
        let error = stage_files(&session, &table, &snapshot, frame)
            .await
            .expect_err("refused");
        assert_eq!(error.kind(), Kind::InvalidArgument);
        assert!(error.to_string().contains(message), "{error}");
    }
    let files = std::fs::read_dir(directory.path().join("table")).expect("folder");
    let left: Vec<_> = files
        .map(|file| file.expect("entry").file_name())
        .filter(|name| name != "_delta_log")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn overwrite_replaces_everything() {
    let directory = tempfile::tempdir().expect("directory");
    let (session, table) = open(&directory, &[]).await;
    for values in [vec![Some(1), Some(2), Some(3)], vec![Some(4)]] {
        let snapshot = table.snapshot().await.expect("snapshot");
        let frame = session
            .datafusion()
            .read_batch(rows(&values, "a"))
            .expect("frame");
        let frame = align_by_name(frame, &snapshot).expect("aligned");
        let staged = stage_files(&session, &table, &snapshot, frame)
            .await
            .expect("staged");
        commit_overwrite(&session, &table, &snapshot, staged, Operation::new("WRITE"))
            .await
            .expect("committed");
    }
    assert_eq!(count(&session, &table).await, 1);
}

#[tokio::test]
async fn unknown_column_is_refused_by_name() {
    let directory = tempfile::tempdir().expect("directory");
    let (session, table) = open(&directory, &[]).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let frame = session
        .datafusion()
        .read_batch(rows(&[Some(1)], "a"))
        .expect("frame");
    let frame = frame.with_column_renamed("\"Part\"", "other").expect("renamed");
    let error = align_by_name(frame, &snapshot).expect_err("unknown column");
    assert!(error.to_string().contains("`other`"), "{error}");
}

async fn save(
    session: &Session,
    table: &Arc<DeltaTable>,
    mode: WriteMode,
    options: &[(&str, &str)],
    rows: RecordBatch,
) -> ingot_engine::Result<Written> {
    let options = options
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    let options = WriteOptions::from_map(session, mode, &options)?;
    let frame = session.datafusion().read_batch(rows).expect("frame");
    write(
        session,
        table,
        &WriteRequest::new(frame, ColumnMatch::Name, options),
    )
    .await
}

fn wide(values: &[i32]) -> RecordBatch {
    let schema = Schema::new(vec![
        Field::new("other", DataType::Int32, true),
        Field::new("part", DataType::Int32, true),
    ]);
    let column: ArrayRef = Arc::new(arrow::array::Int32Array::from(values.to_vec()));
    RecordBatch::try_new(Arc::new(schema), vec![Arc::clone(&column), column]).expect("valid rows")
}

#[tokio::test]
async fn a_writer_is_told_what_it_spelled_wrong() {
    let directory = tempfile::tempdir().expect("directory");
    let (session, table) = open(&directory, &["part"]).await;
    for (mode, options, message) in [
        (
            WriteMode::Append,
            vec![("mergeShema", "true")],
            "nearest known is `mergeSchema`",
        ),
        (WriteMode::Append, vec![("mergeSchema", "yes")], "true or false"),
        (
            WriteMode::Append,
            vec![("replaceWhere", "part = 'a'")],
            "needs a write that overwrites",
        ),
        (WriteMode::Append, vec![("txnAppId", "a")], "given together"),
        (
            WriteMode::Append,
            vec![("txnAppId", "a"), ("txnVersion", "-1")],
            "not `-1`",
        ),
        (WriteMode::Append, vec![("targetFileSize", "0")], "bytes above 0"),
        (
            WriteMode::Append,
            vec![("overwriteSchema", "true")],
            "overwrites the whole table",
        ),
        (
            WriteMode::Overwrite,
            vec![("overwriteSchema", "true"), ("mergeSchema", "true")],
            "not both",
        ),
        (
            WriteMode::Overwrite,
            vec![("overwriteSchema", "true"), ("replaceWhere", "true")],
            "overwrites the whole table",
        ),
        (
            WriteMode::Overwrite,
            vec![("partitionOverwriteMode", "dynamic"), ("replaceWhere", "true")],
            "not both",
        ),
        (
            WriteMode::Overwrite,
            vec![("partitionOverwriteMode", "sometimes")],
            "`static` or `dynamic`",
        ),
    ] {
        let error = save(&session, &table, mode, &options, rows(&[Some(1)], "a"))
            .await
            .expect_err("refused");
        assert_eq!(error.kind(), Kind::InvalidArgument);
        assert!(error.to_string().contains(message), "{options:?}: {error}");
    }
    assert_eq!(count(&session, &table).await, 0);
}

#[tokio::test]
async fn a_writer_overwrites_the_schema_and_its_partitions_in_one_commit() {
    let directory = tempfile::tempdir().expect("directory");
    let (session, table) = open(&directory, &["part"]).await;
    save(
        &session,
        &table,
        WriteMode::Append,
        &[],
        rows(&[Some(1), Some(2)], "a"),
    )
    .await
    .expect("appended");
    let before = table.snapshot().await.expect("snapshot");
    let options = BTreeMap::from([("overwriteSchema".to_owned(), "true".to_owned())]);
    let options = WriteOptions::from_map(&session, WriteMode::Overwrite, &options).expect("options");
    let frame = session.datafusion().read_batch(wide(&[7, 8, 9])).expect("frame");
    let mut request = WriteRequest::new(frame, ColumnMatch::Name, options);
    request.partition_columns = Some(vec!["OTHER".to_owned()]);
    let written = write(&session, &table, &request).await.expect("overwritten");
    assert_eq!(written.rows(), 3);
    let after = table.snapshot().await.expect("snapshot");
    assert_eq!(after.version(), before.version() + 1);
    assert_eq!(after.metadata().id, before.metadata().id);
    assert_eq!(after.partition_columns(), ["other"]);
    assert_eq!(after.schema().field(1).data_type(), &DataType::Int32);
    assert_eq!(count(&session, &table).await, 3);
    request.partition_columns = Some(vec!["nope".to_owned()]);
    let error = write(&session, &table, &request)
        .await
        .expect_err("no such column");
    assert!(error.to_string().contains("`nope`"), "{error}");
}

#[tokio::test]
async fn a_new_schema_keeps_the_columns_that_cluster() {
    let directory = tempfile::tempdir().expect("directory");
    let (session, _) = open(&directory, &[]).await;
    session
        .execute("CREATE TABLE clustered (small INT, day INT) CLUSTER BY (day)")
        .await
        .expect("created");
    let name = TableName::parse("main.default.clustered").expect("name");
    let (_, table) = session.open_table(&name).await.expect("table");
    let options = [("overwriteSchema", "true")];
    let error = save(&session, &table, WriteMode::Overwrite, &options, wide(&[1]))
        .await
        .expect_err("the log would go on naming `day`");
    assert_eq!(error.condition(), Some("DELTA_COLUMN_NOT_FOUND"), "{error}");
    let snapshot = table.snapshot().await.expect("snapshot");
    let clustering = snapshot.clustering_columns().expect("readable");
    assert_eq!(clustering, Some(vec![vec!["day".to_owned()]]));
    assert_eq!(snapshot.version(), 0);
}

#[tokio::test]
async fn a_writer_decides_the_size_of_files_and_writes_a_version_once() {
    let directory = tempfile::tempdir().expect("directory");
    let (session, table) = open(&directory, &[]).await;
    let options = [
        ("compression", "snappy"),
        ("targetFileSize", "1"),
        ("txnAppId", "job"),
        ("txnVersion", "1"),
        ("userMetadata", "mine"),
    ];
    let values: Vec<Option<i64>> = (0..10).map(Some).collect();
    let batch = || rows(&values, "a");
    for expected in [10, 0] {
        let written = save(&session, &table, WriteMode::Append, &options, batch())
            .await
            .expect("written");
        assert_eq!(written.rows(), expected);
    }
    assert_eq!(count(&session, &table).await, 10);
    let snapshot = table.snapshot().await.expect("snapshot");
    let file = snapshot.files().await.expect("files").add(0);
    assert!(file.path.ends_with("-c000.snappy.parquet"), "{}", file.path);
    let refused = save(
        &session,
        &table,
        WriteMode::Append,
        &[("compression", "lzo")],
        batch(),
    )
    .await;
    let error = refused.expect_err("not written");
    assert!(error.to_string().contains("`compression` is `zstd`"), "{error}");
}
