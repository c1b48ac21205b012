//! Mistakes in projects, and definitions that change.

use ingot_common::{Classify, Kind};
use test_case::test_case;

use crate::support::Lake;

async fn lake() -> Lake {
    let lake = Lake::new().await;
    lake.run("CREATE TABLE main.raw.numbers (n BIGINT, text STRING)")
        .await;
    lake
}

const STREAM: &str = "CREATE OR REFRESH STREAMING TABLE t AS SELECT";
const FROM: &str = "FROM STREAM raw.numbers";

#[test_case(&format!("{STREAM} CAST(n AS STRING) AS n, text {FROM}"), "column `n` is string in the query and bigint in the table"; "a type")]
#[test_case(&format!("{STREAM} n {FROM}"), "the query gives n, the table has n, text"; "a column less")]
#[test_case(&format!("CREATE OR REFRESH STREAMING TABLE t PARTITIONED BY (n) AS SELECT n, text {FROM}"), "it is partitioned by (n), the table by ()"; "partitions")]
#[test_case("CREATE OR REFRESH MATERIALIZED VIEW t AS SELECT n, text FROM raw.numbers", "not a MATERIALIZED_VIEW"; "another kind")]
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_definition_is_told(changed: &str, message: &str) {
    let lake = lake().await;
    lake.define(&format!("{STREAM} n, text {FROM}"));
    lake.update().await.expect("made");
    lake.update().await.expect("the same");
    lake.define(changed);
    let error = lake.update().await.expect_err("changed");
    assert_eq!(error.kind(), Kind::FailedPrecondition);
    let text = error.to_string();
    assert!(text.contains("`main.lake.t`") && text.contains(message), "{text}");
}

#[test_case("CREATE OR REFRESH MATERIALIZED VIEW v AS\nSELECT *\nFROM raw.numbers JOIN\n  raw.nothing", "a.sql:4:3: `main.raw.nothing` is neither"; "an unknown table")]
#[test_case("CREATE OR REFRESH STREAMING TABLE v AS\nSELECT * FROM STREAM(raw.numbers) JOIN lake.vv", "a.sql:2:40: `main.lake.vv` is neither defined by the project nor in the catalog; of its schema the project defines main.lake.v"; "a name beside ours after a stream")]
#[test_case("CREATE OR REFRESH STREAMING TABLE v AS\n  SELECT * FROM STREAM\n raw.nothing", "a.sql:3:2: `main.raw.nothing`"; "an unknown stream")]
#[test_case("CREATE OR REFRESH MATERIALIZED VIEW v AS\n  SELECT no FROM raw.numbers", "a.sql:2:3: query of dataset `main.lake.v` cannot be planned"; "an unknown column")]
#[test_case("CREATE OR REFRESH MATERIALIZED VIEW v AS SELECT array(${two_lines}) AS a;\nCREATE OR REFRESH MATERIALIZED VIEW w AS SELECT FROM", "a.sql:2:"; "after a value of two lines")]
#[tokio::test(flavor = "multi_thread")]
async fn mistakes_show_their_place(sql: &str, expected: &str) {
    let lake = lake().await;
    lake.define(sql);
    let error = lake.update().await.expect_err("a mistake").to_string();
    assert!(error.starts_with(expected), "{error}");
    let made = lake.rows("SELECT 1").await;
    assert_eq!(made, ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_may_be_shared_with_another_pipeline() {
    let lake = lake().await;
    lake.run("INSERT INTO main.raw.numbers VALUES (1, 'a')").await;
    lake.define_as("other", &format!("{STREAM} n, text {FROM}"));
    lake.update_as("other").await.expect("the other");
    lake.define("CREATE OR REFRESH MATERIALIZED VIEW v AS SELECT count(*) AS n FROM lake.t");
    lake.update().await.expect("ours");
    assert_eq!(lake.rows("SELECT n FROM main.lake.v").await, ["1"]);
}
