//! V2 checkpoints: what the table is in one file, the actions on its files in sidecars.
//!
//! A sidecar is encoded and written before the next one is begun, so memory holds one of them. Those of a checkpoint
//! that was not completed are named by nothing; log cleanup deletes them when they are a day old.
//! Source: Delta protocol, "V2 Spec", "Sidecar Files".

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use ingot_common::clock;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutPayload};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Encoded, FileAction, LastCheckpoint, Row, SCHEMA, encode, encode_apart, file_actions, map, record,
    small_rows, store_error,
};
use crate::{DeltaTable, Error, Result, Snapshot};

/// The folder of sidecars, in that of the log.
pub(crate) const SIDECARS: &str = "_sidecars";

/// Actions in a sidecar at most.
const SIDECAR_ACTIONS_MAX: usize = 50_000;

/// The property that chooses between the layouts.
const POLICY: &str = "delta.checkpointPolicy";

/// Says of itself that the checkpoint is one of V2.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CheckpointMetadata {
    pub version: i64,
}

/// A file with the actions of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sidecar {
    /// The file's name in [`SIDECARS`].
    pub path: String,
    pub size_in_bytes: i64,
    /// Milliseconds since the epoch.
    pub modification_time: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<HashMap<String, String>>,
}

/// What `_last_checkpoint` says of a V2 checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct V2Checkpoint {
    /// The file's name in the log.
    path: String,
    size_in_bytes: i64,
    modification_time: i64,
}

/// Says if the table has V2 checkpoints.
pub(super) fn wanted(snapshot: &Snapshot) -> bool {
    let policy = snapshot.properties().get(POLICY);
    let listed = |list: &Option<Vec<String>>| list.iter().flatten().any(|feature| feature == "v2Checkpoint");
    policy.is_some_and(|policy| policy.eq_ignore_ascii_case("v2"))
        && listed(&snapshot.protocol().reader_features)
        && listed(&snapshot.protocol().writer_features)
}

impl DeltaTable {
    /// Writes sidecars, then the checkpoint that names them.
    pub(super) async fn put_v2_checkpoint(&self, snapshot: &Arc<Snapshot>) -> Result<()> {
        let version = snapshot.version();
        if self
            .last_checkpoint()
            .await?
            .is_some_and(|present| present.version == version)
        {
            return Ok(());
        }
        let now_ms = clock::now_ms();
        let tombstones = self.tombstones(snapshot, now_ms).await?;
        let files = file_actions(snapshot, tombstones, now_ms);
        let mut rows = vec![Row {
            checkpoint_metadata: Some(CheckpointMetadata { version }),
            ..Row::default()
        }];
        rows.extend(small_rows(snapshot, now_ms));
        let mut actions = rows.len() + files.len();
        let mut bytes = 0;
        for part in files.chunks(SIDECAR_ACTIONS_MAX) {
            let sidecar = self.put_sidecar(part.to_vec()).await?;
            bytes += sidecar.size_in_bytes;
            actions += 1;
            rows.push(Row {
                sidecar: Some(sidecar),
                ..Row::default()
            });
        }
        let name = format!("{version:020}.checkpoint.{}.parquet", Uuid::new_v4());
        let path = self.log_root().join(name.as_str());
        let encoded = encode_apart(&path, move || encode(&TOP_SCHEMA, rows.into_iter())).await?;
        let size_in_bytes = length(&encoded);
        let hint = LastCheckpoint {
            version,
            size: i64::try_from(actions).unwrap_or(i64::MAX),
            size_in_bytes: Some(bytes + size_in_bytes),
            num_of_add_files: i64::try_from(snapshot.file_index().len()).ok(),
            v2_checkpoint: Some(V2Checkpoint {
                path: name,
                size_in_bytes,
                modification_time: clock::now_ms(),
            }),
        };
        // Reading and encoding took a while. In another table's log a checkpoint would pass for its state.
        self.check_same_log(snapshot).await?;
        self.put_new(&path, encoded).await?;
        self.keep_checkpoint(snapshot, &path).await?;
        self.put_last_checkpoint(&hint).await
    }

