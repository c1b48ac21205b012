//! Unity Catalog's listings, read-only: `/api/2.1/unity-catalog/{catalogs,schemas,tables}`.
//!
//! A page leaves out what the caller may not know of, so it may be short. Source: Unity Catalog REST API 0.1: field names, paging by `max_results` and `page_token` (0 and absent mean the
//! server's default of 100, which is the maximum, too; the token is the last name of the page before).

#![allow(
    unused_qualifications,
    reason = "utoipa's macro repeats the path of a parameter's type"
)]

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use ingot_catalog::model::{Audit, CatalogInfo, ColumnInfo, Page, SchemaInfo, TableInfo};
use ingot_catalog::{ColumnMask, FunctionArgument, Need, Securable, Sight};
use ingot_common::{Identifier, SchemaName, TableName};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::routes::openapi::Failures;
use crate::state::AppState;

const RESULTS_MAX: u32 = 100;

type Answer = Result<Json<Value>, ApiError>;
type Parameters<T> = Result<Query<T>, QueryRejection>;

/// Which catalogs to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListCatalogs {
    /// Entries of a page, 100 at most.
    pub max_results: Option<i64>,
    /// `next_page_token` of the page before.
    pub page_token: Option<String>,
}

/// Which schemas to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListSchemas {
    /// Catalog to list.
    pub catalog_name: String,
    /// Entries of a page, 100 at most.
    pub max_results: Option<i64>,
    /// `next_page_token` of the page before.
    pub page_token: Option<String>,
}

/// Which tables to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListTables {
    /// Catalog of the schema to list.
    pub catalog_name: String,
    /// Schema to list.
    pub schema_name: String,
    /// Entries of a page, 100 at most.
    pub max_results: Option<i64>,
    /// `next_page_token` of the page before.
    pub page_token: Option<String>,
}

/// Puts the routes together, relative to `/api/2.1/unity-catalog`.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/catalogs", get(list_catalogs))
        .route("/catalogs/{name}", get(get_catalog))
        .route("/schemas", get(list_schemas))
        .route("/schemas/{full_name}", get(get_schema))
        .route("/tables", get(list_tables))
        .route("/tables/{full_name}", get(get_table))
}

/// Lists catalogs by name.
#[utoipa::path(get, path = "/api/2.1/unity-catalog/catalogs", tag = "unity-catalog", params(ListCatalogs),
    responses((status = 200, description = "a page of catalogs", body = Object), Failures))]
pub async fn list_catalogs(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    parameters: Parameters<ListCatalogs>,
) -> Answer {
    let ListCatalogs {
        max_results,
        page_token,
    } = known(parameters)?;
    let Listing { page, results } = Listing::new(max_results, page_token)?;
    let found = state.metastore.list_catalogs(&page).await.map_err(failed)?;
    let sight = sight(&state, &caller).await?;
    Ok(paged(
        "catalogs",
        &found,
        results,
        |info| sight.sees(info),
        catalog,
        |info| info.name.to_string(),
    ))
}

/// Returns a catalog.
#[utoipa::path(get, path = "/api/2.1/unity-catalog/catalogs/{name}", tag = "unity-catalog",
    params(("name" = String, Path)), responses((status = 200, description = "the catalog", body = Object),
        (status = 404, description = "no such catalog", body = ErrorBody), Failures))]
pub async fn get_catalog(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Answer {
    let info = state
        .metastore
        .catalog(&identifier(&name)?)
        .await
        .map_err(failed)?;
    check_seen(&state, &caller, &info).await?;
    Ok(Json(catalog(&info)))
}

/// Lists the schemas of a catalog by name.
#[utoipa::path(get, path = "/api/2.1/unity-catalog/schemas", tag = "unity-catalog", params(ListSchemas),
    responses((status = 200, description = "a page of schemas", body = Object), Failures))]
pub async fn list_schemas(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    parameters: Parameters<ListSchemas>,
) -> Answer {
    let ListSchemas {
        catalog_name,
        max_results,
        page_token,
    } = known(parameters)?;
    let Listing { page, results } = Listing::new(max_results, page_token)?;
    let catalog = identifier(&catalog_name)?;
    let found = state
        .metastore
        .list_schemas(&catalog, &page)
        .await
        .map_err(failed)?;
    let sight = sight(&state, &caller).await?;
    Ok(paged(
        "schemas",
        &found,
        results,
        |info| sight.sees(info),
        schema,
        |info| info.name.schema.to_string(),
    ))
}

/// Returns a schema by `catalog.schema`.
#[utoipa::path(get, path = "/api/2.1/unity-catalog/schemas/{full_name}", tag = "unity-catalog",
    params(("full_name" = String, Path)), responses((status = 200, description = "the schema", body = Object),
        (status = 404, description = "no such schema", body = ErrorBody), Failures))]
