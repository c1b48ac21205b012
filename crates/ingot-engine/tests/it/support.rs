//! Tables made through the real write path.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::util::pretty::pretty_format_batches;
use ingot_catalog::Metastore;
use ingot_common::{Principal, RequestContext};
use ingot_delta::{
    CommitOutcome, CreateTable, DeltaTable, DeltaTables, FileWriter, Operation, TablesOptions, WriterOptions,
};
use ingot_engine::{Engine, EngineOptions, HistoryOptions, Session, StatementLimits};
use url::Url;

/// Makes a registry that does not wait for the disk.
pub fn tables() -> DeltaTables {
    DeltaTables::new(TablesOptions {
        sync: false,
        ..TablesOptions::default()
    })
}

/// Creates a table in `directory`.
pub async fn create_table(
    tables: &DeltaTables,
    directory: &std::path::Path,
    schema: SchemaRef,
    partition_columns: &[&str],
) -> Arc<DeltaTable> {
    let location = Url::from_directory_path(directory.join("table")).expect("absolute path");
    let table = CreateTable {
        partition_columns: partition_columns.iter().map(|name| (*name).to_owned()).collect(),
        ..CreateTable::new(schema, Operation::new("CREATE TABLE"))
    };
    tables.create(&location, table).await.expect("created")
}

/// Appends each batch in a file (or a file per partition) and a commit of its own.
pub async fn append(table: &Arc<DeltaTable>, batches: &[RecordBatch]) {
    for batch in batches {
        let snapshot = table.snapshot().await.expect("snapshot");
        let mut writer =
            FileWriter::new(Arc::clone(table), &snapshot, WriterOptions::default()).expect("writer");
        writer.write(batch).await.expect("written");
        let files = writer.close().await.expect("closed");
        let mut transaction = table.transaction(snapshot, Operation::new("WRITE"));
        transaction.add_files(files);
        let outcome = transaction.commit().await.expect("commit");
        assert!(matches!(outcome, CommitOutcome::Committed { .. }), "{outcome:?}");
    }
}

/// Prints rows the way a reader compares them.
pub fn text(batches: &[RecordBatch]) -> String {
    pretty_format_batches(batches).expect("printable").to_string()
}

/// Opens an engine of its own over a data directory: what another process would do.
pub async fn engine(directory: &std::path::Path) -> Engine {
    engine_over(directory, tables()).await
}

/// Opens an engine whose tables are those of a registry.
pub async fn engine_over(directory: &std::path::Path, tables: DeltaTables) -> Engine {
    engine_within(directory, tables, 256 << 20).await
}

/// Opens an engine that may take so much memory.
pub async fn engine_within(
    directory: &std::path::Path,
    tables: DeltaTables,
    memory_bytes_max: usize,
) -> Engine {
    let options = EngineOptions {
        memory_bytes_max,
        ..options(directory)
    };
    engine_with(directory, tables, options).await
}

/// Who may do everything; the others are of tests about what they may do.
const ADMINISTRATORS: [&str; 4] = ["tester", "another", "hasty", "someone"];

/// The options of engines of tests.
pub fn options(directory: &std::path::Path) -> EngineOptions {
    EngineOptions {
        memory_bytes_max: 256 << 20,
        spill_directory: directory.join("spill"),
        target_partitions: 2,
        deletion_vectors: true,
        statements: StatementLimits::default(),
        result_cache_bytes_max: 16 << 20,
        history: HistoryOptions::default(),
    }
}

/// Opens an engine with options of its own.
pub async fn engine_with(directory: &std::path::Path, tables: DeltaTables, options: EngineOptions) -> Engine {
    let root = directory.join("tables");
    std::fs::create_dir_all(&root).expect("directory");
    let root = Url::from_directory_path(root).expect("absolute path");
    let metastore = Metastore::open(&directory.join("metastore.db"), &root)
        .await
        .expect("metastore")
        .with_administrators(ADMINISTRATORS);
    Engine::new(options, metastore, tables).expect("engine")
}

/// Opens a session.
pub fn session(engine: &Engine) -> Session {
    let context = RequestContext::new(Principal::new("tester"));
    engine.session(&context).expect("session")
}

/// Returns where a table of the default schema is.
pub async fn location(engine: &Engine, table: &str) -> Url {
    let session = session(engine);
    let parts = ["main", "default", table].map(|part| ingot_common::Identifier::new(part).expect("name"));
    let [catalog, schema, table] = parts;
    let name = ingot_common::TableName::new(catalog, schema, table);
    let (_, table) = session.open_table(&name).await.expect("table");
    table.location().clone()
}

/// Sets a property of a table.
pub async fn set_property(engine: &Engine, location: &Url, key: &str, value: &str) {
    let table = engine.tables().open(location).await.expect("opened");
    let snapshot = table.snapshot().await.expect("snapshot");
    let mut metadata = snapshot.metadata().clone();
    metadata.configuration.insert(key.to_owned(), value.to_owned());
    let mut transaction = table.transaction(snapshot, Operation::new("SET TBLPROPERTIES"));
    transaction.set_metadata(metadata);
    let outcome = transaction.commit().await.expect("commit");
    assert!(matches!(outcome, CommitOutcome::Committed { .. }), "{outcome:?}");
}

/// Makes a table be clustered by columns of its top level.
pub async fn cluster_by(engine: &Engine, location: &Url, columns: &[&str]) {
    let table = engine.tables().open(location).await.expect("opened");
    let snapshot = table.snapshot().await.expect("snapshot");
    let mut metadata = snapshot.metadata().clone();
    let feature = "delta.feature.clustering".to_owned();
    metadata.configuration.insert(feature, "supported".to_owned());
    let columns: Vec<String> = columns.iter().map(|column| format!("[\"{column}\"]")).collect();
    let domain = format!("{{\"clusteringColumns\":[{}]}}", columns.join(","));
    let mut transaction = table.transaction(snapshot, Operation::new("CLUSTER BY"));
    transaction.set_metadata(metadata);
    transaction.set_domain_metadata("delta.clustering", domain);
    let outcome = transaction.commit().await.expect("commit");
    assert!(matches!(outcome, CommitOutcome::Committed { .. }), "{outcome:?}");
}

/// Returns the actions of a table's files.
pub async fn adds(engine: &Engine, location: &Url) -> Vec<Arc<ingot_delta::Add>> {
    let table = engine.tables().open(location).await.expect("opened");
    let snapshot = table.snapshot().await.expect("snapshot");
    let index = snapshot.files().await.expect("files");
    (0..index.len()).map(|file| index.add(file)).collect()
}

/// Returns the seed of a random test: the same in every run, so that a build fails for what was changed in it, unless
/// `INGOT_TEST_SEED` is a number, or `random`.
pub fn seed() -> u64 {
    match std::env::var("INGOT_TEST_SEED") {
        Ok(seed) if seed == "random" => ingot_common::clock::random_below(u64::MAX),
        Ok(seed) => seed.parse().expect("a number, or `random`"),
        Err(_) => 0,
    }
}

/// SplitMix64. Source: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators".
pub struct Random(pub u64);

impl Random {
    /// Returns a number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % limit as u64).expect("below a usize")
    }

    /// Says yes once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// Returns one of `items`.
    pub fn of<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.below(items.len())]
    }
}
