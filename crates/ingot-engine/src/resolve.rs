//! Names in a query to providers, before DataFusion plans it.
//!
//! ```text
//! query ─► relations it names ─┬─ session relation ──────────────────────┐
//!                              ├─ table of the metastore ─► one snapshot ─┤
//!                              ├─ t VERSION AS OF n, t@v1, delta.`/path` ─┼─► registered under its name ─► plan
//!                              ├─ view ─► its own query, planned there ───┤
//!                              ├─ temporary view of the session ─► too ───┤
//!                              └─ read_files(…), (DESCRIBE HISTORY t) ────┘
//! ```
//! A statement sees one snapshot of each table, however often and under whatever names it reads it ([`Reads`]).

mod columns;
mod expressions;
mod generators;
mod joins;
mod lateral_aliases;
mod nesting;
mod pivots;
pub(crate) mod relations;
pub(crate) mod routines;
mod shapes;
mod time_windows;
mod values;

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::datatypes::{DataType, TimeUnit};
use chrono::NaiveDateTime;
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider, SchemaProvider,
    TableProvider,
};
use datafusion::common::{DFSchema, TableReference};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::ViewTable;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, cast};
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::sqlparser::ast::{
    DataType as SqlType, Expr, Ident, ObjectName, ObjectNamePart, SelectItem, SetExpr, Statement,
    TableFactor, TableVersion, VisitMut, VisitorMut,
};
use futures::future::BoxFuture;
use ingot_catalog::{TableInfo, TableKind};
use ingot_common::{Kind, SchemaName, TableName};
use ingot_delta::{DeltaTable, Snapshot, TimeTravel};
use url::Url;

use self::columns::Columns;
pub(crate) use self::generators::GENERATORS;
use self::routines::Routines;
pub(crate) use self::routines::is_builtin;
pub(crate) use self::values::{literal, object_name};
use crate::change_feed::{self, ChangesRequest, ChangesTable, changes_provider};
use crate::provider::{delta_provider, past_provider};
use crate::session::{Routine, Values, identifier};
use crate::stack::deep;
use crate::statement::DescribeRequest;
use crate::{Error, Result, Session, ast, files, information_schema, spark};

/// Views in views, at most; a view cannot refer to itself, but views can be many.
const VIEW_DEPTH_MAX: usize = 32;

/// Digits of the instant in `t@20240229120000000`.
const INSTANT_DIGITS: usize = 17;

/// Catalog and schema under which relations without a name of their own are registered.
const INTERNAL: &str = "__ingot";

/// What one statement has read: the snapshot of each table, by location, and the views.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    snapshots: Mutex<HashMap<Url, Arc<Snapshot>>>,
    views: Mutex<Vec<TableName>>,
    temporary: Mutex<BTreeSet<String>>,
}

impl Reads {
    /// Returns the snapshot of a table that the statement sees: the newest one when it is first asked for.
    pub async fn snapshot(&self, table: &DeltaTable) -> Result<Arc<Snapshot>> {
        if let Some(seen) = lock(&self.snapshots).get(table.location()) {
            return Ok(Arc::clone(seen));
        }
        let newest = table.snapshot().await?;
        Ok(self.see(table, newest))
    }

    /// Returns the snapshot of a table that the statement sees: `newest` if it has seen none.
    pub fn see(&self, table: &DeltaTable, newest: Arc<Snapshot>) -> Arc<Snapshot> {
        let mut snapshots = lock(&self.snapshots);
        let seen = snapshots.entry(table.location().clone()).or_insert(newest);
        Arc::clone(seen)
    }

    /// Says if the statement reads a view, also through others.
    pub fn has_view(&self, name: &TableName) -> bool {
        lock(&self.views).contains(name)
    }

    /// Says if the statement reads a table or a view.
    pub fn has_tables(&self) -> bool {
        !lock(&self.snapshots).is_empty() || !lock(&self.views).is_empty()
    }

