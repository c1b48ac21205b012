//! RESTORE: an older version becomes the newest one again.
//!
//! ```text
//! newest ─┐                                   ┌ in the old version only ─► are they still there? ─► add
//!         ├─► difference by (path, vector) ───┤
//! old ────┘                                   └ in the newest only ─► remove
//! ```
//!
//! Always true: the table has afterwards exactly the rows, the schema and the properties of the old version, or
//! nothing has changed. Any commit that others made meanwhile makes the restore start over, so that its result is
//! never mixed with theirs. What must not go back stays: the protocol, since when commits carry their time, and the
//! numbers that columns and identity values have been given. Source: Spark, `RestoreTableCommand`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use ingot_common::clock;
use ingot_common::retry::RetryPolicy;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::Value;

use crate::features::{self, WriteOperation};
use crate::file_index::FileKey;
use crate::{
    Add, Author, CommitOutcome, ConflictReason, DeltaTable, Error, Metadata, Operation, OperationMetrics,
    ReadSet, Result, Snapshot, TimeTravel, row_tracking,
};

/// Files asked for at once.
const HEADS_MAX: usize = 32;

/// Missing files that an error names.
const MISSING_NAMED_MAX: usize = 100;

/// How often a restore starts over because others committed.
const RETRIES: RetryPolicy = RetryPolicy {
    retries_max: 20,
    pause_first: Duration::from_millis(10),
    pause_max: Duration::from_secs(1),
};

/// What a restore did.
#[derive(Debug, Clone)]
pub struct Restored {
    /// The table after it.
    pub snapshot: Arc<Snapshot>,
    /// Spark's: `tableSizeAfterRestore`, `numOfFilesAfterRestore`, `numRemovedFiles`, `numRestoredFiles`,
    /// `removedFilesSize`, `restoredFilesSize`.
    pub metrics: OperationMetrics,
}

impl DeltaTable {
    /// Makes the state at `point` the newest one.
    ///
    /// # Errors
    /// `NotFound` when the log does not reach to `point`; [`Error::RestoreNothing`] when that is the newest version;
    /// [`Error::RestoreFilesMissing`]; `Unsupported` for a feature that we cannot honour, and for a table that takes
    /// appends only. Nothing has changed then.
    pub async fn restore(
        self: &Arc<Self>,
        point: TimeTravel,
        operation: &Operation,
        author: &Author,
    ) -> Result<Restored> {
        let mut retries = RETRIES.attempts();
        let old = self.snapshot_at(point).await?;
        loop {
            let newest = self.snapshot().await?;
            if old.version() >= newest.version() {
                return Err(Error::RestoreNothing {
                    location: self.location().to_string(),
                    version: old.version(),
                });
            }
            match self.restore_once(&old, &newest, operation, author).await? {
                Ok(restored) => return Ok(restored),
                Err(_) if retries.pause().await => {}
                Err(reason) => {
                    return Err(Error::RestoreConflict {
                        location: self.location().to_string(),
                        reason,
                    });
                }
            }
        }
    }

    async fn restore_once(
        self: &Arc<Self>,
        old: &Arc<Snapshot>,
        newest: &Arc<Snapshot>,
        operation: &Operation,
        author: &Author,
    ) -> Result<Result<Restored, ConflictReason>> {
        let location = self.location().as_str();
        features::check_writable(location, old.protocol(), old.metadata(), WriteOperation::Append)?;
        let Difference { restored, removed } = difference(old, newest);
        self.check_present(&restored, old.version()).await?;
        let metrics = metrics(old, &restored, &removed);
        let mut transaction = self.table_transaction(newest, operation, author);
        let now = clock::now_ms();
        transaction.remove_files(removed.iter().map(|add| add.to_remove(now, true)));
        transaction.add_files(restored.iter().map(|add| Add {
            data_change: true,
            ..add.as_ref().clone()
        }));
        let protocol = features::merged(newest.protocol(), old.protocol());
        if protocol != *newest.protocol() {
            transaction.set_protocol(protocol);
        }
        // Also where it is the same: any rows that others add meanwhile then count as a conflict.
        transaction.set_metadata(restored_metadata(old.metadata(), newest.metadata()));
        for (domain, metadata) in old.domains() {
            let current = newest.domain_metadata(domain);
            if domain != row_tracking::DOMAIN && current != Some(metadata.configuration.as_str()) {
                transaction.set_domain_metadata(domain, metadata.configuration.as_str());
            }
        }
        let gone = newest
            .domains()
            .keys()
            .filter(|domain| !old.domains().contains_key(*domain));
        for domain in gone.filter(|domain| *domain != row_tracking::DOMAIN) {
            transaction.remove_domain_metadata(domain);
        }
        transaction.set_metrics(metrics.clone());
        Ok(match transaction.commit().await? {
            CommitOutcome::Committed { snapshot, .. } => Ok(Restored { snapshot, metrics }),
            CommitOutcome::Conflicted(reason) => Err(reason),
            CommitOutcome::AlreadyApplied { .. } => Ok(Restored {
                snapshot: Arc::clone(newest),
                metrics,
            }),
        })
    }

