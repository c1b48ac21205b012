//! The WHERE of OPTIMIZE and REORG: over partition columns only, so that it chooses whole files.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, ExprSchemable, cast};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Ident, visit_expressions_mut};
use ingot_common::Kind;
use ingot_delta::Snapshot;

use crate::{Error, Result, Session, dialect, spark};

/// Reads `text` as a condition on the partition columns of `snapshot`.
///
/// # Errors
/// `InvalidArgument` for a column that does not partition the table, or does not exist, or a value that is neither true nor
/// false; `Unsupported` for a subquery.
pub(crate) fn compile(session: &Session, snapshot: &Snapshot, text: &str) -> Result<Expr> {
    let mut parsed = dialect::expression(text)?;
    let outcome = visit_expressions_mut(&mut parsed, |expression| {
        let name = match expression {
            SqlExpr::Identifier(name) => name.value.clone(),
            SqlExpr::CompoundIdentifier(parts) => match parts.last() {
                Some(last) => last.value.clone(),
                None => return ControlFlow::Continue(()),
            },
            SqlExpr::Subquery(_) | SqlExpr::InSubquery { .. } | SqlExpr::Exists { .. } => {
                return ControlFlow::Break(Error::Condition {
                    kind: Kind::Unsupported,
                    condition: "DELTA_UNSUPPORTED_SUBQUERY_IN_PARTITION_PREDICATES",
                    sqlstate: "0AKDC",
                    message: "a subquery is not supported in partition predicates".to_owned(),
                });
            }
            _ => return ControlFlow::Continue(()),
        };
        match partition_column(snapshot, &name) {
            Ok(column) => {
                *expression = SqlExpr::Identifier(Ident::with_quote('"', column));
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    });
    if let ControlFlow::Break(error) = outcome {
        return Err(error);
    }
    let predicate = spark::plan_over(&session.datafusion().state(), parsed, snapshot.schema())?;
    let schema = DFSchema::try_from(Arc::clone(snapshot.schema()))?;
    match predicate.get_type(&schema)? {
        DataType::Boolean => Ok(predicate),
        DataType::Null => Ok(cast(predicate, DataType::Boolean)),
        found => Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "DATATYPE_MISMATCH.FILTER_NOT_BOOLEAN",
            sqlstate: "42K09",
            message: format!("the condition `{text}` is of type {found}; it has to be true or false"),
        }),
    }
}

fn partition_column(snapshot: &Snapshot, name: &str) -> Result<String> {
    let columns = snapshot.partition_columns();
    if let Some(column) = columns.iter().find(|column| column.eq_ignore_ascii_case(name)) {
        return Ok(column.clone());
    }
    let fields = snapshot.schema().fields();
    Err(
        match fields
            .iter()
            .find(|field| field.name().eq_ignore_ascii_case(name))
        {
            Some(field) => Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "DELTA_NON_PARTITION_COLUMN_REFERENCE",
                sqlstate: "42P10",
                message: format!(
                    "the predicate references non-partition column `{}`; only the partition columns may be \
                     referenced: [{}]",
                    field.name(),
                    columns.join(", ")
                ),
            },
            None => Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "UNRESOLVED_COLUMN.WITHOUT_SUGGESTION",
                sqlstate: "42703",
                message: format!("the table has no column `{name}`"),
            },
        },
    )
}
