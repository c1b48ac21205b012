//! The distinct values of columns of the outer query.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType, TableReference};
use datafusion::error::Result;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::subquery_of;

/// The distinct values of columns of the outer query.
#[derive(Clone)]
pub(super) struct Domain {
    pub plan: LogicalPlan,
    /// The columns of the outer query.
    pub outer: Vec<Column>,
    /// What they are called here.
    pub columns: Vec<Column>,
}

impl Domain {
    /// Takes the values from the rows of the outer query. Returns `None` if they may be others in a second reading.
    pub fn of(input: &LogicalPlan, outer: &[Column], relation: TableReference) -> Result<Option<Self>> {
        let Some(input) = repeatable(input, outer.iter().cloned().collect())? else {
            return Ok(None);
        };
        let columns = names(outer.len(), &relation);
        let items = outer.iter().zip(&columns).map(|(outer, column)| {
            Expr::Column(outer.clone()).alias_qualified(column.relation.clone(), &column.name)
        });
        let plan = LogicalPlanBuilder::from(input)
            .project(items.collect::<Vec<_>>())?
            .distinct()?
            .build()?;
        Ok(Some(Self {
            plan,
            outer: outer.to_vec(),
            columns,
        }))
    }

    /// Returns the same under another name.
    pub fn called(&self, relation: TableReference) -> Result<Self> {
        let columns = names(self.columns.len(), &relation);
        let items = self.columns.iter().zip(&columns).map(|(column, name)| {
            Expr::Column(column.clone()).alias_qualified(name.relation.clone(), &name.name)
        });
        let plan = LogicalPlanBuilder::from(self.plan.clone())
            .project(items.collect::<Vec<_>>())?
            .build()?;
        Ok(Self {
            plan,
            outer: self.outer.clone(),
            columns,
        })
    }

    pub fn expressions(&self) -> Vec<Expr> {
        self.columns.iter().cloned().map(Expr::Column).collect()
    }

    /// Puts the domain's columns in the place of the outer query's.
    pub fn replace(&self, expression: Expr) -> Result<Transformed<Expr>> {
        expression.transform_up(|part| match part {
            Expr::OuterReferenceColumn(field, column) => {
                let place = self.outer.iter().position(|outer| *outer == column);
                Ok(match place.and_then(|place| self.columns.get(place)) {
                    Some(ours) => Transformed::yes(Expr::Column(ours.clone())),
                    None => Transformed::no(Expr::OuterReferenceColumn(field, column)),
                })
            }
            part => Ok(Transformed::no(part)),
        })
    }

    pub fn replaced(&self, expressions: &[Expr]) -> Result<Vec<Expr>> {
        let replaced = expressions
            .iter()
            .map(|expression| Ok(self.replace(expression.clone())?.data));
        replaced.collect()
    }
}

fn names(count: usize, relation: &TableReference) -> Vec<Column> {
    let named = (0..count).map(|place| Column::new(Some(relation.clone()), format!("c{place}")));
    named.collect()
}

/// Returns a plan that gives, of the columns `wanted`, the values that `plan` gives or more, and the same whenever it
/// runs: without the limits and the random conditions of `plan`, and without its columns that nobody wants.
fn repeatable(plan: &LogicalPlan, wanted: HashSet<Column>) -> Result<Option<LogicalPlan>> {
    if is_repeatable(plan) {
        return Ok(Some(plan.clone()));
    }
    match plan {
        LogicalPlan::Limit(limit) => repeatable(&limit.input, wanted),
        LogicalPlan::Sort(sort) => repeatable(&sort.input, wanted),
        LogicalPlan::Filter(filter) => {
            let conditions = split_conjunction(&filter.predicate).into_iter().cloned();
            let conditions: Vec<Expr> = conditions.filter(is_steady).collect();
            let Some(input) = repeatable(&filter.input, with_columns_of(wanted, &conditions))? else {
                return Ok(None);
            };
            let plan = LogicalPlanBuilder::from(input);
            match conjunction(conditions) {
                Some(condition) => plan.filter(condition)?.build().map(Some),
                None => plan.build().map(Some),
            }
        }
        LogicalPlan::Projection(projection) => {
            let named = projection.expr.iter().zip(projection.schema.columns());
            let kept: Vec<Expr> = named
                .filter(|(_, name)| wanted.contains(name))
                .map(|(expression, _)| expression.clone())
                .collect();
            if !kept.iter().all(is_steady) {
                return Ok(None);
            }
            let Some(input) = repeatable(&projection.input, with_columns_of(HashSet::new(), &kept))? else {
                return Ok(None);
            };
            LogicalPlanBuilder::from(input).project(kept)?.build().map(Some)
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let columns = alias.input.schema().columns().into_iter();
            let named = columns.zip(alias.schema.columns());
            let kept: Vec<(Column, Column)> = named.filter(|(_, name)| wanted.contains(name)).collect();
            let below = kept.iter().map(|(column, _)| column.clone()).collect();
            let Some(input) = repeatable(&alias.input, below)? else {
                return Ok(None);
            };
            let items = kept
                .into_iter()
                .map(|(column, name)| Expr::Column(column).alias_qualified(name.relation, name.name));
            LogicalPlanBuilder::from(input)
                .project(items.collect::<Vec<_>>())?
                .build()
                .map(Some)
        }
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
            let conditions = join.on.iter().flat_map(|(left, right)| [left, right]);
            let conditions: Vec<Expr> = conditions.chain(&join.filter).cloned().collect();
            if !conditions.iter().all(is_steady) {
                return Ok(None);
            }
            let wanted = with_columns_of(wanted, &conditions);
            let of = |side: &LogicalPlan| {
                let columns = wanted.iter().filter(|column| side.schema().has_column(column));
                repeatable(side, columns.cloned().collect())
            };
            let (Some(left), Some(right)) = (of(&join.left)?, of(&join.right)?) else {
                return Ok(None);
            };
            let mut join = join.clone();
            join.left = Arc::new(left);
            join.right = Arc::new(right);
            LogicalPlan::Join(join).recompute_schema().map(Some)
        }
        _ => Ok(None),
    }
}

fn with_columns_of(mut columns: HashSet<Column>, expressions: &[Expr]) -> HashSet<Column> {
    columns.extend(expressions.iter().flat_map(Expr::column_refs).cloned());
    columns
}

/// Says if a plan gives the same rows whenever it runs. Ties of a window's order are taken to be broken the same way.
pub(crate) fn is_repeatable(plan: &LogicalPlan) -> bool {
    let mut repeatable = true;
    let seen = plan.apply_with_subqueries(|node| {
        repeatable &= match node {
            LogicalPlan::Limit(_) => false,
            LogicalPlan::TableScan(scan) if scan.fetch.is_some() => false,
            other => !other.expressions().iter().any(Expr::is_volatile),
        };
        Ok(match repeatable {
            true => TreeNodeRecursion::Continue,
            false => TreeNodeRecursion::Stop,
        })
    });
    seen.is_ok() && repeatable
}

/// Says if an expression gives the same for the same row whenever it is computed.
fn is_steady(expression: &Expr) -> bool {
    let unsteady = expression
        .exists(|part| Ok(subquery_of(part).is_some_and(|subquery| !is_repeatable(&subquery.subquery))));
    !expression.is_volatile() && !unsteady.unwrap_or(true)
}
