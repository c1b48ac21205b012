//! The Delta source against tables that change.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use ingot_common::{Classify, Kind, clock};
use ingot_delta::{
    CommitOutcome, CreateTable, DeltaTable, DeltaTables, FileWriter, Operation, TablesOptions, WriterOptions,
};
use ingot_streaming::{DeltaSource, Offset, ReadLimit, Source};
use test_case::test_case;
use url::Url;

use crate::support::{options, rows};

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]))
}

async fn create(folder: &tempfile::TempDir) -> Arc<DeltaTable> {
    let location = Url::from_directory_path(folder.path().join("t")).expect("absolute path");
    let table = CreateTable::new(schema(), Operation::new("CREATE TABLE"));
    DeltaTables::new(TablesOptions::default())
        .create(&location, table)
        .await
        .expect("table is created")
}

/// Commits a file for each of `files`, and removes the table's first file when `remove`.
async fn commit(table: &Arc<DeltaTable>, files: &[&[i64]], remove: bool, data_change: bool) -> i64 {
    let snapshot = table.snapshot().await.expect("snapshot");
    let mut transaction = table.transaction(Arc::clone(&snapshot), Operation::new("WRITE"));
    for ids in files {
        let options = WriterOptions {
            data_change,
            ..WriterOptions::default()
        };
        let mut writer = FileWriter::new(Arc::clone(table), &snapshot, options).expect("writable");
        let column = Arc::new(Int64Array::from(ids.to_vec()));
        let batch = RecordBatch::try_new(schema(), vec![column]).expect("batch");
        writer.write(&batch).await.expect("rows are written");
        transaction.add_files(writer.close().await.expect("file"));
    }
    if remove {
        let first = snapshot.files().await.expect("files").add(0);
        transaction.remove_files([first.to_remove(clock::now_ms(), data_change)]);
    }
    match transaction.commit().await.expect("commit") {
        CommitOutcome::Committed { version, .. } => version,
        other => panic!("did not commit: {other:?}"),
    }
}

async fn source(table: &Arc<DeltaTable>, given: &[(&str, &str)]) -> DeltaSource {
    DeltaSource::new(Arc::clone(table), &options(given))
        .await
        .expect("source")
}

async fn next(source: &DeltaSource, start: &Offset) -> Offset {
    source
        .next_offset(start, ReadLimit::Options, None)
        .await
        .expect("offset")
}

async fn ids(source: &DeltaSource, start: &Offset, end: &Offset) -> Vec<i64> {
    let batches = rows(source, start, end).await.expect("rows");
    let mut ids: Vec<i64> = batches
        .iter()
        .flat_map(|batch| batch["id"].as_primitive::<Int64Type>().values().to_vec())
        .collect();
    ids.sort_unstable();
    ids
}

/// Reads to the end in batches.
async fn drain(source: &DeltaSource, start: &mut Offset) -> Vec<Vec<i64>> {
    let mut batches = Vec::new();
    loop {
        let end = next(source, start).await;
        if end == *start {
            return batches;
        }
        batches.push(ids(source, start, &end).await);
        *start = end;
    }
}

#[tokio::test]
async fn a_stream_begins_with_the_rows_there_are_and_goes_on_with_commits() {
    let folder = tempfile::tempdir().expect("folder");
    let table = create(&folder).await;
    commit(&table, &[&[1, 2]], false, true).await;
    let source = source(&table, &[]).await;
    let mut start = source.initial_offset().await.expect("initial");
    commit(&table, &[&[3]], false, true).await;
    assert_eq!(drain(&source, &mut start).await, [[1, 2, 3]]);
    commit(&table, &[&[4], &[5]], false, true).await;
    assert_eq!(drain(&source, &mut start).await, [[4, 5]]);
    assert_eq!(start.0["isStartingVersion"], false);
    assert_eq!(start.0["reservoirVersion"], 4);
}

