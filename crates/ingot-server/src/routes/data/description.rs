//! The data API as OpenAPI describes it: for any table, and for one with its columns.
//!
//! `GET /api/v1/data/{table}/openapi.json` has a parameter for each column and operator, of the column's type, and the
//! type of the rows. Who may read a table may read its description.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Field, Schema};
use axum::Json;
use axum::extract::{Extension, Path, State};
use ingot_common::TableName;
use ingot_common::port::{TableRequest, TableVersion};
use serde_json::{Map, Value, json};
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};

use super::listing::path_segment;
use super::parameters::OPERATORS;
use crate::auth::Caller;
use crate::encode::Format;
use crate::error::{ApiError, ErrorBody};
use crate::routes::openapi;
use crate::state::AppState;

/// Parameters that are no filters: name, type, what it is, an example.
const PARAMETERS: [(&str, Type, &str, Option<&str>); 12] = [
    (
        "filters",
        Type::String,
        "JSON object of conditions, all of which must hold: `{\"carrier\":\"UA\"}`, `{\"carrier\":[\"UA\",\"F9\"]}`, \
         `{\"flights\":{\"gte\":1000,\"lt\":5000}}`. Operators: eq, ne, lt, lte, gt, gte, in, not_in, like, ilike, is_null.",
        Some("{\"carrier\":\"UA\"}"),
    ),
    (
        "select",
        Type::String,
        "Columns to return, separated by commas; all by default.",
        None,
    ),
    (
        "order",
        Type::String,
        "Columns to sort by, separated by commas; `-` before a column sorts it downwards.",
        Some("-flights"),
    ),
    ("limit", Type::Integer, "Rows to return at most.", None),
    (
        "group_by",
        Type::String,
        "Columns whose values make groups, separated by commas.",
        Some("carrier"),
    ),
    (
        "aggregate",
        Type::String,
        "What is computed of each group, or of all rows: `function:column:name`, separated by commas. Functions: count, \
         count_distinct, sum, avg, min, max. Without a name the column is called `function_column`.",
        Some("count,avg:dep_delay"),
    ),
    ("version", Type::Integer, "Version of the table to read.", None),
    (
        "timestamp",
        Type::String,
        "Reads the table as it was then: RFC 3339, or milliseconds since the epoch.",
        None,
    ),
    (
        "changes_since",
        Type::Integer,
        "Returns what changed after this version instead of rows, with `_change_type`, `_commit_version` and \
         `_commit_timestamp`; -1 for all changes.",
        None,
    ),
    (
        "page_size",
        Type::Integer,
        "Rows of a page at most. The header `Link` says where the next page is, if there is one.",
        None,
    ),
    (
        "cursor",
        Type::String,
        "Where the page begins, of the header `Link` of the page before.",
        None,
    ),
    (
        "format",
        Type::String,
        "Format of the answer, whatever `Accept` says.",
        None,
    ),
];

/// The parameters of any table.
pub struct DataParameters;

/// The table as a parameter.
pub struct TableParameter;

impl IntoParams for DataParameters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let parameters = PARAMETERS.iter().map(|(name, kind, description, example)| {
            let mut schema = ObjectBuilder::new().schema_type(SchemaType::Type(kind.clone()));
            if *kind == Type::Integer {
                schema = schema.minimum(Some(minimum(name)));
            }
            if *name == "format" {
                schema = schema.enum_values(Some(Format::ALL.map(Format::name)));
            }
            ParameterBuilder::new()
                .name(*name)
                .parameter_in(ParameterIn::Query)
                .required(Required::False)
                .description(Some(*description))
                .schema(Some(schema.build()))
                .example(example.map(Value::from))
                .build()
        });
        parameters.collect()
    }
}

impl IntoParams for TableParameter {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
        let table = ParameterBuilder::new()
            .name("table")
            .parameter_in(ParameterIn::Query)
            .required(Required::True)
            .description(Some("Table or view, as `catalog.schema.table`."))
            .schema(Some(schema.build()))
            .example(Some("main.gold.carrier_delay".into()));
        vec![table.build()]
    }
}

fn minimum(name: &str) -> i64 {
    match name {
        "changes_since" => -1,
        "page_size" => 1,
        _ => 0,
    }
}

/// Describes one table: its columns as parameters, its rows as the answer.
#[utoipa::path(
    get, path = "/api/v1/data/{table}/openapi.json", tag = "data", params(("table" = String, Path,
        description = "Table or view, as `catalog.schema.table`.", example = "main.gold.carrier_delay")),
    responses(
        (status = 200, description = "an OpenAPI document", body = Object),
        (status = 400, description = "the name is not `catalog.schema.table`", body = ErrorBody),
        (status = 401, description = "no known token", body = ErrorBody),
        (status = 403, description = "the caller may not read the table", body = ErrorBody),
        (status = 404, description = "no such table", body = ErrorBody),
        (status = 429, description = "too many requests of the caller are being answered", body = ErrorBody),
        (status = 503, description = "the server is stopping, or a part of it does not answer", body = ErrorBody),
    )
)]
pub async fn describe(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(table): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let table = TableName::parse(&table).map_err(|error| ApiError::from_error(&error))?;
    let context = state.context(caller);
    let _guard = context.cancellation.clone().drop_guard();
    let request = TableRequest {
        table: table.clone(),
        version: TableVersion::Latest,
        changes_since: None,
    };
    let opened = state.statements.open_table(&context, request).await;
    let reader = opened.map_err(|error| state.blame(error))?;
    document(&table, &reader.state().schema)
}

