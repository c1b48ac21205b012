//! `ingot sql` embedded and against a server.

use std::path::Path;
use std::process::Output;

use test_case::test_case;

use crate::harness::{Process, embedded, eventually, ingot, server_command};

fn on_server(server: &Process, output: &str, statement: &str) -> Output {
    let mut command = ingot();
    command.args(["sql", "--url", server.address("http")]);
    command
        .args(["--output", output, "-e", statement])
        .output()
        .expect("ingot sql")
}

fn succeed(output: Output) -> Vec<u8> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    output.stdout
}

fn fill(data_dir: &Path) {
    succeed(embedded(
        data_dir,
        "table",
        "CREATE TABLE t (id BIGINT, name STRING, amount DECIMAL(10,2), day DATE);
         INSERT INTO t VALUES (1, 'a,\"b', 1.50, DATE'2013-01-01'), (2, NULL, -0.05, NULL)",
    ));
}

#[test_case("table")]
#[test_case("json")]
#[test_case("csv")]
fn a_server_gives_what_the_embedded_engine_gives(format: &str) {
    let data_dir = tempfile::tempdir().expect("tempdir");
    fill(data_dir.path());
    let server = Process::server(data_dir.path());
    for statement in [
        "SELECT * FROM t ORDER BY id",
        "SELECT count(*) AS n, sum(amount) AS total, max(day) AS last FROM main.default.t",
        "SELECT * FROM t WHERE false",
        "SHOW TABLES IN main.default",
    ] {
        let ours = succeed(embedded(data_dir.path(), format, statement));
        let theirs = succeed(on_server(&server, format, statement));
        assert_eq!(
            String::from_utf8_lossy(&ours),
            String::from_utf8_lossy(&theirs),
            "{statement}"
        );
    }
}

#[test]
fn settings_hold_for_the_statements_after_them() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let statements =
        "SET spark.app.name = 'mine'; SET spark.app.name; RESET spark.app.name; SET spark.app.name";
    let embedded = succeed(embedded(data_dir.path(), "csv", statements));
    let server = Process::server(data_dir.path());
    let served = succeed(on_server(&server, "csv", statements));
    let line = |value: &str| format!("key,value\nspark.app.name,{value}\n");
    let expected = [line("mine"), line("mine"), line("<undefined>")].concat();
    assert_eq!(String::from_utf8_lossy(&embedded), expected);
    assert_eq!(String::from_utf8_lossy(&served), expected);
}

#[test]
fn a_server_gives_the_same_arrow_batches() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    fill(data_dir.path());
    let server = Process::server(data_dir.path());
    let read = |output: Output| {
        let bytes = succeed(output);
        let reader = arrow::ipc::reader::StreamReader::try_new(bytes.as_slice(), None).expect("stream");
        let schema = reader.schema();
        let batches: Vec<_> = reader.map(|batch| batch.expect("batch")).collect();
        let rows = arrow::compute::concat_batches(&schema, &batches).expect("one batch");
        (schema, rows)
    };
    for statement in ["SELECT * FROM t ORDER BY id", "SELECT * FROM t WHERE false"] {
        let ours = read(embedded(data_dir.path(), "arrow", statement));
        let theirs = read(on_server(&server, "arrow", statement));
        assert_eq!(ours, theirs, "{statement}");
    }
}

#[test]
fn a_sort_that_does_not_fit_into_memory_spills() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    succeed(embedded(
        data_dir.path(),
        "table",
        "CREATE TABLE digits AS SELECT * FROM VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9) AS t(d);
         CREATE TABLE many AS SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d AS n, repeat('x', 1000) AS
         filler FROM digits a CROSS JOIN digits b CROSS JOIN digits c CROSS JOIN digits e CROSS JOIN digits f",
    ));
    // 100 MB to sort in 64 MiB.
    let output = ingot()
        .env("INGOT__ENGINE__MEMORY_BYTES_MAX", "67108864")
        .env("INGOT__ENGINE__TARGET_PARTITIONS", "1")
        .args(["sql", "--output", "csv", "--data-dir"])
        .arg(data_dir.path())
        .args(["-e", "SELECT n, filler FROM many ORDER BY n DESC"])
        .output()
        .expect("ingot sql");
    let text = String::from_utf8(succeed(output)).expect("UTF-8");
    let numbers: Vec<u32> = text
        .lines()
        .skip(1)
        .map(|line| {
            let (number, _) = line.split_once(',').expect("two columns");
            number.parse().expect("a number")
        })
        .collect();
    assert_eq!(numbers, (0..100_000).rev().collect::<Vec<_>>());
    let spill = std::fs::read_dir(data_dir.path().join("spill")).expect("folder");
    assert_eq!(spill.count(), 0, "the spill folder goes with the process");
}

