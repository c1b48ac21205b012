//! Generators: functions that make several rows of one, as `explode`.
//!
//! ```text
//! FROM t CROSS JOIN LATERAL f(…) AS g (a, b) ─┐
//! SELECT x, f(…) AS a FROM t ─────────────────┼─► a generation: the relation beneath, the call, how it is called
//! SELECT *, f(…) FROM t GROUP BY … ───────────┘      ─► [`super::relations`] plans it over the relation's plan
//! ```
//! A generation is written as a PIVOT that no query has, because sqlparser's tree has no node for it. Where the SELECT
//! list only names columns, its generator reads the relation of FROM; where it aggregates or has a wildcard, the
//! generator reads what the rest of SELECT gives, and puts its columns in the place of its arguments. Source: Spark,
//! `ExtractGenerator`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, ExprWithAlias, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr,
    Ident, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, PivotValueSource, Query, Select,
    SelectItem, SelectItemQualifiedWildcardKind, SetExpr, Statement, TableAlias, TableAliasColumnDef,
    TableFactor, TableFunctionArgs, TableWithJoins, Value, ValueWithSpan, Visit, VisitMut, Visitor,
    VisitorMut, WildcardAdditionalOptions, visit_expressions,
};

use crate::error::{condition, external};
use crate::{Error, Result, ast};

/// The functions.
pub(crate) const GENERATORS: [&str; 10] = [
    "explode",
    "explode_outer",
    "posexplode",
    "posexplode_outer",
    "inline",
    "inline_outer",
    "stack",
    "json_tuple",
    "variant_explode",
    "variant_explode_outer",
];

/// How arguments are called that a SELECT computes for a generator above it.
pub(super) const ARGUMENT: &str = "__ingot_argument_";

/// How relations of generated columns are called that have no name.
const GENERATED: &str = "__ingot_generated_";

/// What a generation is about its rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// After the columns of the relation.
    After,
    /// After them; a row of which nothing is generated stays.
    AfterOuter,
    /// Where its arguments are.
    OfArguments,
}

impl Place {
    const ALL: [(Self, &'static str); 3] = [
        (Self::After, "__ingot_generate"),
        (Self::AfterOuter, "__ingot_generate_outer"),
        (Self::OfArguments, "__ingot_generate_in_place"),
    ];

    fn mark(self) -> Expr {
        let mark = Self::ALL.iter().find(|(place, _)| *place == self);
        Expr::value(Value::SingleQuotedString(
            mark.map(|(_, mark)| (*mark).to_owned()).unwrap_or_default(),
        ))
    }

    /// Reads the mark of a generation; `None` for a PIVOT of the query.
    pub fn of_mark(mark: Option<&Expr>) -> Option<Self> {
        match mark? {
            Expr::Value(ValueWithSpan {
                value: Value::SingleQuotedString(text),
                ..
            }) => Self::ALL
                .iter()
                .find(|(_, mark)| mark == text)
                .map(|(place, _)| *place),
            _ => None,
        }
    }
}

/// Makes generations of the generators in a query. `aggregates` says if a function of this name is one of a group.
///
/// # Errors
/// `UNSUPPORTED_GENERATOR` for one that stands where none can be.
pub(super) fn rewrite(query: &mut Statement, aggregates: &dyn Fn(&str) -> bool) -> Result<()> {
    let mut rewriter = Rewriter { aggregates, made: 0 };
    match VisitMut::visit(query, &mut rewriter) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Rewriter<'a> {
    aggregates: &'a dyn Fn(&str) -> bool,
    made: usize,
}

impl VisitorMut for Rewriter<'_> {
    type Break = Error;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        match self.select(select) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

impl Rewriter<'_> {
    fn select(&mut self, select: &mut Select) -> Result<()> {
        self.relations(&mut select.from)?;
        check(select)?;
        let generators = select
            .projection
            .iter()
            .filter(|item| generator_of(item).is_some());
        match generators.count() {
            0 => return Ok(()),
            1 => {}
            count => {
                return Err(unsupported(
                    "UNSUPPORTED_GENERATOR.MULTI_GENERATOR",
                    format!("a SELECT has one generator at most, and here are {count}"),
                ));
            }
        }
        match self.only_columns(select) {
            true => self.over_from(select),
            false => over_select(select),
        }
        Ok(())
    }

