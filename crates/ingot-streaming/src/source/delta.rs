//! The Delta source: the rows that commits add to a table, or all that they change (`readChangeFeed`, see [`changes`]).
//!
//! ```text
//! position (version, index): files of `version` up to `index` are read
//!   isStartingVersion ─► files of the snapshot at that version, oldest first ─┐
//!                                                                             ▼
//!                                  files that commit `version` added ─► version + 1 ─► …
//! ```
//! Always true: each file that a commit added with a change of data is read once, in the order of commits. A
//! commit that removes or rewrites rows stops the stream unless an option says to pass over it; a commit that
//! is gone from the log stops it unless `failOnDataLoss` is false.
//!
//! Source: Delta, `DeltaSource`, `DeltaSourceOffset`; "Table streaming reads and writes".

mod changes;
mod offset;
mod options;
mod schema;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use ingot_delta::{Action, Add, ChangeFeed, DeltaTable, Snapshot, TimeTravel};
use ingot_engine::provider::added_files_provider;

use super::{Offset, ReadLimit, RowCount, Source, SourceBatch};
use crate::{Error, Result};
use offset::{BASE_INDEX, Position};
use options::{DeltaSourceOptions, StartingPoint};

/// Versions without anything to read after which a batch records that they were passed. A stream whose table is only
/// compacted would otherwise have to find those commits again after a restart, when they may have been cleaned up.
const EMPTY_VERSIONS_MAX: i64 = 100;

/// Reads what is added to one table.
#[derive(Debug)]
pub struct DeltaSource {
    table: Arc<DeltaTable>,
    /// The schema that rows are read with: the table's when the source was made.
    snapshot: Arc<Snapshot>,
    options: DeltaSourceOptions,
    /// From the first position to the second there is nothing to read.
    nothing_between: Mutex<Option<(Position, Position)>>,
    /// The table has been found to record changes where the stream goes on.
    feed_checked: AtomicBool,
}

/// What a batch reads whole or leaves, and the position after it.
struct Piece {
    content: Content,
    after: Position,
}

enum Content {
    File(Arc<Add>),
    /// All that a commit changed.
    Changes {
        files: u64,
        bytes: u64,
    },
}

impl Piece {
    /// Returns its files and their bytes.
    fn size(&self) -> (u64, u64) {
        match &self.content {
            Content::File(add) => (1, u64::try_from(add.size).unwrap_or_default()),
            Content::Changes { files, bytes } => (*files, *bytes),
        }
    }
}

impl DeltaSource {
    /// Makes a source of `table`. `options` are Spark's: `startingVersion`, `startingTimestamp`,
    /// `maxFilesPerTrigger`, `maxBytesPerTrigger`, `ignoreDeletes`, `skipChangeCommits`, `failOnDataLoss`,
    /// `readChangeFeed`.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown option or a wrong value.
    pub async fn new(table: Arc<DeltaTable>, options: &BTreeMap<String, String>) -> Result<Self> {
        let options = DeltaSourceOptions::parse(options)?;
        let snapshot = table.snapshot().await?;
        Ok(Self {
            table,
            snapshot,
            options,
            nothing_between: Mutex::new(None),
            feed_checked: AtomicBool::new(false),
        })
    }

    fn table_id(&self) -> &str {
        &self.snapshot.metadata().id
    }

    /// Reads an offset of this table.
    fn position(&self, offset: &Offset) -> Result<Position> {
        let position = Position::from_offset(offset)?;
        if position.reservoir_id != self.table_id() {
            return Err(self.changed(format!(
                "the stream began on table id=`{}` and the table there now has id=`{}`; start over with a new \
                 checkpoint",
                position.reservoir_id,
                self.table_id()
            )));
        }
        if self.options.read_change_feed && position.is_within_commit() {
            return Err(self.changed(format!(
                "it stopped amidst commit {}, where it did not read the change data feed yet; changes of a commit are \
                 read together: start over with a new checkpoint and startingVersion",
                position.reservoir_version
            )));
        }
        Ok(position)
    }

