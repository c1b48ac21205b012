//! Tables whose columns have other names in files.

use std::sync::Arc;

use ingot_common::Classify;
use ingot_delta::{CommitOutcome, DeltaTable, Metadata, Operation, column_mapping};
use ingot_engine::{Engine, Session};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;
use test_case::test_case;
use url::Url;

use super::{names, open, refused, rows, run};
use crate::support;

/// The folder of the only table.
fn folder(directory: &TempDir) -> std::path::PathBuf {
    let found = walkdir(directory.path()).into_iter();
    let log = found.into_iter().find(|path| path.ends_with("_delta_log"));
    log.expect("a table").parent().expect("its folder").to_owned()
}

fn walkdir(root: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                std::fs::read_dir(&path)
                    .expect("folder")
                    .map(|entry| entry.expect("entry").path()),
            );
        }
        found.push(path);
    }
    found
}

pub(super) async fn table(engine: &Engine, directory: &TempDir) -> Arc<DeltaTable> {
    let location = Url::from_directory_path(folder(directory)).expect("absolute path");
    engine.tables().open(&location).await.expect("table")
}

pub(super) async fn alter(
    engine: &Engine,
    directory: &TempDir,
    change: impl Fn(&Metadata) -> ingot_delta::Result<Metadata>,
) -> ingot_delta::Result<()> {
    let table = table(engine, directory).await;
    let snapshot = table.snapshot().await?;
    let metadata = change(snapshot.metadata())?;
    let mut transaction = table.transaction(snapshot, Operation::new("RENAME COLUMN"));
    transaction.set_metadata(metadata);
    match transaction.commit().await? {
        CommitOutcome::Committed { .. } => Ok(()),
        other => panic!("not committed: {other:?}"),
    }
}

