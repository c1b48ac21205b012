//! Statistics of one data file, gathered batch by batch.
//!
//! Bounds are always true, never merely close: a string's upper bound is rounded up when it is cut, a
//! timestamp's when it has microseconds, and a column that holds NaN has none. Source: Delta protocol,
//! "Per-file Statistics"; cuts and precision as Spark's.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch, make_array};
use arrow::buffer::NullBuffer;
use arrow::compute;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, DecimalType, Fields, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
};
use arrow::temporal_conversions::{as_date, as_datetime};
use serde_json::{Map, Number, Value};

use crate::column_mapping;

/// Longest string bound, characters. Source: Spark, `delta.stats.truncate`.
const STRING_CHARS_MAX: usize = 32;

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
    Leaf { null_count: u64, bounds: Bounds },
    Struct(Vec<ColumnStatistics>),
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
            columns: columns(schema.fields(), &mut Vec::new(), indexed, &mut left),
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

    /// Writes the statistics as the JSON of an `add` action.
    pub fn to_json(&self) -> String {
        let (mut min, mut max, mut nulls) = (Map::new(), Map::new(), Map::new());
        for column in &self.columns {
            column.write(&mut min, &mut max, &mut nulls);
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
) -> Vec<ColumnStatistics> {
    let mut columns = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        path.push(field.name().clone());
        let kind = column_kind(field.data_type(), path, indexed, left);
        path.pop();
        if let Some(kind) = kind {
            let name = column_mapping::physical_name(field).to_owned();
            columns.push(ColumnStatistics { name, index, kind });
        }
    }
    columns
}

/// Returns what is gathered of the column at `path`; nothing for a leaf that is not indexed.
fn column_kind(
    data_type: &DataType,
    path: &mut Vec<String>,
    indexed: &IndexedColumns,
    left: &mut usize,
) -> Option<ColumnKind> {
    if let DataType::Struct(children) = data_type {
        return Some(ColumnKind::Struct(columns(children, path, indexed, left)));
    }
    let chosen = match &indexed.chosen {
        ChosenColumns::First(_) => *left > 0,
        ChosenColumns::Named(names) => names.iter().any(|name| covers(name, path)),
    };
    if !chosen && !indexed.clustering.iter().any(|name| covers(name, path)) {
        return None;
    }
    *left = left.saturating_sub(1);
    Some(ColumnKind::Leaf {
        null_count: 0,
        bounds: Bounds::Empty,
    })
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
        (ColumnKind::Leaf { .. }, _) => rest.is_empty(),
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
            ColumnKind::Leaf { null_count, bounds } => {
                let array = masked(array, parent);
                let nulls = array.logical_null_count();
                *null_count += nulls as u64;
                if nulls < array.len() {
                    let seen = std::mem::replace(bounds, Bounds::None);
                    *bounds = seen.merge(bounds_of(&array));
                }
            }
        }
    }

    fn write(
        &self,
        min: &mut Map<String, Value>,
        max: &mut Map<String, Value>,
        nulls: &mut Map<String, Value>,
    ) {
        match &self.kind {
            ColumnKind::Struct(children) => {
                let (mut inner_min, mut inner_max, mut inner_nulls) = (Map::new(), Map::new(), Map::new());
                for child in children {
                    child.write(&mut inner_min, &mut inner_max, &mut inner_nulls);
                }
                for (outer, inner) in [(min, inner_min), (max, inner_max), (nulls, inner_nulls)] {
                    if !inner.is_empty() {
                        outer.insert(self.name.clone(), Value::Object(inner));
                    }
                }
            }
            ColumnKind::Leaf { null_count, bounds } => {
                nulls.insert(self.name.clone(), (*null_count).into());
                let (lower, upper) = bounds.to_json();
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

/// Returns the bounds of the values in `array`, of which at least one is not null.
fn bounds_of(array: &ArrayRef) -> Bounds {
    fn ends<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> Option<(T::Native, T::Native)>
    where
        T::Native: arrow::datatypes::ArrowNativeType + PartialOrd,
    {
        Some((compute::min(array)?, compute::max(array)?))
    }
    fn int<T: ArrowPrimitiveType>(array: &ArrayRef) -> Bounds
    where
        T::Native: Into<i64>,
    {
        ends(array.as_primitive::<T>())
            .map_or(Bounds::None, |(low, high)| Bounds::Int(low.into(), high.into()))
    }
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
        DataType::Int8 => int::<Int8Type>(array),
        DataType::Int16 => int::<Int16Type>(array),
        DataType::Int32 => int::<Int32Type>(array),
        DataType::Int64 => int::<Int64Type>(array),
        DataType::Float32 => float(
            array
                .as_primitive::<Float32Type>()
                .iter()
                .map(|v| v.map(f64::from)),
        ),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().iter()),
        DataType::Date32 => ends(array.as_primitive::<Date32Type>())
            .map_or(Bounds::None, |(low, high)| Bounds::Date(low, high)),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            ends(array.as_primitive::<TimestampMicrosecondType>()).map_or(Bounds::None, |(low, high)| {
                Bounds::Timestamp(low, high, zone.is_some())
            })
        }
        DataType::Decimal128(_, scale) => ends(array.as_primitive::<Decimal128Type>())
            .map_or(Bounds::None, |(low, high)| Bounds::Decimal(low, high, *scale)),
        DataType::Utf8 => {
            let values = array.as_string::<i32>();
            match (compute::min_string(values), compute::max_string(values)) {
                (Some(low), Some(high)) => Bounds::Text(low.to_owned(), high.to_owned()),
                _ => Bounds::None,
            }
        }
        _ => Bounds::None,
    }
}

impl Bounds {
    fn merge(self, other: Self) -> Self {
        match (self, other) {
            (Self::Empty, other) => other,
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
    let text = Decimal128Type::format_decimal(value, arrow::datatypes::DECIMAL128_MAX_PRECISION, scale);
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
        Decimal128Array, Float64Array, Int32Array, StringArray, StructArray, TimestampMicrosecondArray,
    };

    use arrow::datatypes::Field;

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
            let mut statistics = FileStatistics::new(&batch.schema(), &IndexedColumns { chosen, clustering });
            statistics.update(&batch);
            let json: Value = serde_json::from_str(&statistics.to_json()).expect("json");
            json["minValues"]
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

    fn stats_of(columns: Vec<(&str, ArrayRef)>) -> Value {
        let batch = RecordBatch::try_from_iter(columns).expect("batch");
        let mut statistics = FileStatistics::new(&batch.schema(), &first(32));
        statistics.update(&batch);
        serde_json::from_str(&statistics.to_json()).expect("json")
    }

    #[test]
    fn bounds_hold_over_batches_and_nulls_are_counted() {
        let batch = |values: Vec<Option<i32>>| {
            RecordBatch::try_from_iter([("a", Arc::new(Int32Array::from(values)) as ArrayRef)])
                .expect("batch")
        };
        let (one, two) = (batch(vec![Some(5), None]), batch(vec![Some(-1), Some(2)]));
        let mut statistics = FileStatistics::new(&one.schema(), &first(32));
        statistics.update(&one);
        statistics.update(&two);
        let json: Value = serde_json::from_str(&statistics.to_json()).expect("json");
        assert_eq!(
            json,
            serde_json::json!({"numRecords": 4, "minValues": {"a": -1}, "maxValues": {"a": 5},
                "nullCount": {"a": 1}, "tightBounds": true})
        );
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
            ("large", column(10_i128.pow(30))),
        ]);
        assert_eq!(json["minValues"]["small"], 123.45);
        assert!(json["minValues"].get("large").is_none());
    }
}
