//! Statements: what is no query is recognised by its first words and run here; one file per family.
//!
//! Queries are DataFusion's to parse; commands are parsed by ours over the same tokens, because Databricks' forms
//! of CREATE TABLE, MERGE, DESCRIBE and SHOW are not sqlparser's. Source: Databricks SQL language reference.

mod alter;
mod analyze;
mod cache;
mod clone;
mod column;
mod copy_into;
mod create_table;
mod cursor;
mod dataset;
mod delete;
mod describe;
mod execute_immediate;
mod explain;
mod foretell;
mod function;
mod grant;
mod ingest;
mod insert;
mod key;
mod light;
mod merge;
mod namespace;
mod optimize;
mod parameters;
mod query_tags;
mod restore;
mod row_filter;
mod script;
mod set;
mod show;
mod tag;
mod target;
mod temporary_view;
mod time_travel;
mod update;
mod vacuum;
mod variable;
mod view;
pub(crate) mod volume;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{Field, Schema};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, Expr, Statement};
use futures::future::BoxFuture;
use ingot_common::port::StatementResult;

use self::cursor::Cursor;
use self::dataset::DatasetKind;
pub(crate) use self::describe::DescribeRequest;
pub(crate) use self::foretell::foretell;
pub(crate) use self::ingest::ingest;
use self::light::is_light;
pub(crate) use self::parameters::{bound, parameters};
pub(crate) use self::set::{ANSI_MODE, JOIN_REORDER, TIME_ZONE, is_harmless, is_setting, set_setting};
pub use self::set::{SettingChange, setting_change};
use crate::history::Trace;
use crate::resolve::{self, Reads};
use crate::resources::Allowance;
use crate::stack::{deep, with_room};
use crate::{Error, Result, Session, dialect};

/// What a statement gives.
struct Answer {
    result: StatementResult,
    /// The rows of a query, not the counts of a change: what a script shows.
    shown: bool,
}

/// A statement that is parsed and not run yet.
struct Work<'a> {
    run: BoxFuture<'a, Result<Answer>>,
    /// May be dropped at any await.
    reads_only: bool,
    /// Needs no slot: does little, however large tables are, or runs statements that have slots of their own.
    light: bool,
}

impl<'a> Work<'a> {
    /// A statement that changes nothing and does little.
    fn reads(run: impl Future<Output = Result<StatementResult>> + Send + 'a) -> Self {
        Self {
            run: Box::pin(async {
                let result = run.await?;
                let shown = !result.schema.fields().is_empty();
                Ok(Answer { result, shown })
            }),
            reads_only: true,
            light: true,
        }
    }

    /// A statement that changes nothing and runs a query, which is light or not.
    fn queries(light: bool, run: impl Future<Output = Result<StatementResult>> + Send + 'a) -> Self {
        Self {
            light,
            ..Self::reads(run)
        }
    }

    /// The same, of a statement that does much.
    fn heavy(self) -> Self {
        Self { light: false, ..self }
    }

    /// A statement that changes something. It looks for cancellation itself, where nothing is done by halves.
    fn writes(run: impl Future<Output = Result<StatementResult>> + Send + 'a) -> Self {
        Self {
            run: Box::pin(async {
                let result = run.await?;
                Ok(Answer { result, shown: false })
            }),
            reads_only: false,
            light: false,
        }
    }

    /// A statement that runs another, which has a slot of its own, and gives what that gives.
    fn runs(run: impl Future<Output = Result<Answer>> + Send + 'a) -> Self {
        Self {
            run: Box::pin(run),
            reads_only: false,
            light: true,
        }
    }

    /// A statement that changes names, properties or values of the session, and no rows.
    fn defines(run: impl Future<Output = Result<StatementResult>> + Send + 'a) -> Self {
        Self {
            light: true,
            ..Self::writes(run)
        }
    }
}

/// Runs one statement. When the request is cancelled, one that reads ends at once; one that writes ends where it
/// can, and has then changed nothing, or it ends as if it had not been cancelled.
pub(crate) async fn execute(session: &Session, text: &str) -> Result<StatementResult> {
    Ok(answer(session, text).await?.result)
}

