//! HTTPS, both versions of HTTP on one port, and clients of HTTP/2 that stall.

use std::time::Duration;

use ingot_server::{Identity, Limits};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use reqwest::{Certificate, Client, ClientBuilder, Version};
use test_case::test_case;
use tokio::io::AsyncReadExt;

use crate::harness::TestServer;

const SOON: Duration = Duration::from_millis(200);

fn certificate() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("certificate")
}

fn identity(certified: &CertifiedKey<KeyPair>) -> Identity {
    let (certificate, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
    Identity::from_pem(certificate.as_bytes(), key.as_bytes()).expect("identity")
}

/// A client that trusts `certified` and nobody else.
fn trusting(certified: &CertifiedKey<KeyPair>) -> ClientBuilder {
    let certificate = Certificate::from_pem(certified.cert.pem().as_bytes()).expect("certificate");
    Client::builder().tls_certs_only([certificate])
}

async fn health(client: &Client, server: &TestServer) -> reqwest::Result<(u16, Version)> {
    let response = client.get(server.url("/healthz")).send().await?;
    Ok((response.status().as_u16(), response.version()))
}

#[test_case(ClientBuilder::http1_only, Version::HTTP_11; "version 1")]
#[test_case(|client| client, Version::HTTP_2; "version 2, which both prefer")]
#[tokio::test]
async fn https_speaks_both_versions(choose: fn(ClientBuilder) -> ClientBuilder, version: Version) {
    let certified = certificate();
    let server = TestServer::secured(identity(&certified), Limits::default()).await;
    let client = choose(trusting(&certified)).build().expect("client");
    assert_eq!(health(&client, &server).await.expect("answer"), (200, version));
    let body = serde_json::json!({ "statement": "rows" });
    let request = client.post(server.url("/api/v1/sql")).json(&body);
    let rows: serde_json::Value = request.send().await.expect("answer").json().await.expect("rows");
    assert_eq!(rows.as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn http_speaks_both_versions() {
    let server = TestServer::open().await;
    let first = Client::new();
    assert_eq!(
        health(&first, &server).await.expect("answer"),
        (200, Version::HTTP_11)
    );
    let second = Client::builder().http2_prior_knowledge().build().expect("client");
    assert_eq!(
        health(&second, &server).await.expect("answer"),
        (200, Version::HTTP_2)
    );
    let body = serde_json::json!({ "statement": "rows" });
    let answer = second.post(server.url("/api/v1/sql")).json(&body).send().await;
    assert_eq!(answer.expect("answer").status(), 200, "localhost is let in");
}

#[tokio::test]
async fn another_certificate_is_shown_to_the_next_client() {
    let (first, second) = (certificate(), certificate());
    let identity = identity(&first);
    let server = TestServer::secured(identity.clone(), Limits::default()).await;
    let key = second.signing_key.serialize_pem();
    identity
        .replace(second.cert.pem().as_bytes(), key.as_bytes())
        .expect("replaced");
    let old = trusting(&first).build().expect("client");
    health(&old, &server).await.expect_err("it is not trusted");
    let new = trusting(&second).build().expect("client");
    assert_eq!(health(&new, &server).await.expect("answer").0, 200);
}

#[test_case(b""; "nothing")]
#[test_case(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"; "http")]
#[test_case(b"\x16\x03\x01"; "half a handshake")]
#[tokio::test]
async fn a_handshake_that_does_not_come_is_given_up(sent: &[u8]) {
    let limits = Limits {
        stall_max: SOON,
        ..Limits::default()
    };
    let server = TestServer::secured(identity(&certificate()), limits).await;
    let mut stream = server.send(sent).await;
    // The connection ends, with or without a last word.
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
}

#[tokio::test]
async fn a_reader_of_one_stream_that_stalls_is_given_up() {
    let limits = Limits {
        stall_max: SOON,
        ..Limits::default()
    };
    let server = TestServer::limited(limits).await;
    let client = Client::builder().http2_prior_knowledge().build().expect("client");
    let body = serde_json::json!({ "statement": "flood" });
    let request = client.post(server.url("/api/v1/sql")).json(&body);
    // Its rows are not read; the connection is there for others.
    let mut stalled = request.send().await.expect("answer");
    server.rows_dropped().await;
    assert_eq!(health(&client, &server).await.expect("answer").0, 200);
    let end = loop {
        match stalled.chunk().await {
            Ok(Some(_)) => {}
            end => break end,
        }
    };
    assert!(end.is_err(), "half an answer is no answer");
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (first, second) = (certificate(), certificate());
    let (certificate, key) = (first.cert.pem(), second.signing_key.serialize_pem());
    for (certificate, key, told) in [
        (certificate.as_str(), key.as_str(), "does not belong"),
        (key.as_str(), key.as_str(), "no certificate"),
        (certificate.as_str(), certificate.as_str(), "no private key"),
    ] {
        let error = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).expect_err("refused");
        assert!(error.to_string().contains(told), "{error}");
    }
}
