//! `DESCRIBE TABLE EXTENDED t AS JSON`: what there is to know of a table or view, in one row.
//!
//! Source: Databricks, `DESCRIBE TABLE`, "JSON formatted output".

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use datafusion::sql::sqlparser::ast::ObjectName;
use ingot_catalog::{FunctionArgument, Need, TableFilters, TableFunction, TableInfo, TableKind};
use ingot_common::port::StatementResult;
use serde_json::{Map, Value, json};

use super::super::dataset::MANUAL;
use super::super::{key, text_rows};
use super::{columns_of, named_table, open};
use crate::functions::variant::is_variant;
use crate::session::TemporaryView;
use crate::types::TextLimit;
use crate::write::type_text;
use crate::{Result, Session, resolve, system_tables};

/// Describes a table or view.
pub(super) async fn describe(session: &Session, name: ObjectName) -> Result<StatementResult> {
    let fields = columns_of(session, &name).await?;
    let mut about = Map::new();
    if let Some(view) = session.temporary_view(&resolve::parts(&name)?) {
        temporary(&mut about, &view, &fields);
    } else {
        let info = match resolve::delta_path(&name)? {
            Some(_) => None,
            None => Some(named_table(session, &session.resolve(&name)?).await?),
        };
        if let Some(info) = &info {
            named(&mut about, info);
            constraints(session, info, &mut about).await?;
        }
        let comments = |column: &str| {
            let mut columns = info.iter().flat_map(|info| &info.columns);
            columns.find(|known| known.name == column)?.comment.clone()
        };
        about.insert("columns".to_owned(), columns(&fields, comments));
        let made = info.as_ref().is_some_and(|info| system_tables::has(&info.name));
        if !made && info.as_ref().is_none_or(|info| info.kind != TableKind::View) {
            stored(session, &name, &mut about).await?;
        }
    }
    let text = Value::Object(about).to_string();
    text_rows(&[("json_metadata", vec![text.as_str()])])
}

fn temporary(about: &mut Map<String, Value>, view: &TemporaryView, fields: &Fields) {
    about.insert("table_name".to_owned(), json!(view.name));
    let comments = |column: &str| {
        let known = view.columns.iter().find(|known| known.name == column);
        known.and_then(|known| known.comment.clone())
    };
    about.insert("columns".to_owned(), columns(fields, comments));
    about.insert("type".to_owned(), json!("VIEW"));
    about.insert("view_text".to_owned(), json!(view.definition));
    if let Some(comment) = &view.comment {
        about.insert("comment".to_owned(), json!(comment));
    }
    about.insert("table_properties".to_owned(), json!(view.properties));
}

fn named(about: &mut Map<String, Value>, info: &TableInfo) {
    let instant = |milliseconds: i64| {
        let instant = chrono::DateTime::from_timestamp_millis(milliseconds).unwrap_or_default();
        json!(instant.format("%Y-%m-%dT%H:%M:%SZ").to_string())
    };
    about.insert("table_name".to_owned(), json!(info.name.table.as_str()));
    about.insert("catalog_name".to_owned(), json!(info.name.catalog.as_str()));
    about.insert("namespace".to_owned(), json!([info.name.schema.as_str()]));
    about.insert("schema_name".to_owned(), json!(info.name.schema.as_str()));
    about.insert("type".to_owned(), json!(info.type_name()));
    about.insert("owner".to_owned(), json!(info.audit.owner));
    about.insert("created_time".to_owned(), instant(info.audit.created_at));
    about.insert("created_by".to_owned(), json!(info.audit.created_by));
    if let Some(comment) = &info.comment {
        about.insert("comment".to_owned(), json!(comment));
    }
    if let Some(location) = &info.location {
        about.insert("location".to_owned(), json!(location));
    }
    if let Some(definition) = &info.definition {
        about.insert("view_text".to_owned(), json!(definition));
    }
    about.insert("table_properties".to_owned(), json!(info.properties));
    filters(about, &info.filters);
    if matches!(info.kind, TableKind::MaterializedView | TableKind::StreamingTable) {
        let schedule = info.refresh_schedule.as_deref();
        about.insert("refresh_schedule".to_owned(), json!(schedule.unwrap_or(MANUAL)));
    }
}