/// Runs one statement, and says what its result is.
async fn answer(session: &Session, text: &str) -> Result<Answer> {
    // Parsed whole before anything runs: a parser does not cross threads, and a mistake has no effect.
    run(session, with_room(|| parse(session, text))?).await
}

async fn run(session: &Session, work: Work<'_>) -> Result<Answer> {
    let run = deep(work.run);
    if session.context().cancellation.is_cancelled() {
        return Err(Error::Cancelled);
    }
    let allowance = allowance(session, work.light).await?;
    match work.reads_only {
        true => allowance.read(run).await,
        false => {
            if let Some(trace) = Trace::current() {
                trace.changes();
            }
            allowance.write(run).await
        }
    }
}

/// Waits for what a statement needs before it begins. One that another runs works within what that has.
async fn allowance(session: &Session, light: bool) -> Result<Allowance> {
    let around = Allowance::current();
    if light || around.as_ref().is_some_and(Allowance::has_slot) {
        let begin = || Allowance::begin(session.context(), session.time_max(), None);
        return Ok(around.unwrap_or_else(begin));
    }
    let slot = session.engine().admission().admit(&session.stop()).await?;
    Ok(match around {
        Some(around) => {
            around.keep(slot);
            around
        }
        None => Allowance::begin(session.context(), session.time_max(), Some(slot)),
    })
}

/// Runs a query or an expression that a statement of another kind has in it: it needs a slot as a query does, unless it is
/// light, and ends when the statement has to.
async fn read_part<T>(session: &Session, light: bool, work: impl Future<Output = Result<T>>) -> Result<T> {
    let allowance = allowance(session, light).await?;
    allowance.read(work).await
}

/// Evaluates an expression that a statement has in it, in the type given if one is.
async fn value_of(session: &Session, expr: Expr, data_type: Option<SqlType>) -> Result<ScalarValue> {
    let light = is_light(session, &expr);
    read_part(session, light, resolve::constant(session, expr, data_type)).await
}

/// Reads a statement. Nothing of it is done before its work runs: a script is read before any of it.
fn parse<'a>(session: &'a Session, text: &str) -> Result<Work<'a>> {
    let text = &*dialect::number_markers(text)?;
    let mut cursor = Cursor::new(text)?;
    if cursor.accept("BEGIN") {
        return script::parse(session, &mut cursor);
    }
    if cursor.accept("CREATE") {
        return create(session, &mut cursor);
    }
    if cursor.accept("DROP") {
        return drop_securable(session, &mut cursor);
    }
    if cursor.accept("COPY") {
        return copy_into::parse(session, &mut cursor);
    }
    if cursor.accept("ALTER") {
        return alter::parse(session, &mut cursor);
    }
    if cursor.accept("COMMENT") {
        return alter::parse_comment(session, &mut cursor);
    }
    if cursor.accept("INSERT") {
        return insert::parse(session, &mut cursor, None);
    }
    if let Some(with) = cursor.with_before("INSERT") {
        return insert::parse(session, &mut cursor, Some(with));
    }
    if cursor.accept("DELETE") {
        return delete::parse(session, &mut cursor);
    }
    if cursor.accept("UPDATE") {
        return update::parse(session, &mut cursor);
    }
    if cursor.accept("TRUNCATE") {
        return delete::parse_truncate(session, &mut cursor);
    }
    if cursor.accept("MERGE") {
        return merge::parse(session, &mut cursor, None);
    }
    if let Some(with) = cursor.with_before("MERGE") {
        return merge::parse(session, &mut cursor, Some(with));
    }
    if cursor.accept("DESCRIBE") || cursor.accept("DESC") {
        return describe::parse(session, &mut cursor);
    }
    if cursor.accept("OPTIMIZE") {
        return optimize::parse(session, &mut cursor);
    }
    if cursor.accept("REORG") {
        return optimize::parse_reorg(session, &mut cursor);
    }
    if cursor.accept("RESTORE") {
        return restore::parse(session, &mut cursor);
    }
    if cursor.accept("VACUUM") {
        return vacuum::parse(session, &mut cursor);
    }
    if cursor.accept("SHOW") {
        return show::parse(session, &mut cursor);
    }
    if cursor.accept("USE") {
        return namespace::use_namespace(session, &mut cursor);
    }
    if cursor.accept("EXPLAIN") {
        return explain::parse(session, &mut cursor);
    }
    if (cursor.at_all(&["REFRESH", "MATERIALIZED"]) || cursor.at_all(&["REFRESH", "STREAMING"]))
        && cursor.accept("REFRESH")
        && let Some(kind) = DatasetKind::accept(&mut cursor)
    {
        return dataset::refresh(session, &mut cursor, kind);
    }
    if let Some(work) = cache::parse(session, &mut cursor)? {
        return Ok(work);
    }
    if let Some(error) = script::outside(&cursor, text) {
        return Err(error);
    }
    if cursor.accept("DECLARE") {
        return variable::declare(session, &mut cursor);
    }
    if cursor.accept_all(&["SET", "VAR"]) || cursor.accept_all(&["SET", "VARIABLE"]) {
        return variable::set(session, &mut cursor);
    }
    if cursor.accept_all(&["EXECUTE", "IMMEDIATE"]) {
        return execute_immediate::parse(session, &mut cursor);
    }
    for (word, set) in [("SET", true), ("UNSET", false)] {
        if cursor.accept_all(&[word, "TAG", "ON"]) {
            return tag::on(session, &mut cursor, set);
        }
    }
    if cursor.accept("ANALYZE") {
        return analyze::parse(session, &mut cursor);
    }
    if cursor.accept("LIST") {
        return volume::list(session, &mut cursor);
    }
    if cursor.accept("SET") {
        return set::parse(session, &mut cursor);
    }
    if cursor.accept("RESET") {
        return set::reset(session, &mut cursor);
    }
    if cursor.accept("GRANT") {
        return grant::parse(session, &mut cursor, grant::Change::Grant);
    }
    if cursor.accept("REVOKE") {
        return grant::parse(session, &mut cursor, grant::Change::Revoke);
    }
    let query = parse_query(text)?;
    Ok(Work::queries(is_light(session, &query), async move {
        let rows = resolve::plan(session, query, &session.namespace(), &Reads::default()).await?;
        session.run(rows).await
    }))
}

