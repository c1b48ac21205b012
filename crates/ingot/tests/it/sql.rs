//! `ingot sql` embedded and against a server.

use std::path::Path;
use std::process::Output;

use test_case::test_case;

use crate::harness::{Process, embedded, ingot};

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