#[tokio::test]
async fn a_batch_takes_no_more_files_than_the_limit() {
    let folder = tempfile::tempdir().expect("folder");
    let table = create(&folder).await;
    commit(&table, &[&[1], &[2], &[3]], false, true).await;
    let source = source(&table, &[("maxFilesPerTrigger", "2")]).await;
    let mut start = source.initial_offset().await.expect("initial");
    commit(&table, &[&[4], &[5], &[6]], false, true).await;
    let until = source
        .next_offset(&start, ReadLimit::All, None)
        .await
        .expect("offset");
    commit(&table, &[&[7]], false, true).await;
    let mut all = Vec::new();
    while start != until {
        let end = source
            .next_offset(&start, ReadLimit::Options, Some(&until))
            .await
            .expect("offset");
        let batch = ids(&source, &start, &end).await;
        assert!(batch.len() <= 2 && !batch.is_empty(), "{batch:?}");
        all.extend(batch);
        start = end;
    }
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4, 5, 6]);
    let bounded = source
        .next_offset(&start, ReadLimit::Options, Some(&until))
        .await
        .expect("offset");
    assert_eq!(bounded, start, "what came after the bound is left");
}

#[tokio::test]
async fn files_that_were_compacted_since_are_read_once() {
    let folder = tempfile::tempdir().expect("folder");
    let table = create(&folder).await;
    let source = source(&table, &[]).await;
    let mut start = source.initial_offset().await.expect("initial");
    commit(&table, &[&[1]], false, true).await;
    let end = next(&source, &start).await;
    commit(&table, &[&[1]], true, false).await;
    assert_eq!(
        ids(&source, &start, &end).await,
        [1],
        "the file is gone from the table, not from the stream"
    );
    start = end;
    assert_eq!(drain(&source, &mut start).await, Vec::<Vec<i64>>::new());
    commit(&table, &[&[2]], false, true).await;
    assert_eq!(drain(&source, &mut start).await, [[2]]);
}

#[test_case(&[], &[&[9]], None; "an update stops the stream")]
#[test_case(&[], &[], None; "a delete stops the stream")]
#[test_case(&[("ignoreDeletes", "true")], &[], Some(&[2]); "a delete is ignored")]
#[test_case(&[("ignoreDeletes", "true")], &[&[9]], None; "an update is no delete")]
#[test_case(&[("skipChangeCommits", "true")], &[&[9]], Some(&[2]); "an update is passed over")]
#[tokio::test]
async fn changes_of_rows(given: &[(&str, &str)], rewritten: &[&[i64]], expected: Option<&[i64]>) {
    let folder = tempfile::tempdir().expect("folder");
    let table = create(&folder).await;
    commit(&table, &[&[1]], false, true).await;
    let source = source(&table, given).await;
    let start = source.initial_offset().await.expect("initial");
    let start = next(&source, &start).await;
    commit(&table, rewritten, true, true).await;
    commit(&table, &[&[2]], false, true).await;
    match expected {
        Some(expected) => {
            let end = next(&source, &start).await;
            assert_eq!(ids(&source, &start, &end).await, expected);
        }
        None => {
            let error = source
                .next_offset(&start, ReadLimit::Options, None)
                .await
                .expect_err("changed");
            assert_eq!(error.kind(), Kind::FailedPrecondition);
            assert!(error.to_string().contains("skipChangeCommits=true"), "{error}");
        }
    }
}

#[test_case("latest", &[3]; "latest")]
#[test_case("2", &[2, 3]; "a version")]
#[tokio::test]
async fn a_stream_may_begin_later(version: &str, expected: &[i64]) {
    let folder = tempfile::tempdir().expect("folder");
    let table = create(&folder).await;
    commit(&table, &[&[1]], false, true).await;
    commit(&table, &[&[2]], false, true).await;
    let source = source(&table, &[("startingVersion", version)]).await;
    let mut start = source.initial_offset().await.expect("initial");
    commit(&table, &[&[3]], false, true).await;
    assert_eq!(drain(&source, &mut start).await, [expected]);
}

/// Deletes the files of commits 0 to `until`, as the cleanup of an old log does.
fn clean_up(folder: &tempfile::TempDir, until: i64) {
    let log = folder.path().join("t/_delta_log");
    for version in 0..=until {
        std::fs::remove_file(log.join(format!("{version:020}.json"))).expect("the commit is there");
    }
}

