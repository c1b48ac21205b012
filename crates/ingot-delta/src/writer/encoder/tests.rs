//! Files are those that the library's own writer makes, as far as a reader can tell.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array, Float64Array,
    Int8Array, Int16Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StringViewArray,
    StructArray, TimestampMicrosecondArray,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{BoundaryOrder, Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use test_case::test_case;

use super::*;

fn properties(schema: &Schema) -> WriterPropertiesBuilder {
    let parquet = ArrowSchemaConverter::new().convert(schema).unwrap();
    let begun = WriterProperties::builder().set_statistics_truncate_length(Some(12));
    parquet.columns().iter().fold(begun, |properties, column| {
        let path = column.path().clone();
        match column.physical_type() {
            parquet::basic::Type::INT32 | parquet::basic::Type::INT64 => {
                properties.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED)
            }
            parquet::basic::Type::BYTE_ARRAY => {
                properties.set_column_encoding(path, Encoding::DELTA_LENGTH_BYTE_ARRAY)
            }
            _ => properties,
        }
    })
}

fn own(batches: &[RecordBatch], schema: &SchemaRef, properties: WriterProperties) -> Bytes {
    let parquet = ArrowSchemaConverter::new().convert(schema).unwrap();
    let layout = Arc::new(Layout::new(schema, &parquet, properties).unwrap());
    let mut file = Vec::new();
    let mut encoder = FileEncoder::begin(&layout, &mut file).unwrap();
    for batch in batches {
        encoder.write(batch).unwrap();
    }
    encoder.finish().unwrap();
    drop(encoder);
    file.into()
}

fn library(batches: &[RecordBatch], schema: &SchemaRef, properties: WriterProperties) -> Bytes {
    let mut file = Vec::new();
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(&mut file, Arc::clone(schema), options).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.close().unwrap();
    file.into()
}

fn builder(file: &Bytes, schema: &SchemaRef) -> ParquetRecordBatchReaderBuilder<Bytes> {
    let options = ArrowReaderOptions::new()
        .with_page_index_policy(PageIndexPolicy::Required)
        .with_schema(Arc::clone(schema));
    ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options).unwrap()
}

fn rows(file: &Bytes, schema: &SchemaRef) -> RecordBatch {
    let batches: Result<Vec<_>, _> = builder(file, schema).build().unwrap().collect();
    concat_batches(schema, &batches.unwrap()).unwrap()
}

fn footer(file: &Bytes, schema: &SchemaRef) -> Arc<ParquetMetaData> {
    Arc::clone(builder(file, schema).metadata())
}

/// Checks that both writers' files say the same of the same rows.
fn check(batches: &[RecordBatch], schema: &SchemaRef, properties: &WriterProperties) -> Bytes {
    let (ours, theirs) = (
        own(batches, schema, properties.clone()),
        library(batches, schema, properties.clone()),
    );
    let given = concat_batches(schema, batches).unwrap();
    assert_eq!(rows(&ours, schema), given);
    let (our_footer, their_footer) = (footer(&ours, schema), footer(&theirs, schema));
    assert_eq!(our_footer.num_row_groups(), their_footer.num_row_groups());
    for (a, b) in our_footer.row_groups().iter().zip(their_footer.row_groups()) {
        assert_eq!(a.num_rows(), b.num_rows());
        for (a, b) in a.columns().iter().zip(b.columns()) {
            let name = a.column_path().string();
            assert_eq!(a.statistics(), b.statistics(), "{name}");
            assert_eq!(a.num_values(), b.num_values(), "{name}");
            assert_eq!(a.compression(), b.compression(), "{name}");
            assert_eq!(
                a.definition_level_histogram(),
                b.definition_level_histogram(),
                "{name}"
            );
            assert_eq!(
                a.unencoded_byte_array_data_bytes(),
                b.unencoded_byte_array_data_bytes(),
                "{name}"
            );
            assert_eq!(
                a.dictionary_page_offset().is_some(),
                b.dictionary_page_offset().is_some(),
                "{name}"
            );
        }
    }
    // Pages stand where the index says: a few rows from the midst are found through it.
    let skipped = given.num_rows() / 3;
    let length = 7.min(given.num_rows() - skipped);
    let selected = RowSelection::from(vec![RowSelector::skip(skipped), RowSelector::select(length)]);
    let found: Result<Vec<_>, _> = builder(&ours, schema)
        .with_row_selection(selected)
        .build()
        .unwrap()
        .collect();
    assert_eq!(
        concat_batches(schema, &found.unwrap()).unwrap(),
        given.slice(skipped, length)
    );
    ours
}

