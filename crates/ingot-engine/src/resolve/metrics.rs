//! Queries of metric views: `MEASURE(m)` is the aggregate that the view defines, over rows of the view's source.
//!
//! ```text
//! SELECT d, MEASURE(m) FROM v GROUP BY d           where m is sum(x)
//!   ─► SELECT d, (sum(__input0)) AS `measure(m)` FROM rows AS v GROUP BY d
//!                 rows: SELECT … AS d, x AS __input0 FROM source, planned with the rights of the view's owner
//! ```
//! What the view hides stays hidden: inputs have names that nobody knows, stars are refused, and functions in a measure are
//! those of the view's namespace. A query with MEASURE reads one metric view and nothing else; one without reads its
//! dimensions, as of any view. Source: Databricks, "Query metric views".

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::execution::SessionState;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, ObjectNamePart, OrderBy, Query,
    Select, SelectItem, SetExpr, Statement, TableFactor, Visit, VisitMut, Visitor, VisitorMut,
};
use ingot_catalog::TableInfo;
use ingot_common::{Kind, SchemaName};

use super::names::{last_part, name_internally, parts, table_name};
use super::providers::view_rows;
use super::scope::Scope;
use super::{Reads, is_builtin};
use crate::metric_view::{Inputs, MetricView, measured};
use crate::{Error, Result, Session, access, information_schema, spark, system_tables};

/// What stands before the names of functions that are of no catalog.
const OF_NO_CATALOG: [&str; 2] = ["builtin", "session"];

/// Puts measures in the place of their names, and internal names in that of the views that they are of.
///
/// # Errors
/// `UNSUPPORTED_METRIC_VIEW_USAGE`, `METRIC_VIEW_JOIN_NOT_SUPPORTED`, and what is wrong with a view.
pub(super) async fn take(
    session: &Session,
    query: &mut Statement,
    scope: &Scope,
    reads: &Reads,
    state: &SessionState,
) -> Result<Vec<(String, Arc<dyn TableProvider>)>> {
    let mut blocks = Blocks::default();
    if let ControlFlow::Break(error) = Visit::visit(query, &mut blocks) {
        return Err(error);
    }
    let mut views = BTreeMap::new();
    for name in blocks.relations {
        if let Some(view) = metric_view(session, &name, scope, reads).await? {
            views.insert(name.to_string(), view);
        }
    }
    if views.is_empty() {
        return Ok(Vec::new());
    }
    let mut rewriter = Rewriter {
        views: &views,
        state,
        common: CommonTables::default(),
        rows: Vec::new(),
    };
    if let ControlFlow::Break(error) = VisitMut::visit(query, &mut rewriter) {
        return Err(error);
    }
    let mut taken = Vec::with_capacity(rewriter.rows.len());
    for (place, (info, rows)) in rewriter.rows.into_iter().enumerate() {
        let rows = view_rows(session, info, rows, scope, reads).await?;
        taken.push((internal(place), rows));
    }
    Ok(taken)
}

fn internal(place: usize) -> String {
    format!("metrics_{place}")
}

async fn metric_view(
    session: &Session,
    name: &ObjectName,
    scope: &Scope,
    reads: &Reads,
) -> Result<Option<(TableInfo, MetricView)>> {
    if session.temporary_view(&parts(name)?).is_some() {
        return Ok(None);
    }
    let name = table_name(name, &scope.namespace)?;
    if information_schema::has(&name) || system_tables::has(&name) {
        return Ok(None);
    }
    let info = access::table_to_read(session, &scope.reader, reads, &name).await?;
    if !info.metrics {
        return Ok(None);
    }
    let view = MetricView::of(&info)?;
    Ok(Some((info, view)))
}

/// Finds what queries with MEASURE read.
#[derive(Default)]
struct Blocks {
    relations: BTreeSet<ObjectName>,
    common: CommonTables,
}