#[test]
fn an_exported_token_does_not_keep_from_the_embedded_engine() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let output = ingot()
        .env("INGOT_TOKEN", "t")
        // Nobody listens there: the directory that is given must win.
        .env("INGOT_URL", "http://127.0.0.1:1")
        .args(["sql", "--output", "json", "-e", "SELECT 1 AS one", "--data-dir"])
        .arg(data_dir.path())
        .output()
        .expect("ingot sql");
    assert_eq!(String::from_utf8_lossy(&succeed(output)), "{\"one\":1}\n");
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    fill(data_dir.path());
    let mut child = Process::spawn(
        ingot()
            .args(["sql", "--output", "json", "--data-dir"])
            .arg(data_dir.path())
            .args(["-e", "SELECT * FROM t; SELECT * FROM t"])
            .stderr(std::process::Stdio::piped()),
    );
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ended");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    assert!(log.is_empty(), "{log}");
}

#[test]
fn arrow_output_is_a_stream_with_the_rows() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    fill(data_dir.path());
    let bytes = succeed(embedded(data_dir.path(), "arrow", "SELECT id FROM t"));
    let reader = arrow::ipc::reader::StreamReader::try_new(bytes.as_slice(), None).expect("stream");
    let rows: usize = reader.map(|batch| batch.expect("batch").num_rows()).sum();
    assert_eq!(rows, 2);
}

#[test]
fn json_output_is_one_object_a_line() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    fill(data_dir.path());
    let text = succeed(embedded(
        data_dir.path(),
        "json",
        "SELECT id, name FROM t ORDER BY id",
    ));
    let text = String::from_utf8(text).expect("UTF-8");
    assert_eq!(
        text,
        "{\"id\":1,\"name\":\"a,\\\"b\"}\n{\"id\":2,\"name\":null}\n"
    );
}

#[test_case("SELECT * FROM main.default.missing", "TABLE_OR_VIEW_NOT_FOUND")]
#[test_case("SELEC 1", "PARSE_SYNTAX_ERROR")]
#[test_case("SELECT missing FROM t", "UNRESOLVED_COLUMN")]
fn a_wrong_statement_fails_with_sparks_condition(statement: &str, condition: &str) {
    let data_dir = tempfile::tempdir().expect("tempdir");
    fill(data_dir.path());
    let server = Process::server(data_dir.path());
    for output in [
        embedded(data_dir.path(), "json", statement),
        on_server(&server, "json", statement),
    ] {
        assert_eq!(output.status.code(), Some(1));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(condition), "{stderr}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_server_wants_the_token_that_it_made() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let server = Process::start(
        ingot()
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir.path()),
    );
    let refused = on_server(&server, "json", "SELECT 1 AS one");
    assert_eq!(refused.status.code(), Some(1));
    let token = std::fs::read_to_string(data_dir.path().join("admin-token")).expect("token");
    let let_in = ingot()
        .args(["sql", "--url", server.address("http"), "--token", &token])
        .args(["--output", "json", "-e", "SELECT 1 AS one"])
        .output()
        .expect("ingot sql");
    assert_eq!(String::from_utf8_lossy(&succeed(let_in)), "{\"one\":1}\n");
    assert!(server.terminate(), "a server that is asked to end ends well");
}

/// More rows than anybody has the patience to read.
const ENDLESS: &str =
    "SELECT a.id FROM big a CROSS JOIN big b CROSS JOIN big c CROSS JOIN big d CROSS JOIN big e";

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_asked_to_end_cancels_what_does_not() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let mut command = server_command(data_dir.path());
    let server = Process::start(command.env("INGOT__SERVER__DRAIN_SECONDS_MAX", "1"));
    let sql = server.client();
    let digits = (0..100).map(|n| format!("({n})")).collect::<Vec<_>>().join(",");
    for statement in [
        "CREATE TABLE big (id DOUBLE)".to_owned(),
        format!("INSERT INTO big VALUES {digits}"),
    ] {
        sql.rows(&statement).await.expect("statement");
    }
    let client = server.client();
    let running = async { client.rows(ENDLESS).await };
    let end = async {
        let metrics = format!("{}/metrics", server.address("http"));
        eventually("the statement runs", async || {
            let answer = reqwest::get(&metrics).await.expect("metrics");
            let text = answer.text().await.expect("text");
            text.contains("ingot_statements_running 1\n")
        })
        .await;
        server.ask_to_end();
    };
    let (outcome, ()) = tokio::join!(running, end);
    let error = outcome.expect_err("cancelled");
    assert_eq!(error.kind, ingot_common::Kind::Unavailable, "{error}");
    assert!(server.ended(), "the server ends well");
}
