//! Cursors of scripts: what needs a session, or a request that ends early. The rest: `slt/sql/cursors.slt`.

use std::time::Duration;

use ingot_common::{Classify, Kind, Principal, RequestContext};

use super::{open, run, steps};

#[tokio::test]
async fn rows_go_into_variables_of_the_session() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &["DECLARE a INT DEFAULT 0", "DECLARE b STRING DEFAULT ''"],
    )
    .await;
    steps(
        &session,
        &[
            ("BEGIN DECLARE c CURSOR FOR SELECT 42.9, 7; OPEN c; FETCH c INTO a, session.b; END", ""),
            ("SELECT a, b", "42|7"),
            (
                "BEGIN DECLARE a INT; DECLARE c CURSOR FOR SELECT 1, 2; OPEN c; FETCH c INTO a, session.a; SELECT a, \
                 session.a; END",
                "1|2",
            ),
            (
                "BEGIN DECLARE c CURSOR FOR SELECT 1, 2; OPEN c; FETCH c INTO a, system.session.a; END",
                "!DUPLICATE_ASSIGNMENTS",
            ),
            // A cursor ends with its script.
            ("BEGIN DECLARE c CURSOR FOR SELECT 1; OPEN c; END", ""),
            ("BEGIN FETCH c INTO a; END", "!CURSOR_NOT_FOUND"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_cursor_that_takes_long_is_cancelled() {
    let (_directory, engine, _) = open().await;
    for fetched in [
        "LOOP FETCH c INTO n; END LOOP;",
        "LOOP FETCH c INTO n; CLOSE c; OPEN c; END LOOP;",
    ] {
        for query in [
            "SELECT id FROM range(1000000000)",
            "SELECT count(*) FROM range(10000000) a CROSS JOIN range(10000000) b",
        ] {
            let context = RequestContext::new(Principal::new("hasty"));
            let hasty = engine.session(&context).expect("session");
            let stop = context.cancellation.clone();
            let script =
                format!("BEGIN DECLARE n BIGINT; DECLARE c CURSOR FOR {query}; OPEN c; {fetched} END");
            let (outcome, ()) = tokio::join!(hasty.execute(&script), async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                stop.cancel();
            });
            let error = outcome.expect_err("cancelled");
            assert_eq!(error.kind(), Kind::Cancelled, "{script}");
        }
    }
}
