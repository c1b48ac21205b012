//! Which of the target's files a merge can reach, from the keys of its source.
//!
//! ```text
//! condition ─┬─ on the target alone ──────────────┐
//!            └─ target column = source's value ───┴─► a file is looked at if some source row's keys lie within its
//!                                                      bounds, or a clause for rows without a source may take its rows
//! ```
//! A range of keys says little where they are scattered, so each file's bounds are looked up in the sorted keys. The
//! same question is asked of files that others add while the merge runs: so it conflicts with those where it might
//! have found a match, and two merges of one new key never both insert it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::{and, cast, concat, filter, is_not_null};
use arrow::datatypes::DataType;
use arrow::row::{OwnedRow, Row, RowConverter, Rows, SortField};
use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};
use ingot_delta::{FileIndex, ReadPredicate, ReadSet};

use super::expressions::{SOURCE, TARGET};
use super::join::Pass;
use super::source::Slice;
use super::{Attempt, MergeMatching};
use crate::Result;
use crate::pruning::FilterPredicate;

/// Rows of a slice up to which their keys are sorted, rather than only their range taken.
const SORTED_KEYS_MAX: usize = 1 << 21;

/// Source rows that are compared with the bounds of files in all their keys at once.
const COMPARED_MAX: usize = 1 << 23;

/// What a merge has looked at, pass by pass.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    passes: Vec<Reach>,
    /// Numbers of files.
    files: BTreeSet<usize>,
}

impl Looked {
    /// Finds the files in which a row may meet one of the slice's, or may be changed because it meets none, as far as
    /// the pass is about those.
    pub(crate) fn candidates(
        &mut self,
        attempt: &Attempt<'_>,
        slice: &Slice,
        pass: &Pass,
    ) -> Result<Vec<usize>> {
        let reach = Reach::of(attempt, slice, pass)?;
        let possible = reach.may_match(attempt.index);
        let files: Vec<usize> = (0..attempt.index.len()).filter(|file| possible[*file]).collect();
        self.files.extend(&files);
        self.passes.push(match pass {
            // All keys of all slices would take more memory than one slice may.
            Pass::Slice { .. } => reach.coarse(),
            Pass::Whole | Pass::Alone(_) => reach,
        });
        Ok(files)
    }

    /// Returns it as the transaction's read set.
    pub(crate) fn read_set(self, attempt: &Attempt<'_>) -> ReadSet {
        let paths = self
            .files
            .iter()
            .map(|file| attempt.index.add(*file).path.clone());
        ReadSet::Matching {
            paths: paths.collect(),
            predicate: Arc::new(AnyReach(self.passes)),
        }
    }
}

#[derive(Debug)]
struct AnyReach(Vec<Reach>);

impl ReadPredicate for AnyReach {
    fn may_match(&self, files: &FileIndex) -> Vec<bool> {
        let mut possible = vec![false; files.len()];
        for reach in &self.0 {
            let matches = reach.may_match(files);
            possible
                .iter_mut()
                .zip(matches)
                .for_each(|(file, may)| *file |= may);
        }
        possible
    }
}

/// What a merge can reach, as the transaction's question about files.
#[derive(Debug)]
struct Reach {
    /// What matched rows fulfil, each by itself; `None` when no row of the slice can match any.
    matched: Option<Vec<FilterPredicate>>,
    keys: Option<Keys>,
    /// For each clause for rows without a source, what its rows fulfil; `None` for any row.
    alone: Vec<Option<FilterPredicate>>,
}

