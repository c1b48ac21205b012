//! VACUUM: deletes the files of a table that no retained version needs.
//!
//! ```text
//! snapshot ─► files that are needed: live ones, tombstones within retention, their deletion vectors
//!                                    │
//! FULL: every file in the folder ────┤ minus those ─► older than retention ─► VACUUM START ─► delete ─► VACUUM END
//! LITE: what old commits removed ────┘
//! ```
//!
//! Always true: a version that was the newest at any instant within retention can be read afterwards, with its
//! change data. A file that nothing names stays while it is younger than the retention: its writer may be about to
//! commit it. All files are classified before the first is deleted; those that a commit brought back meanwhile stay.
//! Files of others are left alone: in folders that begin with `_` or `.` and are no partition's, and outside of
//! the table's folder, where a shallow clone has its files.
//! Source: Delta protocol, "VACUUM"; Spark, `VacuumCommand`.

mod classify;
mod lite;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use ingot_common::clock;
use ingot_common::retry::RetryPolicy;
use object_store::ObjectMeta;
use object_store::path::Path;

use self::classify::{Folder, is_change_data};
use crate::action::DeletionVectorDescriptor;
use crate::commit_time::commit_time_ms;
use crate::features::{self, WriteOperation};
use crate::retention::Retention;
use crate::table::read_commit_file;
use crate::{
    Action, Author, CommitOutcome, DeltaTable, Error, Operation, OperationMetrics, Result, Snapshot, action,
    table,
};

/// Paths that a dry run returns at most. Source: Databricks, VACUUM.
const DRY_RUN_PATHS_MAX: usize = 1000;

/// How often the commits that tell of a VACUUM start over after losing a race.
const COMMIT_RETRIES: RetryPolicy = RetryPolicy {
    retries_max: 20,
    pause_first: Duration::from_millis(10),
    pause_max: Duration::from_secs(1),
};

/// What a VACUUM is to do.
#[derive(Debug, Clone)]
pub struct VacuumOptions {
    /// Milliseconds; `delta.deletedFileRetentionDuration` when `None`.
    pub retention_ms: Option<i64>,
    /// Refuse a retention shorter than the table's.
    pub check_retention: bool,
    pub mode: VacuumMode,
    /// Delete nothing.
    pub dry_run: bool,
    /// Who vacuums.
    pub author: Author,
}

/// How files to delete are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VacuumMode {
    /// By listing the table's folder: finds also what no commit ever named.
    Full,
    /// By reading the log.
    Lite,
}

/// What a VACUUM did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vacuumed {
    /// Of a dry run: where the files are, at most 1,000 of them.
    pub paths: Vec<String>,
    pub files: usize,
    /// Bytes; what the store or the log says.
    pub bytes: u64,
}

/// Files that may go.
#[derive(Debug, Default)]
struct Deletable {
    files: Vec<(Path, u64)>,
    folders: usize,
    /// Up to which commit the log has been dealt with. Of LITE.
    version: Option<i64>,
}

/// One VACUUM of a table.
struct Vacuum<'a> {
    table: &'a Arc<DeltaTable>,
    options: &'a VacuumOptions,
    snapshot: Arc<Snapshot>,
    /// The table's own retention, milliseconds.
    configured_ms: i64,
    /// What was no longer part of the table before this instant is needed by nobody.
    cutoff_ms: i64,
}

impl DeltaTable {
    /// Deletes the files that no retained version needs.
    ///
    /// # Errors
    /// [`Error::VacuumRetentionTooShort`]; [`Error::VacuumLiteImpossible`]; `Unsupported` for a table whose protocol
    /// we do not know. `Unavailable` when the store fails: what was deleted stays deleted, and a repetition goes on.
    pub async fn vacuum(self: &Arc<Self>, options: &VacuumOptions) -> Result<Vacuumed> {
        let snapshot = self.snapshot().await?;
        features::check_writable(
            self.location().as_str(),
            snapshot.protocol(),
            snapshot.metadata(),
            WriteOperation::Append,
        )?;
        let configured_ms = Retention::of(snapshot.properties()).deleted_files_ms;
        let retention_ms = options.retention_ms.unwrap_or(configured_ms);
        if options.check_retention && retention_ms < configured_ms {
            return Err(Error::VacuumRetentionTooShort {
                configured_ms,
                asked_ms: retention_ms,
            });
        }
        let vacuum = Vacuum {
            table: self,
            options,
            snapshot,
            configured_ms,
            cutoff_ms: clock::now_ms().saturating_sub(retention_ms),
        };
        vacuum.run().await
    }
}

