//! Names in a query to providers, before DataFusion plans it.
//!
//! ```text
//! query ─► relations it names ─┬─ session relation ──────────────────────┐
//!                              ├─ table of the metastore ─► one snapshot ─┤
//!                              ├─ t VERSION AS OF n, t@v1, delta.`/path` ─┼─► registered under its name ─► plan
//!                              ├─ view ─► its own query, planned there ───┤
//!                              └─ read_files(…) ─► files ─────────────────┘
//! ```
//! Column names compare without case, as in Spark: an identifier that matches a column of a named table but for
//! its case is written as the column is. Names made in the query itself (aliases) are lower case.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider, TableProvider,
};
use datafusion::common::TableReference;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::ViewTable;
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, SelectItem, Statement, TableFactor, TableVersion, VisitMut,
    VisitorMut,
};
use futures::future::BoxFuture;
use ingot_catalog::TableKind;
use ingot_common::{Kind, SchemaName, TableName};
use ingot_delta::TimeTravel;

use crate::provider::delta_provider;
use crate::session::identifier;
use crate::{Error, Result, Session, files};

/// Views in views, at most; a view cannot refer to itself, but views can be many.
const VIEW_DEPTH_MAX: usize = 32;

/// Catalog and schema under which relations without a name of their own are registered.
const INTERNAL: &str = "__ingot";

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

/// Plans a query whose short names are looked up in `namespace`.
pub(crate) async fn plan(session: &Session, query: Statement, namespace: &SchemaName) -> Result<DataFrame> {
    plan_at_depth(session, query, namespace.clone(), 0).await
}

fn plan_at_depth<'a>(
    session: &'a Session,
    mut query: Statement,
    namespace: SchemaName,
    depth: usize,
) -> BoxFuture<'a, Result<DataFrame>> {
    Box::pin(async move {
        let context = planning_context(session, &namespace);
        let special = take_special_relations(&mut query)?;
        let mut columns = Columns::default();
        for (name, relation) in special {
            let provider = special_provider(session, relation, &namespace).await?;
            columns.add(&provider);
            register(&context, TableReference::full(INTERNAL, INTERNAL, name), provider)?;
        }
        let state = context.state();
        let statement = DataFusionStatement::Statement(Box::new(query));
        let references = state.resolve_table_references(&statement)?;
        for reference in references {
            if reference.schema() == Some(INTERNAL) {
                continue;
            }
            let (full, provider) = provider_of(session, &reference, &namespace, depth).await?;
            columns.add(&provider);
            register(&context, full, provider)?;
        }
        let DataFusionStatement::Statement(mut query) = statement else {
            return Err(Error::parse("only queries can be planned".to_owned()));
        };
        columns.restore_case(&mut query);
        let state = context.state();
        let plan = state
            .statement_to_plan(DataFusionStatement::Statement(query))
            .await?;
        Ok(DataFrame::new(state, plan))
    })
}

/// Makes a context with the session's functions and settings, and a catalog of its own: what one statement
/// registers, no other sees.
fn planning_context(session: &Session, namespace: &SchemaName) -> SessionContext {
    let state = session.datafusion().state();
    let mut config = state.config().clone();
    config.options_mut().catalog.default_catalog = namespace.catalog.to_string();
    config.options_mut().catalog.default_schema = namespace.schema.to_string();
    let state = datafusion::execution::SessionStateBuilder::new_from_existing(state)
        .with_config(config)
        .with_catalog_list(Arc::new(datafusion::catalog::MemoryCatalogProviderList::new()))
        .build();
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
    namespace: &SchemaName,
    depth: usize,
) -> Result<(TableReference, Arc<dyn TableProvider>)> {
    let catalog = reference.catalog().unwrap_or(namespace.catalog.as_str());
    let schema = reference.schema().unwrap_or(namespace.schema.as_str());
    let full = TableReference::full(catalog, schema, reference.table());
    if let TableReference::Bare { table } = reference
        && let Some(provider) = session.relation(table)
    {
        return Ok((full, provider));
    }
    let name = TableName::new(
        identifier(catalog)?,
        identifier(schema)?,
        identifier(reference.table())?,
    );
    Ok((full, table_provider(session, &name, None, depth).await?))
}

async fn table_provider(
    session: &Session,
    name: &TableName,
    point: Option<TimeTravel>,
    depth: usize,
) -> Result<Arc<dyn TableProvider>> {
    let info = session
        .engine()
        .metastore()
        .table(name)
        .await
        .map_err(|error| match error {
            ingot_catalog::Error::NotFound { .. } => Error::table_not_found(name),
            other => other.into(),
        })?;
    if info.kind == TableKind::View {
        if depth >= VIEW_DEPTH_MAX {
            return Err(Error::Condition {
                kind: Kind::FailedPrecondition,
                condition: "VIEW_EXCEED_MAX_NESTED_DEPTH",
                sqlstate: "54K00",
                message: format!("view `{name}` stands on more than {VIEW_DEPTH_MAX} views"),
            });
        }
        let definition = info.definition.clone().unwrap_or_default();
        let query = crate::statement::parse_query(&definition)?;
        let namespace = info
            .definition_namespace
            .clone()
            .unwrap_or_else(|| session.namespace());
        let rows = plan_at_depth(session, query, namespace, depth + 1).await?;
        return Ok(Arc::new(ViewTable::new(
            rows.into_unoptimized_plan(),
            Some(definition),
        )));
    }
    let table = session.open(&info).await?;
    let snapshot = match point {
        None => table.snapshot().await?,
        Some(point) => table.snapshot_at(point).await?,
    };
    Ok(delta_provider(table, snapshot, None))
}

