//! The history of statements over HTTP.

use serde_json::json;
use test_case::test_case;
use uuid::Uuid;

use crate::harness::TestServer;

const QUERIES: &str = "/api/2.0/sql/history/queries";

#[tokio::test]
async fn pages_follow_each_other() {
    let server = TestServer::open().await;
    let mut ids = Vec::new();
    let mut token = String::new();
    loop {
        let path = format!("{QUERIES}?max_results=2&page_token={token}");
        let (status, page) = server.get(&path).await;
        assert_eq!(status, 200, "{page}");
        let queries = page["res"].as_array().expect("queries");
        ids.extend(
            queries
                .iter()
                .map(|query| query["query_id"].as_str().expect("id").to_owned()),
        );
        match page["has_next_page"].as_bool().expect("says if there is more") {
            true => page["next_page_token"]
                .as_str()
                .expect("token")
                .clone_into(&mut token),
            false => break,
        }
        assert!(ids.len() < 5, "it goes on");
    }
    let expected: Vec<String> = (1..=5)
        .rev()
        .map(|number| Uuid::from_u128(number).to_string())
        .collect();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn a_query_has_what_clients_read() {
    let server = TestServer::open().await;
    let id = Uuid::from_u128(3);
    let path = format!("{QUERIES}?filter_by.statement_ids={id}&include_metrics=true");
    let (_, page) = server.get(&path).await;
    assert_eq!(page["has_next_page"], false);
    let query = &page["res"][0];
    assert_eq!(query["query_id"], id.to_string());
    assert_eq!(query["status"], "FINISHED");
    assert_eq!(
        (&query["query_start_time_ms"], &query["query_end_time_ms"]),
        (&json!(3), &json!(13))
    );
    assert_eq!(query["query_tags"], json!([{"key": "team"}]));
    assert_eq!(query["metrics"]["result_from_cache"], false);
    assert!(query.get("error_message").is_none());
    let (_, plain) = server.get(QUERIES).await;
    assert!(plain["res"][0].get("metrics").is_none());
}

#[test_case("filter_by.statuses=DONE")]
#[test_case("max_results=x")]
#[test_case("nothing=1")]
#[tokio::test]
async fn a_wrong_filter_is_refused(query: &str) {
    let server = TestServer::open().await;
    let (status, error) = server.get(&format!("{QUERIES}?{query}")).await;
    assert_eq!((status, &error["error_code"]), (400, &json!("INVALID_ARGUMENT")));
}

#[tokio::test]
async fn a_filter_may_stand_in_the_body() {
    let server = TestServer::open().await;
    let body = json!({"filter_by": {"query_start_time_range": {"start_time_ms": 2, "end_time_ms": 3}}});
    let client = reqwest::Client::new();
    let answer = client
        .get(server.url(QUERIES))
        .json(&body)
        .send()
        .await
        .expect("answer");
    let page: serde_json::Value = answer.json().await.expect("JSON");
    assert_eq!(page["res"].as_array().map(Vec::len), Some(2));
}

#[test_case("00000000-0000-0000-0000-000000000001", 200)]
#[test_case("00000000-0000-0000-0000-000000000002", 404)]
#[test_case("x", 400)]
#[tokio::test]
async fn a_profile_is_found_by_its_id(id: &str, expected: u16) {
    let server = TestServer::open().await;
    let (status, profile) = server.get(&format!("/api/v1/statements/{id}/profile")).await;
    assert_eq!(status, expected);
    if status == 200 {
        assert_eq!(profile["statement"]["statement_id"], id);
    }
}

#[test_case(None; "the server's own")]
#[test_case(Some("6f2b1c1e-0000-4000-8000-000000000007"); "the client's")]
#[tokio::test]
async fn an_answer_names_its_statement(id: Option<&str>) {
    let server = TestServer::open().await;
    let mut post = reqwest::Client::new()
        .post(server.url("/api/v1/sql"))
        .json(&json!({"statement": "rows"}));
    if let Some(id) = id {
        post = post.header("x-ingot-statement-id", id);
    }
    let answer = post.send().await.expect("answer");
    let named = answer.headers()["x-ingot-statement-id"].to_str().expect("text");
    assert!(Uuid::parse_str(named).is_ok());
    assert!(id.is_none_or(|id| id == named));
}
