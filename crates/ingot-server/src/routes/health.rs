//! Whether the process lives, and whether it can serve.

use axum::extract::State;
use ingot_catalog::model::Page;

use crate::error::{ApiError, ErrorBody};
use crate::state::AppState;

/// Says that the process lives.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()), responses((status = 200, description = "alive")))]
pub async fn live() -> &'static str {
    "ok"
}

/// Says whether the metastore answers.
#[utoipa::path(
    get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, description = "ready"), (status = 503, description = "the metastore does not answer", body = ErrorBody))
)]
pub async fn ready(State(state): State<AppState>) -> Result<&'static str, ApiError> {
    let page = Page {
        after: None,
        limit: Some(1),
    };
    match state.metastore.list_catalogs(&page).await {
        Ok(_) => Ok("ready"),
        Err(error) => {
            tracing::warn!(error = %ingot_common::error::chain(&error), "metastore does not answer");
            Err(ApiError::unavailable("the metastore does not answer"))
        }
    }
}