/// A relation that is not just a name.
enum SpecialRelation {
    /// A table, or `delta.`/path``, in the past or now.
    Table {
        name: ObjectName,
        version: Option<Version>,
    },
    Files(Box<files::FilesRequest>),
}

/// A point of a table's history as the query gives it.
enum Version {
    Number(i64),
    Timestamp(Box<Expr>),
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
        return Ok(None);
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
    let path = matches!(named.as_slice(), [format, _] if format.eq_ignore_ascii_case("delta"))
        && named.last().is_some_and(|path| path.contains('/'));
    let version = asked.or(suffix);
    Ok((path || version.is_some()).then_some(SpecialRelation::Table { name, version }))
}

/// Splits `t@v12` into the table and the version.
fn split_suffix(name: &ObjectName) -> Result<(ObjectName, Option<Version>)> {
    let mut name = name.clone();
    let Some(ObjectNamePart::Identifier(last)) = name.0.last_mut() else {
        return Ok((name, None));
    };
    let Some((table, version)) = last
        .value
        .rsplit_once("@v")
        .map(|(t, v)| (t.to_owned(), v.to_owned()))
    else {
        return Ok((name, None));
    };
    let Ok(version) = version.parse() else {
        return Ok((name, None));
    };
    last.value = table;
    Ok((name, Some(Version::Number(version))))
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
    namespace: &SchemaName,
) -> Result<Arc<dyn TableProvider>> {
    let (name, version) = match relation {
        SpecialRelation::Files(request) => return request.provider(session).await,
        SpecialRelation::Table { name, version } => (name, version),
    };
    let point = match version {
        None => None,
        Some(Version::Number(version)) => Some(TimeTravel::Version(version)),
        Some(Version::Timestamp(expr)) => Some(TimeTravel::Timestamp(instant(session, &expr).await?)),
    };
    let named = parts(&name)?;
    let [format, path] = named.as_slice() else {
        return table_provider(session, &table_name(&name, namespace)?, point, 0).await;
    };
    if !format.eq_ignore_ascii_case("delta") || !path.contains('/') {
        return table_provider(session, &table_name(&name, namespace)?, point, 0).await;
    }
    let location = files::location(path)?;
    let table = session.engine().tables().open(&location).await?;
    let snapshot = match point {
        None => table.snapshot().await?,
        Some(point) => table.snapshot_at(point).await?,
    };
    Ok(delta_provider(table, snapshot, None))
}

/// Evaluates an expression without columns to an instant, milliseconds since the epoch.
async fn instant(session: &Session, expr: &Expr) -> Result<i64> {
    let query = format!("SELECT CAST(CAST({expr} AS TIMESTAMP) AS BIGINT)");
    let query = crate::statement::parse_query(&query)?;
    let rows = plan(session, query, &session.namespace())
        .await?
        .collect()
        .await?;
    let value = match rows.first() {
        Some(batch) if batch.num_rows() == 1 => ScalarValue::try_from_array(batch.column(0), 0)?,
        _ => ScalarValue::Null,
    };
    match value {
        // Microseconds, as TIMESTAMP is.
        ScalarValue::Int64(Some(micros)) => Ok(micros.div_euclid(1000)),
        _ => Err(Error::parse(format!(
            "`{expr}` is no instant for TIMESTAMP AS OF"
        ))),
    }
}

/// The columns of all relations of a query, to give identifiers the case that the columns have.
#[derive(Default)]
struct Columns {
    /// By lower case; `None` where columns differ by case only, and then the query's own spelling counts.
    exact: HashMap<String, Option<String>>,
}

impl Columns {
    fn add(&mut self, provider: &Arc<dyn TableProvider>) {
        for field in provider.schema().fields() {
            let lower = field.name().to_lowercase();
            let known = self
                .exact
                .entry(lower)
                .or_insert_with(|| Some(field.name().clone()));
            if known.as_ref() != Some(field.name()) {
                *known = None;
            }
        }
    }

    fn restore_case(&self, query: &mut Statement) {
        let mixed: HashSet<&str> = self
            .exact
            .iter()
            .filter(|(lower, exact)| exact.as_ref() != Some(lower))
            .map(|(lower, _)| lower.as_str())
            .collect();
        let mut restorer = CaseRestorer { columns: self, mixed };
        let _ = VisitMut::visit(query, &mut restorer);
    }
}

struct CaseRestorer<'a> {
    columns: &'a Columns,
    mixed: HashSet<&'a str>,
}

impl CaseRestorer<'_> {
    fn restore(&self, ident: &mut Ident) {
        let lower = ident.value.to_lowercase();
        let quoted = ident.quote_style.is_some();
        if let Some(Some(exact)) = self.columns.exact.get(&lower)
            && (quoted || self.mixed.contains(lower.as_str()))
        {
            *ident = Ident::with_quote('`', exact.clone());
        }
    }
}

impl VisitorMut for CaseRestorer<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) => self.restore(ident),
            Expr::CompoundIdentifier(idents) => idents.iter_mut().for_each(|ident| self.restore(ident)),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut datafusion::sql::sqlparser::ast::Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                self.restore(alias);
            }
        }
        ControlFlow::Continue(())
    }
}