/// Takes what is said of any table, and puts the columns in.
fn document(table: &TableName, schema: &Schema) -> Result<Json<Value>, ApiError> {
    let whole = serde_json::to_value(openapi::document());
    let mut document = whole.map_err(|_| ApiError::internal("the description cannot be written"))?;
    let any = "/api/v1/data/{table}";
    let mut path = document["paths"][any].take();
    let operation = &mut path["get"];
    operation["operationId"] = format!("read {table}").into();
    operation["summary"] = format!("Returns rows of {table}.").into();
    if let Some(Value::Array(parameters)) = operation.get_mut("parameters") {
        parameters.retain(|parameter| parameter["in"] == "query");
        parameters.extend(schema.fields().iter().flat_map(|field| filters(field)));
    }
    let rows = json!({"type": "array", "items": row(schema)});
    operation["responses"]["200"]["content"][Format::Json.media_type()]["schema"] = rows;
    let address = format!("/api/v1/data/{}", path_segment(&table.to_string()));
    document["info"]["title"] = table.to_string().into();
    document["paths"] = json!({ address: path });
    Ok(Json(document))
}

/// The filters of a column.
fn filters(field: &Field) -> Vec<Value> {
    let (name, own) = (field.name(), value_type(field.data_type()));
    let text = field.data_type().is_string();
    let comparable = comparable(field.data_type());
    let parameters = OPERATORS.iter().filter_map(|(operator, _)| {
        let (schema, description) = match *operator {
            "is_null" => (
                json!({"type": "boolean"}),
                format!("`{name}` is null, or is not."),
            ),
            "like" | "ilike" if text => (
                json!({"type": "string"}),
                format!("`{name}` is as this pattern, in which `%` stands for any characters."),
            ),
            "like" | "ilike" => return None,
            _ if !comparable => return None,
            "in" | "not_in" => (
                json!({"type": "string"}),
                format!("`{name}` is one of these, or none, separated by commas."),
            ),
            _ => (own.clone(), format!("`{name}` compared by `{operator}`.")),
        };
        let suffix = match *operator {
            "eq" if !super::parameters::RESERVED.contains(&name.as_str()) => String::new(),
            operator => format!(".{operator}"),
        };
        Some(json!({
            "name": format!("{name}{suffix}"),
            "in": "query",
            "required": false,
            "description": description,
            "schema": schema,
        }))
    });
    parameters.collect()
}

/// Says if a column can be compared with a value that a client writes.
fn comparable(data_type: &DataType) -> bool {
    data_type.is_numeric()
        || data_type.is_string()
        || matches!(
            data_type,
            DataType::Boolean | DataType::Date32 | DataType::Timestamp(_, _)
        )
}

/// A row as JSON.
fn row(schema: &Schema) -> Value {
    let mut properties = Map::new();
    for field in schema.fields() {
        let mut column = nullable(value_type(field.data_type()));
        if let Some(comment) = field.metadata().get("comment") {
            column["description"] = comment.as_str().into();
        }
        properties.insert(field.name().clone(), column);
    }
    // `select` and groups leave columns out and make others.
    json!({"type": "object", "properties": properties})
}

fn nullable(mut schema: Value) -> Value {
    if let Some(kind) = schema.get("type").and_then(Value::as_str) {
        schema["type"] = json!([kind, "null"]);
    }
    schema
}

/// A value as JSON, as rows are written.
fn value_type(data_type: &DataType) -> Value {
    match data_type {
        DataType::Boolean => json!({"type": "boolean"}),
        DataType::Int8 | DataType::Int16 | DataType::Int32 => json!({"type": "integer", "format": "int32"}),
        DataType::Int64 => json!({"type": "integer", "format": "int64"}),
        DataType::Float32 => json!({"type": "number", "format": "float"}),
        DataType::Float64 | DataType::Decimal128(_, _) => json!({"type": "number"}),
        DataType::Date32 => json!({"type": "string", "format": "date"}),
        DataType::Timestamp(_, Some(_)) => json!({"type": "string", "format": "date-time"}),
        DataType::List(item) | DataType::LargeList(item) => {
            json!({"type": "array", "items": nullable(value_type(item.data_type()))})
        }
        DataType::Struct(fields) => {
            let properties: BTreeMap<_, _> = fields
                .iter()
                .map(|field| (field.name().clone(), nullable(value_type(field.data_type()))))
                .collect();
            json!({"type": "object", "properties": properties})
        }
        DataType::Map(_, _) => json!({"type": "object"}),
        _ => json!({"type": "string"}),
    }
}
