//! Arguments in the place of parameters, in expressions and in plans.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, TableReference};
use datafusion::error::Result;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, Subquery};

/// What the columns of a relation of parameters become.
#[derive(Debug)]
pub(super) struct Arguments {
    pub relation: TableReference,
    /// By the names of the parameters.
    pub values: HashMap<String, Expr>,
}

impl Arguments {
    fn of(&self, column: &Column) -> Option<&Expr> {
        let ours = column.relation.as_ref() == Some(&self.relation);
        self.values.get(&column.name).filter(|_| ours)
    }

    /// Makes the arguments of a subquery of the rows of `schema`: their columns are those of the outer query.
    fn of_subquery(&self, schema: &DFSchema) -> Result<Self> {
        let values = self.values.iter().map(|(name, value)| {
            let outer = value.clone().transform_up(|part| match part {
                Expr::Column(column) => {
                    let (_, field) = schema.qualified_field_from_column(&column)?;
                    Ok(Transformed::yes(Expr::OuterReferenceColumn(
                        Arc::clone(field),
                        column,
                    )))
                }
                other => Ok(Transformed::no(other)),
            });
            Ok((name.clone(), outer?.data))
        });
        Ok(Self {
            relation: self.relation.clone(),
            values: values.collect::<Result<_>>()?,
        })
    }
}

/// Puts arguments, which are values of rows of `schema`, into an expression over the relation of parameters.
pub(super) fn in_value(value: Expr, arguments: &Arguments, schema: &DFSchema) -> Result<Expr> {
    let outer = arguments.of_subquery(schema)?;
    let replaced = value.transform_up(|part| match part {
        Expr::Column(column) => Ok(match arguments.of(&column) {
            Some(argument) => Transformed::yes(argument.clone()),
            None => Transformed::no(Expr::Column(column)),
        }),
        part => in_subqueries(part, &outer),
    });
    Ok(replaced?.data)
}

/// Puts arguments into a plan, to which parameters are columns of the outer query.
pub(super) fn in_plan(plan: LogicalPlan, arguments: &Arguments) -> Result<LogicalPlan> {
    let replaced = plan.transform_up(|node| {
        if let LogicalPlan::Subquery(subquery) = node {
            return Ok(Transformed::yes(LogicalPlan::Subquery(again(
                LogicalPlan::clone(&subquery.subquery),
                &subquery,
            ))));
        }
        // Projections call their columns after what they are made of.
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expression| {
            let name = names.save(&expression);
            let replaced = expression.transform_up(|part| match part {
                Expr::OuterReferenceColumn(field, column) => Ok(match arguments.of(&column) {
                    Some(argument) => Transformed::yes(argument.clone()),
                    None => Transformed::no(Expr::OuterReferenceColumn(field, column)),
                }),
                part => in_subqueries(part, arguments),
            })?;
            Ok(replaced.update_data(|expression| name.restore(expression)))
        })?;
        match node.transformed {
            true => Ok(Transformed::yes(node.data.recompute_schema()?)),
            false => Ok(node),
        }
    });
    Ok(replaced?.data)
}

fn in_subqueries(part: Expr, arguments: &Arguments) -> Result<Transformed<Expr>> {
    let inside = |subquery: Subquery| {
        let plan = in_plan(LogicalPlan::clone(&subquery.subquery), arguments)?;
        Ok::<_, datafusion::error::DataFusionError>(again(plan, &subquery))
    };
    Ok(Transformed::yes(match part {
        Expr::ScalarSubquery(subquery) => Expr::ScalarSubquery(inside(subquery)?),
        Expr::Exists(mut exists) => {
            exists.subquery = inside(exists.subquery)?;
            Expr::Exists(exists)
        }
        Expr::InSubquery(mut within) => {
            within.subquery = inside(within.subquery)?;
            Expr::InSubquery(within)
        }
        Expr::SetComparison(mut comparison) => {
            comparison.subquery = inside(comparison.subquery)?;
            Expr::SetComparison(comparison)
        }
        other => return Ok(Transformed::no(other)),
    }))
}

/// Makes a subquery of a plan that was changed.
fn again(plan: LogicalPlan, before: &Subquery) -> Subquery {
    Subquery {
        outer_ref_columns: plan.all_out_ref_exprs(),
        subquery: Arc::new(plan),
        spans: before.spans.clone(),
    }
}

/// Says if an expression has a subquery.
pub(super) fn has_subquery(value: &Expr) -> bool {
    let mut found = false;
    let _ = value.apply(|part| {
        found |= subquery_of(part).is_some();
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    });
    found
}

/// Returns the subquery that an expression is.
pub(super) fn subquery_of(part: &Expr) -> Option<&Subquery> {
    match part {
        Expr::ScalarSubquery(subquery) => Some(subquery),
        Expr::Exists(exists) => Some(&exists.subquery),
        Expr::InSubquery(within) => Some(&within.subquery),
        Expr::SetComparison(comparison) => Some(&comparison.subquery),
        _ => None,
    }
}
