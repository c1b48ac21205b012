//! SHALLOW CLONE: a table of its own over the files of another.
//!
//! ```text
//! source's snapshot ─► files and vectors under absolute paths ─► commit 0 of a new table
//!                                                              └► the next commit of one that is replaced
//! ```
//!
//! Always true: the clone copies no data and never deletes any of the source's (VACUUM stays within a table's
//! folder); what is written to it later lies in its own folder. The other way round there is no such promise: a
//! VACUUM of the source takes files that only the clone still needs. Source: Spark, `CloneTableBase`.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use ingot_common::clock;
use ingot_common::retry::RetryPolicy;
use url::Url;
use uuid::Uuid;

use crate::features::{self, IN_COMMIT_TIMESTAMPS, WriteOperation};
use crate::file_index::FileKey;
use crate::table::Place;
use crate::{
    Action, Add, Author, CommitInfo, CommitOutcome, DeltaTable, DeltaTables, Error, Metadata, Operation,
    OperationMetrics, ReadSet, Result, Snapshot, action, properties, row_tracking,
};

/// How often the replacement of a table starts over because others committed.
const RETRIES: RetryPolicy = RetryPolicy {
    retries_max: 20,
    pause_first: Duration::from_millis(10),
    pause_max: Duration::from_secs(1),
};

/// A table to clone.
#[derive(Debug, Clone)]
pub struct CloneSource {
    pub table: Arc<DeltaTable>,
    /// The version to clone.
    pub snapshot: Arc<Snapshot>,
    /// Properties that the clone has instead of the source's.
    pub properties: BTreeMap<String, String>,
    /// The name of the source, for the history.
    pub name: String,
    /// Who clones.
    pub author: Author,
}

impl DeltaTables {
    /// Makes a clone at `location`. Returns it, and Spark's metrics: `sourceTableSize`, `sourceNumOfFiles`,
    /// `numRemovedFiles`, `numCopiedFiles`, `removedFilesSize`, `copiedFilesSize`.
    ///
    /// # Errors
    /// `AlreadyExists` when a table stands there; `Unsupported` for a source whose features we cannot honour;
    /// `InvalidArgument` when the source's files cannot be read from there.
    pub async fn create_clone(
        &self,
        location: &Url,
        source: &CloneSource,
    ) -> Result<(Arc<DeltaTable>, OperationMetrics)> {
        let mut files = source.files(&self.place(location)?)?;
        let metadata = source.metadata(&Uuid::new_v4().to_string(), &BTreeMap::new())?;
        let (protocol, metadata) = features::upgraded(
            location.as_str(),
            source.snapshot.protocol(),
            Some(source.snapshot.metadata()),
            metadata,
            source.domains().keys().map(String::as_str),
        )?;
        features::check_writable(location.as_str(), &protocol, &metadata, WriteOperation::Append)?;
        let metrics = source.metrics(&[]);
        let engine_info = self.options().engine_info.clone();
        let table = self.create_as(location, |transaction_id| {
            let now = clock::now_ms();
            let info = CommitInfo {
                in_commit_timestamp: features::in_commit_timestamps(&metadata).then_some(now),
                timestamp: Some(now),
                user_name: source.author.user_name.clone(),
                user_metadata: source.author.user_metadata.clone(),
                operation: Some(source.operation().name.to_owned()),
                operation_parameters: Some(
                    source
                        .operation()
                        .parameters
                        .into_iter()
                        .map(|(key, value)| (key, value.into()))
                        .collect(),
                ),
                isolation_level: Some("Serializable".to_owned()),
                is_blind_append: Some(false),
                operation_metrics: Some(
                    metrics
                        .0
                        .iter()
                        .map(|(key, value)| (key.clone(), value.to_string().into()))
                        .collect(),
                ),
                engine_info: Some(engine_info),
                txn_id: Some(transaction_id.to_owned()),
                ..CommitInfo::default()
            };
            let mut actions = vec![Action::CommitInfo(info)];
            let domains = source.domains().into_iter();
            actions.extend(domains.map(|(domain, configuration)| {
                Action::DomainMetadata(action::DomainMetadata {
                    domain,
                    configuration,
                    removed: false,
                })
            }));
            if row_tracking::assigns_ids(&protocol, &metadata) {
                let highest = row_tracking::assign(&mut files, None, 0)?;
                actions.extend(highest.map(Action::DomainMetadata));
            }
            actions.extend([Action::Protocol(protocol), Action::Metadata(metadata)]);
            actions.extend(files.into_iter().map(Action::Add));
            Ok(actions)
        });
        Ok((table.await?, source.metrics(&[])))
    }
}