impl Vacuum<'_> {
    async fn run(&self) -> Result<Vacuumed> {
        let needed = self.needed().await?;
        let mut deletable = match self.options.mode {
            VacuumMode::Full => self.untracked(&needed).await?,
            VacuumMode::Lite => self.removed_long_ago(&needed).await?,
        };
        deletable.files.sort_unstable();
        if self.options.dry_run {
            return self.would_delete(&deletable);
        }
        let started = self.begin(&deletable).await?;
        self.keep_what_came_back(&started, &mut deletable).await?;
        let outcome = self.delete(&deletable).await;
        self.end(outcome.as_ref().ok(), deletable.folders).await?;
        let vacuumed = outcome?;
        if let Some(version) = deletable.version {
            self.remember(version).await;
        }
        Ok(vacuumed)
    }

    /// Lists the files within the table's folder that a retained version needs.
    async fn needed(&self) -> Result<HashSet<Path>> {
        let mut needed = HashSet::new();
        for add in self.snapshot.file_index().adds() {
            self.insert(&mut needed, &add.path, add.deletion_vector.as_ref())?;
        }
        for tombstone in self.table.kernel().tombstones(self.snapshot.version()).await? {
            // One that does not say when stays as long as the log keeps it.
            let gone = tombstone.deletion_timestamp.is_some_and(|at| at < self.cutoff_ms);
            if !gone {
                self.insert(&mut needed, &tombstone.path, tombstone.deletion_vector.as_ref())?;
            }
        }
        // Checkpoints drop tombstones that are older than the table's own retention.
        let configured_cutoff = clock::now_ms().saturating_sub(self.configured_ms);
        if self.cutoff_ms < configured_cutoff {
            for action in self.retained_actions().await? {
                if let Action::Remove(remove) = action {
                    self.insert(&mut needed, &remove.path, remove.deletion_vector.as_ref())?;
                }
            }
        }
        Ok(needed)
    }

    fn insert(
        &self,
        needed: &mut HashSet<Path>,
        path: &str,
        vector: Option<&DeletionVectorDescriptor>,
    ) -> Result<()> {
        needed.extend(self.own_file(path));
        if let Some(vector) = vector {
            needed.extend(self.own_vector(vector)?);
        }
        Ok(())
    }

    /// Returns where a file is, if it is in the table's folder.
    fn own_file(&self, action_path: &str) -> Option<Path> {
        let path = self.table.file_path(action_path).ok()?;
        path.prefix_matches(&self.table.place().root).then_some(path)
    }

    /// Returns the file of a deletion vector, if it has one in the table's folder.
    fn own_vector(&self, vector: &DeletionVectorDescriptor) -> Result<Option<Path>> {
        let path = match self.table.vector_path(vector) {
            Ok(path) => path,
            // In another store: not ours to delete.
            Err(Error::InvalidArgument { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(path.filter(|path| path.prefix_matches(&self.table.place().root)))
    }

    /// Reads what the commits did that were made within retention.
    async fn retained_actions(&self) -> Result<Vec<Action>> {
        let (store, _) = self.table.store();
        let times = self.table.log_files().await?.modification_times();
        let mut retained = Vec::new();
        for (version, modified_ms) in times.into_iter().rev() {
            let Some(commit) = read_commit_file(store.as_ref(), self.table.log(), version).await? else {
                continue;
            };
            let actions = table::parse_actions(self.table.location(), version, &commit.bytes)?;
            let info = action::commit_info(&actions);
            let metadata = self.snapshot.metadata();
            if commit_time_ms(metadata, version, info, modified_ms) < self.cutoff_ms {
                break;
            }
            retained.extend(actions);
        }
        Ok(retained)
    }

    /// Lists the files of the table's folder that nobody needs and that are old.
    async fn untracked(&self, needed: &HashSet<Path>) -> Result<Deletable> {
        let (store, root) = self.table.store();
        let folder = Folder::new(&root, self.snapshot.partition_columns());
        let mut folders: HashSet<Path> = HashSet::new();
        let mut files: Vec<ObjectMeta> = Vec::new();
        let mut listing = store.list(Some(&root));
        let failed = |source| Error::Store {
            action: "list",
            path: root.to_string(),
            source,
        };
        while let Some(meta) = listing.try_next().await.map_err(failed)? {
            if folder.hides(&meta.location) {
                continue;
            }
            folders.extend(classify::parent(&meta.location));
            let old = meta.last_modified.timestamp_millis() < self.cutoff_ms;
            if old && !needed.contains(&meta.location) {
                files.push(meta);
            }
        }
        if files.iter().any(|meta| is_change_data(&root, &meta.location)) {
            let retained = self.retained_actions().await?;
            let named: HashSet<Path> = retained
                .iter()
                .filter_map(classify::change_data_path)
                .filter_map(|path| self.own_file(path))
                .collect();
            files.retain(|meta| !named.contains(&meta.location));
        }
        let files = files.into_iter().map(|meta| (meta.location, meta.size));
        Ok(Deletable {
            files: files.collect(),
            folders: folders.len() + 1,
            version: None,
        })
    }

    fn would_delete(&self, deletable: &Deletable) -> Result<Vacuumed> {
        let first = deletable.files.iter().take(DRY_RUN_PATHS_MAX);
        Ok(Vacuumed {
            paths: first
                .map(|(path, _)| self.table.place().url_of(path).to_string())
                .collect(),
            files: deletable.files.len(),
            bytes: deletable.files.iter().map(|(_, bytes)| bytes).sum(),
        })
    }

    /// Commits that files will be deleted.
    async fn begin(&self, deletable: &Deletable) -> Result<Arc<Snapshot>> {
        let mut operation = Operation::new("VACUUM START")
            .with("retentionCheckEnabled", self.options.check_retention.to_string())
            .with("defaultRetentionMillis", self.configured_ms.to_string());
        if let Some(retention_ms) = self.options.retention_ms {
            operation = operation.with("specifiedRetentionMillis", retention_ms.to_string());
        }
        let bytes: u64 = deletable.files.iter().map(|(_, bytes)| bytes).sum();
        let mut metrics = OperationMetrics::default();
        metrics.increase("numFilesToDelete", count(deletable.files.len()));
        metrics.increase("sizeOfDataToDelete", i64::try_from(bytes).unwrap_or(i64::MAX));
        self.record(operation, metrics).await
    }

    /// Commits how it went.
    async fn end(&self, vacuumed: Option<&Vacuumed>, folders: usize) -> Result<()> {
        let status = match vacuumed {
            Some(_) => "COMPLETED",
            None => "FAILED",
        };
        let mut metrics = OperationMetrics::default();
        if let Some(vacuumed) = vacuumed {
            metrics.increase("numDeletedFiles", count(vacuumed.files));
            metrics.increase("numVacuumedDirectories", count(folders));
        }
        let operation = Operation::new("VACUUM END").with("status", status);
        match self.record(operation, metrics).await {
            Ok(_) => Ok(()),
            // The failure that led here is the one to report.
            Err(error) if vacuumed.is_none() => {
                tracing::warn!(%error, "a VACUUM that failed could not say so in the log");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn record(&self, operation: Operation, metrics: OperationMetrics) -> Result<Arc<Snapshot>> {
        let mut retries = COMMIT_RETRIES.attempts();
        loop {
            let read = self.table.snapshot().await?;
            let mut transaction = self.table.transaction(read, operation.clone());
            transaction.set_metrics(metrics.clone());
            transaction.set_author(self.options.author.clone());
            match transaction.commit().await? {
                CommitOutcome::Committed { snapshot, .. } => return Ok(snapshot),
                CommitOutcome::AlreadyApplied { .. } | CommitOutcome::Conflicted(_) => {
                    if !retries.pause().await {
                        return Err(Error::CommitRetriesExhausted {
                            location: self.table.location().to_string(),
                            retries: COMMIT_RETRIES.retries_max,
                        });
                    }
                }
            }
        }
    }

    /// Takes out of the list what commits made part of the table again since it was made, as RESTORE does.
    async fn keep_what_came_back(&self, started: &Snapshot, deletable: &mut Deletable) -> Result<()> {
        if started.version() == self.snapshot.version() + 1 {
            return Ok(());
        }
        let mut live = HashSet::new();
        for add in started.file_index().adds() {
            self.insert(&mut live, &add.path, add.deletion_vector.as_ref())?;
        }
        deletable.files.retain(|(path, _)| !live.contains(path));
        Ok(())
    }

    async fn delete(&self, deletable: &Deletable) -> Result<Vacuumed> {
        let (store, root) = self.table.store();
        let paths: Vec<object_store::Result<Path>> =
            deletable.files.iter().map(|(path, _)| Ok(path.clone())).collect();
        let mut deleted = store.delete_stream(stream::iter(paths).boxed());
        let mut files = 0;
        while let Some(outcome) = deleted.next().await {
            match outcome {
                Ok(_) => files += 1,
                Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => {
                    return Err(Error::Store {
                        action: "delete from",
                        path: root.to_string(),
                        source,
                    });
                }
            }
        }
        Ok(Vacuumed {
            paths: Vec::new(),
            files,
            bytes: deletable.files.iter().map(|(_, bytes)| bytes).sum(),
        })
    }
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