/// Checks the index of each page: it is that of a file of the page's rows alone, as the library writes it.
fn check_pages(file: &Bytes, schema: &SchemaRef, properties: &WriterProperties) {
    let (given, footer) = (rows(file, schema), footer(file, schema));
    let mut group_start = 0;
    for (group, metadata) in footer.row_groups().iter().enumerate() {
        let group_rows = usize::try_from(metadata.num_rows()).unwrap();
        for leaf in 0..schema.fields().len() {
            let places = footer.offset_index().unwrap()[group][leaf].page_locations();
            let starts = places
                .iter()
                .map(|page| usize::try_from(page.first_row_index).unwrap());
            let starts: Vec<_> = starts.chain([group_rows]).collect();
            let alone = Arc::new(schema.project(&[leaf]).unwrap());
            for (page, rows) in starts.windows(2).enumerate() {
                let rows = given
                    .slice(group_start + rows[0], rows[1] - rows[0])
                    .project(&[leaf])
                    .unwrap();
                let properties = properties
                    .clone()
                    .into_builder()
                    .set_data_page_row_count_limit(usize::MAX);
                let expected = library(&[rows], &alone, properties.set_dictionary_enabled(false).build());
                let expected = builder(&expected, &alone).metadata().column_index().unwrap()[0][0].clone();
                let found = &footer.column_index().unwrap()[group][leaf];
                assert_eq!(
                    entry(found, page),
                    entry(&expected, 0),
                    "page {page} of {}",
                    schema.field(leaf).name()
                );
            }
        }
        group_start += group_rows;
    }
}

/// Returns what an index says of a page: whether it holds nulls alone, how many, and its bounds.
fn entry(index: &ColumnIndexMetaData, page: usize) -> (bool, Option<i64>, String) {
    let bounds = match index {
        ColumnIndexMetaData::INT32(index) => {
            format!("{:?} {:?}", index.min_value(page), index.max_value(page))
        }
        ColumnIndexMetaData::INT64(index) => {
            format!("{:?} {:?}", index.min_value(page), index.max_value(page))
        }
        ColumnIndexMetaData::BYTE_ARRAY(index) => {
            format!("{:?} {:?}", index.min_value(page), index.max_value(page))
        }
        _ => String::new(),
    };
    (index.is_null_page(page), index.null_count(page), bounds)
}

/// A column whose values come from few, or from many, in some order, with some nulls.
struct Shape {
    different: i64,
    ascending: bool,
    null_share: f64,
    spread: i64,
}

fn numbers(random: &mut StdRng, rows: usize, shape: &Shape) -> Vec<Option<i64>> {
    let mut values: Vec<i64> = (0..rows)
        .map(|_| random.random_range(0..shape.different))
        .collect();
    if shape.ascending {
        values.sort_unstable();
    }
    let start = random.random_range(-1000..1000);
    let value = |value: i64| start + value * shape.spread;
    values
        .into_iter()
        .map(|n| (!random.random_bool(shape.null_share)).then(|| value(n)))
        .collect()
}

fn text(number: i64) -> String {
    let long = usize::try_from(number.rem_euclid(23)).unwrap();
    format!(
        "{}{number}é{}",
        ["", "same beginning "][long % 2],
        "x".repeat(long)
    )
}

