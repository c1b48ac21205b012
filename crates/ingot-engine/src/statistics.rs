//! What the log knows about the rows of a scan, for the optimiser: exact where an aggregate may be answered
//! from it without reading a file, inexact where it only guides a plan.
//!
//! Bounds of floating-point columns are never exact: the log has no NaN, and -0.0 and 0.0 are one value to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, UInt64Array};
use arrow::compute::{SortOptions, cast, max, min, sort_to_indices, take};
use arrow::datatypes::{DataType, Field, Float64Type, Schema, TimeUnit};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::error::Result;
use ingot_delta::FileIndex;

use crate::pruning::deleted_rows;

/// Columns times files for which statistics are attached to single files. Beyond it memory would grow with
/// the table for every query, and only the table's totals are kept.
const FILE_STATISTICS_MAX: usize = 1 << 17;

/// What the log knows of a table as a whole, looked up once when it is asked for.
#[derive(Debug)]
pub(crate) struct TableFacts {
    index: FileIndex,
    rows: OnceLock<Option<f64>>,
    bounds: Mutex<HashMap<String, Option<Bounds>>>,
}

/// Between which numbers the values of a column lie: of dates days, of timestamps microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub min: f64,
    pub max: f64,
    /// There is nothing between a value and the next.
    pub whole: bool,
}

impl Bounds {
    /// Returns how many whole numbers lie within, or how far the bounds are apart.
    pub(crate) fn span(self) -> f64 {
        self.max - self.min + 1.0
    }
}

impl TableFacts {
    /// Takes the index of a table's files, its statistics parsed.
    pub(crate) fn new(index: FileIndex) -> Self {
        Self {
            index,
            rows: OnceLock::new(),
            bounds: Mutex::default(),
        }
    }

    /// Returns how many rows there are; `None` where the log does not say.
    pub(crate) fn rows(&self) -> Option<f64> {
        *self.rows.get_or_init(|| {
            let records = self.index.num_records();
            (records.null_count() == 0).then(|| records.iter().flatten().sum::<u64>() as f64)
        })
    }

    /// Returns bounds of a column of numbers, dates or timestamps that all files have bounds of.
    pub(crate) fn bounds(&self, column: &str) -> Option<Bounds> {
        let mut known = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(column) {
            return *found;
        }
        let found = self.find_bounds(column);
        known.insert(column.to_owned(), found);
        found
    }

    fn find_bounds(&self, column: &str) -> Option<Bounds> {
        let partition = self.index.partition_values(column);
        let lower = partition.clone().or_else(|| self.index.min_values(column))?;
        let upper = partition.or_else(|| self.index.max_values(column))?;
        let known = |bounds: &ArrayRef| bounds.null_count() == 0;
        if !known(&lower) || !known(&upper) {
            return None;
        }
        Some(Bounds {
            min: min(&numbers(&lower)?)?,
            max: max(&numbers(&upper)?)?,
            whole: lower.data_type().is_integer() || matches!(lower.data_type(), DataType::Date32),
        })
    }
}

/// Returns a value as [`Bounds`] has it; `None` for what is no number, date or timestamp.
pub(crate) fn number(value: &ScalarValue) -> Option<f64> {
    let numbers = numbers(&value.to_array().ok()?)?;
    numbers.is_valid(0).then(|| numbers.value(0))
}

fn numbers(values: &ArrayRef) -> Option<Float64Array> {
    let whole = match values.data_type() {
        DataType::Date32 => Some(DataType::Int32),
        DataType::Timestamp(TimeUnit::Microsecond, _) => Some(DataType::Int64),
        other if other.is_numeric() => None,
        _ => return None,
    };
    let whole = whole.map(|whole| cast(values, &whole).ok());
    let values = whole.unwrap_or_else(|| Some(Arc::clone(values)))?;
    let numbers = cast(&values, &DataType::Float64).ok()?;
    numbers.as_primitive_opt::<Float64Type>().cloned()
}

/// The statistics of the files that a scan reads, column by column.
pub(crate) struct ScanStatistics {
    num_records: UInt64Array,
    sizes: UInt64Array,
    /// One for each column of the scan's table schema; `None` for those that the query does not use.
    columns: Vec<Option<ColumnFacts>>,
    /// Not all rows that the log counts are read.
    some_rows: bool,
}

/// One entry per file of the scan.
struct ColumnFacts {
    min: Option<ArrayRef>,
    max: Option<ArrayRef>,
    null_counts: UInt64Array,
    exact: BooleanArray,
}

