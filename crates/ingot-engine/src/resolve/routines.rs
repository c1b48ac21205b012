//! Calls of functions that statements have made.
//!
//! ```text
//! AST ─► calls by name ─► session, metastore ─► bodies, each planned over its parameters ─┐
//!   └─► `f(a)` with its full name ─► form `{routine: 'f', 0: CAST(a AS type)}` ──────────┴─► body with the arguments
//! ```
//! A body is planned in the namespace in which its function was made, over a relation of the parameters that is called
//! as the function is; it sees nothing of the caller's. What is planned is put in the place of the call
//! ([`arguments`]), so that a filter over a call is one over the table's columns. Source: Spark,
//! `ResolveSQLFunctions`; Databricks, "Name resolution".

mod arguments;
mod call;
mod planned;
mod value;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::error::Result as PlanResult;
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr as LogicalExpr;
use datafusion::logical_expr::planner::{
    ExprPlanner, PlannedRelation, PlannerResult, RawDictionaryExpr, RelationPlanner, RelationPlannerContext,
    RelationPlanning,
};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, Ident, ObjectName, ObjectNamePart, SelectItem, SetExpr, Statement,
    TableFactor, TableFunctionArgs, VisitMut, VisitorMut, visit_expressions,
};
use ingot_catalog::{FunctionReturns, Privilege};
use ingot_common::{FunctionName, Kind, SchemaName};

pub(in crate::resolve) use self::planned::Planned;
pub(crate) use self::planned::{body_of, describe};
use super::columns::Columns;
use super::special::RELATION_FUNCTIONS;
use super::{GENERATORS, Reads, Scope, parts};
use crate::session::{Routine, identifier, temporary_name};
use crate::{Error, Result, Session, access, spark};

/// A function and the arguments that a call gives it, by their places.
type Called<'a> = (&'a Arc<Planned>, BTreeMap<usize, LogicalExpr>);

/// The form of a call: its first key.
const FORM: &str = "routine";

/// How relations of functions are called, with the function's name after it.
const RELATION: &str = "__ingot_routine_";

/// Functions that have a syntax or a form of their own.
const SPECIAL: [&str; 6] = [
    "cast",
    "try_cast",
    "identifier",
    "grouping",
    "grouping_id",
    "window",
];

/// Functions on functions, at most: each body is planned within that of its caller.
pub(super) const DEPTH_MAX: usize = 32;

/// The functions that a query calls, planned.
#[derive(Debug, Default)]
pub(crate) struct Routines {
    /// By their full names.
    planned: HashMap<String, Arc<Planned>>,
    /// By the names that the query has for them, in lower case.
    known: HashMap<String, Arc<Routine>>,
}

impl Routines {
    /// Finds the functions that a query calls, plans their bodies, and gives the calls their full names.
    ///
    /// # Errors
    /// `UNRESOLVED_ROUTINE`, `NOT_A_SCALAR_FUNCTION`, `NOT_A_TABLE_FUNCTION`, `WRONG_NUM_ARGS`, and what is wrong with
    /// a body.
    pub async fn of(
        session: &Session,
        query: &mut Statement,
        scope: &Scope,
        reads: &Reads,
        state: &SessionState,
    ) -> Result<Self> {
        let mut names = Names {
            state,
            found: BTreeMap::new(),
        };
        if let ControlFlow::Break(error) = VisitMut::visit(query, &mut names) {
            return Err(*error);
        }
        let mut routines = Self::default();
        for (written, named) in names.found {
            let Some(routine) = find(session, &named.parts, scope, reads).await? else {
                match named.relation || named.parts.len() > 1 {
                    true => return Err(unresolved(&named, &scope.namespace)),
                    // The planner says so, and what it may have meant.
                    false => continue,
                }
            };
            if let Some(securable) = routine.securable() {
                let execute = Privilege::Execute;
                access::check_read(session, &scope.reader, reads, &securable, execute).await?;
            }
            let planned = planned_once(session, &routine, scope, reads).await?;
            routines.planned.insert(routine.full_name(), planned);
            routines.known.insert(written, routine);
        }
        routines.name(query)?;
        Ok(routines)
    }

