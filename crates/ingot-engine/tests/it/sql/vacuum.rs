//! VACUUM: never a file that a retained version needs, and everything else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ingot_common::clock;
use ingot_engine::{Engine, Session};
use tempfile::TempDir;
use test_case::test_case;

use super::{open, refused, rows, run};
use crate::support;

/// Checkpoints are written beside the commits; none takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs a statement as if so many days had gone by.
async fn on_day(session: &Session, day: u32, statement: &str) -> Vec<String> {
    clock::later(DAY * day, rows(session, statement)).await
}

/// Returns the files below a table's folder, without its log.
async fn files(engine: &Engine, table: &str) -> Vec<PathBuf> {
    let root = support::location(engine, table)
        .await
        .to_file_path()
        .expect("local");
    let mut files = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("folder") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.extend((!path.ends_with("_delta_log")).then_some(path));
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Returns the rows of every version that can be read.
async fn versions(session: &Session) -> BTreeMap<i64, Option<Vec<String>>> {
    let history = rows(session, "DESCRIBE HISTORY t").await;
    let mut versions = BTreeMap::new();
    for entry in history {
        let version: i64 = entry
            .split('|')
            .next()
            .and_then(|text| text.parse().ok())
            .expect("version");
        let query = format!("SELECT * FROM t VERSION AS OF {version} ORDER BY a");
        versions.insert(version, super::try_rows(session, &query).await.ok());
    }
    versions
}

/// What changes a table of `(a, b, p)`; each is run on a day of its own.
const OPERATIONS: [(&str, &str); 8] = [
    ("append", "INSERT INTO t VALUES (7, 'seven', 'x')"),
    (
        "update",
        "MERGE INTO t USING (SELECT 1 AS k) s ON t.a = s.k WHEN MATCHED THEN UPDATE SET b = 'one'",
    ),
    (
        "delete",
        "MERGE INTO t USING (SELECT 2 AS k) s ON t.a = s.k WHEN MATCHED THEN DELETE",
    ),
    (
        "merge",
        "MERGE INTO t USING (SELECT * FROM VALUES (3, 'drei'), (9, 'neun') v(k, w)) s ON t.a = s.k \
         WHEN MATCHED THEN UPDATE SET b = w WHEN NOT MATCHED THEN INSERT (a, b, p) VALUES (k, w, 'y')",
    ),
    ("optimize", "OPTIMIZE t"),
    ("purge", "REORG TABLE t APPLY (PURGE)"),
    (
        "overwrite",
        "INSERT OVERWRITE t SELECT a, b, p FROM t WHERE a > 2",
    ),
    ("append again", "INSERT INTO t VALUES (8, 'eight', 'y')"),
];

/// Runs all operations, a day each, after which the first version is so many days old.
async fn worked_on(properties: &str) -> (TempDir, Engine, Session, u32) {
    let (directory, engine, session) = open().await;
    let create = format!("CREATE TABLE t (a INT, b STRING, p STRING) PARTITIONED BY (p) {properties}");
    rows(&session, &create).await;
    on_day(
        &session,
        1,
        "INSERT INTO t VALUES (1, 'a', 'x'), (2, 'b', 'y'), (3, 'c', 'x'), (4, 'd', 'y')",
    )
    .await;
    let mut day = 2;
    for (_, operation) in OPERATIONS {
        on_day(&session, day, operation).await;
        day += 1;
    }
    (directory, engine, session, day)
}

#[test_case("FULL", ""; "full")]
#[test_case("LITE", ""; "lite")]
#[test_case("FULL", "TBLPROPERTIES ('delta.checkpointInterval' = '3')"; "full after checkpoints")]
#[test_case("LITE", "TBLPROPERTIES ('delta.checkpointInterval' = '3')"; "lite after checkpoints")]
#[tokio::test]
async fn retained_versions_stay_readable(mode: &str, properties: &str) {
    let (_directory, engine, session, end) = worked_on(properties).await;
    // Day by day the retention leaves one operation more behind.
    let mut deleted = 0;
    for today in end..end + 12 {
        let before = versions(&session).await;
        let found = files(&engine, "t").await.len();
        on_day(&session, today, &format!("VACUUM t {mode}")).await;
        deleted += found - files(&engine, "t").await.len();
        let after = versions(&session).await;
        // Version n was made on day n, and was the newest until the next was made.
        for (version, was) in &before {
            let superseded_on = version + 1;
            if superseded_on > i64::from(today) - 7 {
                assert!(was.is_some(), "version {version} on day {today}");
                assert_eq!(after[version], *was, "version {version} on day {today}");
            }
        }
    }
    assert!(deleted > 5, "{deleted} files went");
    let left = files(&engine, "t").await.len();
    let live = rows(&session, "DESCRIBE DETAIL t").await;
    assert_eq!(
        live[0].split('|').nth(9),
        Some(left.to_string().as_str()),
        "{live:?}"
    );
}

#[tokio::test]
async fn a_longer_retention_outlives_tombstones_that_checkpoints_drop() {
    let (_directory, engine, session, end) =
        worked_on("TBLPROPERTIES ('delta.checkpointInterval' = '1')").await;
    let today = end + 12;
    // A checkpoint of today knows nothing of what was removed more than seven days ago.
    on_day(&session, today, "INSERT INTO t VALUES (10, 'ten', 'x')").await;
    let before = versions(&session).await;
    let found = files(&engine, "t").await;
    on_day(&session, today, "VACUUM t RETAIN 1000 HOURS").await;
    assert_eq!(files(&engine, "t").await, found);
    assert!(before.values().all(Option::is_some));
    on_day(&session, today, "VACUUM t").await;
    assert!(files(&engine, "t").await.len() < found.len());
}

async fn touch(path: &Path) {
    std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
    std::fs::write(path, b"x").expect("written");
}

#[tokio::test]
async fn only_old_files_that_are_the_tables_go() {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (a INT, _p INT) PARTITIONED BY (_p)",
            "INSERT INTO t VALUES (1, 1)",
        ],
    )
    .await;
    let root = support::location(&engine, "t")
        .await
        .to_file_path()
        .expect("local");
    let theirs = ["_checkpoints/0", ".hidden", "sub/_temporary/a.parquet"].map(|name| root.join(name));
    let orphans = [
        "orphan.parquet",
        "_p=1/orphan.parquet",
        "deletion_vector_0.bin",
        "_change_data/cdc.parquet",
    ];
    let orphans = orphans.map(|name| root.join(name));
    for path in theirs.iter().chain(&orphans) {
        touch(path).await;
    }
    let before = files(&engine, "t").await;
    rows(&session, "VACUUM t").await;
    assert_eq!(
        files(&engine, "t").await,
        before,
        "young files may be about to be committed"
    );
    let dry = on_day(&session, 8, "VACUUM t DRY RUN").await;
    assert_eq!(files(&engine, "t").await, before);
    assert_eq!(dry.len(), orphans.len(), "{dry:?}");
    assert!(dry.iter().all(|path| path.starts_with("file:///")), "{dry:?}");
    on_day(&session, 8, "VACUUM t LITE").await;
    assert_eq!(files(&engine, "t").await, before, "the log knows nothing of them");
    let result = on_day(&session, 8, "VACUUM t").await;
    assert_eq!(
        result,
        [support::location(&engine, "t")
            .await
            .as_str()
            .trim_end_matches('/')]
    );
    let after = files(&engine, "t").await;
    assert_eq!(after.len(), before.len() - orphans.len());
    assert!(theirs.iter().all(|path| after.contains(path)), "{after:?}");
    assert_eq!(rows(&session, "SELECT * FROM t").await, ["1|1"]);
}

