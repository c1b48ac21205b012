//! Queries that need more memory than there is: they spill, or say so.

use arrow::array::AsArray;
use futures::TryStreamExt;
use ingot_engine::{Engine, Session};
use tempfile::TempDir;
use test_case::test_case;

use crate::sql::{refused, rows, run};
use crate::support;

/// Less than any of the queries needs.
const BYTES: usize = 64 << 20;

async fn small() -> (TempDir, Engine, Session) {
    let directory = tempfile::tempdir().expect("directory");
    let engine = support::engine_within(directory.path(), support::tables(), BYTES).await;
    let session = support::session(&engine);
    (directory, engine, session)
}

/// A million numbers in no order, each with a text that is its own.
const ROWS: &str = "CREATE TABLE t AS SELECT (id * 7919) % 1000003 AS k, \
    concat(sha2(CAST(id AS STRING), 256), CAST(id AS STRING)) AS v FROM range(1000000)";

/// Reads all rows; returns how many, and if the texts of the first column ascend.
async fn read(session: &Session, query: &str) -> (usize, bool) {
    let mut result = session.execute(query).await.expect("rows");
    let (mut rows, mut sorted, mut last) = (0, true, String::new());
    while let Some(batch) = result.batches.try_next().await.expect("batches") {
        rows += batch.num_rows();
        for value in batch.column(0).as_string::<i32>().iter().flatten() {
            sorted &= last.as_str() <= value;
            last = value.to_owned();
        }
    }
    (rows, sorted)
}

#[test_case("SELECT v, k FROM t ORDER BY v", "SortExec", true; "sort")]
#[test_case("SELECT v, count(*) FROM t GROUP BY v", "AggregateExec", false; "aggregate")]
#[test_case("SELECT DISTINCT v, k FROM t", "AggregateExec", false; "distinct")]
#[test_case("SELECT v, row_number() OVER (ORDER BY v) AS n FROM t", "SortExec", false; "window")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_spilled(query: &str, operator: &str, ordered: bool) {
    let (_directory, engine, session) = small().await;
    run(&session, &[ROWS]).await;
    let (count, sorted) = read(&session, query).await;
    assert_eq!(count, 1_000_000);
    assert!(sorted || !ordered);
    let explained = rows(&session, &format!("EXPLAIN ANALYZE {query}"))
        .await
        .join("\n");
    let spilled = explained
        .lines()
        .filter(|line| line.contains(operator))
        .any(|line| line.contains("spill_count=") && !line.contains("spill_count=0"));
    assert!(spilled, "{explained}");
    assert_eq!(engine.memory_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_that_does_not_fit_says_so() {
    let (_directory, engine, session) = small().await;
    run(&session, &[ROWS]).await;
    let join = "SELECT count(*) FROM t a JOIN t b ON a.v = b.v WHERE a.k + b.k >= 0 AND length(a.v) > 0";
    assert_eq!(refused(&session, join).await, "OUT_OF_MEMORY");
    assert_eq!((engine.memory_bytes(), engine.statements()), (0, (0, 0)));
    // Others go on.
    assert_eq!(rows(&session, "SELECT count(*) FROM t").await, ["1000000"]);
}