    /// Finds the functions that expressions call, which are no query.
    ///
    /// # Errors
    /// As [`Self::of`]; texts that cannot be read are left to their reader.
    pub async fn of_texts(
        session: &Session,
        texts: impl Iterator<Item = &str>,
        reads: &Reads,
    ) -> Result<Arc<Self>> {
        let mut select = crate::ast::select_all();
        select.projection = texts
            .filter_map(|text| crate::dialect::expression(text).ok())
            .map(SelectItem::UnnamedExpr)
            .collect();
        let body = SetExpr::Select(Box::new(select));
        let mut query = Statement::Query(Box::new(crate::ast::query(body)));
        let scope = Scope::of(&session.namespace());
        let state = session.datafusion().state();
        let routines = Self::of(session, &mut query, &scope, reads, &state).await?;
        Ok(Arc::new(routines))
    }

    /// Makes forms of the calls in an expression.
    ///
    /// # Errors
    /// `WRONG_NUM_ARGS` and the like; `UNSUPPORTED_FEATURE` for functions with queries.
    pub fn prepare(&self, expression: &mut Expr) -> Result<()> {
        if self.planned.is_empty() {
            return Ok(());
        }
        if let Some(name) = self.query_called(expression) {
            return Err(Error::unsupported(format!(
                "the function `{name}` has a query, and stands here only with arguments that are constant"
            )));
        }
        self.name(expression)?;
        let _ = VisitMut::visit(expression, &mut Forming { routines: self });
        Ok(())
    }

    /// Says if a call by this name is of a function whose body is a query, or has one.
    pub fn has_query(&self, name: &ObjectName) -> bool {
        let known = full_name(name).and_then(|name| self.known.get(&name.to_lowercase()));
        let planned = known.and_then(|routine| self.planned.get(&routine.full_name()));
        planned.is_some_and(|planned| planned.has_subquery())
    }

    /// Returns the name of a function with a query that an expression calls.
    fn query_called(&self, expression: &Expr) -> Option<String> {
        let called = visit_expressions(expression, |part| match part {
            Expr::Function(function) if self.has_query(&function.name) => {
                ControlFlow::Break(function.name.to_string())
            }
            _ => ControlFlow::Continue(()),
        });
        called.break_value()
    }

    /// Makes the state that plans the forms.
    pub fn planner(self: &Arc<Self>, state: SessionState) -> SessionState {
        if self.planned.is_empty() {
            return state;
        }
        let mut builder = datafusion::execution::SessionStateBuilder::new_from_existing(state);
        let planners = builder.expr_planners().get_or_insert_default();
        planners.insert(0, Arc::clone(self) as Arc<dyn ExprPlanner>);
        let relations = builder.relation_planners().get_or_insert_default();
        relations.insert(0, Arc::clone(self) as Arc<dyn RelationPlanner>);
        builder.build()
    }

    fn name(&self, part: &mut impl VisitMut) -> Result<()> {
        if self.known.is_empty() {
            return Ok(());
        }
        match part.visit(&mut Naming { known: &self.known }) {
            ControlFlow::Break(error) => Err(*error),
            ControlFlow::Continue(()) => Ok(()),
        }
    }

    /// Adds the columns of relations that functions return.
    pub(super) fn add_columns(&self, columns: &mut Columns) {
        for (name, planned) in &self.planned {
            if let Some(schema) = planned.schema() {
                columns.add(&format!("{RELATION}{name}"), schema);
            }
        }
    }

    /// Makes forms of the calls of a query.
    pub fn form_calls(&self, query: &mut Statement) {
        if !self.planned.is_empty() {
            let _ = VisitMut::visit(query, &mut Forming { routines: self });
        }
    }

    /// Makes the state that plans the forms.
    pub fn into_planner(self, state: SessionState) -> (Arc<Self>, SessionState) {
        let routines = Arc::new(self);
        let state = routines.planner(state);
        (routines, state)
    }

    fn called(&self, name: &ObjectName) -> Option<&Arc<Planned>> {
        self.planned.get(&full_name(name)?)
    }
}