impl ScanStatistics {
    /// Collects the facts on `files` for the columns of `schema` that `used` marks.
    pub(crate) fn collect(
        index: &FileIndex,
        files: &[usize],
        schema: &Schema,
        used: &[bool],
    ) -> Result<Self> {
        let numbers: UInt64Array = files.iter().map(|file| Some(*file as u64)).collect();
        let num_records = take_counts(&index.num_records(), &numbers)?;
        let sizes = take_counts(&index.sizes(), &numbers)?;
        let columns = schema
            .fields()
            .iter()
            .zip(used)
            .map(|(field, used)| match used {
                true => ColumnFacts::collect(index, files, &numbers, field, &num_records),
                false => Ok(None),
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            num_records,
            sizes,
            columns,
            some_rows: false,
        })
    }

    /// Takes the facts for a scan that leaves out some of the files' rows: they bound what is read.
    pub(crate) fn of_some_rows(self) -> Self {
        Self {
            some_rows: true,
            ..self
        }
    }

    fn said(&self, statistics: Statistics) -> Statistics {
        match self.some_rows {
            true => statistics.to_inexact(),
            false => statistics,
        }
    }

    /// Returns the statistics of all files together.
    pub(crate) fn total(&self) -> Result<Statistics> {
        let num_rows = sum_exact(&self.num_records);
        let column_statistics = self
            .columns
            .iter()
            .map(|column| match column {
                Some(facts) => facts.total(&self.num_records),
                None => Ok(ColumnStatistics::new_unknown()),
            })
            .collect::<Result<Vec<_>>>()?;
        let bytes = self.sizes.iter().flatten().sum::<u64>();
        Ok(self.said(Statistics {
            num_rows,
            total_byte_size: Precision::Inexact(to_usize(bytes)),
            column_statistics,
        }))
    }

    /// Returns the statistics of each file, in order; nothing when they would take too much memory.
    pub(crate) fn by_file(&self) -> Result<Vec<Arc<Statistics>>> {
        let files = self.num_records.len();
        if files.saturating_mul(self.columns.len()) > FILE_STATISTICS_MAX {
            return Ok(Vec::new());
        }
        (0..files).map(|file| Ok(Arc::new(self.of_file(file)?))).collect()
    }

