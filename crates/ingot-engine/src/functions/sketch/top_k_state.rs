//! The state of `approx_top_k` and its family: counts of items and of nulls, and the struct that
//! `approx_top_k_accumulate` and `approx_top_k_combine` keep them in. Source: Spark, `ApproxTopKAggregateBuffer`,
//! `ApproxTopK.getSketchStateDataType`.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int32Array, StringArray, StructArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use datafusion::error::{DataFusionError, Result};

use super::item::{Item, Kind, each};
use super::items::FrequentItems;
use super::{mismatch, plain};
use crate::functions::arguments::timestamp;
use crate::write::type_text;

/// Counts of a group's values.
#[derive(Debug)]
pub(super) struct Counts {
    kind: Kind,
    items: FrequentItems,
    nulls: u64,
}

impl Counts {
    pub fn new(kind: Kind, tracked: u32) -> Self {
        Self {
            kind,
            items: FrequentItems::tracking(tracked),
            nulls: 0,
        }
    }

    /// Counts the values of a column, which is of the kind.
    ///
    /// # Errors
    /// `Internal` for a type without frequent items.
    pub fn add(&mut self, column: &ArrayRef) -> Result<()> {
        each(column, |item| match item {
            Some(item) => self.items.add(item, 1),
            None => self.nulls = self.nulls.saturating_add(1),
        })
    }

    pub fn merge(&mut self, other: &Self) {
        self.items.merge(&other.items);
        self.nulls = self.nulls.saturating_add(other.nulls);
    }

    /// Returns the `k` most frequent, with their counts; of those as frequent as the nulls, the nulls are last.
    pub fn top(&self, k: usize) -> (Vec<Option<Item>>, Vec<i64>) {
        let items = self.items.most_frequent().into_iter();
        let mut top: Vec<(Option<&Item>, u64)> = items.map(|(item, count)| (Some(item), count)).collect();
        if self.nulls > 0 {
            let place = top.partition_point(|(_, count)| *count >= self.nulls);
            top.insert(place, (None, self.nulls));
        }
        top.truncate(k);
        let rows = top.into_iter();
        rows.map(|(item, count)| (item.cloned(), i64::try_from(count).unwrap_or(i64::MAX)))
            .unzip()
    }

    /// Returns the sketch of the items, and the count of nulls behind it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.items.to_bytes(self.kind);
        bytes.extend(self.nulls.to_be_bytes());
        bytes
    }

    /// Reads what [`Counts::to_bytes`] wrote; none if it is something else, or of items of another kind.
    pub fn from_bytes(bytes: &[u8], kind: Kind) -> Option<Self> {
        let (items, nulls) = bytes.split_last_chunk()?;
        let nulls = u64::try_from(i64::from_be_bytes(*nulls)).ok()?;
        let items = FrequentItems::from_bytes(items, kind)?;
        Some(Self { kind, items, nulls })
    }

    pub fn bytes(&self) -> usize {
        self.items.bytes()
    }
}

/// The columns of a state of items of a type. What is in `itemDataType` is null: its type alone is of use.
pub(super) fn state_fields(item: &DataType) -> Fields {
    Fields::from(vec![
        Field::new("sketch", DataType::Binary, true),
        Field::new("maxItemsTracked", DataType::Int32, true),
        Field::new("itemDataType", item.clone(), true),
        Field::new("itemDataTypeDDL", DataType::Utf8, true),
    ])
}

/// Returns one state.
///
/// # Errors
/// None: the columns are those of the fields.
pub(super) fn state(counts: &Counts, tracked: i32, ddl: &str, item: &DataType) -> Result<StructArray> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(BinaryArray::from_iter_values([counts.to_bytes()])),
        Arc::new(Int32Array::from(vec![tracked])),
        new_null_array(item, 1),
        Arc::new(StringArray::from(vec![ddl])),
    ];
    Ok(StructArray::try_new(state_fields(item), columns, None)?)
}

