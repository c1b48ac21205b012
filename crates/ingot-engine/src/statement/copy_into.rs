//! `COPY INTO`: files into a table, each once.
//!
//! ```text
//! path, FILES, PATTERN ─► files ─► those that the table has not loaded ─► rows ─► one commit: rows, and that they are
//!                                      ▲                                          loaded (`LoadedFiles`)
//!                                      └────────── another load was faster ◄────────────┘
//! ```
//! Always true: rows of a file are in the table once, however often the statement is sent, by however many, and
//! wherever it was stopped; `force` asks for them again. Source: Databricks SQL language reference, "COPY INTO".

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Schema};
use datafusion::catalog::TableProvider;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Expr, cast};
use datafusion::sql::sqlparser::ast::{
    Ident, ObjectName, ObjectNamePart, Query, Statement, TableFactor, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_common::Kind;
use ingot_common::port::StatementResult;
use ingot_common::retry::RetryPolicy;
use ingot_delta::{COPY_INTO_APP, DeltaTable, LoadedFiles, Operation, Snapshot};
use url::Url;

use super::cursor::Cursor;
use super::target::{Act, Target};
use super::{Work, counts, volume};
use crate::access::Reader;
use crate::files::{self, FilesFormat, FilesOptions, invalid, not_found};
use crate::resolve::{self, Reads};
use crate::write::{
    ColumnMatch, Fence, SchemaEvolution, WriteMode, WriteOptions, WriteRequest, Written, conflict_error,
    nearest, try_write, validate,
};
use crate::{Error, Result, Session};

/// How often a load starts over because another was faster.
const LOAD_RETRIES: RetryPolicy = RetryPolicy {
    retries_max: 50,
    pause_first: Duration::from_millis(10),
    pause_max: Duration::from_secs(1),
};

/// Names in FILES, at most. Source: Databricks.
const FILES_MAX: usize = 1000;

/// Rows that VALIDATE gives, at most. Source: Databricks.
const PREVIEW_ROWS_MAX: usize = 50;

/// The name under which a SELECT finds the files.
const SOURCE: &str = "__ingot_copy_source";

/// Options of COPY_OPTIONS.
const COPY_OPTIONS: [&str; 2] = ["force", "mergeSchema"];

/// Options of FORMAT_OPTIONS that say what is done here anyway: whole files, with all of their columns.
const GRANTED: [(&str, &[&str]); 5] = [
    ("ignoreCorruptFiles", &["false"]),
    ("ignoreMissingFiles", &["false"]),
    ("mergeSchema", &["true", "false"]),
    ("mode", &["failfast"]),
    ("recursiveFileLookup", &["true"]),
];

/// The statement as it was written.
struct CopyInto {
    target: Target,
    columns: ColumnMatch,
    path: String,
    /// Over the files as [`SOURCE`].
    query: Option<Box<Query>>,
    files: Option<Vec<String>>,
    pattern: Option<String>,
    format: FilesOptions,
    force: bool,
    merge_schema: bool,
    validate: Option<Validated>,
}

/// The rows that VALIDATE looks at.
#[derive(Debug, Clone, Copy)]
enum Validated {
    All,
    Rows(usize),
}

/// Parses the statement. It has committed when its work is done.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let copy = CopyInto::parse(session, cursor)?;
    Ok(Work::writes(copy.run(session)))
}

impl CopyInto {
    fn parse(session: &Session, cursor: &mut Cursor<'_>) -> Result<Self> {
        cursor.expect("INTO")?;
        let target = Target::parse(session, cursor)?;
        let columns = if cursor.accept_all(&["BY", "POSITION"]) {
            ColumnMatch::Position
        } else if cursor.at_names() {
            ColumnMatch::Listed(cursor.names_in_parentheses()?)
        } else {
            ColumnMatch::Name
        };
        cursor.expect("FROM")?;
        let (path, query) = source(cursor)?;
        let mut clauses = Clauses::default();
        while !cursor.at_end() {
            clauses.take(cursor)?;
        }
        cursor.end()?;
        let format = clauses.format(&path)?;
        if clauses.files.is_some() && clauses.pattern.is_some() {
            return Err(Error::parse(
                "COPY INTO takes FILES or PATTERN, not both".to_owned(),
            ));
        }
        Ok(Self {
            target,
            columns,
            path,
            query,
            format,
            force: flag(&clauses.copy_options, "force")?,
            merge_schema: flag(&clauses.copy_options, "mergeSchema")?,
            files: clauses.files,
            pattern: clauses.pattern,
            validate: clauses.validate,
        })
    }