fn full_name(name: &ObjectName) -> Option<String> {
    Some(parts(name).ok()?.join("."))
}

/// Plans the body of a function, unless the statement has planned it before.
async fn planned_once(
    session: &Session,
    routine: &Arc<Routine>,
    scope: &Scope,
    reads: &Reads,
) -> Result<Arc<Planned>> {
    let name = routine.full_name();
    let planned = match reads.planned(&name) {
        Some((planned, height)) => {
            scope.check_calls(&name, height)?;
            planned
        }
        None => {
            let planned = Arc::new(Planned::of(session, routine, scope, reads).await?);
            reads.keep_planned(name.clone(), &planned);
            planned
        }
    };
    if let Some(caller) = scope.calls.last() {
        reads.see_call(caller, &name);
    }
    Ok(planned)
}

/// A name by which a query calls a function.
struct Named {
    /// In lower case.
    parts: Vec<String>,
    /// Stands in FROM.
    relation: bool,
}

fn unresolved(named: &Named, namespace: &SchemaName) -> Error {
    let name = named.parts.join(".");
    let path = format!("system.builtin, system.session, {namespace}");
    match named.relation {
        true => Error::Condition {
            kind: Kind::NotFound,
            condition: "UNRESOLVABLE_TABLE_VALUED_FUNCTION",
            sqlstate: "42883",
            message: format!("there is no table function `{name}` in {path}"),
        },
        false => Error::Condition {
            kind: Kind::NotFound,
            condition: "UNRESOLVED_ROUTINE",
            sqlstate: "42883",
            message: format!("there is no function `{name}` in {path}"),
        },
    }
}

/// Finds the function of a name: one of the session before one of the metastore.
pub(crate) async fn find(
    session: &Session,
    name: &[String],
    scope: &Scope,
    reads: &Reads,
) -> Result<Option<Arc<Routine>>> {
    let words: Vec<&str> = name.iter().map(String::as_str).collect();
    let temporary = |function: &str| {
        let own = temporary_name(function);
        let found = session
            .temporary_functions()
            .get(function)
            .filter(|_| scope.sees(&own));
        if found.is_some() {
            reads.see_temporary(own);
        }
        found
    };
    let namespace = &scope.namespace;
    let schema = match words.as_slice() {
        ["session", function] | ["system", "session", function] => return Ok(temporary(function)),
        [function] => match temporary(function) {
            Some(found) => return Ok(Some(found)),
            None => Ok(namespace.clone()),
        },
        [schema, _] => identifier(schema).map(|schema| SchemaName::new(namespace.catalog.clone(), schema)),
        [catalog, schema, _] => {
            identifier(catalog).and_then(|catalog| Ok(SchemaName::new(catalog, identifier(schema)?)))
        }
        _ => return Ok(None),
    };
    // What is no name is the name of nothing.
    let (Ok(schema), Some(Ok(function))) = (schema, words.last().map(|name| identifier(name))) else {
        return Ok(None);
    };
    reads
        .function(session, &FunctionName::new(schema, function))
        .await
}

/// Says if a function of one part is the engine's own.
pub(crate) fn is_builtin(state: &SessionState, lower: &str) -> bool {
    state.scalar_functions().contains_key(lower)
        || state.aggregate_functions().contains_key(lower)
        || state.window_functions().contains_key(lower)
        || state.higher_order_functions().contains_key(lower)
        || GENERATORS.contains(&lower)
        || special().any(|name| name == lower)
}

/// Returns the names of the engine's own functions, in lower case.
pub(crate) fn builtin_names(state: &SessionState) -> BTreeSet<String> {
    let registered = state
        .scalar_functions()
        .keys()
        .chain(state.aggregate_functions().keys())
        .chain(state.window_functions().keys())
        .chain(state.higher_order_functions().keys())
        .cloned();
    let special = special().chain(GENERATORS).chain(RELATION_FUNCTIONS);
    let names = registered.chain(special.map(str::to_owned));
    names.filter(|name| !name.starts_with("__")).collect()
}

/// Functions that are in no registry.
fn special() -> impl Iterator<Item = &'static str> {
    SPECIAL.into_iter().chain(spark::special_calls())
}

