//! What a merge records for the change data feed.
//!
//! ```text
//! rows that clauses make ─► files of changes ─► read back ─► data files
//!     where rows keep ids:  data files ─► read back, ids tell what is new ─► files of changes
//! positions that go ──────► read as they were ─► files of changes
//! ```
//! Data files and files of changes hold the same rows, for the ones are written from the others: an expression may give
//! another value the second time. Always true: where the merge adds columns, its files of changes have them too, null
//! in rows as they were before. A merge that only inserts records nothing, for its files tell of it.
//! Source: Delta protocol, "Add CDC File"; Delta, `MergeIntoCommandBase`.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Expr, lit, when};
use ingot_delta::change_feed::{CHANGE_TYPE, DELETE, INSERT, UPDATE_POSTIMAGE, UPDATE_PREIMAGE};
use ingot_delta::{Add, DeltaTable, RowIdColumns, Snapshot, WriteTarget};

use super::MergeMatching;
use super::clauses::Clauses;
use super::decide::{Decisions, Recording};
use crate::change_feed::{marked, stage_changes};
use crate::provider::{Rows, added_files_provider, rows_provider, tracked_files_provider};
use crate::write::{StagedFiles, discard, stage_for};
use crate::{Result, Session};

/// Records what a merge changes in a table as of one snapshot.
pub(super) struct ChangeRecord<'a> {
    session: &'a Session,
    table: &'a Arc<DeltaTable>,
    /// The snapshot in the columns that the table has after the merge.
    after: Arc<Snapshot>,
    target: WriteTarget,
    /// The columns of row ids, where rows keep them.
    row_ids: Option<RowIdColumns>,
}

impl<'a> ChangeRecord<'a> {
    /// Makes it for a merge that must record; `None` for others.
    pub fn of(
        session: &'a Session,
        table: &'a Arc<DeltaTable>,
        snapshot: &Arc<Snapshot>,
        clauses: &Clauses,
        row_ids: Option<&RowIdColumns>,
    ) -> Result<Option<Self>> {
        let kinds = [MergeMatching::Matched, MergeMatching::NotMatchedBySource];
        let changes_rows = kinds.into_iter().any(|kind| clauses.any(kind));
        if !changes_rows || !snapshot.change_data_feed_enabled() {
            return Ok(None);
        }
        let (after, target) = match &clauses.evolution {
            Some(evolution) => (Arc::new(snapshot.evolved(evolution)?), evolution.target.clone()),
            None => (Arc::clone(snapshot), WriteTarget::of_table(table, snapshot)?),
        };
        Ok(Some(Self {
            session,
            table,
            after,
            target,
            row_ids: row_ids.cloned(),
        }))
    }

    /// Says what must be noted of the rows that clauses take.
    pub fn needs(&self) -> Recording {
        match self.row_ids {
            Some(_) => Recording::Deleted,
            None => Recording::Marked,
        }
    }

    /// Writes the rows that clauses make, as [`Self::needs`] has them noted. Returns the data files, and those of changes.
    pub async fn write(&self, rows: DataFrame) -> Result<(StagedFiles, Vec<Add>)> {
        if let Some(ids) = &self.row_ids {
            let written = stage_for(self.session, self.target.with_row_ids(), rows).await?;
            return match self.rows_that_came(&written, ids).await {
                Ok(recorded) => Ok((written, recorded)),
                Err(error) => {
                    discard(self.table, &written.files).await;
                    Err(error)
                }
            };
        }
        let recorded = stage_changes(self.session, &self.target, rows).await?.files;
        let written = async {
            let files = recorded.iter().cloned().map(Arc::new).collect();
            let rows = added_files_provider(Arc::clone(self.table), Arc::clone(&self.after), files);
            let rows = self.session.datafusion().read_table(rows)?;
            stage_for(self.session, self.target.clone(), rows).await
        };
        match written.await {
            Ok(written) => Ok((written, recorded)),
            Err(error) => {
                discard(self.table, &recorded).await;
                Err(error)
            }
        }
    }

    /// Records the rows of new files: those with an id were there before.
    async fn rows_that_came(&self, written: &StagedFiles, ids: &RowIdColumns) -> Result<Vec<Add>> {
        if written.files.is_empty() {
            return Ok(Vec::new());
        }
        let files = written.files.iter().cloned().map(Arc::new).collect();
        let rows = tracked_files_provider(Arc::clone(self.table), Arc::clone(&self.after), files, ids);
        let rows = self.session.datafusion().read_table(rows)?;
        let column = |name: &str| Expr::Column(Column::from_name(name));
        let fields = self.target.schema().fields().iter();
        let mut columns: Vec<Expr> = fields.map(|field| column(field.name())).collect();
        let came = when(column(&ids.row_id).is_null(), lit(INSERT)).otherwise(lit(UPDATE_POSTIMAGE))?;
        columns.push(came.alias(CHANGE_TYPE));
        let changes = rows.select(columns)?;
        Ok(stage_changes(self.session, &self.target, changes).await?.files)
    }

    /// Records the rows that clauses delete, and those that they update as they were.
    pub async fn rows_that_go(&self, decisions: &Decisions) -> Result<Vec<Add>> {
        let mut updated = decisions.changed.clone();
        for (file, deleted) in &decisions.deleted {
            if let Some(rows) = updated.get_mut(file) {
                rows.subtract(deleted);
            }
        }
        updated.retain(|_, rows| !rows.is_empty());
        let mut changes: Option<DataFrame> = None;
        for (rows, kind) in [(decisions.deleted.clone(), DELETE), (updated, UPDATE_PREIMAGE)] {
            if rows.is_empty() {
                continue;
            }
            let files = rows.keys().copied().collect();
            let listed = Rows::Listed(Arc::new(rows));
            let rows = rows_provider(Arc::clone(self.table), Arc::clone(&self.after), files, listed);
            let rows = marked(self.session.datafusion().read_table(rows)?, kind)?;
            changes = Some(match changes {
                None => rows,
                Some(others) => others.union(rows)?,
            });
        }
        match changes {
            None => Ok(Vec::new()),
            Some(changes) => Ok(stage_changes(self.session, &self.target, changes).await?.files),
        }
    }
}
