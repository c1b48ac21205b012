//! The data API: pages, validators, quotas.

use std::time::Duration;

use ingot_server::{ApiLimits, Authentication, Limits};
use reqwest::Response;
use serde_json::Value;
use sha2::{Digest, Sha256};
use test_case::test_case;

use crate::harness::TestServer;

async fn get(server: &TestServer, path: &str) -> Response {
    reqwest::get(server.url(path)).await.expect("answer")
}

async fn ask(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = reqwest::Client::new().get(server.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("answer")
}

fn header(response: &Response, name: &str) -> Option<String> {
    let value = response.headers().get(name)?;
    Some(value.to_str().expect("text").to_owned())
}

/// Returns where the next page is.
fn next(response: &Response) -> Option<String> {
    let link = header(response, "link")?;
    let target = link.strip_prefix('<').expect("a target");
    let (target, relation) = target.split_once('>').expect("a target");
    assert_eq!(relation, "; rel=\"next\"");
    Some(target.to_owned())
}

async fn limited(api: ApiLimits) -> TestServer {
    TestServer::limited(Limits {
        api,
        ..Limits::default()
    })
    .await
}

#[test_case("/api/v1/data/a.b.c?page_size=3", &[3, 3, 3, 1]; "pages")]
#[test_case("/api/v1/data/a.b.c?page_size=5", &[5, 5]; "full pages")]
#[test_case("/api/v1/data/a.b.c?page_size=3&limit=7&carrier=x%26y", &[3, 3, 1]; "a limit over all pages")]
#[test_case("/api/v1/query?table=a.b.c&page_size=100", &[10]; "one page")]
#[test_case("/api/v1/data/a.b.c?page_size=4&format=csv", &[4, 4, 2]; "another format")]
#[tokio::test]
async fn links_lead_through_all_pages(path: &str, expected: &[usize]) {
    let server = TestServer::open().await;
    let mut path = Some(path.to_owned());
    let (mut pages, mut rows) = (Vec::new(), Vec::new());
    while let Some(this) = path {
        let response = get(&server, &this).await;
        assert_eq!(response.status(), 200, "{this}");
        path = next(&response);
        let text = response.text().await.expect("text");
        let page: Vec<String> = text
            .split(|c: char| "\"\n,".contains(c))
            .filter(|part| part.starts_with("row "))
            .map(str::to_owned)
            .collect();
        pages.push(page.len());
        rows.extend(page);
        // Writers go on; the pages stay at their version.
        server.tables.lock().expect("lock").version += 1;
    }
    assert_eq!(pages, expected);
    let all: Vec<String> = (0..rows.len()).map(|row| format!("row {row}")).collect();
    assert_eq!(rows, all);
}

async fn refused(server: &TestServer, path: &str) -> (u16, Value) {
    let response = get(server, path).await;
    (
        response.status().as_u16(),
        response.json().await.expect("an error"),
    )
}

#[tokio::test]
async fn a_cursor_of_another_query_is_refused() {
    let server = TestServer::open().await;
    let first = get(&server, "/api/v1/data/a.b.c?page_size=3&order=flights").await;
    let cursor = next(&first).expect("a next page");
    for changed in [
        cursor.replace("order=flights", "order=carrier"),
        cursor.replace("order=flights&", ""),
        cursor.replace("a.b.c", "a.b.d"),
        format!("{cursor}&flights.gt=1"),
        format!("{cursor}&version=3"),
    ] {
        let (status, body) = refused(&server, &changed).await;
        assert_eq!(status, 400, "{changed}");
        let message = body["message"].as_str().expect("message");
        assert!(message.contains("another query"), "{message}");
    }
    for changed in [
        cursor.replace("cursor=", "cursor=A"),
        cursor[..cursor.len() - 9].to_owned(),
    ] {
        let (status, body) = refused(&server, &changed).await;
        assert_eq!(status, 400, "{changed}");
        let message = body["message"].as_str().expect("message");
        assert!(message.contains("not one that this server has made"), "{message}");
    }
    // Page sizes may differ.
    let response = get(&server, &cursor.replace("page_size=3", "page_size=7")).await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_cursor_of_another_caller_is_refused() {
    let hash = |token: &str| -> String {
        let hash = Sha256::digest(token.as_bytes());
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let tokens = vec![(hash("a"), "ann".to_owned()), (hash("b"), "ben".to_owned())];
    let server = TestServer::start(Authentication::Tokens(tokens), Limits::default()).await;
    let first = ask(
        &server,
        "/api/v1/data/a.b.c?page_size=3",
        &[("authorization", "Bearer a")],
    )
    .await;
    let cursor = next(&first).expect("a next page");
    let other = ask(&server, &cursor, &[("authorization", "Bearer b")]).await;
    assert_eq!(other.status(), 400);
    let body: Value = other.json().await.expect("an error");
    assert!(
        body["message"]
            .as_str()
            .is_some_and(|text| text.contains("another caller"))
    );
    let own = ask(&server, &cursor, &[("authorization", "Bearer a")]).await;
    assert_eq!(own.status(), 200);
}

#[test_case("version"; "cleaned log")]
#[test_case("files"; "vacuumed files")]
#[test_case("table"; "a table made anew")]
#[test_case("policy"; "another policy")]
#[tokio::test]
async fn a_page_that_cannot_be_had_any_more_is_gone(what: &str) {
    let server = TestServer::open().await;
    let first = get(&server, "/api/v1/data/a.b.c?page_size=3").await;
    let cursor = next(&first).expect("a next page");
    {
        let mut tables = server.tables.lock().expect("lock");
        match what {
            "version" => (tables.version, tables.earliest) = (9, 8),
            "files" => tables.files_gone = true,
            "table" => tables.id = "another".to_owned(),
            _ => tables.policy = Some("another".to_owned()),
        }
    }
    let (status, body) = refused(&server, &cursor).await;
    assert_eq!(status, 410, "{body}");
    assert_eq!(body["error_code"], "CURSOR_EXPIRED");
    let message = body["message"].as_str().expect("message");
    assert!(message.contains("begin with the first page"), "{message}");
}

#[tokio::test]
async fn an_answer_that_is_known_is_not_given_again() {
    let server = TestServer::open().await;
    let path = "/api/v1/data/a.b.c?flights.gt=1";
    let first = get(&server, path).await;
    let etag = header(&first, "etag").expect("a tag");
    assert!(etag.starts_with("W/\""), "{etag}");
    assert_eq!(
        header(&first, "last-modified").as_deref(),
        Some("Thu, 01 Jan 1970 00:00:00 GMT")
    );
    assert_eq!(
        header(&first, "cache-control").as_deref(),
        Some("private, no-cache")
    );
    assert_eq!(header(&first, "ingot-table-version").as_deref(), Some("7"));
    let reads = || server.tables.lock().expect("lock").reads;
    let read_before = reads();
    let known = ask(&server, path, &[("if-none-match", &etag)]).await;
    assert_eq!(known.status(), 304);
    assert_eq!(header(&known, "etag"), Some(etag.clone()));
    assert!(known.bytes().await.expect("nothing").is_empty());
    assert_eq!(reads(), read_before, "nothing was read");
    for (path, accept) in [
        ("/api/v1/data/a.b.c?flights.gt=2", "application/json"),
        ("/api/v1/data/a.b.d?flights.gt=1", "text/csv"),
        (path, "text/csv"),
    ] {
        let other = ask(&server, path, &[("if-none-match", &etag), ("accept", accept)]).await;
        assert_eq!(other.status(), 200, "{path}");
    }
    server.tables.lock().expect("lock").version += 1;
    let changed = ask(&server, path, &[("if-none-match", &etag)]).await;
    assert_eq!(changed.status(), 200);
    assert_ne!(header(&changed, "etag"), Some(etag));
}

#[test_case("/api/v1/data/a.b.v", true; "view")]
#[test_case("/api/v1/data/a.b.c", false; "policy of a time")]
#[tokio::test]
async fn what_may_change_unseen_has_no_validators(path: &str, policy: bool) {
    let server = TestServer::open().await;
    if !policy {
        server.tables.lock().expect("lock").policy = None;
    }
    let response = ask(&server, path, &[("if-none-match", "*")]).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "etag"), None);
    assert_eq!(header(&response, "last-modified"), None);
}

#[tokio::test]
async fn who_asks_for_the_head_alone_reads_nothing() {
    let server = TestServer::open().await;
    let url = server.url("/api/v1/data/a.b.c?format=parquet");
    let response = reqwest::Client::new().head(url).send().await.expect("answer");
    assert_eq!(response.status(), 200);
    assert_eq!(
        header(&response, "content-type").as_deref(),
        Some("application/vnd.apache.parquet")
    );
    assert!(header(&response, "etag").is_some());
    assert_eq!(server.tables.lock().expect("lock").reads, 0);
}

#[tokio::test]
async fn requests_of_a_minute_are_counted() {
    let server = limited(ApiLimits {
        requests_per_minute_max: 2,
        ..ApiLimits::default()
    })
    .await;
    for _ in 0..2 {
        assert_eq!(get(&server, "/api/v1/data/a.b.c").await.status(), 200);
    }
    let response = get(&server, "/api/v1/data/a.b.c").await;
    assert_eq!(response.status(), 429);
    let after = header(&response, "retry-after").expect("when to come again");
    assert!(
        (1..=30).contains(&after.parse::<u64>().expect("seconds")),
        "{after}"
    );
    let body: Value = response.json().await.expect("an error");
    assert_eq!(body["error_code"], "RESOURCE_EXHAUSTED");
    // Other routes are not counted.
    assert_eq!(get(&server, "/healthz").await.status(), 200);
}

#[tokio::test]
async fn a_request_counts_until_its_answer_is_read_or_given_up() {
    let server = limited(ApiLimits {
        requests_max: 1,
        ..ApiLimits::default()
    })
    .await;
    let flood = server.sql("flood", "application/json").await;
    assert_eq!(flood.status(), 200);
    assert_eq!(get(&server, "/api/v1/data/a.b.c").await.status(), 429);
    drop(flood);
    server.rows_dropped().await;
    let begun = std::time::Instant::now();
    // The rows go a moment before the place does.
    while get(&server, "/api/v1/data/a.b.c").await.status() == 429 {
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}

#[test_case(ApiLimits { answer_rows_max: 3, ..ApiLimits::default() }, "rows"; "rows")]
#[test_case(ApiLimits { answer_bytes_max: 20, ..ApiLimits::default() }, "bytes"; "bytes")]
#[tokio::test]
async fn an_answer_that_is_too_large_is_no_whole_one(limits: ApiLimits, what: &str) {
    let server = limited(limits).await;
    // The first piece tells already that a page is too large.
    let (status, body) = refused(&server, "/api/v1/data/a.b.c?page_size=9").await;
    assert_eq!(status, 400, "{body}");
    assert!(
        body["message"].as_str().is_some_and(|text| text.contains(what)),
        "{body}"
    );
    // Rows that are more than may be are noticed while they are sent.
    for accept in ["application/json", "text/csv", "application/x-ndjson"] {
        if let Ok(response) = server.try_sql("rows", accept).await
            && response.status() == 200
        {
            response.bytes().await.expect_err("broken off");
        }
    }
}