impl Reach {
    fn of(attempt: &Attempt<'_>, slice: &Slice, pass: &Pass) -> Result<Self> {
        let state = attempt.session.datafusion().state();
        let compile = |condition: &Expr| {
            let condition = unnormalize_col(condition.clone());
            FilterPredicate::compile(&state, attempt.snapshot, &[condition])
                .ok()
                .flatten()
        };
        let mut reach = Self {
            matched: None,
            keys: None,
            alone: Vec::new(),
        };
        if pass.gives(MergeMatching::NotMatchedBySource) {
            let alone = attempt.clauses.of(MergeMatching::NotMatchedBySource);
            let alone = alone.map(|(_, clause)| clause.condition.as_ref().and_then(compile));
            reach.alone = alone.collect();
        }
        if slice.rows() == 0 || matches!(pass, Pass::Alone(_)) {
            return Ok(reach);
        }
        let mut filters = Vec::new();
        let mut pairs = Vec::new();
        for conjunct in split_conjunction(&attempt.clauses.on) {
            if reads_only(conjunct, TARGET) {
                filters.extend(compile(conjunct));
            } else if let Some(pair) = key(attempt, conjunct) {
                pairs.push(pair);
            }
        }
        if !pairs.is_empty() {
            // Every key may be null, and a null key meets nothing.
            let Some(keys) = Keys::of(attempt, &pairs, slice)? else {
                return Ok(reach);
            };
            reach.keys = Some(keys);
        }
        reach.matched = Some(filters);
        Ok(reach)
    }

    /// Forgets all keys but the first and the last.
    fn coarse(mut self) -> Self {
        for column in self.keys.iter_mut().flat_map(|keys| &mut keys.columns) {
            column.sorted = None;
        }
        self
    }
}

impl ReadPredicate for Reach {
    fn may_match(&self, files: &FileIndex) -> Vec<bool> {
        let all = |predicate: &Option<FilterPredicate>| match predicate {
            Some(predicate) => predicate.may_match(files),
            None => vec![true; files.len()],
        };
        let mut possible = match &self.matched {
            None => vec![false; files.len()],
            Some(filters) => {
                let mut possible = vec![true; files.len()];
                for filter in filters {
                    let matches = filter.may_match(files);
                    possible
                        .iter_mut()
                        .zip(matches)
                        .for_each(|(file, may)| *file &= may);
                }
                if let Some(keys) = &self.keys {
                    keys.retain(files, &mut possible);
                }
                possible
            }
        };
        for clause in &self.alone {
            let matches = all(clause);
            possible
                .iter_mut()
                .zip(matches)
                .for_each(|(file, may)| *file |= may);
        }
        possible
    }
}

/// `target column = source value`, compared as `data_type`.
struct Pair {
    column: String,
    value: Expr,
    data_type: DataType,
}

/// Returns the sides of a comparison of the target with the source, whichever way round it is written; `None` when
/// bounds cannot be compared with its values.
fn key(attempt: &Attempt<'_>, conjunct: &Expr) -> Option<Pair> {
    let Expr::BinaryExpr(BinaryExpr {
        left,
        op: Operator::Eq,
        right,
    }) = conjunct
    else {
        return None;
    };
    for (target, source) in [(left, right), (right, left)] {
        if let Expr::Column(column) = target.as_ref()
            && reads_only(target, TARGET)
            && reads_only(source, SOURCE)
        {
            let schema = source_schema(attempt).ok()?;
            let given = source.get_type(&schema).ok()?;
            let (_, field) = attempt.snapshot.schema().fields().find(&column.name)?;
            let data_type = comparison_coercion(field.data_type(), &given)?;
            let comparable = family(field.data_type())? == family(&given)?;
            return comparable.then(|| Pair {
                column: column.name.clone(),
                value: source.as_ref().clone(),
                data_type,
            });
        }
    }
    None
}

fn source_schema(attempt: &Attempt<'_>) -> Result<DFSchema> {
    Ok(DFSchema::try_from_qualified_schema(
        SOURCE,
        attempt.source.schema(),
    )?)
}

fn reads_only(expression: &Expr, relation: &str) -> bool {
    let columns = expression.column_refs();
    !columns.is_empty()
        && columns.iter().all(|column| {
            column
                .relation
                .as_ref()
                .is_some_and(|table| table.table() == relation)
        })
}

