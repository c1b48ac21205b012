//! Rows that go, and what becomes of their files: the one place that decides and writes.
//!
//! ```text
//! ChangedRows ─► decide (pure), file by file ─┬─ no row is left ─────────────────► remove
//!                                             ├─ few are gone, vectors allowed ──► remove, add with a vector
//!                                             └─ many are gone, or no vectors ───► remove, rows that stay copied
//! rows that take their place ─────────────────────────────────────────────────────► files of their own
//! ```
//!
//! Copied rows are not mixed with new ones: their files keep the narrow bounds that they had. Always true: as many
//! rows are copied as stay; what was staged is deleted again when staging fails.
//!
//! Where a table has a change data feed, rows that go are read once more by their positions, and those that came from
//! their new files, and recorded; where files alone tell what changed, nothing is.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::dataframe::DataFrame;
use ingot_common::clock;
use ingot_delta::action::DeletionVectorDescriptor;
use ingot_delta::change_feed::{DELETE, INSERT, UPDATE_POSTIMAGE, UPDATE_PREIMAGE};
use ingot_delta::{
    Add, AddCdcFile, DeletionVector, DeltaTable, FileIndex, OperationMetrics, Remove, Snapshot, Transaction,
    WriteTarget,
};

use super::deleted_share_max;
use crate::change_feed::{marked, stage_changes};
use crate::provider::{Positions, Rows, added_files_provider, rows_provider, tracked_provider};
use crate::row_ids::tracked_rows;
use crate::scan::files::stored_rows;
use crate::write::{StagedFiles, discard, stage_for};
use crate::{Error, Result, Session};

/// The rows of a file that go.
#[derive(Debug, Clone, PartialEq)]
enum Gone {
    All,
    /// By position; none of them was deleted before.
    Listed(DeletionVector),
}

/// Rows of a snapshot's files that go, by the files' numbers in its index.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ChangedRows {
    files: BTreeMap<usize, Gone>,
}

impl ChangedRows {
    /// All rows of these files.
    pub fn whole(files: impl IntoIterator<Item = usize>) -> Self {
        Self {
            files: files.into_iter().map(|file| (file, Gone::All)).collect(),
        }
    }

    /// Adds rows of a file, by position. A row may be added more than once.
    pub fn extend(&mut self, file: usize, rows: impl IntoIterator<Item = u64>) {
        let listed = || Gone::Listed(DeletionVector::new());
        if let Gone::Listed(gone) = self.files.entry(file).or_insert_with(listed) {
            gone.extend(rows);
        }
    }

    /// Adds what `other` holds.
    pub fn merge(&mut self, other: Self) {
        for (file, gone) in other.files {
            match (self.files.get_mut(&file), gone) {
                (Some(Gone::Listed(ours)), Gone::Listed(theirs)) => ours.merge(&theirs),
                (Some(Gone::All), Gone::Listed(_)) => {}
                (_, gone) => drop(self.files.insert(file, gone)),
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Returns the numbers of the files, ascending.
    pub fn files(&self) -> Vec<usize> {
        self.files.keys().copied().collect()
    }

    /// Returns about how many bytes this takes in memory.
    pub fn memory_bytes(&self) -> usize {
        let bytes = self.files.values().map(|gone| match gone {
            Gone::All => 0,
            Gone::Listed(rows) => rows.memory_bytes(),
        });
        bytes.sum()
    }

    /// Returns what reads these rows and no others.
    pub fn rows(&self) -> Rows {
        let listed = self.files.iter().filter_map(|(file, gone)| match gone {
            Gone::All => None,
            Gone::Listed(rows) => Some((*file, rows.clone())),
        });
        Rows::Listed(Arc::new(listed.collect()))
    }
}

/// Rows by their files' numbers and their positions, none of them deleted before.
impl FromIterator<(usize, DeletionVector)> for ChangedRows {
    fn from_iter<T: IntoIterator<Item = (usize, DeletionVector)>>(files: T) -> Self {
        let files = files.into_iter().map(|(file, rows)| (file, Gone::Listed(rows)));
        Self {
            files: files.collect(),
        }
    }
}

/// A file of which rows go, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileRows {
    stored: u64,
    deleted_before: u64,
    /// Of those that were left.
    gone: u64,
}

impl FileRows {
    fn left(self) -> u64 {
        self.stored
            .saturating_sub(self.deleted_before)
            .saturating_sub(self.gone)
    }
}

/// What becomes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Removed,
    Vector,
    Copied,
}

/// When a file gets a deletion vector.
#[derive(Debug, Clone, Copy, PartialEq)]
enum VectorPolicy {
    Never,
    /// While the share of its deleted rows is at most this.
    UpTo(f64),
}

/// Decides about one file.
fn decide(rows: FileRows, policy: VectorPolicy) -> Fate {
    if rows.left() == 0 {
        return Fate::Removed;
    }
    let deleted = (rows.deleted_before + rows.gone) as f64;
    match policy {
        VectorPolicy::UpTo(share) if deleted <= share * rows.stored as f64 => Fate::Vector,
        VectorPolicy::UpTo(_) | VectorPolicy::Never => Fate::Copied,
    }
}

/// How the rows that go, and those that come, stand in the change data feed.
#[derive(Debug, Clone)]
pub(crate) enum Recorded {
    /// Rows that go are deleted, those that come are inserted, also those of these files, which the caller adds.
    Apart(Vec<Add>),
    /// Rows that come are what rows that go have become.
    Updates,
    /// The caller writes it.
    Elsewhere,
}

/// Rows that go out of a table's files as of one snapshot.
pub(crate) struct RowChanges<'a> {
    pub session: &'a Session,
    pub table: &'a Arc<DeltaTable>,
    pub snapshot: &'a Arc<Snapshot>,
    pub index: &'a FileIndex,
    pub recorded: Recorded,
}

