//! Statistics JSON to typed columns.
//!
//! Statistics are hints: a file whose JSON does not fit the schema keeps its row count if that can be read,
//! and otherwise has no statistics. It is never an error.

use std::num::NonZero;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, RecordBatch, StructArray,
    TimestampMicrosecondArray, UInt64Array, new_null_array,
};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{
    DataType, Decimal128Type, Float64Type, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;

use super::columns::DataColumn;
use crate::Add;

/// Files parsed in one go: bounds the memory of the parser, and the loss of speed when one of them is odd.
const BLOCK_FILES: usize = 2048;

/// Writers cut string bounds to this many characters (Spark) or bytes; a shorter one is whole whichever it was.
/// Source: Delta's `DataSkippingReader`.
const STRING_PREFIX_CHARS: usize = 32;

/// Decimal digits that survive a double. Some writers take the bounds of decimals through one.
const DOUBLE_DIGITS: u32 = 15;

/// Bounds of timestamps are cut to milliseconds; a value may be this much larger than the written maximum.
const TIMESTAMP_SLACK_MICROS: i64 = 999;

/// The statistics of a chunk, one row per file.
#[derive(Debug)]
pub(super) struct Statistics {
    batch: RecordBatch,
}

/// Which of the two bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Min,
    Max,
}

impl Statistics {
    /// Parses the statistics of `adds`, on all processors when there are many.
    pub fn parse(adds: &[Arc<Add>], schema: &SchemaRef) -> Self {
        let blocks: Vec<&[Arc<Add>]> = adds.chunks(BLOCK_FILES).collect();
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let batches = if blocks.len() < 2 || threads < 2 {
            blocks.iter().map(|block| parse_block(block, schema)).collect()
        } else {
            parse_in_parallel(&blocks, threads, schema)
        };
        let batch = concat_batches(schema, &batches).unwrap_or_else(|_| null_batch(schema, adds.len()));
        Self { batch }
    }

    /// Joins the statistics of two chunks, leaving out rows that are no longer live.
    pub fn merge(
        left: (&Self, Option<&BooleanArray>),
        right: (&Self, Option<&BooleanArray>),
    ) -> Result<Self, ArrowError> {
        let live = |(statistics, live): (&Self, Option<&BooleanArray>)| match live {
            Some(live) => filter_record_batch(&statistics.batch, live),
            None => Ok(statistics.batch.clone()),
        };
        let batch = concat_batches(&left.0.batch.schema(), &[live(left)?, live(right)?])?;
        Ok(Self { batch })
    }

    /// Returns live rows per file.
    pub fn num_records(&self, adds: &[Arc<Add>]) -> UInt64Array {
        let physical = self.physical_records();
        adds.iter()
            .enumerate()
            .map(|(row, add)| live_records(physical(row)?, add))
            .collect()
    }

    /// Returns nulls among the live rows of each file.
    ///
    /// Beside a deletion vector a count says for certain only that no value, or every value, is null.
    pub fn null_counts(&self, column: &DataColumn, adds: &[Arc<Add>]) -> Option<UInt64Array> {
        let counts = self.column("nullCount", &column.path)?;
        let counts = counts.as_primitive_opt::<Int64Type>()?;
        let physical = self.physical_records();
        let live = |row: usize, add: &Add| {
            let count = counts.is_valid(row).then(|| counts.value(row))?;
            let count = u64::try_from(count).ok()?;
            if add.deletion_vector.is_none() || count == 0 {
                return Some(count);
            }
            let records = physical(row)?;
            (count == records).then(|| live_records(records, add)).flatten()
        };
        Some(adds.iter().enumerate().map(|(row, add)| live(row, add)).collect())
    }

