//! A table query over rows: filters, groups, order, columns, limit.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Expr, SortExpr};
use ingot_common::port::{Filter, OrderBy, TableQuery};

use super::aggregation;
use super::conditions::{column, condition, field, sort_key};
use crate::{Result, Session};

/// Plans the query over `rows`.
///
/// # Errors
/// `InvalidArgument`, naming the column and what was expected, for unknown columns and values that do not fit.
pub(super) fn shaped(session: &Session, rows: DataFrame, query: &TableQuery) -> Result<DataFrame> {
    let mut rows = grouped(session, rows, query)?;
    let schema = Arc::new(rows.schema().as_arrow().clone());
    if !query.order.is_empty() {
        rows = rows.sort(sort_keys(&schema, &query.order)?)?;
    }
    if !query.select.is_empty() {
        rows = rows.select(selected(&schema, &query.select)?)?;
    }
    match query.limit {
        Some(limit) => Ok(rows.limit(0, Some(limit))?),
        None => Ok(rows),
    }
}

/// Plans filters and groups.
pub(super) fn grouped(session: &Session, rows: DataFrame, query: &TableQuery) -> Result<DataFrame> {
    let rows = filtered(rows, &query.filters)?;
    match &query.aggregation {
        Some(aggregation) => aggregation::grouped(session, rows, aggregation),
        None => Ok(rows),
    }
}

/// Plans filters.
pub(super) fn filtered(mut rows: DataFrame, filters: &[Filter]) -> Result<DataFrame> {
    let schema = Arc::new(rows.schema().as_arrow().clone());
    for filter in filters {
        rows = rows.filter(condition(&schema, filter)?)?;
    }
    Ok(rows)
}

/// Returns what an order sorts by.
pub(super) fn sort_keys(schema: &Schema, order: &[OrderBy]) -> Result<Vec<SortExpr>> {
    order
        .iter()
        .map(|order| {
            let field = field(schema, &order.column)?;
            // Spark: nulls first when ascending, last when descending.
            Ok(SortExpr::new(
                sort_key(field)?,
                !order.descending,
                !order.descending,
            ))
        })
        .collect()
}

/// Returns the columns of a selection.
pub(super) fn selected(schema: &Schema, select: &[String]) -> Result<Vec<Expr>> {
    let columns = select.iter().map(|name| Ok(column(field(schema, name)?)));
    columns.collect()
}
