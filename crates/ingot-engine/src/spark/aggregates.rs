//! Aggregate functions that are another's in other words.
//!
//! Source: Databricks SQL, "Built-in functions", "Aggregate functions".

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, NullTreatment,
    ObjectName, ObjectNamePart, Value, visit_expressions,
};

use super::names;
use super::rewrite::{CASE, NAMED, form_of};
use crate::ast::{self, take};
use crate::functions::{ORDERED_MODE, ORDERED_PERCENTILE_DISC};

/// Names of Spark's, and what DataFusion calls them.
pub(super) const OTHER_NAMES: [(&str, &str); 11] = [
    ("any", "bool_or"),
    ("any_value", "first_value"),
    ("approx_count_distinct", "approx_distinct"),
    ("count_if", "count"),
    ("every", "bool_and"),
    ("first", "first_value"),
    ("last", "last_value"),
    ("listagg", "string_agg"),
    ("some", "bool_or"),
    ("std", "stddev"),
    ("variance", "var_samp"),
];

/// Functions whose arguments may differ in a cast alone: `sum(x), sum(CAST(x AS DOUBLE))`.
const AGGREGATES: [&str; 25] = [
    "any_value",
    "array_agg",
    "avg",
    "collect_list",
    "collect_set",
    "count",
    "first",
    "first_value",
    "last",
    "last_value",
    "max",
    "mean",
    "median",
    "min",
    "mode",
    "percentile",
    "percentile_approx",
    "stddev",
    "string_agg",
    "sum",
    "try_avg",
    "try_sum",
    "variance",
    ORDERED_MODE,
    ORDERED_PERCENTILE_DISC,
];

/// Names the arguments of an aggregate function that have casts in them: DataFusion leaves casts out of names, and has
/// one column of each name. The order of WITHIN GROUP becomes one of them.
pub(super) fn tell_apart(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    order_within_group(function);
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else {
        return;
    };
    if !AGGREGATES.contains(&name.value.to_lowercase().as_str()) {
        return;
    }
    let FunctionArguments::List(list) = &mut function.args else {
        return;
    };
    for argument in &mut list.args {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) = argument else {
            continue;
        };
        let casts = visit_expressions(argument, |part: &Expr| match part {
            Expr::Cast { .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        if casts.is_break() {
            let shown = ast::text(names::pretty(argument));
            *argument = form_of(NAMED, [take(argument), shown]);
        }
    }
}

/// Makes the order of WITHIN GROUP arguments: what `mode() WITHIN GROUP (ORDER BY x DESC)` orders, and its direction.
///
/// Calls with more orders than one, or with a value and an order of it, get more arguments than there are to be, and
/// are refused when they are planned; so are those with a wrong number between their parentheses, whatever the order.
fn order_within_group(function: &mut Function) {
    let ([ObjectNamePart::Identifier(name)], FunctionArguments::List(list)) =
        (function.name.0.as_slice(), &mut function.args)
    else {
        return;
    };
    let ordered = match (name.value.to_lowercase().as_str(), list.args.len()) {
        ("mode", 0..=2) => ORDERED_MODE,
        ("percentile_disc", 1) => ORDERED_PERCENTILE_DISC,
        ("mode" | "percentile_disc", _) => {
            function.within_group.clear();
            return;
        }
        _ => return,
    };
    let orders = std::mem::take(&mut function.within_group);
    let Some(first) = orders.first() else { return };
    let descending = Expr::value(Value::Boolean(first.options.asc == Some(false)));
    let given = std::mem::take(&mut list.args);
    let orders = orders.into_iter().map(|order| ast::unnamed(order.expr));
    list.args = orders.chain(given).chain([ast::unnamed(descending)]).collect();
    function.name = ObjectName(vec![ObjectNamePart::Identifier(Ident::new(ordered))]);
}

/// Makes the call of a function one that DataFusion knows.
pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else {
        return;
    };
    let called = name.value.to_lowercase();
    let other = OTHER_NAMES.iter().find(|(spark, _)| *spark == called);
    if let Some((_, name)) = other {
        function.name = ObjectName(vec![ObjectNamePart::Identifier(Ident::new(*name))]);
    }
    match called.as_str() {
        "count_if" => conditions(function),
        "first" | "last" | "first_value" | "last_value" | "any_value" => null_treatment(function),
        "string_agg" | "listagg" => delimiter(function),
        _ => {}
    }
    if called != "approx_count_distinct" {
        return;
    }
    // The second argument says how far off it may be.
    if let FunctionArguments::List(list) = &mut function.args {
        list.args.truncate(1);
    }
    *expr = ast::cast(take(expr), DataType::BigInt(None));
}

/// `count_if(x)` counts where `x` is true.
fn conditions(function: &mut Function) {
    if let FunctionArguments::List(list) = &mut function.args
        && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(condition))] = list.args.as_mut_slice()
    {
        let counted = Expr::value(Value::Boolean(true));
        *condition = form_of(CASE, [take(condition), counted]);
    }
}

/// `first(x, true)` passes over nulls.
fn null_treatment(function: &mut Function) {
    let FunctionArguments::List(list) = &mut function.args else {
        return;
    };
    let [_, FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(flag)))] = list.args.as_slice() else {
        return;
    };
    if let Value::Boolean(ignores) = flag.value {
        list.args.truncate(1);
        function.null_treatment = Some(match ignores {
            true => NullTreatment::IgnoreNulls,
            false => NullTreatment::RespectNulls,
        });
    }
}

/// `string_agg(x)` puts nothing between.
fn delimiter(function: &mut Function) {
    if let FunctionArguments::List(list) = &mut function.args
        && list.args.len() == 1
    {
        let nothing = Expr::value(Value::SingleQuotedString(String::new()));
        list.args
            .push(FunctionArg::Unnamed(FunctionArgExpr::Expr(nothing)));
    }
}