#[tokio::test]
async fn a_retention_that_is_too_short_is_refused_unless_unchecked() {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (a INT)",
            "INSERT INTO t VALUES (1)",
            "INSERT OVERWRITE t VALUES (2)",
        ],
    )
    .await;
    let condition = refused(&session, "VACUUM t RETAIN 1 HOURS").await;
    assert_eq!(condition, "DELTA_VACUUM_RETENTION_PERIOD_TOO_SHORT");
    assert_eq!(
        refused(&session, "VACUUM t FULL LITE").await,
        "PARSE_SYNTAX_ERROR"
    );
    assert_eq!(refused(&session, "VACUUM t RETAIN 1").await, "PARSE_SYNTAX_ERROR");
    run(
        &session,
        &["SET spark.databricks.delta.retentionDurationCheck.enabled = false"],
    )
    .await;
    assert_eq!(files(&engine, "t").await.len(), 2);
    clock::later(Duration::from_secs(5), rows(&session, "VACUUM t RETAIN 0 HOURS")).await;
    assert_eq!(files(&engine, "t").await.len(), 1);
    assert_eq!(rows(&session, "SELECT a FROM t").await, ["2"]);
    let history = rows(&session, "DESCRIBE HISTORY t LIMIT 2").await;
    let columns = |entry: &str| -> Vec<String> { entry.split('|').map(str::to_owned).collect() };
    let (end, start) = (columns(&history[0]), columns(&history[1]));
    assert_eq!(
        (end[4].as_str(), end[5].as_str()),
        ("VACUUM END", "{status: COMPLETED}")
    );
    assert_eq!(end[12], "{numDeletedFiles: 1, numVacuumedDirectories: 2}");
    assert_eq!(start[4], "VACUUM START");
    assert_eq!(
        start[5],
        "{defaultRetentionMillis: 604800000, retentionCheckEnabled: false, specifiedRetentionMillis: 0}"
    );
    assert!(
        start[12].starts_with("{numFilesToDelete: 1, sizeOfDataToDelete: "),
        "{}",
        start[12]
    );
}

