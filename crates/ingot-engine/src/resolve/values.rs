//! Values in a query: of parameter markers and of variables, as expressions of the tree.
//!
//! A column hides a variable of its name, so a variable is put in its place only where the planner has found no such
//! column. Source: Databricks, "Name resolution", "Parameter markers", `IDENTIFIER`.

use std::ops::ControlFlow;

use datafusion::common::Column;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, ObjectNamePart,
    Select, SelectItem, Statement, TableFactor, Value, ValueWithSpan, Visit, VisitMut, VisitorMut,
    visit_expressions,
};
use ingot_common::Kind;

use super::{Reads, literal, object_name};
use crate::session::{SESSION, Values, VariableName};
use crate::{Error, Result};

/// Puts values in the place of parameter markers, and names in the place of `IDENTIFIER('…')`.
///
/// # Errors
/// `UNBOUND_SQL_PARAMETER`; `PARSE_SYNTAX_ERROR` for what is no name.
pub(crate) fn bind(part: &mut impl VisitMut, values: &Values, reads: &Reads) -> Result<()> {
    let mut binder = Binder { values, reads };
    match part.visit(&mut binder) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Says if a part of a statement has parameter markers.
pub(crate) fn has_parameters(part: &impl Visit) -> bool {
    let found = visit_expressions(part, |expr| match expr {
        Expr::Value(ValueWithSpan {
            value: Value::Placeholder(_),
            ..
        }) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

struct Binder<'a> {
    values: &'a Values,
    reads: &'a Reads,
}

impl VisitorMut for Binder<'_> {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        let TableFactor::Table {
            name,
            args: args @ Some(_),
            ..
        } = factor
        else {
            return ControlFlow::Continue(());
        };
        if !is_identifier(name) {
            return ControlFlow::Continue(());
        }
        let arguments = args.take().map(|arguments| arguments.args).unwrap_or_default();
        match self.name(&arguments) {
            Ok(named) => {
                *name = named;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let bound = match expr {
            Expr::Value(ValueWithSpan {
                value: Value::Placeholder(marker),
                ..
            }) => self.parameter(marker).and_then(|value| literal(&value)),
            Expr::Function(function) if is_identifier(&function.name) => match &function.args {
                FunctionArguments::List(list) => self.name(&list.args).map(|name| column(&name)),
                _ => return ControlFlow::Continue(()),
            },
            _ => return ControlFlow::Continue(()),
        };
        match bound {
            Ok(bound) => {
                *expr = bound;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

impl Binder<'_> {
    /// Finds the value of `:name`, or of `?1`, which the first `?` of a statement is.
    fn parameter(&self, marker: &str) -> Result<ScalarValue> {
        let parameters = &self.values.parameters;
        let found = match marker.strip_prefix(':') {
            Some(name) => parameters.named.get(&name.to_lowercase()),
            None => {
                let number = marker
                    .strip_prefix('?')
                    .and_then(|number| number.parse::<usize>().ok());
                let place = number.and_then(|number| number.checked_sub(1));
                place.and_then(|place| parameters.positional.get(place))
            }
        };
        found.cloned().ok_or_else(|| Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "UNBOUND_SQL_PARAMETER",
            sqlstate: "42P02",
            message: format!("no value is given for the parameter `{marker}`"),
        })
    }

    /// Reads the argument of IDENTIFIER: a constant text.
    fn name(&self, arguments: &[FunctionArg]) -> Result<ObjectName> {
        let [FunctionArg::Unnamed(FunctionArgExpr::Expr(text))] = arguments else {
            return Err(no_identifier());
        };
        object_name(&self.text(text)?)
    }

    fn text(&self, expr: &Expr) -> Result<String> {
        match expr {
            Expr::Value(ValueWithSpan { value, .. }) => match value {
                Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => Ok(text.clone()),
                Value::Placeholder(marker) => text_of(&self.parameter(marker)?),
                _ => Err(no_identifier()),
            },
            Expr::Nested(inner) => self.text(inner),
            Expr::BinaryOp {
                left,
                op: BinaryOperator::StringConcat,
                right,
            } => Ok(self.text(left)? + &self.text(right)?),
            Expr::Identifier(name) => {
                let name = VariableName {
                    scope: None,
                    name: name.value.to_lowercase(),
                };
                let variable = self.values.find(&name).ok_or_else(no_identifier)?;
                self.reads.see_variable(self.values, &name);
                text_of(&variable.value)
            }
            _ => Err(no_identifier()),
        }
    }
}

fn text_of(value: &ScalarValue) -> Result<String> {
    match value.try_as_str() {
        Some(Some(text)) => Ok(text.to_owned()),
        _ => Err(no_identifier()),
    }
}

fn no_identifier() -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "NOT_A_CONSTANT_STRING.NOT_CONSTANT",
        sqlstate: "42601",
        message: "IDENTIFIER takes a constant text".to_owned(),
    }
}

/// Says if a function is the clause IDENTIFIER.
fn is_identifier(name: &ObjectName) -> bool {
    matches!(name.0.as_slice(), [ObjectNamePart::Identifier(ident)]
        if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("identifier"))
}

fn column(name: &ObjectName) -> Expr {
    let mut parts: Vec<Ident> = name
        .0
        .iter()
        .filter_map(ObjectNamePart::as_ident)
        .cloned()
        .collect();
    match parts.len() {
        1 => Expr::Identifier(parts.remove(0)),
        _ => Expr::CompoundIdentifier(parts),
    }
}

/// Puts the value of a variable in the place of its name. Returns `false` when there is no such variable, or nothing
/// names it.
pub(super) fn substitute(
    query: &mut Statement,
    missing: &Column,
    values: &Values,
    reads: &Reads,
) -> Result<bool> {
    let name = VariableName {
        scope: missing
            .relation
            .as_ref()
            .map(|relation| relation.table().to_lowercase()),
        name: missing.name.to_lowercase(),
    };
    let Some(variable) = values.find(&name) else {
        return Ok(false);
    };
    reads.see_variable(values, &name);
    let mut reader = Reader {
        name: &missing.name,
        scope: name.scope,
        value: literal(&variable.value)?,
        made: false,
    };
    let _ = VisitMut::visit(query, &mut reader);
    Ok(reader.made)
}

struct Reader<'a> {
    name: &'a str,
    /// What names of two parts begin with; names of one part are of columns then.
    scope: Option<String>,
    value: Expr,
    made: bool,
}

impl VisitorMut for Reader<'_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) = item
                && self.is_named(expr)
            {
                // A column is called as the variable is.
                *item = SelectItem::ExprWithAlias {
                    expr: expr.clone(),
                    alias: Ident::with_quote('`', self.name),
                };
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.is_named(expr) {
            *expr = self.value.clone();
            self.made = true;
        }
        ControlFlow::Continue(())
    }
}

impl Reader<'_> {
    /// Says if a name is `scope.x`, or `system.session.x`.
    fn is_qualified(&self, parts: &[Ident]) -> bool {
        let Some(scope) = &self.scope else { return false };
        let same = |part: &Ident, name: &str| part.value.eq_ignore_ascii_case(name);
        match parts {
            [first, last] => same(first, scope) && same(last, self.name),
            [system, first, last] => {
                scope == SESSION && same(system, "system") && same(first, SESSION) && same(last, self.name)
            }
            _ => false,
        }
    }

    fn is_named(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Identifier(name) => self.scope.is_none() && name.value.eq_ignore_ascii_case(self.name),
            Expr::CompoundIdentifier(parts) => self.is_qualified(parts),
            _ => false,
        }
    }
}
