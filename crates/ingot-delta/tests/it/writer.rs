//! Files and their actions.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray, StringViewArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use ingot_delta::{Error, FileWriter, Operation, WriterOptions};
use object_store::ObjectStoreExt;
use parquet::arrow::ARROW_SCHEMA_META_KEY;
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::support::{Folder, append, create, ids, rows, spec, tables, write};

#[tokio::test]
async fn files_hold_no_trace_of_arrow_types() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let fields = vec![
        Field::new("id", DataType::Int64, false),
        Field::new("p", DataType::Utf8View, true),
    ];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![1, 2])),
        Arc::new(StringViewArray::from(vec!["a", "b"])),
    ];
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("batch");
    let files = write(&table, &snapshot, &batch).await;
    let path = table.file_path(&files[0].path).expect("path");
    let (store, _) = table.store();
    let bytes = store
        .get(&path)
        .await
        .expect("file")
        .bytes()
        .await
        .expect("bytes");
    assert_eq!(bytes.len() as i64, files[0].size);
    let reader = SerializedFileReader::new(bytes).expect("parquet");
    let metadata = reader.metadata().file_metadata();
    let keys = metadata.key_value_metadata().into_iter().flatten();
    assert!(keys.into_iter().all(|pair| pair.key != ARROW_SCHEMA_META_KEY));
}

#[tokio::test]
async fn dictionaries_are_stored_as_their_values() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let words: DictionaryArray<Int32Type> = vec!["a", "b", "a"].into_iter().collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3]))),
        ("p", Arc::new(words)),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("batch");
    let files = write(&table, &snapshot, &batch).await;
    assert!(
        files[0]
            .stats
            .as_deref()
            .is_some_and(|stats| stats.contains(r#""minValues":{"id":1,"p":"a"}"#))
    );
}

#[tokio::test]
async fn hostile_partition_values_come_back_as_they_went_in() {
    let folder = Folder::new();
    let table = create(&folder, &["p"]).await;
    let long = "long ".repeat(80);
    let values = [
        Some("plain"),
        Some("a/b"),
        Some("50%"),
        Some("k=v"),
        Some(" lead"),
        Some("ünï\nx"),
        Some(".."),
        Some("#1?"),
        Some(long.as_str()),
        Some("__HIVE_DEFAULT_PARTITION__"),
        None,
    ];
    let input: Vec<_> = (0_i64..).zip(values).collect();
    let snapshot = table.snapshot().await.expect("snapshot");
    let files = write(&table, &snapshot, &rows(&input)).await;
    assert_eq!(files.len(), values.len());
    let mut transaction = table.transaction(snapshot, Operation::new("WRITE"));
    transaction.add_files(files);
    transaction.commit().await.expect("commit");

    let reopened = tables().open(&folder.location()).await.expect("opens");
    let snapshot = reopened.snapshot().await.expect("snapshot");
    let index = snapshot.files().await.expect("files");
    let found = index.partition_values("p").expect("p partitions");
    let found = found.as_any().downcast_ref::<StringArray>().expect("strings");
    let mut found: Vec<_> = found.iter().map(|value| value.map(str::to_owned)).collect();
    let mut expected: Vec<_> = values.iter().map(|value| value.map(str::to_owned)).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(
        ids(&reopened, &snapshot).await,
        (0..values.len() as i64).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn null_in_not_null_is_refused_by_column() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let mut writer =
        FileWriter::new(Arc::clone(&table), &snapshot, WriterOptions::default()).expect("writer");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(vec![None, Some(2)]))),
        ("p", Arc::new(StringArray::from(vec!["a", "b"]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("batch");
    let error = writer.write(&batch).await.expect_err("id is NOT NULL");
    assert!(
        matches!(&error, Error::NullInNotNull { column } if column == "id"),
        "{error}"
    );
    writer.abort().await;
}

#[tokio::test]
async fn rows_of_another_shape_are_refused() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let p: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    let id: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let wrong_type: ArrayRef = Arc::new(UInt64Array::from(vec![1]));
    let cases = [
        (vec![("id", id.clone())], "rows have 1 columns"),
        (
            vec![("p", p.clone()), ("id", id)],
            "stands where the table has `id`",
        ),
        (vec![("id", wrong_type), ("p", p)], "has type UInt64"),
    ];
    for (columns, message) in cases {
        let mut writer =
            FileWriter::new(Arc::clone(&table), &snapshot, WriterOptions::default()).expect("writer");
        let batch = RecordBatch::try_from_iter(columns).expect("batch");
        let error = writer.write(&batch).await.expect_err("wrong shape");
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[tokio::test]
async fn files_end_at_their_target_size() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let options = WriterOptions {
        file_bytes_target: 20_000,
        ..WriterOptions::default()
    };
    let mut writer = FileWriter::new(Arc::clone(&table), &snapshot, options).expect("writer");
    for start in (0..50_000_i64).step_by(5_000) {
        let batch: Vec<_> = (start..start + 5_000)
            .map(|id| (id * 7_919 % 1_000_003, Some("x")))
            .collect();
        writer.write(&rows(&batch)).await.expect("rows are written");
    }
    let files = writer.close().await.expect("files are complete");
    assert!(files.len() > 1, "one file of {} bytes", files[0].size);
}

#[tokio::test]
async fn aborted_writer_leaves_no_file() {
    let folder = Folder::new();
    let table = create(&folder, &["p"]).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let mut writer =
        FileWriter::new(Arc::clone(&table), &snapshot, WriterOptions::default()).expect("writer");
    writer
        .write(&rows(&[(1, Some("a")), (2, Some("b"))]))
        .await
        .expect("rows are written");
    writer.abort().await;
    let (store, root) = table.store();
    let listed: Vec<_> = futures::TryStreamExt::try_collect(store.list(Some(&root)))
        .await
        .expect("list");
    let data = listed
        .iter()
        .filter(|file: &&object_store::ObjectMeta| file.location.as_ref().ends_with(".parquet"));
    assert_eq!(data.count(), 0);
}

#[tokio::test]
async fn wrong_table_specs_are_refused_by_name() {
    let folder = Folder::new();
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("b", DataType::Binary, true),
    ]));
    let mut unknown = spec(schema.clone(), &[]);
    unknown
        .properties
        .insert("delta.apendOnly".to_owned(), "true".to_owned());
    let cases = [
        (spec(schema.clone(), &["nope"]), "`nope` is not a column"),
        (spec(schema.clone(), &["b"]), "cannot partition a table"),
        (spec(schema.clone(), &["id", "b"]), "cannot partition"),
        (spec(schema, &["id", "id"]), "named twice"),
        (unknown, "`delta.appendOnly`"),
    ];
    for (spec, message) in cases {
        let error = tables()
            .create(&folder.location(), spec)
            .await
            .expect_err("wrong spec");
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[tokio::test]
async fn second_creator_is_told_that_the_table_exists() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    append(&table, &[1]).await;
    let again = tables()
        .create(&folder.location(), spec(crate::support::schema(), &[]))
        .await;
    assert!(matches!(again, Err(Error::TableExists { .. })));
    let snapshot = table.snapshot().await.expect("snapshot");
    assert_eq!(ids(&table, &snapshot).await, [1]);
}