impl RowChanges<'_> {
    /// Writes all that takes `changed` out of the table and puts `new_rows` in, which are what these rows become, in the
    /// table's columns and in order, then their ids if they keep them. Nothing is committed.
    ///
    /// # Errors
    /// As [`stage_for`], and of the store; what was written is deleted then.
    pub async fn stage(&self, changed: ChangedRows, new_rows: Option<DataFrame>) -> Result<StagedChanges> {
        let mut staged = StagedChanges::default();
        match self.stage_into(&mut staged, changed, new_rows).await {
            Ok(()) => Ok(staged),
            Err(error) => {
                staged.discard(self.table).await;
                Err(error)
            }
        }
    }

    async fn stage_into(
        &self,
        staged: &mut StagedChanges,
        changed: ChangedRows,
        new_rows: Option<DataFrame>,
    ) -> Result<()> {
        let policy = match self.snapshot.deletion_vectors_enabled() {
            true => VectorPolicy::UpTo(deleted_share_max(self.session)),
            false => VectorPolicy::Never,
        };
        let recorded = self.recorded_rows(&changed);
        let (mut vectors, mut copied) = (Positions::new(), Positions::new());
        let mut rows_left = 0;
        let now = clock::now_ms();
        for (file, gone) in changed.files {
            let add = self.index.add(file);
            let rows = self.count(file, &add, &gone).await?;
            if rows.gone == 0 {
                continue;
            }
            staged.removes.push(add.to_remove(now, true));
            staged.counts.take_out(&add, rows, decide(rows, policy));
            match (decide(rows, policy), gone) {
                (Fate::Vector, Gone::Listed(gone)) => drop(vectors.insert(file, gone)),
                (Fate::Copied, Gone::Listed(gone)) => {
                    rows_left += rows.left();
                    copied.insert(file, gone);
                }
                (_, Gone::All) | (Fate::Removed, _) => {}
            }
        }
        self.write_vectors(staged, vectors).await?;
        // Files that go, or get vectors, tell what changed; those with copied rows do not.
        let mixed = !copied.is_empty() || new_rows.is_some();
        if !copied.is_empty() {
            let written = self.copy(copied).await?;
            let rows_copied = written.metrics.get("numOutputRows");
            staged.take_files(written);
            staged.counts.rows_copied = rows_copied;
            if u64::try_from(rows_copied) != Ok(rows_left) {
                return Err(Error::internal(format!(
                    "{rows_copied} rows were copied where {rows_left} stay; nothing was changed"
                )));
            }
        }
        let mut new_files = Vec::new();
        if let Some(rows) = new_rows {
            let written = self.write(rows).await?;
            staged.counts.rows_added = written.metrics.get("numOutputRows");
            new_files.extend(written.files.iter().cloned().map(Arc::new));
            staged.take_files(written);
        }
        match recorded {
            Some(gone) if mixed => self.record(staged, gone, new_files).await,
            _ => Ok(()),
        }
    }

    /// Returns what reads the rows that go, if they must be recorded.
    fn recorded_rows(&self, changed: &ChangedRows) -> Option<(Vec<usize>, Rows)> {
        let elsewhere = matches!(self.recorded, Recorded::Elsewhere);
        let record = !elsewhere && self.snapshot.change_data_feed_enabled();
        record.then(|| (changed.files(), changed.rows()))
    }

    /// Writes the rows that go and those that came, as they stand in the new files, for the change data feed.
    async fn record(
        &self,
        staged: &mut StagedChanges,
        (files, rows): (Vec<usize>, Rows),
        mut new_files: Vec<Arc<Add>>,
    ) -> Result<()> {
        let (before, after) = match &self.recorded {
            Recorded::Updates => (UPDATE_PREIMAGE, UPDATE_POSTIMAGE),
            Recorded::Apart(others) => {
                new_files.extend(others.iter().cloned().map(Arc::new));
                (DELETE, INSERT)
            }
            Recorded::Elsewhere => return Ok(()),
        };
        let (table, snapshot) = (self.table, self.snapshot);
        let datafusion = self.session.datafusion();
        let gone = rows_provider(Arc::clone(table), Arc::clone(snapshot), files, rows);
        let mut changes = marked(datafusion.read_table(gone)?, before)?;
        if !new_files.is_empty() {
            let came = added_files_provider(Arc::clone(table), Arc::clone(snapshot), new_files);
            changes = changes.union(marked(datafusion.read_table(came)?, after)?)?;
        }
        let target = WriteTarget::of_table(table, snapshot)?;
        let written = stage_changes(self.session, &target, changes).await?;
        staged.counts.change_files_added += count(written.files.len());
        staged.change_files.extend(written.files);
        Ok(())
    }

    async fn count(&self, file: usize, add: &Add, gone: &Gone) -> Result<FileRows> {
        let stored = stored_rows(self.table, self.index, file).await?;
        let vector = add.deletion_vector.as_ref();
        let deleted_before = vector.map_or(0, |vector| u64::try_from(vector.cardinality).unwrap_or(0));
        let gone = match gone {
            Gone::All => stored.saturating_sub(deleted_before),
            Gone::Listed(rows) => rows.len(),
        };
        Ok(FileRows {
            stored,
            deleted_before,
            gone,
        })
    }

    /// Gives files new vectors, which hold what their old ones do.
    async fn write_vectors(&self, staged: &mut StagedChanges, gone: Positions) -> Result<()> {
        let files: Vec<(usize, Arc<Add>)> = gone.keys().map(|file| (*file, self.index.add(*file))).collect();
        let with_old = files.iter().enumerate();
        let (places, old): (Vec<usize>, Vec<&DeletionVectorDescriptor>) = with_old
            .filter_map(|(place, (_, add))| Some((place, add.deletion_vector.as_ref()?)))
            .unzip();
        let old = self.table.deletion_vectors(&old).await?;
        let mut vectors: Vec<DeletionVector> = gone.into_values().collect();
        for (place, old) in places.into_iter().zip(old) {
            vectors[place].merge(&old);
        }
        let written = self.table.write_deletion_vectors(&vectors).await?;
        staged.vectors.extend(written.iter().cloned());
        for ((file, add), vector) in files.iter().zip(written) {
            let stored = stored_rows(self.table, self.index, *file).await?;
            staged.adds.push(add.with_deletion_vector(vector, stored)?);
        }
        Ok(())
    }

    /// Writes the rows that stay in files where `gone` do not.
    async fn copy(&self, gone: Positions) -> Result<StagedFiles> {
        let files = gone.keys().copied().collect();
        let rows = Rows::Except(Arc::new(gone));
        let (table, snapshot) = (Arc::clone(self.table), Arc::clone(self.snapshot));
        let datafusion = self.session.datafusion();
        let rows = match self.snapshot.row_id_columns() {
            Some(ids) => {
                let rows = datafusion.read_table(tracked_provider(table, snapshot, files, rows, &ids))?;
                tracked_rows(rows, self.snapshot, &ids)?
            }
            None => datafusion.read_table(rows_provider(table, snapshot, files, rows))?,
        };
        self.write(rows).await
    }

    /// Writes rows that were in the table before, in its columns, with their ids if they keep them.
    async fn write(&self, rows: DataFrame) -> Result<StagedFiles> {
        let target = WriteTarget::of_table(self.table, self.snapshot)?.with_row_ids();
        stage_for(self.session, target, rows).await
    }
}

