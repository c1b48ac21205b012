//! Expressions that DataFusion's planner does not know, in ones that it does, once columns have their names.
//!
//! - `count(DISTINCT a, b)` counts the structs of them, of rows where none is null.
//! - `(a, b) IN (query)` asks if there is a row of the query that equals them.
//! - `grouping` and `grouping_id` are numbers of Spark's types; without arguments they are of all keys.
//! - `first(a, true)` is `first_value(a) IGNORE NULLS`.
//! - `!a` is `NOT a`.
//!
//! Source: Spark SQL, "Aggregate functions", "IN subquery", "GROUP BY".

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, DataType, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, GroupByExpr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, SetExpr,
    Statement, TableAlias, TableAliasColumnDef, TableFactor, UnaryOperator, Value, VisitMut, VisitorMut,
};

use crate::ast::{self, call, cast};

/// How the rows are called that a row of several columns is looked up in, and their columns, with a number.
const LOOKED_UP: &str = "__ingot_in";

/// Rewrites the expressions of a query.
pub(super) fn rewrite(query: &mut Statement) {
    let _ = VisitMut::visit(query, &mut Expressions { keys: Vec::new() });
}

struct Expressions {
    /// The keys by which each SELECT groups, from the outermost to the one that is visited.
    keys: Vec<Vec<Expr>>,
}

impl VisitorMut for Expressions {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let keys = match query.body.as_ref() {
            SetExpr::Select(select) => keys(select),
            _ => Vec::new(),
        };
        self.keys.push(keys);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.keys.pop();
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::UnaryOp { op, .. } if *op == UnaryOperator::BangNot => *op = UnaryOperator::Not,
            Expr::InSubquery {
                expr: row,
                subquery,
                negated,
            } => {
                if let Expr::Tuple(parts) = row.as_mut() {
                    let parts = std::mem::take(parts);
                    *expr = exists(parts, std::mem::replace(subquery, Box::new(empty())), *negated);
                }
            }
            Expr::Function(function) => {
                if let Some(rewritten) = self.function(function) {
                    *expr = rewritten;
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl Expressions {
    fn function(&self, function: &mut Function) -> Option<Expr> {
        let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else {
            return None;
        };
        let name = name.value.to_lowercase();
        let FunctionArguments::List(list) = &mut function.args else {
            return None;
        };
        match name.as_str() {
            "count"
                if list.args.len() > 1 && list.duplicate_treatment == Some(DuplicateTreatment::Distinct) =>
            {
                let values: Vec<Expr> = list.args.drain(..).filter_map(value).collect();
                list.args = vec![argument(known(values))];
                None
            }
            "grouping" => Some(cast(Expr::Function(function.clone()), DataType::TinyInt(None))),
            "grouping_id" => {
                function.name = ObjectName::from(vec![Ident::new("grouping")]);
                if list.args.is_empty() {
                    let keys = self.keys.last().into_iter().flatten();
                    list.args = keys.cloned().map(argument).collect();
                }
                Some(cast(Expr::Function(function.clone()), DataType::BigInt(None)))
            }
            _ => None,
        }
    }
}

/// Returns the keys of a SELECT's grouping sets, each once, in the order in which they are first named.
fn keys(select: &Select) -> Vec<Expr> {
    let GroupByExpr::Expressions(expressions, _) = &select.group_by else {
        return Vec::new();
    };
    let mut keys: Vec<Expr> = Vec::new();
    for expression in expressions {
        let named: Vec<&Expr> = match expression {
            Expr::GroupingSets(sets) | Expr::Rollup(sets) | Expr::Cube(sets) => {
                sets.iter().flatten().collect()
            }
            key => vec![key],
        };
        for key in named {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
    }
    keys
}

fn value(argument: FunctionArg) -> Option<Expr> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value),
        _ => None,
    }
}

fn argument(value: Expr) -> FunctionArg {
    FunctionArg::Unnamed(FunctionArgExpr::Expr(value))
}

/// Writes a struct of values that is null where one of them is.
fn known(values: Vec<Expr>) -> Expr {
    let not_null = values
        .iter()
        .cloned()
        .map(|value| Expr::IsNotNull(Box::new(value)));
    let condition = not_null
        .reduce(|left, right| binary(left, BinaryOperator::And, right))
        .unwrap_or_else(|| Expr::value(Value::Boolean(true)));
    Expr::Case {
        case_token: datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
        end_token: datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen {
            condition,
            result: call("struct", values),
        }],
        else_result: None,
    }
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp {
        left: Box::new(left),
        op,
        right: Box::new(right),
    }
}

fn empty() -> Query {
    ast::query(SetExpr::Select(Box::new(ast::select_all())))
}

/// Writes `EXISTS (SELECT * FROM (query) AS r (c0, …) WHERE r.c0 = a AND …)`.
fn exists(row: Vec<Expr>, query: Box<Query>, negated: bool) -> Expr {
    let column = |place: usize| Ident::new(format!("{LOOKED_UP}_{place}"));
    let columns = (0..row.len()).map(|place| TableAliasColumnDef {
        name: column(place),
        data_type: None,
    });
    let rows = TableFactor::Derived {
        lateral: false,
        subquery: query,
        alias: Some(TableAlias {
            explicit: true,
            name: Ident::new(LOOKED_UP),
            columns: columns.collect(),
            at: None,
        }),
        sample: None,
    };
    let equal = row.into_iter().enumerate().map(|(place, part)| {
        let looked_up = Expr::CompoundIdentifier(vec![Ident::new(LOOKED_UP), column(place)]);
        binary(looked_up, BinaryOperator::Eq, part)
    });
    let selection = equal.reduce(|left, right| binary(left, BinaryOperator::And, right));
    let mut subquery = ast::select_from(rows);
    if let SetExpr::Select(select) = subquery.body.as_mut() {
        select.selection = selection;
        select.projection = vec![SelectItem::UnnamedExpr(Expr::value(Value::Boolean(true)))];
    }
    Expr::Exists {
        subquery: Box::new(subquery),
        negated,
    }
}