impl Visitor for Blocks {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        self.common.enter(query);
        if let (SetExpr::Select(select), Some(order)) = (query.body.as_ref(), &query.order_by)
            && measures(order)
        {
            return self.block(select);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Error> {
        self.common.leave();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Error> {
        match measures(select) {
            true => self.block(select),
            false => ControlFlow::Continue(()),
        }
    }
}

impl Blocks {
    fn block(&mut self, select: &Select) -> ControlFlow<Error> {
        match relation(select) {
            Some(name) => {
                if !self.common.has(name) {
                    self.relations.insert(name.clone());
                }
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "METRIC_VIEW_JOIN_NOT_SUPPORTED",
                sqlstate: "0A000",
                message: "MEASURE() is for queries that read one metric view and nothing else; put such a query into a \
                          common table expression, and join that"
                    .to_owned(),
            }),
        }
    }
}

/// The common table expressions that stand for their names where a visitor is: those of the queries around it, and
/// within the query of one only those before it.
#[derive(Default)]
struct CommonTables(Vec<WithClause>);

struct WithClause {
    /// In lower case.
    names: Vec<String>,
    /// How many of them are known: a visitor comes through their queries in turn, and then to what is written below.
    known: usize,
    recursive: bool,
}

impl CommonTables {
    fn enter(&mut self, query: &Query) {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.0.push(WithClause {
            names: tables
                .map(|table| table.alias.name.value.to_lowercase())
                .collect(),
            known: 0,
            recursive: query.with.as_ref().is_some_and(|with| with.recursive),
        });
    }

    fn leave(&mut self) {
        self.0.pop();
        if let Some(around) = self.0.last_mut() {
            around.known += 1;
        }
    }

    /// Says if a name in the body of the innermost query is one of theirs.
    fn has(&self, name: &ObjectName) -> bool {
        let [ObjectNamePart::Identifier(name)] = name.0.as_slice() else {
            return false;
        };
        let innermost = self.0.len().saturating_sub(1);
        self.0.iter().enumerate().any(|(depth, with)| {
            let known = match depth == innermost || with.recursive {
                true => with.names.len(),
                false => with.known,
            };
            let mut known = with.names.iter().take(known);
            known.any(|known| *known == name.value.to_lowercase())
        })
    }
}

/// Returns the only relation of a query, if it is a name.
fn relation(select: &Select) -> Option<&ObjectName> {
    match select.from.as_slice() {
        [from] if from.joins.is_empty() && select.lateral_views.is_empty() => match &from.relation {
            TableFactor::Table {
                name,
                args: None,
                version: None,
                sample: None,
                ..
            } => Some(name),
            _ => None,
        },
        _ => None,
    }
}

/// Says if MEASURE stands in a part of a query, and not in a query within it.
fn measures(part: &impl Visit) -> bool {
    #[derive(Default)]
    struct Finder {
        depth: usize,
    }
    impl Visitor for Finder {
        type Break = ();

        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match self.depth == 0 && !matches!(measured(expr), Ok(None)) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        }
    }
    part.visit(&mut Finder::default()).is_break()
}

struct Rewriter<'a> {
    views: &'a BTreeMap<String, (TableInfo, MetricView)>,
    state: &'a SessionState,
    common: CommonTables,
    /// Queries of rows, and the views that they are of.
    rows: Vec<(&'a TableInfo, Statement)>,
}

impl VisitorMut for Rewriter<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        self.common.enter(query);
        let SetExpr::Select(select) = query.body.as_mut() else {
            return ControlFlow::Continue(());
        };
        self.block(select, query.order_by.as_mut())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.common.leave();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        self.block(select, None)
    }
}