/// Removes and adds of one operation, with what they name written. No part of the table before a commit.
#[derive(Debug, Default)]
pub(crate) struct StagedChanges {
    removes: Vec<Remove>,
    /// Old files with new vectors, and new files.
    adds: Vec<Add>,
    new_files: Vec<Add>,
    vectors: Vec<DeletionVectorDescriptor>,
    /// Files for the change data feed.
    change_files: Vec<Add>,
    pub counts: ChangeCounts,
}

impl StagedChanges {
    /// Says if the table stays as it is.
    pub fn is_empty(&self) -> bool {
        self.removes.is_empty() && self.adds.is_empty()
    }

    /// Hands the actions to a transaction.
    pub fn put_into(&self, transaction: &mut Transaction) {
        transaction.remove_files(self.removes.iter().cloned());
        transaction.add_files(self.adds.iter().cloned());
        transaction.add_change_files(self.change_files.iter().cloned().map(AddCdcFile::from));
    }

    /// Deletes what was written. For commits that did not come about.
    pub async fn discard(&self, table: &DeltaTable) {
        discard(table, &self.new_files).await;
        discard(table, &self.change_files).await;
        table.discard_deletion_vectors(&self.vectors).await;
    }

    fn take_files(&mut self, staged: StagedFiles) {
        self.counts.files_added += count(staged.files.len());
        self.counts.bytes_added += staged.files.iter().map(|file| file.size).sum::<i64>();
        self.adds.extend(staged.files.iter().cloned());
        self.new_files.extend(staged.files);
    }
}