fn all_types(random: &mut StdRng, rows: usize, shape: &Shape) -> RecordBatch {
    let mut next = || numbers(random, rows, shape);
    let small = |values: Vec<Option<i64>>| values.into_iter().map(|v| v.map(|v| v.rem_euclid(100)));
    let i32s =
        |values: Vec<Option<i64>>| Int32Array::from_iter(values.into_iter().map(|v| v.map(|v| v as i32)));
    let texts = |values: Vec<Option<i64>>| values.into_iter().map(|v| v.map(text)).collect::<Vec<_>>();
    let decimals = |values: Vec<Option<i64>>| values.into_iter().map(|v| v.map(|v| i128::from(v % 99_999)));
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "tiny",
            Arc::new(Int8Array::from_iter(small(next()).map(|v| v.map(|v| v as i8)))),
        ),
        (
            "small",
            Arc::new(Int16Array::from_iter(
                small(next()).map(|v| v.map(|v| v as i16 - 50)),
            )),
        ),
        ("int", Arc::new(i32s(next()))),
        ("big", Arc::new(Int64Array::from(next()))),
        ("day", cast(&i32s(next()), &DataType::Date32).unwrap()),
        (
            "time",
            Arc::new(TimestampMicrosecondArray::from(next()).with_timezone("UTC")),
        ),
        (
            "money",
            Arc::new(
                Decimal128Array::from_iter(decimals(next()))
                    .with_precision_and_scale(5, 2)
                    .unwrap(),
            ),
        ),
        (
            "more",
            Arc::new(
                Decimal128Array::from_iter(decimals(next()))
                    .with_precision_and_scale(18, 2)
                    .unwrap(),
            ),
        ),
        (
            "most",
            Arc::new(
                Decimal128Array::from_iter(decimals(next()))
                    .with_precision_and_scale(38, 2)
                    .unwrap(),
            ),
        ),
        ("text", Arc::new(StringArray::from(texts(next())))),
        (
            "bytes",
            cast(&StringArray::from(texts(next())), &DataType::Binary).unwrap(),
        ),
        (
            "double",
            Arc::new(Float64Array::from_iter(
                next().into_iter().map(|v| v.map(|v| v as f64)),
            )),
        ),
        (
            "truth",
            Arc::new(BooleanArray::from_iter(
                next().into_iter().map(|v| v.map(|v| v % 2 == 0)),
            )),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .unwrap()
}

#[test_case(&Shape { different: 5, ascending: false, null_share: 0.0, spread: 1 }; "few values")]
#[test_case(&Shape { different: 5, ascending: false, null_share: 0.3, spread: 1 << 20 }; "few values far apart with nulls")]
#[test_case(&Shape { different: 3, ascending: true, null_share: 0.001, spread: 1 }; "long runs")]
#[test_case(&Shape { different: 3000, ascending: false, null_share: 0.1, spread: 7 }; "some values")]
#[test_case(&Shape { different: 1 << 20, ascending: false, null_share: 0.0, spread: 1 }; "many values")]
#[test_case(&Shape { different: 1 << 20, ascending: true, null_share: 0.5, spread: 999 }; "many values in order")]
#[test_case(&Shape { different: 9, ascending: false, null_share: 1.0, spread: 1 }; "nulls alone")]
fn files_say_what_those_of_the_library_say(shape: &Shape) {
    let mut random = StdRng::seed_from_u64(7);
    for rows in [1, 9, 1_500, 70_000] {
        // Batches that begin and end anywhere in pages, and parts of arrays that begin anywhere in bytes.
        let all = all_types(&mut random, rows, shape);
        let cuts = [0, rows / 7, rows / 7 + rows / 3, rows];
        let batches: Vec<_> = cuts
            .windows(2)
            .map(|cut| all.slice(cut[0], cut[1] - cut[0]))
            .collect();
        let schema = all.schema();
        let begun = || properties(&schema).set_max_row_group_row_count(Some(50_000));
        for dictionary_bytes_max in [64, 1 << 10, 1 << 20] {
            let properties = begun().set_dictionary_page_size_limit(dictionary_bytes_max);
            check(&batches, &schema, &properties.build());
        }
        let properties = begun().set_data_page_row_count_limit(7_000).build();
        check_pages(&check(&batches, &schema, &properties), &schema, &properties);
    }
}

