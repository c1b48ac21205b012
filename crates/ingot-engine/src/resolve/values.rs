//! Values in a query: of parameter markers and of variables, as expressions of the tree.
//!
//! A column hides a variable of its name, so a variable is put in its place only where the planner has found no such
//! column. Source: Databricks, "Name resolution", "Parameter markers", `IDENTIFIER`.

use std::ops::ControlFlow;

use arrow::array::Array;
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use datafusion::common::Column;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, ObjectNamePart,
    Select, SelectItem, Statement, TableFactor, Value, ValueWithSpan, VisitMut, VisitorMut,
};
use ingot_common::Kind;

use crate::ast;
use crate::session::{SESSION, Values, VariableName};
use crate::write::type_text;
use crate::{Error, Result, dialect};

/// Puts values in the place of parameter markers, and names in the place of `IDENTIFIER('…')`.
///
/// # Errors
/// `UNBOUND_SQL_PARAMETER`; `PARSE_SYNTAX_ERROR` for what is no name.
pub(super) fn bind(query: &mut Statement, values: &Values) -> Result<()> {
    let mut binder = Binder { values, position: 0 };
    match VisitMut::visit(query, &mut binder) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Binder<'a> {
    values: &'a Values,
    /// Markers without a name before the one that is visited.
    position: usize,
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
    fn parameter(&mut self, marker: &str) -> Result<ScalarValue> {
        let parameters = &self.values.parameters;
        let found = match marker.strip_prefix(':') {
            Some(name) => parameters.named.get(&name.to_lowercase()),
            None => {
                self.position += 1;
                parameters.positional.get(self.position - 1)
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
    fn name(&mut self, arguments: &[FunctionArg]) -> Result<ObjectName> {
        let [FunctionArg::Unnamed(FunctionArgExpr::Expr(text))] = arguments else {
            return Err(no_identifier());
        };
        object_name(&self.text(text)?)
    }

    fn text(&mut self, expr: &Expr) -> Result<String> {
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
            Expr::Identifier(name) => match self.values.variable(&name.value) {
                Some(variable) => text_of(&variable.value),
                None => Err(no_identifier()),
            },
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

/// Reads a name of one part or several.
///
/// # Errors
/// `PARSE_SYNTAX_ERROR`.
pub(crate) fn object_name(text: &str) -> Result<ObjectName> {
    let mut parser = dialect::parser(text)?;
    let name = parser.parse_object_name(true)?;
    match parser.peek_token().token {
        datafusion::sql::sqlparser::tokenizer::Token::EOF => Ok(name),
        other => Err(Error::parse(format!(
            "`{other}` stands where the name `{text}` ends"
        ))),
    }
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
pub(super) fn substitute(query: &mut Statement, missing: &Column, values: &Values) -> Result<bool> {
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

/// Writes a value as an expression.
///
/// # Errors
/// `UNSUPPORTED_FEATURE` for a type that no expression here makes.
pub(crate) fn literal(value: &ScalarValue) -> Result<Expr> {
    let data_type = value.data_type();
    let sql_type = || {
        let mut parser = dialect::parser(&type_text(&data_type))?;
        Ok::<_, Error>(parser.parse_data_type()?)
    };
    if value.is_null() {
        let null = Expr::value(Value::Null);
        return match data_type {
            DataType::Null => Ok(null),
            _ => Ok(ast::cast(null, sql_type()?)),
        };
    }
    match value {
        ScalarValue::Boolean(Some(value)) => Ok(Expr::value(Value::Boolean(*value))),
        ScalarValue::Utf8(Some(text))
        | ScalarValue::LargeUtf8(Some(text))
        | ScalarValue::Utf8View(Some(text)) => Ok(Expr::value(Value::SingleQuotedString(text.clone()))),
        ScalarValue::Binary(Some(bytes)) | ScalarValue::LargeBinary(Some(bytes)) => {
            let digits = bytes.iter().map(|byte| format!("{byte:02X}"));
            Ok(Expr::value(Value::HexStringLiteral(digits.collect())))
        }
        ScalarValue::List(list) => elements(list.values(), "array"),
        ScalarValue::Struct(fields) => {
            let mut arguments = Vec::new();
            for (name, column) in fields.column_names().into_iter().zip(fields.columns()) {
                arguments.push(Expr::value(Value::SingleQuotedString(name.to_owned())));
                arguments.push(literal(&ScalarValue::try_from_array(column, 0)?)?);
            }
            Ok(ast::call("named_struct", arguments))
        }
        ScalarValue::Map(map) => {
            let entries = map.entries();
            let mut arguments = Vec::new();
            for row in 0..entries.len() {
                for column in entries.columns() {
                    arguments.push(literal(&ScalarValue::try_from_array(column, row)?)?);
                }
            }
            Ok(ast::call("map", arguments))
        }
        _ if data_type.is_numeric() || data_type.is_temporal() && !is_interval(&data_type) => {
            let array = value.to_array()?;
            let text =
                array_value_to_string(&array, 0).map_err(|error| Error::internal(error.to_string()))?;
            let text = Expr::value(Value::SingleQuotedString(text));
            Ok(ast::cast(text, sql_type()?))
        }
        other => Err(Error::unsupported(format!(
            "a variable or parameter cannot be of the type {}",
            other.data_type()
        ))),
    }
}

fn is_interval(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Interval(_) | DataType::Duration(_))
}

fn elements(values: &dyn Array, function: &str) -> Result<Expr> {
    let elements = (0..values.len()).map(|place| literal(&ScalarValue::try_from_array(values, place)?));
    Ok(ast::call(function, elements.collect::<Result<Vec<_>>>()?))
}