/// What an operation did to a table's files and rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ChangeCounts {
    /// Rows that were taken out, whether or not others took their place.
    pub rows_gone: i64,
    /// Rows that were put in; copies do not count.
    pub rows_added: i64,
    pub rows_copied: i64,
    /// Files that are no longer in the table; those that got a vector still are.
    pub files_removed: i64,
    pub bytes_removed: i64,
    pub files_added: i64,
    pub bytes_added: i64,
    /// Files that got a vector, also in place of another.
    pub vectors_added: i64,
    /// Vectors that others took the place of, or that went with their files.
    pub vectors_removed: i64,
    pub vectors_updated: i64,
    pub change_files_added: i64,
}

impl ChangeCounts {
    fn take_out(&mut self, add: &Add, rows: FileRows, fate: Fate) {
        let had_vector = i64::from(add.deletion_vector.is_some());
        self.rows_gone += i64::try_from(rows.gone).unwrap_or(i64::MAX);
        self.vectors_removed += had_vector;
        match fate {
            Fate::Vector => {
                self.vectors_added += 1;
                self.vectors_updated += had_vector;
            }
            Fate::Removed | Fate::Copied => {
                self.files_removed += 1;
                self.bytes_removed += add.size;
            }
        }
    }

    /// Returns what DELETE and UPDATE say of files, under Spark's names.
    pub fn metrics(&self) -> OperationMetrics {
        let mut metrics = OperationMetrics::default();
        for (name, value) in [
            ("numRemovedFiles", self.files_removed),
            ("numRemovedBytes", self.bytes_removed),
            ("numAddedFiles", self.files_added),
            ("numAddedBytes", self.bytes_added),
            ("numCopiedRows", self.rows_copied),
            ("numAddedChangeFiles", self.change_files_added),
            ("numDeletionVectorsAdded", self.vectors_added),
            ("numDeletionVectorsRemoved", self.vectors_removed),
            ("numDeletionVectorsUpdated", self.vectors_updated),
        ] {
            metrics.increase(name, value);
        }
        metrics
    }
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    const HALF: VectorPolicy = VectorPolicy::UpTo(0.5);

    #[test_case(10, 0, 1, HALF, Fate::Vector)]
    #[test_case(10, 0, 5, HALF, Fate::Vector; "exactly the share")]
    #[test_case(10, 0, 6, HALF, Fate::Copied; "more than the share")]
    #[test_case(10, 4, 2, HALF, Fate::Copied; "more than the share with those before")]
    #[test_case(10, 4, 6, HALF, Fate::Removed; "the rest")]
    #[test_case(10, 0, 10, VectorPolicy::Never, Fate::Removed; "all rows need no vector")]
    #[test_case(10, 0, 1, VectorPolicy::Never, Fate::Copied)]
    #[test_case(10, 0, 1, VectorPolicy::UpTo(0.0), Fate::Copied; "never wanted")]
    #[test_case(10, 0, 9, VectorPolicy::UpTo(1.0), Fate::Vector; "always wanted")]
    fn a_files_fate(stored: u64, deleted_before: u64, gone: u64, policy: VectorPolicy, expected: Fate) {
        let rows = FileRows {
            stored,
            deleted_before,
            gone,
        };
        assert_eq!(decide(rows, policy), expected);
    }

    #[test]
    fn changed_rows_of_several_tasks_add_up() {
        let mut all = ChangedRows::default();
        all.extend(1, [4, 5]);
        let mut others = ChangedRows::whole([3]);
        others.extend(1, [5, 9]);
        others.extend(3, [7]);
        all.merge(others);
        assert_eq!(all.files(), [1, 3]);
        assert_eq!(all.files[&1], Gone::Listed([4, 5, 9].into_iter().collect()));
        assert_eq!(all.files[&3], Gone::All);
    }
}
