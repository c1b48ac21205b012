//! The change data feed: what statements record, and what `table_changes` says of it.

use ingot_delta::Action;
use ingot_engine::{Engine, Session};
use tempfile::TempDir;
use test_case::test_case;

use super::delete::table;
use super::{open, refused, rows, run};

/// How a table's rows are taken out.
const VECTORS: &str = "'delta.enableDeletionVectors' = 'true'";
const COPIES: &str = "'delta.enableDeletionVectors' = 'false'";

/// A table `t (id, v)` with a feed: version 1 inserts ids 1 to 4, in one file.
async fn four_rows(more: &str) -> (TempDir, Engine, Session) {
    let (directory, engine, session) = open().await;
    run(
        &session,
        &[
            &format!("CREATE TABLE t (id INT, v STRING) TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true', {more})"),
            "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')",
        ],
    )
    .await;
    (directory, engine, session)
}

/// The changes from version `from` on, in an order of their own.
async fn changes(session: &Session, from: i64) -> Vec<String> {
    let query = format!(
        "SELECT _commit_version, _change_type, id, v FROM table_changes('t', {from}) ORDER BY 1, 3, 2 DESC"
    );
    rows(session, &query).await
}

/// How many files of changes the newest commit names.
async fn change_files(engine: &Engine) -> usize {
    let table = table(engine, "t").await;
    let version = table.snapshot().await.expect("snapshot").version();
    let actions = table.commit_actions(version).await.expect("log").expect("commit");
    let recorded = actions.iter().filter(|action| matches!(action, Action::Cdc(_)));
    recorded.count()
}

#[test_case(VECTORS; "by deletion vectors")]
#[test_case(COPIES; "by copies")]
#[tokio::test]
async fn each_row_that_came_went_or_changed_is_told_once(how: &str) {
    let (_directory, _, session) = four_rows(how).await;
    run(
        &session,
        &[
            "DELETE FROM t WHERE id = 2",
            "UPDATE t SET v = 'x' WHERE id >= 3",
            "INSERT INTO t VALUES (5, 'e')",
            "DELETE FROM t WHERE id = 3",
            "INSERT OVERWRITE t VALUES (6, 'f')",
        ],
    )
    .await;
    let expected = [
        "1|insert|1|a",
        "1|insert|2|b",
        "1|insert|3|c",
        "1|insert|4|d",
        "2|delete|2|b",
        "3|update_preimage|3|c",
        "3|update_postimage|3|x",
        "3|update_preimage|4|d",
        "3|update_postimage|4|x",
        "4|insert|5|e",
        "5|delete|3|x",
        "6|delete|1|a",
        "6|delete|4|x",
        "6|delete|5|e",
        "6|insert|6|f",
    ];
    assert_eq!(changes(&session, 0).await, expected);
    assert_eq!(changes(&session, 5).await, expected[10..]);
    let some = "SELECT count(*) FROM table_changes('t', 2, 4)";
    assert_eq!(rows(&session, some).await, ["6"]);
}

#[tokio::test]
async fn what_files_tell_is_not_recorded_again() {
    let (_directory, engine, session) = four_rows(VECTORS).await;
    run(&session, &["DELETE FROM t WHERE id = 1"]).await;
    assert_eq!(change_files(&engine).await, 0, "a vector tells which rows went");
    run(&session, &["UPDATE t SET v = 'x' WHERE id = 2"]).await;
    assert_eq!(change_files(&engine).await, 1);
    run(&session, &["DELETE FROM t WHERE id >= 0"]).await;
    assert_eq!(change_files(&engine).await, 0, "all rows of all files went");
    let expected = ["4|delete|2|x", "4|delete|3|c", "4|delete|4|d"];
    assert_eq!(changes(&session, 4).await, expected);
}

