//! What statements do to a table, as transactions of the same shape: which files they read, remove and add. Each tells
//! what it did to the rows, so that a history of them can be checked.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use ingot_common::clock;
use ingot_delta::{
    Add, CreateTable, DeletionVector, DeltaTable, FileIndex, FileWriter, Operation, ReadPredicate, ReadSet,
    Remove, Result, Snapshot, Transaction, WriterOptions,
};
use object_store::ObjectStoreExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// One row of `(id BIGINT, p STRING, v BIGINT)`, partitioned by `p`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub id: i64,
    pub p: String,
    pub v: i64,
}

impl Row {
    pub fn new(id: i64, p: &str, v: i64) -> Self {
        let p = p.to_owned();
        Self { id, p, v }
    }
}

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// `INSERT INTO`: blind.
    Append(Vec<Row>),
    /// A micro-batch of the query `stream`.
    StreamingAppend { batch: i64, rows: Vec<Row> },
    /// `INSERT OVERWRITE`: everything.
    Overwrite(Vec<Row>),
    /// `INSERT INTO … REPLACE WHERE p = …`.
    ReplaceWhere { p: String, rows: Vec<Row> },
    /// `INSERT OVERWRITE` in dynamic mode: the partitions of the rows.
    DynamicOverwrite { p: String, rows: Vec<Row> },
    /// `DELETE` of rows of one partition, by deletion vectors.
    Delete { p: String, ids: Vec<i64> },
    /// `UPDATE … SET v = v + 1` of rows of one partition, by new files.
    Update { p: String, ids: Vec<i64> },
    /// `MERGE`: counts `v` up where the id is there, by deletion vectors and a new file, and inserts the others.
    Merge { p: String, ids: Vec<i64> },
    /// `OPTIMIZE`, with the name and layout of its kind.
    Optimize { p: String, kind: Layout },
    /// `VACUUM END`.
    Vacuum,
    /// `RESTORE TO VERSION AS OF`.
    Restore(i64),
    /// `ALTER TABLE ADD COLUMN`.
    AddColumn(String),
    /// `ALTER TABLE SET TBLPROPERTIES`.
    SetProperty(String),
}

/// How OPTIMIZE lays rows out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    BinPack,
    ZOrder,
    Clustered,
}

/// What a statement did to the rows that it saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effect {
    pub removed: Vec<Row>,
    pub added: Vec<Row>,
}

/// Columns `id BIGINT, p STRING, v BIGINT`.
pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("p", DataType::Utf8, true),
        Field::new("v", DataType::Int64, true),
    ]))
}

/// An empty table whose rows are deleted by vectors.
pub fn spec(properties: &[(&str, &str)]) -> CreateTable {
    let mut spec = CreateTable::new(schema(), Operation::new("CREATE TABLE"));
    spec.partition_columns = vec!["p".to_owned()];
    let vectors = ("delta.enableDeletionVectors", "true");
    for (key, value) in properties.iter().chain([&vectors]) {
        spec.properties.insert((*key).to_owned(), (*value).to_owned());
    }
    spec
}

/// Matches rows of a partition, by what the log says of files.
#[derive(Debug)]
struct InPartition(String);

impl ReadPredicate for InPartition {
    fn may_match(&self, files: &FileIndex) -> Vec<bool> {
        let Some(values) = files.partition_values("p") else {
            return vec![true; files.len()];
        };
        let values = values.as_string::<i32>();
        values.iter().map(|p| p == Some(self.0.as_str())).collect()
    }
}

