//! What a write takes out of the table, on one version of it, and what it read to know.
//!
//! ```text
//! mode ─┬─ append ───────────────────────► nothing
//!       ├─ overwrite ────────────────────► every file
//!       ├─ by partition ─────────────────► files of the partitions that the new files are in
//!       ├─ where, on partition columns ──► files whose values match
//!       └─ where, using, on ─────────────► rows that match, as DELETE takes them out (`dml`)
//! ```
//! Always true: the read set names no more than what was looked at, so that writes to other partitions do not
//! conflict.

use std::sync::Arc;

use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Expr, JoinType, ident, lit};
use datafusion::prelude::Column;
use ingot_common::{Kind, clock};
use ingot_delta::{DeltaTable, Evolution, FileIndex, OperationMetrics, ReadSet, Remove, Snapshot};

use super::partitions::{NullPartition, PartitionSet};
use super::predicate::TablePredicate;
use super::{StagedFiles, WriteMode};
use crate::dml::{ChangedRows, Recorded, RowChanges, StagedChanges, check_rows_can_change, positions};
use crate::provider::{FILE_COLUMN, ROW_COLUMN, added_files_provider, tagged_provider};
use crate::pruning::{FilterPredicate, PartitionColumns, decided_by_partition, retain_possible};
use crate::{Error, Result, Session};

/// A write that replaces rows of one version.
pub(super) struct Replacing<'a> {
    pub session: &'a Session,
    pub table: &'a Arc<DeltaTable>,
    pub snapshot: &'a Arc<Snapshot>,
    pub mode: &'a WriteMode,
    /// What the write makes of the table's columns, if it changes them.
    pub evolution: Option<&'a Evolution>,
    /// The rows as the query gives them, for the names of their columns.
    pub query_columns: &'a DataFrame,
    /// The new rows.
    pub staged: &'a StagedFiles,
    pub reads_target: bool,
    pub data_change: bool,
}

/// What goes.
#[derive(Debug)]
pub(super) struct Removal {
    /// Whole files.
    pub removes: Vec<Remove>,
    /// Rows of files.
    pub changes: Option<StagedChanges>,
    pub read_set: ReadSet,
    pub metrics: OperationMetrics,
}

/// Finds what goes. Files with copied rows are written, and nothing is committed.
///
/// # Errors
/// `DELTA_CANNOT_MODIFY_APPEND_ONLY`; `Unavailable` when the table cannot be read; what was written is deleted then.
pub(super) async fn removal(write: &Replacing<'_>) -> Result<Removal> {
    if *write.mode != WriteMode::Append && write.data_change {
        check_rows_can_change(write.table, write.snapshot)?;
    }
    let mut removal = match write.mode {
        WriteMode::Append => Removal::none(),
        WriteMode::Overwrite => write.everything().await?,
        WriteMode::OverwritePartitions if write.snapshot.partition_columns().is_empty() => {
            write.everything().await?
        }
        WriteMode::OverwritePartitions => {
            let columns = write.snapshot.partition_columns().to_vec();
            write.partitions(columns, NullPartition::Matches).await?
        }
        WriteMode::ReplaceWhere(_) => write.matching().await?,
        WriteMode::ReplaceUsing(columns) => write.using(columns).await?,
        WriteMode::ReplaceOn { .. } => write.on().await?,
    };
    if write.reads_target {
        removal.read_set = ReadSet::WholeTable;
    }
    Ok(removal)
}

impl Removal {
    fn none() -> Self {
        Self {
            removes: Vec::new(),
            changes: None,
            read_set: ReadSet::Nothing,
            metrics: OperationMetrics::default(),
        }
    }
}

/// Which rows go.
enum Doomed {
    /// Those for which it is true.
    Where(Expr),
    /// Those that meet one of `rows`, a relation [`ROWS`]; theirs is [`TABLE`].
    Meeting { rows: DataFrame, on: Expr },
}

/// The relation of the table's rows.
const TABLE: &str = "__ingot_table";
/// The relation of the new rows.
const ROWS: &str = "__ingot_rows";