#[test_case(Compression::UNCOMPRESSED)]
#[test_case(Compression::SNAPPY)]
#[test_case(Compression::ZSTD(ZstdLevel::try_new(1).unwrap()); "zstd")]
#[test_case(Compression::LZ4_RAW; "a codec of the library alone")]
fn pages_are_compressed(compression: Compression) {
    let shape = Shape {
        different: 50_000,
        ascending: false,
        null_share: 0.2,
        spread: 3,
    };
    let batch = all_types(&mut StdRng::seed_from_u64(8), 60_000, &shape);
    let properties = properties(&batch.schema()).set_compression(compression);
    check(std::slice::from_ref(&batch), &batch.schema(), &properties.build());
}

#[test_case(50, &[Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY], &[]; "as long as it is small")]
#[test_case(60_000, &[Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY], &[Encoding::DELTA_BINARY_PACKED]; "and then differences")]
fn a_dictionary_comes_first(different: i64, first: &[Encoding], then: &[Encoding]) {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(
        (0..70_000).map(|n| n * 7919 % different),
    ));
    let batch = RecordBatch::try_from_iter_with_nullable([("number", numbers, true)]).unwrap();
    let schema = batch.schema();
    let properties = properties(&schema)
        .set_dictionary_page_size_limit(100_000)
        .build();
    let footer = footer(&check(&[batch], &schema, &properties), &schema);
    let column = footer.row_group(0).column(0);
    let expected: HashSet<_> = first.iter().chain(then).copied().collect();
    assert_eq!(column.encodings().collect::<HashSet<_>>(), expected);
    assert_eq!(
        column.dictionary_page_offset(),
        Some(4),
        "right after the file's magic number"
    );
    assert!(column.data_page_offset() > 4);
}

#[test]
fn columns_that_cannot_be_null_have_no_levels() {
    let fields = [
        Field::new("id", DataType::Int64, false),
        Field::new("name", DataType::Utf8, false),
    ];
    let schema = Arc::new(Schema::new(fields.to_vec()));
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..40_000));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values((0..40_000).map(text)));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![ids, names]).unwrap();
    check(&[batch], &schema, &properties(&schema).build());
}

#[test]
fn nested_columns_stand_among_the_others() {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>((0..3_000).map(|n| match n % 3 {
        0 => None,
        _ => Some(vec![Some(n), None]),
    }));
    let inner: ArrayRef = Arc::new(Int32Array::from_iter_values(0..3_000));
    let field = Arc::new(Field::new("inner", DataType::Int32, true));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("list", Arc::new(list)),
        ("before", Arc::new(Int32Array::from_iter_values(5..3_005))),
        (
            "struct",
            Arc::new(StructArray::from(vec![
                (Arc::clone(&field), inner.clone()),
                (Arc::new(Field::new("second", DataType::Int32, true)), inner),
            ])),
        ),
        (
            "after",
            Arc::new(StringArray::from_iter_values((0..3_000).map(text))),
        ),
    ];
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    check(
        std::slice::from_ref(&batch),
        &batch.schema(),
        &properties(&batch.schema()).build(),
    );
}

#[test]
fn views_are_written_as_text() {
    let values: Vec<Option<String>> = (0..30_000).map(|n| (n % 11 != 0).then(|| text(n))).collect();
    let texts = StringArray::from(values.clone());
    let bytes = cast(&texts, &DataType::Binary).unwrap();
    let fields = [
        Field::new("text", DataType::Utf8, true),
        Field::new("bytes", DataType::Binary, true),
    ];
    let schema = Arc::new(Schema::new(fields.to_vec()));
    let plain = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(texts), bytes.clone()]).unwrap();
    let views: Vec<(&str, ArrayRef)> = vec![
        ("text", Arc::new(StringViewArray::from(values))),
        (
            "bytes",
            Arc::new(BinaryViewArray::from(
                bytes.as_any().downcast_ref::<BinaryArray>().unwrap(),
            )),
        ),
    ];
    let views =
        RecordBatch::try_from_iter_with_nullable(views.into_iter().map(|(name, array)| (name, array, true)));
    let file = own(&[views.unwrap()], &schema, properties(&schema).build());
    assert_eq!(rows(&file, &schema), plain);
}

