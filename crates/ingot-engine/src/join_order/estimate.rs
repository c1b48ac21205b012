//! How many rows a plan gives, and how many values a column has: guesses, from the rows and bounds in the log.
//!
//! The log counts no distinct values. A column of whole numbers or dates has at most as many as lie between its bounds,
//! and no more than its table has rows.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::{Column, JoinType};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Between, BinaryExpr, Distinct, Expr, FetchType, LogicalPlan, Operator, SkipType, TableScan,
};

use crate::provider::{DeltaTableProvider, with_delta};
use crate::statistics::{Bounds, TableFacts, number};

/// The share of rows that a condition lets through of which nothing is known.
pub(super) const CONDITION_SHARE: f64 = 0.3;
/// That of an equality with one value where the column's distinct values are not known, and of a LIKE.
const EQUALITY_SHARE: f64 = 0.05;
/// Rows in a group where its columns are not known.
const GROUP_ROWS: f64 = 10.0;
/// What share of the values between a key's bounds a table has at the least that has one row for each key.
const KEY_DENSITY: f64 = 0.1;

/// How many rows a plan gives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub rows: f64,
    /// Those that its table has.
    pub base_rows: f64,
}

impl Size {
    fn of(rows: f64) -> Self {
        Self {
            rows,
            base_rows: rows,
        }
    }

    fn scaled(self, share: f64) -> Self {
        Self {
            rows: (self.rows * share).max(1.0),
            ..self
        }
    }

    fn at_most(self, rows: f64) -> Self {
        Self {
            rows: self.rows.min(rows),
            ..self
        }
    }
}

/// Estimates what a plan gives; `None` where nothing is known of a table in it.
pub(super) fn size(plan: &LogicalPlan) -> Option<Size> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let rows = Size::of(facts(scan)?.rows()?);
            Some(rows.scaled(share(plan, &scan.filters.iter().collect::<Vec<_>>())))
        }
        LogicalPlan::Filter(filter) => {
            let mut conditions = split_conjunction(&filter.predicate);
            if let LogicalPlan::TableScan(scan) = filter.input.as_ref() {
                // Those that the scan may use to leave out files stand above it as well.
                conditions.extend(
                    scan.filters
                        .iter()
                        .filter(|each| !conditions.contains(each))
                        .collect::<Vec<_>>(),
                );
                let rows = Size::of(facts(scan)?.rows()?);
                return Some(rows.scaled(share(plan, &conditions)));
            }
            Some(size(&filter.input)?.scaled(share(plan, &conditions)))
        }
        LogicalPlan::Projection(projection) => size(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => size(&alias.input),
        LogicalPlan::Sort(sort) => {
            let size = size(&sort.input)?;
            Some(sort.fetch.map_or(size, |fetch| size.at_most(fetch as f64)))
        }
        LogicalPlan::Limit(limit) => {
            let size = size(&limit.input)?;
            match (limit.get_skip_type(), limit.get_fetch_type()) {
                (Ok(SkipType::Literal(_)), Ok(FetchType::Literal(Some(fetch)))) => {
                    Some(size.at_most(fetch as f64))
                }
                _ => Some(size),
            }
        }
        LogicalPlan::Window(window) => size(&window.input),
        LogicalPlan::Distinct(Distinct::All(input)) => Some(Size::of(size(input)?.rows)),
        LogicalPlan::Aggregate(aggregate) => {
            let input = size(&aggregate.input)?;
            let known = |group: &Expr| values(&aggregate.input, group).map(|values| values.distinct);
            let groups = aggregate.group_expr.iter().map(known).collect::<Option<Vec<_>>>();
            let groups = match groups {
                Some(groups) => groups.iter().product(),
                None => input.rows / GROUP_ROWS,
            };
            Some(Size::of(groups.min(input.rows).max(1.0)))
        }
        LogicalPlan::Union(union) => {
            let sizes = union.inputs.iter().map(|input| size(input));
            let rows = sizes.map(|size| size.map(|size| size.rows)).sum::<Option<f64>>();
            rows.map(Size::of)
        }
        LogicalPlan::Values(values) => Some(Size::of(values.values.len() as f64)),
        LogicalPlan::EmptyRelation(empty) => Some(Size::of(f64::from(u8::from(empty.produce_one_row)))),
        LogicalPlan::Join(join) => {
            let (left, right) = (size(&join.left)?.rows, size(&join.right)?.rows);
            let distinct = join.on.iter().map(|(x, y)| {
                let sides = [
                    (join.left.as_ref(), x, Some(left)),
                    (join.right.as_ref(), y, Some(right)),
                ];
                distinct(sides.into_iter())
            });
            let distinct = distinct.fold(1.0, f64::max);
            let matched = left * right / distinct;
            let rows = match join.join_type {
                JoinType::LeftSemi => left * (right / distinct).min(1.0),
                JoinType::RightSemi => right * (left / distinct).min(1.0),
                JoinType::LeftAnti | JoinType::LeftMark => left,
                JoinType::RightAnti | JoinType::RightMark => right,
                JoinType::Inner => matched,
                JoinType::Left => matched.max(left),
                JoinType::Right => matched.max(right),
                JoinType::Full => matched.max(left + right),
            };
            Some(Size::of(rows))
        }
        _ => None,
    }
}

