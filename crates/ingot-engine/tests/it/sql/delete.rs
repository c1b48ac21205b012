//! DELETE and TRUNCATE: which rows go, how they go, what the history says of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ingot_delta::{Action, CommitInfo, DeltaTable, Snapshot};
use ingot_engine::{Engine, Session};
use tempfile::TempDir;
use test_case::test_case;
use tokio::task::JoinSet;

use super::{names, new_session, open, refused, rows, run};
use crate::support;

pub const WITH_VECTORS: &str = "TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')";
pub const WITHOUT_VECTORS: &str = "TBLPROPERTIES ('delta.enableDeletionVectors' = 'false')";

/// A table `t (id, p, v)` of one file: ids 1 to 10, `p` odd or even, `v` null for multiples of 5.
pub async fn ten_rows(properties: &str) -> (TempDir, Engine, Session) {
    let (directory, engine, session) = open().await;
    run(
        &session,
        &[
            &format!("CREATE TABLE t (id INT, p STRING, v INT) {properties}"),
            "INSERT INTO t VALUES (1, 'odd', 1), (2, 'even', 2), (3, 'odd', 3), (4, 'even', 4), (5, 'odd', NULL),
                 (6, 'even', 6), (7, 'odd', 7), (8, 'even', 8), (9, 'odd', 9), (10, 'even', NULL)",
        ],
    )
    .await;
    (directory, engine, session)
}

pub async fn table(engine: &Engine, name: &str) -> Arc<DeltaTable> {
    let location = support::location(engine, name).await;
    engine.tables().open(&location).await.expect("opens")
}

pub async fn snapshot(engine: &Engine, name: &str) -> Arc<Snapshot> {
    table(engine, name).await.snapshot().await.expect("snapshot")
}

/// The paths of the table's files and how many rows their vectors delete.
pub async fn files(engine: &Engine, name: &str) -> BTreeMap<String, i64> {
    let snapshot = snapshot(engine, name).await;
    let files = snapshot.files().await.expect("files");
    let adds = (0..files.len()).map(|file| files.add(file));
    adds.map(|add| {
        let deleted = add
            .deletion_vector
            .as_ref()
            .map_or(0, |vector| vector.cardinality);
        (add.path.clone(), deleted)
    })
    .collect()
}

/// The commit info of the newest version.
async fn info(engine: &Engine, name: &str) -> CommitInfo {
    let table = table(engine, name).await;
    let version = table.snapshot().await.expect("snapshot").version();
    let actions = table.commit_actions(version).await.expect("log").expect("commit");
    let info = actions.into_iter().find_map(|action| match action {
        Action::CommitInfo(info) => Some(info),
        _ => None,
    });
    info.expect("commit info")
}

async fn operation(engine: &Engine) -> String {
    info(engine, "t").await.operation.expect("operation")
}

/// The metrics of the newest commit.
pub async fn metrics(engine: &Engine, name: &str) -> BTreeMap<String, String> {
    let metrics = info(engine, name).await.operation_metrics.unwrap_or_default();
    let text = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    metrics
        .into_iter()
        .map(|(name, value)| (name, text(value)))
        .collect()
}

async fn ids(session: &Session) -> Vec<String> {
    rows(session, "SELECT id FROM t ORDER BY id").await
}