#[tokio::test]
async fn commits_without_rows_may_be_cleaned_up_behind_an_idle_stream() {
    let folder = tempfile::tempdir().expect("folder");
    let table = create(&folder).await;
    commit(&table, &[&[1]], false, true).await;
    let source = source(&table, &[]).await;
    let mut start = source.initial_offset().await.expect("initial");
    assert_eq!(drain(&source, &mut start).await, [[1]]);
    // Compactions: enough for a checkpoint, from which the table can be read without the commits before it.
    for _ in 0..25 {
        commit(&table, &[&[1]], true, false).await;
    }
    assert_eq!(next(&source, &start).await, start, "nothing is new");
    clean_up(&folder, 15);
    commit(&table, &[&[2]], false, true).await;
    assert_eq!(drain(&source, &mut start).await, [[2]], "nothing was lost");
}

#[tokio::test]
async fn many_commits_without_rows_are_recorded_as_passed() {
    let folder = tempfile::tempdir().expect("folder");
    let table = create(&folder).await;
    commit(&table, &[&[1]], false, true).await;
    let before = source(&table, &[]).await;
    let mut start = before.initial_offset().await.expect("initial");
    assert_eq!(drain(&before, &mut start).await, [[1]]);
    for _ in 0..100 {
        commit(&table, &[&[1]], true, false).await;
    }
    let passed = next(&before, &start).await;
    assert_ne!(passed, start);
    assert_eq!(ids(&before, &start, &passed).await, Vec::<i64>::new());
    // A source made anew knows only what was recorded.
    clean_up(&folder, 90);
    let after = source(&table, &[]).await;
    commit(&table, &[&[2]], false, true).await;
    let end = next(&after, &passed).await;
    assert_eq!(ids(&after, &passed, &end).await, [2]);
}

/// Gives the table a further column.
async fn widen(table: &Arc<DeltaTable>, column: &str) {
    let snapshot = table.snapshot().await.expect("snapshot");
    let mut metadata = snapshot.metadata().clone();
    let mut schema: serde_json::Value = serde_json::from_str(&metadata.schema_string).expect("schema");
    let field = serde_json::json!({"name": column, "type": "long", "nullable": true, "metadata": {}});
    schema["fields"].as_array_mut().expect("fields").push(field);
    metadata.schema_string = schema.to_string();
    let mut transaction = table.transaction(snapshot, Operation::new("ADD COLUMNS"));
    transaction.set_metadata(metadata);
    let outcome = transaction.commit().await.expect("commit");
    assert!(matches!(outcome, CommitOutcome::Committed { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_stream_that_is_behind_several_new_columns_goes_on_after_a_restart() {
    let folder = tempfile::tempdir().expect("folder");
    let table = create(&folder).await;
    commit(&table, &[&[1]], false, true).await;
    let before = source(&table, &[]).await;
    let mut start = before.initial_offset().await.expect("initial");
    assert_eq!(drain(&before, &mut start).await, [[1]]);
    commit(&table, &[&[2]], false, true).await;
    widen(&table, "a").await;
    widen(&table, "b").await;
    let error = before
        .next_offset(&start, ReadLimit::All, None)
        .await
        .expect_err("the schema is another");
    assert!(error.to_string().contains("start the query again"), "{error}");
    let after = source(&table, &[]).await;
    let end = next(&after, &start).await;
    let batches = rows(&after, &start, &end).await.expect("rows");
    assert_eq!(batches[0].num_columns(), 3);
    assert_eq!(batches[0]["b"].null_count(), batches[0].num_rows());
    assert_eq!(ids(&after, &start, &end).await, [2]);
}

#[tokio::test]
async fn a_table_made_anew_is_another_table() {
    let folder = tempfile::tempdir().expect("folder");
    let table = create(&folder).await;
    let start = source(&table, &[]).await.initial_offset().await.expect("initial");
    let other = tempfile::tempdir().expect("folder");
    let other = create(&other).await;
    let source = source(&other, &[]).await;
    let error = source
        .next_offset(&start, ReadLimit::Options, None)
        .await
        .expect_err("another table");
    assert_eq!(error.kind(), Kind::FailedPrecondition);
}