impl DeltaTable {
    /// Makes this table a clone in one commit. It keeps its id and its history. Returns it as it is then, and metrics
    /// as [`DeltaTables::create_clone`] does.
    ///
    /// # Errors
    /// As [`DeltaTables::create_clone`]; `Conflict` when others commit again and again.
    pub async fn replace_by_clone(
        self: &Arc<Self>,
        source: &CloneSource,
    ) -> Result<(Arc<Snapshot>, OperationMetrics)> {
        let files = source.files(self.place())?;
        let mut retries = RETRIES.attempts();
        loop {
            let read = self.snapshot().await?;
            // A file that both have stays: one commit does not remove and add it.
            let cloned: HashSet<FileKey> = files.iter().map(FileKey::of_add).collect();
            let replaced = read.file_index().adds();
            let replaced: Vec<Arc<Add>> = replaced
                .filter(|add| !cloned.contains(&FileKey::of_add(add)))
                .collect();
            let metrics = source.metrics(&replaced);
            let mut transaction = self.transaction(Arc::clone(&read), source.operation());
            transaction.set_read_set(ReadSet::WholeTable);
            // The rows that are there end; the source's are others.
            transaction.set_row_ids_kept();
            let protocol = features::merged(read.protocol(), source.snapshot.protocol());
            if protocol != *read.protocol() {
                transaction.set_protocol(protocol);
            }
            transaction.set_metadata(source.metadata(&read.metadata().id, read.properties())?);
            let domains = source.domains();
            let gone = read
                .domains()
                .keys()
                .filter(|domain| !domains.contains_key(*domain));
            for domain in gone.filter(|domain| *domain != row_tracking::DOMAIN) {
                transaction.remove_domain_metadata(domain);
            }
            for (domain, configuration) in domains {
                transaction.set_domain_metadata(domain, configuration);
            }
            let now = clock::now_ms();
            transaction.remove_files(replaced.iter().map(|add| add.to_remove(now, true)));
            let new = files.iter().filter(|add| !read.file_index().holds(add));
            transaction.add_files(new.cloned());
            transaction.set_metrics(metrics.clone());
            transaction.set_author(source.author.clone());
            match transaction.commit().await? {
                CommitOutcome::Committed { snapshot, .. } => return Ok((snapshot, metrics)),
                CommitOutcome::AlreadyApplied { .. } | CommitOutcome::Conflicted(_) => {
                    if !retries.pause().await {
                        return Err(Error::CommitRetriesExhausted {
                            location: self.location().to_string(),
                            retries: RETRIES.retries_max,
                        });
                    }
                }
            }
        }
    }
}

impl CloneSource {
    fn operation(&self) -> Operation {
        Operation::new("CLONE")
            .with("source", self.name.as_str())
            .with("sourceVersion", self.snapshot.version().to_string())
    }

    /// The source's domains, but for that of rows' ids, which are not carried over.
    fn domains(&self) -> BTreeMap<String, String> {
        let domains = self.snapshot.domains().iter();
        domains
            .filter(|(domain, _)| domain.as_str() != row_tracking::DOMAIN)
            .map(|(domain, metadata)| (domain.clone(), metadata.configuration.clone()))
            .collect()
    }

    /// The source's metadata for a table with this id; `present` are the properties of a table that is replaced.
    fn metadata(&self, id: &str, present: &BTreeMap<String, String>) -> Result<Metadata> {
        properties::check(&self.properties, self.snapshot.properties())?;
        let of_log = |key: &String| features::of_log(key);
        let mut configuration = self.snapshot.properties().clone();
        // Ids that files of the source keep are none of the clone's: its rows have those that its own commit gives.
        let of_rows = |key: &String| row_tracking::names_columns(key);
        configuration.retain(|key, _| !of_log(key) && !of_rows(key));
        let kept = present
            .iter()
            .filter(|(key, _)| of_log(key) || *key == IN_COMMIT_TIMESTAMPS);
        configuration.extend(kept.map(|(key, value)| (key.clone(), value.clone())));
        configuration.extend(self.properties.clone());
        if features::enabled_in(&configuration, row_tracking::ENABLED) {
            row_tracking::name_materialized_columns(&mut configuration);
        }
        Ok(Metadata {
            id: id.to_owned(),
            name: None,
            description: None,
            created_time: Some(clock::now_ms()),
            configuration,
            ..self.snapshot.metadata().clone()
        })
    }

    /// The source's files as a table at `place` names them.
    fn files(&self, place: &Place) -> Result<Vec<Add>> {
        let mut files = Vec::with_capacity(self.snapshot.file_index().len());
        for add in self.snapshot.file_index().adds() {
            let mut add = add.as_ref().clone();
            let path = self.table.file_path(&add.path)?;
            add.path = self.table.place().url_of(&path).to_string();
            if let Some(vector) = &mut add.deletion_vector
                && let Some(path) = self.table.vector_path(vector)?
            {
                "p".clone_into(&mut vector.storage_type);
                vector.path_or_inline_dv = self.table.place().url_of(&path).to_string();
            }
            if place.file_path(&add.path).ok().as_ref() != Some(&path) {
                return Err(Error::InvalidArgument {
                    message: format!(
                        "table at location=`{}` cannot be cloned to location=`{}`: its files are in another store",
                        self.table.location(),
                        place.location
                    ),
                });
            }
            add.data_change = true;
            add.base_row_id = None;
            add.default_row_commit_version = None;
            files.push(add);
        }
        Ok(files)
    }

    fn metrics(&self, replaced: &[Arc<Add>]) -> OperationMetrics {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let size: u64 = self.snapshot.file_index().sizes().iter().flatten().sum();
        let mut metrics = OperationMetrics::default();
        for (name, value) in [
            ("sourceTableSize", i64::try_from(size).unwrap_or(i64::MAX)),
            ("sourceNumOfFiles", count(self.snapshot.file_index().len())),
            ("numRemovedFiles", count(replaced.len())),
            ("numCopiedFiles", 0),
            ("removedFilesSize", replaced.iter().map(|add| add.size).sum()),
            ("copiedFilesSize", 0),
        ] {
            metrics.increase(name, value);
        }
        metrics
    }
}
