//! From the AST of a query to one with forms.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    DataType, DictionaryField, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr,
    Ident, LimitClause, OrderBy, OrderByExpr, OrderByKind, Parens, Query, Select, SelectItem, SetExpr,
    Statement, UnaryOperator, Value, ValueWithSpan, VisitMut, VisitorMut, WindowFrameBound, WindowType,
};

use super::typed_literal::{self, IntervalLiteral};
use super::{aggregates, calls, chains, names, parts, time_window};
use crate::ast::{self, call, take, text};

/// Forms, by their first key.
pub(super) const LITERAL: &str = "literal";
pub(super) const NEGATIVE: &str = "negative";
/// A value, and what it is called beneath an aggregate function.
pub(super) const NAMED: &str = "named";
/// Conditions and results in turn, and the result otherwise if there is one.
pub(super) const CASE: &str = "case";
/// A value, then values that it may be and results in turn, and the result otherwise if there is one.
pub(super) const CASE_OF: &str = "case of";
/// The same of `decode`, where a null is the same as another.
pub(super) const DECODE: &str = "decode";
/// A value and its bounds.
pub(super) const BETWEEN: &str = "between";
/// Values, of which the first is taken that is not null.
pub(super) const COALESCE: &str = "coalesce";
/// A value and those that it may be.
pub(super) const IN: &str = "in";

/// Parts the name of a column from what tells it apart from others of that name: DataFusion has one of each.
pub(super) const AGAIN: char = '\u{1f}';
pub(super) const TYPED: &str = "typed";
pub(super) const INTERVAL: &str = "interval";
/// The name of a function that is an operator, and its sides.
pub(super) const ARITHMETIC: &str = "arithmetic";
/// The name of a function whose rows differ, and its arguments.
pub(super) const RANDOM: &str = "random";

/// Names the unnamed columns of a query.
pub(crate) fn name_columns(query: &mut Statement) {
    let _ = VisitMut::visit(query, &mut Namer);
}

/// Makes forms of the expressions of a query.
pub(crate) fn form_expressions(query: &mut Statement) {
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

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        time_window::named(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let mut seen = HashSet::new();
        for item in &mut select.projection {
            let (name, expr) = match item {
                SelectItem::UnnamedExpr(expr) => match names::of_column(expr) {
                    Some(name) => (name, expr),
                    // Columns of two relations may be called alike.
                    None if seen.insert(expr.to_string().to_lowercase()) => continue,
                    None => (names::pretty(expr), expr),
                },
                SelectItem::ExprWithAlias { expr, alias } => (alias.value.clone(), expr),
                _ => continue,
            };
            let mut distinct = name.clone();
            while !seen.insert(distinct.to_lowercase()) {
                distinct = format!("{name}{AGAIN}{}", seen.len());
            }
            let expr = take(expr);
            *item = SelectItem::ExprWithAlias {
                expr,
                alias: Ident::with_quote('`', distinct),
            };
        }
        ControlFlow::Continue(())
    }
}

/// Makes forms, what is inside first.
struct Former;

impl VisitorMut for Former {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        chains::rewrite(expr);
        aggregates::tell_apart(expr);
        calls::replace(expr);
        ControlFlow::Continue(())
    }

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
            Expr::Between {
                expr: operand,
                negated,
                low,
                high,
            } => {
                let operands = [(BETWEEN, take(operand)), ("low", take(low)), ("high", take(high))];
                *expr = negated_if(*negated, form(BETWEEN, operands.into()));
            }
            Expr::InList {
                expr: operand,
                list,
                negated,
            } if !list.is_empty() => {
                let operands = [take(operand)].into_iter().chain(std::mem::take(list));
                *expr = negated_if(*negated, form_of(IN, operands));
            }
            Expr::Case {
                operand,
                conditions,
                else_result,
                ..
            } => {
                let kind = if operand.is_some() { CASE_OF } else { CASE };
                let mut operands = Vec::with_capacity(2 * conditions.len() + 2);
                operands.extend(operand.take().map(|operand| *operand));
                for when in std::mem::take(conditions) {
                    operands.extend([when.condition, when.result]);
                }
                operands.extend(else_result.take().map(|otherwise| *otherwise));
                *expr = form_of(kind, operands);
            }
            Expr::Interval(interval) => {
                let carried = IntervalLiteral::of(interval).carried();
                *expr = form(
                    INTERVAL,
                    vec![(INTERVAL, text(carried)), ("text", text(interval.to_string()))],
                );
            }
            Expr::TypedString(typed) => {
                if let Some(of) = typed_literal::word(&typed.data_type)
                    && let Some(written) = typed.value.clone().into_string()
                {
                    *expr = form(TYPED, vec![(TYPED, text(written)), ("of", text(of.to_owned()))]);
                }
            }
            Expr::Extract {
                field, expr: source, ..
            } => {
                let field = text(field.to_string());
                *expr = call("date_part", vec![field, take(source)]);
            }
            Expr::Function(function) => {
                plain_frames(function);
                quote_unit(function);
                aggregates::rewrite(expr);
                parts::change(expr);
            }
            expr => parts::change(expr),
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
        if let SetExpr::Values(values) = query.body.as_mut() {
            doubles(&mut values.rows);
        }
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

