//! The data API as `curl` sees it.

use reqwest::header::ACCEPT;
use serde_json::Value;
use test_case::test_case;

use crate::harness::Process;

async fn server_with_table(data_dir: &std::path::Path) -> Process {
    let server = Process::server(data_dir);
    let sql = server.client();
    for statement in [
        "CREATE TABLE t (carrier STRING, flights BIGINT)",
        "INSERT INTO t VALUES ('UA', 58665), ('F9', 685), ('EV', 54173)",
    ] {
        sql.rows(statement).await.expect(statement);
    }
    server
}

async fn get(server: &Process, query: &str, accept: &str) -> (u16, Vec<u8>) {
    let url = format!("{}/api/v1/query?{query}", server.address("http"));
    let request = reqwest::Client::new().get(url).header(ACCEPT, accept);
    let response = request.send().await.expect("answer");
    let status = response.status().as_u16();
    (status, response.bytes().await.expect("body").to_vec())
}

#[tokio::test]
async fn a_filtered_table_comes_as_json_csv_and_arrow() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let server = server_with_table(data_dir.path()).await;
    let query = "table=main.default.t&filters=%7B%22carrier%22%3A%22UA%22%7D";

    let (status, body) = get(&server, query, "application/json").await;
    let text = String::from_utf8_lossy(&body);
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("58665") && !text.contains("54173"), "{text}");
    serde_json::from_slice::<Value>(&body).expect("JSON");

    let (status, body) = get(&server, query, "text/csv").await;
    assert_eq!(status, 200);
    assert_eq!(
        String::from_utf8_lossy(&body).replace('\r', ""),
        "carrier,flights\nUA,58665\n"
    );

    let (status, body) = get(&server, query, "application/vnd.apache.arrow.stream").await;
    assert_eq!(status, 200);
    let reader = arrow::ipc::reader::StreamReader::try_new(body.as_slice(), None).expect("stream");
    assert_eq!(
        reader
            .map(|batch| batch.expect("batch").num_rows())
            .sum::<usize>(),
        1
    );
}

#[test_case("table=main.default.t&select=carier", "carier"; "unknown column")]
#[test_case("table=main.default.t&filters=%7B%22flights%22%3A%22many%22%7D", "flights"; "wrong type")]
#[test_case("table=t", "t"; "name with one part")]
#[tokio::test]
async fn wrong_input_is_named(query: &str, named: &str) {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let server = server_with_table(data_dir.path()).await;
    let (status, body) = get(&server, query, "application/json").await;
    let text = String::from_utf8_lossy(&body);
    assert_eq!(status, 400, "{text}");
    assert!(text.contains(named), "{text}");
}

#[tokio::test]
async fn an_unknown_table_is_not_found() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let server = server_with_table(data_dir.path()).await;
    let (status, _) = get(&server, "table=main.default.missing", "application/json").await;
    assert_eq!(status, 404);
}
