//! Groups of a table query, and what is computed of them.

use std::sync::Arc;

use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::expr::AggregateFunction as AggregateCall;
use datafusion::logical_expr::{AggregateUDF, Expr, lit};
use ingot_common::Kind;
use ingot_common::port::{Aggregate, AggregateFunction, Aggregation};

use super::conditions::{column, field};
use crate::{Error, Result, Session};

/// Plans the groups of `rows`: the columns that they are grouped by, then the aggregates.
///
/// # Errors
/// `InvalidArgument` for unknown columns, two columns of one name, and types that a function does not take.
pub(super) fn grouped(session: &Session, rows: DataFrame, aggregation: &Aggregation) -> Result<DataFrame> {
    let schema = Arc::new(rows.schema().as_arrow().clone());
    let mut names: Vec<String> = Vec::new();
    let mut groups = Vec::with_capacity(aggregation.group_by.len());
    for name in &aggregation.group_by {
        let field = field(&schema, name)?;
        names.push(field.name().to_lowercase());
        groups.push(column(field));
    }
    let mut aggregates = Vec::with_capacity(aggregation.aggregates.len());
    for aggregate in &aggregation.aggregates {
        let of = match &aggregate.column {
            Some(name) => Some(column(field(&schema, name)?)),
            None => None,
        };
        names.push(aggregate.name.to_lowercase());
        aggregates.push(call(session, aggregate, of)?.alias(&aggregate.name));
    }
    if let Some(twice) = duplicate(&mut names) {
        return Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "COLUMN_ALREADY_EXISTS",
            sqlstate: "42711",
            message: format!(
                "two columns of the answer would be called `{twice}`; call an aggregate otherwise, as in \
                 `avg:delay:mean_delay`"
            ),
        });
    }
    Ok(rows.aggregate(groups, aggregates)?)
}

fn duplicate(names: &mut [String]) -> Option<String> {
    names.sort_unstable();
    let mut pairs = names.windows(2);
    pairs.find_map(|pair| match pair {
        [one, other] if one == other => Some(one.clone()),
        _ => None,
    })
}

fn call(session: &Session, aggregate: &Aggregate, of: Option<Expr>) -> Result<Expr> {
    let (name, distinct) = match aggregate.function {
        AggregateFunction::Count => ("count", false),
        AggregateFunction::CountDistinct => ("count", true),
        AggregateFunction::Sum => ("sum", false),
        AggregateFunction::Avg => ("avg", false),
        AggregateFunction::Min => ("min", false),
        AggregateFunction::Max => ("max", false),
    };
    let state = session.datafusion().state();
    let function: Option<&Arc<AggregateUDF>> = state.aggregate_functions().get(name);
    let function = function.ok_or_else(|| Error::internal(format!("there is no function `{name}`")))?;
    // Counting a value that is never null counts rows.
    let of = of.unwrap_or_else(|| lit(1_i64));
    Ok(Expr::AggregateFunction(AggregateCall::new_udf(
        Arc::clone(function),
        vec![of],
        distinct,
        None,
        Vec::new(),
        None,
    )))
}
