//! Bodies of requests, which have to arrive in time.

use axum::Json;
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use crate::error::ApiError;
use crate::state::AppState;

/// Reads the body of a request as JSON.
///
/// # Errors
/// For a body that does not arrive in time, is too large, or is not what it should be.
pub async fn json<T: DeserializeOwned>(state: &AppState, request: Request) -> Result<T, ApiError> {
    let body = Json::<T>::from_request(request, state);
    let Json(body) = tokio::time::timeout(state.limits.stall_max, body)
        .await
        .map_err(|_| ApiError::body_timed_out())?
        .map_err(|rejection| {
            let bytes_max = state.limits.body_bytes_max;
            ApiError::body(rejection.status(), rejection.body_text(), bytes_max)
        })?;
    Ok(body)
}