/// Collects the names of calls, and takes `builtin.` off the engine's own.
struct Names<'a> {
    state: &'a SessionState,
    found: BTreeMap<String, Named>,
}

impl Names<'_> {
    fn see(&mut self, name: &mut ObjectName, relation: bool) -> Result<()> {
        let Ok(written) = parts(name) else { return Ok(()) };
        let lower: Vec<String> = written.iter().map(|part| part.to_lowercase()).collect();
        let words: Vec<&str> = lower.iter().map(String::as_str).collect();
        if let ["builtin", function] | ["system", "builtin", function] = words.as_slice() {
            *name = ObjectName::from(vec![Ident::new(*function)]);
            return Ok(());
        }
        let own = match words.as_slice() {
            [function] if relation => {
                super::is_relation_function(function) || self.state.table_functions().contains_key(*function)
            }
            [function] => is_builtin(self.state, function),
            _ => false,
        };
        if !own {
            let key = lower.join(".");
            let named = self.found.entry(key).or_insert(Named {
                parts: lower,
                relation,
            });
            named.relation |= relation;
        }
        Ok(())
    }
}

impl VisitorMut for Names<'_> {
    type Break = Box<Error>;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Box<Error>> {
        match expr {
            Expr::Function(function) => broken(self.see(&mut function.name, false)),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Box<Error>> {
        match factor {
            TableFactor::Table {
                name, args: Some(_), ..
            }
            | TableFactor::Function { name, .. } => broken(self.see(name, true)),
            _ => ControlFlow::Continue(()),
        }
    }
}

fn broken(outcome: Result<()>) -> ControlFlow<Box<Error>> {
    match outcome {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(Box::new(error)),
    }
}

/// Gives calls the full names of their functions, and checks their arguments.
struct Naming<'a> {
    known: &'a HashMap<String, Arc<Routine>>,
}

impl Naming<'_> {
    fn known(&self, name: &ObjectName) -> Option<&Arc<Routine>> {
        self.known.get(&full_name(name)?.to_lowercase())
    }

    fn scalar(&self, function: &mut Function) -> Result<()> {
        let Some(routine) = self.known(&function.name) else {
            return Ok(());
        };
        if matches!(routine.returns, FunctionReturns::Table(_)) {
            return Err(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "NOT_A_SCALAR_FUNCTION",
                sqlstate: "42887",
                message: format!(
                    "`{}` returns a table and stands in FROM, not in an expression",
                    routine.full_name()
                ),
            });
        }
        call::bound(routine, &call::plain(routine, function)?)?;
        function.name = quoted(&routine.name);
        Ok(())
    }

    fn relation(&self, factor: &mut TableFactor) -> Result<()> {
        let (name, arguments, lateral) = match factor {
            TableFactor::Table {
                name,
                args: Some(TableFunctionArgs { args, .. }),
                ..
            } => (&*name, &*args, false),
            TableFactor::Function {
                name, args, lateral, ..
            } => (&*name, &*args, *lateral),
            _ => return Ok(()),
        };
        let Some(routine) = self.known(name) else {
            return Ok(());
        };
        let FunctionReturns::Table(_) = routine.returns else {
            return Err(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "NOT_A_TABLE_FUNCTION",
                sqlstate: "42887",
                message: format!(
                    "`{}` returns a value, and does not stand in FROM",
                    routine.full_name()
                ),
            });
        };
        call::bound(routine, arguments)?;
        let arguments = arguments.clone();
        let name = ObjectName::from(vec![Ident::with_quote(
            '`',
            format!("{RELATION}{}", routine.full_name()),
        )]);
        let (alias, sample) = match factor {
            TableFactor::Table { alias, sample, .. } => (alias.take(), sample.take()),
            TableFactor::Function { alias, .. } => (alias.take(), None),
            _ => (None, None),
        };
        let alias = alias.or_else(|| {
            Some(datafusion::sql::sqlparser::ast::TableAlias {
                explicit: true,
                name: Ident::with_quote('`', routine.short_name()),
                columns: Vec::new(),
                at: None,
            })
        });
        let call = TableFactor::Function {
            lateral,
            name,
            args: arguments,
            with_ordinality: false,
            alias,
        };
        *factor = match sample {
            None => call,
            Some(_) => TableFactor::Derived {
                lateral: false,
                subquery: Box::new(crate::ast::select_from(call)),
                alias: None,
                sample,
            },
        };
        Ok(())
    }
}