    /// Returns the names of the session's own relations that the statement reads, in lower case.
    pub fn temporary(&self) -> BTreeSet<String> {
        lock(&self.temporary).clone()
    }
}

/// Where the names of a query are looked up.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    namespace: SchemaName,
    /// The session's own relations that the query may name, in lower case; `None` for all.
    temporary: Option<BTreeSet<String>>,
    /// Views above the query.
    depth: usize,
    /// The functions whose bodies are above the query, by their full names.
    calls: Vec<String>,
    /// The query is the body of a function: it sees no variables, and is a part of another.
    body: bool,
}

impl Scope {
    /// The scope of a statement that the session runs.
    pub fn of(namespace: &SchemaName) -> Self {
        Self {
            namespace: namespace.clone(),
            temporary: None,
            depth: 0,
            calls: Vec::new(),
            body: false,
        }
    }

    /// The scope of the query of a view that stands in a query of this one.
    ///
    /// # Errors
    /// `VIEW_EXCEED_MAX_NESTED_DEPTH`.
    fn of_view(&self, name: &str, namespace: SchemaName, temporary: BTreeSet<String>) -> Result<Self> {
        if self.depth >= VIEW_DEPTH_MAX {
            return Err(Error::Condition {
                kind: Kind::FailedPrecondition,
                condition: "VIEW_EXCEED_MAX_NESTED_DEPTH",
                sqlstate: "54K00",
                message: format!("view `{name}` stands on more than {VIEW_DEPTH_MAX} views"),
            });
        }
        Ok(Self {
            namespace,
            temporary: Some(temporary),
            depth: self.depth + 1,
            calls: self.calls.clone(),
            body: false,
        })
    }

    /// The scope of the body of a function that a query of this one calls.
    ///
    /// # Errors
    /// `USER_DEFINED_FUNCTIONS.CYCLIC_FUNCTION_REFERENCE`; `UNSUPPORTED_FEATURE` where functions call too many others.
    fn of_routine(&self, routine: &Routine) -> Result<Self> {
        Ok(Self {
            namespace: routine.namespace.clone(),
            temporary: Some(routine.temporary.clone()),
            ..self.of_routine_made(routine)?
        })
    }