    fn changed(&self, message: String) -> Error {
        Error::SourceChanged {
            origin: self.description(),
            message,
        }
    }

    /// Returns what comes after `start`: what is left of one snapshot or one commit, and where to go on. `None`
    /// when there is nothing after `start` yet.
    async fn pieces_after(&self, start: &Position, newest: i64) -> Result<Option<(Vec<Piece>, Position)>> {
        if start.is_starting_version {
            let snapshot = self.starting_snapshot(start).await?;
            return Ok(Some((
                pieces_of_snapshot(&snapshot, start).await?,
                start.next_version(),
            )));
        }
        if start.reservoir_version > newest {
            return Ok(None);
        }
        let Some(actions) = self.table.commit_actions(start.reservoir_version).await? else {
            let earliest = self.first_commit_after(start.reservoir_version, newest).await?;
            return Ok(Some((Vec::new(), start.at_version(earliest))));
        };
        let pieces = match self.options.read_change_feed {
            true => self.changes(start, &actions).await?,
            false => placed(self.added_files(start.reservoir_version, actions)?, start),
        };
        Ok(Some((pieces, start.next_version())))
    }

    /// Returns the snapshot that the stream begins with.
    async fn starting_snapshot(&self, start: &Position) -> Result<Arc<Snapshot>> {
        let version = TimeTravel::Version(start.reservoir_version);
        let snapshot = self.table.snapshot_at(version).await?;
        if self.options.read_change_feed {
            self.check_in_force(&snapshot)?;
        }
        Ok(snapshot)
    }

    /// Returns the files that a commit added, or none for a commit to pass over.
    fn added_files(&self, version: i64, actions: Vec<Action>) -> Result<Vec<Arc<Add>>> {
        let mut adds = Vec::new();
        let mut removes = false;
        for action in actions {
            match action {
                Action::Add(add) if add.data_change => adds.push(Arc::new(add)),
                Action::Remove(remove) => removes |= remove.data_change,
                Action::Metadata(metadata) => self.check_schema(version, &metadata.schema_string)?,
                _ => {}
            }
        }
        if !removes || self.options.skip_change_commits {
            // A commit to pass over is passed over whole.
            return Ok(if removes { Vec::new() } else { adds });
        }
        match (adds.is_empty(), self.options.ignore_deletes) {
            (true, true) => Ok(adds),
            (true, false) => Err(self.changed(format!(
                "commit {version} deleted rows; set ignoreDeletes=true or skipChangeCommits=true to pass over \
                 such commits"
            ))),
            (false, _) => Err(self.changed(format!(
                "commit {version} changed rows; set skipChangeCommits=true to pass over such commits"
            ))),
        }
    }

    /// Checks that rows are read with the schema that commit `version` gives the table, or a later one that holds it.
    fn check_schema(&self, version: i64, schema: &str) -> Result<()> {
        let ours = &self.snapshot.metadata().schema_string;
        if schema == ours {
            return Ok(());
        }
        if version > self.snapshot.version() {
            return Err(Error::SchemaChanged {
                origin: self.description(),
                condition: "DELTA_SCHEMA_CHANGED_WITH_VERSION",
                sqlstate: "KD007",
                message: format!(
                    "commit {version} changed the table's schema; start the query again to read with it"
                ),
            });
        }
        match schema::unreadable_column(schema, ours) {
            None => Ok(()),
            Some(column) => Err(Error::SchemaChanged {
                origin: self.description(),
                condition: "DELTA_STREAMING_INCOMPATIBLE_SCHEMA_CHANGE_USE_SCHEMA_LOG",
                sqlstate: "42KD4",
                message: format!(
                    "rows of commit {version} have a column `{column}` that the table's schema of version {} lacks (it \
                     was renamed or dropped) or gives another type; start over with a new checkpoint",
                    self.snapshot.version()
                ),
            }),
        }
    }