/// Stages `statement` on `snapshot`.
pub async fn stage(
    table: &Arc<DeltaTable>,
    snapshot: &Arc<Snapshot>,
    statement: &Statement,
) -> Result<(Transaction, Effect)> {
    let mut stage = Stage {
        table,
        snapshot,
        effect: Effect::default(),
        removes: Vec::new(),
        adds: Vec::new(),
        read_set: ReadSet::Nothing,
    };
    let operation = stage.run(statement).await?;
    let mut transaction = table.transaction(Arc::clone(snapshot), operation);
    transaction.set_read_set(stage.read_set);
    transaction.remove_files(stage.removes);
    transaction.add_files(stage.adds);
    let mut metadata = snapshot.metadata().clone();
    match statement {
        Statement::StreamingAppend { batch, .. } => transaction.set_app_transaction("stream", *batch),
        Statement::AddColumn(name) => {
            let mut schema: serde_json::Value =
                serde_json::from_str(&metadata.schema_string).expect("schema");
            let column = serde_json::json!({"name": name, "type": "long", "nullable": true, "metadata": {}});
            schema["fields"].as_array_mut().expect("fields").push(column);
            metadata.schema_string = schema.to_string();
            transaction.set_metadata(metadata);
        }
        Statement::SetProperty(key) => {
            metadata.configuration.insert(key.clone(), "set".to_owned());
            transaction.set_metadata(metadata);
        }
        _ => {}
    }
    Ok((transaction, stage.effect))
}

/// Returns the rows of a version, sorted.
pub async fn live_rows(table: &DeltaTable, snapshot: &Snapshot) -> Result<Vec<Row>> {
    let files = snapshot.files().await?;
    let mut rows = Vec::new();
    for file in 0..files.len() {
        let found = file_rows(table, &files.add(file)).await?;
        rows.extend(
            found
                .into_iter()
                .filter(|found| found.live)
                .map(|found| found.row),
        );
    }
    rows.sort();
    Ok(rows)
}

/// A row as its file holds it, in the order of positions.
struct Found {
    row: Row,
    live: bool,
}

struct Stage<'a> {
    table: &'a Arc<DeltaTable>,
    snapshot: &'a Arc<Snapshot>,
    effect: Effect,
    removes: Vec<Remove>,
    adds: Vec<Add>,
    read_set: ReadSet,
}

