//! `POST /api/v1/sql`: one statement in, its rows out.

use std::collections::BTreeMap;

use axum::extract::{Extension, Request, State};
use axum::response::Response;
use ingot_common::port::{StatementParameter, StatementRequest};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::body;
use crate::error::{ApiError, ErrorBody};
use crate::routes::openapi::Rows;
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
    /// Settings for this statement, as `SET key = value` takes them.
    #[serde(default)]
    #[schema(example = json!({"spark.sql.ansi.enabled": "true"}))]
    pub settings: BTreeMap<String, String>,
    /// Values for the parameter markers of the statement: `:name` where they have names, `?` where none has one.
    #[serde(default)]
    #[schema(example = json!([{"name": "carrier", "value": "UA"}, {"name": "year", "value": "2024", "type": "INT"}]))]
    pub parameters: Vec<SqlParameter>,
}

/// A value for a parameter marker. Whatever it holds is never read as SQL.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlParameter {
    /// The name of the markers that it is for, without the colon. Without a name it is for the `?` of its place.
    pub name: Option<String>,
    /// The value as a text; null when it is left out.
    pub value: Option<String>,
    /// The type that the text is read as, as `INT`, `DATE` or `DECIMAL(10, 2)`; `STRING` by default. ARRAY, MAP and
    /// STRUCT are not supported.
    #[serde(rename = "type")]
    pub type_text: Option<String>,
}

impl From<SqlParameter> for StatementParameter {
    fn from(parameter: SqlParameter) -> Self {
        Self {
            name: parameter.name,
            value: parameter.value,
            type_text: parameter.type_text,
        }
    }
}

/// Runs a statement. `Accept` chooses between JSON (an array of objects), CSV and an Arrow IPC stream.
#[utoipa::path(
    post, path = "/api/v1/sql", tag = "sql", request_body = SqlRequest,
    responses(
        Rows,
        (status = 400, description = "the statement is wrong", body = ErrorBody),
        (status = 401, description = "no known token", body = ErrorBody),
        (status = 404, description = "something that the statement names does not exist", body = ErrorBody),
        (status = 406, description = "`Accept` takes no format that there is", body = ErrorBody),
        (status = 408, description = "the request did not arrive in time", body = ErrorBody),
        (status = 409, description = "another writer won, so run it again; or something exists already", body = ErrorBody),
        (status = 413, description = "the request is too large", body = ErrorBody),
        (status = 415, description = "the request is not JSON", body = ErrorBody),
        (status = 429, description = "too many statements are running or wait", body = ErrorBody),
        (status = 503, description = "the server is stopping, or a part of it does not answer", body = ErrorBody),
        (status = 504, description = "the statement took longer than it may", body = ErrorBody),
    )
)]
pub async fn execute(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let body: SqlRequest = body::json(&state, request).await?;
    let request = StatementRequest {
        statement: body.statement,
        catalog: body.catalog,
        schema: body.schema,
        settings: body.settings,
        parameters: body.parameters.into_iter().map(Into::into).collect(),
    };
    let statements = state.statements.clone();
    respond(&state, caller, &headers, async move |context| {
        statements.execute(&context, request).await
    })
    .await
}