    /// The scope of the body of a function that is being made in this one.
    fn of_routine_made(&self, routine: &Routine) -> Result<Self> {
        let name = routine.full_name();
        if self.calls.contains(&name) {
            return Err(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "USER_DEFINED_FUNCTIONS.CYCLIC_FUNCTION_REFERENCE",
                sqlstate: "42601",
                message: format!(
                    "the function `{name}` would call itself: {}",
                    self.calls.join(" -> ")
                ),
            });
        }
        if self.calls.len() >= routines::DEPTH_MAX {
            return Err(Error::unsupported(format!(
                "the function `{name}` is called through more than {} others",
                routines::DEPTH_MAX
            )));
        }
        let mut calls = self.calls.clone();
        calls.push(name);
        Ok(Self {
            calls,
            body: true,
            ..self.clone()
        })
    }

    fn sees(&self, name: &str) -> bool {
        self.temporary
            .as_ref()
            .is_none_or(|seen| seen.contains(&name.to_lowercase()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Completes a name of one to three parts.
///
/// # Errors
/// `InvalidArgument` for more parts, and for parts that are no names.
pub(crate) fn table_name(name: &ObjectName, namespace: &SchemaName) -> Result<TableName> {
    let parts = parts(name)?;
    match parts.as_slice() {
        [table] => Ok(TableName::new(
            namespace.catalog.clone(),
            namespace.schema.clone(),
            identifier(table)?,
        )),
        [schema, table] => Ok(TableName::new(
            namespace.catalog.clone(),
            identifier(schema)?,
            identifier(table)?,
        )),
        [catalog, schema, table] => Ok(TableName::new(
            identifier(catalog)?,
            identifier(schema)?,
            identifier(table)?,
        )),
        _ => Err(Error::parse(format!(
            "`{name}` has {} parts; a table has up to three",
            parts.len()
        ))),
    }
}

/// Returns the parts of a name without their quotes.
pub(crate) fn parts(name: &ObjectName) -> Result<Vec<String>> {
    name.0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(ident) => Ok(ident.value.clone()),
            other => Err(Error::parse(format!("`{other}` cannot stand in a name"))),
        })
        .collect()
}

/// Returns the path of the table that `delta.`/path`` names; `None` for the name of one.
pub(crate) fn delta_path(name: &ObjectName) -> Result<Option<String>> {
    match parts(name)?.as_mut_slice() {
        [format, path] if format.eq_ignore_ascii_case("delta") && path.contains('/') => {
            Ok(Some(std::mem::take(path)))
        }
        _ => Ok(None),
    }
}

/// What a statement's target is called in the queries of [`plan_on_target`].
pub(crate) const TARGET: &str = "__ingot.__ingot.target";

/// Plans a query that reads `rows` under the name [`TARGET`], and other tables by theirs.
pub(crate) async fn plan_on_target(
    session: &Session,
    query: Statement,
    namespace: &SchemaName,
    reads: &Reads,
    rows: Arc<dyn TableProvider>,
) -> Result<DataFrame> {
    plan_in(session, query, Scope::of(namespace), reads, Some(rows)).await
}

/// Plans a query whose short names are looked up in `namespace`.
pub(crate) async fn plan(
    session: &Session,
    query: Statement,
    namespace: &SchemaName,
    reads: &Reads,
) -> Result<DataFrame> {
    plan_in(session, query, Scope::of(namespace), reads, None).await
}

/// Plans the rows of a table or view, of a table at `point` of its history if given.
///
/// # Errors
/// `NotFound` when there is none; `Unsupported` for a point in the history of a view.
pub(crate) async fn table(
    session: &Session,
    name: &TableName,
    point: Option<TimeTravel>,
) -> Result<DataFrame> {
    let scope = Scope::of(&session.namespace());
    let provider = table_provider(session, name, point, &Reads::default(), &scope).await?;
    Ok(session.datafusion().read_table(provider)?)
}

/// Plans the rows of what a name stands for in the session: a table, a view or a temporary view.
///
/// # Errors
/// `NotFound` when there is none.
pub(crate) async fn relation(session: &Session, name: &ObjectName) -> Result<DataFrame> {
    let scope = Scope::of(&session.namespace());
    let provider = match session_relation(session, &parts(name)?, &Reads::default(), &scope).await? {
        Some(provider) => provider,
        None => table_provider(session, &session.resolve(name)?, None, &Reads::default(), &scope).await?,
    };
    Ok(session.datafusion().read_table(provider)?)
}

fn plan_in<'a>(
    session: &'a Session,
    mut query: Statement,
    scope: Scope,
    reads: &'a Reads,
    target: Option<Arc<dyn TableProvider>>,
) -> BoxFuture<'a, Result<DataFrame>> {
    deep(async move {
        nesting::check(&query)?;
        let context = planning_context(session, &scope.namespace);
        let values = match scope.body {
            true => Values::default(),
            false => session.values().clone(),
        };
        values::bind(&mut query, &values)?;
        shapes::rewrite(&mut query);
        joins::rewrite(&mut query);
        let routines = Routines::of(session, &mut query, &scope, reads, &context.state()).await?;
        time_windows::rewrite(&mut query)?;
        let aggregates = context.state().aggregate_functions().clone();
        generators::rewrite(&mut query, &|name| aggregates.contains_key(name))?;
        functions_as_relations(&mut query);
        pivots::name(&mut query);
        let special = take_special_relations(&mut query)?;
        let mut columns = Columns::default();
        routines.add_columns(&mut columns);
        let (routines, context) = routines.into_planner(context);
        if let Some(rows) = target {
            columns.add(TARGET, &rows.schema());
            register(&context, TableReference::full(INTERNAL, INTERNAL, "target"), rows)?;
        }
        for (name, relation) in special {
            let provider = special_provider(session, relation, &scope, reads).await?;
            columns.add(&format!("{INTERNAL}.{INTERNAL}.{name}"), &provider.schema());
            register(&context, TableReference::full(INTERNAL, INTERNAL, name), provider)?;
        }
        let state = context.state();
        let statement = DataFusionStatement::Statement(Box::new(query));
        let references = state.resolve_table_references(&statement)?;
        for reference in references {
            if reference.schema() == Some(INTERNAL) {
                continue;
            }
            let (full, provider) = provider_of(session, &reference, &scope, reads).await?;
            columns.add(&reference.to_string(), &provider.schema());
            register(&context, full, provider)?;
        }
        let DataFusionStatement::Statement(mut query) = statement else {
            return Err(Error::parse("only queries can be planned".to_owned()));
        };
        let output = columns.restore(&mut query);
        spark::name_columns(&mut query);
        expressions::rewrite(&mut query);
        let state = context.state();
        let plan = statement_to_plan(&values, &routines, &state, *query).await?;
        // At once: what reads the plan's schema finds the types that its rows will have.
        let plan = match scope.body {
            true => settled(&state, plan)?,
            false => state
                .analyzer()
                .execute_and_check(plan, state.config_options(), |_, _| {})?,
        };
        output.apply(DataFrame::new(state, plan))
    })
}