#[test_case("id = 3", &[3]; "one row")]
#[test_case("id > 8 OR id < 2", &[1, 9, 10]; "a range")]
#[test_case("v > 6", &[7, 8, 9]; "null is not deleted")]
#[test_case("NOT (v > 6)", &[1, 2, 3, 4, 6]; "the negation of null is not deleted either")]
#[test_case("v IS NULL", &[5, 10])]
#[test_case("p = 'odd' AND id IN (1, 2, 3)", &[1, 3])]
#[test_case("true", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10])]
#[test_case("false", &[])]
#[test_case("NULL", &[])]
#[test_case("id = 1000", &[])]
#[test_case("id IN (SELECT id FROM other)", &[2, 4])]
#[test_case("id NOT IN (SELECT id FROM other)", &[]; "not in a list with a null")]
#[test_case("id NOT IN (SELECT id FROM other WHERE id IS NOT NULL)", &[1, 3, 5, 6, 7, 8, 9, 10])]
#[test_case("EXISTS (SELECT 1 FROM other WHERE other.id = t.id)", &[2, 4])]
#[test_case("NOT EXISTS (SELECT 1 FROM other o WHERE o.id = t.id)", &[1, 3, 5, 6, 7, 8, 9, 10])]
#[test_case("id = 9 OR id IN (SELECT id FROM other)", &[2, 4, 9]; "subquery in a disjunction")]
#[test_case("id > (SELECT avg(id) FROM t)", &[6, 7, 8, 9, 10]; "scalar subquery on the table itself")]
#[test_case("id IN (SELECT max(id) FROM t GROUP BY p)", &[9, 10]; "IN on the table itself")]
#[test_case("v = (SELECT max(u.v) FROM t u WHERE u.p = t.p)", &[8, 9]; "correlated on the table itself")]
#[test_case("main.default.t.id = 1 OR default.t.id = 2 OR t.id = 3 OR ID = 4", &[1, 2, 3, 4]; "names of several parts")]
#[tokio::test]
async fn rows_go_where_the_predicate_is_true(predicate: &str, deleted: &[i64]) {
    for properties in [WITH_VECTORS, WITHOUT_VECTORS] {
        let (_directory, engine, session) = ten_rows(properties).await;
        run(
            &session,
            &[
                "CREATE TABLE other (id INT)",
                "INSERT INTO other VALUES (2), (4), (20), (NULL)",
            ],
        )
        .await;
        let before = snapshot(&engine, "t").await.version();
        let affected = rows(&session, &format!("DELETE FROM t WHERE {predicate}")).await;
        assert_eq!(affected, [deleted.len().to_string()]);
        let left: Vec<String> = (1..=10)
            .filter(|id| !deleted.contains(id))
            .map(|id| id.to_string())
            .collect();
        assert_eq!(ids(&session).await, left);
        assert_eq!(
            rows(&session, "SELECT count(*), count(v) FROM t").await,
            rows(
                &session,
                "SELECT count(*), count(v) FROM (SELECT * FROM t ORDER BY v LIMIT 100)",
            )
            .await
        );
        let committed = snapshot(&engine, "t").await.version() - before;
        assert_eq!(
            committed,
            i64::from(!deleted.is_empty()),
            "nothing matched, nothing is committed"
        );
    }
}

#[tokio::test]
async fn a_few_rows_leave_a_vector_and_no_new_file() {
    let (_directory, engine, session) = ten_rows(WITH_VECTORS).await;
    let before = files(&engine, "t").await;
    assert_eq!(
        names(&session, "DELETE FROM t WHERE id = 3").await,
        ["num_affected_rows"]
    );
    let [path] = before.keys().collect::<Vec<_>>()[..] else {
        panic!("one file: {before:?}");
    };
    assert_eq!(files(&engine, "t").await, BTreeMap::from([(path.clone(), 1)]));
    let first = metrics(&engine, "t").await;
    for (name, value) in [
        ("numDeletedRows", "1"),
        ("numRemovedFiles", "0"),
        ("numAddedFiles", "0"),
        ("numCopiedRows", "0"),
        ("numDeletionVectorsAdded", "1"),
        ("numDeletionVectorsUpdated", "0"),
        ("numDeletionVectorsRemoved", "0"),
    ] {
        assert_eq!(first.get(name).map(String::as_str), Some(value), "{name}");
    }
    for name in ["executionTimeMs", "scanTimeMs", "rewriteTimeMs"] {
        assert!(first.contains_key(name), "{name}");
    }
    // The second keeps what the first deleted.
    run(&session, &["DELETE FROM t WHERE id = 4"]).await;
    assert_eq!(files(&engine, "t").await, BTreeMap::from([(path.clone(), 2)]));
    let second = metrics(&engine, "t").await;
    for name in ["Added", "Updated", "Removed"] {
        assert_eq!(second[&format!("numDeletionVectors{name}")], "1");
    }
    assert_eq!(
        rows(&session, "SELECT count(*), min(id), sum(id) FROM t").await,
        ["8|1|48"]
    );
    assert_eq!(
        rows(&session, "SELECT count(*) FROM t VERSION AS OF 2").await,
        ["9"]
    );
    assert_eq!(operation(&engine).await, "DELETE");
}