pub(super) fn path(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

async fn renamed(engine: &Engine, directory: &TempDir, column: &[&str], name: &str) {
    let column = path(column);
    alter(engine, directory, |metadata| {
        column_mapping::renamed_column(metadata, &column, name)
    })
    .await
    .expect("renamed");
}

async fn dropped(engine: &Engine, directory: &TempDir, column: &[&str]) {
    let columns = [path(column)];
    alter(engine, directory, |metadata| {
        column_mapping::dropped_columns(metadata, &columns, &[])
    })
    .await
    .expect("dropped");
}

pub(super) async fn set_property(
    engine: &Engine,
    directory: &TempDir,
    key: &str,
    value: &str,
) -> ingot_delta::Result<()> {
    alter(engine, directory, |metadata| {
        let mut metadata = metadata.clone();
        metadata.configuration.insert(key.to_owned(), value.to_owned());
        Ok(metadata)
    })
    .await
}

/// A nested table in the given mode with three rows in two files.
async fn nested(mode: &str) -> (TempDir, Engine, Session) {
    let (directory, engine, session) = open().await;
    let create = format!(
        "CREATE TABLE t (id BIGINT NOT NULL, p STRING, s STRUCT<x: INT, y: STRING>, l ARRAY<STRUCT<v: INT>>, \
         m MAP<STRING, STRUCT<w: INT>>) PARTITIONED BY (p) TBLPROPERTIES ('delta.columnMapping.mode' = '{mode}')"
    );
    run(
        &session,
        &[
            &create,
            "INSERT INTO t SELECT 1, 'a', named_struct('x', 10, 'y', 'ten'), array(named_struct('v', 100)), \
             map('k', named_struct('w', 1000))",
            "INSERT INTO t SELECT 2, 'b', named_struct('x', 20, 'y', 'twenty'), array(named_struct('v', 200)), \
             map('k', named_struct('w', 2000)) UNION ALL SELECT 3, NULL, NULL, NULL, NULL",
        ],
    )
    .await;
    (directory, engine, session)
}

#[test_case("name")]
#[test_case("id")]
#[tokio::test]
async fn nested_columns_are_found_in_files_by_physical_name_or_id(mode: &str) {
    let (directory, engine, session) = nested(mode).await;
    let query = "SELECT id, p, s.x, s.y, l[0]['v'], m['k']['w'] FROM t ORDER BY id";
    let expected = [
        "1|a|10|ten|100|1000",
        "2|b|20|twenty|200|2000",
        "3|NULL|NULL|NULL|NULL|NULL",
    ];
    assert_eq!(rows(&session, query).await, expected);
    assert_eq!(
        rows(&session, "SELECT id FROM t WHERE s.x > 15 AND p = 'b'").await,
        ["2"]
    );
    assert_eq!(rows(&session, "SELECT id FROM t WHERE p IS NULL").await, ["3"]);

    let snapshot = table(&engine, &directory)
        .await
        .snapshot()
        .await
        .expect("snapshot");
    assert_eq!(snapshot.properties()["delta.columnMapping.maxColumnId"], "9");
    let listed = |list: &Option<Vec<String>>| list.iter().flatten().any(|name| name == "columnMapping");
    assert!(listed(&snapshot.protocol().reader_features) && listed(&snapshot.protocol().writer_features));
    let files = snapshot.files().await.expect("files");
    for file in 0..files.len() {
        let add = files.add(file);
        let stats = add.stats.as_deref().expect("statistics");
        assert!(!stats.contains("\"id\"") && stats.contains("\"col-"), "{stats}");
        assert!(add.partition_values.keys().all(|name| name.starts_with("col-")));
        let (prefix, _) = add.path.split_once('/').expect("a folder");
        assert_eq!(prefix.len(), 2, "{}", add.path);
        let data = std::fs::File::open(folder(&directory).join(&add.path)).expect("file");
        let reader = ParquetRecordBatchReaderBuilder::try_new(data).expect("parquet");
        let schema = reader.schema().to_string();
        assert!(
            !schema.contains("\"x\"") && schema.contains("PARQUET:field_id"),
            "{schema}"
        );
    }
}

#[test_case("name")]
#[test_case("id")]
#[tokio::test]
async fn renamed_columns_keep_their_values_and_dropped_ones_do_not_come_back(mode: &str) {
    let (directory, engine, session) = nested(mode).await;
    renamed(&engine, &directory, &["s", "x"], "renamed inside").await;
    renamed(&engine, &directory, &["ID"], "key").await;
    renamed(&engine, &directory, &["p"], "part").await;
    renamed(&engine, &directory, &["l", "element", "v"], "vv").await;
    renamed(&engine, &directory, &["m", "value", "w"], "ww").await;
    dropped(&engine, &directory, &["s", "y"]).await;
    let query = "SELECT key, part, s.`renamed inside`, l[0]['vv'], m['k']['ww'] FROM t ORDER BY key";
    let expected = ["1|a|10|100|1000", "2|b|20|200|2000", "3|NULL|NULL|NULL|NULL"];
    assert_eq!(rows(&session, query).await, expected);
    run(
        &session,
        &[
            "INSERT INTO t SELECT 4, 'c', named_struct('renamed inside', 40), NULL AS l, NULL AS m",
            "MERGE INTO t USING (SELECT 1 AS k UNION ALL SELECT 5) AS n ON t.key = n.k \
         WHEN MATCHED THEN UPDATE SET part = 'z' \
         WHEN NOT MATCHED THEN INSERT (key, part) VALUES (n.k, 'new')",
        ],
    )
    .await;
    let query = "SELECT key, part, s.`renamed inside` FROM t ORDER BY key";
    assert_eq!(
        rows(&session, query).await,
        ["1|z|10", "2|b|20", "3|NULL|NULL", "4|c|40", "5|new|NULL"]
    );

    // A new column of an old name has none of the old values.
    dropped(&engine, &directory, &["m"]).await;
    let added = |metadata: &Metadata| {
        let mut metadata = metadata.clone();
        let field = r#"{"name":"m","type":"string","nullable":true,"metadata":{}}]}"#;
        metadata.schema_string = format!(
            "{},{field}",
            metadata.schema_string.strip_suffix("]}").expect("struct")
        );
        Ok(metadata)
    };
    alter(&engine, &directory, added).await.expect("added");
    assert_eq!(rows(&session, "SELECT count(*), count(m) FROM t").await, ["5|0"]);
    let names = names(&session, "SELECT * FROM t").await;
    assert_eq!(names, ["key", "part", "s", "l", "m"]);
    // The past has its own names.
    assert_eq!(
        rows(&session, "SELECT id, p, s.y FROM t VERSION AS OF 1").await,
        ["1|a|ten"]
    );
}

#[tokio::test]
async fn a_table_is_upgraded_to_names_without_a_change_of_its_files() {
    let (directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id INT, s STRUCT<x: INT>)",
            "INSERT INTO t SELECT 1, named_struct('x', 10)",
        ],
    )
    .await;
    let refusal = set_property(&engine, &directory, "delta.columnMapping.mode", "id")
        .await
        .expect_err("refused");
    assert_eq!(
        refusal.condition(),
        Some("DELTA_UNSUPPORTED_COLUMN_MAPPING_MODE_CHANGE")
    );
    set_property(&engine, &directory, "delta.columnMapping.mode", "name")
        .await
        .expect("upgraded");
    renamed(&engine, &directory, &["id"], "key").await;
    run(&session, &["INSERT INTO t SELECT 2, named_struct('x', 20)"]).await;
    assert_eq!(
        rows(&session, "SELECT key, s.x FROM t ORDER BY key").await,
        ["1|10", "2|20"]
    );
    assert_eq!(rows(&session, "SELECT key FROM t WHERE key < 2").await, ["1"]);
    let other = support::engine(directory.path()).await;
    let other = support::session(&other);
    assert_eq!(
        rows(&other, "SELECT key, s.x FROM t ORDER BY key").await,
        ["1|10", "2|20"]
    );
}