    /// Returns a bound of each file, wide enough to hold what was cut off.
    pub fn bound(&self, column: &DataColumn, bound: Bound) -> Option<ArrayRef> {
        let values = match bound {
            Bound::Min => self.column("minValues", &column.path)?,
            Bound::Max => self.column("maxValues", &column.path)?,
        };
        match column.data_type {
            DataType::Decimal128(precision, scale) => {
                let values = values.as_primitive_opt::<Decimal128Type>()?;
                let widened: Decimal128Array = values.unary(|value| widened_decimal(value, bound, precision));
                let widened = widened.with_precision_and_scale(precision, scale).ok()?;
                Some(Arc::new(widened))
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) if bound == Bound::Max => {
                let values = values.as_primitive_opt::<TimestampMicrosecondType>()?;
                let widened: TimestampMicrosecondArray =
                    values.unary(|value| value.saturating_add(TIMESTAMP_SLACK_MICROS));
                Some(Arc::new(widened.with_timezone_opt(values.timezone())))
            }
            DataType::Float64 if column.was_float => {
                let values = values.as_primitive_opt::<Float64Type>()?;
                let widened: Float64Array = values.unary(|value| with_rounding(value, bound));
                Some(Arc::new(widened))
            }
            _ => Some(values),
        }
    }

    /// Says, per file, if both bounds are values of live rows.
    pub fn exact_bounds(&self, column: &DataColumn, adds: &[Arc<Add>]) -> BooleanArray {
        let nowhere = || BooleanArray::from(vec![false; adds.len()]);
        if matches!(column.data_type, DataType::Timestamp(_, _)) || column.data_type.is_floating() {
            return nowhere();
        }
        let minima = self.column("minValues", &column.path);
        let maxima = self.column("maxValues", &column.path);
        let (Some(minima), Some(maxima)) = (minima, maxima) else {
            return nowhere();
        };
        let tight = self.batch.column_by_name("tightBounds");
        let tight = tight.and_then(|array| array.as_boolean_opt());
        let whole = |array: &ArrayRef, row: usize| {
            if let Some(strings) = array.as_string_opt::<i32>() {
                strings.value(row).len() < STRING_PREFIX_CHARS
            } else if let Some(decimals) = array.as_primitive_opt::<Decimal128Type>() {
                survives_double(decimals.value(row))
            } else {
                true
            }
        };
        let exact = |(row, add): (usize, &Arc<Add>)| {
            let tight = tight.is_none_or(|tight| tight.is_null(row) || tight.value(row));
            let known = minima.is_valid(row) && maxima.is_valid(row);
            tight && add.deletion_vector.is_none() && known && whole(&minima, row) && whole(&maxima, row)
        };
        adds.iter().enumerate().map(exact).map(Some).collect()
    }

    /// Returns a function that gives the rows in a file, deleted ones included.
    fn physical_records(&self) -> impl Fn(usize) -> Option<u64> {
        let records = self.batch.column_by_name("numRecords");
        let records = records.and_then(|array| array.as_primitive_opt::<Int64Type>());
        move |row| {
            let records = records.filter(|records| records.is_valid(row))?;
            u64::try_from(records.value(row)).ok()
        }
    }

    fn column(&self, member: &str, path: &[String]) -> Option<ArrayRef> {
        let mut array = self.batch.column_by_name(member)?;
        for name in path {
            array = array
                .as_any()
                .downcast_ref::<StructArray>()?
                .column_by_name(name)?;
        }
        Some(Arc::clone(array))
    }
}

/// Moves the bound of a column that was a `float` outwards to the `float` that it is the text of.
fn with_rounding(value: f64, bound: Bound) -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "the float that a writer had")]
    let rounded = f64::from(value as f32);
    match bound {
        Bound::Min => value.min(rounded),
        Bound::Max => value.max(rounded),
    }
}

/// Says if a decimal, by its digits, is the same after it went through a double.
fn survives_double(value: i128) -> bool {
    value.unsigned_abs() < 10_u128.pow(DOUBLE_DIGITS)
}