    /// Returns the oldest commit after `version`, which is gone.
    async fn first_commit_after(&self, version: i64, newest: i64) -> Result<i64> {
        if self.options.fail_on_data_loss {
            return Err(Error::DataLoss {
                origin: self.description(),
                message: format!("commit {version} was cleaned up before it was read"),
            });
        }
        let history = self.table.history(None).await?;
        let earliest = history.iter().map(|entry| entry.version).min();
        let earliest = earliest.unwrap_or(newest).max(version + 1);
        tracing::warn!(source = %self.description(), version, earliest, "commits were cleaned up before they were read");
        Ok(earliest)
    }

    /// Returns where to look from: past what is known to hold nothing.
    fn skip_nothing(&self, start: &Position) -> Position {
        let known = self
            .nothing_between
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match known.as_ref() {
            Some((from, to)) if from == start => to.clone(),
            _ => start.clone(),
        }
    }

    fn note_nothing(&self, start: &Position, end: &Position) {
        let mut known = self
            .nothing_between
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *known = Some((start.clone(), end.clone()));
    }

    async fn initial_position(&self) -> Result<Position> {
        let newest = self.table.snapshot().await?;
        let id = self.table_id();
        if self.options.read_change_feed
            && matches!(
                self.options.starting,
                StartingPoint::Snapshot | StartingPoint::Latest
            )
        {
            self.check_in_force(&newest)?;
        }
        match self.options.starting {
            StartingPoint::Snapshot => Ok(Position::new(id, newest.version(), true)),
            StartingPoint::Latest => Ok(Position::new(id, newest.version() + 1, false)),
            StartingPoint::Version(version) => Ok(Position::new(id, version, false)),
            StartingPoint::Timestamp(ms) => {
                let at = match self.table.snapshot_at(TimeTravel::Timestamp(ms)).await {
                    Ok(at) => at,
                    Err(ingot_delta::Error::TimestampNotFound { earliest_ms, .. }) if ms < earliest_ms => {
                        self.table.snapshot_at(TimeTravel::Timestamp(earliest_ms)).await?
                    }
                    Err(ingot_delta::Error::TimestampNotFound { .. }) => {
                        return Ok(Position::new(id, newest.version() + 1, false));
                    }
                    Err(error) => return Err(error.into()),
                };
                // The first commit at or after the instant.
                let version = at.version() + i64::from(at.timestamp_ms() < ms);
                Ok(Position::new(id, version, false))
            }
        }
    }
}

#[async_trait]
impl Source for DeltaSource {
    fn description(&self) -> String {
        format!("DeltaSource[{}]", self.table.location())
    }

    fn schema(&self) -> SchemaRef {
        match self.options.read_change_feed {
            true => ChangeFeed::schema(self.snapshot.schema()),
            false => Arc::clone(self.snapshot.schema()),
        }
    }

    async fn initial_offset(&self) -> Result<Offset> {
        self.initial_position().await?.to_offset()
    }

    async fn next_offset(&self, start: &Offset, limit: ReadLimit, until: Option<&Offset>) -> Result<Offset> {
        let start_position = self.position(start)?;
        let until = until.map(|until| self.position(until)).transpose()?;
        let newest = self.table.snapshot().await?.version();
        let (files_max, bytes_max) = match limit {
            ReadLimit::Options => (self.options.max_files, self.options.max_bytes),
            ReadLimit::All => (u64::MAX, u64::MAX),
        };
        let (mut files, mut bytes) = (0_u64, 0_u64);
        let mut end = self.skip_nothing(&start_position);
        while until.as_ref().is_none_or(|until| end.is_before(until)) {
            let Some((found, next)) = self.pieces_after(&end, newest).await? else {
                break;
            };
            let count = found.len();
            for (number, piece) in found.into_iter().enumerate() {
                let past_end = until.as_ref().is_some_and(|until| until.is_before(&piece.after));
                if past_end {
                    return end.to_offset();
                }
                let size = piece.size();
                files = files.saturating_add(size.0);
                bytes = bytes.saturating_add(size.1);
                // The position after the last piece is the next version's beginning.
                end = if number + 1 == count {
                    next.clone()
                } else {
                    piece.after
                };
                // The bounds are soft: a piece that is larger is read all the same.
                if files >= files_max || bytes >= bytes_max {
                    return end.to_offset();
                }
            }
            end = next;
        }
        if files == 0 {
            self.note_nothing(&start_position, &end);
            let passed = end.reservoir_version - start_position.reservoir_version;
            return match passed < EMPTY_VERSIONS_MAX {
                true => Ok(start.clone()),
                false => end.to_offset(),
            };
        }
        end.to_offset()
    }

