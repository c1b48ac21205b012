//! `POST /api/v1/sql`: one statement in, its rows out.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use ingot_common::Principal;
use ingot_common::port::StatementRequest;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::state::AppState;
use crate::statement::respond;

/// One statement.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlRequest {
    /// The statement, in Databricks' dialect.
    #[schema(example = "SELECT * FROM main.gold.carrier_delay LIMIT 10")]
    pub statement: String,
    /// Catalog for names of fewer than three parts; `main` by default.
    pub catalog: Option<String>,
    /// Schema for names of one part; `default` by default.
    pub schema: Option<String>,
}

/// Runs a statement. `Accept` chooses between JSON (an array of objects), CSV and an Arrow IPC stream.
#[utoipa::path(
    post, path = "/api/v1/sql", tag = "sql", request_body = SqlRequest,
    responses(
        (status = 200, description = "rows of the statement", content(
            (Vec<Object> = "application/json"), (String = "text/csv"), (Vec<u8> = "application/vnd.apache.arrow.stream")
        )),
        (status = 400, description = "the statement is wrong"),
        (status = 401, description = "no known token"),
        (status = 409, description = "another writer won; run it again"),
    )
)]
pub async fn execute(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    headers: HeaderMap,
    body: Result<Json<SqlRequest>, JsonRejection>,
) -> Response {
    let Json(body) = match body {
        Ok(body) => body,
        Err(rejection) => return ApiError::invalid(rejection.body_text()).into_response(),
    };
    let request = StatementRequest {
        statement: body.statement,
        catalog: body.catalog,
        schema: body.schema,
    };
    let statements = state.statements.clone();
    respond(&state, principal, &headers, async move |context| {
        statements.execute(&context, request).await
    })
    .await
}
