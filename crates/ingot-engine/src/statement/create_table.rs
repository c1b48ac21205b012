//! `CREATE [OR REPLACE] TABLE`, with or without a query.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::dataframe::DataFrame;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_catalog::{NewConstraint, NewKey, TableFilters, TableKind};
use ingot_common::TableName;
use ingot_common::port::StatementResult;
use ingot_delta::column::IDENTITY_HIGH_WATER_MARK;
use ingot_delta::schema::{ColumnNames, storable_schema};

use super::alter::Clustering;
use super::column::{self, ColumnDefinition};
use super::cursor::Cursor;
use super::row_filter::{FilterClauses, FunctionClause};
use super::{Work, clone, counts, done, key};
use crate::access::{self, SELECT};
use crate::resolve::{self, Reads};
use crate::write::rules::CONSTRAINT_PREFIX;
use crate::write::rules::definition::{check_columns, refused};
use crate::write::{CloneTarget, Created, TableSpec, create, replace_table};
use crate::{Error, Result, Session, files};

/// The words before TABLE.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mode {
    pub replace: bool,
    pub external: bool,
}

/// What stands after TABLE.
#[derive(Debug)]
struct Definition {
    name: TableName,
    if_not_exists: bool,
    columns: Vec<Field>,
    keys: Vec<NewConstraint>,
    partition_columns: Vec<String>,
    /// PARTITIONED BY defined its columns.
    partition_types: bool,
    location: Option<String>,
    comment: Option<String>,
    properties: BTreeMap<String, String>,
    clustering_columns: Option<Vec<Vec<String>>>,
    /// The table whose definition this one takes.
    like: Option<TableName>,
    query: Option<Statement>,
    clone_of: Option<clone::Source>,
    filters: FilterClauses,
}

/// Parses the statement.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>, mode: Mode) -> Result<Work<'a>> {
    let definition = definition(session, cursor)?;
    check_properties(&definition.properties)?;
    if mode.external && definition.location.is_none() {
        return Err(Error::parse("CREATE EXTERNAL TABLE needs a LOCATION".to_owned()));
    }
    if mode.replace && definition.if_not_exists {
        return Err(Error::parse(
            "CREATE OR REPLACE and IF NOT EXISTS exclude each other".to_owned(),
        ));
    }
    let writes_rows = definition.query.is_some() || definition.clone_of.is_some();
    let work = run(session, definition, mode);
    Ok(match writes_rows {
        true => Work::writes(work),
        false => Work::defines(work),
    })
}

/// Runs the statement. A table made by a query is there with all its rows, or not at all.
async fn run(session: &Session, mut definition: Definition, mode: Mode) -> Result<StatementResult> {
    if let Some(source) = definition.clone_of.take() {
        return run_clone(session, definition, source, mode).await;
    }
    if let Some(like) = definition.like.take() {
        take_definition(session, &mut definition, &like).await?;
    }
    if definition.clustering_columns.is_some() && !definition.partition_columns.is_empty() {
        return Err(refused(
            "DELTA_CLUSTER_BY_WITH_PARTITIONED_BY",
            "42613",
            "clustering and partitioning cannot both be specified".to_owned(),
        ));
    }
    let rows = match definition.query.take() {
        Some(query) => {
            let reads = Reads::default();
            Some(resolve::plan(session, query, &session.namespace(), &reads).await?)
        }
        None => None,
    };
    let mut spec = spec(&definition, rows.as_ref())?;
    spec.filters = definition
        .filters
        .to_filters(session, &spec.name, &spec.schema)
        .await?;
    check_columns(
        &session.datafusion().state(),
        &spec.schema,
        &spec.partition_columns,
    )?;
    let count = if mode.replace {
        Some(replace_table(session, &spec, rows.as_ref()).await?)
    } else {
        match create(session, &spec, rows.as_ref(), definition.if_not_exists).await? {
            Created::New(_, _, count) => Some(count),
            Created::Existed(..) => None,
        }
    };
    match (rows, count) {
        (Some(_), Some(count)) => counts(&[("num_affected_rows", count), ("num_inserted_rows", count)]),
        _ => done(),
    }
}

async fn run_clone(
    session: &Session,
    definition: Definition,
    source: clone::Source,
    mode: Mode,
) -> Result<StatementResult> {
    if definition.query.is_some()
        || !definition.columns.is_empty()
        || !definition.partition_columns.is_empty()
        || !definition.filters.is_empty()
    {
        return Err(Error::parse(
            "a clone has its source's columns, partitions and rows; it takes LOCATION and TBLPROPERTIES"
                .to_owned(),
        ));
    }
    let target = CloneTarget {
        location: location(&definition)?,
        name: definition.name,
        if_not_exists: definition.if_not_exists,
        replace: mode.replace,
    };
    clone::run(session, source, target, definition.properties).await
}