/// Returns the type of a state's items.
///
/// # Errors
/// `DATATYPE_MISMATCH` for what is no state.
pub(super) fn item_of_state(function: &str, state: &DataType) -> Result<DataType> {
    let types: Vec<DataType> = match state {
        DataType::Struct(fields) => fields.iter().map(|field| plain(field.data_type())).collect(),
        _ => Vec::new(),
    };
    match types.as_slice() {
        [DataType::Binary, DataType::Int32, item, DataType::Utf8] if Kind::of(item).is_some() => {
            Ok(item.clone())
        }
        _ => {
            let wanted = "struct<sketch:binary,maxItemsTracked:int,itemDataType:any,itemDataTypeDDL:string>";
            let reason = format!("a state is a {wanted}, not a {}", type_text(state));
            Err(mismatch(function, &reason))
        }
    }
}

/// Returns the sketches, the sizes, and the written types of states, each in one form.
///
/// # Errors
/// `Internal` for columns that are no states'.
pub(super) fn parts(states: &StructArray) -> Result<(ArrayRef, ArrayRef, ArrayRef)> {
    let [sketches, tracked, _, ddls] = states.columns() else {
        return Err(DataFusionError::Internal("a state has four columns".to_owned()));
    };
    Ok((
        cast(sketches, &DataType::Binary)?,
        Arc::clone(tracked),
        cast(ddls, &DataType::Utf8)?,
    ))
}

/// Writes a type as the definition of a column. Source: Spark, `ApproxTopK.dataTypeToDDL`.
pub(super) fn ddl_of(item: &DataType) -> String {
    match item {
        DataType::Utf8 => "item string not null".to_owned(),
        other => format!("item {} NOT NULL", type_text(other).to_uppercase()),
    }
}

/// Reads what [`ddl_of`] wrote; none if it is something else.
pub(super) fn type_of_ddl(ddl: &str) -> Option<DataType> {
    let ddl = ddl.to_ascii_lowercase();
    let name = ddl.strip_prefix("item ")?.trim_end_matches(" not null").trim();
    Some(match name {
        "boolean" => DataType::Boolean,
        "tinyint" => DataType::Int8,
        "smallint" => DataType::Int16,
        "int" => DataType::Int32,
        "bigint" => DataType::Int64,
        "float" => DataType::Float32,
        "double" => DataType::Float64,
        "date" => DataType::Date32,
        "timestamp" => timestamp(),
        "timestamp_ntz" => DataType::Timestamp(TimeUnit::Microsecond, None),
        decimal if decimal.starts_with("decimal(") => {
            let digits = decimal.strip_prefix("decimal(")?.strip_suffix(')')?;
            let (precision, scale) = digits.split_once(',')?;
            let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
            DataType::Decimal128(precision, scale)
        }
        text if text.starts_with("string") => DataType::Utf8,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_written_and_read() {
        let types = [
            DataType::Utf8,
            DataType::Int32,
            DataType::Date32,
            timestamp(),
            DataType::Decimal128(20, 3),
        ];
        for data_type in types {
            assert_eq!(type_of_ddl(&ddl_of(&data_type)), Some(data_type));
        }
        assert_eq!(type_of_ddl("item BLOB NOT NULL"), None);
        assert_eq!(type_of_ddl("x INT"), None);
    }

    #[test]
    fn nulls_are_behind_items_as_frequent() {
        let mut counts = Counts::new(Kind::Int, 100);
        let column: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), Some(1), Some(2), None, None]));
        counts.add(&column).expect("counts");
        let read = Counts::from_bytes(&counts.to_bytes(), Kind::Int).expect("counts");
        let (items, frequencies) = read.top(5);
        assert_eq!(items, [Some(Item::Int(1)), None, Some(Item::Int(2))]);
        assert_eq!(frequencies, [2, 2, 1]);
    }
}
