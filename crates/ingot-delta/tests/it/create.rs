//! Making a table, with and without the rows it begins with.

use std::sync::Arc;

use ingot_common::{Classify, Kind};
use ingot_delta::{
    Author, CreateTable, DeltaTables, Error, FileWriter, Operation, WriteTarget, WriterOptions,
};
use object_store::ObjectStoreExt;

use crate::support::{Folder, append, ids, rows, schema, tables};

fn by_query() -> CreateTable {
    CreateTable {
        partition_columns: vec!["p".to_owned()],
        author: Author::named("ada"),
        ..CreateTable::new(schema(), Operation::new("CREATE TABLE AS SELECT"))
    }
}

/// Writes two rows for a table that does not exist yet.
async fn prepare(tables: &DeltaTables, folder: &Folder, table: &mut CreateTable) -> WriteTarget {
    let target = tables.write_target(&folder.location(), table).await;
    let target = target.expect("the place is free");
    let mut writer = FileWriter::for_target(target.clone(), WriterOptions::default()).expect("writer");
    writer
        .write(&rows(&[(1, Some("a")), (2, Some("b"))]))
        .await
        .expect("rows are written");
    table.files = writer.close().await.expect("files are complete");
    table.metrics.increase("numOutputRows", 2);
    target
}

#[tokio::test]
async fn a_table_and_its_rows_become_visible_in_one_commit() {
    let folder = Folder::new();
    let tables = tables();
    let mut table = by_query();
    prepare(&tables, &folder, &mut table).await;
    let missing = tables.open(&folder.location()).await.expect_err("not made yet");
    assert_eq!(missing.kind(), Kind::NotFound);

    let table = tables.create(&folder.location(), table).await.expect("created");
    let snapshot = table.snapshot().await.expect("snapshot");
    assert_eq!(snapshot.version(), 0);
    assert_eq!(snapshot.partition_columns(), ["p"]);
    assert_eq!(ids(&table, &snapshot).await, [1, 2]);
    let history = table.history(None).await.expect("history");
    let info = &history[0].info;
    assert_eq!(info.operation.as_deref(), Some("CREATE TABLE AS SELECT"));
    assert_eq!(info.user_name.as_deref(), Some("ada"));
    let metrics = info.operation_metrics.as_ref().expect("metrics");
    assert_eq!(metrics.get("numOutputRows"), Some(&"2".into()));
    assert_eq!(append(&table, &[3]).await, 1);
}

#[tokio::test]
async fn files_written_before_and_after_creation_have_one_schema() {
    let folder = Folder::new();
    let tables = tables();
    let mut table = by_query();
    let target = prepare(&tables, &folder, &mut table).await;
    let table = tables.create(&folder.location(), table).await.expect("created");
    let snapshot = table.snapshot().await.expect("snapshot");
    assert_eq!(target.schema(), snapshot.schema());
    assert_eq!(target.location(), table.location());
}

#[tokio::test]
async fn rows_of_a_creation_that_lost_to_another_can_be_discarded() {
    let folder = Folder::new();
    let tables = tables();
    let mut table = by_query();
    let target = prepare(&tables, &folder, &mut table).await;
    let files = table.files.clone();
    let other = crate::support::create(&folder, &[]).await;

    let error = tables
        .create(&folder.location(), table)
        .await
        .expect_err("the other was first");
    assert!(matches!(error, Error::TableExists { .. }), "{error}");
    target.discard(&files).await;
    let (store, _) = other.store();
    for file in &files {
        let path = other.file_path(&file.path).expect("path");
        assert!(store.head(&path).await.is_err(), "{path} stayed");
    }
    let kept = other.snapshot().await.expect("snapshot");
    assert!(ids(&other, &kept).await.is_empty());

    let again = tables.write_target(&folder.location(), &by_query()).await;
    assert!(matches!(again, Err(Error::TableExists { .. })), "{again:?}");
}

#[tokio::test]
async fn handles_from_before_a_table_was_made_anew_see_its_first_rows() {
    let folder = Folder::new();
    let tables = tables();
    let old = crate::support::create(&folder, &[]).await;
    append(&old, &[9]).await;
    tables.delete(&folder.location()).await.expect("deleted");
    let mut table = by_query();
    prepare(&tables, &folder, &mut table).await;
    let anew = tables.create(&folder.location(), table).await.expect("created");
    let seen = old.snapshot().await.expect("snapshot");
    assert_eq!(ids(&old, &seen).await, [1, 2]);
    assert!(!Arc::ptr_eq(&old, &anew));
}
