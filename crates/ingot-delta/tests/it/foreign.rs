//! Tables as other writers leave them: logs made by hand.

use ingot_delta::{DeltaTable, DeltaTables, TablesOptions};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use url::Url;

/// A folder with a log that is written by hand.
pub struct ForeignTable {
    folder: TempDir,
}

impl ForeignTable {
    /// Makes a table whose commit 0 holds `actions`.
    pub fn new(actions: &[Value]) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::create_dir_all(folder.path().join("_delta_log")).expect("folder of the log");
        let table = Self { folder };
        table.commit(0, actions);
        table
    }

    /// Makes a table `(id bigint, day date, name string)` partitioned by `day`, protocol (1,2).
    pub fn partitioned() -> Self {
        let fields = json!([
            {"name": "id", "type": "long", "nullable": true, "metadata": {"comment": "the key"}},
            {"name": "day", "type": "date", "nullable": true, "metadata": {}},
            {"name": "name", "type": "string", "nullable": true, "metadata": {}},
        ]);
        Self::new(&[protocol(1, 2), metadata("table-1", &fields, &["day"], json!({}))])
    }

    pub fn commit(&self, version: i64, actions: &[Value]) {
        let lines: Vec<String> = actions.iter().map(ToString::to_string).collect();
        let path = self.log_file(&format!("{version:020}.json"));
        let staged = path.with_extension("staged");
        std::fs::write(&staged, lines.join("\n")).expect("commit file");
        std::fs::rename(staged, path).expect("commit file");
    }

    pub fn log_file(&self, name: &str) -> PathBuf {
        self.folder.path().join("_delta_log").join(name)
    }

    pub fn remove_commits(&self, versions: std::ops::Range<i64>) {
        for version in versions {
            std::fs::remove_file(self.log_file(&format!("{version:020}.json"))).expect("commit file");
        }
    }

    /// Sets when commit `version` was made, as the file system tells it.
    pub fn set_modified(&self, version: i64, timestamp_ms: u64) {
        let path = self.log_file(&format!("{version:020}.json"));
        let file = std::fs::File::options()
            .append(true)
            .open(path)
            .expect("commit file");
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(timestamp_ms);
        file.set_modified(time).expect("modification time");
    }

    pub fn location(&self) -> Url {
        Url::from_directory_path(self.folder.path()).expect("url")
    }

    pub fn path(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Opens the table as a process would that has not seen it before.
    pub async fn open(&self) -> Arc<DeltaTable> {
        tables().open(&self.location()).await.expect("opened")
    }
}

pub fn tables() -> DeltaTables {
    DeltaTables::new(TablesOptions::default())
}

pub fn protocol(reader: i32, writer: i32) -> Value {
    json!({"protocol": {"minReaderVersion": reader, "minWriterVersion": writer}})
}

pub fn features(reader: &[&str], writer: &[&str]) -> Value {
    json!({"protocol": {
        "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": reader, "writerFeatures": writer,
    }})
}

pub fn metadata(id: &str, fields: &Value, partition_columns: &[&str], configuration: Value) -> Value {
    let schema = json!({"type": "struct", "fields": fields});
    json!({"metaData": {
        "id": id,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": schema.to_string(),
        "partitionColumns": partition_columns,
        "configuration": configuration,
        "createdTime": 1_700_000_000_000_i64,
    }})
}

/// An `add` of one file of the partition `day`, with bounds of `id`.
pub fn add(path: &str, day: Option<&str>, id: i64) -> Value {
    let stats = json!({
        "numRecords": 1,
        "minValues": {"id": id, "name": "a"},
        "maxValues": {"id": id, "name": "a"},
        "nullCount": {"id": 0, "name": 0},
    });
    json!({"add": {
        "path": path,
        "partitionValues": {"day": day},
        "size": 100,
        "modificationTime": 1_700_000_000_000_i64,
        "dataChange": true,
        "stats": stats.to_string(),
    }})
}

pub fn remove(path: &str, deletion_timestamp: i64) -> Value {
    json!({"remove": {
        "path": path, "deletionTimestamp": deletion_timestamp, "dataChange": true,
        "extendedFileMetadata": true, "partitionValues": {"day": null}, "size": 100,
    }})
}

pub fn txn(app_id: &str, version: i64) -> Value {
    json!({"txn": {"appId": app_id, "version": version, "lastUpdated": 1_700_000_000_000_i64}})
}
