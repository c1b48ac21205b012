//! A predicate over a table's columns, as text, for the rows that a write replaces.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Ident, visit_expressions_mut};
use ingot_common::Kind;

use super::rules::expression::spelled;
use crate::{Error, Result, Session, dialect, spark};

/// A predicate, compiled for a table's schema.
#[derive(Debug, Clone)]
pub(crate) struct TablePredicate {
    /// As the user wrote it.
    pub text: String,
    pub expression: Expr,
    /// Over batches of the table's schema.
    physical: Arc<dyn PhysicalExpr>,
}

impl TablePredicate {
    /// Reads `text`. Columns are matched without regard to case.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown column, and for what is no truth value; `Unsupported` for subqueries and for
    /// expressions that do not give the same each time.
    pub fn parse(session: &Session, schema: &SchemaRef, text: &str) -> Result<Self> {
        let parsed = with_spelled_names(dialect::expression(text)?, schema, text)?;
        let state = session.datafusion().state();
        let expression = spark::plan_over(&state, parsed, schema)?;
        Self::new(session, schema, expression, text.to_owned())
    }

    /// Takes an expression over the table's columns.
    ///
    /// # Errors
    /// As [`TablePredicate::parse`].
    pub fn new(session: &Session, schema: &SchemaRef, expression: Expr, text: String) -> Result<Self> {
        if expression.is_volatile() {
            return Err(Error::unsupported(format!(
                "`{text}` does not give the same each time, and cannot say which rows are replaced"
            )));
        }
        let columns = DFSchema::try_from(Arc::clone(schema))?;
        let state = session.datafusion().state();
        let data_type = expression.get_type(&columns)?;
        if !matches!(data_type, DataType::Boolean | DataType::Null) {
            return Err(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "DATATYPE_MISMATCH.FILTER_NOT_BOOLEAN",
                sqlstate: "42K09",
                message: format!("`{text}` is no truth value, but {data_type}"),
            });
        }
        let physical = state.create_physical_expr(expression.clone(), &columns)?;
        Ok(Self {
            text,
            expression,
            physical,
        })
    }

    /// Refuses rows for which the predicate is not true.
    ///
    /// # Errors
    /// `DELTA_REPLACE_WHERE_MISMATCH`, with the count of such rows among `rows`.
    pub fn check(&self, rows: &RecordBatch) -> Result<()> {
        let matches = self.physical.evaluate(rows)?.into_array(rows.num_rows())?;
        let matching = match matches.as_boolean_opt() {
            Some(matches) => matches.true_count(),
            None => 0,
        };
        if matching == rows.num_rows() {
            return Ok(());
        }
        Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "DELTA_REPLACE_WHERE_MISMATCH",
            sqlstate: "44000",
            message: format!(
                "written data does not conform to the replaceWhere predicate `{}`: {} of {} rows looked at do not \
                 match it",
                self.text,
                rows.num_rows() - matching,
                rows.num_rows()
            ),
        })
    }
}

/// Writes the names of columns and of their fields as the schema has them.
fn with_spelled_names(mut expression: SqlExpr, schema: &Schema, text: &str) -> Result<SqlExpr> {
    let outcome = visit_expressions_mut(&mut expression, |part| {
        match part {
            SqlExpr::Identifier(name) => {
                if let Some([known]) = spelled(std::slice::from_ref(name), schema.fields()).as_deref() {
                    *name = known.clone();
                }
            }
            SqlExpr::CompoundIdentifier(parts) => {
                if let Some(known) = spelled(parts, schema.fields()) {
                    *parts = known;
                }
            }
            SqlExpr::Subquery(_) | SqlExpr::InSubquery { .. } | SqlExpr::Exists { .. } => {
                return ControlFlow::Break(Error::unsupported(format!(
                    "`{text}` has a subquery, and cannot say which rows are replaced"
                )));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
    match outcome {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(expression),
    }
}

/// A relation that a condition may name: its name in plans, its alias (none if empty), its columns.
pub(super) type Relation<'a> = (&'a str, &'a str, &'a Schema);

/// Reads a condition over the rows of two relations, whose columns it names alone or after an alias.
///
/// # Errors
/// `InvalidArgument` for a column that neither has, or both have; otherwise as [`TablePredicate::parse`].
pub(super) fn join_condition(
    session: &Session,
    text: &str,
    left: Relation<'_>,
    right: Relation<'_>,
) -> Result<Expr> {
    let mut parsed = dialect::expression(text)?;
    let outcome = visit_expressions_mut(&mut parsed, |part| {
        let parts = match part {
            SqlExpr::Identifier(name) => vec![name.clone()],
            SqlExpr::CompoundIdentifier(parts) => parts.clone(),
            SqlExpr::Subquery(_) | SqlExpr::InSubquery { .. } | SqlExpr::Exists { .. } => {
                return ControlFlow::Break(Error::unsupported(format!(
                    "`{text}` has a subquery, and cannot say which rows are replaced"
                )));
            }
            _ => return ControlFlow::Continue(()),
        };
        match (of_relation(&parts, left), of_relation(&parts, right)) {
            (Some(_), Some(_)) => ControlFlow::Break(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "AMBIGUOUS_REFERENCE",
                sqlstate: "42704",
                message: format!("reference `{part}` is ambiguous: the table and the query have it"),
            }),
            (Some(column), None) | (None, Some(column)) => {
                *part = SqlExpr::CompoundIdentifier(column);
                ControlFlow::Continue(())
            }
            (None, None) => ControlFlow::Break(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "UNRESOLVED_COLUMN.WITHOUT_SUGGESTION",
                sqlstate: "42703",
                message: format!("a column with the name `{part}` cannot be resolved in `{text}`"),
            }),
        }
    });
    if let ControlFlow::Break(error) = outcome {
        return Err(error);
    }
    let (left, right) = (
        DFSchema::try_from_qualified_schema(left.0, left.2)?,
        DFSchema::try_from_qualified_schema(right.0, right.2)?,
    );
    let state = session.datafusion().state();
    let condition = spark::plan(&state, parsed, &left.join(&right)?)?;
    if condition.is_volatile() {
        return Err(Error::unsupported(format!(
            "`{text}` does not give the same each time, and cannot say which rows are replaced"
        )));
    }
    Ok(condition)
}

/// Returns the full name of a column of the relation; `None` if it has no such column.
fn of_relation(parts: &[Ident], (relation, alias, schema): Relation<'_>) -> Option<Vec<Ident>> {
    let parts = match parts {
        [first, rest @ ..] if !rest.is_empty() && first.value.eq_ignore_ascii_case(alias) => rest,
        parts => parts,
    };
    let mut full = vec![Ident::with_quote('"', relation)];
    full.extend(spelled(parts, schema.fields())?);
    Some(full)
}
