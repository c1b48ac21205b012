//! `/docs`: the OpenAPI document for people.

use axum::Router;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::state::AppState;

/// Serves the user interface; it reads `/openapi.json`.
pub fn router() -> Router<AppState> {
    SwaggerUi::new("/docs")
        .config(Config::from("/openapi.json"))
        .into()
}
