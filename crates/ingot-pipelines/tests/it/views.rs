//! Materialized views.

use ingot_common::{Classify, Kind};
use test_case::test_case;

use crate::support::Lake;

async fn lake_with(view: &str) -> Lake {
    let lake = Lake::new().await;
    lake.run("CREATE SCHEMA main.lake").await;
    lake.run("CREATE TABLE main.lake.numbers (n BIGINT)").await;
    lake.run("INSERT INTO main.lake.numbers VALUES (1), (2)").await;
    lake.run("CREATE VIEW main.raw.doubled AS SELECT n * 2 AS n FROM main.lake.numbers")
        .await;
    lake.run("CREATE VIEW main.raw.fourfold AS SELECT n * 2 AS n FROM main.raw.doubled")
        .await;
    lake.define(&format!("CREATE OR REFRESH MATERIALIZED VIEW v AS {view}"));
    lake
}

#[test_case("SELECT sum(n) AS s FROM numbers", "3", "8"; "a table")]
#[test_case("WITH numbers AS (SELECT n + 1 AS n FROM numbers) SELECT sum(n) AS s FROM numbers", "5", "11"; "a clause that hides its table")]
#[test_case("SELECT sum(n) AS s FROM raw.fourfold", "12", "32"; "a view over a view")]
#[test_case("SELECT sum(n) AS s FROM raw.doubled WHERE n IN (SELECT n * 2 FROM numbers)", "6", "16"; "a view and a subquery")]
#[tokio::test(flavor = "multi_thread")]
async fn a_view_follows_its_inputs(view: &str, before: &str, after: &str) {
    let lake = lake_with(view).await;
    lake.update().await.expect("computed");
    assert_eq!(lake.rows("SELECT * FROM main.lake.v").await, [before]);
    let computed = lake.version("v").await;
    lake.update().await.expect("unchanged");
    assert_eq!(lake.version("v").await, computed, "nothing changed");
    lake.run("INSERT INTO main.lake.numbers VALUES (5)").await;
    lake.update().await.expect("computed again");
    assert_eq!(lake.rows("SELECT * FROM main.lake.v").await, [after]);
    assert_eq!(lake.version("v").await, computed + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_the_catalog_that_is_replaced_is_a_change() {
    let lake = lake_with("SELECT sum(n) AS s FROM raw.doubled").await;
    lake.update().await.expect("computed");
    lake.run("CREATE OR REPLACE VIEW main.raw.doubled AS SELECT n * 3 AS n FROM main.lake.numbers")
        .await;
    lake.update().await.expect("computed again");
    assert_eq!(lake.rows("SELECT * FROM main.lake.v").await, ["9"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_refresh_leaves_the_view_as_it_was() {
    let lake = lake_with("SELECT 1 AS n").await;
    lake.define(
        "CREATE OR REFRESH MATERIALIZED VIEW v (CONSTRAINT small EXPECT (n < 100) ON VIOLATION FAIL UPDATE)\n\
         AS SELECT n FROM numbers",
    );
    lake.update().await.expect("computed");
    lake.run("INSERT INTO main.lake.numbers VALUES (100)").await;
    for _ in 0..2 {
        let error = lake.update().await.expect_err("violated");
        assert_eq!(error.kind(), Kind::FailedPrecondition);
        assert!(
            error.to_string().contains("`small` of dataset `main.lake.v`"),
            "{error}"
        );
        assert_eq!(lake.rows("SELECT n FROM main.lake.v").await, ["1", "2"]);
    }
    lake.run("INSERT OVERWRITE main.lake.numbers VALUES (1), (2)")
        .await;
    lake.update().await.expect("computed again");
    assert_eq!(lake.rows("SELECT n FROM main.lake.v").await, ["1", "2"]);
}