    async fn run(self, session: &Session) -> Result<StatementResult> {
        let table = self.target.open(session, Act::Add).await?;
        if let Some(validated) = self.validate {
            return self.check(session, &table, validated).await;
        }
        let mut retries = LOAD_RETRIES.attempts();
        loop {
            match self.load(session, &table).await? {
                Load::Done(rows) => {
                    return counts(&[
                        ("num_affected_rows", rows),
                        ("num_inserted_rows", rows),
                        ("num_skipped_corrupt_files", 0),
                    ]);
                }
                Load::Again(_) if retries.pause().await => {}
                Load::Again(error) => return Err(error),
            }
        }
    }

    /// Loads what the newest version of the table has not.
    async fn load(&self, session: &Session, table: &Arc<DeltaTable>) -> Result<Load> {
        let reads = Reads::default();
        let snapshot = reads.snapshot(table).await?;
        let loaded = match LoadedFiles::read(table, &snapshot).await {
            Ok(loaded) => loaded,
            Err(error) => return superseded(table, &snapshot, error.into()).await,
        };
        let files = self.new_files(session, &loaded).await?;
        if files.is_empty() {
            return Ok(Load::Done(0));
        }
        let rows = self.rows(session, &reads, &snapshot, &files).await?;
        let names: Vec<String> = files.iter().map(Url::to_string).collect();
        let staged = loaded.stage(table, &names).await?;
        let mut request = self.request(session, rows)?;
        request.operation = Some(Operation::new("COPY INTO"));
        request.fence = Some(Fence::Application {
            app_id: COPY_INTO_APP.to_owned(),
            after: loaded.number(),
            version: staged.number,
        });
        // After an error it may count all the same.
        match try_write(session, table, &request).await? {
            Written::Committed { metrics, .. } => {
                staged.clean(table).await;
                Ok(Load::Done(metrics.get("numOutputRows")))
            }
            Written::AlreadyApplied { app_id, version } => {
                staged.discard(table).await;
                match app_id == COPY_INTO_APP {
                    true => Ok(Load::Again(overtaken(version))),
                    // The statement's own application transaction.
                    false => Ok(Load::Done(0)),
                }
            }
            Written::Conflicted(reason) => {
                staged.discard(table).await;
                Ok(Load::Again(conflict_error(&reason)))
            }
        }
    }

    /// Does with the files what a load would, but writes nothing, and gives the first rows as the table would hold them.
    async fn check(
        &self,
        session: &Session,
        table: &Arc<DeltaTable>,
        validated: Validated,
    ) -> Result<StatementResult> {
        let reads = Reads::default();
        let snapshot = reads.snapshot(table).await?;
        let loaded = LoadedFiles::read(table, &snapshot).await?;
        let files = self.new_files(session, &loaded).await?;
        let (schema, batches) = match files.is_empty() {
            true => (Arc::clone(snapshot.schema()), Vec::new()),
            false => {
                let rows = self.rows(session, &reads, &snapshot, &files).await?;
                let rows = match validated {
                    Validated::All => rows,
                    Validated::Rows(count) => rows.limit(0, Some(count))?,
                };
                let request = self.request(session, rows)?;
                validate(session, table, &request, PREVIEW_ROWS_MAX).await?
            }
        };
        Ok(StatementResult {
            schema,
            batches: Box::pin(futures::stream::iter(batches.into_iter().map(Ok))),
        })
    }

    fn request(&self, session: &Session, rows: DataFrame) -> Result<WriteRequest> {
        let mut options = WriteOptions::of_session(session, WriteMode::Append)?;
        if self.merge_schema {
            options.evolution = SchemaEvolution::Merge;
        }
        Ok(WriteRequest::new(rows, self.columns.clone(), options))
    }

    /// Lists the files that are to be loaded, in the order of their names.
    async fn new_files(&self, session: &Session, loaded: &LoadedFiles) -> Result<Vec<Url>> {
        let files = self.list(session).await?.into_iter();
        Ok(files
            .filter(|file| self.force || !loaded.contains(file.as_str()))
            .collect())
    }

    /// Lists the files that the statement means, in the order of their names.
    async fn list(&self, session: &Session) -> Result<BTreeSet<Url>> {
        let root = volume::place(session, &Reader::Session, &self.path).await?;
        let mut found = BTreeSet::new();
        let Some(names) = &self.files else {
            let place = match &self.pattern {
                Some(pattern) => files::below(&root, pattern)?,
                None => root,
            };
            let listed = files::list_files(session, &place).await?;
            found.extend(listed.into_iter().map(|file| file.url));
            if found.is_empty() && self.pattern.is_none() {
                return Err(not_found(&self.path));
            }
            return Ok(found);
        };
        for name in names {
            let listed = files::list_files(session, &files::below(&root, name)?).await?;
            if listed.is_empty() {
                return Err(not_found(&format!("{}/{name}", self.path.trim_end_matches('/'))));
            }
            found.extend(listed.into_iter().map(|file| file.url));
        }
        Ok(found)
    }

