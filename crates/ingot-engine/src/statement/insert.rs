//! `[WITH …] INSERT [WITH SCHEMA EVOLUTION] INTO | OVERWRITE [TABLE] name …`: Databricks' forms, read into a
//! [`WriteRequest`].
//!
//! ```text
//! name [alias] [PARTITION (p = v, q)] [(columns) | BY NAME] [REPLACE WHERE p | USING (columns) | ON condition] query
//! ```
//! Source: Databricks SQL language reference, "INSERT".

mod defaults;

use arrow::datatypes::Schema;
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, cast};
use datafusion::sql::sqlparser::ast::{Query, Statement, With};
use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_common::Kind;
use ingot_common::port::StatementResult;
use ingot_delta::Snapshot;

use self::defaults::Defaults;
use super::cursor::Cursor;
use super::target::{Act, Target};
use super::{Work, counts};
use crate::resolve::{self, Reads};
use crate::write::rules::identity;
use crate::write::{ColumnMatch, SchemaEvolution, WriteMode, WriteOptions, WriteRequest, type_text, write};
use crate::{Error, Result, Session, dialect, spark};

/// Words that go on with the statement after the table's name, and are no alias.
const AFTER_NAME: [&str; 8] = [
    "BY",
    "FROM",
    "PARTITION",
    "REPLACE",
    "SELECT",
    "TABLE",
    "VALUES",
    "WITH",
];

/// The statement as it was written.
struct Insert {
    target: Target,
    overwrite: bool,
    evolve: bool,
    table_alias: String,
    /// Columns of PARTITION, with the text of their value if they have one.
    partition: Vec<(String, Option<String>)>,
    columns: Option<Vec<String>>,
    by_name: bool,
    replace: Option<Replace>,
    query: Box<Query>,
    query_alias: String,
}

/// Which rows give way.
enum Replace {
    Where(String),
    Using(Vec<String>),
    On(String),
}

/// Parses the statement, whose common table expressions are `with`. It has committed when its work is done.
pub(super) fn parse<'a>(
    session: &'a Session,
    cursor: &mut Cursor<'_>,
    with: Option<With>,
) -> Result<Work<'a>> {
    let insert = Insert::parse(session, cursor, with)?;
    Ok(Work::writes(insert.run(session)))
}

impl Insert {
    fn parse(session: &Session, cursor: &mut Cursor<'_>, with: Option<With>) -> Result<Self> {
        let evolve = cursor.accept_all(&["WITH", "SCHEMA", "EVOLUTION"]);
        let overwrite = cursor.accept("OVERWRITE");
        if !overwrite {
            cursor.expect("INTO")?;
        }
        cursor.accept("TABLE");
        let target = Target::parse(session, cursor)?;
        let table_alias = cursor.alias(&AFTER_NAME)?;
        let table_alias = table_alias.unwrap_or_else(|| target.called().to_owned());
        let partition = match cursor.accept("PARTITION") {
            true => cursor.in_parentheses(partition_value)?,
            false => Vec::new(),
        };
        let mut by_name = cursor.accept_all(&["BY", "NAME"]);
        let columns = match !by_name && cursor.at_names() {
            true => Some(cursor.names_in_parentheses()?),
            false => None,
        };
        by_name |= cursor.accept_all(&["BY", "NAME"]);
        let replace = replace(cursor)?;
        if replace.is_some() && (overwrite || !partition.is_empty()) {
            return Err(Error::parse(
                "INSERT … REPLACE stands with INTO and without PARTITION".to_owned(),
            ));
        }
        if by_name && columns.is_some() {
            return Err(Error::parse(
                "INSERT takes BY NAME or a list of columns".to_owned(),
            ));
        }
        let mut query = cursor.source()?;
        let query_alias = match &replace {
            Some(Replace::On(_)) => cursor.alias(&[])?.unwrap_or_default(),
            _ => String::new(),
        };
        cursor.end()?;
        if let Some(with) = with {
            prepend(&mut query, with);
        }
        Ok(Self {
            target,
            overwrite,
            evolve,
            table_alias,
            partition,
            columns,
            by_name,
            replace,
            query,
            query_alias,
        })
    }

    async fn run(self, session: &Session) -> Result<StatementResult> {
        let act = match self.replace {
            Some(_) => Act::Change,
            None => Act::Add,
        };
        let (table, newest) = self.target.open_newest(session, act).await?;
        let turn = identity::turn_at(&table, &newest).await?;
        let reads = Reads::default();
        let snapshot = match turn {
            None => reads.see(&table, newest),
            // Others may have given values while we waited.
            Some(_) => reads.snapshot(&table).await?,
        };
        let constants = self.constants(session, &snapshot)?;
        let mut options = WriteOptions::of_session(session, self.mode(session, &snapshot)?)?;
        if self.evolve {
            options.evolution = SchemaEvolution::Merge;
        }
        let mut query = self.query;
        let listed = match &self.columns {
            Some(columns) => Some(columns.clone()),
            None if self.by_name => None,
            None => Some(free_columns(snapshot.schema(), &constants)),
        };
        let defaults = match listed {
            Some(listed) => Defaults::take(&mut query, listed),
            None => None,
        };
        let mut rows = resolve::plan(session, Statement::Query(query), &session.namespace(), &reads).await?;
        let mut columns = match (self.columns, self.by_name) {
            (Some(columns), _) => ColumnMatch::Listed(columns),
            (None, true) => ColumnMatch::Name,
            (None, false) => ColumnMatch::Position,
        };
        if let Some(defaults) = defaults {
            let (completed, names) = defaults.restore(rows, snapshot.schema())?;
            rows = completed;
            columns = ColumnMatch::Listed(names);
        }
        let mut request = WriteRequest::new(rows, columns, options);
        request.constants = constants;
        request.read = Some(snapshot);
        let written = write(session, &table, &request).await?;
        counts(&[
            ("num_affected_rows", written.rows()),
            ("num_inserted_rows", written.rows()),
        ])
    }