    /// Says if a generator may read the relation of FROM: nothing of the SELECT happens before.
    fn only_columns(&self, select: &Select) -> bool {
        let plain_group = matches!(&select.group_by, GroupByExpr::Expressions(keys, modifiers)
            if keys.is_empty() && modifiers.is_empty());
        let wildcard = select
            .projection
            .iter()
            .any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
        let aggregates = visit_expressions(&select.projection, |expr| match expr {
            Expr::Function(function) if function.over.is_none() && (self.aggregates)(&name_of(function)) => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        });
        plain_group && !wildcard && select.having.is_none() && aggregates.is_continue()
    }

    /// Makes the generator of a SELECT list a relation of FROM.
    fn over_from(&mut self, select: &mut Select) {
        let name = self.next_name();
        let Some(item) = select
            .projection
            .iter_mut()
            .find(|item| generator_of(item).is_some())
        else {
            return;
        };
        let wildcard = SelectItem::QualifiedWildcard(
            SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(vec![name.clone()])),
            WildcardAdditionalOptions::default(),
        );
        let (call, columns) = taken(std::mem::replace(item, wildcard));
        let input = folded(std::mem::take(&mut select.from));
        let factor = generation(input, call, Place::After, alias(name, columns));
        select.from = vec![alone(factor)];
    }

    /// Makes generations of the generators that are relations.
    fn relations(&mut self, from: &mut Vec<TableWithJoins>) -> Result<()> {
        let mut made: Vec<TableWithJoins> = Vec::new();
        for TableWithJoins { relation, joins } in std::mem::take(from) {
            match self.call(relation) {
                Ok((call, alias, true)) if !made.is_empty() => {
                    let input = folded(std::mem::take(&mut made));
                    made.push(alone(generation(input, call, Place::After, alias)));
                }
                Ok((call, alias, _)) => made.push(alone(generation(None, call, Place::After, alias))),
                Err(relation) => made.push(alone(*relation)),
            }
            for mut join in joins {
                let (call, alias, lateral) = match self.call(join.relation) {
                    Ok(found) => found,
                    Err(relation) => {
                        join.relation = *relation;
                        if let Some(last) = made.last_mut() {
                            last.joins.push(join);
                        }
                        continue;
                    }
                };
                let place = place_of(&join.join_operator)?;
                if lateral {
                    let input = folded(std::mem::take(&mut made));
                    made.push(alone(generation(input, call, place, alias)));
                } else if let Some(last) = made.last_mut() {
                    join.relation = generation(None, call, Place::After, alias);
                    last.joins.push(join);
                }
            }
        }
        *from = made;
        Ok(())
    }

    /// Takes a call of a generator out of a relation, with its alias and whether it is LATERAL. Gives back any other.
    fn call(&mut self, factor: TableFactor) -> Result<(Function, TableAlias, bool), Box<TableFactor>> {
        let is_generator = |name: &ObjectName| generator_name(name).is_some();
        let (name, arguments, alias, lateral) = match factor {
            TableFactor::Function {
                lateral,
                name,
                args,
                alias,
                ..
            } if is_generator(&name) => (name, args, alias, lateral),
            TableFactor::Table {
                name,
                args: Some(TableFunctionArgs { args, .. }),
                alias,
                ..
            } if is_generator(&name) => (name, args, alias, false),
            other => return self.row(other),
        };
        let call = ast::function(name, arguments);
        let alias = alias.unwrap_or_else(|| self::alias(self.next_name(), Vec::new()));
        Ok((call, alias, lateral))
    }

    /// Reads `LATERAL (SELECT a, b)` of no relation as the one row of `inline`.
    fn row(&mut self, factor: TableFactor) -> Result<(Function, TableAlias, bool), Box<TableFactor>> {
        let TableFactor::Derived {
            lateral: true,
            subquery,
            alias,
            sample: None,
        } = factor
        else {
            return Err(Box::new(factor));
        };
        let Some(row) = row_of(&subquery) else {
            return Err(Box::new(TableFactor::Derived {
                lateral: true,
                subquery,
                alias,
                sample: None,
            }));
        };
        let alias = alias.unwrap_or_else(|| self::alias(self.next_name(), Vec::new()));
        Ok((row, alias, true))
    }

    fn next_name(&mut self) -> Ident {
        self.made += 1;
        Ident::new(format!("{GENERATED}{}", self.made))
    }
}

