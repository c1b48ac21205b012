//! The Statement Execution API: what it answers, and what becomes of statements whose clients do as they like. Databricks'
//! own clients are in `tests/clients`.

use std::sync::atomic::Ordering;

use ingot_server::{Authentication, Limits};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use test_case::test_case;

use crate::harness::TestServer;

const STATEMENTS: &str = "/api/2.0/sql/statements";

async fn send(server: &TestServer, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
    let mut request = Client::new().request(method, server.url(path));
    if let Some(body) = body {
        request = request.json(body);
    }
    let response = request.send().await.expect("answer");
    let status = response.status().as_u16();
    (status, response.json().await.expect("JSON"))
}

async fn execute(server: &TestServer, body: Value) -> Value {
    let (status, answer) = send(server, Method::POST, STATEMENTS, Some(&body)).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

async fn get(server: &TestServer, path: &str) -> (u16, Value) {
    send(server, Method::GET, path, None).await
}

fn path_of(answer: &Value) -> String {
    format!("{STATEMENTS}/{}", answer["statement_id"].as_str().expect("an id"))
}

#[tokio::test]
async fn a_result_is_within_the_answer() {
    let server = TestServer::open().await;
    let answer = execute(&server, json!({ "statement": "rows" })).await;
    assert_eq!(answer["status"], json!({ "state": "SUCCEEDED" }));
    let columns = &answer["manifest"]["schema"]["columns"];
    assert_eq!(
        columns[1],
        json!({ "name": "flights", "position": 1, "type_text": "BIGINT", "type_name": "LONG" })
    );
    assert_eq!(answer["manifest"]["total_row_count"], 4);
    let rows = json!([["UA", "58665"], [null, "685"], ["UA", "58665"], [null, "685"]]);
    assert_eq!(answer["result"]["data_array"], rows);
    let (status, again) = get(&server, &path_of(&answer)).await;
    assert_eq!((status, &again), (200, &answer), "as often as one likes");
    let (status, chunk) = get(&server, &format!("{}/result/chunks/0", path_of(&answer))).await;
    assert_eq!((status, &chunk["data_array"]), (200, &rows));
    let (status, error) = get(&server, &format!("{}/result/chunks/1", path_of(&answer))).await;
    assert_eq!((status, &error["error_code"]), (404, &json!("NOT_FOUND")));
}

#[tokio::test]
async fn a_result_without_rows_has_no_chunks() {
    let server = TestServer::open().await;
    let answer = execute(&server, json!({ "statement": "nothing" })).await;
    assert_eq!(answer["manifest"]["total_chunk_count"], 0);
    assert_eq!(answer["manifest"]["schema"]["column_count"], 2);
    assert_eq!(answer["result"], json!({}));
}

#[tokio::test]
async fn links_need_no_token_and_are_not_guessed() {
    let hash: String = Sha256::digest(b"secret")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let server = TestServer::start(
        Authentication::Tokens(vec![(hash, "ann".to_owned())]),
        Limits::default(),
    )
    .await;
    let client = Client::new();
    let body = json!({ "statement": "rows", "disposition": "EXTERNAL_LINKS", "format": "CSV" });
    let request = client.post(server.url(STATEMENTS)).json(&body);
    let refused = request
        .try_clone()
        .expect("a request")
        .send()
        .await
        .expect("answer");
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let answer = request.bearer_auth("secret").send().await.expect("answer");
    let answer: Value = answer.json().await.expect("JSON");
    let link = &answer["result"]["external_links"][0];
    assert_eq!(link["row_count"], 4);
    let url = link["external_link"].as_str().expect("a link");
    let rows = client.get(url).send().await.expect("answer");
    assert_eq!(rows.headers()["content-type"], "text/csv; charset=utf-8");
    let rows = rows.text().await.expect("rows");
    assert_eq!(rows, "carrier,flights\nUA,58665\nnull,685\nUA,58665\nnull,685\n");
    assert_eq!(link["byte_count"], rows.len());
    let secret = url.rsplit('/').nth(1).expect("a secret");
    let guessed = url.replace(secret, &uuid::Uuid::new_v4().to_string());
    assert_eq!(
        client.get(guessed).send().await.expect("answer").status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn one_chunk_is_an_attachment() {
    let server = TestServer::open().await;
    let body = json!({
        "statement": "rows", "disposition": "INLINE_OR_EXTERNAL_LINKS", "format": "ARROW_STREAM",
    });
    let answer = execute(&server, body).await;
    assert!(answer["result"]["attachment"].is_string(), "{answer}");
    assert!(answer["result"]["external_links"].is_null(), "{answer}");
}

#[tokio::test]
async fn a_statement_that_fails_says_why() {
    let server = TestServer::open().await;
    let answer = execute(&server, json!({ "statement": "SELEC 1" })).await;
    assert_eq!(answer["status"]["state"], "FAILED");
    assert_eq!(answer["status"]["sql_state"], "42601");
    assert_eq!(answer["status"]["error"]["error_code"], "BAD_REQUEST");
    let message = answer["status"]["error"]["message"].as_str().expect("a message");
    assert!(message.starts_with("[PARSE_SYNTAX_ERROR]"), "{message}");
    let (status, error) = get(&server, &format!("{}/result/chunks/0", path_of(&answer))).await;
    assert_eq!(
        (status, &error["error_code"]),
        (400, &json!("FAILED_PRECONDITION"))
    );
    // Its first rows came.
    let answer = execute(&server, json!({ "statement": "break" })).await;
    assert_eq!(answer["status"]["error"]["error_code"], "IO_ERROR");
    assert!(answer["result"].is_null());
}

#[tokio::test]
async fn an_answer_does_not_wait_for_a_long_statement() {
    let server = TestServer::open().await;
    let answer = execute(&server, json!({ "statement": "wait", "wait_timeout": "0s" })).await;
    assert_eq!(answer["status"], json!({ "state": "RUNNING" }));
    server.running().await;
    server.release();
    loop {
        let (_, answer) = get(&server, &path_of(&answer)).await;
        match answer["status"]["state"].as_str() {
            Some("RUNNING") => tokio::task::yield_now().await,
            Some("SUCCEEDED") => break,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_statement_is_cancelled() {
    let server = TestServer::open().await;
    let answer = execute(&server, json!({ "statement": "endless", "wait_timeout": "0s" })).await;
    server.running().await;
    let path = path_of(&answer);
    let (status, _) = send(&server, Method::POST, &format!("{path}/cancel"), None).await;
    assert_eq!(status, 200);
    loop {
        let (_, answer) = get(&server, &path).await;
        if answer["status"]["state"] == "CANCELED" {
            break;
        }
        assert_eq!(answer["status"]["state"], "RUNNING");
    }
    assert!(server.cancelled.load(Ordering::SeqCst));
    let (status, _) = send(&server, Method::DELETE, &path, None).await;
    assert_eq!(status, 200);
    assert_eq!(get(&server, &path).await.0, 404);
}

#[tokio::test]
async fn rows_without_end_are_cut_off() {
    let server = TestServer::open().await;
    let answer = execute(&server, json!({ "statement": "flood", "row_limit": 3 })).await;
    assert_eq!(answer["manifest"]["total_row_count"], 3);
    assert_eq!(answer["manifest"]["truncated"], true);
    server.rows_dropped().await;
}

#[tokio::test]
async fn results_take_no_more_room_than_there_is() {
    let server = TestServer::limited(Limits {
        result_bytes_max: 1000,
        ..Limits::default()
    })
    .await;
    let flood = json!({ "statement": "flood", "disposition": "EXTERNAL_LINKS" });
    let answer = execute(&server, flood).await;
    assert_eq!(answer["status"]["error"]["error_code"], "RESOURCE_EXHAUSTED");
    server.rows_dropped().await;
    let answer = execute(&server, json!({ "statement": "rows" })).await;
    assert_eq!(answer["status"]["state"], "SUCCEEDED", "the room was given back");
}

#[tokio::test]
async fn a_session_is_opened_and_closed() {
    let server = TestServer::open().await;
    let sessions = "/api/2.0/sql/sessions";
    let (status, opened) = send(
        &server,
        Method::POST,
        sessions,
        Some(&json!({ "warehouse_id": "x" })),
    )
    .await;
    assert_eq!(status, 200);
    let id = opened["session_id"].as_str().expect("an id");
    let body = json!({ "statement": "rows", "session_id": id });
    let answer = execute(&server, body.clone()).await;
    assert_eq!(answer["status"]["state"], "SUCCEEDED");
    let path = format!("{sessions}/{id}");
    assert_eq!(send(&server, Method::DELETE, &path, None).await.0, 200);
    assert_eq!(send(&server, Method::DELETE, &path, None).await.0, 404);
    assert_eq!(send(&server, Method::POST, STATEMENTS, Some(&body)).await.0, 404);
    assert_eq!(
        get(&server, &path_of(&answer)).await.0,
        200,
        "its result waits on"
    );
}

#[test_case(json!({}), 400; "no statement")]
#[test_case(json!({ "statement": "rows", "wait_timeout": "1h" }), 400; "a wait of another kind")]
#[test_case(json!({ "statement": "rows", "session_id": "nonsense" }), 404; "a session that is none")]
#[test_case(json!([1]), 400; "no object")]
#[tokio::test]
async fn what_is_wrong_is_said(body: Value, expected: u16) {
    let server = TestServer::open().await;
    let (status, error) = send(&server, Method::POST, STATEMENTS, Some(&body)).await;
    assert_eq!(status, expected, "{error}");
    assert!(error["error_code"].is_string() && error["message"].is_string());
}

#[tokio::test]
async fn the_server_is_a_warehouse() {
    let server = TestServer::open().await;
    let (_, listed) = get(&server, "/api/2.0/sql/warehouses").await;
    assert_eq!(listed["warehouses"][0]["state"], "RUNNING");
    let (_, warehouse) = get(&server, "/api/2.0/sql/warehouses/any").await;
    assert_eq!(warehouse["odbc_params"]["path"], "/sql/1.0/warehouses/any");
    let start = send(&server, Method::POST, "/api/2.0/sql/warehouses/any/start", None).await;
    assert_eq!(start, (200, json!({})));
    assert_eq!(
        send(&server, Method::POST, "/api/2.0/sql/warehouses/any/stop", None)
            .await
            .0,
        400
    );
}

#[test_case("ann", "secret", "client_credentials", 200, None; "a user and a token")]
#[test_case("bob", "secret", "client_credentials", 401, Some("invalid_client"); "a token of somebody else")]
#[test_case("ann", "guess", "client_credentials", 401, Some("invalid_client"); "no token")]
#[test_case("ann", "a\nb", "client_credentials", 401, Some("invalid_client"); "what no header holds")]
#[test_case("ann", "secret", "password", 400, Some("unsupported_grant_type"); "another grant")]
#[tokio::test]
async fn a_token_is_a_secret_of_oauth(
    client: &str,
    secret: &str,
    grant: &str,
    status: u16,
    error: Option<&str>,
) {
    let hash: String = Sha256::digest(b"secret")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let tokens = Authentication::Tokens(vec![(hash, "ann".to_owned())]);
    let server = TestServer::start(tokens, Limits::default()).await;
    let (_, metadata) = get(&server, "/oidc/.well-known/oauth-authorization-server").await;
    let endpoint = metadata["token_endpoint"].as_str().expect("an endpoint");
    let request = || Client::new().post(endpoint);
    let form = |fields: &[(&str, &str)]| {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields).finish()
    };
    let in_header = request()
        .basic_auth(client, Some(secret))
        .body(form(&[("grant_type", grant)]));
    let fields = [
        ("grant_type", grant),
        ("client_id", client),
        ("client_secret", secret),
    ];
    let in_body = request().body(form(&fields));
    for request in [in_header, in_body] {
        let response = request.send().await.expect("answer");
        assert_eq!(response.status().as_u16(), status);
        let answer: Value = response.json().await.expect("JSON");
        assert_eq!(answer["error"].as_str(), error);
        if error.is_none() {
            let token = answer["access_token"].as_str().expect("a token");
            let asked = Client::new()
                .get(server.url("/api/2.0/sql/warehouses"))
                .bearer_auth(token);
            assert_eq!(asked.send().await.expect("answer").status(), StatusCode::OK);
        }
    }
}