#[tokio::test]
async fn lite_needs_the_log_since_the_last_vacuum() {
    let (_directory, engine, session) = open().await;
    let properties = "TBLPROPERTIES ('delta.checkpointInterval' = '2', 'delta.logRetentionDuration' = 'interval 0 seconds')";
    rows(&session, &format!("CREATE TABLE t (a INT) {properties}")).await;
    for a in 0..6 {
        rows(&session, &format!("INSERT OVERWRITE t VALUES ({a})")).await;
        // A checkpoint that is still under way would let the next one wait.
        assert!(engine.tables().settle(PATIENCE).await);
    }
    assert!(engine.cleanup_expired_logs().await.expect("cleaned up") > 0);
    let lite = clock::later(DAY * 8, refused(&session, "VACUUM t LITE")).await;
    assert_eq!(lite, "DELTA_CANNOT_VACUUM_LITE");
    on_day(&session, 8, "VACUUM t FULL").await;
    assert_eq!(files(&engine, "t").await.len(), 1);
    assert_eq!(rows(&session, "SELECT a FROM t").await, ["5"]);
}

/// Returns all that the table's changes say from version `from` on.
async fn changes(session: &Session, from: i64) -> Vec<String> {
    let query = format!("SELECT * FROM table_changes('t', {from}) ORDER BY _commit_version, a, _change_type");
    rows(session, &query).await
}

#[test_case("FULL"; "full")]
#[test_case("LITE"; "lite")]
#[tokio::test]
async fn retained_changes_stay_readable(mode: &str) {
    let (_directory, engine, session, end) =
        worked_on("TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')").await;
    let recorded = async || {
        let files = files(&engine, "t").await;
        let recorded = files
            .iter()
            .filter(|path| path.components().any(|part| part.as_os_str() == "_change_data"));
        recorded.count()
    };
    let all = recorded().await;
    assert!(all > 1, "{all} files of changes");
    let before = changes(&session, 0).await;
    // Version n was made on day n; the first are past the retention before the last are.
    let last = before
        .iter()
        .filter_map(|row| row.split('|').nth(4)?.parse::<u32>().ok())
        .max()
        .expect("changes");
    for today in end..=last + 6 {
        on_day(&session, today, &format!("VACUUM t {mode}")).await;
        let from = i64::from(today) - 6;
        let retained: Vec<String> = before
            .iter()
            .filter(|row| row.split('|').nth(4).and_then(|version| version.parse().ok()) >= Some(from))
            .cloned()
            .collect();
        assert!(!retained.is_empty(), "day {today}");
        assert_eq!(changes(&session, from).await, retained, "day {today}");
    }
    on_day(&session, end + 30, &format!("VACUUM t {mode}")).await;
    assert_eq!(recorded().await, 0, "files of changes go when they are old");
}