/// Makes doubles of the decimals of a column of VALUES that has doubles: DataFusion would make decimals of them.
fn doubles(rows: &mut [Parens<Vec<Expr>>]) {
    let columns = rows.iter().map(|row| row.content.len()).max().unwrap_or(0);
    for column in 0..columns {
        let values = || rows.iter().filter_map(|row| row.content.get(column));
        if !values().any(is_double) {
            continue;
        }
        for value in rows.iter_mut().filter_map(|row| row.content.get_mut(column)) {
            if let Some(text) = number_of(value)
                && super::literal::split(text).1.is_none()
            {
                *value = literal(format!("{text}D"));
            }
        }
    }
}

fn is_double(expr: &Expr) -> bool {
    let double = |data_type: &DataType| {
        matches!(
            data_type,
            DataType::Double(_) | DataType::Float(_) | DataType::Real
        )
    };
    match expr {
        Expr::Cast { data_type, .. } => double(data_type),
        other => number_of(other).is_some_and(|text| {
            let (digits, suffix) = super::literal::split(text);
            matches!(suffix, Some("D" | "F")) || (suffix.is_none() && digits.contains(['e', 'E']))
        }),
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
                if let Some(interval) = carried(rows, INTERVAL).and_then(IntervalLiteral::plain) {
                    **rows = interval;
                }
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

/// Makes a text of the unit with which functions as `dateadd(DAY, 1, x)` begin.
fn quote_unit(function: &mut Function) {
    const WITH_UNIT: [&str; 6] = [
        "date_add",
        "date_diff",
        "dateadd",
        "datediff",
        "timestampadd",
        "timestampdiff",
    ];
    let name = function.name.to_string().to_lowercase();
    let FunctionArguments::List(list) = &mut function.args else {
        return;
    };
    if let [FunctionArg::Unnamed(FunctionArgExpr::Expr(unit)), _, _] = list.args.as_mut_slice()
        && WITH_UNIT.contains(&name.as_str())
        && let Expr::Identifier(word) = unit
    {
        *unit = text(word.value.clone());
    }
}

/// Returns the text of a literal's form.
pub(crate) fn number_of(expr: &Expr) -> Option<&str> {
    carried(expr, LITERAL)
}

/// Returns the text that a form of a kind carries first.
fn carried<'a>(expr: &'a Expr, kind: &str) -> Option<&'a str> {
    let Expr::Dictionary(fields) = expr else {
        return None;
    };
    let field = fields.first()?;
    match field.value.as_ref() {
        Expr::Value(ValueWithSpan {
            value: Value::SingleQuotedString(text),
            ..
        }) if field.key.value == kind => Some(text),
        _ => None,
    }
}

fn literal(text: String) -> Expr {
    form(LITERAL, vec![(LITERAL, ast::text(text))])
}

/// Makes a form of its kind with operands that are told apart by their places.
pub(super) fn form_of(kind: &'static str, operands: impl IntoIterator<Item = Expr>) -> Expr {
    let keys = std::iter::once(kind).chain(std::iter::repeat("of"));
    form(kind, keys.zip(operands).collect())
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

fn negated_if(negated: bool, expr: Expr) -> Expr {
    match negated {
        true => Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr: Box::new(Expr::Nested(Box::new(expr))),
        },
        false => expr,
    }
}