/// Estimates how many values equal columns have between them, each of its plan, whose rows may be known.
///
/// Of a key and the columns that refer to it, the key's table has fewest rows, and one for each value: if it is not
/// too small for that, its rows are what there is.
pub(super) fn distinct<'a>(columns: impl Iterator<Item = (&'a LogicalPlan, &'a Expr, Option<f64>)>) -> f64 {
    let known = columns.map(|(plan, column, rows)| match values(plan, column) {
        Some(values) => values,
        None => {
            let rows = rows.or_else(|| size(plan).map(|size| size.base_rows));
            Values::of_rows(rows.unwrap_or(1.0))
        }
    });
    let known: Vec<Values> = known.collect();
    let least = known
        .iter()
        .map(|values| values.distinct)
        .fold(f64::INFINITY, f64::min);
    let most = known.iter().map(|values| values.distinct).fold(1.0, f64::max);
    let whole = known
        .iter()
        .filter_map(|values| values.bounds.filter(|bounds| bounds.whole));
    let span = whole.map(|bounds| bounds.span()).fold(0.0, f64::max);
    match least >= KEY_DENSITY * span {
        true => least.max(1.0),
        false => most,
    }
}

/// The values of a column.
#[derive(Debug, Clone, Copy)]
struct Values {
    distinct: f64,
    bounds: Option<Bounds>,
}

impl Values {
    fn of_rows(rows: f64) -> Self {
        Self {
            distinct: rows.max(1.0),
            bounds: None,
        }
    }
}

/// Returns what is known of the values of a column of a plan's, before filters.
fn values(plan: &LogicalPlan, column: &Expr) -> Option<Values> {
    let (scan, name) = origin(plan, column)?;
    let facts = facts(scan)?;
    let (rows, bounds) = (facts.rows()?, facts.bounds(&name));
    let distinct = match bounds {
        Some(bounds) if bounds.whole => rows.min(bounds.span()),
        _ => rows,
    };
    Some(Values {
        distinct: distinct.max(1.0),
        bounds,
    })
}

/// Follows a column to the table that it is read from.
fn origin<'a>(plan: &'a LogicalPlan, column: &Expr) -> Option<(&'a TableScan, String)> {
    let column = match column {
        Expr::Column(column) => column,
        Expr::Alias(alias) => return origin(plan, &alias.expr),
        Expr::Cast(cast) => return origin(plan, &cast.expr),
        _ => return None,
    };
    let at = |column: &Column| plan.schema().maybe_index_of_column(column);
    match plan {
        LogicalPlan::TableScan(scan) => at(column).map(|_| (scan, column.name.clone())),
        LogicalPlan::Projection(projection) => origin(&projection.input, projection.expr.get(at(column)?)?),
        LogicalPlan::SubqueryAlias(alias) => {
            let inner = alias.input.schema().columns().into_iter().nth(at(column)?)?;
            origin(&alias.input, &Expr::Column(inner))
        }
        LogicalPlan::Aggregate(aggregate) => origin(&aggregate.input, aggregate.group_expr.get(at(column)?)?),
        LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_) | LogicalPlan::Join(_) => {
            let inputs = plan.inputs().into_iter();
            let mut inputs = inputs.filter(|input| input.schema().has_column(column));
            origin(inputs.next()?, &Expr::Column(column.clone()))
        }
        _ => None,
    }
}