/// What changes a table `t (a, b, p)` partitioned by `p`. `{n}` is the version that statement n made, the first being 0,
/// `{csv}` a folder of CSV files.
const STATEMENTS: [&str; 22] = [
    "INSERT INTO t VALUES (1, 'a', 'x'), (2, 'b', 'y'), (3, 'c', 'x'), (4, 'd', 'y'), (5, 'e', 'x')",
    "DELETE FROM t WHERE a = 1",
    "UPDATE t SET b = 'two' WHERE a = 2",
    "COPY INTO t FROM '{csv}' FILEFORMAT = CSV FORMAT_OPTIONS ('header' = 'true')",
    "INSERT INTO t REPLACE WHERE p = 'x' VALUES (6, 'f', 'x'), (7, 'g', 'x'), (8, 'h', 'x')",
    "INSERT INTO t REPLACE WHERE a = 7 VALUES (7, 'seven', 'x')",
    "OPTIMIZE t ZORDER BY (a)",
    "ALTER TABLE t SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
    "ALTER TABLE t RENAME COLUMN b TO c",
    "DELETE FROM t WHERE c = 'f'",
    "REORG TABLE t APPLY (PURGE)",
    "RESTORE TABLE t TO VERSION AS OF {8}",
    "ALTER TABLE t ADD COLUMN d INT",
    "MERGE INTO t USING (SELECT 8 AS k) s ON t.a = s.k WHEN MATCHED THEN UPDATE SET d = 1",
    "ALTER TABLE t DROP COLUMN c",
    "INSERT OVERWRITE t PARTITION (p = 'y') SELECT a, d FROM t WHERE p = 'y' AND a > 2",
    "CREATE OR REPLACE TABLE t SHALLOW CLONE other",
    "UPDATE t SET p = 'cloned' WHERE a = 100",
    "RESTORE TABLE t TO VERSION AS OF {14}",
    "CREATE OR REPLACE TABLE t PARTITIONED BY (p) TBLPROPERTIES ('delta.columnMapping.mode' = 'name') AS SELECT a, d, p FROM t",
    "TRUNCATE TABLE t",
    "INSERT INTO t VALUES (9, 9, 'z')",
];

/// The same for a table clustered by `p`.
const CLUSTERING: [&str; 10] = [
    "INSERT INTO t VALUES (1, 'a', 'x'), (2, 'b', 'y'), (3, 'c', 'x'), (4, 'd', 'y')",
    "INSERT INTO t VALUES (5, 'e', 'x'), (6, 'f', 'y')",
    "OPTIMIZE t",
    "DELETE FROM t WHERE a = 5",
    "INSERT INTO t VALUES (7, 'g', 'x')",
    "ALTER TABLE t CLUSTER BY (a, p)",
    "OPTIMIZE t FULL",
    "INSERT INTO t REPLACE USING (p) VALUES (8, 'h', 'y')",
    "RESTORE TABLE t TO VERSION AS OF {4}",
    "OPTIMIZE t FULL",
];

/// The newest version of the table, and its rows.
async fn newest(session: &Session) -> (i64, Vec<String>) {
    let version = rows(session, "SELECT max(version) FROM (DESCRIBE HISTORY t)").await;
    (
        version[0].parse().expect("a version"),
        rows(session, "SELECT * FROM t ORDER BY a").await,
    )
}

/// A version that was the newest until some day.
struct Past {
    version: i64,
    rows: Vec<String>,
    superseded_on: u32,
}

