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
const AGGREGATES: [&str; 22] = [
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
    "percentile",
    "percentile_approx",
    "stddev",
    "string_agg",
    "sum",
    "try_avg",
    "try_sum",
    "variance",
];

/// Names the arguments of an aggregate function that have casts in them: DataFusion leaves casts out of names, and has
/// one column of each name.
pub(super) fn tell_apart(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
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
