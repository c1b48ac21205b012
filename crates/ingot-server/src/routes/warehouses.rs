//! `/api/2.0/sql/warehouses`: the one warehouse that there is, which is the server.
//!
//! Source: Databricks REST API, SQL Warehouses, `EndpointInfo`.

use axum::extract::{Path, Request, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use ingot_common::{Kind, ServiceError};
use serde_json::{Value, json};

use crate::auth;
use crate::error::ApiError;
use crate::state::AppState;

/// The name that is listed. All others are taken for it.
const NAME: &str = "ingot";

pub fn router() -> Router<AppState> {
    Router::new()
        .route("/", get(list))
        .route("/{id}", get(show))
        .route("/{id}/start", post(start))
        .route("/{id}/stop", post(stop))
}

async fn list(State(state): State<AppState>, request: Request) -> Json<Value> {
    Json(json!({ "warehouses": [warehouse(&state, NAME, &request)] }))
}

async fn show(State(state): State<AppState>, Path(id): Path<String>, request: Request) -> Json<Value> {
    Json(warehouse(&state, &id, &request))
}

/// It runs already.
async fn start() -> Json<Value> {
    Json(json!({}))
}

async fn stop() -> Result<Json<Value>, ApiError> {
    let message = "the warehouse is the server itself, which is not stopped from here";
    Err(ServiceError::new(Kind::FailedPrecondition, message).into())
}

fn warehouse(state: &AppState, id: &str, request: &Request) -> Value {
    let host = auth::host(request).unwrap_or("localhost");
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|char| char.is_ascii_digit()) => (name, port.parse().ok()),
        _ => (host, None),
    };
    let (protocol, default_port, ssl) = match state.tls {
        true => ("https", 443, 1),
        false => ("http", 80, 0),
    };
    let port: u16 = port.unwrap_or(default_port);
    let path = format!("/sql/1.0/warehouses/{id}");
    json!({
        "id": id,
        "name": id,
        "state": "RUNNING",
        "health": { "status": "HEALTHY" },
        "warehouse_type": "PRO",
        "cluster_size": "X-Small",
        "size": "XSMALL",
        "min_num_clusters": 1,
        "max_num_clusters": 1,
        "num_clusters": 1,
        "num_active_sessions": state.warehouse.sessions_open(),
        "auto_stop_mins": 0,
        "enable_photon": false,
        "enable_serverless_compute": false,
        "spot_instance_policy": "COST_OPTIMIZED",
        "channel": { "name": "CHANNEL_NAME_CURRENT" },
        "jdbc_url": format!("jdbc:spark://{name}:{port}/default;transportMode=http;ssl={ssl};AuthMech=3;httpPath={path};"),
        "odbc_params": { "hostname": name, "path": path, "port": port, "protocol": protocol },
    })
}
