//! What the columns of PIVOT and UNPIVOT are called, written down before their values become forms.
//!
//! Source: Spark, `PivotTransformer`, `Unpivot`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, ExprWithAlias, Ident, PivotValueSource, Statement, TableFactor, VisitMut, VisitorMut,
};

use super::generators::Place;
use crate::spark;

/// Gives each value, aggregate and column that has no alias the name that it is known by.
pub(super) fn name(query: &mut Statement) {
    let _ = VisitMut::visit(query, &mut Namer);
}

struct Namer;

impl VisitorMut for Namer {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Pivot {
                aggregate_functions,
                value_source: PivotValueSource::List(values),
                default_on_null,
                ..
            } if Place::of_mark(default_on_null.as_ref()).is_none() => {
                aggregate_functions
                    .iter_mut()
                    .for_each(|call| named(call, pretty));
                values.iter_mut().for_each(|value| named(value, value_text));
            }
            TableFactor::Unpivot { columns, .. } => {
                columns.iter_mut().for_each(|column| named(column, column_text));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn named(named: &mut ExprWithAlias, text: fn(&Expr) -> String) {
    if named.alias.is_none() {
        named.alias = Some(Ident::with_quote('`', text(&named.expr)));
    }
}

fn pretty(expr: &Expr) -> String {
    spark::pretty(expr)
}

fn value_text(value: &Expr) -> String {
    match value {
        Expr::Tuple(parts) => {
            let parts: Vec<String> = parts.iter().map(value_text).collect();
            format!("{{{}}}", parts.join(", "))
        }
        Expr::TypedString(typed) => typed.value.clone().into_string().unwrap_or_default(),
        other => {
            let text = spark::pretty(other);
            if text == "NULL" { "null".to_owned() } else { text }
        }
    }
}

fn column_text(columns: &Expr) -> String {
    match columns {
        Expr::Tuple(parts) => {
            let parts: Vec<String> = parts.iter().map(column_text).collect();
            parts.join("_")
        }
        Expr::Nested(inner) => column_text(inner),
        Expr::CompoundIdentifier(parts) => parts.last().map(|part| part.value.clone()).unwrap_or_default(),
        other => spark::pretty(other),
    }
}

/// Returns the names of the columns that a PIVOT makes, value by value.
pub(super) fn output_names(aggregates: &[ExprWithAlias], values: &[ExprWithAlias]) -> Vec<String> {
    let text = |named: &ExprWithAlias| {
        named
            .alias
            .as_ref()
            .map(|alias| alias.value.clone())
            .unwrap_or_default()
    };
    let mut names = Vec::with_capacity(aggregates.len() * values.len());
    for value in values {
        for aggregate in aggregates {
            names.push(match aggregates.len() {
                1 => text(value),
                _ => format!("{}_{}", text(value), text(aggregate)),
            });
        }
    }
    names
}
