//! `/openapi.json`: what the server offers, for programs.

use std::collections::BTreeMap;

use axum::Json;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{IntoResponses, Modify, OpenApi};

use crate::encode::Format;
use crate::error::{ErrorBody, ErrorInfo};
use crate::routes::{data, health, permissions, profile, query_history, sql, unity_catalog};
use crate::statement_api::{self, Empty, Parameter, QueryTag, ResultData, StatementBody, StatementResponse};

#[derive(OpenApi)]
#[openapi(
    info(title = "Ingot", description = "SQL, tables and the catalog over HTTP."),
    paths(
        health::live,
        health::ready,
        sql::execute,
        data::query,
        data::listing::list,
        data::table,
        data::description::describe,
        statement_api::execute,
        statement_api::status,
        statement_api::chunk,
        statement_api::cancel,
        profile::show,
        query_history::list,
        unity_catalog::list_catalogs,
        unity_catalog::get_catalog,
        unity_catalog::list_schemas,
        unity_catalog::get_schema,
        unity_catalog::list_tables,
        unity_catalog::get_table,
        permissions::get_permissions,
        permissions::get_effective_permissions,
        permissions::update_permissions,
    ),
    components(schemas(
        sql::SqlRequest,
        sql::SqlParameter,
        permissions::UpdatePermissions,
        permissions::PermissionsChange,
        StatementBody,
        Parameter,
        QueryTag,
        StatementResponse,
        ResultData,
        Empty,
        data::listing::TableListing,
        data::listing::ListedTable,
        ErrorBody,
        ErrorInfo,
    )),
    modifiers(&BearerToken),
    security(("token" = [])),
)]
struct Document;

/// Rows in the format that was asked for: the answer with status 200.
pub struct Rows;

impl IntoResponses for Rows {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut response = ResponseBuilder::new().description("the rows");
        for format in Format::ALL {
            let schema = match format {
                Format::Json => RefOr::T(ArrayBuilder::new().items(ObjectBuilder::new()).build().into()),
                Format::Csv | Format::Ndjson => {
                    RefOr::T(ObjectBuilder::new().schema_type(Type::String).build().into())
                }
                Format::Arrow | Format::Parquet => RefOr::T(
                    ObjectBuilder::new()
                        .schema_type(Type::String)
                        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
                        .build()
                        .into(),
                ),
            };
            let content = ContentBuilder::new()
                .schema::<RefOr<Schema>>(Some(schema))
                .build();
            response = response.content(format.media_type(), content);
        }
        BTreeMap::from([("200".to_owned(), RefOr::T(response.build()))])
    }
}

/// What every question to the catalog may answer instead.
pub struct Failures;

impl IntoResponses for Failures {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let failure = |(status, description): (&str, &str)| {
            let body = Ref::from_schema_name("ErrorBody");
            let content = ContentBuilder::new().schema(Some(body)).build();
            let response = ResponseBuilder::new()
                .description(description)
                .content(Format::Json.media_type(), content);
            (status.to_owned(), RefOr::T(response.build()))
        };
        let failures = [
            ("400", "a name or a parameter is missing or wrong"),
            ("401", "no known token"),
            ("503", "the metastore does not answer"),
        ];
        failures.into_iter().map(failure).collect()
    }
}

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