#[tokio::test]
async fn many_rows_write_the_file_anew_and_all_rows_remove_it() {
    let (_directory, engine, session) = ten_rows(WITH_VECTORS).await;
    let before = files(&engine, "t").await;
    run(&session, &["DELETE FROM t WHERE id <= 5"]).await;
    assert_eq!(
        files(&engine, "t").await.values().collect::<Vec<_>>(),
        [&5],
        "half is not more than half"
    );
    run(&session, &["DELETE FROM t WHERE id = 6"]).await;
    let after = files(&engine, "t").await;
    assert_eq!(after.values().collect::<Vec<_>>(), [&0]);
    assert_ne!(after.keys().next(), before.keys().next(), "another file");
    let copied = metrics(&engine, "t").await;
    for (name, value) in [
        ("numDeletedRows", "1"),
        ("numCopiedRows", "4"),
        ("numRemovedFiles", "1"),
        ("numAddedFiles", "1"),
        ("numDeletionVectorsAdded", "0"),
        ("numDeletionVectorsRemoved", "1"),
    ] {
        assert_eq!(copied.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(ids(&session).await, ["7", "8", "9", "10"]);
    run(&session, &["DELETE FROM t WHERE id > 0"]).await;
    assert!(files(&engine, "t").await.is_empty());
    assert_eq!(metrics(&engine, "t").await["numRemovedFiles"], "1");
}

#[test_case("1", 1; "always a vector")]
#[test_case("0", 0; "never a vector")]
#[tokio::test]
async fn the_share_can_be_set(share: &str, vectors: i64) {
    let (_directory, engine, session) = ten_rows(WITH_VECTORS).await;
    run(
        &session,
        &[
            &format!("SET ingot.deletionVectors.maxDeletedRowsRatio = {share}"),
            "DELETE FROM t WHERE id <= 9",
        ],
    )
    .await;
    assert_eq!(
        metrics(&engine, "t").await["numDeletionVectorsAdded"],
        vectors.to_string()
    );
    assert_eq!(ids(&session).await, ["10"]);
    let condition = refused(&session, "SET ingot.deletionVectors.maxDeletedRowsRatio = 2").await;
    assert_eq!(condition, "CONFIG_NOT_AVAILABLE");
}

#[tokio::test]
async fn partitions_go_without_a_file_being_read() {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &[
            &format!("CREATE TABLE t (id INT, p STRING) PARTITIONED BY (p) {WITH_VECTORS}"),
            "INSERT INTO t VALUES (1, 'a'), (2, 'a'), (3, 'b'), (4, NULL)",
        ],
    )
    .await;
    // Whoever reads a file finds none.
    let location = support::location(&engine, "t").await;
    let folder = location.to_file_path().expect("a folder");
    let (hidden, data) = (folder.join("hidden"), folder.join("p=a"));
    std::fs::rename(&data, &hidden).expect("renamed");
    assert_eq!(
        rows(&session, "DELETE FROM t WHERE p = 'a' OR p = 'z'").await,
        ["2"]
    );
    assert_eq!(metrics(&engine, "t").await["numRemovedFiles"], "1");
    assert_eq!(ids(&session).await, ["3", "4"]);
    assert_eq!(rows(&session, "DELETE FROM t WHERE p IS NULL").await, ["1"]);
    assert_eq!(rows(&session, "DELETE FROM t").await, ["1"]);
    assert_eq!(rows(&session, "DELETE FROM t").await, ["0"]);
}

#[tokio::test]
async fn files_of_which_all_rows_match_are_not_read() {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id INT, p STRING)",
            "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
        ],
    )
    .await;
    let old = files(&engine, "t").await.into_keys().next().expect("a file");
    run(&session, &["INSERT INTO t VALUES (2, 'c'), (3, 'd'), (4, 'e')"]).await;
    let folder = support::location(&engine, "t")
        .await
        .to_file_path()
        .expect("a folder");
    std::fs::rename(folder.join(&old), folder.join("hidden")).expect("renamed");
    assert_eq!(rows(&session, "DELETE FROM t WHERE id <= 2").await, ["3"]);
    let metrics = metrics(&engine, "t").await;
    assert_eq!(
        (&*metrics["numRemovedFiles"], &*metrics["numDeletionVectorsAdded"]),
        ("1", "1")
    );
    assert_eq!(ids(&session).await, ["3", "4"]);
    assert_eq!(
        rows(&session, "UPDATE t SET id = -id WHERE id > 2 AND id < 5").await,
        ["2"]
    );
    assert_eq!(ids(&session).await, ["-4", "-3"]);
}

#[tokio::test]
async fn truncate_takes_all_rows() {
    let (_directory, engine, session) = ten_rows(WITH_VECTORS).await;
    assert_eq!(rows(&session, "TRUNCATE TABLE t").await, ["10"]);
    assert_eq!(rows(&session, "SELECT count(*) FROM t").await, ["0"]);
    assert_eq!(operation(&engine).await, "TRUNCATE");
    let version = snapshot(&engine, "t").await.version();
    assert_eq!(rows(&session, "TRUNCATE TABLE t").await, ["0"]);
    assert_eq!(snapshot(&engine, "t").await.version(), version);
    let condition = refused(&session, "TRUNCATE TABLE t PARTITION (p = 'a')").await;
    assert_eq!(condition, "DELTA_TRUNCATE_TABLE_PARTITION_NOT_SUPPORTED");
}