    /// Plans the rows of `files`.
    async fn rows(
        &self,
        session: &Session,
        reads: &Reads,
        snapshot: &Snapshot,
        files: &[Url],
    ) -> Result<DataFrame> {
        let provider = files::listed_files_provider(session, files, &self.format).await?;
        let rows = session.datafusion().read_table(provider)?;
        let rows = match &self.format.format {
            FilesFormat::Csv(csv) if !csv.header && self.format.schema.is_none() => numbered(rows)?,
            _ => rows,
        };
        let Some(query) = &self.query else {
            return match &self.format.format {
                FilesFormat::Csv(_) => self.typed(rows, snapshot.schema()),
                FilesFormat::Json | FilesFormat::Parquet | FilesFormat::Text => Ok(rows),
            };
        };
        let relation: Arc<dyn TableProvider> = rows.into_view();
        session.register_relation(SOURCE, relation)?;
        let query = Statement::Query(query.clone());
        let planned = resolve::plan(session, query, &session.namespace(), reads).await;
        session.forget_relation(SOURCE);
        planned
    }

    /// Reads the texts of CSV files as values of the columns that they go to.
    fn typed(&self, rows: DataFrame, table: &Schema) -> Result<DataFrame> {
        let given = rows.schema().clone();
        let mut columns = Vec::with_capacity(given.fields().len());
        for (place, (qualifier, field)) in given.iter().enumerate() {
            let column = Expr::Column(datafusion::prelude::Column::new(qualifier.cloned(), field.name()));
            let name = match &self.columns {
                ColumnMatch::Name => Some(field.name()),
                ColumnMatch::Listed(names) => names.get(place),
                ColumnMatch::Position => table.fields().get(place).map(|field| field.name()),
            };
            let mut fields = table.fields().iter();
            let target =
                fields.find(|field| name.is_some_and(|name| field.name().eq_ignore_ascii_case(name)));
            let text = matches!(field.data_type(), DataType::Utf8 | DataType::Utf8View);
            columns.push(match target {
                Some(target) if text && !target.data_type().is_nested() => {
                    cast(column, target.data_type().clone()).alias(field.name())
                }
                _ => column,
            });
        }
        Ok(rows.select(columns)?)
    }
}

/// What became of one try.
enum Load {
    /// So many rows were added.
    Done(i64),
    /// Another load was faster; the error is for when this goes on.
    Again(Error),
}

/// Says if a failure to read what was loaded is one of a version that is past: its entries are cleaned up.
async fn superseded(table: &DeltaTable, snapshot: &Snapshot, error: Error) -> Result<Load> {
    let newest = table.snapshot().await?;
    let seen = snapshot.app_transaction(COPY_INTO_APP).await?;
    match newest.app_transaction(COPY_INTO_APP).await? == seen {
        true => Err(error),
        false => Ok(Load::Again(error)),
    }
}

/// Takes `[ALL | n ROWS]`.
fn validated(cursor: &mut Cursor<'_>) -> Result<Validated> {
    let all = cursor.accept("ALL") || !cursor.at_number();
    if all {
        return Ok(Validated::All);
    }
    let count = usize::try_from(cursor.number()?).unwrap_or(usize::MAX);
    cursor.expect("ROWS")?;
    Ok(Validated::Rows(count))
}

/// Takes `'path'`, or `(SELECT … FROM 'path')`, whose path is replaced by [`SOURCE`].
fn source(cursor: &mut Cursor<'_>) -> Result<(String, Option<Box<Query>>)> {
    if !cursor.at_token(&Token::LParen) {
        return Ok((cursor.string()?, None));
    }
    cursor.expect_token(&Token::LParen)?;
    let mut query = cursor.source()?;
    cursor.expect_token(&Token::RParen)?;
    let mut paths = Paths::default();
    let _ = VisitMut::visit(&mut query, &mut paths);
    match paths.found.as_slice() {
        [path] => Ok((path.clone(), Some(query))),
        [] => Err(Error::parse("COPY INTO selects FROM 'a path'".to_owned())),
        _ => Err(Error::parse("COPY INTO selects from one path".to_owned())),
    }
}

/// Finds the paths in the places of tables.
#[derive(Default)]
struct Paths {
    found: Vec<String>,
}

impl VisitorMut for Paths {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, .. } = factor
            && let [ObjectNamePart::Identifier(path)] = name.0.as_slice()
            && matches!(path.quote_style, Some('\'' | '"'))
        {
            self.found.push(path.value.clone());
            let source = Ident::with_quote('`', SOURCE);
            *name = ObjectName(vec![ObjectNamePart::Identifier(source)]);
        }
        ControlFlow::Continue(())
    }
}

