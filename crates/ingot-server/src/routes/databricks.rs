//! What clients of Databricks ask a server as they connect, answered at once: where nothing is answered they try again
//! for minutes.

use axum::extract::{Extension, Request, State};
use axum::routing::any;
use axum::{Json, Router};
use ingot_catalog::ACCOUNT_USERS;
use ingot_common::{Kind, ServiceError};
use serde_json::{Value, json};

use crate::auth::{self, Caller};
use crate::error::ApiError;
use crate::state::AppState;

/// What runs code of clients: clusters and their commands, notebooks, jobs, pipelines.
const COMPUTE: [&str; 10] = [
    "/api/1.2/contexts/{*rest}",
    "/api/1.2/commands/{*rest}",
    "/api/2.0/clusters/{*rest}",
    "/api/2.1/clusters/{*rest}",
    "/api/2.0/libraries/{*rest}",
    "/api/2.0/workspace/{*rest}",
    "/api/2.0/pipelines/{*rest}",
    "/api/2.0/permissions/{*rest}",
    "/api/2.1/jobs/{*rest}",
    "/api/2.2/jobs/{*rest}",
];

/// Answers what would run code of clients: dbt's Python models ask for it, and would try again for long.
pub fn compute() -> Router<AppState> {
    let refused = async || -> ApiError {
        ServiceError::new(
            Kind::Unsupported,
            "there are no clusters, jobs and notebooks here, so Python models of dbt cannot run; write the model in SQL, or \
             run PySpark against the tables",
        )
        .into()
    };
    COMPUTE
        .into_iter()
        .fold(Router::new(), |router, path| router.route(path, any(refused)))
}

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

/// `GET /api/2.0/preview/scim/v2/Me`: who asks. Source: Databricks REST API, "Get current user info".
pub async fn me(Extension(caller): Extension<Caller>) -> Json<Value> {
    let name = caller.principal.as_str();
    Json(json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "id": name,
        "userName": name,
        "displayName": name,
        "active": true,
        "emails": [{ "value": name, "type": "work", "primary": true }],
        "groups": [{ "value": ACCOUNT_USERS, "display": ACCOUNT_USERS, "type": "direct" }],
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
