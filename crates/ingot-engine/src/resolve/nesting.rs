//! How deep queries stand in expressions, and lambdas in each other: DataFusion's checks of either look twice at each level
//! that is within another.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Statement, Visit, Visitor};

use crate::{Error, Result};

/// Queries in expressions of queries in expressions, at most.
const SUBQUERIES_MAX: usize = 12;

/// Lambdas in lambdas, at most.
const LAMBDAS_MAX: usize = 8;

/// Refuses a query that nests deeper.
///
/// # Errors
/// `FAILED_TO_PARSE_TOO_COMPLEX`.
pub(super) fn check(query: &Statement) -> Result<()> {
    match query.visit(&mut Nesting::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::too_complex()),
    }
}

#[derive(Default)]
struct Nesting {
    subqueries: usize,
    lambdas: usize,
}

impl Nesting {
    fn count(&mut self, expr: &Expr) -> Option<&mut usize> {
        match expr {
            Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => Some(&mut self.subqueries),
            Expr::Lambda(_) => Some(&mut self.lambdas),
            _ => None,
        }
    }
}

impl Visitor for Nesting {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Some(count) = self.count(expr) {
            *count += 1;
        }
        match self.subqueries > SUBQUERIES_MAX || self.lambdas > LAMBDAS_MAX {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Some(count) = self.count(expr) {
            *count -= 1;
        }
        ControlFlow::Continue(())
    }
}