/// Plans a query, and where a name is of no column but of an alias before it, or of a variable, once more with what
/// that means.
async fn statement_to_plan(
    values: &Values,
    routines: &Routines,
    state: &SessionState,
    query: Statement,
) -> Result<LogicalPlan> {
    let mut query = query;
    let mut room = lateral_aliases::Room::new();
    loop {
        let mut formed = query.clone();
        routines.form_calls(&mut formed);
        spark::form_expressions(&mut formed);
        let statement = DataFusionStatement::Statement(Box::new(formed));
        let error = match state.statement_to_plan(statement).await {
            Ok(plan) => return Ok(plan),
            Err(error) => error,
        };
        let Some(name) = lateral_aliases::missing(&error) else {
            return Err(error.into());
        };
        let substituted = lateral_aliases::substitute(&mut query, name, &mut room)?
            || values::substitute(&mut query, name, values)?;
        if !substituted {
            return Err(error.into());
        }
        // A value may have made two columns of a name.
        spark::name_columns(&mut query);
    }
}

/// Settles the types of a body, whose subqueries are the caller's to decorrelate.
fn settled(state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan> {
    let rules = state.analyzer().rules.iter();
    let settle = rules.filter(|rule| rule.name() != spark::decorrelate::NAME);
    let mut plan = plan;
    for rule in settle {
        plan = rule.analyze(plan, state.config_options())?;
    }
    Ok(plan)
}

/// Makes a context with the session's functions and settings, and a catalog of its own: what one statement
/// registers, no other sees.
fn planning_context(session: &Session, namespace: &SchemaName) -> SessionContext {
    let mut state = session.datafusion().state();
    let catalog = &mut state.config_mut().options_mut().catalog;
    catalog.default_catalog = namespace.catalog.to_string();
    catalog.default_schema = namespace.schema.to_string();
    state.register_catalog_list(Arc::new(MemoryCatalogProviderList::new()));
    SessionContext::new_with_state(state)
}

fn register(context: &SessionContext, name: TableReference, provider: Arc<dyn TableProvider>) -> Result<()> {
    let (catalog, schema) = (
        name.catalog().unwrap_or(INTERNAL),
        name.schema().unwrap_or(INTERNAL),
    );
    let catalog_provider = match context.catalog(catalog) {
        Some(found) => found,
        None => {
            let made: Arc<dyn CatalogProvider> = Arc::new(MemoryCatalogProvider::new());
            context.register_catalog(catalog, Arc::clone(&made));
            made
        }
    };
    let schema_provider = match catalog_provider.schema(schema) {
        Some(found) => found,
        None => {
            let made: Arc<dyn SchemaProvider> = Arc::new(MemorySchemaProvider::new());
            catalog_provider.register_schema(schema, Arc::clone(&made))?;
            made
        }
    };
    schema_provider.register_table(name.table().to_owned(), provider)?;
    Ok(())
}

/// Finds what a name in a query stands for, and the full name under which DataFusion will look for it.
async fn provider_of(
    session: &Session,
    reference: &TableReference,
    scope: &Scope,
    reads: &Reads,
) -> Result<(TableReference, Arc<dyn TableProvider>)> {
    let catalog = reference.catalog().unwrap_or(scope.namespace.catalog.as_str());
    let schema = reference.schema().unwrap_or(scope.namespace.schema.as_str());
    let full = TableReference::full(catalog, schema, reference.table());
    if let Some(provider) = session_relation(session, &reference.to_vec(), reads, scope).await? {
        return Ok((full, provider));
    }
    let name = TableName::new(
        identifier(catalog)?,
        identifier(schema)?,
        identifier(reference.table())?,
    );
    Ok((full, table_provider(session, &name, None, reads, scope).await?))
}

/// Finds a relation of the session's own: one that is registered, or a temporary view.
async fn session_relation(
    session: &Session,
    name: &[String],
    reads: &Reads,
    scope: &Scope,
) -> Result<Option<Arc<dyn TableProvider>>> {
    if let [short] = name
        && scope.sees(short)
        && let Some(provider) = session.relation(short)
    {
        lock(&reads.temporary).insert(short.to_lowercase());
        return Ok(Some(provider));
    }
    let view = match name {
        [short] if !scope.sees(short) => None,
        name => session.temporary_view(name),
    };
    let Some(view) = view else { return Ok(None) };
    lock(&reads.temporary).insert(view.name.to_lowercase());
    let scope = scope.of_view(&view.name, view.namespace.clone(), view.temporary.clone())?;
    view_provider(session, &view.definition, scope, reads)
        .await
        .map(Some)
}

/// Plans the query of a view.
async fn view_provider(
    session: &Session,
    definition: &str,
    scope: Scope,
    reads: &Reads,
) -> Result<Arc<dyn TableProvider>> {
    let query = crate::statement::parse_query(definition)?;
    let rows = plan_in(session, query, scope, reads, None).await?;
    Ok(Arc::new(ViewTable::new(
        rows.into_unoptimized_plan(),
        Some(definition.to_owned()),
    )))
}

async fn table_info(session: &Session, name: &TableName) -> Result<TableInfo> {
    let found = session.engine().metastore().table(name).await;
    found.map_err(|error| match error {
        ingot_catalog::Error::NotFound { .. } => Error::table_not_found(name),
        other => other.into(),
    })
}

/// Finds the table or view `name`, a table at `point` of its history if given, in a query of `scope`.
///
/// # Errors
/// `NotFound` when there is none; `InvalidArgument` for a point in the history of a view.
async fn table_provider(
    session: &Session,
    name: &TableName,
    point: Option<TimeTravel>,
    reads: &Reads,
    scope: &Scope,
) -> Result<Arc<dyn TableProvider>> {
    if information_schema::has(name) && point.is_none() {
        return information_schema::provider(session, name).await;
    }
    let info = table_info(session, name).await?;
    if info.kind != TableKind::View {
        let (table, newest) = session.open_newest(&info).await?;
        if point.is_none() {
            reads.see(&table, newest);
        }
        return provider(table, point, reads).await;
    }
    if point.is_some() {
        return Err(Error::Condition {
            kind: Kind::Unsupported,
            condition: "UNSUPPORTED_FEATURE.TIME_TRAVEL",
            sqlstate: "0A000",
            message: format!("time travel on the view `{name}` is not supported; views have no versions"),
        });
    }
    lock(&reads.views).push(name.clone());
    let definition = info.definition.clone().unwrap_or_default();
    let namespace = info
        .definition_namespace
        .clone()
        .unwrap_or_else(|| session.namespace());
    let scope = scope.of_view(&name.to_string(), namespace, BTreeSet::new())?;
    view_provider(session, &definition, scope, reads).await
}

/// Makes the provider of a table as the statement sees it, or of its past.
async fn provider(
    table: Arc<DeltaTable>,
    point: Option<TimeTravel>,
    reads: &Reads,
) -> Result<Arc<dyn TableProvider>> {
    match point {
        None => {
            let snapshot = reads.snapshot(&table).await?;
            // The optimiser asks for them, and cannot wait.
            snapshot.files().await?;
            Ok(delta_provider(table, snapshot, None))
        }
        Some(point) => {
            let snapshot = table.snapshot_at(point).await?;
            Ok(past_provider(table, snapshot))
        }
    }
}

/// A relation that is not just a name.
enum SpecialRelation {
    /// A table, or `delta.`/path``, in the past or now.
    Table {
        name: ObjectName,
        version: Option<Version>,
    },
    Files(Box<files::FilesRequest>),
    Changes(Box<ChangesRequest>),
    Described(Box<DescribeRequest>),
}

/// A point of a table's history as the query gives it.
enum Version {
    Number(i64),
    Timestamp(Box<Expr>),
    /// Milliseconds since the epoch.
    Instant(i64),
}

/// Says if the call of a function of this name, in lower case, is a relation that the engine knows.
pub(crate) fn is_relation_function(name: &str) -> bool {
    const FUNCTIONS: [&str; 4] = ["range", "read_files", "table_changes", "table_changes_by_path"];
    FUNCTIONS.contains(&name)
        || GENERATORS.contains(&name)
        || name.starts_with(crate::dialect::DESCRIBE_RELATION)
}

/// Calls that are relations and no names of tables: what [`relations`] plans.
fn functions_as_relations(query: &mut Statement) {
    struct Calls;
    impl VisitorMut for Calls {
        type Break = ();

        fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
            if let TableFactor::Table {
                name,
                args: Some(arguments),
                alias,
                sample,
                ..
            } = factor
                && relations::is_call(name)
            {
                let (sample, alias) = (sample.take(), alias.take());
                let call = TableFactor::Function {
                    lateral: false,
                    name: name.clone(),
                    args: std::mem::take(&mut arguments.args),
                    with_ordinality: false,
                    alias,
                };
                *factor = match sample {
                    None => call,
                    Some(_) => TableFactor::Derived {
                        lateral: false,
                        subquery: Box::new(ast::select_from(call)),
                        alias: None,
                        sample,
                    },
                };
            }
            ControlFlow::Continue(())
        }
    }
    let _ = VisitMut::visit(query, &mut Calls);
}

