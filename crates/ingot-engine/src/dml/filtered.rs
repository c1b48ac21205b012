//! Targets that have a row filter or column masks.
//!
//! A statement changes the rows that whoever runs it is shown, and its conditions see what is shown of them. Values that
//! it does not set stay as they are stored; new values are not computed from masked columns, which would write masked
//! values for good. Source: Databricks, "Row filters and column masks".

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, FunctionArg, FunctionArgExpr, FunctionArguments, visit_expressions,
};
use ingot_catalog::{TableFilters, TableInfo};
use ingot_common::TableName;

use crate::resolve::{self, Reads};
use crate::{Error, Result, Session};

/// See the module's documentation.
#[derive(Debug, Clone)]
pub(crate) struct FilteredTarget {
    name: TableName,
    filters: TableFilters,
}

impl FilteredTarget {
    /// Returns what the table is shown through; `None` when all of it is shown.
    pub fn of(info: &TableInfo) -> Option<Self> {
        (!info.filters.is_empty()).then(|| Self {
            name: info.name.clone(),
            filters: info.filters.clone(),
        })
    }

    /// Says if there are rows that somebody is not shown.
    pub fn hides_rows(&self) -> bool {
        self.filters.row_filter.is_some()
    }

    /// Returns the rows as conditions see them, of `rows`, which has all of the table's columns.
    ///
    /// # Errors
    /// `ROUTINE_NOT_FOUND` for a function that is gone; what is wrong with a function.
    pub async fn shown(
        &self,
        session: &Session,
        rows: Arc<dyn TableProvider>,
        reads: &Reads,
    ) -> Result<Arc<dyn TableProvider>> {
        resolve::filtered_target(session, &self.name, &self.filters, rows, reads).await
    }

    /// Returns the rows that are shown, with their values as they are stored.
    ///
    /// # Errors
    /// As [`Self::shown`].
    pub async fn stored(
        &self,
        session: &Session,
        rows: Arc<dyn TableProvider>,
        reads: &Reads,
    ) -> Result<Arc<dyn TableProvider>> {
        let filters = TableFilters {
            row_filter: self.filters.row_filter.clone(),
            column_masks: Default::default(),
        };
        resolve::filtered_target(session, &self.name, &filters, rows, reads).await
    }

    /// Keeps the stored values of a row of `target` out of an error: they may be of columns that have masks.
    pub fn conceal(target: Option<&Self>, error: Error) -> Error {
        match error {
            Error::RuleBroken { rule, .. } if target.is_some() => Error::RuleBroken {
                rule,
                values: Vec::new(),
            },
            other => other,
        }
    }

    /// Refuses to compute something from a column that has a mask.
    ///
    /// # Errors
    /// `UNSUPPORTED_FEATURE`.
    pub fn check_column(&self, column: &str) -> Result<()> {
        match self.filters.mask(column) {
            None => Ok(()),
            Some(_) => Err(Error::unsupported(format!(
                "column `{column}` of `{}` has a mask; new values, and what MERGE decides by, cannot be computed from it",
                self.name
            ))),
        }
    }

    /// Refuses an expression over the target's columns that names one that has a mask.
    ///
    /// # Errors
    /// As [`Self::check_column`].
    pub fn check_expression(&self, expression: &SqlExpr) -> Result<()> {
        let checked = visit_expressions(expression, |part| {
            let checked = match part {
                SqlExpr::Identifier(name) => self.check_column(&name.value),
                SqlExpr::CompoundIdentifier(names) => {
                    names.iter().try_for_each(|name| self.check_column(&name.value))
                }
                SqlExpr::Function(function) => self.check_arguments(&function.args),
                _ => Ok(()),
            };
            match checked {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            }
        });
        match checked {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(error),
        }
    }

    /// Refuses `f(*)`, which names every column.
    fn check_arguments(&self, arguments: &FunctionArguments) -> Result<()> {
        let FunctionArguments::List(arguments) = arguments else {
            return Ok(());
        };
        let all = arguments.args.iter().any(|argument| {
            matches!(
                argument,
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard | FunctionArgExpr::QualifiedWildcard(_))
            )
        });
        let mut masked = self.filters.column_masks.keys().filter(|_| all);
        masked.try_for_each(|column| self.check_column(column))
    }
}
