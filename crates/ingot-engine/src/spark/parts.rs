//! Structs, fields and lambdas as DataFusion's planner takes them: `struct(a, 1)` has its names written, and `x.f` of a
//! lambda's parameter is an access, not a column.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, JsonPath,
    JsonPathElem, LambdaFunction, ObjectName, Value, VisitMut, VisitorMut,
};

use super::rewrite::number_of;
use crate::ast::{call, take, text, unnamed};
use crate::functions::map::MAP;
use crate::functions::record::options::Options;
use crate::functions::variant::COLON;
use crate::functions::{csv, json, xml};

/// Changes an expression that is one of these.
pub(super) fn change(expr: &mut Expr) {
    match expr {
        Expr::Struct { values, fields } if fields.is_empty() => {
            let values = std::mem::take(values);
            let arguments = values.into_iter().enumerate().flat_map(|(place, value)| {
                let (name, value) = match value {
                    Expr::Named { expr, name } => (name.value, *expr),
                    value => {
                        let name = name_of(&value).unwrap_or_else(|| format!("col{}", place + 1));
                        (name, value)
                    }
                };
                [text(name), value]
            });
            *expr = call("named_struct", arguments);
        }
        Expr::JsonAccess { value, path } => {
            if let Some(path) = path_text(path) {
                let value = take(value);
                *expr = call(COLON, vec![value, text(path)]);
            }
        }
        Expr::CompoundFieldAccess { root, access_chain } => fields_by_name(root, access_chain),
        Expr::Lambda(lambda) => parameters(lambda),
        Expr::Function(function) => match function.name.to_string().to_lowercase().as_str() {
            "arrays_zip" => names_of_zipped(function),
            "map" => function.name = ObjectName::from(vec![Ident::new(MAP)]),
            "from_json" | "from_csv" | "from_xml" => schema_of_sample(function),
            _ => {}
        },
        _ => {}
    }
}

/// Returns the name that an expression has of itself.
fn name_of(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(name) => Some(name.value.clone()),
        Expr::CompoundIdentifier(parts) => parts.last().map(|name| name.value.clone()),
        Expr::CompoundFieldAccess { access_chain, .. } => match access_chain.last() {
            Some(AccessExpr::Dot(Expr::Identifier(name))) => Some(name.value.clone()),
            Some(AccessExpr::Dot(Expr::Value(value))) => value.value.clone().into_string(),
            _ => None,
        },
        Expr::Nested(inner) => name_of(inner),
        _ => None,
    }
}

/// Writes the names of fields as texts where they cannot be those of a column.
fn fields_by_name(root: &Expr, chain: &mut [AccessExpr]) {
    let is_name = |access: &AccessExpr| matches!(access, AccessExpr::Dot(Expr::Identifier(_)));
    let of_column = match root {
        Expr::Identifier(_) => chain.iter().take_while(|access| is_name(access)).count(),
        _ => 0,
    };
    for access in chain.iter_mut().skip(of_column) {
        if let AccessExpr::Dot(field) = access
            && let Expr::Identifier(name) = field
        {
            *field = text(std::mem::take(&mut name.value));
        }
    }
}

/// Makes `x.f` in a lambda of `x` an access.
fn parameters(lambda: &mut LambdaFunction) {
    let names: Vec<String> = lambda
        .params
        .iter()
        .map(|parameter| parameter.name.value.to_lowercase())
        .collect();
    let _ = VisitMut::visit(lambda.body.as_mut(), &mut Parameters { names });
}

struct Parameters {
    names: Vec<String>,
}

impl VisitorMut for Parameters {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let is_parameter = |name: &Ident| self.names.contains(&name.value.to_lowercase());
        match expr {
            Expr::CompoundIdentifier(parts) if parts.first().is_some_and(is_parameter) => {
                let mut parts = std::mem::take(parts).into_iter();
                if let Some(root) = parts.next() {
                    *expr = Expr::CompoundFieldAccess {
                        root: Box::new(Expr::Identifier(root)),
                        access_chain: parts.map(|part| AccessExpr::Dot(text(part.value))).collect(),
                    };
                }
            }
            Expr::CompoundFieldAccess { root, access_chain } => {
                if let Expr::Identifier(name) = root.as_ref()
                    && is_parameter(name)
                {
                    fields_by_name(&Expr::value(Value::Null), access_chain);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Puts the name of each array before it.
fn names_of_zipped(function: &mut Function) {
    let FunctionArguments::List(list) = &mut function.args else {
        return;
    };
    let arguments = std::mem::take(&mut list.args).into_iter().enumerate();
    list.args = arguments
        .flat_map(|(place, argument)| {
            let name = match &argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => name_of(expr),
                _ => None,
            };
            [unnamed(text(name.unwrap_or_else(|| place.to_string()))), argument]
        })
        .collect();
}

/// Puts the schema itself in the place of `schema_of_json('…')`, as a schema has to be a literal.
fn schema_of_sample(function: &mut Function) {
    let FunctionArguments::List(list) = &mut function.args else {
        return;
    };
    let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(schema))) = list.args.get_mut(1) else {
        return;
    };
    let Expr::Function(sampled) = schema else { return };
    let FunctionArguments::List(list) = &sampled.args else {
        return;
    };
    let sample = match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(sample)))] => {
            sample.value.clone().into_string()
        }
        _ => None,
    };
    let options = Options::default();
    let found = sample.and_then(|sample| match sampled.name.to_string().to_lowercase().as_str() {
        "schema_of_json" => json::schema_of::of_text(&sample, &options).ok(),
        "schema_of_xml" => xml::schema_of::of_text(&sample, &options).ok(),
        "schema_of_csv" => Some(csv::schema_of::of_text(&sample, &options)),
        _ => None,
    });
    if let Some(found) = found {
        *schema = text(found);
    }
}

/// Writes a path `:a.b[0]` as `$.a.b[0]`; `None` when a place in it is computed.
fn path_text(path: &JsonPath) -> Option<String> {
    let mut text = "$".to_owned();
    for step in &path.path {
        match step {
            JsonPathElem::Dot { key, quoted: false } => text.push_str(&format!(".{key}")),
            JsonPathElem::Dot { key, .. } => text.push_str(&format!("['{key}']")),
            JsonPathElem::Bracket { key } | JsonPathElem::ColonBracket { key } => match number_of(key) {
                Some(index) => text.push_str(&format!("[{index}]")),
                None => match key {
                    Expr::Value(key) => {
                        let key = key.value.clone().into_string()?;
                        text.push_str(&format!("['{key}']"));
                    }
                    _ => return None,
                },
            },
        }
    }
    Some(text)
}