/// Types whose values are in one order. Floating-point numbers have NaN outside every range.
#[derive(Debug, PartialEq, Eq)]
enum Family {
    Number,
    Text,
    Binary,
    Boolean,
    Date,
    Instant { zoned: bool },
}

fn family(data_type: &DataType) -> Option<Family> {
    Some(match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Family::Text,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Family::Binary,
        DataType::Boolean => Family::Boolean,
        DataType::Date32 => Family::Date,
        DataType::Timestamp(_, zone) => Family::Instant {
            zoned: zone.is_some(),
        },
        number if number.is_integer() || number.is_decimal() => Family::Number,
        _ => return None,
    })
}

/// The keys of a slice's rows; rows whose key is not whole are left out, for a null meets nothing.
#[derive(Debug)]
struct Keys {
    columns: Vec<KeyColumn>,
}

struct KeyColumn {
    column: String,
    data_type: DataType,
    converter: RowConverter,
    low: OwnedRow,
    high: OwnedRow,
    sorted: Option<SortedKeys>,
}

impl std::fmt::Debug for KeyColumn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyColumn")
            .field("column", &self.column)
            .field("data_type", &self.data_type)
            .finish_non_exhaustive()
    }
}

struct SortedKeys {
    /// The keys in the slice's order, as bytes that compare as the values do.
    keys: Rows,
    /// Numbers of `keys`, smallest key first.
    order: Vec<u32>,
}

impl SortedKeys {
    fn new(keys: Rows) -> Self {
        let mut order: Vec<u32> = (0..u32::try_from(keys.num_rows()).unwrap_or_default()).collect();
        order.sort_unstable_by(|a, b| keys.row(*a as usize).cmp(&keys.row(*b as usize)));
        Self { keys, order }
    }

    /// Returns the places in `order` of the keys between two bounds.
    fn within(&self, low: Row<'_>, high: Row<'_>) -> Range<usize> {
        let key = |row: &u32| self.keys.row(*row as usize);
        let start = self.order.partition_point(|row| key(row) < low);
        let end = self.order.partition_point(|row| key(row) <= high);
        start..end.max(start)
    }
}

impl Keys {
    /// Takes the keys of a slice; `None` when no row has a whole one.
    fn of(attempt: &Attempt<'_>, pairs: &[Pair], slice: &Slice) -> Result<Option<Self>> {
        let state = attempt.session.datafusion().state();
        let schema = source_schema(attempt)?;
        let mut values = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let value = state.create_physical_expr(pair.value.clone(), &schema)?;
            let mut parts = Vec::new();
            for batch in slice.batches() {
                let part = value.evaluate(batch)?.into_array(batch.num_rows())?;
                parts.push(cast(&part, &pair.data_type).map_err(DataFusionError::from)?);
            }
            let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
            values.push(concat(&parts).map_err(DataFusionError::from)?);
        }
        let whole = whole(&values)?;
        let mut columns = Vec::with_capacity(pairs.len());
        for (pair, values) in pairs.iter().zip(values) {
            let values = match &whole {
                Some(whole) => filter(&values, whole).map_err(DataFusionError::from)?,
                None => values,
            };
            match KeyColumn::new(pair, values)? {
                Some(column) => columns.push(column),
                None => return Ok(None),
            }
        }
        Ok(Some(Self { columns }))
    }

    /// Clears the marks of files within whose bounds no key lies.
    fn retain(&self, files: &FileIndex, possible: &mut [bool]) {
        let bounds: Vec<Option<Bounds>> = self.columns.iter().map(|column| column.bounds(files)).collect();
        let mut compared = 0;
        for (file, possible) in possible.iter_mut().enumerate().filter(|(_, possible)| **possible) {
            let known: Vec<(&KeyColumn, Row<'_>, Row<'_>)> = self
                .columns
                .iter()
                .zip(&bounds)
                .filter_map(|(column, bounds)| {
                    let (low, high) = bounds.as_ref()?.of(file)?;
                    Some((column, low, high))
                })
                .collect();
            *possible = known
                .iter()
                .all(|(column, low, high)| column.low.row() <= *high && *low <= column.high.row())
                && keys_within(&known, &mut compared);
        }
    }
}

