//! Checkpoints: the state of one version in Parquet, so that readers need not replay every commit.
//!
//! One writer for all tables, and two layouts: a V1 checkpoint is one file under the classic name; a V2 checkpoint
//! (`delta.checkpointPolicy` is `v2`) keeps its files' actions in sidecars of bounded size. The kernel's own writer is
//! not used because it refuses tables with CHECK constraints, generated or identity columns, although their checkpoints
//! are the same.
//!
//! ```text
//! add of the snapshot ─────────────────────────────┐
//! tombstones of the log, not expired, not live ────┴─► V1: rows of the file │ V2: _sidecars/<id>.parquet, one by one
//! protocol, metaData, txn, domainMetadata (sidecar) ─► rows ─► Parquet ─► put if absent ─► _last_checkpoint
//! ```
//!
//! Always true: a checkpoint is complete or absent, and its sidecars are on disk before it; one that exists is never
//! replaced; `_last_checkpoint` never moves back. Statistics stay JSON (`stats`), as the protocol's default is.
//! Refuses tables with a writer feature whose actions it may not know: it would drop them.
//! Source: Delta protocol, "Checkpoints", "Last Checkpoint File".

mod v2;

use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use ingot_common::clock;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutPayload};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};

pub(crate) use self::v2::SIDECARS;
use self::v2::{CheckpointMetadata, Sidecar, V2Checkpoint};
use crate::action::DomainMetadata;
use crate::file_index::FileKey;
use crate::retention::Retention;
use crate::{Add, DeltaTable, Error, Metadata, Protocol, Remove, Result, Snapshot, Txn};

/// Rows built at once.
const BATCH_ROWS: usize = 8192;

/// Rows per row group: readers hold one row group at a time, and statistics make rows long.
const ROW_GROUP_ROWS_MAX: usize = 65_536;

/// Writer features whose actions are all kept by a checkpoint of ours.
const WRITER_FEATURES: [&str; 29] = [
    "allowColumnDefaults",
    "appendOnly",
    "changeDataFeed",
    "checkConstraints",
    "checkpointProtection",
    "clustering",
    "columnMapping",
    "deletionVectors",
    "domainMetadata",
    "generatedColumns",
    "icebergCompatV1",
    "icebergCompatV2",
    "icebergCompatV3",
    "identityColumns",
    "inCommitTimestamp",
    "invariants",
    "materializePartitionColumns",
    "rowTracking",
    "timestampNtz",
    "timestampWithoutTimezone",
    "typeWidening",
    "typeWidening-preview",
    "v2Checkpoint",
    "vacuumProtocolCheck",
    "variantShredding",
    "variantShredding-preview",
    "variantType",
    "variantType-preview",
    "clustering-preview",
];

/// What `_last_checkpoint` says. Unknown fields of other writers are not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LastCheckpoint {
    version: i64,
    /// Actions in the checkpoint.
    size: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size_in_bytes: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    num_of_add_files: Option<i64>,
    /// Which of the version's checkpoints it is, where the name does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    v2_checkpoint: Option<V2Checkpoint>,
}

/// One row of a checkpoint: exactly one member is set.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<Protocol>,
    #[serde(rename = "metaData", skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    txn: Option<Txn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain_metadata: Option<DomainMetadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remove: Option<Remove>,
    #[serde(skip_serializing_if = "Option::is_none")]
    add: Option<Add>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint_metadata: Option<CheckpointMetadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sidecar: Option<Sidecar>,
}

/// An action on a file that a checkpoint keeps.
#[derive(Debug, Clone)]
enum FileAction {
    Add(Arc<Add>),
    Remove(Box<Remove>),
}

/// A file of a checkpoint in memory.
struct Encoded {
    bytes: Vec<u8>,
    rows: usize,
}

impl DeltaTable {
    /// Writes a checkpoint of the newest version, unless one exists. Returns its version.
    ///
    /// # Errors
    /// `Unsupported` when the table has a writer feature that this crate does not know; `Conflict` when the table was
    /// made anew, or its commit cleaned up, meanwhile.
    pub async fn checkpoint(&self) -> Result<i64> {
        let snapshot = self.snapshot().await?;
        let _one_at_a_time = self.checkpointing.lock().await;
        self.put_checkpoint(&snapshot).await?;
        Ok(snapshot.version())
    }