#[test]
fn extremes_wrap_around() {
    let big = [i64::MIN, i64::MAX, 0, -1, i64::MAX, i64::MIN, 1, i64::MIN + 1].repeat(300);
    let int = [i32::MIN, i32::MAX, 0, -1, i32::MAX, i32::MIN, 1, i32::MAX - 1].repeat(300);
    let days = Date32Array::from(int.clone());
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("big", Arc::new(Int64Array::from(big))),
        ("int", Arc::new(Int32Array::from(int))),
        ("day", Arc::new(days)),
    ];
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    for dictionary_bytes_max in [1, 1 << 20] {
        let properties = properties(&batch.schema()).set_dictionary_page_size_limit(dictionary_bytes_max);
        check(
            &[batch.clone(), batch.clone()],
            &batch.schema(),
            &properties.build(),
        );
    }
}

#[test_case(&[1, 1, 2, 3], BoundaryOrder::ASCENDING)]
#[test_case(&[7, 7, 7], BoundaryOrder::ASCENDING; "the same on each page")]
#[test_case(&[3, 3, 1], BoundaryOrder::DESCENDING)]
#[test_case(&[1, 3, 2], BoundaryOrder::UNORDERED)]
fn pages_tell_their_order(pages: &[i64], order: BoundaryOrder) {
    let values = pages.iter().flat_map(|page| [*page; 10]);
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(values.clone()));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(
        values.map(|value| value.to_string()),
    ));
    let batch = RecordBatch::try_from_iter([("number", numbers), ("text", texts)]).unwrap();
    let schema = batch.schema();
    let properties = properties(&schema).set_data_page_row_count_limit(10).build();
    let footer = footer(&own(&[batch], &schema, properties), &schema);
    for index in &footer.column_index().unwrap()[0] {
        assert_eq!(index.get_boundary_order(), Some(order));
        assert_eq!(index.num_pages(), pages.len() as u64);
    }
}

#[test]
fn large_texts_make_pages_of_their_own() {
    let long = |n: usize| "y".repeat(200_000 + n);
    let texts = StringArray::from_iter_values((0..40).map(long));
    let batch = RecordBatch::try_from_iter([("text", Arc::new(texts) as ArrayRef)]).unwrap();
    let schema = batch.schema();
    let file = own(std::slice::from_ref(&batch), &schema, properties(&schema).build());
    assert_eq!(rows(&file, &schema), batch);
    let footer = footer(&file, &schema);
    let pages = footer.offset_index().unwrap()[0][0].page_locations();
    assert!(pages.len() >= 6, "{} pages for 8 MB", pages.len());
}

#[test]
fn row_groups_end_at_their_bytes() {
    let shape = Shape {
        different: 1 << 20,
        ascending: false,
        null_share: 0.0,
        spread: 1 << 30,
    };
    let batch = all_types(&mut StdRng::seed_from_u64(9), 100_000, &shape);
    let schema = batch.schema();
    let properties = properties(&schema).set_max_row_group_bytes(Some(1 << 20)).build();
    let batches: Vec<_> = (0..100).map(|n| batch.slice(n * 1000, 1000)).collect();
    let file = own(&batches, &schema, properties);
    assert_eq!(rows(&file, &schema), batch);
    for group in footer(&file, &schema).row_groups() {
        assert!(
            group.compressed_size() < 2 << 20,
            "{} bytes",
            group.compressed_size()
        );
    }
}