#[test_case("FULL", "PARTITIONED BY (p)", &STATEMENTS; "full")]
#[test_case("LITE", "PARTITIONED BY (p)", &STATEMENTS; "lite")]
#[test_case("FULL", "CLUSTER BY (p)", &CLUSTERING; "full of a clustered table")]
#[test_case("LITE", "CLUSTER BY (p)", &CLUSTERING; "lite of a clustered table")]
#[tokio::test]
async fn a_vacuum_after_each_statement_keeps_what_time_travel_needs(
    mode: &str,
    layout: &str,
    statements: &[&str],
) {
    const RETENTION_DAYS: u32 = 7;
    let (directory, engine, session) = open().await;
    let csv = directory.path().join("csv");
    std::fs::create_dir(&csv).expect("folder");
    std::fs::write(csv.join("1.csv"), "a,b,p\n10,ten,y\n11,eleven,z\n").expect("written");
    run(
        &session,
        &[
            &format!("CREATE TABLE t (a INT, b STRING, p STRING) {layout}"),
            "CREATE TABLE other (a INT, d INT, p STRING) TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
            "INSERT INTO other VALUES (100, 1, 'o'), (101, 2, 'o'), (102, 3, 'o')",
        ],
    )
    .await;
    let mut made: Vec<i64> = Vec::new();
    let mut past: Vec<Past> = Vec::new();
    let (mut today, mut deleted) = (0, 0);
    let last_day = u32::try_from(statements.len()).expect("few") + 2 * RETENTION_DAYS;
    while today < last_day {
        today += 1;
        let before = newest(&session).await;
        if let Some(statement) = statements.get(made.len()) {
            let mut statement = statement.replace("{csv}", &csv.display().to_string());
            for (number, version) in made.iter().enumerate() {
                statement = statement.replace(&format!("{{{number}}}"), &version.to_string());
            }
            on_day(&session, today, &statement).await;
            let after = newest(&session).await;
            assert_eq!(after.0, before.0 + 1, "one commit: {statement}");
            made.push(after.0);
            past.push(Past {
                version: before.0,
                rows: before.1,
                superseded_on: today,
            });
        }
        let found = files(&engine, "t").await.len();
        on_day(&session, today, &format!("VACUUM t {mode}")).await;
        deleted += found - files(&engine, "t").await.len();
        for Past {
            version, rows: held, ..
        } in past
            .iter()
            .filter(|past| past.superseded_on + RETENTION_DAYS > today)
        {
            let query = format!("SELECT * FROM t VERSION AS OF {version} ORDER BY a");
            assert_eq!(
                rows(&session, &query).await,
                *held,
                "version {version} on day {today}"
            );
        }
    }
    assert!(deleted > statements.len() / 2, "{deleted} files went");
    let live = rows(&session, "SELECT numFiles FROM (DESCRIBE DETAIL t)").await;
    assert_eq!(
        live,
        [files(&engine, "t").await.len().to_string()],
        "all else went"
    );
    let others = rows(&session, "SELECT a FROM other ORDER BY a").await;
    assert_eq!(others, ["100", "101", "102"], "another table's files stay");
}

#[tokio::test]
async fn a_clone_is_whole_as_long_as_its_source_retains_the_files() {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &[
            // Each time from the files.
            "SET use_cached_result = false",
            "CREATE TABLE t (a INT)",
            "INSERT INTO t VALUES (1), (2), (3)",
            "CREATE TABLE c SHALLOW CLONE t",
        ],
    )
    .await;
    on_day(&session, 1, "DELETE FROM c WHERE a = 1").await;
    on_day(&session, 2, "INSERT OVERWRITE t VALUES (9)").await;
    // The source's file, with a deletion vector of the clone's.
    let of_clone = "SELECT a FROM c ORDER BY a";
    for today in 2..9 {
        on_day(&session, today, "VACUUM t").await;
        on_day(&session, today, "VACUUM c").await;
        assert_eq!(rows(&session, of_clone).await, ["2", "3"], "day {today}");
        assert_eq!(
            rows(&session, "SELECT a FROM c VERSION AS OF 0 ORDER BY a").await,
            ["1", "2", "3"]
        );
    }
    assert_eq!(files(&engine, "t").await.len(), 2);
    on_day(&session, 10, "VACUUM t").await;
    assert_eq!(files(&engine, "t").await.len(), 1);
    assert_eq!(
        refused(&session, of_clone).await,
        "FAILED_READ_FILE.FILE_NOT_EXIST"
    );
    assert_eq!(rows(&session, "SELECT a FROM t").await, ["9"]);
}