/// Writes the items of a SELECT without a relation as `inline(array(named_struct('a', a, …)))`.
fn row_of(query: &Query) -> Option<Function> {
    let Query {
        with: None,
        body,
        order_by: None,
        limit_clause: None,
        ..
    } = query
    else {
        return None;
    };
    let SetExpr::Select(select) = body.as_ref() else {
        return None;
    };
    if !select.from.is_empty()
        || select.selection.is_some()
        || select.having.is_some()
        || select.qualify.is_some()
    {
        return None;
    }
    let mut fields = Vec::with_capacity(2 * select.projection.len());
    for item in &select.projection {
        let (name, value) = match item {
            SelectItem::ExprWithAlias { expr, alias } => (alias.value.clone(), expr),
            SelectItem::UnnamedExpr(expr) => (crate::spark::pretty(expr), expr),
            _ => return None,
        };
        fields.push(Expr::value(Value::SingleQuotedString(name)));
        fields.push(value.clone());
    }
    let call = |name: &str, arguments: Vec<Expr>| {
        let arguments = arguments
            .into_iter()
            .map(|value| FunctionArg::Unnamed(FunctionArgExpr::Expr(value)));
        ast::function(ObjectName::from(vec![Ident::new(name)]), arguments.collect())
    };
    let row = Expr::Function(call("named_struct", fields));
    let rows = Expr::Function(call("array", vec![row]));
    Some(call("inline", vec![rows]))
}

fn place_of(operator: &JoinOperator) -> Result<Place> {
    let holds = |constraint: &JoinConstraint| match constraint {
        JoinConstraint::None => true,
        JoinConstraint::On(Expr::Value(value)) => value.value == Value::Boolean(true),
        _ => false,
    };
    match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::CrossJoin(constraint)
            if holds(constraint) =>
        {
            Ok(Place::After)
        }
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) if holds(constraint) => {
            Ok(Place::AfterOuter)
        }
        _ => Err(Error::unsupported(
            "a generator joins by INNER, CROSS or LEFT JOIN without a condition; say it in WHERE".to_owned(),
        )),
    }
}

/// Lets the generator of a SELECT list read what the rest of the SELECT gives.
fn over_select(select: &mut Select) {
    let mut found = None;
    let items = std::mem::take(&mut select.projection);
    for item in items {
        if generator_of(&item).is_none() {
            select.projection.push(item);
            continue;
        }
        let (mut call, columns) = taken(item);
        // What is generated goes to where this is.
        select.projection.push(SelectItem::ExprWithAlias {
            expr: Expr::value(Value::Null),
            alias: Ident::new(ARGUMENT),
        });
        if let FunctionArguments::List(list) = &mut call.args {
            for (place, argument) in list.args.iter_mut().enumerate() {
                let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = argument else {
                    continue;
                };
                // A constant may have to be known when the query is planned.
                if matches!(expr, Expr::Value(_)) {
                    continue;
                }
                let name = Ident::new(format!("{ARGUMENT}{place}"));
                let value = std::mem::replace(expr, Expr::Identifier(name.clone()));
                select.projection.push(SelectItem::ExprWithAlias {
                    expr: value,
                    alias: name,
                });
            }
        }
        found = Some((call, columns));
    }
    let Some((call, columns)) = found else { return };
    let mut outer = ast::select_all();
    outer.distinct = match select.distinct {
        Some(Distinct::Distinct) => select.distinct.take(),
        _ => None,
    };
    let inner = std::mem::replace(select, outer);
    let input = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(ast::query(SetExpr::Select(Box::new(inner)))),
        alias: None,
        sample: None,
    };
    let alias = alias(Ident::new(GENERATED), columns);
    select.from = vec![alone(generation(Some(input), call, Place::OfArguments, alias))];
}

/// Refuses generators inside of expressions and in other clauses.
fn check(select: &Select) -> Result<()> {
    let refused = |name: &str, condition: &'static str, place: &str| {
        Err(unsupported(
            condition,
            format!("the generator `{name}` stands {place}; it can stand alone in SELECT, or in FROM"),
        ))
    };
    for item in &select.projection {
        let inside = match generator_of(item) {
            Some(call) => generator_in(&call.args),
            None => generator_in(item),
        };
        if let Some(name) = inside {
            return refused(
                &name,
                "UNSUPPORTED_GENERATOR.NESTED_IN_EXPRESSIONS",
                "inside of an expression",
            );
        }
    }
    let outside = generator_in(&select.selection).is_some()
        || generator_in(&select.having).is_some()
        || generator_in(&select.group_by).is_some();
    match outside {
        true => refused(
            "explode",
            "UNSUPPORTED_GENERATOR.OUTSIDE_SELECT",
            "in another clause",
        ),
        false => Ok(()),
    }
}

