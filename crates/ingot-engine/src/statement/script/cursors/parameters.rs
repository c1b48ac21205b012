//! `OPEN … USING`: values for the parameter markers of a cursor's query.
//!
//! The markers of a script are numbered through, so those of the query begin anywhere: here the first one is the first.
//! A query whose cursor is opened without USING has the parameters of the script. Source: Spark,
//! `ParameterizedQueryExecutor`, `ParameterHandler`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Statement, Value, ValueWithSpan, visit_expressions, visit_expressions_mut,
};
use ingot_common::Kind;

use super::condition;
use crate::resolve::{self, Reads};
use crate::session::Parameters;
use crate::statement::value_of;
use crate::{Result, Session, dialect};

/// A value of USING.
#[derive(Debug)]
pub(in crate::statement::script) struct Argument {
    /// The text of an expression.
    pub(super) value: String,
    pub(super) name: Option<String>,
}

/// Puts the values in the place of the markers. Those that no marker is for are left over.
///
/// # Errors
/// `INVALID_QUERY_MIXED_QUERY_PARAMETERS`, `ALL_PARAMETERS_MUST_BE_NAMED`,
/// `EXEC_IMMEDIATE_DUPLICATE_ARGUMENT_ALIASES`, `UNBOUND_SQL_PARAMETER`; what is wrong with a value.
pub(super) async fn bind(session: &Session, query: &mut Statement, using: &[Argument]) -> Result<()> {
    check(&Markers::of(query), using)?;
    let mut parameters = Parameters::default();
    for argument in using {
        let value = value_of(session, dialect::expression(&argument.value)?, None).await?;
        if let Some(name) = &argument.name {
            let before = parameters.named.insert(name.to_lowercase(), value.clone());
            if before.is_some() {
                return Err(condition(
                    Kind::InvalidArgument,
                    "EXEC_IMMEDIATE_DUPLICATE_ARGUMENT_ALIASES",
                    "42701",
                    format!("USING gives a value for `{name}` twice"),
                ));
            }
        }
        parameters.positional.push(value);
    }
    number_from_one(query);
    let mut values = session.values().clone();
    values.parameters = parameters;
    resolve::bind(query, &values, &Reads::default())
}

fn check(markers: &Markers, using: &[Argument]) -> Result<()> {
    if markers.named && markers.first.is_some() {
        return Err(condition(
            Kind::InvalidArgument,
            "INVALID_QUERY_MIXED_QUERY_PARAMETERS",
            "42613",
            "the query has parameter markers with and without names".to_owned(),
        ));
    }
    match using.iter().find(|argument| argument.name.is_none()) {
        Some(unnamed) if markers.named => Err(condition(
            Kind::InvalidArgument,
            "ALL_PARAMETERS_MUST_BE_NAMED",
            "07001",
            format!(
                "the parameters of the query have names; say which one `{}` is for",
                unnamed.value
            ),
        )),
        _ => Ok(()),
    }
}

/// What parameter markers a query has.
#[derive(Debug, Default)]
struct Markers {
    named: bool,
    /// The least number of those without a name.
    first: Option<usize>,
}

impl Markers {
    fn of(query: &Statement) -> Self {
        let mut markers = Self::default();
        let _: ControlFlow<()> = visit_expressions(query, |expr| {
            if let Some(marker) = marker(expr) {
                match number(marker) {
                    Some(number) => {
                        let first = markers.first.map_or(number, |first| first.min(number));
                        markers.first = Some(first);
                    }
                    None => markers.named = true,
                }
            }
            ControlFlow::Continue(())
        });
        markers
    }
}

fn marker(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(ValueWithSpan {
            value: Value::Placeholder(marker),
            ..
        }) => Some(marker),
        _ => None,
    }
}

/// Returns the number of a marker that has no name.
fn number(marker: &str) -> Option<usize> {
    marker.strip_prefix('?')?.parse().ok()
}

fn number_from_one(query: &mut Statement) {
    let Some(first) = Markers::of(query).first else {
        return;
    };
    let _: ControlFlow<()> = visit_expressions_mut(query, |expr| {
        if let Expr::Value(ValueWithSpan {
            value: Value::Placeholder(marker),
            ..
        }) = expr
            && let Some(number) = number(marker)
        {
            *marker = format!("?{}", number.saturating_sub(first) + 1);
        }
        ControlFlow::Continue(())
    });
}
