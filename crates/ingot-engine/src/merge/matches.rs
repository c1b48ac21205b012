//! Which target rows and source rows meet, and which clause takes each.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::JoinType;

use super::expressions::{SOURCE, TARGET, column};
use super::source::SOURCE_ROW;
use super::{Attempt, MergeMatching, clause_error};
use crate::Result;
use crate::provider::{FILE_COLUMN, ROW_COLUMN, tagged_provider};

/// The relation of [`Decisions::changes`].
pub(crate) const CHANGES: &str = "changes";
/// The column with the number of the clause that takes a row.
pub(crate) const CLAUSE_COLUMN: &str = "__ingot_clause";

/// A target row: its file's number and its place there.
type Position = (i64, i64);

/// What is to become of the rows.
pub(crate) struct Decisions {
    /// Target rows that a clause changes.
    changes: Vec<Change>,
    /// Marks the source rows, by number, that met a target row.
    pub matched_source_rows: Vec<bool>,
    pub rows_updated: i64,
    pub rows_deleted: i64,
}

/// A target row that is updated or deleted.
struct Change {
    position: Position,
    /// The source row that changes it; `None` when it met none.
    source_row: Option<i64>,
    clause: i32,
}

/// A pair of rows for which the merge condition holds.
struct Match {
    position: Position,
    source_row: i64,
    /// The clause that takes the pair, if one does.
    clause: Option<i32>,
}

/// Joins target and source once and decides on every row. `files` are those that may hold a match.
pub(crate) async fn decide(attempt: &Attempt<'_>, files: &[usize]) -> Result<Decisions> {
    let changes_matched = attempt.clauses.any(MergeMatching::Matched);
    let changes_unmatched = attempt.clauses.any(MergeMatching::NotMatchedBySource);
    let mut matched = vec![false; usize::try_from(attempt.source.rows()).unwrap_or_default()];
    let mut changes = Vec::new();
    if changes_matched || changes_unmatched {
        let matches = matches(attempt, files).await?;
        for pair in &matches {
            mark(&mut matched, pair.source_row);
        }
        let positions = resolve(matches, attempt.clauses.deletes_all_matched())?;
        if changes_unmatched {
            changes.extend(unmatched_changes(attempt, positions.keys()).await?);
        }
        changes.extend(positions.into_iter().filter_map(|(position, pair)| {
            let clause = pair.clause?;
            let source_row = Some(pair.source_row);
            Some(Change {
                position,
                source_row,
                clause,
            })
        }));
    } else {
        for source_row in matched_source_rows(attempt, files).await? {
            mark(&mut matched, source_row);
        }
    }
    let deleted = changes
        .iter()
        .filter(|change| {
            let clause = usize::try_from(change.clause).ok();
            clause.is_some_and(|number| attempt.clauses.clauses[number].row.is_none())
        })
        .count();
    Ok(Decisions {
        rows_updated: count(changes.len() - deleted),
        rows_deleted: count(deleted),
        changes,
        matched_source_rows: matched,
    })
}

impl Decisions {
    /// Returns the files that hold a changed row, ascending.
    pub(crate) fn touched_files(&self) -> Vec<usize> {
        let files: BTreeSet<usize> = self
            .changes
            .iter()
            .filter_map(|change| usize::try_from(change.position.0).ok())
            .collect();
        files.into_iter().collect()
    }

    /// Returns the changed rows as the relation [`CHANGES`].
    pub(crate) fn changes(&self, attempt: &Attempt<'_>) -> Result<DataFrame> {
        let schema = Arc::new(Schema::new(vec![
            Field::new(FILE_COLUMN, DataType::Int64, false),
            Field::new(ROW_COLUMN, DataType::Int64, false),
            Field::new(SOURCE_ROW, DataType::Int64, true),
            Field::new(CLAUSE_COLUMN, DataType::Int32, false),
        ]));
        let changes = &self.changes;
        let batch = RecordBatch::try_new(
            Arc::clone(&schema),
            vec![
                Arc::new(
                    changes
                        .iter()
                        .map(|change| Some(change.position.0))
                        .collect::<Int64Array>(),
                ),
                Arc::new(
                    changes
                        .iter()
                        .map(|change| Some(change.position.1))
                        .collect::<Int64Array>(),
                ),
                Arc::new(
                    changes
                        .iter()
                        .map(|change| change.source_row)
                        .collect::<Int64Array>(),
                ),
                Arc::new(
                    changes
                        .iter()
                        .map(|change| Some(change.clause))
                        .collect::<Int32Array>(),
                ),
            ],
        )
        .map_err(DataFusionError::from)?;
        let table = MemTable::try_new(schema, vec![vec![batch]])?;
        let context = attempt.session.datafusion();
        Ok(context.read_table(Arc::new(table))?.alias(CHANGES)?)
    }
}

/// Returns rows of the target with their positions, as the relation [`TARGET`].
pub(crate) fn target(attempt: &Attempt<'_>, files: Option<&[usize]>) -> Result<DataFrame> {
    let provider = tagged_provider(
        Arc::clone(attempt.table),
        Arc::clone(attempt.snapshot),
        files.map(<[usize]>::to_vec),
    );
    Ok(attempt.session.datafusion().read_table(provider)?.alias(TARGET)?)
}

/// Returns the source's rows, as the relation [`SOURCE`].
pub(crate) fn source(attempt: &Attempt<'_>) -> Result<DataFrame> {
    let context = attempt.session.datafusion();
    Ok(context.read_table(attempt.source.table()?)?.alias(SOURCE)?)
}