/// Takes out of a query what DataFusion cannot name, and puts internal names in its place.
fn take_special_relations(query: &mut Statement) -> Result<Vec<(String, SpecialRelation)>> {
    let mut visitor = SpecialRelations::default();
    match VisitMut::visit(query, &mut visitor) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(visitor.found),
    }
}

#[derive(Default)]
struct SpecialRelations {
    found: Vec<(String, SpecialRelation)>,
}

impl VisitorMut for SpecialRelations {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        let TableFactor::Table {
            name,
            alias,
            args,
            version,
            ..
        } = factor
        else {
            return ControlFlow::Continue(());
        };
        let taken = match special(name, args.as_ref(), version.as_ref()) {
            Ok(Some(taken)) => taken,
            Ok(None) => return ControlFlow::Continue(()),
            Err(error) => return ControlFlow::Break(error),
        };
        if alias.is_none()
            && let Some(ObjectNamePart::Identifier(last)) = name.0.last()
        {
            let plain = last.value.split('@').next().unwrap_or_default();
            let quoted = if plain.contains('/') { "delta" } else { plain };
            *alias = Some(datafusion::sql::sqlparser::ast::TableAlias {
                explicit: true,
                name: Ident::with_quote('`', quoted.to_lowercase()),
                columns: Vec::new(),
                at: None,
            });
        }
        let internal = format!("relation_{}", self.found.len());
        let ident = |text: &str| ObjectNamePart::Identifier(Ident::with_quote('`', text));
        *name = ObjectName(vec![ident(INTERNAL), ident(INTERNAL), ident(&internal)]);
        *args = None;
        *version = None;
        self.found.push((internal, taken));
        ControlFlow::Continue(())
    }
}

