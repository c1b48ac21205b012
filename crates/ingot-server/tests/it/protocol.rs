//! Authentication, formats, errors, cancellation.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ingot_server::{Authentication, Limits};
use sha2::{Digest, Sha256};
use test_case::test_case;

use crate::harness::TestServer;

const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";

#[tokio::test]
async fn only_a_known_token_lets_in() {
    let hash = Sha256::digest(b"secret");
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let server = TestServer::start(
        Authentication::Tokens(vec![(hash, "ann".to_owned())]),
        Limits::default(),
    )
    .await;
    let ask = async |token: Option<&str>, path: &str| {
        let mut request = reqwest::Client::new().get(server.url(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await.expect("answer").status().as_u16()
    };
    for path in [
        "/api/v1/query?table=a.b.c",
        "/api/v1/data/a.b.c",
        "/metrics",
        "/api/2.1/unity-catalog/catalogs",
    ] {
        assert_eq!(ask(None, path).await, 401, "{path}");
        assert_eq!(ask(Some("other"), path).await, 401, "{path}");
        assert_eq!(ask(Some("secret"), path).await, 200, "{path}");
    }
    for path in [
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/docs",
        "/docs/tables",
        "/docs/swagger-ui.css",
    ] {
        assert_eq!(ask(None, path).await, 200, "{path}");
    }
}

#[tokio::test]
async fn rows_come_as_json_csv_and_arrow() {
    let server = TestServer::open().await;
    let json: serde_json::Value = server
        .sql("rows", "application/json")
        .await
        .json()
        .await
        .expect("JSON");
    assert_eq!(json.as_array().map(Vec::len), Some(4));
    assert_eq!(json[1], serde_json::json!({"carrier": null, "flights": 685}));

    let csv = server.sql("rows", "text/csv").await.text().await.expect("text");
    assert_eq!(csv, "carrier,flights\nUA,58665\n,685\nUA,58665\n,685\n");

    let arrow = server
        .sql("rows", ARROW_STREAM)
        .await
        .bytes()
        .await
        .expect("bytes");
    let reader = arrow::ipc::reader::StreamReader::try_new(arrow.as_ref(), None).expect("stream");
    assert_eq!(
        reader
            .map(|batch| batch.expect("batch").num_rows())
            .sum::<usize>(),
        4
    );
}

#[tokio::test]
async fn a_statement_is_given_its_parameters() {
    let server = TestServer::open().await;
    let body = serde_json::json!({
        "statement": "parameters",
        "parameters": [{"name": "a", "value": "1", "type": "INT"}, {"value": "x"}, {}],
    });
    let response = server.post(&body, "text/csv").await.expect("answer");
    assert_eq!(response.status(), 200);
    let text = response.text().await.expect("text").replace("\"\"", "\"");
    for given in [
        r#"name: Some("a"), value: Some("1"), type_text: Some("INT")"#,
        r#"name: None, value: Some("x"), type_text: None"#,
        "name: None, value: None, type_text: None",
    ] {
        assert!(text.contains(given), "{given}: {text}");
    }
    let unknown =
        serde_json::json!({"statement": "parameters", "parameters": [{"name": "a", "kind": "INT"}]});
    let response = server.post(&unknown, "text/csv").await.expect("answer");
    assert_eq!(response.status(), 400);
}

#[test_case("application/json", "[]\n"; "json")]
#[test_case("text/csv", "carrier,flights\n"; "csv")]
#[tokio::test]
async fn no_rows_are_a_whole_answer(accept: &str, expected: &str) {
    let server = TestServer::open().await;
    let response = server.sql("nothing", accept).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.text().await.expect("text"), expected);
}

#[tokio::test]
async fn an_error_keeps_its_condition() {
    let server = TestServer::open().await;
    let response = server.sql("selec", "text/csv").await;
    assert_eq!(response.status(), 400);
    assert!(response.headers().contains_key("x-request-id"));
    let body: serde_json::Value = response.json().await.expect("JSON");
    assert_eq!(body["error_code"], "INVALID_ARGUMENT");
    assert_eq!(body["condition"], "PARSE_SYNTAX_ERROR");
    assert_eq!(body["sqlstate"], "42601");
}

#[tokio::test]
async fn an_error_after_the_first_rows_breaks_the_answer_off() {
    let server = TestServer::open().await;
    for accept in ["application/json", "text/csv", ARROW_STREAM] {
        // The connection may break before the status line has left or after.
        if let Ok(response) = server.try_sql("break", accept).await {
            response.bytes().await.expect_err("broken off");
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_statement() {
    let server = TestServer::open().await;
    let asked = tokio::time::timeout(Duration::from_millis(200), server.sql("endless", "text/csv")).await;
    assert!(asked.is_err());
    let deadline = Instant::now() + Duration::from_secs(20);
    while !server.cancelled.load(Ordering::SeqCst) {
        assert!(Instant::now() < deadline, "the statement runs on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test_case("/api/v1/query?table=t", "has 1 parts, expected 3"; "short name")]
#[test_case("/api/v1/query?table=a.b.c&colour=red", "colour"; "unknown parameter")]
#[test_case("/api/v1/query?table=a.b.c&limit=many", "limit"; "limit that is no number")]
#[test_case("/api/v1/query?table=a.b.c&version=1&timestamp=2", "exclude each other"; "two points in time")]
#[test_case("/api/v1/query?table=a.b.c&filters=%7B%22n%22%3A%7B%22near%22%3A1%7D%7D", "column `n` has unknown operator `near`"; "operator")]
#[test_case("/api/v1/query?table=a.b.c&flights.gtr=1", "column `flights` has unknown operator `gtr`"; "operator of a parameter")]
#[test_case("/api/v1/query?limit=1", "parameter `table` is missing"; "no table")]
#[test_case("/api/v1/data/t", "has 1 parts, expected 3"; "short name in the path")]
#[test_case("/api/v1/data/a.b.c?format=xml", "parameter `format` is `xml`"; "format")]
#[tokio::test]
async fn a_wrong_query_is_named(path: &str, message: &str) {
    let server = TestServer::open().await;
    let (status, body) = server.get(path).await;
    assert_eq!(status, 400);
    assert!(
        body["message"]
            .as_str()
            .is_some_and(|text| text.contains(message)),
        "{body}"
    );
}

#[tokio::test]
async fn what_is_not_acceptable_is_said() {
    let server = TestServer::open().await;
    let response = server.sql("rows", "image/png").await;
    assert_eq!(response.status(), 406);
    let body: serde_json::Value = response.json().await.expect("JSON");
    assert_eq!(body["error_code"], "NOT_ACCEPTABLE");
    assert!(
        body["message"]
            .as_str()
            .is_some_and(|text| text.contains("text/csv"))
    );
}

#[tokio::test]
async fn the_better_liked_format_is_chosen() {
    let server = TestServer::open().await;
    let response = server.sql("rows", "application/json;q=0.5, text/csv").await;
    assert_eq!(response.headers()["content-type"], "text/csv; charset=utf-8");
}

#[tokio::test]
async fn a_nested_column_is_refused_where_it_has_no_place() {
    let server = TestServer::open().await;
    let response = server.sql("nested", "text/csv").await;
    assert_eq!(response.status(), 400);
    let body: serde_json::Value = response.json().await.expect("JSON");
    assert!(
        body["message"]
            .as_str()
            .is_some_and(|text| text.contains("column `tags` is nested")),
        "{body}"
    );
    let json: serde_json::Value = server
        .sql("nested", "application/json")
        .await
        .json()
        .await
        .expect("JSON");
    assert_eq!(json, serde_json::json!([{"id": 1, "tags": [1, null]}]));
    assert_eq!(server.sql("nested", ARROW_STREAM).await.status(), 200);
}

#[tokio::test]
async fn every_answer_has_the_id_of_its_request() {
    let locked = TestServer::start(Authentication::Tokens(vec![]), Limits::default()).await;
    let open = TestServer::open().await;
    let mut ids = HashSet::new();
    for (url, status) in [
        (locked.url("/api/v1/query?table=a.b.c"), 401),
        (locked.url("/healthz"), 200),
        (open.url("/api/v1/query?table=a.b.c"), 200),
        (open.url("/api/v1/query?table=a.b.c&colour=red"), 400),
        (open.url("/api/v1/sql"), 405),
        (open.url("/nowhere"), 404),
    ] {
        let response = reqwest::get(&url).await.expect("answer");
        assert_eq!(response.status(), status, "{url}");
        let id = response.headers().get("x-request-id");
        assert!(ids.insert(id.expect("an id").to_owned()), "{url}");
        if status >= 400 {
            let body: serde_json::Value = response.json().await.expect("JSON");
            assert!(body["error_code"].is_string(), "{url}: {body}");
        }
    }
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let server = TestServer::open().await;
    let response = server.sql("panic", "application/json").await;
    assert_eq!(response.status(), 500);
    assert!(response.headers().contains_key("x-request-id"));
    let body: serde_json::Value = response.json().await.expect("JSON");
    assert_eq!(body["error_code"], "INTERNAL");
    assert_eq!(server.sql("rows", "application/json").await.status(), 200);
}

#[tokio::test]
async fn methods_that_a_client_makes_up_are_one_series() {
    let server = TestServer::open().await;
    for name in ["BREW", "STEEP"] {
        let method = reqwest::Method::from_bytes(name.as_bytes()).expect("method");
        let request = reqwest::Client::new().request(method, server.url("/healthz"));
        assert_eq!(request.send().await.expect("answer").status(), 405);
    }
    let metrics = reqwest::get(server.url("/metrics")).await.expect("answer");
    let metrics = metrics.text().await.expect("text");
    assert!(metrics.contains("method=\"other\""), "{metrics}");
    assert!(!metrics.contains("BREW"), "{metrics}");
}
