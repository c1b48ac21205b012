//! Expectations of streaming tables.

use ingot_common::{Classify, Kind};

use crate::support::Lake;

#[tokio::test(flavor = "multi_thread")]
async fn expectations_keep_drop_and_fail() {
    let lake = Lake::new().await;
    lake.run("CREATE TABLE main.raw.numbers (n BIGINT)").await;
    lake.run("INSERT INTO main.raw.numbers VALUES (1), (2), (3), (NULL)")
        .await;
    lake.define(
        "CREATE OR REFRESH STREAMING TABLE t (\n\
           CONSTRAINT kept EXPECT (n > 1),\n\
           CONSTRAINT dropped EXPECT (n <> 2) ON VIOLATION DROP ROW,\n\
           CONSTRAINT fatal EXPECT (coalesce(n, 0) < 100) ON VIOLATION FAIL UPDATE\n\
         ) AS SELECT n FROM STREAM raw.numbers",
    );
    lake.update().await.expect("update");
    assert_eq!(
        lake.rows("SELECT n FROM main.lake.t").await,
        ["1", "3"],
        "null is no pass"
    );
    let (rows_in, rows_out, expectations) = lake.counted("t").await;
    assert_eq!((rows_in, rows_out), (4, 2));
    assert_eq!(expectations["kept"], (2, 2));
    assert_eq!(expectations["dropped"], (2, 2));
    assert_eq!(expectations["fatal"], (4, 0));

    lake.run("INSERT INTO main.raw.numbers VALUES (5), (100)").await;
    let error = lake.update().await.expect_err("violated");
    assert_eq!(error.kind(), Kind::FailedPrecondition);
    assert!(
        error.to_string().contains("`fatal` of dataset `main.lake.t`"),
        "{error}"
    );
    assert_eq!(
        lake.rows("SELECT n FROM main.lake.t").await,
        ["1", "3"],
        "nothing of the batch"
    );
    assert_eq!(lake.events("flow_failed", "t").await.len(), 1);
    assert_eq!(lake.counted("t").await.0, 4, "what failed does not count");

    // The rule is changed; the batch that was recorded runs again.
    lake.define("CREATE OR REFRESH STREAMING TABLE t AS SELECT n FROM STREAM raw.numbers");
    lake.update().await.expect("update");
    assert_eq!(
        lake.rows("SELECT n FROM main.lake.t").await,
        ["1", "100", "3", "5"]
    );
}