/// Parses a query, or an EXPLAIN of one.
///
/// # Errors
/// `PARSE_SYNTAX_ERROR`, with line and column.
pub(crate) fn parse_query(text: &str) -> Result<Statement> {
    let mut statements = dialect::statements(&dialect::number_markers(text)?)?;
    match (statements.pop(), statements.len()) {
        (Some(query @ (Statement::Query(_) | Statement::Explain { .. })), 0) => Ok(query),
        (None, _) => Err(Error::parse("the statement is empty".to_owned())),
        (Some(_), 0) => Err(Error::parse(format!("not a query: {}", first_words(text)))),
        (Some(_), more) => Err(Error::parse(format!(
            "{} statements where one is run at a time",
            more + 1
        ))),
    }
}

fn first_words(text: &str) -> String {
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

fn create<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    if cursor.accept_all(&["OR", "REFRESH"]) {
        return match DatasetKind::accept(cursor) {
            Some(kind) => dataset::create(session, cursor, kind, true),
            None => Err(cursor.expected("STREAMING TABLE or MATERIALIZED VIEW")),
        };
    }
    if cursor.accept_all(&["OR", "REPLACE"]) {
        return create_replaceable(session, cursor, true);
    }
    if cursor.accept("CATALOG") {
        return namespace::create_catalog(session, cursor);
    }
    if cursor.accept("SCHEMA") || cursor.accept("DATABASE") {
        return namespace::create_schema(session, cursor);
    }
    if cursor.accept("VOLUME") {
        return volume::create(session, cursor, false);
    }
    if cursor.accept_all(&["EXTERNAL", "VOLUME"]) {
        return volume::create(session, cursor, true);
    }
    create_replaceable(session, cursor, false)
}