impl Doomed {
    /// Keeps the rows that go.
    fn of(&self, table: DataFrame) -> Result<DataFrame> {
        Ok(match self {
            Self::Where(predicate) => table.filter(predicate.clone())?,
            Self::Meeting { rows, on } => {
                let table = table.alias(TABLE)?;
                table.join_on(rows.clone(), JoinType::LeftSemi, [on.clone()])?
            }
        })
    }
}

impl Replacing<'_> {
    async fn everything(&self) -> Result<Removal> {
        let index = self.snapshot.files().await?;
        let files = (0..index.len()).collect();
        Ok(self.whole_files(index, files, ReadSet::WholeTable))
    }

    fn whole_files(&self, index: &FileIndex, files: Vec<usize>, read_set: ReadSet) -> Removal {
        let now = clock::now_ms();
        let mut metrics = OperationMetrics::default();
        metrics.increase("numRemovedFiles", count(files.len()));
        let mut removes = Vec::with_capacity(files.len());
        for file in files {
            let add = index.add(file);
            metrics.increase("numRemovedBytes", add.size);
            removes.push(add.to_remove(now, self.data_change));
        }
        Removal {
            removes,
            changes: None,
            read_set,
            metrics,
        }
    }

    /// Removes the files that have the partition values of new files in `columns`.
    async fn partitions(&self, columns: Vec<String>, null: NullPartition) -> Result<Removal> {
        let adds = self.staged.files.iter().cloned().map(Arc::new).collect();
        let new = self.snapshot.index_of(adds);
        let set = PartitionSet::of(&new, columns, null)?;
        let index = self.snapshot.files().await?;
        let files = set.files(index)?;
        let paths = files.iter().map(|file| index.add(*file).path.clone()).collect();
        let read_set = ReadSet::Matching {
            predicate: Arc::new(set),
            paths,
        };
        Ok(self.whole_files(index, files, read_set))
    }

    /// Removes the rows that match the predicate.
    async fn matching(&self) -> Result<Removal> {
        let WriteMode::ReplaceWhere(text) = self.mode else {
            return Ok(Removal::none());
        };
        let predicate = TablePredicate::parse(self.session, self.snapshot.schema(), text)?;
        let parts: Vec<Expr> = split_conjunction(&predicate.expression)
            .into_iter()
            .cloned()
            .collect();
        let partition_columns = self.snapshot.partition_columns();
        let (by_partition, by_row): (Vec<Expr>, Vec<Expr>) = parts
            .iter()
            .cloned()
            .partition(|part| decided_by_partition(part, partition_columns));
        let state = self.session.datafusion().state();
        let index = self.snapshot.files().await?;
        let partitions = PartitionColumns::new(self.snapshot, index);
        let files = partitions.retain_matching(&state, (0..index.len()).collect(), &by_partition)?;
        let files = retain_possible(&state, self.snapshot, index, files, &by_row)?;
        let read_set = ReadSet::Matching {
            predicate: Arc::new(FilterPredicate::exact(
                &state,
                self.snapshot,
                &by_partition,
                &by_row,
            )?),
            paths: files.iter().map(|file| index.add(*file).path.clone()).collect(),
        };
        match conjunction(by_row) {
            None => Ok(self.whole_files(index, files, read_set)),
            // The whole predicate, for its parts may be safe in their order only.
            Some(_) => {
                self.rows(files, &Doomed::Where(predicate.expression), read_set)
                    .await
            }
        }
    }

    /// Removes the rows that have the values of a new row in `columns`.
    async fn using(&self, columns: &[String]) -> Result<Removal> {
        let schema = self.snapshot.schema();
        let mut names = Vec::with_capacity(columns.len());
        for name in columns {
            let field = schema
                .fields()
                .iter()
                .find(|field| field.name().eq_ignore_ascii_case(name));
            let field = field.ok_or_else(|| unresolved(name))?;
            names.push(field.name().clone());
        }
        let partition_columns = self.snapshot.partition_columns();
        if names.iter().all(|name| partition_columns.contains(name)) {
            return self.partitions(names, NullPartition::Never).await;
        }
        let keys: Vec<Expr> = names.iter().map(|name| ident(name.as_str())).collect();
        let rows = self.new_rows()?.select(keys)?.distinct()?.alias(ROWS)?;
        let same = names
            .iter()
            .map(|name| qualified(TABLE, name).eq(qualified(ROWS, name)));
        let on = conjunction(same).unwrap_or_else(|| lit(true));
        self.meeting(Doomed::Meeting { rows, on }).await
    }

    /// Removes the rows that meet a new row under the condition.
    async fn on(&self) -> Result<Removal> {
        let WriteMode::ReplaceOn {
            condition,
            table_alias,
            rows_alias,
        } = self.mode
        else {
            return Ok(Removal::none());
        };
        // The condition means the query's columns by their own names.
        let given = self.query_columns.schema().fields();
        let after = self.after()?;
        let table = after.schema().fields();
        let by_name = |name: &str| table.iter().find(|field| field.name().eq_ignore_ascii_case(name));
        let named = given.iter().enumerate().filter_map(|(place, given)| {
            let field = by_name(given.name()).or_else(|| table.get(place))?;
            Some(ident(field.name().as_str()).alias(given.name()))
        });
        let rows = self.new_rows()?.select(named.collect::<Vec<_>>())?;
        let condition = super::predicate::join_condition(
            self.session,
            condition,
            (TABLE, table_alias, self.snapshot.schema()),
            (ROWS, rows_alias, rows.schema().as_arrow()),
        )?;
        let rows = rows.alias(ROWS)?;
        self.meeting(Doomed::Meeting { rows, on: condition }).await
    }

    async fn meeting(&self, doomed: Doomed) -> Result<Removal> {
        let index = self.snapshot.files().await?;
        let files = (0..index.len()).collect();
        self.rows(files, &doomed, ReadSet::WholeTable).await
    }

    /// The snapshot in the columns that the table has after the write.
    fn after(&self) -> Result<Arc<Snapshot>> {
        Ok(match self.evolution {
            Some(evolution) => Arc::new(self.snapshot.evolved(evolution)?),
            None => Arc::clone(self.snapshot),
        })
    }

    /// Returns the new rows as they will stand in the table.
    fn new_rows(&self) -> Result<DataFrame> {
        let adds = self.staged.files.iter().cloned().map(Arc::new).collect();
        let provider = added_files_provider(Arc::clone(self.table), self.after()?, adds);
        Ok(self.session.datafusion().read_table(provider)?)
    }

    /// Takes out the rows of `files` that go.
    async fn rows(&self, files: Vec<usize>, doomed: &Doomed, read_set: ReadSet) -> Result<Removal> {
        if files.is_empty() {
            return Ok(Removal {
                read_set,
                ..Removal::none()
            });
        }
        let provider = tagged_provider(Arc::clone(self.table), Arc::clone(self.snapshot), Some(files));
        let rows = doomed.of(self.session.datafusion().read_table(provider)?)?;
        let rows = rows.select(vec![ident(FILE_COLUMN), ident(ROW_COLUMN)])?;
        let changed = positions(self.session, rows).await?;
        self.changes(changed, read_set).await
    }

    /// Takes rows out, in the columns that the new ones have.
    async fn changes(&self, changed: ChangedRows, read_set: ReadSet) -> Result<Removal> {
        let after = self.after()?;
        let changes = RowChanges {
            session: self.session,
            table: self.table,
            snapshot: &after,
            index: after.files().await?,
            recorded: match self.data_change {
                true => Recorded::Apart(self.staged.files.clone()),
                false => Recorded::Elsewhere,
            },
        };
        let staged = changes.stage(changed, None).await?;
        let mut metrics = staged.counts.metrics();
        metrics.increase("numDeletedRows", staged.counts.rows_gone);
        metrics.increase("numCopiedRows", staged.counts.rows_copied);
        Ok(Removal {
            changes: Some(staged),
            metrics,
            read_set,
            ..Removal::none()
        })
    }
}

fn qualified(relation: &str, name: &str) -> Expr {
    Expr::Column(Column::new(
        Some(datafusion::common::TableReference::bare(relation)),
        name,
    ))
}

fn unresolved(name: &str) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "UNRESOLVED_INSERT_REPLACE_USING_COLUMN",
        sqlstate: "42703",
        message: format!("the table has no column `{name}` to replace rows by"),
    }
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