    /// Writes a checkpoint of `snapshot`, unless one is being written.
    pub(crate) async fn write_checkpoint(&self, snapshot: &Arc<Snapshot>) -> Result<()> {
        match self.checkpointing.try_lock() {
            Ok(_one_at_a_time) => self.put_checkpoint(snapshot).await,
            Err(_) => Ok(()),
        }
    }

    async fn put_checkpoint(&self, snapshot: &Arc<Snapshot>) -> Result<()> {
        self.check_writer_features(snapshot)?;
        match v2::wanted(snapshot) {
            true => self.put_v2_checkpoint(snapshot).await,
            false => self.put_v1_checkpoint(snapshot).await,
        }
    }

    async fn put_v1_checkpoint(&self, snapshot: &Arc<Snapshot>) -> Result<()> {
        let version = snapshot.version();
        let path = self.log_root().join(format!("{version:020}.checkpoint.parquet"));
        let (store, _) = self.store();
        match store.head(&path).await {
            Ok(_) => return Ok(()),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(source) => return Err(store_error("head", &path, source)),
        }
        let now_ms = clock::now_ms();
        let tombstones = self.tombstones(snapshot, now_ms).await?;
        let files = file_actions(snapshot, tombstones, now_ms);
        let rows = small_rows(snapshot, now_ms);
        let encoded = encode_apart(&path, move || {
            encode(&SCHEMA, rows.into_iter().chain(files.into_iter().map(Row::of)))
        })
        .await?;
        let hint = LastCheckpoint {
            version,
            size: i64::try_from(encoded.rows).unwrap_or(i64::MAX),
            size_in_bytes: i64::try_from(encoded.bytes.len()).ok(),
            num_of_add_files: i64::try_from(snapshot.file_index().len()).ok(),
            v2_checkpoint: None,
        };
        // Reading and encoding took a while. In another table's log a checkpoint would pass for its state.
        self.check_same_log(snapshot).await?;
        let payload = PutPayload::from(encoded.bytes);
        match store.put_opts(&path, payload, PutMode::Create.into()).await {
            Ok(_) => {}
            // Someone was faster, and will say so in `_last_checkpoint`.
            Err(object_store::Error::AlreadyExists { .. }) => return Ok(()),
            Err(source) => return Err(store_error("write", &path, source)),
        }
        self.keep_checkpoint(snapshot, &path).await?;
        self.put_last_checkpoint(&hint).await
    }

    /// Deletes a checkpoint that stands in another table's log by now.
    async fn keep_checkpoint(&self, snapshot: &Snapshot, path: &Path) -> Result<()> {
        let Err(replaced) = self.check_same_log(snapshot).await else {
            return Ok(());
        };
        if matches!(replaced, Error::LogReplaced { .. }) {
            let (store, _) = self.store();
            let deleted = store.delete(path).await;
            deleted.map_err(|source| store_error("delete", path, source))?;
        }
        Err(replaced)
    }

    /// Refuses to go on where the log is no longer the one that `snapshot` was read from.
    pub(crate) async fn check_same_log(&self, snapshot: &Snapshot) -> Result<()> {
        match self.holds(snapshot).await? {
            true => Ok(()),
            false => Err(Error::LogReplaced {
                location: self.location().to_string(),
                version: snapshot.version(),
            }),
        }
    }

    /// Returns the version of the last checkpoint that anyone told of.
    pub(crate) async fn last_checkpoint_version(&self) -> Result<Option<i64>> {
        Ok(self.last_checkpoint().await?.map(|hint| hint.version))
    }

