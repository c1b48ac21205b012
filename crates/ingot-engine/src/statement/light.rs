//! Queries that need no slot: they read no relation and make no rows of one.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, ObjectNamePart, TableFactor, Visit, Visitor};

use crate::{ast, resolve};

/// Says if a query or an expression is about values that it names itself, as `SELECT 1` and `VALUES (1)` are.
pub(super) fn is_light(part: &impl Visit) -> bool {
    part.visit(&mut Work).is_continue()
}

/// Ends where there is work.
struct Work;

impl Visitor for Work {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Derived { .. } | TableFactor::NestedJoin { .. } => ControlFlow::Continue(()),
            factor if ast::is_no_relation(factor) => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(call)
                if let Some(ObjectNamePart::Identifier(name)) = call.name.0.last()
                    && resolve::GENERATORS
                        .iter()
                        .any(|known| known.eq_ignore_ascii_case(&name.value)) =>
            {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;
    use crate::statement::parse_query;

    #[test_case("SELECT 1", true)]
    #[test_case("SELECT current_date(), upper('a') AS b WHERE 1 = 1", true)]
    #[test_case("SELECT * FROM (SELECT 1 AS a) t", true; "a query of a query")]
    #[test_case("SELECT * FROM VALUES (1), (2) AS t(a)", true; "values as a relation")]
    #[test_case("SELECT * FROM t", false; "a table")]
    #[test_case("SELECT (SELECT max(a) FROM t)", false; "a table in an expression")]
    #[test_case("WITH q AS (SELECT 1) SELECT * FROM q", false; "what is named may be a table")]
    #[test_case("SELECT * FROM range(10)", false; "rows that are made")]
    #[test_case("SELECT explode(sequence(1, 10))", false; "rows that are made of one")]
    fn a_query_is_light_or_not(query: &str, light: bool) {
        assert_eq!(is_light(&parse_query(query).expect("a query")), light);
    }
}