impl<'a> Rewriter<'a> {
    fn block(&mut self, select: &mut Select, order: Option<&mut OrderBy>) -> ControlFlow<Error> {
        let measured = measures(select) || order.as_ref().is_some_and(|order| measures(*order));
        let views = self.views;
        let name = relation(select).filter(|name| !self.common.has(name));
        let found = name.and_then(|name| views.get(&name.to_string()));
        let Some((info, view)) = found.filter(|_| measured) else {
            return ControlFlow::Continue(());
        };
        for item in &mut select.projection {
            match item {
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {
                    return ControlFlow::Break(star());
                }
                SelectItem::UnnamedExpr(expr) if measures(expr) => {
                    let alias = Ident::with_quote('`', spark::pretty(expr));
                    *item = SelectItem::ExprWithAlias {
                        expr: crate::ast::take(expr),
                        alias,
                    };
                }
                _ => {}
            }
        }
        let mut calls = Calls {
            view,
            inputs: Inputs::new(),
            namespace: info.definition_namespace.as_ref(),
            state: self.state,
            depth: 0,
        };
        VisitMut::visit(select, &mut calls)?;
        if let Some(order) = order {
            VisitMut::visit(order, &mut calls)?;
        }
        name_rows(select, &internal(self.rows.len()));
        match view.rows(&calls.inputs) {
            Ok(rows) => self.rows.push((info, rows)),
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }
}

/// Has a query read the relation of an internal name, which is called as before.
fn name_rows(select: &mut Select, internal: &str) {
    let Some(TableFactor::Table { name, alias, .. }) = select.from.first_mut().map(|from| &mut from.relation)
    else {
        return;
    };
    let called = last_part(name).to_owned();
    name_internally(name, alias, &called, internal);
}

/// Puts measures in the place of calls of MEASURE.
struct Calls<'a> {
    view: &'a MetricView,
    inputs: Inputs,
    /// Where the names of functions in measures are looked up.
    namespace: Option<&'a SchemaName>,
    state: &'a SessionState,
    depth: usize,
}

impl VisitorMut for Calls<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        if takes_star(expr) {
            return ControlFlow::Break(star());
        }
        let measure = match measured(expr) {
            Ok(None) => return ControlFlow::Continue(()),
            Ok(Some(name)) => self.view.measure(&name, &mut self.inputs),
            Err(error) => Err(error),
        };
        match measure {
            Ok(mut measure) => {
                self.name_functions(&mut measure);
                *expr = Expr::Nested(Box::new(measure));
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

impl Calls<'_> {
    /// Gives the functions of a measure that are not the engine's own their full names.
    fn name_functions(&self, measure: &mut Expr) {
        struct Functions<'a> {
            namespace: &'a SchemaName,
            state: &'a SessionState,
        }
        impl VisitorMut for Functions<'_> {
            type Break = ();

            fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
                let Expr::Function(call) = expr else {
                    return ControlFlow::Continue(());
                };
                let namespace = [&self.namespace.catalog, &self.namespace.schema];
                let missing = match call.name.0.as_slice() {
                    [ObjectNamePart::Identifier(name)]
                        if !is_builtin(self.state, &name.value.to_lowercase()) =>
                    {
                        &namespace[..]
                    }
                    [ObjectNamePart::Identifier(schema), _]
                        if !OF_NO_CATALOG.contains(&schema.value.to_lowercase().as_str()) =>
                    {
                        &namespace[..1]
                    }
                    _ => return ControlFlow::Continue(()),
                };
                let missing = missing.iter().map(|part| Ident::with_quote('`', part.as_str()));
                let missing = missing.map(ObjectNamePart::Identifier);
                call.name.0.splice(..0, missing.collect::<Vec<_>>());
                ControlFlow::Continue(())
            }
        }
        if let Some(namespace) = self.namespace {
            let state = self.state;
            let _ = VisitMut::visit(measure, &mut Functions { namespace, state });
        }
    }
}

/// Says if a function is given all columns; `count(*)` counts rows.
fn takes_star(expr: &Expr) -> bool {
    let Expr::Function(call) = expr else {
        return false;
    };
    let FunctionArguments::List(list) = &call.args else {
        return false;
    };
    let counts = matches!(call.name.0.as_slice(), [ObjectNamePart::Identifier(name)] if name.value.eq_ignore_ascii_case("count"));
    list.args.iter().any(|argument| {
        let (FunctionArg::Unnamed(argument)
        | FunctionArg::Named { arg: argument, .. }
        | FunctionArg::ExprNamed { arg: argument, .. }) = argument;
        match argument {
            FunctionArgExpr::Expr(_) => false,
            FunctionArgExpr::Wildcard => !counts,
            FunctionArgExpr::QualifiedWildcard(_) | FunctionArgExpr::WildcardWithOptions(_) => true,
        }
    })
}

fn star() -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "UNSUPPORTED_METRIC_VIEW_USAGE.SELECT_STAR_NOT_SUPPORTED",
        sqlstate: "0A000",
        message: "SELECT * is not supported in metric views".to_owned(),
    }
}
