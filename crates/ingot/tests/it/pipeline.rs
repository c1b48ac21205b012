//! `ingot pipeline validate` as a person at the terminal sees it.

use std::path::Path;
use std::process::Output;

use test_case::test_case;

use crate::harness::{embedded, example, ingot};

fn validate(project: &Path, data_dir: &Path) -> Output {
    let mut command = ingot();
    command.args(["pipeline", "validate"]).arg(project);
    command.arg("--data-dir").arg(data_dir);
    command.output().expect("ingot pipeline")
}

fn project(sql: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("tempdir");
    std::fs::write(folder.path().join("pipeline.toml"), "name = \"p\"").expect("settings");
    std::fs::write(folder.path().join("a.sql"), sql).expect("sql");
    folder
}

#[test]
fn the_example_is_valid_and_listed_in_the_order_of_its_updates() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let output = validate(&example(), data_dir.path());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let text = String::from_utf8_lossy(&output.stdout);
    let place = |name: &str| text.lines().position(|line| line == name);
    let raw = place("main.bronze.flights_raw").expect("bronze");
    let parsed = place("main.silver.flights_parsed").expect("silver");
    let gold = place("main.gold.carrier_delay").expect("gold");
    assert!(raw < parsed && parsed < gold, "{text}");
}

#[test_case(
    "CREATE OR REFRESH MATERIALIZED VIEW a AS SELECT * FROM b;\nCREATE OR REFRESH MATERIALIZED VIEW b AS SELECT * FROM a",
    "in a circle: `main.default.a`"; "a cycle"
)]
#[test_case(
    "CREATE OR REFRESH MATERIALIZED VIEW a AS\nSELECT * FROM nothing",
    "a.sql:2:15: `main.default.nothing` is neither defined by the project nor in the catalog"; "an unknown name"
)]
fn mistakes_are_shown_with_their_place(sql: &str, message: &str) {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let output = validate(project(sql).path(), data_dir.path());
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("a.sql:") && stderr.contains(message), "{stderr}");
}

#[test]
fn a_table_of_the_catalog_is_known() {
    let data_dir = tempfile::tempdir().expect("tempdir");
    let made = embedded(data_dir.path(), "table", "CREATE TABLE numbers (n BIGINT)");
    assert!(made.status.success());
    let project = project("CREATE OR REFRESH MATERIALIZED VIEW a AS SELECT * FROM numbers");
    let output = validate(project.path(), data_dir.path());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "main.default.a\n");
}