pub async fn get_schema(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(full_name): Path<String>,
) -> Answer {
    let Some((catalog, name)) = full_name.split_once('.') else {
        return Err(ApiError::invalid(format!("`{full_name}` is not catalog.schema")));
    };
    let name = SchemaName::new(identifier(catalog)?, identifier(name)?);
    let info = state.metastore.schema(&name).await.map_err(failed)?;
    check_seen(&state, &caller, &info).await?;
    Ok(Json(schema(&info)))
}

/// Lists the tables and views of a schema by name.
#[utoipa::path(get, path = "/api/2.1/unity-catalog/tables", tag = "unity-catalog", params(ListTables),
    responses((status = 200, description = "a page of tables", body = Object), Failures))]
pub async fn list_tables(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    parameters: Parameters<ListTables>,
) -> Answer {
    let ListTables {
        catalog_name,
        schema_name,
        max_results,
        page_token,
    } = known(parameters)?;
    let Listing { page, results } = Listing::new(max_results, page_token)?;
    let schema = SchemaName::new(identifier(&catalog_name)?, identifier(&schema_name)?);
    let found = state
        .metastore
        .list_tables(&schema, &page)
        .await
        .map_err(failed)?;
    let sight = sight(&state, &caller).await?;
    Ok(paged(
        "tables",
        &found,
        results,
        |info| sight.sees(info),
        table,
        |info| info.name.table.to_string(),
    ))
}

/// Returns a table or view by `catalog.schema.table`.
#[utoipa::path(get, path = "/api/2.1/unity-catalog/tables/{full_name}", tag = "unity-catalog",
    params(("full_name" = String, Path)), responses((status = 200, description = "the table", body = Object),
        (status = 404, description = "no such table", body = ErrorBody), Failures))]
pub async fn get_table(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(full_name): Path<String>,
) -> Answer {
    let name = TableName::parse(&full_name).map_err(|error| ApiError::from_error(&error))?;
    let info = state.metastore.table(&name).await.map_err(failed)?;
    check_seen(&state, &caller, &info).await?;
    Ok(Json(table(&info)))
}

/// A checked request for a page.
struct Listing {
    /// Asks for one more than is answered, which tells whether a page follows.
    page: Page,
    results: usize,
}

impl Listing {
    fn new(max_results: Option<i64>, page_token: Option<String>) -> Result<Self, ApiError> {
        let results = match max_results {
            None | Some(0) => RESULTS_MAX,
            Some(asked) => u32::try_from(asked.min(RESULTS_MAX.into()))
                .map_err(|_| ApiError::invalid("parameter `max_results` is negative"))?,
        };
        Ok(Self {
            page: Page {
                after: page_token.filter(|token| !token.is_empty()),
                limit: Some(results + 1),
            },
            results: usize::try_from(results).unwrap_or(usize::MAX),
        })
    }
}

fn known<T>(parameters: Parameters<T>) -> Result<T, ApiError> {
    match parameters {
        Ok(Query(parameters)) => Ok(parameters),
        Err(rejection) => Err(ApiError::invalid(rejection.body_text())),
    }
}

fn paged<T>(
    key: &str,
    found: &[T],
    results: usize,
    seen: impl Fn(&T) -> bool,
    show: impl Fn(&T) -> Value,
    name: impl Fn(&T) -> String,
) -> Json<Value> {
    let page = &found[..found.len().min(results)];
    let next = page.last().filter(|_| found.len() > results).map(name);
    let shown: Vec<_> = page.iter().filter(|entry| seen(entry)).map(show).collect();
    let mut answer = json!({ key: shown });
    if let Some(token) = next {
        answer["next_page_token"] = token.into();
    }
    Json(answer)
}

async fn sight(state: &AppState, caller: &Caller) -> Result<Sight, ApiError> {
    state
        .metastore
        .sight(caller.principal.as_str())
        .await
        .map_err(failed)
}

/// Refuses who may not know of a securable.
async fn check_seen<'a, T>(state: &AppState, caller: &Caller, info: &'a T) -> Result<(), ApiError>
where
    Securable: From<&'a T>,
{
    let principal = caller.principal.as_str();
    let checked = state
        .metastore
        .authorize(principal, &Securable::from(info), Need::Sight)
        .await;
    checked.map_err(failed)
}

fn failed(error: ingot_catalog::Error) -> ApiError {
    ApiError::from_error(&error)
}

fn identifier(text: &str) -> Result<Identifier, ApiError> {
    Identifier::new(text).map_err(|error| ApiError::from_error(&error))
}