impl Stage<'_> {
    async fn run(&mut self, statement: &Statement) -> Result<Operation> {
        Ok(match statement {
            Statement::Append(rows) => {
                self.insert(rows).await?;
                Operation::new("WRITE").with("mode", "\"Append\"")
            }
            Statement::StreamingAppend { rows, .. } => {
                self.insert(rows).await?;
                Operation::new("STREAMING UPDATE").with("outputMode", "\"Append\"")
            }
            Statement::Overwrite(rows) => {
                self.read_set = ReadSet::WholeTable;
                self.remove_where(|_| true).await?;
                self.insert(rows).await?;
                Operation::new("WRITE").with("mode", "\"Overwrite\"")
            }
            Statement::ReplaceWhere { p, rows } | Statement::DynamicOverwrite { p, rows } => {
                self.read_partition(p).await?;
                self.remove_where(|add| partition(add) == p).await?;
                self.insert(rows).await?;
                Operation::new("WRITE").with("mode", "\"Overwrite\"")
            }
            Statement::Delete { p, ids } => {
                self.read_partition(p).await?;
                self.delete(p, ids).await?;
                Operation::new("DELETE")
            }
            Statement::Update { p, ids } => {
                self.read_partition(p).await?;
                self.rewrite_counting_up(p, ids).await?;
                Operation::new("UPDATE")
            }
            Statement::Merge { p, ids } => {
                self.read_partition(p).await?;
                let matched = self.delete(p, ids).await?;
                let there: BTreeSet<i64> = matched.iter().map(|row| row.id).collect();
                let mut rows: Vec<Row> = matched.into_iter().map(counted_up).collect();
                let new = ids.iter().filter(|id| !there.contains(id));
                rows.extend(new.map(|id| Row::new(*id, p, 0)));
                self.insert(&rows).await?;
                Operation::new("MERGE")
            }
            Statement::Optimize { p, kind } => {
                self.read_partition(p).await?;
                self.compact(p, *kind).await?;
                let operation = Operation::new("OPTIMIZE");
                match kind {
                    Layout::BinPack => operation,
                    Layout::ZOrder => operation.with("zOrderBy", "[\"id\"]"),
                    Layout::Clustered => operation.with("clusterBy", "[\"id\"]"),
                }
            }
            Statement::Vacuum => Operation::new("VACUUM END"),
            Statement::Restore(version) => {
                self.read_set = ReadSet::WholeTable;
                self.restore(*version).await?;
                Operation::new("RESTORE")
            }
            Statement::AddColumn(_) => Operation::new("ADD COLUMNS"),
            Statement::SetProperty(_) => Operation::new("SET TBLPROPERTIES"),
        })
    }

    async fn files(&self) -> Result<Vec<Arc<Add>>> {
        let files = self.snapshot.files().await?;
        Ok((0..files.len()).map(|file| files.add(file)).collect())
    }

    async fn read_partition(&mut self, p: &str) -> Result<()> {
        let files = self.files().await?;
        let read = files.iter().filter(|add| partition(add) == p);
        self.read_set = ReadSet::Matching {
            predicate: Arc::new(InPartition(p.to_owned())),
            paths: read.map(|add| add.path.clone()).collect(),
        };
        Ok(())
    }

    async fn insert(&mut self, rows: &[Row]) -> Result<()> {
        self.effect.added.extend(rows.iter().cloned());
        let added = self.write(rows).await?;
        self.adds.extend(added);
        Ok(())
    }

    async fn write(&self, rows: &[Row]) -> Result<Vec<Add>> {
        let options = WriterOptions::default();
        let mut writer = FileWriter::new(Arc::clone(self.table), self.snapshot, options)?;
        if !rows.is_empty() {
            writer.write(&batch(rows, self.snapshot.schema())).await?;
        }
        writer.close().await
    }

    async fn remove_where(&mut self, matches: impl Fn(&Add) -> bool) -> Result<()> {
        for add in self.files().await? {
            if matches(&add) {
                let rows = file_rows(self.table, &add).await?;
                let live = rows.into_iter().filter(|found| found.live);
                self.effect.removed.extend(live.map(|found| found.row));
                self.removes.push(add.to_remove(clock::now_ms(), true));
            }
        }
        Ok(())
    }

    /// Deletes rows by vectors and returns them.
    async fn delete(&mut self, p: &str, ids: &[i64]) -> Result<Vec<Row>> {
        let mut deleted = Vec::new();
        for add in self.files().await? {
            if partition(&add) != p {
                continue;
            }
            let rows = file_rows(self.table, &add).await?;
            let mut vector = DeletionVector::new();
            let before = deleted.len();
            for (position, found) in rows.iter().enumerate() {
                let matched = found.live && ids.contains(&found.row.id);
                if matched {
                    deleted.push(found.row.clone());
                }
                if matched || !found.live {
                    vector.insert(position as u64);
                }
            }
            if deleted.len() == before {
                continue;
            }
            self.removes.push(add.to_remove(clock::now_ms(), true));
            if vector.len() < rows.len() as u64 {
                let mut written = self.table.write_deletion_vectors(&[vector]).await?;
                let stored = rows.len() as u64;
                self.adds
                    .push(add.with_deletion_vector(written.remove(0), stored)?);
            }
        }
        self.effect.removed.extend(deleted.iter().cloned());
        Ok(deleted)
    }

    /// Writes the files of the rows anew, those that count up and those beside them.
    async fn rewrite_counting_up(&mut self, p: &str, ids: &[i64]) -> Result<()> {
        for add in self.files().await? {
            if partition(&add) != p {
                continue;
            }
            let rows = file_rows(self.table, &add).await?;
            let live: Vec<Row> = rows
                .into_iter()
                .filter(|found| found.live)
                .map(|found| found.row)
                .collect();
            if !live.iter().any(|row| ids.contains(&row.id)) {
                continue;
            }
            let changed = live.iter().filter(|row| ids.contains(&row.id)).cloned();
            let changed: Vec<Row> = changed.collect();
            let anew = live.into_iter().map(|row| match ids.contains(&row.id) {
                true => counted_up(row),
                false => row,
            });
            let anew: Vec<Row> = anew.collect();
            self.removes.push(add.to_remove(clock::now_ms(), true));
            let added = self.write(&anew).await?;
            self.adds.extend(added);
            self.effect.added.extend(changed.iter().cloned().map(counted_up));
            self.effect.removed.extend(changed);
        }
        Ok(())
    }

    async fn compact(&mut self, p: &str, kind: Layout) -> Result<()> {
        let mut rows = Vec::new();
        for add in self.files().await? {
            if partition(&add) == p {
                let found = file_rows(self.table, &add).await?;
                rows.extend(
                    found
                        .into_iter()
                        .filter(|found| found.live)
                        .map(|found| found.row),
                );
                self.removes.push(add.to_remove(clock::now_ms(), false));
            }
        }
        rows.sort();
        let mut added = self.write(&rows).await?;
        for add in &mut added {
            add.data_change = false;
            add.clustering_provider = (kind == Layout::Clustered).then(|| "liquid".to_owned());
        }
        self.adds.extend(added);
        Ok(())
    }

    async fn restore(&mut self, version: i64) -> Result<()> {
        let past = self
            .table
            .snapshot_at(ingot_delta::TimeTravel::Version(version))
            .await?;
        let past_files = past.files().await?;
        let target: Vec<Arc<Add>> = (0..past_files.len()).map(|file| past_files.add(file)).collect();
        let present = self.files().await?;
        let same = |a: &Add, b: &Add| a.path == b.path && a.deletion_vector == b.deletion_vector;
        self.effect.removed = live_rows(self.table, self.snapshot).await?;
        self.effect.added = live_rows(self.table, &past).await?;
        for add in &present {
            if !target.iter().any(|kept| same(kept, add)) {
                self.removes.push(add.to_remove(clock::now_ms(), true));
            }
        }
        for add in &target {
            if !present.iter().any(|there| same(there, add)) {
                self.adds.push(Add {
                    data_change: true,
                    ..Add::clone(add)
                });
            }
        }
        Ok(())
    }
}