/// Adds through which functions the table is shown.
fn filters(about: &mut Map<String, Value>, filters: &TableFilters) {
    let function = |function: &TableFunction| {
        let TableFunction { name, .. } = function;
        json!({
            "catalog_name": name.schema.catalog.as_str(),
            "schema_name": name.schema.schema.as_str(),
            "function_name": name.function.as_str(),
        })
    };
    let arguments =
        |given: &[FunctionArgument]| -> Value { given.iter().map(FunctionArgument::text).collect() };
    if let Some(filter) = &filters.row_filter {
        let filter = json!({
            "function_name": function(&filter.function),
            "column_names": arguments(&filter.columns),
        });
        about.insert("row_filter".to_owned(), filter);
    }
    if !filters.column_masks.is_empty() {
        let masks = filters.column_masks.iter().map(|(column, mask)| {
            json!({
                "column_name": column,
                "function_name": function(&mask.function),
                "using_column_names": arguments(&mask.using_columns),
            })
        });
        about.insert("column_masks".to_owned(), masks.collect());
    }
}

/// Adds the table's keys: `[(name,PRIMARY KEY (`a`)), (name,FOREIGN KEY …)]`.
async fn constraints(session: &Session, info: &TableInfo, about: &mut Map<String, Value>) -> Result<()> {
    let keys = session.engine().metastore().table_constraints(info.id).await?;
    if !keys.is_empty() {
        let keys: Vec<String> = keys
            .iter()
            .map(|key| format!("({},{})", key.name, key::text(key)))
            .collect();
        about.insert(
            "table_constraints".to_owned(),
            json!(format!("[{}]", keys.join(", "))),
        );
    }
    Ok(())
}

/// Adds what the table's log says.
async fn stored(session: &Session, name: &ObjectName, about: &mut Map<String, Value>) -> Result<()> {
    let (_, table) = open(session, name, Need::Sight).await?;
    let snapshot = table.snapshot().await?;
    about.insert("provider".to_owned(), json!("delta"));
    about.insert("table_properties".to_owned(), json!(snapshot.properties()));
    let partitions = snapshot.partition_columns();
    if !partitions.is_empty() {
        about.insert("partition_columns".to_owned(), json!(partitions));
    }
    Ok(())
}

fn columns(fields: &Fields, comments: impl Fn(&str) -> Option<String>) -> Value {
    let column = |field: &Field| {
        let mut column = Map::new();
        column.insert("name".to_owned(), json!(field.name()));
        let column_type = match TextLimit::of(field) {
            Some(limit) => json!({ "name": limit.name(), "length": limit.length }),
            None => data_type(field.data_type()),
        };
        column.insert("type".to_owned(), column_type);
        column.insert("nullable".to_owned(), json!(field.is_nullable()));
        let comment = field.metadata().get("comment").cloned();
        if let Some(comment) = comment.or_else(|| comments(field.name())) {
            column.insert("comment".to_owned(), json!(comment));
        }
        Value::Object(column)
    };
    fields.iter().map(|field| column(field)).collect()
}

fn data_type(of: &DataType) -> Value {
    match of {
        variant if is_variant(variant) => json!({ "name": "variant" }),
        DataType::List(item) => json!({
            "name": "array",
            "element_type": data_type(item.data_type()),
            "element_nullable": item.is_nullable(),
        }),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) if pair.len() == 2 => json!({
                "name": "map",
                "key_type": data_type(pair[0].data_type()),
                "value_type": data_type(pair[1].data_type()),
                "value_nullable": pair[1].is_nullable(),
            }),
            _ => json!({ "name": type_text(of) }),
        },
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|field| {
                json!({
                    "name": field.name(),
                    "type": data_type(field.data_type()),
                    "nullable": field.is_nullable(),
                })
            });
            json!({ "name": "struct", "fields": fields.collect::<Vec<Value>>() })
        }
        DataType::Decimal128(precision, scale) => {
            json!({ "name": "decimal", "precision": precision, "scale": scale })
        }
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => json!({ "name": "timestamp_ltz" }),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            json!({ "name": "string", "collation": "UTF8_BINARY" })
        }
        other => json!({ "name": type_text(other) }),
    }
}