    async fn last_checkpoint(&self) -> Result<Option<LastCheckpoint>> {
        let path = self.log_root().join("_last_checkpoint");
        let (store, _) = self.store();
        match store.get(&path).await {
            Ok(file) => {
                let bytes = file
                    .bytes()
                    .await
                    .map_err(|source| store_error("read", &path, source))?;
                Ok(serde_json::from_slice::<LastCheckpoint>(&bytes).ok())
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(store_error("read", &path, source)),
        }
    }

    /// Two writers may still cross here; the loser's older hint only costs readers a longer replay.
    async fn put_last_checkpoint(&self, hint: &LastCheckpoint) -> Result<()> {
        let path = self.log_root().join("_last_checkpoint");
        let (store, _) = self.store();
        let present = self.last_checkpoint().await?;
        if present.is_some_and(|present| present.version >= hint.version) {
            return Ok(());
        }
        let json = serde_json::to_vec(hint).map_err(|error| Error::Internal {
            message: format!("writing _last_checkpoint as JSON failed: {error}"),
        })?;
        let written = store.put(&path, PutPayload::from(json)).await;
        written
            .map(drop)
            .map_err(|source| store_error("write", &path, source))
    }

    fn check_writer_features(&self, snapshot: &Snapshot) -> Result<()> {
        let features = snapshot.protocol().writer_features.as_deref().unwrap_or_default();
        match features
            .iter()
            .find(|feature| !WRITER_FEATURES.contains(&feature.as_str()))
        {
            Some(feature) => Err(Error::UnsupportedFeature {
                location: self.location().to_string(),
                feature: feature.clone(),
                operation: "checkpoints",
            }),
            None => Ok(()),
        }
    }
}

impl Row {
    fn of(action: FileAction) -> Self {
        match action {
            FileAction::Add(add) => Self {
                add: Some(Add {
                    data_change: false,
                    ..Arc::unwrap_or_clone(add)
                }),
                ..Self::default()
            },
            FileAction::Remove(remove) => Self {
                remove: Some(Remove {
                    data_change: false,
                    ..*remove
                }),
                ..Self::default()
            },
        }
    }
}

/// Encodes on a thread that may block.
async fn encode_apart(
    path: &Path,
    encode: impl FnOnce() -> Result<Encoded, ParquetError> + Send + 'static,
) -> Result<Encoded> {
    let encoded = tokio::task::spawn_blocking(encode).await;
    let encoded = encoded.map_err(|error| Error::Internal {
        message: format!("encoding a checkpoint failed: {error}"),
    })?;
    encoded.map_err(|source| Error::Parquet {
        action: "encode",
        path: path.to_string(),
        source,
    })
}

/// Encodes rows as a Parquet file with the columns of `schema`.
fn encode(schema: &SchemaRef, rows: impl Iterator<Item = Row>) -> Result<Encoded, ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(schema), Some(properties))?;
    let mut count = 0;
    let mut block = Vec::with_capacity(BATCH_ROWS);
    for row in rows {
        block.push(row);
        count += 1;
        if block.len() == BATCH_ROWS {
            writer.write(&batch(schema, &block)?)?;
            block.clear();
        }
    }
    if !block.is_empty() {
        writer.write(&batch(schema, &block)?)?;
    }
    Ok(Encoded {
        bytes: writer.into_inner()?,
        rows: count,
    })
}

/// Returns the actions on files that are in force, and the tombstones that VACUUM still needs to know of.
fn file_actions(snapshot: &Snapshot, tombstones: Vec<Remove>, now_ms: i64) -> Vec<FileAction> {
    let removes =
        live_tombstones(snapshot, tombstones, now_ms).map(|remove| FileAction::Remove(Box::new(remove)));
    removes
        .chain(snapshot.file_index().adds().map(FileAction::Add))
        .collect()
}

/// Returns the rows of everything but files.
fn small_rows(snapshot: &Snapshot, now_ms: i64) -> Vec<Row> {
    let retention = Retention::of(snapshot.properties());
    let expired = |txn: &Txn| match (retention.transactions_ms, txn.last_updated) {
        (Some(kept_ms), Some(updated_ms)) => updated_ms < now_ms.saturating_sub(kept_ms),
        _ => false,
    };
    let mut rows = vec![
        Row {
            protocol: Some(snapshot.protocol().clone()),
            ..Row::default()
        },
        Row {
            metadata: Some(snapshot.metadata().clone()),
            ..Row::default()
        },
    ];
    let transactions = snapshot.app_transactions().values().filter(|txn| !expired(txn));
    rows.extend(transactions.map(|txn| Row {
        txn: Some(txn.clone()),
        ..Row::default()
    }));
    rows.extend(snapshot.domains().values().map(|domain| Row {
        domain_metadata: Some(domain.clone()),
        ..Row::default()
    }));
    rows
}