fn special(
    name: &ObjectName,
    args: Option<&datafusion::sql::sqlparser::ast::TableFunctionArgs>,
    version: Option<&TableVersion>,
) -> Result<Option<SpecialRelation>> {
    let named = parts(name)?;
    if let (Some(args), [function]) = (args, named.as_slice()) {
        if function.eq_ignore_ascii_case("read_files") {
            return Ok(Some(SpecialRelation::Files(Box::new(
                files::FilesRequest::from_arguments(&args.args)?,
            ))));
        }
        if let Some(request) = DescribeRequest::from_call(function, &args.args)? {
            return Ok(Some(SpecialRelation::Described(Box::new(request))));
        }
        let changes = ChangesRequest::from_call(function, &args.args)?;
        return Ok(changes.map(|request| SpecialRelation::Changes(Box::new(request))));
    }
    let asked = match version {
        None => None,
        Some(TableVersion::VersionAsOf(expr)) => Some(Version::Number(number(expr)?)),
        Some(TableVersion::TimestampAsOf(expr)) => Some(Version::Timestamp(Box::new(expr.clone()))),
        Some(other) => {
            return Err(Error::parse(format!(
                "`{other}` is no time travel; use VERSION or TIMESTAMP AS OF"
            )));
        }
    };
    let (name, suffix) = split_suffix(name)?;
    let version = asked.or(suffix);
    Ok((delta_path(&name)?.is_some() || version.is_some())
        .then_some(SpecialRelation::Table { name, version }))
}