/// What follows the source, in any order.
#[derive(Default)]
struct Clauses {
    file_format: Option<String>,
    files: Option<Vec<String>>,
    pattern: Option<String>,
    format_options: BTreeMap<String, String>,
    copy_options: BTreeMap<String, String>,
    validate: Option<Validated>,
}

impl Clauses {
    fn take(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        if cursor.accept("FILEFORMAT") {
            cursor.expect_token(&Token::Eq)?;
            self.file_format = Some(cursor.name()?);
        } else if cursor.accept("FILES") {
            cursor.expect_token(&Token::Eq)?;
            let files = cursor.in_parentheses(Cursor::string)?;
            if files.len() > FILES_MAX {
                return Err(Error::parse(format!("FILES takes {FILES_MAX} names at most")));
            }
            self.files = Some(files);
        } else if cursor.accept("PATTERN") {
            cursor.expect_token(&Token::Eq)?;
            self.pattern = Some(cursor.string()?);
        } else if cursor.accept("FORMAT_OPTIONS") {
            self.format_options = cursor.properties()?.into_iter().collect();
        } else if cursor.accept("COPY_OPTIONS") {
            self.copy_options = cursor.properties()?.into_iter().collect();
            let known = |name: &String| COPY_OPTIONS.iter().any(|known| known.eq_ignore_ascii_case(name));
            if let Some(unknown) = self.copy_options.keys().find(|name| !known(name)) {
                return Err(invalid(format!(
                    "COPY_OPTIONS has no `{unknown}`; the nearest known is `{}`",
                    nearest(unknown, &COPY_OPTIONS)
                )));
            }
        } else if cursor.accept("VALIDATE") {
            self.validate = Some(validated(cursor)?);
        } else if cursor.at("WITH") {
            return Err(Error::unsupported(
                "COPY INTO … WITH (CREDENTIAL …) is not supported".to_owned(),
            ));
        } else {
            return Err(cursor.expected("FILEFORMAT, FILES, PATTERN, FORMAT_OPTIONS or COPY_OPTIONS"));
        }
        Ok(())
    }

    /// Reads how files are read.
    fn format(&self, path: &str) -> Result<FilesOptions> {
        let Some(format) = &self.file_format else {
            return Err(Error::parse(
                "COPY INTO needs FILEFORMAT = CSV, JSON, PARQUET or TEXT".to_owned(),
            ));
        };
        let lower = format.to_lowercase();
        if !["csv", "json", "parquet", "text"].contains(&lower.as_str()) {
            return Err(Error::unsupported(format!(
                "COPY INTO reads CSV, JSON, PARQUET and TEXT, not `{format}`"
            )));
        }
        let mut options = BTreeMap::new();
        for (name, value) in &self.format_options {
            let granted = GRANTED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            // Values of CSV files may hold line ends, and an object of JSON is a line.
            let lines = name.eq_ignore_ascii_case("multiLine")
                && (lower == "csv" || value.eq_ignore_ascii_case("false"));
            match granted {
                Some((_, values)) if values.iter().any(|granted| granted.eq_ignore_ascii_case(value)) => {}
                None if lines => {}
                None if !name.eq_ignore_ascii_case("format") && !name.eq_ignore_ascii_case("multiLine") => {
                    options.insert(name.clone(), value.clone());
                }
                _ => {
                    return Err(Error::unsupported(format!(
                        "FORMAT_OPTIONS `{name}` = `{value}` is not supported for {format}"
                    )));
                }
            }
        }
        if !options
            .keys()
            .any(|name| name.eq_ignore_ascii_case("inferSchema"))
        {
            options.insert("inferSchema".to_owned(), "false".to_owned());
        }
        options.insert("format".to_owned(), lower);
        FilesOptions::from_map(path, &options)
    }
}

/// Gives the columns of files without a header Spark's names: `_c0`, `_c1`, ….
fn numbered(rows: DataFrame) -> Result<DataFrame> {
    let columns = rows.schema().columns().into_iter().enumerate();
    let columns = columns.map(|(place, column)| Expr::Column(column).alias(format!("_c{place}")));
    let columns: Vec<Expr> = columns.collect();
    Ok(rows.select(columns)?)
}

fn flag(options: &BTreeMap<String, String>, name: &str) -> Result<bool> {
    match options.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)) {
        None => Ok(false),
        Some((_, value)) if value.eq_ignore_ascii_case("true") => Ok(true),
        Some((_, value)) if value.eq_ignore_ascii_case("false") => Ok(false),
        Some((_, value)) => Err(invalid(format!("`{name}` is true or false, not `{value}`"))),
    }
}

fn overtaken(version: i64) -> Error {
    Error::Condition {
        kind: Kind::Conflict,
        condition: "DELTA_CONCURRENT_TRANSACTION",
        sqlstate: "2D521",
        message: format!("another COPY INTO loaded files meanwhile (entry {version})"),
    }
}
