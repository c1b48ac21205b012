//! Lateral column aliases: `SELECT a + 1 AS b, b * 2 AS c`.
//!
//! A column of FROM hides an alias of its name. So an alias is put in place of its name only where the planner has
//! found no such column. Source: Spark, `ResolveLateralColumnAliasReference`.

use std::ops::ControlFlow;

use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Query, Select, SelectItem, Statement, VisitMut, VisitorMut, visit_expressions_mut,
};

/// Returns the name that the planner did not find.
pub(super) fn missing(error: &DataFusionError) -> Option<&Column> {
    match error.find_root() {
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, .. } => Some(field),
            _ => None,
        },
        _ => None,
    }
}

/// Puts what a missing name is an alias of in its place, in the items of SELECT that follow it. Returns `false` when nothing
/// changed.
pub(super) fn substitute(query: &mut Statement, missing: &Column) -> bool {
    if missing.relation.is_some() {
        return false;
    }
    let mut substitution = Substitution {
        name: &missing.name,
        made: false,
    };
    let _ = VisitMut::visit(query, &mut substitution);
    substitution.made
}

struct Substitution<'a> {
    name: &'a str,
    made: bool,
}

impl VisitorMut for Substitution<'_> {
    type Break = ();

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        // The innermost first: one at a time.
        match self.made {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let mut alias: Option<Expr> = None;
        for item in &mut select.projection {
            let (SelectItem::ExprWithAlias { expr, .. } | SelectItem::UnnamedExpr(expr)) = item else {
                continue;
            };
            if let Some(meaning) = &alias {
                self.made |= replace(expr, self.name, meaning);
            }
            if let SelectItem::ExprWithAlias { expr, alias: named } = item
                && self.is_named(named)
            {
                alias = Some(Expr::Nested(Box::new(expr.clone())));
            }
        }
        ControlFlow::Continue(())
    }
}

impl Substitution<'_> {
    fn is_named(&self, name: &Ident) -> bool {
        name.value.eq_ignore_ascii_case(self.name)
    }
}

fn replace(expr: &mut Expr, name: &str, meaning: &Expr) -> bool {
    let mut made = false;
    let _ = visit_expressions_mut(expr, |expr| {
        match expr {
            Expr::Identifier(ident) if ident.value.eq_ignore_ascii_case(name) => {
                *expr = meaning.clone();
                made = true;
            }
            _ => {}
        }
        ControlFlow::<()>::Continue(())
    });
    made
}
