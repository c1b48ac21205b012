//! Clients that stall, send too much or come in crowds; a server that is asked to end.

use std::time::Duration;

use ingot_server::Limits;
use test_case::test_case;
use tokio::io::AsyncReadExt;

use crate::harness::TestServer;

/// Long enough that nothing of a test meets it.
const NEVER: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(200);

fn post(statement: &str) -> String {
    let body = format!("{{\"statement\":\"{statement}\"}}");
    format!(
        "POST /api/v1/sql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn a_reader_that_stalls_is_given_up() {
    let server = TestServer::limited(Limits {
        stall_max: SOON,
        ..Limits::default()
    })
    .await;
    // It never reads.
    let _stalled = server.send(post("flood").as_bytes()).await;
    server.rows_dropped().await;
}

#[tokio::test]
async fn a_full_house_is_said() {
    let server = TestServer::open().await;
    let response = server.sql("busy", "application/json").await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "1");
    let body: serde_json::Value = response.json().await.expect("JSON");
    assert_eq!(body["error_code"], "RESOURCE_EXHAUSTED");
    assert_eq!(body["condition"], "SERVER_IS_BUSY");
}

#[test_case("POST /api/v1/sql HTT"; "half a head")]
#[test_case(""; "nothing")]
#[tokio::test]
async fn a_client_that_sends_no_whole_head_is_given_up(sent: &str) {
    let server = TestServer::limited(Limits {
        stall_max: SOON,
        ..Limits::default()
    })
    .await;
    let mut stream = server.send(sent.as_bytes()).await;
    // The connection ends, with or without a last word.
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let server = TestServer::limited(Limits {
        stall_max: SOON,
        ..Limits::default()
    })
    .await;
    let whole = post("rows");
    let mut stream = server.send(&whole.as_bytes()[..whole.len() - 3]).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("REQUEST_TIMEOUT"), "{answer}");
}

#[tokio::test]
async fn connections_beyond_the_bound_wait() {
    let server = TestServer::limited(Limits {
        connections_max: 1,
        stall_max: NEVER,
        ..Limits::default()
    })
    .await;
    let first = server.send(b"GET").await;
    let waiting = server.sql("rows", "application/json");
    tokio::pin!(waiting);
    let too_soon = tokio::time::timeout(SOON, &mut waiting).await;
    assert!(too_soon.is_err(), "the second connection waits");
    drop(first);
    assert_eq!(waiting.await.status(), 200);
}

#[test_case("application/json", 2_000, 413, "REQUEST_TOO_LARGE"; "too large")]
#[test_case("text/plain", 10, 415, "UNSUPPORTED_MEDIA_TYPE"; "not json by its type")]
#[test_case("application/json", 10, 400, "INVALID_ARGUMENT"; "not json by its text")]
#[tokio::test]
async fn a_wrong_body_has_its_status(content_type: &str, bytes: usize, status: u16, error_code: &str) {
    let server = TestServer::limited(Limits {
        body_bytes_max: 1_000,
        ..Limits::default()
    })
    .await;
    let response = reqwest::Client::new()
        .post(server.url("/api/v1/sql"))
        .header("content-type", content_type)
        .body("x".repeat(bytes))
        .send()
        .await
        .expect("answer");
    assert_eq!(response.status(), status);
    let body: serde_json::Value = response.json().await.expect("JSON");
    assert_eq!(body["error_code"], error_code);
}

#[tokio::test]
async fn a_request_cancelled_at_shutdown_is_told_so() {
    let server = TestServer::limited(Limits {
        drain_max: SOON,
        ..Limits::default()
    })
    .await;
    let asked = server.sql("endless", "application/json");
    let stop = async {
        // Once the statement runs, its connection is beyond the first byte of its request.
        server.running().await;
        server.stop();
    };
    let (response, ()) = tokio::join!(asked, stop);
    assert_eq!(response.status(), 503);
    let body: serde_json::Value = response.json().await.expect("JSON");
    assert_eq!(body["error_code"], "UNAVAILABLE");
    assert!(server.ended().await);
}

#[tokio::test]
async fn a_request_in_flight_at_shutdown_ends_whole() {
    let server = TestServer::open().await;
    let mut running = server.send(post("wait").as_bytes()).await;
    server.running().await;
    server.stop();
    server.release();
    let mut answer = Vec::new();
    running.read_to_end(&mut answer).await.expect("a whole answer");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("0\r\n\r\n"), "{answer}");
    assert!(server.ended().await);
}
