//! Relations that DataFusion's planner does not know, planned over the plans of the relations beneath.

mod generate;
mod pivot;
mod range;
mod sample;
mod unpivot;

use datafusion::error::Result;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{ObjectName, TableAlias, TableFactor};

use super::generators::Place;
use crate::ast::is_no_relation;

/// Plans them.
#[derive(Debug)]
pub(crate) struct SparkRelations;

impl RelationPlanner for SparkRelations {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        match relation {
            TableFactor::Pivot {
                table,
                aggregate_functions,
                value_column,
                value_source,
                default_on_null,
                alias,
            } => {
                if let Some(place) = Place::of_mark(default_on_null.as_ref()) {
                    let input = input(*table, context)?;
                    let plan = generate::plan(input, aggregate_functions, place, alias, context)?;
                    return planned(plan, None);
                }
                let input = context.plan(*table)?;
                let plan = pivot::plan(input, aggregate_functions, value_column, value_source, context)?;
                planned(plan, alias)
            }
            TableFactor::Unpivot {
                table,
                value,
                name,
                columns,
                null_inclusion,
                alias,
            } => {
                let input = context.plan(*table)?;
                let wanted = unpivot::Unpivot {
                    value,
                    name,
                    columns,
                    null_inclusion,
                };
                planned(unpivot::plan(input, wanted, context)?, alias)
            }
            TableFactor::Function {
                name, args, alias, ..
            } if range::is_range(&name) => planned(range::plan(args, context)?, alias),
            other => match sample::taken(other)? {
                (rest, Some(wanted)) => {
                    let (rest, alias) = sample::without_alias(rest);
                    planned(sample::plan(context.plan(rest)?, &wanted)?, alias)
                }
                (rest, None) => Ok(RelationPlanning::Original(Box::new(rest))),
            },
        }
    }
}

/// Says if a function is a relation that [`SparkRelations`] plans.
pub(super) fn is_call(name: &ObjectName) -> bool {
    range::is_range(name)
}

/// Plans the relation beneath: one row without columns where there is none.
fn input(table: TableFactor, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
    match is_no_relation(&table) {
        true => LogicalPlanBuilder::empty(true).build(),
        false => context.plan(table),
    }
}

fn planned(plan: LogicalPlan, alias: Option<TableAlias>) -> Result<RelationPlanning> {
    Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(
        plan, alias,
    ))))
}
