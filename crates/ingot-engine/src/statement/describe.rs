//! `DESCRIBE [TABLE] [EXTENDED [… AS JSON]]`, `DESCRIBE [QUERY]`, `DESCRIBE FUNCTION`, `DESCRIBE HISTORY`, `DESCRIBE DETAIL`, `DESCRIBE SCHEMA | CATALOG`.
//!
//! History and detail are also relations of queries: `SELECT version FROM (DESCRIBE HISTORY t)`.

mod function;
mod json;
mod query;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int32Array, Int64Array, ListBuilder, MapBuilder, RecordBatch, StringArray,
    StringBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Fields};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Value as SqlValue, ValueWithSpan,
};
use ingot_catalog::{Need, TableInfo, TableKind};
use ingot_common::port::StatementResult;
use ingot_common::{Identifier, Kind, SchemaName, TableName};
use ingot_delta::{DeltaTable, HistoryEntry};
use serde_json::Value;

use super::cursor::Cursor;
use super::dataset::MANUAL;
use super::namespace::schema_name;
use super::{Work, key, rows, text_rows, volume};
use crate::access::{self, Reader, SELECT};
use crate::session::{TemporaryView, identifier};
use crate::types::ColumnType;
use crate::{Error, Result, Session, dialect, files, resolve, system_tables};

/// Parses the statement.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    if cursor.accept("HISTORY") {
        let name = cursor.table_or_path()?;
        let limit = match cursor.accept("LIMIT") {
            true => usize::try_from(cursor.number()?).ok(),
            false => None,
        };
        cursor.end()?;
        return Ok(Work::reads(async move {
            let (_, table) = open(session, &name, SELECT).await?;
            named_rows(history(&table, limit).await?)
        }));
    }
    if cursor.accept("DETAIL") {
        let name = cursor.table_or_path()?;
        cursor.end()?;
        return Ok(Work::reads(async move {
            let (info, table) = open(session, &name, Need::Sight).await?;
            named_rows(detail(info, &table).await?)
        }));
    }
    if cursor.accept("FUNCTION") {
        let extended = cursor.accept("EXTENDED");
        let name = resolve::parts(&cursor.object_name()?)?;
        cursor.end()?;
        return Ok(Work::reads(function::describe(session, name, extended)));
    }
    if cursor.accept("VOLUME") {
        let name = volume::volume_name(session, &cursor.object_name()?)?;
        cursor.end()?;
        return Ok(Work::reads(volume::describe(session, name)));
    }
    let queries = ["SELECT", "WITH", "VALUES", "FROM"];
    if cursor.accept("QUERY") || queries.iter().any(|word| cursor.at(word)) {
        let query = cursor.query()?;
        cursor.end()?;
        return Ok(Work::reads(query::columns(session, query)));
    }
    if cursor.accept("CATALOG") {
        cursor.accept("EXTENDED");
        let name = identifier(&cursor.name()?)?;
        cursor.end()?;
        return Ok(Work::reads(catalog(session, name)));
    }
    if cursor.accept("SCHEMA") || cursor.accept("DATABASE") {
        let extended = cursor.accept("EXTENDED");
        let name = schema_name(session, &cursor.object_name()?)?;
        cursor.end()?;
        return Ok(Work::reads(schema(session, name, extended)));
    }
    cursor.accept("TABLE");
    let extended = cursor.accept("EXTENDED") || cursor.accept("FORMATTED");
    let name = cursor.object_name()?;
    if cursor.accept_all(&["AS", "JSON"]) {
        cursor.end()?;
        if !extended {
            return Err(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "DESCRIBE_JSON_NOT_EXTENDED",
                sqlstate: "0A000",
                message: "DESCRIBE … AS JSON takes EXTENDED".to_owned(),
            });
        }
        return Ok(Work::reads(json::describe(session, name)));
    }
    cursor.end()?;
    Ok(Work::reads(columns(session, name, extended)))
}

async fn catalog(session: &Session, name: Identifier) -> Result<StatementResult> {
    let catalog = access::catalog(session, &name, Need::Sight).await?;
    let comment = catalog.comment.unwrap_or_default();
    let values = vec![name.as_str(), comment.as_str(), catalog.audit.owner.as_str()];
    text_rows(&[
        ("info_name", vec!["Catalog Name", "Comment", "Owner"]),
        ("info_value", values),
    ])
}

