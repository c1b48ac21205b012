//! `/openapi.json`: what the server offers, for programs.

use axum::Json;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::routes::{health, query, sql, unity_catalog};

#[derive(OpenApi)]
#[openapi(
    info(title = "Ingot", description = "SQL, tables and the catalog over HTTP."),
    paths(
        health::live,
        health::ready,
        sql::execute,
        query::query,
        unity_catalog::list_catalogs,
        unity_catalog::get_catalog,
        unity_catalog::list_schemas,
        unity_catalog::get_schema,
        unity_catalog::list_tables,
        unity_catalog::get_table,
    ),
    components(schemas(sql::SqlRequest)),
    modifiers(&BearerToken),
    security(("token" = [])),
)]
struct Document;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        openapi
            .components
            .get_or_insert_default()
            .add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// Returns the OpenAPI document.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// `GET /openapi.json`
pub async fn show() -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}
