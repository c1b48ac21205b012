//! The change data feed: which rows each commit put in and took out.
//!
//! ```text
//! commit ─┬─ has files of changes (`cdc`) ─► they are all that changed, each row says how
//!         └─ has none ─► files added: inserts · files removed: deletes
//!                        the same file with another deletion vector: the rows that one has and the other has not
//! ```
//! Actions that move rows (`dataChange=false`) tell of no change. What a commit means is decided by a pure function
//! over its actions; vectors are read afterwards. Files are given as `add` actions whose partition values say in which
//! commit and how their rows changed, so that a scan prunes and reads them as those of a table.
//!
//! Refused: versions at which the feed was not enabled, for their commits may lack what they should have recorded, and
//! changes of the schema that rows of the range cannot be read through. Source: Delta protocol, "Add CDC File",
//! "Change Data Feed"; Delta, `CDCReader`.

mod compatibility;

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;

use self::compatibility::lost_column;
use crate::action::DeletionVectorDescriptor;
use crate::column_mapping;
use crate::commit_time::commit_time_ms;
use crate::deletion_vector::DeletionVector;
use crate::table::{parse_actions, read_commit_file};
use crate::{
    Action, Add, AddCdcFile, DeltaTable, Error, FileIndex, Metadata, Remove, Result, Snapshot, TimeTravel,
    action, schema,
};

/// The property that turns the feed on.
pub const ENABLED: &str = "delta.enableChangeDataFeed";

/// The columns of the feed, after the table's own. Source: Delta, `CDCReader`.
pub const CHANGE_TYPE: &str = "_change_type";
pub const COMMIT_VERSION: &str = "_commit_version";
pub const COMMIT_TIMESTAMP: &str = "_commit_timestamp";

/// Values of [`CHANGE_TYPE`].
pub const INSERT: &str = "insert";
pub const DELETE: &str = "delete";
pub const UPDATE_PREIMAGE: &str = "update_preimage";
pub const UPDATE_POSTIMAGE: &str = "update_postimage";

/// Commits that are read at once.
const COMMITS_READ_AHEAD: usize = 8;

/// The changes of a range of versions.
#[derive(Debug)]
pub struct ChangeFeed {
    /// The snapshot with whose schema rows are read.
    pub snapshot: Arc<Snapshot>,
    /// Data files; [`CHANGE_TYPE`], [`COMMIT_VERSION`] and [`COMMIT_TIMESTAMP`] are among their partition values.
    pub data: Vec<ChangedFile>,
    /// Files of changes; they hold [`CHANGE_TYPE`], the other two are among their partition values.
    pub recorded: Vec<Arc<Add>>,
}

/// A data file whose rows, or some of them, came or went.
#[derive(Debug)]
pub struct ChangedFile {
    pub add: Arc<Add>,
    /// By position; all that are not deleted when `None`.
    pub rows: Option<DeletionVector>,
}

impl ChangeFeed {
    /// Makes a feed without changes, whose rows are read with the schema of `snapshot`.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot,
            data: Vec::new(),
            recorded: Vec::new(),
        }
    }

    /// Adds the rows of `files`, some of those of `at`, as if its commit had inserted them: what a stream begins with.
    pub fn insert(&mut self, at: &Snapshot, files: impl IntoIterator<Item = Arc<Add>>) {
        let commit = Commit {
            version: at.version(),
            timestamp_ms: at.timestamp_ms(),
        };
        let files = files.into_iter();
        self.data
            .extend(files.map(|add| commit.whole(add.as_ref().clone(), INSERT)));
    }

    /// Returns the feed's schema: the table's columns, and those that tell of the change.
    pub fn schema(table: &Schema) -> SchemaRef {
        let mut fields = table.fields().to_vec();
        let timestamp = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        fields.push(Arc::new(Field::new(CHANGE_TYPE, DataType::Utf8, true)));
        fields.push(Arc::new(Field::new(COMMIT_VERSION, DataType::Int64, true)));
        fields.push(Arc::new(Field::new(COMMIT_TIMESTAMP, timestamp, true)));
        Arc::new(Schema::new(fields))
    }
}

impl Snapshot {
    /// Says if commits to the table record their changes.
    pub fn change_data_feed_enabled(&self) -> bool {
        enabled(self.metadata())
    }

    /// Makes an index of files of a [`ChangeFeed`], which have values of their own in `constants`: the partition columns
    /// and columns of the feed.
    pub fn index_of_changes(&self, files: Vec<Arc<Add>>, constants: &[String]) -> FileIndex {
        FileIndex::from_adds(files, &ChangeFeed::schema(self.mapped_schema()), constants)
    }
}

