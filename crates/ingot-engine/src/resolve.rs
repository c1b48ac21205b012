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
//! A statement sees one snapshot of each table, however often and under whatever names it reads it ([`Reads`]). What a
//! query may name, and what is above it, is its [`Scope`].

mod columns;
mod constants;
mod expressions;
mod filtered;
mod generators;
mod inline_tables;
mod joins;
mod lateral_aliases;
mod metrics;
mod names;
mod nesting;
mod pivots;
mod providers;
mod reads;
pub(crate) mod relations;
pub(crate) mod routines;
mod scope;
mod shapes;
mod special;
mod streams;
mod time_travel;
mod time_windows;
mod values;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
    MemorySchemaProvider, SchemaProvider, TableProvider,
};
use datafusion::common::TableReference;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::sqlparser::ast::{ObjectName, Statement};
use futures::future::BoxFuture;
use ingot_catalog::{Need, TableFilters};
use ingot_common::{SchemaName, TableName};
use ingot_delta::TimeTravel;

use self::columns::Columns;
pub(crate) use self::constants::{constant, literal, rows_of};
pub(crate) use self::generators::GENERATORS;
pub(crate) use self::names::{delta_path, object_name, parts, table_name};
pub(crate) use self::providers::{Found, TableAt};
use self::providers::{provider_of, session_relation, table_provider, view_rows};
pub(crate) use self::reads::Reads;
use self::routines::Routines;
pub(crate) use self::routines::{builtin_names, is_builtin};
pub(crate) use self::scope::Scope;
pub(crate) use self::special::is_relation_function;
use self::special::{functions_as_relations, special_provider, take_special_relations};
pub(crate) use self::streams::streams;
pub(crate) use self::time_travel::{instant, without_version};
pub(crate) use self::values::{bind, has_parameters};
use crate::metric_view::MetricView;
use crate::session::Values;
use crate::spark::AnsiMode;
use crate::stack::deep;
use crate::{Error, Result, Session, access, information_schema, spark, system_tables};

/// Catalog and schema under which relations without a name of their own are registered.
const INTERNAL: &str = "__ingot";

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

/// Plans the rows of a table with these columns as the filters show it, so that those that cannot work are not set.
///
/// # Errors
/// What is wrong with a function or with what it is given.
pub(crate) async fn check_filters(
    session: &Session,
    name: &TableName,
    filters: &TableFilters,
    schema: &SchemaRef,
) -> Result<()> {
    let rows = Arc::new(EmptyTable::new(Arc::clone(schema)));
    let scope = Scope::of(&session.namespace());
    filtered::filtered(session, name, filters, rows, &Reads::default(), &scope).await?;
    Ok(())
}

/// Makes of the rows of a statement's target what its row filter and its masks leave.
///
/// # Errors
/// As [`check_filters`], and `ROUTINE_NOT_FOUND` for a function that is gone.
pub(crate) async fn filtered_target(
    session: &Session,
    name: &TableName,
    filters: &TableFilters,
    rows: Arc<dyn TableProvider>,
    reads: &Reads,
) -> Result<Arc<dyn TableProvider>> {
    let scope = Scope::of(&session.namespace());
    filtered::filtered(session, name, filters, rows, reads, &scope).await
}

/// Finds a table or view by its name, a table at `point` of its history if given, and reads none of its rows.
///
/// # Errors
/// `NotFound` when there is none; `Unsupported` for a point in the history of a view.
pub(crate) async fn table(session: &Session, name: &TableName, point: Option<TimeTravel>) -> Result<Found> {
    let scope = Scope::of(&session.namespace());
    providers::found(session, name, point, &Reads::default(), &scope).await
}

/// Plans the rows of what a name stands for in the session: a table, a view or a temporary view.
///
/// # Errors
/// `NotFound` when there is none; `PermissionDenied`.
pub(crate) async fn relation(session: &Session, name: &ObjectName) -> Result<DataFrame> {
    relation_in(session, name, Scope::of(&session.namespace())).await
}

/// Does what [`relation`] does for whoever may know of it, to tell of its columns.
///
/// # Errors
/// As [`relation`].
pub(crate) async fn relation_seen(session: &Session, name: &ObjectName) -> Result<DataFrame> {
    if session.temporary_view(&parts(name)?).is_none() {
        let name = session.resolve(name)?;
        if !information_schema::has(&name) && !system_tables::has(&name) {
            let info = access::table(session, &name, Need::Sight).await?;
            if info.metrics {
                let all = MetricView::of(&info)?.all()?;
                let scope = Scope::of_trusted(&session.namespace());
                let rows = view_rows(session, &info, all, &scope, &Reads::default()).await?;
                return Ok(session.datafusion().read_table(rows)?);
            }
        }
    }
    relation_in(session, name, Scope::of_trusted(&session.namespace())).await
}

