//! The data API as `curl` sees it.

use reqwest::header::ACCEPT;
use serde_json::{Value, json};
use test_case::test_case;

use crate::harness::Process;

async fn server_with_table(data_dir: &std::path::Path) -> Process {
    let server = Process::server(data_dir);
    let sql = server.client();
    for statement in [
        "CREATE TABLE t (carrier STRING, flights BIGINT)",
        "INSERT INTO t VALUES ('UA', 58665), ('F9', 685), ('EV', 54173)",
        "INSERT INTO t VALUES (NULL, 1), ('AA', NULL)",
        "CREATE VIEW v AS SELECT * FROM t WHERE flights > 1000",
        "CREATE TABLE `odd``name` AS SELECT 7 AS n",
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

#[test_case("table=main.default.t&select=carier", &["column `carier`", "`carrier`", "`flights`"]; "unknown column")]
#[test_case("table=main.default.t&order=-carier", &["column `carier`"]; "unknown column of the order")]
#[test_case("table=main.default.t&filters=%7B%22carier%22%3A1%7D", &["column `carier`"]; "unknown column of a filter")]
#[test_case("table=main.default.t&filters=%7B%22flights%22%3A%22many%22%7D", &["column `flights`", "bigint", "many"]; "text for a number")]
#[test_case("table=main.default.t&filters=%7B%22carrier%22%3A1%7D", &["column `carrier`", "string"]; "number for a text")]
#[test_case("table=main.default.t&filters=%7B%22flights%22%3A1.5%7D", &["column `flights`", "bigint", "1.5"]; "fraction for a whole number")]
#[test_case("table=main.default.t&filters=%7B%22flights%22%3A%5B1%2C%22x%22%5D%7D", &["column `flights`", "bigint"]; "one wrong of several")]
#[test_case("table=t", &["has 1 parts, expected 3"]; "name with one part")]
#[tokio::test]
async fn wrong_input_is_named(query: &str, named: &[&str]) {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let server = server_with_table(data_dir.path()).await;
    let (status, body) = get(&server, query, "application/json").await;
    let text = String::from_utf8_lossy(&body).to_lowercase();
    assert_eq!(status, 400, "{text}");
    for named in named {
        assert!(text.contains(named), "`{named}` is not in {text}");
    }
}

/// The table has ('UA', 58665), ('F9', 685), ('EV', 54173), (NULL, 1), ('AA', NULL); version 1 has the first three.
#[test_case("table=main.default.t&order=flights&select=carrier", json!(["AA", null, "F9", "EV", "UA"]); "order upwards")]
#[test_case("table=main.default.t&order=-flights&select=carrier", json!(["UA", "EV", "F9", null, "AA"]); "order downwards")]
#[test_case("table=main.default.t&order=-flights&select=carrier&limit=2", json!(["UA", "EV"]); "limit")]
#[test_case("table=main.default.t&select=carrier&limit=0", json!([]); "no rows")]
#[test_case("table=main.default.t&filters=%7B%22carrier%22%3A%5B%22F9%22%2C%22EV%22%5D%7D&order=carrier&select=carrier", json!(["EV", "F9"]); "one of several")]
#[test_case("table=main.default.t&filters=%7B%22flights%22%3A%7B%22gt%22%3A685%2C%22lte%22%3A54173%7D%7D&select=carrier", json!(["EV"]); "a range")]
#[test_case("table=main.default.t&filters=%7B%22carrier%22%3A%7B%22ne%22%3A%22UA%22%7D%7D&order=carrier&select=carrier", json!(["AA", "EV", "F9"]); "nulls are not unequal")]
#[test_case("table=main.default.t&filters=%7B%22flights%22%3Anull%7D&select=carrier", json!(["AA"]); "null")]
#[test_case("table=main.default.t&filters=%7B%22carrier%22%3A%7B%22ne%22%3Anull%7D%2C%22flights%22%3A%7B%22ne%22%3Anull%7D%7D&order=carrier&select=carrier", json!(["EV", "F9", "UA"]); "not null")]
#[test_case("table=main.default.t&version=1&order=carrier&select=carrier", json!(["EV", "F9", "UA"]); "version")]
#[test_case("table=main.default.v&order=carrier&select=carrier", json!(["EV", "UA"]); "view")]
#[test_case("table=MAIN.Default.T&select=CARRIER&filters=%7B%22FLIGHTS%22%3A685%7D", json!(["F9"]); "any case")]
#[test_case("table=main.default.odd%60name&select=n", json!([7]); "back-tick in the name")]
#[tokio::test]
async fn a_query_gives_its_rows(query: &str, expected: Value) {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let server = server_with_table(data_dir.path()).await;
    let (status, body) = get(&server, query, "application/json").await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    assert_eq!(values(&body), expected);
}

/// Returns the first column of a JSON answer.
fn values(body: &[u8]) -> Value {
    let rows: Vec<serde_json::Map<String, Value>> = serde_json::from_slice(body).expect("rows");
    rows.iter()
        .map(|row| row.values().next().expect("a column").clone())
        .collect()
}

#[tokio::test]
async fn a_timestamp_gives_the_table_as_it_was() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let server = server_with_table(data_dir.path()).await;
    let (status, body) = get(&server, "table=main.default.t&version=1", "application/json").await;
    assert_eq!(status, 200);
    let sql = server.client();
    let history = sql
        .rows("DESCRIBE HISTORY main.default.t")
        .await
        .expect("history");
    let commit = history.iter().find(|row| row["version"] == 1).expect("version 1");
    let instant = commit["timestamp"].as_str().expect("text");
    let query = format!("table=main.default.t&timestamp={}", instant.replace('+', "%2B"));
    let (status, then) = get(&server, &query, "application/json").await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&then));
    assert_eq!(then, body);
    let (status, _) = get(&server, "table=main.default.t&timestamp=1", "application/json").await;
    assert!((400..500).contains(&status), "before the table: {status}");
}

