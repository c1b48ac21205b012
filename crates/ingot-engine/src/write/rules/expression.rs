//! SQL that Delta keeps with a table, as expressions over a row of it.
//!
//! Names compare without case and mean the table's columns, fields of structs too.

use std::ops::ControlFlow;

use arrow::datatypes::{DataType, FieldRef, Fields, Schema};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, Volatility};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Ident, visit_expressions_mut};

use crate::{Error, Result, dialect, spark};

/// Functions whose value depends on when they are called, or by whom.
const OF_THE_MOMENT: [&str; 11] = [
    "now",
    "current_timestamp",
    "current_date",
    "current_time",
    "localtimestamp",
    "curdate",
    "today",
    "current_user",
    "is_account_group_member",
    "is_member",
    "current_timezone",
];

/// What an expression does that a rule may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forbidden {
    Aggregate,
    NonDeterministic,
    Subquery,
}

/// Reads the text of an expression over the columns of `schema`.
///
/// # Errors
/// `InvalidArgument` for what is no expression, and for a name that is no column.
pub(crate) fn table_expression(state: &SessionState, text: &str, schema: &Schema) -> Result<Expr> {
    let parsed = dialect::expression(text)?;
    compile(state, parsed, schema)
}

/// Makes an expression over the columns of `schema` of one that is parsed.
///
/// # Errors
/// As [`table_expression`].
pub(crate) fn compile(state: &SessionState, mut parsed: SqlExpr, schema: &Schema) -> Result<Expr> {
    let outcome = visit_expressions_mut(&mut parsed, |expression| {
        let parts = match expression {
            SqlExpr::Identifier(name) => std::slice::from_ref(name),
            SqlExpr::CompoundIdentifier(parts) => parts.as_slice(),
            SqlExpr::Subquery(_) | SqlExpr::InSubquery { .. } | SqlExpr::Exists { .. } => {
                return ControlFlow::Break(Error::unsupported(format!(
                    "a subquery cannot stand in an expression of a table: `{expression}`"
                )));
            }
            _ => return ControlFlow::Continue(()),
        };
        if let Some(spelled) = spelled(parts, schema.fields()) {
            *expression = match <[Ident; 1]>::try_from(spelled) {
                Ok([column]) => SqlExpr::Identifier(column),
                Err(parts) => SqlExpr::CompoundIdentifier(parts),
            };
        }
        ControlFlow::Continue(())
    });
    if let ControlFlow::Break(error) = outcome {
        return Err(error);
    }
    spark::plan_over(state, parsed, schema)
}

/// Spells the name of a column, or of a field below it, as the columns are; `None` when it is none of theirs.
pub(crate) fn spelled(parts: &[Ident], fields: &Fields) -> Option<Vec<Ident>> {
    let (first, rest) = parts.split_first()?;
    let field = find(fields, &first.value)?;
    let mut spelled = vec![Ident::with_quote('"', field.name())];
    let mut data_type = field.data_type();
    for part in rest {
        let inner = match data_type {
            DataType::Struct(fields) => find(fields, &part.value),
            _ => None,
        };
        match inner {
            Some(field) => {
                spelled.push(Ident::with_quote('"', field.name()));
                data_type = field.data_type();
            }
            None => spelled.push(part.clone()),
        }
    }
    Some(spelled)
}

/// Finds a field by name, in any case.
pub(crate) fn find<'a>(fields: &'a Fields, name: &str) -> Option<&'a FieldRef> {
    let lower = name.to_lowercase();
    fields.iter().find(|field| field.name().to_lowercase() == lower)
}

/// Returns what in `expression` a rule cannot rely on.
///
/// # Errors
/// None of its own.
pub(crate) fn forbidden(expression: &Expr) -> Result<Option<Forbidden>> {
    let mut found = None;
    expression.apply(|node| {
        found = match node {
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) => Some(Forbidden::Aggregate),
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) => Some(Forbidden::Subquery),
            Expr::ScalarFunction(call)
                if call.func.signature().volatility == Volatility::Volatile
                    || OF_THE_MOMENT.contains(&call.name()) =>
            {
                Some(Forbidden::NonDeterministic)
            }
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        Ok(TreeNodeRecursion::Stop)
    })?;
    Ok(found)
}
