//! A project in a folder of its own, and the engine that updates it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::util::display::array_value_to_string;
use ingot_catalog::Metastore;
use ingot_common::{Identifier, Principal, RequestContext, TableName};
use ingot_delta::{DeltaTables, TablesOptions};
use ingot_engine::{Engine, EngineOptions, HistoryOptions, Session, StatementLimits};
use ingot_pipelines::{Mode, Project, Result, UpdateHandle, run_update};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use url::Url;

/// A pipeline named `p` whose datasets are in `main.lake`, beside a schema `main.raw` for its sources.
pub struct Lake {
    pub folder: tempfile::TempDir,
    pub engine: Engine,
}

impl Lake {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let engine = engine(folder.path()).await;
        let lake = Self { folder, engine };
        lake.run("CREATE SCHEMA main.raw").await;
        lake
    }

    /// Defines the project anew: one SQL file.
    pub fn define(&self, sql: &str) {
        self.define_as("p", sql);
    }

    /// Defines pipeline `name`.
    pub fn define_as(&self, name: &str, sql: &str) {
        let project = self.project_folder(name);
        fs::create_dir_all(&project).expect("folder");
        let settings =
            format!("name = \"{name}\"\nschema = \"lake\"\n[configuration]\ntwo_lines = \"1,\\n2\"\n");
        fs::write(project.join("pipeline.toml"), settings).expect("file");
        fs::write(project.join("a.sql"), sql).expect("file");
    }

    fn project_folder(&self, name: &str) -> PathBuf {
        self.folder.path().join("projects").join(name)
    }

    /// Folder of the updates' state.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub fn project(&self, name: &str) -> Result<Project> {
        Project::load(&self.project_folder(name), &BTreeMap::new())
    }

    /// Brings everything up to date.
    pub async fn update(&self) -> Result<()> {
        self.update_as("p").await
    }

    pub async fn update_as(&self, name: &str) -> Result<()> {
        let (handle, _events) = UpdateHandle::new();
        let project = self.project(name)?;
        let token = CancellationToken::new();
        run_update(
            &self.engine,
            &project,
            &self.state(),
            Mode::Triggered,
            &handle,
            token,
        )
        .await
    }

    pub fn session(&self) -> Session {
        let context = RequestContext::new(Principal::new("tester"));
        self.engine.session(&context).expect("session")
    }

    /// Runs a statement.
    pub async fn run(&self, statement: &str) {
        let ran = self.session().execute(statement).await;
        ran.map(drop)
            .unwrap_or_else(|error| panic!("{statement}: {}", ingot_common::error::chain(&error)));
    }

    /// Returns the rows of a query as text, columns parted by `|`, sorted.
    pub async fn rows(&self, query: &str) -> Vec<String> {
        let rows = self.session().query(query).await;
        let rows = rows.unwrap_or_else(|error| panic!("{query}: {}", ingot_common::error::chain(&error)));
        let batches = rows.collect().await.expect("rows");
        let mut lines: Vec<String> = batches.iter().flat_map(lines).collect();
        lines.sort();
        lines
    }

    /// Returns the version of a table of `main.lake`.
    pub async fn version(&self, table: &str) -> i64 {
        let part = |text| Identifier::new(text).expect("name");
        let name = TableName::new(part("main"), part("lake"), part(table));
        let (_, table) = self.session().open_table(&name).await.expect("table");
        table.snapshot().await.expect("snapshot").version()
    }

    /// Returns the details of the events of a kind for a dataset, oldest first.
    pub async fn events(&self, event_type: &str, dataset: &str) -> Vec<Value> {
        let query = format!(
            "SELECT details FROM main.lake.event_log_p WHERE event_type = '{event_type}' AND dataset = \
             'main.lake.{dataset}' ORDER BY timestamp, id"
        );
        let batches = self.session().query(&query).await.expect("query").collect().await;
        let batches = batches.expect("rows");
        let lines = batches.iter().flat_map(lines);
        lines
            .map(|line| serde_json::from_str(&line).expect("JSON"))
            .collect()
    }

    /// Sums what the event log tells of a dataset: rows in, rows out, and passed and failed of each expectation.
    pub async fn counted(&self, dataset: &str) -> (u64, u64, BTreeMap<String, (u64, u64)>) {
        let mut counted = (0, 0, BTreeMap::<String, (u64, u64)>::new());
        for event in self.events("flow_progress", dataset).await {
            let number = |of: &Value, name: &str| of[name].as_u64().expect("a count");
            counted.0 += number(&event, "rows_in");
            counted.1 += number(&event, "rows_out");
            for expectation in event["expectations"].as_array().expect("expectations") {
                let name = expectation["name"].as_str().expect("name").to_owned();
                let sums = counted.2.entry(name).or_default();
                sums.0 += number(expectation, "passed_records");
                sums.1 += number(expectation, "failed_records");
            }
        }
        counted
    }

    /// Puts a CSV file with a column `id` into the folder `landing`, whole.
    pub fn land(&self, name: &str, ids: impl IntoIterator<Item = i64>) {
        let landing = self.landing();
        fs::create_dir_all(&landing).expect("folder");
        let text: String = ids.into_iter().map(|id| format!("{id}\n")).collect();
        let staged = self.folder.path().join("staged");
        fs::write(&staged, format!("id\n{text}")).expect("file");
        fs::rename(staged, landing.join(name)).expect("rename");
    }

    pub fn landing(&self) -> PathBuf {
        self.folder.path().join("landing")
    }

    /// Waits until nobody holds a checkpoint: what an update that was dropped had under way on the disk ends by
    /// itself.
    pub async fn wait_for_release(&self) {
        let Ok(checkpoints) = fs::read_dir(self.state().join("checkpoints")) else {
            return;
        };
        for checkpoint in checkpoints {
            let path = checkpoint.expect("entry").path().join(".lock");
            let Ok(lock) = fs::File::options().write(true).open(path) else {
                continue;
            };
            let locked = tokio::task::spawn_blocking(move || lock.lock());
            locked.await.expect("task").expect("lock");
        }
    }
}

fn lines(batch: &RecordBatch) -> Vec<String> {
    let line = |row| {
        let values = batch
            .columns()
            .iter()
            .map(|column| array_value_to_string(column, row).expect("printable"));
        values.collect::<Vec<_>>().join("|")
    };
    (0..batch.num_rows()).map(line).collect()
}

async fn engine(directory: &Path) -> Engine {
    let root = directory.join("tables");
    fs::create_dir_all(&root).expect("directory");
    let root = Url::from_directory_path(root).expect("absolute path");
    let metastore = Metastore::open(&directory.join("metastore.db"), &root)
        .await
        .expect("metastore")
        .with_administrators(["tester"]);
    let options = EngineOptions {
        memory_bytes_max: 256 << 20,
        spill_directory: directory.join("spill"),
        target_partitions: 2,
        deletion_vectors: true,
        statements: StatementLimits::default(),
        result_cache_bytes_max: 16 << 20,
        history: HistoryOptions::default(),
    };
    let tables = DeltaTables::new(TablesOptions {
        sync: false,
        ..TablesOptions::default()
    });
    Engine::new(options, metastore, tables).expect("engine")
}

/// Prints a seed and makes dice of it.
pub fn dice() -> rand::rngs::StdRng {
    let seed = ingot_common::clock::random_below(u64::MAX);
    println!("seed {seed}");
    rand::SeedableRng::seed_from_u64(seed)
}