fn catalog(info: &CatalogInfo) -> Value {
    with_audit(
        json!({
            "name": info.name.as_str(),
            "id": info.id.to_string(),
            "comment": info.comment,
            "properties": info.properties,
        }),
        &info.audit,
    )
}

fn schema(info: &SchemaInfo) -> Value {
    with_audit(
        json!({
            "name": info.name.schema.as_str(),
            "catalog_name": info.name.catalog.as_str(),
            "full_name": info.name.to_string(),
            "schema_id": info.id.to_string(),
            "comment": info.comment,
            "properties": info.properties,
        }),
        &info.audit,
    )
}

fn table(info: &TableInfo) -> Value {
    let columns = info.columns.iter().enumerate();
    let columns: Vec<_> = columns
        .map(|(position, known)| column(position, known, info.filters.mask(&known.name)))
        .collect();
    let format = info.location.as_ref().map(|_| "DELTA");
    with_audit(
        json!({
            "name": info.name.table.as_str(),
            "catalog_name": info.name.catalog.as_str(),
            "schema_name": info.name.schema.as_str(),
            "full_name": info.name.to_string(),
            "table_id": info.id.to_string(),
            "table_type": info.kind.as_str(),
            "data_source_format": format,
            "storage_location": info.location,
            "view_definition": info.definition,
            "columns": columns,
            "row_filter": info.filters.row_filter.as_ref().map(|filter| json!({
                "function_name": filter.function.name.to_string(),
                "input_column_names": arguments(&filter.columns),
            })),
            "comment": info.comment,
            "properties": info.properties,
        }),
        &info.audit,
    )
}

/// Returns the columns among the arguments of a function.
fn arguments(arguments: &[FunctionArgument]) -> Vec<&str> {
    let columns = arguments.iter().filter_map(|argument| match argument {
        FunctionArgument::Column(name) => Some(name.as_str()),
        FunctionArgument::Constant(_) => None,
    });
    columns.collect()
}

fn column(position: usize, info: &ColumnInfo, mask: Option<&ColumnMask>) -> Value {
    json!({
        "name": info.name,
        "type_text": info.type_text,
        "type_name": type_name(&info.type_text),
        "position": position,
        "nullable": info.nullable,
        "comment": info.comment,
        "partition_index": info.partition_index,
        "mask": mask.map(|mask| json!({
            "function_name": mask.function.name.to_string(),
            "using_column_names": arguments(&mask.using_columns),
        })),
    })
}

fn with_audit(mut value: Value, audit: &Audit) -> Value {
    value["owner"] = audit.owner.as_str().into();
    value["created_at"] = audit.created_at.into();
    value["created_by"] = audit.created_by.as_str().into();
    value["updated_at"] = audit.updated_at.into();
    value["updated_by"] = audit.updated_by.as_str().into();
    value
}

/// Returns Unity Catalog's `ColumnTypeName` of a type in Spark's spelling.
fn type_name(type_text: &str) -> &'static str {
    let base = type_text.split(['(', '<']).next().unwrap_or_default();
    match base.trim() {
        "boolean" => "BOOLEAN",
        "tinyint" => "BYTE",
        "smallint" => "SHORT",
        "int" => "INT",
        "bigint" => "LONG",
        "float" => "FLOAT",
        "double" => "DOUBLE",
        "decimal" => "DECIMAL",
        "date" => "DATE",
        "timestamp" => "TIMESTAMP",
        "timestamp_ntz" => "TIMESTAMP_NTZ",
        "string" => "STRING",
        "char" => "CHAR",
        "varchar" => "STRING",
        "binary" => "BINARY",
        "interval" => "INTERVAL",
        "array" => "ARRAY",
        "struct" => "STRUCT",
        "map" => "MAP",
        "void" => "NULL",
        _ => "USER_DEFINED_TYPE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    #[test_case("bigint", "LONG")]
    #[test_case("decimal(10,2)", "DECIMAL")]
    #[test_case("array<struct<a:int>>", "ARRAY")]
    fn types_have_names(type_text: &str, expected: &str) {
        assert_eq!(type_name(type_text), expected);
    }

    #[test_case(2, None; "the last page")]
    #[test_case(1, Some("a"); "a page before")]
    fn a_token_stands_where_a_page_follows(results: usize, token: Option<&str>) {
        let Json(answer) = paged(
            "names",
            &["a", "b"],
            results,
            |_| true,
            |name| json!(name),
            |name| (*name).to_owned(),
        );
        assert_eq!(answer.get("next_page_token").and_then(Value::as_str), token);
        assert_eq!(answer["names"].as_array().map(Vec::len), Some(results));
    }
}