/// Finds a generator in a part of a SELECT; those of its subqueries are theirs.
fn generator_in(part: &impl Visit) -> Option<String> {
    struct Generators {
        depth: usize,
    }
    impl Visitor for Generators {
        type Break = String;

        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<String> {
            self.depth += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _: &Query) -> ControlFlow<String> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<String> {
            match expr {
                Expr::Function(function) if self.depth == 0 && generator_name(&function.name).is_some() => {
                    ControlFlow::Break(name_of(function))
                }
                _ => ControlFlow::Continue(()),
            }
        }
    }
    match part.visit(&mut Generators { depth: 0 }) {
        ControlFlow::Break(name) => Some(name),
        ControlFlow::Continue(()) => None,
    }
}

fn unsupported(name: &'static str, message: String) -> Error {
    Error::from(condition(name, "42K0E", message))
}

/// Returns the generator that is an item of a SELECT list.
fn generator_of(item: &SelectItem) -> Option<&Function> {
    let (SelectItem::UnnamedExpr(expr)
    | SelectItem::ExprWithAlias { expr, .. }
    | SelectItem::ExprWithAliases { expr, .. }) = item
    else {
        return None;
    };
    match expr {
        Expr::Function(function) => generator_name(&function.name).map(|_| function),
        _ => None,
    }
}

fn taken(item: SelectItem) -> (Function, Vec<Ident>) {
    let (expr, columns) = match item {
        SelectItem::ExprWithAlias { expr, alias } => (expr, vec![alias]),
        SelectItem::ExprWithAliases { expr, aliases } => (expr, aliases),
        SelectItem::UnnamedExpr(expr) => (expr, Vec::new()),
        _ => (Expr::value(Value::Null), Vec::new()),
    };
    match expr {
        Expr::Function(function) => (function, columns),
        _ => (ast::function(ObjectName(Vec::new()), Vec::new()), columns),
    }
}

pub(super) fn generator_name(name: &ObjectName) -> Option<&'static str> {
    let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else {
        return None;
    };
    GENERATORS
        .into_iter()
        .find(|generator| generator.eq_ignore_ascii_case(&ident.value))
}

fn name_of(function: &Function) -> String {
    match function.name.0.last() {
        Some(ObjectNamePart::Identifier(ident)) => ident.value.to_lowercase(),
        _ => String::new(),
    }
}

fn alias(name: Ident, columns: Vec<Ident>) -> TableAlias {
    TableAlias {
        explicit: true,
        name,
        columns: columns
            .into_iter()
            .map(|name| TableAliasColumnDef {
                name,
                data_type: None,
            })
            .collect(),
        at: None,
    }
}

fn alone(relation: TableFactor) -> TableWithJoins {
    TableWithJoins {
        relation,
        joins: Vec::new(),
    }
}

/// Makes one relation of those of FROM; `None` where there is none.
fn folded(from: Vec<TableWithJoins>) -> Option<TableFactor> {
    let mut from = from.into_iter();
    let mut first = from.next()?;
    for TableWithJoins { relation, joins } in from {
        let nested = match joins.is_empty() {
            true => relation,
            false => TableFactor::NestedJoin {
                table_with_joins: Box::new(TableWithJoins { relation, joins }),
                alias: None,
            },
        };
        first.joins.push(Join {
            relation: nested,
            global: false,
            join_operator: JoinOperator::CrossJoin(JoinConstraint::None),
        });
    }
    Some(match first.joins.is_empty() {
        true => first.relation,
        false => TableFactor::NestedJoin {
            table_with_joins: Box::new(first),
            alias: None,
        },
    })
}

/// Writes a generation.
fn generation(input: Option<TableFactor>, call: Function, place: Place, alias: TableAlias) -> TableFactor {
    let input = input.unwrap_or_else(ast::no_relation);
    TableFactor::Pivot {
        table: Box::new(input),
        aggregate_functions: vec![ExprWithAlias {
            expr: Expr::Function(call),
            alias: None,
        }],
        value_column: Vec::new(),
        value_source: PivotValueSource::List(Vec::new()),
        default_on_null: Some(place.mark()),
        alias: Some(alias),
    }
}

/// Says that a call has arguments that no generator takes.
pub(super) fn bad_call(message: &str) -> datafusion::error::DataFusionError {
    external(Error::parse(message.to_owned()))
}
