//! Statistics of one data file.
//!
//! ```text
//! batches ─► nulls, bounds of floating-point columns ─┐
//! Parquet's footer ─► bounds of all other columns ────┴─► JSON of the `add` action
//! ```
//! Parquet's writer compares every value as it encodes it; what it found is not looked for again. It passes over NaN,
//! so that bounds of floating-point columns are gathered here.
//!
//! Bounds are always true, never merely close: a string's upper bound is rounded up when it is cut, a
//! timestamp's when it has microseconds, and a column that holds NaN has none. Source: Delta protocol,
//! "Per-file Statistics"; cuts and precision as Spark's.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, make_array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Date32Type, Decimal128Type, DecimalType, Fields, Float32Type,
    Float64Type, Schema, TimeUnit, TimestampMicrosecondType,
};
use arrow::temporal_conversions::{as_date, as_datetime};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use serde_json::{Map, Number, Value};

use crate::column_mapping;

/// Longest string bound, characters. Source: Spark, `delta.stats.truncate`.
const STRING_CHARS_MAX: usize = 32;

/// Bytes of a string that Parquet's bounds must keep, so that it can be seen how Spark would cut them: one character
/// more than it keeps, at four bytes each.
pub(super) const BOUND_BYTES_MIN: usize = 4 * (STRING_CHARS_MAX + 1);

/// Which columns are counted and bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IndexedColumns {
    pub chosen: ChosenColumns,
    /// Those that the table is clustered by are covered whatever else is chosen.
    pub clustering: Vec<Vec<String>>,
}

/// The columns that properties choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ChosenColumns {
    /// The first leaves of the schema, in order.
    First(usize),
    /// Those named by `delta.dataSkippingStatsColumns`, with all below them.
    Named(Vec<Vec<String>>),
}

/// Gathers the statistics of one file.
#[derive(Debug, Clone)]
pub(super) struct FileStatistics {
    num_records: u64,
    columns: Vec<ColumnStatistics>,
}

/// The statistics of one column and, for a struct, of what is in it.
#[derive(Debug, Clone)]
struct ColumnStatistics {
    /// The column's name in files.
    name: String,
    index: usize,
    kind: ColumnKind,
}

#[derive(Debug, Clone)]
enum ColumnKind {
    Leaf(LeafStatistics),
    Struct(Vec<ColumnStatistics>),
}

#[derive(Debug, Clone)]
struct LeafStatistics {
    data_type: DataType,
    /// The number of the column in the file, counted as Parquet does; of the first one for a list or a map.
    leaf: usize,
    null_count: u64,
    /// Of a floating-point column only.
    bounds: Bounds,
}

/// The bounds of one leaf.
#[derive(Debug, Clone)]
enum Bounds {
    /// No value seen yet.
    Empty,
    Int(i64, i64),
    Float(f64, f64),
    /// Days.
    Date(i32, i32),
    /// Microseconds; with a zone or without.
    Timestamp(i64, i64, bool),
    Decimal(i128, i128, i8),
    Text(String, String),
    /// A type without bounds, or a value that none can hold.
    None,
}

impl FileStatistics {
    /// Makes empty statistics for files of `schema`: the table's, with what the log says of columns in files, without
    /// partition columns.
    pub fn new(schema: &Schema, indexed: &IndexedColumns) -> Self {
        let mut left = match indexed.chosen {
            ChosenColumns::First(count) => count,
            ChosenColumns::Named(_) => usize::MAX,
        };
        Self {
            num_records: 0,
            columns: columns(schema.fields(), &mut Vec::new(), indexed, &mut left, &mut 0),
        }
    }

    /// Says if statistics of the leaf at `path` are gathered; `fields` are the schema's.
    pub fn covers(&self, fields: &Fields, path: &[String]) -> bool {
        covered(&self.columns, fields, path)
    }

    /// Adds the rows of a batch.
    pub fn update(&mut self, batch: &RecordBatch) {
        self.num_records += batch.num_rows() as u64;
        for column in &mut self.columns {
            column.update(batch.column(column.index), None);
        }
    }

    /// Writes the statistics as the JSON of an `add` action. `file` is what the footer of the file says, which holds
    /// the rows of all batches and no others.
    pub fn to_json(&self, file: &ParquetMetaData) -> String {
        let (mut min, mut max, mut nulls) = (Map::new(), Map::new(), Map::new());
        for column in &self.columns {
            column.write(file, &mut min, &mut max, &mut nulls);
        }
        let mut stats = Map::new();
        stats.insert("numRecords".to_owned(), self.num_records.into());
        stats.insert("minValues".to_owned(), Value::Object(min));
        stats.insert("maxValues".to_owned(), Value::Object(max));
        stats.insert("nullCount".to_owned(), Value::Object(nulls));
        stats.insert("tightBounds".to_owned(), true.into());
        Value::Object(stats).to_string()
    }
}

