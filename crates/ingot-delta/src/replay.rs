//! Log replay over the kernel's batches: newest first, the first word about a file, an application or a
//! domain is the last.
//!
//! Source: Delta protocol, "Action Reconciliation".

mod parsed_statistics;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    Array, AsArray, BooleanArray, Int32Array, Int64Array, MapArray, RecordBatch, StringArray, StructArray,
};
use delta_kernel::{KernelError, KernelResult};

use crate::action::{DeletionVectorDescriptor, DomainMetadata};
use crate::file_index::FileKey;
use crate::{Add, Remove, Txn};

/// What has been replayed so far.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// Files that newer commits have spoken of.
    seen: HashSet<FileKey>,
    /// Newest first.
    adds: Vec<Arc<Add>>,
    removes: Vec<Remove>,
    transactions: BTreeMap<String, Txn>,
    /// Removed domains too: they hide older configurations.
    domains: BTreeMap<String, DomainMetadata>,
    /// A checkpoint has files without statistics in JSON.
    checkpoint_lacks_statistics: bool,
}

impl Replay {
    /// Takes in a batch, which is older than all before it. Only the batches of commits can hide others.
    pub fn read(&mut self, batch: &RecordBatch, from_commit: bool) -> KernelResult<()> {
        // Removals first: beside the removal of a file, one commit may add it with another deletion vector,
        // which is another key.
        if let Some(column) = action(batch, "remove") {
            self.read_removes(column, from_commit)?;
        }
        if let Some(column) = action(batch, "add") {
            self.read_adds(column, from_commit)?;
        }
        if let Some(column) = action(batch, "txn") {
            let app_ids: &StringArray = field(column, "appId")?;
            let versions: &Int64Array = field(column, "version")?;
            let updated: &Int64Array = field(column, "lastUpdated")?;
            for row in present(column) {
                let app_id = app_ids.value(row).to_owned();
                self.transactions.entry(app_id.clone()).or_insert_with(|| Txn {
                    app_id,
                    version: versions.value(row),
                    last_updated: optional(updated, row),
                });
            }
        }
        if let Some(column) = action(batch, "domainMetadata") {
            let domains: &StringArray = field(column, "domain")?;
            let configurations: &StringArray = field(column, "configuration")?;
            let removed: &BooleanArray = field(column, "removed")?;
            for row in present(column) {
                let domain = domains.value(row).to_owned();
                self.domains
                    .entry(domain.clone())
                    .or_insert_with(|| DomainMetadata {
                        domain,
                        configuration: configurations.value(row).to_owned(),
                        removed: removed.value(row),
                    });
            }
        }
        Ok(())
    }

    /// Says if a checkpoint has files without statistics in JSON. It may have them as columns (`stats_parsed`), which
    /// are read when the kernel is asked for them.
    pub fn checkpoint_lacks_statistics(&self) -> bool {
        self.checkpoint_lacks_statistics
    }

    /// Takes the files out, oldest first.
    pub fn take_adds(&mut self) -> Vec<Arc<Add>> {
        let mut adds = std::mem::take(&mut self.adds);
        adds.reverse();
        adds
    }

    pub fn take_transactions(&mut self) -> BTreeMap<String, Txn> {
        std::mem::take(&mut self.transactions)
    }

    /// Takes the domains out that are in force.
    pub fn take_domains(&mut self) -> BTreeMap<String, DomainMetadata> {
        let mut domains = std::mem::take(&mut self.domains);
        domains.retain(|_, domain| !domain.removed);
        domains
    }

    pub fn into_removes(self) -> Vec<Remove> {
        self.removes
    }

    fn read_removes(&mut self, column: &StructArray, from_commit: bool) -> KernelResult<()> {
        let files = FileColumns::try_new(column)?;
        let deletion_timestamps: &Int64Array = field(column, "deletionTimestamp")?;
        let data_changes: &BooleanArray = field(column, "dataChange")?;
        let extended: &BooleanArray = field(column, "extendedFileMetadata")?;
        for row in present(column) {
            let deletion_vector = files.deletion_vector(row);
            let key = FileKey::new(files.paths.value(row), deletion_vector.as_ref());
            let news = if from_commit {
                self.seen.insert(key)
            } else {
                !self.seen.contains(&key)
            };
            if !news {
                continue;
            }
            self.removes.push(Remove {
                path: files.paths.value(row).to_owned(),
                deletion_timestamp: optional(deletion_timestamps, row),
                data_change: data_changes.value(row),
                extended_file_metadata: extended.is_valid(row).then(|| extended.value(row)),
                partition_values: files
                    .partition_values
                    .is_valid(row)
                    .then(|| string_map(files.partition_values, row).into_iter().collect()),
                size: optional(files.sizes, row),
                stats: None,
                tags: files.tags(row),
                deletion_vector,
                base_row_id: optional(files.base_row_ids, row),
                default_row_commit_version: optional(files.default_row_commit_versions, row),
            });
        }
        Ok(())
    }