#[tokio::test]
async fn special_characters_are_for_mapped_tables() {
    let (_directory, _, session) = open().await;
    let refused = refused(&session, "CREATE TABLE u (`a b` INT)").await;
    assert_eq!(refused, "DELTA_INVALID_CHARACTERS_IN_COLUMN_NAMES");
    run(
        &session,
        &[
            "CREATE TABLE t (`a b,;{}()=` INT, `ü.x` STRING) TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
            "INSERT INTO t VALUES (1, 'x')",
            "CREATE OR REPLACE TABLE t TBLPROPERTIES ('delta.columnMapping.mode' = 'name') AS SELECT 2 AS `a b,;{}()=`, 'y' AS `ü.x`",
        ],
    )
    .await;
    assert_eq!(rows(&session, "SELECT `a b,;{}()=`, `ü.x` FROM t").await, ["2|y"]);
}

#[tokio::test]
async fn files_and_pages_are_skipped_by_physical_statistics() {
    let (directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id INT, v STRING) TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
            "INSERT INTO t VALUES (1, 'a')",
            "INSERT INTO t VALUES (100, 'b')",
        ],
    )
    .await;
    renamed(&engine, &directory, &["id"], "key").await;
    let plan = rows(&session, "EXPLAIN SELECT v FROM t WHERE key > 50")
        .await
        .join("\n");
    assert!(plan.contains("files=1, files_pruned=1"), "{plan}");
    let metrics = rows(
        &session,
        "EXPLAIN ANALYZE SELECT v FROM t WHERE key > 50 AND key <> 60",
    )
    .await
    .join("\n");
    assert!(metrics.contains("output_rows=1"), "{metrics}");
    assert_eq!(
        rows(&session, "SELECT min(key), max(key), count(*) FROM t").await,
        ["1|100|2"]
    );
}

#[tokio::test]
async fn what_depends_on_a_column_keeps_its_name() {
    let (directory, engine, _) = nested("name").await;
    let drop = async |columns: &[&str], clustering: &[&[&str]]| {
        let columns = [path(columns)];
        let clustering: Vec<Vec<String>> = clustering.iter().map(|column| path(column)).collect();
        let outcome = alter(&engine, &directory, |metadata| {
            column_mapping::dropped_columns(metadata, &columns, &clustering)
        });
        outcome
            .await
            .expect_err("refused")
            .condition()
            .expect("a condition")
            .to_owned()
    };
    assert_eq!(drop(&["p"], &[]).await, "DELTA_UNSUPPORTED_DROP_PARTITION_COLUMN");
    assert_eq!(
        drop(&["s"], &[&["s", "x"]]).await,
        "DELTA_UNSUPPORTED_DROP_CLUSTERING_COLUMN"
    );
    assert_eq!(drop(&["nowhere"], &[]).await, "DELTA_COLUMN_NOT_FOUND_IN_SCHEMA");
    assert_eq!(
        drop(&["l", "element", "v"], &[]).await,
        "DELTA_DROP_COLUMN_ON_SINGLE_FIELD_SCHEMA"
    );
    let taken = alter(&engine, &directory, |metadata| {
        column_mapping::renamed_column(metadata, &path(&["id"]), "P")
    });
    assert_eq!(
        taken.await.expect_err("refused").condition(),
        Some("DELTA_DUPLICATE_COLUMNS_FOUND")
    );
}

/// What changes rows knows partitions, statistics and files by physical names, and rows by logical ones.
#[test_case("name")]
#[test_case("id")]
#[tokio::test]
async fn every_change_of_rows_runs_on_renamed_columns(mode: &str) {
    let (directory, engine, session) = open().await;
    let create = format!(
        "CREATE TABLE t (id INT, p STRING, v INT) PARTITIONED BY (p) TBLPROPERTIES \
         ('delta.columnMapping.mode' = '{mode}', 'delta.enableChangeDataFeed' = 'true')"
    );
    run(
        &session,
        &[
            &create,
            "INSERT INTO t VALUES (1, 'a', 10), (2, 'a', 20), (3, 'b', 30), (4, 'c', 40)",
        ],
    )
    .await;
    renamed(&engine, &directory, &["id"], "key").await;
    renamed(&engine, &directory, &["p"], "part").await;
    run(
        &session,
        &[
            "UPDATE t SET v = v + 1 WHERE key = 1",
            "DELETE FROM t WHERE part = 'a' AND v = 20",
            "SET spark.sql.sources.partitionOverwriteMode = dynamic",
            "INSERT OVERWRITE t VALUES (5, 'b', 50)",
            "INSERT INTO t REPLACE WHERE part = 'c' SELECT 6, 'c', 60",
            "OPTIMIZE t",
        ],
    )
    .await;
    let query = "SELECT key, part, v FROM t ORDER BY key";
    let expected = ["1|a|11", "5|b|50", "6|c|60"];
    assert_eq!(rows(&session, query).await, expected);
    let other = support::engine(directory.path()).await;
    assert_eq!(rows(&support::session(&other), query).await, expected);
    let changes = "SELECT _change_type, key, part, v FROM table_changes('t', 4, 5) ORDER BY key, v";
    assert_eq!(
        rows(&session, changes).await,
        [
            "update_preimage|1|a|10",
            "update_postimage|1|a|11",
            "delete|2|a|20"
        ]
    );
}
