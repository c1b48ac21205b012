//! `PIVOT (agg(x) [AS a], … FOR k IN (v [AS n], …))`: a column for each value and aggregate.
//!
//! Rows are grouped by the columns that neither the aggregates nor FOR name. An aggregate sees the rows of its value;
//! where a group has none, the result is null, also that of `count`. Source: Spark, `PivotTransformer`.

use std::collections::HashSet;

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::utils::find_aggregate_exprs;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Operator, binary_expr, lit, when};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, ExprWithAlias, PivotValueSource};

use crate::Error;
use crate::error::{condition, external};
use crate::resolve::pivots::output_names;

/// Plans a PIVOT of `input`.
pub(super) fn plan(
    input: LogicalPlan,
    aggregates: Vec<ExprWithAlias>,
    keys: Vec<SqlExpr>,
    source: PivotValueSource,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let PivotValueSource::List(values) = source else {
        let message = "PIVOT takes a list of values".to_owned();
        return Err(external(Error::unsupported(message)));
    };
    let names = output_names(&aggregates, &values);
    let schema = input.schema().clone();
    let mut planned = |expr| context.sql_to_expr(expr, &schema);
    let keys = keys.into_iter().map(&mut planned).collect::<Result<Vec<_>>>()?;
    let mut calls = Vec::with_capacity(aggregates.len());
    for aggregate in aggregates {
        let call = planned(aggregate.expr)?;
        if find_aggregate_exprs(std::iter::once(&call)).is_empty() {
            return Err(condition(
                "PIVOT_VALUE_DATA_TYPE_MISMATCH",
                "42K09",
                format!("PIVOT needs an aggregate function, and `{call}` is none"),
            ));
        }
        calls.push(call);
    }
    let mut columns = Vec::with_capacity(names.len());
    for value in values {
        let parts = match value.expr {
            SqlExpr::Tuple(parts) if keys.len() > 1 => parts,
            part => vec![part],
        };
        if parts.len() != keys.len() {
            return Err(condition(
                "PIVOT_VALUE_DATA_TYPE_MISMATCH",
                "42K09",
                format!(
                    "a value of PIVOT has {} parts for {} columns",
                    parts.len(),
                    keys.len()
                ),
            ));
        }
        let parts = parts.into_iter().map(&mut planned).collect::<Result<Vec<_>>>()?;
        let equal = keys.iter().cloned().zip(parts);
        let equal = equal.map(|(key, part)| binary_expr(key, Operator::IsNotDistinctFrom, part));
        let matches = equal.reduce(Expr::and).unwrap_or_else(|| lit(true));
        for call in &calls {
            columns.push(of_value(call.clone(), &matches)?);
        }
    }
    let used: HashSet<&Column> = calls.iter().chain(&keys).flat_map(Expr::column_refs).collect();
    let kept: Vec<Expr> = schema
        .columns()
        .into_iter()
        .filter(|column| !used.contains(column))
        .map(Expr::Column)
        .collect();
    let computed = find_aggregate_exprs(&columns);
    let grouped = LogicalPlanBuilder::from(input).aggregate(kept.clone(), computed)?;
    let columns = columns
        .into_iter()
        .zip(names)
        .map(|(column, name)| Ok(read(column)?.alias(name)));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    // Their relations are gone: the result is one of its own.
    let kept = kept.into_iter().map(|column| match &column {
        Expr::Column(named) => column.clone().alias(named.name.clone()),
        _ => column,
    });
    grouped.project(kept.chain(columns).collect::<Vec<_>>())?.build()
}

/// Makes an aggregate see the rows of a value alone.
fn of_value(call: Expr, matches: &Expr) -> Result<Expr> {
    let seen = count(lit(1_i64));
    let transformed = call.transform_up(|expr| match expr {
        Expr::AggregateFunction(mut aggregate) => {
            aggregate.params.filter = Some(Box::new(match aggregate.params.filter {
                Some(filter) => filter.and(matches.clone()),
                None => matches.clone(),
            }));
            Ok(Transformed::yes(Expr::AggregateFunction(aggregate)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    let counted = seen.transform_up(|expr| match expr {
        Expr::AggregateFunction(mut aggregate) => {
            aggregate.params.filter = Some(Box::new(matches.clone()));
            Ok(Transformed::yes(Expr::AggregateFunction(aggregate)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    when(counted.data.gt(lit(0_i64)), transformed.data).end()
}

/// Reads the aggregates in an expression from the columns that they became.
fn read(expr: Expr) -> Result<Expr> {
    let read = expr.transform_down(|expr| match expr {
        Expr::AggregateFunction(_) => Ok(Transformed::yes(Expr::Column(Column::from_name(
            expr.schema_name().to_string(),
        )))),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(read.data)
}
