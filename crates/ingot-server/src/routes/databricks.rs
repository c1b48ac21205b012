//! What clients of Databricks ask a server as they connect, answered at once: where nothing is answered they try again
//! for minutes.

use axum::Json;
use axum::extract::{Request, State};
use serde_json::{Value, json};

use crate::auth;
use crate::state::AppState;

/// `GET /.well-known/databricks-config`: what kind of host this is.
pub async fn config(State(state): State<AppState>, request: Request) -> Json<Value> {
    let origin = auth::origin(&state, &request);
    Json(json!({
        "oidc_endpoint": format!("{origin}/oidc"),
        "account_id": "00000000-0000-0000-0000-000000000000",
        "workspace_id": "1",
        "cloud": "AWS",
        "host_type": "workspace",
    }))
}

/// `GET /api/2.0/connector-service/feature-flags/{client}/{version}`: none. Telemetry stays off.
pub async fn feature_flags() -> Json<Value> {
    Json(json!({ "flags": [], "ttl_seconds": 3600 }))
}

/// `POST /telemetry-ext`, `POST /telemetry-unauth`: what clients say of themselves is dropped.
pub async fn telemetry() -> Json<Value> {
    Json(json!({ "errors": [], "numSuccess": 0, "numProtoSuccess": 0 }))
}