    fn read_adds(&mut self, column: &StructArray, from_commit: bool) -> KernelResult<()> {
        let files = FileColumns::try_new(column)?;
        let modification_times: &Int64Array = field(column, "modificationTime")?;
        let data_changes: &BooleanArray = field(column, "dataChange")?;
        let stats: &StringArray = field(column, "stats")?;
        let clustering_providers: &StringArray = field(column, "clusteringProvider")?;
        let mut parsed_stats = parsed_statistics(column, stats);
        // Backwards: what is collected is turned round at the end.
        for row in present(column).rev() {
            let deletion_vector = files.deletion_vector(row);
            let key = FileKey::new(files.paths.value(row), deletion_vector.as_ref());
            let news = if from_commit {
                self.seen.insert(key)
            } else {
                !self.seen.contains(&key)
            };
            if !news {
                continue;
            }
            let stats = match stats.is_valid(row) {
                true => Some(stats.value(row).to_owned()),
                false => parsed_stats.remove(&row),
            };
            self.checkpoint_lacks_statistics |= !from_commit && stats.is_none();
            self.adds.push(Arc::new(Add {
                path: files.paths.value(row).to_owned(),
                partition_values: string_map(files.partition_values, row).into_iter().collect(),
                size: files.sizes.value(row),
                modification_time: modification_times.value(row),
                data_change: data_changes.value(row),
                stats,
                tags: files.tags(row),
                deletion_vector,
                base_row_id: optional(files.base_row_ids, row),
                default_row_commit_version: optional(files.default_row_commit_versions, row),
                clustering_provider: clustering_providers
                    .is_valid(row)
                    .then(|| clustering_providers.value(row).to_owned()),
            }));
        }
        Ok(())
    }
}

/// The columns that `add` and `remove` share.
struct FileColumns<'a> {
    paths: &'a StringArray,
    partition_values: &'a MapArray,
    sizes: &'a Int64Array,
    tags: &'a MapArray,
    deletion_vectors: VectorColumns<'a>,
    base_row_ids: &'a Int64Array,
    default_row_commit_versions: &'a Int64Array,
}

struct VectorColumns<'a> {
    descriptors: &'a StructArray,
    storage_types: &'a StringArray,
    paths: &'a StringArray,
    offsets: &'a Int32Array,
    sizes: &'a Int32Array,
    cardinalities: &'a Int64Array,
}

impl<'a> FileColumns<'a> {
    fn try_new(action: &'a StructArray) -> KernelResult<Self> {
        let descriptors: &StructArray = field(action, "deletionVector")?;
        Ok(Self {
            paths: field(action, "path")?,
            partition_values: field(action, "partitionValues")?,
            sizes: field(action, "size")?,
            tags: field(action, "tags")?,
            deletion_vectors: VectorColumns {
                descriptors,
                storage_types: field(descriptors, "storageType")?,
                paths: field(descriptors, "pathOrInlineDv")?,
                offsets: field(descriptors, "offset")?,
                sizes: field(descriptors, "sizeInBytes")?,
                cardinalities: field(descriptors, "cardinality")?,
            },
            base_row_ids: field(action, "baseRowId")?,
            default_row_commit_versions: field(action, "defaultRowCommitVersion")?,
        })
    }

    fn tags(&self, row: usize) -> Option<HashMap<String, Option<String>>> {
        self.tags
            .is_valid(row)
            .then(|| string_map(self.tags, row).into_iter().collect())
    }

    fn deletion_vector(&self, row: usize) -> Option<DeletionVectorDescriptor> {
        let vectors = &self.deletion_vectors;
        // Some writers put an empty struct where null is meant.
        let present = vectors.descriptors.is_valid(row) && vectors.storage_types.is_valid(row);
        present.then(|| DeletionVectorDescriptor {
            storage_type: vectors.storage_types.value(row).to_owned(),
            path_or_inline_dv: vectors.paths.value(row).to_owned(),
            offset: vectors.offsets.is_valid(row).then(|| vectors.offsets.value(row)),
            size_in_bytes: vectors.sizes.value(row),
            cardinality: vectors.cardinalities.value(row),
        })
    }
}

/// Returns the statistics, by row, of files that have them as columns only.
fn parsed_statistics(adds: &StructArray, stats: &StringArray) -> HashMap<usize, String> {
    let parsed = adds.column_by_name("stats_parsed");
    let Some(parsed) = parsed.and_then(|column| column.as_struct_opt()) else {
        return HashMap::new();
    };
    let only_parsed = |row: &usize| stats.is_null(*row) && parsed.is_valid(*row);
    let rows: Vec<usize> = present(adds).filter(only_parsed).collect();
    let numbers = rows.iter().filter_map(|row| u32::try_from(*row).ok()).collect();
    match parsed_statistics::to_json(parsed, numbers) {
        Ok(lines) => rows.into_iter().zip(lines).collect(),
        Err(error) => {
            // Statistics are hints: without them files are read that need not be.
            tracing::warn!(%error, "statistics in a checkpoint's columns cannot be read");
            HashMap::new()
        }
    }
}

fn action<'a>(batch: &'a RecordBatch, name: &str) -> Option<&'a StructArray> {
    batch.column_by_name(name)?.as_struct_opt()
}

fn field<'a, T: Array + 'static>(column: &'a StructArray, name: &str) -> KernelResult<&'a T> {
    let array = column
        .column_by_name(name)
        .ok_or_else(|| KernelError::missing_column(name))?;
    array
        .as_any()
        .downcast_ref()
        .ok_or_else(|| KernelError::unexpected_column_type(name))
}

fn present(column: &StructArray) -> impl DoubleEndedIterator<Item = usize> + '_ {
    (0..column.len()).filter(|row| column.is_valid(*row))
}

fn optional(array: &Int64Array, row: usize) -> Option<i64> {
    array.is_valid(row).then(|| array.value(row))
}

fn string_map(maps: &MapArray, row: usize) -> Vec<(String, Option<String>)> {
    if maps.is_null(row) {
        return Vec::new();
    }
    let entries = maps.value(row);
    let keys = entries.column(0).as_string_opt::<i32>();
    let values = entries.column(1).as_string_opt::<i32>();
    let (Some(keys), Some(values)) = (keys, values) else {
        return Vec::new();
    };
    let value = |entry: usize| values.is_valid(entry).then(|| values.value(entry).to_owned());
    (0..entries.len())
        .map(|entry| (keys.value(entry).to_owned(), value(entry)))
        .collect()
}