async fn relation_in(session: &Session, name: &ObjectName, scope: Scope) -> Result<DataFrame> {
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
        let state = planning_state(session, &scope.namespace);
        let values = scope.values(session);
        bind(&mut query, &values, reads)?;
        let metrics = metrics::take(session, &mut query, &scope, reads, &state).await?;
        inline_tables::rewrite(&mut query, AnsiMode::of(state.config_options()));
        shapes::rewrite(&mut query);
        joins::rewrite(&mut query);
        let routines = Routines::of(session, &mut query, &scope, reads, &state).await?;
        time_windows::rewrite(&mut query)?;
        generators::rewrite(&mut query, &|name| state.aggregate_functions().contains_key(name))?;
        functions_as_relations(&mut query);
        pivots::name(&mut query);
        let special = take_special_relations(&mut query)?;
        let mut columns = Columns::default();
        routines.add_columns(&mut columns);
        let (routines, state) = routines.into_planner(state);
        let catalogs = state.catalog_list();
        let internal = |name: &str| TableReference::full(INTERNAL, INTERNAL, name);
        if let Some(rows) = target {
            columns.add(TARGET, &rows.schema());
            register(catalogs, internal("target"), rows)?;
        }
        for (name, rows) in metrics {
            columns.add(&format!("{INTERNAL}.{INTERNAL}.{name}"), &rows.schema());
            register(catalogs, internal(&name), rows)?;
        }
        for (name, relation) in special {
            let provider = special_provider(session, relation, &scope, reads).await?;
            columns.add(&format!("{INTERNAL}.{INTERNAL}.{name}"), &provider.schema());
            register(catalogs, internal(&name), provider)?;
        }
        let statement = DataFusionStatement::Statement(Box::new(query));
        let references = state.resolve_table_references(&statement)?;
        for reference in references {
            if reference.schema() == Some(INTERNAL) {
                continue;
            }
            let (full, provider) = provider_of(session, &reference, &scope, reads).await?;
            columns.add(&reference.to_string(), &provider.schema());
            register(catalogs, full, provider)?;
        }
        let DataFusionStatement::Statement(mut query) = statement else {
            return Err(Error::parse("only queries can be planned".to_owned()));
        };
        let output = columns.restore(&mut query);
        spark::name_columns(&mut query);
        expressions::rewrite(&mut query);
        let planner = Planner {
            values: &values,
            routines: &routines,
            reads,
            state: &state,
        };
        let plan = planner.plan(*query).await?;
        // At once: what reads the plan's schema finds the types that its rows will have.
        let plan = match scope.part {
            true => settled(&state, plan)?,
            false => state
                .analyzer()
                .execute_and_check(plan, state.config_options(), |_, _| {})?,
        };
        output.apply(DataFrame::new(state, plan))
    })
}

/// What a query, whose names are known, is planned with.
struct Planner<'a> {
    values: &'a Values,
    routines: &'a Routines,
    reads: &'a Reads,
    state: &'a SessionState,
}

impl Planner<'_> {
    /// Plans a query, and where a name is of no column but of an alias before it, or of a variable, once more with what
    /// that means.
    async fn plan(&self, query: Statement) -> Result<LogicalPlan> {
        let mut query = query;
        let mut room = lateral_aliases::Room::new();
        loop {
            let mut formed = query.clone();
            self.routines.form_calls(&mut formed);
            spark::form_expressions(&mut formed);
            let statement = DataFusionStatement::Statement(Box::new(formed));
            let error = match self.state.statement_to_plan(statement).await {
                Ok(plan) => return Ok(plan),
                Err(error) => error,
            };
            let Some(name) = lateral_aliases::missing(&error) else {
                return Err(error.into());
            };
            let substituted = lateral_aliases::substitute(&mut query, name, &mut room)?
                || values::substitute(&mut query, name, self.values, self.reads)?;
            if !substituted {
                return Err(error.into());
            }
            // A value may have made two columns of a name.
            spark::name_columns(&mut query);
        }
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

/// Makes a state with the session's functions and settings, and a catalog of its own: what one query registers, no other
/// sees.
fn planning_state(session: &Session, namespace: &SchemaName) -> SessionState {
    let mut state = session.datafusion().state();
    let catalog = &mut state.config_mut().options_mut().catalog;
    catalog.default_catalog = namespace.catalog.to_string();
    catalog.default_schema = namespace.schema.to_string();
    state.register_catalog_list(Arc::new(MemoryCatalogProviderList::new()));
    state
}

fn register(
    catalogs: &Arc<dyn CatalogProviderList>,
    name: TableReference,
    provider: Arc<dyn TableProvider>,
) -> Result<()> {
    let (catalog, schema) = (
        name.catalog().unwrap_or(INTERNAL),
        name.schema().unwrap_or(INTERNAL),
    );
    let catalog_provider = match catalogs.catalog(catalog) {
        Some(found) => found,
        None => {
            let made: Arc<dyn CatalogProvider> = Arc::new(MemoryCatalogProvider::new());
            catalogs.register_catalog(catalog.to_owned(), Arc::clone(&made));
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
