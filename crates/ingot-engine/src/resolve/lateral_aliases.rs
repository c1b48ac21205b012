//! Lateral column aliases: `SELECT a + 1 AS b, b * 2 AS c`.
//!
//! A column of FROM hides an alias of its name. So an alias is put in place of its name only where the planner has
//! found no such column. Source: Spark, `ResolveLateralColumnAliasReference`.

use std::ops::ControlFlow;

use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Query, Select, SelectItem, Statement, VisitMut, VisitorMut, visit_expressions,
    visit_expressions_mut,
};

use ingot_common::Kind;

use crate::{Error, Result};

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

/// Expressions that aliases of one query may stand for, together: an alias of aliases of aliases grows with each step.
const NODES_MAX: usize = 100_000;

/// Puts what a missing name is an alias of in its place, in the items of SELECT that follow it. Returns `false` when nothing
/// changed.
///
/// # Errors
/// `InvalidArgument` when the query would grow beyond all bounds. `room` is what may be added still.
pub(super) fn substitute(query: &mut Statement, missing: &Column, room: &mut Room) -> Result<bool> {
    if missing.relation.is_some() {
        return Ok(false);
    }
    let mut substitution = Substitution {
        name: &missing.name,
        made: false,
        room,
    };
    let _ = VisitMut::visit(query, &mut substitution);
    let made = substitution.made;
    match room.0 {
        0 => Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "UNSUPPORTED_FEATURE.LATERAL_COLUMN_ALIAS_TOO_LARGE",
            sqlstate: "0A000",
            message: format!(
                "with what its aliases stand for the query has more than {NODES_MAX} expressions more than are written; \
                 put `{}` into a subquery",
                missing.name
            ),
        }),
        _ => Ok(made),
    }
}

/// How many expressions may be added to a query.
pub(super) struct Room(usize);

impl Room {
    pub fn new() -> Self {
        Self(NODES_MAX)
    }

    /// Takes room for a copy; `false` when there is none.
    fn take(&mut self, expr: &Expr) -> bool {
        let mut size = 0;
        let _ = visit_expressions(expr, |_| {
            size += 1;
            ControlFlow::<()>::Continue(())
        });
        self.0 = self.0.saturating_sub(size);
        self.0 > 0
    }
}

struct Substitution<'a> {
    name: &'a str,
    made: bool,
    room: &'a mut Room,
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
                self.made |= replace(expr, self.name, meaning, self.room);
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

fn replace(expr: &mut Expr, name: &str, meaning: &Expr, room: &mut Room) -> bool {
    let mut made = false;
    let _ = visit_expressions_mut(expr, |expr| {
        match expr {
            Expr::Identifier(ident) if ident.value.eq_ignore_ascii_case(name) => {
                if !room.take(meaning) {
                    return ControlFlow::Break(());
                }
                *expr = meaning.clone();
                made = true;
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
    made
}