#[tokio::test]
async fn mistakes_are_named() {
    let (_directory, engine, session) = ten_rows("TBLPROPERTIES ('delta.appendOnly' = 'true')").await;
    for statement in ["DELETE FROM t WHERE id = 77", "DELETE FROM t", "TRUNCATE TABLE t"] {
        assert_eq!(
            refused(&session, statement).await,
            "DELTA_CANNOT_MODIFY_APPEND_ONLY",
            "{statement}"
        );
    }
    let location = support::location(&engine, "t").await;
    support::set_property(&engine, &location, "delta.appendOnly", "false").await;
    for (statement, condition) in [
        ("DELETE t WHERE id = 1", "PARSE_SYNTAX_ERROR"),
        ("DELETE FROM t WHERE", "PARSE_SYNTAX_ERROR"),
        ("DELETE FROM t WHERE id = 1 garbage", "PARSE_SYNTAX_ERROR"),
        (
            "DELETE FROM t a WHERE t.id = 1",
            "UNRESOLVED_COLUMN.WITH_SUGGESTION",
        ),
        (
            "DELETE FROM t WHERE missing = 1",
            "UNRESOLVED_COLUMN.WITH_SUGGESTION",
        ),
        (
            "DELETE FROM t WHERE id IN (SELECT id FROM missing)",
            "TABLE_OR_VIEW_NOT_FOUND",
        ),
        ("DELETE FROM missing", "TABLE_OR_VIEW_NOT_FOUND"),
        ("DELETE FROM t WHERE 1 / (id - 1) > 0", "DIVIDE_BY_ZERO"),
    ] {
        assert_eq!(refused(&session, statement).await, condition, "{statement}");
    }
    assert_eq!(rows(&session, "SELECT count(*) FROM t").await, ["10"]);
    assert_eq!(rows(&session, "DELETE FROM t AS a WHERE a.id = 1").await, ["1"]);
    assert_eq!(
        rows(&session, "DELETE FROM default.t a WHERE a.id = 2;").await,
        ["1"]
    );
    let path = location.path();
    for (statement, affected) in [
        (
            "DELETE FROM t AS Src WHERE Src.id = 3 OR `src`.id = 4".to_owned(),
            "2",
        ),
        (
            "DELETE FROM T WHERE T.id = 5 OR Main.Default.T.ID = 6".to_owned(),
            "2",
        ),
        (format!("DELETE FROM delta.`{path}` WHERE id = 7"), "1"),
        (
            format!("DELETE FROM delta.`{path}` AS d WHERE d.id IN (SELECT id FROM t WHERE id = 8)"),
            "1",
        ),
    ] {
        assert_eq!(rows(&session, &statement).await, [affected], "{statement}");
    }
    assert_eq!(ids(&session).await, ["9", "10"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deletions_from_one_file_at_once_all_hold() {
    let (_directory, engine, session) = ten_rows(WITH_VECTORS).await;
    let mut tasks = JoinSet::new();
    for id in 1..=9 {
        let session = new_session(&engine);
        tasks.spawn(async move { rows(&session, &format!("DELETE FROM t WHERE id = {id}")).await });
    }
    for affected in tasks.join_all().await {
        assert_eq!(affected, ["1"]);
    }
    assert_eq!(ids(&session).await, ["10"]);
    // Vectors and files of attempts that lost are gone.
    let folder = support::location(&engine, "t")
        .await
        .to_file_path()
        .expect("a folder");
    let table = table(&engine, "t").await;
    let mut named = std::collections::BTreeSet::new();
    for version in 0..=table.snapshot().await.expect("snapshot").version() {
        let actions = table.commit_actions(version).await.expect("log").expect("commit");
        for action in actions {
            let Action::Add(add) = action else { continue };
            named.insert(add.path.clone());
            named.extend(add.deletion_vector.map(|vector| vector.path_or_inline_dv));
        }
    }
    let entries = std::fs::read_dir(folder).expect("folder");
    let written = entries
        .filter(|entry| entry.as_ref().expect("entry").path().is_file())
        .count();
    assert_eq!(written, named.len());
}