/// Says if commits to a table with this metadata record their changes.
pub(crate) fn enabled(metadata: &Metadata) -> bool {
    let value = metadata.configuration.get(ENABLED);
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Refuses the changes of `versions` unless commits to a table with `metadata`, in force after `version`, record them.
///
/// # Errors
/// `FailedPrecondition` when they do not.
pub fn check_recorded(metadata: &Metadata, version: i64, versions: &RangeInclusive<i64>) -> Result<()> {
    if enabled(metadata) {
        return Ok(());
    }
    let (start, end) = (versions.start(), versions.end());
    Err(Error::ChangeFeed {
        condition: "DELTA_MISSING_CHANGE_DATA",
        sqlstate: "KD002",
        message: format!(
            "error getting change data for range [{start}, {end}]: change data was not recorded for version \
             [{version}]\nhint: DESCRIBE HISTORY shows when it was first enabled; to start recording, use \
             ALTER TABLE … SET TBLPROPERTIES ({ENABLED} = true)"
        ),
    })
}

/// Refuses a table with the feed that has columns of the feed's names.
///
/// # Errors
/// `InvalidArgument`, naming the columns.
pub(crate) fn check_columns(metadata: &Metadata) -> Result<()> {
    if !enabled(metadata) {
        return Ok(());
    }
    let schema = schema::parse_schema_string(&metadata.schema_string).map_err(internal)?;
    let reserved = [CHANGE_TYPE, COMMIT_VERSION, COMMIT_TIMESTAMP];
    let taken: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .filter(|name| {
            reserved
                .iter()
                .any(|reserved| reserved.eq_ignore_ascii_case(name))
        })
        .collect();
    if taken.is_empty() {
        return Ok(());
    }
    Err(Error::ChangeFeed {
        condition: "DELTA_TABLE_ALREADY_CONTAINS_CDC_COLUMNS",
        sqlstate: "42711",
        message: format!(
            "the change data feed cannot be enabled: the table has columns with its names: {}\nhint: rename or drop \
             them",
            taken.join(", ")
        ),
    })
}

impl DeltaTable {
    /// Finds the versions of a range whose ends are included: an instant stands for the first commit that is not
    /// before it, or, as an end, for the last that is not after it. Without an end the range reaches to `newest`, as
    /// does one that ends later.
    ///
    /// # Errors
    /// `NotFound` for a beginning after the newest version, and an end before the earliest.
    pub async fn change_range(
        &self,
        newest: &Snapshot,
        from: TimeTravel,
        to: Option<TimeTravel>,
    ) -> Result<RangeInclusive<i64>> {
        let latest = newest.version();
        let from = match from {
            TimeTravel::Version(version) => version,
            TimeTravel::Timestamp(instant) => self.first_version_from(instant, newest).await?,
        };
        let to = match to {
            None => latest,
            Some(TimeTravel::Version(version)) => version.min(latest),
            Some(TimeTravel::Timestamp(instant)) if instant >= newest.timestamp_ms() => latest,
            Some(at) => self.snapshot_at(at).await?.version(),
        };
        if from > latest {
            return Err(Error::ChangeFeed {
                condition: "DELTA_INVALID_CDC_RANGE",
                sqlstate: "22003",
                message: format!(
                    "the start version {from} of the changes is after the latest version {latest} of the table"
                ),
            });
        }
        if from > to || from < 0 {
            return Err(Error::ChangeFeed {
                condition: "DELTA_INVALID_CDC_RANGE",
                sqlstate: "22003",
                message: format!(
                    "CDC range from start {from} to end {to} is invalid: the end cannot be before the start"
                ),
            });
        }
        Ok(from..=to)
    }

    async fn first_version_from(&self, instant: i64, newest: &Snapshot) -> Result<i64> {
        if instant > newest.timestamp_ms() {
            return Err(Error::ChangeFeed {
                condition: "DELTA_TIMESTAMP_GREATER_THAN_COMMIT",
                sqlstate: "42816",
                message: format!(
                    "the start of the changes is after the latest commit of the table, version {}",
                    newest.version()
                ),
            });
        }
        match self.snapshot_at(TimeTravel::Timestamp(instant)).await {
            Ok(at) if at.timestamp_ms() < instant => Ok(at.version() + 1),
            Ok(at) => Ok(at.version()),
            Err(Error::TimestampNotFound { .. }) => self.kernel().earliest_version().await,
            Err(error) => Err(error),
        }
    }

    /// Reads what the commits of `versions` changed, to be read with the schema of `newest`.
    ///
    /// # Errors
    /// `FailedPrecondition` when the feed was not enabled at one of them, or the schema changed so that rows cannot be
    /// read with that of `newest`; `NotFound` for a version that was cleaned up; `DataLoss` for a broken log.
    pub async fn change_feed(
        &self,
        newest: Arc<Snapshot>,
        versions: RangeInclusive<i64>,
    ) -> Result<ChangeFeed> {
        let first = self.snapshot_at(TimeTravel::Version(*versions.start())).await?;
        FeedRange::new(&versions, &newest).check(first.version(), first.metadata())?;
        let mut feed = ChangeFeed::new(newest);
        self.add_changes(&mut feed, versions).await?;
        Ok(feed)
    }

    /// Adds what the commits of `versions` changed to `feed`. What was in force before the first of them is not
    /// looked at.
    ///
    /// # Errors
    /// As [`Self::change_feed`].
    pub async fn add_changes(&self, feed: &mut ChangeFeed, versions: RangeInclusive<i64>) -> Result<()> {
        let newest = Arc::clone(&feed.snapshot);
        let range = FeedRange::new(&versions, &newest);
        let (store, _) = self.store();
        let mut commits = stream::iter(versions.clone())
            .map(|version| read_commit_file(store.as_ref(), self.log(), version))
            .buffered(COMMITS_READ_AHEAD);
        let mut expected = *versions.start();
        while let Some(file) = commits.try_next().await? {
            let Some(file) = file else {
                // It was cleaned up, or is gone from the middle of the log.
                return Err(Error::VersionNotFound {
                    location: self.location().to_string(),
                    version: expected,
                    earliest: self.kernel().earliest_version().await?,
                    latest: newest.version(),
                });
            };
            expected += 1;
            let actions = parse_actions(self.location(), file.version, &file.bytes)?;
            for action in &actions {
                if let Action::Metadata(metadata) = action {
                    range.check(file.version, metadata)?;
                }
            }
            let info = action::commit_info(&actions);
            let modified_ms = file.meta.last_modified.timestamp_millis();
            let commit = Commit {
                version: file.version,
                timestamp_ms: commit_time_ms(newest.metadata(), file.version, info, modified_ms),
            };
            match decide(&actions) {
                Changes::Recorded(files) => feed
                    .recorded
                    .extend(files.into_iter().map(|file| commit.recorded(file))),
                Changes::Derived(files) => {
                    for file in files {
                        feed.data.extend(self.changed_file(commit, file).await?);
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns the rows that one file's change put in or took out.
    async fn changed_file(&self, commit: Commit, change: FileChange<'_>) -> Result<Vec<ChangedFile>> {
        match change {
            FileChange::Added(add) => Ok(vec![commit.whole(add.clone(), INSERT)]),
            FileChange::Removed(remove) => Ok(vec![commit.whole(self.removed_file(remove).await?, DELETE)]),
            FileChange::Vector { add, before } => {
                let before = self.rows_deleted_by(before).await?;
                let after = self.rows_deleted_by(add.deletion_vector.as_ref()).await?;
                let mut changed = Vec::new();
                for (rows, others, kind) in [(&after, &before, DELETE), (&before, &after, INSERT)] {
                    let mut rows = rows.clone();
                    rows.subtract(others);
                    if !rows.is_empty() {
                        let mut file = commit.whole(add.clone(), kind);
                        file.rows = Some(rows);
                        changed.push(file);
                    }
                }
                Ok(changed)
            }
        }
    }

    async fn rows_deleted_by(&self, vector: Option<&DeletionVectorDescriptor>) -> Result<DeletionVector> {
        match vector {
            None => Ok(DeletionVector::new()),
            Some(vector) => Ok(self.deletion_vector(vector).await?.as_ref().clone()),
        }
    }

    /// Makes the action again that a file was added with. Old writers left out of a removal how large the file is.
    async fn removed_file(&self, remove: &Remove) -> Result<Add> {
        let size = match remove.size {
            Some(size) => size,
            None => {
                let path = self.file_path(&remove.path)?;
                let (store, _) = self.store();
                let meta = store.head(&path).await.map_err(|source| Error::Store {
                    action: "head",
                    path: path.to_string(),
                    source,
                })?;
                i64::try_from(meta.size).unwrap_or(i64::MAX)
            }
        };
        Ok(Add {
            path: remove.path.clone(),
            partition_values: remove.partition_values.clone().unwrap_or_default(),
            size,
            modification_time: remove.deletion_timestamp.unwrap_or_default(),
            data_change: false,
            stats: remove.stats.clone(),
            tags: None,
            deletion_vector: remove.deletion_vector.clone(),
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        })
    }
}

/// What all commits of a range must fit.
struct FeedRange<'a> {
    versions: &'a RangeInclusive<i64>,
    /// With what the log says of columns in files.
    schema: &'a SchemaRef,
    partition_columns: &'a [String],
}

impl<'a> FeedRange<'a> {
    fn new(versions: &'a RangeInclusive<i64>, newest: &'a Snapshot) -> Self {
        Self {
            versions,
            schema: newest.mapped_schema(),
            partition_columns: newest.partition_columns(),
        }
    }

    /// Checks the metadata in force after `version`.
    fn check(&self, version: i64, metadata: &Metadata) -> Result<()> {
        let (start, end) = (self.versions.start(), self.versions.end());
        check_recorded(metadata, version, self.versions)?;
        let schema = schema::parse_schema_string(&metadata.schema_string).map_err(internal)?;
        let schema = match column_mapping::mode(&metadata.configuration).map_err(internal)? {
            Some(_) => schema,
            None => column_mapping::unmapped(&schema),
        };
        let lost = lost_column(schema.fields(), self.schema.fields());
        let same_partitions = metadata.partition_columns == self.partition_columns;
        let reason = match lost {
            None if same_partitions => return Ok(()),
            None => "the partition columns changed".to_owned(),
            Some(column) => format!("column `{column}` was dropped, renamed or changed its type"),
        };
        Err(Error::ChangeFeed {
            condition: "DELTA_CHANGE_DATA_FEED_INCOMPATIBLE_DATA_SCHEMA",
            sqlstate: "0AKDC",
            message: format!(
                "retrieving table changes between version {start} and {end} failed because of an incompatible schema \
                 at version {version}: {reason} since\nhint: query ranges before and after the change apart"
            ),
        })
    }
}

/// When something changed.
#[derive(Debug, Clone, Copy)]
struct Commit {
    version: i64,
    timestamp_ms: i64,
}

impl Commit {
    fn whole(self, mut add: Add, kind: &str) -> ChangedFile {
        add.partition_values
            .insert(CHANGE_TYPE.to_owned(), Some(kind.to_owned()));
        self.stamp(&mut add.partition_values);
        ChangedFile {
            add: Arc::new(add),
            rows: None,
        }
    }

    fn recorded(self, file: &AddCdcFile) -> Arc<Add> {
        let mut partition_values = file.partition_values.clone();
        self.stamp(&mut partition_values);
        Arc::new(Add {
            path: file.path.clone(),
            partition_values,
            size: file.size,
            modification_time: self.timestamp_ms,
            data_change: false,
            stats: None,
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        })
    }

    fn stamp(self, values: &mut BTreeMap<String, Option<String>>) {
        let instant = chrono::DateTime::from_timestamp_millis(self.timestamp_ms).unwrap_or_default();
        let text = instant.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        values.insert(COMMIT_VERSION.to_owned(), Some(self.version.to_string()));
        values.insert(COMMIT_TIMESTAMP.to_owned(), Some(text));
    }
}

/// What a commit changed.
#[derive(Debug, PartialEq)]
enum Changes<'a> {
    Recorded(Vec<&'a AddCdcFile>),
    Derived(Vec<FileChange<'a>>),
}

/// What a commit without files of changes did to a data file.
#[derive(Debug, PartialEq)]
enum FileChange<'a> {
    Added(&'a Add),
    Removed(&'a Remove),
    /// The file stays, other rows of it are deleted.
    Vector {
        add: &'a Add,
        before: Option<&'a DeletionVectorDescriptor>,
    },
}

/// Says if a commit is of a merge that only wrote rows again: Spark's does so where its clauses take none of a file's.
fn only_copied(actions: &[Action]) -> bool {
    let Some(info) = action::commit_info(actions) else {
        return false;
    };
    let none = |name: &str| {
        let metrics = info.operation_metrics.as_ref();
        metrics
            .and_then(|metrics| metrics.get(name))
            .is_some_and(|value| value.as_str() == Some("0"))
    };
    info.operation.as_deref() == Some("MERGE")
        && [
            "numTargetRowsInserted",
            "numTargetRowsUpdated",
            "numTargetRowsDeleted",
        ]
        .into_iter()
        .all(none)
}

fn decide(actions: &[Action]) -> Changes<'_> {
    let recorded: Vec<&AddCdcFile> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Cdc(file) => Some(file),
            _ => None,
        })
        .collect();
    if !recorded.is_empty() {
        return Changes::Recorded(recorded);
    }
    if only_copied(actions) {
        return Changes::Derived(Vec::new());
    }
    let mut removed: HashMap<&str, &Remove> = HashMap::new();
    for action in actions {
        if let Action::Remove(remove) = action
            && remove.data_change
        {
            removed.insert(&remove.path, remove);
        }
    }
    let mut changes = Vec::new();
    for action in actions {
        let Action::Add(add) = action else { continue };
        if !add.data_change {
            continue;
        }
        changes.push(match removed.remove(add.path.as_str()) {
            None => FileChange::Added(add),
            Some(before) => FileChange::Vector {
                add,
                before: before.deletion_vector.as_ref(),
            },
        });
    }
    let mut removed: Vec<&Remove> = removed.into_values().collect();
    removed.sort_by(|one, other| one.path.cmp(&other.path));
    changes.extend(removed.into_iter().map(FileChange::Removed));
    Changes::Derived(changes)
}

fn internal(message: String) -> Error {
    Error::Internal { message }
}

impl From<Add> for AddCdcFile {
    /// Takes a file that was written as one of changes ([`crate::WriteTarget::change_files`]).
    fn from(add: Add) -> Self {
        Self {
            path: add.path,
            partition_values: add.partition_values,
            size: add.size,
            data_change: false,
            tags: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn vector(name: &str) -> DeletionVectorDescriptor {
        DeletionVectorDescriptor {
            storage_type: "u".to_owned(),
            path_or_inline_dv: name.to_owned(),
            offset: Some(1),
            size_in_bytes: 40,
            cardinality: 1,
        }
    }

    fn add(path: &str, data_change: bool, vector: Option<DeletionVectorDescriptor>) -> Add {
        Add {
            path: path.to_owned(),
            partition_values: BTreeMap::new(),
            size: 1,
            modification_time: 0,
            data_change,
            stats: None,
            tags: None,
            deletion_vector: vector,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        }
    }

    #[test]
    fn files_tell_of_changes_unless_rows_only_moved() {
        let (new, moved, kept) = (
            add("new", true, None),
            add("moved", false, None),
            add("kept", true, Some(vector("b"))),
        );
        let gone = add("gone", true, None).to_remove(1, true);
        let purged = add("purged", true, None).to_remove(1, false);
        let before = add("kept", true, Some(vector("a"))).to_remove(1, true);
        let actions = [
            Action::Remove(gone.clone()),
            Action::Remove(purged),
            Action::Remove(before.clone()),
            Action::Add(new.clone()),
            Action::Add(moved),
            Action::Add(kept.clone()),
        ];
        let expected = vec![
            FileChange::Added(&new),
            FileChange::Vector {
                add: &kept,
                before: before.deletion_vector.as_ref(),
            },
            FileChange::Removed(&gone),
        ];
        assert_eq!(decide(&actions), Changes::Derived(expected));
    }

    #[test]
    fn recorded_changes_are_all_there_are() {
        let recorded = AddCdcFile::from(add("_change_data/cdc-0.parquet", false, None));
        let actions = [
            Action::Add(add("new", true, None)),
            Action::Cdc(recorded.clone()),
            Action::Remove(add("gone", true, None).to_remove(1, true)),
        ];
        assert_eq!(decide(&actions), Changes::Recorded(vec![&recorded]));
    }

    #[test_case("0", "0", false; "no row was changed")]
    #[test_case("1", "0", true; "a row was inserted")]
    #[test_case("0", "2", true; "rows were deleted")]
    fn a_merge_may_only_copy_rows(inserted: &str, deleted: &str, changed: bool) {
        let info = serde_json::json!({
            "operation": "MERGE",
            "operationMetrics": {
                "numTargetRowsInserted": inserted,
                "numTargetRowsUpdated": "0",
                "numTargetRowsDeleted": deleted,
                "numTargetRowsCopied": "5",
            },
        });
        let actions = [
            Action::CommitInfo(serde_json::from_value(info).expect("commit info")),
            Action::Add(add("copied", true, None)),
            Action::Remove(add("old", true, None).to_remove(1, true)),
        ];
        assert_eq!(decide(&actions) != Changes::Derived(Vec::new()), changed);
    }
}