async fn matches(attempt: &Attempt<'_>, files: &[usize]) -> Result<Vec<Match>> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let joined = target(attempt, Some(files))?
        .join_on(source(attempt)?, JoinType::Inner, [attempt.clauses.on.clone()])?
        .select(vec![
            column(TARGET, FILE_COLUMN),
            column(TARGET, ROW_COLUMN),
            column(SOURCE, SOURCE_ROW),
            attempt
                .clauses
                .choice(MergeMatching::Matched)
                .alias(CLAUSE_COLUMN),
        ])?;
    let mut matches = Vec::new();
    for batch in joined.collect().await? {
        let files = batch.column(0).as_primitive::<Int64Type>();
        let rows = batch.column(1).as_primitive::<Int64Type>();
        let source_rows = batch.column(2).as_primitive::<Int64Type>();
        let clauses = batch.column(3).as_primitive::<Int32Type>();
        matches.extend((0..batch.num_rows()).map(|row| Match {
            position: (files.value(row), rows.value(row)),
            source_row: source_rows.value(row),
            clause: clauses.is_valid(row).then(|| clauses.value(row)),
        }));
    }
    Ok(matches)
}

async fn matched_source_rows(attempt: &Attempt<'_>, files: &[usize]) -> Result<Vec<i64>> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let met = source(attempt)?
        .join_on(
            target(attempt, Some(files))?,
            JoinType::LeftSemi,
            [attempt.clauses.on.clone()],
        )?
        .select(vec![column(SOURCE, SOURCE_ROW)])?;
    let mut rows = Vec::new();
    for batch in met.collect().await? {
        rows.extend(batch.column(0).as_primitive::<Int64Type>().values());
    }
    Ok(rows)
}

/// Keeps for each matched target row the pair that changes it, or any pair if none does.
///
/// # Errors
/// `InvalidArgument` when several source rows would change the row, unless they all just delete it.
fn resolve(matches: Vec<Match>, deletes_all: bool) -> Result<HashMap<Position, Match>> {
    let mut positions: HashMap<Position, Match> = HashMap::with_capacity(matches.len());
    for pair in matches {
        match positions.get(&pair.position) {
            Some(other) if other.clause.is_some() && pair.clause.is_some() => {
                if !deletes_all {
                    return Err(clause_error(
                        "DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE",
                        "21506",
                        "cannot perform MERGE: several source rows matched one target row and would \
                         change it, and it is not defined which of them should\nhint: remove duplicates \
                         of the merge key from the source"
                            .to_owned(),
                    ));
                }
            }
            Some(other) if other.clause.is_some() => {}
            _ => {
                positions.insert(pair.position, pair);
            }
        }
    }
    Ok(positions)
}

/// Returns the changes of target rows that met no source row.
async fn unmatched_changes(
    attempt: &Attempt<'_>,
    matched: impl Iterator<Item = &Position>,
) -> Result<Vec<Change>> {
    if attempt.index.is_empty() {
        return Ok(Vec::new());
    }
    let (files, rows): (Vec<i64>, Vec<i64>) = matched.copied().unzip();
    let schema = Arc::new(Schema::new(vec![
        Field::new(FILE_COLUMN, DataType::Int64, false),
        Field::new(ROW_COLUMN, DataType::Int64, false),
    ]));
    let batch = RecordBatch::try_new(
        Arc::clone(&schema),
        vec![
            Arc::new(Int64Array::from(files)),
            Arc::new(Int64Array::from(rows)),
        ],
    )
    .map_err(DataFusionError::from)?;
    let matched = MemTable::try_new(schema, vec![vec![batch]])?;
    let matched = attempt
        .session
        .datafusion()
        .read_table(Arc::new(matched))?
        .alias(CHANGES)?;
    let clause = attempt.clauses.choice(MergeMatching::NotMatchedBySource);
    let changed = target(attempt, None)?
        .join_on(matched, JoinType::LeftAnti, same_row())?
        .filter(clause.clone().is_not_null())?
        .select(vec![
            column(TARGET, FILE_COLUMN),
            column(TARGET, ROW_COLUMN),
            clause.alias(CLAUSE_COLUMN),
        ])?;
    let mut changes = Vec::new();
    for batch in changed.collect().await? {
        let files = batch.column(0).as_primitive::<Int64Type>();
        let rows = batch.column(1).as_primitive::<Int64Type>();
        let clauses = batch.column(2).as_primitive::<Int32Type>();
        changes.extend((0..batch.num_rows()).map(|row| Change {
            position: (files.value(row), rows.value(row)),
            source_row: None,
            clause: clauses.value(row),
        }));
    }
    Ok(changes)
}

/// The condition under which a row of [`TARGET`] is that of [`CHANGES`].
pub(crate) fn same_row() -> [datafusion::logical_expr::Expr; 2] {
    [FILE_COLUMN, ROW_COLUMN].map(|name| column(TARGET, name).eq(column(CHANGES, name)))
}

fn mark(marks: &mut [bool], row: i64) {
    let place = usize::try_from(row).ok();
    if let Some(mark) = place.and_then(|place| marks.get_mut(place)) {
        *mark = true;
    }
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(row: i64, source_row: i64, clause: Option<i32>) -> Match {
        Match {
            position: (0, row),
            source_row,
            clause,
        }
    }

    #[test]
    fn pair_without_a_clause_yields_to_one_with() {
        let resolved = resolve(
            vec![pair(1, 10, None), pair(1, 11, Some(0)), pair(1, 12, None)],
            false,
        )
        .expect("one source row changes the target row");
        assert_eq!(resolved[&(0, 1)].source_row, 11);
    }

    #[test]
    fn two_changes_of_one_row_are_refused() {
        let matches = || vec![pair(1, 10, Some(0)), pair(1, 11, Some(1))];
        assert!(resolve(matches(), false).is_err());
        assert_eq!(resolve(matches(), true).expect("deleted once").len(), 1);
    }
}