/// Refuses properties that another clause sets.
pub(super) fn check_properties(properties: &BTreeMap<String, String>) -> Result<()> {
    match properties.keys().find(|key| key.starts_with(CONSTRAINT_PREFIX)) {
        Some(_) => Err(refused(
            "DELTA_ADD_CONSTRAINTS",
            "0A000",
            "please use ALTER TABLE ADD CONSTRAINT to add CHECK constraints".to_owned(),
        )),
        None => Ok(()),
    }
}

/// Takes columns, partitioning, clustering and properties from another table, without its rows.
async fn take_definition(session: &Session, definition: &mut Definition, like: &TableName) -> Result<()> {
    let info = access::table(session, like, SELECT).await?;
    let table = session.open(&info).await?;
    let snapshot = table.snapshot().await?;
    let fields = snapshot.schema().fields().iter().map(|field| {
        let mut metadata = field.metadata().clone();
        metadata.remove(IDENTITY_HIGH_WATER_MARK);
        Field::clone(field).with_metadata(metadata)
    });
    definition.columns = fields.collect();
    definition.partition_columns = snapshot.partition_columns().to_vec();
    definition.clustering_columns = snapshot
        .clustering_columns()?
        .filter(|columns| !columns.is_empty());
    // What says where the log or its files are numbered belongs to that table alone.
    let own = |key: &str| {
        let beginnings = [
            "delta.inCommitTimestamp",
            "delta.requireCheckpointProtectionBeforeVersion",
            "delta.rowTracking.",
            "delta.columnMapping.maxColumnId",
        ];
        beginnings.iter().any(|own| key.starts_with(own))
    };
    for (key, value) in snapshot.properties().iter().filter(|(key, _)| !own(key)) {
        definition
            .properties
            .entry(key.clone())
            .or_insert_with(|| value.clone());
    }
    if definition.comment.is_none() {
        definition.comment = info.comment;
    }
    Ok(())
}

fn definition(session: &Session, cursor: &mut Cursor<'_>) -> Result<Definition> {
    let if_not_exists = cursor.if_not_exists();
    let mut definition = Definition {
        name: cursor.table_name(session)?,
        if_not_exists,
        columns: Vec::new(),
        keys: Vec::new(),
        partition_columns: Vec::new(),
        partition_types: false,
        location: None,
        comment: None,
        properties: BTreeMap::new(),
        clustering_columns: None,
        like: None,
        query: None,
        clone_of: clone::Source::accept(cursor)?,
        filters: FilterClauses::default(),
    };
    if cursor.accept("LIKE") {
        definition.like = Some(cursor.table_name(session)?);
    }
    if cursor.at_token(&Token::LParen) {
        let Elements { columns, keys, masks } = elements(cursor, |cursor| table_element(session, cursor))?;
        definition.columns = columns;
        definition.keys = keys;
        definition.filters.masks = masks;
    }
    loop {
        if cursor.accept("USING") {
            let format = cursor.name()?;
            if !format.eq_ignore_ascii_case("delta") {
                return Err(Error::unsupported(format!(
                    "tables are stored as DELTA, not as {format}"
                )));
            }
        } else if cursor.accept_all(&["PARTITIONED", "BY"]) {
            partitioned_by(session, cursor, &mut definition)?;
        } else if cursor.accept("LOCATION") {
            definition.location = Some(cursor.string()?);
        } else if cursor.accept("COMMENT") {
            definition.comment = Some(cursor.string()?);
        } else if cursor.accept("TBLPROPERTIES") || cursor.accept("OPTIONS") {
            definition.properties.extend(cursor.properties()?);
        } else if cursor.accept_all(&["CLUSTER", "BY"]) {
            let clustering = Clustering::parse(cursor)?;
            definition.clustering_columns = clustering.of_new_table(&mut definition.properties);
        } else if cursor.accept_all(&["WITH", "ROW", "FILTER"]) {
            definition.filters.row_filter = Some(FunctionClause::row_filter(cursor)?);
        } else if cursor.accept("AS") || cursor.at("SELECT") || cursor.at("WITH") || cursor.at("VALUES") {
            definition.query = Some(cursor.query()?);
            break;
        } else {
            break;
        }
    }
    cursor.end()?;
    if definition.partition_types && definition.query.is_some() {
        return Err(Error::parse(
            "CREATE TABLE AS takes the types of partition columns from its query; PARTITIONED BY gives their names"
                .to_owned(),
        ));
    }
    Ok(definition)
}

