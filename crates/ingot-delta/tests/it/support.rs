//! Tables to test on, made through the real write path.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use ingot_delta::{
    Add, CommitOutcome, CreateTable, DeltaTable, DeltaTables, FileWriter, Operation, Snapshot, TablesOptions,
    WriterOptions,
};
use object_store::ObjectStoreExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use url::Url;

/// How long a test waits for what must end.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// A folder with room for tables; deleted when dropped.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("temporary folder"))
    }

    pub fn root(&self) -> &std::path::Path {
        self.0.path()
    }

    pub fn location(&self) -> Url {
        Url::from_directory_path(self.0.path().join("t")).expect("absolute path")
    }
}

/// A registry of its own, as another process has one.
pub fn tables() -> DeltaTables {
    DeltaTables::new(TablesOptions::default())
}

/// Columns `id BIGINT NOT NULL, p STRING`.
pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("p", DataType::Utf8, true),
    ]))
}

pub fn spec(schema: SchemaRef, partition_columns: &[&str]) -> CreateTable {
    CreateTable {
        partition_columns: partition_columns
            .iter()
            .map(|column| (*column).to_owned())
            .collect(),
        ..CreateTable::new(schema, Operation::new("CREATE TABLE"))
    }
}

pub async fn create(folder: &Folder, partition_columns: &[&str]) -> Arc<DeltaTable> {
    let spec = spec(schema(), partition_columns);
    tables()
        .create(&folder.location(), spec)
        .await
        .expect("table is created")
}

pub fn rows(rows: &[(i64, Option<&str>)]) -> RecordBatch {
    let ids = Int64Array::from_iter_values(rows.iter().map(|(id, _)| *id));
    let ps = StringArray::from_iter(rows.iter().map(|(_, p)| *p));
    RecordBatch::try_new(schema(), vec![Arc::new(ids), Arc::new(ps)]).expect("batch")
}

pub async fn write(table: &Arc<DeltaTable>, snapshot: &Snapshot, batch: &RecordBatch) -> Vec<Add> {
    let mut writer =
        FileWriter::new(Arc::clone(table), snapshot, WriterOptions::default()).expect("table is writable");
    writer.write(batch).await.expect("rows are written");
    writer.close().await.expect("files are complete")
}

/// Appends ids in one blind commit and returns its version.
pub async fn append(table: &Arc<DeltaTable>, ids: &[i64]) -> i64 {
    let snapshot = table.snapshot().await.expect("snapshot");
    let batch = rows(&ids.iter().map(|id| (*id, Some("x"))).collect::<Vec<_>>());
    let files = write(table, &snapshot, &batch).await;
    let mut transaction = table.transaction(snapshot, Operation::new("WRITE").with("mode", "Append"));
    transaction.add_files(files);
    match transaction.commit().await.expect("commit") {
        CommitOutcome::Committed { version, .. } => version,
        other => panic!("append did not commit: {other:?}"),
    }
}

/// Reads all ids of a snapshot from its files, sorted.
pub async fn ids(table: &DeltaTable, snapshot: &Snapshot) -> Vec<i64> {
    let files = snapshot.files().await.expect("files");
    let mut ids = Vec::new();
    for file in 0..files.len() {
        ids.extend(file_ids(table, &files.add(file)).await);
    }
    ids.sort_unstable();
    ids
}

/// Reads the ids of one file, in their order.
pub async fn file_ids(table: &DeltaTable, file: &Add) -> Vec<i64> {
    let mut ids = Vec::new();
    for batch in file_rows(table, file).await {
        let column = batch.column_by_name("id").expect("id");
        let column = column.as_any().downcast_ref::<Int64Array>().expect("bigint");
        ids.extend(column.values());
    }
    ids
}

/// Reads the rows of one file, without partition columns.
pub async fn file_rows(table: &DeltaTable, file: &Add) -> Vec<RecordBatch> {
    let path = table.file_path(&file.path).expect("path");
    let (store, _) = table.store();
    let bytes = store.get(&path).await.expect("file").bytes().await;
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes.expect("bytes")).expect("parquet");
    let batches = reader.build().expect("reader").collect::<Result<_, _>>();
    batches.expect("batches")
}

/// Returns the seed of a random test: `INGOT_TEST_SEED`, or a new one, which is printed.
pub fn seed() -> u64 {
    let seed = std::env::var("INGOT_TEST_SEED").ok();
    let seed = seed.and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| ingot_common::clock::random_below(u64::MAX));
    println!("INGOT_TEST_SEED={seed}");
    seed
}
