//! Groups that a join would throw away are not made.
//!
//! ```text
//! σ(part) ⋈ γ(lineitem) on the group's key   ─►   σ(part) ⋈ γ(lineitem ⋉ σ(part))
//! ```
//! The 17th query of TPC-H asks for the average quantity of each part, and then for those of few parts. Where another
//! relation of the tree leaves few of the keys, it is read twice, and the rows of other keys are never grouped. Source
//! of the method: Seshadri et al., "Cost-Based Optimization for Magic" (1996).

use std::sync::Arc;

use datafusion::common::{JoinConstraint, JoinType, NullEquality, Result};
use datafusion::logical_expr::{Expr, Join, LogicalPlan, LogicalPlanBuilder};

use super::estimate;
use crate::spark::decorrelate::is_repeatable;

/// What the keys are called that groups are reduced to.
const KEYS: &str = "__ingot_keys";

/// What share of the keys may be left at the most.
const KEYS_LEFT: f64 = 0.1;

/// What share of the rows to group a relation may have at the most that is read a second time.
const READ_TWICE: f64 = 0.5;

/// Says if a plan groups rows, and has not been reduced.
pub(super) fn has_groups(plan: &LogicalPlan) -> bool {
    grouped(plan).is_some()
}

/// Says if grouping to `keys` saves more than reading them takes. `distinct` is how many keys there are.
pub(super) fn is_worth(groups: &LogicalPlan, keys: &LogicalPlan, distinct: f64) -> bool {
    if !is_relation(keys) || !is_repeatable(keys) {
        return false;
    }
    let (Some(input), Some(keys)) = (grouped(groups).and_then(estimate::size), estimate::size(keys)) else {
        return false;
    };
    keys.rows <= KEYS_LEFT * distinct && keys.base_rows <= READ_TWICE * input.rows
}

/// Says if a plan reads one table: more are not read twice.
fn is_relation(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(_) => true,
        LogicalPlan::Filter(_) | LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => {
            plan.inputs().into_iter().all(is_relation)
        }
        _ => false,
    }
}

/// Returns the rows that a plan groups, unless it groups no more than some keys already.
fn grouped(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => grouped(&alias.input),
        LogicalPlan::Projection(projection) => grouped(&projection.input),
        LogicalPlan::Filter(filter) => grouped(&filter.input),
        LogicalPlan::Aggregate(aggregate) => (!is_reduced(&aggregate.input)).then_some(&aggregate.input),
        _ => None,
    }
}

fn is_reduced(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::SubqueryAlias(alias) if alias.alias.table() == KEYS => true,
        LogicalPlan::Aggregate(_) => false,
        other => other.inputs().into_iter().any(is_reduced),
    }
}

/// Returns `plan` with only those groups whose key `column` is among `key` of `keys`; `None` where `column` is no key of
/// its groups.
///
/// # Errors
/// Those of the plan's nodes.
pub(super) fn reduced(
    plan: &LogicalPlan,
    column: &Expr,
    keys: &LogicalPlan,
    key: &Expr,
) -> Result<Option<LogicalPlan>> {
    let Expr::Column(column) = column else {
        return Ok(None);
    };
    let Some(place) = plan.schema().maybe_index_of_column(column) else {
        return Ok(None);
    };
    let (input, inner) = match plan {
        LogicalPlan::SubqueryAlias(alias) => {
            let inner = alias.input.schema().columns().into_iter().nth(place);
            (&alias.input, inner.map(Expr::Column))
        }
        LogicalPlan::Projection(projection) => {
            let inner = projection.expr.get(place).map(|expr| expr.clone().unalias());
            (&projection.input, inner)
        }
        LogicalPlan::Filter(filter) => (&filter.input, Some(Expr::Column(column.clone()))),
        LogicalPlan::Aggregate(aggregate) => {
            let group = aggregate.group_expr.get(place);
            let Some(group) = group.filter(|group| !matches!(group, Expr::GroupingSet(_))) else {
                return Ok(None);
            };
            if aggregate
                .group_expr
                .iter()
                .any(|group| matches!(group, Expr::GroupingSet(_)))
            {
                return Ok(None);
            }
            let input = semi_join(&aggregate.input, group.clone().unalias(), keys, key)?;
            return plan.with_new_exprs(plan.expressions(), vec![input]).map(Some);
        }
        _ => return Ok(None),
    };
    let Some(inner) = inner else { return Ok(None) };
    match reduced(input, &inner, keys, key)? {
        Some(input) => plan.with_new_exprs(plan.expressions(), vec![input]).map(Some),
        None => Ok(None),
    }
}

fn semi_join(input: &Arc<LogicalPlan>, column: Expr, keys: &LogicalPlan, key: &Expr) -> Result<LogicalPlan> {
    let keys = LogicalPlanBuilder::from(keys.clone())
        .project([key.clone().alias("key")])?
        .alias(KEYS)?
        .build()?;
    let key = keys.schema().columns().into_iter().next().map(Expr::Column);
    Ok(LogicalPlan::Join(Join::try_new(
        Arc::clone(input),
        Arc::new(keys),
        key.map(|key| (column, key)).into_iter().collect(),
        None,
        JoinType::LeftSemi,
        JoinConstraint::On,
        NullEquality::NullEqualsNothing,
        false,
    )?))
}
