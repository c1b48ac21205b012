//! Queries that need no slot: they read no relation and make no rows of one.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, ObjectNamePart, TableFactor, Visit, Visitor};

use crate::{Session, ast, resolve};

/// Says if a query or an expression is about values that it names itself, as `SELECT 1` and `VALUES (1)` are.
pub(super) fn is_light(session: &Session, part: &impl Visit) -> bool {
    let state = session.datafusion().state_ref();
    let state = state.read();
    is_light_with(part, |function| resolve::is_builtin(&state, function))
}

/// The same, with what says if a function of such a name, in lower case, is the engine's own: others may be queries.
fn is_light_with(part: &impl Visit, is_builtin: impl Fn(&str) -> bool) -> bool {
    part.visit(&mut Work { is_builtin }).is_continue()
}

/// Ends where there is work.
struct Work<F> {
    is_builtin: F,
}

impl<F: Fn(&str) -> bool> Visitor for Work<F> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Derived { .. } | TableFactor::NestedJoin { .. } => ControlFlow::Continue(()),
            factor if ast::is_no_relation(factor) => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let Expr::Function(call) = expr else {
            return ControlFlow::Continue(());
        };
        let light = match call.name.0.as_slice() {
            [ObjectNamePart::Identifier(name)] => {
                let name = name.value.to_lowercase();
                (self.is_builtin)(&name) && !resolve::GENERATORS.contains(&name.as_str())
            }
            _ => false,
        };
        match light {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
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
    #[test_case("SELECT f(1)", false; "a function that may be a query")]
    #[test_case("SELECT main.default.upper('a')", false; "a function of a schema")]
    fn a_query_is_light_or_not(query: &str, light: bool) {
        let builtin = |name: &str| ["current_date", "explode", "max", "sequence", "upper"].contains(&name);
        let query = parse_query(query).expect("a query");
        assert_eq!(is_light_with(&query, builtin), light);
    }
}
