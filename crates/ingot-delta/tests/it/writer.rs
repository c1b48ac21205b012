//! Files and their actions.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray,
    Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, ListArray, RecordBatch,
    StringArray, StringViewArray, StructArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields, Int32Type, Schema};
use ingot_delta::{CompressionCodec, Error, FileWriter, Operation, WriterOptions};
use object_store::ObjectStoreExt;
use parquet::arrow::ARROW_SCHEMA_META_KEY;
use parquet::basic::{Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::{Value, json};
use test_case::test_case;

use crate::support::{Folder, append, create, file_ids, file_rows, ids, rows, spec, tables, write};

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

#[test_case(None, None, Compression::ZSTD(ZstdLevel::default()), ".zstd.parquet"; "by default")]
#[test_case(Some("SNAPPY"), None, Compression::SNAPPY, ".snappy.parquet"; "as the table says")]
#[test_case(Some("gzip"), None, Compression::GZIP(GzipLevel::default()), ".gz.parquet")]
#[test_case(Some("lz4"), None, Compression::LZ4_RAW, ".lz4raw.parquet")]
#[test_case(Some("none"), None, Compression::UNCOMPRESSED, "c000.parquet")]
#[test_case(Some("gzip"), Some(CompressionCodec::Snappy), Compression::SNAPPY, ".snappy.parquet"; "as the writer says")]
#[tokio::test]
async fn files_are_compressed(
    property: Option<&str>,
    option: Option<CompressionCodec>,
    expected: Compression,
    ending: &str,
) {
    let folder = Folder::new();
    let mut spec = spec(crate::support::schema(), &[]);
    let key = "delta.parquet.compression.codec".to_owned();
    spec.properties
        .extend(property.map(|codec| (key, codec.to_owned())));
    let table = tables().create(&folder.location(), spec).await.expect("table");
    let snapshot = table.snapshot().await.expect("snapshot");
    let options = WriterOptions {
        compression: option,
        ..WriterOptions::default()
    };
    let mut writer = FileWriter::new(Arc::clone(&table), &snapshot, options).expect("writer");
    writer.write(&rows(&[(1, Some("x"))])).await.expect("rows");
    let files = writer.close().await.expect("files");
    assert!(files[0].path.ends_with(ending), "{}", files[0].path);
    assert_eq!(file_ids(&table, &files[0]).await, [1]);
    let path = table.file_path(&files[0].path).expect("path");
    let (store, _) = table.store();
    let bytes = store.get(&path).await.expect("file").bytes().await;
    let reader = SerializedFileReader::new(bytes.expect("bytes")).expect("parquet");
    let column = reader.metadata().row_group(0).column(0);
    let name = |codec: &Compression| codec.to_string().split('(').next().map(str::to_owned);
    assert_eq!(name(&column.compression()), name(&expected));
}

#[tokio::test]
async fn files_end_at_their_target_size() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let options = WriterOptions {
        file_bytes_target: Some(20_000),
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

#[tokio::test]
async fn no_rows_make_no_file() {
    let folder = Folder::new();
    let table = create(&folder, &["p"]).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    assert_eq!(write(&table, &snapshot, &rows(&[])).await, []);
}

#[tokio::test]
async fn empty_string_in_a_not_null_partition_column_is_refused() {
    let folder = Folder::new();
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("p", DataType::Utf8, false),
    ]));
    let spec = spec(schema, &["p"]);
    let created = tables().create(&folder.location(), spec).await;
    let table = created.expect("table is created");
    let snapshot = table.snapshot().await.expect("snapshot");
    let mut writer =
        FileWriter::new(Arc::clone(&table), &snapshot, WriterOptions::default()).expect("writer");
    // A reader would take it for null: the protocol has no empty partition value.
    let error = writer.write(&rows(&[(1, Some(""))])).await.expect_err("null");
    assert!(
        matches!(&error, Error::NullInNotNull { column } if column == "p"),
        "{error}"
    );
}