async fn schema(session: &Session, name: SchemaName, extended: bool) -> Result<StatementResult> {
    let schema = access::schema(session, &name, Need::Sight).await?;
    let comment = schema.comment.unwrap_or_default();
    let mut values = vec![
        name.catalog.as_str(),
        name.schema.as_str(),
        comment.as_str(),
        schema.audit.owner.as_str(),
    ];
    let mut names = vec!["Catalog Name", "Namespace Name", "Comment", "Owner"];
    let properties = schema
        .properties
        .iter()
        .map(|(key, value)| format!("({key},{value})"));
    let properties = properties.collect::<Vec<_>>().join(", ");
    let properties = format!("({properties})");
    if extended {
        names.push("Properties");
        values.push(if schema.properties.is_empty() {
            ""
        } else {
            &properties
        });
    }
    text_rows(&[
        ("database_description_item", names),
        ("database_description_value", values),
    ])
}

/// Returns the columns of a table or view.
pub(super) async fn columns_of(session: &Session, name: &ObjectName) -> Result<Fields> {
    match resolve::delta_path(name)? {
        Some(_) => {
            let (_, table) = open(session, name, Need::Sight).await?;
            Ok(table.snapshot().await?.schema().fields().clone())
        }
        None => {
            let rows = resolve::relation_seen(session, name).await?;
            Ok(rows.schema().fields().clone())
        }
    }
}

/// Returns what there is to know of a table or view of the catalog.
async fn named_table(session: &Session, name: &TableName) -> Result<TableInfo> {
    match system_tables::info(name)? {
        Some(info) => Ok(info),
        None => Ok(access::table(session, name, Need::Sight).await?),
    }
}

async fn columns(session: &Session, name: ObjectName, extended: bool) -> Result<StatementResult> {
    let mut lines: Vec<[String; 3]> = Vec::new();
    let fields = columns_of(session, &name).await?;
    let view = session.temporary_view(&resolve::parts(&name)?);
    let info = match resolve::delta_path(&name)? {
        Some(_) => None,
        None if view.is_some() => None,
        None => Some(named_table(session, &session.resolve(&name)?).await?),
    };
    let made = info.as_ref().is_some_and(|info| system_tables::has(&info.name));
    for field in &fields {
        let listed = info.iter().flat_map(|info| &info.columns);
        let listed = listed.chain(view.iter().flat_map(|view| &view.columns));
        let mut listed = listed.filter(|column| column.name == *field.name());
        let comment = field.metadata().get("comment").cloned();
        let comment = comment.or_else(|| listed.next().and_then(|column| column.comment.clone()));
        lines.push([
            field.name().clone(),
            ColumnType::of(field).to_string(),
            comment.unwrap_or_default(),
        ]);
    }
    if view.is_none() && !made && info.as_ref().is_none_or(|info| info.kind != TableKind::View) {
        let (_, table) = open(session, &name, Need::Sight).await?;
        let snapshot = table.snapshot().await?;
        let partitions = snapshot.partition_columns();
        if !partitions.is_empty() {
            lines.push(line("# Partition Information", ""));
            lines.push([
                "# col_name".to_owned(),
                "data_type".to_owned(),
                "comment".to_owned(),
            ]);
            let known = lines.clone();
            lines.extend(
                partitions
                    .iter()
                    .filter_map(|name| known.iter().find(|line| line[0] == *name).cloned()),
            );
        }
    }
    if extended {
        lines.extend(info.iter().flat_map(extended_lines));
        if let Some(info) = &info {
            lines.extend(constraint_lines(session, info).await?);
        }
        lines.extend(view.iter().flat_map(|view| temporary_lines(view)));
    }
    let column = |place: usize| lines.iter().map(|line| line[place].as_str()).collect();
    text_rows(&[
        ("col_name", column(0)),
        ("data_type", column(1)),
        ("comment", column(2)),
    ])
}

fn temporary_lines(view: &TemporaryView) -> Vec<[String; 3]> {
    let mut lines = vec![
        line("", ""),
        line("# Detailed Table Information", ""),
        line("Table", &view.name),
        line("Type", "VIEW"),
    ];
    lines.extend(view.comment.iter().map(|comment| line("Comment", comment)));
    lines.push(line("View Text", &view.definition));
    lines.push(properties_line(&view.properties));
    lines
}

fn properties_line(properties: &BTreeMap<String, String>) -> [String; 3] {
    let properties: Vec<String> = properties
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    line("Table Properties", &format!("[{}]", properties.join(",")))
}

fn extended_lines(info: &TableInfo) -> Vec<[String; 3]> {
    let mut lines = vec![
        line("", ""),
        line("# Detailed Table Information", ""),
        line("Catalog", info.name.catalog.as_str()),
        line("Database", info.name.schema.as_str()),
        line("Table", info.name.table.as_str()),
        line("Owner", &info.audit.owner),
        line("Created Time", &instant(info.audit.created_at)),
        line("Type", info.type_name()),
    ];
    if let Some(comment) = &info.comment {
        lines.push(line("Comment", comment));
    }
    if let Some(definition) = &info.definition {
        lines.push(line("View Text", definition));
    }
    if info.metrics {
        lines.push(line("Language", "YAML"));
    }
    if info.kind != TableKind::View {
        lines.push(line("Provider", "delta"));
    }
    if matches!(info.kind, TableKind::MaterializedView | TableKind::StreamingTable) {
        let schedule = info.refresh_schedule.as_deref();
        lines.push(line("Refresh Schedule", schedule.unwrap_or(MANUAL)));
    }
    if let Some(location) = &info.location {
        lines.push(line("Location", location));
    }
    lines.push(properties_line(&info.properties));
    lines
}