#[test_case(VECTORS; "by deletion vectors")]
#[test_case(COPIES; "by copies")]
#[tokio::test]
async fn merge_tells_of_each_row_what_its_clause_did(how: &str) {
    let (_directory, engine, session) = four_rows(how).await;
    let merge =
        "MERGE INTO t USING (SELECT * FROM VALUES (1, 'x'), (2, 'y'), (7, 'g') AS s(id, v)) s ON t.id = s.id
                 WHEN MATCHED AND t.id = 1 THEN DELETE
                 WHEN MATCHED THEN UPDATE SET v = concat(s.v, t.v)
                 WHEN NOT MATCHED THEN INSERT *
                 WHEN NOT MATCHED BY SOURCE AND t.id = 4 THEN UPDATE SET v = 'gone'";
    run(&session, &[merge]).await;
    let expected = [
        "2|delete|1|a",
        "2|update_preimage|2|b",
        "2|update_postimage|2|yb",
        "2|update_preimage|4|d",
        "2|update_postimage|4|gone",
        "2|insert|7|g",
    ];
    assert_eq!(changes(&session, 2).await, expected);
    assert_eq!(
        rows(&session, "SELECT * FROM t ORDER BY id").await,
        ["2|yb", "3|c", "4|gone", "7|g"]
    );
    let inserts =
        "MERGE INTO t USING (SELECT 8 AS id, 'h' AS v) s ON t.id = s.id WHEN NOT MATCHED THEN INSERT *";
    run(&session, &[inserts]).await;
    assert_eq!(
        change_files(&engine).await,
        0,
        "the new file tells of what was inserted"
    );
    assert_eq!(changes(&session, 3).await, ["3|insert|8|h"]);
    run(
        &session,
        &["MERGE INTO t USING (SELECT 8 AS id) s ON t.id = s.id WHEN MATCHED THEN DELETE"],
    )
    .await;
    assert_eq!(changes(&session, 4).await, ["4|delete|8|h"]);
}

const MAPPED: &str = "'delta.enableDeletionVectors' = 'false', 'delta.columnMapping.mode' = 'name'";

#[test_case(VECTORS; "by deletion vectors")]
#[test_case(COPIES; "by copies")]
#[test_case(MAPPED; "with mapped columns")]
#[tokio::test]
async fn merge_records_in_the_columns_that_it_adds(how: &str) {
    let (_directory, engine, session) = four_rows(how).await;
    let merge = "MERGE WITH SCHEMA EVOLUTION INTO t
                 USING (SELECT * FROM VALUES (1, 'x', 10), (2, 'y', 20), (7, 'g', 70) AS s(id, v, more)) s ON t.id = s.id
                 WHEN MATCHED AND t.id = 1 THEN DELETE
                 WHEN MATCHED THEN UPDATE SET *
                 WHEN NOT MATCHED THEN INSERT *
                 WHEN NOT MATCHED BY SOURCE AND t.id = 4 THEN UPDATE SET v = 'gone'";
    run(&session, &[merge]).await;
    assert!(change_files(&engine).await > 0);
    let expected = [
        "2|delete|1|a|NULL",
        "2|update_preimage|2|b|NULL",
        "2|update_postimage|2|y|20",
        "2|update_preimage|4|d|NULL",
        "2|update_postimage|4|gone|NULL",
        "2|insert|7|g|70",
    ];
    let query =
        "SELECT _commit_version, _change_type, id, v, more FROM table_changes('t', 2) ORDER BY 1, 3, 2 DESC";
    assert_eq!(rows(&session, query).await, expected);
    let all =
        "SELECT _commit_version, count(*), count(more) FROM table_changes('t', 0) GROUP BY 1 ORDER BY 1";
    assert_eq!(rows(&session, all).await, ["1|4|0", "2|6|2"]);
    let expected = ["2|y|20", "3|c|NULL", "4|gone|NULL", "7|g|70"];
    assert_eq!(rows(&session, "SELECT * FROM t ORDER BY id").await, expected);
}

#[tokio::test]
async fn fields_that_a_merge_adds_are_null_in_what_was_before() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id INT, s STRUCT<a: INT>) TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')",
            "INSERT INTO t VALUES (1, named_struct('a', 1)), (2, named_struct('a', 2))",
            "MERGE WITH SCHEMA EVOLUTION INTO t USING (SELECT 1 AS id, named_struct('a', 10, 'b', 'new') AS s) src
             ON t.id = src.id WHEN MATCHED THEN UPDATE SET *",
        ],
    )
    .await;
    let query =
        "SELECT _commit_version, _change_type, id, s.a, s.b FROM table_changes('t', 0) ORDER BY 1, 3, 2 DESC";
    let expected = [
        "1|insert|1|1|NULL",
        "1|insert|2|2|NULL",
        "2|update_preimage|1|1|NULL",
        "2|update_postimage|1|10|new",
    ];
    assert_eq!(rows(&session, query).await, expected);
}

#[tokio::test]
async fn merge_records_in_the_types_that_it_widens() {
    let (_directory, _, session) = four_rows("'delta.enableTypeWidening' = 'true'").await;
    let merge = "MERGE WITH SCHEMA EVOLUTION INTO t
                 USING (SELECT 1 AS key, 8000000000 AS id, 'x' AS v) s ON t.id = s.key
                 WHEN MATCHED THEN UPDATE SET *";
    run(&session, &[merge]).await;
    let expected = ["2|update_preimage|1|a", "2|update_postimage|8000000000|x"];
    assert_eq!(changes(&session, 2).await, expected);
    let older = "SELECT * FROM table_changes('t', 1)";
    assert_eq!(
        refused(&session, older).await,
        "DELTA_CHANGE_DATA_FEED_INCOMPATIBLE_DATA_SCHEMA"
    );
}

