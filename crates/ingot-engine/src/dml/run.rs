//! A statement that changes rows, run until it is committed.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::Expr as SqlExpr;
use ingot_common::clock;
use ingot_delta::{CommitOutcome, ConflictReason, DeltaTable, Operation, ReadSet};

use super::find::{Place, find};
use super::target::TargetName;
use super::update::{Assignment, updated_rows};
use super::{ChangeCounts, FilteredTarget, RETRIES, Recorded, RowChanges, check_rows_can_change};
use crate::resolve::Reads;
use crate::write::{CommitSettings, conflict_error};
use crate::{Error, Result, Session};

/// A condition, as the statement has it.
#[derive(Debug, Clone)]
pub(crate) struct Predicate {
    pub text: String,
    pub expression: SqlExpr,
}

/// A statement over the rows of one table.
pub(crate) struct RowStatement<'a> {
    pub session: &'a Session,
    pub table: &'a Arc<DeltaTable>,
    pub target: TargetName,
    /// Through what the table is shown.
    pub filtered: Option<FilteredTarget>,
    /// All rows without one.
    pub predicate: Option<Predicate>,
    pub operation: Operation,
    /// New values for the rows; without any they are deleted.
    pub assignments: Option<Vec<Assignment>>,
}

/// What became of one attempt.
enum Attempt {
    Done(ChangeCounts),
    Conflicted(ConflictReason),
}

impl RowStatement<'_> {
    /// Runs the statement, again on the newest version when others came first.
    ///
    /// # Errors
    /// `FailedPrecondition` for an append-only table; `Conflict` when retries are used up. Nothing has changed then.
    pub async fn run(&self) -> Result<ChangeCounts> {
        let settings = CommitSettings::of_session(self.session)?;
        let mut retries = RETRIES.attempts();
        loop {
            let attempt = self.attempt(&settings).await;
            let attempt = attempt.map_err(|error| FilteredTarget::conceal(self.filtered.as_ref(), error));
            let reason = match attempt? {
                Attempt::Done(counts) => return Ok(counts),
                Attempt::Conflicted(reason) => reason,
            };
            let stop = self.session.stop();
            let again = tokio::select! {
                biased;
                () = stop.cancelled() => return Err(Error::Cancelled),
                again = retries.pause() => again,
            };
            if !again {
                return Err(conflict_error(&reason));
            }
        }
    }

    async fn attempt(&self, settings: &CommitSettings) -> Result<Attempt> {
        let begun_ms = clock::now_ms();
        let reads = Reads::default();
        let snapshot = reads.snapshot(self.table).await?;
        check_rows_can_change(self.table, &snapshot)?;
        if settings.applied_to(self.table, &snapshot).await? {
            return Ok(Attempt::Done(ChangeCounts::default()));
        }
        let place = Place {
            session: self.session,
            table: self.table,
            snapshot: &snapshot,
            index: snapshot.files().await?,
            filtered: self.filtered.as_ref(),
        };
        let predicate = self.predicate.as_ref().map(|predicate| &predicate.expression);
        let stop = self.session.stop();
        let found = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Error::Cancelled),
            found = find(place, &self.target, predicate, &reads) => found?,
        };
        // An application's transaction is recorded also where it finds nothing to do, so that it never does it later.
        if found.changed.is_empty() && settings.app_transaction.is_none() {
            return Ok(Attempt::Done(ChangeCounts::default()));
        }
        let scanned_ms = clock::now_ms();
        let (mut read_set, mut new_rows) = (found.read_set, None);
        if let Some(assignments) = &self.assignments
            && !found.changed.is_empty()
        {
            let updated = updated_rows(place, &self.target, assignments, &found.changed, &reads).await?;
            new_rows = Some(updated.rows);
            if updated.reads_itself {
                read_set = ReadSet::WholeTable;
            }
        }
        let changes = RowChanges {
            session: self.session,
            table: self.table,
            snapshot: &snapshot,
            index: place.index,
            recorded: match &self.assignments {
                Some(_) => Recorded::Updates,
                None => Recorded::Apart(Vec::new()),
            },
        };
        let staged = changes.stage(found.changed, new_rows).await?;
        if self.assignments.is_some() && staged.counts.rows_added != staged.counts.rows_gone {
            staged.discard(self.table).await;
            return Err(Error::internal(format!(
                "{} rows were updated and became {}; nothing was changed",
                staged.counts.rows_gone, staged.counts.rows_added
            )));
        }
        if staged.is_empty() && settings.app_transaction.is_none() {
            return Ok(Attempt::Done(staged.counts));
        }
        let rows_metric = match &self.assignments {
            Some(_) => "numUpdatedRows",
            None => "numDeletedRows",
        };
        let mut metrics = staged.counts.metrics();
        let now_ms = clock::now_ms();
        for (name, value) in [
            (rows_metric, staged.counts.rows_gone),
            ("scanTimeMs", scanned_ms - begun_ms),
            ("rewriteTimeMs", now_ms - scanned_ms),
            ("executionTimeMs", now_ms - begun_ms),
        ] {
            metrics.increase(name, value);
        }
        let mut transaction = self
            .table
            .transaction(Arc::clone(&snapshot), self.operation.clone());
        transaction.set_read_set(read_set);
        transaction.set_user_name(self.session.context().principal.as_str());
        transaction.set_metrics(metrics);
        settings.apply(&mut transaction);
        staged.put_into(&mut transaction);
        transaction.set_row_ids_kept();
        match transaction.commit().await? {
            CommitOutcome::Committed { .. } => {
                CommitSettings::after_write(self.session)?;
                Ok(Attempt::Done(staged.counts))
            }
            CommitOutcome::Conflicted(reason) => {
                staged.discard(self.table).await;
                Ok(Attempt::Conflicted(reason))
            }
            CommitOutcome::AlreadyApplied { .. } => {
                staged.discard(self.table).await;
                Ok(Attempt::Done(ChangeCounts::default()))
            }
        }
    }
}