    fn mode(&self, session: &Session, snapshot: &Snapshot) -> Result<WriteMode> {
        match &self.replace {
            Some(Replace::Where(predicate)) => return Ok(WriteMode::ReplaceWhere(predicate.clone())),
            Some(Replace::Using(columns)) => return Ok(WriteMode::ReplaceUsing(columns.clone())),
            Some(Replace::On(condition)) => {
                return Ok(WriteMode::ReplaceOn {
                    condition: condition.clone(),
                    table_alias: self.table_alias.clone(),
                    rows_alias: self.query_alias.clone(),
                });
            }
            None if !self.overwrite => return Ok(WriteMode::Append),
            None => {}
        }
        let mode = WriteOptions::overwrite(session)?;
        let fixed: Vec<String> = self
            .partition
            .iter()
            .filter_map(|(name, value)| Some((name, value.as_ref()?)))
            .map(|(name, value)| {
                let field = partition_field(snapshot, name)?;
                let data_type = type_text(field.data_type());
                Ok(format!(
                    "{} <=> cast({value} as {data_type})",
                    dialect::quoted(field.name())
                ))
            })
            .collect::<Result<_>>()?;
        match mode {
            WriteMode::Overwrite if !fixed.is_empty() => Ok(WriteMode::ReplaceWhere(fixed.join(" AND "))),
            mode => Ok(mode),
        }
    }

    /// Evaluates the values of PARTITION in their columns' types.
    fn constants(&self, session: &Session, snapshot: &Snapshot) -> Result<Vec<(String, Expr)>> {
        let mut constants: Vec<(String, Expr)> = Vec::new();
        for (name, value) in &self.partition {
            let field = partition_field(snapshot, name)?;
            let Some(value) = value else {
                continue;
            };
            if constants.iter().any(|(other, _)| other == field.name()) {
                return Err(Error::parse(format!("PARTITION names the column `{name}` twice")));
            }
            let state = session.datafusion().state();
            let value = spark::plan(&state, dialect::expression(value)?, &DFSchema::empty())?;
            constants.push((field.name().clone(), cast(value, field.data_type().clone())));
        }
        Ok(constants)
    }
}

/// Takes `name` or `name = value`.
fn partition_value(cursor: &mut Cursor<'_>) -> Result<(String, Option<String>)> {
    let name = cursor.name()?;
    let value = match cursor.accept_token(&Token::Eq) {
        true => Some(cursor.expression_text()?.to_owned()),
        false => None,
    };
    Ok((name, value))
}

fn replace(cursor: &mut Cursor<'_>) -> Result<Option<Replace>> {
    if !cursor.accept("REPLACE") {
        return Ok(None);
    }
    if cursor.accept("WHERE") {
        return Ok(Some(Replace::Where(cursor.expression_text()?.to_owned())));
    }
    if cursor.accept("USING") {
        return Ok(Some(Replace::Using(cursor.names_in_parentheses()?)));
    }
    if cursor.accept("ON") {
        return Ok(Some(Replace::On(cursor.expression_text()?.to_owned())));
    }
    Err(cursor.expected("WHERE, USING or ON"))
}

/// Gives the query the common table expressions that stand before the statement; its own come after them.
fn prepend(query: &mut Query, mut with: With) {
    if let Some(own) = query.with.take() {
        with.recursive |= own.recursive;
        with.cte_tables.extend(own.cte_tables);
    }
    query.with = Some(with);
}

/// The columns that rows fill by position.
fn free_columns(table: &Schema, constants: &[(String, Expr)]) -> Vec<String> {
    let fields = table.fields().iter().map(|field| field.name());
    let free = fields.filter(|name| !constants.iter().any(|(constant, _)| constant == *name));
    free.cloned().collect()
}

fn partition_field<'a>(snapshot: &'a Snapshot, name: &str) -> Result<&'a arrow::datatypes::Field> {
    let column = snapshot
        .partition_columns()
        .iter()
        .find(|column| column.eq_ignore_ascii_case(name));
    let field = column.and_then(|column| snapshot.schema().field_with_name(column).ok());
    field.ok_or_else(|| Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "NON_PARTITION_COLUMN",
        sqlstate: "42000",
        message: format!("PARTITION clause cannot contain `{name}`, which does not partition the table"),
    })
}