    fn table_transaction(
        self: &Arc<Self>,
        newest: &Arc<Snapshot>,
        operation: &Operation,
        author: &Author,
    ) -> crate::Transaction {
        let mut transaction = self.transaction(Arc::clone(newest), operation.clone());
        transaction.set_read_set(ReadSet::WholeTable);
        transaction.set_author(author.clone());
        transaction
    }

    /// Checks that files, and the files of their vectors, are still there.
    async fn check_present(&self, files: &[Arc<Add>], version: i64) -> Result<()> {
        let mut paths: HashSet<Path> = HashSet::new();
        for add in files {
            paths.insert(self.file_path(&add.path)?);
            if let Some(vector) = &add.deletion_vector {
                paths.extend(self.vector_path(vector)?);
            }
        }
        let (store, _) = self.store();
        let mut heads = stream::iter(paths)
            .map(|path| {
                let store = Arc::clone(&store);
                async move { (store.head(&path).await, path) }
            })
            .buffer_unordered(HEADS_MAX);
        let mut missing = Vec::new();
        while let Some((head, path)) = heads.next().await {
            match head {
                Ok(_) => {}
                Err(object_store::Error::NotFound { .. }) => missing.push(path.to_string()),
                Err(source) => {
                    return Err(Error::Store {
                        action: "head",
                        path: path.to_string(),
                        source,
                    });
                }
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort();
        let count = missing.len();
        missing.truncate(MISSING_NAMED_MAX);
        Err(Error::RestoreFilesMissing {
            location: self.location().to_string(),
            version,
            count,
            paths: missing,
        })
    }
}

/// What sets two versions apart.
struct Difference {
    restored: Vec<Arc<Add>>,
    removed: Vec<Arc<Add>>,
}

fn difference(old: &Snapshot, newest: &Snapshot) -> Difference {
    let keys = |snapshot: &Snapshot| -> HashSet<FileKey> {
        let adds = snapshot.file_index().adds();
        adds.map(|add| FileKey::of_add(&add)).collect()
    };
    let lacking = |snapshot: &Snapshot, keys: &HashSet<FileKey>| -> Vec<Arc<Add>> {
        let adds = snapshot.file_index().adds();
        adds.filter(|add| !keys.contains(&FileKey::of_add(add))).collect()
    };
    Difference {
        restored: lacking(old, &keys(newest)),
        removed: lacking(newest, &keys(old)),
    }
}

fn metrics(old: &Snapshot, restored: &[Arc<Add>], removed: &[Arc<Add>]) -> OperationMetrics {
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let bytes = |files: &[Arc<Add>]| files.iter().map(|add| add.size).sum();
    let size: u64 = old.file_index().sizes().iter().flatten().sum();
    let mut metrics = OperationMetrics::default();
    for (name, value) in [
        ("tableSizeAfterRestore", i64::try_from(size).unwrap_or(i64::MAX)),
        ("numOfFilesAfterRestore", count(old.file_index().len())),
        ("numRemovedFiles", count(removed.len())),
        ("numRestoredFiles", count(restored.len())),
        ("removedFilesSize", bytes(removed)),
        ("restoredFilesSize", bytes(restored)),
    ] {
        metrics.increase(name, value);
    }
    metrics
}

/// Returns the old metadata, but for what never goes back.
pub(crate) fn restored_metadata(old: &Metadata, newest: &Metadata) -> Metadata {
    const COLUMN_ID_MAX: &str = "delta.columnMapping.maxColumnId";
    let mut metadata = old.clone();
    let of_log = |key: &String| key == features::IN_COMMIT_TIMESTAMPS || features::of_log(key);
    metadata.configuration.retain(|key, _| !of_log(key));
    let kept = newest.configuration.iter().filter(|(key, _)| of_log(key));
    metadata
        .configuration
        .extend(kept.map(|(key, value)| (key.clone(), value.clone())));
    let id_max =
        |metadata: &Metadata| -> Option<i64> { metadata.configuration.get(COLUMN_ID_MAX)?.parse().ok() };
    if let (Some(old), Some(newest)) = (id_max(old), id_max(newest)) {
        metadata
            .configuration
            .insert(COLUMN_ID_MAX.to_owned(), old.max(newest).to_string());
    }
    metadata.schema_string = with_high_water_marks(&old.schema_string, &newest.schema_string);
    metadata
}

/// Returns the schema `old` with the newest marks of identity columns: no value is given twice.
fn with_high_water_marks(old: &str, newest: &str) -> String {
    const MARK: &str = "delta.identity.highWaterMark";
    let parsed = (
        serde_json::from_str::<Value>(old),
        serde_json::from_str::<Value>(newest),
    );
    let (Ok(mut schema), Ok(newest)) = parsed else {
        return old.to_owned();
    };
    let mut changed = false;
    for field in schema["fields"].as_array_mut().into_iter().flatten() {
        let fields = newest["fields"].as_array().into_iter().flatten();
        let Some(same) = fields.into_iter().find(|other| other["name"] == field["name"]) else {
            continue;
        };
        let (step, newer) = (
            same["metadata"]["delta.identity.step"].as_i64(),
            same["metadata"][MARK].as_i64(),
        );
        let (Some(step), Some(newer)) = (step, newer) else {
            continue;
        };
        let older = field["metadata"][MARK].as_i64().unwrap_or(newer);
        let further = if step < 0 {
            older.min(newer)
        } else {
            older.max(newer)
        };
        if field["metadata"]["delta.identity.step"].is_i64()
            && field["metadata"][MARK].as_i64() != Some(further)
        {
            field["metadata"][MARK] = further.into();
            changed = true;
        }
    }
    match changed {
        true => schema.to_string(),
        false => old.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(schema: &str, properties: &[(&str, &str)]) -> Metadata {
        Metadata {
            id: "id".to_owned(),
            name: None,
            description: None,
            format: crate::action::Format::default(),
            schema_string: schema.to_owned(),
            partition_columns: Vec::new(),
            created_time: None,
            configuration: properties
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn what_was_given_out_does_not_come_back() {
        let schema = |mark: i64| {
            format!(
                r#"{{"type":"struct","fields":[{{"name":"id","type":"long","nullable":true,"metadata":{{"delta.identity.start":1,"delta.identity.step":1,"delta.identity.highWaterMark":{mark}}}}}]}}"#
            )
        };
        let old = metadata(
            &schema(4),
            &[("delta.columnMapping.maxColumnId", "2"), ("mine", "old")],
        );
        let newest = metadata(
            &schema(9),
            &[
                ("delta.columnMapping.maxColumnId", "5"),
                ("delta.enableInCommitTimestamps", "true"),
                ("mine", "new"),
            ],
        );
        let restored = restored_metadata(&old, &newest);
        assert_eq!(restored.schema_string, schema(9));
        let property = |key: &str| restored.configuration.get(key).map(String::as_str);
        assert_eq!(property("delta.columnMapping.maxColumnId"), Some("5"));
        assert_eq!(property("delta.enableInCommitTimestamps"), Some("true"));
        assert_eq!(property("mine"), Some("old"));
    }
}