async fn constraint_lines(session: &Session, info: &TableInfo) -> Result<Vec<[String; 3]>> {
    let keys = session.engine().metastore().table_constraints(info.id).await?;
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut lines = vec![line("", ""), line("# Constraints", "")];
    lines.extend(keys.iter().map(|key| line(&key.name, &key::text(key))));
    Ok(lines)
}

fn line(name: &str, value: &str) -> [String; 3] {
    [name.to_owned(), value.to_owned(), String::new()]
}

fn instant(milliseconds: i64) -> String {
    let instant = chrono::DateTime::from_timestamp_millis(milliseconds);
    instant
        .map(|instant| instant.format("%a %b %d %H:%M:%S UTC %Y").to_string())
        .unwrap_or_default()
}

/// Opens a table by its name, or by its path (`delta.`/path``), for who has what is needed.
pub(super) async fn open(
    session: &Session,
    name: &ObjectName,
    need: Need,
) -> Result<(Option<TableInfo>, Arc<DeltaTable>)> {
    open_in(session, name, &session.namespace(), need).await
}

/// Opens a table whose short name is looked up in `namespace`.
async fn open_in(
    session: &Session,
    name: &ObjectName,
    namespace: &SchemaName,
    need: Need,
) -> Result<(Option<TableInfo>, Arc<DeltaTable>)> {
    if let Some(path) = resolve::delta_path(name)? {
        access::check_path(session, &Reader::Session, &path)?;
        let location = files::location(&path)?;
        access::check_unfiltered_at(session, &location).await?;
        let table = session.engine().tables().open(&location).await?;
        return Ok((None, table));
    }
    let info = access::table(session, &resolve::table_name(name, namespace)?, need).await?;
    let table = session.open(&info).await?;
    Ok((Some(info), table))
}

/// Columns with their names.
type NamedColumns = Vec<(&'static str, ArrayRef)>;

/// A DESCRIBE that is read as a relation.
#[derive(Debug)]
pub(crate) struct DescribeRequest {
    name: ObjectName,
    described: Described,
}

#[derive(Debug)]
enum Described {
    History { limit: Option<usize> },
    Detail,
}

impl DescribeRequest {
    /// Reads the call that the dialect makes of it; `None` for one of another function.
    pub fn from_call(function: &str, arguments: &[FunctionArg]) -> Result<Option<Self>> {
        let usage = || Error::parse("DESCRIBE HISTORY | DETAIL takes the name of a table".to_owned());
        let Some(described) = function.strip_prefix(dialect::DESCRIBE_RELATION) else {
            return Ok(None);
        };
        let values = arguments.iter().map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Some(value),
            _ => None,
        });
        let values: Option<Vec<&Expr>> = values.collect();
        let (name, limit) = match values.as_deref() {
            Some([name]) => (*name, None),
            Some([name, limit]) if described == "history" => {
                (*name, Some(limit.to_string().parse().map_err(|_| usage())?))
            }
            _ => return Err(usage()),
        };
        let name = match name {
            Expr::Identifier(name) => ObjectName::from(vec![name.clone()]),
            Expr::CompoundIdentifier(parts) => ObjectName::from(parts.clone()),
            Expr::Value(ValueWithSpan {
                value: SqlValue::SingleQuotedString(path) | SqlValue::DoubleQuotedString(path),
                ..
            }) => ObjectName::from(vec![Ident::new("delta"), Ident::with_quote('`', path)]),
            _ => return Err(usage()),
        };
        let described = match described {
            "history" => Described::History { limit },
            _ => Described::Detail,
        };
        Ok(Some(Self { name, described }))
    }

    /// Reads the rows, of a table whose short name is looked up in `namespace`.
    pub async fn provider(
        &self,
        session: &Session,
        namespace: &SchemaName,
    ) -> Result<Arc<dyn TableProvider>> {
        let need = match self.described {
            // It tells of values: predicates are of its operations.
            Described::History { .. } => SELECT,
            Described::Detail => Need::Sight,
        };
        let (info, table) = open_in(session, &self.name, namespace, need).await?;
        let columns = match self.described {
            Described::History { limit } => history(&table, limit).await?,
            Described::Detail => detail(info, &table).await?,
        };
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, true)),
        )
        .map_err(|error| Error::internal(error.to_string()))?;
        Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
    }
}