fn columns(
    fields: &Fields,
    path: &mut Vec<String>,
    indexed: &IndexedColumns,
    left: &mut usize,
    leaf: &mut usize,
) -> Vec<ColumnStatistics> {
    let mut columns = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        path.push(field.name().clone());
        let kind = column_kind(field.data_type(), path, indexed, left, leaf);
        path.pop();
        if let Some(kind) = kind {
            let name = column_mapping::physical_name(field).to_owned();
            columns.push(ColumnStatistics { name, index, kind });
        }
    }
    columns
}

/// Returns what is gathered of the column at `path`; nothing for a leaf that is not indexed. `leaf` is its number in
/// the file, and moves on to that of the next column.
fn column_kind(
    data_type: &DataType,
    path: &mut Vec<String>,
    indexed: &IndexedColumns,
    left: &mut usize,
    leaf: &mut usize,
) -> Option<ColumnKind> {
    if let DataType::Struct(children) = data_type {
        return Some(ColumnKind::Struct(columns(children, path, indexed, left, leaf)));
    }
    let own_leaf = *leaf;
    *leaf += leaves(data_type);
    let chosen = match &indexed.chosen {
        ChosenColumns::First(_) => *left > 0,
        ChosenColumns::Named(names) => names.iter().any(|name| covers(name, path)),
    };
    if !chosen && !indexed.clustering.iter().any(|name| covers(name, path)) {
        return None;
    }
    *left = left.saturating_sub(1);
    Some(ColumnKind::Leaf(LeafStatistics {
        data_type: data_type.clone(),
        leaf: own_leaf,
        null_count: 0,
        bounds: Bounds::Empty,
    }))
}

/// Returns how many columns of a Parquet file hold values of a type.
fn leaves(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => fields.iter().map(|field| leaves(field.data_type())).sum(),
        DataType::List(field) | DataType::Map(field, _) => leaves(field.data_type()),
        _ => 1,
    }
}

fn covered(columns: &[ColumnStatistics], fields: &Fields, path: &[String]) -> bool {
    let Some((name, rest)) = path.split_first() else {
        return false;
    };
    let Some(place) = fields
        .iter()
        .position(|field| field.name().eq_ignore_ascii_case(name))
    else {
        return false;
    };
    let found = columns.iter().find(|column| column.index == place);
    found.is_some_and(|column| match (&column.kind, fields[place].data_type()) {
        (ColumnKind::Struct(children), DataType::Struct(fields)) => covered(children, fields, rest),
        (ColumnKind::Struct(_), _) => false,
        (ColumnKind::Leaf(_), _) => rest.is_empty(),
    })
}

/// Says if the named column is the one at `path` or holds it.
fn covers(name: &[String], path: &[String]) -> bool {
    name.len() <= path.len() && name.iter().zip(path).all(|(a, b)| a.eq_ignore_ascii_case(b))
}

impl ColumnStatistics {
    /// Adds the values of `array`; where `parent` is null, so is the value.
    fn update(&mut self, array: &ArrayRef, parent: Option<&NullBuffer>) {
        match &mut self.kind {
            ColumnKind::Struct(children) => {
                let Some(values) = array.as_struct_opt() else {
                    return;
                };
                let nulls = NullBuffer::union(parent, values.nulls());
                for child in children {
                    child.update(values.column(child.index), nulls.as_ref());
                }
            }
            ColumnKind::Leaf(leaf) => leaf.update(&masked(array, parent)),
        }
    }

    fn write(
        &self,
        file: &ParquetMetaData,
        min: &mut Map<String, Value>,
        max: &mut Map<String, Value>,
        nulls: &mut Map<String, Value>,
    ) {
        match &self.kind {
            ColumnKind::Struct(children) => {
                let (mut inner_min, mut inner_max, mut inner_nulls) = (Map::new(), Map::new(), Map::new());
                for child in children {
                    child.write(file, &mut inner_min, &mut inner_max, &mut inner_nulls);
                }
                for (outer, inner) in [(min, inner_min), (max, inner_max), (nulls, inner_nulls)] {
                    if !inner.is_empty() {
                        outer.insert(self.name.clone(), Value::Object(inner));
                    }
                }
            }
            ColumnKind::Leaf(leaf) => {
                nulls.insert(self.name.clone(), leaf.null_count.into());
                let (lower, upper) = leaf.bounds(file).to_json();
                if let Some(lower) = lower {
                    min.insert(self.name.clone(), lower);
                }
                if let Some(upper) = upper {
                    max.insert(self.name.clone(), upper);
                }
            }
        }
    }
}

