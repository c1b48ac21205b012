//! `SHOW TABLE EXTENDED [IN schema] LIKE 'pattern'`: a text about each table.
//!
//! Source: Databricks, `SHOW TABLE EXTENDED`.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, StringArray};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::sql::sqlparser::ast::{Ident, ObjectName};
use ingot_catalog::{Page, TableInfo, TableKind};
use ingot_common::SchemaName;
use ingot_common::port::StatementResult;

use super::super::describe::columns_of;
use super::super::rows;
use super::Pattern;
use crate::types::ColumnType;
use crate::{Result, Session, access};

/// Shows the tables and views of a schema.
pub(super) async fn tables(
    session: &Session,
    schema: SchemaName,
    pattern: Pattern,
) -> Result<StatementResult> {
    let listed = session
        .engine()
        .metastore()
        .list_tables(&schema, &Page::default())
        .await?;
    let sight = access::sight(session).await?;
    let shown: Vec<&TableInfo> = listed
        .iter()
        .filter(|table| pattern.matches(table.name.table.as_str()) && sight.sees(*table))
        .collect();
    let mut information = Vec::with_capacity(shown.len());
    for table in &shown {
        information.push(about(session, table).await?);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![schema.schema.as_str(); shown.len()])),
        Arc::new(
            shown
                .iter()
                .map(|table| Some(table.name.table.as_str()))
                .collect::<StringArray>(),
        ),
        Arc::new(BooleanArray::from(vec![false; shown.len()])),
        Arc::new(StringArray::from(information)),
    ];
    let fields = vec![
        Field::new("database", DataType::Utf8, false),
        Field::new("tableName", DataType::Utf8, false),
        Field::new("isTemporary", DataType::Boolean, false),
        Field::new("information", DataType::Utf8, false),
    ];
    rows(fields, columns)
}

/// Writes what there is to know of a table, a line each.
async fn about(session: &Session, table: &TableInfo) -> Result<String> {
    let created = chrono::DateTime::from_timestamp_millis(table.audit.created_at).unwrap_or_default();
    let mut lines = vec![
        format!("Catalog: {}", table.name.catalog),
        format!("Database: {}", table.name.schema),
        format!("Table: {}", table.name.table),
        format!("Owner: {}", table.audit.owner),
        format!("Created Time: {}", created.format("%a %b %d %H:%M:%S UTC %Y")),
        format!("Created By: {}", table.audit.created_by),
        format!("Type: {}", table.type_name()),
    ];
    if let Some(definition) = &table.definition {
        lines.push(format!("View Text: {definition}"));
    }
    let properties: Vec<String> = table
        .properties
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    lines.push(format!("Table Properties: [{}]", properties.join(", ")));
    if table.kind != TableKind::View {
        lines.push("Provider: delta".to_owned());
        let delta = session.open(table).await?;
        let detail = delta.detail().await?;
        lines.push(format!("Statistics: {} bytes", detail.size_in_bytes));
        lines.push(format!("Location: {}", detail.location));
        if !detail.partition_columns.is_empty() {
            let columns = detail
                .partition_columns
                .iter()
                .map(|column| format!("`{column}`"));
            let columns: Vec<String> = columns.collect();
            lines.push(format!("Partition Columns: [{}]", columns.join(", ")));
        }
    }
    let parts = [&table.name.catalog, &table.name.schema, &table.name.table];
    let parts = parts.map(|part| Ident::with_quote('`', part.as_str()));
    // A view whose tables are gone is still there to be shown.
    let fields = columns_of(session, &ObjectName::from(parts.to_vec())).await;
    let fields = fields.unwrap_or_else(|_| Fields::empty());
    // It may have several lines. dbt-databricks takes all up to the last line that begins with a name.
    if let Some(comment) = &table.comment {
        lines.push(format!("Comment: {comment}"));
    }
    lines.push("Schema: root".to_owned());
    lines.extend(fields.iter().map(|field| {
        format!(
            " |-- {}: {} (nullable = {})",
            field.name(),
            ColumnType::of(field),
            field.is_nullable()
        )
    }));
    Ok(lines.join("\n") + "\n")
}