#[test_case(VECTORS; "by deletion vectors")]
#[test_case(COPIES; "by copies")]
#[tokio::test]
async fn rows_that_replace_others_are_recorded_in_the_columns_that_they_add(how: &str) {
    let (_directory, _, session) = four_rows(how).await;
    let statements = [
        "INSERT WITH SCHEMA EVOLUTION INTO t BY NAME REPLACE WHERE id = 2 SELECT 2 AS id, 'new' AS v, 5 AS more",
        "INSERT WITH SCHEMA EVOLUTION INTO t AS x BY NAME REPLACE ON (x.id = n.old)
         (SELECT 9 AS id, 'n' AS v, 6 AS more, 3 AS old) AS n",
    ];
    run(&session, &statements).await;
    let expected = [
        "2|insert|2|new|5",
        "2|delete|2|b|NULL",
        "3|delete|3|c|NULL",
        "3|insert|9|n|6",
    ];
    let query =
        "SELECT _commit_version, _change_type, id, v, more FROM table_changes('t', 2) ORDER BY 1, 3, 2 DESC";
    assert_eq!(rows(&session, query).await, expected);
}

#[tokio::test]
async fn a_column_that_took_the_name_of_another_is_not_read_for_it() {
    let (_directory, _, session) = four_rows("'delta.columnMapping.mode' = 'name'").await;
    run(
        &session,
        &[
            "ALTER TABLE t DROP COLUMN v",
            "ALTER TABLE t ADD COLUMN v STRING",
            "INSERT INTO t VALUES (5, 'e')",
        ],
    )
    .await;
    let query = "SELECT * FROM table_changes('t', 1)";
    assert_eq!(
        refused(&session, query).await,
        "DELTA_CHANGE_DATA_FEED_INCOMPATIBLE_DATA_SCHEMA"
    );
    assert_eq!(changes(&session, 3).await, ["4|insert|5|e"]);
}

#[test_case(VECTORS; "by deletion vectors")]
#[test_case(COPIES; "by copies")]
#[tokio::test]
async fn replaced_rows_are_deleted_and_inserted(how: &str) {
    let (_directory, _, session) = four_rows(how).await;
    run(
        &session,
        &["INSERT INTO t REPLACE WHERE id = 2 VALUES (2, 'new')"],
    )
    .await;
    let expected = ["2|insert|2|new", "2|delete|2|b"];
    assert_eq!(changes(&session, 2).await, expected);
}

#[tokio::test]
async fn rows_that_only_move_are_no_changes() {
    let (_directory, _, session) = four_rows(VECTORS).await;
    run(
        &session,
        &[
            "INSERT INTO t VALUES (5, 'e')",
            "DELETE FROM t WHERE id = 1",
            "OPTIMIZE t",
        ],
    )
    .await;
    assert_eq!(changes(&session, 2).await, ["2|insert|5|e", "3|delete|1|a"]);
}

#[test_case(VECTORS; "by deletion vectors")]
#[test_case(COPIES; "by copies")]
#[tokio::test]
async fn partitions_keep_their_values(how: &str) {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            &format!(
                "CREATE TABLE t (p STRING, id INT, v STRING) PARTITIONED BY (p)
                 TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true', {how})"
            ),
            "INSERT INTO t VALUES ('a/b', 1, 'x'), ('a/b', 2, 'y'), (NULL, 3, 'z')",
            "UPDATE t SET p = 'c' WHERE id = 2",
            "DELETE FROM t WHERE p IS NULL",
        ],
    )
    .await;
    let query = "SELECT _commit_version, _change_type, p, id FROM table_changes('t', 2) ORDER BY 1, 2 DESC";
    let expected = [
        "2|update_preimage|a/b|2",
        "2|update_postimage|c|2",
        "3|delete|NULL|3",
    ];
    assert_eq!(rows(&session, query).await, expected);
    let filtered =
        "SELECT id FROM table_changes('t', 1) WHERE p = 'c' AND v = 'y' AND _change_type <> 'insert'";
    assert_eq!(rows(&session, filtered).await, ["2"]);
}

#[tokio::test]
async fn files_of_other_commits_are_not_read() {
    let (_directory, _, session) = four_rows(VECTORS).await;
    for id in 5..10 {
        run(&session, &[&format!("INSERT INTO t VALUES ({id}, 'e')")]).await;
    }
    let query = "EXPLAIN SELECT * FROM table_changes('t', 0) WHERE _commit_version = 3";
    let plan = rows(&session, query).await.join("\n");
    assert!(plan.contains("files=1, files_pruned=5"), "{plan}");
}