#[tokio::test]
async fn more_partitions_than_open_files_keep_all_rows() {
    const PARTITIONS: i64 = 300;
    let folder = Folder::new();
    let table = create(&folder, &["p"]).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let mut writer =
        FileWriter::new(Arc::clone(&table), &snapshot, WriterOptions::default()).expect("writer");
    let names: Vec<String> = (0..PARTITIONS).map(|partition| format!("p{partition}")).collect();
    for round in 0..2 {
        let batch: Vec<_> = (0..PARTITIONS)
            .map(|row| (round * PARTITIONS + row, Some(names[row as usize].as_str())))
            .collect();
        writer.write(&rows(&batch)).await.expect("rows are written");
    }
    let files = writer.close().await.expect("files are complete");
    let mut found = Vec::new();
    for file in &files {
        let partition = file.partition_values["p"].clone().expect("no null");
        for id in file_ids(&table, file).await {
            assert_eq!(partition, format!("p{}", id % PARTITIONS));
            found.push(id);
        }
    }
    found.sort_unstable();
    assert_eq!(found, (0..2 * PARTITIONS).collect::<Vec<_>>());
}

/// One array for each type that can partition, two values and a null each.
fn partition_arrays() -> Vec<ArrayRef> {
    let decimals = Decimal128Array::from(vec![Some(-12_345), None, Some(0)]);
    let instants = TimestampMicrosecondArray::from(vec![Some(-1), None, Some(1_709_210_096_789_012)]);
    vec![
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        Arc::new(Int8Array::from(vec![Some(i8::MIN), None, Some(7)])),
        Arc::new(Int16Array::from(vec![Some(i16::MIN), None, Some(7)])),
        Arc::new(Int32Array::from(vec![Some(i32::MIN), None, Some(7)])),
        Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)])),
        Arc::new(Float32Array::from(vec![Some(-0.1), None, Some(f32::MAX)])),
        Arc::new(Float64Array::from(vec![
            Some(f64::NEG_INFINITY),
            None,
            Some(1e-300),
        ])),
        Arc::new(Date32Array::from(vec![Some(-719_162), None, Some(19_782)])),
        Arc::new(decimals.with_precision_and_scale(10, 3).expect("decimal")),
        Arc::new(instants.clone()),
        Arc::new(instants.with_timezone("UTC")),
        Arc::new(StringArray::from(vec![Some("null"), None, Some("ä")])),
    ]
}

#[tokio::test]
async fn partition_values_of_every_type_come_back_as_they_went_in() {
    for values in partition_arrays() {
        let folder = Folder::new();
        let schema = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("p", values.data_type().clone(), true),
        ]));
        let created = tables()
            .create(&folder.location(), spec(schema.clone(), &["p"]))
            .await;
        let table = created.expect("table is created");
        let snapshot = table.snapshot().await.expect("snapshot");
        let id: ArrayRef = Arc::new(Int64Array::from(vec![0, 1, 2]));
        let batch = RecordBatch::try_new(schema, vec![id, values.clone()]).expect("batch");
        let files = write(&table, &snapshot, &batch).await;
        let mut transaction = table.transaction(snapshot, Operation::new("WRITE"));
        transaction.add_files(files);
        transaction.commit().await.expect("commit");
        let snapshot = table.snapshot().await.expect("snapshot");
        let index = snapshot.files().await.expect("files");
        assert_eq!(index.len(), 3, "{}", values.data_type());
        let found = index.partition_values("p").expect("p partitions");
        for file in 0..3 {
            let row = file_ids(&table, &index.add(file)).await[0] as usize;
            assert_eq!(
                found.slice(file, 1).as_ref(),
                values.slice(row, 1).as_ref(),
                "{}",
                values.data_type()
            );
        }
    }
}