impl LeafStatistics {
    fn update(&mut self, array: &ArrayRef) {
        let nulls = array.logical_null_count();
        self.null_count += nulls as u64;
        if nulls < array.len() && self.data_type.is_floating() {
            let seen = std::mem::replace(&mut self.bounds, Bounds::None);
            self.bounds = seen.merge(bounds_of(array));
        }
    }

    fn bounds(&self, file: &ParquetMetaData) -> Bounds {
        if self.data_type.is_floating() {
            return self.bounds.clone();
        }
        let mut bounds = Bounds::Empty;
        for row_group in file.row_groups() {
            let column = row_group.columns().get(self.leaf);
            let statistics = column.and_then(|column| column.statistics());
            bounds = bounds.merge(match statistics {
                Some(statistics)
                    if statistics.null_count_opt() == u64::try_from(row_group.num_rows()).ok() =>
                {
                    Bounds::Empty
                }
                Some(statistics) => bounds_in(statistics, &self.data_type).unwrap_or(Bounds::None),
                None => Bounds::None,
            });
        }
        bounds
    }
}

/// Returns `array` with the nulls of the struct that holds it.
fn masked(array: &ArrayRef, parent: Option<&NullBuffer>) -> ArrayRef {
    let Some(parent) = parent.filter(|parent| parent.null_count() > 0) else {
        return array.clone();
    };
    let nulls = NullBuffer::union(Some(parent), array.nulls());
    match array.to_data().into_builder().nulls(nulls).build() {
        Ok(data) => make_array(data),
        Err(_) => array.clone(),
    }
}

/// Returns the bounds of the floating-point values in `array`, of which at least one is not null.
fn bounds_of(array: &ArrayRef) -> Bounds {
    fn float(values: impl Iterator<Item = Option<f64>>) -> Bounds {
        let mut bounds: Option<(f64, f64)> = None;
        for value in values.flatten() {
            if value.is_nan() {
                return Bounds::None;
            }
            bounds = Some(bounds.map_or((value, value), |(low, high)| (low.min(value), high.max(value))));
        }
        bounds.map_or(Bounds::None, |(low, high)| Bounds::Float(low, high))
    }
    match array.data_type() {
        DataType::Float32 => float(
            array
                .as_primitive::<Float32Type>()
                .iter()
                .map(|v| v.map(f64::from)),
        ),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().iter()),
        _ => Bounds::None,
    }
}

/// Returns the bounds of a column in Parquet's statistics of it; `None` where they say nothing of values of its type,
/// or nothing at all.
fn bounds_in(statistics: &Statistics, data_type: &DataType) -> Option<Bounds> {
    let whole = |statistics: &Statistics| match statistics {
        Statistics::Int32(values) => Some(((*values.min_opt()?).into(), (*values.max_opt()?).into())),
        Statistics::Int64(values) => Some((*values.min_opt()?, *values.max_opt()?)),
        _ => None,
    };
    Some(match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            let (low, high): (i64, i64) = whole(statistics)?;
            Bounds::Int(low, high)
        }
        DataType::Date32 => {
            let (low, high) = whole(statistics)?;
            Bounds::Date(i32::try_from(low).ok()?, i32::try_from(high).ok()?)
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let (low, high) = whole(statistics)?;
            Bounds::Timestamp(low, high, zone.is_some())
        }
        DataType::Decimal128(_, scale) => match statistics {
            Statistics::FixedLenByteArray(values) => {
                let (low, high) = (values.min_opt()?.data(), values.max_opt()?.data());
                Bounds::Decimal(big_endian(low)?, big_endian(high)?, *scale)
            }
            _ => {
                let (low, high) = whole(statistics)?;
                Bounds::Decimal(low.into(), high.into(), *scale)
            }
        },
        DataType::Utf8 => match statistics {
            Statistics::ByteArray(values) => {
                let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
                Bounds::Text(text(values.min_opt()?.data())?, text(values.max_opt()?.data())?)
            }
            _ => return None,
        },
        _ => return None,
    })
}

