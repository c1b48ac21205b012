use std::collections::BTreeMap;

use arrow::array::{Date32Array, Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::compute::kernels::cast_utils::parse_decimal;
use arrow::datatypes::{Decimal128Type, Field, Fields, Schema, TimeUnit};
use serde_json::json;
use test_case::test_case;

use super::*;
use crate::action::DeletionVectorDescriptor;

fn add(path: &str, stats: Option<serde_json::Value>) -> Add {
    Add {
        path: path.to_owned(),
        partition_values: BTreeMap::new(),
        size: 10,
        modification_time: 0,
        data_change: true,
        stats: stats.map(|stats| stats.to_string()),
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    }
}

fn with_vector(mut add: Add, cardinality: i64) -> Add {
    add.deletion_vector = Some(DeletionVectorDescriptor {
        storage_type: "u".to_owned(),
        path_or_inline_dv: "vector".to_owned(),
        offset: Some(1),
        size_in_bytes: 40,
        cardinality,
    });
    add
}

fn schema(fields: Vec<Field>) -> SchemaRef {
    Arc::new(Schema::new(fields))
}

fn index(adds: Vec<Add>, schema: &SchemaRef, partition_columns: &[&str]) -> FileIndex {
    let partition_columns: Vec<String> = partition_columns.iter().map(|name| (*name).to_owned()).collect();
    FileIndex::from_adds(
        adds.into_iter().map(Arc::new).collect(),
        schema,
        &partition_columns,
    )
}

fn id_schema() -> SchemaRef {
    schema(vec![Field::new("id", DataType::Int64, true)])
}

fn id_stats(records: i64, min: i64, max: i64) -> Option<serde_json::Value> {
    Some(json!({
        "numRecords": records,
        "minValues": {"id": min},
        "maxValues": {"id": max},
        "nullCount": {"id": 0},
    }))
}

fn ids(array: Option<ArrayRef>) -> Vec<Option<i64>> {
    let array = array.expect("bounds are known");
    array
        .as_any()
        .downcast_ref::<Int64Array>()
        .expect("bigint")
        .iter()
        .collect()
}

#[test]
fn every_type_of_bound_is_read_in_its_type() {
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let inner = Fields::from(vec![Field::new("price", DataType::Decimal128(10, 2), true)]);
    let schema = schema(vec![
        Field::new("at", timestamp, true),
        Field::new("day", DataType::Date32, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("item", DataType::Struct(inner), true),
    ]);
    let stats = json!({
        "numRecords": 3,
        "minValues": {"at": "2024-01-01T00:00:00.123Z", "day": "2024-01-01", "name": "a", "item": {"price": 1.25}},
        "maxValues": {"at": "2024-01-01T00:00:00.123Z", "day": "2024-01-03", "name": "b", "item": {"price": 99.5}},
        "nullCount": {"at": 0, "day": 1, "name": 2, "item": {"price": 3}},
    });
    let files = index(vec![add("a", Some(stats))], &schema, &[]);

    let micros = 1_704_067_200_123_000;
    let min = files.min_values("at").expect("min");
    let max = files.max_values("at").expect("max");
    assert_eq!(
        min.as_ref(),
        &TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC")
    );
    assert_eq!(
        max.as_ref(),
        &TimestampMicrosecondArray::from(vec![micros + 999]).with_timezone("UTC")
    );
    let days = files.max_values("day").expect("max");
    assert_eq!(days.as_ref(), &Date32Array::from(vec![19_725]));
    let names = files.min_values("name").expect("min");
    assert_eq!(names.as_ref(), &StringArray::from(vec!["a"]));
    let prices = files.max_values("item.price").expect("max");
    let expected = Decimal128Array::from(vec![9950])
        .with_precision_and_scale(10, 2)
        .expect("decimal");
    assert_eq!(prices.as_ref(), &expected);
    assert_eq!(files.null_counts("item.price").expect("counts").value(0), 3);
    assert_eq!(files.min_values("nowhere"), None);
}

#[test]
fn a_file_with_odd_statistics_does_not_spoil_the_others() {
    let odd = json!({"numRecords": 7, "minValues": {"id": "seven"}});
    let mut broken = add("c", None);
    broken.stats = Some("{\"numRecords\":".to_owned());
    let files = index(
        vec![
            add("a", id_stats(3, 1, 5)),
            add("b", Some(odd)),
            broken,
            add("d", None),
        ],
        &id_schema(),
        &[],
    );
    assert_eq!(ids(files.min_values("id")), [Some(1), None, None, None]);
    let records: Vec<Option<u64>> = files.num_records().iter().collect();
    assert_eq!(records, [Some(3), Some(7), None, None]);
}

#[test]
fn files_without_any_statistics_have_no_bounds() {
    let files = index(vec![add("a", None), add("b", None)], &id_schema(), &[]);
    assert_eq!(files.min_values("id"), None);
    assert_eq!(files.num_records().null_count(), 2);
}

#[test]
fn deletion_vectors_reduce_counts_and_blur_statistics() {
    let stats = |nulls: i64| {
        Some(
            json!({"numRecords": 10, "minValues": {"id": 1}, "maxValues": {"id": 9}, "nullCount": {"id": nulls}}),
        )
    };
    let files = index(
        vec![
            with_vector(add("none", stats(0)), 4),
            with_vector(add("some", stats(5)), 4),
            with_vector(add("all", stats(10)), 4),
        ],
        &id_schema(),
        &[],
    );
    let records: Vec<Option<u64>> = files.num_records().iter().collect();
    assert_eq!(records, [Some(6), Some(6), Some(6)]);
    let nulls: Vec<Option<u64>> = files.null_counts("id").expect("counts").iter().collect();
    assert_eq!(nulls, [Some(0), None, Some(6)]);
    assert_eq!(files.exact_bounds("id").expect("column").true_count(), 0);
}

#[test_case("short", true; "a short string is whole")]
#[test_case("exactly thirty-two characters ...", false; "a long one may be cut")]
#[test_case("éééééééééééééééé", false; "cut to so many bytes by writers who count them")]
#[test_case("ééééééééééééééé", true; "whole however it is counted")]
fn long_strings_are_never_exact(max: &str, exact: bool) {
    let schema = schema(vec![Field::new("name", DataType::Utf8, true)]);
    let stats = json!({"numRecords": 1, "minValues": {"name": "a"}, "maxValues": {"name": max}});
    let files = index(vec![add("a", Some(stats))], &schema, &[]);
    assert_eq!(files.exact_bounds("name").expect("column").value(0), exact);
}

/// Bounds that went through a double, as other writers' do: the true value is within what is returned.
#[test_case("9007199254740993.25", 18, 2; "between two doubles")]
#[test_case("-9007199254740993.25", 18, 2; "and below zero")]
#[test_case("12345678901234567890123456789012345678", 38, 0; "of all digits")]
#[test_case("1.500000000000000001", 38, 18; "with a fraction that a double drops")]
#[test_case("99999999999999999999999999999999999998", 38, 0; "that a double rounds past the type")]
fn bounds_of_decimals_hold_what_a_double_dropped(truth: &str, precision: u8, scale: i8) {
    let schema = schema(vec![Field::new(
        "d",
        DataType::Decimal128(precision, scale),
        true,
    )]);
    let rounded: f64 = truth.parse().expect("number");
    let stats = json!({"numRecords": 1, "minValues": {"d": rounded}, "maxValues": {"d": rounded}});
    let files = index(vec![add("a", Some(stats))], &schema, &[]);
    let truth = parse_decimal::<Decimal128Type>(truth, precision, scale).expect("decimal");
    let bound = |array: Option<ArrayRef>| array.map(|array| array.as_primitive::<Decimal128Type>().value(0));
    let (min, max) = (bound(files.min_values("d")), bound(files.max_values("d")));
    assert!(min.is_none_or(|min| min <= truth), "{min:?} > {truth}");
    assert!(max.is_none_or(|max| max >= truth), "{max:?} < {truth}");
    assert!(!files.exact_bounds("d").expect("column").value(0));
}

#[test]
fn decimals_that_a_double_holds_are_exact() {
    let schema = schema(vec![Field::new("d", DataType::Decimal128(18, 2), true)]);
    let stats =
        json!({"numRecords": 1, "minValues": {"d": -1234567890123.45}, "maxValues": {"d": 9999999999999.99}});
    let files = index(vec![add("a", Some(stats))], &schema, &[]);
    assert!(files.exact_bounds("d").expect("column").value(0));
    let max = files.max_values("d").expect("max");
    assert_eq!(max.as_primitive::<Decimal128Type>().value(0), 999_999_999_999_999);
}

#[test]
fn wide_bounds_are_not_exact() {
    let mut stats = id_stats(3, 1, 5).expect("stats");
    stats["tightBounds"] = json!(false);
    let files = index(
        vec![add("a", Some(stats)), add("b", id_stats(3, 1, 5))],
        &id_schema(),
        &[],
    );
    let exact: Vec<Option<bool>> = files.exact_bounds("id").expect("column").iter().collect();
    assert_eq!(exact, [Some(false), Some(true)]);
}

#[test]
fn column_mapping_reads_physical_names() {
    let mapped = Field::new("id", DataType::Int64, true)
        .with_metadata([("delta.columnMapping.physicalName".to_owned(), "col-1".to_owned())].into());
    let day = Field::new("day", DataType::Date32, true)
        .with_metadata([("delta.columnMapping.physicalName".to_owned(), "col-2".to_owned())].into());
    let mut file = add(
        "a",
        Some(json!({"numRecords": 1, "minValues": {"col-1": 4}, "maxValues": {"col-1": 4}})),
    );
    file.partition_values
        .insert("col-2".to_owned(), Some("2024-01-01".to_owned()));
    let files = index(vec![file], &schema(vec![mapped, day]), &["day"]);
    assert_eq!(ids(files.min_values("id")), [Some(4)]);
    let days = files.partition_values("day").expect("partition column");
    assert_eq!(days.as_ref(), &Date32Array::from(vec![19_723]));
    assert_eq!(files.partition_values("id"), None);
}

#[test]
fn empty_and_absent_partition_values_are_null() {
    let schema = schema(vec![Field::new("p", DataType::Utf8, true)]);
    let mut files = vec![add("a", None), add("b", None), add("c", None)];
    files[0]
        .partition_values
        .insert("p".to_owned(), Some(String::new()));
    files[1]
        .partition_values
        .insert("p".to_owned(), Some("x".to_owned()));
    let values = index(files, &schema, &["p"])
        .partition_values("p")
        .expect("partition column");
    assert_eq!(values.as_ref(), &StringArray::from(vec![None, Some("x"), None]));
}

#[test]
fn unreadable_partition_values_are_an_error_in_a_table_and_never_prune() {
    let mut file = add("a", None);
    file.partition_values
        .insert("id".to_owned(), Some("one".to_owned()));
    assert_eq!(
        index(vec![file.clone()], &id_schema(), &["id"]).partition_values("id"),
        None
    );
    let error = FileIndex::try_new(vec![Arc::new(file)], &id_schema(), &["id".to_owned()]);
    assert!(matches!(error, Err(Error::PartitionValue { column, .. }) if column == "id"));
}

/// Commits of many sizes, checked against a plain list after each.
#[test]
fn an_index_follows_commits_and_stays_in_few_segments() {
    let mut files = index(Vec::new(), &id_schema(), &[]);
    let mut expected: Vec<i64> = Vec::new();
    let mut next: i64 = 0;
    for commit in 0..300_usize {
        let added: Vec<i64> = (next..next + (commit % 7) as i64).collect();
        next += added.len() as i64;
        let removed: Vec<i64> = match commit % 5 {
            0 => expected.iter().copied().step_by(9).collect(),
            _ => Vec::new(),
        };
        expected.retain(|id| !removed.contains(id));
        expected.extend(&added);
        let keys: Vec<FileKey> = removed
            .iter()
            .map(|id| FileKey::new(&id.to_string(), None))
            .collect();
        let adds = added
            .iter()
            .map(|id| Arc::new(add(&id.to_string(), id_stats(1, *id, *id))))
            .collect();
        files = files.apply(&keys, adds).expect("applied");
        if commit % 3 == 0 && !expected.is_empty() {
            let expected: Vec<Option<i64>> = expected.iter().copied().map(Some).collect();
            assert_eq!(ids(files.max_values("id")), expected);
        }
        assert_eq!(files.len(), expected.len());
        assert!(files.inner.segments.len() <= 10, "{:?}", files);
    }
    let paths: Vec<String> = (0..files.len())
        .map(|file| files.add(file).path.clone())
        .collect();
    let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
    assert_eq!(paths, expected);
}

#[test]
fn a_file_added_again_takes_the_place_of_its_older_action() {
    let files = index(
        vec![add("a", id_stats(1, 1, 1)), add("b", None)],
        &id_schema(),
        &[],
    );
    let again = files
        .apply(&[], vec![Arc::new(add("a", id_stats(1, 2, 2)))])
        .expect("applied");
    assert_eq!(again.len(), 2);
    assert_eq!(ids(again.min_values("id")), [None, Some(2)]);
    assert_eq!(
        ids(files.min_values("id")),
        [Some(1), None],
        "older versions do not change"
    );
}

#[test]
fn another_deletion_vector_is_another_file() {
    let files = index(vec![add("a", None)], &id_schema(), &[]);
    let removed = [FileKey::new("a", None)];
    let next = files
        .apply(&removed, vec![Arc::new(with_vector(add("a", None), 1))])
        .expect("applied");
    assert_eq!(next.len(), 1);
    assert!(!next.contains(&FileKey::new("a", None)));
    assert!(next.contains(&FileKey::of_add(&next.add(0))));
}