/// Takes `(a, b)`, or `(a INT, b DATE COMMENT 'text')`, which adds these columns to the table.
fn partitioned_by(session: &Session, cursor: &mut Cursor<'_>, definition: &mut Definition) -> Result<()> {
    let columns = cursor.in_parentheses(|cursor| {
        let name = cursor.name()?;
        let untyped = cursor.at_token(&Token::Comma) || cursor.at_token(&Token::RParen);
        let field = match untyped {
            true => None,
            false => Some(column::clauses(session, cursor, &name)?),
        };
        Ok((name, field))
    })?;
    let (names, fields): (Vec<String>, Vec<Option<Field>>) = columns.into_iter().unzip();
    let typed: Vec<Field> = fields.into_iter().flatten().collect();
    if !typed.is_empty() && typed.len() < names.len() {
        return Err(Error::parse(
            "PARTITIONED BY names columns of the table, or defines columns with their types; it cannot do both"
                .to_owned(),
        ));
    }
    definition.partition_types = !typed.is_empty();
    definition.columns.extend(typed);
    definition.partition_columns = names;
    Ok(())
}

/// What a definition of columns may have between its parentheses.
pub(super) enum TableElement {
    Column(ColumnDefinition),
    Key(NewConstraint),
}

fn table_element(session: &Session, cursor: &mut Cursor<'_>) -> Result<TableElement> {
    Ok(match key::at_key(cursor) {
        true => TableElement::Key(key::table_key(session, cursor)?),
        false => TableElement::Column(column::column(session, cursor)?),
    })
}

/// What a definition of columns says.
#[derive(Debug, Default)]
pub(super) struct Elements {
    pub columns: Vec<Field>,
    pub keys: Vec<NewConstraint>,
    /// By the names of their columns.
    pub masks: Vec<(String, FunctionClause)>,
}

/// Takes `(column, …, key, …)`, each by `take`. Columns of the primary key are NOT NULL, said or not.
pub(super) fn elements(
    cursor: &mut Cursor<'_>,
    take: impl FnMut(&mut Cursor<'_>) -> Result<TableElement>,
) -> Result<Elements> {
    let elements = cursor.in_parentheses(take)?;
    let Elements {
        mut columns,
        mut keys,
        mut masks,
    } = Elements::default();
    for element in elements {
        match element {
            TableElement::Key(key) => keys.push(key),
            TableElement::Column(column) => {
                let name = column.field.name();
                masks.extend(column.mask.map(|mask| (name.clone(), mask)));
                columns.push(column.field);
                keys.extend(column.keys);
            }
        }
    }
    // A foreign key may refer to the primary one of the same table.
    keys.sort_by_key(|key| matches!(key.key, NewKey::Foreign { .. }));
    let primary = keys
        .iter()
        .filter(|key| matches!(key.key, NewKey::Primary { .. }));
    let of_primary: Vec<&String> = primary.flat_map(|key| &key.columns).collect();
    for column in &mut columns {
        if of_primary
            .iter()
            .any(|name| name.eq_ignore_ascii_case(column.name()))
        {
            column.set_nullable(false);
        }
    }
    Ok(Elements { columns, keys, masks })
}

fn spec(definition: &Definition, query: Option<&DataFrame>) -> Result<TableSpec> {
    let schema = match (query, definition.columns.is_empty()) {
        (Some(query), true) => query_schema(query, ColumnNames::of(&definition.properties))?,
        _ => Arc::new(Schema::new(definition.columns.clone())),
    };
    let partition_columns = definition
        .partition_columns
        .iter()
        .map(|name| {
            // Names compare without case; the log keeps the column's own.
            let found = schema
                .fields()
                .iter()
                .find(|field| field.name().eq_ignore_ascii_case(name));
            found.map_or_else(|| name.clone(), |field| field.name().clone())
        })
        .collect();
    let location = location(definition)?;
    Ok(TableSpec {
        name: definition.name.clone(),
        kind: if location.is_some() {
            TableKind::External
        } else {
            TableKind::Managed
        },
        schema,
        partition_columns,
        location,
        definition: None,
        comment: definition.comment.clone(),
        properties: definition.properties.clone(),
        clustering_columns: definition.clustering_columns.clone(),
        constraints: definition.keys.clone(),
        dataset: None,
        filters: TableFilters::default(),
    })
}

fn location(definition: &Definition) -> Result<Option<String>> {
    Ok(match &definition.location {
        Some(location) => Some(files::location(location)?.to_string()),
        None => None,
    })
}

/// Returns the columns that a table made by `query` has: all nullable, as Spark makes them.
pub(super) fn query_schema(query: &DataFrame, names: ColumnNames) -> Result<SchemaRef> {
    let fields = query.schema().fields().iter().map(|field| {
        // A literal NULL has no type; Spark's void cannot be stored either, and string is what people mean.
        let data_type = match field.data_type() {
            DataType::Null => DataType::Utf8,
            other => other.clone(),
        };
        Field::new(field.name(), data_type, true)
    });
    Ok(storable_schema(&Schema::new(fields.collect::<Vec<_>>()), names)?)
}