#[tokio::test]
async fn statistics_hold_for_nested_columns_and_leave_out_what_has_no_order() {
    let folder = Folder::new();
    let point = Fields::from(vec![
        Field::new("x", DataType::Int32, true),
        Field::new("label", DataType::Utf8, true),
    ]);
    let item = Arc::new(Field::new("element", DataType::Int32, true));
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("point", DataType::Struct(point.clone()), true),
        Field::new("tags", DataType::List(item), true),
        Field::new("raw", DataType::Binary, true),
        Field::new("ok", DataType::Boolean, true),
    ]));
    let created = tables()
        .create(&folder.location(), spec(schema.clone(), &[]))
        .await;
    let table = created.expect("table is created");
    let snapshot = table.snapshot().await.expect("snapshot");
    let children: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![3, -9, 5])),
        Arc::new(StringArray::from(vec![Some("b"), Some("a"), None])),
    ];
    let points = StructArray::new(point, children, Some(NullBuffer::from(vec![true, false, true])));
    let tags = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1)]), None, Some(vec![])]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3]))),
        ("point", Arc::new(points)),
        ("tags", Arc::new(tags)),
        (
            "raw",
            Arc::new(BinaryArray::from(vec![Some(b"a".as_slice()), None, None])),
        ),
        ("ok", Arc::new(BooleanArray::from(vec![true, false, true]))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    );
    let files = write(&table, &snapshot, &batch.expect("batch")).await;
    let stats: Value = serde_json::from_str(files[0].stats.as_deref().expect("stats")).expect("json");
    assert_eq!(
        stats,
        json!({
            "numRecords": 3,
            "minValues": {"id": 1, "point": {"x": 3, "label": "b"}},
            "maxValues": {"id": 3, "point": {"x": 5, "label": "b"}},
            "nullCount": {"id": 0, "point": {"x": 1, "label": 2}, "tags": 1, "raw": 2, "ok": 0},
            "tightBounds": true,
        })
    );
}

#[tokio::test]
async fn huge_strings_are_stored_whole_and_bounded_short() {
    let folder = Folder::new();
    let table = create(&folder, &[]).await;
    let snapshot = table.snapshot().await.expect("snapshot");
    let huge = "x".repeat(12 << 20);
    let files = write(&table, &snapshot, &rows(&[(1, Some(huge.as_str()))])).await;
    assert!(files[0].stats.as_ref().is_some_and(|stats| stats.len() < 300));
    let batches = file_rows(&table, &files[0]).await;
    let column = batches[0].column(1).as_any().downcast_ref::<StringArray>();
    assert_eq!(column.expect("strings").value(0), huge);
}

#[tokio::test]
async fn lists_are_taken_whatever_their_items_are_called() {
    let folder = Folder::new();
    let item = Arc::new(Field::new("element", DataType::Int32, true));
    let schema = Arc::new(Schema::new(vec![Field::new("tags", DataType::List(item), true)]));
    let created = tables().create(&folder.location(), spec(schema, &[])).await;
    let table = created.expect("table is created");
    let snapshot = table.snapshot().await.expect("snapshot");
    // Items that are never null fit where they may be.
    let item = Arc::new(Field::new("item", DataType::Int32, false));
    let offsets = OffsetBuffer::new(vec![0, 2].into());
    let values: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
    let tags: ArrayRef = Arc::new(ListArray::new(item, offsets, values, None));
    let batch = RecordBatch::try_from_iter([("tags", tags)]).expect("batch");
    let files = write(&table, &snapshot, &batch).await;
    assert_eq!(file_rows(&table, &files[0]).await[0].num_rows(), 1);
}