/// Returns the name of the table of which `name` names a version.
pub(crate) fn without_version(name: &ObjectName) -> Result<ObjectName> {
    Ok(split_suffix(name)?.0)
}

/// Splits `t@v12` into the table and the version, `t@20240229120000000` into the table and the instant: year to
/// millisecond. Source: Delta, `DeltaTimeTravelSpec`.
fn split_suffix(name: &ObjectName) -> Result<(ObjectName, Option<Version>)> {
    let mut name = name.clone();
    let Some(ObjectNamePart::Identifier(last)) = name.0.last_mut() else {
        return Ok((name, None));
    };
    let Some((table, suffix)) = last.value.rsplit_once('@') else {
        return Ok((name, None));
    };
    let version = match suffix.strip_prefix(['v', 'V']) {
        Some(number) => number.parse().ok().map(Version::Number),
        None if suffix.len() == INSTANT_DIGITS => {
            let instant = NaiveDateTime::parse_from_str(suffix, "%Y%m%d%H%M%S%3f").ok();
            instant.map(|instant| Version::Instant(instant.and_utc().timestamp_millis()))
        }
        None => None,
    };
    if version.is_some() {
        last.value = table.to_owned();
    }
    Ok((name, version))
}

fn number(expr: &Expr) -> Result<i64> {
    let text = expr.to_string();
    let text = text.trim_matches('\'');
    text.parse().map_err(|_| {
        Error::parse(format!(
            "`{text}` is no version; VERSION AS OF takes a whole number"
        ))
    })
}