/// Reads a number of up to sixteen bytes, in two's complement.
fn big_endian(bytes: &[u8]) -> Option<i128> {
    let (first, room) = (bytes.first()?, size_of::<i128>().checked_sub(bytes.len())?);
    let sign = if first & 0x80 == 0 { 0 } else { u8::MAX };
    let mut whole = [sign; size_of::<i128>()];
    whole[room..].copy_from_slice(bytes);
    Some(i128::from_be_bytes(whole))
}

impl Bounds {
    fn merge(self, other: Self) -> Self {
        match (self, other) {
            (Self::Empty, other) | (other, Self::Empty) => other,
            (Self::Int(a, b), Self::Int(c, d)) => Self::Int(a.min(c), b.max(d)),
            (Self::Float(a, b), Self::Float(c, d)) => Self::Float(a.min(c), b.max(d)),
            (Self::Date(a, b), Self::Date(c, d)) => Self::Date(a.min(c), b.max(d)),
            (Self::Timestamp(a, b, zone), Self::Timestamp(c, d, _)) => {
                Self::Timestamp(a.min(c), b.max(d), zone)
            }
            (Self::Decimal(a, b, scale), Self::Decimal(c, d, _)) => Self::Decimal(a.min(c), b.max(d), scale),
            (Self::Text(a, b), Self::Text(c, d)) => Self::Text(a.min(c), b.max(d)),
            _ => Self::None,
        }
    }

    fn to_json(&self) -> (Option<Value>, Option<Value>) {
        match self {
            Self::Empty | Self::None => (None, None),
            Self::Int(low, high) => (Some((*low).into()), Some((*high).into())),
            // Zeros are equal and ordered at once; the bounds take in both.
            Self::Float(low, high) => (
                number(if *low == 0.0 { -0.0 } else { *low }),
                number(if *high == 0.0 { 0.0 } else { *high }),
            ),
            Self::Date(low, high) => (date(*low), date(*high)),
            Self::Timestamp(low, high, zone) => (
                instant(low.div_euclid(1000), *zone),
                instant(
                    high.div_euclid(1000) + i64::from(high.rem_euclid(1000) > 0),
                    *zone,
                ),
            ),
            Self::Decimal(low, high, scale) => (decimal(*low, *scale), decimal(*high, *scale)),
            Self::Text(low, high) => (Some(cut(low).into()), cut_up(high).map(Into::into)),
        }
    }
}

/// A JSON number; none for infinities.
fn number(value: f64) -> Option<Value> {
    Number::from_f64(value).map(Value::Number)
}

fn date(days: i32) -> Option<Value> {
    as_date::<Date32Type>(days.into()).map(|date| date.format("%Y-%m-%d").to_string().into())
}

fn instant(milliseconds: i64, zone: bool) -> Option<Value> {
    let instant = as_datetime::<TimestampMicrosecondType>(milliseconds.checked_mul(1000)?)?;
    let format = if zone {
        "%Y-%m-%dT%H:%M:%S%.3fZ"
    } else {
        "%Y-%m-%dT%H:%M:%S%.3f"
    };
    Some(instant.format(format).to_string().into())
}

/// A decimal as the nearest JSON number would lose digits; left out where that is so.
fn decimal(value: i128, scale: i8) -> Option<Value> {
    let text = Decimal128Type::format_decimal(value, DECIMAL128_MAX_PRECISION, scale);
    let parsed: f64 = text.parse().ok()?;
    let digits = value.unsigned_abs().checked_ilog10().map_or(1, |log| log + 1);
    // A double holds 15 decimal digits exactly.
    (digits <= 15).then(|| number(parsed)).flatten()
}

/// Cuts a lower bound: a prefix is never greater.
fn cut(text: &str) -> String {
    text.chars().take(STRING_CHARS_MAX).collect()
}