impl VisitorMut for Naming<'_> {
    type Break = Box<Error>;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Box<Error>> {
        match expr {
            Expr::Function(function) => broken(self.scalar(function)),
            _ => ControlFlow::Continue(()),
        }
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Box<Error>> {
        broken(self.relation(factor))
    }
}

fn quoted(name: &[String]) -> ObjectName {
    let parts = name.iter().map(|part| Ident::with_quote('`', part));
    ObjectName::from(parts.collect::<Vec<_>>())
}

/// Makes forms of calls.
struct Forming<'a> {
    routines: &'a Routines,
}

impl VisitorMut for Forming<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && let Some(planned) = self.routines.called(&function.name)
            && let Ok(arguments) = call::plain(&planned.routine, function)
            && let Ok(bound) = call::bound(&planned.routine, &arguments)
        {
            *expr = planned.form(&planned.routine.full_name(), bound);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Function { name, args, .. } = factor
            && let Some(planned) = of_relation(self.routines, name)
            && let Ok(bound) = call::bound(&planned.routine, args)
        {
            // One argument that carries all: what is bound is not bound again.
            let form = planned.form(&planned.routine.full_name(), bound);
            *args = vec![crate::ast::unnamed(form)];
        }
        ControlFlow::Continue(())
    }
}

fn of_relation<'a>(routines: &'a Routines, name: &ObjectName) -> Option<&'a Arc<Planned>> {
    let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else {
        return None;
    };
    routines.planned.get(ident.value.strip_prefix(RELATION)?)
}

impl ExprPlanner for Routines {
    fn plan_dictionary_literal(
        &self,
        form: RawDictionaryExpr,
        schema: &datafusion::common::DFSchema,
    ) -> PlanResult<PlannerResult<RawDictionaryExpr>> {
        let Some((planned, arguments)) = self.of_form(&form)? else {
            return Ok(PlannerResult::Original(form));
        };
        planned.value(arguments, schema).map(PlannerResult::Planned)
    }
}

impl Routines {
    /// Reads a form: the function, and the arguments by their places.
    fn of_form(&self, form: &RawDictionaryExpr) -> PlanResult<Option<Called<'_>>> {
        let (Some(kind), Some(name)) = (form.keys.first(), form.values.first()) else {
            return Ok(None);
        };
        if text(kind) != Some(FORM) {
            return Ok(None);
        }
        let Some(planned) = text(name).and_then(|name| self.planned.get(name)) else {
            return Ok(None);
        };
        let mut arguments = BTreeMap::new();
        for (key, value) in form.keys.iter().zip(&form.values).skip(1) {
            if let Some(place) = text(key).and_then(|key| key.parse().ok()) {
                arguments.insert(place, value.clone());
            }
        }
        Ok(Some((planned, arguments)))
    }
}

fn text(expr: &LogicalExpr) -> Option<&str> {
    match expr {
        LogicalExpr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

impl RelationPlanner for Routines {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> PlanResult<RelationPlanning> {
        let TableFactor::Function {
            name, args, alias, ..
        } = &relation
        else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let (Some(planned), [FunctionArg::Unnamed(argument)]) = (of_relation(self, name), args.as_slice())
        else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let datafusion::sql::sqlparser::ast::FunctionArgExpr::Expr(Expr::Dictionary(fields)) = argument
        else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let mut arguments = BTreeMap::new();
        for field in fields.iter().skip(1) {
            if let Ok(place) = field.key.value.parse() {
                let value =
                    context.sql_to_expr((*field.value).clone(), &datafusion::common::DFSchema::empty())?;
                arguments.insert(place, value);
            }
        }
        let plan = planned.relation(arguments)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(
            plan,
            alias.clone(),
        ))))
    }
}
