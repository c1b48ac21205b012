//! Numbers as Spark has them.

use super::{open, refused, rows, run};

#[tokio::test]
async fn nan_is_larger_than_every_number_and_never_pruned_away() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (x DOUBLE, y FLOAT)",
            "INSERT INTO t VALUES (1.0, CAST(1 AS FLOAT)), (CAST('NaN' AS DOUBLE), CAST('NaN' AS FLOAT)), \
             (3.0, CAST(3 AS FLOAT))",
        ],
    )
    .await;
    for filter in [
        "x > 5",
        "x >= 5",
        "y > CAST(5 AS FLOAT)",
        "x > 2 AND y > CAST(4 AS FLOAT)",
    ] {
        let found = rows(&session, &format!("SELECT x FROM t WHERE {filter}")).await;
        assert_eq!(found, ["NaN"], "{filter}");
    }
    assert_eq!(rows(&session, "SELECT count(*) FROM t WHERE x < 5").await, ["2"]);
}

#[tokio::test]
async fn whole_numbers_divide_as_doubles_and_never_by_zero() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (a INT, b BIGINT, c DOUBLE, d DECIMAL(10,2))",
            "INSERT INTO t VALUES (5, 2, 4.0, 1.50)",
        ],
    )
    .await;
    let quotients = rows(&session, "SELECT a / b, 1 / 4, a / c, d / c, NULL / a FROM t").await;
    assert_eq!(quotients, ["2.5|0.25|1.25|0.375|NULL"]);
    assert_eq!(rows(&session, "SELECT sum(a) / count(*) FROM t").await, ["5.0"]);
    for division in ["a / 0", "c / CAST(0 AS DOUBLE)", "c / (c - c)", "d / 0"] {
        let condition = refused(&session, &format!("SELECT {division} FROM t")).await;
        assert_eq!(condition, "DIVIDE_BY_ZERO", "{division}");
    }
    assert_eq!(
        refused(&session, "SELECT a % 0 FROM t").await,
        "REMAINDER_BY_ZERO"
    );
}