/// Returns the tombstones that VACUUM still needs to know of.
fn live_tombstones(
    snapshot: &Snapshot,
    tombstones: Vec<Remove>,
    now_ms: i64,
) -> impl Iterator<Item = Remove> + '_ {
    let kept_ms = Retention::of(snapshot.properties()).deleted_files_ms;
    let cutoff_ms = now_ms.saturating_sub(kept_ms);
    tombstones.into_iter().filter_map(move |remove| {
        let expired = remove.deletion_timestamp.unwrap_or_default() < cutoff_ms;
        let key = FileKey::new(&remove.path, remove.deletion_vector.as_ref());
        let kept = !expired && !snapshot.file_index().contains(&key);
        kept.then_some(remove)
    })
}

fn batch(schema: &SchemaRef, rows: &[Row]) -> Result<RecordBatch, ArrowError> {
    let mut decoder = ReaderBuilder::new(Arc::clone(schema))
        .with_batch_size(rows.len())
        .build_decoder()?;
    decoder.serialize(rows)?;
    let batch = decoder.flush()?;
    Ok(batch.unwrap_or_else(|| RecordBatch::new_empty(Arc::clone(schema))))
}

/// The columns of a V1 checkpoint. Source: Delta protocol, "Checkpoint Schema".
static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let string_map = || map(DataType::Utf8);
    let deletion_vector = || {
        record([
            ("storageType", DataType::Utf8),
            ("pathOrInlineDv", DataType::Utf8),
            ("offset", DataType::Int32),
            ("sizeInBytes", DataType::Int32),
            ("cardinality", DataType::Int64),
        ])
    };
    let strings = || DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)));
    let format = record([("provider", DataType::Utf8), ("options", string_map())]);
    let protocol = record([
        ("minReaderVersion", DataType::Int32),
        ("minWriterVersion", DataType::Int32),
        ("readerFeatures", strings()),
        ("writerFeatures", strings()),
    ]);
    let metadata = record([
        ("id", DataType::Utf8),
        ("name", DataType::Utf8),
        ("description", DataType::Utf8),
        ("format", format),
        ("schemaString", DataType::Utf8),
        ("partitionColumns", strings()),
        ("createdTime", DataType::Int64),
        ("configuration", string_map()),
    ]);
    let txn = record([
        ("appId", DataType::Utf8),
        ("version", DataType::Int64),
        ("lastUpdated", DataType::Int64),
    ]);
    let domain_metadata = record([
        ("domain", DataType::Utf8),
        ("configuration", DataType::Utf8),
        ("removed", DataType::Boolean),
    ]);
    let remove = record([
        ("path", DataType::Utf8),
        ("deletionTimestamp", DataType::Int64),
        ("dataChange", DataType::Boolean),
        ("extendedFileMetadata", DataType::Boolean),
        ("partitionValues", string_map()),
        ("size", DataType::Int64),
        ("tags", string_map()),
        ("deletionVector", deletion_vector()),
        ("baseRowId", DataType::Int64),
        ("defaultRowCommitVersion", DataType::Int64),
    ]);
    let add = record([
        ("path", DataType::Utf8),
        ("partitionValues", string_map()),
        ("size", DataType::Int64),
        ("modificationTime", DataType::Int64),
        ("dataChange", DataType::Boolean),
        ("stats", DataType::Utf8),
        ("tags", string_map()),
        ("deletionVector", deletion_vector()),
        ("baseRowId", DataType::Int64),
        ("defaultRowCommitVersion", DataType::Int64),
        ("clusteringProvider", DataType::Utf8),
    ]);
    Arc::new(Schema::new(fields([
        ("txn", txn),
        ("add", add),
        ("remove", remove),
        ("metaData", metadata),
        ("protocol", protocol),
        ("domainMetadata", domain_metadata),
    ])))
});

fn record<const N: usize>(members: [(&str, DataType); N]) -> DataType {
    DataType::Struct(fields(members))
}

fn fields<const N: usize>(members: [(&str, DataType); N]) -> Fields {
    members
        .into_iter()
        .map(|(name, data_type)| Field::new(name, data_type, true))
        .collect()
}

fn map(value: DataType) -> DataType {
    let entries = Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", value, true),
    ]);
    let entries = Field::new("key_value", DataType::Struct(entries), false);
    DataType::Map(Arc::new(entries), false)
}

fn store_error(action: &'static str, path: &Path, source: object_store::Error) -> Error {
    Error::Store {
        action,
        path: path.to_string(),
        source,
    }
}
