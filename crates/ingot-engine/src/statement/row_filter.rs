//! `ROW FILTER` and `MASK` of CREATE TABLE and ALTER TABLE.
//!
//! Source: Databricks, "ROW FILTER clause", "MASK clause".

use arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::ast::{Expr, ObjectName, UnaryOperator, Value};
use ingot_catalog::{ColumnMask, FunctionArgument, Need, Privilege, RowFilter, TableFilters, TableFunction};
use ingot_common::{FunctionName, TableName};

use super::cursor::Cursor;
use crate::resolve;
use crate::{Error, Result, Session, access};

/// A function with arguments, as a statement names it.
#[derive(Debug, Clone)]
pub(super) struct FunctionClause {
    name: ObjectName,
    arguments: Vec<FunctionArgument>,
}

impl FunctionClause {
    /// Takes `function ON ([argument, …])`, what stands after ROW FILTER.
    pub fn row_filter(cursor: &mut Cursor<'_>) -> Result<Self> {
        let name = cursor.object_name()?;
        cursor.expect("ON")?;
        let arguments = match cursor.accept_empty_parentheses() {
            true => Vec::new(),
            false => cursor.in_parentheses(argument)?,
        };
        Ok(Self { name, arguments })
    }

    /// Takes `function [USING COLUMNS (argument, …)]`, what stands after MASK.
    pub fn mask(cursor: &mut Cursor<'_>) -> Result<Self> {
        let name = cursor.object_name()?;
        let arguments = match cursor.accept_all(&["USING", "COLUMNS"]) {
            true => cursor.in_parentheses(argument)?,
            false => Vec::new(),
        };
        Ok(Self { name, arguments })
    }

    /// Finds the function, which the session's principal must be let call.
    async fn function(&self, session: &Session) -> Result<TableFunction> {
        let name = session.resolve(&self.name)?;
        let name = FunctionName::new(name.schema_name(), name.table);
        let info = access::function(session, &name, Need::Privilege(Privilege::Execute)).await?;
        Ok(TableFunction { name, id: info.id })
    }

    /// Makes the row filter that the clause means.
    ///
    /// # Errors
    /// `ROUTINE_NOT_FOUND`, `INSUFFICIENT_PERMISSIONS`.
    pub async fn to_row_filter(&self, session: &Session) -> Result<RowFilter> {
        Ok(RowFilter {
            function: self.function(session).await?,
            columns: self.arguments.clone(),
        })
    }

    /// Makes the mask that the clause means.
    ///
    /// # Errors
    /// As [`Self::to_row_filter`].
    pub async fn to_mask(&self, session: &Session) -> Result<ColumnMask> {
        Ok(ColumnMask {
            function: self.function(session).await?,
            using_columns: self.arguments.clone(),
        })
    }
}

/// The row filter and the masks of a table, as the statement that makes it names them.
#[derive(Debug, Clone, Default)]
pub(super) struct FilterClauses {
    pub row_filter: Option<FunctionClause>,
    /// By the names of their columns.
    pub masks: Vec<(String, FunctionClause)>,
}

impl FilterClauses {
    /// Says if there is none.
    pub fn is_empty(&self) -> bool {
        self.row_filter.is_none() && self.masks.is_empty()
    }

    /// Makes the filters that the clauses mean for a table of these columns, and checks them.
    ///
    /// # Errors
    /// As [`FunctionClause::to_row_filter`] and [`check`].
    pub async fn to_filters(
        &self,
        session: &Session,
        name: &TableName,
        schema: &SchemaRef,
    ) -> Result<TableFilters> {
        let mut filters = TableFilters::default();
        if let Some(clause) = &self.row_filter {
            filters.row_filter = Some(clause.to_row_filter(session).await?);
        }
        for (column, clause) in &self.masks {
            let mask = clause.to_mask(session).await?;
            filters.column_masks.insert(column.clone(), mask);
        }
        check(session, name, &filters, schema).await?;
        Ok(filters)
    }
}

/// Takes the name of a column, or a constant.
fn argument(cursor: &mut Cursor<'_>) -> Result<FunctionArgument> {
    let (expression, text) = cursor.expression()?;
    match &expression {
        Expr::Identifier(column) => Ok(FunctionArgument::Column(column.value.clone())),
        expression if constant(expression) => Ok(FunctionArgument::Constant(text.to_owned())),
        _ => Err(Error::parse(format!(
            "`{text}` is neither a column nor a constant"
        ))),
    }
}

fn constant(expression: &Expr) -> bool {
    match expression {
        Expr::Interval(interval) => constant(&interval.value),
        Expr::TypedString(_) => true,
        Expr::Value(value) => !matches!(value.value, Value::Placeholder(_)),
        Expr::UnaryOp { op, expr } => *op == UnaryOperator::Minus && constant(expr),
        _ => false,
    }
}

/// Checks that a table of these columns can be shown through the filters.
///
/// # Errors
/// What is wrong with a function or with what it is given; `DATATYPE_MISMATCH` for a row filter that is not BOOLEAN.
pub(super) async fn check(
    session: &Session,
    name: &TableName,
    filters: &TableFilters,
    schema: &SchemaRef,
) -> Result<()> {
    resolve::check_filters(session, name, filters, schema).await
}
