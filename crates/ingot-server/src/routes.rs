//! The routes and what stands before them.

mod data;
mod databricks;
mod docs;
mod health;
mod oidc;
pub mod openapi;
mod permissions;
mod profile;
mod query_history;
mod sql;
mod unity_catalog;
mod warehouses;

use std::any::Any;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use ingot_common::task::Panicked;
use tower_http::catch_panic::CatchPanicLayer;

use crate::error::ApiError;
use crate::state::AppState;
use crate::{auth, flight, hive, metrics, quota, request_id, statement_api};

/// Puts all routes together.
pub fn router(state: AppState) -> Router {
    let open = Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/openapi.json", get(openapi::show))
        .route("/.well-known/databricks-config", get(databricks::config))
        .route("/telemetry-unauth", post(databricks::telemetry))
        .route(
            "/oidc/.well-known/oauth-authorization-server",
            get(oidc::metadata),
        )
        .route("/oidc/v1/token", post(oidc::token))
        .nest("/api/2.0/sql/results", statement_api::links())
        .merge(docs::router())
        .merge(flight::router(&state));
    let closed = Router::new()
        .route("/metrics", get(metrics::show))
        .merge(api(state.clone()))
        .route("/api/v1/statements/{statement_id}/profile", get(profile::show))
        .route("/api/2.0/sql/history/queries", get(query_history::list))
        .route("/sql/1.0/warehouses/{id}", post(hive::serve))
        .route("/sql/protocolv1/o/{workspace}/{cluster}", post(hive::serve))
        .route(
            "/api/2.0/connector-service/feature-flags/{client}/{version}",
            get(databricks::feature_flags),
        )
        .route("/api/2.0/preview/scim/v2/Me", get(databricks::me))
        .route("/telemetry-ext", post(databricks::telemetry))
        .nest("/api/2.0/sql", statement_api::router())
        .nest("/api/2.0/sql/warehouses", warehouses::router())
        .merge(databricks::compute())
        .nest(
            "/api/2.1/unity-catalog",
            unity_catalog::router().merge(permissions::router()),
        )
        .layer(from_fn_with_state(state.clone(), auth::require));
    open.merge(closed)
        .fallback(async || ApiError::no_such_route())
        .method_not_allowed_fallback(async || ApiError::no_such_method())
        .layer(DefaultBodyLimit::max(state.limits.body_bytes_max))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(metrics::count))
        .layer(from_fn(request_id::identify))
        .with_state(state)
}

/// The routes whose requests are counted for their callers.
fn api(state: AppState) -> Router<AppState> {
    Router::new()
        .route("/api/v1/sql", post(sql::execute))
        .route("/api/v1/query", get(data::query))
        .route("/api/v1/data", get(data::listing::list))
        .route("/api/v1/data/{table}", get(data::table))
        .route(
            "/api/v1/data/{table}/openapi.json",
            get(data::description::describe),
        )
        .layer(from_fn_with_state(state, quota::enforce))
}

/// Answers a request whose handler panicked.
#[expect(clippy::needless_pass_by_value, reason = "the layer's interface")]
fn panicked(payload: Box<dyn Any + Send>) -> Response {
    let panicked = Panicked::from_payload(payload.as_ref());
    tracing::error!(message = panicked.message, "request panicked");
    ApiError::internal("a defect ended the request; the log tells more under its id").into_response()
}
