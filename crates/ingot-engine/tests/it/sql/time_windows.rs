//! Windows that slide, and sessions.

use super::{names, open, run, steps};

#[tokio::test]
async fn rows_are_in_all_windows_that_slide_over_them() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (k STRING, ts TIMESTAMP)",
            "INSERT INTO t VALUES ('A1', '2021-01-01 00:00:00'), ('A1', '2021-01-01 00:04:30'), ('A1', '2021-01-01 \
             00:06:00'), ('A2', '2021-01-01 00:01:00'), ('A2', NULL)",
        ],
    )
    .await;
    // The examples of Spark's `window` and `session_window`.
    steps(
        &session,
        &[
            (
                "SELECT k, string(window.start), string(window.end), count(*) AS cnt FROM t GROUP BY k, window(ts, '10 \
                 minutes', '5 minutes') ORDER BY k, 2",
                "A1|2020-12-31 23:55:00|2021-01-01 00:05:00|2; A1|2021-01-01 00:00:00|2021-01-01 00:10:00|3; \
                 A1|2021-01-01 00:05:00|2021-01-01 00:15:00|1; A2|2020-12-31 23:55:00|2021-01-01 00:05:00|1; A2|2021-01-01 \
                 00:00:00|2021-01-01 00:10:00|1",
            ),
            (
                "SELECT string(window(ts, '10 minutes', '5 minutes').start) AS s, count(*) FROM t GROUP BY window(ts, '10 \
                 minutes', '5 minutes') HAVING count(*) > 1 ORDER BY window.start",
                "2020-12-31 23:55:00|3; 2021-01-01 00:00:00|4",
            ),
            (
                "SELECT string(window.start), count(*) FROM t GROUP BY window(ts, '10 minutes', '10 minutes', '1 minute') \
                 ORDER BY 1",
                "2020-12-31 23:51:00|1; 2021-01-01 00:01:00|3",
            ),
            ("SELECT count(window(ts, '10 minutes', '5 minutes')) FROM t", "8"),
            (
                "SELECT count(*) FROM t GROUP BY window(ts, '5 minutes', '10 minutes')",
                "!DATATYPE_MISMATCH.PARAMETER_CONSTRAINT_VIOLATION",
            ),
            (
                "SELECT k, string(session_window.start), string(session_window.end), count(*) AS cnt FROM t GROUP BY k, \
                 session_window(ts, '5 minutes') ORDER BY k, session_window.start",
                "A1|2021-01-01 00:00:00|2021-01-01 00:11:00|3; A2|2021-01-01 00:01:00|2021-01-01 00:06:00|1",
            ),
            (
                "SELECT q.k, string(session_window.start) AS s, count(*) FROM t AS q WHERE q.k = 'A1' GROUP BY q.k, \
                 session_window(q.ts, CASE WHEN k = 'A1' THEN '1 minute' ELSE '9 minutes' END) ORDER BY 2",
                "A1|2021-01-01 00:00:00|1; A1|2021-01-01 00:04:30|1; A1|2021-01-01 00:06:00|1",
            ),
            (
                "SELECT string(session_window.end) FROM t GROUP BY session_window(ts, INTERVAL '90' SECOND) HAVING count(*) \
                 > 1 ORDER BY 1",
                "2021-01-01 00:02:30; 2021-01-01 00:07:30",
            ),
            ("SELECT count(*) FROM t a, t b GROUP BY session_window(a.ts, '1 minute')", "!UNSUPPORTED_FEATURE"),
        ],
    )
    .await;
    assert_eq!(
        names(
            &session,
            "SELECT window, window.start, count(*) FROM t GROUP BY window(ts, '10 minutes', '5 minutes')"
        )
        .await,
        ["window", "start", "count(1)"]
    );
    assert_eq!(
        names(
            &session,
            "SELECT session_window, session_window.end FROM t GROUP BY session_window(ts, '10 minutes')"
        )
        .await,
        ["session_window", "end"]
    );
}