/// Parses a CREATE of what OR REPLACE may stand before.
fn create_replaceable<'a>(session: &'a Session, cursor: &mut Cursor<'_>, replace: bool) -> Result<Work<'a>> {
    if cursor.accept("VIEW") {
        return view::create(session, cursor, replace);
    }
    if let Some(kind) = DatasetKind::accept(cursor) {
        return match (kind, replace) {
            (DatasetKind::StreamingTable, true) => Err(Error::parse(
                "a streaming table is not replaced; CREATE OR REFRESH STREAMING TABLE gives it another query"
                    .to_owned(),
            )),
            _ => dataset::create(session, cursor, kind, replace),
        };
    }
    let global = cursor.accept("GLOBAL");
    let temporary = cursor.accept("TEMPORARY") || cursor.accept("TEMP");
    if global && !temporary {
        return Err(cursor.expected("TEMPORARY"));
    }
    if !global && cursor.accept("FUNCTION") {
        return function::create(session, cursor, function::Mode { replace, temporary });
    }
    if temporary {
        cursor.expect("VIEW")?;
        return temporary_view::create(session, cursor, temporary_view::Mode { replace, global });
    }
    let external = cursor.accept("EXTERNAL");
    if cursor.accept("TABLE") {
        return create_table::parse(session, cursor, create_table::Mode { replace, external });
    }
    Err(cursor.expected(match replace {
        true => "TABLE, VIEW or FUNCTION",
        false => "CATALOG, SCHEMA, TABLE, VIEW, MATERIALIZED VIEW, STREAMING TABLE, FUNCTION or VOLUME",
    }))
}

fn drop_securable<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    if cursor.accept("CATALOG") {
        return namespace::drop_catalog(session, cursor);
    }
    if cursor.accept("SCHEMA") || cursor.accept("DATABASE") {
        return namespace::drop_schema(session, cursor);
    }
    if cursor.accept("VOLUME") {
        return volume::drop(session, cursor);
    }
    if cursor.accept_all(&["TEMPORARY", "VARIABLE"]) || cursor.accept_all(&["TEMPORARY", "VAR"]) {
        return variable::drop(session, cursor);
    }
    if cursor.accept("FUNCTION") {
        return function::drop(session, cursor, false);
    }
    if cursor.accept_all(&["TEMPORARY", "FUNCTION"]) || cursor.accept_all(&["TEMP", "FUNCTION"]) {
        return function::drop(session, cursor, true);
    }
    if cursor.accept("TABLE") {
        return view::drop(session, cursor, view::Dropped::Table);
    }
    if cursor.accept("VIEW") {
        return view::drop(session, cursor, view::Dropped::View);
    }
    if let Some(kind) = DatasetKind::accept(cursor) {
        return dataset::drop(session, cursor, kind);
    }
    Err(cursor.expected("CATALOG, SCHEMA, TABLE, VIEW, FUNCTION or VOLUME"))
}

/// A result of one batch.
pub(crate) fn rows(fields: Vec<Field>, columns: Vec<ArrayRef>) -> Result<StatementResult> {
    let schema = Arc::new(Schema::new(fields));
    let options =
        arrow::array::RecordBatchOptions::new().with_row_count(Some(columns.first().map_or(0, |c| c.len())));
    let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)
        .map_err(|error| Error::internal(error.to_string()))?;
    Ok(StatementResult {
        schema,
        batches: Box::pin(futures::stream::iter([Ok(batch)])),
    })
}

/// A result of text columns.
pub(crate) fn text_rows(columns: &[(&str, Vec<&str>)]) -> Result<StatementResult> {
    let fields = columns
        .iter()
        .map(|(name, _)| Field::new(*name, arrow::datatypes::DataType::Utf8, true));
    let arrays = columns.iter().map(|(_, values)| {
        let array: ArrayRef = Arc::new(arrow::array::StringArray::from(values.clone()));
        array
    });
    rows(fields.collect(), arrays.collect())
}

/// The result of a statement that gives none.
pub(crate) fn done() -> Result<StatementResult> {
    Ok(StatementResult {
        schema: Arc::new(Schema::empty()),
        batches: Box::pin(futures::stream::empty()),
    })
}

/// The counts that DML gives, as Databricks names them.
pub(crate) fn counts(counts: &[(&str, i64)]) -> Result<StatementResult> {
    let fields = counts
        .iter()
        .map(|(name, _)| Field::new(*name, arrow::datatypes::DataType::Int64, true));
    let arrays = counts.iter().map(|(_, count)| {
        let array: ArrayRef = Arc::new(Int64Array::from(vec![*count]));
        array
    });
    rows(fields.collect(), arrays.collect())
}