    async fn batch(&self, start: &Offset, end: &Offset) -> Result<SourceBatch> {
        let end = self.position(end)?;
        let mut position = self.skip_nothing(&self.position(start)?);
        if self.options.read_change_feed {
            return self.batch_of_changes(position, &end).await;
        }
        let mut adds = Vec::new();
        while position.is_before(&end) {
            let Some((found, next)) = self.pieces_after(&position, i64::MAX).await? else {
                break;
            };
            adds.extend(files_until(found, &end));
            position = next;
        }
        let rows = adds.iter().map(|add| records(add)).sum();
        let snapshot = Arc::clone(&self.snapshot);
        Ok(SourceBatch {
            relation: added_files_provider(Arc::clone(&self.table), snapshot, adds),
            rows: RowCount::known(rows),
        })
    }

    async fn commit(&self, _end: &Offset) -> Result<()> {
        Ok(())
    }

    async fn latest_offset(&self) -> Option<Offset> {
        let newest = self.table.snapshot().await.ok()?;
        Position::new(self.table_id(), newest.version() + 1, false)
            .to_offset()
            .ok()
    }

    async fn metrics(&self, end: &Offset) -> Vec<(String, String)> {
        let (Ok(end), Ok(newest)) = (self.position(end), self.table.snapshot().await) else {
            return Vec::new();
        };
        let behind = (newest.version() + 1 - end.reservoir_version).max(0);
        vec![("numVersionsOutstanding".to_owned(), behind.to_string())]
    }
}

/// Returns the files of the snapshot that a stream begins with, after `start`.
async fn pieces_of_snapshot(snapshot: &Snapshot, start: &Position) -> Result<Vec<Piece>> {
    let files = snapshot.files().await?;
    let mut adds: Vec<Arc<Add>> = (0..files.len()).map(|file| files.add(file)).collect();
    adds.sort_by(|a, b| (a.modification_time, &a.path).cmp(&(b.modification_time, &b.path)));
    Ok(placed(adds, start))
}

/// Numbers the files of one version and leaves out those up to `start`.
fn placed(adds: Vec<Arc<Add>>, start: &Position) -> Vec<Piece> {
    let placed = adds.into_iter().zip(BASE_INDEX + 1..).map(|(add, index)| Piece {
        content: Content::File(add),
        after: start.at_index(index),
    });
    placed.filter(|piece| piece.after.index > start.index).collect()
}

/// Returns the files of `pieces` up to `end`.
fn files_until(pieces: Vec<Piece>, end: &Position) -> impl Iterator<Item = Arc<Add>> {
    pieces.into_iter().filter_map(|piece| match piece.content {
        Content::File(add) if !end.is_before(&piece.after) => Some(add),
        Content::File(_) | Content::Changes { .. } => None,
    })
}

/// Returns a file's rows by its statistics, less those its deletion vector deletes; 0 when they do not say.
fn records(add: &Add) -> u64 {
    let statistics = add.stats.as_deref().and_then(|text| {
        let value: serde_json::Value = serde_json::from_str(text).ok()?;
        value.get("numRecords")?.as_u64()
    });
    let deleted = add
        .deletion_vector
        .as_ref()
        .map_or(0, |vector| vector.cardinality);
    let deleted = u64::try_from(deleted).unwrap_or_default();
    statistics.unwrap_or_default().saturating_sub(deleted)
}
