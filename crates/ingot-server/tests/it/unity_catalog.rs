//! Unity Catalog's listings over a real metastore.

use ingot_common::{Identifier, SchemaName};
use test_case::test_case;

use crate::harness::TestServer;

async fn server_with_schemas(names: &[&str]) -> TestServer {
    let server = TestServer::open().await;
    for name in names {
        let part = |text: &str| Identifier::new(text).expect("name");
        let name = SchemaName::new(part("main"), part(name));
        server
            .metastore
            .create_schema(&name, None, "ann")
            .await
            .expect("schema");
    }
    server
}

#[tokio::test]
async fn pages_follow_each_other() {
    let server = server_with_schemas(&["a", "b", "c"]).await;
    let mut names = Vec::new();
    let mut token = String::new();
    loop {
        let path = "/api/2.1/unity-catalog/schemas?catalog_name=main&max_results=2&page_token=";
        let (status, page) = server.get(&format!("{path}{token}")).await;
        assert_eq!(status, 200);
        let schemas = page["schemas"].as_array().expect("schemas");
        assert!(schemas.len() <= 2);
        names.extend(
            schemas
                .iter()
                .map(|schema| schema["full_name"].as_str().expect("name").to_owned()),
        );
        match page["next_page_token"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(names, ["main.a", "main.b", "main.c", "main.default"]);
}

#[tokio::test]
async fn catalogs_are_listed_and_found() {
    let server = server_with_schemas(&[]).await;
    let (_, page) = server.get("/api/2.1/unity-catalog/catalogs?max_results=0").await;
    let names: Vec<_> = page["catalogs"]
        .as_array()
        .expect("catalogs")
        .iter()
        .map(|c| c["name"].clone())
        .collect();
    assert_eq!(names, ["main", "system"]);
    let (status, catalog) = server.get("/api/2.1/unity-catalog/catalogs/main").await;
    assert_eq!((status, &catalog["name"]), (200, &"main".into()));
}

#[test_case("/catalogs/missing", 404; "unknown catalog")]
#[test_case("/schemas/main.missing", 404; "unknown schema")]
#[test_case("/tables/main.default.missing", 404; "unknown table")]
#[test_case("/tables/t", 400; "short name")]
#[test_case("/schemas", 400; "no catalog named")]
#[test_case("/catalogs?max_results=-1", 400; "negative page")]
#[tokio::test]
async fn errors_have_unity_catalogs_body(path: &str, expected: u16) {
    let server = server_with_schemas(&[]).await;
    let (status, body) = server.get(&format!("/api/2.1/unity-catalog{path}")).await;
    assert_eq!(status, expected);
    assert_eq!(body["details"][0]["reason"], body["error_code"]);
    assert!(body["message"].is_string());
}