    fn of_file(&self, file: usize) -> Result<Statistics> {
        let column_statistics = self
            .columns
            .iter()
            .map(|column| match column {
                Some(facts) => facts.of_file(file),
                None => Ok(ColumnStatistics::new_unknown()),
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(self.said(Statistics {
            num_rows: count_at(&self.num_records, file),
            total_byte_size: Precision::Inexact(to_usize(self.sizes.value(file))),
            column_statistics,
        }))
    }
}

impl ColumnFacts {
    fn collect(
        index: &FileIndex,
        files: &[usize],
        numbers: &UInt64Array,
        field: &Field,
        num_records: &UInt64Array,
    ) -> Result<Option<Self>> {
        if let Some(values) = index.partition_values(field.name()) {
            return Ok(Some(Self::of_partition_column(
                take(&values, numbers, None)?,
                num_records,
            )));
        }
        let min = taken(index.min_values(field.name()), numbers)?;
        let max = taken(index.max_values(field.name()), numbers)?;
        let counts = index.null_counts(field.name());
        if min.is_none() && max.is_none() && counts.is_none() {
            return Ok(None);
        }
        let deleted: Vec<bool> = files.iter().map(|file| deleted_rows(index, *file) > 0).collect();
        let null_counts = match counts {
            // Writers differ in whether a count of nulls includes deleted rows; none is none.
            Some(counts) => files
                .iter()
                .zip(&deleted)
                .map(|(file, deleted)| {
                    let known = counts.is_valid(*file) && (!deleted || counts.value(*file) == 0);
                    known.then(|| counts.value(*file))
                })
                .collect(),
            None => UInt64Array::new_null(files.len()),
        };
        let floating = matches!(
            field.data_type(),
            DataType::Float16 | DataType::Float32 | DataType::Float64
        );
        let bounds = index.exact_bounds(field.name()).filter(|_| !floating);
        let exact = files
            .iter()
            .zip(&deleted)
            .map(|(file, deleted)| {
                Some(match &bounds {
                    Some(bounds) => bounds.is_valid(*file) && bounds.value(*file) && !deleted,
                    None => false,
                })
            })
            .collect();
        Ok(Some(Self {
            min,
            max,
            null_counts,
            exact,
        }))
    }

    fn of_partition_column(values: ArrayRef, num_records: &UInt64Array) -> Self {
        let null_counts = (0..values.len())
            .map(|file| {
                if values.is_null(file) {
                    num_records.is_valid(file).then(|| num_records.value(file))
                } else {
                    Some(0)
                }
            })
            .collect();
        // A file whose rows are all deleted, or not counted, need not hold its partition's value.
        let exact = (0..values.len())
            .map(|file| Some(num_records.is_valid(file) && num_records.value(file) > 0))
            .collect();
        Self {
            min: Some(Arc::clone(&values)),
            max: Some(values),
            null_counts,
            exact,
        }
    }

    fn total(&self, num_records: &UInt64Array) -> Result<ColumnStatistics> {
        let null_count = sum_exact(&self.null_counts);
        let mut statistics = ColumnStatistics::new_unknown().with_null_count(null_count);
        let with_values: Vec<usize> = (0..num_records.len())
            .filter(|file| !self.without_values(num_records, *file))
            .collect();
        let exact = with_values.iter().all(|file| self.exact.value(*file));
        statistics.min_value = precision(extreme(self.min.as_ref(), &with_values, false)?, exact);
        statistics.max_value = precision(extreme(self.max.as_ref(), &with_values, true)?, exact);
        Ok(statistics)
    }

    fn of_file(&self, file: usize) -> Result<ColumnStatistics> {
        let exact = self.exact.value(file);
        let value = |bound: &Option<ArrayRef>| -> Result<Option<ScalarValue>> {
            match bound {
                Some(values) if values.is_valid(file) => Ok(Some(ScalarValue::try_from_array(values, file)?)),
                _ => Ok(None),
            }
        };
        let mut statistics =
            ColumnStatistics::new_unknown().with_null_count(count_at(&self.null_counts, file));
        statistics.min_value = precision(value(&self.min)?, exact);
        statistics.max_value = precision(value(&self.max)?, exact);
        Ok(statistics)
    }

    /// Says if a file is known to hold no value of the column at all, so that it bounds nothing.
    fn without_values(&self, num_records: &UInt64Array, file: usize) -> bool {
        num_records.is_valid(file)
            && (num_records.value(file) == 0
                || (self.null_counts.is_valid(file)
                    && self.null_counts.value(file) == num_records.value(file)))
    }
}

/// Returns the smallest (or largest) of the values at `files`; `None` when one of them is unknown.
fn extreme(bounds: Option<&ArrayRef>, files: &[usize], largest: bool) -> Result<Option<ScalarValue>> {
    let Some(bounds) = bounds else {
        return Ok(None);
    };
    if files.is_empty() || files.iter().any(|file| bounds.is_null(*file)) {
        return Ok(None);
    }
    let numbers: UInt64Array = files.iter().map(|file| Some(*file as u64)).collect();
    let values = take(bounds, &numbers, None)?;
    let order = SortOptions::new(largest, false);
    let first = sort_to_indices(&values, Some(order), Some(1))?;
    Ok(Some(ScalarValue::try_from_array(
        &values,
        first.value(0) as usize,
    )?))
}

fn precision(value: Option<ScalarValue>, exact: bool) -> Precision<ScalarValue> {
    match value {
        Some(value) if exact => Precision::Exact(value),
        Some(value) => Precision::Inexact(value),
        None => Precision::Absent,
    }
}

fn sum_exact(counts: &UInt64Array) -> Precision<usize> {
    let sum = to_usize(counts.iter().flatten().sum::<u64>());
    if counts.null_count() == 0 {
        Precision::Exact(sum)
    } else if counts.null_count() < counts.len() {
        Precision::Inexact(sum)
    } else {
        Precision::Absent
    }
}

fn count_at(counts: &UInt64Array, file: usize) -> Precision<usize> {
    if counts.is_valid(file) {
        Precision::Exact(to_usize(counts.value(file)))
    } else {
        Precision::Absent
    }
}

fn take_counts(counts: &UInt64Array, numbers: &UInt64Array) -> Result<UInt64Array> {
    Ok(numbers
        .values()
        .iter()
        .map(|file| {
            let file = to_usize(*file);
            counts.is_valid(file).then(|| counts.value(file))
        })
        .collect())
}

fn taken(values: Option<ArrayRef>, numbers: &UInt64Array) -> Result<Option<ArrayRef>> {
    Ok(match values {
        Some(values) => Some(take(&values, numbers, None)?),
        None => None,
    })
}

fn to_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
