//! `GET /api/v1/data`: the tables and views that the caller may read, by name, in pages.
//!
//! They are rows of `information_schema`, so what is listed is what SQL would list.

#![allow(
    unused_qualifications,
    reason = "utoipa's macro repeats the path of a parameter's type"
)]

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use futures::TryStreamExt;
use ingot_common::TableName;
use ingot_common::port::{StatementParameter, StatementRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::state::AppState;

/// Entries of a page.
const RESULTS_MAX: usize = 1000;
const RESULTS: usize = 100;

/// After the name `:catalog.:schema.:table`; one more than a page has tells if there is a next one.
const TABLES: &str = "\
    SELECT table_catalog, table_schema, table_name, table_type, comment FROM system.information_schema.tables \
    WHERE table_schema <> 'information_schema' \
    AND (:in_catalog IS NULL OR table_catalog = lower(:in_catalog)) \
    AND (:in_schema IS NULL OR table_schema = lower(:in_schema)) \
    AND (table_catalog > :catalog OR (table_catalog = :catalog AND (table_schema > :schema OR \
    (table_schema = :schema AND table_name > :table)))) ORDER BY 1, 2, 3 LIMIT ";

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListingParameters {
    /// Catalog to list; all by default.
    pub catalog: Option<String>,
    /// Schema to list; all by default.
    pub schema: Option<String>,
    /// Entries of a page, 1000 at most.
    #[param(minimum = 1)]
    pub max_results: Option<usize>,
    /// `next_page_token` of the page before.
    pub page_token: Option<String>,
}

/// Tables that can be read.
#[derive(Debug, Serialize, ToSchema)]
pub struct TableListing {
    tables: Vec<ListedTable>,
    /// For the next page, if there is one.
    next_page_token: Option<String>,
}

/// A table that can be read.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListedTable {
    /// `catalog.schema.table`
    #[schema(example = "main.gold.carrier_delay")]
    table: String,
    #[schema(example = "MANAGED")]
    table_type: Option<String>,
    comment: Option<String>,
    /// Where its rows are.
    #[schema(example = "/api/v1/data/main.gold.carrier_delay")]
    rows: String,
    /// Where they are described, as OpenAPI.
    openapi: String,
}

/// Lists the tables and views that the caller may read.
#[utoipa::path(
    get, path = "/api/v1/data", tag = "data", params(ListingParameters),
    responses(
        (status = 200, description = "a page of tables", body = TableListing),
        (status = 400, description = "a parameter is wrong, named", body = ErrorBody),
        (status = 401, description = "no known token", body = ErrorBody),
        (status = 429, description = "too many requests of the caller, or too many statements, are running or wait", body = ErrorBody),
        (status = 503, description = "the server is stopping, or a part of it does not answer", body = ErrorBody),
        (status = 504, description = "the statement took longer than it may", body = ErrorBody),
    )
)]
pub async fn list(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    parameters: Result<Query<ListingParameters>, QueryRejection>,
) -> Result<Json<TableListing>, ApiError> {
    let Query(parameters) = parameters.map_err(|rejection| ApiError::invalid(rejection.body_text()))?;
    let results = match parameters.max_results {
        Some(0) => return Err(ApiError::invalid("parameter `max_results` is at least 1")),
        Some(asked) => asked.min(RESULTS_MAX),
        None => RESULTS,
    };
    let request = StatementRequest {
        statement: format!("{TABLES}{}", results + 1),
        parameters: markers(&parameters)?,
        ..StatementRequest::default()
    };
    let context = state.context(caller);
    let _guard = context.cancellation.clone().drop_guard();
    let read = async {
        let result = state.statements.execute(&context, request).await?;
        result.batches.try_collect::<Vec<RecordBatch>>().await
    };
    let batches = read.await.map_err(|error| state.blame(error))?;
    let mut tables: Vec<ListedTable> = batches.iter().flat_map(listed).collect();
    let more = tables.len() > results;
    tables.truncate(results);
    let next_page_token = tables.last().filter(|_| more).map(|last| last.table.clone());
    Ok(Json(TableListing {
        tables,
        next_page_token,
    }))
}

fn markers(parameters: &ListingParameters) -> Result<Vec<StatementParameter>, ApiError> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let after = match given(&parameters.page_token) {
        Some(token) => {
            let name = TableName::parse(&token).map_err(|_| {
                ApiError::invalid(format!(
                    "parameter `page_token` is not the `next_page_token` of a page: `{token}`"
                ))
            })?;
            [name.catalog, name.schema, name.table].map(|part| part.as_str().to_owned())
        }
        None => [const { String::new() }; 3],
    };
    let [catalog, schema, table] = after.map(Some);
    let values = [
        ("in_catalog", given(&parameters.catalog)),
        ("in_schema", given(&parameters.schema)),
        ("catalog", catalog),
        ("schema", schema),
        ("table", table),
    ];
    let markers = values.into_iter().map(|(name, value)| StatementParameter {
        name: Some(name.to_owned()),
        value,
        type_text: None,
    });
    Ok(markers.collect())
}

/// Reads the columns of [`TABLES`].
fn listed(batch: &RecordBatch) -> Vec<ListedTable> {
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .filter_map(|column| cast(column, &DataType::Utf8).ok())
        .collect();
    let text = |column: usize, row: usize| {
        let values = columns.get(column)?.as_string_opt::<i32>()?;
        values.is_valid(row).then(|| values.value(row).to_owned())
    };
    (0..batch.num_rows())
        .filter_map(|row| {
            let table = format!("{}.{}.{}", text(0, row)?, text(1, row)?, text(2, row)?);
            let rows = format!("/api/v1/data/{}", path_segment(&table));
            Some(ListedTable {
                openapi: format!("{rows}/openapi.json"),
                table_type: text(3, row),
                comment: text(4, row),
                rows,
                table,
            })
        })
        .collect()
}

/// Writes a name as a part of a path.
pub fn path_segment(name: &str) -> String {
    // A space is `+` in forms alone; names have none.
    url::form_urlencoded::byte_serialize(name.as_bytes()).collect()
}