/// Says if some row's keys lie within all bounds, as far as keys are sorted and not too many to compare.
fn keys_within(known: &[(&KeyColumn, Row<'_>, Row<'_>)], compared: &mut usize) -> bool {
    let sorted: Vec<(&SortedKeys, Row<'_>, Row<'_>)> = known
        .iter()
        .filter_map(|(column, low, high)| Some((column.sorted.as_ref()?, *low, *high)))
        .collect();
    let ranges = sorted.iter().map(|(keys, low, high)| keys.within(*low, *high));
    let Some((place, range)) = ranges.enumerate().min_by_key(|(_, range)| range.len()) else {
        return true;
    };
    *compared += range.len();
    if range.is_empty() || sorted.len() == 1 || *compared > COMPARED_MAX {
        return !range.is_empty();
    }
    sorted[place].0.order[range].iter().any(|row| {
        sorted.iter().all(|(keys, low, high)| {
            let key = keys.keys.row(*row as usize);
            *low <= key && key <= *high
        })
    })
}

/// Marks the rows without a null; `None` when all rows are.
fn whole(columns: &[ArrayRef]) -> Result<Option<BooleanArray>> {
    let mut whole: Option<BooleanArray> = None;
    for column in columns.iter().filter(|column| column.logical_null_count() > 0) {
        let valid = is_not_null(column).map_err(DataFusionError::from)?;
        whole = Some(match whole {
            Some(whole) => and(&whole, &valid).map_err(DataFusionError::from)?,
            None => valid,
        });
    }
    Ok(whole)
}

/// The bounds of files, as keys are.
struct Bounds {
    low: Rows,
    high: Rows,
    known: BooleanArray,
}

impl Bounds {
    fn of(&self, file: usize) -> Option<(Row<'_>, Row<'_>)> {
        self.known
            .value(file)
            .then(|| (self.low.row(file), self.high.row(file)))
    }
}

impl KeyColumn {
    /// Makes the column of `values`; `None` when there are none.
    fn new(pair: &Pair, values: ArrayRef) -> Result<Option<Self>> {
        let converter =
            RowConverter::new(vec![SortField::new(pair.data_type.clone())]).map_err(DataFusionError::from)?;
        let keys = converter
            .convert_columns(&[values])
            .map_err(DataFusionError::from)?;
        let (Some(low), Some(high)) = (keys.iter().min(), keys.iter().max()) else {
            return Ok(None);
        };
        Ok(Some(Self {
            column: pair.column.clone(),
            data_type: pair.data_type.clone(),
            converter,
            low: low.owned(),
            high: high.owned(),
            sorted: (keys.num_rows() <= SORTED_KEYS_MAX).then(|| SortedKeys::new(keys)),
        }))
    }

    /// Returns the bounds of all files; `None` when there are none that compare with keys.
    fn bounds(&self, files: &FileIndex) -> Option<Bounds> {
        let (low, high) = match files.partition_values(&self.column) {
            Some(values) => (Arc::clone(&values), values),
            None => (files.min_values(&self.column)?, files.max_values(&self.column)?),
        };
        let known = and(&is_not_null(&low).ok()?, &is_not_null(&high).ok()?).ok()?;
        let rows = |bound: &ArrayRef| {
            let bound = cast(bound, &self.data_type).ok()?;
            self.converter.convert_columns(&[bound]).ok()
        };
        Some(Bounds {
            low: rows(&low)?,
            high: rows(&high)?,
            known,
        })
    }
}