async fn special_provider(
    session: &Session,
    relation: SpecialRelation,
    scope: &Scope,
    reads: &Reads,
) -> Result<Arc<dyn TableProvider>> {
    let namespace = &scope.namespace;
    let (name, version) = match relation {
        SpecialRelation::Files(request) => return request.provider(session).await,
        SpecialRelation::Described(request) => return request.provider(session, namespace).await,
        SpecialRelation::Changes(request) => return changes(session, *request, namespace, reads).await,
        SpecialRelation::Table { name, version } => (name, version),
    };
    let point = match version {
        None => None,
        Some(Version::Number(version)) => Some(TimeTravel::Version(version)),
        Some(Version::Instant(instant)) => Some(TimeTravel::Timestamp(instant)),
        Some(Version::Timestamp(expr)) => Some(TimeTravel::Timestamp(instant(session, &expr).await?)),
    };
    let Some(path) = delta_path(&name)? else {
        return table_provider(session, &table_name(&name, namespace)?, point, reads, scope).await;
    };
    let table = session.engine().tables().open(&files::location(&path)?).await?;
    provider(table, point, reads).await
}

/// Makes the relation of a table's changes.
async fn changes(
    session: &Session,
    request: ChangesRequest,
    namespace: &SchemaName,
    reads: &Reads,
) -> Result<Arc<dyn TableProvider>> {
    let table = match &request.table {
        ChangesTable::At(path) => session.engine().tables().open(&files::location(path)?).await?,
        ChangesTable::Named(name) => {
            let name = table_name(name, namespace)?;
            let info = table_info(session, &name).await?;
            if info.kind == TableKind::View {
                return Err(Error::unsupported(format!(
                    "`{name}` is a view, which has no change data feed; read that of its tables"
                )));
            }
            session.open(&info).await?
        }
    };
    let snapshot = reads.snapshot(&table).await?;
    let from = change_point(session, &request.from).await?;
    let to = match &request.to {
        None => None,
        Some(to) => Some(change_point(session, to).await?),
    };
    changes_provider(table, snapshot, from, to).await
}

async fn change_point(session: &Session, expr: &Expr) -> Result<TimeTravel> {
    match change_feed::version(expr)? {
        Some(version) => Ok(TimeTravel::Version(version)),
        None => Ok(TimeTravel::Timestamp(instant(session, expr).await?)),
    }
}

/// Evaluates an expression that is about no row, in the type given if one is.
pub(crate) async fn constant(
    session: &Session,
    expr: Expr,
    data_type: Option<SqlType>,
) -> Result<ScalarValue> {
    let expr = match data_type {
        Some(data_type) => ast::cast(expr, data_type),
        None => expr,
    };
    let mut select = ast::select_all();
    select.projection = vec![SelectItem::UnnamedExpr(expr)];
    let query = Statement::Query(Box::new(ast::query(SetExpr::Select(Box::new(select)))));
    let rows = plan(session, query, &session.namespace(), &Reads::default()).await?;
    let row = rows_of(rows, 1).await?.into_iter().flatten().next();
    Ok(row.unwrap_or(ScalarValue::Null))
}

/// Reads the first rows, at most so many.
pub(crate) async fn rows_of(rows: DataFrame, count: usize) -> Result<Vec<Vec<ScalarValue>>> {
    let batches = rows.limit(0, Some(count))?.collect().await?;
    let mut read = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let values = batch
                .columns()
                .iter()
                .map(|column| ScalarValue::try_from_array(column, row));
            read.push(values.collect::<datafusion::error::Result<_>>()?);
        }
    }
    Ok(read)
}

/// Evaluates an expression without columns to an instant, milliseconds since the epoch.
pub(crate) async fn instant(session: &Session, expr: &Expr) -> Result<i64> {
    let state = session.datafusion().state();
    let value = spark::plan(&state, expr.clone(), &DFSchema::empty())?;
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let instant = cast(value, timestamp);
    let rows = session
        .datafusion()
        .read_empty()?
        .select(vec![instant])?
        .collect()
        .await?;
    let value = match rows.first() {
        Some(batch) if batch.num_rows() == 1 => ScalarValue::try_from_array(batch.column(0), 0)?,
        _ => ScalarValue::Null,
    };
    match value {
        ScalarValue::TimestampMicrosecond(Some(micros), _) => Ok(micros.div_euclid(1000)),
        _ => Err(Error::parse(format!(
            "`{expr}` is no instant for TIMESTAMP AS OF"
        ))),
    }
}