async fn history(table: &DeltaTable, limit: Option<usize>) -> Result<NamedColumns> {
    let entries = table.history(limit).await?;
    let text = |value: fn(&HistoryEntry) -> Option<&String>| -> ArrayRef {
        Arc::new(entries.iter().map(value).collect::<StringArray>())
    };
    let nothing = || -> ArrayRef { Arc::new(StringArray::new_null(entries.len())) };
    Ok(vec![
        (
            "version",
            Arc::new(
                entries
                    .iter()
                    .map(|entry| Some(entry.version))
                    .collect::<Int64Array>(),
            ),
        ),
        (
            "timestamp",
            timestamps(entries.iter().map(|entry| Some(entry.timestamp_ms))),
        ),
        ("userId", text(|entry| entry.info.user_id.as_ref())),
        ("userName", text(|entry| entry.info.user_name.as_ref())),
        ("operation", text(|entry| entry.info.operation.as_ref())),
        (
            "operationParameters",
            maps(
                entries
                    .iter()
                    .map(|entry| entry.info.operation_parameters.as_ref()),
            )?,
        ),
        ("job", nothing()),
        ("notebook", nothing()),
        ("clusterId", nothing()),
        (
            "readVersion",
            Arc::new(
                entries
                    .iter()
                    .map(|entry| entry.info.read_version)
                    .collect::<Int64Array>(),
            ),
        ),
        (
            "isolationLevel",
            text(|entry| entry.info.isolation_level.as_ref()),
        ),
        (
            "isBlindAppend",
            Arc::new(
                entries
                    .iter()
                    .map(|entry| entry.info.is_blind_append)
                    .collect::<BooleanArray>(),
            ),
        ),
        (
            "operationMetrics",
            maps(entries.iter().map(|entry| entry.info.operation_metrics.as_ref()))?,
        ),
        ("userMetadata", text(|entry| entry.info.user_metadata.as_ref())),
        ("engineInfo", text(|entry| entry.info.engine_info.as_ref())),
    ])
}

async fn detail(info: Option<TableInfo>, table: &DeltaTable) -> Result<NamedColumns> {
    let detail = table.detail().await?;
    let text = |value: Option<String>| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let name = info.map(|info| info.name.to_string()).or(detail.name);
    Ok(vec![
        ("format", text(Some("delta".to_owned()))),
        ("id", text(Some(detail.id))),
        ("name", text(name)),
        ("description", text(detail.description)),
        ("location", text(Some(detail.location))),
        ("createdAt", timestamps([detail.created_at_ms].into_iter())),
        (
            "lastModified",
            timestamps([Some(detail.last_modified_ms)].into_iter()),
        ),
        ("partitionColumns", list(&detail.partition_columns)),
        ("clusteringColumns", list(&detail.clustering_columns)),
        ("numFiles", Arc::new(Int64Array::from(vec![detail.num_files]))),
        (
            "sizeInBytes",
            Arc::new(Int64Array::from(vec![detail.size_in_bytes])),
        ),
        ("properties", {
            let properties = detail
                .properties
                .iter()
                .map(|(key, value)| (key.clone(), Value::from(value.as_str())));
            maps([Some(&properties.collect())].into_iter())?
        }),
        (
            "minReaderVersion",
            Arc::new(Int32Array::from(vec![detail.min_reader_version])),
        ),
        (
            "minWriterVersion",
            Arc::new(Int32Array::from(vec![detail.min_writer_version])),
        ),
        ("tableFeatures", list(&detail.table_features)),
    ])
}

fn named_rows(columns: NamedColumns) -> Result<StatementResult> {
    let fields = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    rows(fields, columns.into_iter().map(|(_, array)| array).collect())
}

fn timestamps(milliseconds: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    let micros = milliseconds.map(|milliseconds| milliseconds.map(|ms| ms.saturating_mul(1000)));
    Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

fn maps<'a>(values: impl Iterator<Item = Option<&'a BTreeMap<String, Value>>>) -> Result<ArrayRef> {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for value in values {
        for (key, value) in value.into_iter().flatten() {
            builder.keys().append_value(key);
            match value {
                Value::String(text) => builder.values().append_value(text),
                other => builder.values().append_value(other.to_string()),
            }
        }
        let appended = builder.append(value.is_some());
        appended.map_err(|error| Error::internal(error.to_string()))?;
    }
    Ok(Arc::new(builder.finish()))
}

fn list(values: &[String]) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    values
        .iter()
        .for_each(|value| builder.values().append_value(value));
    builder.append(true);
    Arc::new(builder.finish())
}