#[tokio::test]
async fn ranges_are_given_by_time_too() {
    let (_directory, _, session) = four_rows(VECTORS).await;
    run(
        &session,
        &["INSERT INTO t VALUES (5, 'e')", "DELETE FROM t WHERE id = 1"],
    )
    .await;
    let times = rows(
        &session,
        "SELECT DISTINCT _commit_version, _commit_timestamp FROM table_changes('t', 0) ORDER BY 1",
    )
    .await;
    let time = |version: usize| {
        times[version - 1]
            .split('|')
            .nth(1)
            .expect("timestamp")
            .to_owned()
    };
    let query = format!(
        "SELECT _commit_version, id FROM table_changes('t', '{}', '{}')",
        time(2),
        time(2)
    );
    assert_eq!(rows(&session, &query).await, ["2|5"]);
    let query = format!("SELECT count(*) FROM table_changes('t', TIMESTAMP'{}')", time(2));
    assert_eq!(rows(&session, &query).await, ["2"]);
    let before = "SELECT count(*) FROM table_changes('t', '2000-01-01')";
    assert_eq!(rows(&session, before).await, ["6"]);
    let after = "SELECT count(*) FROM table_changes('t', '2999-01-01')";
    assert_eq!(
        refused(&session, after).await,
        "DELTA_TIMESTAMP_GREATER_THAN_COMMIT"
    );
}

#[test_case("table_changes('t', 3)", "DELTA_INVALID_CDC_RANGE"; "begins after the end of the history")]
#[test_case("table_changes('t', 1, 0)", "DELTA_INVALID_CDC_RANGE"; "ends before it begins")]
#[test_case("table_changes('t', -1)", "PARSE_SYNTAX_ERROR"; "negative")]
#[test_case("table_changes('t')", "PARSE_SYNTAX_ERROR"; "without a beginning")]
#[test_case("table_changes('t', 0, 1, 2)", "PARSE_SYNTAX_ERROR"; "too many arguments")]
#[test_case("table_changes(t, 0)", "PARSE_SYNTAX_ERROR"; "a name that is no string")]
#[test_case("table_changes('none', 0)", "TABLE_OR_VIEW_NOT_FOUND"; "of no table")]
#[test_case("table_changes('off', 0)", "DELTA_MISSING_CHANGE_DATA"; "of a table without a feed")]
#[test_case("table_changes('later', 0)", "DELTA_MISSING_CHANGE_DATA"; "from before the feed")]
#[test_case("table_changes('a_view', 0)", "UNSUPPORTED_FEATURE"; "of a view")]
#[tokio::test]
async fn what_cannot_be_told_is_refused(call: &str, condition: &str) {
    let (_directory, _, session) = four_rows(VECTORS).await;
    run(
        &session,
        &[
            "CREATE TABLE off (id INT)",
            "CREATE VIEW a_view AS SELECT * FROM t",
            "CREATE TABLE later (id INT)",
            "CREATE OR REPLACE TABLE later (id INT) TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')",
            "INSERT INTO later VALUES (1)",
        ],
    )
    .await;
    let query = format!("SELECT * FROM {call}");
    assert_eq!(refused(&session, &query).await, condition);
    assert_eq!(
        rows(&session, "SELECT id FROM table_changes('later', 1)").await,
        ["1"]
    );
}

#[tokio::test]
async fn a_schema_that_lost_a_column_is_refused_for_older_versions() {
    let (_directory, _, session) = four_rows(VECTORS).await;
    run(
        &session,
        &[
            "CREATE OR REPLACE TABLE t (id INT) TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')",
            "INSERT INTO t VALUES (7)",
        ],
    )
    .await;
    let query = "SELECT * FROM table_changes('t', 1)";
    assert_eq!(
        refused(&session, query).await,
        "DELTA_CHANGE_DATA_FEED_INCOMPATIBLE_DATA_SCHEMA"
    );
    assert_eq!(
        rows(&session, "SELECT id FROM table_changes('t', 3)").await,
        ["7"]
    );
}

#[tokio::test]
async fn columns_with_the_feeds_names_are_refused() {
    let (_directory, _, session) = open().await;
    let statement =
        "CREATE TABLE t (id INT, _change_type STRING) TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')";
    assert_eq!(
        refused(&session, statement).await,
        "DELTA_TABLE_ALREADY_CONTAINS_CDC_COLUMNS"
    );
}

#[tokio::test]
async fn a_path_has_changes_too() {
    let (_directory, engine, session) = four_rows(VECTORS).await;
    let path = table(&engine, "t").await.location().to_file_path().expect("path");
    let query = format!(
        "SELECT count(*) FROM table_changes_by_path('{}', 0)",
        path.display()
    );
    assert_eq!(rows(&session, &query).await, ["4"]);
}