fn facts(scan: &TableScan) -> Option<Arc<TableFacts>> {
    with_delta(scan, DeltaTableProvider::facts).flatten()
}

/// Estimates what share of a plan's rows conditions let through that stand upon it.
fn share(plan: &LogicalPlan, conditions: &[&Expr]) -> f64 {
    // What is left of each column's values, from both sides.
    let mut ranges: HashMap<&Column, (f64, f64)> = HashMap::new();
    let mut share = 1.0;
    for condition in conditions {
        match Range::of(condition) {
            Some(range) => {
                let kept = ranges
                    .entry(range.column)
                    .or_insert((f64::NEG_INFINITY, f64::INFINITY));
                *kept = (kept.0.max(range.from), kept.1.min(range.to));
            }
            None => share *= share_of(plan, condition),
        }
    }
    for (column, (from, to)) in ranges {
        share *= match values(plan, &Expr::Column(column.clone())) {
            Some(Values {
                bounds: Some(bounds),
                distinct,
            }) => {
                let (from, to) = (from.max(bounds.min), to.min(bounds.max));
                let left = Bounds {
                    min: from,
                    max: to,
                    ..bounds
                };
                (left.span() / bounds.span()).clamp(1.0 / distinct, 1.0)
            }
            _ => CONDITION_SHARE,
        };
    }
    share
}

fn share_of(plan: &LogicalPlan, condition: &Expr) -> f64 {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And => share(plan, &split_conjunction(condition)),
            Operator::Or => {
                let (left, right) = (
                    share(plan, &split_conjunction(left)),
                    share(plan, &split_conjunction(right)),
                );
                left + right - left * right
            }
            Operator::Eq => match (left.as_ref(), right.as_ref()) {
                (column, Expr::Literal(..)) | (Expr::Literal(..), column) => equality(plan, column),
                _ => EQUALITY_SHARE,
            },
            Operator::NotEq => 0.9,
            _ => CONDITION_SHARE,
        },
        Expr::InList(list) => {
            let one = equality(plan, &list.expr);
            let some = (one * list.list.len() as f64).min(1.0);
            if list.negated { 1.0 - some } else { some }
        }
        Expr::Like(like) if like.negated => 1.0 - EQUALITY_SHARE,
        Expr::Like(_) => EQUALITY_SHARE,
        Expr::IsNotNull(_) => 1.0,
        Expr::IsNull(_) => EQUALITY_SHARE,
        Expr::Not(inner) => 1.0 - share_of(plan, inner),
        _ => CONDITION_SHARE,
    }
}

/// Returns the share of rows in which a column is a value.
fn equality(plan: &LogicalPlan, column: &Expr) -> f64 {
    match values(plan, column) {
        Some(values) if values.bounds.is_some_and(|bounds| bounds.whole) => 1.0 / values.distinct,
        _ => EQUALITY_SHARE,
    }
}

/// What a comparison with literals leaves of a column's values.
struct Range<'a> {
    column: &'a Column,
    from: f64,
    to: f64,
}

impl<'a> Range<'a> {
    fn of(condition: &'a Expr) -> Option<Self> {
        match condition {
            Expr::Between(Between {
                expr,
                negated: false,
                low,
                high,
            }) => match (expr.as_ref(), low.as_ref(), high.as_ref()) {
                (Expr::Column(column), Expr::Literal(low, _), Expr::Literal(high, _)) => Some(Self {
                    column,
                    from: number(low)?,
                    to: number(high)?,
                }),
                _ => None,
            },
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (left.as_ref(), right.as_ref()) {
                (Expr::Column(column), Expr::Literal(value, _)) => {
                    Self::compared(column, *op, number(value)?)
                }
                (Expr::Literal(value, _), Expr::Column(column)) => {
                    Self::compared(column, op.swap()?, number(value)?)
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn compared(column: &'a Column, op: Operator, value: f64) -> Option<Self> {
        let (from, to) = match op {
            Operator::Lt => (f64::NEG_INFINITY, value - 1.0),
            Operator::LtEq => (f64::NEG_INFINITY, value),
            Operator::Gt => (value + 1.0, f64::INFINITY),
            Operator::GtEq => (value, f64::INFINITY),
            _ => return None,
        };
        Some(Self { column, from, to })
    }
}
