//! `/docs`: the OpenAPI document for people; `/docs/tables`: those of single tables.
//!
//! Swagger UI would take the address of a document from the URL, and so from anybody who can make somebody follow a link.
//! The page of tables makes the address itself, of a table's name.

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::state::AppState;

/// Serves the user interface; it reads `/openapi.json`, and the descriptions of tables with the token that is typed in.
pub fn router() -> Router<AppState> {
    let ui = SwaggerUi::new("/docs").config(Config::from("/openapi.json"));
    Router::from(ui).route("/docs/tables", get(tables))
}

async fn tables() -> Html<&'static str> {
    Html(include_str!("docs/tables.html"))
}
