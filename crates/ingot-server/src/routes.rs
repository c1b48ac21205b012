//! The routes and what stands before them.

mod docs;
mod health;
pub mod openapi;
mod query;
mod sql;
mod unity_catalog;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::trace::TraceLayer;

use crate::state::AppState;
use crate::{auth, metrics};

/// Puts all routes together.
pub fn router(state: AppState) -> Router {
    let open = Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/openapi.json", get(openapi::show))
        .merge(docs::router());
    let closed = Router::new()
        .route("/metrics", get(metrics::show))
        .route("/api/v1/sql", post(sql::execute))
        .route("/api/v1/query", get(query::query))
        .nest("/api/2.1/unity-catalog", unity_catalog::router())
        .layer(from_fn_with_state(state.clone(), auth::require));
    open.merge(closed)
        .layer(from_fn(metrics::count))
        .layer(TraceLayer::new_for_http())
        .layer(CatchPanicLayer::new())
        .with_state(state)
}