    async fn put_sidecar(&self, files: Vec<FileAction>) -> Result<Sidecar> {
        let name = format!("{}.parquet", Uuid::new_v4());
        let path = self.log_root().join(SIDECARS).join(name.as_str());
        let encoded = encode_apart(&path, move || {
            encode(&SIDECAR_SCHEMA, files.into_iter().map(Row::of))
        })
        .await?;
        let size_in_bytes = length(&encoded);
        self.put_new(&path, encoded).await?;
        Ok(Sidecar {
            path: name,
            size_in_bytes,
            modification_time: clock::now_ms(),
            tags: None,
        })
    }

    async fn put_new(&self, path: &Path, encoded: Encoded) -> Result<()> {
        let (store, _) = self.store();
        let put = store
            .put_opts(path, PutPayload::from(encoded.bytes), PutMode::Create.into())
            .await;
        put.map(drop).map_err(|source| store_error("write", path, source))
    }

    /// Returns the names of the sidecars that a checkpoint in the log names.
    ///
    /// # Errors
    /// `DataLoss` for a file that cannot be read as a checkpoint.
    pub(crate) async fn sidecars_of(&self, checkpoint: &Path) -> Result<Vec<String>> {
        let (store, _) = self.store();
        let file = store.get(checkpoint).await;
        let bytes = match file {
            Ok(file) => file.bytes().await,
            Err(source) => Err(source),
        };
        let bytes = bytes.map_err(|source| store_error("read", checkpoint, source))?;
        let corrupt = |message: String| Error::CorruptLog {
            location: self.location().to_string(),
            message: format!("checkpoint {checkpoint}: {message}"),
        };
        match checkpoint.extension() {
            Some("json") => sidecars_in_json(&bytes).map_err(|error| corrupt(error.to_string())),
            _ => sidecars_in_parquet(bytes).map_err(|error| corrupt(error.to_string())),
        }
    }
}

fn length(encoded: &Encoded) -> i64 {
    i64::try_from(encoded.bytes.len()).unwrap_or(i64::MAX)
}

fn sidecars_in_json(bytes: &[u8]) -> Result<Vec<String>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Line {
        sidecar: Option<Sidecar>,
    }
    let lines = bytes.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.trim_ascii().is_empty());
    let sidecars = lines.map(|line| Ok(serde_json::from_slice::<Line>(line)?.sidecar));
    let sidecars: Vec<Option<Sidecar>> = sidecars.collect::<Result<_, serde_json::Error>>()?;
    Ok(sidecars
        .into_iter()
        .flatten()
        .map(|sidecar| sidecar.path)
        .collect())
}

fn sidecars_in_parquet(bytes: Bytes) -> Result<Vec<String>, ParquetError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let mask = ProjectionMask::columns(reader.parquet_schema(), ["sidecar.path"]);
    let mut names = Vec::new();
    for batch in reader.with_projection(mask).build()? {
        let batch = batch?;
        let column = batch
            .column_by_name("sidecar")
            .and_then(|column| column.as_struct_opt());
        let Some(paths) = column.and_then(|column| column.column_by_name("path")?.as_string_opt::<i32>())
        else {
            continue;
        };
        names.extend(paths.iter().flatten().map(str::to_owned));
    }
    Ok(names)
}

/// The columns of a V2 checkpoint's own file.
static TOP_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let own = ["txn", "metaData", "protocol", "domainMetadata"];
    let kept = SCHEMA
        .fields()
        .iter()
        .filter(|field| own.contains(&field.name().as_str()));
    let mut fields: Vec<Arc<Field>> = kept.cloned().collect();
    let metadata = record([("version", DataType::Int64), ("tags", map(DataType::Utf8))]);
    let sidecar = record([
        ("path", DataType::Utf8),
        ("sizeInBytes", DataType::Int64),
        ("modificationTime", DataType::Int64),
        ("tags", map(DataType::Utf8)),
    ]);
    fields.push(Arc::new(Field::new("checkpointMetadata", metadata, true)));
    fields.push(Arc::new(Field::new("sidecar", sidecar, true)));
    Arc::new(Schema::new(fields))
});

/// The columns of a sidecar.
static SIDECAR_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let fields = SCHEMA.fields().iter();
    let fields = fields.filter(|field| ["add", "remove"].contains(&field.name().as_str()));
    Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()))
});
