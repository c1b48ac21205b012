//! From the AST of a query to one with forms.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    DictionaryField, Expr, Function, FunctionArguments, GroupByExpr, Ident, LimitClause, OrderBy,
    OrderByExpr, OrderByKind, Query, Select, SelectItem, Statement, UnaryOperator, Value, ValueWithSpan,
    VisitMut, VisitorMut, WindowFrameBound, WindowType,
};

use super::names;

/// Forms, by their first key.
pub(super) const LITERAL: &str = "literal";
pub(super) const NEGATIVE: &str = "negative";

/// Names the unnamed columns of a query, and makes forms of its expressions.
pub(crate) fn query(query: &mut Statement) {
    let _ = VisitMut::visit(query, &mut Namer);
    let _ = VisitMut::visit(query, &mut Former);
}

/// Makes forms of an expression and of what is in it.
pub(crate) fn expression(expression: &mut Expr) {
    let _ = VisitMut::visit(expression, &mut Namer);
    let _ = VisitMut::visit(expression, &mut Former);
}

/// Gives columns without a name the one that Spark gives them.
struct Namer;

impl VisitorMut for Namer {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            let SelectItem::UnnamedExpr(expr) = item else {
                continue;
            };
            let Some(name) = names::of_column(expr) else {
                continue;
            };
            let expr = std::mem::replace(expr, Expr::value(Value::Null));
            *item = SelectItem::ExprWithAlias {
                expr,
                alias: Ident::with_quote('`', name),
            };
        }
        ControlFlow::Continue(())
    }
}

/// Makes forms, what is inside first.
struct Former;

impl VisitorMut for Former {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Value(ValueWithSpan {
                value: Value::Number(text, long),
                ..
            }) => {
                let text = match long {
                    true => format!("{text}L"),
                    false => std::mem::take(text),
                };
                *expr = literal(text);
            }
            Expr::UnaryOp {
                op: UnaryOperator::Minus,
                expr: operand,
            } => {
                *expr = match number_of(operand) {
                    // The smallest of a type has no positive counterpart.
                    Some(text) if !text.starts_with('-') => literal(format!("-{text}")),
                    _ => form(NEGATIVE, vec![(NEGATIVE, take(operand))]),
                };
            }
            Expr::UnaryOp {
                op: UnaryOperator::Plus,
                expr: operand,
            } => *expr = take(operand),
            Expr::Interval(interval) => plain(&mut interval.value),
            Expr::Function(function) => plain_frames(function),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if let GroupByExpr::Expressions(expressions, _) = &mut select.group_by {
            expressions.iter_mut().for_each(plain);
        }
        select.sort_by.iter_mut().for_each(plain_order);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(OrderBy {
            kind: OrderByKind::Expressions(expressions),
            ..
        }) = &mut query.order_by
        {
            expressions.iter_mut().for_each(plain_order);
        }
        match &mut query.limit_clause {
            Some(LimitClause::LimitOffset { limit, offset, .. }) => {
                limit.iter_mut().for_each(plain);
                offset.iter_mut().for_each(|offset| plain(&mut offset.value));
            }
            Some(LimitClause::OffsetCommaLimit { offset, limit }) => {
                plain(offset);
                plain(limit);
            }
            None => {}
        }
        if let Some(fetch) = &mut query.fetch {
            fetch.quantity.iter_mut().for_each(plain);
        }
        ControlFlow::Continue(())
    }
}

fn plain_order(order: &mut OrderByExpr) {
    plain(&mut order.expr);
}

fn plain_frames(function: &mut Function) {
    if let Some(WindowType::WindowSpec(window)) = &mut function.over
        && let Some(frame) = &mut window.window_frame
    {
        let bounds = [Some(&mut frame.start_bound), frame.end_bound.as_mut()];
        for bound in bounds.into_iter().flatten() {
            if let WindowFrameBound::Preceding(Some(rows)) | WindowFrameBound::Following(Some(rows)) = bound {
                plain(rows);
            }
        }
    }
    debug_assert!(!matches!(function.args, FunctionArguments::Subquery(_)) || function.over.is_none());
}

/// Makes a number of a literal again.
fn plain(expr: &mut Expr) {
    if let Some(text) = number_of(expr)
        && !text.starts_with('-')
    {
        *expr = Expr::value(Value::Number(text.to_owned(), false));
    }
}

/// Returns the text of a literal's form.
pub(super) fn number_of(expr: &Expr) -> Option<&str> {
    let Expr::Dictionary(fields) = expr else {
        return None;
    };
    let [field] = fields.as_slice() else { return None };
    match field.value.as_ref() {
        Expr::Value(ValueWithSpan {
            value: Value::SingleQuotedString(text),
            ..
        }) if field.key.value == LITERAL => Some(text),
        _ => None,
    }
}

fn literal(text: String) -> Expr {
    form(
        LITERAL,
        vec![(LITERAL, Expr::value(Value::SingleQuotedString(text)))],
    )
}

/// Makes a form of its kind, which is the key of its first operand.
pub(super) fn form(kind: &'static str, operands: Vec<(&'static str, Expr)>) -> Expr {
    debug_assert_eq!(operands.first().map(|(key, _)| *key), Some(kind));
    let fields = operands.into_iter().map(|(key, value)| DictionaryField {
        key: Ident::new(key),
        value: Box::new(value),
    });
    Expr::Dictionary(fields.collect())
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::value(Value::Null))
}