/// Few different values are a dictionary's, many are packed; text stays the views it came as.
#[tokio::test]
async fn what_no_dictionary_holds_is_packed() {
    const ROWS: i64 = 50_000;
    let folder = Folder::new();
    let columns = Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("few", DataType::Int32, true),
        Field::new("text", DataType::Utf8, true),
        Field::new("word", DataType::Utf8, true),
    ]);
    let created = tables()
        .create(&folder.location(), spec(Arc::new(columns), &[]))
        .await;
    let table = created.expect("table is created");
    let text = |row: i64| format!("{row:08} is written in so many words");
    let batch = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from_iter_values(0..ROWS)) as ArrayRef),
        (
            "few",
            Arc::new(Int32Array::from_iter_values((0..ROWS as i32).map(|row| row % 7))),
        ),
        (
            "text",
            Arc::new(StringViewArray::from_iter_values((0..ROWS).map(text))),
        ),
        (
            "word",
            Arc::new(StringViewArray::from_iter_values(
                (0..ROWS).map(|row| ["a", "b"][row as usize % 2]),
            )),
        ),
    ]);
    let snapshot = table.snapshot().await.expect("snapshot");
    let files = write(&table, &snapshot, &batch.expect("batch")).await;

    let path = table.file_path(&files[0].path).expect("path");
    let (store, _) = table.store();
    let bytes = store
        .get(&path)
        .await
        .expect("file")
        .bytes()
        .await
        .expect("bytes");
    let reader = SerializedFileReader::new(bytes).expect("parquet");
    let row_group = reader.metadata().row_group(0);
    let encodings: Vec<Vec<Encoding>> = row_group
        .columns()
        .iter()
        .map(|column| column.encodings().collect())
        .collect();
    assert!(
        encodings[0].contains(&Encoding::DELTA_BINARY_PACKED),
        "{encodings:?}"
    );
    assert!(
        encodings[2].contains(&Encoding::DELTA_LENGTH_BYTE_ARRAY),
        "{encodings:?}"
    );
    for few in [&encodings[1], &encodings[3]] {
        assert!(
            !few.iter()
                .any(|encoding| encoding.to_string().starts_with("DELTA")),
            "{encodings:?}"
        );
    }
    let rows = file_rows(&table, &files[0]).await;
    let texts = rows
        .iter()
        .flat_map(|batch| batch.column(2).as_string::<i32>().iter().flatten());
    assert!(texts.eq((0..ROWS).map(text)));
    let stats: Value = serde_json::from_str(files[0].stats.as_deref().expect("statistics")).expect("json");
    let last = text(ROWS - 1);
    assert_eq!(
        stats["minValues"],
        json!({"id": 0, "few": 0, "text": text(0)[..32], "word": "a"})
    );
    assert_eq!(
        stats["maxValues"],
        json!({"id": ROWS - 1, "few": 6, "text": format!("{}\u{7f}", &last[..32]), "word": "b"})
    );
}

/// Parquet's bounds leave NaN out, which is greater than every number in SQL.
#[tokio::test]
async fn float_columns_have_no_row_group_statistics() {
    let folder = Folder::new();
    let nested = Fields::from(vec![Field::new("f", DataType::Float32, true)]);
    let columns = Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("d", DataType::Float64, true),
        Field::new("s", DataType::Struct(nested.clone()), true),
    ]);
    let created = tables()
        .create(&folder.location(), spec(Arc::new(columns.clone()), &[]))
        .await;
    let table = created.expect("table is created");
    let f: ArrayRef = Arc::new(Float32Array::from(vec![1.0, f32::NAN]));
    let batch = RecordBatch::try_new(
        Arc::new(columns),
        vec![
            Arc::new(Int64Array::from(vec![1, 2])),
            Arc::new(Float64Array::from(vec![1.0, f64::NAN])),
            Arc::new(StructArray::new(nested, vec![f], None)),
        ],
    );
    let snapshot = table.snapshot().await.expect("snapshot");
    let files = write(&table, &snapshot, &batch.expect("batch")).await;
    let path = table.file_path(&files[0].path).expect("path");
    let (store, _) = table.store();
    let bytes = store
        .get(&path)
        .await
        .expect("file")
        .bytes()
        .await
        .expect("bytes");
    let reader = SerializedFileReader::new(bytes).expect("parquet");
    let row_group = reader.metadata().row_group(0);
    for column in row_group.columns() {
        let name = column.column_path().string();
        assert_eq!(column.statistics().is_some(), name == "id", "{name}");
        assert_eq!(column.column_index_offset().is_some(), name == "id", "{name}");
    }
}