fn counted_up(row: Row) -> Row {
    Row { v: row.v + 1, ..row }
}

fn partition(add: &Add) -> &str {
    add.partition_values["p"].as_deref().unwrap_or_default()
}

async fn file_rows(table: &DeltaTable, add: &Add) -> Result<Vec<Found>> {
    let path = table.file_path(&add.path)?;
    let (store, _) = table.store();
    let failed = |source| ingot_delta::Error::Store {
        action: "read",
        path: add.path.clone(),
        source,
    };
    let bytes = store
        .get(&path)
        .await
        .map_err(failed)?
        .bytes()
        .await
        .map_err(failed)?;
    let deleted = match &add.deletion_vector {
        Some(vector) => table.deletion_vector(vector).await?,
        None => Arc::default(),
    };
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("parquet");
    let mut rows = Vec::new();
    for batch in reader.build().expect("reader") {
        let batch = batch.expect("batch");
        let column = |name: &str| {
            let column = batch.column_by_name(name).expect("column");
            column.as_primitive::<Int64Type>().clone()
        };
        let (ids, values) = (column("id"), column("v"));
        for row in 0..batch.num_rows() {
            rows.push(Found {
                live: !deleted.contains(rows.len() as u64),
                row: Row::new(ids.value(row), partition(add), values.value(row)),
            });
        }
    }
    Ok(rows)
}

/// Makes a batch of the columns of `schema`; those that were added to the table are null.
fn batch(rows: &[Row], schema: &SchemaRef) -> RecordBatch {
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "id" => Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.id))) as _,
        "p" => Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.p))) as _,
        "v" => Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.v))) as _,
        _ => Arc::new(Int64Array::new_null(rows.len())) as _,
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect()).expect("batch")
}