#[test_case("t%60%20WHERE%201%3D0%20--"; "space")]
#[test_case("t%60%0AWHERE%0A1%3D0"; "line break")]
#[test_case("t%60%2F**%2FWHERE%2F**%2F1%3D0"; "comment")]
#[test_case("t%60"; "a back-tick alone")]
#[test_case("t%60%09x"; "tab")]
#[test_case("(SELECT%0A1)"; "query")]
#[tokio::test]
async fn a_name_is_never_read_as_sql(table: &str) {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let server = server_with_table(data_dir.path()).await;
    let (status, body) = get(
        &server,
        &format!("table=main.default.{table}"),
        "application/json",
    )
    .await;
    let text = String::from_utf8_lossy(&body);
    assert!(status == 400 || status == 404, "{status} {text}");
    assert!(!text.contains("PARSE_SYNTAX_ERROR"), "{text}");
}

#[tokio::test]
async fn a_view_has_no_versions() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let server = server_with_table(data_dir.path()).await;
    let (status, body) = get(&server, "table=main.default.v&version=1", "application/json").await;
    let text = String::from_utf8_lossy(&body);
    assert_eq!(status, 501, "{text}");
    assert!(text.contains("view `main.default.v`"), "{text}");
}

#[tokio::test]
async fn an_unknown_table_is_not_found() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let server = server_with_table(data_dir.path()).await;
    let (status, _) = get(&server, "table=main.default.missing", "application/json").await;
    assert_eq!(status, 404);
}

async fn post(server: &Process, body: &Value) -> (u16, Value) {
    let url = format!("{}/api/v1/sql", server.address("http"));
    let request = reqwest::Client::new()
        .post(url)
        .header(ACCEPT, "application/json");
    let response = request.json(body).send().await.expect("answer");
    let status = response.status().as_u16();
    (status, response.json().await.expect("JSON"))
}

