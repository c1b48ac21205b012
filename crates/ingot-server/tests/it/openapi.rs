//! The API's description.

use serde_json::{Value, json};
use test_case::test_case;

use crate::harness::TestServer;

async fn document() -> Value {
    TestServer::open().await.get("/openapi.json").await.1
}

#[tokio::test]
async fn every_route_is_named() {
    let document = document().await;
    let paths: Vec<_> = document["paths"]
        .as_object()
        .expect("paths")
        .keys()
        .cloned()
        .collect();
    // A change here is a change of the public interface: update the user guide, too.
    assert_eq!(
        paths,
        [
            "/api/2.0/sql/history/queries",
            "/api/2.0/sql/statements",
            "/api/2.0/sql/statements/{statement_id}",
            "/api/2.0/sql/statements/{statement_id}/cancel",
            "/api/2.0/sql/statements/{statement_id}/result/chunks/{chunk_index}",
            "/api/2.1/unity-catalog/catalogs",
            "/api/2.1/unity-catalog/catalogs/{name}",
            "/api/2.1/unity-catalog/effective-permissions/{securable_type}/{full_name}",
            "/api/2.1/unity-catalog/permissions/{securable_type}/{full_name}",
            "/api/2.1/unity-catalog/schemas",
            "/api/2.1/unity-catalog/schemas/{full_name}",
            "/api/2.1/unity-catalog/tables",
            "/api/2.1/unity-catalog/tables/{full_name}",
            "/api/v1/data",
            "/api/v1/data/{table}",
            "/api/v1/data/{table}/openapi.json",
            "/api/v1/query",
            "/api/v1/sql",
            "/api/v1/statements/{statement_id}/profile",
            "/healthz",
            "/readyz",
        ]
    );
}

#[tokio::test]
async fn every_error_has_its_body_described() {
    let document = document().await;
    let schema = json!({"$ref": "#/components/schemas/ErrorBody"});
    assert!(document["components"]["schemas"]["ErrorBody"]["properties"]["error_code"].is_object());
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for operation in operations.as_object().expect("operations").values() {
            for (status, response) in operation["responses"].as_object().expect("responses") {
                if !["200", "304"].contains(&status.as_str()) {
                    let described = &response["content"]["application/json"]["schema"];
                    assert_eq!(*described, schema, "{path} {status}");
                }
            }
        }
    }
}

#[test_case("/api/v1/sql", "post", &["400", "401", "404", "406", "408", "409", "413", "415", "429", "503", "504"])]
#[test_case("/api/v1/query", "get", &["304", "400", "401", "403", "404", "406", "410", "429", "501", "503", "504"])]
#[test_case("/api/v1/data/{table}", "get", &["304", "400", "401", "403", "404", "406", "410", "429", "501", "503", "504"])]
#[tokio::test]
async fn rows_and_errors_are_described(path: &str, method: &str, errors: &[&str]) {
    let document = document().await;
    let responses = &document["paths"][path][method]["responses"];
    let described: Vec<_> = responses.as_object().expect("responses").keys().collect();
    let expected: Vec<_> = [&["200"], errors].concat();
    assert_eq!(described, expected);
    let content = &responses["200"]["content"];
    assert_eq!(content["application/json"]["schema"]["type"], "array");
    assert_eq!(content["text/csv"]["schema"]["type"], "string");
    assert_eq!(
        content["application/vnd.apache.arrow.stream"]["schema"],
        json!({"type": "string", "format": "binary"})
    );
}

#[tokio::test]
async fn a_table_is_described_with_its_columns() {
    let server = TestServer::open().await;
    let (status, document) = server.get("/api/v1/data/a.b.c/openapi.json").await;
    assert_eq!(status, 200);
    let paths: Vec<_> = document["paths"].as_object().expect("paths").keys().collect();
    assert_eq!(paths, ["/api/v1/data/a.b.c"]);
    let operation = &document["paths"]["/api/v1/data/a.b.c"]["get"];
    let parameters = operation["parameters"].as_array().expect("parameters");
    let schema = |name: &str| {
        let found = parameters.iter().find(|parameter| parameter["name"] == name);
        found.map(|parameter| parameter["schema"].clone())
    };
    assert_eq!(
        schema("flights.gte"),
        Some(json!({"type": "integer", "format": "int64"}))
    );
    assert_eq!(schema("carrier"), Some(json!({"type": "string"})));
    assert_eq!(schema("carrier.is_null"), Some(json!({"type": "boolean"})));
    assert_eq!(schema("flights.like"), None);
    assert!(schema("cursor").is_some() && schema("table").is_none());
    let row = &operation["responses"]["200"]["content"]["application/json"]["schema"]["items"];
    assert_eq!(row["properties"]["flights"]["type"], json!(["integer", "null"]));
}

#[test_case("catalogs", &[])]
#[test_case("schemas", &["catalog_name"])]
#[test_case("tables", &["catalog_name", "schema_name"])]
#[tokio::test]
async fn listings_say_what_they_need(listing: &str, expected: &[&str]) {
    let document = document().await;
    let parameters = &document["paths"][format!("/api/2.1/unity-catalog/{listing}")]["get"]["parameters"];
    let required: Vec<_> = parameters
        .as_array()
        .expect("parameters")
        .iter()
        .filter(|parameter| parameter["required"] == true)
        .map(|parameter| parameter["name"].as_str().expect("name"))
        .collect();
    assert_eq!(required, expected);
}

#[tokio::test]
async fn parameters_of_a_statement_are_described() {
    let document = document().await;
    let schemas = &document["components"]["schemas"];
    let items = &schemas["SqlRequest"]["properties"]["parameters"]["items"];
    assert_eq!(*items, json!({"$ref": "#/components/schemas/SqlParameter"}));
    let described: Vec<_> = schemas["SqlParameter"]["properties"]
        .as_object()
        .expect("properties")
        .keys()
        .collect();
    assert_eq!(described, ["name", "type", "value"]);
}
