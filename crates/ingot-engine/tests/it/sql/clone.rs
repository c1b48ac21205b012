//! SHALLOW CLONE: a table of its own over another's files.

use std::time::Duration;

use ingot_common::clock;

use super::{names, open, refused, rows, run};
use crate::support;

#[tokio::test]
async fn a_clone_reads_the_sources_files_and_writes_its_own() {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE s (a INT, p STRING) PARTITIONED BY (p) TBLPROPERTIES ('mine' = 'yes')",
            "INSERT INTO s VALUES (1, 'x y'), (2, 'ü')",
            "INSERT INTO s VALUES (3, 'x y')",
        ],
    )
    .await;
    let clone = "CREATE TABLE c SHALLOW CLONE s VERSION AS OF 1 TBLPROPERTIES ('other' = '1')";
    let result = rows(&session, clone).await;
    assert!(result[0].contains("|2|0|0|0|0"), "{result:?}");
    assert_eq!(
        rows(&session, "SELECT a, p FROM c ORDER BY a").await,
        ["1|x y", "2|ü"]
    );
    let detail = rows(&session, "DESCRIBE DETAIL c").await;
    assert!(
        detail[0].contains("mine: yes") && detail[0].contains("other: 1"),
        "{detail:?}"
    );
    let history = rows(&session, "DESCRIBE HISTORY c").await;
    assert!(
        history[0].contains("|CLONE|{source: main.default.s, sourceVersion: 1}|"),
        "{history:?}"
    );
    run(
        &session,
        &[
            "MERGE INTO c USING (SELECT 1 AS k) s ON c.a = s.k WHEN MATCHED THEN UPDATE SET a = 11",
            "INSERT INTO c VALUES (4, 'z')",
            "OPTIMIZE c",
        ],
    )
    .await;
    assert_eq!(
        rows(&session, "SELECT a FROM c ORDER BY a").await,
        ["2", "4", "11"]
    );
    let month = Duration::from_secs(40 * 24 * 60 * 60);
    clock::later(month, rows(&session, "VACUUM c")).await;
    clock::later(month, rows(&session, "VACUUM c LITE")).await;
    assert_eq!(
        rows(&session, "SELECT a FROM c ORDER BY a").await,
        ["2", "4", "11"]
    );
    assert_eq!(
        rows(&session, "SELECT a FROM s ORDER BY a").await,
        ["1", "2", "3"],
        "nothing of the source's went"
    );
    drop(engine);
}

#[tokio::test]
async fn a_table_is_replaced_by_a_clone() {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE s AS SELECT 1 AS a",
            "CREATE TABLE c AS SELECT 'old' AS b",
        ],
    )
    .await;
    let clone = "CREATE OR REPLACE TABLE c SHALLOW CLONE s";
    assert_eq!(
        names(&session, clone).await,
        [
            "source_table_size",
            "source_num_of_files",
            "num_removed_files",
            "num_copied_files",
            "removed_files_size",
            "copied_files_size",
        ]
    );
    assert_eq!(rows(&session, "SELECT * FROM c").await, ["1"]);
    let again = rows(&session, clone).await;
    assert!(again[0].contains("|1|0|0|0|0"), "what both have stays: {again:?}");
    assert_eq!(rows(&session, "SELECT * FROM c VERSION AS OF 0").await, ["old"]);
    assert_eq!(
        rows(&session, "CREATE OR REPLACE TABLE fresh SHALLOW CLONE c")
            .await
            .len(),
        1
    );
    assert_eq!(
        rows(&session, "SELECT * FROM fresh").await,
        ["1"],
        "a clone of a clone"
    );
    run(&session, &["CREATE TABLE IF NOT EXISTS s SHALLOW CLONE c"]).await;
    let source = support::location(&engine, "s").await;
    let by_path = format!("CREATE TABLE of_path SHALLOW CLONE delta.`{}`", source.path());
    run(&session, &[&by_path]).await;
    assert_eq!(rows(&session, "SELECT * FROM of_path").await, ["1"]);
    for (statement, condition) in [
        ("CREATE TABLE c SHALLOW CLONE s", "TABLE_OR_VIEW_ALREADY_EXISTS"),
        ("CREATE TABLE d SHALLOW CLONE nothing", "TABLE_OR_VIEW_NOT_FOUND"),
        (
            "CREATE TABLE d SHALLOW CLONE s VERSION AS OF 7",
            "DELTA_VERSION_NOT_FOUND",
        ),
        ("CREATE TABLE d CLONE s", "DELTA_UNSUPPORTED_DEEP_CLONE"),
        ("CREATE TABLE d SHALLOW CLONE s AS SELECT 1", "PARSE_SYNTAX_ERROR"),
        (
            "CREATE OR REPLACE TABLE s SHALLOW CLONE s",
            "DELTA_UNSUPPORTED_CLONE_REPLACE_SAME_TABLE",
        ),
    ] {
        assert_eq!(refused(&session, statement).await, condition, "{statement}");
    }
}