#[tokio::test]
async fn a_statement_takes_parameters() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let server = server_with_table(data_dir.path()).await;
    let (status, rows) = post(
        &server,
        &json!({
            "statement": "SELECT carrier FROM t WHERE flights < :flights AND carrier <> :Carrier ORDER BY 1",
            "parameters": [
                {"name": "flights", "value": "60000", "type": "BIGINT"},
                {"name": "carrier", "value": "' OR true --"},
            ],
        }),
    )
    .await;
    assert_eq!(
        (status, rows),
        (
            200,
            json!([{"carrier": "EV"}, {"carrier": "F9"}, {"carrier": "UA"}])
        )
    );
    let (status, rows) = post(
        &server,
        &json!({
            "statement": "SELECT ? AS a, ? AS b, ? AS c",
            "parameters": [{"value": "1.50", "type": "DECIMAL(5, 2)"}, {"value": "x"}, {"type": "INT"}],
        }),
    )
    .await;
    assert_eq!(status, 200, "{rows}");
    assert_eq!(rows[0]["b"], "x");
    assert_eq!(rows[0]["c"], Value::Null);
    let (status, body) = post(
        &server,
        &json!({"statement": "SELECT :n", "parameters": [{"name": "n", "value": "many", "type": "INT"}]}),
    )
    .await;
    assert_eq!(
        (status, &body["condition"]),
        (400, &json!("CAST_INVALID_INPUT")),
        "{body}"
    );
    let (status, body) = post(&server, &json!({"statement": "SELECT :n"})).await;
    assert_eq!(
        (status, &body["condition"]),
        (400, &json!("UNBOUND_SQL_PARAMETER")),
        "{body}"
    );
}

async fn data(server: &Process, path: &str) -> reqwest::Response {
    let url = format!("{}{path}", server.address("http"));
    reqwest::get(url).await.expect("answer")
}

fn next(response: &reqwest::Response) -> Option<String> {
    let link = response.headers().get("link")?.to_str().expect("text");
    let target = link.strip_prefix('<').expect("a target");
    target.split_once('>').map(|(target, _)| target.to_owned())
}

#[test_case("carrier=UA", json!(["UA"]); "equal")]
#[test_case("flights.gte=1000&order=-flights", json!(["UA", "EV"]); "at least")]
#[test_case("carrier.in=F9,AA&order=carrier", json!(["AA", "F9"]); "one of")]
#[test_case("carrier.is_null=true", json!([null]); "null")]
#[test_case("carrier.like=%25V", json!(["EV"]); "pattern")]
#[test_case("aggregate=count,max:flights&select=max_flights", json!([58665]); "aggregate")]
#[test_case("group_by=carrier&aggregate=count&order=carrier&limit=2", json!([null, "AA"]); "groups")]
#[tokio::test]
async fn typed_parameters_give_their_rows(parameters: &str, expected: Value) {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let server = server_with_table(data_dir.path()).await;
    let response = data(&server, &format!("/api/v1/data/main.default.t?{parameters}")).await;
    assert_eq!(response.status(), 200);
    let body = response.bytes().await.expect("body");
    assert_eq!(values(&body), expected);
}

/// Each page is asked of another process on the data directory.
#[tokio::test]
async fn a_cursor_outlives_its_process() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let mut server = server_with_table(data_dir.path()).await;
    let mut path = Some("/api/v1/data/main.default.t?page_size=2&order=flights".to_owned());
    let mut found = Vec::new();
    while let Some(this) = path {
        let response = data(&server, &this).await;
        assert_eq!(response.status(), 200, "{this}");
        path = next(&response);
        let rows: Vec<Value> = response.json().await.expect("rows");
        found.extend(rows.into_iter().map(|row| row["carrier"].clone()));
        server
            .client()
            .rows("INSERT INTO main.default.t VALUES ('ZZ', 2)")
            .await
            .expect("written");
        assert!(server.terminate());
        server = Process::server(data_dir.path());
    }
    assert_eq!(json!(found), json!(["AA", null, "F9", "EV", "UA"]));
}

#[tokio::test]
async fn tables_are_listed_and_described() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let server = server_with_table(data_dir.path()).await;
    let mut names = Vec::new();
    let mut path = Some("/api/v1/data?schema=default&max_results=2".to_owned());
    while let Some(this) = path {
        let page: Value = data(&server, &this).await.json().await.expect("JSON");
        for table in page["tables"].as_array().expect("tables") {
            names.push(table["table"].as_str().expect("a name").to_owned());
            let described = data(&server, table["openapi"].as_str().expect("a path")).await;
            assert_eq!(described.status(), 200, "{table}");
        }
        let token = page["next_page_token"].as_str();
        path = token.map(|token| {
            let token: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
            format!("/api/v1/data?schema=default&max_results=2&page_token={token}")
        });
    }
    assert_eq!(
        names,
        ["main.default.odd`name", "main.default.t", "main.default.v"]
    );
}