/// Moves a bound that may have been rounded to a double outwards, past every value that it may have been.
fn widened_decimal(value: i128, bound: Bound, precision: u8) -> i128 {
    // A double is off by one part in 2^53 at most; its text is cut to the column's scale then.
    const DOUBLE_BITS: u32 = 52;
    if survives_double(value) {
        return value;
    }
    let greatest = 10_i128
        .checked_pow(precision.into())
        .map_or(i128::MAX, |power| power - 1);
    let slack = i128::try_from(value.unsigned_abs() >> DOUBLE_BITS).unwrap_or(i128::MAX) + 2;
    match bound {
        Bound::Min => value.saturating_sub(slack).max(-greatest),
        Bound::Max => value.saturating_add(slack).min(greatest),
    }
}

fn live_records(physical: u64, add: &Add) -> Option<u64> {
    let Some(vector) = &add.deletion_vector else {
        return Some(physical);
    };
    let deleted = u64::try_from(vector.cardinality).ok()?;
    physical.checked_sub(deleted)
}

fn parse_in_parallel(blocks: &[&[Arc<Add>]], threads: usize, schema: &SchemaRef) -> Vec<RecordBatch> {
    let share = blocks.len().div_ceil(threads);
    std::thread::scope(|scope| {
        let workers: Vec<_> = blocks
            .chunks(share)
            .map(|blocks| {
                let work = move || -> Vec<RecordBatch> {
                    blocks.iter().map(|block| parse_block(block, schema)).collect()
                };
                (blocks, scope.spawn(work))
            })
            .collect();
        let mut batches = Vec::new();
        for (blocks, worker) in workers {
            batches.extend(worker.join().unwrap_or_else(|_| {
                let nulls = |block: &&[Arc<Add>]| null_batch(schema, block.len());
                blocks.iter().map(nulls).collect()
            }));
        }
        batches
    })
}

/// Parses a block at once, or file by file when one of them does not fit.
fn parse_block(adds: &[Arc<Add>], schema: &SchemaRef) -> RecordBatch {
    if let Some(batch) = decode(adds, schema) {
        return batch;
    }
    let batches: Vec<RecordBatch> = adds.iter().map(|add| parse_one(add, schema)).collect();
    concat_batches(schema, &batches).unwrap_or_else(|_| null_batch(schema, adds.len()))
}

/// Parses the statistics of one file; only its row count when the rest does not fit the schema.
fn parse_one(add: &Arc<Add>, schema: &SchemaRef) -> RecordBatch {
    let adds = std::slice::from_ref(add);
    if let Some(batch) = decode(adds, schema) {
        return batch;
    }
    let count_schema = Arc::new(Schema::new(vec![schema.field(0).clone()]));
    let Some(count) = decode(adds, &count_schema) else {
        return null_batch(schema, 1);
    };
    let columns = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(number, field)| match number {
            0 => Arc::clone(count.column(0)),
            _ => new_null_array(field.data_type(), 1),
        });
    RecordBatch::try_new(Arc::clone(schema), columns.collect()).unwrap_or_else(|_| null_batch(schema, 1))
}

fn decode(adds: &[Arc<Add>], schema: &SchemaRef) -> Option<RecordBatch> {
    let mut decoder = ReaderBuilder::new(Arc::clone(schema))
        .with_batch_size(adds.len().max(1))
        .build_decoder()
        .ok()?;
    for add in adds {
        let json = add.stats.as_deref().unwrap_or("{}");
        let consumed = decoder.decode(json.as_bytes()).ok()?;
        if consumed != json.len() || decoder.has_partial_record() {
            return None;
        }
    }
    let batch = match decoder.flush().ok()? {
        Some(batch) => batch,
        None => RecordBatch::new_empty(Arc::clone(schema)),
    };
    (batch.num_rows() == adds.len()).then_some(batch)
}

fn null_batch(schema: &SchemaRef, rows: usize) -> RecordBatch {
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| new_null_array(field.data_type(), rows))
        .collect();
    RecordBatch::try_new(Arc::clone(schema), columns)
        .unwrap_or_else(|_| RecordBatch::new_empty(Arc::clone(schema)))
}
