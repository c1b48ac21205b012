//! Relations that are not just names: `read_files(…)`, `table_changes(…)`, `(DESCRIBE HISTORY t)`, tables by their paths
//! and in the past.
//!
//! DataFusion has no names for them: each is taken out of the query, and an internal name put in its place.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Statement, TableFactor, TableFunctionArgs, TableVersion, VisitMut, VisitorMut,
};
use ingot_catalog::TableKind;
use ingot_common::TableName;
use ingot_delta::{DeltaTable, TimeTravel};

use super::names::{delta_path, last_part, name_internally, parts, table_name};
use super::providers::{provider, table_provider};
use super::scope::Scope;
use super::streams::streamed;
use super::time_travel::{Version, instant, split_suffix};
use super::{GENERATORS, Reads, relations};
use crate::change_feed::{self, ChangesRequest, ChangesTable, changes_provider};
use crate::statement::DescribeRequest;
use crate::{Error, Result, Session, access, ast, files};

/// Functions that are relations and not generators.
pub(super) const RELATION_FUNCTIONS: [&str; 5] = [
    "range",
    "read_files",
    "stream",
    "table_changes",
    "table_changes_by_path",
];

/// A relation that is not just a name.
pub(super) enum SpecialRelation {
    /// A table, or `delta.`/path``, in the past or now.
    Table {
        name: ObjectName,
        version: Option<Version>,
    },
    /// The batch of a table that is streamed.
    Stream(ObjectName),
    Files(Box<files::FilesRequest>),
    Changes(Box<ChangesRequest>),
    Described(Box<DescribeRequest>),
}

/// Says if the call of a function of this name, in lower case, is a relation that the engine knows.
pub(crate) fn is_relation_function(name: &str) -> bool {
    RELATION_FUNCTIONS.contains(&name)
        || GENERATORS.contains(&name)
        || name.starts_with(crate::dialect::DESCRIBE_RELATION)
}

/// Calls that are relations and no names of tables: what [`relations`] plans.
pub(super) fn functions_as_relations(query: &mut Statement) {
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
pub(super) fn take_special_relations(query: &mut Statement) -> Result<Vec<(String, SpecialRelation)>> {
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
        let called = match &taken {
            SpecialRelation::Stream(table) => table,
            _ => &*name,
        };
        let called = match last_part(called).split('@').next().unwrap_or_default() {
            path if path.contains('/') => "delta".to_owned(),
            plain => plain.to_owned(),
        };
        let internal = format!("relation_{}", self.found.len());
        name_internally(name, alias, &called, &internal);
        *args = None;
        *version = None;
        self.found.push((internal, taken));
        ControlFlow::Continue(())
    }
}

fn special(
    name: &ObjectName,
    args: Option<&TableFunctionArgs>,
    version: Option<&TableVersion>,
) -> Result<Option<SpecialRelation>> {
    if let Some(table) = streamed(name, args)? {
        return Ok(Some(SpecialRelation::Stream(table)));
    }
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
    let asked = version.map(Version::asked).transpose()?;
    let (name, suffix) = split_suffix(name)?;
    let version = asked.or(suffix);
    Ok((delta_path(&name)?.is_some() || version.is_some())
        .then_some(SpecialRelation::Table { name, version }))
}

/// Makes the relation.
pub(super) async fn special_provider(
    session: &Session,
    relation: SpecialRelation,
    scope: &Scope,
    reads: &Reads,
) -> Result<Arc<dyn TableProvider>> {
    let namespace = &scope.namespace;
    let (name, version) = match relation {
        SpecialRelation::Stream(name) => {
            let name = table_name(&name, namespace)?;
            return reads.stream(&name).ok_or_else(|| no_stream(&name));
        }
        SpecialRelation::Files(request) => return request.provider(session, &scope.reader).await,
        SpecialRelation::Described(request) => return request.provider(session, namespace).await,
        SpecialRelation::Changes(request) => return changes(session, *request, scope, reads).await,
        SpecialRelation::Table { name, version } => (name, version),
    };
    let point = match version {
        None => None,
        Some(version) => Some(version.point(session).await?),
    };
    let Some(path) = delta_path(&name)? else {
        return table_provider(session, &table_name(&name, namespace)?, point, reads, scope).await;
    };
    provider(at_path(session, scope, &path).await?, point, reads).await
}

/// Opens the table at a path.
async fn at_path(session: &Session, scope: &Scope, path: &str) -> Result<Arc<DeltaTable>> {
    access::check_path(session, &scope.reader, path)?;
    let location = files::location(path)?;
    access::check_unfiltered_at(session, &location).await?;
    Ok(session.engine().tables().open(&location).await?)
}

fn no_stream(name: &TableName) -> Error {
    Error::unsupported(format!(
        "STREAM `{name}`: a table is streamed in the query of a streaming table only; read it without STREAM"
    ))
}

/// Makes the relation of a table's changes.
async fn changes(
    session: &Session,
    request: ChangesRequest,
    scope: &Scope,
    reads: &Reads,
) -> Result<Arc<dyn TableProvider>> {
    let table = match &request.table {
        ChangesTable::At(path) => at_path(session, scope, path).await?,
        ChangesTable::Named(name) => {
            let name = table_name(name, &scope.namespace)?;
            let info = access::table_to_read(session, &scope.reader, reads, &name).await?;
            if info.kind == TableKind::View {
                return Err(Error::unsupported(format!(
                    "`{name}` is a view, which has no change data feed; read that of its tables"
                )));
            }
            access::check_unfiltered(&info, "its changes")?;
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
