//! `GET /api/v1/statements/{statement_id}/profile`: what a statement does or did, operator by operator.

use axum::Json;
use axum::extract::{Extension, Path, State};
use ingot_common::history::StatementProfile;
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::state::AppState;

/// Returns a statement with the plans that it ran, and what their operators have counted; also while it runs. Profiles of
/// the last statements are kept.
#[utoipa::path(
    get, path = "/api/v1/statements/{statement_id}/profile", tag = "sql",
    params(("statement_id" = String, Path, description = "the id that stands in the query history")),
    responses(
        (status = 200, description = "the profile", body = Object),
        (status = 400, description = "no id", body = ErrorBody),
        (status = 401, description = "no known token", body = ErrorBody),
        (status = 404, description = "no profile of such a statement is kept, or it is another's", body = ErrorBody),
    )
)]
pub async fn show(
    State(state): State<AppState>,
    Extension(caller): Extension<Caller>,
    Path(statement_id): Path<String>,
) -> Result<Json<StatementProfile>, ApiError> {
    let id = Uuid::parse_str(&statement_id)
        .map_err(|_| ApiError::invalid(format!("`{statement_id}` is no id of a statement")))?;
    let history = state
        .statements
        .history()
        .ok_or_else(|| ApiError::unavailable("no history of statements is kept"))?;
    Ok(Json(history.profile(&state.context(caller), id).await?))
}
