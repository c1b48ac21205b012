//! `UNPIVOT [INCLUDE | EXCLUDE NULLS] (value FOR name IN (column [AS n], …))`: a row for each column.
//!
//! Source: Spark, `Unpivot`. Values of several columns go by groups: `((a, b) FOR name IN ((c, d) AS n, …))`.

use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::error::Result;
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, ExprWithAlias, Ident, NullInclusion};

use super::generate::{self, union_type};
use crate::error::condition;
use crate::resolve::generators::Place;

/// What UNPIVOT says.
pub(super) struct Unpivot {
    pub value: SqlExpr,
    pub name: Ident,
    pub columns: Vec<ExprWithAlias>,
    pub null_inclusion: Option<NullInclusion>,
}

/// Plans an UNPIVOT of `input`.
pub(super) fn plan(
    input: LogicalPlan,
    wanted: Unpivot,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let schema = input.schema().clone();
    let values = parts(wanted.value)
        .into_iter()
        .map(|value| match value {
            SqlExpr::Identifier(name) => Ok(name.value),
            other => Err(mismatch(format!("`{other}` cannot name a column of UNPIVOT"))),
        })
        .collect::<Result<Vec<_>>>()?;
    let mut table = Vec::with_capacity(wanted.columns.len());
    let mut types: Vec<Vec<DataType>> = vec![Vec::new(); values.len()];
    let mut used: Vec<Expr> = Vec::new();
    for ExprWithAlias { expr, alias } in wanted.columns {
        let columns = parts(expr);
        if columns.len() != values.len() {
            return Err(mismatch(format!(
                "UNPIVOT names {} columns of values, and gives {}",
                values.len(),
                columns.len()
            )));
        }
        let mut row = vec![lit(alias.map(|alias| alias.value).unwrap_or_default())];
        for (column, types) in columns.into_iter().zip(&mut types) {
            let column = context.sql_to_expr(column, &schema)?;
            types.push(column.get_type(&schema)?);
            used.push(column.clone());
            row.push(column);
        }
        table.push(row);
    }
    let mut column_types = vec![DataType::Utf8];
    for types in &types {
        column_types.push(union_type("UNPIVOT", types).map_err(|_| {
            condition(
                "UNPIVOT_VALUE_DATA_TYPE_MISMATCH",
                "42K09",
                "the columns of UNPIVOT have no type in common".to_owned(),
            )
        })?);
    }
    let mut names = vec![wanted.name.value];
    names.extend(values.iter().cloned());
    let generated = generate::of_table(table, &column_types, names.clone());
    let kept = schema
        .columns()
        .into_iter()
        .map(Expr::Column)
        .filter(|column| !used.contains(column));
    let kept: Vec<Expr> = kept.collect();
    let rows = generate::rows(input, generated, false, Place::After, None)?;
    let mut output = kept;
    output.extend(names.iter().map(|name| Expr::Column(Column::from_name(name))));
    let mut plan = LogicalPlanBuilder::from(rows);
    if wanted.null_inclusion != Some(NullInclusion::IncludeNulls) {
        let known = values
            .iter()
            .map(|value| Expr::Column(Column::from_name(value)).is_not_null());
        if let Some(known) = known.reduce(Expr::or) {
            plan = plan.filter(known)?;
        }
    }
    plan.project(output)?.build()
}

fn parts(expr: SqlExpr) -> Vec<SqlExpr> {
    match expr {
        SqlExpr::Tuple(parts) => parts,
        SqlExpr::Nested(inner) => vec![*inner],
        other => vec![other],
    }
}

fn mismatch(message: String) -> datafusion::error::DataFusionError {
    condition("UNPIVOT_VALUE_SIZE_MISMATCH", "428C4", message)
}