/// Cuts an upper bound and rounds it up; `None` when no short text is great enough. Source: Delta Spark,
/// `StatisticsCollection.truncateMaxStringAgg`.
fn cut_up(text: &str) -> Option<String> {
    const ASCII_MAX: char = '\u{7F}';
    let mut short = cut(text);
    if let Some(next) = text.chars().nth(STRING_CHARS_MAX) {
        short.push(if next < ASCII_MAX { ASCII_MAX } else { char::MAX });
    }
    (short.as_str() >= text).then_some(short)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        Decimal128Array, Float64Array, Int32Array, ListArray, StringArray, StructArray,
        TimestampMicrosecondArray,
    };
    use arrow::datatypes::{Field, Int32Type};
    use parquet::arrow::ArrowWriter;

    use super::super::compression::CompressionCodec;
    use super::super::data_file::{FileFormat, FileOptions};
    use super::*;

    fn first(count: usize) -> IndexedColumns {
        IndexedColumns {
            chosen: ChosenColumns::First(count),
            clustering: Vec::new(),
        }
    }

    #[test]
    fn clustering_columns_are_covered_beside_those_that_are_chosen() {
        let column = || Arc::new(Int32Array::from(vec![1])) as ArrayRef;
        let batch =
            RecordBatch::try_from_iter([("a", column()), ("b", column()), ("c", column())]).expect("batch");
        let bounded = |chosen: ChosenColumns| {
            let clustering = vec![vec!["C".to_owned()]];
            let indexed = IndexedColumns { chosen, clustering };
            written(std::slice::from_ref(&batch), indexed)["minValues"]
                .as_object()
                .expect("bounds")
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(bounded(ChosenColumns::First(0)), ["c"]);
        assert_eq!(bounded(ChosenColumns::First(1)), ["a", "c"]);
        assert_eq!(
            bounded(ChosenColumns::Named(vec![vec!["b".to_owned()]])),
            ["b", "c"]
        );
    }

    #[test]
    fn leaves_with_statistics_are_told_from_others_by_path() {
        let leaf = |name: &str| Field::new(name, DataType::Int32, true);
        let inner = Fields::from(vec![leaf("x"), leaf("y")]);
        let fields = Fields::from(vec![Field::new("s", DataType::Struct(inner), true), leaf("s.x")]);
        let chosen = ChosenColumns::Named(vec![vec!["s".to_owned(), "x".to_owned()]]);
        let indexed = IndexedColumns {
            chosen,
            clustering: Vec::new(),
        };
        let statistics = FileStatistics::new(&Schema::new(fields.clone()), &indexed);
        let covers = |path: &[&str]| {
            let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
            statistics.covers(&fields, &path)
        };
        assert!(covers(&["S", "X"]));
        for path in [&["s", "y"][..], &["s.x"], &["s"], &["s", "x", "z"], &["t"], &[]] {
            assert!(!covers(path), "{path:?}");
        }
    }

    /// Returns the statistics of a file of these rows, each batch a row group of it.
    fn written(batches: &[RecordBatch], indexed: IndexedColumns) -> Value {
        let schema = batches[0].schema();
        let options = FileOptions {
            row_group_rows_max: 1 << 20,
            created_by: "test",
            prefix: "part",
            compression: CompressionCodec::default(),
            hidden: 0,
            among_many: false,
        };
        let format = FileFormat::new(&schema, indexed.clone(), &options).expect("format");
        let mut statistics = FileStatistics::new(&schema, &indexed);
        let properties = Some(format.properties().clone());
        let mut writer = ArrowWriter::try_new(Vec::new(), schema, properties).expect("writer");
        for batch in batches {
            statistics.update(batch);
            writer.write(batch).expect("written");
            writer.flush().expect("a row group");
        }
        let footer = writer.finish().expect("complete");
        serde_json::from_str(&statistics.to_json(&footer)).expect("json")
    }

    fn stats_of(columns: Vec<(&str, ArrayRef)>) -> Value {
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, true)),
        );
        written(&[batch.expect("batch")], first(32))
    }

    #[test]
    fn bounds_hold_over_row_groups_and_nulls_are_counted() {
        let batch = |values: Vec<Option<i32>>| {
            let column = Arc::new(Int32Array::from(values)) as ArrayRef;
            RecordBatch::try_from_iter_with_nullable([("a", column, true)]).expect("batch")
        };
        let batches = [
            batch(vec![Some(5), None]),
            batch(vec![None, None]),
            batch(vec![Some(-1), Some(2)]),
        ];
        assert_eq!(
            written(&batches, first(32)),
            serde_json::json!({"numRecords": 6, "minValues": {"a": -1}, "maxValues": {"a": 5},
                "nullCount": {"a": 3}, "tightBounds": true})
        );
        let nulls = written(&batches[1..2], first(32));
        assert_eq!(nulls["maxValues"], serde_json::json!({}));
        assert_eq!(nulls["nullCount"]["a"], 2);
    }

    #[test]
    fn columns_are_found_behind_lists_and_structs() {
        let numbers = |value: i32| Arc::new(Int32Array::from(vec![value])) as ArrayRef;
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), Some(2)])]);
        let field = |name: &str| Arc::new(Field::new(name, DataType::Int32, true));
        let pair = StructArray::from(vec![(field("x"), numbers(7)), (field("y"), numbers(8))]);
        let json = stats_of(vec![
            ("l", Arc::new(list) as ArrayRef),
            ("s", Arc::new(pair)),
            ("a", numbers(9)),
        ]);
        let bounds = serde_json::json!({"s": {"x": 7, "y": 8}, "a": 9});
        assert_eq!(json["minValues"], bounds);
        assert_eq!(json["maxValues"], bounds);
        assert_eq!(json["nullCount"]["l"], 0);
    }

    #[test]
    fn nan_and_infinity_have_no_bounds_and_zeros_take_in_both_signs() {
        let column = |values: Vec<f64>| Arc::new(Float64Array::from(values)) as ArrayRef;
        let json = stats_of(vec![
            ("nan", column(vec![1.0, f64::NAN])),
            ("inf", column(vec![1.0, f64::INFINITY])),
            ("zero", column(vec![0.0, -0.0])),
        ]);
        assert!(json["minValues"].get("nan").is_none());
        assert_eq!(json["minValues"]["inf"], 1.0);
        assert!(json["maxValues"].get("inf").is_none());
        let low = json["minValues"]["zero"].as_f64().expect("number");
        assert!(low.is_sign_negative() && low == 0.0);
    }

    #[test]
    fn long_strings_are_cut_and_the_upper_bound_stays_above() {
        let long = "é".repeat(40);
        let json = stats_of(vec![(
            "s",
            Arc::new(StringArray::from(vec![long.as_str()])) as ArrayRef,
        )]);
        let low = json["minValues"]["s"].as_str().expect("text");
        let high = json["maxValues"]["s"].as_str().expect("text");
        assert!(low <= long.as_str() && high >= long.as_str());
        assert_eq!(low.chars().count(), 32);
        let plain = cut_up(&"a".repeat(33)).expect("a bound");
        assert_eq!(plain, format!("{}\u{7F}", "a".repeat(32)));
        let last = format!("{}\u{7F}", "a".repeat(32));
        assert!(cut_up(&last).is_some_and(|bound| bound >= last));
        assert_eq!(cut_up(&char::MAX.to_string().repeat(40)), None);
    }

    #[test]
    fn many_characters_of_many_bytes_are_cut_where_spark_cuts() {
        let long = "\u{1F980}".repeat(100);
        let column = Arc::new(StringArray::from(vec![long.as_str()])) as ArrayRef;
        let json = stats_of(vec![("s", column)]);
        let crabs = "\u{1F980}".repeat(32);
        assert_eq!(json["minValues"]["s"], crabs);
        assert_eq!(json["maxValues"]["s"], format!("{crabs}{}", char::MAX));
    }

    #[test]
    fn timestamps_are_rounded_outwards_to_milliseconds() {
        let column = TimestampMicrosecondArray::from(vec![1_500, -1_500]).with_timezone("UTC");
        let json = stats_of(vec![("t", Arc::new(column) as ArrayRef)]);
        assert_eq!(json["minValues"]["t"], "1969-12-31T23:59:59.998Z");
        assert_eq!(json["maxValues"]["t"], "1970-01-01T00:00:00.002Z");
    }

    #[test]
    fn a_null_struct_makes_its_fields_null() {
        let inner: ArrayRef = Arc::new(Int32Array::from(vec![1, 99]));
        let field = Arc::new(Field::new("x", DataType::Int32, true));
        let nulls = NullBuffer::from(vec![true, false]);
        let column = StructArray::new(vec![field].into(), vec![inner], Some(nulls));
        let json = stats_of(vec![("s", Arc::new(column) as ArrayRef)]);
        assert_eq!(json["maxValues"]["s"]["x"], 1);
        assert_eq!(json["nullCount"]["s"]["x"], 1);
    }

    #[test]
    fn decimals_are_numbers_while_a_double_holds_them() {
        let column = |value: i128| {
            let array = Decimal128Array::from(vec![value]).with_precision_and_scale(38, 2);
            Arc::new(array.expect("decimal")) as ArrayRef
        };
        let json = stats_of(vec![
            ("small", column(12_345)),
            ("negative", column(-12_345)),
            ("large", column(10_i128.pow(30))),
        ]);
        assert_eq!(json["minValues"]["small"], 123.45);
        assert_eq!(json["maxValues"]["negative"], -123.45);
        assert!(json["minValues"].get("large").is_none());
    }
}
