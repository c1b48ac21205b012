//! Unity Catalog's grants over a real metastore. The server lets everybody in as its administrator.

use ingot_server::{Authentication, Limits};
use serde_json::{Value, json};
use test_case::test_case;

use crate::harness::TestServer;

const BASE: &str = "/api/2.1/unity-catalog";

async fn patch(server: &TestServer, path: &str, body: &Value) -> (u16, Value) {
    let response = reqwest::Client::new()
        .patch(server.url(&format!("{BASE}{path}")))
        .json(body)
        .send()
        .await
        .expect("answer");
    let status = response.status().as_u16();
    (status, response.json().await.expect("JSON"))
}

#[tokio::test]
async fn privileges_are_granted_shown_and_revoked() {
    let server = TestServer::open().await;
    let add = json!({ "changes": [{ "principal": "bob", "add": ["USE_CATALOG", "create schema"] }] });
    let (status, granted) = patch(&server, "/permissions/catalog/main", &add).await;
    let expected = json!({ "privilege_assignments":
        [{ "principal": "bob", "privileges": ["CREATE_SCHEMA", "USE_CATALOG"] }] });
    assert_eq!((status, &granted), (200, &expected));
    let select = json!({ "changes": [{ "principal": "bob", "add": ["SELECT"] }] });
    patch(&server, "/permissions/CATALOG/main", &select).await;
    let (status, effective) = server
        .get(&format!("{BASE}/effective-permissions/schema/main.default"))
        .await;
    assert_eq!(status, 200);
    let inherited =
        json!({ "privilege": "SELECT", "inherited_from_type": "CATALOG", "inherited_from_name": "main" });
    assert_eq!(
        effective,
        json!({ "privilege_assignments": [{ "principal": "bob", "privileges": [inherited] }] })
    );
    let (_, own) = server
        .get(&format!("{BASE}/permissions/schema/main.default"))
        .await;
    assert_eq!(own, json!({ "privilege_assignments": [] }));
    let remove = json!({ "changes": [{ "principal": "bob", "remove": ["USE_CATALOG", "SELECT"] }] });
    patch(&server, "/permissions/catalog/main", &remove).await;
    let (_, left) = server
        .get(&format!(
            "{BASE}/permissions/catalog/main?principal=bob&max_results=0"
        ))
        .await;
    let left = &left["privilege_assignments"][0]["privileges"];
    assert_eq!(left, &json!(["CREATE_SCHEMA"]));
}

#[test_case("/permissions/table/main.default.missing", 404; "no such table")]
#[test_case("/permissions/table/missing", 400; "short name")]
#[test_case("/permissions/share/s", 400; "no such kind")]
#[test_case("/permissions/catalog/main?max_results=10", 400; "small page")]
#[tokio::test]
async fn what_is_wrong_is_said(path: &str, expected: u16) {
    let server = TestServer::open().await;
    let (status, body) = server.get(&format!("{BASE}{path}")).await;
    assert_eq!(status, expected, "{body}");
}

#[test_case(json!({ "changes": [{ "principal": "bob", "add": ["EXECUTE_ALL"] }] }); "unknown privilege")]
#[test_case(json!({ "changes": [{ "principal": "", "add": ["SELECT"] }] }); "nobody")]
#[test_case(json!({ "changes": [{ "add": ["SELECT"] }] }); "no principal")]
#[tokio::test]
async fn a_wrong_change_changes_nothing(body: Value) {
    let server = TestServer::open().await;
    let (status, _) = patch(&server, "/permissions/catalog/main", &body).await;
    assert!((400..500).contains(&status), "{status}");
    let (_, left) = server.get(&format!("{BASE}/permissions/catalog/main")).await;
    assert_eq!(left, json!({ "privilege_assignments": [] }));
}

#[tokio::test]
async fn others_see_and_change_what_they_may() {
    let principal = "bob".to_owned();
    let server = TestServer::start(Authentication::Development { principal }, Limits::default()).await;
    let (_, listed) = server.get(&format!("{BASE}/catalogs")).await;
    assert_eq!(listed, json!({ "catalogs": [] }));
    let (status, _) = server.get(&format!("{BASE}/catalogs/main")).await;
    assert_eq!(status, 403);
    let add = json!({ "changes": [{ "principal": "bob", "add": ["USE_CATALOG"] }] });
    let (status, denied) = patch(&server, "/permissions/catalog/main", &add).await;
    assert_eq!(
        (status, &denied["error_code"]),
        (403, &json!("PERMISSION_DENIED"))
    );
    assert_eq!(denied["condition"], "INSUFFICIENT_PERMISSIONS");
}
