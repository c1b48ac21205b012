//! What clients of Thrift may do wrong, and what becomes of what they leave behind. What they do right is tested with
//! them (`tests/clients`).

use std::sync::atomic::Ordering;

use ingot_server::Limits;

use crate::harness::TestServer;

const PATH: &str = "/sql/1.0/warehouses/any";

/// A call without arguments but for those of `request`, as bytes of Thrift's binary protocol.
fn call(name: &str, request: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80, 1, 0, 1];
    bytes.extend(u32::try_from(name.len()).expect("short").to_be_bytes());
    bytes.extend(name.as_bytes());
    bytes.extend([0, 0, 0, 9]);
    bytes.extend([12, 0, 1]);
    bytes.extend(request);
    bytes.extend([0, 0]);
    bytes
}

fn text(field: u8, text: &[u8]) -> Vec<u8> {
    let mut bytes = vec![11, 0, field];
    bytes.extend(u32::try_from(text.len()).expect("short").to_be_bytes());
    bytes.extend(text);
    bytes
}

/// A handle in the first field: of a session, or of an operation.
fn handle(identifier: &[u8]) -> Vec<u8> {
    let mut bytes = vec![12, 0, 1, 12, 0, 1];
    bytes.extend(identifier);
    bytes.extend([0, 0]);
    bytes
}

async fn answer(server: &TestServer, body: Vec<u8>) -> (u16, Vec<u8>) {
    let request = reqwest::Client::new().post(server.url(PATH)).body(body);
    let response = request.send().await.expect("response");
    let status = response.status().as_u16();
    (status, response.bytes().await.expect("body").to_vec())
}

/// The two fields of the first handle in an answer.
fn id_in(answer: &[u8]) -> Vec<u8> {
    let marker = [11, 0, 1, 0, 0, 0, 16];
    let place = answer.windows(marker.len()).position(|bytes| bytes == marker);
    let begin = place.expect("a handle");
    answer[begin..begin + 2 * (marker.len() + 16)].to_vec()
}

async fn open(server: &TestServer) -> Vec<u8> {
    let (status, opened) = answer(server, call("OpenSession", &[])).await;
    assert_eq!(status, 200);
    id_in(&opened)
}

async fn execute(server: &TestServer, session: &[u8], statement: &str) -> (u16, Vec<u8>) {
    let mut request = handle(session);
    request.extend(text(2, statement.as_bytes()));
    answer(server, call("ExecuteStatement", &request)).await
}

fn contains(answer: &[u8], text: &str) -> bool {
    answer.windows(text.len()).any(|bytes| bytes == text.as_bytes())
}

#[tokio::test]
async fn garbage_is_refused_and_the_server_lives() {
    let server = TestServer::open().await;
    for body in [
        vec![],
        b"GET / HTTP/1.1".to_vec(),
        vec![0xff; 64],
        call("OpenSession", &[15, 0, 1, 11, 0x7f, 0xff, 0xff, 0xff]),
    ] {
        let (status, body) = answer(&server, body).await;
        assert_eq!(status, 400, "{}", String::from_utf8_lossy(&body));
        assert!(contains(&body, "is no call of Thrift: "));
        assert!(!contains(&body, "service error"), "it says what is wrong");
    }
    open(&server).await;
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused() {
    let server = TestServer::limited(Limits {
        body_bytes_max: 64,
        ..Limits::default()
    })
    .await;
    let (status, body) = answer(&server, call("OpenSession", &text(2, &[b'x'; 64]))).await;
    assert_eq!(status, 413);
    assert!(contains(&body, "is larger than 64 bytes"));
}

#[tokio::test]
async fn a_call_that_there_is_not_is_said_in_thrift() {
    let server = TestServer::open().await;
    let (status, body) = answer(&server, call("Nonsense", &[])).await;
    assert_eq!(status, 200);
    assert!(contains(&body, "the call `Nonsense` is not supported"));
}

#[tokio::test]
async fn a_handle_that_is_not_known_is_invalid() {
    let server = TestServer::open().await;
    for name in [
        "ExecuteStatement",
        "CloseSession",
        "GetOperationStatus",
        "FetchResults",
        "CancelOperation",
    ] {
        let unknown = [text(1, &[7; 16]), text(2, &[7; 16])].concat();
        let (status, body) = answer(&server, call(name, &handle(&unknown))).await;
        assert_eq!(status, 200, "{name}");
        assert!(contains(&body, "it may have been closed"), "{name}");
        let (_, body) = answer(&server, call(name, &[])).await;
        assert!(contains(&body, "the call has no handle"), "{name}");
    }
}

#[tokio::test]
async fn a_session_that_is_closed_ends_its_statements() {
    let server = TestServer::open().await;
    let session = open(&server).await;
    // The answer comes after some seconds, and says that it goes on.
    let (_, running) = execute(&server, &session, "endless").await;
    assert!(!contains(&running, "cancel"));
    assert!(!server.cancelled.load(Ordering::SeqCst));
    answer(&server, call("CloseSession", &handle(&session))).await;
    while !server.cancelled.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    let (_, gone) = answer(&server, call("GetOperationStatus", &handle(&id_in(&running)))).await;
    assert!(contains(&gone, "it may have been closed"));
}

#[tokio::test]
async fn rows_that_nobody_fetches_go_with_their_operation() {
    let server = TestServer::open().await;
    let session = open(&server).await;
    let (_, began) = execute(&server, &session, "flood").await;
    let operation = handle(&id_in(&began));
    let (_, fetched) = answer(&server, call("FetchResults", &operation)).await;
    assert!(contains(&fetched, "UA"));
    answer(&server, call("CloseOperation", &operation)).await;
    server.rows_dropped().await;
}
